"""Async work that belongs to an actor but runs beside it.

A task runs in the system's nursery under a cancel scope of its own, so an actor without tasks owns nothing of
trio. Its end comes back to its actor as a message, in order after everything the task told the actor before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio

from .snapshot import TaskSnapshot

if TYPE_CHECKING:
    from .belongings import Belongings
    from .messages import Envelope
    from .system import ActorSystem

task_origin: ContextVar[Envelope | None] = ContextVar("tallystick_task_origin", default=None)
"""The message whose handling started the running task: the cause of what the task sends."""


class TaskHandle:
    """One running task of an actor."""

    __slots__ = ("_owner", "_system", "_task", "ended", "live", "name", "origin", "scope", "started_at")

    def __init__(self, owner: Belongings, system: ActorSystem, name: str) -> None:
        self._owner = owner
        self._system = system
        self.origin: Envelope | None = system.origin()
        self._task: trio.lowlevel.Task | None = None
        self.name = name
        self.started_at = system.now()
        self.live = True
        self.ended = False
        # Shielded: a cancellation from outside reaches tasks through the orderly stop of their actors only.
        self.scope = trio.CancelScope(shield=True)

    def cancel(self) -> None:
        """Cancels the task and disowns its result."""
        self.live = False
        self.scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def run(self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        """Runs the function to its end and hands the outcome to its owner."""
        task_origin.set(self.origin)
        self._task = trio.lowlevel.current_task()
        value: Any = None
        error: BaseException | None = None
        completed = False
        try:
            with self.scope:
                value = await function(*arguments)
                completed = True
        except Exception as raised:  # noqa: BLE001 - any failure of a task is its actor's to judge
            error = raised
        except (KeyboardInterrupt, SystemExit) as raised:
            self._system.interrupt(raised)
        finally:
            self.ended = True
            self._system.task_unwound()
            self._owner.task_ended(self, completed=completed, value=value, error=error)
            # The message of its end keeps this handle, and what that message causes keeps the message: without letting
            # go here every task would keep all before it, back to the first.
            self._task = self.origin = None

    def where(self) -> str:
        """Says where the task waits: its name and the innermost frames, for a report about a stuck task."""
        if self._task is None:
            return f"{self.name}: not started"
        return f"{self.name}: {' > '.join(self.frames())}"

    def frames(self) -> tuple[str, ...]:
        """The frames in which the task waits, outermost first; none before it has begun.

        The last is the call into trio: what trio does below it says nothing about the task.
        """
        found: list[str] = []
        for frame, line in () if self._task is None else self._task.iter_await_frames():
            if frame.f_code is not TaskHandle.run.__code__:
                found.append(f"{frame.f_code.co_qualname}:{line}")
            if frame.f_globals.get("__name__", "").partition(".")[0] == "trio":
                break
        return tuple(found)

    def snapshot(self, now: float) -> TaskSnapshot:
        """The task as data."""
        return TaskSnapshot(
            name=self.name, age_seconds=now - self.started_at, where=self.frames(), cancelled=not self.live
        )
