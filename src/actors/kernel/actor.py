"""The actor: private state, handlers that run to completion, and everything it may do while it handles.

pykka's face is kept: ``start``, ``on_start``, ``on_receive``, ``on_stop``, ``on_failure``, ``stop``, proxies. Beside
it, handlers are declared by message type::

    class Counter(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        @handles(Add)
        def add(self, message: Add) -> int:
            self.count += message.amount
            return self.count

Handlers are synchronous. What must await is started with ``start_task`` and comes back as a message.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
import pykka
from pykka._introspection import get_attr_directly
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from .errors import ActorError, NoActorSystem, TaskCrashed, WatchedActorDied
from .future import Future
from .messages import NORMAL, Down, Envelope, ExitKind, ExitReason, Reply, Restarted, Stop, TaskDone, TaskFailed
from .questions import ask_for_reply
from .ref import ActorRef, Inbox
from .spec import ChildSpec
from .timers import Timer

if TYPE_CHECKING:
    import random
    import threading
    from types import TracebackType

    from .cell import Cell
    from .clock import Clock
    from .system import ActorSystem

    class _PykkaActor:
        """Stands for pykka.Actor to the type checker, whose ``on_stop`` takes no reason."""
else:
    _PykkaActor = pykka.Actor

logger = logging.getLogger("tallystick.actors")

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
Handler = Callable[[Any, Any], Any]

_MARK = "_handled_message_types"


def handles(*message_types: type) -> Callable[[HandlerT], HandlerT]:
    """Declares a method as the handler of one or more message types and their subclasses."""
    if not message_types:
        raise TypeError("@handles needs the message types: @handles(Place, Cancel)")

    def mark(method: HandlerT) -> HandlerT:
        if inspect.iscoroutinefunction(method):
            raise TypeError(f"handlers are synchronous; {method.__name__} may start_task(...) what must await")
        setattr(method, _MARK, (*getattr(method, _MARK, ()), *message_types))
        return method

    return mark


class Constructing:
    """The cell whose instance is being made; ``Actor.__new__`` takes it from here."""

    cell: ClassVar[Cell | None] = None


class Actor(_PykkaActor):
    """An actor of a system. Make it through ``system.spawn``, a ChildSpec or ``MyActor.start()``, never directly."""

    domain_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """Further exceptions that answer an ask without a crash; ``(Exception,)`` is pykka's rule for asks."""

    direct_handlers: ClassVar[dict[type, Handler]] = {}
    """What delivery finds by message type without calling ``on_receive``; filled per class."""

    _typed_handlers: ClassVar[dict[type, Handler]] = {}
    _handler_names: ClassVar[dict[type, str]] = {}
    _on_stop_takes_reason: ClassVar[bool] = True
    _cell: Cell

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Names, not functions: an override of a handler method keeps its message types.
        names = dict(cls._handler_names)
        for name, member in vars(cls).items():
            for message_type in getattr(member, _MARK, ()):
                names[message_type] = name
        cls._handler_names = names
        typed: dict[type, Handler] = {kind: getattr(cls, name) for kind, name in names.items()}
        cls._typed_handlers = typed
        cls.direct_handlers = dict(_PYKKA_HANDLERS)
        if cls.on_receive is Actor.on_receive:
            cls.direct_handlers.update(typed)
        for hook in ("on_start", "on_stop", "on_failure", "on_receive"):
            if inspect.iscoroutinefunction(getattr(cls, hook)):
                raise TypeError(f"{cls.__name__}.{hook} must not be async: start_task(...) what must await")
        cls._on_stop_takes_reason = bool(list(inspect.signature(cls.on_stop).parameters)[1:])

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Actor:  # noqa: PYI034 - Self would bind the factory's type
        cell, Constructing.cell = Constructing.cell, None
        if cell is None:
            raise NoActorSystem(
                f"{cls.__name__} is made by its actor system: use system.spawn({cls.__name__}, ...) or a ChildSpec"
            )
        instance = super().__new__(cls)
        instance._cell = cell
        return instance

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:  # pykka's would draw a uuid and make an event
        pass

    def __str__(self) -> str:
        return f"{type(self).__name__} ({self.actor_urn})"

    # --- who and where ------------------------------------------------------------------------------------------

    @property
    def actor_ref(self) -> ActorRef:
        """This actor's ref, the same through restarts."""
        return self._cell.ref

    @property
    def path(self) -> str:
        """This actor's path."""
        return self._cell.path

    @property
    def incarnation(self) -> int:
        """How often this actor was started, counted from 1."""
        return self._cell.incarnation

    @property
    def system(self) -> ActorSystem:
        """The system this actor lives in."""
        return self._cell.system

    @property
    def clock(self) -> Clock:
        """The system's clock; nothing else may be read."""
        return self._cell.system.clock

    @property
    def random(self) -> random.Random:
        """The system's random source; nothing else may be drawn from."""
        return self._cell.system.random

    @property
    def sender(self) -> ActorRef | None:
        """The actor that sent the current message; None for the host."""
        current = self._current()
        return current.sender.ref if current is not None and current.sender is not None else None

    @property
    def message_id(self) -> int:
        """The id of the current message, 0 outside a handler."""
        current = self._current()
        return current.id if current is not None else 0

    @property
    def cause(self) -> int:
        """The id of the message that caused the current one, 0 where there is none."""
        current = self._current()
        return current.cause if current is not None else 0

    @property
    def root(self) -> int:
        """The id of the first ancestor of the current message, 0 outside a handler."""
        current = self._current()
        return current.root if current is not None else 0

    def _current(self) -> Envelope | None:
        current = self._cell.system.current
        return current if current is not None and current.receiver is self._cell else None

    # --- pykka's attributes -------------------------------------------------------------------------------------

    @property
    def actor_urn(self) -> str:
        """The ref's urn."""
        return self._cell.ref.actor_urn

    @property
    def actor_inbox(self) -> Inbox:
        """The mailbox as pykka sees it."""
        return self._cell.ref.actor_inbox

    @property
    def actor_stopped(self) -> threading.Event:
        """The stopped flag in the form pykka has."""
        return self._cell.ref.actor_stopped

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef:
        """Starts an unsupervised actor in the active system, as pykka does: it returns before ``on_start`` ran.

        The actor is a temporary child of ``/user``: it is not restarted. Raises what ``__init__`` raises, and
        NoActorSystem where no system is active in this thread or task.
        """
        from .system import active_system  # noqa: PLC0415 - the system is made of actors

        return active_system().start_unsupervised(cls, args, kwargs)

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        raise ActorError("a cell owns the mailbox; an actor has no inbox of its own")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        raise ActorError("the dispatcher runs actors; they have no loop of their own")

    # --- hooks --------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Runs first in each incarnation: read state back, arm timers, start tasks. Local work only.

        An exception makes the start fail; ``raise StartIgnored`` says that the actor is not needed.
        """

    def on_begin(self) -> None:
        """Runs after ``on_start``, with the start acknowledged, before any message: the first work, which may fail.

        An exception out of it is a crash as out of a handler, which a supervisor restarts; one out of ``on_start`` is
        a failed start, which ends a dynamic child. The current message is the start itself. A start that was deferred
        has none: whoever acknowledges it knows when.
        """

    def on_stop(self, reason: ExitReason) -> None:
        """Runs last in each incarnation, at a restart and at the end; not at a kill.

        Written without the parameter, as pykka has it, it runs at clean ends only, as pykka does.
        """

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Runs when this incarnation crashed, before ``on_stop``."""

    def absorbs(self, error: Exception, message: object) -> bool:
        """Says whether an exception out of a handler ends here: then the actor lives on, and an ask gets None.

        By default nothing does: it crashes the actor. It must not raise itself. Costs nothing while handlers succeed,
        where a ``try`` in an own ``on_receive`` would take every message past its declared handler.
        """
        return False

    def on_receive(self, message: Any) -> Any:
        """Handles a message by its type's declared handler; override it to handle everything yourself.

        The return value answers an ask. A message without a handler becomes a dead letter and a warning, and
        answers None, as in pykka. Unhandled news about a dead peer or a failed task crashes the actor, because
        silence about that must be a decision.
        """
        message_type = type(message)
        for kind in message_type.__mro__:
            handler = self._typed_handlers.get(kind)
            if handler is not None:
                if type(self).on_receive is Actor.on_receive:
                    self.direct_handlers[message_type] = handler
                return handler(self, message)
        if message_type is Down:
            raise WatchedActorDied(f"{message.ref.path} ended ({message.reason}) and {self.path} does not handle Down")
        if message_type is TaskFailed:
            raise TaskCrashed(f"task {message.name!r} of {self.path} failed: {message.error!r}") from message.error
        if message_type not in _MAY_BE_IGNORED:
            self._unhandled(message)
        return None

    def _unhandled(self, message: object) -> None:
        logger.warning("Unexpected message received by %s: %s", self, type(message).__name__)
        current = self._current()
        if current is not None:
            self._cell.unhandled(current)

    def handles_type(self, message_type: type) -> bool:
        """Tells whether a handler is declared for a message type; an own ``on_receive`` takes everything."""
        return type(self).on_receive is not Actor.on_receive or any(
            kind in self._typed_handlers for kind in message_type.__mro__
        )

    def run_on_stop(self, reason: ExitReason) -> None:
        """Calls ``on_stop`` in the form in which the class wrote it."""
        if self._on_stop_takes_reason:
            self.on_stop(reason)
        elif reason.is_clean:
            self.on_stop()  # type: ignore[call-arg]  # pykka's form, without a reason

    def prepare_stop(self, reason: ExitReason) -> bool:
        """Tells whether the actor can stop at once; a supervisor says no and stops its children first."""
        return True

    def notes_start(self, cell: Cell) -> bool:
        """Tells whether a child's start was noted on the spot; only supervisors have children."""
        return False

    def notes_end(self, cell: Cell, reason: ExitReason) -> bool:
        """Tells whether a child's end was settled on the spot; only supervisors have children."""
        return False

    def let_go(self) -> None:
        """Releases what the kernel's own actors hold, at every end of an incarnation, a kill included."""

    # --- start, stop, health --------------------------------------------------------------------------------------

    def defer_start(self) -> None:
        """Call it in ``on_start`` when the start needs a task: then ``acknowledge_start`` completes it."""
        self._cell.defer_start()

    def acknowledge_start(self) -> None:
        """Completes a deferred start; until then user messages wait and the supervisor does not go on."""
        self._cell.acknowledge_start()

    def fail_start(self, why: str) -> None:
        """Ends a deferred start as failed."""
        self._cell.fail_start(ExitReason(ExitKind.START_FAILED, why))

    def mark_healthy(self) -> None:
        """Says that the actor works again (its resync is complete): the next restart's backoff starts anew."""
        self._cell.failures = 0

    def stop(self, reason: ExitReason = NORMAL) -> None:
        """Ends this actor after everything that waits in its mailbox now, as pykka does."""
        cell = self._cell
        if self._current() is not None and not cell.mailbox.user:
            cell.leave(reason)
        else:
            cell.push(_StopSelf(reason), _ALWAYS)

    def exit(self, reason: ExitReason = NORMAL) -> None:
        """Ends this actor after the current message."""
        self._cell.control(Stop(reason))

    # --- time -----------------------------------------------------------------------------------------------------

    def after(self, seconds: float, message: object, key: Hashable = None) -> Timer:
        """Sends this actor a message after a delay; ends with the incarnation.

        Arming a key again replaces its timer, whose message is not delivered even where it is queued already.
        Without a key each timer stands alone. Raises ValueError for a negative delay.
        """
        if not seconds >= 0:
            raise ValueError(f"{self.path}: a timer needs a delay of >= 0 seconds, not {seconds}")
        return self._cell.owned().arm_timer(seconds, message, key)

    def cancel_timer(self, key: Hashable) -> bool:
        """Cancels the timer of a key, even where its message is queued already; False where there is none."""
        owned = self._cell.belongings
        return owned is not None and owned.cancel_timer(key)

    # --- async work -------------------------------------------------------------------------------------------------

    def start_task(
        self,
        function: Callable[..., Awaitable[Any]],
        *arguments: Any,
        name: str | None = None,
        hangs_after_seconds: float | None = None,
    ) -> str:
        """Runs an async function beside this actor; returns the task's name, unique while it runs.

        Its end comes back as TaskDone or TaskFailed, after everything the task told this actor before. A failure
        that is not handled crashes the actor. Stopping or restarting the actor cancels the task. A task must not
        touch the actor's state: it tells. With ``hangs_after_seconds`` one that runs for longer is reported with its
        stack, once, and left alone.
        """
        if name is None:
            name = f"{getattr(function, '__name__', 'task')}-{next(self._cell.system.ids)}"
        self._cell.owned().start_task(function, arguments, name, hangs_after_seconds)
        return name

    def cancel_task(self, name: str) -> bool:
        """Cancels a running task, whose result is not delivered; False where none of that name runs."""
        owned = self._cell.belongings
        handle = owned.tasks.get(name) if owned is not None else None
        if handle is None:
            return False
        handle.cancel()
        return True

    # --- others -------------------------------------------------------------------------------------------------------

    def ask_for_reply(
        self,
        ref: pykka.ActorRef[Any],
        message: object,
        *,
        key: Hashable = None,
        timeout_seconds: float | None = None,
        deadline: float | None = None,
    ) -> None:
        """Asks another actor without waiting; the answer comes as ``Reply(key, value, error)``.

        Works for plain pykka actors too. After ``timeout_seconds`` the reply carries pykka.Timeout, an unknown
        outcome. Raises CallCycle where the answer would have to come from an actor that waits for ours.
        """
        ask_for_reply(self._cell, ref, message, key, timeout_seconds, deadline)

    def defer_reply(self) -> Future[Any]:
        """Takes over the answering of the current ask: settle the returned future later, with ``set`` or
        ``set_exception``. A crash before that answers ActorRestarted. What the handler returns is ignored.
        """
        current = self._current()
        if current is None:
            raise ActorError(f"{self.path}: only the handler of a message can defer its reply")
        return self._cell.owned().defer_reply(current)

    def watch(self, ref: ActorRef) -> None:
        """Asks for exactly one ``Down(ref, incarnation, reason)`` when the actor ends for good; idempotent."""
        self._cell.owned().watch(ref.cell)

    def unwatch(self, ref: ActorRef) -> None:
        """Withdraws a watch, and a ``Down`` that already waits."""
        if self._cell.belongings is not None:
            self._cell.belongings.unwatch(ref.cell)

    def spawn(self, spec: ChildSpec, under: ActorRef | None = None) -> ActorRef:
        """Adds a child to a supervisor, by default this actor's own, and returns its ref at once.

        Messages told to the ref wait until the child has started. Raises ChildError for an id in use.
        """
        return self._cell.system.spawn_spec(spec, self._supervisor(under))

    def spawn_from_template(self, under: ActorRef, child_id: str, *args: Any, **kwargs: Any) -> ActorRef:
        """Adds a child to a ``simple_one_for_one`` supervisor: its template with further arguments."""
        return self._cell.system.spawn_from_template(under, child_id, *args, **kwargs)

    def _supervisor(self, under: ActorRef | None) -> ActorRef | None:
        if under is not None:
            return under
        parent = self._cell.parent
        return parent.ref if parent is not None else None

    def trace_note(self, kind: str, detail: Any = None) -> int:
        """Adds a note to the trace under the current message: bytes at an edge, a range of lsn; returns its id."""
        return self._cell.system.note(self._cell, kind, detail)


class _StopSelf(msgspec.Struct, frozen=True):
    """Ends the actor once everything queued before it was handled."""

    reason: ExitReason


class _Always:
    """The guard of kernel messages that are wanted in any case."""

    live = True


_ALWAYS = _Always()


def _stop_after_queue(actor: Actor, message: Any) -> None:
    cell = actor._cell  # noqa: SLF001 - the kernel's half of the actor
    current = cell.system.current
    if current is not None:
        cell.keep_waiting_for_end(current)
    cell.control(Stop(message.reason if isinstance(message, _StopSelf) else NORMAL))


def _call(actor: Actor, message: Any) -> Any:
    return get_attr_directly(actor, message.attr_path)(*message.args, **message.kwargs)


def _get_attribute(actor: Actor, message: Any) -> Any:
    return get_attr_directly(actor, message.attr_path)


def _set_attribute(actor: Actor, message: Any) -> None:
    setattr(get_attr_directly(actor, message.attr_path[:-1]), message.attr_path[-1], message.value)


_PYKKA_HANDLERS: dict[type, Handler] = {
    _ActorStop: _stop_after_queue,
    _StopSelf: _stop_after_queue,
    ProxyCall: _call,
    ProxyGetAttr: _get_attribute,
    ProxySetAttr: _set_attribute,
}
_MAY_BE_IGNORED: frozenset[type] = frozenset({TaskDone, Restarted, Reply})
