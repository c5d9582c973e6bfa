"""Fills that were lost, doubled or late, and streams that are silent: every execution is known, once, in time."""

from decimal import Decimal

import msgspec
import pytest
import trio
from tallystick.actors.messages import Sweep
from tallystick.actors.settings import AccountSettings
from tallystick.actors.ticket import IntentRejected, Report, ReportKind, Ticket
from tallystick.model.account import SweepTrigger
from tallystick.model.event import FillRecorded, OrderDone, StreamGap
from tallystick.model.fill import FillSource
from tallystick.model.intent import Side
from tallystick.model.money import Quantity
from tallystick.testing.world.venue_faults import (
    CutBeforeReport,
    DelayReport,
    DropReport,
    DuplicateReport,
    FreezeStream,
    LagLists,
    ReorderReports,
    Told,
)
from tallystick.testing.world.world import World

from .kit import bought, busy, calm, cut_streams, fill_lags, row, sleep_until_sent, wire_orders, without_dead_man

SETTLING_SECONDS = 10.0
"""From a match to the last report of its settlement, at the slowest venue, with room to spare."""


def one_slot(settings: AccountSettings) -> AccountSettings:
    limits = msgspec.structs.replace(settings.risk, position_quantity_maximum=Quantity(Decimal(50)))
    return msgspec.structs.replace(settings, risk=limits)


def sweep_now(world: World) -> None:
    reconciler = world.runtime.system.find(f"/accounts/{world.rig.account}/connection/reconciler")
    assert reconciler is not None
    reconciler.tell(Sweep(trigger=SweepTrigger.OPERATOR))


def fills_told(ticket: Ticket) -> list[Report]:
    return [report for report in ticket.reports if report.kind is ReportKind.FILL]


def cadence(world: World) -> float:
    return world.settings.reconciler.cadence_seconds


# ---- frames that are missing while everything looks healthy -----------------------------------------------


@row(26, needs=(DropReport(told=Told.FILL),), settings=one_slot)
async def test_a_fill_whose_report_is_missing_is_known_within_a_cadence_and_nothing_is_sent_meanwhile(
    world: World,
) -> None:
    """T26: heartbeats are fine, every report of one trade is missing, and the position looks as before."""
    ticket = await world.submit(world.single(seconds=600))
    await sleep_until_sent(world)
    world.venue.put_on(DropReport(seconds=SETTLING_SECONDS))
    world.crowd.sells(world.instruments[0], "0.44", "20")
    with pytest.raises(IntentRejected, match="position_quantity"):
        await world.submit(world.single("stale", quantity="30"))
    await world.until(lambda: fills_told(ticket), seconds=cadence(world) + 1)
    with pytest.raises(IntentRejected, match="position_quantity"):
        await world.submit(world.single("true", quantity="30"))
    assert world.held(world.instruments[0]) == 20
    assert len(wire_orders(world)) == 1
    await world.until(lambda: any(world.closed(found) for found in world.opened("dropped_fill")), seconds=10)


@row(26, needs=(DropReport(told=Told.FILL),))
async def test_one_missing_frame_among_healthy_ones_changes_nothing(world: World) -> None:
    """T26: exactly one frame is missing; what follows it, or the order's own report, makes up for it in seconds."""
    ticket = await world.submit(world.single(seconds=60))
    await sleep_until_sent(world)
    world.venue.put_on(DropReport(told=Told.FILL, count=1))
    at = trio.current_time()
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert trio.current_time() - at < SETTLING_SECONDS


@row(27, needs=(DropReport(),), settings=without_dead_man)
async def test_with_a_fifth_of_the_frames_the_end_is_the_same_and_no_fill_is_later_than_a_cadence(
    world: World,
) -> None:
    """T27: for half an hour four reports of five never come."""
    ticket = await world.submit(world.single(quantity="300", seconds=2_400))
    await sleep_until_sent(world)
    for number in range(60):
        if number * 22 % 100 >= 22:
            world.venue.put_on(DropReport(seconds=25))
        world.crowd.sells(world.instruments[0], "0.44", "5")
        await trio.sleep(30)
    assert (await world.end_of(ticket)).filled == (Decimal(300),)
    await world.until(lambda: not world.ledger.unsettled)
    assert len(world.events(FillRecorded)) == 60
    assert max(fill_lags(world)) <= cadence(world) + 1


@row(29, needs=(DropReport(), DuplicateReport(), ReorderReports()), strategy=busy)
async def test_a_grid_of_twenty_orders_is_told_of_each_fill_once(world: World) -> None:
    """T29: frames are lost, doubled and swapped over a grid; each execution of the venue is one report."""
    tickets = []
    for number in range(20):
        price = Decimal("0.30") + Decimal(number) / 100
        tickets.append(await world.submit(world.single(f"i{number}", quantity="10", price=str(price), seconds=300)))
    await sleep_until_sent(world, 20)
    world.venue.put_on(DuplicateReport(count=9))
    world.venue.put_on(ReorderReports(told=Told.FILL, count=9))
    for number in range(40):
        if number % 3 == 0:
            world.venue.put_on(DropReport(count=2))
        world.crowd.sells(world.instruments[0], "0.30", "5")
        await trio.sleep(0.5)
    for ticket in tickets:
        assert (await world.end_of(ticket)).outcome == "filled"
        assert sum(report.quantity or 0 for report in fills_told(ticket)) == 10
    assert sum(len(fills_told(ticket)) for ticket in tickets) == len(world.venue.executions())


# ---- whichever path brings it -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", [FillSource.STREAM, FillSource.SWEEP, FillSource.RECOVERY])
@row(30, needs=(DropReport(),), settings=without_dead_man)
async def test_the_owner_is_told_the_same_whichever_path_brings_a_fill(world: World, source: FillSource) -> None:
    """T30: stream, sweep or recovery: the same report reaches the owner, and says which it was."""
    intent = world.single(seconds=600)
    ticket = await world.submit(intent)
    await sleep_until_sent(world)
    if source is FillSource.SWEEP:
        world.venue.put_on(DropReport(seconds=SETTLING_SECONDS))
    if source is FillSource.RECOVERY:
        await world.crash()
    world.crowd.sells(world.instruments[0], "0.44", "20")
    if source is FillSource.RECOVERY:
        await trio.sleep(SETTLING_SECONDS)
        await world.start()
        ticket = await world.submit(intent)
    await world.until(lambda: fills_told(ticket), seconds=cadence(world) + 1)
    (told,) = fills_told(ticket)
    assert (told.quantity, told.price) == (Decimal(20), Decimal("0.44"))
    assert told.text.endswith(f"seen by {source}")
    (recorded,) = world.events(FillRecorded)
    assert recorded.fill.client_order_id == told.client_order_id


@row(30, settings=without_dead_man)
async def test_a_host_that_comes_back_late_is_told_what_recovery_brought_before_it_came(world: World) -> None:
    """T30: the runtime is back and has booked the fill for a minute when the strategy hands in its intent again."""
    intent = world.single(seconds=600)
    await world.submit(intent)
    await sleep_until_sent(world)
    await world.crash()
    world.crowd.sells(world.instruments[0], "0.44", "20")
    await world.start_live()
    await trio.sleep(60)
    ticket = await world.submit(intent)
    (told,) = fills_told(ticket)
    assert told.quantity == 20
    world.crowd.sells(world.instruments[0], "0.44", "30")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert [report.quantity for report in fills_told(ticket)] == [20, 30]


@row(35, needs=(DelayReport(told=Told.FILL, by_seconds=2),))
async def test_a_fill_that_a_sweep_brings_before_the_stream_is_one_fill_with_the_venues_id(world: World) -> None:
    """T35: the sweep reads the trade 400 ms before the stream tells of it."""
    ticket = await world.submit(world.single(seconds=60))
    await sleep_until_sent(world)
    world.venue.put_on(DelayReport(by_seconds=0.8, seconds=SETTLING_SECONDS))
    world.crowd.sells(world.instruments[0], "0.44", "50")
    await trio.sleep(0.4)
    sweep_now(world)
    assert (await world.end_of(ticket)).filled == (Decimal(50),)
    await trio.sleep(SETTLING_SECONDS)
    (recorded,) = world.events(FillRecorded)
    assert recorded.fill.source is FillSource.SWEEP
    assert recorded.fill.execution.key.trade_id == world.venue.executions()[0].trade_id
    assert not world.alerts("dropped_fill"), "the stream told of it in its time"


# ---- connections that are lost ----------------------------------------------------------------------------


@row(28, settings=without_dead_man)
async def test_fills_while_nothing_is_connected_are_read_back_to_the_last_known_one(world: World) -> None:
    """T28: every connection is down while an order fills; afterwards the log of executions is read, from before it."""
    ticket = await world.submit(world.single(quantity="100", seconds=600))
    await sleep_until_sent(world)
    world.crowd.sells(world.instruments[0], "0.44", "10")
    await trio.sleep(SETTLING_SECONDS)
    await world.network.go_down()
    down_ns = world.clock.wall_ns()
    world.crowd.sells(world.instruments[0], "0.44", "20")
    await trio.sleep(6)
    world.crowd.sells(world.instruments[0], "0.44", "30")
    world.network.come_back()
    await world.live()
    assert world.held(world.instruments[0]) == 60
    gap = world.events(StreamGap)[-1]
    after = [event.record for event in world.sweeps() if event.record.started_at_ns >= gap.from_ns]
    closing = next(record for record in after if record.complete)
    assert closing.fills_since_ns < down_ns
    await trio.sleep(SETTLING_SECONDS)
    world.crowd.sells(world.instruments[0], "0.44", "40")
    assert (await world.end_of(ticket)).outcome == "filled"


@row(32, settings=without_dead_man)
async def test_forty_events_inside_a_cut_of_thirty_seconds_are_all_there_and_the_gap_is_in_the_audit(
    world: World,
) -> None:
    """T32: the stream is lost, forty executions happen, and it cannot be reached again for half a minute."""
    ticket = await world.submit(world.single(quantity="200", seconds=600))
    await sleep_until_sent(world)
    at_ns = world.clock.wall_ns()
    await world.network.go_down()
    for _ in range(40):
        world.crowd.sells(world.instruments[0], "0.44", "5")
        await trio.sleep(0.75)
    world.network.come_back()
    assert (await world.end_of(ticket)).filled == (Decimal(200),)
    await world.live()
    gap = world.events(StreamGap)[-1]
    assert abs(gap.from_ns - at_ns) < 1e9
    assert gap.until_ns - gap.from_ns >= 30e9
    assert len(fills_told(ticket)) == 40


@row(33, needs=(FreezeStream(),), settings=without_dead_man)
async def test_a_stream_that_connects_again_and_says_nothing_is_not_taken_for_healthy(world: World) -> None:
    """T33: the connection is there, no data follows; new orders wait, sweeps find the fill, a person is told."""
    ticket = await world.submit(world.single(seconds=600))
    await sleep_until_sent(world)
    world.venue.put_on(FreezeStream(seconds=200))
    await cut_streams(world)
    await world.until(lambda: world.states()[-1] == "degraded")
    world.crowd.sells(world.instruments[0], "0.44", "20")
    with pytest.raises(IntentRejected, match="account_live"):
        await world.submit(world.single("new"))
    await world.until(lambda: fills_told(ticket), seconds=cadence(world) + 1)
    await world.until(lambda: world.opened("connection_down"), seconds=cadence(world))
    assert "live" not in world.states()[-1:]
    await world.live(seconds=250)
    await world.until(lambda: world.closed(world.opened("connection_down")[0]))


@row(33, needs=(DropReport(),))
async def test_a_stream_that_answers_pings_and_reports_nothing_is_made_up_for_by_every_sweep(world: World) -> None:
    """T33: alive by every sign but data; each fill is known within a cadence and each is alerted as dropped."""
    ticket = await world.submit(world.single(quantity="30", seconds=600))
    await sleep_until_sent(world)
    world.venue.put_on(DropReport())
    for _ in range(3):
        world.crowd.sells(world.instruments[0], "0.44", "10")
        await trio.sleep(cadence(world))
    assert (await world.end_of(ticket)).filled == (Decimal(30),)
    assert max(fill_lags(world)) <= cadence(world) + 1
    await world.until(lambda: len(world.opened("dropped_fill")) == 3)


@row(34, settings=calm)
async def test_a_day_without_trouble_has_no_connection_lost_by_ourselves(world: World) -> None:
    """T34: twenty-four hours; the streams that were opened at the start are the ones that are open at the end."""
    before = sorted(number for number, link in world.network.links.items() if link.is_websocket)
    gaps = world.ledger.account(world.rig.account).gaps
    await trio.sleep(24 * 3_600)
    after = sorted(number for number, link in world.network.links.items() if link.is_websocket)
    assert before == after
    assert world.ledger.account(world.rig.account).gaps == gaps
    assert world.states()[-1] == "live"
    assert not world.alerts()


@pytest.mark.parametrize("everything", [False, True])
@row(40, settings=without_dead_man)
async def test_a_connection_that_is_gone_without_a_word_is_noticed_within_the_silence_it_may_keep(
    world: World, everything: bool
) -> None:
    """T40: half-open: no reset, no close; the streams alone, or every connection of the runtime."""
    ticket = await world.submit(world.single(seconds=600))
    await sleep_until_sent(world)
    for link in list(world.network.links.values()):
        if everything or link.is_websocket:
            link.fall_silent()
    at = trio.current_time()
    world.crowd.sells(world.instruments[0], "0.44", "20")
    await world.until(lambda: world.states()[-1] == "degraded", seconds=60)
    assert trio.current_time() - at <= world.settings.stream.silence_seconds_maximum + 1
    await world.live()
    await world.until(lambda: fills_told(ticket), seconds=5)
    assert world.held(world.instruments[0]) == 20


@row(40, settings=without_dead_man)
async def test_an_order_that_is_sent_into_a_connection_that_is_gone_is_one_order_all_the_same(world: World) -> None:
    """T40: nobody knows yet that the connections are half-open; the bytes go nowhere, and the same ones go again."""
    for link in list(world.network.links.values()):
        link.fall_silent()
    ticket = await world.submit(world.single(seconds=300))
    await trio.sleep(5)
    assert len(wire_orders(world)) == 1
    assert not world.venue.orders()
    await world.live()
    await sleep_until_sent(world)
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(set(wire_orders(world))) == 1
    assert len(world.venue.orders()) == 1


@row(28, 32, needs=(CutBeforeReport(told=Told.FILL),))
async def test_a_stream_that_is_lost_at_every_fill_loses_none(world: World) -> None:
    """T28, T32: each report that would come takes the connection with it, ten times over."""
    ticket = await world.submit(world.single(quantity="50", seconds=600))
    await sleep_until_sent(world)
    world.venue.put_on(CutBeforeReport(told=Told.FILL, count=10))
    for _ in range(10):
        world.crowd.sells(world.instruments[0], "0.44", "5")
        await trio.sleep(8)
    assert (await world.end_of(ticket)).filled == (Decimal(50),)
    assert len(fills_told(ticket)) == 10


@row(26, 28, needs=(DropReport(), LagLists(by_seconds=15)))
async def test_a_history_that_trails_its_own_order_book_delays_a_fill_and_loses_none(world: World) -> None:
    """T26, T28: no report comes, and the log of executions shows the trade a quarter of a minute late."""
    ticket = await world.submit(world.single(seconds=200))
    await sleep_until_sent(world)
    world.venue.put_on(DropReport(seconds=60))
    world.venue.put_on(LagLists(by_seconds=15, seconds=150))
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).filled == (Decimal(50),)
    assert len(world.events(OrderDone)) == 1


# ---- conservation -----------------------------------------------------------------------------------------


@row(37, strategy=busy)
async def test_executions_never_exceed_their_order_and_what_is_paid_is_what_is_received(world: World) -> None:
    """T37: over fifty orders and crossing flow, cash and inventory are conserved to the last unit."""
    cash_before = world.wallet(world.rig.settlement_asset)
    tickets = []
    for number in range(50):
        price = f"0.{40 + number % 7}"
        world.crowd.sells(world.instruments[0], f"0.{40 + number % 5}", str(5 + number % 4))
        tickets.append(await world.submit(world.single(f"i{number}", quantity="8", price=price, seconds=30)))
    for ticket in tickets:
        await world.end_of(ticket)
    await world.until(lambda: not world.ledger.unsettled)
    for order in world.venue.orders():
        assert order.filled <= order.quantity
    fills = [event.fill.execution for event in world.events(FillRecorded)]
    bought_shares = sum((fill.quantity for fill in fills), Decimal(0))
    paid = sum(((fill.value or fill.price * fill.quantity) + (fill.fee or 0) for fill in fills), Decimal(0))
    assert bought_shares == world.wallet(world.instruments[0]) > 0
    assert cash_before - paid == world.wallet(world.rig.settlement_asset)


@row(37)
async def test_a_purchase_and_a_sale_of_the_same_leave_nothing_but_their_prices(world: World) -> None:
    """T37: there and back again: no share is left and none was made."""
    await bought(world)
    world.crowd.buys(world.instruments[0], "0.43", "50")
    sale = await world.submit(world.single("sale", side=Side.SELL, price="0.43"))
    assert (await world.end_of(sale)).outcome == "filled"
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(world.instruments[0]) == 0 == world.wallet(world.instruments[0])
