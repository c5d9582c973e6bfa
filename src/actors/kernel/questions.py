"""How an actor asks another: the answer comes back as a message, so the asker never waits."""

from __future__ import annotations

import logging
import sys
from _thread import get_ident
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pykka
from pykka import ActorDeadError, Timeout
from pykka._envelope import Envelope as PykkaEnvelope

from .errors import CallCycle
from .messages import Envelope, Reply
from .ref import ActorRef, check_cycle

if TYPE_CHECKING:
    from .cell import Cell
    from .timers import Timer

logger = logging.getLogger("tallystick.actors")


class PendingReply:
    """Where the answer arrives: settled once, delivered once, to the incarnation that asked.

    It stands in for a future, in our cells and, with ``set`` and ``set_exception``, in plain pykka actors.
    """

    __slots__ = ("_answered", "_cell", "_incarnation", "_key", "_origin", "timer")

    def __init__(self, cell: Cell, key: Hashable) -> None:
        self._cell = cell
        self._incarnation = cell.incarnation
        self._key = key
        self._origin = cell.system.current
        self._answered = False
        self.timer: Timer | None = None

    @property
    def live(self) -> bool:
        """Guards the delivery: a later incarnation knows nothing of the question."""
        return self._cell.incarnation == self._incarnation

    def settle(self, value: object, error: BaseException | None = None) -> bool:
        """Queues the answer for the asker; False where it was answered or given up before."""
        cell = self._cell
        if get_ident() != cell.system.thread_id:
            cell.system.call_soon(lambda: self._settle_late(value, error))
            return True
        if self._answered:
            return False
        self._answered = True
        if cell.belongings is not None:
            cell.belongings.answered(self)
        if self.timer is not None:
            self.timer.cancel()
        cell.push(Reply(self._key, value, error), self, self._origin)
        return True

    def _settle_late(self, value: object, error: BaseException | None) -> None:
        if not self.settle(value, error):
            logger.warning("%s: an answer from another thread came too late", self._cell.path)

    def set(self, value: object = None) -> None:
        """Settles with a value, for a plain pykka actor."""
        self.settle(value)

    def set_exception(self, exc_info: Any = None) -> None:
        """Settles with an exception, by default the one being handled, for a plain pykka actor."""
        self.settle(None, (exc_info if exc_info is not None else sys.exc_info())[1])


def ask_for_reply(
    cell: Cell,
    ref: pykka.ActorRef[Any],
    message: object,
    key: Hashable,
    timeout_seconds: float | None,
    deadline: float | None,
) -> None:
    """Asks for a cell's actor; the reply, the error or the timeout comes back as one ``Reply``.

    Raises CallCycle where the answer would have to come from an actor that waits for this one's.
    """
    system = cell.system
    pending = PendingReply(cell, key)
    receiver = ref.cell.path if isinstance(ref, ActorRef) else str(ref)
    cell.owned().asked(pending, receiver, type(message).__name__)
    if timeout_seconds is not None:

        def give_up(_timer: Timer) -> None:
            text = f"{ref} did not answer {type(message).__name__} within {timeout_seconds} seconds"
            pending.settle(None, Timeout(text))

        pending.timer = system.timers.arm(system.now() + timeout_seconds, give_up)
    if isinstance(ref, ActorRef):
        current: Envelope | None = system.current
        chain: tuple[Cell, ...] = ()
        if current is not None:
            try:
                check_cycle(current, ref.cell)
            except CallCycle:
                cell.owned().answered(pending)
                raise
            chain = (*current.chain, current.receiver)
        ref.ask_into(pending, message, deadline, chain)
    elif ref.is_alive():
        ref.actor_inbox.put(PykkaEnvelope(message, reply_to=pending))  # type: ignore[arg-type]  # a stand-in
    else:
        pending.settle(None, ActorDeadError(f"{ref} not found"))
