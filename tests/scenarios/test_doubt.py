"""Doubt that must not turn into a false terminal state: the order lives on until the venue has said otherwise."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tallystick.actors.settings import AccountSettings
from tallystick.actors.ticket import IntentRejected
from tallystick.model.event import CancelAnswered, OrderDone, OrderUnconfirmed
from tallystick.model.intent import Side
from tallystick.model.money import Quantity
from tallystick.model.order import Done, Sent
from tallystick.model.outcome import EvidenceKind, Rejected
from tallystick.testing.world.rigs import RIGS
from tallystick.testing.world.venue_faults import (
    Asked,
    CutBeforeReport,
    DelayAnswer,
    DelayReport,
    DelayRequest,
    DropReport,
    DuplicateReport,
    FailAfterAccept,
    FreezeStream,
    HideOrders,
    LagLists,
    LoseAnswer,
    Refusal,
    Refuse,
    ReorderReports,
    VenueFault,
)
from tallystick.testing.world.world import World, run_world

from .kit import Host, bought, busy, row, sleep_until_sent, venues, wire_orders

QUESTIONS = (Asked.ORDER, Asked.OPEN_ORDERS, Asked.FILLS)
LOST = LoseAnswer(asked=Asked.PLACE, count=1)
DEAF = FreezeStream()


def nobody_answers(world: World, seconds: float) -> None:
    """No stream and no question tells anything of orders or fills for so long."""
    world.venue.put_on(FreezeStream(seconds=seconds))
    for asked in QUESTIONS:
        world.venue.put_on(Refuse(asked=asked, how=Refusal.SERVER_ERROR, seconds=seconds))


@row(1, needs=(LOST, DEAF))
async def test_nothing_ends_before_there_is_evidence_however_long_nobody_can_be_asked(world: World) -> None:
    """T1: the answer is lost, questions fail for ten minutes, and meanwhile the order fills."""
    world.venue.put_on(LOST)
    nobody_answers(world, 600)
    ticket = await world.submit(world.single(seconds=900))
    await sleep_until_sent(world)
    world.crowd.sells(world.instruments[0], "0.44", "50")
    await trio.sleep(590)
    assert not world.events(OrderDone)
    assert ticket.ended is None
    assert len(world.opened("order_unconfirmed")) == 1
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(wire_orders(world)) == 1
    assert world.held(world.instruments[0]) == 50


@row(2, needs=(LOST, DEAF))
async def test_a_cancel_before_the_acknowledgement_and_its_order_both_end_with_evidence(world: World) -> None:
    """T2: the intent expires 50 ms after the order left, its answer is lost, and questions fail for ten minutes."""
    world.venue.put_on(LOST)
    nobody_answers(world, 600)
    world.venue.put_on(Refuse(asked=Asked.CANCEL, how=Refusal.SERVER_ERROR, seconds=300))
    ticket = await world.submit(world.single(seconds=0.05))
    await trio.sleep(590)
    assert ticket.ended is None
    assert not world.events(OrderDone)
    (unanswered,) = world.orders().values()
    assert isinstance(unanswered, Sent)
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    order = world.order()
    assert isinstance(order, Done)
    assert order.evidence.kind is EvidenceKind.ORDER_QUERY
    assert len(world.events(CancelAnswered)) == 1
    assert len(wire_orders(world)) == 1


@row(2, needs=(LOST, HideOrders(), LagLists(by_seconds=60), DEAF))
async def test_an_order_whose_cancel_was_answered_is_never_sent_again_though_the_venue_hides_it(world: World) -> None:
    """T2: off the book by the venue's word, and then the venue answers that there is no such order."""
    world.venue.put_on(LOST)
    world.venue.put_on(FreezeStream(seconds=60))
    world.venue.put_on(HideOrders(seconds=60))
    world.venue.put_on(LagLists(by_seconds=100, seconds=60))
    ticket = await world.submit(world.single(seconds=0.05))
    await trio.sleep(55)
    assert ticket.ended is None
    assert len(world.events(CancelAnswered)) == 1
    assert (await world.end_of(ticket)).outcome == "unfilled"
    assert len(wire_orders(world)) == 1


@row(4, needs=(LOST, DelayAnswer(asked=Asked.PLACE, by_seconds=15)), strategy=busy)
async def test_a_hundred_submits_of_which_a_third_time_out_are_a_hundred_orders(world: World) -> None:
    """T4: answers are lost or come too late after the venue has accepted; nothing is created again."""
    tickets = []
    for number in range(100):
        if number % 10 < 3:
            lost = number % 2 == 0
            world.venue.put_on(LOST if lost else DelayAnswer(asked=Asked.PLACE, by_seconds=15, count=1))
        tickets.append(await world.submit(world.single(f"i{number}", quantity="5", seconds=60)))
        await world.quiet()
    for ticket in tickets:
        assert (await world.end_of(ticket)).outcome == "unfilled"
    assert len(world.venue.orders()) == 100
    assert len(set(wire_orders(world))) == 100


def one_slot(settings: AccountSettings) -> AccountSettings:
    limits = msgspec.structs.replace(settings.risk, position_quantity_maximum=Quantity(Decimal(50)))
    return msgspec.structs.replace(settings, risk=limits)


@row(5, needs=(DelayRequest(asked=Asked.CANCEL, by_seconds=1),), settings=one_slot)
async def test_a_slot_is_not_quoted_again_while_its_old_order_is_unresolved(world: World) -> None:
    """T5: every cancel times out for 25 minutes; the slot stays taken, and the order may trade to the end."""
    ticket = await world.submit(world.single("old", seconds=5))
    await sleep_until_sent(world)
    world.venue.put_on(DelayRequest(asked=Asked.CANCEL, by_seconds=3_000, seconds=1_500))
    for minute in range(25):
        await trio.sleep(60)
        with pytest.raises(IntentRejected, match="position_quantity"):
            await world.submit(world.single(f"new{minute}", seconds=60))
    assert ticket.ended is None
    assert not world.events(OrderDone)
    assert len(wire_orders(world)) == 1
    world.crowd.sells(world.instruments[0], "0.44", "20")
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(20),))
    await world.submit(world.single("again", quantity="30", seconds=5))


@pytest.mark.parametrize("venue_name", sorted(RIGS))
def test_every_venue_resolves_by_an_id_that_is_known_before_sending_or_says_that_it_cannot(venue_name: str) -> None:
    """T6: the id that a lost answer would have told must not be needed to find the order."""
    capabilities = RIGS[venue_name]().dialect().capabilities
    assert capabilities.query_by_client_id or capabilities.order_id_known_before_sending


@row(6, needs=(LOST, DEAF))
async def test_an_order_whose_answer_is_lost_is_found_by_the_id_it_was_sent_with(world: World) -> None:
    """T6: nothing but the question by id is left, and it finds the order."""
    world.venue.put_on(LOST)
    world.venue.put_on(FreezeStream(seconds=20))
    ticket = await world.submit(world.single(seconds=60))
    await world.until(lambda: not isinstance(world.order(), Sent), seconds=15)
    (order,) = world.venue.orders()
    found = world.order()
    assert isinstance(found, Done) or found.venue_order_id == order.venue_order_id  # type: ignore[union-attr]
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"


@row(7, needs=(LOST, DropReport(), HideOrders()))
async def test_an_order_that_no_list_ever_showed_ends_by_its_fills(world: World) -> None:
    """T7: it fills in the moment it arrives, is on no list and under no id; the fill history decides."""
    world.crowd.sells(world.instruments[0], "0.44", "50")
    world.venue.put_on(LOST)
    world.venue.put_on(DropReport(seconds=30))
    world.venue.put_on(HideOrders(seconds=120))
    ticket = await world.submit(world.single(seconds=60))
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("filled", (Decimal(50),))
    (done,) = world.events(OrderDone)
    assert done.evidence.kind is EvidenceKind.FILL_HISTORY


@row(8, needs=(LagLists(by_seconds=60), HideOrders()))
async def test_lists_that_are_older_than_the_order_cancel_nothing(world: World) -> None:
    """T8: the snapshot shows the time before the order was placed; it is no report that the order has gone."""
    ticket = await world.submit(world.single(seconds=300))
    await sleep_until_sent(world)
    world.venue.put_on(LagLists(by_seconds=1_000, seconds=150))
    world.venue.put_on(HideOrders(seconds=150))
    await trio.sleep(140)
    assert not world.events(OrderDone)
    assert ticket.ended is None
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue.orders()) == 1


FAULTS: tuple[Callable[[int, float], VenueFault], ...] = (
    lambda count, _by: LoseAnswer(count=count),
    lambda count, _by: FailAfterAccept(count=count),
    lambda count, by: DelayAnswer(by_seconds=by, count=count),
    lambda count, by: DelayRequest(by_seconds=by, count=count),
    lambda count, _by: Refuse(how=Refusal.SERVER_ERROR, count=count),
    lambda count, _by: Refuse(how=Refusal.HTML, count=count),
    lambda count, _by: Refuse(asked=Asked.PLACE, how=Refusal.TOO_EARLY, count=count),
    lambda count, _by: Refuse(asked=Asked.CANCEL, how=Refusal.RATE_LIMITED, count=count),
    lambda _count, by: HideOrders(seconds=by),
    lambda _count, by: LagLists(by_seconds=by, seconds=by),
    lambda count, _by: DropReport(count=count),
    lambda count, _by: DuplicateReport(count=count),
    lambda count, by: DelayReport(by_seconds=by, count=count),
    lambda count, _by: ReorderReports(count=count),
    lambda count, _by: CutBeforeReport(count=min(count, 2)),
    lambda _count, by: FreezeStream(seconds=by),
)


@pytest.mark.parametrize("venue_name", venues((), lambda _: True))
@examples(max_examples=50)
@given(
    faults=st.lists(
        st.tuples(st.sampled_from(range(len(FAULTS))), st.integers(1, 4), st.sampled_from([0.5, 4.0, 15.0, 40.0])),
        max_size=6,
    ),
    at_seconds=st.sampled_from([0.0, 0.02, 1.0, 2.9, 3.0, 3.1, 6.0]),
    filled=st.sampled_from(["20", "50"]),
    seed=st.integers(0, 1_000),
)
def test_every_decision_of_a_recovery_is_a_legal_step_or_an_alert(
    venue_name: str, faults: list[tuple[int, int, float]], at_seconds: float, filled: str, seed: int
) -> None:
    """T9: whatever goes wrong in whatever order, no actor crashes over an impossible step, and all of it ends."""
    rig = RIGS[venue_name]()

    async def story(world: World) -> None:
        host = Host(world)
        for kind, count, by_seconds in faults:
            fault = FAULTS[kind](count, by_seconds)
            if rig.supports(fault):
                world.venue.put_on(fault)
        ticket = await world.submit(world.single(seconds=3))
        await trio.sleep(at_seconds)
        world.crowd.sells(world.instruments[0], "0.44", filled)
        await trio.sleep(60)
        world.venue.lift_all()

        def has_ended_or_is_alerted() -> bool:
            alerted = any(alert.state.is_open for alert in world.alerts("order_unconfirmed"))
            return alerted or ticket.ended is not None

        await world.until(has_ended_or_is_alerted, seconds=200)
        await host.end(agrees=ticket.ended is not None)

    run_world(story, seed=seed, rig=rig)


@row(10, needs=(HideOrders(), LagLists(by_seconds=300), LOST, DropReport()))
async def test_a_sale_that_the_venue_says_it_does_not_know_is_not_made_twice(world: World) -> None:
    """T10: the order fills, and for five minutes the venue answers that there is no such order."""
    await bought(world)
    world.crowd.buys(world.instruments[0], "0.43", "50")
    world.venue.put_on(LOST)
    world.venue.put_on(DropReport(seconds=300))
    world.venue.put_on(HideOrders(seconds=300))
    world.venue.put_on(LagLists(by_seconds=300, seconds=300))
    ticket = await world.submit(world.single("sale", side=Side.SELL, price="0.43", seconds=900))
    await trio.sleep(290)
    assert ticket.ended is None
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("filled", (Decimal(50),))
    await world.until(lambda: not world.ledger.open_quantities, seconds=5)
    assert len(world.venue.orders()) == 2
    assert world.held(world.instruments[0]) == 0


@row(11, needs=(DelayRequest(asked=Asked.PLACE, by_seconds=25),))
async def test_an_order_that_is_accepted_after_our_deadline_is_adopted_under_its_id(world: World) -> None:
    """T11: the request waits in front of the venue for longer than anybody waits for its answer."""
    world.venue.put_on(DelayRequest(asked=Asked.PLACE, by_seconds=12, count=1))
    ticket = await world.submit(world.single(seconds=60))
    await trio.sleep(4.5)
    assert not world.venue.orders()
    await world.until(lambda: world.events(OrderUnconfirmed))
    await sleep_until_sent(world)
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue.orders()) == 1
    assert not [event for event in world.events(OrderDone) if isinstance(event.outcome, Rejected)]


@row(11, needs=(DelayRequest(asked=Asked.PLACE, by_seconds=25),))
async def test_an_order_that_arrives_after_nobody_wants_it_any_more_is_taken_off_again(world: World) -> None:
    """T11: the intent has expired and its cancel found nothing, and then the order appears."""
    world.venue.put_on(DelayRequest(asked=Asked.PLACE, by_seconds=25, count=1))
    ticket = await world.submit(world.single(seconds=5))
    await trio.sleep(20)
    assert ticket.ended is None
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    (order,) = world.venue.orders()
    assert not order.is_open
