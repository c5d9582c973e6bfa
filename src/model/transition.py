"""The order machine as one visible table: which event moves an order from which state to which.

Everything that is not listed is refused with `IllegalTransition`. Surprises are remarked in their row: venues do
fill orders that were cancelled, and do report fills before they acknowledge.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

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
from .outcome import CancelRefused, CancelUnknown

Transition = Callable[[Any, Any, int], OrderState]
"""(state, event, time) to the next state; the row's key says which classes the first two are."""


def order_of(event: Event) -> ClientOrderId | None:
    """The order that an event is about, or None."""
    if isinstance(event, SliceComputed):
        return event.terms.client_order_id
    if isinstance(event, FillRecorded):
        return event.fill.client_order_id
    if type(event) in _NAMING:
        found: ClientOrderId = event.client_order_id  # type: ignore[attr-defined]  # the classes of that set have it
        return found
    return None


_NAMING = frozenset(
    {
        SliceWithdrawn,
        OrderSubmitted,
        OrderAcknowledged,
        OrderUnconfirmed,
        OrderConfirmed,
        CancelRequested,
        CancelAnswered,
        OrderDone,
    }
)


def _computed(_: None, event: SliceComputed, at_ns: int) -> OrderState:
    return Computed(terms=event.terms, computed_at_ns=at_ns, send_by_ns=event.send_by_ns)


def _withdrawn(state: Computed, event: SliceWithdrawn, at_ns: int) -> OrderState:
    return state.withdrawn(event.reason, at_ns)


def _submitted(state: Computed, event: OrderSubmitted, at_ns: int) -> OrderState:
    return state.submitted(event.venue_order_id, at_ns)


def _acknowledged(state: Sent, event: OrderAcknowledged, _at_ns: int) -> OrderState:
    return state.acknowledged(event.venue_order_id, event.evidence)


def _unconfirmed(state: Sent | Acknowledged, event: OrderUnconfirmed, at_ns: int) -> OrderState:
    return state.unconfirmed(at_ns, event.why)


def _confirmed(state: Sent | Acknowledged, event: OrderConfirmed, _at_ns: int) -> OrderState:
    return state.confirmed(event.knowledge)


def _cancelling(state: Sent | Acknowledged, event: CancelRequested, at_ns: int) -> OrderState:
    return state.cancelling(CancelInFlight(requested_at_ns=at_ns, reason=event.reason))


def _cancel_answered(state: Sent | Acknowledged, event: CancelAnswered, _at_ns: int) -> OrderState:
    asked = state.cancel
    if asked is None or isinstance(event.outcome, (CancelRefused, CancelUnknown)):
        return state
    # It stays cancelled: nobody wants it any more, and it must neither be sent nor cancelled again.
    return state.cancelling(msgspec.structs.replace(asked, answered=True))


def _unchanged(state: Done, _event: CancelAnswered, _at_ns: int) -> OrderState:
    return state


def _filled(state: Sent | Acknowledged | Done, event: FillRecorded, at_ns: int) -> OrderState:
    execution = event.fill.execution
    filled = Quantity(state.progress.filled + execution.quantity)
    known = Known(filled=filled, as_of_ns=at_ns, source=event.fill.source)
    return state.filled(execution.price, execution.quantity, known)


def _done(state: Sent | Acknowledged, event: OrderDone, _at_ns: int) -> OrderState:
    return state.done(event.outcome, event.evidence)


TABLE: Mapping[tuple[type[Event], type], Transition] = {
    (SliceComputed, type(None)): _computed,
    (SliceWithdrawn, Computed): _withdrawn,
    (OrderSubmitted, Computed): _submitted,
    (OrderAcknowledged, Sent): _acknowledged,
    (OrderUnconfirmed, Sent): _unconfirmed,
    (OrderUnconfirmed, Acknowledged): _unconfirmed,
    (OrderConfirmed, Sent): _confirmed,
    (OrderConfirmed, Acknowledged): _confirmed,
    (CancelRequested, Sent): _cancelling,
    (CancelRequested, Acknowledged): _cancelling,
    (CancelAnswered, Sent): _cancel_answered,
    (CancelAnswered, Acknowledged): _cancel_answered,
    (CancelAnswered, Done): _unchanged,  # it ended while its cancel was under way: the answer changes nothing any more
    (FillRecorded, Sent): _filled,  # the fill overtook the acknowledgement
    (FillRecorded, Acknowledged): _filled,
    (FillRecorded, Done): _filled,  # the venue reports a fill of an order that has ended
    (OrderDone, Sent): _done,
    (OrderDone, Acknowledged): _done,
}


def advance(state: OrderState | None, event: Event, at_ns: int) -> OrderState:
    """The state after `event`, journalled at `at_ns`. Raises `IllegalTransition`; never guesses."""
    transition = TABLE.get((type(event), type(state)))
    if transition is None:
        raise IllegalTransition(state, event.kind, order_of(event) or ClientOrderId("?"))
    return transition(state, event, at_ns)
