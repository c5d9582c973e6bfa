"""What every intent must keep, whether it came as text or from a strategy in this process.

Each rule is a function from values to the problems it sees, so that a reader can apply them to what it could read,
and report every wrong field at once. None of them raises, whatever numbers and texts it is given.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from operator import attrgetter
from types import NoneType
from typing import NewType, cast, get_args, get_origin

import msgspec

from .identifiers import INTENT_ID_LENGTH_MAX, AccountId, InstrumentId
from .instrument import Instrument, RuleBroken, broken_price_rules, broken_quantity_rules, notional_of
from .intent import AnyIntent, Intent, PairIntent, PairLeg, PriceBand, Style, TimeInForce
from .money import DIGITS_MAX, Price, Quantity, plain
from .sizing import broken_pair_rules, child_sizes, pair_quantities
from .value import Value

NAME_ALLOWED = "letters, digits and . _ : - (a letter or digit first), at most 64 characters"
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{INTENT_ID_LENGTH_MAX - 1}}}")
TAG = re.compile(r"[ -~]{1,64}")
TAG_ALLOWED = "1 to 64 printable ASCII characters"
TAGS_MAX = 16
BPS_MAX = Decimal(10_000)
EXPIRY_SECONDS_MAX = 10 * 366 * 86_400
"""An expiry further away is a mistake in its unit."""
FOUND_CHARACTERS_MAX = 80
INSTRUMENT_COMPARED = 200
"""So much of an unknown id is compared with the known ones, which bounds what a line may cost."""

Known = Callable[[InstrumentId], Instrument | None]


class Problem(Value, frozen=True):
    """One thing that is wrong: the `field` by its path, what was `found` there, and what is `allowed`."""

    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}; allowed is {self.allowed}"


def excerpt(found: object) -> str:
    """What was found, cut and with everything unprintable escaped, so that any log and terminal can take it."""
    text = repr(str(found)) if isinstance(found, str) else str(found)
    return text if len(text) <= FOUND_CHARACTERS_MAX else f"{text[: FOUND_CHARACTERS_MAX - 1]}…"


def name_problems(field: str, name: str) -> list[Problem]:
    """An identifier: it becomes part of order ids, keys and log lines, so it is plain and short."""
    if NAME.fullmatch(name):
        return []
    return [Problem(field=field, found=excerpt(name), allowed=NAME_ALLOWED)]


def amount_problems(field: str, amount: Decimal, *, positive: bool = True) -> list[Problem]:
    """A number that is finite, of sane size and (where demanded) above zero."""
    allowed = "a number above zero" if positive else "zero or more"
    if not amount.is_finite() or (amount and not -DIGITS_MAX < amount.adjusted() < DIGITS_MAX):
        return [Problem(field=field, found=excerpt(amount), allowed=f"{allowed} of at most {DIGITS_MAX} digits")]
    # Written out it has at least its digits, so the short text spares taking nearly every amount apart.
    if len(str(amount)) > DIGITS_MAX and len(amount.as_tuple().digits) > DIGITS_MAX:
        return [Problem(field=field, found=excerpt(amount), allowed=f"{allowed} of at most {DIGITS_MAX} digits")]
    if amount < 0 or (positive and not amount):
        return [Problem(field=field, found=plain(amount), allowed=allowed)]
    return []


def bps_problems(field: str, bps: Decimal) -> list[Problem]:
    """Basis points of a price: from 0 to 10 000."""
    problems = amount_problems(field, bps, positive=False)
    if not problems and bps > BPS_MAX:
        problems = [Problem(field=field, found=plain(bps), allowed=f"from 0 to {plain(BPS_MAX)}")]
    return problems


def leg_problems(
    path: str,
    instrument: Instrument,
    account: AccountId | None,
    limit_price: Price | None,
    band: PriceBand | None = None,
) -> list[Problem]:
    """The limit price against the instrument's rules and the band, and the account against its venue."""
    problems: list[Problem] = []
    if account is not None and account.partition(":")[0] != instrument.venue:
        allowed = f"an instrument of the account's venue ({excerpt(account)})"
        problems.append(Problem(field=f"{path}instrument", found=instrument.instrument_id, allowed=allowed))
    if limit_price is not None:
        problems += prefixed(path, broken_price_rules(instrument, limit_price), {"price": "limit_price"})
    if limit_price is not None and band is not None and not band.allows(limit_price):
        problems.append(
            Problem(
                field=f"{path}limit_price",
                found=plain(limit_price),
                allowed=f"a price inside price_band, from {band_text(band)}",
            )
        )
    return problems


def band_problems(path: str, band: PriceBand) -> list[Problem]:
    """A band whose ends are the wrong way round allows nothing."""
    if band.minimum is None or band.maximum is None or band.minimum <= band.maximum:
        return []
    allowed = f"at most the maximum, {plain(band.maximum)}"
    return [Problem(field=f"{path}price_band.minimum", found=plain(band.minimum), allowed=allowed)]


def size_problems(
    instrument: Instrument, quantity: Quantity, limit_price: Price | None, child: Quantity | None
) -> list[Problem]:
    """A single quantity against the instrument's rules, its notional, and whether it can be split as asked."""
    problems = prefixed("", broken_quantity_rules(instrument, quantity), {})
    if limit_price is not None:
        notional = notional_of(instrument, limit_price, quantity)
        if notional < instrument.notional_minimum:
            allowed = f"at least {plain(instrument.notional_minimum)} at {plain(limit_price)}"
            problems.append(Problem(field="quantity", found=f"a notional of {plain(notional)}", allowed=allowed))
    if child is not None and not problems:
        split = child_sizes(quantity, child, instrument, limit_price)
        problems += prefixed("", [split], {}) if isinstance(split, RuleBroken) else []
    return problems


def pair_size_problems(pair: PairIntent, long: Instrument, short: Instrument) -> list[Problem]:
    """The notional against the minimums of both legs, and whether both can be split as asked."""
    problems = prefixed("", broken_pair_rules(pair, long, short), {})
    if problems or pair.child_quantity_maximum is None:
        return problems
    from_legs = (
        child_sizes(quantity, pair.child_quantity_maximum, instrument, price)
        for quantity, instrument, price in zip(
            pair_quantities(pair, long, short),
            (long, short),
            (pair.long.limit_price, pair.short.limit_price),
            strict=True,
        )
    )
    return prefixed("", [split for split in from_legs if isinstance(split, RuleBroken)], {})


def expiry_problems(expires_at_ns: int, now_ns: int) -> list[Problem]:
    """In the future, and not beyond all reason. Times are UTC nanoseconds."""
    left_seconds = (expires_at_ns - now_ns) / 10**9
    if expires_at_ns <= now_ns:
        return [Problem(field="expires_at", found=f"{abs(left_seconds):.3f} s ago", allowed="a time in the future")]
    if left_seconds > EXPIRY_SECONDS_MAX:
        found = f"{left_seconds:.0f} s from now"
        return [Problem(field="expires_at", found=found, allowed=f"at most {EXPIRY_SECONDS_MAX} s from now")]
    return []


def style_problems(style: Style | None, time_in_force: TimeInForce | None) -> list[Problem]:
    """Combinations that contradict themselves: an order that only rests cannot be immediate as well."""
    if style is Style.POST_ONLY and time_in_force in {TimeInForce.IOC, TimeInForce.FOK}:
        allowed = f"{TimeInForce.GTC} or {TimeInForce.GTD} with style {Style.POST_ONLY}"
        return [Problem(field="time_in_force", found=str(time_in_force), allowed=allowed)]
    return []


def tag_problems(tags: tuple[object, ...]) -> list[Problem]:
    """Labels that risk reports group by: few, short and printable."""
    problems = [
        Problem(field=f"risk_tags[{place}]", found=excerpt(tag), allowed=TAG_ALLOWED)
        for place, tag in enumerate(tags[:TAGS_MAX])
        if not (isinstance(tag, str) and TAG.fullmatch(tag))
    ]
    if len(tags) > TAGS_MAX:
        problems.append(Problem(field="risk_tags", found=f"{len(tags)} tags", allowed=f"at most {TAGS_MAX}"))
    return problems


def unknown_instrument(path: str, instrument: InstrumentId, learned: Iterable[InstrumentId] = ()) -> Problem:
    """An instrument whose rules nobody knows, with the one of the `learned` that was probably meant."""
    near = difflib.get_close_matches(instrument[:INSTRUMENT_COMPARED], list(learned), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    allowed = f"an instrument of a market in the configuration, as the venue names it{hint}"
    return Problem(field=f"{path}instrument", found=excerpt(instrument), allowed=allowed)


def same_instrument(instrument: InstrumentId) -> Problem:
    return Problem(
        field="short.instrument", found=excerpt(instrument), allowed="another instrument than that of the long leg"
    )


def prefixed(path: str, broken: list[RuleBroken], names: dict[str, str]) -> list[Problem]:
    """An instrument's broken rules as problems of the intent's own fields."""
    return [
        Problem(field=f"{path}{names.get(rule.field, rule.field)}", found=rule.found, allowed=rule.allowed)
        for rule in broken
    ]


# ---- a whole intent ---------------------------------------------------------------------------------------


def malformed(intent: AnyIntent) -> list[Problem]:
    """What is wrong with the intent by itself, before any instrument is looked at.

    A strategy in this process is not bound by the type checker: a float where a Decimal belongs is found here.
    """
    problems = _wrong_types("", intent) or _unsound_amounts(intent)
    if problems:
        return problems  # comparing what is no number would raise
    problems = [
        *name_problems("intent_id", intent.intent_id),
        *name_problems("strategy", intent.strategy),
        *name_problems("account", intent.account),
        *tag_problems(intent.risk_tags),
    ]
    if isinstance(intent, Intent):
        return problems + band_problems("", intent.price_band) + style_problems(intent.style, intent.time_in_force)
    if intent.long.instrument == intent.short.instrument:
        problems.append(same_instrument(intent.short.instrument))
    return problems + band_problems("long.", intent.long.price_band) + band_problems("short.", intent.short.price_band)


def unfit(intent: AnyIntent, known: Known) -> list[Problem]:
    """What is wrong with a well-formed intent by the rules of its instruments. Price bands are a gate of their own."""
    if isinstance(intent, Intent):
        instrument = known(intent.instrument)
        if instrument is None:
            return [unknown_instrument("", intent.instrument)]
        return [
            *leg_problems("", instrument, intent.account, intent.limit_price),
            *size_problems(instrument, intent.quantity, intent.limit_price, intent.child_quantity_maximum),
        ]
    problems: list[Problem] = []
    for path, leg in (("long.", intent.long), ("short.", intent.short)):
        instrument = known(leg.instrument)
        if instrument is None:
            problems.append(unknown_instrument(path, leg.instrument))
        else:
            problems += leg_problems(path, instrument, intent.account, leg.limit_price)
    long, short = known(intent.long.instrument), known(intent.short.instrument)
    if long is not None and short is not None:
        problems += pair_size_problems(intent, long, short)
    return problems


def _unsound_amounts(intent: AnyIntent) -> list[Problem]:
    child = intent.child_quantity_maximum
    problems = amount_problems("child_quantity_maximum", child) if child is not None else []
    if isinstance(intent, Intent):
        problems += amount_problems("quantity", intent.quantity)
        problems += amount_problems("limit_price", intent.limit_price)
        problems += _unsound_band("", intent.price_band)
        if intent.slippage_bps_maximum is not None:
            problems += bps_problems("slippage_bps_maximum", intent.slippage_bps_maximum)
        if intent.target_price is not None:
            problems += amount_problems("target_price", intent.target_price)
        return problems
    problems += amount_problems("notional", intent.notional)
    for path, leg in (("long.", intent.long), ("short.", intent.short)):
        problems += amount_problems(f"{path}limit_price", leg.limit_price)
        problems += _unsound_band(path, leg.price_band)
    return problems


def _unsound_band(path: str, band: PriceBand) -> list[Problem]:
    problems: list[Problem] = []
    for end, price in (("minimum", band.minimum), ("maximum", band.maximum)):
        if price is not None:
            problems += amount_problems(f"{path}price_band.{end}", price, positive=False)
    return problems


def _classes(hint: object) -> frozenset[type]:
    """The classes that a field's values may have: new types are what they are made of, unions all of their parts."""
    if isinstance(hint, NewType):
        return _classes(hint.__supertype__)
    if isinstance(hint, type):
        return frozenset({hint})
    if hint is None:
        return frozenset({NoneType})
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, tuple):
        return frozenset({tuple})
    return frozenset[type]().union(*map(_classes, get_args(hint)))


_PARTS = (PriceBand, PairLeg)
_FIELDS = {
    kind: tuple((field.name, _classes(field.type)) for field in msgspec.structs.fields(kind))
    for kind in (Intent, PairIntent, *_PARTS)
}
_VALUES = {kind: attrgetter(*(name for name, _ in fields)) for kind, fields in _FIELDS.items()}
"""All fields of a value in one call."""


def _wrong_types(path: str, value: Intent | PairIntent | PairLeg | PriceBand) -> list[Problem]:
    problems: list[Problem] = []
    kind = type(value)
    found: object
    for (name, classes), found in zip(_FIELDS[kind], _VALUES[kind](value), strict=True):
        if type(found) not in classes:
            allowed = " or ".join(sorted(kind.__name__ for kind in classes if kind is not NoneType))
            text = f"{type(found).__name__} {excerpt(found)}"
            problems.append(Problem(field=f"{path}{name}", found=text, allowed=allowed))
        elif type(found) in _PARTS:
            problems += _wrong_types(f"{path}{name}.", cast("PriceBand | PairLeg", found))
    return problems


def band_text(band: PriceBand) -> str:
    """A band as errors show it."""
    low = "any" if band.minimum is None else plain(band.minimum)
    high = "any" if band.maximum is None else plain(band.maximum)
    return f"{low} to {high}"
