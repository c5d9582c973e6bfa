"""One connection to the application: bytes in, hypercorn's protocol, the application, bytes out.

Hypercorn's own worker hands every request to a task of its own through a channel. Here an HTTP request is answered
on the task that has read it, and its answer leaves in one piece, which is a quarter of the scheduler's passes. Nothing
is lost by it: HTTP/1.1 answers in order, and hypercorn reads no further while an answer is awaited.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, ConnectionState, LifespanState, Scope
from trio.abc import HalfCloseableStream

from .memory_stream import MemoryStream
from .traffic import Peer, Traffic

READ_BYTES = 65_536
SERVER: Peer = ("venue", 0)

Send = Callable[[ASGISendEvent | None], Awaitable[None]]
Put = Callable[[ASGIReceiveEvent], Awaitable[None]]


class Connection:
    """Serves one stream until either side ends it; `abort` loses it at once, without a goodbye."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: HalfCloseableStream,
        peer: Peer,
        traffic: Traffic,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._stream = stream
        self._peer = peer
        self._traffic = traffic
        self._protocol: ProtocolWrapper
        self._leaving: list[bytes] = []
        self._is_held = False
        """An answer is being made: it leaves when it is whole."""
        self._is_sending = False

    async def serve(self) -> None:
        async with trio.open_nursery() as nursery:
            self._protocol = ProtocolWrapper(
                self._app,
                self._config,
                self._context,
                _Apps(nursery, self),
                ConnectionState(LifespanState({})),
                False,
                self._peer,
                SERVER,
                self._hear,
                "http/1.1",
            )
            await self._protocol.initiate()
            try:
                await self._read()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                await self._close()
            await self._protocol.handle(Closed())

    def abort(self) -> None:
        self._leaving.clear()
        if isinstance(self._stream, MemoryStream):
            self._stream.abort()
        else:
            assert isinstance(self._stream, trio.SocketStream), f"{self._stream!r} cannot be cut"
            self._stream.socket.close()

    async def _read(self) -> None:
        while data := await self._stream.receive_some(READ_BYTES):
            self._traffic.received += len(data)
            await self._protocol.handle(RawData(bytes(data)))

    async def _hear(self, event: Event) -> None:
        """What hypercorn's protocol asks of the connection. Idle ones are kept, so `Updated` asks for nothing."""
        if isinstance(event, RawData):
            if event.data:
                self._leaving.append(event.data)
                if not self._is_held:
                    await self._send()
        elif isinstance(event, Closed):
            await self._send()
            await self._close()
            await self._protocol.handle(Closed())
        else:
            assert isinstance(event, Updated), event

    async def answered(self, answer: Callable[[], Awaitable[None]]) -> None:
        """Let something be answered, and send the answer as one piece."""
        self._is_held = True
        try:
            await answer()
        finally:
            self._is_held = False
        await self._send()

    async def _send(self) -> None:
        """Send what is to leave. Whoever comes while somebody sends has it sent along, in order."""
        if self._is_sending:
            return
        self._is_sending = True
        try:
            while self._leaving:
                data = b"".join(self._leaving)
                self._leaving.clear()
                # Counted before the first byte leaves: who reads less than this knows that more is coming.
                self._traffic.sent += len(data)
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._leaving.clear()
            await self._protocol.handle(Closed())
        finally:
            self._is_sending = False

    async def _close(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)


class _Apps:
    """Runs the application for hypercorn's protocol: its "task group"."""

    def __init__(self, nursery: trio.Nursery, connection: Connection) -> None:
        self._nursery = nursery
        self._connection = connection

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        if scope["type"] == "http":
            return _Exchange(app, config, scope, send, self._connection).put
        inbox = _Inbox()
        self._nursery.start_soon(_run, app, config, scope, inbox.receive, send)
        return inbox.put

    def spawn(self, func: Callable[..., Awaitable[object]], *args: Any) -> None:  # hypercorn's signature
        self._nursery.start_soon(func, *args)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The connection's own nursery is what is left."""


class _Exchange:
    """One HTTP request: the application runs once the request is whole, on the task that has read it."""

    def __init__(self, app: AppWrapper, config: Config, scope: Scope, send: Send, connection: Connection) -> None:
        self._app = app
        self._config = config
        self._scope = scope
        self._send = send
        self._connection = connection
        self._parts: deque[ASGIReceiveEvent] = deque()

    async def put(self, event: ASGIReceiveEvent) -> None:
        self._parts.append(event)
        if event["type"] == "http.request" and not event["more_body"]:
            await self._connection.answered(self._answer)

    async def _answer(self) -> None:
        await _run(self._app, self._config, self._scope, self._receive, self._send)

    async def _receive(self) -> ASGIReceiveEvent:
        if not self._parts:
            await trio.sleep_forever()  # until somebody cancels: an application asks again only to wait for the end
        return self._parts.popleft()


class _Inbox:
    """What a websocket's application is told, in order."""

    def __init__(self) -> None:
        self._events: deque[ASGIReceiveEvent] = deque()
        self._came = trio.Event()

    async def put(self, event: ASGIReceiveEvent) -> None:
        self._events.append(event)
        self._came.set()

    async def receive(self) -> ASGIReceiveEvent:
        while not self._events:
            self._came = trio.Event()
            await self._came.wait()
        return self._events.popleft()


async def _run(
    app: AppWrapper, config: Config, scope: Scope, receive: Callable[[], Awaitable[ASGIReceiveEvent]], send: Send
) -> None:
    """Run the application, and end its answer for it where it has failed to."""
    try:
        await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
    except Exception:  # noqa: BLE001 - a server outlives the errors of its application
        await config.log.exception("Error in ASGI Framework")
    await send(None)
