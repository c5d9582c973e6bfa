"""A simulated venue in a process of its own: started, asked, and ended with its parent.

The child ends when its standard input does, so it goes with this process however this one goes. Ctrl-C does not reach
it: the runtime ends in order while its venue is still there.
"""

import http.client
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from ..venues.sim.polymarket.actions import AnyAction, ScriptStep
from ..venues.sim.polymarket.serving import Addresses
from .virtual_time import ControlConnection

READY_SECONDS = 30.0
END_SECONDS = 5.0

T = TypeVar("T")


class VenueFailed(Exception):
    """The simulated venue could not be started, or refused what it was asked; the message says why."""


class VenueProcess:
    """A running simulator and its operator's door."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses

    def control(self) -> ControlConnection:
        """A connection that moves its clock."""
        control = self.addresses.control
        assert control is not None, "it was started with a virtual clock"
        host, _, port = control.rpartition(":")
        return ControlConnection(host, int(port))

    def do(self, action: AnyAction) -> None:
        """Have one action done now. Raises `VenueFailed`."""
        self._request("POST", "/_sim/action", msgspec.json.encode(action))

    def note(self, script: Sequence[ScriptStep]) -> None:
        """Have actions done at their times. Raises `VenueFailed`; what fails at its time is told by `script_errors`."""
        self._request("POST", "/_sim/script", msgspec.json.encode(list(script)))

    def script_errors(self) -> list[str]:
        """What could not be done at its time, one text each."""
        return [msgspec.json.encode(found).decode() for found in self.ask("script", list[msgspec.Raw])]

    def ask(self, path: str, kind: type[T]) -> T:
        """One of the venue's own books. Raises `VenueFailed`."""
        return msgspec.json.decode(self._request("GET", f"/_sim/{path}", None), type=kind)

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        # A connection for each question: an idle one would be a stream that nobody counts.
        parts = urlsplit(self.addresses.admin)
        connection = http.client.HTTPConnection(parts.netloc, timeout=READY_SECONDS)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise VenueFailed(f"the simulated venue cannot be asked: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise VenueFailed(f"{method} {path}: {answer.status} {content[:500].decode(errors='replace')}")
        return content


@contextmanager
def venue_process(arguments: Sequence[str], *, log: Path) -> Iterator[VenueProcess]:
    """Run `tallystick sim polymarket` with these arguments until the block ends; its standard error goes to `log`.

    Raises `VenueFailed` where it does not come up.
    """
    command = [sys.executable, "-m", "tallystick.venues.sim", "polymarket", "--until-stdin-closes", *arguments]
    with log.open("ab") as errors:
        child = subprocess.Popen(  # noqa: S603  # this very interpreter, with arguments made here
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    try:
        yield VenueProcess(_addresses(child, log))
    finally:
        _end(child)


def _addresses(child: "subprocess.Popen[bytes]", log: Path) -> Addresses:
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        ready = selector.select(READY_SECONDS)
    line = child.stdout.readline() if ready else b""
    try:
        return msgspec.json.decode(line, type=Addresses)
    except msgspec.DecodeError:
        why = f"it said nothing within {READY_SECONDS:.0f} s" if not ready else f"it said {line[:200]!r}"
        raise VenueFailed(f"the simulated venue did not come up: {why}; see {log}") from None


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Close its standard input, and be less polite step by step."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    for insist in (child.terminate, child.kill):
        try:
            child.wait(END_SECONDS)
            break
        except subprocess.TimeoutExpired:
            insist()
    child.wait()
    child.stdout.close()
