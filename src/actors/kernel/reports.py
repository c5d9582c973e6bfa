"""What supervisors say: structured values on the system's event stream, each with a line for people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from .messages import ExitReason
from .spec import RestartType

logger = logging.getLogger("tallystick.actors.reports")


class ChildReport(msgspec.Struct, frozen=True):
    """What every report about a child says. ``arguments`` names types only: values may be credentials."""

    supervisor: str
    child_id: str
    path: str
    incarnation: int
    restart: RestartType
    arguments: str


class Progress(ChildReport, frozen=True):
    """A child started."""


class ChildTerminated(ChildReport, frozen=True):
    """A child ended without being asked to."""

    reason: ExitReason


class StartError(ChildReport, frozen=True):
    """A child could not start."""

    reason: ExitReason


class ShutdownError(ChildReport, frozen=True):
    """A child did not end as it was asked: too late, or for another reason."""

    reason: ExitReason


class SupervisorGaveUp(msgspec.Struct, frozen=True):
    """A supervisor spent its restart budget; it stops its children and fails upward."""

    supervisor: str
    child_id: str
    intensity: int
    period_seconds: float
    reason: ExitReason


class CrashReport(msgspec.Struct, frozen=True):
    """An actor crashed: where, in which incarnation, on which message, and what was still waiting."""

    path: str
    incarnation: int
    actor_class: str
    message_type: str
    message_id: int
    mailbox_depth: int
    reason: ExitReason
    traceback: str


class TasksAbandoned(msgspec.Struct, frozen=True):
    """An actor that ended left tasks behind that have not yet ended their cancellation; the stacks say where."""

    path: str
    incarnation: int
    tasks: tuple[str, ...]


class TaskHung(msgspec.Struct, frozen=True):
    """A task has run for longer than its owner gave it; it is left alone. The stack says where it waits."""

    path: str
    incarnation: int
    task: str
    seconds: float
    where: str


class LoopHung(msgspec.Struct, frozen=True):
    """The loop did not come round: in the handler of a message, or (with an empty path) in a task or a callback.

    ``ended`` says that it goes on again; a hang that never ends is in the log only.
    """

    path: str
    incarnation: int
    message_type: str
    message_id: int
    seconds: float
    stack: str
    ended: bool

    @property
    def where(self) -> str:
        """The place in a few words."""
        return f"{self.path} on {self.message_type}" if self.path else "a task or a callback"


Report: TypeAlias = (
    Progress
    | ChildTerminated
    | StartError
    | ShutdownError
    | SupervisorGaveUp
    | CrashReport
    | TasksAbandoned
    | TaskHung
    | LoopHung
)
Subscriber: TypeAlias = Callable[[Report], None]


class Events:
    """The system's event stream: synchronous subscribers, told in the order of subscription."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[Subscriber, tuple[type[Report], ...]]] = []
        self.wants_progress = False
        """Whether anybody would hear of a start: most reports are rare, and that one is not."""

    def subscribe(self, subscriber: Subscriber, *kinds: type[Report]) -> Callable[[], None]:
        """Calls ``subscriber`` with each report, or each of the ``kinds``; returns what ends the subscription."""
        entry = (subscriber, kinds)
        self._subscribers.append(entry)
        self._count()

        def unsubscribe() -> None:
            if entry in self._subscribers:
                self._subscribers.remove(entry)
                self._count()

        return unsubscribe

    def _count(self) -> None:
        self.wants_progress = any(not kinds or Progress in kinds for _, kinds in self._subscribers)

    def publish(self, report: Report) -> None:
        """Tells every subscriber; one that fails is logged and does not harm the others."""
        for subscriber, kinds in tuple(self._subscribers):
            if kinds and type(report) not in kinds:
                continue
            try:
                subscriber(report)
            except Exception:
                logger.exception("a report subscriber failed; it stays subscribed")
