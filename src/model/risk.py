"""Pre-trade gates: pure functions from what is asked and the plain facts to an approval or a refusal with numbers.

`review_intent` and `review_order` are the only makers of `ApprovedIntent` and `ApprovedOrder`, and what comes after
them takes nothing else: that a slice was never checked is a sentence that cannot be written. Every order passes the
gates, one that reduces a position as well: it is spared the position limits, which it brings nearer, and nothing
else, since what is not known to be right must not be traded on. Cancels never come here: they always go out.

Unknown is refused (law L9): no price where a price is needed, an account that is not Live, a market whose status
nobody knows. Unconfirmed counts as open (law L8): position limits are held against the worst case of everything in
flight and everything open.
"""

from collections.abc import Callable
from dataclasses import InitVar, dataclass
from decimal import Decimal

from .account import AccountState
from .fill import Direction
from .identifiers import AccountId, InstrumentId
from .instrument import Instrument, MarketStatus, broken_rules, notional_of
from .intent import AnyIntent, Intent, PriceBand, Side, Style
from .intent_rules import Problem, band_text, expiry_problems, malformed, unfit
from .money import EXACT, ONE, ZERO, Price, Quantity, SignedQuantity, plain
from .order import OrderTerms
from .risk_facts import Exposure, Gate, Market, RiskContext, RiskLimits
from .sizing import Leg, legs_of
from .value import Value

__all__ = [
    "ApprovedIntent",
    "ApprovedOrder",
    "Exposure",
    "Gate",
    "Market",
    "Refused",
    "RiskContext",
    "RiskLimits",
    "review_intent",
    "review_order",
]

BPS = Decimal(10_000)
ENTRY = "entry"
"""The purpose of orders that do what their intent says; any other purpose undoes it."""


class Refused(Value, frozen=True, tag="refused"):
    """Nothing will be done. `message` is one sentence with the numbers; the rest is the same for programs."""

    gate: Gate
    message: str
    field: str
    found: str
    allowed: str


class _Seal:
    """What an approval is made with; nobody but this module holds one."""

    __slots__ = ()


_SEAL = _Seal()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedIntent:
    """An intent that passed every gate at `reviewed_at_ns`. Only `review_intent` makes one.

    `repeated` means that exactly this intent was accepted before: it is no error, and nothing new may be started.
    """

    intent: AnyIntent
    reviewed_at_ns: int
    repeated: bool = False
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        _check_seal(seal, "review_intent")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedOrder:
    """An order that passed every gate at `reviewed_at_ns`. Only `review_order` makes one."""

    terms: OrderTerms
    reviewed_at_ns: int
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        _check_seal(seal, "review_order")


def _check_seal(seal: object, maker: str) -> None:
    if seal is not _SEAL:
        raise TypeError(f"an approval is made by {maker} alone")


class _Stop(Exception):
    """A gate is closed: the way out of a list of gates."""

    def __init__(self, gate: Gate, field: str, found: str, allowed: str, message: str = "") -> None:
        super().__init__(gate)
        self.refused = Refused(
            gate=gate,
            message=message or f"{field} is {found}; allowed is {allowed}",
            field=field,
            found=found,
            allowed=allowed,
        )


# ---- intents ----------------------------------------------------------------------------------------------


def review_intent(intent: AnyIntent, context: RiskContext) -> ApprovedIntent | Refused:
    """Let an intent through all gates, or name the first one that is closed. Never raises for a bad intent.

    An intent that was accepted before, with the same content, is approved as `repeated` whatever the gates say now:
    it is at work already.
    """
    try:
        if _review_intent(intent, context):
            return ApprovedIntent(intent=intent, reviewed_at_ns=context.now_ns, repeated=True, seal=_SEAL)
    except _Stop as stop:
        return stop.refused
    return ApprovedIntent(intent=intent, reviewed_at_ns=context.now_ns, seal=_SEAL)


def _review_intent(intent: AnyIntent, context: RiskContext) -> bool:
    """Whether it is a repetition. Raises `_Stop`."""
    _refuse_problems(Gate.WELL_FORMED, malformed(intent))
    if context.known_intent is not None:
        if context.known_intent == intent:
            return True
        changed = _changed(context.known_intent, intent)
        raise _Stop(
            Gate.DUPLICATE_INTENT,
            "intent_id",
            intent.intent_id,
            "an id that this strategy has not used, or exactly the same intent",
            f"intent {intent.intent_id} was accepted before with other content ({changed} differs); "
            "an intent never changes: give the new one an id of its own",
        )
    _common_gates(intent.account, intent.expires_at_ns, context)
    _count_gate(context)
    for name in _instruments_of(intent):
        _exposure(name, context)
    _refuse_problems(Gate.INSTRUMENT_RULES, unfit(intent, _instruments_in(context)))
    total = ZERO
    for leg in legs_of(intent, _instruments_in(context)):
        exposure = context.exposures[leg.instrument]
        buys = leg.side in {Side.BUY, Side.BUY_TO_COVER}
        path = f"{leg.name}." if leg.name else ""
        _band_gate(f"{path}limit_price", leg.limit_price, leg.price_band)
        _market_gates(
            exposure, context, path, price=leg.limit_price, buys=buys, post_only=intent.style is Style.POST_ONLY
        )
        _position_gates(exposure, context, path, price=leg.limit_price, quantity=leg.quantity, buys=buys)
        total = EXACT.add(total, notional_of(exposure.instrument, leg.limit_price, leg.quantity))
    for limit in (context.limits.intent_notional_maximum, context.strategy_notional_maximum):
        _at_most(Gate.INTENT_NOTIONAL, "notional", total, limit)
    return False


def _instruments_of(intent: AnyIntent) -> tuple[InstrumentId, ...]:
    if isinstance(intent, Intent):
        return (intent.instrument,)
    return intent.long.instrument, intent.short.instrument


def _instruments_in(context: RiskContext) -> Callable[[InstrumentId], Instrument | None]:
    def known(name: InstrumentId) -> Instrument | None:
        exposure = context.exposures.get(name)
        return None if exposure is None else exposure.instrument

    return known


def _changed(before: AnyIntent, after: AnyIntent) -> str:
    if type(before) is not type(after):
        return "its kind"
    fields = [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    return ", ".join(fields)


def _count_gate(context: RiskContext) -> None:
    for limit in (context.limits.active_intents_per_strategy_maximum, context.strategy_active_intents_maximum):
        if limit is not None and context.active_intents >= limit:
            raise _Stop(
                Gate.ACTIVE_INTENTS,
                "strategy",
                f"{context.active_intents} active intents",
                f"at most {limit}, this one included",
                f"the strategy has {context.active_intents} active intents; allowed are at most {limit}",
            )


# ---- orders -----------------------------------------------------------------------------------------------


def review_order(terms: OrderTerms, context: RiskContext) -> ApprovedOrder | Refused:
    """Let an order through all gates, or name the first one that is closed. `context.known_intent` is its intent."""
    try:
        _review_order(terms, context)
    except _Stop as stop:
        return stop.refused
    return ApprovedOrder(terms=terms, reviewed_at_ns=context.now_ns, seal=_SEAL)


def _review_order(terms: OrderTerms, context: RiskContext) -> None:
    intent = context.known_intent
    if intent is None or (intent.strategy, intent.intent_id) != (terms.strategy, terms.intent_id):
        raise _Stop(Gate.INTENT_KNOWN, "intent_id", terms.intent_id, "the id of an intent that was accepted")
    _common_gates(terms.account, terms.expires_at_ns, context)
    exposure = _exposure(terms.instrument, context)
    instrument = exposure.instrument
    _faithful_gates(terms, intent, context)
    broken = broken_rules(instrument, terms.price, terms.quantity)
    if broken:
        first = broken[0]
        raise _Stop(
            Gate.INSTRUMENT_RULES, first.field, first.found, first.allowed, "; ".join(str(rule) for rule in broken)
        )
    buys = terms.direction is Direction.BUY
    _market_gates(exposure, context, "", price=terms.price, buys=buys, post_only=terms.post_only)
    limits = context.limits
    _at_most(Gate.ORDER_QUANTITY, "quantity", terms.quantity, limits.order_quantity_maximum)
    if limits.order_notional_maximum is not None:
        notional = notional_of(instrument, terms.price, terms.quantity)
        _at_most(Gate.ORDER_NOTIONAL, "notional", notional, limits.order_notional_maximum)
    _position_gates(exposure, context, "", price=terms.price, quantity=terms.quantity, buys=buys)


def _faithful_gates(terms: OrderTerms, intent: AnyIntent, context: RiskContext) -> None:
    """The order against the leg it belongs to: its side, instrument, limit price, band and quantity."""
    for name in _instruments_of(intent):
        _exposure(name, context)
    legs = legs_of(intent, _instruments_in(context))
    if not 0 <= terms.leg < len(legs):
        raise _Stop(Gate.FAITHFUL, "leg", str(terms.leg), f"from 0 to {len(legs) - 1}")
    leg = legs[terms.leg]
    price = _meant_price(terms, leg, context.exposures[leg.instrument].instrument)
    raises = terms.side in {Side.BUY, Side.BUY_TO_COVER}
    expected = Direction.BUY if raises is (terms.instrument == leg.instrument) else Direction.SELL
    if terms.direction is not expected:
        found = f"{terms.direction} of {terms.instrument} for {terms.side} of {leg.instrument}"
        raise _Stop(Gate.FAITHFUL, "direction", found, expected)
    if terms.quantity > leg.quantity:
        raise _Stop(Gate.FAITHFUL, "quantity", plain(terms.quantity), f"at most the leg's {plain(leg.quantity)}")
    leg_raises = leg.side in {Side.BUY, Side.BUY_TO_COVER}
    if terms.purpose != ENTRY:
        # It undoes what the intent did, at a price that the intent said nothing of.
        if raises is leg_raises:
            found = f"{terms.side} for {terms.purpose}"
            raise _Stop(Gate.FAITHFUL, "side", found, f"the opposite of the leg's {leg.side}")
        return
    if terms.side is not leg.side:
        raise _Stop(Gate.FAITHFUL, "side", terms.side, leg.side)
    if price > leg.limit_price if raises else price < leg.limit_price:
        allowed = f"{'at most' if raises else 'at least'} the limit price {plain(leg.limit_price)}"
        raise _Stop(Gate.LIMIT_PRICE, "price", _shown_price(terms, leg, price), allowed)
    _band_gate("price", price, leg.price_band)


def _meant_price(terms: OrderTerms, leg: Leg, instrument: Instrument) -> Price:
    """The order's price in terms of the leg's instrument: the complement's price is one minus it."""
    if terms.instrument == leg.instrument:
        return terms.price
    if terms.instrument == instrument.complement:
        return Price(EXACT.subtract(ONE, terms.price))
    raise _Stop(Gate.FAITHFUL, "instrument", terms.instrument, f"{leg.instrument}, or its complement")


def _shown_price(terms: OrderTerms, leg: Leg, price: Price) -> str:
    if terms.instrument == leg.instrument:
        return plain(price)
    return f"{plain(price)} (as {plain(terms.price)} of its complement {terms.instrument})"


# ---- gates that both share --------------------------------------------------------------------------------


def _common_gates(account: AccountId, expires_at_ns: int, context: RiskContext) -> None:
    if context.halted is not None:
        why = f"halted by an operator: {context.halted or 'no reason given'}"
        raise _Stop(Gate.OPERATOR_HALT, "account", "halted", "not halted", why)
    if context.congestion is not None:
        why = f"the store does not keep up: {context.congestion}; cancels go on, try again when it does"
        raise _Stop(Gate.STORE, "store", context.congestion, "a disk that keeps up", why)
    if context.paused is not None:
        why = f"the strategy is paused: {context.paused or 'no reason given'}"
        raise _Stop(Gate.STRATEGY_PAUSED, "strategy", "paused", "not paused", why)
    if context.account != account:
        raise _Stop(Gate.ACCOUNT_LIVE, "account", account, f"{context.account}, the account that is reviewed for")
    if context.account_state is not AccountState.LIVE:
        reason = f" ({context.account_reason})" if context.account_reason else ""
        raise _Stop(
            Gate.ACCOUNT_LIVE,
            "account",
            context.account_state,
            AccountState.LIVE,
            f"account {account} is {context.account_state}{reason}; new orders go out only when it is live",
        )
    _refuse_problems(Gate.EXPIRY, expiry_problems(expires_at_ns, context.now_ns))


def _exposure(name: InstrumentId, context: RiskContext) -> Exposure:
    exposure = context.exposures.get(name)
    if exposure is None:
        raise _Stop(Gate.INSTRUMENT_KNOWN, "instrument", name, "an instrument that was learned from the venue")
    return exposure


def _market_gates(
    exposure: Exposure, context: RiskContext, path: str, *, price: Price, buys: bool, post_only: bool
) -> None:
    """Whether the market takes such orders now, and how far beyond its mid the price is."""
    instrument, market = exposure.instrument, exposure.market
    name, status = instrument.instrument_id, instrument.status
    if status is not MarketStatus.OPEN and not (status is MarketStatus.POST_ONLY and post_only):
        allowed = "open, or post-only orders" if status is MarketStatus.POST_ONLY else "open"
        raise _Stop(Gate.MARKET_STATUS, f"{path}instrument", f"{name} {status}", allowed)
    stale_seconds, deviation = context.market_data_stale_seconds, context.limits.price_deviation_bps_maximum
    if market is None:
        if stale_seconds is None and deviation is None:
            return
        raise _Stop(Gate.FRESH_DATA, f"{path}instrument", f"no market data of {name}", "a book of both sides")
    if market.closed is not None:
        why = market.closed or "no reason given"
        raise _Stop(Gate.FRESH_DATA, f"{path}instrument", f"data of {name} not to be trusted: {why}", "sound data")
    age_seconds = (context.now_ns - market.as_of_ns) / 1e9
    if stale_seconds is not None and age_seconds > stale_seconds:
        found = f"data of {name} that is {age_seconds:.1f} s old"
        raise _Stop(Gate.FRESH_DATA, f"{path}instrument", found, f"at most {stale_seconds:g} s")
    if market.bid is not None and market.ask is not None and market.bid >= market.ask:
        found = f"a crossed book of {name}: {plain(market.bid)} bid, {plain(market.ask)} asked"
        raise _Stop(Gate.FRESH_DATA, f"{path}instrument", found, "a bid below the ask")
    if deviation is None:
        return
    mid = market.mid
    if mid is None:
        raise _Stop(Gate.FRESH_DATA, f"{path}instrument", f"no mid of {name}", "a bid and an ask")
    beyond = (price - mid if buys else mid - price) * BPS / mid
    if beyond > deviation:
        found = f"{plain(price)}, {beyond:.1f} bps {'above' if buys else 'below'} the mid {plain(mid)}"
        raise _Stop(Gate.PRICE_DEVIATION, f"{path}price", found, f"at most {plain(deviation)} bps beyond it")


def _position_gates(
    exposure: Exposure, context: RiskContext, path: str, *, price: Price, quantity: Quantity, buys: bool
) -> None:
    """The worst case after this order, on its own side alone: what brings a position nearer to zero always passes."""
    limits, book = context.limits, exposure.book
    if limits.position_quantity_maximum is None and limits.position_notional_maximum is None:
        return
    if buys:
        held, opened = book.highest, exposure.open_buys
    else:
        held, opened = SignedQuantity(book.lowest.copy_negate()), exposure.open_sells
    after = EXACT.add(EXACT.add(held, opened), quantity)
    if after <= 0:
        return

    def parts() -> str:
        side, name = "long" if buys else "short", exposure.instrument.instrument_id
        return f"{plain(held)} held + {plain(opened)} open + {plain(quantity)} = {plain(after)} {side} of {name}"

    limit = limits.position_quantity_maximum
    if limit is not None and after > limit:
        raise _Stop(Gate.POSITION_QUANTITY, f"{path}quantity", parts(), f"at most {plain(limit)}")
    if limits.position_notional_maximum is None:
        return
    mid = exposure.market.mid if exposure.market is not None else None
    mark = price if mid is None else max(price, mid)
    notional = notional_of(exposure.instrument, Price(mark), Quantity(after))
    if notional > limits.position_notional_maximum:
        found = f"{parts()}, worth {plain(notional)} at {plain(mark)}"
        allowed = f"at most {plain(limits.position_notional_maximum)}"
        raise _Stop(Gate.POSITION_NOTIONAL, f"{path}quantity", found, allowed)


def _at_most(gate: Gate, field: str, found: Decimal, limit: Decimal | None) -> None:
    if limit is not None and found > limit:
        raise _Stop(gate, field, plain(found), f"at most {plain(limit)}")


def _band_gate(field: str, price: Price, band: PriceBand) -> None:
    if not band.allows(price):
        raise _Stop(Gate.PRICE_BAND, field, plain(price), f"from {band_text(band)}")


def _refuse_problems(gate: Gate, problems: list[Problem]) -> None:
    """Refuse for the first problem, and tell all of them."""
    if problems:
        first = problems[0]
        message = "; ".join(str(problem) for problem in problems)
        raise _Stop(gate, first.field, first.found, first.allowed, message)
