"""A report that crashes its handler again and again is put aside, so that the account goes on, and is never lost."""

import msgspec
import pytest
from tallystick.actors import fill_log
from tallystick.actors.messages import Carried, LogExecutions
from tallystick.actors.operator import CommandRefused
from tallystick.actors.ticket import IntentRejected
from tallystick.model.event import FillRecorded, ReportQuarantined
from tallystick.model.fill import Execution, Fill
from tallystick.model.operator import Operator, ResumeStrategy

from ..actors.harness import ACCOUNT, RAIN_YES, STRATEGY, World, scenario, single

ADA = Operator(uid=1000, user="ada")


async def resume(world: World) -> Carried:
    return await world.runtime.operate(ResumeStrategy(strategy=STRATEGY), note="checked", operator=ADA)


def poison(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let the handler of executions fail so many times; returns the trades it failed over."""
    failed: list[str] = []
    attributed = fill_log.FillLogActor._attributed

    def failing(self: fill_log.FillLogActor, execution: Execution, message: LogExecutions) -> Fill:
        if len(failed) < times:
            failed.append(execution.key.trade_id)
            raise ZeroDivisionError("a defect")
        return attributed(self, execution, message)

    monkeypatch.setattr(fill_log.FillLogActor, "_attributed", failing)
    return failed


def test_a_report_that_crashes_once_is_read_again_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, 1)

    @scenario()
    async def live(world: World) -> None:
        world.crashes_expected = True
        world.crowd.sells(RAIN_YES, "0.44", "50")
        assert (await world.end_of(await world.submit(single()))).outcome == "filled"
        assert not world.events(ReportQuarantined)
        assert world.held(RAIN_YES) == 50

    live()


def test_a_report_that_crashes_twice_is_quarantined_with_its_content_and_pauses_the_strategies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = poison(monkeypatch, 10**9)

    @scenario()
    async def live(world: World) -> None:
        world.crashes_expected = True
        world.crowd.sells(RAIN_YES, "0.44", "50")
        await world.submit(single(seconds=600))
        await world.until(lambda: world.alerts("report_quarantined"))
        (quarantined,) = world.events(ReportQuarantined)
        assert quarantined.key.trade_id in failed
        assert quarantined.why == "ZeroDivisionError: a defect"
        assert quarantined.message_id > 0
        assert msgspec.json.decode(quarantined.report)["execution"]["key"]["trade_id"] == quarantined.key.trade_id
        assert len(failed) == fill_log.POISON_CRASHES, "it is not tried a third time in this process"
        await world.until(lambda: world.ledger.strategy(STRATEGY).paused)
        with pytest.raises(IntentRejected, match="quarantined"):
            await world.submit(single("i2"))
        with pytest.raises(CommandRefused, match="quarantined"):
            await resume(world)
        assert world.runtime.system.find(f"/accounts/{ACCOUNT}/fills") is not None
        assert not world.events(FillRecorded)
        # The next start has a build that can read it.
        monkeypatch.undo()
        await world.restart()
        await world.until(lambda: world.held(RAIN_YES) == 50, seconds=200)
        await world.until(lambda: not any(alert.state.is_open for alert in world.alerts("report_quarantined")))
        await world.live()
        await world.until(lambda: not any(alert.state.is_open for alert in world.alerts("drift")), seconds=200)
        await resume(world)

    live()


def test_the_other_reports_of_an_account_are_booked_beside_one_that_is_quarantined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = poison(monkeypatch, 2)

    @scenario()
    async def live(world: World) -> None:
        world.crashes_expected = True
        await world.submit(single(seconds=600))
        await world.until(world.venue_orders)
        world.crowd.sells(RAIN_YES, "0.44", "20")
        await world.until(lambda: world.events(ReportQuarantined), seconds=100)
        world.crowd.sells(RAIN_YES, "0.44", "30")
        await world.until(lambda: world.held(RAIN_YES) == 30)
        assert len(set(failed)) == 1
        await world.stop()
        await world.start()
        await world.until(lambda: world.held(RAIN_YES) == 50, seconds=200)

    live()
