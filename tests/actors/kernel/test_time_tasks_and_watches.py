"""What an actor owns beside its state: timers, tasks and watches. All of it ends with the incarnation."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tallystick.actors.kernel import (
    NORMAL,
    Actor,
    ActorError,
    ActorSystem,
    CrashReport,
    ExitKind,
    Report,
    Restart,
    Restarted,
    Resume,
    Suspend,
    TaskDone,
    TaskFailed,
    TerminateChild,
    handles,
)

from .world import Boom, Crash, Do, Doer, Exit, Note, Who, Worker, in_virtual_time, new_system, settle, worker

pytestmark = in_virtual_time


async def do(ref: Any, what: Any) -> Any:
    return await ref.ask_async(Do(what))


# --- timers -------------------------------------------------------------------------------------------------------


async def test_a_timer_sends_its_message_after_its_delay(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: actor.after(5, Note("five")))
    await do(ref, lambda actor: actor.after(2, Note("two")))
    await trio.sleep(4.9)
    assert log == ["start w", "two"]
    await trio.sleep(0.2)
    assert log == ["start w", "two", "five"]


async def test_timers_of_equal_deadline_fire_in_the_order_of_arming(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: [actor.after(1, Note(str(number))) for number in range(20)])
    await trio.sleep(1.1)
    assert log[1:] == [str(number) for number in range(20)]


async def test_a_cancelled_timer_does_nothing(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    timer = await do(ref, lambda actor: actor.after(1, Note("never")))
    timer.cancel()
    timer.cancel()
    await trio.sleep(2)
    assert log == ["start w"]


async def test_a_timer_cancelled_while_its_message_waits_does_nothing(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    timer = await do(ref, lambda actor: actor.after(1, Note("never")))
    await ref.control(Suspend())
    await trio.sleep(2)
    assert (await ref.inspect()).mailbox_depth == 1
    timer.cancel()
    await ref.control(Resume())
    await settle()
    assert log == ["start w"]
    assert [event.outcome for event in system.trace.events() if event.type == "Note"] == ["stale"]


async def test_arming_a_key_again_replaces_its_timer_even_where_it_has_fired(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: actor.after(1, Note("first"), key="k"))
    await do(ref, lambda actor: actor.after(2, Note("second"), key="k"))
    await ref.control(Suspend())
    await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(do, ref, lambda actor: actor.after(1, Note("third"), key="k"))
        await settle()
        # The re-arming waits behind the fired timer's message, as any message would.
        await ref.control(Resume())
    await trio.sleep(2)
    assert log[1:] == ["second", "third"]


async def test_a_key_is_cancelled_by_name(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: actor.after(1, Note("never"), key="k"))
    assert await do(ref, lambda actor: actor.cancel_timer("k")) is True
    assert await do(ref, lambda actor: actor.cancel_timer("k")) is False
    await trio.sleep(2)
    assert log == ["start w"]


async def test_timers_end_with_their_incarnation(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log, factory=Doer))
    await do(ref, lambda actor: actor.after(1, Note("of the first incarnation"), key="k"))
    ref.tell(Crash())
    await trio.sleep(2)
    assert log == ["start a", "stop a crashed", "start a"]


async def test_a_fired_timer_whose_actor_restarts_before_its_turn_is_not_delivered(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log, factory=Doer))
    await do(ref, lambda actor: actor.after(1, Note("stale")))
    await ref.control(Suspend())
    await trio.sleep(2)
    ref.cell.control(Restart())
    await settle()
    assert log == ["start a", "stop a crashed", "start a"]


async def test_a_negative_delay_is_a_mistake(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log, factory=Doer))
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    ref.tell(Do(lambda actor: actor.after(-1, Note("x"))))
    await settle()
    (crash,) = [report for report in reports if isinstance(report, CrashReport)]
    assert "needs a delay of >= 0 seconds, not -1" in crash.reason.detail


async def test_a_timers_message_is_caused_by_the_message_that_armed_it(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log, name="d")
    await do(ref, lambda actor: actor.after(1, Note("later")))
    await trio.sleep(2)
    (armed,) = [event for event in system.trace.events(path="/user/d") if event.type == "Do"]
    (fired,) = [event for event in system.trace.events(path="/user/d") if event.type == "Note"]
    assert (fired.cause, fired.root, fired.sender) == (armed.id, armed.root, "/user/d")


async def test_many_cancelled_timers_are_swept(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)

    def arm_and_cancel(actor: Doer) -> None:
        for _ in range(2000):
            actor.after(1000, Note("x")).cancel()
        actor.after(5, Note("kept"))

    await do(ref, arm_and_cancel)
    assert len(system.timers) == 1
    await trio.sleep(6)
    assert log[-1] == "kept"


# --- tasks ----------------------------------------------------------------------------------------------------------


class Tasking(Doer):
    @handles(TaskDone)
    def done(self, message: TaskDone) -> None:
        self.log.append(f"done {message.name} {message.value}")

    @handles(TaskFailed)
    def failed(self, message: TaskFailed) -> None:
        self.log.append(f"failed {message.name} {message.error}")

    async def work(self, seconds: float, fail: bool = False) -> str:
        self.actor_ref.tell(Note("working"))
        await trio.sleep(seconds)
        if fail:
            raise Boom("in a task")
        self.actor_ref.tell(Note("worked"))
        return "result"


async def test_a_tasks_result_comes_back_after_everything_it_told(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Tasking, log)
    name = await do(ref, lambda actor: actor.start_task(actor.work, 3, name="job"))
    await trio.sleep(4)
    assert name == "job"
    assert log == ["start w", "working", "worked", "done job result"]


async def test_a_tasks_failure_comes_back_as_a_message(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Tasking, log)
    await do(ref, lambda actor: actor.start_task(actor.work, 3, True, name="job"))
    await trio.sleep(4)
    assert log[-1] == "failed job in a task"
    assert ref.is_alive()


async def test_a_tasks_failure_that_nobody_handles_crashes_the_actor(system: ActorSystem, log: list[str]) -> None:
    class Careless(Doer):
        async def work(self) -> None:
            raise Boom("in a task")

    ref = system.spawn(worker("a", log, factory=Careless))
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    await do(ref, lambda actor: actor.start_task(actor.work, name="job"))
    await settle()
    assert await ref.ask_async(Who()) == 2
    (crash,) = [report for report in reports if isinstance(report, CrashReport)]
    assert "task 'job' of /a failed: Boom('in a task')" in crash.reason.detail


async def test_a_result_that_nobody_handles_is_no_harm(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: actor.start_task(trio.sleep, 1))
    await trio.sleep(2)
    assert await ref.ask_async(Who()) == 1
    assert not list(system.dead_letters)


class Holding(Tasking):
    async def hold(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.log.append(f"released in incarnation {self.incarnation}")


async def test_a_restart_while_a_task_awaits_cancels_it_and_waits_for_its_end(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log, factory=Holding))
    await do(ref, lambda actor: actor.start_task(actor.hold, name="hold"))
    await settle()
    ref.tell(Crash())
    await settle()
    assert log == ["start a", "stop a crashed", "released in incarnation 1", "start a"]
    await do(ref, lambda actor: actor.start_task(actor.hold, name="hold"))


async def test_a_stop_cancels_tasks_after_the_hook(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Holding, log)
    await do(ref, lambda actor: actor.start_task(actor.hold))
    await settle()
    await ref.stop_next()
    assert log == ["start w", "stop w shutdown", "released in incarnation 1"]


async def test_a_cancelled_task_says_nothing(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Holding, log)
    await do(ref, lambda actor: actor.start_task(actor.hold, name="hold"))
    await settle()
    assert await do(ref, lambda actor: actor.cancel_task("hold")) is True
    await settle()
    assert await do(ref, lambda actor: actor.cancel_task("hold")) is False
    assert log == ["start w", "released in incarnation 1"]


async def test_a_task_name_is_unique_while_it_runs(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Holding, log)

    def twice(actor: Holding) -> str:
        actor.start_task(actor.hold, name="hold")
        with pytest.raises(ActorError, match="already runs a task named 'hold'"):
            actor.start_task(actor.hold, name="hold")
        return "refused"

    assert await do(ref, twice) == "refused"


async def test_what_a_task_sends_is_caused_by_the_message_that_started_it(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Tasking, log, name="t")
    await do(ref, lambda actor: actor.start_task(actor.work, 1))
    await trio.sleep(2)
    (started,) = [event for event in system.trace.events() if event.type == "Do"]
    notes = [event for event in system.trace.events() if event.type == "Note"]
    assert [(note.cause, note.root, note.sender) for note in notes] == [(started.id, started.root, "/user/t")] * 2


async def test_an_actor_without_tasks_owns_no_trio_task(system: ActorSystem, log: list[str]) -> None:
    for number in range(50):
        system.spawn(Worker, log, str(number))
    await settle()
    assert len(system.nursery.child_tasks) == 1


async def test_a_task_that_asks_its_own_actor_is_answered(system: ActorSystem, log: list[str]) -> None:
    class Curious(Tasking):
        async def wonder(self) -> int:
            answer = await self.actor_ref.ask_async(Who())
            assert isinstance(answer, int)
            return answer

    ref = system.spawn(Curious, log)
    await do(ref, lambda actor: actor.start_task(actor.wonder, name="wonder"))
    await settle()
    assert log[-1] == "done wonder 1"


async def test_a_task_raising_system_exit_stops_the_system_in_order() -> None:
    log: list[str] = []

    async def leave() -> None:
        raise SystemExit(3)

    async def run() -> None:
        async with new_system() as system:
            ref = system.spawn(Doer, log)
            await do(ref, lambda actor: actor.start_task(leave))
            await system.wait_ended()

    with pytest.raises(SystemExit):
        await run()
    assert log == ["start w", "stop w shutdown"]


# --- watches ----------------------------------------------------------------------------------------------------------


async def test_a_watcher_is_told_exactly_once_when_the_actor_ends_for_good(system: ActorSystem, log: list[str]) -> None:
    target = system.spawn(Worker, [], name="t")
    ref = system.spawn(Doer, log)
    for _ in range(3):
        await do(ref, lambda actor: actor.watch(target))
    target.tell(Exit(NORMAL))
    await settle()
    assert log == ["start w", "down /user/t 1 normal"]


async def test_a_watch_outlives_restarts_and_tells_of_them_only_those_who_want_to_know(
    system: ActorSystem, log: list[str]
) -> None:
    class Interested(Doer):
        @handles(Restarted)
        def restarted(self, message: Restarted) -> None:
            self.log.append(f"restarted {message.ref.path} {message.incarnation}")

    target = system.spawn(worker("t", []))
    careless: list[str] = []
    watchers = [system.spawn(Interested, log), system.spawn(Doer, careless)]
    for watcher in watchers:
        await do(watcher, lambda actor: actor.watch(target))
    target.tell(Crash())
    await settle()
    assert log == ["start w", "restarted /t 2"]
    assert careless == ["start w"]
    await system.root.ask_async(TerminateChild("t"))
    await settle()
    assert log[-1] == careless[-1] == "down /t 2 shutdown"


async def test_watching_an_ended_actor_is_answered_at_once(system: ActorSystem, log: list[str]) -> None:
    target = system.spawn(Worker, [], name="t")
    target.tell(Exit(NORMAL))
    await settle()
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: actor.watch(target))
    await settle()
    assert log[-1] == "down /user/t 1 not_found"


async def test_an_actor_that_has_not_started_yet_can_be_watched(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    await settle()

    def spawn_and_watch(actor: Actor) -> None:
        target = actor.spawn(worker("t", [], behaviour={"on_start": _fail}))
        actor.watch(target)

    await do(ref, spawn_and_watch)
    await settle()
    assert log[-1] == "down /user/t 1 start_failed"


def _fail(_actor: Worker) -> None:
    raise Boom("no")


async def test_unwatching_takes_back_even_a_down_that_waits(system: ActorSystem, log: list[str]) -> None:
    target = system.spawn(Worker, [], name="t")
    ref = system.spawn(Doer, log)
    await do(ref, lambda actor: actor.watch(target))
    await ref.control(Suspend())
    target.tell(Exit(NORMAL))
    await settle()
    assert (await ref.inspect()).mailbox_depth == 1
    ref.cell.owned().unwatch(target.cell)
    await ref.control(Resume())
    await settle()
    assert log == ["start w"]


async def test_the_down_of_an_actor_comes_after_everything_it_had_told(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)
    target = system.spawn(Doer, [], name="t")
    await do(ref, lambda actor: actor.watch(target))

    def say_and_leave(actor: Doer) -> None:
        ref.tell(Note("last words"))
        actor.exit(NORMAL)

    target.tell(Do(say_and_leave))
    await settle()
    assert log == ["start w", "last words", "down /user/t 1 normal"]


async def test_a_watcher_without_a_handler_for_down_crashes(system: ActorSystem, log: list[str]) -> None:
    class Indifferent(Worker):
        @handles(Do)
        def do(self, message: Do) -> Any:
            return message.what(self)

    target = system.spawn(Worker, [], name="t")
    ref = system.spawn(Indifferent, log)
    await do(ref, lambda actor: actor.watch(target))
    target.tell(Exit(NORMAL))
    reason = await ref.wait_ended()
    assert reason.kind is ExitKind.CRASHED
    assert "does not handle Down" in reason.detail


async def test_a_restarted_watcher_watches_anew(system: ActorSystem, log: list[str]) -> None:
    target = system.spawn(Worker, [], name="t")
    ref = system.spawn(worker("a", log, factory=Doer))
    await do(ref, lambda actor: actor.watch(target))
    ref.tell(Crash())
    await settle()
    target.tell(Exit(NORMAL))
    await settle()
    assert log == ["start a", "stop a crashed", "start a"]
