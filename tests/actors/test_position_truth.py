"""Three views of what is held: they are compared, a difference is diagnosed and alerted, and nothing is corrected."""

from decimal import Decimal

import pytest
import trio
from tallystick.actors.ticket import IntentRejected
from tallystick.model.alert import AlertState
from tallystick.model.event import AccountChanged, FillRecorded, OpeningAdopted, OpeningObserved
from tallystick.model.fill import FillSource
from tallystick.model.identifiers import AssetId
from tallystick.model.operator import AdoptHolding, Operator
from tallystick.model.truth import Unavailable
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import (
    CutBeforeFrame,
    DelayReply,
    DropFrame,
    LagDataApi,
    LagNode,
    RefuseRequest,
    StaleBalances,
)

from .harness import ACCOUNT, CASH, OWNER, RAIN_NO, RAIN_YES, STRATEGY, World, scenario, single


async def buy(world: World, intent_id: str = "i1", quantity: str = "50") -> None:
    """Buy, and wait until it is settled and booked."""
    world.crowd.sells(RAIN_YES, "0.44", quantity)
    report = await world.end_of(await world.submit(single(intent_id, quantity=quantity)))
    assert report.outcome == "filled"
    await world.until(lambda: not world.ledger.unsettled)


async def agree(world: World) -> None:
    """Wait until all three views were compared as equal, to the last unit."""

    def exact() -> bool:
        return all(
            (truth := world.ledger.truths.get(key)) is not None and truth.exact and truth.book == book
            for key, book in world.ledger.holdings.items()
        )

    await world.until(exact)


@scenario()
async def test_after_a_trade_book_venue_and_wallet_agree_to_the_last_unit(world: World) -> None:
    await buy(world)
    await agree(world)
    assert world.held(RAIN_YES) == 50 == world.wallet(RAIN_YES)
    assert world.held(CASH) == world.wallet()
    assert not world.alerts()


@scenario()
async def test_a_dropped_trade_frame_is_recovered_by_the_witness_and_alerted_once_as_explained(world: World) -> None:
    world.fault(DropFrame(event="trade"))
    world.fault(DropFrame(event="order"))
    ticket = await world.submit(single(seconds=100))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "30")
    await world.until(lambda: world.held(RAIN_YES) == 30, seconds=70)
    world.heal()
    await world.until(lambda: world.alerts("dropped_fill") and not world.alerts("dropped_fill")[0].state.is_open)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    assert (await world.end_of(ticket)).outcome == "filled"
    await agree(world)
    assert len(world.opened("dropped_fill")) == 1
    (alert,) = world.alerts()
    assert alert.state is AlertState.EXPLAINED
    assert len(world.closed(alert.alert_id)) == 1
    assert world.ledger.strategy(STRATEGY).paused is None


@scenario()
async def test_a_dropped_fill_is_in_the_book_within_one_cadence(world: World) -> None:
    """T26: the frames of one trade are missing and everything else looks healthy."""
    world.fault(DropFrame(event="trade", seconds=20))
    ticket = await world.submit(single())
    await world.until(world.venue_orders)
    at = trio.current_time()
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert trio.current_time() - at < 5
    await world.until(lambda: world.closed(world.opened("dropped_fill")[0]) if world.opened("dropped_fill") else False)
    assert len(world.opened("dropped_fill")) == 1
    (fill,) = world.events(FillRecorded)
    assert fill.fill.source is FillSource.SWEEP
    await agree(world)


@scenario()
async def test_a_fill_whose_first_frame_alone_was_dropped_is_told_by_the_next_and_is_no_alert(world: World) -> None:
    world.fault(DropFrame(event="trade", count=1, status="MATCHED"))
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(await world.submit(single()))).outcome == "filled"
    await agree(world)
    assert not world.alerts()
    assert len(world.events(FillRecorded)) == 1


@scenario()
async def test_the_websocket_cut_at_a_fill_loses_nothing_and_reopens_after_a_sweep(world: World) -> None:
    ticket = await world.submit(single(seconds=60))
    await world.until(world.venue_orders)
    world.fault(CutBeforeFrame(event="trade", count=1))
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    await world.live()
    assert world.states()[-2:] == ["degraded", "live"]
    assert world.held(RAIN_YES) == 50
    await agree(world)


@scenario()
async def test_a_drift_that_goes_away_by_itself_closes_its_alert_and_leaves_the_pause_to_the_operator(
    world: World,
) -> None:
    world.fault(RefuseRequest(path="/rpc", kind="internal_error"))
    world.fault(StaleBalances())
    world.fault(LagDataApi(lag_seconds=1_000))
    await buy(world)
    await world.until(lambda: len(world.alerts("drift")) == 2, seconds=60)
    assert {alert.alert_id for alert in world.alerts("drift")} == {
        f"drift:{ACCOUNT}:{CASH}",
        f"drift:{ACCOUNT}:{RAIN_YES}",
    }
    world.heal()
    world.do(actions.SettleNow())
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts("drift")), seconds=60)
    assert world.ledger.strategy(STRATEGY).paused
    with pytest.raises(IntentRejected, match="paused"):
        await world.submit(single("i2"))


@scenario()
async def test_a_drift_survives_a_restart_as_the_same_one_alert(world: World) -> None:
    world.do(actions.Transfer(source=OWNER, target="0x" + "77" * 20, asset="cash", amount=Decimal(10)))
    await world.until(lambda: world.alerts("drift"))
    await world.restart()
    await world.live()
    await trio.sleep(200)
    assert len(world.opened("drift")) == 1
    assert world.ledger.strategy(STRATEGY).paused
    assert world.held(CASH) == 990 == world.wallet()


@scenario()
async def test_a_view_that_cannot_be_read_is_unavailable_and_not_zero(world: World) -> None:
    await buy(world)
    await agree(world)
    world.fault(RefuseRequest(path="/rpc", kind="internal_error", seconds=500))
    await world.until(
        lambda: isinstance(world.ledger.truths[ACCOUNT, AssetId(RAIN_YES)].wallet, Unavailable), seconds=90
    )
    await world.until(lambda: world.alerts("view_unavailable"), seconds=500)
    assert not world.alerts("drift")
    assert world.ledger.strategy(STRATEGY).paused is None
    await world.until(lambda: not world.alerts("view_unavailable")[0].state.is_open, seconds=400)
    await agree(world)


@scenario()
async def test_a_venue_view_that_lags_is_no_drift_while_the_wallet_agrees(world: World) -> None:
    world.fault(LagDataApi(lag_seconds=1_000, seconds=120))
    world.fault(StaleBalances(seconds=120))
    await buy(world)
    await world.until(lambda: world.alerts("drift"), seconds=110)
    assert {alert.diagnosis for alert in world.alerts("drift")} == {"venue_view_stale"}
    assert world.ledger.strategy(STRATEGY).paused is None
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts()), seconds=300)
    await agree(world)


@scenario()
async def test_a_node_that_trails_its_chain_is_waited_for(world: World) -> None:
    world.fault(LagNode(blocks=1, seconds=60))
    await buy(world)
    await trio.sleep(70)
    await agree(world)
    assert not world.alerts("drift")


HELD = ((RAIN_YES, Decimal(30)),)


@scenario(start=False)
async def test_cash_alone_is_adopted_as_the_opening_when_all_views_agree(world: World) -> None:
    await world.start_live()
    (opening,) = world.events(OpeningAdopted)
    assert {str(held.asset): held.quantity for held in opening.holdings} == {CASH: Decimal(1000)}


def some_shares(world: World) -> None:
    """The account holds a position before its first start."""
    world.do(actions.CreateAccount(owner=OWNER, cash=Decimal(500), shares=((world.token(RAIN_YES), Decimal(30)),)))


@scenario(start=False)
async def test_positions_that_were_there_before_the_first_start_await_an_operator_and_stay_visible(
    world: World,
) -> None:
    some_shares(world)
    for _ in range(2):
        await world.start()
        await world.until(lambda: world.alerts("drift"))
        await trio.sleep(100)
        await world.stop()
    assert not world.events(OpeningAdopted)
    (observed,) = world.events(OpeningObserved)
    assert {str(held.asset): held.quantity for held in observed.holdings} == {CASH: 500, RAIN_YES: 30}
    assert "live" not in world.states()
    (alert,) = world.alerts("drift")
    assert alert.diagnosis == "opening"
    assert alert.state.is_open
    assert "only an operator" in alert.message
    assert world.folded().account(ACCOUNT).opening_observed == observed.holdings
    assert any("await an operator" in event.reason for event in world.events(AccountChanged))
    assert world.held(RAIN_YES) == 0
    await world.start()
    with pytest.raises(IntentRejected, match="account_live"):
        await world.submit(single())


@scenario(start=False)
async def test_an_adopted_position_is_the_books_and_what_is_left_of_the_opening_is_cash(world: World) -> None:
    some_shares(world)
    await world.start()
    await world.until(lambda: world.alerts("drift"))
    command = AdoptHolding(account=ACCOUNT, asset=AssetId(RAIN_YES))
    await world.runtime.operate(command, note="bought by hand", operator=Operator(uid=1000, user="ada"))
    await world.live()
    (opening,) = world.events(OpeningAdopted)
    assert {str(held.asset): held.quantity for held in opening.holdings} == {CASH: Decimal(500)}
    assert not world.ledger.account(ACCOUNT).opening_observed
    assert world.held(RAIN_YES) == 30
    assert world.held(RAIN_NO) == 0
    assert not world.alerts("drift")[0].state.is_open
    await agree(world)


@scenario(start=False)
async def test_nothing_is_adopted_while_venue_and_wallet_differ(world: World) -> None:
    world.do(actions.CreateAccount(owner=OWNER, cash=Decimal(500)))
    lag = world.fault(StaleBalances())
    await world.start()
    await world.until(lambda: world.events(OpeningAdopted) or world.alerts("drift"))
    world.heal(lag)
    await world.live()
    assert world.held(CASH) == world.wallet()
    assert not any(alert.state.is_open for alert in world.alerts("drift"))


@scenario()
async def test_a_drift_is_found_while_fills_never_pause(world: World) -> None:
    """Every reading is overlapped by a fill: the views are held against the books before and after it."""
    await world.submit(single(quantity="500", seconds=900))
    await world.until(world.venue_orders)
    world.fault(DelayReply(path="/balance-allowance", by_seconds=1))

    async def trade() -> None:
        while True:
            world.crowd.sells(RAIN_YES, "0.44", "5")
            await trio.sleep(0.9)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trade)
        await trio.sleep(30)
        assert not world.alerts("drift")
        world.do(actions.Transfer(source=OWNER, target="0x" + "77" * 20, asset="cash", amount=Decimal(300)))
        await world.until(lambda: world.alerts("drift"), seconds=50)
        nursery.cancel_scope.cancel()
    assert world.alerts("drift")[0].diagnosis == "transfer"
