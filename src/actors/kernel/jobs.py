"""What a supervisor does in several steps, and its record of each child.

A job is a generator: it yields the children it waits for, and is resumed with what happened to one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from .messages import NORMAL, ChildEnded, ChildIgnored, ChildStarted, ChildStartFailed, ExitReason
from .spec import ChildSpec
from .timers import Timer

if TYPE_CHECKING:
    from .cell import Cell
    from .future import Future

# idle: no cell runs (ended, ignored or terminated on request); ended: down, its supervisor is about to decide.
ChildState: TypeAlias = Literal["idle", "starting", "running", "stopping", "ended", "restarting"]


class Child:
    """A supervisor's record of one child."""

    __slots__ = ("acknowledgements", "cell", "group_job", "job", "reason", "spec", "state")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.cell: Cell | None = None
        self.state: ChildState = "idle"
        self.reason: ExitReason = NORMAL
        self.job: Job | None = None  # the job that waits for this child now
        self.group_job: Job | None = None  # the job that is stopping this child's group: its end is expected
        self.acknowledgements: list[Future[Any]] | None = None

    def acknowledge(self, value: object, error: BaseException | None = None) -> None:
        """Answers those who wait for this child's start."""
        waiting, self.acknowledgements = self.acknowledgements, None
        for future in waiting or ():
            future.settle(value, error)


class Wake(msgspec.Struct, frozen=True):
    """The time a job asked for has come."""

    job: Job


class Afterwards(msgspec.Struct, frozen=True):
    """A job is over, and what waited for it may be tried."""

    action: Callable[[], None]


class RetryRestart(msgspec.Struct, frozen=True):
    """Tries a failed restart again; a message, so that a stop request gets in between."""

    child: Child


ChildEvent: TypeAlias = ChildStarted | ChildIgnored | ChildStartFailed | ChildEnded | Wake
Steps: TypeAlias = Generator[tuple[Child, ...], ChildEvent, None]
StartSteps: TypeAlias = Generator[tuple[Child, ...], ChildEvent, ChildEvent]


class Job:
    """A sequence of steps under way, and the children it may wait for."""

    __slots__ = ("afterwards", "closed", "group", "steps", "then", "timer", "waiting_for")

    def __init__(self, steps: Steps, group: Iterable[Child] = (), then: Callable[[], None] | None = None) -> None:
        self.steps = steps
        self.then = then  # runs when the last step is done; a step must not close its own job
        self.group = tuple(group)
        self.waiting_for: tuple[Child, ...] = ()
        self.timer: Timer | None = None
        self.closed = False
        self.afterwards: list[Callable[[], None]] = []  # what operators asked for and must wait for this job


def _no_steps() -> Steps:
    yield from ()


NO_JOB = Job(_no_steps())
