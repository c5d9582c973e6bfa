"""The websocket channels: what is told, to whom, in which shape and order."""

import hashlib

import msgspec
import trio

from .memory_client import MemoryClient, quiet
from .simulated import simulated


def shown_hash(book: dict[str, object]) -> str:
    """The hash of a book, computed as the official client does."""
    names = ("market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size", "tick_size", "neg_risk")
    payload = {name: "" if name == "hash" else book[name] for name in (*names, "last_trade_price")}
    return hashlib.sha1(msgspec.json.encode(payload)).hexdigest()


@simulated
async def test_a_subscriber_gets_the_book_first_and_its_hash_is_right(sim: MemoryClient) -> None:
    await sim.quote()
    token = sim.market.token_ids[0]
    ears = await sim.hear_market(token)
    (book,) = ears.events("book")
    assert (book["asset_id"], book["bids"], book["asks"]) == (
        token,
        [{"price": "0.48", "size": "100"}],
        [{"price": "0.52", "size": "100"}],
    )
    assert book["hash"] == shown_hash(book)
    rest = (await sim.http.get("/book", params={"token_id": token})).json()
    assert {name: book[name] for name in rest} == rest


@simulated
async def test_a_change_is_told_with_new_totals_for_both_outcomes(sim: MemoryClient) -> None:
    first, second = sim.market.token_ids
    ears = await sim.hear_market(first)
    await sim.alice.post(sim.market, "BUY", "0.40", "20")
    await sim.alice.post(sim.market, "BUY", "0.40", "10")
    await quiet()
    changes = [event["price_changes"] for event in ears.events("price_change")]
    assert [
        [(c["asset_id"], c["side"], c["price"], c["size"], c["best_bid"], c["best_ask"]) for c in change]  # type: ignore[attr-defined]
        for change in changes
    ] == [
        [(first, "BUY", "0.4", "20", "0.4", "1"), (second, "SELL", "0.6", "20", "0", "0.6")],
        [(first, "BUY", "0.4", "30", "0.4", "1"), (second, "SELL", "0.6", "30", "0", "0.6")],
    ]


@simulated
async def test_a_trade_is_told_as_trade_then_levels_then_book(sim: MemoryClient) -> None:
    token = sim.market.token_ids[0]
    await sim.quote()
    ears = await sim.hear_market(token)
    await sim.alice.post(sim.market, "BUY", "0.52", "100")
    await quiet()
    assert [event["event_type"] for event in ears.heard] == ["book", "last_trade_price", "price_change", "book"]
    trade, change, book = ears.heard[1:]
    assert (trade["price"], trade["size"], trade["side"]) == ("0.52", "100", "BUY")
    assert change["price_changes"][0]["size"] == "0"  # type: ignore[index]
    assert (book["asks"], book["last_trade_price"], book["hash"]) == ([], "0.52", shown_hash(book))


@simulated
async def test_best_prices_and_new_markets_are_told_only_where_asked_for(sim: MemoryClient) -> None:
    token = sim.market.token_ids[0]
    plain, extra = await sim.hear_market(token), await sim.hear_market(token, extra=True)
    await sim.quote()
    await sim.action(type="create_market", market={"question": "Another"})
    await quiet()
    assert {event["event_type"] for event in plain.heard} == {"book", "price_change"}
    assert extra.events("best_bid_ask")[-1]["spread"] == "0.04"
    assert extra.events("new_market")[0]["question"] == "Another"


@simulated
async def test_subscriptions_can_be_added_and_taken_back(sim: MemoryClient) -> None:
    first, second = sim.market.token_ids
    ears = await sim.hear_market(first)
    await ears.say({"operation": "subscribe", "assets_ids": [second]})
    await ears.say({"operation": "unsubscribe", "assets_ids": [first, second]})
    await sim.alice.post(sim.market, "BUY", "0.40", "20")
    await quiet()
    assert [event["asset_id"] for event in ears.events("book")] == [first, second]
    assert ears.events("price_change") == []


@simulated
async def test_an_empty_subscription_means_every_market(sim: MemoryClient) -> None:
    ears = await sim.hear_market()
    await quiet()
    assert len(ears.events("book")) == 6


@simulated
async def test_ping_is_answered_with_pong_and_nonsense_with_silence(sim: MemoryClient) -> None:
    ears = await sim.hear_market(sim.market.token_ids[0])
    for text in ("PING", "not json", "[1, 2]", '{"operation": 5}', '{"type": "market", "assets_ids": [7]}'):
        await ears.say(text)
    assert [text for text in ears.texts if not text.startswith("{")] == ["PONG"]
    assert not ears.lost


@simulated
async def test_wrong_credentials_lose_the_connection_without_a_word(sim: MemoryClient) -> None:
    ears = await sim.listen("user")
    await ears.say({"type": "user", "auth": {"apiKey": "x", "secret": "y", "passphrase": "z"}})
    await quiet()
    assert ears.lost
    assert ears.texts == []


@simulated
async def test_the_user_channel_tells_an_orders_life_and_every_step_of_settlement(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.alice.post(sim.market, "BUY", "0.40", "20")
    await sim.action(type="place_order", participant="taker", market="first", side="SELL", price="0.40", size="5")
    await trio.sleep(10)
    await sim.alice.call("DELETE", "/cancel-all")
    await quiet()
    told = [(e["event_type"], e.get("type"), e.get("status"), e.get("size_matched")) for e in ears.heard]
    assert told == [
        ("order", "PLACEMENT", "LIVE", "0"),
        ("order", "UPDATE", "LIVE", "5"),
        ("trade", "TRADE", "MATCHED", None),
        ("trade", "TRADE", "MINED", None),
        ("trade", "TRADE", "CONFIRMED", None),
        ("order", "CANCELLATION", "CANCELED", "5"),
    ]
    trades = ears.events("trade")
    assert {trade["trader_side"] for trade in trades} == {"MAKER"}
    assert len({trade["transaction_hash"] for trade in trades}) == 1
    assert ears.heard[-1]["associate_trades"] == [trades[0]["id"]]


@simulated
async def test_the_user_channel_can_be_narrowed_to_markets(sim: MemoryClient) -> None:
    first, second = sim.server.venue.catalogue.all()[:2]
    ears = await sim.listen("user")
    assert sim.alice.credentials is not None
    await ears.say({"type": "user", "auth": sim.alice.credentials.stream_auth(), "markets": [second.condition_id]})
    await sim.alice.post(first, "BUY", "0.40", "20")
    await sim.alice.post(second, "BUY", "0.405", "20")
    await quiet()
    assert [event["market"] for event in ears.heard] == [second.condition_id]
    await ears.say({"operation": "subscribe", "markets": [first.condition_id]})
    await sim.alice.post(first, "BUY", "0.41", "20")
    await quiet()
    assert ears.heard[-1]["market"] == first.condition_id


@simulated
async def test_nobody_hears_of_other_peoples_orders(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.bob)
    await sim.alice.post(sim.market, "BUY", "0.40", "20")
    await quiet()
    assert ears.heard == []
