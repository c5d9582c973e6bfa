"""What can be traded, and the venue's rules for it."""

from decimal import Decimal
from enum import StrEnum

from .identifiers import AssetId, InstrumentId, VenueName
from .money import EXACT, Cash, Price, Quantity, is_multiple, plain
from .value import Value


class InstrumentKind(StrEnum):
    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"
    OPTION = "option"
    OUTCOME_SHARE = "outcome_share"


class MarketStatus(StrEnum):
    OPEN = "open"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    CLOSED = "closed"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


class Instrument(Value, frozen=True):
    """One tradable thing with the rules that its orders must keep.

    `venue_symbol` is the venue's own name (a Polymarket token id); `market` groups instruments that trade
    together (its condition id); `complement` is the instrument whose price is one minus this one's.
    """

    instrument_id: InstrumentId
    venue: VenueName
    venue_symbol: str
    market: str
    kind: InstrumentKind
    settlement_asset: AssetId
    price_tick: Price
    price_minimum: Price
    price_maximum: Price
    quantity_step: Quantity
    quantity_minimum: Quantity
    notional_minimum: Cash = Cash(Decimal(0))
    multiplier: Decimal = Decimal(1)
    drift_tolerance: Quantity = Quantity(Decimal(0))
    status: MarketStatus = MarketStatus.OPEN
    complement: InstrumentId | None = None
    fee_rate: Decimal = Decimal(0)
    fee_exponent: Decimal = Decimal(1)
    negative_risk: bool = False
    title: str = ""


class RuleBroken(Value, frozen=True):
    """One rule of an instrument that a price or quantity does not keep."""

    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field} {self.found}: allowed is {self.allowed}"


def broken_rules(instrument: Instrument, price: Price, quantity: Quantity) -> list[RuleBroken]:
    """Every venue rule that an order at this price and size would break, in the order of the fields."""
    return [
        *broken_price_rules(instrument, price),
        *broken_quantity_rules(instrument, quantity),
        *_broken_notional_rules(instrument, price, quantity),
    ]


def broken_price_rules(instrument: Instrument, price: Price) -> list[RuleBroken]:
    """Every rule that the price breaks by itself: the range first, then the tick."""
    if not instrument.price_minimum <= price <= instrument.price_maximum:
        allowed = f"from {plain(instrument.price_minimum)} to {plain(instrument.price_maximum)}"
        return [RuleBroken(field="price", found=plain(price), allowed=allowed)]
    if not is_multiple(price, instrument.price_tick):
        allowed = f"a multiple of the tick {plain(instrument.price_tick)}"
        return [RuleBroken(field="price", found=plain(price), allowed=allowed)]
    return []


def broken_quantity_rules(instrument: Instrument, quantity: Quantity) -> list[RuleBroken]:
    """Every rule that the quantity breaks by itself: the minimum, then the step."""
    broken: list[RuleBroken] = []
    if quantity < instrument.quantity_minimum:
        allowed = f"at least {plain(instrument.quantity_minimum)}"
        broken.append(RuleBroken(field="quantity", found=plain(quantity), allowed=allowed))
    if not is_multiple(quantity, instrument.quantity_step):
        allowed = f"a multiple of {plain(instrument.quantity_step)}"
        broken.append(RuleBroken(field="quantity", found=plain(quantity), allowed=allowed))
    return broken


def notional_of(instrument: Instrument, price: Price, quantity: Quantity) -> Cash:
    """What this quantity is worth at this price, in the settlement asset."""
    return Cash(EXACT.multiply(EXACT.multiply(price, quantity), instrument.multiplier))


def _broken_notional_rules(instrument: Instrument, price: Price, quantity: Quantity) -> list[RuleBroken]:
    notional = notional_of(instrument, price, quantity)
    if notional >= instrument.notional_minimum:
        return []
    allowed = f"at least {plain(instrument.notional_minimum)}"
    return [RuleBroken(field="notional", found=plain(notional), allowed=allowed)]
