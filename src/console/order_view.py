"""One order as the commands show it, whichever of its states it is in."""

from ..model.fill import Known
from ..model.order import Acknowledged, Computed, Done, OrderState, Sent, Withdrawn, is_unconfirmed, open_quantity
from ..model.outcome import Evidence, Outcome, Rejected
from .output import View
from .text import amount, instant, maybe_amount, maybe_instant


class EvidenceView(View, frozen=True):
    kind: str
    detail: str
    at: str


class KnowledgeView(View, frozen=True):
    """What the venue last said of the order's fills: `filled` as of `at`, or nothing yet, since `at`, and `why`."""

    known: bool
    filled: str | None
    at: str
    why: str


class OrderView(View, frozen=True):
    """`open` is what may still be executed, everything unconfirmed counted. Times are UTC.

    `unconfirmed` says that nobody knows whether the order is at the venue, or what became of it.
    """

    client_order_id: str
    venue_order_id: str | None
    strategy: str
    account: str
    intent_id: str
    leg: int
    slice: int
    attempt: int
    purpose: str
    instrument: str
    side: str
    direction: str
    expressed_as: str
    price: str
    quantity: str
    time_in_force: str
    post_only: bool
    expires_at: str
    state: str
    outcome: str | None
    outcome_detail: str
    filled: str
    average_price: str | None
    open: str
    unconfirmed: bool
    knowledge: KnowledgeView | None
    cancel_requested_at: str | None
    cancel_reason: str
    computed_at: str
    send_by: str
    sent_at: str | None
    acknowledged_at: str | None
    ended_at: str | None
    evidence: EvidenceView | None


def state_name(state: OrderState) -> str:
    """The state's name in one word."""
    match state:
        case Computed():
            return "computed"
        case Sent():
            return "sent"
        case Acknowledged():
            return "acknowledged"
        case Done():
            return "done"
        case Withdrawn():
            return "withdrawn"


def outcome_name(outcome: Outcome) -> str:
    """How the order ended, in one word."""
    tag = outcome.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def is_open(state: OrderState) -> bool:
    """Whether anything may still come of it: not ended, or ended with fills that have not arrived."""
    return isinstance(state, Computed) or open_quantity(state) > 0 or isinstance(state, Sent | Acknowledged)


def order_view(state: OrderState) -> OrderView:
    """The order as one flat value."""
    computed, sent, acknowledged, done = _stages(state)
    live = acknowledged or sent
    terms = computed.terms
    progress = state.progress if isinstance(state, Sent | Acknowledged | Done) else None
    cancel = None if live is None or done is not None else live.cancel
    evidence = done.evidence if done is not None else acknowledged.evidence if acknowledged is not None else None
    ended_at_ns = done.evidence.at_ns if done is not None else state.at_ns if isinstance(state, Withdrawn) else None
    outcome, detail = _outcome(state)
    return OrderView(
        client_order_id=terms.client_order_id,
        venue_order_id=None if live is None else live.venue_order_id,
        strategy=terms.strategy,
        account=terms.account,
        intent_id=terms.intent_id,
        leg=terms.leg,
        slice=terms.slice_number,
        attempt=terms.attempt,
        purpose=terms.purpose,
        instrument=terms.instrument,
        side=terms.side.value,
        direction=terms.direction.value,
        expressed_as=terms.expressed_as,
        price=amount(terms.price),
        quantity=amount(terms.quantity),
        time_in_force=terms.time_in_force.value,
        post_only=terms.post_only,
        expires_at=instant(terms.expires_at_ns),
        state=state_name(state),
        outcome=outcome,
        outcome_detail=detail,
        filled="0" if progress is None else amount(progress.filled),
        average_price=None if progress is None else maybe_amount(progress.average_price),
        open=amount(open_quantity(state)),
        unconfirmed=is_unconfirmed(state),
        knowledge=None if live is None or done is not None else _knowledge(live),
        cancel_requested_at=None if cancel is None else instant(cancel.requested_at_ns),
        cancel_reason="" if cancel is None else cancel.reason,
        computed_at=instant(computed.computed_at_ns),
        send_by=instant(computed.send_by_ns),
        sent_at=None if sent is None else instant(sent.sent_at_ns),
        acknowledged_at=None if acknowledged is None else instant(acknowledged.evidence.at_ns),
        ended_at=maybe_instant(ended_at_ns),
        evidence=None if evidence is None else _evidence(evidence),
    )


def _stages(state: OrderState) -> tuple[Computed, Sent | None, Acknowledged | None, Done | None]:
    """The states that an order has been through; each holds the one before it."""
    done = state if isinstance(state, Done) else None
    current = done.before if done is not None else state
    acknowledged = current if isinstance(current, Acknowledged) else None
    current = acknowledged.sent if acknowledged is not None else current
    sent = current if isinstance(current, Sent) else None
    if isinstance(current, Sent | Withdrawn):
        current = current.computed
    assert isinstance(current, Computed)
    return current, sent, acknowledged, done


def _outcome(state: OrderState) -> tuple[str | None, str]:
    match state:
        case Done(outcome=Rejected() as rejected):
            return "rejected", f"{rejected.code}: {rejected.text}"
        case Done():
            return outcome_name(state.outcome), ""
        case Withdrawn():
            return "withdrawn", state.reason
        case _:
            return None, ""


def _knowledge(live: Sent | Acknowledged) -> KnowledgeView:
    known = live.knowledge
    if isinstance(known, Known):
        return KnowledgeView(known=True, filled=amount(known.filled), at=instant(known.as_of_ns), why=known.source)
    if isinstance(live, Acknowledged) and not is_unconfirmed(live):
        why = "acknowledged; how much of it is filled was not asked yet"
        return KnowledgeView(known=False, filled=None, at=instant(live.evidence.at_ns), why=why)
    return KnowledgeView(known=False, filled=None, at=instant(known.since_ns), why=known.why)


def _evidence(evidence: Evidence) -> EvidenceView:
    return EvidenceView(kind=evidence.kind.value, detail=evidence.detail, at=instant(evidence.at_ns))
