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
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pykka import ActorDeadError

from .belongings import Belongings, Watch
from .dead_letters import DeadLetter, DeadLetterKind
from .errors import (
    ActorError,
    ActorRestarted,
    MailboxFull,
    MailboxOverflow,
    StartIgnored,
    StartTimeout,
)
from .future import Future
from .mailbox import Mailbox
from .messages import (
    KILLED,
    NORMAL,
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    CrashActor,
    Envelope,
    ExitKind,
    ExitReason,
    Guard,
    Inspect,
    Kill,
    Origin,
    ReplyTo,
    Restart,
    Restarted,
    Resume,
    StartActor,
    Stop,
    Suspend,
    TraceOff,
    TraceOn,
    crashed,
    describe,
)
from .ref import ActorRef
from .reports import CrashReport
from .snapshot import ActorSnapshot, LaneDepths
from .spec import UNLIMITED, WORKER_SHUTDOWN_SECONDS, ChildSpec, SupervisorSpec
from .timers import Timer

if TYPE_CHECKING:
    from .actor import Actor
    from .system import ActorSystem

logger = logging.getLogger("tallystick.actors")

CellState: TypeAlias = Literal["new", "starting", "running", "suspended", "stopping", "down", "stopped"]

ALIVE = frozenset({"starting", "running", "suspended", "stopping"})


class Cell:
    """One actor's place in the tree."""

    __slots__ = (
        "belongings",
        "children",
        "direct",
        "end_waiters",
        "ending",
        "failures",
        "handled",
        "incarnation",
        "instance",
        "leaving",
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
        "traced",
        "turn_ended_at",
        "watchers",
    )

    def __init__(self, system: ActorSystem, path: str, spec: ChildSpec, parent: Cell | None) -> None:
        self.system = system
        self.path = path
        self.spec = spec
        self.parent = parent
        self.ref = ActorRef(self)
        self.mailbox = Mailbox(spec.mailbox)
        self.instance: Actor | None = None
        self.direct: dict[type, Callable[[Any, Any], Any]] = _NO_HANDLERS
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
        # Why the actor ends itself once its turn finds nothing more that waits; None while it does not.
        self.leaving: ExitReason | None = None
        # What the supervisor will be told once this incarnation's tasks have unwound; None while it lives.
        self.ending: ChildEnded | ChildStartFailed | ChildIgnored | None = None
        # The rest is made when first needed: most actors have none of it.
        self.children: dict[str, Cell] | None = None
        self.belongings: Belongings | None = None
        self.watchers: dict[Cell, Watch] | None = None
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
        user = self.mailbox.plain
        if user is not None and len(user) < self.mailbox.capacity:
            user.append(envelope)
            if not self.scheduled:
                self.scheduled = True
                self.system.enqueue(self)
            return
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
        self.dead_letter(envelope, DeadLetterKind.REFUSED, detail)
        self.system.record_fate(envelope, "user", "refused")
        if admission == "overflow":
            overflow = MailboxOverflow(f"{detail}; {type(envelope.message).__name__} must not be dropped")
            if self.receptive or self.state == "suspended":  # otherwise the next incarnation resynchronises anyhow
                self.control(CrashActor(overflow, self.incarnation))
            return
        raise MailboxFull(f"{detail}; {type(envelope.message).__name__} was refused")

    def push(self, message: object, guard: Guard, origin: Origin | None = None) -> None:
        """Queues one of the kernel's own messages for the actor, past the bounds of the user lane."""
        if self.state == "stopped":
            return
        envelope = self.system.make_envelope(self, message, None, None, guard, (), origin)
        user = self.mailbox.plain
        if user is not None:
            user.append(envelope)
        else:
            self.mailbox.push(envelope)
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

    def has_work(self) -> bool:
        """Tells whether another turn would handle anything."""
        mailbox = self.mailbox
        return bool(
            mailbox.control
            or (mailbox.supervision and self.state in ALIVE)
            or (self.receptive and mailbox.user)
            or self.leaving is not None
        )

    # --- start ------------------------------------------------------------------------------------------------

    def begin_start(self) -> None:
        """Asks for a new incarnation; the supervisor is told how it went."""
        if self.state == "down" and self.mailbox.spec.on_restart == "clear_reports":
            for envelope in self.mailbox.clear_reports():
                self.dead_letter(envelope, DeadLetterKind.REFUSED, "cleared by a restart")
                self.system.record_fate(envelope, "user", "cleared")
                if envelope.reply_to is not None:
                    envelope.reply_to.settle(None, ActorRestarted(self.path, self.incarnation))
        self.become("starting")
        self.control(StartActor())

    def construct(self) -> None:
        """Makes the instance; whatever its initialiser raises is the caller's."""
        self.incarnation += 1
        self.instance = self.system.construct(self)
        actor_class = type(self.instance)
        self.direct = actor_class.direct_handlers
        self.receive = actor_class.on_receive

    def start(self) -> None:
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

    def _end_start(self) -> None:
        if self.start_deferred is not None:
            self.start_deferred.cancel()
            self.start_deferred = None

    def acknowledge_start(self) -> None:
        """Completes the start: from now on user messages are handled, and the supervisor goes on."""
        if self.state != "starting":
            return
        self._end_start()
        self.become("running")
        if self.parent is None:
            self.system.root_started()
        else:
            supervisor = self.parent.instance
            if supervisor is None or not supervisor.notes_start(self):
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
        detail = describe(error)
        logger.error("%s could not start: %s", self.path, detail, exc_info=_exc_info(error))
        self.fail_start(ExitReason(ExitKind.START_FAILED, detail, error))

    # --- end of an incarnation ----------------------------------------------------------------------------------

    def crash(self, error: BaseException, envelope: Envelope | None) -> None:
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
            self.dead_letter(envelope, DeadLetterKind.CRASH, reason.detail, error=error, text=text)
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
            except BaseException as failure:
                logger.exception("%s: on_failure failed", self.path)
                if isinstance(failure, KeyboardInterrupt | SystemExit):
                    self.system.interrupt(failure)
        self._end_incarnation(reason)

    def begin_stop(self, reason: ExitReason) -> None:
        if self.state not in {"starting", "running", "suspended"}:
            if self.state in {"down", "stopped"}:
                self._answer_stop()
            return
        self.become("stopping", reason)
        instance = self.instance
        if instance is None or instance.prepare_stop(reason):
            self._end_incarnation(reason)
        # Otherwise a supervisor stops its children first and calls finish_stop, perhaps already.

    def finish_stop(self, reason: ExitReason) -> None:
        """Goes on with a stop that ``prepare_stop`` had put off."""
        if self.state in ALIVE and self.ending is None:
            self._end_incarnation(reason)

    def _end_incarnation(self, reason: ExitReason) -> None:
        self.become("stopping", reason)
        reason = self._release(run_hook=True, reason=reason)
        self._conclude(ChildEnded(self, reason), reason)

    def _conclude(self, ending: ChildEnded | ChildStartFailed | ChildIgnored, reason: ExitReason) -> None:
        """Waits for the tasks of the released incarnation, which are cancelled, and then reports its end."""
        self.become("stopping", reason)
        self.ending = ending
        self._kill_children()  # only a supervisor that failed has any left: nobody stops them in order
        if self.belongings is None or not self.belongings.tasks:
            self._ended()
            return
        if reason.kind is ExitKind.SHUTDOWN:
            return  # its supervisor asked for it, and has a timeout and a kill of its own
        # A task that swallows its cancellation, or sits in a thread, must not keep its actor from starting again.
        seconds = self.spec.shutdown_seconds
        self.system.expect_end(self, ending, seconds if 0 < seconds < UNLIMITED else WORKER_SHUTDOWN_SECONDS)

    def abandon_tasks(self, ending: ChildEnded | ChildStartFailed | ChildIgnored) -> None:
        """Goes on with an end whose tasks do not unwind; they are reported, and disowned already."""
        if self.ending is ending and self.belongings is not None and self.belongings.tasks:
            self.system.report_tasks(self.path, self.incarnation, tuple(self.belongings.tasks.values()))
            self._ended()

    def tasks_ended(self, belongings: Belongings) -> None:
        """Goes on with the end of an incarnation whose last task has unwound."""
        if belongings is self.belongings and self.ending is not None:
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
        if self.belongings is not None and self.belongings.tasks:
            self.system.abandon(self, tuple(self.belongings.tasks.values()))
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
        self._end_start()
        if instance is not None:
            instance.let_go()
        if self.belongings is not None:
            self.belongings.release(reason)
        return reason

    def _ended(self) -> None:
        """Drops the instance and leaves the decision about the next one to the supervisor."""
        ending, self.ending = self.ending, None
        assert ending is not None, self
        reason = NORMAL if isinstance(ending, ChildIgnored) else ending.reason
        self.instance = None
        self.belongings = None
        self.leaving = None
        self.direct = _NO_HANDLERS
        self.receive = _no_receive
        self.mailbox.supervision = None
        supervisor = None if self.parent is None else self.parent.instance
        if type(ending) is ChildEnded and supervisor is not None and supervisor.notes_end(self, reason):
            return  # it is closed already
        self.become("down", reason)
        self._answer_stop()
        if self.parent is None:
            self.close(reason)
            self.system.root_ended(reason)
        else:
            self.parent.supervise(ending)

    def leave(self, reason: ExitReason) -> None:
        """Ends the actor, which asks for it in its own turn, once nothing waits any more; nothing does now."""
        self.leaving = reason
        self.receptive = False  # ends the loop over the messages of this turn

    def keep_waiting_for_end(self, envelope: Envelope) -> None:
        """Answers the asker of a stop only when the incarnation has ended."""
        reply_to, envelope.reply_to = envelope.reply_to, None
        if reply_to is not None:
            if self.stop_replies is None:
                self.stop_replies = []
            self.stop_replies.append(reply_to)

    def _answer_stop(self) -> None:
        replies, self.stop_replies = self.stop_replies, None
        for future in replies or ():
            future.settle(None)

    def close(self, reason: ExitReason) -> None:
        """Ends the cell for good: what waits becomes dead letters, watchers are told, the path is free."""
        if self.state == "stopped":
            return
        self.become("stopped", reason)
        self.system.forget(self)
        parent = self.parent
        if parent is not None and parent.children is not None:
            parent.children.pop(self.spec.id, None)
        for envelope in self.mailbox.drain():
            self._bury(envelope)
        for watch in tuple((self.watchers or {}).values()):
            watch.tell(reason)
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
        self.dead_letter(envelope, DeadLetterKind.UNDELIVERABLE, "its receiver has ended")
        self.system.record_fate(envelope, "user", "undeliverable")

    def dead_letter(
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
        self.dead_letter(envelope, DeadLetterKind.UNHANDLED, f"{type(self.instance).__name__} has no handler for it")

    def owned(self) -> Belongings:
        """What this incarnation owns, made when first asked for; raises ActorError where none runs."""
        if self.belongings is None:
            if self.state not in {"starting", "running", "suspended"} and self.instance is None:
                raise ActorError(f"{self.path} is {self.state} and can own nothing")
            self.belongings = Belongings(self)
        return self.belongings

    def handles(self, message_type: type) -> bool:
        """Tells whether the running instance declares a handler for a type of message."""
        return self.instance is not None and self.instance.handles_type(message_type)

    # --- small things ---------------------------------------------------------------------------------------------

    def become(self, state: CellState, reason: ExitReason | None = None) -> None:
        if state == self.state:
            return
        self.state = state
        self.receptive = state == "running"
        if self.receptive and self.has_work():
            self.schedule()
        if self.traced:
            now = self.system.now()
            self.system.trace.keep(
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
        now = self.system.now()
        mailbox, owned = self.mailbox, self.belongings
        oldest = mailbox.user[0] if mailbox.user else None
        factory = self.spec.factory
        return ActorSnapshot(
            path=self.path,
            actor_class=type(self.instance).__name__ if self.instance is not None else "",
            is_supervisor=self.spec.is_supervisor or self.parent is None,
            is_dynamic=isinstance(factory, SupervisorSpec) and factory.strategy == "simple_one_for_one",
            restart=self.spec.restart,
            state=self.state,
            incarnation=self.incarnation,
            restarts=self.restarts,
            failures=self.failures,
            lanes=LaneDepths(
                control=len(mailbox.control or ()),
                supervision=len(mailbox.supervision or ()),
                user=len(mailbox.user or ()),
            ),
            oldest_age_seconds=0.0 if oldest is None else now - oldest.enqueued_at,
            oldest_type="" if oldest is None else type(oldest.message).__name__,
            handled=self.handled,
            tasks=tuple(task.snapshot(now) for task in owned.tasks.values()) if owned is not None else (),
            timers=owned.timers(now) if owned is not None else (),
            questions=owned.asks(now) if owned is not None else (),
            deferred=owned.deferred if owned is not None else 0,
        )


_NO_HANDLERS: dict[type, Callable[[Any, Any], Any]] = {}


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
