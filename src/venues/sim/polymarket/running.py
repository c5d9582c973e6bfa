"""Runs a simulated Polymarket inside a trio program: on a loopback socket, in memory, or both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ..server.clock import VenueClock
from ..server.host import Host
from ..server.memory_stream import MemoryStream
from .admin import Admin
from .app import PolymarketApp
from .own_books import OwnBooks
from .venue import Venue, VenueSettings


class RunningServer:
    """A simulated venue that is up. The addresses are empty when it listens on no socket."""

    def __init__(self, app: PolymarketApp, host: Host, address: tuple[str, int] | None) -> None:
        self._app = app
        self.host = host
        authority = "" if address is None else f"{address[0]}:{address[1]}"
        self.url = f"http://{authority}"
        self.ws_url = f"ws://{authority}"
        self.ws_market_url = f"ws://{authority}/ws/market"
        self.ws_user_url = f"ws://{authority}/ws/user"
        self.rpc_url = f"http://{authority}/rpc"
        self.admin_url = f"http://{authority}/_sim"

    @property
    def venue(self) -> Venue:
        """The venue itself, for tests in the same process; `refresh` after changing it by hand."""
        return self._app.venue

    @property
    def admin(self) -> Admin:
        return self._app.admin

    @property
    def books(self) -> OwnBooks:
        return self._app.books

    def connect(self) -> MemoryStream:
        """A new in-memory connection; it speaks HTTP and websocket like a socket would."""
        return self.host.connect()

    def refresh(self) -> None:
        """Bring the venue to the present and deliver what its streams have to tell."""
        self._app.advance()


@asynccontextmanager
async def running_server(
    settings: VenueSettings | None = None,
    *,
    epoch_ms: int = 1_800_000_000_000,
    host: str = "127.0.0.1",
    port: int | None = 0,
) -> AsyncIterator[RunningServer]:
    """Run a simulated venue until the block ends.

    `epoch_ms` is the venue's unix time at the start; from there it follows trio's clock. `port` 0 picks a free
    port, None listens on no socket at all: the venue is then reached with `connect`.
    """
    app = PolymarketApp(settings if settings is not None else VenueSettings(), VenueClock(epoch_ms))
    async with trio.open_nursery() as nursery:
        hosting = Host(app, nursery)
        app.abort = hosting.abort
        address: tuple[str, int] | None = None
        if port is not None:
            listeners = await trio.open_tcp_listeners(port, host=host)
            name = listeners[0].socket.getsockname()
            address = (str(name[0]), int(name[1]))
            nursery.start_soon(hosting.listen, listeners)
        nursery.start_soon(app.run_timers)
        try:
            yield RunningServer(app, hosting, address)
        finally:
            hosting.abort_all()
            nursery.cancel_scope.cancel()
