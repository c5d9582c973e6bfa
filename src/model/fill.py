"""Executions: what identifies one, where it was seen, and whether it has settled."""

from enum import StrEnum

from .identifiers import (
    AccountId,
    AssetId,
    ClientOrderId,
    InstrumentId,
    IntentId,
    StrategyName,
    TradeId,
    VenueOrderId,
)
from .money import Cash, Price, Quantity, SignedQuantity
from .value import Value


class Direction(StrEnum):
    """Which way the instrument itself moves; what a venue's wire calls its side."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Direction.BUY else -1


class Liquidity(StrEnum):
    MAKER = "maker"
    TAKER = "taker"
    UNKNOWN = "unknown"


class Settlement(StrEnum):
    """How far an execution has come on venues that settle after matching; others confirm at once."""

    MATCHED = "matched"
    MINED = "mined"
    RETRYING = "retrying"
    CONFIRMED = "confirmed"
    REVERSED = "reversed"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({Settlement.CONFIRMED, Settlement.REVERSED})


class FillSource(StrEnum):
    """By which path the runtime first learned of it."""

    STREAM = "stream"
    ANSWER = "answer"
    SWEEP = "sweep"
    RECOVERY = "recovery"


class FillKey(Value, frozen=True):
    """What makes an execution one and the same for ever (law L5): the venue's trade and our order in it."""

    account: AccountId
    trade_id: TradeId
    venue_order_id: VenueOrderId

    def as_bytes(self) -> bytes:
        return f"{self.account}\x00{self.trade_id}\x00{self.venue_order_id}".encode()


class Execution(Value, frozen=True):
    """One execution as a venue reports it, before it is known whose order it was.

    `settlement` and `transaction` describe the state at the time of the report; times are UTC nanoseconds.
    """

    key: FillKey
    instrument: InstrumentId
    direction: Direction
    price: Price
    quantity: Quantity
    fee: Cash | None
    fee_asset: AssetId
    liquidity: Liquidity
    settlement: Settlement
    venue_time_ns: int
    transaction: str = ""
    value: Cash | None = None
    """What changed hands, fee apart, where the price is an average that need not multiply to it exactly."""


class Fill(Value, frozen=True):
    """An execution in the log: attributed to our order, or to nobody (`client_order_id` is None).

    `fee` is what the venue charged in `fee_asset`; it is None while the venue has not said, never assumed zero.
    """

    execution: Execution
    source: FillSource
    received_at_ns: int
    client_order_id: ClientOrderId | None = None
    intent_id: IntentId | None = None
    strategy: StrategyName | None = None
    mid_at_placement: Price | None = None
    mid_at_fill: Price | None = None
    purpose: str = ""

    @property
    def signed_quantity(self) -> SignedQuantity:
        quantity = self.execution.quantity
        return SignedQuantity(quantity if self.execution.direction is Direction.BUY else quantity.copy_negate())


class Unknown(Value, frozen=True, tag="unknown"):
    """Nothing is known of an order's fills since `since_ns`; silence is never "no fill" (law L4)."""

    since_ns: int
    why: str


class Known(Value, frozen=True, tag="known"):
    """As of `as_of_ns` the venue said that exactly `filled` was executed, by `source`."""

    filled: Quantity
    as_of_ns: int
    source: str


Knowledge = Unknown | Known
