"""What a sweep finds is booked with execution ids or alerted, in both directions, and ends in one record each time."""

import trio
from tallystick.actors.messages import Sweep
from tallystick.actors.settings import ReconcilerSettings, WitnessSettings
from tallystick.model.account import Reconciliation, SweepTrigger
from tallystick.model.event import AlertOpened, FillRecorded, FillSettled, ReconciliationEnded
from tallystick.model.fill import FillSource, Settlement
from tallystick.venues.sim.polymarket.faults import (
    DelayReply,
    DropFrame,
    FailSettlement,
    GhostSettlement,
    HideFromLists,
    LagDataApi,
    RefuseRequest,
    StaleBalances,
)

from .by_hand import by_hand
from .harness import ACCOUNT, CASH, RAIN_YES, SNOW_YES, STRATEGY, World, account_settings, scenario, single
from .test_position_truth import agree, buy

UNSEEN_SECONDS = 600
"""Longer than any overlap: what is hidden for so long is behind every later sweep's window."""


def sweep(world: World, trigger: SweepTrigger, detail: str = "") -> None:
    """Ask for a reconciliation, as an operator's command does."""
    reconciler = world.runtime.system.find(f"/accounts/{ACCOUNT}/connection/reconciler")
    assert reconciler is not None
    reconciler.tell(Sweep(trigger=trigger, detail=detail))


def records(world: World, trigger: SweepTrigger | None = None) -> list[Reconciliation]:
    return [event.record for event in world.events(ReconciliationEnded) if trigger in {None, event.record.trigger}]


def hide_trades(world: World) -> tuple[int, int]:
    """Let neither the stream nor the history tell of trades from now on; returns the faults."""
    return world.fault(DropFrame(event="trade")), world.fault(HideFromLists(lag_seconds=10_000))


# ---- book open, venue flat --------------------------------------------------------------------------------


@scenario()
async def test_an_exit_that_nobody_told_is_found_and_booked_with_its_own_id_and_a_critical_alert(world: World) -> None:
    """A person sold everything; no stream and no history said so until after a restart."""
    await buy(world)
    await agree(world)
    hide_trades(world)
    person = await by_hand(world)
    world.crowd.buys(RAIN_YES, "0.43", "50")
    await person.sells(RAIN_YES, "0.43", "50")
    await trio.sleep(UNSEEN_SECONDS)
    assert world.held(RAIN_YES) == 50
    (drift,) = [alert for alert in world.alerts("drift") if RAIN_YES in alert.alert_id]
    assert drift.diagnosis == "position_vanished"
    assert world.ledger.strategy(STRATEGY).paused
    await world.stop()
    world.heal()
    await world.start()
    await world.live()
    await world.until(lambda: world.held(RAIN_YES) == 0)
    (alert,) = world.alerts("exit_recovered")
    assert alert.severity == "critical"
    found = next(event.fill for event in world.events(FillRecorded) if event.fill.source is FillSource.RECOVERY)
    assert found.execution.quantity == 50
    assert found.client_order_id is None
    assert f"trade {found.execution.key.trade_id}" in dict(alert.evidence)
    await agree(world)
    assert not any(alert.state.is_open for alert in world.alerts("drift"))
    assert world.ledger.strategy(STRATEGY).paused, "an operator looks at it before the strategy goes on"


@scenario()
async def test_an_exit_that_shows_up_while_running_is_found_without_a_restart(world: World) -> None:
    await buy(world)
    await agree(world)
    hide_trades(world)
    person = await by_hand(world)
    world.crowd.buys(RAIN_YES, "0.43", "50")
    await person.sells(RAIN_YES, "0.43", "50")
    await trio.sleep(UNSEEN_SECONDS)
    world.heal()
    sweep(world, SweepTrigger.OPERATOR, "somebody looked")
    await world.until(lambda: world.held(RAIN_YES) == 0, seconds=300)
    await agree(world)


@scenario()
async def test_a_position_that_vanished_without_an_exit_is_alerted_and_stays_in_the_book(world: World) -> None:
    await buy(world)
    await agree(world)
    hide_trades(world)
    person = await by_hand(world)
    world.crowd.buys(RAIN_YES, "0.43", "50")
    await person.sells(RAIN_YES, "0.43", "50")
    await world.until(lambda: any(RAIN_YES in alert.alert_id for alert in world.alerts("drift")), seconds=200)
    await world.restart()
    await trio.sleep(200)
    assert world.held(RAIN_YES) == 50
    assert len([name for name in world.opened("drift") if RAIN_YES in name]) == 1


# ---- book flat, venue open --------------------------------------------------------------------------------


@scenario()
async def test_a_position_of_which_the_book_knows_nothing_is_alerted_and_not_touched(world: World) -> None:
    hide_trades(world)
    person = await by_hand(world)
    world.crowd.sells(SNOW_YES, "0.30", "20")
    await person.buys(SNOW_YES, "0.30", "20")
    await world.until(lambda: any(SNOW_YES in alert.alert_id for alert in world.alerts("drift")), seconds=200)
    (alert,) = [found for found in world.alerts("drift") if SNOW_YES in found.alert_id]
    assert alert.diagnosis == "position_unexpected"
    assert alert.severity == "critical"
    await trio.sleep(300)
    assert world.held(SNOW_YES) == 0
    assert world.wallet(SNOW_YES) == 20
    assert not world.network.sent("DELETE", "/order")
    assert not world.network.sent("POST", "/order")
    assert world.ledger.strategy(STRATEGY).paused


@scenario()
async def test_the_account_is_not_live_before_a_difference_that_arose_in_downtime_is_settled_and_told(
    world: World,
) -> None:
    await world.stop()
    hide_trades(world)
    person = await by_hand(world)
    world.crowd.sells(SNOW_YES, "0.30", "20")
    await person.buys(SNOW_YES, "0.30", "20")
    await trio.sleep(100)
    await world.start()
    await world.live()
    assert world.ledger.strategy(STRATEGY).paused
    record = records(world, SweepTrigger.START)[-1]
    assert {found.asset for found in record.differences} == {CASH, SNOW_YES}
    assert record.complete
    opened = [event.alert for event in world.events(AlertOpened) if event.alert.kind == "drift"]
    assert max(alert.opened_at_ns for alert in opened) <= record.ended_at_ns


# ---- settled, and not there -------------------------------------------------------------------------------


@scenario()
async def test_trades_that_are_called_confirmed_and_never_reached_the_wallet_are_a_drift_that_names_it(
    world: World,
) -> None:
    """T76: the account and the fill log agree, and the wallet lacks one trade in three."""
    await buy(world, "i1", "20")
    world.fault(GhostSettlement(count=1))
    await buy(world, "i2", "10")
    await world.until(lambda: any(RAIN_YES in alert.alert_id for alert in world.alerts("drift")), seconds=90)
    (alert,) = [found for found in world.alerts("drift") if RAIN_YES in found.alert_id]
    assert alert.diagnosis == "wallet_differs"
    assert dict(alert.evidence)["difference"] == "wallet -10"
    assert world.held(RAIN_YES) == 30
    assert world.wallet(RAIN_YES) == 20
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused)


@scenario()
async def test_a_trade_that_fails_on_chain_is_taken_back_once_and_the_record_shows_both(world: World) -> None:
    """T75, seen from the record: matched, then failed, and every view agrees again by itself."""
    world.fault(FailSettlement(count=1))
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.end_of(await world.submit(single()))
    await world.until(lambda: not world.ledger.unsettled)
    await agree(world)
    assert len(world.events(FillRecorded)) == 1
    assert [event.settlement for event in world.events(FillSettled)][-1] is Settlement.REVERSED
    assert world.held(RAIN_YES) == 0
    assert world.held(CASH) == 1000 == world.wallet()
    position = world.ledger.positions[STRATEGY, RAIN_YES]
    assert position.matched == position.cash_matched == 0
    assert position.reversed == 1
    assert not world.alerts("drift")


# ---- a drift that stays -----------------------------------------------------------------------------------


def quiet_drift(world: World) -> None:
    """A difference that nothing explains: what the venue and the indexer tell is old, and the node is silent."""
    world.fault(StaleBalances())
    world.fault(LagDataApi(lag_seconds=100_000))
    world.fault(RefuseRequest(path="/rpc", kind="internal_error"))


@scenario()
async def test_a_drift_that_stays_is_one_alert_and_asks_nobody_to_repair_it(world: World) -> None:
    """T55: after the diagnosis there is what the cadence asks anyway, and nothing else."""
    quiet_drift(world)
    await buy(world)
    await world.until(lambda: len(world.opened("drift")) == 2, seconds=200)
    swept, trades = len(world.sweeps()), len(world.network.sent("GET", "/data/trades"))
    await trio.sleep(3_000)
    assert len(world.opened("drift")) == 2
    assert len(world.sweeps()) - swept <= 50
    assert len(world.network.sent("GET", "/data/trades")) - trades <= 50


@scenario(settings=account_settings(witness=WitnessSettings(realert_seconds=900)))
async def test_a_drift_that_nobody_answers_is_told_again_on_its_schedule(world: World) -> None:
    quiet_drift(world)
    await buy(world)
    await world.until(lambda: len(world.opened("drift")) == 2, seconds=200)
    await trio.sleep(world.settings.witness.realert_seconds + 200)
    assert sorted(world.opened("drift")) == sorted(world.opened("drift")[:2] * 2)


@scenario()
async def test_a_drift_that_changes_is_told_at_once(world: World) -> None:
    quiet_drift(world)
    await buy(world, "i1", "50")
    await world.until(lambda: len(world.opened("drift")) == 2, seconds=200)
    person = await by_hand(world)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    await person.buys(RAIN_YES, "0.44", "20")
    await world.until(lambda: len(world.opened("drift")) == 4, seconds=300)
    differences = [
        dict(event.alert.evidence)["difference"]
        for event in world.events(AlertOpened)
        if event.alert.alert_id == f"drift:{ACCOUNT}:{RAIN_YES}"
    ]
    assert differences == ["venue -50", "venue -70"]


# ---- records ----------------------------------------------------------------------------------------------


async def recorded(world: World, number: int) -> None:
    await world.until(lambda: len(records(world)) == number)


@scenario()
async def test_every_reason_to_reconcile_ends_in_a_record_of_its_own(world: World) -> None:
    await trio.sleep(5)
    for trigger in SweepTrigger:
        before = len(records(world))
        sweep(world, trigger, f"because of {trigger}")
        await recorded(world, before + 1)
        record = records(world)[-1]
        assert record.trigger is trigger
        assert record.detail == f"because of {trigger}"
        assert record.complete
        assert record.verdict == "complete"
        assert record.fill_pages == record.order_pages == 1
        assert record.fills_since_ns < record.started_at_ns <= record.ended_at_ns
        await trio.sleep(1)
    sweeps = [record.sweep_id for record in records(world)]
    assert len(sweeps) == len(set(sweeps))


@scenario()
async def test_a_sweep_that_is_cut_short_ends_in_a_record_that_says_so_and_is_run_again(world: World) -> None:
    await trio.sleep(5)
    world.fault(DelayReply(path="/data/trades", by_seconds=3, count=1))
    sweep(world, SweepTrigger.OPERATOR, "look")
    await trio.sleep(1)
    world.kill(f"/accounts/{ACCOUNT}/connection/reconciler")
    await world.until(lambda: len(records(world)) >= 3)
    cut = next(record for record in records(world) if record.trigger is SweepTrigger.OPERATOR)
    assert not cut.complete
    assert cut.why.startswith("cut short")
    assert cut.detail == "look"
    await world.until(lambda: records(world)[-1].complete)
    swept = world.ledger.account(ACCOUNT).swept_until_ns
    assert swept == records(world)[-1].started_at_ns


@scenario()
async def test_a_record_says_what_was_corrected_and_by_which_evidence(world: World) -> None:
    world.fault(DropFrame(event="trade", seconds=20))
    await world.submit(single(seconds=100))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.until(lambda: world.held(RAIN_YES) == 50)
    (fill,) = world.events(FillRecorded)
    corrections = [found for record in records(world) for found in record.corrections]
    (of_fill,) = [found for found in corrections if found.subject.startswith("trade")]
    assert fill.fill.execution.key.trade_id in of_fill.subject
    assert "buy 50 polymarket:rain:Yes at 0.44" in of_fill.evidence


@scenario()
async def test_a_record_that_could_not_be_completed_says_why_and_keeps_the_account_out_of_live(world: World) -> None:
    await world.stop()
    world.fault(RefuseRequest(path="/data/orders", kind="internal_error", seconds=60))
    await world.start()
    await trio.sleep(40)
    assert world.states()[-1] == "recovering"
    assert all(not record.complete and "open orders" in record.why for record in records(world)[-3:])
    assert records(world)[-1].verdict.startswith("incomplete: open orders")
    await world.live()
    assert records(world)[-1].complete


@scenario()
async def test_an_account_of_which_no_view_can_be_read_does_not_come_back_live(world: World) -> None:
    await world.stop()
    node = world.fault(RefuseRequest(path="/rpc", kind="internal_error"))
    balance = world.fault(RefuseRequest(path="/balance-allowance", kind="internal_error"))
    await world.start()
    await trio.sleep(120)
    assert world.states()[-1] == "recovering"
    assert "no view of" in records(world)[-1].why
    world.heal(node)
    await world.live()
    record = records(world)[-1]
    assert record.complete
    assert any("venue" in text for text in record.holdings_unread), "one view is enough, and which one lacks is told"
    world.heal(balance)


# ---- doubts that start a sweep ----------------------------------------------------------------------------


@scenario(settings=account_settings(reconciler=ReconcilerSettings(cadence_seconds=1_000)))
async def test_a_position_that_jumps_is_swept_for_before_the_difference_has_settled(world: World) -> None:
    person = await by_hand(world)
    world.fault(DropFrame(event="trade", count=4))
    world.fault(HideFromLists(lag_seconds=100, seconds=3))
    world.crowd.sells(RAIN_YES, "0.44", "20")
    await person.buys(RAIN_YES, "0.44", "20")
    await world.until(lambda: records(world, SweepTrigger.POSITION_JUMP), seconds=100)
    await world.until(lambda: world.held(RAIN_YES) == 20)
    assert not world.alerts("drift")


@scenario()
async def test_sweeps_that_are_asked_for_in_one_breath_are_one_and_keep_their_distance(world: World) -> None:
    await trio.sleep(5)
    before = len(records(world))
    for _ in range(50):
        sweep(world, SweepTrigger.UNMATCHED_FILL)
        await trio.sleep(0.02)
    await trio.sleep(3)
    spacing = world.settings.reconciler.spacing_seconds_minimum
    assert len(records(world)) - before <= 2 + 1 / spacing
    ended = [record.ended_at_ns for record in records(world)[before:]]
    started = [record.started_at_ns for record in records(world)[before:]]
    assert all(later - earlier >= spacing * 1e9 for earlier, later in zip(ended, started[1:], strict=False))
