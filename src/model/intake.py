"""Intents as JSON lines from anybody: read without ever raising, with every wrong field reported at once.

    {"kind": "single", "intent_id": "a1", "strategy": "pairs", "account": "polymarket:main",
     "instrument": "…", "side": "buy", "quantity": "25", "limit_price": "0.41",
     "expires_at": "2026-09-30T14:00:00Z"}
    {"kind": "pair", "intent_id": "a2", "strategy": "pairs",
     "long": {"instrument": "…", "limit_price": "0.41", "price_band": {"minimum": "0.30", "maximum": "0.42"}},
     "short": {"instrument": "…", "limit_price": "0.63"}, "notional": "25", "expires_in_seconds": 60}

Optional: `account` (where there is a default), `price_band`, `child_quantity_maximum`, `urgency`, `style`,
`risk_tags`, and for a single intent `time_in_force`, `slippage_bps_maximum`, `target_price` and
`expected_hold_seconds`. A field that is null counts as absent.

Amounts are texts or JSON numbers; a number is read from the digits as they stand in the line, never through a float,
so 0.1 and "0.1" are the same. An expiry is a time with its offset, or a number of seconds from now; an intent that
may be handed in twice needs `expires_at`, since "from now" is another time on each reading. One that is past is no
fault of the line: an intent that was accepted before is the same intent after its expiry, and a new one meets a gate.
"""

import json
from collections.abc import Callable, Collection
from decimal import Decimal

from .identifiers import AccountId, InstrumentId, IntentId, StrategyName
from .instrument import Instrument
from .intake_fields import Table, read_object
from .intent import AnyIntent, Intent, PairIntent, PairLeg, PriceBand, Side, Style, TimeInForce, Urgency
from .intent_rules import (
    EXPIRY_SECONDS_MAX,
    Problem,
    band_problems,
    excerpt,
    expiry_problems,
    leg_problems,
    pair_size_problems,
    same_instrument,
    size_problems,
    style_problems,
    unknown_instrument,
)
from .money import Cash, Price, Quantity, plain
from .sizing import pair_quantities
from .timestamps import NANOSECONDS, rfc3339
from .value import Value

__all__ = ["BadIntent", "Problem", "intent_to_json", "pair_quantities", "read_intent"]

Known = Callable[[InstrumentId], Instrument | None]
LEG = "an object with instrument, limit_price and perhaps price_band"
ACCOUNT = 'an account, like "polymarket:main"'
NAME = "a text"
KINDS = ("single", "pair")


class BadIntent(Value, frozen=True, tag="bad_intent"):
    """A line that is no usable intent. `where` says which line of what, `intent_id` whose it is, if that is legible."""

    where: str
    intent_id: IntentId | None
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        whose = "" if self.intent_id is None else f" (intent {self.intent_id})"
        return "\n".join(f"{self.where}{whose}: {problem}" for problem in self.problems)


def read_intent(
    line: bytes,
    *,
    where: str,
    now_ns: int,
    known: Known,
    default_account: AccountId | None,
    learned: Collection[InstrumentId] = (),
) -> AnyIntent | BadIntent:
    """The intent on a line, or everything that is wrong with it. Never raises, whatever the bytes are.

    `known` finds an instrument by its id; `default_account` is for lines that name none; `learned` are the ids that
    `known` finds, to name the one that was probably meant.
    """
    found = read_object(line)
    if isinstance(found, Problem):
        return BadIntent(where=where, intent_id=None, problems=(found,))
    problems: list[Problem] = []
    reader = _Reader(Table(found, "", problems), problems, now_ns, known, default_account, learned)
    intent = reader.read()
    # Nothing is returned that has a problem: a part that could not be read has one, and so has what contradicts.
    if intent is None or problems:
        return BadIntent(where=where, intent_id=reader.intent_id, problems=tuple(problems))
    return intent


class _Reader:
    """One line: reads every field, applies every rule that its readable fields allow, and only then builds."""

    def __init__(
        self,
        table: Table,
        problems: list[Problem],
        now_ns: int,
        known: Known,
        default_account: AccountId | None,
        learned: Collection[InstrumentId],
    ) -> None:
        self.table = table
        self.problems = problems
        self.now_ns = now_ns
        self.known = known
        self.learned = learned
        self.account = default_account
        self.intent_id: IntentId | None = None

    def read(self) -> AnyIntent | None:
        table = self.table
        kind = self._kind()
        intent_id = table.name("intent_id", NAME)
        self.intent_id = None if intent_id is None else IntentId(intent_id)
        self.strategy = table.name("strategy", NAME)
        allowed = ACCOUNT if self.account is not None else f"{ACCOUNT} (there is no default)"
        account = table.name("account", allowed, required=self.account is None)
        if account is not None:
            self.account = AccountId(account)
        self.expires_at_ns = self._expiry()
        self.urgency = table.choice("urgency", Urgency, Urgency.NORMAL)
        self.style = table.choice("style", Style, Style.LIMIT)
        child = table.amount("child_quantity_maximum", required=False)
        self.child = None if child is None else Quantity(child)
        self.tags = table.tags("risk_tags")
        return self._pair() if kind == "pair" else self._single()

    def _kind(self) -> str:
        allowed = " or ".join(KINDS)
        kind = self.table.text("kind", allowed)
        if kind is not None and kind not in KINDS:
            self.table.refuse("kind", f"the text {excerpt(kind)}", allowed)
        if kind in KINDS:
            return kind
        # The other fields tell what was meant, so that their problems are reported with this one.
        return "pair" if self.table.has("long") or self.table.has("short") else "single"

    def _expiry(self) -> int | None:
        table = self.table
        both = table.has("expires_at") and table.has("expires_in_seconds")
        neither = not table.has("expires_at") and not table.has("expires_in_seconds")
        at_ns = table.time("expires_at")
        seconds = table.amount("expires_in_seconds", required=False)
        if neither or both:
            found = "expires_in_seconds as well" if both else "nothing"
            table.refuse("expires_at", found, "either expires_at or expires_in_seconds")
        if seconds is not None and seconds > EXPIRY_SECONDS_MAX:
            table.refuse("expires_in_seconds", excerpt(seconds), f"at most {EXPIRY_SECONDS_MAX}")
        elif seconds is not None and at_ns is None:
            at_ns = self.now_ns + int(seconds * NANOSECONDS)
        if at_ns is not None and at_ns > self.now_ns:
            # What is past is for the gates to refuse: they know whether it was accepted while it was not.
            self.problems += expiry_problems(at_ns, self.now_ns)
        return at_ns

    def _single(self) -> Intent | None:
        table = self.table
        instrument_id, instrument, limit_price, band = self._leg(table)
        side = table.choice("side", Side)
        amount = table.amount("quantity")
        quantity = None if amount is None else Quantity(amount)
        time_in_force = table.choice("time_in_force", TimeInForce, TimeInForce.GTC)
        slippage = table.amount("slippage_bps_maximum", required=False, positive=False, bps=True)
        target = table.amount("target_price", required=False)
        hold_seconds = table.whole("expected_hold_seconds")
        table.finish(elsewhere=("long", "short", "notional"))
        self.problems += style_problems(self.style, time_in_force)
        if instrument is not None and quantity is not None:
            self.problems += size_problems(instrument, quantity, limit_price, self.child)
        if (
            self.intent_id is None
            or self.strategy is None
            or self.account is None
            or instrument_id is None
            or side is None
            or quantity is None
            or limit_price is None
            or self.expires_at_ns is None
            or band is None
            or self.urgency is None
            or self.style is None
            or time_in_force is None
        ):
            return None
        return Intent(
            intent_id=self.intent_id,
            strategy=StrategyName(self.strategy),
            account=self.account,
            instrument=instrument_id,
            side=side,
            quantity=quantity,
            limit_price=limit_price,
            expires_at_ns=self.expires_at_ns,
            price_band=band,
            urgency=self.urgency,
            time_in_force=time_in_force,
            style=self.style,
            child_quantity_maximum=self.child,
            slippage_bps_maximum=slippage,
            target_price=None if target is None else Price(target),
            expected_hold_seconds=hold_seconds,
            risk_tags=self.tags,
        )

    def _pair(self) -> PairIntent | None:
        table = self.table
        long, long_instrument = self._pair_leg("long")
        short, short_instrument = self._pair_leg("short")
        notional = table.amount("notional")
        table.finish(elsewhere=("instrument", "side", "quantity", "limit_price", "price_band", "time_in_force"))
        if long is not None and short is not None and long.instrument == short.instrument:
            self.problems.append(same_instrument(short.instrument))
        if (
            self.intent_id is None
            or self.strategy is None
            or self.account is None
            or long is None
            or short is None
            or notional is None
            or self.expires_at_ns is None
            or self.urgency is None
            or self.style is None
        ):
            return None
        pair = PairIntent(
            intent_id=self.intent_id,
            strategy=StrategyName(self.strategy),
            account=self.account,
            long=long,
            short=short,
            notional=Cash(notional),
            expires_at_ns=self.expires_at_ns,
            urgency=self.urgency,
            style=self.style,
            child_quantity_maximum=self.child,
            risk_tags=self.tags,
        )
        if long_instrument is not None and short_instrument is not None:
            self.problems += pair_size_problems(pair, long_instrument, short_instrument)
        return pair

    def _pair_leg(self, name: str) -> tuple[PairLeg | None, Instrument | None]:
        table = self.table.table(name, LEG)
        if table is None:
            return None, None
        instrument_id, instrument, limit_price, band = self._leg(table)
        table.finish()
        if instrument_id is None or limit_price is None or band is None:
            return None, instrument
        return PairLeg(instrument=instrument_id, limit_price=limit_price, price_band=band), instrument

    def _leg(self, table: Table) -> tuple[InstrumentId | None, Instrument | None, Price | None, PriceBand | None]:
        """What single intents and legs of pairs have in common, checked against the instrument's rules."""
        name = table.text("instrument", "the id of an instrument")
        amount = table.amount("limit_price")
        limit_price = None if amount is None else Price(amount)
        band = self._band(table)
        if name is None:
            return None, None, limit_price, band
        instrument_id = InstrumentId(name)
        instrument = self.known(instrument_id)
        if instrument is None:
            self.problems.append(unknown_instrument(table.path, instrument_id, self.learned))
        else:
            self.problems += leg_problems(table.path, instrument, self.account, limit_price, band)
        return instrument_id, instrument, limit_price, band

    def _band(self, table: Table) -> PriceBand | None:
        found = table.table("price_band", "an object with minimum and maximum, or one of them", required=False)
        if found is None:
            return PriceBand()  # absent; where it was something else, that is a problem already
        minimum = found.amount("minimum", required=False, positive=False)
        maximum = found.amount("maximum", required=False, positive=False)
        found.finish()
        band = PriceBand(
            minimum=None if minimum is None else Price(minimum), maximum=None if maximum is None else Price(maximum)
        )
        wrong = band_problems(table.path, band)
        self.problems += wrong
        return None if wrong else band


# ---- writing ----------------------------------------------------------------------------------------------


def intent_to_json(intent: AnyIntent) -> bytes:
    """The line that `read_intent` reads back as an equal intent. What has its default value is left out."""
    content: dict[str, object] = {
        "kind": "single" if isinstance(intent, Intent) else "pair",
        "intent_id": intent.intent_id,
        "strategy": intent.strategy,
        "account": intent.account,
    }
    if isinstance(intent, Intent):
        content |= {
            "instrument": intent.instrument,
            "side": intent.side,
            "quantity": plain(intent.quantity),
            "limit_price": plain(intent.limit_price),
            "price_band": _band_to_json(intent.price_band),
            "time_in_force": None if intent.time_in_force is TimeInForce.GTC else intent.time_in_force,
            "slippage_bps_maximum": _optional(intent.slippage_bps_maximum),
            "target_price": _optional(intent.target_price),
            "expected_hold_seconds": intent.expected_hold_seconds,
        }
    else:
        content |= {
            "long": _leg_to_json(intent.long),
            "short": _leg_to_json(intent.short),
            "notional": plain(intent.notional),
        }
    content |= {
        "expires_at": rfc3339(intent.expires_at_ns),
        "urgency": None if intent.urgency is Urgency.NORMAL else intent.urgency,
        "style": None if intent.style is Style.LIMIT else intent.style,
        "child_quantity_maximum": _optional(intent.child_quantity_maximum),
        "risk_tags": list(intent.risk_tags) or None,
    }
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode("ascii")


def _leg_to_json(leg: PairLeg) -> dict[str, object]:
    content: dict[str, object] = {"instrument": leg.instrument, "limit_price": plain(leg.limit_price)}
    band = _band_to_json(leg.price_band)
    return content if band is None else content | {"price_band": band}


def _band_to_json(band: PriceBand) -> dict[str, str] | None:
    ends = {"minimum": band.minimum, "maximum": band.maximum}
    return {name: plain(price) for name, price in ends.items() if price is not None} or None


def _optional(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
