"""Messages that were not handled, with the reason: diagnostics for most, an alarm for some.

A dead letter that carries a venue report or an order command should raise an alert; subscribers decide that. The
log gets the first few and then falls silent for a while, and never a message's content, which may be secret.
"""

from __future__ import annotations

import enum
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

logger = logging.getLogger("tallystick.actors.dead_letters")

LOGGED_BEFORE_SILENCE = 10
SILENCE_SECONDS = 300.0


class DeadLetterKind(enum.Enum):
    """Why a message was not handled."""

    UNDELIVERABLE = "undeliverable"  # its receiver has ended
    REFUSED = "refused"  # a mailbox bound kept it out, or a restart cleared it
    LATE_REPLY = "late_reply"  # the answer came after the asker had given up
    EXPIRED = "expired"  # its deadline passed while it waited
    UNHANDLED = "unhandled"  # its receiver has no handler for it
    CRASH = "crash"  # handling it crashed its receiver; it is not handled again


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was not handled. ``at`` is seconds on the system's clock; ``traceback`` is for crashes."""

    kind: DeadLetterKind
    message: Any
    message_id: int
    root: int
    sender: str
    receiver: str
    at: float
    detail: str = ""
    error: BaseException | None = None
    traceback: str = ""

    def describe(self) -> str:
        """Says what happened in one line, without the message's content."""
        detail = f": {self.detail}" if self.detail else ""
        return (
            f"{self.kind.value} {type(self.message).__name__} #{self.message_id}"
            f" from {self.sender or 'outside'} to {self.receiver}{detail}"
        )


Subscriber = Callable[[DeadLetter], None]


class DeadLetters:
    """A bounded ring of dead letters, counted by kind, with subscribers and a log that does not flood."""

    def __init__(self, size: int, now: Callable[[], float]) -> None:
        self._ring: deque[DeadLetter] = deque(maxlen=size)
        self._now = now
        self._subscribers: list[Subscriber] = []
        self.counts: Counter[DeadLetterKind] = Counter()
        self.log: Callable[[str], None] = logger.warning
        self._logged = 0
        self._silent_until = 0.0
        self._unlogged = 0

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls ``subscriber`` with each new dead letter; returns the function that ends the subscription."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def add(self, letter: DeadLetter, *, quiet: bool = False) -> None:
        """Records a dead letter; ``quiet`` keeps it out of the log, as at an orderly stop."""
        self._ring.append(letter)
        self.counts[letter.kind] += 1
        if not quiet:
            self._log_with_restraint(letter)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(letter)
            except Exception:
                logger.exception("a dead letter subscriber failed; it stays subscribed")

    def _log_with_restraint(self, letter: DeadLetter) -> None:
        now = self._now()
        if self._logged >= LOGGED_BEFORE_SILENCE:
            if now < self._silent_until:
                self._unlogged += 1
                return
            if self._unlogged:
                self.log(f"{self._unlogged} dead letters were not logged in the last {SILENCE_SECONDS:.0f} s")
            self._logged = self._unlogged = 0
        self._logged += 1
        self.log(letter.describe())
        if self._logged == LOGGED_BEFORE_SILENCE:
            self._silent_until = now + SILENCE_SECONDS

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._ring))

    def __len__(self) -> int:
        return len(self._ring)
