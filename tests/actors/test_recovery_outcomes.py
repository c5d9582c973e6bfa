"""Outcomes that stay unknown for long, or are contradicted by a list, end by evidence and by nothing else."""

import trio
from tallystick.model.account import SweepTrigger
from tallystick.model.event import CancelAnswered, OrderDone, OrderSubmitted
from tallystick.model.order import Acknowledged, Done, Sent
from tallystick.model.outcome import Cancelled, Filled
from tallystick.venues.sim.polymarket.faults import (
    DropFrame,
    FreezeStreams,
    HideFromLists,
    LoseReply,
    NullOrder,
    RefuseRequest,
)

from .harness import RAIN_YES, World, scenario, single
from .test_position_truth import agree
from .test_recovery_sweeps import records


@scenario()
async def test_a_cancel_whose_answers_are_all_lost_for_25_minutes_ends_by_what_the_venue_shows(world: World) -> None:
    """T5: every cancel times out after it acted, and nobody can be asked meanwhile."""
    ticket = await world.submit(single(seconds=5))
    await world.until(world.venue_orders)
    world.fault(LoseReply(path="/order", method="DELETE", seconds=1_500))
    world.fault(RefuseRequest(path="/data", kind="internal_error", seconds=1_500))
    world.fault(FreezeStreams(seconds=1_500))
    await trio.sleep(1_400)
    assert not world.events(OrderDone)
    assert ticket.ended is None
    buys, _sells = world.ledger.open_quantities[world.settings.account, RAIN_YES]
    assert buys == 50, "what may still be executed counts in full"
    assert world.opened("order_unconfirmed") == [f"cancel_unconfirmed:{world.order().terms.client_order_id}"]
    report = await world.end_of(ticket, seconds=400)
    assert report.outcome == "unfilled"
    assert len(world.venue_orders()) == 1
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Cancelled)


@scenario()
async def test_a_cancel_with_an_unknown_outcome_is_asked_about_and_swept_for_at_once(world: World) -> None:
    world.fault(LoseReply(path="/order", method="DELETE", count=1))
    ticket = await world.submit(single(seconds=3))
    assert (await world.end_of(ticket, seconds=20)).outcome == "unfilled"
    await world.until(lambda: records(world, SweepTrigger.CANCEL_UNKNOWN), seconds=5)
    assert world.venue_order()["status"] == "CANCELED"
    assert len(world.events(CancelAnswered)) <= 1


@scenario()
async def test_an_order_that_filled_in_full_before_it_was_ever_listed_is_decided_by_its_fills(world: World) -> None:
    """T7: the open list forgets it before the first look, and the stream says nothing."""
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(DropFrame(event="trade", seconds=60))
    world.fault(DropFrame(event="order", seconds=60))
    world.fault(NullOrder(seconds=60))
    world.crowd.sells(RAIN_YES, "0.44", "50")
    report = await world.end_of(await world.submit(single(seconds=90)))
    assert report.outcome == "filled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Filled)
    assert len(world.events(OrderSubmitted)) == 1
    assert len({request.body for request in world.network.sent("POST", "/order")}) == 1
    await agree(world)


@scenario()
async def test_an_order_that_the_venue_denies_for_five_minutes_after_its_fill_is_not_given_up(world: World) -> None:
    """T10: asked by id it is nowhere, in no list, and then it is all there, filled."""
    world.fault(LoseReply(path="/order", method="POST", count=1))
    hidden = world.fault(HideFromLists(lag_seconds=10_000))
    denied = world.fault(NullOrder())
    frozen = world.fault(FreezeStreams())
    ticket = await world.submit(single(seconds=900))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await trio.sleep(300)
    assert isinstance(world.order(), (Sent, Acknowledged))
    assert not world.events(OrderDone)
    assert ticket.ended is None
    for fault in (hidden, denied, frozen):
        world.heal(fault)
    assert (await world.end_of(ticket, seconds=120)).outcome == "filled"
    assert len(world.venue_orders()) == 1
    assert world.held(RAIN_YES) == 50
    assert isinstance(world.order(), Done)


@scenario()
async def test_an_unknown_outcome_survives_restarts_as_unknown_until_the_venue_says(world: World) -> None:
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(RefuseRequest(path="/data/order", kind="internal_error"))
    world.fault(FreezeStreams(seconds=30))
    await world.submit(intent := single(seconds=900))
    await world.until(world.venue_orders)
    for number in range(5):
        await world.crash_and_restart(keep=number % 2)
        await trio.sleep(20)
        assert not world.events(OrderDone)
        assert not isinstance(world.order(), Done)
    world.heal()
    await world.live()
    # A dead runtime lets the venue's switch cancel what rests: either end is the venue's own word.
    report = await world.end_of(await world.submit(intent), seconds=1_000)
    assert report.outcome in {"filled", "unfilled"}
    assert len(world.venue_orders()) == 1
    assert len(world.events(OrderDone)) == 1
