"""The actor system: opens in a trio nursery, owns everything that would otherwise be global, stops in order.

::

    async with ActorSystem(random=Random(7)) as system:
        ref = system.spawn(Counter, name="counter")
        ref.tell(Add(3))
        assert await ref.ask_async(Get()) == 3

Time, randomness and ids come from here, and so do the trace, the dead letters and the reports. Several systems
live side by side in one process, even in one loop.
"""

from __future__ import annotations

import logging
from _thread import get_ident
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from itertools import count
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar

import msgspec
import trio
from pykka import ActorDeadError

from .actor import Actor, Constructing
from .border import Border
from .cell import Cell
from .clock import Clock, TrioClock
from .dead_letters import DeadLetters
from .dispatcher import Dispatcher
from .errors import ActorError, ChildError, MailboxFull, NoActorSystem, StartFailed
from .future import Future
from .messages import (
    SHUTDOWN,
    ChildEnded,
    ChildIgnored,
    ChildStartFailed,
    Envelope,
    ExitKind,
    ExitReason,
    Guard,
    Origin,
    ReplyTo,
    Stop,
)
from .ref import ActorRef
from .reports import Events, TaskHung, TasksAbandoned
from .snapshot import ActorSnapshot
from .spec import ChildSpec, MailboxSpec, RestartType, SupervisorSpec
from .supervisor import Supervisor
from .tasks import TaskHandle, task_origin
from .timers import Timer
from .trace import Trace

logger = logging.getLogger("tallystick.actors")

T = TypeVar("T")

USER_GUARDIAN: Final = "user"
ABANDONED_AFTER_SECONDS: Final = 1.0

_active: ContextVar[ActorSystem | None] = ContextVar("tallystick_actor_system", default=None)


class Verdict(msgspec.Struct, frozen=True):
    """What an interceptor decides about a message; use DELIVER, DROP or Delay."""


class Delay(Verdict, frozen=True):
    """Delivers the message later, past messages that were sent after it."""

    seconds: float


DELIVER: Final = Verdict()
DROP: Final = Verdict()

Interceptor: TypeAlias = Callable[[Envelope], Verdict]

UNBOUNDED_MAILBOX: Final = MailboxSpec(capacity=None)  # pykka's queues have no bound
DEFAULT_MAILBOX: Final = MailboxSpec()
ROOT: Final = SupervisorSpec(strategy="rest_for_one", intensity=1, period_seconds=60.0)


class ActorSystem:
    """A tree of actors on one trio loop. Open it with ``async with``; see the module's text for the shape.

    ``random`` decides every draw, ``clock`` every reading of time. ``root`` is the specification of the root
    supervisor, whose failure ends the system: then ``failed`` has the reason. ``trace_size`` and
    ``dead_letters_size`` bound the rings.
    """

    def __init__(
        self,
        name: str = "tallystick",
        *,
        random: Random,
        clock: Clock | None = None,
        root: SupervisorSpec = ROOT,
        trace_size: int = 32_768,
        dead_letters_size: int = 1_000,
    ) -> None:
        self.name = name
        self.random = random
        self.ids = count(1)
        self.trace = Trace(trace_size)
        self.events = Events()
        self.thread_id = 0
        self.current: Envelope | None = None
        """The message being handled, on the system's thread; None between handlers."""
        self.interceptor: Interceptor | None = None
        self.failed: ExitReason | None = None
        """Why the root supervisor gave up; None as long as it has not, and after an orderly stop."""
        self.exit_reason: ExitReason | None = None
        self.is_stopping = False
        self._given_clock = clock
        self._root_spec = root
        self._dead_letters_size = dead_letters_size
        self._cells: dict[str, Cell] = {}
        self._tasks_running = 0
        self._interrupt: BaseException | None = None
        self._opened = False

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Starts the dispatcher and the root supervisor; raises StartFailed where a child of it fails."""
        if self._opened:
            raise ActorError(f"the actor system {self.name!r} was opened before; make a new one")
        self._opened = True
        self.thread_id = get_ident()
        self.clock = self._given_clock if self._given_clock is not None else TrioClock()
        self.now = self.clock.monotonic
        self.dead_letters = DeadLetters(self._dead_letters_size, self.now)
        self._border = Border(self.name, self._deliver)
        self.post_from_thread = self._border.post
        self.call_soon = self._border.call_soon
        self._dispatcher = Dispatcher(self.now)
        self.timers = self._dispatcher.timers
        self.enqueue = self._dispatcher.enqueue
        self.borrow_dispatcher = self._dispatcher.borrow
        self.checkpoint_is_due = self._dispatcher.checkpoint_is_due
        self.give_back_dispatcher = self._dispatcher.give_back
        self._ended = trio.Event()
        self._tasks_ended = trio.Event()
        self._root_started: Future[None] = Future()
        self._activation = _active.set(self)
        self._nursery_manager = trio.open_nursery()
        self.nursery = await self._nursery_manager.__aenter__()
        self.nursery.start_soon(self._dispatcher.run, name=f"{self.name}: dispatcher")
        self._root = Cell(self, "/", ChildSpec(id="root", factory=self._root_spec), None)
        self._cells["/"] = self._root
        self._root.begin_start()
        try:
            await self._root_started.wait()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Stops every actor in order, whatever ended the block; Ctrl-C included."""
        kernel_broke = self.nursery.cancel_scope.cancel_called
        if not kernel_broke:
            with trio.CancelScope(shield=True):
                try:
                    await self.stop()
                except BaseException:
                    self._root.kill()  # a second Ctrl-C: no more waiting for anyone
                    raise
                finally:
                    self._border.close()
                    self._dispatcher.finish()
                    await self._tasks_unwound()
        _active.set(None)
        # The body's exception is not the nursery's affair: given to it, it would come back as a group.
        broken = (exc_type, exc, traceback) if kernel_broke else (None, None, None)
        suppressed = await self._nursery_manager.__aexit__(*broken)
        if exc is None and self._interrupt is not None:
            raise self._interrupt
        return suppressed if kernel_broke else None

    async def _tasks_unwound(self) -> None:
        """Waits until the nursery is empty, so that leaving it cannot be interrupted by a cancellation outside."""
        if self._tasks_running:
            logger.info("%s: waiting for %d tasks to end", self.name, self._tasks_running)
            self._tasks_ended = trio.Event()
            await self._tasks_ended.wait()
        while self.nursery.child_tasks:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def stop(self) -> None:
        """Stops the tree in reverse start order and returns when the last actor has ended. Idempotent."""
        self.request_stop()
        await self._ended.wait()

    def request_stop(self) -> None:
        """Begins an orderly stop without waiting for it; from any thread."""
        self.call_soon(self._begin_stop)

    def _begin_stop(self) -> None:
        if not self._ended.is_set():
            self.is_stopping = True
            self._root.control(Stop(SHUTDOWN))

    def interrupt(self, error: BaseException) -> None:
        """Turns KeyboardInterrupt or SystemExit out of an actor into an orderly stop, after which it is raised."""
        self._interrupt = error
        self._begin_stop()

    async def wait_ended(self) -> ExitReason:
        """Waits until the tree has ended, by a stop or because the root supervisor gave up; returns why."""
        await self._ended.wait()
        assert self.exit_reason is not None
        return self.exit_reason

    def root_started(self) -> None:
        """Opens the system: every child of the root has started."""
        self._root_started.settle(None)

    def root_ended(self, reason: ExitReason) -> None:
        """Records the end of the tree."""
        self.exit_reason = reason
        if not self.is_stopping:
            self.failed = reason
            logger.error("%s: the root supervisor gave up: %s", self.name, reason)
            self._root_started.settle(None, StartFailed(f"{self.name}: {reason.detail}"))
        self.is_stopping = True
        self._ended.set()

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Makes this the system in which ``MyActor.start()`` starts actors, for a host thread."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    # --- spawning -----------------------------------------------------------------------------------------------

    @property
    def root(self) -> ActorRef:
        """The root supervisor."""
        return self._root.ref

    def find(self, path: str) -> ActorRef | None:
        """Finds an actor by its path; None where none is (any more)."""
        cell = self._cells.get(path)
        return cell.ref if cell is not None else None

    def spawn(
        self,
        actor: Callable[..., Actor] | ChildSpec,
        *args: Any,
        name: str | None = None,
        under: ActorRef | None = None,
        restart: RestartType = "temporary",
        mailbox: MailboxSpec = DEFAULT_MAILBOX,
        **kwargs: Any,
    ) -> ActorRef:
        """Starts an actor and returns its ref at once; messages wait until it has started.

        A ChildSpec goes under the root, or ``under`` another supervisor. A class goes under ``/user`` and is not
        restarted unless asked. Raises ChildError for an id in use. Works from any thread.
        """
        if isinstance(actor, ChildSpec):
            return self.spawn_spec(actor, under)
        spec = ChildSpec(
            id=name if name is not None else self._new_name(actor),
            factory=actor,
            args=args,
            kwargs=kwargs,
            restart=restart,
            mailbox=mailbox,
        )
        return self._on_own_thread(lambda: self._supervisor(under, user=True).adopt(spec).ref)

    def spawn_spec(self, spec: ChildSpec, under: ActorRef | None = None) -> ActorRef:
        """Adds a child to a supervisor, by default the root, and begins its start. Works from any thread."""
        return self._on_own_thread(lambda: self._supervisor(under).adopt(spec).ref)

    def spawn_from_template(self, under: ActorRef, child_id: str, *args: Any, **kwargs: Any) -> ActorRef:
        """Adds a child to a ``simple_one_for_one`` supervisor. Works from any thread."""

        def adopt() -> ActorRef:
            supervisor = self._supervisor(under)
            return supervisor.adopt(supervisor.template_spec(child_id, args, kwargs)).ref

        return adopt() if get_ident() == self.thread_id else self._on_own_thread(adopt)

    async def start_child(self, spec: ChildSpec, under: ActorRef | None = None) -> ActorRef | None:
        """Adds a child and waits until it has started; None where it said that it is not needed.

        Raises StartFailed or ChildError.
        """
        started: Future[ActorRef | None] = Future()
        self._supervisor(under).adopt(spec, started)
        return await started.wait()

    def start_unsupervised(
        self, actor_class: type[Actor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorRef:
        """Starts an actor as pykka's ``start`` does: ``__init__`` runs now, and what it raises is raised here."""
        spec = ChildSpec(
            id=self._new_name(actor_class), factory=actor_class, args=args, kwargs=dict(kwargs), restart="temporary",
            mailbox=UNBOUNDED_MAILBOX,
        )  # fmt: skip
        return self._on_own_thread(lambda: self._supervisor(None, user=True).adopt(spec, constructed=True).ref)

    def _new_name(self, factory: Callable[..., Actor]) -> str:
        return f"{getattr(factory, '__name__', 'actor')}-{next(self.ids)}"

    def _supervisor(self, under: ActorRef | None, *, user: bool = False) -> Supervisor:
        cell = self._root if under is None else under.cell
        if under is None and user:
            guardian = self._cells.get(f"/{USER_GUARDIAN}")
            if guardian is None or guardian.instance is None:
                spec = ChildSpec(id=USER_GUARDIAN, factory=SupervisorSpec(), restart="temporary")
                guardian = self._supervisor(None).adopt(spec, constructed=True)
            cell = guardian
        instance = cell.instance
        if instance is None:
            raise ActorDeadError(f"{cell.path} is {cell.state}: it takes no children now")
        if not isinstance(instance, Supervisor):
            raise ChildError(f"{cell.path} is a {type(instance).__name__}, not a supervisor: it takes no children")
        return instance

    def make_cell(self, spec: ChildSpec, parent: Cell) -> Cell:
        """Makes the place of a child in the tree."""
        path = f"{parent.path}/{spec.id}" if parent.path != "/" else f"/{spec.id}"
        if path in self._cells:
            raise ChildError(f"{path} exists already ({self._cells[path].state})")
        cell = Cell(self, path, spec, parent)
        self._cells[path] = cell
        if parent.children is None:
            parent.children = {}
        parent.children[spec.id] = cell
        return cell

    def construct(self, cell: Cell) -> Actor:
        """Makes a cell's instance by its factory."""
        factory = cell.spec.factory
        Constructing.cell = cell
        try:
            if isinstance(factory, SupervisorSpec):
                instance: Actor = Supervisor(factory)
            else:
                instance = factory(*cell.spec.args, **cell.spec.kwargs)
        finally:
            Constructing.cell = None
        if getattr(instance, "_cell", None) is not cell:  # whoever has it was made by `Actor.__new__`, for this place
            raise StartFailed(f"the factory of {cell.path} returned {type(instance).__name__}, not a new actor")
        return instance

    def class_of(self, cell: Cell) -> type[Any]:
        """The class of a cell's actor, as far as it is known before its start."""
        if cell.instance is not None:
            return type(cell.instance)
        factory = cell.spec.factory
        if isinstance(factory, SupervisorSpec):
            return Supervisor
        return factory if isinstance(factory, type) else Actor

    def forget(self, cell: Cell) -> None:
        """Frees the path of an ended cell."""
        if self._cells.get(cell.path) is cell:
            del self._cells[cell.path]

    # --- messages -----------------------------------------------------------------------------------------------

    def origin(self) -> Envelope | None:
        """The message that causes what happens now: the one being handled, or the one that started this task."""
        return self.current if self.current is not None else task_origin.get()

    def make_envelope(
        self,
        receiver: Cell,
        message: object,
        reply_to: ReplyTo | None = None,
        deadline: float | None = None,
        guard: Guard | None = None,
        chain: tuple[Cell, ...] = (),
        origin: Origin | None = None,
    ) -> Envelope:
        """Wraps a message for a receiver, with its cause."""
        number = next(self.ids)
        cause = origin or self.current or task_origin.get()
        if cause is None:
            return Envelope(message, reply_to, number, 0, number, None, receiver, self.now(), deadline, guard, chain)
        sender, root = cause.receiver, cause.root
        return Envelope(message, reply_to, number, cause.id, root, sender, receiver, self.now(), deadline, guard, chain)

    def post_intercepted(self, cell: Cell, envelope: Envelope) -> None:
        """Lets the interceptor decide about a message."""
        assert self.interceptor is not None
        verdict = self.interceptor(envelope)
        if verdict is DROP:
            self.record_fate(envelope, "user", "dropped")
        elif isinstance(verdict, Delay):
            self.timers.arm(self.now() + verdict.seconds, lambda _timer: self._post_late(cell, envelope))
        else:
            self._post(cell, envelope)

    def _post(self, cell: Cell, envelope: Envelope) -> None:
        try:
            cell.post(envelope)
        except (MailboxFull, ActorDeadError) as error:
            if envelope.reply_to is not None:
                envelope.reply_to.settle(None, error)
            elif not (envelope.sender is not None and isinstance(error, ActorDeadError)):
                raise

    def _post_late(self, cell: Cell, envelope: Envelope) -> None:
        try:
            self._post(cell, envelope)
        except (MailboxFull, ActorDeadError) as error:
            # Its sender has gone on long ago; the dead letter that was written is all there is to tell.
            logger.debug("a delayed message was refused: %s", error)

    def _deliver(self, cell: Cell, envelope: Envelope) -> None:
        """Delivers a message that comes over the border."""
        if self.interceptor is not None:
            self.post_intercepted(cell, envelope)
        else:
            self._post(cell, envelope)

    def _on_own_thread(self, function: Callable[[], T]) -> T:
        if not self._opened:
            raise NoActorSystem(f"the actor system {self.name!r} is not open")
        return self._border.call(function)

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Lets a function decide about every message of actors and hosts: DELIVER, DROP or Delay(seconds).

        A dropped message is lost as on a network: traced, but no dead letter. None ends the interception.
        """
        self.interceptor = interceptor

    # --- looking at it ------------------------------------------------------------------------------------------

    def idle(self) -> bool:
        """Tells whether no actor has anything to do now; timers and tasks may still be pending."""
        return self._dispatcher.idle() and self._border.is_quiet

    def snapshot(self) -> tuple[ActorSnapshot, ...]:
        """The live tree as data, parents before children, in start order. Call it on the system's thread."""
        found: list[ActorSnapshot] = []

        def visit(cell: Cell) -> None:
            found.append(cell.snapshot())
            for child in (cell.children or {}).values():
                visit(child)

        if self._root.state != "stopped":
            visit(self._root)
        return tuple(found)

    def end_of(self, cell: Cell) -> Future[ExitReason]:
        """A future for the reason of a cell's end for good; from any thread."""
        future: Future[ExitReason] = Future()

        def register() -> None:
            if cell.state == "stopped":
                future.settle(ExitReason(ExitKind.NOT_FOUND, "it had ended before"))
            elif cell.end_waiters is None:
                cell.end_waiters = [future]
            else:
                cell.end_waiters.append(future)

        self.call_soon(register, otherwise=future)
        return future

    def record_fate(self, envelope: Envelope, lane: str, outcome: str, started_at: float | None = None) -> None:
        """Records a message that was not handled in the ordinary way."""
        receiver = envelope.receiver
        if not receiver.traced:
            return
        now = self.now()
        handling, self.current = self.current, envelope
        self.trace.record(
            (
                "message",
                envelope.id,
                envelope.cause,
                envelope.root,
                envelope.sender_path,
                receiver.path,
                receiver.incarnation,
                lane,
                type(envelope.message).__name__,
                envelope.enqueued_at,
                now if started_at is None else started_at,
                now,
                outcome,
                None,
            )
        )
        self.current = handling

    def note(self, cell: Cell, kind: str, detail: Any) -> int:
        """Adds an actor's note to the trace; returns its id."""
        number = next(self.ids)
        origin = self.origin()
        now = self.now()
        self.trace.keep(
            (
                "note",
                number,
                origin.id if origin is not None else 0,
                origin.root if origin is not None else number,
                cell.path,
                cell.path,
                cell.incarnation,
                "",
                kind,
                now,
                now,
                now,
                "",
                detail,
            )
        )
        return number

    # --- tasks --------------------------------------------------------------------------------------------------

    def task_started(self) -> None:
        """Counts a task of an actor."""
        self._tasks_running += 1

    def task_unwound(self) -> None:
        """Counts a task's end."""
        self._tasks_running -= 1
        if self._tasks_running == 0:
            self._tasks_ended.set()

    def abandon(self, cell: Cell, tasks: tuple[TaskHandle, ...]) -> None:
        """Watches the tasks of a killed actor; those that do not end soon are reported with their stacks."""
        path, incarnation = cell.path, cell.incarnation
        self.timers.arm(
            self.now() + ABANDONED_AFTER_SECONDS, lambda _timer: self.report_tasks(path, incarnation, tasks)
        )

    def report_tasks(self, path: str, incarnation: int, tasks: tuple[TaskHandle, ...]) -> None:
        """Reports those tasks of an ended actor that have not unwound, with their stacks."""
        stuck = tuple(task.where() for task in tasks if not task.ended)
        if stuck:
            logger.error("%s: it has ended, but these tasks go on: %s", path, "; ".join(stuck))
            self.events.publish(TasksAbandoned(path=path, incarnation=incarnation, tasks=stuck))

    def expect_end(
        self, cell: Cell, ending: ChildEnded | ChildStartFailed | ChildIgnored, within_seconds: float
    ) -> None:
        """Has a cell go on with its end although its cancelled tasks have not unwound by then."""
        self.timers.arm(self.now() + within_seconds, lambda _timer: cell.abandon_tasks(ending))

    def watch_task(self, cell: Cell, task: TaskHandle, hangs_after_seconds: float) -> None:
        """Reports a task that still runs then, with its stack."""
        incarnation = cell.incarnation

        def report(_timer: Timer) -> None:
            if task.ended or not task.live:
                return
            where = task.where()
            logger.error("%s: a task runs for more than %g s: %s", cell.path, hangs_after_seconds, where)
            self.events.publish(
                TaskHung(
                    path=cell.path,
                    incarnation=incarnation,
                    task=task.name,
                    seconds=hangs_after_seconds,
                    where=where,
                )
            )

        self.timers.arm(self.now() + hangs_after_seconds, report)


@asynccontextmanager
async def open_system(name: str = "tallystick", *, random: Random, **configuration: Any) -> AsyncIterator[ActorSystem]:
    """Opens an actor system; the same as ``async with ActorSystem(...)``."""
    async with ActorSystem(name, random=random, **configuration) as system:
        yield system


def active_system() -> ActorSystem:
    """Returns the system that is active in this task or thread; raises NoActorSystem."""
    system = _active.get()
    if system is None:
        raise NoActorSystem(
            "no actor system is active here: start actors inside `async with ActorSystem(...)`, "
            "or in a thread inside `with system.activate():`"
        )
    return system
