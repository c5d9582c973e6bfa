"""A pair: both legs at once, both or neither, decided exactly once."""

from decimal import Decimal

import trio
from tallystick.model.event import BracketClosing, BracketDecided, DispositionChosen, IntentEnded
from tallystick.venues.sim.polymarket.faults import DelayRequest, RefuseRequest

from .harness import RAIN_YES, SNOW_NO, World, kinds, pair, scenario


@scenario()
async def test_a_pair_that_fills_on_both_legs_ends_as_both(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.crowd.sells(SNOW_NO, "0.40", "200")
    ticket = await world.submit(pair())
    report = await world.end_of(ticket)
    assert report.outcome == "both"
    assert world.held(RAIN_YES) == Decimal(100)
    assert world.held(SNOW_NO) == Decimal("73.33")


@scenario()
async def test_a_pair_that_meets_nobody_ends_as_neither_at_its_deadline(world: World) -> None:
    ticket = await world.submit(pair(seconds=8))
    at = trio.current_time()
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("neither", (Decimal(0), Decimal(0)))
    assert trio.current_time() - at < 10
    assert {row["status"] for row in world.venue_orders()} == {"CANCELED"}


@scenario()
async def test_a_pair_of_which_one_leg_fills_asks_the_strategy_what_now(world: World) -> None:
    world.crowd.sells(SNOW_NO, "0.40", "200")
    ticket = await world.submit(pair(seconds=8))
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("one_side", (Decimal(0), Decimal("73.33")))
    assert "disposition_needed" in kinds(ticket.reports)
    world.runtime.dispose(ticket, "hold", "worth having by itself")
    await world.until(lambda: world.events(DispositionChosen))
    assert world.held(SNOW_NO) == Decimal("73.33"), "a disposition moves nothing by itself"


@scenario()
async def test_both_legs_are_sent_at_the_same_time(world: World) -> None:
    await world.submit(pair())
    await world.until(lambda: len(world.network.sent("POST", "/order")) == 2)
    first, second = world.network.sent("POST", "/order")
    assert second.at - first.at < 0.01


@scenario()
async def test_a_partly_filled_leg_makes_a_pair_one_sided(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.crowd.sells(SNOW_NO, "0.40", "30")
    report = await world.end_of(await world.submit(pair(seconds=8)))
    assert (report.outcome, report.filled) == ("one_side", (Decimal(100), Decimal(30)))


@scenario()
async def test_a_leg_that_is_refused_closes_the_other(world: World) -> None:
    world.fault(
        RefuseRequest(
            path="/order", method="POST", kind="other", status=400, body='{"error":"invalid signature"}', count=1
        )
    )
    ticket = await world.submit(pair(seconds=60))
    report = await world.end_of(ticket, seconds=10)
    assert report.outcome == "neither"
    assert {row["status"] for row in world.venue_orders()} <= {"CANCELED"}


@scenario()
async def test_a_fill_that_wins_against_the_cancel_of_a_leg_is_in_the_decision(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    ticket = await world.submit(pair(seconds=6))
    await world.until(lambda: len(world.venue_orders()) == 2)
    world.fault(DelayRequest(path="/order", method="DELETE", by_seconds=2, count=1))
    await trio.sleep(7)
    world.crowd.sells(SNOW_NO, "0.40", "200")
    report = await world.end_of(ticket)
    assert report.outcome == "both"
    assert len(world.events(BracketDecided)) == 1


@scenario()
async def test_the_deadline_of_a_pair_passes_while_there_is_no_connection(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    ticket = await world.submit(pair(seconds=8))
    await world.until(lambda: world.held(RAIN_YES) == 100)
    await world.network.go_down()
    await trio.sleep(60)
    assert ticket.ended is None, "nobody knows what became of the other leg"
    assert len(world.events(BracketClosing)) == 1
    world.network.come_back()
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("one_side", (Decimal(100), Decimal(0)))


@scenario()
async def test_a_leg_that_fills_while_there_is_no_connection_counts(world: World) -> None:
    """Nobody refreshes the dead-man switch either: what is not filled by then, the venue takes off the book."""
    world.crowd.sells(RAIN_YES, "0.44", "200")
    ticket = await world.submit(pair(seconds=40))
    await world.until(lambda: world.held(RAIN_YES) == 100)
    await world.network.go_down()
    await trio.sleep(3)
    world.crowd.sells(SNOW_NO, "0.40", "200")
    await trio.sleep(20)
    world.network.come_back()
    assert (await world.end_of(ticket)).outcome == "both"


@scenario()
async def test_a_pair_is_worked_in_slices_on_both_legs(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.crowd.sells(SNOW_NO, "0.40", "200")
    report = await world.end_of(await world.submit(pair(child="40")))
    assert report.outcome == "both"
    assert len(world.venue_orders()) == 5


@scenario()
async def test_many_pairs_at_once_each_end_once(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "450")
    world.crowd.sells(SNOW_NO, "0.40", "250")
    tickets = [await world.submit(pair(f"p{number}", seconds=15)) for number in range(8)]
    outcomes = [(await world.end_of(ticket)).outcome for ticket in tickets]
    assert len(outcomes) == 8
    assert len(world.events(IntentEnded)) == 8
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(RAIN_YES) == 450 == world.wallet(RAIN_YES)
    assert world.held(SNOW_NO) == 250 == world.wallet(SNOW_NO)
