"""An actor's turn: its waiting messages, lane by lane, each handled to its end.

This is the path of every message. It is written out where a call would cost, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .cell import ALIVE
from .dead_letters import DeadLetterKind
from .errors import DomainError, MessageExpired, OutcomeUnknown, RestartRequested
from .messages import (
    CancelAll,
    CrashActor,
    Envelope,
    Inspect,
    Kill,
    Restart,
    Resume,
    StartActor,
    Stop,
    Suspend,
    TraceOff,
    TraceOn,
)

if TYPE_CHECKING:
    from .cell import Cell


YOUNG = 64
"""An actor that has handled fewer messages lets go of its empty lane: most actors are orders, which never get more."""


def take_turn(cell: Cell, limit: int, started_at: float, ends_at: float) -> int:
    """Handles up to ``limit`` messages until ``ends_at``, the lanes in their order; returns how many.

    A cell with work left queues itself again, behind the others. ``turn_ended_at`` says when it was done.
    """
    mailbox = cell.mailbox
    handled = 0
    while True:
        if mailbox.control:
            _handle_control(cell, mailbox.pop_control(), started_at)
            cell.turn_ended_at = cell.system.now()
            handled += 1
        elif mailbox.supervision and cell.state in ALIVE:
            handled += _handle_from(cell, mailbox.supervision, "supervision", 1, started_at, ends_at)
        elif cell.receptive and mailbox.user:
            handled += _handle_from(cell, mailbox.user, "user", limit - handled, started_at, ends_at)
        elif cell.leaving is not None:
            reason, cell.leaving = cell.leaving, None
            cell.begin_stop(reason)
            cell.turn_ended_at = cell.system.now()
        else:
            cell.scheduled = False
            if cell.handled < YOUNG:
                mailbox.release()
            break
        started_at = cell.turn_ended_at
        if handled >= limit or started_at >= ends_at:
            cell.scheduled = cell.has_work()
            if cell.scheduled:
                cell.system.enqueue(cell)
            break
    cell.turn_ended_at = started_at
    cell.handled += handled
    return handled


def _handle_from(
    cell: Cell, lane: deque[Envelope], lane_name: str, limit: int, started_at: float, ends_at: float
) -> int:
    """Runs handlers to their ends, one after the other, until something else comes first; returns how many.

    This loop is the cost of every message, so what cannot change within it is looked up before it.
    """
    system = cell.system
    mailbox = cell.mailbox
    now = system.now
    record = system.trace.record if cell.traced else _discard
    find_handler = cell.direct.get
    receive = cell.receive
    instance = cell.instance
    path = cell.path
    incarnation = cell.incarnation
    handled = 0
    for handled in range(1, min(limit, len(lane)) + 1):  # noqa: B007 - the count is the result
        envelope = lane.popleft()
        if mailbox.tracked and lane is mailbox.user:
            mailbox.taken(envelope)
        if (envelope.guard is None and envelope.deadline is None) or _is_wanted(cell, envelope, started_at):
            message = envelope.message
            system.current = envelope
            try:
                reply = find_handler(type(message), receive)(instance, message)
            except BaseException as error:  # noqa: BLE001 - each kind of failure has its rule there
                outcome = _handler_failed(cell, envelope, error)
            else:
                outcome = "ok"
                reply_to = envelope.reply_to
                if reply_to is not None and not reply_to.settle(reply):
                    cell.dead_letter(envelope, DeadLetterKind.LATE_REPLY, "the asker had given up")
            finished_at = now()
            sender = envelope.sender
            record(
                (
                    "message",
                    envelope.id,
                    envelope.cause,
                    envelope.root,
                    sender.path if sender is not None else "",
                    path,
                    incarnation,
                    lane_name,
                    type(message).__name__,
                    envelope.enqueued_at,
                    started_at,
                    finished_at,
                    outcome,
                    None,
                )
            )
            # Last, so that a sink of the trace can still see what was handled.
            system.current = None
            started_at = finished_at
        if started_at >= ends_at or mailbox.control or mailbox.supervision or not cell.receptive:
            break
    cell.turn_ended_at = started_at
    return handled


def _discard(_record: object) -> None:
    """Records nothing, for an actor whose trace is off."""


def _is_wanted(cell: Cell, envelope: Envelope, now: float) -> bool:
    """Tells whether a guarded or dated message is still to be handled, and says why where it is not."""
    guard = envelope.guard
    if guard is not None:
        if not guard.live:
            cell.system.record_fate(envelope, "user", "stale")
            return False
        if cell.belongings is not None:
            cell.belongings.delivered(envelope)
    deadline = envelope.deadline
    if deadline is not None and now > deadline:
        detail = f"its deadline passed {now - deadline:.3f} s before it could be handled"
        cell.dead_letter(envelope, DeadLetterKind.EXPIRED, detail)
        cell.system.record_fate(envelope, "user", "expired")
        if envelope.reply_to is not None:
            envelope.reply_to.settle(None, MessageExpired(f"{cell.path}: {detail}"))
        return False
    return True


def _handler_failed(cell: Cell, envelope: Envelope, error: BaseException) -> str:
    """Decides what an exception out of a handler is: a refusal, an interrupt, or a crash. Returns the outcome."""
    reply_to = envelope.reply_to
    if isinstance(error, DomainError):
        if reply_to is not None:
            reply_to.settle(None, error)
        elif cell.belongings is None or not cell.belongings.refuse_deferred(envelope, error):
            # Nobody waits for the refusal; the actor is well all the same.
            cell.dead_letter(envelope, DeadLetterKind.REFUSED, f"{type(error).__name__}: {error}")
        return "refused_by_handler"
    instance = cell.instance
    if reply_to is not None and instance is not None and isinstance(error, instance.domain_errors):
        reply_to.settle(None, error)
        return "refused_by_handler"
    if isinstance(error, KeyboardInterrupt | SystemExit):
        if reply_to is not None:
            reply_to.settle(None, OutcomeUnknown(f"{cell.path} was interrupted while serving the request"))
        cell.system.interrupt(error)
        return "interrupted"
    if instance is not None and isinstance(error, Exception) and instance.absorbs(error, envelope.message):
        if reply_to is not None:
            reply_to.settle(None)
        return "refused_by_handler"
    cell.crash(error, envelope)
    return "crashed"


def _handle_control(cell: Cell, envelope: Envelope, started_at: float) -> None:
    """Obeys a control message."""
    message = envelope.message
    if isinstance(message, CancelAll):
        _cancel_all(cell, envelope, started_at)
        return
    cell.system.current = envelope
    answer: object = None
    if isinstance(message, StartActor):
        _start(cell, envelope, started_at)
        return
    if isinstance(message, Stop):
        cell.keep_waiting_for_end(envelope)
        cell.begin_stop(message.reason)
    elif isinstance(message, Kill):
        cell.keep_waiting_for_end(envelope)
        cell.kill()
    elif isinstance(message, Suspend):
        if cell.state == "running":
            cell.become("suspended")
    elif isinstance(message, Resume):
        if cell.state == "suspended":
            cell.become("running")
    elif isinstance(message, Restart):
        if cell.state in {"running", "suspended"}:
            cell.crash(RestartRequested(message.why), None)
    elif isinstance(message, CrashActor):
        if message.incarnation == cell.incarnation and cell.state in {"running", "suspended"}:
            cell.crash(message.error, None)
    elif isinstance(message, TraceOn | TraceOff):
        cell.traced = isinstance(message, TraceOn)
    else:
        assert isinstance(message, Inspect), message
        answer = cell.snapshot()
    cell.system.current = None
    if envelope.reply_to is not None:
        envelope.reply_to.settle(answer)
    cell.system.record_fate(envelope, "control", "ok", started_at)


def _start(cell: Cell, envelope: Envelope, started_at: float) -> None:
    """Starts the actor, and lets it begin: what fails from there on is a crash."""
    system = cell.system
    outcome = "ok"
    cell.start()
    instance = cell.instance
    if instance is not None and cell.state == "running":
        try:
            instance.on_begin()
        except BaseException as error:  # noqa: BLE001 - each kind of failure has its rule there
            outcome = _handler_failed(cell, envelope, error)
    system.current = None
    system.record_fate(envelope, "control", outcome, started_at)


def _cancel_all(cell: Cell, envelope: Envelope, started_at: float) -> None:
    if cell.state in {"running", "suspended"}:
        _handle_from(cell, deque((envelope,)), "control", 1, started_at, started_at)
    else:
        # No instance to tell now: the next one finds it before anything else that waits.
        cell.mailbox.push_first(envelope)
