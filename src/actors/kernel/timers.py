"""One heap of deadlines per system, read on the system's clock.

A cancelled timer stays in the heap until its time or the next sweep; it is dead, not removed, because removal
from the middle of a heap costs more than skipping. A timer whose message is already queued when it is cancelled
is caught at delivery: the envelope carries the timer as its guard.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cell import Cell
    from .messages import Origin

_SWEEP_AT_LEAST = 256


class Timer:
    """One armed deadline; ``cancel`` makes it do nothing, even where its message already waits."""

    __slots__ = ("_fire", "_heap", "due_at", "generation", "key", "live", "pending")

    def __init__(
        self, due_at: float, key: Hashable, generation: int, fire: Callable[[Timer], None], heap: TimerHeap
    ) -> None:
        self.due_at = due_at
        self.key = key
        self.generation = generation
        self.live = True
        self.pending = True
        self._fire = fire
        self._heap = heap

    def cancel(self) -> None:
        """Makes the timer do nothing from now on; cancelling twice is harmless."""
        if self.live:
            self.live = False
            if self.pending:
                self._heap.note_cancelled()

    def fire(self) -> None:
        """Runs the timer's action; called by the heap when it is due."""
        self.pending = False
        self._fire(self)

    @property
    def name(self) -> str:
        """What it is called in a report: its key, or the type of the message that it sends."""
        return "timer" if self.key is None else str(self.key)

    def __repr__(self) -> str:
        return (
            f"<Timer {self.key!r} generation {self.generation} due at {self.due_at} {'live' if self.live else 'dead'}>"
        )


class MessageTimer(Timer):
    """A timer that sends a message. Of what caused it, it keeps no more than a trace needs: it may wait for hours."""

    __slots__ = ("_cell", "_message", "id", "receiver", "root")

    def __init__(
        self,
        due_at: float,
        generation: int,
        heap: TimerHeap,
        cell: Cell,
        message: object,
        origin: Origin | None,
        key: Hashable,
    ) -> None:
        self.due_at = due_at
        self.key = key
        self.generation = generation
        self.live = True
        self.pending = True
        self._heap = heap
        self._cell = cell
        self._message = message
        self.id, self.root = (0, 0) if origin is None else (origin.id, origin.root)
        self.receiver = cell if origin is None else origin.receiver

    def fire(self) -> None:
        """Queues the message, with the cause of the arming as its cause."""
        self.pending = False
        # It stays with its owner until delivery, so that its key can still call the message back.
        self._cell.push(self._message, self, self if self.id else None)

    @property
    def name(self) -> str:
        """What it is called in a report: its key, or the type of the message that it sends."""
        return type(self._message).__name__ if self.key is None else str(self.key)


class TimerHeap:
    """Orders timers by deadline, and by arming order where deadlines are equal."""

    __slots__ = ("_cancelled", "_entries", "_generations", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._entries: list[tuple[float, int, Timer]] = []
        self._generations = count(1)
        self._cancelled = 0
        self._wake = wake

    def arm(self, due_at: float, fire: Callable[[Timer], None], key: Hashable = None) -> Timer:
        """Arms a timer for ``due_at`` (seconds on the system's clock); ``fire`` runs between two messages."""
        timer = Timer(due_at, key, next(self._generations), fire, self)
        self._push(timer)
        return timer

    def arm_message(self, due_at: float, cell: Cell, message: object, origin: Origin | None, key: Hashable) -> Timer:
        """Arms a timer that sends an actor a message of its own; ``origin`` is what caused it to be armed."""
        timer = MessageTimer(due_at, next(self._generations), self, cell, message, origin, key)
        self._push(timer)
        return timer

    def _push(self, timer: Timer) -> None:
        entries = self._entries
        heapq.heappush(entries, (timer.due_at, timer.generation, timer))
        if entries[0][2] is timer:
            self._wake()  # the sleeping dispatcher sleeps towards a later deadline

    def note_cancelled(self) -> None:
        """Counts a cancelled entry and sweeps when most of the heap is dead."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_AT_LEAST and self._cancelled * 2 > len(self._entries):
            self._entries = [entry for entry in self._entries if entry[2].live]
            heapq.heapify(self._entries)
            self._cancelled = 0

    def next_due_at(self) -> float | None:
        """Returns the earliest live deadline, dropping dead ones on the way."""
        entries = self._entries
        while entries and not entries[0][2].live:
            heapq.heappop(entries)
            self._cancelled -= 1
        return entries[0][0] if entries else None

    def fire_due(self, now: float) -> None:
        """Fires every live timer that is due at ``now``, in order of deadline."""
        entries = self._entries
        while entries and (entries[0][0] <= now or not entries[0][2].live):
            timer = heapq.heappop(entries)[2]
            if timer.live:
                timer.fire()
            else:
                self._cancelled -= 1
            entries = self._entries

    def __len__(self) -> int:
        return len(self._entries) - self._cancelled
