"""Actors as data, for operators and tests: what each is, has waiting, and itself waits for."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .trace import TraceEvent


class TaskSnapshot(msgspec.Struct, frozen=True):
    """One task beside an actor. ``where`` are the frames it waits in, outermost first.

    ``cancelled`` says that it was cancelled and has not unwound yet.
    """

    name: str
    age_seconds: float
    where: tuple[str, ...]
    cancelled: bool


class TimerSnapshot(msgspec.Struct, frozen=True):
    """One armed timer: its key, or the type of its message. Due in less than zero: its message waits already."""

    name: str
    due_in_seconds: float


class QuestionSnapshot(msgspec.Struct, frozen=True):
    """One ask in flight: whom, what type of message, for how long."""

    receiver: str
    message_type: str
    age_seconds: float


class LaneDepths(msgspec.Struct, frozen=True):
    """How many messages wait in each lane."""

    control: int
    supervision: int
    user: int


class ActorSnapshot(msgspec.Struct, frozen=True):
    """One actor as data. ``oldest_age_seconds`` and ``oldest_type`` are of its oldest waiting user message.

    ``restart`` is its rule, ``failures`` how often it crashed since it was last healthy. ``deferred`` counts replies
    that it owes.
    """

    path: str
    actor_class: str
    is_supervisor: bool
    is_dynamic: bool
    restart: str
    state: str
    incarnation: int
    restarts: int
    failures: int
    lanes: LaneDepths
    oldest_age_seconds: float
    oldest_type: str
    handled: int
    tasks: tuple[TaskSnapshot, ...]
    timers: tuple[TimerSnapshot, ...]
    questions: tuple[QuestionSnapshot, ...]
    deferred: int

    @property
    def mailbox_depth(self) -> int:
        """How many messages wait, over all lanes."""
        return self.lanes.control + self.lanes.supervision + self.lanes.user


class HandlingTimes(msgspec.Struct, frozen=True):
    """How long an actor's handlers ran, as far back as the trace ring goes. Times are the system's clock."""

    messages: int
    seconds: float
    longest_seconds: float
    longest_type: str
    last_type: str
    last_finished_at: float


def handling_times(events: Iterable[TraceEvent]) -> dict[str, HandlingTimes]:
    """By actor, from the trace: costs nothing on the path of a message."""
    found: dict[str, HandlingTimes] = {}
    nothing = HandlingTimes(0, 0.0, 0.0, "", "", 0.0)
    for event in events:
        if event.kind != "message" or event.outcome not in _HANDLED:
            continue
        before = found.get(event.receiver, nothing)
        seconds = event.finished_at - event.started_at
        longer = seconds > before.longest_seconds or not before.longest_type
        found[event.receiver] = HandlingTimes(
            messages=before.messages + 1,
            seconds=before.seconds + seconds,
            longest_seconds=seconds if longer else before.longest_seconds,
            longest_type=event.type if longer else before.longest_type,
            last_type=event.type,
            last_finished_at=event.finished_at,
        )
    return found


_HANDLED = frozenset({"ok", "refused_by_handler", "crashed", "interrupted"})
