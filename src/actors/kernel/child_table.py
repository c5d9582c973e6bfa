"""What an operator asks a supervisor about its table of children, and what it answers. Sent with ``ask``."""

from __future__ import annotations

import msgspec

from .spec import ChildSpec


class StartChild(msgspec.Struct, frozen=True):
    """Adds a child and starts it; answers its ref, or fails with ChildError or StartFailed."""

    spec: ChildSpec


class TerminateChild(msgspec.Struct, frozen=True):
    """Stops a child; its specification stays (a temporary or templated child is forgotten)."""

    child_id: str


class RestartChild(msgspec.Struct, frozen=True):
    """Starts a child that was terminated or has ended; answers its ref."""

    child_id: str


class DeleteChild(msgspec.Struct, frozen=True):
    """Forgets the specification of a child that does not run."""

    child_id: str


class CountChildren(msgspec.Struct, frozen=True):
    """Answers ChildCounts."""


class WhichChildren(msgspec.Struct, frozen=True):
    """Answers a tuple of ChildInfo in start order."""


class ChildCounts(msgspec.Struct, frozen=True):
    """How many specifications a supervisor holds, how many children run, and of which sort they are."""

    specs: int
    active: int
    supervisors: int
    workers: int


class ChildInfo(msgspec.Struct, frozen=True):
    """One child as data."""

    id: str
    state: str
    incarnation: int
    restarts: int
    path: str
