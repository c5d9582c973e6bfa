"""A match is a promise: it is confirmed, reversed once with an alert, or told when it takes too long."""

from decimal import Decimal

import trio
from tallystick.model.alert import AlertState
from tallystick.model.event import FillRecorded, FillSettled
from tallystick.model.fill import Settlement
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import (
    ChangeHash,
    DropFrame,
    DuplicateFrame,
    FailSettlement,
    RefuseRequest,
    RetrySettlement,
    StallSettlement,
)

from .harness import CASH, RAIN_YES, STRATEGY, World, scenario, single


async def fill(world: World, intent_id: str = "i1", quantity: str = "50") -> None:
    world.crowd.sells(RAIN_YES, "0.44", quantity)
    assert (await world.end_of(await world.submit(single(intent_id, quantity=quantity)))).outcome == "filled"


@scenario()
async def test_a_confirmed_trade_is_confirmed_once(world: World) -> None:
    world.fault(DuplicateFrame(event="trade"))
    await fill(world)
    await world.until(lambda: not world.ledger.unsettled)
    assert [event.settlement for event in world.events(FillSettled)].count(Settlement.CONFIRMED) == 1


@scenario()
async def test_a_trade_that_fails_to_settle_is_reversed_once_and_alerted(world: World) -> None:
    world.fault(FailSettlement(count=1))
    world.fault(DuplicateFrame(event="trade"))
    await fill(world)
    assert world.held(RAIN_YES) == 50
    await world.until(lambda: world.alerts("fill_reversed"))
    assert world.held(RAIN_YES) == 0 == world.wallet(RAIN_YES)
    assert world.held(CASH) == 1000 == world.wallet()
    await trio.sleep(150)
    assert len(world.alerts()) == 1
    assert [event.settlement for event in world.events(FillSettled)].count(Settlement.REVERSED) == 1
    assert world.ledger.positions[STRATEGY, RAIN_YES].matched == 0


@scenario()
async def test_a_reversal_during_downtime_is_found_by_the_first_sweep(world: World) -> None:
    world.fault(FailSettlement(count=1))
    await fill(world)
    await world.crash()
    await trio.sleep(3_600)
    await world.start_live()
    await world.until(lambda: world.alerts("fill_reversed"), seconds=10)
    assert world.held(RAIN_YES) == 0


@scenario()
async def test_a_trade_that_is_retried_is_confirmed_in_the_end(world: World) -> None:
    world.fault(RetrySettlement(times=2, count=1))
    await fill(world)
    await world.until(lambda: not world.ledger.unsettled)
    seen = [event.settlement for event in world.events(FillSettled)]
    assert Settlement.RETRYING in seen
    assert seen[-1] is Settlement.CONFIRMED
    assert not world.alerts()
    assert world.held(RAIN_YES) == 50 == world.wallet(RAIN_YES)


@scenario()
async def test_a_changed_transaction_hash_is_the_same_trade(world: World) -> None:
    world.fault(ChangeHash(count=1))
    await fill(world)
    await world.until(lambda: not world.ledger.unsettled)
    assert len(world.events(FillRecorded)) == 1
    assert not world.alerts()


@scenario()
async def test_a_settlement_that_stalls_is_told_once_and_explained_when_it_goes_on(world: World) -> None:
    stall = world.fault(StallSettlement())
    await fill(world)
    limit = world.settings.witness.settlement_stalled_seconds
    await trio.sleep(limit - 40)
    assert not world.alerts()
    await world.until(lambda: world.alerts("settlement_stalled"), seconds=100)
    await world.crash_and_restart()
    await world.live()
    await trio.sleep(200)
    assert len(world.opened("settlement_stalled")) == 1
    assert world.held(RAIN_YES) == 50
    world.heal(stall)
    world.do(actions.SettleNow())
    await world.until(lambda: world.alerts("settlement_stalled")[0].state is AlertState.EXPLAINED)
    assert not world.ledger.unsettled


@scenario()
async def test_a_confirmation_that_the_stream_lost_is_found_however_many_trades_came_since(world: World) -> None:
    """Sweeps read as far back as anything is open, not only since the newest fill."""
    lost = world.fault(DropFrame(event="trade", status="CONFIRMED"))
    stall = world.fault(StallSettlement(count=1))
    await fill(world, "i1", "10")
    await trio.sleep(300)
    await fill(world, "i2", "10")
    await trio.sleep(300)
    world.heal(stall)
    world.do(actions.SettleNow())
    await world.until(lambda: not world.ledger.unsettled, seconds=70)
    world.heal(lost)
    assert world.held(RAIN_YES) == Decimal(20) == world.wallet(RAIN_YES)


@scenario()
async def test_an_old_fill_that_was_lost_is_found_though_newer_ones_were_not(world: World) -> None:
    """The newest fill is no watermark: the history cannot be read for ten minutes while the stream goes on."""
    ticket = await world.submit(single("i1", quantity="10", seconds=2_000))
    await world.until(world.venue_orders)
    lost = world.fault(DropFrame())
    world.fault(RefuseRequest(path="/data", kind="internal_error", seconds=600))
    world.crowd.sells(RAIN_YES, "0.44", "10")
    await trio.sleep(30)
    world.heal(lost)
    await trio.sleep(300)
    await fill(world, "i2", "20")
    assert (await world.end_of(ticket, seconds=1_000)).outcome == "filled"
    assert world.held(RAIN_YES) == 30
