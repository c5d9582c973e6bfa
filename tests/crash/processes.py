"""The commander of a nursery, and one child of it: what it says, when it ends, and how to end it.

Nothing here waits for a time to pass: everything waits for a line, an end or a fact, with a deadline at which a broken
test gives up.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from . import points
from .nursery import COMMAND_BYTES_MAX, Answer, Command, Ended, Kill, Start, Started

SECONDS_MAX = 30.0
"""Nothing comes near it; it is where a broken test ends."""
ROOT = Path(__file__).parents[2]
_answers = msgspec.json.Decoder(Answer)


class NurseryFailed(Exception):
    """The nursery is gone, or did not answer in time."""


class Commander:
    """Has one nursery fork runtimes. One child at a time is followed by its `Life`; several may live."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ends: dict[int, int] = {}
        self._started: int | None = None
        self._heard = b""

    def fileno(self) -> int:
        """So that a selector can wait for answers."""
        return self._connection.fileno()

    def start(
        self,
        *arguments: str | Path,
        log: Path,
        environment: dict[str, str],
        point: points.Point | None = None,
        file_bytes_max: int | None = None,
        tells: bool = True,
    ) -> "Life":
        """Fork a child that runs `tallystick` with these arguments; its stderr is appended to `log`.

        What it says on stdout is heard, if it `tells` in JSON lines, and appended to `log` as well where not.
        """
        stdin, hand = os.pipe()
        ear, stdout = os.pipe() if tells else (None, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        stderr = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        logged_bytes = log.stat().st_size
        command = Start(
            arguments=tuple(str(argument) for argument in arguments),
            environment=environment,
            point=point,
            file_bytes_max=file_bytes_max,
        )
        socket.send_fds(self._connection, [msgspec.json.encode(command) + b"\n"], [stdin, stdout, stderr])
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        while self._started is None:
            self._receive(SECONDS_MAX)
        pid, self._started = self._started, None
        return Life(self, pid, hand, ear, log, logged_bytes)

    def send(self, command: Command) -> None:
        self._connection.sendall(msgspec.json.encode(command) + b"\n")

    def ended(self, pid: int, seconds: float) -> int | None:
        """The exit code of a child (minus the signal), waiting for it so long; None if it lives."""
        ends_at = time.monotonic() + seconds
        while pid not in self._ends:
            left = ends_at - time.monotonic()
            try:
                self._receive(max(left, 0.0))
            except TimeoutError:
                return None
        return self._ends[pid]

    def _receive(self, seconds: float) -> None:
        """Take in what the nursery answers. Raises TimeoutError when it says nothing for so long."""
        self._connection.settimeout(max(seconds, 1e-6))
        data = self._connection.recv(COMMAND_BYTES_MAX)
        if not data:
            raise NurseryFailed("the nursery has ended; its last words are on stderr")
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            match _answers.decode(line):
                case Started(pid):
                    self._started = pid
                case Ended(pid, code):
                    self._ends[pid] = code


class Life:
    """One run of a runtime, from its fork to its end."""

    def __init__(
        self, commander: Commander, pid: int, hand: int, ear: int | None, log: Path, logged_bytes: int
    ) -> None:
        self.pid = pid
        self.said: list[dict[str, Any]] = []
        self.started_at = time.monotonic()
        self._commander = commander
        self._hand = hand
        self._ear = ear
        self._log = log
        self._log_offset = logged_bytes
        self._log_read = self._log_offset
        self._begun = b""

    # ---- what it hears and says ---------------------------------------------------------------------------

    def hand_in(self, *lines: bytes) -> None:
        """Write lines to its standard input; it may have been killed meanwhile."""
        with suppress(BrokenPipeError):
            os.write(self._hand, b"".join(line + b"\n" for line in lines))

    @property
    def log(self) -> str:
        """What this life has logged."""
        with self._log.open("rb") as opened:
            opened.seek(self._log_offset)
            return opened.read().decode(errors="replace")

    def logged(self, text: bytes) -> bool:
        """Whether it has logged this; looks only at what is new."""
        with self._log.open("rb") as opened:
            opened.seek(self._log_read)
            found = opened.read()
        if text in found:
            return True
        self._log_read += max(0, len(found) - len(text))
        return False

    def listen(self, seconds: float, *, until: Callable[[dict[str, Any]], bool] | None = None) -> bool:
        """Collect what it says for so long, or until it says something, or until it ends. True if it was said."""
        ends_at = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            if self._ear is not None:
                selector.register(self._ear, selectors.EVENT_READ)
            selector.register(self._commander, selectors.EVENT_READ)
            while True:
                left = ends_at - time.monotonic()
                ready = {key.fd for key, _events in selector.select(max(left, 0.0))}
                if self._ear in ready and self._hear(selector) and until is not None:
                    fresh = self.said[self._heard :]
                    self._heard = len(self.said)
                    if any(until(line) for line in fresh):
                        return True
                if self._commander.fileno() in ready and self.code(0.0) is not None:
                    return False
                if left <= 0:
                    return False

    _heard = 0

    def _hear(self, selector: selectors.BaseSelector | None) -> bool:
        assert self._ear is not None
        data = os.read(self._ear, 1 << 20)
        if not data:
            if selector is not None:
                selector.unregister(self._ear)
            os.close(self._ear)
            self._ear = None
            return False
        *lines, self._begun = (self._begun + data).split(b"\n")
        self.said += [json.loads(line) for line in lines]
        return True

    def until(self, **fields: object) -> dict[str, Any]:
        """The first thing with these fields that it has said, or will say."""

        def meant(line: dict[str, Any]) -> bool:
            return all(line.get(name) == value for name, value in fields.items())

        if not any(map(meant, self.said)):
            assert self.listen(SECONDS_MAX, until=meant), f"it never said {fields}: {self.said[-5:]} {self.log[-4000:]}"
        return next(filter(meant, self.said))

    def until_live(self) -> None:
        """Wait until it takes intents."""
        self.until_logged("live: intents are taken from now on")

    def until_logged(self, text: str) -> None:
        ends_at = time.monotonic() + SECONDS_MAX
        while text not in self.log:
            assert self.code(0.01) is None or text in self.log, (
                f"it ended before it logged {text!r}: {self.log[-4000:]}"
            )
            assert time.monotonic() < ends_at, f"{text!r} was not logged: {self.log[-4000:]}"

    # ---- its end ------------------------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        self._commander.send(Kill(self.pid, number))

    def code(self, seconds: float) -> int | None:
        """How it ended, if it did within so many seconds."""
        return self._commander.ended(self.pid, seconds)

    def ends(self) -> int:
        """Wait for its end and for all that it said; returns its exit code, or minus the signal that ended it."""
        code = self.code(SECONDS_MAX)
        assert code is not None, f"it does not end: {self.log[-4000:]}"
        while self._ear is not None:
            self._hear(None)
        with suppress(OSError):
            os.close(self._hand)
        return code

    def kill(self) -> int:
        """End it with SIGKILL, and return how it ended: it may have been faster."""
        self.signal(signal.SIGKILL)
        return self.ends()


@contextmanager
def nursery() -> Iterator[Commander]:
    """A nursery for the length of the block; every child of it ends with the block, however the block ends."""
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.nursery", str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()
    try:
        with ours:
            yield Commander(ours)
    finally:
        try:
            child.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
