"""The one place where the kernel meets time.

Everything measures durations on trio's clock, so a mock clock drives timers, deadlines, backoff and windows.
Wall-clock time exists only for records that people read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import trio


class Clock(Protocol):
    """Time as actors may know it."""

    @property
    def monotonic(self) -> Callable[[], float]:
        """Returns a function that gives seconds since an arbitrary start, never going back."""

    @property
    def wall_ns(self) -> Callable[[], int]:
        """Returns a function that gives nanoseconds since 1970 in UTC; it may jump with the machine's clock."""


class TrioClock:
    """Reads the clock of the running trio loop; the readings are usable from any thread.

    ``wall_ns`` may be injected; by default it is the machine's clock.
    """

    __slots__ = ("monotonic", "wall_ns")

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        # The loop's clock object is captured because trio.current_time() works on the loop's thread only.
        clock = trio.lowlevel.current_clock()
        self.monotonic: Callable[[], float] = time.perf_counter if _is_trios_own(clock) else clock.current_time
        self.wall_ns: Callable[[], int] = wall_ns


def _is_trios_own(clock: trio.abc.Clock) -> bool:
    """Tells trio's real clock, which is ``perf_counter`` plus a constant, from one that a test has put in its place.

    A message reads the clock twice, so the call around it would be a tenth of the message's cost.
    """
    return (type(clock).__module__, type(clock).__qualname__) == ("trio._core._run", "SystemClock")
