"""No request, frame or JSON-RPC body brings the venue down, and none of them makes it trade by accident."""

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.venues.polymarket.auth import Credentials, key_request_headers
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.sim.polymarket.markets import MarketSpec
from tallystick.venues.sim.polymarket.routes import Routes
from tallystick.venues.sim.polymarket.streams import MarketConnection, Streams, UserConnection
from tallystick.venues.sim.polymarket.venue import Venue, VenueSettings
from tallystick.venues.sim.server.http import Request

from .memory_client import EPOCH_MS, KEYS

SIGNER = Signer(KEYS["alice"])
PATHS = [
    ("POST", "/order"),
    ("POST", "/orders"),
    ("DELETE", "/order"),
    ("DELETE", "/orders"),
    ("DELETE", "/cancel-market-orders"),
    ("POST", "/v1/heartbeats"),
    ("DELETE", "/auth/readonly-api-key"),
    ("POST", "/books"),
    ("POST", "/prices"),
    ("POST", "/auth/api-key"),
    ("GET", "/data/orders"),
    ("GET", "/data/trades"),
    ("GET", "/data/order/x"),
    ("GET", "/balance-allowance"),
    ("GET", "/v2/positions"),
    ("GET", "/v2/activity"),
    ("GET", "/markets/keyset"),
    ("GET", "/book"),
    ("GET", "/price"),
    ("GET", "/order/x"),
    ("GET", "/markets/x"),
]
NAMES = ["next_cursor", "id", "market", "after", "limit", "cursor", "user", "status", "token_id", "asset_type",
         "signature_type", "after_cursor", "sort_by", "side", "orderID", "owner", "order", "orderType", "postOnly",
         "heartbeat_id", "key", "asset_id", "salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount",
         "signature", "timestamp", "expiration", "signatureType"]  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("0x" + "11" * 20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
bodies = st.binary(max_size=40) | values.map(msgspec.json.encode)
queries = st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12), max_size=4)


def make() -> tuple[Venue, Routes, Streams, Credentials]:
    streams = Streams()
    settings_ = VenueSettings(markets=(MarketSpec(question="Q"),), fund=Decimal(1_000), rate_limits="off")
    venue = Venue(settings_, EPOCH_MS, streams.publish)
    routes = Routes(venue)
    headers = key_request_headers(SIGNER, chain_id=137, timestamp_seconds=EPOCH_MS // 1_000, nonce=0)
    answer = routes.answer(request("POST", "/auth/api-key", b"", {}, headers))
    told = msgspec.json.decode(answer.body, type=dict[str, str])
    credentials = Credentials(api_key=told["apiKey"], secret=told["secret"], passphrase=told["passphrase"])
    return venue, routes, streams, credentials


def request(method: str, path: str, body: bytes, query: dict[str, str], headers: dict[str, str]) -> Request:
    return Request(
        method=method,
        path=path,
        headers={name.lower(): value for name, value in headers.items()},
        query=query,
        query_lists={name: [value] for name, value in query.items()},
        body=body,
        peer=("memory", 1),
    )


@given(target=st.sampled_from(PATHS), body=bodies, query=queries)
@settings(max_examples=300, deadline=None)
def test_any_request_is_answered(target: tuple[str, str], body: bytes, query: dict[str, str]) -> None:
    venue, routes, _, credentials = make()
    method, path = target
    seconds = EPOCH_MS // 1_000
    headers = credentials.headers(
        address=SIGNER.address, timestamp_seconds=seconds, method=method, path=path, body=body
    )
    answer = routes.answer(request(method, path, body, query, headers))
    assert answer.status in {200, 400, 401, 404}
    assert dict(venue.exchange.orders) == {}


@given(headers=st.dictionaries(st.sampled_from(["poly_address", "poly_signature", "poly_timestamp", "poly_nonce",
                                               "poly_api_key", "poly_passphrase"]), st.text(max_size=70)))  # fmt: skip
def test_headers_that_prove_nothing_are_unauthorized(headers: dict[str, str]) -> None:
    _, routes, _, _ = make()
    for method, path in (("GET", "/data/orders"), ("POST", "/auth/api-key"), ("GET", "/auth/derive-api-key")):
        assert routes.answer(request(method, path, b"", {}, headers)).status == 401


@given(texts=st.lists(st.text(max_size=30) | values.map(lambda value: msgspec.json.encode(value).decode())))
def test_any_frame_of_a_client_is_survived(texts: list[str]) -> None:
    venue, _, streams, _ = make()
    for connection in (
        MarketConnection(("memory", 1), lambda _text: None),
        UserConnection(("memory", 2), lambda _text: None),
    ):
        streams.add(connection)
        for text in texts:
            streams.hear(connection, text, venue)
