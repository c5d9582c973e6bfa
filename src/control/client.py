"""The operator's end of the control socket: for a command line, so it blocks, and every wait has an end."""

import socket
import time
from contextlib import suppress
from pathlib import Path

from ..store.lock import LOCK_FILE, is_held, read_holder
from .address import address_of
from .protocol import ANSWER_BYTES_MAXIMUM, Answer, Request, Unreadable, decode_answer, encode

CONNECT_SECONDS = 5.0
CHUNK_BYTES = 1 << 16


class ControlError(Exception):
    """The runtime was not reached, or did not answer."""


class NotRunning(ControlError):
    """No runtime takes commands for that store."""


class NotAllowed(ControlError):
    """The socket belongs to another user."""


class NoAnswer(ControlError):
    """The runtime was asked and has not answered: whether it acted is not known here."""


def ask(path: Path, request: Request, *, timeout_seconds: float) -> Answer:
    """Ask the runtime behind a socket. Raises `NotRunning`, `NotAllowed` and `NoAnswer`."""
    ends_at = time.monotonic() + timeout_seconds
    with _connected(path) as connection:
        try:
            connection.settimeout(CONNECT_SECONDS)
            with suppress(BrokenPipeError):  # it may have refused before it had read all; then its answer is there
                connection.sendall(encode(request))
            line = _read_line(connection, ends_at)
        except TimeoutError:
            raise NoAnswer(
                f"the runtime did not answer within {timeout_seconds:g} s; whether it acted is not known here"
            ) from None
        except OSError as error:
            raise NoAnswer(f"the connection to the runtime was lost ({error}); whether it acted is not known") from None
    try:
        return decode_answer(line)
    except Unreadable as problem:
        raise NoAnswer(f"the runtime's answer cannot be read, is it of another build? {problem}") from None


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_SECONDS)
    try:
        with address_of(path) as address:
            connection.connect(address)
    except BaseException as error:
        connection.close()
        if isinstance(error, PermissionError):
            raise NotAllowed(
                f"the control socket {path} belongs to another user: "
                "call this as the user that runs the runtime, or as root"
            ) from None
        if isinstance(error, TimeoutError):
            raise NoAnswer(f"the runtime at {path} takes no callers now; nothing was done") from None
        if isinstance(error, OSError):
            raise NotRunning(_why_not(path, error)) from None
        raise
    return connection


def _why_not(path: Path, error: OSError) -> str:
    store = path.parent
    lock = store / LOCK_FILE
    if is_held(lock):
        return (
            f"a runtime runs on {store} ({read_holder(lock) or 'it has not signed yet'}), but takes no commands at "
            f"{path}: its control socket is off, or it is just starting or stopping ({error.strerror})"
        )
    return f"no runtime runs on {store}: commands need a running one ({error.strerror} at {path})"


def _read_line(connection: socket.socket, ends_at: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        left = ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(CHUNK_BYTES)
        if not part:
            raise OSError("it was closed without an answer")
        parts.append(part)
        size += len(part)
        if b"\n" in part:
            return b"".join(parts).partition(b"\n")[0]
        if size > ANSWER_BYTES_MAXIMUM:
            raise OSError(f"the answer has more than {ANSWER_BYTES_MAXIMUM} bytes")
