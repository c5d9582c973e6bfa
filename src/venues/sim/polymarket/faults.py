"""Everything that can go wrong on purpose, as typed values, and the switchboard that says when one bites.

A fault applies `count` times, or for `seconds`, or until it is lifted; with both it ends at whichever comes first.
The JSON form is tagged: {"type": "drop_frame", "channel": "user", "event": "trade", "count": 1}.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

Channel = Literal["user", "market"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The common part: how often, and for how long."""

    count: int | None = None
    seconds: float | None = None


class FrameFault(Fault, frozen=True, kw_only=True):
    """A fault of frames of one websocket channel.

    `event` is an event type (trade, order, book, price_change, ...), `status` narrows user events further
    (MATCHED, MINED, PLACEMENT, ...), `owner` picks one account's user channel.
    """

    channel: Channel = "user"
    event: str | None = None
    status: str | None = None
    owner: str | None = None

    def concerns(self, channel: str, event: str, status: str | None, owner: str | None) -> bool:
        return (
            self.channel == channel
            and self.event in {None, event}
            and self.status in {None, status}
            and (self.owner is None or (owner is not None and self.owner.lower() == owner.lower()))
        )


class DropFrame(FrameFault, frozen=True, kw_only=True, tag="drop_frame"):
    """The frame is never sent; the connection stays healthy."""


class DuplicateFrame(FrameFault, frozen=True, kw_only=True, tag="duplicate_frame"):
    """The frame is sent twice."""


class DelayFrame(FrameFault, frozen=True, kw_only=True, tag="delay_frame"):
    """The frame is sent `by_seconds` later; later frames may overtake it."""

    by_seconds: float


class ReorderFrames(FrameFault, frozen=True, kw_only=True, tag="reorder_frames"):
    """The frame changes places with the one after it."""


class CutBeforeFrame(FrameFault, frozen=True, kw_only=True, tag="cut_before_frame"):
    """The connection is lost where the frame would have been sent; the frame is lost with it."""


class FreezeStreams(Fault, frozen=True, kw_only=True, tag="freeze_streams"):
    """Connections of a channel stay open and say nothing, not even PONG."""

    channel: Channel = "user"


class RequestFault(Fault, frozen=True, kw_only=True):
    """A fault of HTTP requests whose path starts with `path`; `method` None means any."""

    path: str = "/"
    method: str | None = None

    def meets(self, method: str, path: str) -> bool:
        return path.startswith(self.path) and self.method in {None, method}


class RefuseRequest(RequestFault, frozen=True, kw_only=True, tag="refuse_request"):
    """The request is answered with an error before it does anything.

    `kind` chooses an answer of the venue or of the network in front of it; `other` takes `status` and `body`.
    """

    kind: Literal[
        "restarting",
        "post_only_mode",
        "trading_disabled",
        "cancel_only",
        "rate_limited",
        "internal_error",
        "unauthorized",
        "geoblocked",
        "html",
        "other",
    ]
    status: int = 500
    body: str = ""
    retry_after_seconds: int = 5


class LoseReply(RequestFault, frozen=True, kw_only=True, tag="lose_reply"):
    """The request is carried out, then the connection is lost without an answer."""


class FailAfterAccept(RequestFault, frozen=True, kw_only=True, tag="fail_after_accept"):
    """The request is carried out, and the answer is an error of unknown meaning."""

    status: int = 500
    text: str = "could not run the execution"


class DelayReply(RequestFault, frozen=True, kw_only=True, tag="delay_reply"):
    """The request is carried out at once, and answered `by_seconds` later; its frames are not held back."""

    by_seconds: float


class DelayRequest(RequestFault, frozen=True, kw_only=True, tag="delay_request"):
    """The request waits `by_seconds` before it is carried out, as in a queue in front of the venue."""

    by_seconds: float


class NullOrder(Fault, frozen=True, kw_only=True, tag="null_order"):
    """GET /data/order answers null although the order exists; `order_id` None means any."""

    order_id: str | None = None


class HideFromLists(Fault, frozen=True, kw_only=True, tag="hide_from_lists"):
    """Orders and trades of the last `lag_seconds` are missing from /data/orders and /data/trades."""

    lag_seconds: float


class LagDataApi(Fault, frozen=True, kw_only=True, tag="lag_data_api"):
    """The Data API shows the world as it was `lag_seconds` ago."""

    lag_seconds: float


class StaleBalances(Fault, frozen=True, kw_only=True, tag="stale_balances"):
    """/balance-allowance keeps telling what it last told, until /balance-allowance/update is called."""


class FailSettlement(Fault, frozen=True, kw_only=True, tag="fail_settlement"):
    """A matched trade reverts until its attempts are used up, and ends FAILED."""


class RetrySettlement(Fault, frozen=True, kw_only=True, tag="retry_settlement"):
    """A matched trade reverts `times` times before it is mined, each time under a new transaction hash."""

    times: int = 1


class ChangeHash(Fault, frozen=True, kw_only=True, tag="change_hash"):
    """A matched trade is mined under another transaction hash than the one first told."""


class StallSettlement(Fault, frozen=True, kw_only=True, tag="stall_settlement"):
    """A matched trade stays MATCHED and is never mined, until everything is settled by hand."""


class GhostSettlement(Fault, frozen=True, kw_only=True, tag="ghost_settlement"):
    """A matched trade is told MINED and CONFIRMED, and the indexer believes it; on chain it reverted."""


class SkewClock(Fault, frozen=True, kw_only=True, tag="skew_clock"):
    """The clock by which requests are judged, and which /time tells, is ahead of the true one (or behind it)."""

    ahead_seconds: float


class DustSizes(Fault, frozen=True, kw_only=True, tag="dust_sizes"):
    """Matched amounts are told with dust behind their last true digit (polymarket.md 9.1)."""

    dust: str = "0.0000000000012"


class StopFinality(Fault, frozen=True, kw_only=True, tag="stop_finality"):
    """The chain's finalized block stands still."""


class LagNode(Fault, frozen=True, kw_only=True, tag="lag_node"):
    """The JSON-RPC node trails `blocks` behind its chain."""

    blocks: int


class WrongChain(Fault, frozen=True, kw_only=True, tag="wrong_chain"):
    """The JSON-RPC node claims another chain id."""

    chain_id: int


AnyFault = (
    DropFrame
    | DuplicateFrame
    | DelayFrame
    | ReorderFrames
    | CutBeforeFrame
    | FreezeStreams
    | RefuseRequest
    | LoseReply
    | FailAfterAccept
    | DelayReply
    | DelayRequest
    | NullOrder
    | HideFromLists
    | LagDataApi
    | StaleBalances
    | FailSettlement
    | RetrySettlement
    | ChangeHash
    | StallSettlement
    | GhostSettlement
    | DustSizes
    | SkewClock
    | StopFinality
    | LagNode
    | WrongChain
)

Kind = TypeVar("Kind", bound=Fault)


class ActiveFault:
    """A fault that is on, how often it may still bite, and how often it did."""

    __slots__ = ("bites", "ends_ms", "fault", "fault_id", "left")

    def __init__(self, fault_id: int, fault: AnyFault, now_ms: int) -> None:
        self.fault_id = fault_id
        self.fault = fault
        self.left = fault.count
        self.ends_ms = None if fault.seconds is None else now_ms + round(fault.seconds * 1_000)
        self.bites = 0

    def is_on(self, now_ms: int) -> bool:
        return self.left != 0 and (self.ends_ms is None or now_ms < self.ends_ms)


class Faults:
    """The switchboard: faults are put on, bite when their occasion comes, and end by themselves."""

    def __init__(self) -> None:
        self._faults: list[ActiveFault] = []
        self._on: list[ActiveFault] = []
        """Those of them that may still bite: a long day has thousands that are over."""
        self._count = 0

    def put_on(self, fault: AnyFault, now_ms: int) -> ActiveFault:
        self._count += 1
        active = ActiveFault(self._count, fault, now_ms)
        self._faults.append(active)
        self._on = [known for known in self._on if known.is_on(now_ms)]
        self._on.append(active)
        return active

    def lift(self, fault_id: int | None = None) -> int:
        """End one fault, or all of them; how many were still on."""
        lifted = [a for a in self._faults if a.left != 0 and fault_id in {None, a.fault_id}]
        for active in lifted:
            active.left = 0
        return len(lifted)

    def all(self) -> list[ActiveFault]:
        """Every fault ever put on, with how often it bit."""
        return list(self._faults)

    def bite(
        self, kind: type[Kind], now_ms: int, concerns: Callable[[Kind], bool] = lambda _fault: True
    ) -> Kind | None:
        """The first fault of a kind that is on and concerned; it has bitten once more."""
        for active in self._on:
            fault = active.fault
            if isinstance(fault, kind) and active.is_on(now_ms) and concerns(fault):
                active.bites += 1
                if active.left is not None:
                    active.left -= 1
                return fault
        return None

    def shows(self, kind: type[Kind], now_ms: int) -> Kind | None:
        """A fault that is on as a state rather than an event; looking at it does not use it up."""
        for active in self._on:
            if isinstance(active.fault, kind) and active.is_on(now_ms):
                active.bites += 1
                return active.fault
        return None


REFUSALS: dict[str, tuple[int, dict[str, object]]] = {
    "restarting": (425, {"error": "Too Early"}),
    "post_only_mode": (
        503,
        {"error": "post-only mode: only post-only orders and cancels are allowed", "code": "post_only_mode"},
    ),
    "trading_disabled": (503, {"error": "Trading is currently disabled. Please try again later."}),
    "cancel_only": (503, {"error": "Trading is currently cancel-only. New orders are not accepted."}),
    "rate_limited": (429, {"error": "Too Many Requests"}),
    "internal_error": (500, {"error": "internal server error"}),
    "geoblocked": (403, {"error": "Trading restricted in your region"}),
    "unauthorized": (401, {"error": "Unauthorized/Invalid api key"}),
}
"""Status and body of the refusals that have names (polymarket.md 15)."""

HTML_ERROR = (
    "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Error 502</h1>"
    "<p>The web server reported a bad gateway error.</p></body></html>"
)
"""What the network in front of the venue answers when the venue does not."""
