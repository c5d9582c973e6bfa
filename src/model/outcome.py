"""How requests, cancels and orders end, and what counts as evidence for it."""

from enum import StrEnum

from .identifiers import TradeId, VenueOrderId
from .money import Quantity
from .value import Value


class EvidenceKind(StrEnum):
    """The kinds of venue evidence that may end an order. Running out of retries is none (law L4)."""

    PLACE_ANSWER = "place_answer"
    CANCEL_ANSWER = "cancel_answer"
    ORDER_QUERY = "order_query"
    ORDER_STREAM = "order_stream"
    FILL_HISTORY = "fill_history"
    OPERATOR = "operator"


class Evidence(Value, frozen=True):
    """What was seen, by which path, and when (UTC nanoseconds of receipt)."""

    kind: EvidenceKind
    detail: str
    at_ns: int


# ---- how an order ends ------------------------------------------------------------------------------------


class Filled(Value, frozen=True, tag="filled"):
    """The whole quantity was executed."""

    filled: Quantity


class Cancelled(Value, frozen=True, tag="cancelled"):
    """Off the book; `filled` was executed before."""

    filled: Quantity


class Rejected(Value, frozen=True, tag="rejected"):
    """The venue refused it: nothing was ever open. `code` is ours and stable, `text` is the venue's."""

    code: str
    text: str


class Expired(Value, frozen=True, tag="expired"):
    """Its time in force ended; `filled` was executed before."""

    filled: Quantity


class NeverArrived(Value, frozen=True, tag="never_arrived"):
    """The venue proved that it has never had it."""


Outcome = Filled | Cancelled | Rejected | Expired | NeverArrived


# ---- how a request to place ended --------------------------------------------------------------------------


class PlaceAccepted(Value, frozen=True, tag="accepted"):
    """The venue has the order. `trades` names the matches it made at once, `resting` whether it may rest."""

    venue_order_id: VenueOrderId
    status: str
    resting: bool
    trades: tuple[TradeId, ...] = ()


class PlaceRejected(Value, frozen=True, tag="rejected"):
    """A definitive refusal: the order does not exist at the venue."""

    code: str
    text: str


class PlaceDuplicate(Value, frozen=True, tag="duplicate"):
    """The venue had it already: an earlier copy of the same bytes was accepted. Ask for its state."""

    text: str


class PlaceRetry(Value, frozen=True, tag="retry"):
    """Refused before acting: the same bytes may be sent again after `wait_seconds`."""

    code: str
    text: str
    wait_seconds: float
    authentication: bool = False


class PlaceUnknown(Value, frozen=True, tag="unknown"):
    """Accepted or not: nobody here can say. Ask by order id; never sign anew (law L6)."""

    text: str


PlaceOutcome = PlaceAccepted | PlaceRejected | PlaceDuplicate | PlaceRetry | PlaceUnknown


# ---- how a request to cancel ended -------------------------------------------------------------------------


class CancelConfirmed(Value, frozen=True, tag="cancelled"):
    """Off the book by this request; fills made before it stay."""


class CancelAlreadyCancelled(Value, frozen=True, tag="already_cancelled"):
    """The venue says it was off the book before."""

    text: str


class CancelAlreadyFilled(Value, frozen=True, tag="already_filled"):
    """Executed first: keep tracking, the fill is on its way."""

    text: str


class CancelRefused(Value, frozen=True, tag="refused"):
    """The venue will not cancel it now (a delayed match, say); it stays open."""

    text: str
    wait_seconds: float


class CancelUnknown(Value, frozen=True, tag="unknown"):
    """Not known whether it is off the book: ask the venue for the order."""

    text: str


CancelOutcome = CancelConfirmed | CancelAlreadyCancelled | CancelAlreadyFilled | CancelRefused | CancelUnknown
