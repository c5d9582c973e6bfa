"""Processes that can be had in milliseconds: a process that has imported everything, and forks itself on demand.

    python -m tests.crash.nursery DESCRIPTOR        # of a socket: commands come, and answers go

Each child is `tallystick run` as a user runs it: its own process, store, threads and sockets, opened after the fork.
Only the half second in which Python reads its modules is not spent hundreds of times. A child may be given a crash
point (`tests.crash.points`) at which it kills itself with SIGKILL. The nursery never opens a store, a socket to a venue
or a thread, so a child inherits none; it ends its children when its commander goes away, however it goes.
"""

import gc
import os
import resource
import selectors
import signal
import socket
import sys
import traceback

import msgspec
from tallystick.console import cli

from tests.crash import points

COMMAND_BYTES_MAX = 65_536
STREAMS = 3
"""Standard input, output and error."""


class Start(msgspec.Struct, tag="start", frozen=True):
    """Fork a child with these arguments of `tallystick`; its three streams come along as descriptors."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    point: points.Point | None = None
    file_bytes_max: int | None = None
    """No file may grow beyond this (RLIMIT_FSIZE): what a full disk looks like to a writer."""


class Kill(msgspec.Struct, tag="kill", frozen=True):
    pid: int
    signal: int


class Started(msgspec.Struct, tag="started", frozen=True):
    pid: int


class Ended(msgspec.Struct, tag="ended", frozen=True):
    """`code` is the exit code, or minus the signal that ended it."""

    pid: int
    code: int


Command = Start | Kill
Answer = Started | Ended
_commands = msgspec.json.Decoder(Command)


class Nursery:
    """The parent of all children of one commander."""

    def __init__(self, commander: socket.socket) -> None:
        self._commander = commander
        self._children: set[int] = set()
        self._heard = b""
        self._descriptors: list[int] = []

    def run(self) -> None:
        """Serve until the commander hangs up, then end what is left."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        woken.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._commander, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            try:
                while True:
                    for key, _events in selector.select():
                        if key.fileobj is woken:
                            woken.recv(4096)
                            self._reap()
                        elif not self._serve():
                            return
            finally:
                for pid in self._children:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def _serve(self) -> bool:
        """Carry out what was commanded; False when the commander has hung up."""
        data, descriptors, _flags, _address = socket.recv_fds(self._commander, COMMAND_BYTES_MAX, STREAMS)
        if not data:
            return False
        self._descriptors += descriptors
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._obey(_commands.decode(line))
        return True

    def _obey(self, command: "Command") -> None:
        match command:
            case Start():
                streams, self._descriptors = self._descriptors[:STREAMS], self._descriptors[STREAMS:]
                pid = os.fork()
                if not pid:
                    self._live(command, streams)
                self._children.add(pid)
                for descriptor in streams:
                    os.close(descriptor)
                self._answer(Started(pid))
            case Kill():
                # Nobody else reaps, so the number cannot belong to another process by now.
                if command.pid in self._children:
                    os.kill(command.pid, command.signal)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._answer(Ended(pid, os.waitstatus_to_exitcode(status)))

    def _answer(self, answer: Answer) -> None:
        self._commander.sendall(msgspec.json.encode(answer) + b"\n")

    def _live(self, start: Start, descriptors: list[int]) -> None:
        """In the child: become the command, and never come back."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._commander.close()
            for stream, descriptor in enumerate(descriptors):
                os.dup2(descriptor, stream)
                os.close(descriptor)
            os.environ.update(start.environment)
            if start.file_bytes_max is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (start.file_bytes_max, start.file_bytes_max))
            if start.point is not None:
                points.install(start.point)
            sys.argv = ["tallystick", *start.arguments]
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except BaseException:  # noqa: BLE001 - what is left of a child is its exit code and what it wrote
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def main() -> None:
    """Serve on the descriptor that the parent has opened."""
    # Children share the pages of what is imported: the collector must not touch them.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as commander:
        Nursery(commander).run()


if __name__ == "__main__":
    main()
