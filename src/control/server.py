"""The runtime's end of the control socket: one line in, one line out, and nothing that arrives can harm the runtime."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
import trio

from ..actors.operator import CommandRefused, CommandUnknownSubject
from ..model.identifiers import AccountId
from ..store.errors import StoreFailed
from .address import PeerUnknown, may_control, peer_uid
from .inspection import Inspection
from .operations import NotAnswered, NotTaken, Operations, operator_of
from .protocol import (
    ANSWER_BYTES_MAXIMUM,
    REQUEST_BYTES_MAXIMUM,
    Answer,
    AwaitReconciliation,
    Carry,
    Done,
    ReadTree,
    Reconciled,
    RefusalCode,
    Refused,
    Request,
    Unreadable,
    decode_request,
    encode,
)

log = structlog.get_logger("tallystick.control")

CALLERS_MAXIMUM = 16
READ_SECONDS = 5.0
WRITE_SECONDS = 10.0
WAIT_SECONDS_MAXIMUM = 3600.0


class ControlServer:
    """Answers callers over an open socket."""

    def __init__(self, operations: Operations, inspection: Inspection) -> None:
        self._operations = operations
        self._inspection = inspection
        self._callers = 0

    async def answer(self, request: Request, uid: int) -> Answer:
        """The answer to one request of a user. Never raises but for a defect."""
        match request:
            case ReadTree():
                return self._inspection.tree(request.children_maximum)
            case Carry():
                return await self._carry(request, uid)
            case AwaitReconciliation():
                return await self._await_reconciliation(request)

    async def _carry(self, request: Carry, uid: int) -> Answer:
        operator = operator_of(uid, request.claimed)
        try:
            carried = await self._operations.operate(
                request.command, operator=operator, note=request.note, command_id=request.command_id
            )
        except CommandUnknownSubject as refusal:
            return Refused(code=RefusalCode.NOT_FOUND, message=str(refusal))
        except CommandRefused as refusal:
            return Refused(code=RefusalCode.REFUSED, message=str(refusal))
        except NotTaken as refusal:
            return Refused(code=RefusalCode.BUSY, message=str(refusal))
        except StoreFailed as failure:
            return Refused(code=RefusalCode.STORE_FAILED, message=f"nothing can be recorded any more: {failure}")
        except NotAnswered as doubt:
            return Refused(code=RefusalCode.NOT_ANSWERED, message=str(doubt))
        return Done(command_id=carried.command_id, at_ns=carried.at_ns, repeated=carried.repeated, text=carried.text)

    async def _await_reconciliation(self, request: AwaitReconciliation) -> Answer:
        seconds = min(max(request.within_seconds, 0.0), WAIT_SECONDS_MAXIMUM)
        with trio.move_on_after(seconds):
            return Reconciled(record=await self._operations.wait_reconciled(request.account, request.since_ns))
        why = self._operations.state_of(AccountId(request.account))
        return Refused(
            code=RefusalCode.TIMED_OUT,
            message=f"no reconciliation of {request.account} has ended within {seconds:g} s ({why}); it goes on",
        )

    # ---- one caller ---------------------------------------------------------------------------------------

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one caller: a line, its answer, the end. Whatever goes wrong ends with this caller."""
        async with stream:
            self._callers += 1
            try:
                answer = await self._answer_of(stream)
                if answer is not None:
                    await self._say(stream, answer)
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                pass  # the caller has left; what was asked for is in the journal
            except Exception as error:  # a defect in here is never the runtime's end
                log.exception("a request over the control socket failed")
                text = f"the runtime could not answer: {type(error).__name__}; its log has more"
                await self._say(stream, Refused(code=RefusalCode.NOT_ANSWERED, message=text))
            finally:
                self._callers -= 1

    async def _answer_of(self, stream: trio.SocketStream) -> Answer | None:
        try:
            uid = peer_uid(stream.socket)  # type: ignore[arg-type]  # trio's socket has the same getsockopt
        except (PeerUnknown, OSError) as error:
            return Refused(code=RefusalCode.NOT_ALLOWED, message=f"it is not known who you are: {error}")
        # The line is read before anybody is turned away: a socket closed over unread bytes would swallow the answer.
        try:
            with trio.fail_after(READ_SECONDS):
                line = await _read_line(stream)
        except trio.TooSlowError:
            return Refused(code=RefusalCode.BAD_REQUEST, message=f"no whole line came within {READ_SECONDS:g} s")
        except Unreadable as problem:
            return Refused(code=RefusalCode.BAD_REQUEST, message=str(problem))
        if line is None:
            return None
        if not may_control(uid):
            log.warning("somebody else's user was turned away at the control socket", uid=uid)
            return Refused(code=RefusalCode.NOT_ALLOWED, message=f"user {uid} may not control this runtime")
        if self._callers > CALLERS_MAXIMUM:
            return Refused(code=RefusalCode.BUSY, message=f"{CALLERS_MAXIMUM} callers are served already")
        try:
            request = decode_request(line)
        except Unreadable as problem:
            return Refused(code=RefusalCode.BAD_REQUEST, message=str(problem))
        return await self.answer(request, uid)

    async def _say(self, stream: trio.SocketStream, answer: Answer) -> None:
        line = encode(answer)
        if len(line) > ANSWER_BYTES_MAXIMUM:
            text = f"the answer has {len(line)} bytes, at most {ANSWER_BYTES_MAXIMUM} are sent; ask for less"
            line = encode(Refused(code=RefusalCode.BAD_REQUEST, message=text))
        with trio.move_on_after(WRITE_SECONDS):
            await stream.send_all(line)


async def _read_line(stream: trio.SocketStream) -> bytes | None:
    """The line that a caller sends; None where it sends nothing at all. Raises `Unreadable`."""
    line = b""
    while b"\n" not in line:
        if len(line) > REQUEST_BYTES_MAXIMUM:
            raise Unreadable(f"a request has at most {REQUEST_BYTES_MAXIMUM} bytes")
        part = await stream.receive_some(REQUEST_BYTES_MAXIMUM)
        if not part:
            if not line:
                return None
            raise Unreadable("a request ends with a line feed, and this one did not")
        line += part
    return line.partition(b"\n")[0]


@asynccontextmanager
async def serving(made: socket.socket | None, server: ControlServer) -> AsyncIterator[None]:
    """Serve callers beside the block; with None nobody is served."""
    if made is None:
        yield
        return
    made.setblocking(False)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, server.serve, [listener]))
        yield
        nursery.cancel_scope.cancel()
