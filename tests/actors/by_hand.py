"""Somebody who trades with the runtime's own key, behind its back."""

import itertools
from collections.abc import Iterator

import httpx
import msgspec
import trio
from tallystick.actors.connect import SeamTransport
from tallystick.model.identifiers import InstrumentId
from tallystick.venues.polymarket.auth import Credentials, key_request_headers
from tallystick.venues.polymarket.contracts import TokenId
from tallystick.venues.polymarket.orders import Order, SignatureType
from tallystick.venues.polymarket.orders import Side as WireSide
from tallystick.venues.polymarket.signing import Signer, sign_order

from .harness import EPOCH_MS, KEY, World

_salts: Iterator[int] = itertools.count(1)


class ByHand:
    """The account's owner with a client of their own."""

    def __init__(self, world: World, credentials: Credentials) -> None:
        self._world = world
        self._credentials = credentials
        self._signer = Signer(KEY)

    async def buys(self, instrument: InstrumentId, price: str, size: str) -> str:
        """Place an order; returns its id at the venue."""
        return await self._place(instrument, "BUY", price, size)

    async def sells(self, instrument: InstrumentId, price: str, size: str) -> str:
        """Place an order; returns its id at the venue."""
        return await self._place(instrument, "SELL", price, size)

    async def asks_for_balance(self, instrument: InstrumentId) -> str:
        """Ask the venue what is held of an instrument; returns its answer."""
        path = "/balance-allowance"
        headers = self._credentials.headers(
            address=self._signer.address, timestamp_seconds=_now_seconds(), method="GET", path=path, body=b""
        )
        query = {
            "asset_type": "CONDITIONAL",
            "token_id": self._world.token(instrument),
            "signature_type": str(SignatureType.EOA.value),
        }
        async with _client(self._world) as client:
            response = await client.get(path, headers=headers, params=query)
        assert response.status_code == 200, response.text
        return str(response.json()["balance"])

    async def _place(self, instrument: InstrumentId, side: str, price: str, size: str) -> str:
        token = TokenId(self._world.token(instrument))
        cents, shares = round(float(price) * 100), int(size)
        cash, units = cents * shares * 10_000, shares * 1_000_000
        order = Order(
            salt=next(_salts),
            maker=self._signer.address,
            signer=self._signer.address,
            token_id=token,
            maker_amount=cash if side == "BUY" else units,
            taker_amount=units if side == "BUY" else cash,
            side=WireSide(side),
            signature_type=SignatureType.EOA,
            timestamp_milliseconds=_now_seconds() * 1_000,
        )
        (market,) = (found for found in self._world.server.venue.catalogue.all() if token in found.token_ids)
        signed = sign_order(order, market.contract(token), self._signer)
        body = msgspec.json.encode(
            {
                "order": {
                    "salt": order.salt,
                    "maker": order.maker,
                    "signer": order.signer,
                    "tokenId": order.token_id,
                    "makerAmount": str(order.maker_amount),
                    "takerAmount": str(order.taker_amount),
                    "side": side,
                    "expiration": "0",
                    "signatureType": 0,
                    "timestamp": str(order.timestamp_milliseconds),
                    "metadata": "0x" + "00" * 32,
                    "builder": "0x" + "00" * 32,
                    "signature": "0x" + signed.signature.hex(),
                },
                "owner": self._credentials.api_key,
                "orderType": "GTC",
                "deferExec": False,
                "postOnly": False,
            }
        )
        headers = self._credentials.headers(
            address=self._signer.address, timestamp_seconds=_now_seconds(), method="POST", path="/order", body=body
        )
        async with _client(self._world) as client:
            response = await client.post("/order", headers=headers, content=body)
        assert response.status_code == 200, response.text
        order_id = str(response.json()["orderID"])
        self._world.expect_foreign(order_id)
        return order_id


def _now_seconds() -> int:
    return EPOCH_MS // 1_000 + int(trio.current_time())


def _client(world: World) -> httpx.AsyncClient:
    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return world.server.connect()

    return httpx.AsyncClient(transport=SeamTransport(connect), base_url="http://venue")


async def by_hand(world: World) -> ByHand:
    """Log in with the runtime's key: the venue has one API key for both."""
    headers = key_request_headers(Signer(KEY), chain_id=137, timestamp_seconds=_now_seconds(), nonce=0)
    async with _client(world) as client:
        told = (await client.get("/auth/derive-api-key", headers=headers)).json()
    return ByHand(world, Credentials(api_key=told["apiKey"], secret=told["secret"], passphrase=told["passphrase"]))
