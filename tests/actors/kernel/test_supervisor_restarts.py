"""Who is restarted, when, and with what: the restart types, the strategies, intensity and backoff."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tallystick.actors.kernel import (
    NORMAL,
    SHUTDOWN,
    ActorRef,
    ActorSystem,
    Backoff,
    ChildSpec,
    ChildTerminated,
    CountChildren,
    ExitKind,
    ExitReason,
    Report,
    StartError,
    StartFailed,
    SupervisorGaveUp,
    SupervisorSpec,
    WhichChildren,
)
from tallystick.actors.kernel.spec import RestartType, Strategy

from .world import (
    Crash,
    Exit,
    Note,
    Who,
    Worker,
    ask_who,
    fails_from,
    in_virtual_time,
    new_system,
    ref_of,
    settle,
    supervisor,
    worker,
)

pytestmark = in_virtual_time

WAYS_TO_END: dict[str, Any] = {
    "normal": lambda ref: ref.tell(Exit(NORMAL)),
    "shutdown": lambda ref: ref.tell(Exit(SHUTDOWN)),
    "shutdown with a term": lambda ref: ref.tell(Exit(ExitReason(ExitKind.SHUTDOWN, "maintenance"))),
    "abnormal": lambda ref: ref.tell(Crash()),
    "kill": lambda ref: ref.kill(),
}


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("way", WAYS_TO_END)
@pytest.mark.parametrize("strategy", ["one_for_one", "simple_one_for_one"])
async def test_the_restart_type_and_the_way_of_ending_decide(
    system: ActorSystem, log: list[str], restart: RestartType, way: str, strategy: Strategy
) -> None:
    spec = SupervisorSpec(strategy=strategy, intensity=5, children=(worker("a", log, restart=restart),))
    parent = await system.start_child(supervisor("s", spec))
    assert parent is not None
    if strategy == "simple_one_for_one":
        system.spawn_from_template(parent, "a")
        await settle()
    WAYS_TO_END[way](ref_of(system, "/s/a"))
    await settle()
    clean = way in {"normal", "shutdown", "shutdown with a term"}
    restarted = restart == "permanent" or (restart == "transient" and not clean)
    counts = await parent.ask_async(CountChildren())
    assert counts.active == (1 if restarted else 0)
    if restarted:
        assert await ask_who(system, "/s/a") == 2
    else:
        assert system.find("/s/a") is None
        kept = restart != "temporary" and strategy == "one_for_one"
        assert len(await parent.ask_async(WhichChildren())) == (1 if kept else 0)


async def three(system: ActorSystem, log: list[str], strategy: Strategy, **settings: Any) -> ActorRef:
    spec = SupervisorSpec(
        strategy=strategy,
        intensity=settings.pop("intensity", 5),
        children=tuple(worker(child_id, log, **settings.get(child_id, {})) for child_id in "abc"),
    )
    parent = await system.start_child(supervisor("s", spec))
    assert parent is not None
    assert log == ["start a", "start b", "start c"]
    log.clear()
    return parent


async def test_one_for_one_restarts_the_failed_child_alone(system: ActorSystem, log: list[str]) -> None:
    await three(system, log, "one_for_one")
    ref_of(system, "/s/b").tell(Crash())
    await settle()
    assert log == ["stop b crashed", "start b"]


async def test_one_for_all_stops_all_in_reverse_and_starts_all_in_order(system: ActorSystem, log: list[str]) -> None:
    await three(system, log, "one_for_all")
    ref_of(system, "/s/b").tell(Crash())
    await settle()
    assert log == ["stop b crashed", "stop c shutdown", "stop a shutdown", "start a", "start b", "start c"]


async def test_rest_for_one_restarts_the_failed_child_and_those_after_it(system: ActorSystem, log: list[str]) -> None:
    await three(system, log, "rest_for_one")
    ref_of(system, "/s/b").tell(Crash())
    await settle()
    assert log == ["stop b crashed", "stop c shutdown", "start b", "start c"]
    assert [await ask_who(system, f"/s/{child_id}") for child_id in "abc"] == [1, 2, 2]


async def test_a_ref_stays_valid_through_a_restart_and_shows_the_new_incarnation(
    system: ActorSystem, log: list[str]
) -> None:
    await three(system, log, "one_for_one")
    ref = ref_of(system, "/s/b")
    assert ref.incarnation == 1
    ref.tell(Crash())
    assert await ref.ask_async(Who()) == 2
    assert (ref.incarnation, ref.is_alive(), ref is ref_of(system, "/s/b")) == (2, True, True)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_temporary_siblings_that_a_group_restart_stops_do_not_come_back(
    system: ActorSystem, log: list[str], strategy: Strategy
) -> None:
    parent = await three(system, log, strategy, c={"restart": "temporary"})
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    assert [child.id for child in await parent.ask_async(WhichChildren())] == ["a", "b"]
    assert "start c" not in log


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_sibling_that_fails_during_the_group_restart_is_tried_again(
    system: ActorSystem, log: list[str], strategy: Strategy
) -> None:
    await three(system, log, strategy, c={"behaviour": {"on_start": fails_from(2, 3)}})
    ref_of(system, "/s/b").tell(Crash())
    await settle()
    assert await ask_who(system, "/s/c") == 4
    assert await ask_who(system, "/s/b") == (4 if strategy == "one_for_all" else 2)


async def test_two_children_crashing_in_one_tick_are_two_restarts_of_one_for_one(
    system: ActorSystem, log: list[str]
) -> None:
    await three(system, log, "one_for_one")
    ref_of(system, "/s/a").tell(Crash())
    ref_of(system, "/s/c").tell(Crash())
    await settle()
    assert sorted(log) == ["start a", "start c", "stop a crashed", "stop c crashed"]


async def test_two_children_crashing_in_one_tick_are_one_restart_of_one_for_all(
    system: ActorSystem, log: list[str]
) -> None:
    await three(system, log, "one_for_all", intensity=1)
    ref_of(system, "/s/a").tell(Crash())
    ref_of(system, "/s/c").tell(Crash())
    await settle()
    assert [await ask_who(system, f"/s/{child_id}") for child_id in "abc"] == [2, 2, 2]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_past_its_intensity_a_supervisor_stops_its_children_and_fails_upward(
    system: ActorSystem, log: list[str], strategy: Strategy
) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    await three(system, log, strategy, intensity=1)
    ref_of(system, "/s/b").tell(Crash())
    await settle()
    log.clear()
    ref_of(system, "/s/b").tell(Crash())
    await settle()
    # The permanent supervisor itself is restarted by the root, with new children.
    assert log == ["stop b crashed", "stop c shutdown", "stop a shutdown", "start a", "start b", "start c"]
    assert ref_of(system, "/s").incarnation == 2
    (gave_up,) = [report for report in reports if isinstance(report, SupervisorGaveUp)]
    assert (gave_up.supervisor, gave_up.child_id, gave_up.intensity) == ("/s", "b", 1)


async def test_a_transient_supervisor_that_gave_up_is_not_restarted_because_it_ended_with_shutdown(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(intensity=0, children=(worker("a", log),))
    await system.start_child(supervisor("s", spec, restart="transient"))
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    assert system.find("/s") is None


async def test_escalation_through_two_levels_ends_the_system_and_says_why() -> None:
    log: list[str] = []
    middle = SupervisorSpec(intensity=0, children=(worker("a", log),))
    root = SupervisorSpec(intensity=0, children=(supervisor("m", middle),))
    async with new_system(root=root) as system:
        ref_of(system, "/m/a").tell(Crash("the end"))
        reason = await system.wait_ended()
        assert reason.kind is ExitKind.SHUTDOWN
        assert system.failed is reason
        assert "the end" in reason.detail
        assert not ref_is_known(system, "/m/a")


def ref_is_known(system: ActorSystem, path: str) -> bool:
    return system.find(path) is not None


async def test_restarts_spread_wider_than_the_period_never_exhaust_the_budget(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(intensity=1, period_seconds=5, children=(worker("a", log),))
    await system.start_child(supervisor("s", spec))
    for count in range(2, 8):
        ref_of(system, "/s/a").tell(Crash())
        await trio.sleep(5.1)
        assert await ask_who(system, "/s/a") == count
    assert ref_of(system, "/s").incarnation == 1


async def test_backoff_delays_double_until_the_actor_says_that_it_is_healthy(
    system: ActorSystem, log: list[str]
) -> None:
    class Recovering(Worker):
        def note(self, message: Note) -> str:
            if message.text == "resync complete":
                self.mark_healthy()
            return message.text

    backoff = Backoff(min_seconds=1, max_seconds=8, factor=0)
    spec = SupervisorSpec(intensity=100, children=(worker("a", log, factory=Recovering, backoff=backoff),))
    await system.start_child(supervisor("s", spec))
    ref = ref_of(system, "/s/a")

    async def delay() -> float:
        ref.tell(Crash())
        began = trio.current_time()
        await ref.ask_async(Who())
        return trio.current_time() - began

    assert [await delay() for _ in range(5)] == [1, 2, 4, 8, 8]
    await ref.ask_async(Note("resync complete"))
    assert await delay() == 1


async def test_jitter_comes_from_the_systems_random_source() -> None:
    async def delay() -> float:
        async with new_system() as system:
            log: list[str] = []
            spec = worker("a", log, backoff=Backoff(min_seconds=1, max_seconds=1, factor=0.5))
            ref = await system.start_child(spec)
            assert ref is not None
            ref.tell(Crash())
            began = trio.current_time()
            await ref.ask_async(Who())
            return trio.current_time() - began

    first, second = await delay(), await delay()
    assert first == pytest.approx(second)
    assert 1 < first < 1.5


async def test_a_restart_that_keeps_failing_spends_the_budget_and_then_fails_upward(
    system: ActorSystem, log: list[str]
) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    spec = SupervisorSpec(intensity=3, children=(worker("a", log, behaviour={"on_start": fails_from(2)}),))
    await system.start_child(supervisor("s", spec, restart="temporary"))
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    assert system.find("/s") is None
    assert len([report for report in reports if isinstance(report, StartError)]) == 3


async def test_a_supervisor_in_a_hopeless_restart_loop_still_obeys_a_stop(system: ActorSystem, log: list[str]) -> None:
    spec = SupervisorSpec(intensity=10**9, children=(worker("a", log, behaviour={"on_start": fails_from(2)}),))
    await system.start_child(supervisor("s", spec, restart="temporary"))
    ref_of(system, "/s/a").tell(Crash())
    for _ in range(5):
        await trio.lowlevel.checkpoint()
    assert log.count("start a") > 5
    assert ref_of(system, "/s").stop_next() is not None
    await settle()
    assert system.find("/s") is None


async def test_a_supervisor_waiting_out_a_backoff_obeys_a_stop_at_once(system: ActorSystem, log: list[str]) -> None:
    backoff = Backoff(min_seconds=50, max_seconds=60)
    await system.start_child(supervisor("s", SupervisorSpec(children=(worker("a", log, backoff=backoff),))))
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    began = trio.current_time()
    await system.stop()
    assert trio.current_time() == began
    assert log == ["start a", "stop a crashed"]


async def test_a_crash_while_the_parent_is_stopping_is_not_restarted(system: ActorSystem, log: list[str]) -> None:
    spec = SupervisorSpec(children=(worker("a", log), worker("b", log, behaviour={"crash_in_stop": True})))
    await system.start_child(supervisor("s", spec, restart="temporary"))
    ref_of(system, "/s/a").tell(Crash())
    ref_of(system, "/s").stop_next()
    await settle()
    assert system.find("/s") is None
    assert log.count("start a") == 1


async def test_reports_name_supervisor_child_and_reason_without_the_arguments(
    system: ActorSystem, log: list[str]
) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    await system.start_child(
        supervisor("s", SupervisorSpec(children=(worker("a", log, behaviour={"token": "secret"}),)))
    )
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    (ended,) = [report for report in reports if isinstance(report, ChildTerminated)]
    assert (ended.supervisor, ended.child_id, ended.path, ended.incarnation) == ("/s", "a", "/s/a", 1)
    assert ended.arguments == "(list, str, token=str)"
    assert "secret" not in repr(reports)
    assert ended.reason.kind is ExitKind.CRASHED
    kinds = [type(report).__name__ for report in reports]
    assert kinds == ["Progress", "Progress", "CrashReport", "ChildTerminated", "Progress"]


async def test_a_nested_supervisor_restarts_its_whole_subtree(system: ActorSystem, log: list[str]) -> None:
    inner = SupervisorSpec(children=(worker("x", log), worker("y", log)))
    outer = SupervisorSpec(strategy="rest_for_one", intensity=5, children=(worker("a", log), supervisor("in", inner)))
    await system.start_child(supervisor("s", outer))
    log.clear()
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    assert log == ["stop a crashed", "stop y shutdown", "stop x shutdown", "start a", "start x", "start y"]


async def test_the_system_does_not_open_when_a_child_of_the_root_cannot_start() -> None:
    log: list[str] = []
    root = SupervisorSpec(children=(worker("a", log), ChildSpec("b", Worker, (log, "b"), {"on_start": fails_from(1)})))
    with pytest.raises(StartFailed, match=r"child 'b'.*no start"):
        async with new_system(root=root):
            pytest.fail("opened")
    assert log == ["start a", "start b", "stop a shutdown"]
