"""What pages a person: deduplicated, with its evidence, open until something named closed it."""

from enum import StrEnum

from .identifiers import AccountId, AlertId, InstrumentId, StrategyName
from .value import Value


class AlertKind(StrEnum):
    DROPPED_FILL = "dropped_fill"
    SLICE_NEVER_SENT = "slice_never_sent"
    DRIFT = "drift"
    VIEW_UNAVAILABLE = "view_unavailable"
    FOREIGN_ORDER = "foreign_order"
    FOREIGN_FILL = "foreign_fill"
    FILL_CONFLICT = "fill_conflict"
    FILL_REVERSED = "fill_reversed"
    EXIT_RECOVERED = "exit_recovered"
    """A position had been closed without our knowing; its real exit is booked from the venue's history."""
    TRANSFER = "transfer"
    HISTORY_CHANGED = "history_changed"
    """A ledger shows another past than the one that was read as final."""
    SETTLEMENT_STALLED = "settlement_stalled"
    ORDER_UNCONFIRMED = "order_unconfirmed"
    RECONCILIATION_INCOMPLETE = "reconciliation_incomplete"
    CONNECTION_DOWN = "connection_down"
    CLOCK_SKEW = "clock_skew"
    UNREADABLE_REPORT = "unreadable_report"
    REPORT_QUARANTINED = "report_quarantined"
    ACCOUNT_HALTED = "account_halted"
    STORE_FAILED = "store_failed"
    STORE_DAMAGED = "store_damaged"
    """Something of the store cannot be read, and what stands in for it was used instead."""
    ARCHIVE_FAILED = "archive_failed"
    ACTOR_CRASHED = "actor_crashed"
    TASK_HUNG = "task_hung"
    LOOP_HUNG = "loop_hung"
    HOST_CALLBACK_FAILED = "host_callback_failed"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    EXPLAINED = "explained"
    """Closed by a named fact: the fill that the sweep recovered, the view that came back."""
    RESOLVED = "resolved"
    """Closed by an operator's command."""

    @property
    def is_open(self) -> bool:
        return self in {AlertState.OPEN, AlertState.ACKNOWLEDGED}


class Alert(Value, frozen=True):
    """One thing a person should know. `alert_id` is its deduplication key: the same cause is the same alert.

    `evidence` are (name, text) pairs in the order in which a person wants to read them; `diagnosis` is the cause
    that was found, in one word where there is one, and `message` one sentence with what happens next.
    """

    alert_id: AlertId
    kind: AlertKind
    severity: Severity
    message: str
    diagnosis: str
    evidence: tuple[tuple[str, str], ...]
    opened_at_ns: int
    state: AlertState = AlertState.OPEN
    closed_at_ns: int | None = None
    closed_by: str = ""
    account: AccountId | None = None
    strategy: StrategyName | None = None
    instrument: InstrumentId | None = None
