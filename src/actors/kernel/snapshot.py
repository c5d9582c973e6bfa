"""One actor as data, for operators and tests."""

from __future__ import annotations

import msgspec


class ActorSnapshot(msgspec.Struct, frozen=True):
    """One actor as data. ``oldest_age_seconds`` is the age of its oldest waiting user message."""

    path: str
    actor_class: str
    state: str
    incarnation: int
    restarts: int
    mailbox_depth: int
    oldest_age_seconds: float
    tasks: tuple[str, ...]
    timers: int
    handled: int
