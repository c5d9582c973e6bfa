"""Streams are notifications: what they lose, garble or stop saying is found by asking."""

from decimal import Decimal

import trio
from tallystick.actors.messages import FrameArrived
from tallystick.model.alert import AlertState
from tallystick.model.event import FillRecorded, ReconciliationEnded, StreamGap
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import DropFrame, DustSizes, FreezeStreams, HideFromLists, RefuseRequest

from .harness import ACCOUNT, CASH, RAIN_YES, World, scenario, single


@scenario()
async def test_a_frozen_stream_is_detected_by_its_silence(world: World) -> None:
    """T40: no reset and no close, just nothing any more."""
    freeze = world.fault(FreezeStreams())
    at = trio.current_time()
    await world.until(lambda: world.ledger.account(ACCOUNT).state == "degraded")
    assert trio.current_time() - at <= world.settings.stream.silence_seconds_maximum + 1
    world.heal(freeze)
    await world.live()
    assert world.events(StreamGap)


@scenario()
async def test_a_fill_during_a_freeze_is_known_before_the_account_is_live_again(world: World) -> None:
    ticket = await world.submit(single(seconds=300))
    await world.until(world.venue_orders)
    freeze = world.fault(FreezeStreams())
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.until(lambda: world.ledger.account(ACCOUNT).state == "degraded")
    world.heal(freeze)
    await world.live()
    assert world.held(RAIN_YES) == 50
    assert (await world.end_of(ticket)).outcome == "filled"


@scenario()
async def test_after_a_cut_a_sweep_closes_the_gap_before_the_account_is_live(world: World) -> None:
    world.do(actions.CutStreams(channel="user"))
    await world.until(lambda: world.ledger.account(ACCOUNT).state == "degraded")
    await world.live()
    (gap,) = [event for event in world.events(StreamGap) if event.reason != "start"][-1:]
    last = world.events(ReconciliationEnded)[-1].record
    assert last.complete
    assert last.started_at_ns >= gap.from_ns


@scenario()
async def test_an_account_stays_out_of_live_while_the_gap_cannot_be_swept(world: World) -> None:
    world.fault(RefuseRequest(path="/data", kind="internal_error", seconds=30))
    world.do(actions.CutStreams(channel="user"))
    await trio.sleep(25)
    assert world.ledger.account(ACCOUNT).state == "degraded"
    (alert,) = world.alerts("reconciliation_incomplete")
    assert alert.state is AlertState.OPEN
    await world.live()
    await world.until(lambda: world.alerts("reconciliation_incomplete")[0].state is AlertState.EXPLAINED)
    assert not all(event.record.complete for event in world.events(ReconciliationEnded))


@scenario()
async def test_an_outage_of_everything_is_alerted_once_and_heals(world: World) -> None:
    await world.network.go_down()
    await trio.sleep(200)
    assert {alert.alert_id for alert in world.alerts("connection_down")} == {
        f"connection_down:{ACCOUNT}:stream",
        f"connection_down:{ACCOUNT}:rest",
    }
    assert len(world.opened("connection_down")) == 2
    world.network.come_back()
    await world.live()
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts()))


@scenario()
async def test_twenty_cuts_in_a_row_lose_nothing(world: World) -> None:
    ticket = await world.submit(single(seconds=600, quantity="100"))
    await world.until(world.venue_orders)
    for _ in range(20):
        world.do(actions.CutStreams())
        await trio.sleep(1.5)
        world.crowd.sells(RAIN_YES, "0.44", "5")
        await trio.sleep(1.5)
    assert (await world.end_of(ticket)).filled == (Decimal(100),)
    await world.live()
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(RAIN_YES) == 100 == world.wallet(RAIN_YES)


@scenario()
async def test_dust_behind_the_last_digit_of_a_size_is_no_second_fill(world: World) -> None:
    world.fault(DustSizes())
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(await world.submit(single()))).outcome == "filled"
    await world.until(lambda: not world.ledger.unsettled)
    assert len(world.events(FillRecorded)) == 1
    assert world.held(RAIN_YES) == 50 == world.wallet(RAIN_YES)
    # Dust must not reach the cash either: the views agree to the last unit.
    await trio.sleep(120)
    assert world.held(CASH) == world.wallet()
    assert not world.alerts()


@scenario()
async def test_an_unreadable_private_frame_is_alerted_and_swept_for(world: World) -> None:
    before = len(world.sweeps())
    stream = world.runtime.system.find(f"/accounts/{ACCOUNT}/connection/stream")
    assert stream is not None
    stream.tell(FrameArrived(frame='{"event_type":"trade","id":"x","status":"EXPLODED"}', received_at_ns=1))
    await world.until(lambda: world.alerts("unreadable_report"))
    await world.until(lambda: len(world.sweeps()) > before, seconds=5)
    assert world.sweeps()[-1].record.trigger == "unreadable_frame"


@scenario()
async def test_a_history_that_trails_the_order_book_delays_the_end_and_loses_nothing(world: World) -> None:
    """T7/T10: the order query says filled while the trade history does not show the trade yet."""
    world.fault(DropFrame())
    world.fault(HideFromLists(lag_seconds=15, seconds=40))
    ticket = await world.submit(single(seconds=60))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("filled", (Decimal(50),))
    assert world.held(RAIN_YES) == 50


@scenario()
async def test_a_quarter_of_an_hour_without_trouble_has_no_gap_and_no_alert(world: World) -> None:
    """T34: no reconnect of its own making."""
    gaps = len(world.events(StreamGap))
    await trio.sleep(900)
    assert len(world.events(StreamGap)) == gaps
    assert world.states()[-1] == "live"
    assert not world.alerts()


@scenario()
async def test_a_session_that_answers_and_brings_no_book_is_subscribed_again(world: World) -> None:
    world.fault(DropFrame(channel="market", event="book", seconds=8))
    world.do(actions.CutStreams(channel="market"))
    await trio.sleep(4)
    assert not world.is_live()
    # The subscription's only answer is lost, and nothing else would ever bring the books.
    await world.until(world.is_live, seconds=20)
