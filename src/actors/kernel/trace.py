"""The record of every message: a ring of tuples, always on, with a sink for those who keep it.

One event is recorded per message, when its fate is known: handled, failed, expired, dropped, refused. That is one
tuple, about a tenth of a microsecond. Life-cycle changes and actors' own notes use the same shape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

EventKind: TypeAlias = Literal["message", "note", "lifecycle"]

Record: TypeAlias = tuple[EventKind, int, int, int, str, str, int, str, str, float, float, float, str, Any]


class TraceEvent(NamedTuple):
    """One event of the trace. Times are seconds on the system's clock.

    For a message: ``id``, the ``cause`` whose handling sent it, the first ancestor ``root``, sender and receiver
    by path (empty: not an actor), the receiver's incarnation, the lane, the message's type, when it was queued,
    when handling started and finished, and the outcome (``ok``, ``refused_by_handler``, ``crashed``, ``expired``,
    ``stale``, ``dropped``, ``refused``, ``conflated``, ``cleared``, ``undeliverable``).
    For a note: ``cause`` is the message being handled, ``type`` the note's kind, ``detail`` its content.
    For a life-cycle event: ``outcome`` is the new state and ``detail`` the reason.
    """

    kind: EventKind
    id: int
    cause: int
    root: int
    sender: str
    receiver: str
    incarnation: int
    lane: str
    type: str
    enqueued_at: float
    started_at: float
    finished_at: float
    outcome: str
    detail: Any


Sink: TypeAlias = Callable[[Record], None]


class Trace:
    """Keeps the last events of a system; the oldest are overwritten."""

    __slots__ = ("_ring", "_sink", "keep", "record", "size")

    def __init__(self, size: int) -> None:
        if size <= 0:
            raise ValueError(f"the trace ring needs a size > 0, not {size}")
        self.size = size
        self._ring: deque[Record] = deque(maxlen=size)
        self._sink: Sink | None = None
        # Without a sink, recording is the ring's own append: no call of ours is on the path of a message.
        self.record: Callable[[Record], None] = self._ring.append
        # What is no message (life-cycle changes, notes) is of the ring alone.
        self.keep: Callable[[Record], None] = self._ring.append

    @property
    def sink(self) -> Sink | None:
        """A function that receives the record of every message as it is made; it must be quick and must not raise.

        While it runs, the system's `current` is the envelope of the message that the record is about.
        """
        return self._sink

    @sink.setter
    def sink(self, sink: Sink | None) -> None:
        self._sink = sink
        if sink is None:
            self.record = self._ring.append
            return
        append = self._ring.append

        def record(event: Record) -> None:
            append(event)
            sink(event)

        self.record = record

    def events(
        self,
        *,
        root: int | None = None,
        path: str | None = None,
        kind: EventKind | None = None,
    ) -> Iterator[TraceEvent]:
        """Yields the recorded events, oldest first; narrowed to one root, one actor's path or one kind."""
        for record in tuple(self._ring):
            event = TraceEvent(*record)
            if root is not None and event.root != root:
                continue
            if path is not None and path not in (event.sender, event.receiver):
                continue
            if kind is not None and event.kind != kind:
                continue
            yield event

    def __len__(self) -> int:
        return len(self._ring)
