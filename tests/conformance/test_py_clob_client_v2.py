"""The official client py-clob-client-v2 trades on the simulator as it does on the venue (polymarket.md 18.1)."""

import time
from collections.abc import Callable

import pytest
from py_clob_client_v2.client import ClobClient  # type: ignore[import-untyped]  # the client ships no types
from py_clob_client_v2.clob_types import (  # type: ignore[import-untyped]  # the client ships no types
    AssetType,
    BalanceAllowanceParams,
    BookParams,
    MarketOrderArgsV2,
    OpenOrderParams,
    OrderArgsV2,
    OrderMarketCancelParams,
    OrderPayload,
    OrderType,
    PartialCreateOrderOptions,
    PostOrdersV2Args,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException  # type: ignore[import-untyped]  # the client ships no types

from .conftest import Simulator

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def connect(simulator: Simulator, **options: object) -> ClobClient:
    anonymous = ClobClient(host=simulator.url, chain_id=137, key=KEY, **options)
    return ClobClient(host=simulator.url, chain_id=137, key=KEY, creds=anonymous.create_or_derive_api_key(), **options)


@pytest.fixture
def client(simulator: Simulator) -> ClobClient:
    return connect(simulator)


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def quote(simulator: Simulator, slug: str = "standard") -> None:
    simulator.action(
        type="set_quotes",
        participant="maker",
        market=slug,
        bids=[["0.48", "100"], ["0.47", "200"]],
        asks=[["0.52", "100"], ["0.53", "200"]],
    )


def test_the_public_endpoints_answer(simulator: Simulator, client: ClobClient) -> None:
    token, other = simulator.tokens("standard")
    quote(simulator)
    assert client.get_ok() == "OK"
    assert abs(client.get_server_time() - time.time()) < 5
    assert client.get_version() == 2
    book = client.get_order_book(token)
    assert [level["price"] for level in book["bids"]] == ["0.47", "0.48"]
    assert [level["price"] for level in book["asks"]] == ["0.53", "0.52"]
    assert client.get_order_book_hash(dict(book)) == book["hash"]
    assert client.get_midpoint(token) == {"mid": "0.5"}
    assert client.get_spread(token) == {"spread": "0.04"}
    assert client.get_price(token, "BUY") == {"price": "0.48"}
    assert client.get_tick_size(token) == "0.01"
    assert client.get_neg_risk(token) is False
    assert client.get_market(simulator.condition("standard"))["tokens"][1]["token_id"] == other
    assert len(client.get_markets()["data"]) == 2
    assert [row["asset_id"] for row in client.get_order_books([BookParams(token_id=other)])] == [other]


def test_keys_are_created_once_and_derived_again(simulator: Simulator, client: ClobClient) -> None:
    again = ClobClient(host=simulator.url, chain_id=137, key=KEY).derive_api_key()
    assert again == client.creds
    assert client.get_api_keys() == {"apiKeys": [again.api_key]}
    assert client.get_closed_only_mode() == {"closed_only": False}
    with pytest.raises(PolyApiException):
        client.create_api_key()
    assert client.delete_api_key() == "OK"
    with pytest.raises(PolyApiException) as refused:
        client.get_api_keys()
    assert refused.value.status_code == 401


def test_a_limit_order_rests_is_listed_and_is_cancelled(simulator: Simulator, client: ClobClient) -> None:
    token, _ = simulator.tokens("standard")
    signed = client.create_order(OrderArgsV2(token_id=token, price=0.40, size=20, side="BUY"))
    posted = client.post_order(signed, OrderType.GTC)
    assert (posted["success"], posted["status"]) == (True, "live")
    order_id = posted["orderID"]
    assert client.get_order(order_id)["status"] == "LIVE"
    assert [row["id"] for row in client.get_open_orders()] == [order_id]
    assert [row["id"] for row in client.get_open_orders(OpenOrderParams(asset_id=token))] == [order_id]
    with pytest.raises(PolyApiException) as duplicate:
        client.post_order(signed, OrderType.GTC)
    assert f"order {order_id} is invalid. Duplicated." in str(duplicate.value)
    assert client.cancel_order(OrderPayload(orderID=order_id)) == {"canceled": [order_id], "not_canceled": {}}
    assert client.cancel_order(OrderPayload(orderID=order_id)) == {
        "canceled": [],
        "not_canceled": {order_id: "Order already canceled"},
    }
    assert client.get_open_orders() == []
    assert client.get_order(order_id)["status"] == "CANCELED"


def test_a_marketable_order_trades_and_settles(simulator: Simulator, client: ClobClient) -> None:
    token, _ = simulator.tokens("standard")
    quote(simulator)
    posted = client.create_and_post_order(OrderArgsV2(token_id=token, price=0.52, size=30, side="BUY"))
    assert (posted["status"], posted["makingAmount"], posted["takingAmount"]) == ("matched", "15.6", "30")
    (trade_id,) = posted["tradeIDs"]
    eventually(lambda: client.get_trades(TradeParams(id=trade_id))[0]["status"] == "CONFIRMED")
    (trade,) = client.get_trades()
    assert (trade["trader_side"], trade["price"], trade["size"]) == ("TAKER", "0.52", "30")
    conditional = BalanceAllowanceParams(asset_type=AssetType.CONDITIONAL, token_id=token)
    assert client.get_balance_allowance(conditional)["balance"] == "30000000"
    cash = client.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL))
    # 1000 - 30 * 0.52 - fee of 30 * 0.04 * 0.52 * 0.48
    assert cash["balance"] == str(1_000_000_000 - 15_600_000 - 299_520)


def test_market_orders_spend_cash_and_sell_shares(simulator: Simulator, client: ClobClient) -> None:
    token, _ = simulator.tokens("standard")
    quote(simulator)
    buy = client.create_market_order(MarketOrderArgsV2(token_id=token, amount=13, side="BUY", order_type=OrderType.FOK))
    bought = client.post_order(buy, OrderType.FOK)
    assert (bought["status"], bought["makingAmount"], bought["takingAmount"]) == ("matched", "13", "25")
    eventually(lambda: client.get_trades()[0]["status"] in {"MINED", "CONFIRMED"})
    sell = client.create_market_order(
        MarketOrderArgsV2(token_id=token, amount=10, side="SELL", order_type=OrderType.FAK)
    )
    sold = client.post_order(sell, OrderType.FAK)
    assert (sold["status"], sold["makingAmount"], sold["takingAmount"]) == ("matched", "10", "4.8")


def test_orders_of_a_neg_risk_market_are_signed_for_its_exchange(simulator: Simulator, client: ClobClient) -> None:
    token, _ = simulator.tokens("neg-risk")
    posted = client.create_and_post_order(OrderArgsV2(token_id=token, price=0.405, size=20, side="BUY"))
    assert posted["status"] == "live"
    wrong = client.create_order(
        OrderArgsV2(token_id=token, price=0.406, size=20, side="BUY"), PartialCreateOrderOptions(neg_risk=False)
    )
    with pytest.raises(PolyApiException) as refused:
        client.post_order(wrong)
    assert "invalid signature" in str(refused.value)


def test_a_batch_is_taken_leg_by_leg(simulator: Simulator, client: ClobClient) -> None:
    token, _ = simulator.tokens("standard")
    good = client.create_order(OrderArgsV2(token_id=token, price=0.40, size=20, side="BUY"))
    poor = client.create_order(OrderArgsV2(token_id=token, price=0.90, size=20_000, side="BUY"))
    results = client.post_orders(
        [PostOrdersV2Args(order=good, orderType=OrderType.GTC), PostOrdersV2Args(order=poor, orderType=OrderType.GTC)]
    )
    assert [result["success"] for result in results] == [True, False]
    assert results[1]["errorMsg"].startswith("not enough balance / allowance: the balance is not enough")
    assert client.cancel_orders([results[0]["orderID"]])["canceled"] == [results[0]["orderID"]]


def test_cancel_all_and_cancel_by_market(simulator: Simulator, client: ClobClient) -> None:
    ids = {}
    for slug in ("standard", "neg-risk"):
        token, _ = simulator.tokens(slug)
        posted = client.create_and_post_order(OrderArgsV2(token_id=token, price=0.40, size=20, side="BUY"))
        ids[slug] = posted["orderID"]
    market = simulator.condition("neg-risk")
    assert client.cancel_market_orders(OrderMarketCancelParams(market=market))["canceled"] == [ids["neg-risk"]]
    assert client.cancel_all()["canceled"] == [ids["standard"]]


@pytest.mark.parametrize(
    ("order_type", "text"),
    [
        (OrderType.FOK, "order couldn't be fully filled. FOK orders are fully filled or killed."),
        (OrderType.FAK, "no orders found to match with FAK order."),
    ],
)
def test_an_immediate_order_without_counterpart_is_refused(
    simulator: Simulator, client: ClobClient, order_type: OrderType, text: str
) -> None:
    token, _ = simulator.tokens("standard")
    signed = client.create_order(OrderArgsV2(token_id=token, price=0.40, size=20, side="BUY"))
    with pytest.raises(PolyApiException) as refused:
        client.post_order(signed, order_type)
    assert refused.value.status_code == 400
    assert text in str(refused.value)


def test_a_post_only_order_that_crosses_is_refused(simulator: Simulator, client: ClobClient) -> None:
    token, _ = simulator.tokens("standard")
    quote(simulator)
    signed = client.create_order(OrderArgsV2(token_id=token, price=0.52, size=20, side="BUY"))
    with pytest.raises(PolyApiException) as refused:
        client.post_order(signed, OrderType.GTC, post_only=True)
    assert "invalid post-only order: order crosses book" in str(refused.value)


@pytest.mark.parametrize(("kind", "signature_type"), [("proxy", 1), ("safe", 2), ("deposit", 3), ("deposit_uups", 3)])
def test_every_kind_of_wallet_signs_in_its_own_way(simulator: Simulator, kind: str, signature_type: int) -> None:
    account = simulator.action(type="create_account", owner=OWNER, kind=kind, cash="500")
    client = connect(simulator, signature_type=signature_type, funder=account["wallet"])
    token, _ = simulator.tokens("standard")
    posted = client.create_and_post_order(OrderArgsV2(token_id=token, price=0.40, size=20, side="BUY"))
    assert posted["status"] == "live"
    assert client.get_order(posted["orderID"])["maker_address"] == account["wallet"]
    cash = client.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL))
    assert cash["balance"] == "500000000"


def test_heartbeats_chain_and_a_wrong_one_names_the_right(client: ClobClient) -> None:
    first = client.post_heartbeat()["heartbeat_id"]
    second = client.post_heartbeat(first)["heartbeat_id"]
    with pytest.raises(PolyApiException) as refused:
        client.post_heartbeat("wrong")
    assert refused.value.status_code == 400
    assert second in str(refused.value)
