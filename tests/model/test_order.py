"""The order machine: states by their methods, transitions by the table in tallystick.model.transition."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.model.account import AccountState
from tallystick.model.event import (
    AccountChanged,
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
from tallystick.model.fill import Known, Unknown
from tallystick.model.identifiers import VenueOrderId
from tallystick.model.money import ZERO
from tallystick.model.order import (
    Acknowledged,
    Computed,
    Done,
    IllegalTransition,
    OrderState,
    Sent,
    Withdrawn,
    is_unconfirmed,
    open_quantity,
)
from tallystick.model.outcome import (
    CancelConfirmed,
    Cancelled,
    CancelUnknown,
    Evidence,
    EvidenceKind,
    Expired,
    Filled,
    NeverArrived,
    Rejected,
)
from tallystick.model.transition import advance, order_of

from .examples import ACCOUNT, NOW_NS, SECOND_NS, fill, price, quantity, terms

ORDER = terms().client_order_id
AT_VENUE = VenueOrderId("0xorder")
EVIDENCE = Evidence(kind=EvidenceKind.ORDER_QUERY, detail="venue shows it", at_ns=NOW_NS)

COMPUTED = SliceComputed(terms=terms(), send_by_ns=NOW_NS + 5 * SECOND_NS)
WITHDRAWN = SliceWithdrawn(client_order_id=ORDER, reason="the intent expired")
SUBMITTED = OrderSubmitted(client_order_id=ORDER, account=ACCOUNT, venue_order_id=AT_VENUE, body=b"{}")
ACKNOWLEDGED = OrderAcknowledged(client_order_id=ORDER, venue_order_id=AT_VENUE, evidence=EVIDENCE)
UNCONFIRMED = OrderUnconfirmed(client_order_id=ORDER, why="timeout")
CONFIRMED = OrderConfirmed(client_order_id=ORDER, knowledge=Known(filled=quantity("0"), as_of_ns=1, source="query"))
CANCEL = CancelRequested(client_order_id=ORDER, reason="deadline")
CANCEL_ANSWERED = CancelAnswered(client_order_id=ORDER, outcome=CancelConfirmed())
CANCEL_UNKNOWN = CancelAnswered(client_order_id=ORDER, outcome=CancelUnknown(text="timeout"))
CANCELLED = OrderDone(client_order_id=ORDER, outcome=Cancelled(filled=quantity("0")), evidence=EVIDENCE)
FILLED = OrderDone(client_order_id=ORDER, outcome=Filled(filled=quantity("10")), evidence=EVIDENCE)
REJECTED = OrderDone(client_order_id=ORDER, outcome=Rejected(code="balance", text="no"), evidence=EVIDENCE)
NEVER = OrderDone(client_order_id=ORDER, outcome=NeverArrived(), evidence=EVIDENCE)
EXPIRED = OrderDone(client_order_id=ORDER, outcome=Expired(filled=quantity("4")), evidence=EVIDENCE)
FILL = FillRecorded(fill=fill(1, size="4"))

OTHERS = (
    WITHDRAWN,
    SUBMITTED,
    ACKNOWLEDGED,
    UNCONFIRMED,
    CONFIRMED,
    CANCEL,
    CANCEL_ANSWERED,
    CANCEL_UNKNOWN,
    CANCELLED,
    FILLED,
    REJECTED,
    NEVER,
    EXPIRED,
)
EVENTS = st.sampled_from((COMPUTED, *OTHERS)) | st.builds(
    lambda number, size: FillRecorded(fill=fill(number, size=size)),
    st.integers(min_value=1, max_value=99),
    st.sampled_from(["0.5", "4", "10"]),
)


def life(*events: Event) -> OrderState:
    state: OrderState | None = None
    for number, event in enumerate(events):
        state = advance(state, event, NOW_NS + number)
    assert state is not None
    return state


# ---- lives ------------------------------------------------------------------------------------------------


def test_a_life_from_slice_to_filled_keeps_what_each_state_knew() -> None:
    computed = life(COMPUTED)
    assert isinstance(computed, Computed)
    assert open_quantity(computed) == 0

    sent = life(COMPUTED, SUBMITTED)
    assert isinstance(sent, Sent)
    assert sent.computed == computed
    assert isinstance(sent.knowledge, Unknown)
    assert open_quantity(sent) == 10

    acknowledged = life(COMPUTED, SUBMITTED, ACKNOWLEDGED)
    assert isinstance(acknowledged, Acknowledged)
    assert acknowledged.sent == sent

    partly = life(COMPUTED, SUBMITTED, ACKNOWLEDGED, FILL)
    assert isinstance(partly, Acknowledged)
    assert partly.progress.filled == 4
    assert partly.progress.average_price == Decimal("0.41")
    assert partly.knowledge == Known(filled=quantity("4"), as_of_ns=NOW_NS + 3, source="stream")
    assert open_quantity(partly) == 6

    done = life(COMPUTED, SUBMITTED, ACKNOWLEDGED, FILL, FillRecorded(fill=fill(2, at="0.40", size="6")), FILLED)
    assert isinstance(done, Done)
    assert done.terms == terms()
    assert done.progress.average_price == Decimal("0.404")
    assert done.fills_outstanding == open_quantity(done) == 0


def test_a_fill_may_overtake_the_acknowledgement() -> None:
    state = life(COMPUTED, SUBMITTED, FILL, ACKNOWLEDGED)
    assert isinstance(state, Acknowledged)
    assert state.progress.filled == 4


def test_a_cancelled_order_that_was_filled_first_still_counts_the_fill() -> None:
    ended = OrderDone(client_order_id=ORDER, outcome=Cancelled(filled=quantity("4")), evidence=EVIDENCE)
    before = life(COMPUTED, SUBMITTED, ACKNOWLEDGED, CANCEL, CANCEL_ANSWERED, ended)
    assert isinstance(before, Done)
    assert before.fills_outstanding == open_quantity(before) == 4

    after = advance(before, FILL, NOW_NS + 9)
    assert isinstance(after, Done)
    assert after.progress.filled == 4
    assert after.fills_outstanding == open_quantity(after) == 0


def test_a_fill_that_the_venue_did_not_count_when_it_cancelled_is_counted_all_the_same() -> None:
    state = life(COMPUTED, SUBMITTED, ACKNOWLEDGED, CANCEL, CANCELLED, FILL)
    assert isinstance(state, Done)
    assert state.progress.filled == 4
    assert open_quantity(state) == 0


@pytest.mark.parametrize(
    "order_of_arrival",
    [
        (CANCEL_ANSWERED, CANCELLED, FILL),
        (CANCEL_ANSWERED, FILL, CANCELLED),
        (FILL, CANCEL_ANSWERED, CANCELLED),
        (CANCELLED, FILL, CANCEL_ANSWERED),
        (CANCELLED, CANCEL_ANSWERED, FILL),
        (FILL, CANCELLED, CANCEL_ANSWERED),
    ],
)
def test_a_cancel_and_a_fill_come_to_the_same_in_any_order(order_of_arrival: tuple[Event, ...]) -> None:
    state = life(COMPUTED, SUBMITTED, ACKNOWLEDGED, CANCEL, *order_of_arrival)
    assert isinstance(state, Done)
    assert state.progress.filled == 4
    assert state.outcome == Cancelled(filled=quantity("0"))


def test_an_unanswered_order_stays_open_in_full_until_evidence_comes() -> None:
    state = life(COMPUTED, SUBMITTED, UNCONFIRMED, CANCEL, CANCEL_UNKNOWN, UNCONFIRMED)
    assert isinstance(state, Sent)
    assert isinstance(state.knowledge, Unknown)
    assert open_quantity(state) == 10


def test_a_refused_or_lost_order_was_never_open() -> None:
    for ending in (REJECTED, NEVER):
        state = life(COMPUTED, SUBMITTED, ending)
        assert isinstance(state, Done)
        assert open_quantity(state) == state.fills_outstanding == 0


def test_a_cancel_in_flight_is_an_overlay_that_survives_the_acknowledgement() -> None:
    state = life(COMPUTED, SUBMITTED, CANCEL, ACKNOWLEDGED)
    assert isinstance(state, Acknowledged)
    assert state.cancel is not None
    assert state.cancel.reason == "deadline"
    assert not state.cancel.answered


def test_an_order_whose_cancel_was_answered_stays_cancelled_until_it_has_ended() -> None:
    state = life(COMPUTED, SUBMITTED, CANCEL, CANCEL_ANSWERED, ACKNOWLEDGED)
    assert isinstance(state, Acknowledged)
    assert state.cancel is not None
    assert state.cancel.answered


# ---- the table --------------------------------------------------------------------------------------------

STATES: dict[str, OrderState | None] = {
    "nothing": None,
    "Computed": life(COMPUTED),
    "Withdrawn": life(COMPUTED, WITHDRAWN),
    "Sent": life(COMPUTED, SUBMITTED),
    "Acknowledged": life(COMPUTED, SUBMITTED, ACKNOWLEDGED),
    "Done": life(COMPUTED, SUBMITTED, ACKNOWLEDGED, CANCELLED),
}
LEGAL: dict[str, dict[str, type[OrderState]]] = {
    "slice_computed": {"nothing": Computed},
    "slice_withdrawn": {"Computed": Withdrawn},
    "order_submitted": {"Computed": Sent},
    "order_acknowledged": {"Sent": Acknowledged},
    "order_unconfirmed": {"Sent": Sent, "Acknowledged": Acknowledged},
    "order_confirmed": {"Sent": Sent, "Acknowledged": Acknowledged},
    "cancel_requested": {"Sent": Sent, "Acknowledged": Acknowledged},
    "cancel_answered": {"Sent": Sent, "Acknowledged": Acknowledged, "Done": Done},
    "order_done": {"Sent": Done, "Acknowledged": Done},
    "fill_recorded": {"Sent": Sent, "Acknowledged": Acknowledged, "Done": Done},
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("event", [COMPUTED, *OTHERS, FILL], ids=lambda event: event.kind)
def test_every_pair_of_state_and_event_is_in_the_table_or_refused_by_name(name: str, event: Event) -> None:
    expected = LEGAL[event.kind].get(name)
    if expected is not None:
        assert type(advance(STATES[name], event, NOW_NS)) is expected
        return
    with pytest.raises(IllegalTransition, match=f"{event.kind} is not possible in state {name}"):
        advance(STATES[name], event, NOW_NS)


def test_an_event_that_is_about_no_order_is_refused() -> None:
    event = AccountChanged(account=ACCOUNT, state=AccountState.LIVE, reason="swept")
    assert order_of(event) is None
    with pytest.raises(IllegalTransition):
        advance(STATES["Sent"], event, NOW_NS)


@settings(max_examples=300)
@given(st.lists(EVENTS, max_size=14))
def test_every_sequence_of_events_leads_to_a_legal_state_or_is_refused(events: list[Event]) -> None:
    state: OrderState | None = None
    reported = ZERO
    submissions = 0
    ended: Done | None = None
    for number, event in enumerate((COMPUTED, *events)):
        before = state
        try:
            state = advance(state, event, NOW_NS + number)
        except IllegalTransition:
            assert state is before
            continue
        if isinstance(event, FillRecorded):
            reported += event.fill.execution.quantity
        submissions += isinstance(event, OrderSubmitted)
        assert submissions <= 1
        assert open_quantity(state) >= 0
        if isinstance(state, (Sent, Acknowledged, Done)):
            assert submissions == 1
            assert state.progress.filled == reported
            assert state.terms == terms()
        else:
            assert reported == 0
        if isinstance(state, (Sent, Acknowledged)):
            assert open_quantity(state) == max(terms().quantity - reported, ZERO)
        if ended is not None:  # nothing takes back what ended it
            assert isinstance(state, Done)
            assert (state.before, state.outcome, state.evidence) == (ended.before, ended.outcome, ended.evidence)
        ended = state if isinstance(state, Done) else None
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=OrderState) == state


def test_the_notional_of_an_order_is_its_price_times_its_quantity() -> None:
    assert terms(price=price("0.25"), quantity=quantity("40")).notional == 10


@pytest.mark.parametrize("before", [(SUBMITTED, FILL), (SUBMITTED, ACKNOWLEDGED, FILL)])
def test_a_reversed_fill_stands_no_more_and_opens_nothing_again(before: tuple[Event, ...]) -> None:
    state = life(COMPUTED, *before)
    assert isinstance(state, (Sent, Acknowledged))
    after = state.reversed(quantity("4"))
    assert type(after) is type(state)
    assert (after.progress.filled, after.progress.stands) == (quantity("4"), quantity("0"))
    assert open_quantity(after) == open_quantity(state)


def test_a_reversal_after_the_end_changes_what_stands_and_not_how_it_ended() -> None:
    state = life(COMPUTED, SUBMITTED, ACKNOWLEDGED, FILL, FillRecorded(fill=fill(2, size="6")), FILLED)
    assert isinstance(state, Done)
    after = state.reversed(quantity("6"))
    assert after.outcome == state.outcome
    assert after.progress.stands == 4
    assert after.fills_outstanding == open_quantity(after) == 0
    later = advance(after, FillRecorded(fill=fill(3, size="1")), NOW_NS)
    assert isinstance(later, Done)
    assert (later.progress.filled, later.progress.stands) == (quantity("11"), quantity("5"))


def test_an_acknowledgement_answers_what_nobody_knew_before_it_and_no_later_question() -> None:
    computed = Computed(terms=terms(), computed_at_ns=NOW_NS - 2 * SECOND_NS, send_by_ns=NOW_NS)
    sent = advance(computed, SUBMITTED, NOW_NS - SECOND_NS)
    assert is_unconfirmed(sent)
    acknowledged = advance(sent, ACKNOWLEDGED, NOW_NS)
    assert not is_unconfirmed(acknowledged)
    asked = advance(acknowledged, UNCONFIRMED, NOW_NS + SECOND_NS)
    assert is_unconfirmed(asked)
    assert open_quantity(acknowledged) == open_quantity(asked) == quantity("10")
