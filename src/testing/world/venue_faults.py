"""What can go wrong at a venue, named once for all venues; each venue's rig says how it comes about there.

A fault applies `count` times, or for `seconds`, or until it is lifted; with both it ends at whichever comes first.
"""

from enum import StrEnum

from ...model.value import Value


class Asked(StrEnum):
    """A kind of private request, whatever its address is at a venue."""

    ANY = "any"
    PLACE = "place"
    CANCEL = "cancel"
    ORDER = "order"
    """One order by its id."""
    OPEN_ORDERS = "open_orders"
    FILLS = "fills"
    POSITIONS = "positions"
    HEARTBEAT = "heartbeat"


class Told(StrEnum):
    """A kind of report of the private stream."""

    ANY = "any"
    FILL = "fill"
    ORDER = "order"


class Refusal(StrEnum):
    """How a request is refused before it does anything."""

    UNAUTHORIZED = "unauthorized"
    TOO_EARLY = "too_early"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    HTML = "html"
    MAINTENANCE = "maintenance"


class _Fault(Value, frozen=True, kw_only=True):
    count: int | None = None
    seconds: float | None = None


class DropReport(_Fault, frozen=True, kw_only=True, tag="drop_report"):
    """A report never comes; the stream stays healthy."""

    told: Told = Told.ANY


class DuplicateReport(_Fault, frozen=True, kw_only=True, tag="duplicate_report"):
    """A report comes twice."""

    told: Told = Told.ANY


class DelayReport(_Fault, frozen=True, kw_only=True, tag="delay_report"):
    """A report comes late; later ones overtake it."""

    told: Told = Told.ANY
    by_seconds: float


class ReorderReports(_Fault, frozen=True, kw_only=True, tag="reorder_reports"):
    """A report changes places with the one after it."""

    told: Told = Told.ANY


class CutBeforeReport(_Fault, frozen=True, kw_only=True, tag="cut_before_report"):
    """The stream is lost where a report would have come, and the report with it."""

    told: Told = Told.ANY


class FreezeStream(_Fault, frozen=True, kw_only=True, tag="freeze_stream"):
    """The private stream stays open and says nothing."""


class Refuse(_Fault, frozen=True, kw_only=True, tag="refuse"):
    """Requests are refused before they do anything."""

    asked: Asked = Asked.ANY
    how: Refusal = Refusal.SERVER_ERROR


class LoseAnswer(_Fault, frozen=True, kw_only=True, tag="lose_answer"):
    """A request is carried out, and the connection lost without an answer."""

    asked: Asked = Asked.ANY


class FailAfterAccept(_Fault, frozen=True, kw_only=True, tag="fail_after_accept"):
    """A request is carried out, and its answer is an error of unknown meaning."""

    asked: Asked = Asked.ANY


class DelayAnswer(_Fault, frozen=True, kw_only=True, tag="delay_answer"):
    """A request is carried out at once and answered late: the stream tells of it first."""

    asked: Asked = Asked.ANY
    by_seconds: float


class DelayRequest(_Fault, frozen=True, kw_only=True, tag="delay_request"):
    """A request waits in front of the venue before it is carried out, however long its sender waits."""

    asked: Asked = Asked.ANY
    by_seconds: float


class HideOrders(_Fault, frozen=True, kw_only=True, tag="hide_orders"):
    """An order that exists is not found when it is asked for by its id."""


class LagLists(_Fault, frozen=True, kw_only=True, tag="lag_lists"):
    """Lists of orders and fills are older than the stream."""

    by_seconds: float


class LagPositions(_Fault, frozen=True, kw_only=True, tag="lag_positions"):
    """The account endpoint trails the fills."""

    by_seconds: float


class StaleBalances(_Fault, frozen=True, kw_only=True, tag="stale_balances"):
    """The venue keeps telling a balance of cash that is no longer true."""


class LagWallet(_Fault, frozen=True, kw_only=True, tag="lag_wallet"):
    """The wallet's view trails the chain by so many blocks."""

    blocks: int


class StopFinality(_Fault, frozen=True, kw_only=True, tag="stop_finality"):
    """The chain's finalized block stands still."""


class FailSettlement(_Fault, frozen=True, kw_only=True, tag="fail_settlement"):
    """The settlement of an execution fails for good."""


class RetrySettlement(_Fault, frozen=True, kw_only=True, tag="retry_settlement"):
    """The settlement of an execution succeeds at a later attempt only."""


class StallSettlement(_Fault, frozen=True, kw_only=True, tag="stall_settlement"):
    """The settlement of an execution does not get on until everything is settled by hand."""


class Reorganise(Value, frozen=True, kw_only=True, tag="reorganise"):
    """The last blocks of the chain are replaced by others."""

    depth: int


class SkewVenueClock(_Fault, frozen=True, kw_only=True, tag="skew_venue_clock"):
    """The clock by which the venue judges requests is off."""

    ahead_seconds: float


class DustSizes(_Fault, frozen=True, kw_only=True, tag="dust_sizes"):
    """Sizes are told with dust behind their last true digit."""


class FireDeadMan(Value, frozen=True, kw_only=True, tag="fire_dead_man"):
    """The venue's dead-man switch fires although nobody died: every open order is cancelled."""


VenueFault = (
    DropReport
    | DuplicateReport
    | DelayReport
    | ReorderReports
    | CutBeforeReport
    | FreezeStream
    | Refuse
    | LoseAnswer
    | FailAfterAccept
    | DelayAnswer
    | DelayRequest
    | HideOrders
    | LagLists
    | LagPositions
    | StaleBalances
    | LagWallet
    | StopFinality
    | FailSettlement
    | RetrySettlement
    | StallSettlement
    | Reorganise
    | SkewVenueClock
    | DustSizes
    | FireDeadMan
)
