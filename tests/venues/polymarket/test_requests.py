"""Requests are what both official clients were recorded to send."""

import itertools
from typing import Any

import msgspec
import pytest
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket import public_requests, requests, subscriptions
from tallystick.venues.polymarket.auth import Credentials
from tallystick.venues.polymarket.contracts import (
    choose_exchange,
    exchange_contract,
    parse_condition_id,
    parse_token_id,
)
from tallystick.venues.polymarket.orders import ApiKey, Instructions, OrderHash, OrderType, SignatureType
from tallystick.venues.polymarket.requests import AssetKind, is_plain_text
from tallystick.venues.polymarket.signing import sign_order
from tallystick.venues.port import CannotExpress, Request

from .recorded import cases, decoded
from .test_signing import VECTORS, order_of, signer_of

TOKEN = parse_token_id("71321045679252212594626385532706912750332728571942532289631379312455583992563")
CONDITION = parse_condition_id("0x5f65177b394277fd294cd75650044e32ba009a95022d88a0c1d565897d72f8f1")
ORDER = OrderHash("0x" + "ab" * 32)
EOA = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")


@pytest.mark.parametrize("vector", cases(VECTORS, "orders_v2_v3"), ids=lambda vector: str(vector["name"]))
def test_a_placement_is_the_recorded_body_byte_for_byte(vector: Any) -> None:
    recorded = vector["expected"]["post_body"]
    order = order_of(vector)
    contract = exchange_contract(choose_exchange(order.token_id, neg_risk=vector["neg_risk"]), vector["chain_id"])
    body = requests.placement_body(
        sign_order(order, contract, signer_of(vector["signer_key"])),
        ApiKey(recorded["owner"]),
        Instructions(
            order_type=OrderType(recorded["orderType"]),
            expiration_seconds=int(recorded["order"]["expiration"]) or None,
            post_only=recorded["postOnly"],
            defer_execution=recorded["deferExec"],
        ),
    )
    assert body.decode() == vector["expected"]["post_body_bytes"]
    assert msgspec.json.decode(body) == recorded


def recorded_calls(method: str, path: str) -> list[Any]:
    sent = decoded("sdk_sent_requests.json")["requests"]
    found = [call for call in sent if (call["method"], call["path"]) == (method, path) and call["kind"] == "http"]
    assert found, f"no recorded {method} {path}"
    return found


@pytest.mark.parametrize(
    "request_",
    [
        public_requests.ok(),
        public_requests.server_time(),
        public_requests.version(),
        public_requests.book(TOKEN),
        public_requests.tick_size(TOKEN),
        public_requests.neg_risk(TOKEN),
        public_requests.market_of_token(TOKEN),
        public_requests.clob_market(CONDITION),
        public_requests.positions(EOA, limit=100),
        requests.create_api_key(),
        requests.derive_api_key(),
        requests.cancel(ORDER),
        requests.cancel_batch([ORDER]),
        requests.cancel_all(),
        requests.order(ORDER),
        requests.open_orders(),
        requests.open_orders(cursor="MA=="),
        requests.trades(),
        requests.trades(cursor="MA=="),
        requests.balance_allowance(AssetKind.COLLATERAL, SignatureType.EOA),
        requests.heartbeat(""),
        requests.heartbeat("bad"),
    ],
    ids=lambda request_: str(request_.label),
)
def test_a_request_is_one_that_an_official_client_sends(request_: Request) -> None:
    query = "&".join(f"{name}={value.replace('=', '%3D')}" for name, value in request_.query)
    body = msgspec.json.decode(request_.body) if request_.body else None
    sent = recorded_calls(request_.method, request_.path)
    assert any(call["query"] == query and call["body"] == body for call in sent)
    signed = any("POLY_SIGNATURE" in call["headers"] for call in sent)
    assert request_.authenticated is signed


def test_stream_frames_are_the_ones_an_official_client_sends() -> None:
    sent = {
        call["path"]: call["body"]
        for call in decoded("sdk_sent_requests.json")["requests"]
        if call["kind"] == "ws" and call["body"] != "PING"
    }
    assert msgspec.json.decode(subscriptions.subscribe_market([TOKEN]).text) == sent["/ws/market"]
    auth = sent["/ws/user"]["auth"]
    credentials = Credentials(api_key=auth["apiKey"], secret=auth["secret"], passphrase=auth["passphrase"])
    assert msgspec.json.decode(subscriptions.subscribe_user(credentials).text) == sent["/ws/user"]
    assert subscriptions.PING.text == "PING"


def test_the_first_user_frame_carries_the_secret_and_its_redaction_does_not() -> None:
    credentials = Credentials(api_key="0000-key", secret="c2VjcmV0LXNlY3JldA==", passphrase="pass-phrase-7")
    frame = subscriptions.subscribe_user(credentials, [CONDITION])
    assert msgspec.json.decode(frame.text)["markets"] == [CONDITION]
    for secret in credentials.secrets():
        assert secret in frame.text
        assert secret not in frame.redacted


def test_a_batch_joins_the_very_bytes_of_its_orders() -> None:
    assert requests.place_batch([b'{"a":1}', b'{"b":2}']).body == b'[{"a":1},{"b":2}]'
    for count in (0, 16):
        with pytest.raises(CannotExpress, match="1 to 15"):
            requests.place_batch([b"{}"] * count)


def test_cancelling_a_market_needs_a_market() -> None:
    assert requests.cancel_market(condition=CONDITION).body == b'{"market":"%s"}' % CONDITION.encode()
    assert requests.cancel_market(token=TOKEN).body == b'{"asset_id":"%s"}' % TOKEN.encode()
    with pytest.raises(CannotExpress, match="condition id"):
        requests.cancel_market()


def test_what_would_not_be_one_order_id_is_refused() -> None:
    for text in ("", "0x12", "ab" * 33, ORDER + "/../x", "0x" + "zz" * 32):
        with pytest.raises(CannotExpress, match="order id"):
            requests.cancel(OrderHash(text))
    with pytest.raises(CannotExpress, match="1000"):
        requests.cancel_batch([])


def test_a_body_never_holds_an_apostrophe_or_a_quote() -> None:
    for text in ("it's", 'a"b', "a\\b", "a b\n", "é"):
        assert not is_plain_text(text)
        with pytest.raises(CannotExpress):
            requests.heartbeat(text)
    assert is_plain_text("0f8fad5b-d9cb-469f-a165-70867728950e")


def test_a_balance_is_asked_of_cash_or_of_one_token() -> None:
    shares = requests.balance_allowance(AssetKind.CONDITIONAL, SignatureType.POLY_1271, TOKEN)
    assert shares.query == (("asset_type", "CONDITIONAL"), ("token_id", TOKEN), ("signature_type", "3"))
    with pytest.raises(CannotExpress, match="token id"):
        requests.balance_allowance(AssetKind.CONDITIONAL, SignatureType.EOA)
    with pytest.raises(CannotExpress, match="token id"):
        requests.update_balance_allowance(AssetKind.COLLATERAL, SignatureType.EOA, TOKEN)


def test_one_connection_carries_between_one_and_five_hundred_tokens() -> None:
    for count in (0, 501):
        with pytest.raises(CannotExpress, match="open another"):
            subscriptions.subscribe_market([TOKEN] * count)
    changed = msgspec.json.decode(subscriptions.change_market_subscription([TOKEN], subscribe=False).text)
    assert changed == {"operation": "unsubscribe", "assets_ids": [TOKEN], "custom_feature_enabled": True}


def test_listings_are_narrowed_and_paged() -> None:
    listing = public_requests.catalogue(conditions=[CONDITION], cursor="next", page_size=50)
    assert listing.query == (("condition_ids", CONDITION), ("limit", "50"), ("after_cursor", "next"))
    assert public_requests.catalogue(slugs=["a"], closed=False).query[:2] == (("slug", "a"), ("closed", "false"))
    assert public_requests.events(closed=True, cursor="c").query == (
        ("closed", "true"),
        ("limit", "100"),
        ("after_cursor", "c"),
    )
    page = public_requests.positions(EOA, conditions=[CONDITION], status="OPEN", cursor="c")
    assert page.query == (
        ("user", EOA),
        ("condition_id", CONDITION),
        ("status", "OPEN"),
        ("limit", "1000"),
        ("cursor", "c"),
    )
    with pytest.raises(CannotExpress, match="at most 20"):
        public_requests.activity(EOA, conditions=[CONDITION] * 21)
    window = public_requests.activity(EOA, start_seconds=1, end_seconds=2).query
    assert window == (("user", EOA), ("start", "1"), ("end", "2"), ("limit", "1000"))
    assert public_requests.wallet_trades(EOA, start_seconds=5).query[1] == ("start", "5")


def test_only_requests_of_the_account_are_private_and_only_cancels_and_recovery_use_the_reserve() -> None:
    public = [public_requests.book(TOKEN), public_requests.wallet_value(EOA), public_requests.chain("head", b"[]")]
    public += [public_requests.fee_rate(TOKEN), public_requests.builder_fee(bytes(32))]
    public += [public_requests.deposit_wallet_deployed(EOA)]
    assert not any(request.private or request.authenticated for request in public)
    orders = [requests.place(b"{}"), requests.place_batch([b"{}"])]
    keys = [
        requests.delete_api_key(),
        requests.list_api_keys(),
        requests.create_readonly_api_key(),
        requests.list_readonly_api_keys(),
        requests.delete_readonly_api_key(ApiKey("k-1")),
        requests.closed_only_status(),
        requests.rate_limit_tier(),
    ]
    assert all(request.private and request.authenticated for request in itertools.chain(orders, keys))
    assert not any(request.cancels for request in itertools.chain(orders, keys))
    recovery = [requests.cancel(ORDER), requests.order(ORDER), requests.open_orders(), requests.trades()]
    recovery += [public_requests.positions(EOA), public_requests.chain("wallet", b"[]")]
    assert all(request.cancels for request in recovery)
