"""Byte streams that are counted and can be cut, whether they are sockets or in memory."""

from typing import Protocol

import msgspec
import trio
from trio.abc import HalfCloseableStream

Peer = tuple[str, int]


class Traffic(msgspec.Struct):
    """Total bytes of a server's streams. What was counted as sent may still be on its way."""

    received: int = 0
    sent: int = 0


class _Named(Protocol):
    """The part of a socket that hypercorn asks for: who is at both ends."""

    family: int

    def getpeername(self) -> Peer: ...

    def getsockname(self) -> Peer: ...


class _MemorySocket:
    """Names for the ends of a stream that has no socket."""

    family = 2

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def getpeername(self) -> Peer:
        return self._peer

    def getsockname(self) -> Peer:
        return ("memory", 0)


class CountedStream:
    """One connection as the HTTP server sees it; `abort` loses it at once, without a goodbye.

    Between `hold` and `release` nothing leaves, so that head and body of an answer go out as one piece.
    """

    def __init__(self, inner: HalfCloseableStream, peer: Peer, traffic: Traffic) -> None:
        self._inner = inner
        self._traffic = traffic
        self.peer = peer
        self.socket: _Named = _MemorySocket(peer)
        self._held: list[bytes] | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._inner.receive_some(max_bytes))
        self._traffic.received += len(data)
        return data

    async def send_all(self, data: bytes) -> None:
        if not data:
            return
        if self._held is not None:
            self._held.append(data)
            return
        # Counted before the first byte leaves: who reads less than this knows that more is coming.
        self._traffic.sent += len(data)
        await self._inner.send_all(data)

    def hold(self) -> None:
        if self._held is None:
            self._held = []

    async def release(self) -> None:
        held, self._held = self._held, None
        if held:
            await self.send_all(b"".join(held))

    async def send_eof(self) -> None:
        await self.release()
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def abort(self) -> None:
        self._held = None
        inner = self._inner
        if isinstance(inner, trio.SocketStream):
            inner.socket.close()
        elif isinstance(inner, trio.StapledStream):
            for half in (inner.send_stream, inner.receive_stream):
                close = getattr(half, "close", None)
                assert close is not None, f"{half!r} cannot be cut"
                close()
        else:
            raise TypeError(f"a stream of type {type(inner).__name__} cannot be cut")
