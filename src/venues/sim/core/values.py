"""The nouns of the exchange core: instruments, requests, orders, trades, and what can happen to them.

Quantities, prices and cash are Decimals in human units. Times are integer milliseconds on whatever clock the
venue passes in.
"""

import enum
from decimal import Decimal
from typing import NewType

import msgspec

InstrumentId = NewType("InstrumentId", str)
AssetId = NewType("AssetId", str)
AccountId = NewType("AccountId", str)
OrderId = NewType("OrderId", str)
TradeId = NewType("TradeId", str)

ZERO = Decimal(0)


class Side(enum.Enum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(enum.Enum):
    GTC = "GTC"
    GTD = "GTD"
    FOK = "FOK"
    IOC = "IOC"

    @property
    def immediate(self) -> bool:
        """True when nothing of the order may rest on the book."""
        return self in {TimeInForce.FOK, TimeInForce.IOC}


class MatchKind(enum.Enum):
    """How a maker's leg meets a taker: across one book, or by making or retiring a complementary pair."""

    DIRECT = "DIRECT"
    MINT = "MINT"
    MERGE = "MERGE"


class OrderStatus(enum.Enum):
    LIVE = "LIVE"
    DELAYED = "DELAYED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"


class CancelReason(enum.Enum):
    """Why an order left the book unfilled."""

    REQUESTED = "REQUESTED"
    EXPIRED = "EXPIRED"
    HEARTBEAT_LOST = "HEARTBEAT_LOST"
    FUNDS_GONE = "FUNDS_GONE"
    MARKET_CLOSED = "MARKET_CLOSED"
    IMMEDIATE_REMAINDER = "IMMEDIATE_REMAINDER"
    DELAYED_UNMATCHED = "DELAYED_UNMATCHED"


class RejectReason(enum.Enum):
    """Why an order was never taken."""

    DUPLICATE = "DUPLICATE"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    MARKET_NOT_OPEN = "MARKET_NOT_OPEN"
    PRICE_OFF_GRID = "PRICE_OFF_GRID"
    SIZE_TOO_SMALL = "SIZE_TOO_SMALL"
    CASH_TOO_SMALL = "CASH_TOO_SMALL"
    EXPIRED = "EXPIRED"
    POST_ONLY_CROSSES = "POST_ONLY_CROSSES"
    NOT_ENOUGH_FUNDS = "NOT_ENOUGH_FUNDS"
    FOK_NOT_FILLED = "FOK_NOT_FILLED"
    IOC_NO_MATCH = "IOC_NO_MATCH"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """What is traded and on which grid.

    `complement` names the other outcome of a pair whose prices add up to `pair_value`; None for an ordinary
    instrument. `size_step` is the smallest quantity that can change hands, `cash_step` the smallest payment.
    """

    instrument_id: InstrumentId
    base: AssetId
    quote: AssetId
    tick_size: Decimal
    min_size: Decimal
    size_step: Decimal = Decimal("0.000001")
    cash_step: Decimal = Decimal("0.000001")
    complement: InstrumentId | None = None
    pair_value: Decimal = Decimal(1)


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its owner asks for it.

    `cash` bounds an immediate BUY by what it may spend instead of by `size`: a better price then buys more.
    `expires_at_ms` is the moment at which a GTD order leaves the book.
    """

    order_id: OrderId
    account: AccountId
    instrument_id: InstrumentId
    side: Side
    price: Decimal
    size: Decimal
    time_in_force: TimeInForce
    post_only: bool = False
    cash: Decimal | None = None
    expires_at_ms: int | None = None


class Order:
    """An accepted order and what became of it; only the exchange changes it."""

    __slots__ = ("cancel_reason", "closed_at_ms", "created_at_ms", "filled", "paid", "request", "status", "trades")

    def __init__(self, request: OrderRequest, created_at_ms: int) -> None:
        self.request = request
        self.created_at_ms = created_at_ms
        self.status = OrderStatus.LIVE
        self.filled = ZERO
        self.paid = ZERO
        self.trades: list[TradeId] = []
        self.closed_at_ms: int | None = None
        self.cancel_reason: CancelReason | None = None

    @property
    def order_id(self) -> OrderId:
        return self.request.order_id

    @property
    def remaining(self) -> Decimal:
        """Quantity still open: zero once the order is closed, never negative for a cash-bounded order."""
        if self.status in {OrderStatus.FILLED, OrderStatus.CANCELED}:
            return ZERO
        return max(self.request.size - self.filled, ZERO)

    def __repr__(self) -> str:
        request = self.request
        return (
            f"<Order {request.order_id} {request.side.value} {request.size}@{request.price}"
            f" {self.status.value} filled={self.filled}>"
        )


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One maker's part in a trade, in the maker's own instrument, and what each side pays or receives."""

    maker_order_id: OrderId
    maker_account: AccountId
    maker_instrument_id: InstrumentId
    maker_side: Side
    maker_price: Decimal
    taker_price: Decimal
    quantity: Decimal
    maker_cash: Decimal
    taker_cash: Decimal
    maker_fee: Decimal
    kind: MatchKind


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One taker against one bucket of makers: the unit that settles. `price` is the average over the legs."""

    trade_id: TradeId
    instrument_id: InstrumentId
    taker_order_id: OrderId
    taker_account: AccountId
    side: Side
    quantity: Decimal
    price: Decimal
    taker_cash: Decimal
    taker_fee: Decimal
    legs: tuple[Leg, ...]
    bucket_index: int
    matched_at_ms: int


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Why an account cannot pay: what it has, what it needs, and whether the limit is an allowance."""

    available: Decimal
    needed: Decimal
    allowance: bool = False


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was not taken. `price`, `size` and `limit` carry the numbers the venue's text speaks of."""

    order_id: OrderId
    reason: RejectReason
    limit: Decimal | None = None
    shortfall: Shortfall | None = None


class LevelChange(msgspec.Struct, frozen=True, kw_only=True):
    """The new total of one price level, in the instrument's own price and side; zero when it is gone."""

    instrument_id: InstrumentId
    side: Side
    price: Decimal
    size: Decimal


class OrderOpened(msgspec.Struct, frozen=True, kw_only=True):
    order: Order
    at_ms: int


class OrderMatched(msgspec.Struct, frozen=True, kw_only=True):
    """An order took part in a trade; its totals are already the new ones."""

    order: Order
    trade: Trade
    at_ms: int


class OrderClosed(msgspec.Struct, frozen=True, kw_only=True):
    order: Order
    reason: CancelReason
    at_ms: int


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    trade: Trade
    at_ms: int


class BookChanged(msgspec.Struct, frozen=True, kw_only=True):
    """All levels that one operation changed, once each, with the totals after it."""

    changes: tuple[LevelChange, ...]
    at_ms: int


ExchangeEvent = OrderOpened | OrderMatched | OrderClosed | Traded | BookChanged


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """The visible book of one instrument: (price, size) pairs, best first on both sides."""

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
