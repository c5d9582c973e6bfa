"""The rules of supervision as pure functions: who is restarted, how often, after what delay.

The tables follow OTP (``stdlib/supervisor.erl``); the delay follows Pekko. Nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from .messages import ExitReason
from .spec import AutoShutdown, Backoff, RestartType, Strategy

T = TypeVar("T")


def wants_restart(restart: RestartType, reason: ExitReason) -> bool:
    """Decides whether a child that ended is started again.

    =================  =========  =========  =========
    end                permanent  transient  temporary
    =================  =========  =========  =========
    normal, shutdown   restart    forget     forget
    anything else      restart    restart    forget
    =================  =========  =========  =========
    """
    if restart == "permanent":
        return True
    return restart == "transient" and not reason.is_clean


def restart_group(strategy: Strategy, children: Sequence[T], failed: T) -> list[T]:
    """Lists the children that restart together when ``failed`` does, in start order."""
    if strategy == "one_for_all":
        return list(children)
    if strategy == "rest_for_one":
        return list(children[children.index(failed) :])
    return [failed]


def ends_supervisor(auto_shutdown: AutoShutdown, *, significant_left: int) -> bool:
    """Decides, when a significant child has ended by itself, whether its supervisor's work is done."""
    if auto_shutdown == "any_significant":
        return True
    return auto_shutdown == "all_significant" and significant_left == 0


def backoff_seconds(backoff: Backoff, failures: int, draw: float) -> float:
    """Returns the delay before the restart that follows ``failures`` earlier ones since the actor was healthy.

    ``draw`` is a random number in [0, 1); it spreads the restarts of actors that failed together.
    """
    # The exponent is capped where any real maximum is long exceeded, so that the power stays a finite float.
    doubled = backoff.min_seconds * 2.0 ** min(failures, 64)
    return min(backoff.max_seconds, doubled) * (1.0 + draw * backoff.factor)


class RestartWindow:
    """Counts restarts in a sliding window; more than ``intensity`` within ``period_seconds`` is too many."""

    __slots__ = ("_intensity", "_period_seconds", "_times")

    def __init__(self, intensity: int, period_seconds: float) -> None:
        self._intensity = intensity
        self._period_seconds = period_seconds
        self._times: deque[float] = deque()

    def admits(self, now: float) -> bool:
        """Records a restart at ``now`` (monotonic seconds) and tells whether the budget allowed it."""
        times = self._times
        times.append(now)
        while times[0] < now - self._period_seconds:
            times.popleft()
        return len(times) <= self._intensity
