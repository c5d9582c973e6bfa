"""Actions that wait for durability."""

from collections import deque
from collections.abc import Callable

from .port import Lsn


class Waiting:
    """Actions waiting for durability, in LSN order; first come, first served within one LSN."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[tuple[Lsn, Callable[[], None]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, lsn: Lsn, action: Callable[[], None]) -> None:
        """Let an action wait for its place."""
        queue = self._queue
        if not queue or queue[-1][0] <= lsn:
            queue.append((lsn, action))
            return
        # Rare: an action for an earlier place than the latest one waiting.
        place = len(queue)
        while place and queue[place - 1][0] > lsn:
            place -= 1
        queue.insert(place, (lsn, action))

    def pop_through(self, lsn: Lsn) -> Callable[[], None] | None:
        """Return the next action whose place is at or before `lsn`, or None."""
        if self._queue and self._queue[0][0] <= lsn:
            return self._queue.popleft()[1]
        return None

    def clear(self) -> None:
        """Forget all of them."""
        self._queue.clear()
