"""The venue's time: trio's clock plus an epoch, so that a virtual clock moves the whole venue."""

import trio


class VenueClock:
    """Turns trio's time into unix milliseconds and back. Made inside a running trio program."""

    def __init__(self, epoch_ms: int) -> None:
        self._epoch_ms = epoch_ms
        self._origin = trio.current_time()

    def now_ms(self) -> int:
        # The thousandth added outweighs the rounding of a deadline that was computed from milliseconds.
        return self._epoch_ms + int((trio.current_time() - self._origin) * 1_000 + 0.001)

    def deadline(self, due_ms: int) -> float:
        """The trio time of a moment in unix milliseconds."""
        return self._origin + (due_ms - self._epoch_ms) / 1_000
