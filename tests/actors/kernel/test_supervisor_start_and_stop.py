"""The order of starting and stopping, what happens when either fails, and the operator's table of children."""

from __future__ import annotations

import pytest
import trio
from tallystick.actors.kernel import (
    NORMAL,
    UNLIMITED,
    ActorDeadError,
    ActorSystem,
    Backoff,
    ChildCounts,
    ChildError,
    ChildSpec,
    CountChildren,
    DeleteChild,
    ExitKind,
    Kill,
    Report,
    RestartChild,
    ShutdownError,
    StartChild,
    StartFailed,
    StartTimeout,
    SupervisorSpec,
    TasksAbandoned,
    TerminateChild,
    WhichChildren,
)
from tallystick.actors.kernel.spec import AutoShutdown

from .world import (
    Boom,
    Crash,
    Do,
    Doer,
    Exit,
    Note,
    Who,
    Worker,
    ask_who,
    fails_from,
    fails_times,
    ignores,
    in_virtual_time,
    ref_of,
    settle,
    supervisor,
    worker,
)

pytestmark = in_virtual_time


# --- start ------------------------------------------------------------------------------------------------------


class Acknowledging(Worker):
    """Defers its start until a task has finished, then acknowledges from a task."""

    def on_start(self) -> None:
        super().on_start()
        self.defer_start()
        self.start_task(self.prepare)

    async def prepare(self) -> None:
        await trio.sleep(self.behaviour["seconds"])
        self.acknowledge_start()


async def test_a_supervisor_goes_on_only_when_a_child_has_acknowledged_its_start(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(
        children=(worker("a", log, factory=Acknowledging, behaviour={"seconds": 3}), worker("b", log))
    )
    began = trio.current_time()
    await system.start_child(supervisor("s", spec))
    assert trio.current_time() - began == 3
    assert log == ["start a", "start b"]


async def test_messages_told_during_a_deferred_start_wait_for_its_end(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log, factory=Acknowledging, behaviour={"seconds": 3}))
    ref.tell(Note("early"))
    await trio.sleep(1)
    assert log == ["start a"]
    await trio.sleep(3)
    assert log == ["start a", "early"]


async def test_a_start_that_is_never_acknowledged_fails_after_its_timeout(system: ActorSystem, log: list[str]) -> None:
    spec = worker("a", log, factory=Acknowledging, behaviour={"seconds": 99}, start_timeout_seconds=2)
    began = trio.current_time()
    with pytest.raises(StartFailed, match=r"/a.*within 2 s") as caught:
        await system.start_child(spec)
    assert trio.current_time() - began == 2
    assert isinstance(caught.value.__cause__, StartTimeout)
    assert system.find("/a") is None


async def test_a_failed_start_stops_the_earlier_children_in_reverse_and_fails_the_supervisor(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(
        children=(
            worker("a", log),
            worker("b", log),
            worker("c", log, behaviour={"on_start": fails_from(1)}),
            worker("d", log),
        )
    )
    with pytest.raises(StartFailed, match=r"/s: child 'c': Boom: no start"):
        await system.start_child(supervisor("s", spec))
    assert log == ["start a", "start b", "start c", "stop b shutdown", "stop a shutdown"]
    assert [system.find(path) for path in ("/s", "/s/a", "/s/c")] == [None, None, None]


async def test_a_failing_initialiser_is_a_failed_start(system: ActorSystem) -> None:
    class Broken(Worker):
        def __init__(self) -> None:
            raise Boom("no instance")

    with pytest.raises(StartFailed, match="no instance"):
        await system.start_child(ChildSpec("a", Broken))


async def test_a_child_that_is_not_needed_keeps_its_specification_unless_temporary(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(
        children=(
            worker("a", log, behaviour={"on_start": ignores}),
            worker("b", log, behaviour={"on_start": ignores}, restart="temporary"),
            worker("c", log),
        )
    )
    parent = await system.start_child(supervisor("s", spec))
    assert parent is not None
    children = await parent.ask_async(WhichChildren())
    assert [(child.id, child.state) for child in children] == [("a", "idle"), ("c", "running")]


async def test_starting_a_child_that_is_not_needed_answers_none(system: ActorSystem, log: list[str]) -> None:
    assert await system.start_child(worker("a", log, behaviour={"on_start": ignores})) is None


async def test_a_child_that_crashes_while_its_successor_starts_is_restarted_afterwards(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(
        intensity=5, children=(worker("a", log), worker("b", log, factory=Acknowledging, behaviour={"seconds": 3}))
    )
    system.spawn(supervisor("s", spec))
    await trio.sleep(1)
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    assert log == ["start a", "start b", "stop a crashed"]
    await trio.sleep(3)
    assert log[3:] == ["start a"]
    assert ref_of(system, "/s").incarnation == 1


# --- stop -------------------------------------------------------------------------------------------------------


class Clinging(Worker):
    """Has a task that takes its time to end after it is cancelled."""

    def on_start(self) -> None:
        super().on_start()
        self.start_task(self.cling, name="cling")

    async def cling(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.behaviour["seconds"])
            self.log.append(f"unwound {self.label}")


async def test_the_system_stops_in_reverse_start_order(system: ActorSystem, log: list[str]) -> None:
    inner = SupervisorSpec(children=(worker("x", log), worker("y", log)))
    for spec in (worker("a", log), supervisor("s", inner), worker("b", log)):
        await system.start_child(spec)
    log.clear()
    await system.stop()
    assert log == ["stop b shutdown", "stop y shutdown", "stop x shutdown", "stop a shutdown"]
    assert system.failed is None


async def stop_with(system: ActorSystem, log: list[str], timeout: float, unwinding: float) -> float:
    child = worker("a", log, factory=Clinging, behaviour={"seconds": unwinding}, shutdown_timeout_seconds=timeout)
    parent = await system.start_child(supervisor("s", SupervisorSpec(children=(child,)), restart="temporary"))
    assert parent is not None
    await settle()
    began = trio.current_time()
    await parent.stop_next()
    await settle()
    return trio.current_time() - began


async def test_a_stop_waits_for_a_childs_tasks_within_its_timeout(system: ActorSystem, log: list[str]) -> None:
    assert await stop_with(system, log, timeout=5, unwinding=3) == 3
    assert log == ["start a", "stop a shutdown", "unwound a"]


async def test_an_unlimited_stop_waits_as_long_as_it_takes(system: ActorSystem, log: list[str]) -> None:
    assert await stop_with(system, log, timeout=UNLIMITED, unwinding=3000) == 3000


async def test_a_stop_that_takes_too_long_becomes_a_kill_and_a_report(system: ActorSystem, log: list[str]) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    assert await stop_with(system, log, timeout=5, unwinding=30) == 5
    (late,) = [report for report in reports if isinstance(report, ShutdownError)]
    assert (late.child_id, late.reason.kind) == ("a", ExitKind.KILLED)
    assert log == ["start a", "stop a shutdown"]
    await trio.sleep(2)
    (stuck,) = [report for report in reports if isinstance(report, TasksAbandoned)]
    assert "cling" in stuck.tasks[0]


async def test_a_shutdown_timeout_of_zero_kills_without_the_hook(system: ActorSystem, log: list[str]) -> None:
    assert await stop_with(system, log, timeout=0, unwinding=0) == 0
    assert "stop a shutdown" not in log


async def test_a_hook_that_fails_at_a_stop_is_reported_as_another_end_than_asked(
    system: ActorSystem, log: list[str]
) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    await system.start_child(worker("a", log, behaviour={"crash_in_stop": True}))
    await system.stop()
    (error,) = [report for report in reports if isinstance(report, ShutdownError)]
    assert error.reason.kind is ExitKind.CRASHED


async def test_a_kill_while_the_actor_waits_for_its_tasks_to_unwind_ends_it_at_once(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log, factory=Clinging, behaviour={"seconds": 50}, restart="temporary"))
    await settle()
    ref.stop_next()
    await settle()
    assert ref.is_alive()
    began = trio.current_time()
    await ref.kill()
    await settle()
    assert not ref.is_alive()
    assert trio.current_time() == began


async def test_a_killed_supervisor_takes_its_whole_subtree_with_it(system: ActorSystem, log: list[str]) -> None:
    inner = SupervisorSpec(children=(worker("x", log),))
    outer = SupervisorSpec(children=(supervisor("in", inner), worker("a", log)))
    await system.start_child(supervisor("s", outer, restart="temporary"))
    refs = [ref_of(system, path) for path in ("/s", "/s/in", "/s/in/x", "/s/a")]
    refs[0].control(Kill())
    await settle()
    assert [ref.is_alive() for ref in refs] == [False] * 4
    assert log == ["start x", "start a"]


async def test_a_stop_of_a_supervisor_that_is_still_starting_undoes_the_start(
    system: ActorSystem, log: list[str]
) -> None:
    spec = SupervisorSpec(
        children=(worker("a", log), worker("b", log, factory=Acknowledging, behaviour={"seconds": 9}))
    )
    ref = system.spawn(supervisor("s", spec, restart="temporary"))
    await trio.sleep(1)
    ref.stop_next()
    await settle()
    assert log == ["start a", "start b", "stop b shutdown", "stop a shutdown"]
    assert not ref.is_alive()


# --- automatic shutdown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "ends_after"), [("any_significant", 1), ("all_significant", 2)])
async def test_a_unit_of_work_ends_with_its_significant_children(
    system: ActorSystem, log: list[str], rule: AutoShutdown, ends_after: int
) -> None:
    children = (
        worker("aside", log),
        worker("p", log, restart="transient", significant=True),
        worker("q", log, restart="temporary", significant=True),
    )
    spec = SupervisorSpec(strategy="one_for_all", intensity=3, auto_shutdown=rule, children=children)
    await system.start_child(supervisor("s", spec, restart="transient"))
    ref_of(system, "/s/p").tell(Exit(NORMAL))
    await settle()
    assert (system.find("/s") is None) is (ends_after == 1)
    if ends_after == 2:
        ref_of(system, "/s/q").tell(Crash())
        await settle()
        assert system.find("/s") is None
    assert log[-1] == "stop aside shutdown"


async def test_a_significant_child_that_is_restarted_has_not_ended(system: ActorSystem, log: list[str]) -> None:
    children = (worker("p", log, restart="transient", significant=True),)
    spec = SupervisorSpec(intensity=3, auto_shutdown="any_significant", children=children)
    await system.start_child(supervisor("s", spec))
    ref_of(system, "/s/p").tell(Crash())
    assert await ask_who(system, "/s/p") == 2
    assert ref_of(system, "/s").incarnation == 1


# --- the table of children ------------------------------------------------------------------------------------------


async def test_children_are_added_terminated_restarted_and_deleted(system: ActorSystem, log: list[str]) -> None:
    parent = await system.start_child(supervisor("s", SupervisorSpec()))
    assert parent is not None
    ref = await parent.ask_async(StartChild(worker("a", log)))
    assert await ref.ask_async(Who()) == 1
    with pytest.raises(ChildError, match="already has a child 'a'"):
        await parent.ask_async(StartChild(worker("a", log)))
    with pytest.raises(ChildError, match="is running, so terminate it first"):
        await parent.ask_async(DeleteChild("a"))
    with pytest.raises(ChildError, match="is running, not ended"):
        await parent.ask_async(RestartChild("a"))
    await parent.ask_async(TerminateChild("a"))
    assert not ref.is_alive()
    assert log == ["start a", "stop a shutdown"]
    again = await parent.ask_async(RestartChild("a"))
    assert await again.ask_async(Who()) == 1
    await parent.ask_async(TerminateChild("a"))
    await parent.ask_async(DeleteChild("a"))
    assert await parent.ask_async(WhichChildren()) == ()
    with pytest.raises(ChildError, match="has no child 'a'"):
        await parent.ask_async(RestartChild("a"))
    assert parent.incarnation == 1


async def test_a_child_waiting_for_its_restart_can_be_terminated(system: ActorSystem, log: list[str]) -> None:
    child = worker("a", log, backoff=Backoff(min_seconds=50, max_seconds=50))
    parent = await system.start_child(supervisor("s", SupervisorSpec(children=(child,))))
    assert parent is not None
    ref_of(system, "/s/a").tell(Crash())
    await settle()
    await parent.ask_async(TerminateChild("a"))
    await trio.sleep(100)
    assert log == ["start a", "stop a crashed"]


async def test_two_requests_to_terminate_a_child_are_both_answered(system: ActorSystem, log: list[str]) -> None:
    child = worker("a", log, factory=Clinging, behaviour={"seconds": 3})
    parent = await system.start_child(supervisor("s", SupervisorSpec(children=(child,))))
    assert parent is not None
    await settle()
    first = parent.ask(TerminateChild("a"), block=False)
    second = parent.ask(TerminateChild("a"), block=False)
    await trio.sleep(4)
    assert (first.done(), second.done()) == (True, True)
    assert [child.state for child in await parent.ask_async(WhichChildren())] == ["idle"]


async def test_a_termination_waits_for_the_group_restart_that_has_the_child_in_hand(
    system: ActorSystem, log: list[str]
) -> None:
    children = (
        worker("a", log, backoff=Backoff(min_seconds=2, max_seconds=2, factor=0)),
        worker("b", log),
        worker("c", log),
    )
    spec = SupervisorSpec(strategy="one_for_all", intensity=3, children=children)
    parent = await system.start_child(supervisor("s", spec))
    assert parent is not None
    ref_of(system, "/s/a").tell(Crash())
    await trio.sleep(1)
    with pytest.raises(ChildError, match="is restarting with its group"):
        await parent.ask_async(RestartChild("b"))
    await parent.ask_async(TerminateChild("b"))
    await settle()
    states = [(child.id, child.state) for child in await parent.ask_async(WhichChildren())]
    assert states == [("a", "running"), ("b", "idle"), ("c", "running")]


async def test_a_termination_while_the_supervisor_stops_does_not_get_in_its_way(
    system: ActorSystem, log: list[str]
) -> None:
    children = (worker("a", log), worker("b", log, factory=Clinging, behaviour={"seconds": 3}))
    spec = SupervisorSpec(intensity=0, children=children)
    parent = await system.start_child(supervisor("s", spec, restart="temporary"))
    assert parent is not None
    await settle()
    ref_of(system, "/s/a").tell(Crash())
    await trio.sleep(1)
    with pytest.raises(ChildError, match="has no child 'b' any more"):
        await parent.ask_async(TerminateChild("b"))
    await trio.sleep(5)
    assert not parent.is_alive()


async def test_counts_tell_specifications_active_children_and_their_sorts(system: ActorSystem, log: list[str]) -> None:
    spec = SupervisorSpec(
        children=(worker("a", log), worker("b", log, restart="transient"), supervisor("in", SupervisorSpec()))
    )
    parent = await system.start_child(supervisor("s", spec))
    assert parent is not None
    ref_of(system, "/s/b").tell(Exit(NORMAL))
    await settle()
    assert await parent.ask_async(CountChildren()) == ChildCounts(specs=3, active=2, supervisors=1, workers=2)


async def test_a_dynamic_set_makes_its_children_from_the_template(system: ActorSystem, log: list[str]) -> None:
    template = ChildSpec("order", Worker, args=(log,), restart="transient")
    spec = SupervisorSpec(strategy="simple_one_for_one", children=(template,))
    parent = await system.start_child(supervisor("orders", spec))
    assert parent is not None
    for child_id in ("7f3a", "7f3b"):
        system.spawn_from_template(parent, child_id, child_id)
    await settle()
    assert log == ["start 7f3a", "start 7f3b"]
    assert ref_of(system, "/orders/7f3a").path == "/orders/7f3a"
    with pytest.raises(ChildError, match="has no template"):
        system.spawn_from_template(system.root, "x")


async def test_a_dynamic_set_stops_in_parallel_under_one_timer(system: ActorSystem, log: list[str]) -> None:
    template = ChildSpec(
        "c", Clinging, args=(log,), kwargs={"seconds": 3}, restart="temporary", shutdown_timeout_seconds=5
    )
    parent = await system.start_child(
        supervisor("set", SupervisorSpec(strategy="simple_one_for_one", children=(template,)))
    )
    assert parent is not None
    for number in range(10):
        system.spawn_from_template(parent, f"c{number}", f"c{number}")
    await settle()
    began = trio.current_time()
    await system.stop()
    assert trio.current_time() - began == 3
    assert len([line for line in log if line.startswith("unwound")]) == 10


async def test_many_temporary_children_come_and_go_and_leave_nothing_behind(
    system: ActorSystem, log: list[str]
) -> None:
    template = ChildSpec("t", Worker, restart="temporary")
    parent = await system.start_child(
        supervisor("set", SupervisorSpec(strategy="simple_one_for_one", children=(template,)))
    )
    assert parent is not None
    refs = [system.spawn_from_template(parent, f"t{number}") for number in range(3000)]
    await settle()
    assert (await parent.ask_async(CountChildren())).active == 3000
    for number, ref in enumerate(refs):
        ref.tell(Exit(NORMAL) if number % 2 else Crash())
    await settle()
    assert (await parent.ask_async(CountChildren())).active == 0
    assert not any(ref.is_alive() for ref in refs)
    assert [snapshot.path for snapshot in system.snapshot()] == ["/", "/set"]


async def test_an_actor_spawns_siblings_and_children_of_other_supervisors(system: ActorSystem, log: list[str]) -> None:
    await system.start_child(supervisor("s", SupervisorSpec(children=(worker("a", log, factory=Doer),))))
    other = await system.start_child(supervisor("other", SupervisorSpec()))
    doer = ref_of(system, "/s/a")
    sibling = await doer.ask_async(Do(lambda actor: actor.spawn(worker("b", log))))
    cousin = await doer.ask_async(Do(lambda actor: actor.spawn(worker("c", log), under=other)))
    assert (sibling.path, cousin.path) == ("/s/b", "/other/c")
    assert await cousin.ask_async(Who()) == 1


async def test_messages_told_to_a_child_before_it_started_are_not_lost(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log))
    ref.tell(Note("one"))
    assert await ref.ask_async(Note("two")) == "two"
    assert log == ["start a", "one", "two"]


async def test_children_can_be_added_only_to_supervisors_that_run(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log))
    await settle()
    with pytest.raises(ChildError, match="not a supervisor"):
        system.spawn(worker("b", log), under=ref)
    parent = system.spawn(supervisor("s", SupervisorSpec(), restart="temporary"))
    await settle()
    await parent.stop_next()
    await settle()
    with pytest.raises(ActorDeadError):
        system.spawn(worker("b", log), under=parent)


async def test_a_dynamic_child_that_cannot_start_is_forgotten_and_its_messages_are_dead_letters(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log, behaviour={"on_start": fails_times(1)}))
    ref.tell(Note("lost"))
    future = ref.ask(Note("asked"), block=False)
    with pytest.raises(ActorDeadError):
        await future
    assert [type(letter.message) for letter in system.dead_letters] == [Note, Note]
    assert await system.start_child(worker("a", log)) is not None
