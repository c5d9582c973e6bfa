"""The border between host threads and the actors' loop.

Messages of other threads are gathered in one list and taken over by the loop in one go; a bound is checked on the
sending side, so that a refusal is immediate there too.
"""

from __future__ import annotations

import logging
import threading
from _thread import get_ident
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from pykka import ActorDeadError

from .errors import ActorError, MailboxFull
from .messages import Envelope, ReplyTo

if TYPE_CHECKING:
    from .cell import Cell
    from .future import Future

logger = logging.getLogger("tallystick.actors")

T = TypeVar("T")


class Border:
    """Lets other threads reach one system. Made on the system's own thread."""

    __slots__ = ("_coming", "_deliver", "_lock", "_name", "_open", "_thread_id", "_token", "_waiting")

    def __init__(self, name: str, deliver: Callable[[Cell, Envelope], None]) -> None:
        self._name = name
        self._deliver = deliver
        self._thread_id = get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._lock = threading.Lock()
        self._waiting: list[tuple[Cell, Envelope]] = []
        self._coming: Counter[Cell] = Counter()
        self._open = True

    @property
    def is_quiet(self) -> bool:
        """Tells whether no message of another thread is on its way."""
        return not self._waiting

    def post(self, cell: Cell, message: object, reply_to: ReplyTo | None, deadline: float | None) -> None:
        """Hands a message to the loop; raises, or answers, MailboxFull or pykka.ActorDeadError."""
        number = next(cell.system.ids)
        envelope = Envelope(message, reply_to, number, 0, number, None, cell, cell.system.now(), deadline)
        error: ActorError | ActorDeadError | None = None
        with self._lock:
            if not self._open or cell.state == "stopped":
                error = ActorDeadError(f"{cell.ref} not found")
            elif not cell.mailbox.has_room(message, self._coming[cell]):
                error = MailboxFull(f"{cell.path} is full; {type(message).__name__} was refused")
            else:
                self._waiting.append((cell, envelope))
                self._coming[cell] += 1
                if len(self._waiting) == 1 and not self._run_soon(self._take_over):
                    error = ActorDeadError(f"{cell.ref} not found")
        if error is None:
            return
        if reply_to is None:
            raise error
        reply_to.settle(None, error)

    def _take_over(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._coming.clear()
        for cell, envelope in waiting:
            try:
                self._deliver(cell, envelope)
            except (MailboxFull, ActorDeadError) as error:
                # Its sender has gone on; the dead letter that was written is all there is to tell.
                logger.debug("a host's message was refused: %s", error)
            except Exception:
                # Out of an interceptor: an error here would end the whole loop.
                logger.exception("a host's message could not be delivered")

    def close(self) -> None:
        """Takes over what is on its way and refuses everything from now on."""
        with self._lock:
            self._open = False
        self._take_over()

    def call_soon(self, function: Callable[[], None], otherwise: Future[Any] | None = None) -> None:
        """Calls a function on the system's thread: now, where this is it. After the end nothing is called."""
        if get_ident() == self._thread_id:
            function()
        elif not self._run_soon(function) and otherwise is not None:
            otherwise.settle(None, self._ended())

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the system's thread and returns, or raises, what comes of it."""
        if get_ident() == self._thread_id:
            return function()
        try:
            return trio.from_thread.run_sync(function, trio_token=self._token)
        except trio.RunFinishedError:
            raise self._ended() from None

    def _run_soon(self, function: Callable[[], None]) -> bool:
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            return False
        return True

    def _ended(self) -> ActorDeadError:
        return ActorDeadError(f"the actor system {self._name!r} has ended")
