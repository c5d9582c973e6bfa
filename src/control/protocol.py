"""What travels over the control socket: one JSON line each way, tagged, bounded, and decoded strictly.

A line that cannot be used is answered with `Refused` and harms nobody. Both ends are of one build or say so: an
unknown field or kind is refused by its name.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

from ..actors.kernel import ActorSnapshot, HandlingTimes
from ..model.account import Reconciliation
from ..model.identifiers import AccountId, CommandId
from ..model.operator import Command
from ..model.value import Value

REQUEST_BYTES_MAXIMUM = 64 * 1024
ANSWER_BYTES_MAXIMUM = 32 * 1024 * 1024


# ---- requests ---------------------------------------------------------------------------------------------


class ReadTree(Value, frozen=True, tag="read_tree"):
    """The live tree. Of a dynamic set at most `children_maximum` are shown, those with something to tell first."""

    children_maximum: int = 50


class Carry(Value, frozen=True, tag="carry"):
    """Carry out a command. `claimed` is who the caller says to be, beside what the kernel says of his process."""

    command_id: CommandId
    command: Command
    note: str = ""
    claimed: str = ""


class AwaitReconciliation(Value, frozen=True, tag="await_reconciliation"):
    """Wait for the record of the first reconciliation that began at or after `since_ns` (UTC)."""

    account: AccountId
    since_ns: int
    within_seconds: float


Request = ReadTree | Carry | AwaitReconciliation


# ---- answers ----------------------------------------------------------------------------------------------


class Incident(Value, frozen=True):
    """Something that crashed, hung or gave up. `detail` is a traceback or a stack, as long as the log has it."""

    kind: str
    at_ns: int
    path: str
    incarnation: int
    message_type: str
    text: str
    detail: str


class ActorView(Value, frozen=True):
    """One actor. `handling` is as far back as the trace ring goes, `idle_seconds` since its last message."""

    snapshot: ActorSnapshot
    handling: HandlingTimes | None
    idle_seconds: float | None
    crash: Incident | None


class HiddenChildren(Value, frozen=True):
    """How many children of a dynamic set are not shown."""

    path: str
    count: int


class Tree(Value, frozen=True, tag="tree"):
    """The tree of a running runtime at one moment, parents before children in start order."""

    runtime: str
    build: str
    at_ns: int
    started_at_ns: int
    messages_handled: int
    actors: tuple[ActorView, ...]
    hidden: tuple[HiddenChildren, ...]
    dead_letters: dict[str, int]
    incidents: tuple[Incident, ...]


class Done(Value, frozen=True, tag="done"):
    """The command is carried out and durable."""

    command_id: CommandId
    at_ns: int
    repeated: bool
    text: str


class Reconciled(Value, frozen=True, tag="reconciled"):
    """The record of a reconciliation."""

    record: Reconciliation


class RefusalCode(StrEnum):
    """Why a request was not carried out."""

    BAD_REQUEST = "bad_request"
    """It cannot be understood; nothing was done."""
    NOT_ALLOWED = "not_allowed"
    """The caller's user may not control this runtime."""
    NOT_FOUND = "not_found"
    """It is about something that the runtime does not have; nothing was done."""
    REFUSED = "refused"
    """The command makes no sense now; nothing was done."""
    BUSY = "busy"
    """Too many callers, or the runtime is stopping; nothing was done."""
    STORE_FAILED = "store_failed"
    """Nothing can be recorded any more."""
    NOT_ANSWERED = "not_answered"
    """Whether it was carried out is not known; the same command id asks."""
    TIMED_OUT = "timed_out"
    """What was waited for has not happened yet; it goes on."""


class Refused(Value, frozen=True, tag="refused"):
    """The request was not carried out."""

    code: RefusalCode
    message: str


Answer = Tree | Done | Reconciled | Refused


# ---- lines ------------------------------------------------------------------------------------------------


class Unreadable(Exception):
    """A line that is not what it should be; the text says where and what was expected."""


_T = TypeVar("_T")
_requests = msgspec.json.Decoder(Request)
_answers = msgspec.json.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """The line of a request or an answer."""
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """The request of a line. Raises `Unreadable`."""
    request: Request = _decode(line, _requests, "a request")
    return request


def decode_answer(line: bytes) -> Answer:
    """The answer of a line. Raises `Unreadable`."""
    answer: Answer = _decode(line, _answers, "an answer")
    return answer


def _decode(line: bytes, decoder: "msgspec.json.Decoder[_T]", what: str) -> _T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"this is not {what} of this build: {error}") from None
