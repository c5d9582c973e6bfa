"""The states of an account and the record that every reconciliation leaves."""

from enum import StrEnum

from .identifiers import AccountId, AssetId, ClientOrderId, SweepId, TradeId
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
    CLOSE_REFUSED = "close_refused"
    DRIFT = "drift"
    OPERATOR = "operator"


class Correction(Value, frozen=True):
    """One thing that was made to say what the venue says, and by which evidence; never a position without a fill."""

    subject: str
    evidence: str


class HoldingDifference(Value, frozen=True):
    """An asset of which a view said something else than the book, as it stood when the reconciliation ended."""

    asset: AssetId
    difference: str


class Reconciliation(Value, frozen=True):
    """The durable record in which every reconciliation ends (design 9): what was read, found and corrected.

    `complete` is False when anything could not be read; then `why` says what, and the account stays out of Live.
    Fills were read from `fills_since_ns` on, up to the end of the listing at `ended_at_ns`. `holdings_compared` counts
    the assets of which all views were held against the book in it, and is None where none were: a sweep on the cadence
    leaves that to the witness. A difference makes no record incomplete: it is the finding, and alerted as such.
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
    detail: str = ""
    """What asked for it, in its own words."""
    corrections: tuple[Correction, ...] = ()
    orders_unresolved: tuple[ClientOrderId, ...] = ()
    """Orders that were asked about and that the venue does not show: they count as open."""
    holdings_compared: int | None = None
    holdings_unread: tuple[str, ...] = ()
    differences: tuple[HoldingDifference, ...] = ()

    @property
    def verdict(self) -> str:
        """In one phrase: complete, or incomplete and why."""
        return "complete" if self.complete else f"incomplete: {self.why}"
