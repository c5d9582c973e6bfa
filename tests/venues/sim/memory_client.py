"""A client of the simulated venue over in-memory streams: real HTTP, real websocket, no sockets, any clock."""

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import cast

import httpcore
import httpx
import msgspec
import trio
from tallystick.venues.polymarket.auth import Credentials, key_request_headers
from tallystick.venues.polymarket.contracts import TokenId
from tallystick.venues.polymarket.orders import Order, SignatureType
from tallystick.venues.polymarket.orders import Side as WireSide
from tallystick.venues.polymarket.signing import Signer, sign_order
from tallystick.venues.sim.polymarket.markets import Market
from tallystick.venues.sim.polymarket.running import RunningServer
from trio.abc import HalfCloseableStream
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

EPOCH_MS = 1_800_000_000_000
KEYS = {
    "alice": "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "bob": "0x0123456789012345678901234567890123456789012345678901234567890123",
}


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: HalfCloseableStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> object:
        return None


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, server: RunningServer) -> None:
        self._server = server

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(self._server.connect())


class Person:
    """Somebody with a key of the venue."""

    def __init__(self, client: "MemoryClient", name: str) -> None:
        self._client = client
        self.signer = Signer(KEYS[name])
        self.credentials: Credentials | None = None
        self._salts = itertools.count(1)

    @property
    def address(self) -> str:
        return self.signer.address

    async def make_key(self, nonce: int = 0) -> httpx.Response:
        headers = key_request_headers(
            self.signer, chain_id=137, timestamp_seconds=self._client.now_seconds(), nonce=nonce
        )
        response = await self._client.http.post("/auth/api-key", headers=headers)
        if response.status_code == 200:
            told = response.json()
            self.credentials = Credentials(api_key=told["apiKey"], secret=told["secret"], passphrase=told["passphrase"])
        return response

    async def call(self, method: str, path: str, body: object = None, **query: str) -> httpx.Response:
        """A request with level-2 headers."""
        assert self.credentials is not None, "make a key first"
        content = b"" if body is None else msgspec.json.encode(body)
        headers = self.credentials.headers(
            address=self.signer.address,
            timestamp_seconds=self._client.now_seconds(),
            method=method,
            path=path,
            body=content,
        )
        return await self._client.http.request(method, path, headers=headers, content=content, params=query)

    def entry(
        self,
        market: Market,
        side: str,
        price: str,
        size: str,
        *,
        outcome: int = 0,
        order_type: str = "GTC",
        post_only: bool = False,
        expiration: int = 0,
        cash: str | None = None,
        salt: int | None = None,
        signature_type: SignatureType = SignatureType.EOA,
        defer: bool = False,
    ) -> dict[str, object]:
        """The body of POST /order for an order of this person."""
        token_id = market.token_ids[outcome]
        shares_units = int(Decimal(size) * 1_000_000)
        cash_units = int((Decimal(cash) if cash is not None else Decimal(price) * Decimal(size)) * 1_000_000)
        buys = side == "BUY"
        order = Order(
            salt=salt if salt is not None else next(self._salts),
            maker=self.signer.address,
            signer=self.signer.address,
            token_id=TokenId(token_id),
            maker_amount=cash_units if buys else shares_units,
            taker_amount=shares_units if buys else cash_units,
            side=WireSide(side),
            signature_type=signature_type,
            timestamp_milliseconds=self._client.now_seconds() * 1_000,
        )
        signed = sign_order(order, market.contract(token_id), self.signer)
        assert self.credentials is not None, "make a key first"
        return {
            "order": {
                "salt": order.salt,
                "maker": order.maker,
                "signer": order.signer,
                "tokenId": order.token_id,
                "makerAmount": str(order.maker_amount),
                "takerAmount": str(order.taker_amount),
                "side": side,
                "expiration": str(expiration),
                "signatureType": signature_type.value,
                "timestamp": str(order.timestamp_milliseconds),
                "metadata": "0x" + "00" * 32,
                "builder": "0x" + "00" * 32,
                "signature": "0x" + signed.signature.hex(),
            },
            "owner": self.credentials.api_key,
            "orderType": order_type,
            "deferExec": defer,
            "postOnly": post_only,
        }

    async def post(self, *args: object, **options: object) -> httpx.Response:
        """POST /order with the order that `entry` makes of the arguments."""
        return await self.call("POST", "/order", self.entry(*args, **options))  # type: ignore[arg-type]  # passed on


class Ears:
    """A websocket connection that remembers what it heard."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.heard: list[dict[str, object]] = []
        self.texts: list[str] = []
        self.lost = False

    async def listen(self) -> None:
        try:
            while True:
                text = await self.websocket.get_message()
                assert isinstance(text, str), "the venue sends text frames"
                self.texts.append(text)
                if text[:1] in {"{", "["}:
                    self.heard.append(msgspec.json.decode(text))
        except ConnectionClosed:
            self.lost = True

    async def say(self, frame: object) -> None:
        await self.websocket.send_message(frame if isinstance(frame, str) else msgspec.json.encode(frame).decode())
        await quiet()

    def events(self, kind: str) -> list[dict[str, object]]:
        return [event for event in self.heard if event["event_type"] == kind]


async def quiet() -> None:
    """Wait until everything that is on its way has arrived; no time passes."""
    await trio.testing.wait_all_tasks_blocked()


class MemoryClient:
    """Everything a test needs to be a client of one running server."""

    def __init__(self, server: RunningServer, nursery: trio.Nursery) -> None:
        self.server = server
        self._nursery = nursery
        transport = httpx.AsyncHTTPTransport()
        transport._pool = httpcore.AsyncConnectionPool(network_backend=_Backend(server))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://venue", timeout=None)
        self.people = {name: Person(self, name) for name in KEYS}

    def now_seconds(self) -> int:
        return EPOCH_MS // 1_000 + int(trio.current_time() - self._origin)

    async def start(self) -> None:
        self._origin = trio.current_time()
        for person in self.people.values():
            assert (await person.make_key()).status_code == 200

    @property
    def alice(self) -> Person:
        return self.people["alice"]

    @property
    def bob(self) -> Person:
        return self.people["bob"]

    @property
    def market(self) -> Market:
        return self.server.venue.catalogue.all()[0]

    async def listen(self, channel: str) -> Ears:
        """Open a websocket of a channel."""
        stream = cast("trio.SocketStream", self.server.connect())  # any stream will do
        websocket = await wrap_client_stream(self._nursery, stream, "venue", f"/ws/{channel}")
        ears = Ears(websocket)
        self._nursery.start_soon(ears.listen)
        return ears

    async def hear_user(self, person: Person) -> Ears:
        ears = await self.listen("user")
        assert person.credentials is not None, "make a key first"
        await ears.say({"type": "user", "auth": person.credentials.stream_auth()})
        return ears

    async def hear_market(self, *tokens: str, extra: bool = False) -> Ears:
        ears = await self.listen("market")
        await ears.say({"type": "market", "assets_ids": list(tokens), "custom_feature_enabled": extra})
        return ears

    async def action(self, **fields: object) -> dict[str, object]:
        response = await self.http.post("/_sim/action", content=msgspec.json.encode(fields))
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def fault(self, fault_type: str, /, **fields: object) -> None:
        await self.action(type="fault", fault={"type": fault_type, **fields})

    async def quote(self, bid: str = "0.48", ask: str = "0.52", size: str = "100") -> None:
        """A background maker on both sides of the first market."""
        await self.action(
            type="set_quotes", participant="maker", market=self.market.slug, bids=[[bid, size]], asks=[[ask, size]]
        )

    async def rpc(self, method: str, *params: object) -> object:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        response = await self.http.post("/rpc", json=body)
        answer = response.json()
        assert "error" not in answer, answer["error"]
        return answer["result"]


@asynccontextmanager
async def memory_client(server: RunningServer) -> AsyncIterator[MemoryClient]:
    async with trio.open_nursery() as nursery:
        client = MemoryClient(server, nursery)
        async with client.http:
            await client.start()
            yield client
        nursery.cancel_scope.cancel()
