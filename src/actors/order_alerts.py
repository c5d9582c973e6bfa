"""What a person is told of an order whose state at the venue stays unknown: it counts as open until it is known."""

import msgspec

from ..model.alert import Alert, AlertKind, Severity
from ..model.identifiers import AlertId, ClientOrderId
from ..model.order import Acknowledged, Sent

NANOSECONDS = 1_000_000_000


def unconfirmed_id(order: ClientOrderId) -> AlertId:
    """The alert of an order that the venue has not answered for."""
    return AlertId(f"order_unconfirmed:{order}")


def uncancelled_id(order: ClientOrderId) -> AlertId:
    """The alert of a cancel that has no outcome."""
    return AlertId(f"cancel_unconfirmed:{order}")


def unconfirmed(state: Sent, now_ns: int) -> Alert:
    """The venue has not said whether the order exists."""
    waited_seconds = (now_ns - state.sent_at_ns) // NANOSECONDS
    text = f"was sent {waited_seconds} s ago and the venue has not said whether it exists; the runtime goes on asking"
    return _alert(unconfirmed_id(state.terms.client_order_id), text, state, now_ns)


def uncancelled(state: Sent | Acknowledged, now_ns: int) -> Alert:
    """The order was to be cancelled and may still trade. It must have a cancel in flight."""
    assert state.cancel is not None, state.terms.client_order_id
    waited_seconds = (now_ns - state.cancel.requested_at_ns) // NANOSECONDS
    text = (
        f"was to be cancelled {waited_seconds} s ago ({state.cancel.reason}) and may still trade; "
        "the runtime goes on cancelling"
    )
    return _alert(uncancelled_id(state.terms.client_order_id), text, state, now_ns)


def _alert(alert_id: AlertId, text: str, state: Sent | Acknowledged, now_ns: int) -> Alert:
    terms = state.terms
    return Alert(
        alert_id=alert_id,
        kind=AlertKind.ORDER_UNCONFIRMED,
        severity=Severity.CRITICAL,
        message=f"Order {terms.client_order_id} {text}; it counts as open",
        diagnosis="",
        evidence=(
            ("order", terms.client_order_id),
            ("venue order id", state.venue_order_id or "unknown"),
            ("last known", msgspec.json.encode(state.knowledge).decode()),
        ),
        opened_at_ns=now_ns,
        account=terms.account,
        strategy=terms.strategy,
        instrument=terms.instrument,
    )
