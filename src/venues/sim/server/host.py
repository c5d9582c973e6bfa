"""Serves an ASGI application over hypercorn's trio worker, on listeners and on streams handed in.

The accept loop is ours, so that every stream is counted and can be cut. Hypercorn speaks HTTP/1.1 and websocket
on whatever trio stream it is given.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    LifespanState,
    Scope,
    TaskGroup,
)
from trio.abc import HalfCloseableStream
from trio.testing import memory_stream_pair

from .counted_stream import CountedStream, Peer, Traffic


def _config() -> Config:
    config = Config()
    # No idle connection is closed and no date is told: nothing here may read another clock or set a deadline.
    config.keep_alive_timeout = math.inf
    config.keep_alive_max_requests = 1 << 62
    config.include_date_header = False
    config.include_server_header = False
    config.h11_max_incomplete_size = 1 << 16
    return config


class _NeverIdle(TrioSingleTask):
    """No connection is closed for being idle, so no task needs to be started and stopped around each request."""

    async def restart(self, task_group: TaskGroup, action: Callable[[], Awaitable[None]]) -> None:
        return

    async def stop(self) -> None:
        return


class Host:
    """Runs the application on any number of connections inside one nursery."""

    def __init__(self, app: ASGIFramework, nursery: trio.Nursery) -> None:
        self.traffic = Traffic()
        self._app = ASGIWrapper(self._answering_in_one_piece(app))
        self._config = _config()
        self._context = WorkerContext(None)
        self._nursery = nursery
        self._streams: dict[Peer, CountedStream] = {}
        self._memory_ports = count(1)

    def connect(self) -> HalfCloseableStream:
        """A new in-memory connection to the application; the returned end is the client's."""
        client_end, server_end = memory_stream_pair()
        self._nursery.start_soon(self.serve_stream, server_end, ("memory", next(self._memory_ports)))
        return client_end

    async def listen(self, listeners: list[trio.SocketListener]) -> None:
        """Serve every connection of the listeners until cancelled."""
        await trio.serve_listeners(self._serve_socket, listeners, handler_nursery=self._nursery)

    async def serve_stream(self, stream: HalfCloseableStream, peer: Peer) -> None:
        """Serve one connection until either side ends it."""
        counted = CountedStream(stream, peer, self.traffic)
        self._streams[peer] = counted
        try:
            server = TCPServer(
                self._app,
                self._config,
                self._context,
                ConnectionState(LifespanState({})),
                # Hypercorn asks of a stream only what CountedStream has.
                cast("trio.SSLStream[trio.SocketStream]", counted),
            )
            server.idle_task = _NeverIdle()
            await server.run()
        finally:
            del self._streams[peer]

    def _answering_in_one_piece(self, app: ASGIFramework) -> ASGIFramework:
        """Hypercorn sends head and body of an answer apart; together they cost both sides half the work."""

        async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            stream = self._stream_of(scope)
            if stream is None:
                await app(scope, receive, send)
                return

            async def send_held(message: ASGISendEvent) -> None:
                if message["type"] == "http.response.start":
                    stream.hold()
                await send(message)
                if message["type"] == "http.response.body" and not message["more_body"]:
                    # Whoever reads from a connection that is gone sees it too, and ends it.
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        await stream.release()

            await app(scope, receive, send_held)

        return answer

    def _stream_of(self, scope: Scope) -> CountedStream | None:
        client = scope["client"] if scope["type"] == "http" else None
        return None if client is None else self._streams.get((client[0], client[1]))

    def abort(self, peer: Peer) -> None:
        """Lose a connection now; unknown peers are gone already."""
        stream = self._streams.get(peer)
        if stream is not None:
            stream.abort()

    def abort_all(self) -> None:
        for stream in list(self._streams.values()):
            stream.abort()

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        try:
            name = stream.socket.getpeername()
        except OSError:
            # The client was gone before it was served.
            await trio.aclose_forcefully(stream)
            return
        await self.serve_stream(stream, (str(name[0]), int(name[1])))
