"""Named places at which a child ends itself with SIGKILL: not a line of it runs after that, no buffer is flushed.

The runtime knows nothing of them. They are put round its functions in a forked child, before it begins.
"""

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec
import tallystick.runtime
import trio
from tallystick.actors.gateway import GatewayActor
from tallystick.model.ledger import Ledger
from tallystick.store.batch import Batch
from tallystick.store.group import GroupJournal
from tallystick.store.schema import SNAPSHOTS
from tallystick.store.writer import Writer

SNAPSHOT = "snapshot"
"""Stands for a kind of event where the commit of a snapshot is meant."""
PLACE, CANCEL = "POST /order", "DELETE /order"


class At(StrEnum):
    """Where. The first three are about the commit that holds an event of a kind, the next about a request."""

    BEFORE_COMMIT = "before the commit"
    IN_TRANSACTION = "in the middle of the commit"
    AFTER_COMMIT = "after the commit, before anybody was told of it"
    HALF_SENT = "with half of a request sent"
    SENT = "after a request left, before its answer"
    ANSWERED = "after the answer, before its event"
    OPENED = "when the store was opened"
    RECOVERING = "while the journal was read back"
    CLOSING = "before the store was closed"


class Point(msgspec.Struct, frozen=True):
    """The nth time that `at` is reached for `what`: a kind of event, or a request's method and path."""

    at: At
    what: str = ""
    nth: int = 1
    snapshot_every_events: int | None = None
    """Have snapshots made this often, and not every fifty thousand events."""


def install(point: Point) -> None:
    """Arm this process."""
    if point.snapshot_every_events is not None:
        setattr(tallystick.runtime, "SNAPSHOT_EVERY_EVENTS", point.snapshot_every_events)  # noqa: B010 - a constant
        setattr(tallystick.runtime, "SNAPSHOT_CHECK_SECONDS", 0.02)  # noqa: B010 - a constant
    if point.what or point.at in {At.OPENED, At.RECOVERING, At.CLOSING}:
        _INSTALLERS[point.at](point, _Countdown(point.nth))


class _Countdown:
    """Ends the process when it is reached for the nth time."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def reached(self) -> bool:
        """Count, and say whether this is the time."""
        self._left -= 1
        return not self._left

    def __call__(self) -> None:
        if self.reached():
            die()


def die() -> None:
    """End this process here and now."""
    os.kill(os.getpid(), signal.SIGKILL)


def _patch(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    setattr(owner, name, _wrapped(wrapper, getattr(owner, name)))


def _wrapped(wrapper: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def method(*arguments: Any, **named: Any) -> Any:
        return wrapper(original, *arguments, **named)

    return method


# ---- commits ----------------------------------------------------------------------------------------------


class _Commits:
    """Knows which batch holds the event that is meant."""

    def __init__(self, point: Point, countdown: _Countdown) -> None:
        self._point = point
        self._countdown = countdown
        self._lsn: int | None = None
        _patch(GroupJournal, "append", self._append)

    def _append(self, original: Callable[..., int], store: Any, *events: Any, **named: Any) -> int:
        for place, event in enumerate(events, store.last_lsn + 1):
            kind = getattr(type(event), "kind", "")
            if self._lsn is None and kind == self._point.what and self._countdown.reached():
                self._lsn = place
        return original(store, *events, **named)

    def holds(self, batch: Batch) -> bool:
        if self._point.what == SNAPSHOT:
            return bool(batch.rows.get(SNAPSHOTS)) and self._countdown.reached()
        return self._lsn is not None and batch.first_lsn <= self._lsn < batch.first_lsn + len(batch.records)


def _before_commit(point: Point, countdown: _Countdown) -> None:
    commits = _Commits(point, countdown)

    def write(original: Callable[..., Any], writer: Writer, batch: Batch) -> Any:
        if commits.holds(batch):
            die()
        return original(writer, batch)

    _patch(Writer, "write", write)


def _in_transaction(point: Point, countdown: _Countdown) -> None:
    commits = _Commits(point, countdown)

    def put_batch(original: Callable[..., Any], *arguments: Any, batch: Batch) -> Any:
        done = original(*arguments, batch=batch)
        if commits.holds(batch):
            die()
        return done

    _patch(Writer, "_put_batch", put_batch)


def _after_commit(point: Point, countdown: _Countdown) -> None:
    commits = _Commits(point, countdown)

    def write(original: Callable[..., Any], writer: Writer, batch: Batch) -> Any:
        done = original(writer, batch)
        if commits.holds(batch):
            die()
        return done

    _patch(Writer, "write", write)


# ---- requests ---------------------------------------------------------------------------------------------


def _half_sent(point: Point, countdown: _Countdown, *, half: bool = True) -> None:
    """A request leaves as one piece; a peer that sees only half of it has seen none."""
    start = f"{point.what} HTTP/1.1\r\n".encode()

    async def send_all(original: Callable[..., Any], stream: trio.SocketStream, data: bytes) -> None:
        if bytes(data[: len(start)]) != start or not countdown.reached():
            await original(stream, data)
            return
        await original(stream, data[: len(data) // 2] if half else data)
        die()

    _patch(trio.SocketStream, "send_all", send_all)


def _answered(point: Point, countdown: _Countdown) -> None:
    method, path = point.what.split()

    async def once(original: Callable[..., Any], gateway: GatewayActor, request: Any) -> Any:
        reply = await original(gateway, request)
        if (request.method, request.path) == (method, path):
            countdown()
        return reply

    _patch(GatewayActor, "_once", once)


# ---- beginning and end ------------------------------------------------------------------------------------


def _opened(_point: Point, countdown: _Countdown) -> None:
    def begin(original: Callable[..., Any], *arguments: Any) -> Any:
        done = original(*arguments)
        countdown()
        return done

    _patch(Writer, "_begin_epoch", begin)


def _recovering(_point: Point, countdown: _Countdown) -> None:
    def apply(original: Callable[..., Any], *arguments: Any) -> Any:
        countdown()
        return original(*arguments)

    _patch(Ledger, "apply", apply)


def _closing(_point: Point, countdown: _Countdown) -> None:
    def close(original: Callable[..., Any], writer: Writer) -> Any:
        countdown()
        return original(writer)

    _patch(Writer, "close", close)


_INSTALLERS: dict[At, Callable[[Point, _Countdown], None]] = {
    At.BEFORE_COMMIT: _before_commit,
    At.IN_TRANSACTION: _in_transaction,
    At.AFTER_COMMIT: _after_commit,
    At.HALF_SENT: _half_sent,
    At.SENT: partial(_half_sent, half=False),
    At.ANSWERED: _answered,
    At.OPENED: _opened,
    At.RECOVERING: _recovering,
    At.CLOSING: _closing,
}
