"""The one seam to the network: `connect(host, port) -> stream`, and HTTP over it.

Production opens TCP; a simulation hands out in-memory links with faults. HTTP and websockets both go through it with
the real protocol code on top, TLS included.
"""

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

import httpcore
import httpx
import trio


class Connect(Protocol):
    """Opens a byte stream. Raises OSError (or trio.BrokenResourceError) where it cannot."""

    async def __call__(self, host: str, port: int) -> trio.abc.Stream: ...


async def connect_tcp(host: str, port: int) -> trio.abc.Stream:
    """The production seam: TCP without delay, tried over all addresses of the host."""
    return await trio.open_tcp_stream(host, port)


async def with_tls(stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
    """TLS over a stream, with the certificate checked against `host`. Raises ssl.SSLError."""
    secured = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
    await secured.do_handshake()
    return secured


class _Stream(httpcore.AsyncNetworkStream):
    """A trio stream as httpcore wants it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with trio.fail_after(timeout if timeout is not None else float("inf")):
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        try:
            with trio.fail_after(timeout if timeout is not None else float("inf")):
                await self._stream.send_all(buffer)
        except trio.TooSlowError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        secured = trio.SSLStream(self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True)
        try:
            with trio.fail_after(timeout if timeout is not None else float("inf")):
                await secured.do_handshake()
        except trio.TooSlowError as error:
            await self.aclose()
            raise httpcore.ConnectTimeout(str(error)) from error
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            await self.aclose()
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        # A connection that is readable while idle was closed by the peer: the pool must not use it again.
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        inner = getattr(stream, "is_readable", None)
        if callable(inner):
            return inner()
        if isinstance(stream, trio.SocketStream):
            return stream.socket.is_readable()
        return None


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with trio.fail_after(timeout if timeout is not None else float("inf")):
                return _Stream(await self._connect(host, port))
        except trio.TooSlowError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host}:{port} within {timeout} s") from error
        except (OSError, trio.BrokenResourceError) as error:
            raise httpcore.ConnectError(f"no connection to {host}:{port}: {error}") from error

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: AsyncIterator[bytes], response: httpcore.Response) -> None:
        self._stream = stream
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class _OnePart:
    """A request's body. No generator: a cancelled exchange would leave one half-way, for the collector to stumble on."""

    def __init__(self, content: bytes) -> None:
        self._left: bytes | None = content

    def __aiter__(self) -> "_OnePart":
        return self

    async def __anext__(self) -> bytes:
        part, self._left = self._left, None
        if part is None:
            raise StopAsyncIteration
        return part


class SeamTransport(httpx.AsyncBaseTransport):
    """httpx over the seam. Connections are kept for as long as the peer keeps them.

    It raises httpcore's exceptions, which tell a connection that was never made from one that broke.
    """

    def __init__(self, connect: Connect, *, connections_maximum: int = 32) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=connections_maximum,
            max_keepalive_connections=connections_maximum,
            # httpcore measures idleness on the wall clock, which a simulation does not have.
            keepalive_expiry=None,
            network_backend=_Backend(connect),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=url,
                headers=request.headers.raw,
                content=_OnePart(await request.aread()),
                extensions=_timeouts(request.extensions),
            )
        )
        stream = answer.stream
        assert isinstance(stream, AsyncIterator) or hasattr(stream, "__aiter__")
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(aiter(stream), answer),  # type: ignore[arg-type]  # an async pool gives an async stream
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


def _timeouts(extensions: Mapping[str, Any]) -> dict[str, Any]:
    return {"timeout": extensions["timeout"]} if "timeout" in extensions else {}
