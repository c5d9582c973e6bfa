"""Actors that tests start, crash and question. They write what happens to them into a shared list."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from tallystick.actors.kernel import (
    IMMEDIATELY,
    Actor,
    ActorRef,
    ActorSystem,
    ChildSpec,
    DomainError,
    Down,
    ExitReason,
    LaneRule,
    MailboxSpec,
    Reply,
    StartIgnored,
    SupervisorSpec,
    handles,
)


class Crash(msgspec.Struct, frozen=True):
    """Makes the receiver raise."""

    text: str = "boom"


class Exit(msgspec.Struct, frozen=True):
    """Makes the receiver end itself with a reason."""

    reason: ExitReason


class Refuse(msgspec.Struct, frozen=True):
    """Makes the receiver refuse politely."""


class Note(msgspec.Struct, frozen=True):
    """Is written down by the receiver; its reply is the text."""

    text: str


class Who(msgspec.Struct, frozen=True):
    """Answers the incarnation."""


class Unknown(msgspec.Struct, frozen=True):
    """Nobody handles it."""


class Keyed(msgspec.Struct, frozen=True):
    """Market data: only the latest per key matters."""

    key: str
    value: int

    @property
    def conflation_key(self) -> str:
        return self.key


class Fill(msgspec.Struct, frozen=True):
    """A venue report: must never be dropped."""

    number: int


MIXED = MailboxSpec(
    capacity=3,
    rules=(
        LaneRule(message_types=(Fill,), capacity=2, overflow="crash"),
        LaneRule(message_types=(Keyed,), capacity=2, overflow="conflate"),
    ),
)
"""Commands are refused, reports crash, market data conflates."""


class Boom(Exception):
    """What crashing test actors raise."""


class Worker(Actor):
    """Writes its life into a list, and does what it is told."""

    def __init__(self, log: list[str] | None = None, label: str = "w", **behaviour: Any) -> None:
        super().__init__()
        self.log: list[str] = log if log is not None else []
        self.label = label
        self.behaviour = behaviour

    def on_start(self) -> None:
        self.log.append(f"start {self.label}")
        before_start: Callable[[Worker], None] | None = self.behaviour.get("on_start")
        if before_start is not None:
            before_start(self)

    def on_stop(self, reason: ExitReason) -> None:
        self.log.append(f"stop {self.label} {reason.kind.value}")
        if self.behaviour.get("crash_in_stop"):
            raise Boom("in on_stop")

    @handles(Crash)
    def crash(self, message: Crash) -> None:
        raise Boom(message.text)

    @handles(Exit)
    def leave(self, message: Exit) -> None:
        self.exit(message.reason)

    @handles(Refuse)
    def refuse(self, _message: Refuse) -> None:
        raise DomainError("not today")

    @handles(Note)
    def note(self, message: Note) -> str:
        self.log.append(message.text)
        return message.text

    @handles(Keyed)
    def keyed(self, message: Keyed) -> None:
        self.log.append(f"{message.key}={message.value}")

    @handles(Fill)
    def fill(self, message: Fill) -> None:
        self.log.append(f"fill {message.number}")

    @handles(Who)
    def who(self, _message: Who) -> int:
        return self.incarnation


class Watcher(Worker):
    """Watches, and writes down what it is told about."""

    @handles(Down)
    def down(self, message: Down) -> None:
        self.log.append(f"down {message.ref.path} {message.incarnation} {message.reason.kind.value}")

    @handles(Reply)
    def reply(self, message: Reply) -> None:
        outcome = type(message.error).__name__ if message.error is not None else repr(message.value)
        self.log.append(f"reply {message.key} {outcome}")


class Do(msgspec.Struct, frozen=True):
    """Runs a function inside the receiver's handler; its reply is the function's value."""

    what: Callable[[Any], Any]


class Doer(Watcher):
    """Runs what a test gives it, inside a handler."""

    @handles(Do)
    def do(self, message: Do) -> Any:
        return message.what(self)


def run_in_virtual_time(main: Callable[..., Any], **options: Any) -> Any:
    """Runs a test on a clock that jumps to the next deadline whenever nothing else can happen."""
    options["clock"] = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(main, **options)


in_virtual_time = pytest.mark.trio(run=run_in_virtual_time)


async def settle() -> None:
    """Lets everything run that can run without time passing."""
    await trio.testing.wait_all_tasks_blocked()


def worker(child_id: str, log: list[str], **settings: Any) -> ChildSpec:
    """A worker's specification; restarts at once, as in OTP, unless told otherwise."""
    behaviour = settings.pop("behaviour", {})
    factory = settings.pop("factory", Worker)
    return ChildSpec(
        id=child_id,
        factory=factory,
        args=(log, child_id),
        kwargs=behaviour,
        backoff=settings.pop("backoff", IMMEDIATELY),
        **settings,
    )


def supervisor(child_id: str, spec: SupervisorSpec, **settings: Any) -> ChildSpec:
    """A supervisor's specification, restarting at once."""
    return ChildSpec(id=child_id, factory=spec, backoff=settings.pop("backoff", IMMEDIATELY), **settings)


def ref_of(system: ActorSystem, path: str) -> ActorRef:
    """The ref at a path that must exist."""
    ref = system.find(path)
    assert ref is not None, f"no actor at {path}"
    return ref


async def ask_who(system: ActorSystem, path: str) -> int:
    """The incarnation of the worker at a path, by its own word."""
    answer = await ref_of(system, path).ask_async(Who())
    assert isinstance(answer, int)
    return answer


def fails_times(count: int, error: Exception | None = None) -> Callable[[Worker], None]:
    """Makes starts fail ``count`` times, then succeed."""
    left = [count]

    def on_start(_worker: Worker) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error if error is not None else Boom("no start")

    return on_start


def fails_from(first: int, last: int = 10**9) -> Callable[[Worker], None]:
    """Makes the starts of incarnations ``first`` to ``last`` fail."""

    def on_start(one: Worker) -> None:
        if first <= one.incarnation <= last:
            raise Boom(f"no start in incarnation {one.incarnation}")

    return on_start


def ignores(_worker: Worker) -> None:
    """A start that says the actor is not needed."""
    raise StartIgnored("not needed")


def quiet() -> None:
    """Keeps expected crashes out of the output."""
    logging.getLogger("tallystick.actors").setLevel(logging.CRITICAL)


def new_system(**configuration: Any) -> ActorSystem:
    """A system whose root survives many crashes."""
    configuration.setdefault("root", SupervisorSpec(intensity=1000, period_seconds=1.0))
    return ActorSystem(random=Random(7), **configuration)
