"""The one seam to the network: `connect(host, port) -> stream`, and HTTP over it.

Production opens TCP; a simulation hands out in-memory links with faults. HTTP and websockets both go through it with
the real protocol code on top, TLS included.
"""

import ssl
from functools import cache
from typing import Protocol

import httpx
import trio

from .http_connection import HttpConnection


class Connect(Protocol):
    """Opens a byte stream. Raises OSError (or trio.BrokenResourceError) where it cannot."""

    async def __call__(self, host: str, port: int) -> trio.abc.Stream: ...


async def connect_tcp(host: str, port: int) -> trio.abc.Stream:
    """The production seam: TCP without delay, tried over all addresses of the host."""
    return await trio.open_tcp_stream(host, port)


@cache
def _tls_context() -> ssl.SSLContext:
    """Made once: reading the machine's certificates takes as long as a hundred exchanges."""
    return ssl.create_default_context()


async def with_tls(stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
    """TLS over a stream, with the certificate checked against `host`. Raises ssl.SSLError."""
    secured = trio.SSLStream(stream, _tls_context(), server_hostname=host, https_compatible=True)
    try:
        await secured.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


Origin = tuple[str, str, int]
"""Scheme, host and port: what a connection leads to."""
_PORTS = {"http": 80, "https": 443}


class SeamTransport(httpx.AsyncBaseTransport):
    """httpx over the seam. Connections are kept for as long as the peer keeps them.

    At most `connections_maximum` exchanges are under way at once; more wait their turn. It raises httpx's exceptions:
    ConnectError and ConnectTimeout say that no byte of the request can have left, PoolTimeout too.
    """

    def __init__(self, connect: Connect, *, connections_maximum: int = 32) -> None:
        self._connect = connect
        self._places = trio.Semaphore(connections_maximum)
        self._idle: dict[Origin, list[HttpConnection]] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        patience: dict[str, float | None] = request.extensions.get("timeout", _NO_PATIENCE)
        await self._take_place(patience.get("pool"))
        try:
            return await self._exchange(request, patience)
        finally:
            self._places.release()

    async def _take_place(self, seconds: float | None) -> None:
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_after(_or_for_ever(seconds)):
                await self._places.acquire()
                return
            raise httpx.PoolTimeout(f"all connections were busy for {seconds} s") from None

    async def _exchange(self, request: httpx.Request, patience: dict[str, float | None]) -> httpx.Response:
        content = await request.aread()
        origin = _origin(request.url)
        connection = await self._kept(origin) or await self._opened(origin, patience.get("connect"))
        try:
            answer = await connection.exchange(
                request.method.encode("ascii"),
                request.url.raw_path,
                request.headers.raw,
                content,
                write_seconds=patience.get("write"),
                read_seconds=patience.get("read"),
            )
        except BaseException:
            await connection.aclose()
            raise
        if connection.is_free and not self._closed:
            self._idle.setdefault(origin, []).append(connection)
        else:
            await connection.aclose()
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    async def _kept(self, origin: Origin) -> HttpConnection | None:
        """The connection that was used last: those below it in the stack are the first that a peer lets go."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.reusable:
                return connection
            await connection.aclose()
        return None

    async def _opened(self, origin: Origin, seconds: float | None) -> HttpConnection:
        scheme, host, port = origin
        try:
            with trio.fail_after(_or_for_ever(seconds)):
                stream = await self._connect(host, port)
                return HttpConnection(await with_tls(stream, host) if scheme == "https" else stream)
        except trio.TooSlowError as error:
            raise httpx.ConnectTimeout(f"no connection to {host}:{port} within {seconds} s") from error
        except (OSError, trio.BrokenResourceError) as error:
            raise httpx.ConnectError(f"no connection to {host}:{port}: {error}") from error

    async def aclose(self) -> None:
        """Close the idle connections; one that is busy is closed when its exchange ends."""
        self._closed = True
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                await connection.aclose()


_NO_PATIENCE: dict[str, float | None] = {}


def _origin(url: httpx.URL) -> Origin:
    scheme = url.scheme
    if scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f"{url} is neither http nor https: nothing was sent")
    return scheme, url.host, url.port or _PORTS[scheme]


def _or_for_ever(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds
