"""The values that travel: the envelope, what the kernel tells actors, and the closed set of control messages."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from .cell import Cell
    from .ref import ActorRef


class ExitKind(enum.Enum):
    """How an incarnation of an actor ended."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"
    CRASHED = "crashed"
    START_FAILED = "start_failed"
    NOT_FOUND = "not_found"


class ExitReason(msgspec.Struct, frozen=True, eq=True):
    """Why an actor ended: a kind, a sentence for people, and the exception of a crash."""

    kind: ExitKind
    detail: str = ""
    error: BaseException | None = None

    @property
    def is_clean(self) -> bool:
        """Tells a normal end or an asked shutdown from every kind of failure."""
        return self.kind is ExitKind.NORMAL or self.kind is ExitKind.SHUTDOWN

    def __str__(self) -> str:
        kind: str = self.kind._value_  # an actor's end says it three times; the descriptor behind `value` is slow
        return f"{kind}: {self.detail}" if self.detail else kind


NORMAL = ExitReason(ExitKind.NORMAL)
SHUTDOWN = ExitReason(ExitKind.SHUTDOWN)
KILLED = ExitReason(ExitKind.KILLED)


def describe(error: BaseException) -> str:
    """Says an error's type and text, also where the error cannot say its text."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception with a broken __str__ must not hide the crash it reports
        return f"{type(error).__name__} (its text could not be made)"


def crashed(error: BaseException) -> ExitReason:
    """Makes the reason of a crash; the detail is the error's type and text."""
    return ExitReason(ExitKind.CRASHED, describe(error), error)


class Guard(Protocol):
    """Says at delivery whether a queued message of the kernel is still wanted."""

    @property
    def live(self) -> bool:
        """False: the message is dropped at delivery."""


class Origin(Protocol):
    """What caused something to be sent: a message, or what is left of it while a timer waits."""

    @property
    def id(self) -> int:
        """The message's id."""

    @property
    def root(self) -> int:
        """The id of its first ancestor."""

    @property
    def receiver(self) -> Cell:
        """The actor that handled it, and so the sender of what it causes."""


class ReplyTo(Protocol):
    """Where the reply to a message goes: a future, or the asking actor itself."""

    def settle(self, value: Any, error: BaseException | None = None) -> bool:
        """Takes the outcome; False where there is one already."""


class Envelope(msgspec.Struct, eq=False):
    """A message on its way, with everything a trace needs. One is made per message.

    The garbage collector follows it: the traceback of a crash keeps the message that was handled, and that its actor.
    ``cause`` is the id of the message whose handling sent this one (0: none) and ``root`` the first ancestor.
    Times are seconds on the system's clock. ``chain`` lists the actors that wait for an answer up the causes.
    """

    message: Any
    reply_to: ReplyTo | None
    id: int
    cause: int
    root: int
    sender: Cell | None
    receiver: Cell
    enqueued_at: float
    deadline: float | None = None
    guard: Guard | None = None
    chain: tuple[Cell, ...] = ()

    @property
    def sender_path(self) -> str:
        """The path of the sending actor, empty for a sender that is not an actor."""
        return self.sender.path if self.sender is not None else ""

    @property
    def receiver_path(self) -> str:
        """The path of the receiving actor."""
        return self.receiver.path


# --- what the kernel tells actors ---------------------------------------------------------------------------


class Down(msgspec.Struct, frozen=True):
    """A watched actor has ended for good; told exactly once per watch."""

    ref: ActorRef
    incarnation: int
    reason: ExitReason


class Restarted(msgspec.Struct, frozen=True):
    """A watched actor runs again as a new incarnation; told only to watchers that handle it."""

    ref: ActorRef
    incarnation: int


class TaskDone(msgspec.Struct, frozen=True):
    """A task of this actor returned."""

    name: str
    value: Any


class TaskFailed(msgspec.Struct, frozen=True):
    """A task of this actor raised; an actor without a handler for this message crashes with the error."""

    name: str
    error: BaseException


class Reply(msgspec.Struct, frozen=True):
    """The answer to ``self.ask_for_reply(...)``: a value, or the error that came instead."""

    key: Any
    value: Any = None
    error: BaseException | None = None


# --- what supervisors are told about their children ----------------------------------------------------------


class ChildStarted(msgspec.Struct, frozen=True):
    """The child acknowledged its start."""

    cell: Cell


class ChildIgnored(msgspec.Struct, frozen=True):
    """The child said in its start that it is not needed."""

    cell: Cell


class ChildStartFailed(msgspec.Struct, frozen=True):
    """The child's start failed; nothing of it is left."""

    cell: Cell
    reason: ExitReason


class ChildEnded(msgspec.Struct, frozen=True):
    """An incarnation of the child ended; its mailbox waits for the supervisor's decision."""

    cell: Cell
    reason: ExitReason


# --- control: a closed set; nothing else may overtake -------------------------------------------------------


class Stop(msgspec.Struct, frozen=True):
    """Ends the actor after its current message; what is queued is not handled."""

    reason: ExitReason = SHUTDOWN


class Kill(msgspec.Struct, frozen=True):
    """Ends the actor after its current message without its ``on_stop``; its tasks are abandoned."""


class Suspend(msgspec.Struct, frozen=True):
    """Stops handling user messages until ``Resume``; the mailbox keeps filling up to its bound."""


class Resume(msgspec.Struct, frozen=True):
    """Ends a suspension."""


class Restart(msgspec.Struct, frozen=True):
    """Crashes the actor on purpose, so that its supervisor restarts it by its rules."""

    why: str = "restart requested"


class Inspect(msgspec.Struct, frozen=True):
    """Answers with the actor's snapshot between two of its messages."""


class TraceOn(msgspec.Struct, frozen=True):
    """Resumes the recording of the actor's messages (the default)."""


class TraceOff(msgspec.Struct, frozen=True):
    """Stops the recording of the actor's messages, for a firehose that would flush the ring."""


class CancelAll(msgspec.Struct, frozen=True):
    """The one business command that overtakes: delivered to the actor's handler before user messages."""

    why: str = ""


class StartActor(msgspec.Struct, frozen=True):
    """Makes the instance and runs its ``on_start``; sent by supervisors only."""


class CrashActor(msgspec.Struct, frozen=True):
    """Ends the incarnation with an error that arose outside its handlers; sent by the kernel only."""

    error: BaseException
    incarnation: int


CONTROL_MESSAGES: frozenset[type] = frozenset(
    {Stop, Kill, Suspend, Resume, Restart, Inspect, TraceOn, TraceOff, CancelAll}
)
