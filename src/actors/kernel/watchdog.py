"""The watchdog: a thread that notices when the loop does not come round, and says with a stack where it hangs.

Handlers are synchronous, so one that blocks stops every actor of its system, and nobody on the loop could tell. The
thread asks the loop for a sign of life; when none comes in time it writes the loop's stack to the log, at once, and
publishes a `LoopHung` on the system's events when the loop goes on. A simulation has no watchdog: there time stands
still for as long as anything runs.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .reports import LoopHung

if TYPE_CHECKING:
    from .system import ActorSystem

logger = logging.getLogger("tallystick.actors.watchdog")

FRAMES_MAXIMUM = 40


class Watchdog:
    """Watches one system's loop. ``limit_seconds`` without a sign of life is a hang; it is reported once, with its end.

    ``on_hang`` is called on the watchdog's thread while the loop hangs: for those who must know even if it never ends.
    """

    def __init__(
        self, system: ActorSystem, *, limit_seconds: float, on_hang: Callable[[LoopHung], None] | None = None
    ) -> None:
        if not limit_seconds > 0:
            raise ValueError(f"a watchdog needs a limit of > 0 seconds, not {limit_seconds}")
        self._system = system
        self._limit_seconds = limit_seconds
        self._on_hang = on_hang
        self._alive = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{system.name}: watchdog", daemon=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches while the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._alive.set()
            self._thread.join()

    def _run(self) -> None:
        # Real time of a real thread: the system's clock stands where its loop does.
        while not self._stopping.is_set():
            self._alive.clear()
            asked_at = time.monotonic()
            self._system.call_soon(self._alive.set)
            # Twice half of it: a process that was stopped for a while (a laptop asleep) misses one wait, and no more.
            half_seconds = self._limit_seconds / 2
            if not self._alive.wait(half_seconds) and not self._alive.wait(half_seconds):
                self._hung(asked_at)
            elif self._stopping.wait(self._limit_seconds / 2):
                return

    def _hung(self, asked_at: float) -> None:
        hang = self._describe(time.monotonic() - asked_at, ended=False)
        logger.critical("the loop hangs in %s for %.1f s:\n%s", hang.where, hang.seconds, hang.stack)
        if self._on_hang is not None:
            try:
                self._on_hang(hang)
            except Exception:
                logger.exception("the watchdog's callback failed; it goes on watching")
        self._alive.wait()
        if self._stopping.is_set():
            return
        seconds = time.monotonic() - asked_at
        logger.critical("the loop goes on, it hung in %s for %.1f s", hang.where, seconds)
        ended = LoopHung(
            path=hang.path,
            incarnation=hang.incarnation,
            message_type=hang.message_type,
            message_id=hang.message_id,
            seconds=seconds,
            stack=hang.stack,
            ended=True,
        )
        self._system.call_soon(lambda: self._system.events.publish(ended))

    def _describe(self, seconds: float, *, ended: bool) -> LoopHung:
        system = self._system
        frame = sys._current_frames().get(system.thread_id)  # noqa: SLF001 - the only way to another thread's stack
        stack = "".join(traceback.format_stack(frame, limit=FRAMES_MAXIMUM)) if frame is not None else ""
        current = system.current
        return LoopHung(
            path=current.receiver.path if current is not None else "",
            incarnation=current.receiver.incarnation if current is not None else 0,
            message_type=type(current.message).__name__ if current is not None else "",
            message_id=current.id if current is not None else 0,
            seconds=seconds,
            stack=stack,
            ended=ended,
        )
