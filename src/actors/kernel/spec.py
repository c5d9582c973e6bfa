"""How actors are to be kept: child specifications, supervisors' rules, mailbox bounds, backoff.

These are values. They are checked when they are made, so that behind them the supervisor is calm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from .actor import Actor

RestartType: TypeAlias = Literal["permanent", "transient", "temporary"]
Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
OverflowRule: TypeAlias = Literal["refuse", "conflate", "crash"]

UNLIMITED = math.inf
WORKER_SHUTDOWN_SECONDS = 5.0  # OTP's default for workers; supervisors get UNLIMITED, or grandchildren are orphaned


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_capacity(capacity: int | None) -> None:
    _require(capacity is None or capacity > 0, f"a capacity is a count > 0, or None for no bound; not {capacity}")


class LaneRule(msgspec.Struct, frozen=True):
    """Bounds some message types apart from the rest of the user lane; order of arrival is kept across rules.

    ``refuse`` raises MailboxFull in the sender, ``conflate`` keeps the latest message per its
    ``conflation_key`` (and refuses beyond ``capacity`` distinct keys), ``crash`` ends the actor with
    MailboxOverflow, for reports whose loss means that the truth is unknown.
    """

    message_types: tuple[type, ...]
    capacity: int | None
    overflow: OverflowRule

    def __post_init__(self) -> None:
        _require(bool(self.message_types), "a lane rule names at least one message type")
        _require_capacity(self.capacity)


class MailboxSpec(msgspec.Struct, frozen=True):
    """Bounds an actor's user lane: how many messages, what happens beyond, what a restart keeps.

    ``capacity`` None is unbounded. ``on_restart`` is ``keep``, or ``clear_reports``: messages under a rule that
    conflates or crashes are dropped at a restart, because the resync brings them again; commands are kept.
    """

    capacity: int | None = 1024
    overflow: OverflowRule = "refuse"
    rules: tuple[LaneRule, ...] = ()
    on_restart: Literal["keep", "clear_reports"] = "keep"

    def __post_init__(self) -> None:
        _require_capacity(self.capacity)


class Backoff(msgspec.Struct, frozen=True):
    """Delays restarts: ``min(max, min * 2**n) * (1 + random * factor)`` seconds for the n-th since healthy."""

    min_seconds: float = 0.25
    max_seconds: float = 60.0
    factor: float = 0.2

    def __post_init__(self) -> None:
        _require(
            0 <= self.min_seconds <= self.max_seconds < math.inf,
            f"backoff needs 0 <= min_seconds <= max_seconds, not {self.min_seconds} and {self.max_seconds}",
        )
        _require(self.factor >= 0, f"backoff factor is a fraction >= 0, not {self.factor}")


IMMEDIATELY = Backoff(min_seconds=0.0, max_seconds=0.0, factor=0.0)
"""Restart without delay, as OTP does."""


class SupervisorSpec(msgspec.Struct, frozen=True):
    """A supervisor: its strategy, its restart budget and its children in start order.

    More than ``intensity`` restarts within ``period_seconds`` make it stop its children and fail upward; a group
    restart counts once. With ``simple_one_for_one`` the single child is the template of a dynamic set.
    """

    strategy: Strategy = "one_for_one"
    intensity: int = 1
    period_seconds: float = 5.0
    children: tuple[ChildSpec, ...] = ()
    auto_shutdown: AutoShutdown = "never"

    def __post_init__(self) -> None:
        _require(self.intensity >= 0, f"intensity is a count >= 0, not {self.intensity}")
        _require(self.period_seconds > 0, f"period_seconds is > 0, not {self.period_seconds}")
        ids = [child.id for child in self.children]
        twice = sorted({child_id for child_id in ids if ids.count(child_id) > 1})
        _require(not twice, f"child ids are unique; these appear more than once: {twice}")
        if self.strategy == "simple_one_for_one":
            _require(len(self.children) == 1, "simple_one_for_one has exactly one child: the template")
            _require(self.auto_shutdown == "never", "simple_one_for_one has no automatic shutdown")
        significant = [child.id for child in self.children if child.significant]
        _require(
            not significant or self.auto_shutdown != "never",
            f"children {significant} are significant, but auto_shutdown is 'never'",
        )


class ChildSpec(msgspec.Struct, frozen=True):
    """One child of a supervisor: how to make it, when to restart it, how long its start and stop may take.

    ``factory`` is an actor class, a callable that returns an actor, or a SupervisorSpec for a subtree; ``args``
    and ``kwargs`` never appear in reports. ``shutdown_timeout_seconds`` is 0 for kill at once, UNLIMITED, or
    None for the default (5 s, UNLIMITED for supervisors). ``backoff`` None means the system's default.
    """

    id: str
    factory: Callable[..., Actor] | SupervisorSpec
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    restart: RestartType = "permanent"
    shutdown_timeout_seconds: float | None = None
    significant: bool = False
    start_timeout_seconds: float = 10.0
    mailbox: MailboxSpec = MailboxSpec()
    backoff: Backoff = Backoff()

    def __post_init__(self) -> None:
        # Written out: a specification is made for each dynamic child, and most of the cost was unneeded texts.
        if not self.id or "/" in self.id:
            raise ValueError(f"a child id is a non-empty path segment without '/', not {self.id!r}")
        if self.shutdown_timeout_seconds is not None and not self.shutdown_timeout_seconds >= 0:
            raise ValueError(
                f"child {self.id!r}: shutdown_timeout_seconds is >= 0, not {self.shutdown_timeout_seconds}"
            )
        if not self.start_timeout_seconds > 0:
            raise ValueError(f"child {self.id!r}: start_timeout_seconds is > 0, not {self.start_timeout_seconds}")
        if self.significant and self.restart == "permanent":
            raise ValueError(f"child {self.id!r}: a permanent child never ends by itself, so it cannot be significant")

    @property
    def is_supervisor(self) -> bool:
        """Tells a subtree from a worker."""
        return isinstance(self.factory, SupervisorSpec)

    @property
    def shutdown_seconds(self) -> float:
        """The shutdown timeout in force, in seconds: 0 is kill at once, UNLIMITED waits."""
        if self.shutdown_timeout_seconds is not None:
            return self.shutdown_timeout_seconds
        return UNLIMITED if self.is_supervisor else WORKER_SHUTDOWN_SECONDS

    def describe_arguments(self) -> str:
        """Names the types of the start arguments, never their values: they hold credentials."""
        parts = [type(value).__name__ for value in self.args]
        parts += [f"{name}={type(value).__name__}" for name, value in self.kwargs.items()]
        return f"({', '.join(parts)})"

    def __repr__(self) -> str:
        return f"ChildSpec(id={self.id!r}, restart={self.restart!r}, arguments={self.describe_arguments()})"
