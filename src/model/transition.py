"""The order machine as one visible table: which event moves an order from which state to which.

Everything that is not listed is refused with `IllegalTransition`. Surprises are remarked in their row: venues do
fill orders that were cancelled, and do report fills before they acknowledge.
"""

from .event import (
    CancelAnswered,
    CancelRequested,
    Event,
    FillRecorded,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    SliceComputed,
    SliceWithdrawn,
)
from .fill import Known
from .identifiers import ClientOrderId
from .money import Quantity
from .order import (
    Acknowledged,
    CancelInFlight,
    Computed,
    Done,
    IllegalTransition,
    OrderState,
    Sent,
)


def order_of(event: Event) -> ClientOrderId | None:
    """The order that an event is about, or None."""
    match event:
        case SliceComputed():
            return event.terms.client_order_id
        case FillRecorded():
            return event.fill.client_order_id
        case (
            SliceWithdrawn()
            | OrderSubmitted()
            | OrderAcknowledged()
            | OrderUnconfirmed()
            | OrderConfirmed()
            | CancelRequested()
            | CancelAnswered()
            | OrderDone()
        ):
            return event.client_order_id
        case _:
            return None


def advance(state: OrderState | None, event: Event, at_ns: int) -> OrderState:
    """The state after `event`, journalled at `at_ns`. Raises `IllegalTransition`; never guesses."""
    match event, state:
        case SliceComputed(), None:
            return Computed(terms=event.terms, computed_at_ns=at_ns, send_by_ns=event.send_by_ns)
        case SliceWithdrawn(), Computed():
            return state.withdrawn(event.reason, at_ns)
        case OrderSubmitted(), Computed():
            return state.submitted(event.venue_order_id, at_ns)
        case OrderAcknowledged(), Sent():
            return state.acknowledged(event.venue_order_id, event.evidence)
        case OrderUnconfirmed(), Sent() | Acknowledged():
            return state.unconfirmed(at_ns, event.why)
        case OrderConfirmed(), Sent() | Acknowledged():
            return state.confirmed(event.knowledge)
        case CancelRequested(), Sent() | Acknowledged():
            return state.cancelling(CancelInFlight(requested_at_ns=at_ns, reason=event.reason))
        case CancelAnswered(), Sent() | Acknowledged():
            return state.cancelling(None)
        # The order ended while its cancel was under way: the answer changes nothing any more.
        case CancelAnswered(), Done():
            return state
        # Sent: the fill overtook the acknowledgement. Done: the venue reports a fill of an order that has ended.
        case FillRecorded(), Sent() | Acknowledged() | Done():
            execution = event.fill.execution
            filled = Quantity(state.progress.filled + execution.quantity)
            known = Known(filled=filled, as_of_ns=at_ns, source=event.fill.source)
            return state.filled(execution.price, execution.quantity, known)
        case OrderDone(), Sent() | Acknowledged():
            return state.done(event.outcome, event.evidence)
        case _:
            raise IllegalTransition(state, event.kind, order_of(event) or ClientOrderId("?"))
