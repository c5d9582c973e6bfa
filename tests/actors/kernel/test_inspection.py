"""What an operator sees of a tree: everything that waits, and everything that hangs, with where it hangs."""

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from tallystick.actors.kernel import (
    Actor,
    ActorRef,
    ActorSystem,
    Backoff,
    ChildSpec,
    LaneDepths,
    LoopHung,
    SupervisorSpec,
    TaskHung,
    TasksAbandoned,
    Watchdog,
    handles,
    handling_times,
    open_system,
)


class Wait(msgspec.Struct, frozen=True):
    """Starts a task that waits."""

    name: str
    hangs_after_seconds: float | None = None
    stubborn: bool = False


class Ask(msgspec.Struct, frozen=True):
    other: ActorRef


class Never(msgspec.Struct, frozen=True):
    """Is never answered."""


class Note(msgspec.Struct, frozen=True):
    pass


class Fail(msgspec.Struct, frozen=True):
    pass


class Block(msgspec.Struct, frozen=True):
    """Blocks the loop until the event is set."""

    until: threading.Event


class Busy(Actor):
    def on_start(self) -> None:
        self.after(60, Note(), key="cadence")
        self.after(5, Note())

    @handles(Wait)
    def wait(self, message: Wait) -> None:
        waiting = stubbornly if message.stubborn else trio.sleep_forever
        self.start_task(waiting, name=message.name, hangs_after_seconds=message.hangs_after_seconds)

    @handles(Ask)
    def ask(self, message: Ask) -> None:
        self.ask_for_reply(message.other, Never(), key="it")

    @handles(Never)
    def never(self, _message: Never) -> None:
        self.defer_reply()

    @handles(Note)
    def note(self, _message: Note) -> None:
        pass

    @handles(Fail)
    def fail(self, _message: Fail) -> None:
        raise RuntimeError("on purpose")

    @handles(Block)
    def block(self, message: Block) -> None:
        assert message.until.wait(30)


async def stubbornly() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(3_000)


def one(system: ActorSystem, path: str) -> Any:
    (found,) = [snapshot for snapshot in system.snapshot() if snapshot.path == path]
    return found


def busy(system: ActorSystem, name: str = "busy") -> ActorRef:
    return system.spawn(ChildSpec(id=name, factory=Busy, backoff=Backoff(0.0, 0.0, 0.0)))


async def test_a_snapshot_shows_tasks_with_where_they_wait_and_timers_with_when_they_are_due(
    system: ActorSystem, autojump_clock: trio.testing.MockClock
) -> None:
    ref = busy(system)
    ref.tell(Wait("feed"))
    await trio.sleep(2)
    found = one(system, "/busy")
    (task,) = found.tasks
    assert (task.name, task.age_seconds, task.cancelled) == ("feed", 2.0, False)
    assert any("sleep_forever" in frame for frame in task.where)
    assert [(timer.name, round(timer.due_in_seconds)) for timer in found.timers] == [("Note", 3), ("cadence", 58)]
    assert found.lanes == LaneDepths(control=0, supervision=0, user=0)
    assert (found.actor_class, found.state, found.is_supervisor, found.restart) == (
        "Busy",
        "running",
        False,
        "permanent",
    )


async def test_a_snapshot_shows_asks_in_flight_and_replies_owed_until_they_are_given(
    system: ActorSystem, autojump_clock: trio.testing.MockClock
) -> None:
    asking, asked = busy(system, "asking"), busy(system, "asked")
    asking.tell(Ask(asked))
    await trio.sleep(1)
    (question,) = one(system, "/asking").questions
    assert (question.receiver, question.message_type, question.age_seconds) == ("/asked", "Never", 1.0)
    assert one(system, "/asked").deferred == 1
    asked.tell(Fail())
    await trio.sleep(1)
    assert one(system, "/asking").questions == ()
    assert one(system, "/asked").deferred == 0


async def test_a_suspended_actors_mailbox_shows_how_deep_and_how_old_it_is(
    system: ActorSystem, autojump_clock: trio.testing.MockClock
) -> None:
    from tallystick.actors.kernel import Suspend

    ref = busy(system)
    await ref.control(Suspend()).wait()
    ref.tell(Wait("later"))
    ref.tell(Note())
    await trio.sleep(4)
    found = one(system, "/busy")
    assert found.state == "suspended"
    assert found.lanes.user == found.mailbox_depth == 2
    assert (found.oldest_type, found.oldest_age_seconds) == ("Wait", 4.0)


async def test_a_dynamic_supervisor_is_told_from_an_actor(system: ActorSystem) -> None:
    spec = SupervisorSpec(strategy="simple_one_for_one", children=(ChildSpec(id="busy", factory=Busy),))
    system.spawn(ChildSpec(id="set", factory=spec))
    await trio.testing.wait_all_tasks_blocked()
    found = one(system, "/set")
    assert found.is_supervisor
    assert found.is_dynamic
    assert one(system, "/").is_supervisor


async def test_handling_times_come_from_the_trace(system: ActorSystem) -> None:
    ref = busy(system)
    for _ in range(3):
        ref.tell(Note())
    await trio.testing.wait_all_tasks_blocked()
    times = handling_times(system.trace.events())["/busy"]
    assert times.messages == 3 + 1, "the start counts as well"
    assert times.last_type == "Note"
    assert times.longest_seconds <= times.seconds


async def test_a_task_that_runs_for_longer_than_it_was_given_is_reported_once_with_its_stack(
    system: ActorSystem, autojump_clock: trio.testing.MockClock
) -> None:
    reports: list[object] = []
    system.events.subscribe(reports.append)
    busy(system).tell(Wait("sweep", hangs_after_seconds=10))
    await trio.sleep(9)
    assert not [found for found in reports if isinstance(found, TaskHung)]
    await trio.sleep(100)
    (hung,) = [found for found in reports if isinstance(found, TaskHung)]
    assert (hung.path, hung.task, hung.seconds) == ("/busy", "sweep", 10)
    assert "sleep_forever" in hung.where


async def test_a_task_that_ends_in_time_is_not_reported(
    system: ActorSystem, autojump_clock: trio.testing.MockClock
) -> None:
    reports: list[object] = []
    system.events.subscribe(reports.append)
    ref = busy(system)
    ref.tell(Wait("sweep", hangs_after_seconds=10))
    await trio.sleep(5)
    ref.tell(Fail())
    await trio.sleep(100)
    assert not [found for found in reports if isinstance(found, TaskHung)]


async def test_a_crashed_actor_whose_task_swallows_its_cancellation_starts_again_and_the_task_is_reported(
    system: ActorSystem, autojump_clock: trio.testing.MockClock
) -> None:
    reports: list[object] = []
    system.events.subscribe(reports.append)
    ref = busy(system)
    ref.tell(Wait("stuck", stubborn=True))
    ref.tell(Fail())
    await trio.sleep(1)
    found = one(system, "/busy")
    assert found.state == "stopping"
    assert found.tasks[0].cancelled
    await trio.sleep(10)
    assert (one(system, "/busy").state, one(system, "/busy").incarnation) == ("running", 2)
    (abandoned,) = [found for found in reports if isinstance(found, TasksAbandoned)]
    assert "stubbornly" in abandoned.tasks[0]


# ---- the watchdog -----------------------------------------------------------------------------------------


async def hung(block: Callable[[ActorSystem, threading.Event], None]) -> tuple[list[LoopHung], list[LoopHung]]:
    """What the watchdog says on its own thread, and what it publishes, while something blocks until it has spoken."""
    told: list[LoopHung] = []
    published: list[LoopHung] = []
    spoken = threading.Event()

    def on_hang(hang: LoopHung) -> None:
        told.append(hang)
        spoken.set()

    async with open_system(random=Random(1)) as system:
        ended = trio.Event()

        def reported(report: object) -> None:
            assert isinstance(report, LoopHung)
            published.append(report)
            ended.set()

        system.events.subscribe(reported, LoopHung)
        with Watchdog(system, limit_seconds=0.02, on_hang=on_hang).watching():
            block(system, spoken)
            with trio.fail_after(30):
                await ended.wait()
    return told, published


async def test_a_handler_that_blocks_the_loop_is_told_with_its_stack_while_it_blocks_and_when_it_is_over() -> None:
    def block(system: ActorSystem, spoken: threading.Event) -> None:
        busy(system).tell(Block(spoken))

    told, published = await hung(block)
    (first,) = told
    assert (first.path, first.message_type, first.ended) == ("/busy", "Block", False)
    assert "in block" in first.stack
    (last,) = published
    assert last.ended
    assert last.seconds >= first.seconds
    assert last.stack == first.stack


async def test_what_blocks_the_loop_outside_of_every_handler_is_told_as_well() -> None:
    def block(_system: ActorSystem, spoken: threading.Event) -> None:
        assert spoken.wait(30)

    told, _published = await hung(block)
    assert told[0].path == ""
    assert told[0].where == "a task or a callback"
    assert "in block" in told[0].stack


async def test_a_loop_that_comes_round_is_not_told() -> None:
    told: list[LoopHung] = []
    async with open_system(random=Random(1)) as system:
        with Watchdog(system, limit_seconds=60, on_hang=told.append).watching():
            ref = busy(system)
            for _ in range(10):
                ref.tell(Note())
                await trio.lowlevel.checkpoint()
    assert not told


def test_a_watchdog_needs_a_limit() -> None:
    system = ActorSystem(random=Random(1))
    with pytest.raises(ValueError, match="limit"):
        Watchdog(system, limit_seconds=0)
