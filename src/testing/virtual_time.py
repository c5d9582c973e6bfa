"""One virtual clock for two processes: time stands still until both are quiet, then both jump together.

    ours:   settle ── quiet? ──────────── jump ── settle …
    venue:            settle ── state ─── jump, settle ── state …

Quiet means that no task can run, nothing waits to become durable, and every byte that one side sent was received by
the other. Then the next thing that can happen is the earliest deadline of either side, and no real time need pass
until it. So a day of deadlines runs as fast as the machine allows, and a slower machine stretches the day instead of
changing it.
"""

import math
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from ..actors.connect import Connect
from ..venues.sim.server.control import ControlState

NANOSECONDS_PER_SECOND = 1_000_000_000
GRID_PER_SECOND = 1_000_000
"""Jumps end on whole microseconds: a deadline is never missed by the rounding of a float, and two deadlines that differ
by such a rounding are one step."""

FOREVER_SECONDS = 86_400.0
STILL_MAXIMUM = 40
"""How often both sides are found still, with bytes missing, before what is missing must have been lost."""
PAUSE_SECONDS = 0.0005
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


class Traffic(msgspec.Struct):
    """Bytes over all counted streams, and how many of those streams have ended."""

    sent: int = 0
    received: int = 0
    ended: int = 0


class CountedStream(trio.abc.Stream):
    """A stream that counts its bytes."""

    def __init__(self, inner: trio.abc.Stream, traffic: Traffic) -> None:
        self._inner = inner
        self._traffic = traffic
        self._ended = False

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

    def advance(self, seconds: float) -> ControlState:
        """Let its clock jump, and say where it stands after it."""
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

    def advance(self, seconds: float) -> ControlState:
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
        self._state = peer.state()
        self._zero = self._state.now - clock.seconds
        self._lost_sent = self._state.received - traffic.sent
        self._lost_received = self._state.sent - traffic.received
        self._ended = traffic.ended

    async def run(self) -> None:
        """Settle, and jump to the next deadline, for ever."""
        still = 0
        while True:
            await self._settle()
            if self._balanced():
                await self._jump()
                still = 0
                continue
            before = self._counts()
            self._state = self._peer.state()
            still = still + 1 if self._counts() == before else 0
            if still >= STILL_MAXIMUM:
                self._give_up_what_is_missing()
                still = 0
            elif still:
                await real_sleep(PAUSE_SECONDS)

    async def _settle(self) -> None:
        """Return when no task of this side can run and nothing waits for the disk."""
        while True:
            await wait_all_tasks_blocked()
            if self._idle():
                return
            await self._becomes_idle()

    def _balanced(self) -> bool:
        """Whether everything that either side sent has arrived at the other."""
        return (
            self._state.received == self._traffic.sent + self._lost_sent
            and self._state.sent == self._traffic.received + self._lost_received
        )

    def _counts(self) -> tuple[int, int, int, int]:
        return self._traffic.sent, self._traffic.received, self._state.sent, self._state.received

    def _give_up_what_is_missing(self) -> None:
        """A connection that was lost with bytes on it leaves them in one count alone, for ever."""
        if self._traffic.ended == self._ended:
            raise PeerGone(f"bytes are missing between two live processes: {self._counts()}, none of them was cut")
        self._ended = self._traffic.ended
        self._lost_sent = self._state.received - self._traffic.sent
        self._lost_received = self._state.sent - self._traffic.received

    async def _jump(self) -> None:
        """Both clocks to the earliest deadline of either side, on the grid."""
        ours = trio.lowlevel.current_statistics().seconds_to_next_deadline
        theirs = math.inf if self._state.next_deadline is None else self._state.next_deadline
        seconds = min(ours, theirs)
        if math.isinf(seconds):
            # Nothing is due on either side: only something from outside (a signal, a host's thread) can go on.
            await real_sleep(PAUSE_SECONDS)
            return
        target = math.ceil((self._clock.seconds + max(seconds, 0.0)) * GRID_PER_SECOND) / GRID_PER_SECOND
        if target <= self._clock.seconds:
            target = (round(self._clock.seconds * GRID_PER_SECOND) + 1) / GRID_PER_SECOND
        if self._disturb is not None:
            await self._disturb()
            await self._settle()
        wait_seconds = self._pace.wait_seconds(target)
        if wait_seconds >= NAP_SECONDS_MINIMUM:
            # Something may have come from outside meanwhile: look again before the jump.
            await real_sleep(wait_seconds)
            return
        # No task may run between these two lines: it would see one clock moved and the other not.
        self._state = self._peer.advance(target + self._zero - self._state.now)
        self._clock.set(target)
        self._stepped()


async def real_sleep(seconds: float) -> None:
    """Let real time pass while virtual time stands still."""
    await trio.to_thread.run_sync(time.sleep, seconds, abandon_on_cancel=True)
