"""The wires of a world: in-memory connections that are late, slow, cut, clogged or silent when they are told to be.

TCP does not lose bytes in the middle: what is clogged arrives later, in order, or the connection is lost with
everything behind a certain byte. Those are the faults of a link. Faults of frames and requests are the venue's.

Every request that leaves is read along, so that a law can hold what left against what was durable by then.
"""

import math
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from random import Random

import msgspec
import trio
from trio.abc import HalfCloseableStream

from ...venues.sim.server.memory_stream import MemoryStream

MAXIMUM_READ_BYTES = 65_536


class Way(StrEnum):
    """A direction of a link."""

    TO_VENUE = "to_venue"
    FROM_VENUE = "from_venue"


class HttpRequest(msgspec.Struct, frozen=True):
    """One request as its bytes left the runtime, at a moment of trio's clock."""

    method: str
    target: str
    body: bytes
    at: float

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class RequestReader:
    """Reads requests along as their bytes leave. It believes the client: these bytes are our own."""

    __slots__ = ("_buffer", "is_websocket")

    def __init__(self) -> None:
        self._buffer = b""
        self.is_websocket = False

    def feed(self, data: bytes, at: float) -> list[HttpRequest]:
        """The requests that are whole now."""
        if self.is_websocket:
            return []
        self._buffer += data
        found: list[HttpRequest] = []
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return found
            start, *lines = head.split(b"\r\n")
            length = 0
            for line in lines:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return found
            method, target, _ = start.decode("ascii").split(" ", 2)
            found.append(HttpRequest(method=method, target=target, body=rest[:length], at=at))
            self._buffer = rest[length:]
            if target.startswith("/ws"):
                self.is_websocket = True  # from here on it speaks websocket
                self._buffer = b""
                return found


class Weather:
    """What the wires of a network are like now. Times are moments of trio's clock.

    `latency_seconds` is drawn from for every piece of bytes, each way; `None` is none.
    """

    def __init__(self) -> None:
        self.latency_seconds: Callable[[], float] | None = None
        self.clogged_until: dict[Way, float] = {Way.TO_VENUE: -math.inf, Way.FROM_VENUE: -math.inf}
        self.unreachable_until = -math.inf
        self.slow_until = -math.inf
        self.slow_bytes_per_second = math.inf
        self.split_until = -math.inf
        self.split_bytes = MAXIMUM_READ_BYTES
        self.bites: Counter[str] = Counter()
        """How often the weather was felt, by what it was."""

    def delay(self, way: Way, count_bytes: int) -> float:
        """How long so many bytes that are sent now are under way."""
        now = trio.current_time()
        seconds = max(0.0, self.clogged_until[way] - now)
        if seconds:
            self.bites["clog"] += 1
        if way is Way.FROM_VENUE and count_bytes and now < self.slow_until:
            self.bites["slow"] += 1
            seconds += count_bytes / self.slow_bytes_per_second
        if self.latency_seconds is not None:
            seconds += self.latency_seconds()
        return seconds

    def clear(self) -> None:
        """Fair weather from now on; what is under way still takes its time."""
        self.clogged_until = {Way.TO_VENUE: -math.inf, Way.FROM_VENUE: -math.inf}
        self.unreachable_until = self.slow_until = self.split_until = -math.inf


class Link(HalfCloseableStream):
    """One connection of the runtime: the client's end of the venue's in-memory stream, behind a wire with weather."""

    def __init__(self, network: "Network", stream: MemoryStream, number: int) -> None:
        self.number = number
        self.broken = False
        self.is_silent = False
        """Half-open: the peer is gone, and nobody says so."""
        self._network = network
        self._stream = stream
        weather = network.weather
        stream.outgoing.delay_seconds = partial(weather.delay, Way.TO_VENUE)
        stream.incoming.delay_seconds = partial(weather.delay, Way.FROM_VENUE)
        self._reader = RequestReader()
        self._cut_after: dict[Way, int] = {}
        self._unread = b""

    @property
    def is_websocket(self) -> bool:
        return self._reader.is_websocket

    # ---- the runtime's side of it -------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes over. The machine takes them at once, whatever the wire does with them later."""
        network = self._network
        if self.broken or network.is_dead:
            raise trio.BrokenResourceError("the connection is lost")
        piece = bytes(data)
        for request in self._reader.feed(piece, trio.current_time()):
            network.note(request)
        if self.is_silent:
            network.weather.bites["silence"] += 1
            await trio.lowlevel.checkpoint()
            return
        if self._cut_after:
            passed = self._passes(Way.TO_VENUE, len(piece))
            if passed < len(piece):
                if passed:
                    await self._stream.send_all(piece[:passed])
                self._lose(arrives=True)
                raise trio.BrokenResourceError("the connection was cut")
        await self._stream.send_all(piece)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        weather = self._network.weather
        data = self._unread
        if not data:
            data = await self._stream.receive_some(MAXIMUM_READ_BYTES if max_bytes is None else max_bytes)
            if self.is_silent:
                weather.bites["silence"] += 1
                await trio.sleep_forever()
            if data and self._cut_after:
                passed = self._passes(Way.FROM_VENUE, len(data))
                if passed < len(data):
                    self._lose()
                    data = data[:passed]
                    if not data:
                        raise trio.BrokenResourceError("the connection was cut")
        most = len(data) if max_bytes is None else max_bytes
        if trio.current_time() < weather.split_until and weather.split_bytes < most:
            weather.bites["split"] += 1
            most = min(most, weather.split_bytes)
        self._unread = data[most:]
        return data[:most]

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self._network.links.pop(self.number, None)
        if not self.is_silent:  # else the peer is not told, either
            self._stream.close()
        await trio.lowlevel.checkpoint()

    # ---- what happens to it -------------------------------------------------------------------------------

    async def break_now(self) -> None:
        """Lose the connection; both sides notice."""
        self._lose()
        await trio.lowlevel.checkpoint()

    def _lose(self, *, arrives: bool = False) -> None:
        """Lose it, with what is under way to the venue unless that `arrives`."""
        self.broken = True
        self._network.links.pop(self.number, None)
        if arrives:
            self._stream.close()
        else:
            self._stream.abort()

    async def let_go(self) -> None:
        """Its process is gone: the machine still sends what it had taken, then closes the connection."""
        self.broken = True
        await self.aclose()

    def fall_silent(self) -> None:
        """Nothing passes any more, either way, and neither side is told."""
        self.is_silent = True

    def cut_after(self, way: Way, count_bytes: int) -> None:
        """Lose the connection as soon as so many more bytes have passed one way."""
        self._cut_after[way] = count_bytes

    def mend(self) -> None:
        """It is not to be cut any more."""
        self._cut_after.clear()

    def _passes(self, way: Way, count_bytes: int) -> int:
        left = self._cut_after.get(way)
        if left is None:
            return count_bytes
        self._cut_after[way] = max(0, left - count_bytes)
        if left < count_bytes:
            self._network.cuts += 1
            self._network.weather.bites["cut"] += 1
        return min(left, count_bytes)


class Network:
    """All wires between one runtime and the venue: every request that left, and the weather over the whole.

    `watch` is called with every request at the moment in which its last byte leaves.
    """

    def __init__(self, dial: Callable[[], MemoryStream], *, weather: Weather | None = None) -> None:
        self.weather = Weather() if weather is None else weather
        self.links: dict[int, Link] = {}
        self.requests: list[HttpRequest] = []
        self.watch: Callable[[HttpRequest], None] | None = None
        self.is_down = False
        self.is_dead = False
        """The process that it belonged to has died: it sends nothing more."""
        self.refused = 0
        """Connections that could not be made."""
        self.cuts = 0
        """Connections that were lost at a certain byte."""
        self._dial = dial
        self._count = 0

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """The seam that a runtime connects through. Raises OSError while there is no way to the venue."""
        await trio.lowlevel.checkpoint()
        if self.is_down or self.is_dead or trio.current_time() < self.weather.unreachable_until:
            self.refused += 1
            self.weather.bites["unreachable"] += 1
            raise OSError(f"no route to {host}:{port}")
        self._count += 1
        link = Link(self, self._dial(), self._count)
        self.links[link.number] = link
        return link

    def note(self, request: HttpRequest) -> None:
        self.requests.append(request)
        if self.watch is not None:
            self.watch(request)

    async def lose_all(self) -> None:
        """Every connection is lost; new ones can be made."""
        for link in list(self.links.values()):
            await link.break_now()

    async def go_down(self) -> None:
        """Every connection is lost and none can be made."""
        self.is_down = True
        await self.lose_all()

    def die(self) -> None:
        """The process has died: nothing that it still tries leaves any more."""
        self.is_dead = True

    async def let_go(self) -> None:
        """Clear away the connections of a dead process."""
        self.is_dead = True
        for link in list(self.links.values()):
            await link.let_go()

    def mend(self) -> None:
        """No connection is to be cut any more. Half-open ones stay what they are."""
        for link in self.links.values():
            link.mend()

    def come_back(self) -> None:
        self.is_down = False

    def pick(self, random: Random, *, websocket: bool | None = None) -> Link | None:
        """Some connection that is up."""
        found = [link for _, link in sorted(self.links.items()) if websocket is None or link.is_websocket == websocket]
        return random.choice(found) if found else None

    def sent(self, method: str, path: str) -> list[HttpRequest]:
        """Requests that left, by method and exact path (a path that ends in a slash is a prefix)."""
        return [
            found
            for found in self.requests
            if found.method == method
            and (found.path.startswith(path) if path.endswith("/") and path != "/" else found.path == path)
        ]
