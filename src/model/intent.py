"""What a strategy wants, before anyone has thought about orders."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from .identifiers import AccountId, InstrumentId, IntentId, StrategyName
from .money import Cash, Price, Quantity, plain
from .value import Value


class Side(StrEnum):
    """What the strategy means; a venue may need it expressed otherwise, and then that is recorded."""

    BUY = "buy"
    SELL = "sell"
    BUY_TO_COVER = "buy_to_cover"
    SELL_SHORT = "sell_short"


class Urgency(StrEnum):
    IMMEDIATE = "immediate"
    HIGH = "high"
    NORMAL = "normal"
    PASSIVE = "passive"


class TimeInForce(StrEnum):
    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class Style(StrEnum):
    """How the quantity is worked. A style never changes what the intent meant."""

    LIMIT = "limit"
    POST_ONLY = "post_only"


class PriceBand(Value, frozen=True):
    """The prices inside which orders may be placed; a side without a number is open."""

    minimum: Price | None = None
    maximum: Price | None = None

    def allows(self, price: Price) -> bool:
        return (self.minimum is None or price >= self.minimum) and (self.maximum is None or price <= self.maximum)


class Intent(Value, frozen=True, tag="single"):
    """One instrument, one side, one quantity, worked until filled or `expires_at_ns`.

    `limit_price` is the worst price of the instrument itself that the strategy accepts; `child_quantity_maximum`
    splits the quantity into slices. Times are UTC nanoseconds.
    """

    intent_id: IntentId
    strategy: StrategyName
    account: AccountId
    instrument: InstrumentId
    side: Side
    quantity: Quantity
    limit_price: Price
    expires_at_ns: int
    price_band: PriceBand = PriceBand()
    urgency: Urgency = Urgency.NORMAL
    time_in_force: TimeInForce = TimeInForce.GTC
    style: Style = Style.LIMIT
    child_quantity_maximum: Quantity | None = None
    slippage_bps_maximum: Decimal | None = None
    target_price: Price | None = None
    expected_hold_seconds: int | None = None
    risk_tags: tuple[str, ...] = ()


class PairLeg(Value, frozen=True):
    """One side of a pair: the instrument and the worst price for it."""

    instrument: InstrumentId
    limit_price: Price
    price_band: PriceBand = PriceBand()


class PairIntent(Value, frozen=True, tag="pair"):
    """Long one instrument and short another, each by `notional`, both or neither.

    Each leg's quantity is the notional divided by its limit price, rounded down to the instrument's step: the
    strategy never holds more than it asked for.
    """

    intent_id: IntentId
    strategy: StrategyName
    account: AccountId
    long: PairLeg
    short: PairLeg
    notional: Cash
    expires_at_ns: int
    urgency: Urgency = Urgency.NORMAL
    style: Style = Style.LIMIT
    child_quantity_maximum: Quantity | None = None
    risk_tags: tuple[str, ...] = ()


AnyIntent = Intent | PairIntent

_encode = msgspec.json.Encoder(order="deterministic").encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def content_of(intent: AnyIntent) -> bytes:
    """The intent's canonical bytes: the same id with other content is a mistake and not a repetition.

    Equal intents have equal bytes: 25, 25.0 and 2.5e1 are one number, however a strategy wrote it.
    """
    for amount in _amounts(intent):
        if amount is not None and str(amount) != plain(amount):
            return _encode(_canonical(msgspec.to_builtins(intent, builtin_types=(Decimal,))))
    return _encode_sorted(intent)  # the same bytes, at a tenth of the cost


def _amounts(intent: AnyIntent) -> tuple[Decimal | None, ...]:
    """Every number of the intent that can be written in more than one way."""
    if isinstance(intent, Intent):
        band = intent.price_band
        return (
            intent.quantity,
            intent.limit_price,
            band.minimum,
            band.maximum,
            intent.child_quantity_maximum,
            intent.slippage_bps_maximum,
            intent.target_price,
        )
    long, short = intent.long, intent.short
    return (
        intent.notional,
        intent.child_quantity_maximum,
        long.limit_price,
        long.price_band.minimum,
        long.price_band.maximum,
        short.limit_price,
        short.price_band.minimum,
        short.price_band.maximum,
    )


def _canonical(content: object) -> object:
    if isinstance(content, Decimal):
        return plain(content)
    if isinstance(content, dict):
        return {name: _canonical(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_canonical(value) for value in content]
    return content
