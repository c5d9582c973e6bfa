"""Connections in memory whose bytes take as long as somebody says, each way.

    ours, theirs = memory_stream_pair()
    ours.outgoing.delay_seconds = lambda count_bytes: 0.02

Bytes are kept until they are due, and only then is their reader woken: once for each time something arrives. Sending
never waits: a machine takes what is sent, whatever the wire does with it later.
"""

import math
from collections import deque
from collections.abc import Callable

import trio
from trio.abc import HalfCloseableStream

ALL = 1 << 30


class Pipe:
    """One way of a connection. What is put in comes out in order, when it is due; an end comes after the last byte."""

    __slots__ = ("_arrival", "_due", "_is_abandoned", "_is_ended", "_pieces", "_reader", "delay_seconds")

    def __init__(self) -> None:
        self.delay_seconds: Callable[[int], float] | None = None
        """How long so many bytes that are sent now are under way; None is no time at all."""
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._due = -math.inf
        self._is_ended = False
        self._is_abandoned = False
        self._reader: trio.lowlevel.Task | None = None
        self._arrival: trio.CancelScope | None = None

    # ---- the writer's end ---------------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """Send. Raises trio.ClosedResourceError after `end`, and trio.BrokenResourceError where nobody reads."""
        if self._is_ended:
            raise trio.ClosedResourceError("this way of the connection was ended")
        if self._is_abandoned:
            raise trio.BrokenResourceError("nobody reads at the other end any more")
        if data:
            self._add(data)

    def end(self) -> None:
        """Send the end of the stream behind everything else."""
        if not self._is_ended:
            self._is_ended = True
            self._add(b"")

    def lose(self) -> None:
        """End it, and lose what has not arrived yet."""
        now = trio.current_time()
        while self._pieces and self._pieces[-1][0] > now:
            self._pieces.pop()
        self._is_ended = True
        self._pieces.append((now, b""))
        self._wake()

    def _add(self, data: bytes) -> None:
        now = trio.current_time()
        if self.delay_seconds is not None:
            now += max(0.0, self.delay_seconds(len(data)))
        self._due = max(self._due, now)
        self._pieces.append((self._due, data))
        if self._reader is not None and len(self._pieces) == 1:
            if self._arrival is not None and self._due > trio.current_time():
                self._arrival.deadline = self._due
            else:
                self._wake()

    # ---- the reader's end ---------------------------------------------------------------------------------

    async def get(self, count_bytes_maximum: int) -> bytes:
        """Wait for bytes and return them; none at the end. Raises trio.ClosedResourceError once abandoned."""
        if self._reader is not None:
            raise trio.BusyResourceError("somebody else reads from this connection")
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._is_abandoned:
            if self._pieces and self._pieces[0][0] <= trio.current_time():
                return self._take(count_bytes_maximum)
            await self._wait()
        raise trio.ClosedResourceError("this end of the connection was closed")

    def abandon(self) -> None:
        """Nobody reads any more; whoever still waits is told."""
        self._is_abandoned = True
        self._pieces.clear()
        self._wake()

    def _take(self, count_bytes_maximum: int) -> bytes:
        """Everything that has arrived, up to so many bytes."""
        pieces, now = self._pieces, trio.current_time()
        taken: list[bytes] = []
        left = count_bytes_maximum
        while pieces and left > 0:
            due, data = pieces[0]
            if due > now or not data:
                break
            if len(data) > left:
                pieces[0] = (due, data[left:])
                data = data[:left]
            else:
                pieces.popleft()
            left -= len(data)
            taken.append(data)
        return b"".join(taken)  # the end stays in its place, to be found again

    async def _wait(self) -> None:
        """Wait until something may be due."""
        if self.delay_seconds is None and not self._pieces:
            await self._park()
            return
        with trio.CancelScope(deadline=self._pieces[0][0] if self._pieces else math.inf) as self._arrival:
            await self._park()
        self._arrival = None

    async def _park(self) -> None:
        self._reader = trio.lowlevel.current_task()

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._reader = self._arrival = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            self._arrival = None
            trio.lowlevel.reschedule(reader)


class MemoryStream(HalfCloseableStream):
    """One end of a connection in memory."""

    def __init__(self, outgoing: Pipe, incoming: Pipe) -> None:
        self.outgoing = outgoing
        self.incoming = incoming

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes over. They are taken at once, so no other task runs meanwhile."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.outgoing.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.incoming.get(ALL if max_bytes is None else max_bytes)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.outgoing.end()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close this end. What was sent before still arrives."""
        self.outgoing.end()
        self.incoming.abandon()

    def abort(self) -> None:
        """Lose the connection: what is under way does not arrive, and both sides notice."""
        self.outgoing.lose()
        self.incoming.abandon()


def memory_stream_pair() -> tuple[MemoryStream, MemoryStream]:
    """The two ends of a new connection."""
    there, back = Pipe(), Pipe()
    return MemoryStream(there, back), MemoryStream(back, there)
