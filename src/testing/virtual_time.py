"""One virtual clock for two processes: time stands still until both are quiet, then both jump together.

    ours:   settle ── step to t? ─────────────────────────── clock = t' ── settle …
    venue:                      settle ── quiet? ── clock = t', settle

Quiet means that no task can run, nothing waits to become durable, and every byte that one side sent was received by
the other. Then the next thing that can happen is the earliest deadline of either side, and no real time need pass
until it. So a day of deadlines runs as fast as the machine allows, and a slower machine stretches the day instead of
changing it.
"""

import math
import select
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from ..actors.connect import Connect
from ..venues.sim.server.control import GRID_PER_SECOND, ControlState

NANOSECONDS_PER_SECOND = 1_000_000_000
FOREVER_SECONDS = 86_400.0
STILL_MAXIMUM = 50
"""How often both sides are found still, with bytes missing, before what is missing must have been lost."""
PAUSE_SECONDS = 0.0005
PAUSE_SECONDS_MAXIMUM = 0.05
"""Pauses grow up to this: a burst that fills a socket's window stalls for as long as the kernel's timers take."""
ANSWER_SECONDS = 0.002
"""How long an answer is awaited before the other side is asked whether there will be one."""
NAP_SECONDS_MINIMUM = 0.005
"""Waits shorter than this are left to add up: a sleep of the machine is no finer."""


class VirtualClock(trio.abc.Clock):
    """A trio clock that stands still until it is set. Time starts at zero."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def start_clock(self) -> None:
        """Nothing to start: it does not run."""

    def current_time(self) -> float:
        return self.seconds

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0 if deadline <= self.seconds else FOREVER_SECONDS

    def set(self, seconds: float) -> None:
        """Move to a later moment. Raises ValueError for an earlier one."""
        if seconds < self.seconds:
            raise ValueError(f"time does not go back from {self.seconds} to {seconds}")
        self.seconds = seconds

    def wall_ns(self, epoch_ns: int) -> Callable[[], int]:
        """UTC nanoseconds that follow this clock, `epoch_ns` being its zero."""

        def now_ns() -> int:
            return epoch_ns + round(self.seconds * GRID_PER_SECOND) * (NANOSECONDS_PER_SECOND // GRID_PER_SECOND)

        return now_ns


# ---- our bytes --------------------------------------------------------------------------------------------


class Traffic:
    """Bytes over all counted streams, and how many of those streams have ended."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.ended = 0
        self.sockets: set[int] = set()
        """The descriptors of the streams that live."""

    def await_bytes(self, seconds: float) -> None:
        """Block until bytes, or the end of a stream, can be read on any of them; at most so many real seconds."""
        poll = select.poll()
        for descriptor in self.sockets:
            poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1_000)


class CountedStream(trio.abc.Stream):
    """A stream that counts its bytes."""

    def __init__(self, inner: trio.abc.Stream, traffic: Traffic) -> None:
        self._inner = inner
        self._traffic = traffic
        self._ended = False
        self._descriptor = inner.socket.fileno() if isinstance(inner, trio.SocketStream) else None
        if self._descriptor is not None:
            traffic.sockets.add(self._descriptor)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        # Counted before the first byte leaves: who has received less knows that more is coming.
        self._traffic.sent += len(data)
        try:
            await self._inner.send_all(data)
        except BaseException:
            self._end()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._inner.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        self._traffic.received += len(data)
        if not data:
            self._end()
        return data

    async def aclose(self) -> None:
        self._end()
        await self._inner.aclose()

    def is_readable(self) -> bool:
        """Whether bytes or the end of the stream wait to be read."""
        inner = self._inner
        return isinstance(inner, trio.SocketStream) and inner.socket.is_readable()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._traffic.ended += 1
            if self._descriptor is not None:
                self._traffic.sockets.discard(self._descriptor)


def counted(connect: Connect, traffic: Traffic) -> Connect:
    """The same seam to the network, with every byte counted."""

    async def connect_counted(host: str, port: int) -> trio.abc.Stream:
        return CountedStream(await connect(host, port), traffic)

    return connect_counted


# ---- the other process ------------------------------------------------------------------------------------


class Peer(Protocol):
    """The process on the other side. Both calls answer when it is quiet, and block until then."""

    def state(self) -> ControlState:
        """Where it stands."""
        ...

    def step(self, until: float | None, received: int, sent: int) -> ControlState:
        """Let its clock jump to its next deadline, or to `until`, if its byte counts are these; where it stands."""
        ...


class PeerGone(Exception):
    """The process on the other side ended, or does not answer any more."""


class ControlConnection:
    """A simulator's control port, asked over a blocking socket.

    Blocking on purpose: as long as the other clock jumps nothing may run on this side, or it would see the old time
    and the new world.
    """

    def __init__(self, host: str, port: int, *, timeout_seconds: float = 60) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self.round_trips = 0

    def state(self) -> ControlState:
        return self._ask(b'{"cmd":"state"}\n')

    def step(self, until: float | None, received: int, sent: int) -> ControlState:
        limit = b"null" if until is None else b"%r" % until
        return self._ask(b'{"cmd":"step","until":%b,"received":%d,"sent":%d}\n' % (limit, received, sent))

    def advance(self, seconds: float) -> ControlState:
        """Let its clock jump by so much, past as many deadlines as there are on the way."""
        return self._ask(b'{"cmd":"advance","seconds":%r}\n' % seconds)

    def close(self) -> None:
        self._socket.close()

    def _ask(self, line: bytes) -> ControlState:
        self.round_trips += 1
        try:
            self._socket.sendall(line)
            answer = self._line()
        except OSError as error:
            raise PeerGone(f"the simulated venue does not answer its control port: {error}") from error
        try:
            return msgspec.json.decode(answer, type=ControlState)
        except msgspec.DecodeError:
            raise PeerGone(f"the simulated venue refused {line!r}: {answer!r}") from None

    def _line(self) -> bytes:
        while b"\n" not in self._rest:
            data = self._socket.recv(4096)
            if not data:
                raise ConnectionResetError("it hung up")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line


# ---- pace -------------------------------------------------------------------------------------------------


class Pace:
    """Holds virtual time back to so many seconds of it for each real second since it was made; None holds nothing back.

    It only ever waits: a machine that is slower stretches real time, and virtual time does not know.
    """

    def __init__(self, rate: float | None, *, real_clock: Callable[[], float] = time.perf_counter) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"a pace is above zero, not {rate}")
        self._rate = rate
        self._real_clock = real_clock
        self._started = real_clock()

    def wait_seconds(self, virtual_seconds: float) -> float:
        """How long to wait, in real seconds, before virtual time may reach this."""
        if self._rate is None:
            return 0.0
        return max(0.0, self._started + virtual_seconds / self._rate - self._real_clock())


# ---- lock step --------------------------------------------------------------------------------------------


class LockStep:
    """Drives both clocks. Run `run` beside everything that is to live in virtual time; it ends when cancelled.

    `idle` says whether nothing waits on this side, neither a message nor a write to the disk, and `becomes_idle` waits
    for that in real time. `stepped` is called after every jump, `disturb` awaited before it. Nothing in here sleeps in
    virtual time.
    """

    def __init__(
        self,
        clock: VirtualClock,
        traffic: Traffic,
        peer: Peer,
        *,
        idle: Callable[[], bool],
        becomes_idle: Callable[[], Awaitable[None]],
        pace: Pace | None = None,
        stepped: Callable[[], None] = lambda: None,
        disturb: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._clock = clock
        self._traffic = traffic
        self._peer = peer
        self._idle = idle
        self._becomes_idle = becomes_idle
        self._pace = pace if pace is not None else Pace(None)
        self._stepped = stepped
        self._disturb = disturb
        self._known = peer.state()
        self._zero = _on_grid(self._known.now - clock.seconds)
        self._lost_sent = self._known.received - traffic.sent
        self._lost_received = self._known.sent - traffic.received

    async def run(self) -> None:
        """Settle, and step to the next deadline, for ever."""
        sent, still = self._traffic.sent, 0
        while True:
            await self._settle()
            if self._traffic.sent != sent:
                # An answer is the first thing that can happen now, and costs less to await than to ask for.
                sent = self._traffic.sent
                self._traffic.await_bytes(ANSWER_SECONDS)
                continue
            if await self._held_back():
                continue
            before = self._counts()
            if self._step():
                still = 0
                self._stepped()
            elif self._balanced():
                # Nothing is due on either side: only something from outside (a signal, a host's thread) can go on.
                await real_sleep(PAUSE_SECONDS)
            else:
                still = still + 1 if self._counts() == before else 0
                if still >= STILL_MAXIMUM:
                    self._give_up_what_is_missing()
                    still = 0
                elif still:
                    await real_sleep(min(PAUSE_SECONDS * 2.0**still, PAUSE_SECONDS_MAXIMUM))

    async def _settle(self) -> None:
        """Return when no task of this side can run and nothing waits for the disk."""
        while True:
            await wait_all_tasks_blocked()
            if self._idle():
                return
            await self._becomes_idle()

    async def _held_back(self) -> bool:
        """Wait where virtual time is ahead of its pace; True where something may have come from outside meanwhile."""
        if self._disturb is not None:
            await self._disturb()
            await self._settle()
        wait_seconds = self._pace.wait_seconds(self._clock.seconds)
        if wait_seconds < NAP_SECONDS_MINIMUM:
            return False
        await real_sleep(wait_seconds)
        return True

    def _step(self) -> bool:
        """Both clocks to the earliest deadline of either side, if all bytes have arrived; whether they moved.

        Blocks until the other side is quiet at the new time. No task of this side may run in between: it would see
        one clock moved and the other not.
        """
        ours = trio.lowlevel.current_statistics().seconds_to_next_deadline
        until: float | None = None
        if math.isfinite(ours):
            due = math.ceil((self._clock.seconds + max(ours, 0.0)) * GRID_PER_SECOND)
            until = max(due, round(self._clock.seconds * GRID_PER_SECOND) + 1) / GRID_PER_SECOND + self._zero
        before = self._known.now
        self._known = self._peer.step(
            until, self._traffic.sent + self._lost_sent, self._traffic.received + self._lost_received
        )
        if self._known.now <= before:
            return False
        self._clock.set(_on_grid(self._known.now - self._zero))
        return True

    def _balanced(self) -> bool:
        """Whether everything that either side sent has arrived at the other."""
        return (
            self._known.received == self._traffic.sent + self._lost_sent
            and self._known.sent == self._traffic.received + self._lost_received
        )

    def _counts(self) -> tuple[int, int, int, int]:
        return self._traffic.sent, self._traffic.received, self._known.sent, self._known.received

    def _give_up_what_is_missing(self) -> None:
        """A connection that was lost with bytes on it leaves them in one count alone, for ever.

        The other side may go on counting what it sends into a connection that we have left, so it may come again.
        """
        if not self._traffic.ended:
            raise PeerGone(f"bytes are missing between two live processes: {self._counts()}, and no connection ended")
        self._lost_sent = self._known.received - self._traffic.sent
        self._lost_received = self._known.sent - self._traffic.received


def _on_grid(seconds: float) -> float:
    return round(seconds * GRID_PER_SECOND) / GRID_PER_SECOND


async def real_sleep(seconds: float) -> None:
    """Let real time pass while virtual time stands still."""
    await trio.to_thread.run_sync(time.sleep, seconds, abandon_on_cancel=True)
