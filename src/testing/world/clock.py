"""The wall clock of a simulated machine: it follows the true time of the world, and steps and drifts when told to.

Durations are measured on the mock clock, which neither steps nor drifts, as a machine's monotonic clock does not.
"""

from collections.abc import Callable

import trio
import trio.lowlevel

EPOCH_MS = 1_800_000_000_000
"""Unix time at which every world begins: what the venue's clock shows at second zero of trio's."""

PARTS_PER_MILLION = 1e-6


def true_ns() -> int:
    """The true time of the world, UTC nanoseconds."""
    return EPOCH_MS * 1_000_000 + round(trio.current_time() * 1e9)


class MachineClock:
    """The clock of the machine that the runtime is on; use its `wall_ns` as the runtime's.

    It outlives the runtime's restarts, as a machine does.
    """

    def __init__(self) -> None:
        self._clock = trio.lowlevel.current_clock()
        self._ahead_seconds = 0.0
        self._drift_ppm = 0.0
        self._drifts_since = 0.0
        self.monotonic: Callable[[], float] = self._clock.current_time

    def wall_ns(self) -> int:
        """What the machine believes that the time is, UTC nanoseconds."""
        now = self._clock.current_time()
        return EPOCH_MS * 1_000_000 + round((now + self._ahead(now)) * 1e9)

    @property
    def ahead_seconds(self) -> float:
        """How far the machine's clock is ahead of the true time; negative where it is behind."""
        return self._ahead(self._clock.current_time())

    def step(self, seconds: float) -> None:
        """Set the clock forward, or with a negative number back, all at once."""
        self._ahead_seconds += seconds

    def drift(self, parts_per_million: float) -> None:
        """Let the clock run too fast (or too slow) from now on."""
        now = self._clock.current_time()
        self._ahead_seconds = self._ahead(now)
        self._drifts_since = now
        self._drift_ppm = parts_per_million

    def correct(self) -> None:
        """The time service sets it right, and it keeps right."""
        self._ahead_seconds = self._drift_ppm = 0.0

    def _ahead(self, now: float) -> float:
        return self._ahead_seconds + (now - self._drifts_since) * self._drift_ppm * PARTS_PER_MILLION
