"""Any sequence of crashes, kills, stops and restarts leaves a whole tree, answers every ask and ends every watch."""

from __future__ import annotations

import logging
from random import Random
from typing import Any

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.actors.kernel import (
    NORMAL,
    SHUTDOWN,
    ActorDeadError,
    ActorRef,
    ActorSystem,
    Backoff,
    CancelAll,
    ChildError,
    ChildSpec,
    Down,
    Future,
    MailboxFull,
    MailboxSpec,
    Restart,
    RestartChild,
    Resume,
    SupervisorSpec,
    Suspend,
    TaskDone,
    TaskFailed,
    TerminateChild,
    handles,
)
from tallystick.actors.kernel.cell import Cell

from .world import Boom, Crash, Doer, Exit, Note, Who, fails_from

SMALL = MailboxSpec(capacity=3)


class Busy(Doer):
    """Has a timer, a task and a watch in each incarnation; its start or its stop may fail."""

    def on_start(self) -> None:
        super().on_start()
        self.after(1.5, Note("timer"), key="k")
        self.start_task(self.work, name="work")
        target = self.behaviour.get("watches")
        if target is not None:
            ref = self.system.find(target)
            if ref is not None:
                self.watch(ref)

    async def work(self) -> None:
        try:
            await trio.sleep(self.behaviour.get("seconds", 3))
            if self.behaviour.get("task_fails"):
                raise Boom("task")
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.behaviour.get("unwinds", 0))

    @handles(TaskDone, TaskFailed)
    def task_over(self, _message: Any) -> None:
        self.log.append("task over")

    @handles(CancelAll)
    def cancel_all(self, _message: CancelAll) -> None:
        self.log.append("cancel all")


class Observer(Doer):
    """Watches everything it is told to and counts what it hears."""

    def __init__(self, downs: dict[str, int]) -> None:
        super().__init__([])
        self.downs = downs

    @handles(Down)
    def down(self, message: Down) -> None:
        self.downs[message.ref.path] = self.downs.get(message.ref.path, 0) + 1


BEHAVIOURS = st.fixed_dictionaries(
    {},
    optional={
        "on_start": st.sampled_from([fails_from(2, 3), fails_from(3, 3), fails_from(4, 9)]),
        "crash_in_stop": st.just(True),
        "task_fails": st.just(True),
        "seconds": st.sampled_from([0.2, 2.0]),
        "unwinds": st.sampled_from([0.0, 0.5, 8.0]),
        "watches": st.sampled_from(["/t/w0", "/t/s1/w0"]),
    },
)
WORKERS = st.tuples(
    BEHAVIOURS,
    st.sampled_from(["permanent", "transient", "temporary"]),
    st.sampled_from([0.0, 0.4]),
    st.sampled_from([0.0, 1.0, None]),
)
GROUPS = st.tuples(
    st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    st.integers(0, 4),
    st.lists(WORKERS, min_size=2, max_size=3),
)
PATHS = [f"{parent}/w{number}" for parent in ("/t", "/t/s0", "/t/s1") for number in range(3)]
ACTIONS = (
    "crash",
    "normal",
    "shutdown",
    "kill",
    "restart",
    "suspend",
    "resume",
    "ask",
    "flood",
    "cancel all",
    "terminate",
    "start again",
    "spawn",
    "kill group",
    "stop group",
    "sleep",
    "breathe",
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.sampled_from(PATHS),
    ),
    min_size=15,
    max_size=60,
)


def tree(top: Any, groups: list[Any]) -> ChildSpec:
    def workers(descriptions: list[Any]) -> tuple[ChildSpec, ...]:
        return tuple(
            ChildSpec(
                f"w{number}",
                Busy,
                ([], f"w{number}"),
                behaviour,
                restart=restart,
                backoff=Backoff(min_seconds=delay, max_seconds=2),
                shutdown_timeout_seconds=timeout,
                mailbox=SMALL,
            )
            for number, (behaviour, restart, delay, timeout) in enumerate(descriptions)
        )

    inner = tuple(
        ChildSpec(f"s{number}", SupervisorSpec(strategy, intensity, 5.0, workers(descriptions)), restart="transient")
        for number, (strategy, intensity, descriptions) in enumerate(groups)
    )
    strategy, intensity, descriptions = top
    return ChildSpec("t", SupervisorSpec(strategy, intensity, 5.0, workers(descriptions) + inner), restart="transient")


def check_tree(system: ActorSystem) -> None:
    """The registry and the tree are one: every known cell hangs on its parent, alive, under its own path."""

    def visit(cell: Cell, seen: dict[str, Cell]) -> None:
        seen[cell.path] = cell
        assert cell.state != "stopped", cell
        for child_id, child in (cell.children or {}).items():
            assert child.parent is cell
            assert child.spec.id == child_id
            visit(child, seen)

    seen: dict[str, Cell] = {}
    visit(system.root.cell, seen)
    assert seen == system._cells
    assert all(cell.instance is not None or cell.state in {"new", "starting", "down"} for cell in seen.values()), (
        seen.values()
    )
    for cell in seen.values():
        if cell.state == "running" and not cell.scheduled:
            assert not cell.has_work(), cell


async def live(top: Any, groups: list[Any], steps: list[tuple[str, str]]) -> None:
    futures: list[Future[Any]] = []
    downs: dict[str, int] = {}
    watched: set[str] = set()
    root = SupervisorSpec(intensity=1000, period_seconds=1.0)
    async with ActorSystem(random=Random(5), root=root) as system:
        observer = system.spawn(Observer, downs, mailbox=MailboxSpec(capacity=None))
        system.spawn(tree(top, groups))
        await trio.testing.wait_all_tasks_blocked()
        for step, path in steps:
            await take_step(system, step, path, futures)
            ref = system.find(path)
            if ref is not None and path not in watched:
                watched.add(path)
                observer.cell.owned().watch(ref.cell)
        await trio.testing.wait_all_tasks_blocked()
        check_tree(system)
        await trio.sleep(30)
        check_tree(system)
    assert system._cells == {}
    assert all(future.done() for future in futures)
    assert all(count == 1 for count in downs.values()), downs
    assert system._tasks_running == 0


async def take_step(system: ActorSystem, step: str, path: str, futures: list[Future[Any]]) -> None:
    if step == "sleep":
        await trio.sleep(0.7)
        return
    if step == "breathe":
        await trio.testing.wait_all_tasks_blocked()
        return
    parent_path, _, child_id = path.rpartition("/")
    parent = system.find(parent_path)
    if step in {"kill group", "stop group", "terminate", "start again", "spawn"}:
        if parent is None:
            return
        if step == "kill group":
            futures.append(parent.kill())
        elif step == "stop group":
            futures.append(parent.stop_next())
        elif step == "terminate":
            futures.append(parent.ask(TerminateChild(child_id), block=False))
        elif step == "start again":
            futures.append(parent.ask(RestartChild(child_id), block=False))
        else:
            try:
                system.spawn(ChildSpec(child_id, Busy, ([], child_id), restart="temporary"), under=parent)
            except (ActorDeadError, ChildError):  # the id is in use, or its group is down
                return
        return
    ref = system.find(path)
    if ref is None:
        return
    try:
        act(ref, step, futures)
    except MailboxFull:
        return


def act(ref: ActorRef, step: str, futures: list[Future[Any]]) -> None:
    if step == "crash":
        ref.tell(Crash())
    elif step == "normal":
        ref.tell(Exit(NORMAL))
    elif step == "shutdown":
        ref.tell(Exit(SHUTDOWN))
    elif step == "kill":
        futures.append(ref.kill())
    elif step == "restart":
        futures.append(ref.control(Restart()))
    elif step == "suspend":
        futures.append(ref.control(Suspend()))
    elif step == "resume":
        futures.append(ref.control(Resume()))
    elif step == "ask":
        futures.append(ref.ask(Who(), block=False))
    elif step == "cancel all":
        futures.append(ref.control(CancelAll()))
    else:
        assert step == "flood", step
        futures.extend(ref.ask(Note(str(number)), block=False) for number in range(5))


@settings(max_examples=80, deadline=None)
@given(top=GROUPS, groups=st.lists(GROUPS, min_size=1, max_size=2), steps=STEPS)
def test_any_sequence_of_failures_leaves_a_whole_tree_and_nobody_waiting(
    top: Any, groups: list[Any], steps: list[tuple[str, str]]
) -> None:
    level = logging.getLogger("tallystick.actors").level
    logging.getLogger("tallystick.actors").setLevel(logging.CRITICAL)
    try:
        trio.run(live, top, groups, steps, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logging.getLogger("tallystick.actors").setLevel(level)
