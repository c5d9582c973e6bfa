"""The stable name of an actor, through which everybody talks to it, from any thread.

A ref stays valid through restarts and carries the actor's path. It is a pykka ref too: pykka's ``tell``, ``ask``,
``stop`` and ``proxy`` work with their meaning, and plain pykka actors may hold it.
"""

from __future__ import annotations

import math
from _thread import get_ident
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import pykka
import trio
from pykka import ActorDeadError, Timeout
from pykka.messages import _ActorStop

from .errors import ActorError, CallCycle, MailboxFull, WouldBlock
from .future import Future, converted
from .messages import CONTROL_MESSAGES, Envelope, ExitReason, Inspect, Kill, ReplyTo, Stop
from .tasks import task_origin

if TYPE_CHECKING:
    import threading

    from .actor import Actor
    from .cell import Cell
    from .snapshot import ActorSnapshot


class ActorRef(pykka.ActorRef[Any]):
    """Reference to an actor's place in the tree. Compare by identity; one exists per place."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:  # pykka's initialiser wants an instance; ours outlives instances
        self.cell = cell

    # --- identity -----------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The actor's path, such as ``/accounts/x/orders/7f3a``."""
        return self.cell.path

    @property
    def incarnation(self) -> int:
        """How often the actor was started, counted from 1; 0 before its first start."""
        return self.cell.incarnation

    @property
    def actor_urn(self) -> str:  # type: ignore[override]  # pykka declares a plain attribute
        """The path with the system's name in front, for pykka's lookups and texts."""
        return f"urn:{self.cell.system.name}:{self.cell.path}"

    @property
    def actor_class(self) -> type[Any]:  # type: ignore[override]  # pykka declares a plain attribute
        """The class of the running instance, or of the actor to be."""
        return self.cell.system.class_of(self.cell)

    @property
    def actor_inbox(self) -> Inbox:  # type: ignore[override]  # pykka declares a plain attribute
        """The inbox as pykka sees it: what is put there is told."""
        return Inbox(self)

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]  # pykka declares a plain attribute
        """A snapshot of the stopped flag in the form pykka has."""
        return _stopped_event(self.cell)

    def _actor_weakref(self) -> Actor | None:  # type: ignore[override]  # called by pykka.ActorProxy
        return self.cell.instance

    def __repr__(self) -> str:
        return f"<ActorRef {self.cell.path}>"

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self.actor_urn})"

    def is_alive(self) -> bool:
        """Tells whether the actor still accepts messages; restarts do not end that."""
        return self.cell.state != "stopped"

    # --- tell ---------------------------------------------------------------------------------------------------

    def tell(self, message: object, *, deadline: float | None = None) -> None:
        """Sends a message and goes on; never blocks, from any thread.

        ``deadline`` is in seconds on the system's monotonic clock: a message that waited longer is refused
        unprocessed. Raises MailboxFull where the receiver's bound refuses it. For an ended receiver it raises
        pykka.ActorDeadError in the host's code; an actor's own message becomes a dead letter only, because its
        receiver may end between any check and the send.
        """
        cell = self.cell
        system = cell.system
        if get_ident() != system.thread_id:
            system.post_from_thread(cell, message, None, deadline)
            return
        current = system.current
        if current is None:
            current = task_origin.get()
        number = next(system.ids)
        now = system.now()
        if current is None:
            envelope = Envelope(message, None, number, 0, number, None, cell, now, deadline)
        else:
            sender = current.receiver
            envelope = Envelope(message, None, number, current.id, current.root, sender, cell, now, deadline)
        mailbox = cell.mailbox
        user = mailbox.plain
        if user is not None and len(user) < mailbox.capacity and system.interceptor is None:
            # The common case, spelled out: this line is the budget of a message.
            user.append(envelope)
            if not cell.scheduled:
                cell.scheduled = True
                system.enqueue(cell)
        elif system.interceptor is not None:
            system.post_intercepted(cell, envelope)
        elif current is not None and cell.state == "stopped":
            cell.undeliverable(envelope)
        else:
            cell.post(envelope)

    async def send(self, message: object, *, deadline: float | None = None) -> None:
        """Sends a message, waiting while the receiver's mailbox is full; raises pykka.ActorDeadError.

        Wait down the tree or along one declared direction only, or two full mailboxes wait for each other.
        """
        await trio.lowlevel.checkpoint()
        if get_ident() != self.cell.system.thread_id:
            raise WouldBlock(f"send() waits on the loop of {self.path} only; from another thread use tell()")
        while True:
            if not self.is_alive():
                raise ActorDeadError(f"{self} not found")
            if self.cell.mailbox.has_room(message):
                self.tell(message, deadline=deadline)
                return
            room = trio.Event()
            self.cell.mailbox.add_waiter(room.set)
            try:
                await room.wait()
            finally:
                self.cell.mailbox.remove_waiter(room.set)

    # --- ask ----------------------------------------------------------------------------------------------------

    @overload
    def ask(
        self, message: object, *, block: Literal[False], timeout: float | None = None, deadline: float | None = None
    ) -> Future[Any]: ...

    @overload
    def ask(
        self, message: object, *, block: Literal[True], timeout: float | None = None, deadline: float | None = None
    ) -> Any: ...

    @overload
    def ask(
        self, message: object, *, block: bool = True, timeout: float | None = None, deadline: float | None = None
    ) -> Any: ...

    def ask(
        self, message: object, *, block: bool = True, timeout: float | None = None, deadline: float | None = None
    ) -> Any:
        """Sends a message and waits for the reply, or returns a future with ``block=False``.

        Blocking is for host threads. On the actors' own thread it raises at once: CallCycle where the answer
        could never come, WouldBlock otherwise. With ``block=False`` errors are in the future, never raised.
        """
        cell = self.cell
        system = cell.system
        if block and trio.lowlevel.in_trio_run():
            current = system.current
            if current is not None:
                check_cycle(current, cell)
            raise WouldBlock(
                f"ask({type(message).__name__}) of {self.path} would block a trio thread: use "
                "`await ref.ask_async(...)` in a task or `self.ask_for_reply(...)` inside a handler"
            )
        future: Future[Any] = Future()
        self.ask_into(future, message, deadline=deadline)
        if not block:
            return future
        try:
            return future.get(timeout=timeout)
        except Timeout:
            # Disowned, so that a late answer is a dead letter and not a value that nobody reads.
            future.settle(None, Timeout(f"{timeout} seconds"))
            raise

    def ask_into(
        self,
        reply_to: ReplyTo,
        message: object,
        deadline: float | None = None,
        chain: tuple[Cell, ...] = (),
    ) -> None:
        """Sends a message whose reply settles ``reply_to``; whatever goes wrong settles it too."""
        cell = self.cell
        system = cell.system
        if get_ident() != system.thread_id:
            system.post_from_thread(cell, message, reply_to, deadline)
            return
        envelope = system.make_envelope(cell, message, reply_to, deadline, None, chain)
        if system.interceptor is not None:
            system.post_intercepted(cell, envelope)
            return
        try:
            cell.post(envelope)
        except (MailboxFull, ActorDeadError) as error:
            reply_to.settle(None, error)

    async def ask_async(
        self,
        message: object,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Any:
        """Sends a message and waits for its reply in a trio task.

        Raises pykka.Timeout after ``timeout`` seconds (an unknown outcome), the error the actor answered with,
        ActorRestarted where it crashed on the way, pykka.ActorDeadError where it ended before.
        """
        future: Future[Any] = Future()
        system = self.cell.system
        if get_ident() != system.thread_id:
            self.ask_into(future, message, deadline=deadline)
            return await _within(future, timeout, f"{self.path} did not answer {type(message).__name__}")
        # With nothing else going on, the actor's turn runs here and now: no switch to the dispatcher and back.
        borrowed = system.borrow_dispatcher()
        self.ask_into(future, message, deadline=deadline)
        if borrowed:
            system.give_back_dispatcher()
        timer = None
        if timeout is not None and not future.done():

            def give_up(_timer: object) -> None:
                text = f"{self.path} did not answer {type(message).__name__} within {timeout} seconds"
                future.settle(None, Timeout(text))

            timer = system.timers.arm(system.now() + timeout, give_up)
        try:
            if borrowed and future.done() and not system.checkpoint_is_due():
                await trio.lowlevel.checkpoint_if_cancelled()
                return future.result()
            return await future.wait()
        except trio.Cancelled:
            future.settle(None, Timeout("the asker was cancelled"))
            raise
        finally:
            if timer is not None:
                timer.cancel()

    # --- ending -------------------------------------------------------------------------------------------------

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...

    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> Future[bool]: ...

    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any: ...

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Stops the actor after everything queued before, as pykka does; True unless it had ended already.

        A permanent child of a supervisor is restarted after that: use the supervisor to end it.
        """
        asked = self.ask(_ActorStop(), block=False)
        stopped = converted(asked, _was_alive)
        return stopped.get(timeout=timeout) if block else stopped

    def stop_next(self, reason: ExitReason | None = None) -> Future[bool]:
        """Stops the actor after its current message, before anything else that waits."""
        return converted(self.control(Stop() if reason is None else Stop(reason)), _was_alive)

    def kill(self) -> Future[bool]:
        """Ends the actor after its current message, without its ``on_stop``."""
        return converted(self.control(Kill()), _was_alive)

    def control(self, message: object) -> Future[Any]:
        """Sends one of the closed set of control messages, which overtake user messages; TypeError for others."""
        if type(message) not in CONTROL_MESSAGES:
            names = ", ".join(sorted(kind.__name__ for kind in CONTROL_MESSAGES))
            raise TypeError(f"{type(message).__name__} may not ride the control lane; these may: {names}")
        future: Future[Any] = Future()
        cell = self.cell
        cell.system.call_soon(lambda: cell.control(message, future), otherwise=future)
        return future

    def inspect(self) -> Future[ActorSnapshot]:
        """Asks for the actor's snapshot; answered between two of its messages."""
        return cast("Future[ActorSnapshot]", self.control(Inspect()))

    async def wait_ended(self) -> ExitReason:
        """Waits in trio until the actor has ended for good; returns why."""
        return await self.cell.system.end_of(self.cell).wait()

    def proxy(self) -> pykka.ActorProxy[Any]:
        """Wraps the ref in pykka's proxy; raises pykka.ActorDeadError where no instance runs."""
        return pykka.ActorProxy(actor_ref=self)


class Inbox:
    """pykka's view of a mailbox: enough for plain pykka code that puts envelopes itself."""

    __slots__ = ("_ref",)

    def __init__(self, ref: ActorRef) -> None:
        self._ref = ref

    def put(self, envelope: Any, /) -> None:
        """Tells the envelope's message; a reply goes to its future."""
        reply_to = envelope.reply_to
        if reply_to is None:
            self._ref.tell(envelope.message)
            return
        answer: Future[Any] = Future()

        def transfer() -> None:
            try:
                reply_to.set(answer.get(timeout=0))
            except Exception as error:  # noqa: BLE001 - the error is the reply
                reply_to.set_exception((type(error), error, error.__traceback__))

        answer.add_done_callback(transfer)
        self._ref.ask_into(answer, envelope.message)

    def get(self) -> Any:
        """Raises ActorError: the dispatcher alone takes messages out."""
        raise ActorError("only the dispatcher takes messages out of a mailbox")

    def empty(self) -> bool:
        """Tells whether nothing waits."""
        return self._ref.cell.mailbox.depth == 0


def check_cycle(current: Envelope, target: Cell) -> None:
    """Raises CallCycle where ``target`` waits, up the chain of requests, for the answer of the current actor."""
    if target is current.receiver or target in current.chain:
        raise CallCycle(_cycle_text(current, target))


def _cycle_text(current: Envelope, target: Cell) -> str:
    way = " -> ".join([*(cell.path for cell in current.chain), current.receiver.path, target.path])
    return f"{target.path} waits for this very answer: {way}"


async def _within(future: Future[Any], seconds: float | None, complaint: str) -> Any:
    """Waits for an answer of a system in another thread, by this thread's own clock."""
    with trio.move_on_after(math.inf if seconds is None else seconds):
        return await future.wait()
    future.settle(None, Timeout(f"{complaint} within {seconds} seconds"))
    return future.result()


def _was_alive(outcome: Any) -> bool:
    try:
        outcome()
    except ActorDeadError:
        return False
    return True


def _stopped_event(cell: Cell) -> threading.Event:
    import threading  # noqa: PLC0415 - only pykka's own face needs it

    event = threading.Event()
    if cell.state == "stopped":
        event.set()
    return event
