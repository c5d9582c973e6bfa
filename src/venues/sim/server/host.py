"""Serves an ASGI application over hypercorn's protocols, on listeners and on streams in memory.

The accept loop and the connections are ours, so that every stream is counted and can be cut. Hypercorn speaks
HTTP/1.1 and websocket over them.
"""

from itertools import count

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from trio.abc import HalfCloseableStream

from .connection import Connection
from .memory_stream import MemoryStream, memory_stream_pair
from .traffic import Peer, Traffic


def _config() -> Config:
    config = Config()
    # No date is told: nothing here may read another clock.
    config.keep_alive_max_requests = 1 << 62
    config.include_date_header = False
    config.include_server_header = False
    config.h11_max_incomplete_size = 1 << 16
    return config


class Host:
    """Runs the application on any number of connections inside one nursery."""

    def __init__(self, app: ASGIFramework, nursery: trio.Nursery) -> None:
        self.traffic = Traffic()
        self._app = ASGIWrapper(app)
        self._config = _config()
        self._context = WorkerContext(None)
        self._nursery = nursery
        self._connections: dict[Peer, Connection] = {}
        self._memory_ports = count(1)

    def connect(self) -> MemoryStream:
        """A new in-memory connection to the application; the returned end is the client's."""
        client_end, server_end = memory_stream_pair()
        self._nursery.start_soon(self.serve_stream, server_end, ("memory", next(self._memory_ports)))
        return client_end

    async def listen(self, listeners: list[trio.SocketListener]) -> None:
        """Serve every connection of the listeners until cancelled."""
        await trio.serve_listeners(self._serve_socket, listeners, handler_nursery=self._nursery)

    async def serve_stream(self, stream: HalfCloseableStream, peer: Peer) -> None:
        """Serve one connection until either side ends it."""
        connection = Connection(self._app, self._config, self._context, stream, peer, self.traffic)
        self._connections[peer] = connection
        try:
            await connection.serve()
        finally:
            del self._connections[peer]

    def abort(self, peer: Peer) -> None:
        """Lose a connection now; unknown peers are gone already."""
        connection = self._connections.get(peer)
        if connection is not None:
            connection.abort()

    def abort_all(self) -> None:
        for connection in list(self._connections.values()):
            connection.abort()

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        try:
            name = stream.socket.getpeername()
        except OSError:
            # The client was gone before it was served.
            await trio.aclose_forcefully(stream)
            return
        await self.serve_stream(stream, (str(name[0]), int(name[1])))
