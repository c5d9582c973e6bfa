"""What is due later, as calls at times: the venue does them when it is told that the time has come."""

import heapq
from collections.abc import Callable


class Agenda:
    """Calls ordered by their time; equal times keep the order in which they were noted."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = 0

    def at(self, due_ms: int, call: Callable[[int], None]) -> None:
        """Note a call for a time; it is given that time when it is made."""
        self._count += 1
        heapq.heappush(self._calls, (due_ms, self._count, call))

    def next_due_ms(self) -> int | None:
        return self._calls[0][0] if self._calls else None

    def run_next(self) -> None:
        """Make the earliest call."""
        due_ms, _, call = heapq.heappop(self._calls)
        call(due_ms)
