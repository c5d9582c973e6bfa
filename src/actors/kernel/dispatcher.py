"""The dispatcher: one trio task that gives actors with waiting messages their turns.

A pass handles at most 64 messages or lasts 1 ms, whichever is first, then lets trio run its other tasks. With
nothing to do it sleeps until the next timer or until somebody posts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from .timers import TimerHeap
from .turn import take_turn

if TYPE_CHECKING:
    from .cell import Cell

MESSAGES_PER_PASS = 64
SECONDS_PER_PASS = 0.001
ASKS_PER_CHECKPOINT = 16


class Dispatcher:
    """The run queue, the timers and the loop over both."""

    __slots__ = (
        "_alarm",
        "_alarm_at",
        "_borrowed",
        "_finished",
        "_now",
        "_parked",
        "_parked_until",
        "_queue",
        "_scope",
        "_task",
        "timers",
    )

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._borrowed = 0
        self._queue: deque[Cell] = deque()
        self._task: trio.lowlevel.Task | None = None
        self._parked = False
        self._finished = False
        # Shielded: the actors are stopped in order by the system, not cut down by a cancellation around it.
        self._scope = trio.CancelScope(shield=True)
        self._parked_until: float | None = None
        self._alarm = trio.CancelScope()
        self._alarm_at: float | None = None
        self.timers = TimerHeap(self.wake)

    def enqueue(self, cell: Cell) -> None:
        """Gives the cell a turn; the caller has marked it as scheduled."""
        self._queue.append(cell)
        if self._parked:
            self.wake()

    def wake(self) -> None:
        """Ends the dispatcher's sleep, if it sleeps. Call it on the system's thread only."""
        if self._parked:
            self._parked = False
            assert self._task is not None
            trio.lowlevel.reschedule(self._task)

    def finish(self) -> None:
        """Lets the loop end once the queue is empty."""
        self._finished = True
        self.wake()

    def idle(self) -> bool:
        """Tells whether no actor has anything to do now."""
        return not self._queue

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Runs passes until told to finish. Protected, so that Ctrl-C arrives in the host's code, not in here."""
        self._task = trio.lowlevel.current_task()
        with self._scope:
            while not await self._run_until_timer():
                pass

    async def _run_until_timer(self) -> bool:
        """Runs passes until a timer ends a sleep; True where nothing is left to do.

        The scope that ends the sleep is kept for as long as nothing was due: most sleeps are ended by a message.
        """
        with trio.CancelScope() as self._alarm:
            self._alarm_at = None
            while True:
                self._pass()
                if self._queue:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                elif self._finished:
                    return True
                else:
                    await self._sleep()
        return False

    def _pass(self) -> None:
        queue = self._queue
        at = self._now()
        self.timers.fire_due(at)
        ends_at = at + SECONDS_PER_PASS
        left = MESSAGES_PER_PASS
        while queue and left > 0 and at < ends_at:
            cell = queue.popleft()
            left -= take_turn(cell, left, at, ends_at) or 1
            at = cell.turn_ended_at

    # --- running a pass on the asker's own task -----------------------------------------------------------------

    def borrow(self) -> bool:
        """Takes the sleeping dispatcher's place, where it sleeps: call it, post, then call ``give_back``.

        So an ask from a trio task costs no switch of tasks when nothing else is going on.
        """
        borrowed, self._parked = self._parked, False
        return borrowed

    def checkpoint_is_due(self) -> bool:
        """Tells an asker that was answered at once whether the loop's other tasks must get their turn first."""
        self._borrowed = (self._borrowed + 1) % ASKS_PER_CHECKPOINT
        return self._borrowed == 0

    @trio.lowlevel.enable_ki_protection
    def give_back(self) -> None:
        """Runs one pass in the dispatcher's place, and wakes it where there is more to do or a nearer timer."""
        self._pass()
        self._parked = True
        if self._queue or self._finished or self.timers.next_due_at() != self._parked_until:
            self.wake()

    async def _sleep(self) -> None:
        due_at = self._parked_until = self.timers.next_due_at()
        if due_at != self._alarm_at:
            self._alarm_at = due_at
            # In this order: the difference is exact when the timer is near, so that the sleep never ends too early.
            self._alarm.deadline = math.inf if due_at is None else trio.current_time() + (due_at - self._now())
        await self._park()

    async def _park(self) -> None:
        self._parked = True

        def abort(_raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            self._parked = False
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
