"""The states of an account and the record that every reconciliation leaves."""

from enum import StrEnum

from .identifiers import AccountId, ClientOrderId, SweepId, TradeId
from .value import Value


class AccountState(StrEnum):
    """New orders go out only when Live; cancels and queries go out always."""

    RECOVERING = "recovering"
    LIVE = "live"
    DEGRADED = "degraded"
    HALTED = "halted"


class SweepTrigger(StrEnum):
    """Why a reconciliation ran."""

    START = "start"
    CADENCE = "cadence"
    STREAM_RESTART = "stream_restart"
    GATEWAY_RESTART = "gateway_restart"
    REJECTION = "rejection"
    UNMATCHED_FILL = "unmatched_fill"
    POSITION_JUMP = "position_jump"
    CANCEL_UNKNOWN = "cancel_unknown"
    UNCONFIRMED_ORDER = "unconfirmed_order"
    UNREADABLE_FRAME = "unreadable_frame"
    DRIFT = "drift"
    OPERATOR = "operator"


class Reconciliation(Value, frozen=True):
    """The durable record in which every reconciliation ends (design 9): what was read, found and corrected.

    `complete` is False when anything could not be read; then `why` says what, and the account stays out of Live.
    """

    sweep_id: SweepId
    account: AccountId
    trigger: SweepTrigger
    started_at_ns: int
    ended_at_ns: int
    fills_since_ns: int
    fill_pages: int
    fills_seen: int
    fills_recovered: tuple[TradeId, ...]
    order_pages: int
    orders_open_at_venue: int
    orders_queried: int
    orders_corrected: tuple[ClientOrderId, ...]
    foreign_orders: int
    rows_refused: int
    complete: bool
    why: str = ""
