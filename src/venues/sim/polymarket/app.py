"""The ASGI application: every request and frame meets the venue here, at the venue's time, through its faults."""

import math
from collections.abc import Callable
from typing import Any

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope, WebsocketScope

from ...polymarket.contracts import (
    CONDITIONAL_TOKENS,
    DEPOSIT_WALLET_BEACON,
    DEPOSIT_WALLET_FACTORY,
    NEG_RISK_ADAPTER,
    POSITION_MANAGER,
    PUSD,
    USDC_BRIDGED,
    USDC_NATIVE,
)
from ..chain.rpc import Contracts, RpcServer, constant_address
from ..server.clock import VenueClock
from ..server.http import Request, Response, error_response, read_request, send_response
from ..server.traffic import Peer
from .admin import Admin
from .admin_routes import AdminRoutes
from .faults import (
    DelayReply,
    DelayRequest,
    FailAfterAccept,
    LagNode,
    LoseReply,
    RefuseRequest,
    RequestFault,
    StopFinality,
    WrongChain,
)
from .own_books import OwnBooks
from .refusals import TRADING_RESTRICTIONS, refusal
from .routes import Routes
from .streams import Connection, MarketConnection, Streams, UserConnection
from .venue import Venue, VenueSettings
from .wallets import SPENDERS

_FACTORY_BEACON = bytes.fromhex("49493a4d")


class PolymarketApp:
    """One venue behind HTTP and websocket. `abort` loses a connection; it is set by who hosts the application."""

    def __init__(self, settings: VenueSettings, clock: VenueClock) -> None:
        self._clock = clock
        self._streams = Streams()
        self.venue = Venue(settings, clock.now_ms(), self._streams.publish)
        self.books = OwnBooks(self.venue)
        self.admin = Admin(self.venue, self.books, self._streams.cut)
        self.abort: Callable[[Peer], None] = lambda _peer: None
        self._routes = Routes(self.venue)
        self._admin_routes = AdminRoutes(self.admin, self.books)
        self._rpc = self._make_rpc()
        self._rescheduled = trio.Event()
        self._armed_ms: int | None = None

    def _make_rpc(self) -> RpcServer:
        venue = self.venue

        def payouts(condition: bytes) -> tuple[int, ...]:
            market = venue.catalogue.of_condition("0x" + condition.hex())
            return (0, 0) if market is None else market.payouts()

        contracts = Contracts(
            erc20=frozenset({PUSD, USDC_BRIDGED, USDC_NATIVE}),
            erc1155=frozenset({CONDITIONAL_TOKENS, POSITION_MANAGER}),
            other=frozenset({*SPENDERS, NEG_RISK_ADAPTER, DEPOSIT_WALLET_FACTORY}),
            answers={(DEPOSIT_WALLET_FACTORY, _FACTORY_BEACON): constant_address(DEPOSIT_WALLET_BEACON)},
        )
        return RpcServer(
            venue.chain,
            contracts,
            submit=lambda sent: venue.send(sent.transaction),
            deployed=venue.wallets.is_deployed,
            payouts=payouts,
        )

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    # Time.

    async def run_timers(self) -> None:
        """Let the venue do what falls due, until cancelled. Fully asleep while nothing is due."""
        while True:
            self._armed_ms = self.venue.next_due_ms()
            self._rescheduled = trio.Event()
            scope = trio.CancelScope()
            if self._armed_ms is not None:
                scope.deadline = self._clock.deadline(self._armed_ms)
            with scope:
                await self._rescheduled.wait()
            self.advance()

    def advance(self) -> None:
        """Bring the venue to the present, tell the streams, and have the timer look again if its date changed."""
        self.venue.advance(self._clock.now_ms())
        self._settle_down()

    def _settle_down(self) -> None:
        self._streams.flush(self.venue)
        if self.venue.next_due_ms() != self._armed_ms:
            self._rescheduled.set()

    # HTTP.

    async def _http(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        request = await read_request(scope, receive)
        if request is None:
            return
        self.advance()
        if request.path.startswith("/_sim/") or request.path == "/_sim":
            # The operator's own door: no fault applies to it.
            response = self._admin_routes.answer(request)
            await send_response(response, send)
            self._settle_down()
            return
        await self._http_with_faults(request, send)

    async def _http_with_faults(self, request: Request, send: ASGISendCallable) -> None:
        faults, venue = self.venue.faults, self.venue

        def meets(fault: RequestFault) -> bool:
            return fault.meets(request.method, request.path)

        queue = faults.bite(DelayRequest, venue.now_ms, meets)
        if queue is not None:
            await trio.sleep(queue.by_seconds)
            self.advance()
        refuses = faults.bite(RefuseRequest, venue.now_ms, lambda f: f.kind not in TRADING_RESTRICTIONS and meets(f))
        if refuses is not None:
            await send_response(refusal(refuses), send)
            return
        response = self._answer(request)
        if faults.bite(LoseReply, venue.now_ms, meets) is not None:
            self._settle_down()
            self.abort(request.peer)
            return
        failed = faults.bite(FailAfterAccept, venue.now_ms, meets)
        if failed is not None:
            response = error_response(failed.text, failed.status)
        late = faults.bite(DelayReply, venue.now_ms, meets)
        if late is not None:
            # The frames of what was done go ahead of the answer.
            self._settle_down()
            await trio.sleep(late.by_seconds)
        await send_response(response, send)
        self._settle_down()

    def _answer(self, request: Request) -> Response:
        if request.path == "/rpc":
            return self._answer_rpc(request)
        return self._routes.answer(request)

    def _answer_rpc(self, request: Request) -> Response:
        venue, now_ms = self.venue, self.venue.now_ms
        lag = venue.faults.shows(LagNode, now_ms)
        self._rpc.lag_blocks = 0 if lag is None else lag.blocks
        wrong = venue.faults.shows(WrongChain, now_ms)
        self._rpc.chain_id_told = None if wrong is None else wrong.chain_id
        if venue.faults.shows(StopFinality, now_ms) is None:
            venue.chain.resume_finality()
        if request.method != "POST":
            return error_response("method not allowed", 405)
        return Response(body=self._rpc.answer(request.body, now_ms))

    # Websocket.

    async def _websocket(self, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        message: Any = await receive()
        if message["type"] != "websocket.connect":
            return
        client = scope["client"]
        assert client is not None, "every connection of this server has a peer"
        texts_in, texts_out = trio.open_memory_channel[str | None](math.inf)
        connection: Connection
        if scope["path"] == "/ws/market":
            connection = MarketConnection((client[0], client[1]), texts_in.send_nowait)
        elif scope["path"] == "/ws/user":
            connection = UserConnection((client[0], client[1]), texts_in.send_nowait)
        else:
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        self._streams.add(connection)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, connection, texts_out, send)
                await self._listen(connection, receive)
                nursery.cancel_scope.cancel()
        finally:
            self._streams.remove(connection)

    async def _listen(self, connection: Connection, receive: ASGIReceiveCallable) -> None:
        while True:
            message: Any = await receive()
            if message["type"] != "websocket.receive":
                return
            text = message["text"]
            if text is not None:
                self.venue.advance(self._clock.now_ms())
                self._streams.hear(connection, text, self.venue)
                self._settle_down()

    async def _write(
        self, connection: Connection, texts: trio.MemoryReceiveChannel[str | None], send: ASGISendCallable
    ) -> None:
        async for text in texts:
            if text is None:
                self.abort(connection.peer)
                return
            await send({"type": "websocket.send", "bytes": None, "text": text})
