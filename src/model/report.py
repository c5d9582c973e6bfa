"""What a venue tells us, in one vocabulary: decoded answers and frames, before anyone acts on them."""

from decimal import Decimal
from enum import StrEnum

from .fill import Direction, Execution, FillKey, Settlement
from .identifiers import AccountId, AssetId, InstrumentId, TradeId, VenueOrderId
from .instrument import Instrument
from .money import Price, Quantity, SignedQuantity
from .value import Value


class VenueOrderStatus(StrEnum):
    """A venue order's status in our words."""

    OPEN = "open"
    DELAYED = "delayed"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @property
    def is_open(self) -> bool:
        return self in {VenueOrderStatus.OPEN, VenueOrderStatus.DELAYED, VenueOrderStatus.UNKNOWN}


class OrderReport(Value, frozen=True, tag="order"):
    """One order as the venue shows it. `venue_status` is the venue's own word."""

    account: AccountId
    venue_order_id: VenueOrderId
    instrument: InstrumentId | None
    status: VenueOrderStatus
    venue_status: str
    direction: Direction
    price: Price
    original_quantity: Quantity
    filled_quantity: Quantity
    venue_time_ns: int
    trades: tuple[TradeId, ...] = ()


class ExecutionReport(Value, frozen=True, tag="execution"):
    """One execution of an order of this account, at its present state of settlement."""

    execution: Execution


class SettlementReport(Value, frozen=True, tag="settlement"):
    """Settlement of an execution went on."""

    key: FillKey
    settlement: Settlement
    transaction: str
    venue_time_ns: int


class PriceLevel(Value, frozen=True):
    price: Price
    quantity: Quantity


class BookSnapshot(Value, frozen=True, tag="book"):
    """A whole order book, best price first on both sides."""

    instrument: InstrumentId
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    venue_time_ns: int
    checksum: str = ""


class BookChange(Value, frozen=True):
    direction: Direction
    price: Price
    quantity: Quantity
    """The new size of the whole level; zero removes it."""


class BookDelta(Value, frozen=True, tag="delta"):
    """Changed levels of one book since the frame before."""

    instrument: InstrumentId
    changes: tuple[BookChange, ...]
    venue_time_ns: int
    best_bid: Price | None = None
    best_ask: Price | None = None


class PublicTrade(Value, frozen=True, tag="public_trade"):
    instrument: InstrumentId
    direction: Direction
    price: Price
    quantity: Quantity
    venue_time_ns: int


class RulesChanged(Value, frozen=True, tag="rules_changed"):
    """An instrument's tick changed; its book is worth nothing until the next snapshot."""

    instrument: InstrumentId
    price_tick: Price
    venue_time_ns: int


class MarketResolved(Value, frozen=True, tag="resolved"):
    market: str
    winner: str
    venue_time_ns: int


class Alive(Value, frozen=True, tag="alive"):
    """A heartbeat answer: the connection lives, and nothing more."""


class Unrecognised(Value, frozen=True, tag="unrecognised"):
    """Something the decoder does not know or cannot read. Recorded and counted, never skipped.

    `excerpt` is redacted and cut; `about_account` says whether it came from a private channel, where it may
    hide a fill and therefore triggers a sweep.
    """

    why: str
    excerpt: str
    about_account: bool


PrivateReport = OrderReport | ExecutionReport | SettlementReport | Alive | Unrecognised
PublicReport = BookSnapshot | BookDelta | PublicTrade | RulesChanged | MarketResolved | Alive | Unrecognised


# ---- pages and views of the account ------------------------------------------------------------------------


class OrderPage(Value, frozen=True):
    """One page of open orders; `next_cursor` is None at the end. `refused` are rows that could not be read."""

    orders: tuple[OrderReport, ...]
    next_cursor: str | None
    refused: tuple[Unrecognised, ...] = ()


class ExecutionPage(Value, frozen=True):
    """One page of executions of this account, both as taker and as maker."""

    executions: tuple[Execution, ...]
    next_cursor: str | None
    refused: tuple[Unrecognised, ...] = ()


class Holding(Value, frozen=True):
    """How much of an asset a view shows; an outcome share's asset is its instrument id."""

    asset: AssetId
    quantity: SignedQuantity


class HoldingsPage(Value, frozen=True):
    """A venue's or a chain's view of what the account holds.

    `as_of_ns` is the view's own stamp where it has one, else the time of receipt; `stamp` says which (a block
    number, "received"). An asset that is not listed by a complete view is held at zero only if the view says
    that it lists everything (`exhaustive`), else it is not covered.
    """

    holdings: tuple[Holding, ...]
    as_of_ns: int
    stamp: str
    exhaustive: bool
    next_cursor: str | None = None
    refused: tuple[Unrecognised, ...] = ()


class InstrumentPage(Value, frozen=True):
    """Instruments with their rules, as the venue's catalogue lists them."""

    instruments: tuple[Instrument, ...]
    next_cursor: str | None = None
    refused: tuple[Unrecognised, ...] = ()


class OrderNotFound(Value, frozen=True, tag="not_found"):
    """The venue answered that it does not know the order now. `proves_absence` is True only where it guarantees it."""

    text: str
    proves_absence: bool


class Unreadable(Value, frozen=True, tag="unreadable"):
    """No usable answer: a transport failure, an error status, a page of HTML. Says nothing about the account.

    `wait_seconds` is the venue's own advice; `authentication` marks a refused key or signature.
    """

    why: str
    status: int | None = None
    wait_seconds: Decimal | None = None
    authentication: bool = False
