"""The official client polymarket-client trades, asks and listens on the simulator (polymarket.md 18.2)."""

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from polymarket import AsyncSecureClient, SecureClient
from polymarket.environments import PRODUCTION, Environment, _create_environment
from polymarket.errors import OrderHeartbeatMismatchError, RequestRejectedError
from polymarket.models.clob.order_response import AcceptedOrder
from polymarket.streams import MarketSpec, UserSpec

from .conftest import Simulator

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def environment(simulator: Simulator) -> Environment:
    config = dataclasses.replace(
        PRODUCTION._config,
        clob_url=simulator.url,
        clob_market_ws_url=f"{simulator.ws_url}/ws/market",
        clob_user_ws_url=f"{simulator.ws_url}/ws/user",
        relayer_url=simulator.url,
        gamma_url=simulator.url,
        data_url=simulator.url,
        rfq_url=simulator.url,
        rpc_url=f"{simulator.url}/rpc",
    )
    return _create_environment(name="local", config=config)


@pytest.fixture
def client(simulator: Simulator) -> Iterator[SecureClient]:
    with SecureClient.create(private_key=KEY, wallet=OWNER, environment=environment(simulator)) as secure:
        yield secure


def quote(simulator: Simulator) -> None:
    simulator.action(
        type="set_quotes",
        participant="maker",
        market="standard",
        bids=[["0.48", "100"]],
        asks=[["0.52", "100"]],
    )


def accepted(response: object) -> AcceptedOrder:
    assert isinstance(response, AcceptedOrder), response
    return response


def test_orders_are_placed_listed_and_cancelled(simulator: Simulator, client: SecureClient) -> None:
    token, _ = simulator.tokens("standard")
    quote(simulator)
    order = accepted(client.place_limit_order(token_id=token, price="0.40", size="20", side="BUY"))
    assert order.status == "live"
    assert client.get_order(order_id=order.order_id).size_matched == 0
    assert [row.id for row in client.list_open_orders().first_page().items] == [order.order_id]
    canceled = client.cancel_order(order_id=order.order_id)
    assert list(canceled.canceled) == [order.order_id]
    assert list(client.list_open_orders().first_page().items) == []
    second = accepted(client.place_limit_order(token_id=token, price="0.41", size="20", side="BUY", post_only=True))
    assert list(client.cancel_all().canceled) == [second.order_id]


def test_a_market_order_trades_settles_and_shows_as_a_position(simulator: Simulator, client: SecureClient) -> None:
    token, _ = simulator.tokens("standard")
    quote(simulator)
    order = accepted(client.place_market_order(token_id=token, side="BUY", amount="26", order_type="FOK"))
    assert (order.status, order.making_amount, order.taking_amount) == ("matched", Decimal(26), Decimal(50))
    assert len(client.wait_for_order_fill_settlement(order)) == 1
    (trade,) = client.list_account_trades().first_page().items
    assert (trade.status, trade.trader_side, trade.size) == ("CONFIRMED", "TAKER", Decimal(50))
    (position,) = client.list_positions(user=OWNER).first_page().items
    assert (position.current_size, position.avg_price) == (Decimal(50), Decimal("0.52"))
    balance = client.get_balance_allowance(asset_type="CONDITIONAL", token_id=token)
    assert balance.balance == 50_000_000


def test_rejections_are_understood(simulator: Simulator, client: SecureClient) -> None:
    token, _ = simulator.tokens("standard")
    quote(simulator)
    with pytest.raises(RequestRejectedError, match="order crosses book"):
        client.place_limit_order(token_id=token, price="0.52", size="20", side="BUY", post_only=True)
    with pytest.raises(RequestRejectedError, match="balance is not enough"):
        client.place_limit_order(token_id=token, price="0.50", size="20000", side="BUY")


def test_an_order_that_lacks_allowance_is_approved_on_chain_and_sent_again(
    simulator: Simulator, client: SecureClient
) -> None:
    token, _ = simulator.tokens("standard")
    simulator.action(type="set_allowance", wallet=OWNER, cash="0")
    order = accepted(client.place_limit_order(token_id=token, price="0.40", size="20", side="BUY"))
    assert order.status == "live"


def test_restrictions_of_trading_are_understood(simulator: Simulator, client: SecureClient) -> None:
    token, _ = simulator.tokens("standard")
    for kind, restriction in (
        ("restarting", "restarting"),
        ("post_only_mode", "post_only"),
        ("cancel_only", "cancel_only"),
    ):
        simulator.action(type="fault", fault={"type": "refuse_request", "kind": kind, "path": "/order", "count": 1})
        with pytest.raises(RequestRejectedError) as refused:
            client.place_limit_order(token_id=token, price="0.40", size="20", side="BUY")
        assert refused.value.restriction == restriction


def test_heartbeats_chain_and_a_wrong_one_names_the_right(client: SecureClient) -> None:
    first = client.send_order_heartbeat()
    second = client.send_order_heartbeat(heartbeat_id=first.heartbeat_id)
    with pytest.raises(OrderHeartbeatMismatchError) as mismatch:
        client.send_order_heartbeat(heartbeat_id="wrong")
    assert mismatch.value.heartbeat_id == second.heartbeat_id


def test_the_default_wallet_is_a_funded_deposit_wallet(simulator: Simulator) -> None:
    token, _ = simulator.tokens("standard")
    with SecureClient.create(private_key=KEY, environment=environment(simulator)) as secure:
        order = accepted(secure.place_limit_order(token_id=token, price="0.40", size="20", side="BUY"))
        assert order.status == "live"
        assert secure.get_order(order_id=order.order_id).maker_address != OWNER


def test_the_catalogue_lists_markets_and_events(simulator: Simulator, client: SecureClient) -> None:
    token, other = simulator.tokens("standard")
    market = client.get_market(slug="standard")
    assert (market.outcomes.yes.token_id, market.outcomes.no.token_id) == (token, other)
    assert {market.slug for market in client.list_markets().first_page().items} == {"standard", "neg-risk"}
    assert {event.slug for event in client.list_events().first_page().items} == {"standard", "neg-risk"}


def test_both_streams_tell_what_happens(simulator: Simulator) -> None:
    token, _ = simulator.tokens("standard")

    async def scenario() -> tuple[list[object], list[object]]:
        market_events: list[object] = []
        user_events: list[object] = []
        async with await AsyncSecureClient.create(
            private_key=KEY, wallet=OWNER, environment=environment(simulator)
        ) as secure:
            market = await secure.subscribe(MarketSpec(token_ids=(token,), custom_feature_enabled=True))
            user = await secure.subscribe(UserSpec())

            async def collect(handle: object, into: list[object]) -> None:
                async for event in handle:  # type: ignore[attr-defined]
                    into.append(event)  # noqa: PERF401 - what came before a cancellation has to be kept

            tasks = [
                asyncio.create_task(collect(market, market_events)),
                asyncio.create_task(collect(user, user_events)),
            ]
            await asyncio.sleep(0.2)
            await secure.place_limit_order(token_id=token, price="0.40", size="20", side="BUY")
            await asyncio.to_thread(
                simulator.action,
                type="place_order",
                participant="taker",
                market="standard",
                side="SELL",
                price="0.40",
                size="5",
            )
            deadline = time.monotonic() + 5
            while "CONFIRMED" not in [getattr(e.payload, "status", None) for e in user_events]:  # type: ignore[attr-defined]
                assert time.monotonic() < deadline, [e.type for e in user_events]  # type: ignore[attr-defined]
                await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return market_events, user_events

    market_events, user_events = asyncio.run(scenario())
    kinds = [event.type for event in market_events]  # type: ignore[attr-defined]
    assert kinds[0] == "book"
    assert {"price_change", "last_trade_price", "best_bid_ask"} <= set(kinds)
    payloads = [event.payload for event in user_events]  # type: ignore[attr-defined]
    orders = [p.order_event_type for p in payloads if hasattr(p, "order_event_type")]
    trades = [(p.status, p.trader_side) for p in payloads if hasattr(p, "trader_side")]
    assert orders == ["PLACEMENT", "UPDATE"]
    assert trades == [("MATCHED", "MAKER"), ("MINED", "MAKER"), ("CONFIRMED", "MAKER")]
