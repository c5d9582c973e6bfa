"""What one incarnation of an actor owns beside its state: timers, tasks, watches, replies it still owes.

All of it ends with the incarnation. Most actors own nothing, so a cell makes this when it is first needed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from .dead_letters import DeadLetterKind
from .errors import ActorError, ActorRestarted, DomainError, OutcomeUnknown
from .future import Future
from .messages import Down, Envelope, ExitKind, ExitReason, TaskDone, TaskFailed
from .snapshot import QuestionSnapshot, TimerSnapshot
from .tasks import TaskHandle
from .timers import MessageTimer, Timer

if TYPE_CHECKING:
    from .cell import Cell

logger = logging.getLogger("tallystick.actors")


class Watch:
    """One actor's interest in the end of another; dead once it was told or withdrawn."""

    __slots__ = ("live", "target", "watcher")

    def __init__(self, watcher: Cell, target: Cell) -> None:
        self.watcher = watcher
        self.target = target
        self.live = True

    def tell(self, reason: ExitReason) -> None:
        """Queues the ``Down``."""
        self.watcher.push(Down(self.target.ref, self.target.incarnation, reason), self)

    def withdraw(self) -> None:
        """Ends the interest, also where the ``Down`` already waits."""
        self.live = False
        if self.target.watchers is not None:
            self.target.watchers.pop(self.watcher, None)


# Never written to: they stand for what has not been made yet.
_NO_TASKS: dict[str, TaskHandle] = {}
_NO_TIMERS: dict[Hashable, Timer] = {}
_NO_WATCHES: dict[Cell, Watch] = {}
_NONE_OWED: dict[Future[Any], Envelope] = {}


class Belongings:
    """The possessions of one incarnation."""

    __slots__ = ("_cell", "_owed", "_timers", "_watches", "questions", "tasks")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        # Each is made when there is something to put into it: few actors have more than timers.
        self.tasks: dict[str, TaskHandle] = _NO_TASKS
        self._timers: dict[Hashable, Timer] = _NO_TIMERS
        self._watches: dict[Cell, Watch] = _NO_WATCHES
        self._owed: dict[Future[Any], Envelope] = _NONE_OWED
        self.questions: dict[object, QuestionSnapshot] | None = None
        """Asks in flight, each with the time it was asked at in place of its age."""

    # --- timers ---------------------------------------------------------------------------------------------------

    def timers(self, now: float) -> tuple[TimerSnapshot, ...]:
        """Timers that are armed, or fired and not delivered, the next one first."""
        found = [TimerSnapshot(timer.name, timer.due_at - now) for timer in self._timers.values()]
        return tuple(sorted(found, key=lambda timer: timer.due_in_seconds))

    @property
    def deferred(self) -> int:
        """How many replies are owed."""
        return len(self._owed)

    def asked(self, pending: object, receiver: str, message_type: str) -> None:
        """Notes an ask in flight."""
        if self.questions is None:
            self.questions = {}
        self.questions[pending] = QuestionSnapshot(receiver, message_type, self._cell.system.now())

    def asks(self, now: float) -> tuple[QuestionSnapshot, ...]:
        """Asks in flight, the oldest first."""
        found = self.questions.values() if self.questions is not None else ()
        return tuple(QuestionSnapshot(ask.receiver, ask.message_type, now - ask.age_seconds) for ask in found)

    def answered(self, pending: object) -> None:
        """Forgets an ask that has its answer."""
        if self.questions is not None:
            self.questions.pop(pending, None)

    def arm_timer(self, seconds: float, message: object, key: Hashable) -> Timer:
        """Arms a timer; one with a key replaces the key's earlier one, fired or not."""
        timers = self._timers
        if timers is _NO_TIMERS:
            timers = self._timers = {}
        elif key is not None and key in timers:
            timers.pop(key).cancel()
        cell = self._cell
        system = cell.system
        timer = system.timers.arm_message(system.now() + seconds, cell, message, system.origin(), key)
        timers[timer if key is None else key] = timer
        return timer

    def cancel_timer(self, key: Hashable) -> bool:
        """Cancels a key's timer, also where its message already waits; False where there is none."""
        timer = self._timers.pop(key, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def delivered(self, envelope: Envelope) -> None:
        """Forgets what a delivery has used up: a timer, or a watch that is answered."""
        guard = envelope.guard
        if type(guard) is MessageTimer:
            self._timers.pop(guard if guard.key is None else guard.key, None)
        elif type(guard) is Watch and type(envelope.message) is Down:
            guard.live = False
            self._watches.pop(guard.target, None)

    # --- tasks ----------------------------------------------------------------------------------------------------

    def start_task(
        self,
        function: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        name: str,
        hangs_after_seconds: float | None = None,
    ) -> None:
        """Starts async work that this incarnation owns; one that runs for longer than it was given is reported."""
        cell = self._cell
        if name in self.tasks:
            raise ActorError(f"{cell.path} already runs a task named {name!r}")
        if self.tasks is _NO_TASKS:
            self.tasks = {}
        handle = self.tasks[name] = TaskHandle(self, cell.system, name)
        if hangs_after_seconds is not None:
            cell.system.watch_task(cell, handle, hangs_after_seconds)
        cell.system.task_started()
        cell.system.nursery.start_soon(handle.run, function, arguments, name=f"{cell.path}:{name}")

    def task_ended(self, handle: TaskHandle, *, completed: bool, value: Any, error: BaseException | None) -> None:
        """Turns the end of a task into a message; where it was cancelled, lets the cell go on ending."""
        del self.tasks[handle.name]
        if handle.live:
            if error is not None:
                self._cell.push(TaskFailed(handle.name, error), handle, handle.origin)
            elif completed:
                self._cell.push(TaskDone(handle.name, value), handle, handle.origin)
        elif error is not None:
            logger.warning("%s: task %s failed while it was cancelled: %r", self._cell.path, handle.name, error)
        if not self.tasks:
            self._cell.tasks_ended(self)

    # --- watches --------------------------------------------------------------------------------------------------

    def watch(self, target: Cell) -> None:
        """Arranges exactly one ``Down`` for the end of ``target``; at once where it has ended. Idempotent."""
        cell = self._cell
        if target.system is not cell.system:
            raise ActorError(f"{cell.path} cannot watch {target.path}: it lives in another actor system")
        if target in self._watches:
            return
        if self._watches is _NO_WATCHES:
            self._watches = {}
        watch = self._watches[target] = Watch(cell, target)
        if target.state == "stopped":
            watch.tell(ExitReason(ExitKind.NOT_FOUND, "it had ended before it was watched"))
            return
        if target.watchers is None:
            target.watchers = {}
        target.watchers[cell] = watch

    def unwatch(self, target: Cell) -> None:
        """Withdraws a watch; a ``Down`` that already waits is not delivered."""
        watch = self._watches.pop(target, None)
        if watch is not None:
            watch.withdraw()

    # --- replies --------------------------------------------------------------------------------------------------

    def defer_reply(self, envelope: Envelope) -> Future[Any]:
        """Takes the reply out of the handler's hands; settling the future gives it."""
        cell = self._cell
        reply_to, envelope.reply_to = envelope.reply_to, None
        if reply_to is None:
            raise ActorError(f"{cell.path}: {type(envelope.message).__name__} was told, nobody waits for a reply")
        future: Future[Any] = Future()
        if self._owed is _NONE_OWED:
            self._owed = {}
        self._owed[future] = envelope

        def answer() -> None:
            self._owed.pop(future, None)
            if not reply_to.settle(*future.outcome()):
                cell.dead_letter(envelope, DeadLetterKind.LATE_REPLY, "the asker had given up")

        future.add_done_callback(lambda: cell.system.call_soon(answer))
        return future

    def refuse_deferred(self, envelope: Envelope, error: DomainError) -> bool:
        """Answers with a refusal that a handler raised after it had put its reply off."""
        for future, owed_for in self._owed.items():
            if owed_for is envelope:
                return future.settle(None, error)
        return False

    # --- the end --------------------------------------------------------------------------------------------------

    def release(self, reason: ExitReason) -> None:
        """Lets go of everything; tasks are cancelled and unwind from here on."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for watch in self._watches.values():
            watch.withdraw()
        self._watches.clear()
        for task in self.tasks.values():
            task.cancel()
        cell = self._cell
        for future in tuple(self._owed):
            if reason.is_clean:
                future.settle(None, OutcomeUnknown(f"{cell.path} ended before it answered"))
            else:
                future.settle(None, ActorRestarted(cell.path, cell.incarnation))
