"""The place of an actor: its path, mailbox and supervisor, which outlive the instance.

::

    new ──> starting ──> running ──> stopping ──> down ──> starting …   decided by the supervisor
                │           ⇅                       └────> stopped      for good
                │       suspended
                └── failed start ──────────────────> down

An incarnation is one instance between ``starting`` and ``down``. A crash ends the incarnation and not the cell:
what waits in the mailbox waits for the next instance. Everything here runs on the system's thread.
"""

from __future__ import annotations

import logging
import sys
import traceback
from _thread import get_ident
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
import pykka
from pykka import ActorDeadError, Timeout
from pykka._envelope import Envelope as PykkaEnvelope

from .dead_letters import DeadLetter, DeadLetterKind
from .errors import (
    ActorError,
    ActorRestarted,
    DomainError,
    MailboxFull,
    MailboxOverflow,
    MessageExpired,
    OutcomeUnknown,
    RestartRequested,
    StartIgnored,
    StartTimeout,
)
from .future import Future
from .mailbox import Mailbox
from .messages import (
    KILLED,
    NORMAL,
    CancelAll,
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    CrashActor,
    Down,
    Envelope,
    ExitKind,
    ExitReason,
    Guard,
    Inspect,
    Kill,
    Reply,
    ReplyTo,
    Restart,
    Restarted,
    Resume,
    StartActor,
    Stop,
    Suspend,
    TaskDone,
    TaskFailed,
    TraceOff,
    TraceOn,
    crashed,
)
from .ref import ActorRef
from .reports import CrashReport
from .spec import ChildSpec
from .tasks import TaskHandle
from .timers import Timer

if TYPE_CHECKING:
    from .actor import Actor
    from .system import ActorSystem

logger = logging.getLogger("tallystick.actors")

CellState: TypeAlias = Literal["new", "starting", "running", "suspended", "stopping", "down", "stopped"]

_ALIVE = frozenset({"starting", "running", "suspended", "stopping"})


class Watch:
    """One actor's interest in the end of another; dead once it was told or withdrawn."""

    __slots__ = ("live", "target", "watcher")

    def __init__(self, watcher: Cell, target: Cell) -> None:
        self.watcher = watcher
        self.target = target
        self.live = True


class PendingReply:
    """Where the answer to an actor's own ask arrives: settled once, delivered once, to the incarnation that asked.

    It stands in for a future, in our cells and, with ``set`` and ``set_exception``, in plain pykka actors.
    """

    __slots__ = ("_cell", "_incarnation", "_key", "_origin", "answered", "timer")

    def __init__(self, cell: Cell, key: Any, origin: Envelope | None) -> None:
        self._cell = cell
        self._incarnation = cell.incarnation
        self._key = key
        self._origin = origin
        self.answered = False
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
        if self.answered:
            return False
        self.answered = True
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


class ActorSnapshot(msgspec.Struct, frozen=True):
    """One actor as data. ``oldest_age_seconds`` is the age of its oldest waiting user message."""

    path: str
    actor_class: str
    state: str
    incarnation: int
    restarts: int
    mailbox_depth: int
    oldest_age_seconds: float
    tasks: tuple[str, ...]
    timers: int
    handled: int


class Cell:
    """One actor's place in the tree."""

    __slots__ = (
        "children",
        "deferred",
        "direct",
        "end_waiters",
        "ending",
        "failures",
        "handled",
        "incarnation",
        "instance",
        "mailbox",
        "parent",
        "path",
        "receive",
        "receptive",
        "ref",
        "restarts",
        "scheduled",
        "spec",
        "start_deferred",
        "state",
        "stop_replies",
        "system",
        "tasks",
        "timers",
        "traced",
        "turn_ended_at",
        "watchers",
        "watching",
    )

    def __init__(self, system: ActorSystem, path: str, spec: ChildSpec, parent: Cell | None) -> None:
        self.system = system
        self.path = path
        self.spec = spec
        self.parent = parent
        self.ref = ActorRef(self)
        self.mailbox = Mailbox(spec.mailbox)
        self.instance: Actor | None = None
        self.direct: dict[type, Callable[[Any, Any], Any]] = {}
        self.receive: Callable[[Any, Any], Any] = _no_receive
        self.state: CellState = "new"
        self.receptive = False  # running and not suspended: user messages may be handled
        self.scheduled = False  # in the run queue
        self.traced = True
        self.incarnation = 0
        self.restarts = 0
        self.failures = 0  # since the actor was last healthy: the exponent of its backoff
        self.handled = 0
        self.turn_ended_at = 0.0
        self.start_deferred: Timer | None = None
        # What the supervisor will be told once this incarnation's tasks have unwound; None while it lives.
        self.ending: ChildEnded | ChildStartFailed | ChildIgnored | None = None
        # The rest is made when first needed: most actors have none of it.
        self.children: dict[str, Cell] | None = None
        self.tasks: dict[str, TaskHandle] | None = None
        self.timers: dict[Any, Timer] | None = None
        self.watchers: dict[Cell, Watch] | None = None
        self.watching: dict[Cell, Watch] | None = None
        self.deferred: dict[Future[Any], Envelope] | None = None
        self.stop_replies: list[ReplyTo] | None = None
        self.end_waiters: list[Future[ExitReason]] | None = None

    def __repr__(self) -> str:
        return f"<Cell {self.path} {self.state} incarnation {self.incarnation}>"

    @property
    def is_alive(self) -> bool:
        """Tells whether messages are still accepted: until the end for good, restarts included."""
        return self.state != "stopped"

    # --- accepting messages -----------------------------------------------------------------------------------

    def post(self, envelope: Envelope) -> None:
        """Accepts a user message within its bound; raises MailboxFull, or ActorDeadError for an ended actor."""
        if self.state == "stopped":
            self.undeliverable(envelope)
            raise ActorDeadError(f"{self.path} has ended; {type(envelope.message).__name__} was not delivered")
        admission = self.mailbox.admit(envelope)
        if admission == "queued":
            if not self.scheduled:
                self.schedule()
            return
        if admission == "conflated":
            self.system.record_fate(envelope, "user", "conflated")
            if envelope.reply_to is not None:
                envelope.reply_to.settle(None, MailboxFull(f"{self.path}: a newer message took this one's place"))
            return
        detail = f"{self.path} has {len(self.mailbox.user or ())} messages waiting"
        self._dead_letter(envelope, DeadLetterKind.REFUSED, detail)
        self.system.record_fate(envelope, "user", "refused")
        if admission == "overflow":
            overflow = MailboxOverflow(f"{detail}; {type(envelope.message).__name__} must not be dropped")
            self.control(CrashActor(overflow))
            return
        raise MailboxFull(f"{detail}; {type(envelope.message).__name__} was refused")

    def push(self, message: object, guard: Guard, origin: Envelope | None = None) -> None:
        """Queues one of the kernel's own messages for the actor, past the bounds of the user lane."""
        if self.state == "stopped":
            return
        self.mailbox.push(self.system.make_envelope(self, message, None, None, guard, (), origin))
        if not self.scheduled:
            self.schedule()

    def control(self, message: object, reply_to: ReplyTo | None = None) -> None:
        """Queues a control message; it is handled before any user message."""
        if self.state == "stopped":
            if reply_to is not None:
                reply_to.settle(None, ActorDeadError(f"{self.path} has ended"))
            return
        self.mailbox.push_control(self.system.make_envelope(self, message, reply_to))
        self.schedule()

    def supervise(self, event: object) -> None:
        """Queues an event about a child."""
        if self.state == "stopped":
            return
        self.mailbox.push_supervision(self.system.make_envelope(self, event))
        self.schedule()

    def control_stop(self, reason: ExitReason) -> None:
        """Asks the actor to end after its current message."""
        self.control(Stop(reason))

    def control_kill(self) -> None:
        """Asks the actor to end after its current message, without its hook."""
        self.control(Kill())

    def schedule(self) -> None:
        """Puts the cell into the run queue, once."""
        if not self.scheduled:
            self.scheduled = True
            self.system.enqueue(self)

    # --- the turn ---------------------------------------------------------------------------------------------

    def take_turn(self, limit: int, started_at: float, ends_at: float) -> int:
        """Handles up to ``limit`` messages until ``ends_at``, the lanes in their order; returns how many.

        A cell with work left queues itself again, behind the others. ``turn_ended_at`` says when it was done.
        """
        mailbox = self.mailbox
        handled = 0
        while True:
            if mailbox.control:
                self._handle_control(mailbox.control.popleft(), started_at)
                self.turn_ended_at = self.system.now()
                handled += 1
            elif mailbox.supervision and self.state in _ALIVE:
                handled += self._handle_from(mailbox.supervision, "supervision", 1, started_at, ends_at)
            elif self.receptive and mailbox.user:
                handled += self._handle_from(mailbox.user, "user", limit - handled, started_at, ends_at)
            else:
                self.scheduled = False
                break
            started_at = self.turn_ended_at
            if handled >= limit or started_at >= ends_at:
                self.scheduled = self.has_work()
                if self.scheduled:
                    self.system.enqueue(self)
                break
        self.turn_ended_at = started_at
        self.handled += handled
        return handled

    def has_work(self) -> bool:
        """Tells whether another turn would handle anything."""
        mailbox = self.mailbox
        return bool(
            mailbox.control or (mailbox.supervision and self.state in _ALIVE) or (self.receptive and mailbox.user)
        )

    def _handle_from(self, lane: deque[Envelope], lane_name: str, limit: int, started_at: float, ends_at: float) -> int:
        """Runs handlers to their ends, one after the other, until something else comes first; returns how many.

        This loop is the cost of every message, so what cannot change within it is looked up before it.
        """
        system = self.system
        mailbox = self.mailbox
        now = system.now
        record = system.trace.record if self.traced else _discard
        find_handler = self.direct.get
        receive = self.receive
        instance = self.instance
        path = self.path
        incarnation = self.incarnation
        handled = 0
        for handled in range(1, min(limit, len(lane)) + 1):  # noqa: B007 - the count is the result
            envelope = lane.popleft()
            if mailbox.tracked and lane is mailbox.user:
                mailbox.taken(envelope)
            if (envelope.guard is None and envelope.deadline is None) or self._is_wanted(envelope, started_at):
                message = envelope.message
                system.current = envelope
                try:
                    reply = find_handler(type(message), receive)(instance, message)
                except BaseException as error:  # noqa: BLE001 - each kind of failure has its rule there
                    outcome = self._handler_failed(envelope, error)
                else:
                    outcome = "ok"
                    reply_to = envelope.reply_to
                    if reply_to is not None and not reply_to.settle(reply):
                        self._dead_letter(envelope, DeadLetterKind.LATE_REPLY, "the asker had given up")
                system.current = None
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
                started_at = finished_at
            if started_at >= ends_at or mailbox.control or mailbox.supervision or not self.receptive:
                break
        self.turn_ended_at = started_at
        return handled

    def _handler_failed(self, envelope: Envelope, error: BaseException) -> str:
        future = envelope.reply_to
        if isinstance(error, DomainError):
            if future is None and self._refuse_deferred(envelope, error):
                return "refused_by_handler"
            if future is None:
                # Nobody waits for the refusal; the actor is well all the same.
                self._dead_letter(envelope, DeadLetterKind.REFUSED, f"{type(error).__name__}: {error}")
            else:
                future.settle(None, error)
            return "refused_by_handler"
        instance = self.instance
        if future is not None and instance is not None and isinstance(error, instance.domain_errors):
            future.settle(None, error)
            return "refused_by_handler"
        if isinstance(error, KeyboardInterrupt | SystemExit):
            if future is not None:
                future.settle(None, OutcomeUnknown(f"{self.path} was interrupted while serving the request"))
            self.system.interrupt(error)
            return "interrupted"
        self._crash(error, envelope)
        return "crashed"

    def _refuse_deferred(self, envelope: Envelope, error: DomainError) -> bool:
        """Answers with a refusal that was raised after the handler had put its reply off."""
        for future, deferred in tuple((self.deferred or {}).items()):
            if deferred is envelope:
                return future.settle(None, error)
        return False

    def _is_wanted(self, envelope: Envelope, now: float) -> bool:
        """Tells whether a guarded or dated message is still to be handled, and says why where it is not."""
        guard = envelope.guard
        if guard is not None:
            if not guard.live:
                self.system.record_fate(envelope, "user", "stale")
                return False
            if type(guard) is Timer and self.timers is not None:
                self.timers.pop(guard if guard.key is None else guard.key, None)
        deadline = envelope.deadline
        if deadline is not None and now > deadline:
            detail = f"its deadline passed {now - deadline:.3f} s before it could be handled"
            self._dead_letter(envelope, DeadLetterKind.EXPIRED, detail)
            self.system.record_fate(envelope, "user", "expired")
            if envelope.reply_to is not None:
                envelope.reply_to.settle(None, MessageExpired(f"{self.path}: {detail}"))
            return False
        return True

    # --- control ----------------------------------------------------------------------------------------------

    def _handle_control(self, envelope: Envelope, started_at: float) -> None:
        message = envelope.message
        if isinstance(message, CancelAll):
            self._cancel_all(envelope, started_at)
            return
        self.system.current = envelope
        answer: object = None
        if isinstance(message, StartActor):
            self._start()
        elif isinstance(message, Stop):
            if envelope.reply_to is not None:
                self.add_stop_reply(envelope)
            self._begin_stop(message.reason)
        elif isinstance(message, Kill):
            if envelope.reply_to is not None:
                self.add_stop_reply(envelope)
            self.kill()
        elif isinstance(message, Suspend):
            if self.state == "running":
                self._become("suspended")
        elif isinstance(message, Resume):
            if self.state == "suspended":
                self._become("running")
        elif isinstance(message, Restart):
            if self.state in {"running", "suspended"}:
                self._crash(RestartRequested(message.why), None)
        elif isinstance(message, CrashActor):
            if self.state in {"running", "suspended", "starting"}:
                self._crash(message.error, None)
        elif isinstance(message, TraceOn | TraceOff):
            self.traced = isinstance(message, TraceOn)
        else:
            assert isinstance(message, Inspect), message
            answer = self.snapshot()
        self.system.current = None
        if envelope.reply_to is not None:
            envelope.reply_to.settle(answer)
        self.system.record_fate(envelope, "control", "ok", started_at)

    def _cancel_all(self, envelope: Envelope, started_at: float) -> None:
        if self.state in {"running", "suspended"}:
            self._handle_from(deque((envelope,)), "control", 1, started_at, started_at)
        else:
            # No instance to tell now: the next one finds it before anything else that waits.
            self.mailbox.push(envelope)
            user = self.mailbox.user
            assert user is not None
            user.rotate(1)

    def add_stop_reply(self, envelope: Envelope) -> None:
        """Keeps the asker of a stop waiting until the incarnation has ended."""
        future, envelope.reply_to = envelope.reply_to, None
        if future is not None:
            if self.stop_replies is None:
                self.stop_replies = []
            self.stop_replies.append(future)

    # --- start ------------------------------------------------------------------------------------------------

    def begin_start(self) -> None:
        """Asks for a new incarnation; the supervisor is told how it went."""
        if self.state == "down" and self.mailbox.spec.on_restart == "clear_reports":
            for envelope in self.mailbox.clear_reports():
                self._dead_letter(envelope, DeadLetterKind.REFUSED, "cleared by a restart")
                self.system.record_fate(envelope, "user", "cleared")
                if envelope.reply_to is not None:
                    envelope.reply_to.settle(None, ActorRestarted(self.path, self.incarnation))
        self._become("starting")
        self.control(StartActor())

    def construct(self) -> None:
        """Makes the instance; whatever its initialiser raises is the caller's."""
        self.incarnation += 1
        self.instance = self.system.construct(self)
        actor_class = type(self.instance)
        self.direct = actor_class.direct_handlers
        self.receive = actor_class.on_receive

    def _start(self) -> None:
        if self.state != "starting":
            return  # killed before its turn came
        try:
            if self.instance is None:
                self.construct()
            instance = self.instance
            assert instance is not None
            instance.on_start()
        except StartIgnored:
            self._release(run_hook=False, reason=NORMAL)
            self._conclude(ChildIgnored(self), NORMAL)
        except (KeyboardInterrupt, SystemExit) as error:
            self._start_failed(error)
            self.system.interrupt(error)
        except BaseException as error:  # noqa: BLE001 - the supervisor decides
            self._start_failed(error)
        else:
            if self.start_deferred is None and self.state == "starting":
                self.acknowledge_start()

    def defer_start(self) -> None:
        """Lets the start be acknowledged later; past the specification's timeout it counts as failed."""
        if self.state != "starting":
            raise ActorError(f"{self.path}: only an actor that is starting can defer its start")
        due_at = self.system.now() + self.spec.start_timeout_seconds
        self.start_deferred = self.system.timers.arm(due_at, self._start_timed_out)

    def _start_timed_out(self, _timer: Timer) -> None:
        if self.state == "starting":
            seconds = self.spec.start_timeout_seconds
            self._start_failed(StartTimeout(f"{self.path} did not acknowledge its start within {seconds} s"))

    def hold_start(self) -> None:
        """Defers the start without a limit of its own: a supervisor's is bounded by its children's."""
        self.start_deferred = Timer(0.0, None, 0, self._start_timed_out, self.system.timers)
        self.start_deferred.pending = False

    def acknowledge_start(self) -> None:
        """Completes the start: from now on user messages are handled, and the supervisor goes on."""
        if self.state != "starting":
            return
        if self.start_deferred is not None:
            self.start_deferred.cancel()
            self.start_deferred = None
        self._become("running")
        if self.parent is None:
            self.system.root_started()
        else:
            self.parent.supervise(ChildStarted(self))
        if self.incarnation > 1:
            for watch in tuple((self.watchers or {}).values()):
                if watch.watcher.handles(Restarted):
                    watch.watcher.push(Restarted(self.ref, self.incarnation), watch)

    def fail_start(self, reason: ExitReason) -> None:
        """Ends a deferred start that did not succeed."""
        if self.state == "starting":
            self._release(run_hook=False, reason=reason)
            self._conclude(ChildStartFailed(self, reason), reason)

    def _start_failed(self, error: BaseException) -> None:
        detail = f"{type(error).__name__}: {error}"
        logger.error("%s could not start: %s", self.path, detail, exc_info=_exc_info(error))
        self.fail_start(ExitReason(ExitKind.START_FAILED, detail, error))

    # --- end of an incarnation ----------------------------------------------------------------------------------

    def _crash(self, error: BaseException, envelope: Envelope | None) -> None:
        reason = crashed(error)
        text = "".join(traceback.format_exception(error))
        message_type = type(envelope.message).__name__ if envelope is not None else ""
        logger.error(
            "%s crashed in incarnation %d on %s", self.path, self.incarnation, message_type or "an event",
            exc_info=_exc_info(error),
        )  # fmt: skip
        self.system.events.publish(
            CrashReport(
                path=self.path,
                incarnation=self.incarnation,
                actor_class=type(self.instance).__name__,
                message_type=message_type,
                message_id=envelope.id if envelope is not None else 0,
                mailbox_depth=self.mailbox.depth,
                reason=reason,
                traceback=text,
            )
        )
        if envelope is not None:
            self._dead_letter(envelope, DeadLetterKind.CRASH, reason.detail, error=error, text=text)
            if envelope.reply_to is not None:
                unknown = ActorRestarted(self.path, self.incarnation)
                unknown.__cause__ = error
                envelope.reply_to.settle(None, unknown)
        if self.state == "starting":
            self._start_failed(error)
            return
        instance = self.instance
        if instance is not None:
            try:
                instance.on_failure(type(error), error, error.__traceback__)
            except Exception:
                logger.exception("%s: on_failure failed", self.path)
        self._end_incarnation(reason)

    def _begin_stop(self, reason: ExitReason) -> None:
        if self.state not in {"starting", "running", "suspended"}:
            if self.state in {"down", "stopped"}:
                self._answer_stop()
            return
        self._become("stopping", reason)
        instance = self.instance
        if instance is None or instance.prepare_stop(reason):
            self._end_incarnation(reason)
        # Otherwise a supervisor stops its children first and calls finish_stop, perhaps already.

    def finish_stop(self, reason: ExitReason) -> None:
        """Goes on with a stop that ``prepare_stop`` had put off."""
        if self.state in _ALIVE and self.ending is None:
            self._end_incarnation(reason)

    def _end_incarnation(self, reason: ExitReason) -> None:
        self._become("stopping", reason)
        reason = self._release(run_hook=True, reason=reason)
        self._conclude(ChildEnded(self, reason), reason)

    def _conclude(self, ending: ChildEnded | ChildStartFailed | ChildIgnored, reason: ExitReason) -> None:
        """Waits for the tasks of the released incarnation, which are cancelled, and then reports its end."""
        self._become("stopping", reason)
        self.ending = ending
        self._kill_children()  # only a supervisor that failed has any left: nobody stops them in order
        if not self.tasks:
            self._ended()

    def _kill_children(self) -> None:
        for child in reversed(list((self.children or {}).values())):
            child.kill()
            child.close(KILLED)

    def kill(self) -> None:
        """Ends the incarnation at once: no ``on_stop``, children killed, tasks abandoned to their cancellation."""
        if self.state in {"down", "stopped"}:
            self._answer_stop()
            return
        self._release(run_hook=False, reason=KILLED)
        self._kill_children()
        tasks, self.tasks = self.tasks, None
        if tasks:
            self.system.abandon(self, tuple(tasks.values()))
        self.ending = ChildEnded(self, KILLED)
        self._ended()

    def _release(self, *, run_hook: bool, reason: ExitReason) -> ExitReason:
        """Lets go of everything an incarnation holds; returns the reason, which a failing hook changes."""
        instance = self.instance
        if run_hook and instance is not None:
            try:
                instance.run_on_stop(reason)
            except BaseException as error:
                logger.exception("%s: on_stop failed", self.path)
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    self.system.interrupt(error)
                if reason.is_clean:
                    reason = crashed(error)
        if self.start_deferred is not None:
            self.start_deferred.cancel()
            self.start_deferred = None
        for timer in (self.timers or {}).values():
            timer.cancel()
        self.timers = None
        for watch in tuple((self.watching or {}).values()):
            self._withdraw(watch)
        self.watching = None
        for task in tuple((self.tasks or {}).values()):
            task.cancel()
        deferred, self.deferred = self.deferred, None
        for future in tuple(deferred or ()):
            if reason.is_clean:
                future.settle(None, OutcomeUnknown(f"{self.path} ended before it answered"))
            else:
                future.settle(None, ActorRestarted(self.path, self.incarnation))
        return reason

    def _ended(self) -> None:
        """Drops the instance and leaves the decision about the next one to the supervisor."""
        ending, self.ending = self.ending, None
        assert ending is not None, self
        reason = NORMAL if isinstance(ending, ChildIgnored) else ending.reason
        self.instance = None
        self.direct = {}
        self.receive = _no_receive
        self.mailbox.supervision = None
        self._become("down", reason)
        self._answer_stop()
        if self.parent is None:
            self.close(reason)
            self.system.root_ended(reason)
        else:
            self.parent.supervise(ending)

    def _answer_stop(self) -> None:
        replies, self.stop_replies = self.stop_replies, None
        for future in replies or ():
            future.settle(None)

    def close(self, reason: ExitReason) -> None:
        """Ends the cell for good: what waits becomes dead letters, watchers are told, the path is free."""
        if self.state == "stopped":
            return
        self._become("stopped", reason)
        self.system.forget(self)
        parent = self.parent
        if parent is not None and parent.children is not None:
            parent.children.pop(self.spec.id, None)
        for envelope in self.mailbox.drain():
            self._bury(envelope)
        for watch in tuple((self.watchers or {}).values()):
            self.tell_down(watch, reason)
        self.watchers = None
        waiters, self.end_waiters = self.end_waiters, None
        for waiter in waiters or ():
            waiter.settle(reason)
        self._answer_stop()

    def _bury(self, envelope: Envelope) -> None:
        """Gives a message that was never handled its end."""
        message = envelope.message
        future = envelope.reply_to
        if type(message) in _KERNEL_STOPS:
            if future is not None:
                future.settle(None)
            return
        if future is not None:
            future.settle(None, ActorDeadError(f"{self.ref} stopped before handling the message"))
        if envelope.guard is None and type(message) not in _KERNEL_MESSAGES:
            self.undeliverable(envelope)

    def undeliverable(self, envelope: Envelope) -> None:
        """Records a message to an actor that has ended."""
        self._dead_letter(envelope, DeadLetterKind.UNDELIVERABLE, "its receiver has ended")
        self.system.record_fate(envelope, "user", "undeliverable")

    def _dead_letter(
        self,
        envelope: Envelope,
        kind: DeadLetterKind,
        detail: str,
        error: BaseException | None = None,
        text: str = "",
    ) -> None:
        self.system.dead_letters.add(
            DeadLetter(
                kind=kind,
                message=envelope.message,
                message_id=envelope.id,
                root=envelope.root,
                sender=envelope.sender_path,
                receiver=self.path,
                at=self.system.now(),
                detail=detail,
                error=error,
                traceback=text,
            ),
            quiet=self.system.is_stopping,
        )

    def unhandled(self, envelope: Envelope) -> None:
        """Records that the actor has no handler for the message."""
        self._dead_letter(envelope, DeadLetterKind.UNHANDLED, f"{type(self.instance).__name__} has no handler for it")

    def handles(self, message_type: type) -> bool:
        """Tells whether the running instance declares a handler for a type of message."""
        return self.instance is not None and self.instance.handles_type(message_type)

    # --- tasks, timers, watches, requests -----------------------------------------------------------------------

    def start_task(self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...], name: str) -> TaskHandle:
        """Starts async work that this incarnation owns."""
        if self.state not in {"starting", "running", "suspended"}:
            raise ActorError(f"{self.path} is {self.state} and cannot start the task {name!r}")
        if self.tasks is None:
            self.tasks = {}
        if name in self.tasks:
            raise ActorError(f"{self.path} already runs a task named {name!r}")
        handle = TaskHandle(self, name, self.system.origin())
        self.tasks[name] = handle
        self.system.task_started()
        self.system.nursery.start_soon(handle.run, function, arguments, name=f"{self.path}:{name}")
        return handle

    def task_ended(self, handle: TaskHandle, *, completed: bool, value: Any, error: BaseException | None) -> None:
        """Turns the end of a task into a message, or, while the incarnation ends, into the next step of that."""
        tasks = self.tasks
        if tasks is None or tasks.get(handle.name) is not handle:
            return  # abandoned by a kill
        del tasks[handle.name]
        if handle.live:
            origin = handle.origin
            if error is not None:
                self.push(TaskFailed(handle.name, error), handle, origin)
            elif completed:
                self.push(TaskDone(handle.name, value), handle, origin)
        elif error is not None:
            logger.warning("%s: task %s failed while it was cancelled: %r", self.path, handle.name, error)
        if self.ending is not None and not tasks:
            self._ended()

    def arm_timer(self, seconds: float, message: object, key: Hashable) -> Timer:
        """Arms a timer of this incarnation; one with a key replaces the key's earlier one, fired or not."""
        if self.timers is None:
            self.timers = {}
        elif key is not None:
            self.cancel_timer(key)
        system = self.system
        origin = system.origin()

        def fire(timer: Timer) -> None:
            # It stays in the table until delivery, so that its key can still call the message back.
            self.push(message, timer, origin)

        timer = system.timers.arm(system.now() + seconds, fire, key)
        self.timers[timer if key is None else key] = timer
        return timer

    def cancel_timer(self, key: Hashable) -> bool:
        """Cancels a key's timer, also where its message already waits."""
        timer = (self.timers or {}).pop(key, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def ask_for_reply(
        self,
        ref: pykka.ActorRef[Any],
        message: object,
        *,
        key: Hashable,
        timeout_seconds: float | None,
        deadline: float | None,
        chain: tuple[Cell, ...],
    ) -> None:
        """Asks another actor; the reply, the error or the timeout comes back as one ``Reply``."""
        system = self.system
        pending = PendingReply(self, key, system.current)
        if timeout_seconds is not None:

            def give_up(_timer: Timer) -> None:
                text = f"{ref} did not answer {type(message).__name__} within {timeout_seconds} seconds"
                pending.settle(None, Timeout(text))

            pending.timer = system.timers.arm(system.now() + timeout_seconds, give_up)
        if isinstance(ref, ActorRef):
            ref.ask_into(pending, message, deadline=deadline, chain=chain)
        elif ref.is_alive():
            ref.actor_inbox.put(PykkaEnvelope(message, reply_to=pending))  # type: ignore[arg-type]  # a stand-in
        else:
            pending.settle(None, ActorDeadError(f"{ref} not found"))

    def defer_reply(self, envelope: Envelope) -> Future[Any]:
        """Takes the reply out of the handler's hands."""
        reply_to, envelope.reply_to = envelope.reply_to, None
        if reply_to is None:
            raise ActorError(f"{self.path}: {type(envelope.message).__name__} was told, nobody waits for a reply")
        future: Future[Any] = Future()
        if self.deferred is None:
            self.deferred = {}
        deferred = self.deferred
        deferred[future] = envelope

        def answer() -> None:
            deferred.pop(future, None)
            if not reply_to.settle(*future.outcome()):
                self._dead_letter(envelope, DeadLetterKind.LATE_REPLY, "the asker had given up")

        future.add_done_callback(lambda: self.system.call_soon(answer))
        return future

    def watch(self, target: Cell) -> None:
        """Arranges exactly one ``Down`` for the end of ``target``; at once where it has ended. Idempotent."""
        if target.system is not self.system:
            raise ActorError(f"{self.path} cannot watch {target.path}: it lives in another actor system")
        if self.watching is None:
            self.watching = {}
        known = self.watching.get(target)
        if known is not None and known.live:
            return
        watch = Watch(self, target)
        self.watching[target] = watch
        if target.state == "stopped":
            self.tell_down(watch, ExitReason(ExitKind.NOT_FOUND, "it had ended before it was watched"))
            return
        if target.watchers is None:
            target.watchers = {}
        target.watchers[self] = watch

    def unwatch(self, target: Cell) -> None:
        """Withdraws a watch; a ``Down`` that already waits in the mailbox is not delivered."""
        watch = (self.watching or {}).pop(target, None)
        if watch is not None:
            self._withdraw(watch)

    def tell_down(self, watch: Watch, reason: ExitReason) -> None:
        """Queues the ``Down`` of a watch."""
        watch.watcher.push(Down(watch.target.ref, watch.target.incarnation, reason), watch)

    @staticmethod
    def _withdraw(watch: Watch) -> None:
        watch.live = False
        if watch.target.watchers is not None:
            watch.target.watchers.pop(watch.watcher, None)

    # --- small things ---------------------------------------------------------------------------------------------

    def _become(self, state: CellState, reason: ExitReason | None = None) -> None:
        if state == self.state:
            return
        self.state = state
        self.receptive = state == "running"
        if self.receptive and self.has_work():
            self.schedule()
        if self.traced:
            now = self.system.now()
            self.system.trace.record(
                (
                    "lifecycle",
                    0,
                    0,
                    0,
                    "",
                    self.path,
                    self.incarnation,
                    "",
                    "",
                    now,
                    now,
                    now,
                    state,
                    None if reason is None else str(reason),
                )
            )

    def snapshot(self) -> ActorSnapshot:
        """The actor as data."""
        oldest = self.mailbox.oldest_enqueued_at()
        actor_class = type(self.instance).__name__ if self.instance is not None else ""
        return ActorSnapshot(
            path=self.path,
            actor_class=actor_class,
            state=self.state,
            incarnation=self.incarnation,
            restarts=self.restarts,
            mailbox_depth=self.mailbox.depth,
            oldest_age_seconds=0.0 if oldest is None else self.system.now() - oldest,
            tasks=tuple(self.tasks or ()),
            timers=len(self.timers or ()),
            handled=self.handled,
        )


def _discard(_record: object) -> None:
    """Records nothing, for an actor whose trace is off."""


def _no_receive(_instance: object, _message: object) -> None:
    raise ActorError("a message reached a cell without an instance")


def _exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    return type(error), error, error.__traceback__


_KERNEL_STOPS: frozenset[type] = frozenset({Stop, Kill})
_KERNEL_MESSAGES: frozenset[type] = frozenset(
    {
        StartActor,
        CrashActor,
        Suspend,
        Resume,
        Restart,
        Inspect,
        TraceOn,
        TraceOff,
        ChildStarted,
        ChildIgnored,
        ChildStartFailed,
        ChildEnded,
    }
)
