"""The Data API, Gamma and the small CLOB endpoints over HTTP."""

from decimal import Decimal

import pytest
import trio

from .memory_client import MemoryClient
from .simulated import simulated


async def trade(sim: MemoryClient) -> None:
    """Alice buys 20 at 0.52 and sells 5 at 0.48."""
    await sim.quote()
    await sim.alice.post(sim.market, "BUY", "0.52", "20")
    await trio.sleep(10)
    await sim.alice.post(sim.market, "SELL", "0.48", "5")
    await trio.sleep(10)


@simulated
async def test_a_position_shows_size_cost_and_profit(sim: MemoryClient) -> None:
    await trade(sim)
    page = (await sim.http.get("/v2/positions", params={"user": sim.alice.address, "limit": "100"})).json()
    (row,) = page["data"]
    assert (row["token_id"], row["outcome"], row["status"]) == (sim.market.token_ids[0], "Yes", "OPEN")
    assert (row["current_size"], row["total_size"], row["avg_price"]) == (15, 20, 0.52)
    assert row["entry_cost_usdc"] == pytest.approx(7.8)
    assert row["realized_pnl"] == pytest.approx(-0.2)
    assert (row["current_price"], row["current_value"]) == (0.5, 7.5)
    assert page["pagination"] == {"has_more": False, "next_cursor": None}
    value = (await sim.http.get("/v2/value", params={"user": sim.alice.address})).json()
    assert value["data"]["value"] == 7.5


@simulated
async def test_positions_can_be_asked_by_status_and_condition(sim: MemoryClient) -> None:
    await trade(sim)

    async def count(**query: str) -> int:
        answer = await sim.http.get("/v2/positions", params={"user": sim.alice.address, **query})
        return len(answer.json()["data"])

    other = sim.server.venue.catalogue.all()[1].condition_id
    assert await count(condition_id=sim.market.condition_id) == 1
    assert await count(condition=other) == 0
    assert await count(status="CLOSED") == 0
    assert await count(status="MERGEABLE") == 0
    await sim.action(type="split", wallet=sim.alice.address, market="first", amount="3")
    await trio.sleep(4)
    assert await count(status="MERGEABLE") == 2
    await sim.action(
        type="transfer",
        source=sim.alice.address,
        target=sim.bob.address,
        asset=sim.market.token_ids[0],
        amount="18",
    )
    await trio.sleep(4)
    assert await count(status="CLOSED", sort_by="TOKENS", sort_direction="ASC") == 1
    bad = await sim.http.get("/v2/positions", params={"user": "nobody"})
    assert bad.status_code == 400


@simulated
async def test_activity_tells_everything_that_moved_money(sim: MemoryClient) -> None:
    await trade(sim)
    await sim.action(type="split", wallet=sim.alice.address, market="first", amount="3")
    await trio.sleep(4)
    await sim.action(type="merge", wallet=sim.alice.address, market="first", amount="2")
    await trio.sleep(4)
    await sim.action(type="pay_rebate", wallet=sim.alice.address, amount="0.25")
    await sim.action(type="transfer", source=sim.alice.address, target=sim.bob.address, asset="cash", amount="5")
    await trio.sleep(4)
    question = {"user": sim.alice.address}
    rows = (await sim.http.get("/v2/activity", params=question)).json()["data"]
    assert [(row["type"], row["usdc_size"]) for row in reversed(rows)] == [
        ("DEPOSIT", 1000),
        ("TRADE", 10.4),
        ("TRADE", 2.4),
        ("SPLIT", 3),
        ("MERGE", 2),
        ("MAKER_REBATE", 0.25),
        ("WITHDRAWAL", 5),
    ]
    trades = (await sim.http.get("/v2/activity", params={**question, "type": "TRADE"})).json()["data"]
    assert [row["side"] for row in trades] == ["SELL", "BUY"]
    listed = (await sim.http.get("/v2/trades", params={**question, "side": "BUY"})).json()["data"]
    assert [(row["size"], row["price"]) for row in listed] == [(20, 0.52)]
    received = (await sim.http.get("/v2/activity", params={"user": sim.bob.address})).json()["data"]
    assert [(row["type"], row["usdc_size"]) for row in received] == [("DEPOSIT", 5), ("DEPOSIT", 1000)]


@simulated
async def test_listings_are_paged_with_cursors(sim: MemoryClient) -> None:
    await trade(sim)
    seen, cursor, pages = [], None, 0
    while True:
        query = {"user": sim.alice.address, "limit": "1", **({} if cursor is None else {"cursor": cursor})}
        page = (await sim.http.get("/v2/activity", params=query)).json()
        seen += [row["type"] for row in page["data"]]
        cursor, pages = page["pagination"]["next_cursor"], pages + 1
        assert page["pagination"]["has_more"] is (cursor is not None)
        if cursor is None:
            break
    assert (seen, pages) == (["TRADE", "TRADE", "DEPOSIT"], 3)


@simulated
async def test_money_is_conserved_whatever_was_done(sim: MemoryClient) -> None:
    async def worth() -> Decimal:
        """Cash plus complete pairs, over every wallet and the fee collector."""
        total = Decimal(0)
        for held in sim.server.books.balances().values():
            total += Decimal(held.get("pUSD", "0"))
        for market in sim.server.venue.catalogue.all():
            first, second = market.token_ids
            sums = [
                sum((Decimal(held.get(t, "0")) for held in sim.server.books.balances().values()), Decimal(0))
                for t in (first, second)
            ]
            assert sums[0] == sums[1], "pairs are made and retired whole"
            total += sums[0]
        fees = sum((Decimal(row["taker_fee"]) for row in sim.server.books.trades(None)), Decimal(0))  # type: ignore[arg-type]
        return total + fees

    await sim.quote()
    before = await worth()
    for price, side in (("0.52", "BUY"), ("0.30", "BUY"), ("0.48", "SELL"), ("0.60", "BUY")):
        await sim.alice.post(sim.market, side, price, "20")
        await sim.bob.post(sim.market, "BUY", price, "20", outcome=1)
        await trio.sleep(10)
    await sim.action(type="split", wallet=sim.alice.address, market="first", amount="3")
    await trio.sleep(10)
    assert len(sim.server.books.trades(None)) >= 4
    assert {leg["kind"] for row in sim.server.books.trades(None) for leg in row["legs"]} >= {"DIRECT", "MINT"}  # type: ignore[attr-defined]
    assert await worth() == before


@simulated
async def test_gamma_lists_markets_by_what_they_are_called(sim: MemoryClient) -> None:
    market = sim.market
    for query in (
        {"slug": "first"},
        {"condition_ids": market.condition_id},
        {"clob_token_ids": market.token_ids[1]},
        {"id": market.market_id},
    ):
        (row,) = (await sim.http.get("/markets/keyset", params=query)).json()["markets"]
        assert row["conditionId"] == market.condition_id
        assert row["clobTokenIds"] == f'["{market.token_ids[0]}","{market.token_ids[1]}"]'
    page = (await sim.http.get("/markets/keyset", params={"limit": "2"})).json()
    rest = (await sim.http.get("/markets/keyset", params={"limit": "2", "after_cursor": page["next_cursor"]})).json()
    assert [len(page["markets"]), len(rest["markets"])] == [2, 1]
    assert "next_cursor" not in rest
    assert (await sim.http.get(f"/markets/{market.market_id}")).json()["slug"] == "first"
    assert (await sim.http.get("/markets/slug/first")).json()["orderPriceMinTickSize"] == 0.01
    assert (await sim.http.get("/events/slug/second")).json()["negRisk"] is True
    assert (await sim.http.get("/markets/slug/none")).status_code == 404


@simulated
async def test_the_clob_tells_what_an_order_needs_to_know(sim: MemoryClient) -> None:
    first, second = sim.market.token_ids
    await sim.quote()
    by_token = (await sim.http.get(f"/markets-by-token/{second}")).json()
    assert by_token["primary_token_id"] == first
    short = (await sim.http.get(f"/clob-markets/{by_token['condition_id']}")).json()
    assert (short["mts"], short["mos"], short["nr"], short["fd"]) == (0.01, 5, False, {"r": 0.04, "e": 1, "to": True})
    assert [token["t"] for token in short["t"]] == [first, second]
    assert (await sim.http.get("/tick-size", params={"token_id": first})).json() == {"minimum_tick_size": 0.01}
    assert (await sim.http.get("/time")).json() == sim.now_seconds()
    assert (await sim.http.post("/midpoints", json=[{"token_id": first}])).json() == {first: "0.5"}
    prices = [{"token_id": first, "side": "BUY"}, {"token_id": second, "side": "SELL"}]
    assert (await sim.http.post("/prices", json=prices)).json() == {first: {"BUY": "0.48"}, second: {"SELL": "0.52"}}
    assert (await sim.http.get("/book", params={"token_id": "7"})).status_code == 404
    assert (await sim.http.get("/no/such/path")).status_code == 404


@simulated
async def test_read_only_keys_ask_and_do_not_trade(sim: MemoryClient) -> None:
    key = (await sim.alice.call("POST", "/auth/readonly-api-key")).json()["apiKey"]
    assert (await sim.alice.call("GET", "/auth/readonly-api-keys")).json() == {"readonlyApiKeys": [key]}
    assert (await sim.alice.call("DELETE", "/auth/readonly-api-key", {"key": key})).json() == "OK"
    assert (await sim.alice.call("DELETE", "/auth/readonly-api-key", {"key": key})).status_code == 404


@simulated
async def test_an_order_can_be_asked_for_in_the_older_form(sim: MemoryClient) -> None:
    order_id = (await sim.alice.post(sim.market, "BUY", "0.40", "20")).json()["orderID"]
    row = (await sim.alice.call("GET", f"/order/{order_id}")).json()
    assert (row["status"], row["original_size"]) == ("ORDER_STATUS_LIVE", "20000000")
    assert (await sim.alice.call("GET", "/order/0xab")).status_code == 404
    assert (await sim.alice.call("GET", "/data/order/0xab")).json() is None
