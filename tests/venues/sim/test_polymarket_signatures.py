"""Orders and key requests signed by the official clients are recognised; the same with one bit changed are not."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket.orders import ApiKey
from tallystick.venues.sim.polymarket.keys import AuthRefused, KeyHolder, Keys
from tallystick.venues.sim.polymarket.markets import Catalogue, MarketSpec
from tallystick.venues.sim.polymarket.order_entry import Entry, EntryPolicy, OrderRejected, read_entry

PATH = Path(__file__).parents[3] / ".." / "shared" / "fixtures" / "polymarket" / "signing_vectors.json"
VECTORS: dict[str, Any] = json.loads(PATH.read_text()) if PATH.exists() else {}
# The simulator stands on Polygon; one vector is for the test chain.
ORDERS: list[dict[str, Any]] = [v for v in VECTORS.get("orders_v2_v3", []) if v["chain_id"] == 137]

pytestmark = pytest.mark.skipif(not VECTORS, reason=f"no fixtures at {PATH}")


def entry_of(vector: dict[str, Any], body: dict[str, Any]) -> Entry:
    catalogue = Catalogue()
    catalogue.add(
        MarketSpec(
            question="Q",
            token_ids=(body["order"]["tokenId"], "12345678901234567890123456789012345678901234567890"),
            tick_size=Decimal(vector["tick_size"]),
            neg_risk=vector["neg_risk"],
        ),
        0,
    )
    owner = parse_address(VECTORS["keys"][vector["signer_key"]]["address"])
    holder = KeyHolder(api_key=ApiKey(body["owner"]), owner=owner)
    return read_entry(body, holder, catalogue, EntryPolicy(), lambda _wallet: None)


@pytest.mark.parametrize("vector", ORDERS, ids=lambda vector: vector["name"])
def test_an_order_signed_by_an_official_client_is_recognised(vector: dict[str, Any]) -> None:
    entry = entry_of(vector, vector["expected"]["post_body"])
    assert entry.request.order_id == vector["expected"]["order_hash"]
    assert entry.wallet == vector["funder"]


def changed(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body with one signed field changed at a time, then with bits of the signature flipped."""
    order = body["order"]
    for name in ("salt", "makerAmount", "takerAmount", "timestamp"):
        kind = type(order[name])
        yield {**body, "order": {**order, name: kind(int(order[name]) + 1)}}
    yield {**body, "order": {**order, "side": "SELL" if order["side"] == "BUY" else "BUY"}}
    yield {**body, "order": {**order, "builder": "0x" + "11" * 32}}
    signature = bytearray.fromhex(order["signature"][2:])
    for place in {0, 40, 64, len(signature) - 1}:
        flipped = bytearray(signature)
        flipped[place] ^= 1
        yield {**body, "order": {**order, "signature": "0x" + flipped.hex()}}


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
def test_a_changed_order_is_not_recognised(signature_type: int) -> None:
    vector = next(v for v in ORDERS if v["signature_type"] == signature_type)
    bodies = list(changed(vector["expected"]["post_body"]))
    assert len(bodies) >= 9
    for body in bodies:
        with pytest.raises(OrderRejected, match="invalid signature"):
            entry_of(vector, body)


def test_an_order_for_the_other_exchange_is_not_recognised() -> None:
    vector = next(v for v in ORDERS if v["neg_risk"])
    with pytest.raises(OrderRejected, match="invalid signature"):
        entry_of({**vector, "neg_risk": False}, vector["expected"]["post_body"])


def test_key_requests_of_the_official_clients_prove_their_owner() -> None:
    keys = Keys(clock_skew_seconds=60)
    for case in VECTORS["l1_auth"]["cases"]:
        if case["chain_id"] != 137:
            continue
        headers = {name.lower(): value for name, value in case["expected_headers"].items()}
        now_ms = case["timestamp"] * 1_000
        assert keys.prove_owner(headers, now_ms) == (headers["poly_address"], case["nonce"])
        with pytest.raises(AuthRefused, match="Invalid L1 Request headers"):
            keys.prove_owner({**headers, "poly_nonce": str(case["nonce"] + 1)}, now_ms)
        with pytest.raises(AuthRefused, match="Invalid L1 Request headers"):
            keys.prove_owner(headers, now_ms + 61_000)
