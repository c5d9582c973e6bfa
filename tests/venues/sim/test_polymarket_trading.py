"""Orders over the wire: what the venue takes, how it refuses, what it tells and what settles."""

import trio
from tallystick.venues.sim.polymarket.order_entry import INVALID_PAYLOAD

from .memory_client import MemoryClient, quiet
from .simulated import simulated


@simulated
async def test_a_resting_order_answers_live_and_is_listed(sim: MemoryClient) -> None:
    response = await sim.alice.post(sim.market, "BUY", "0.40", "20")
    assert response.status_code == 200
    answer = response.json()
    assert (answer["success"], answer["errorMsg"], answer["status"]) == (True, "", "live")
    assert (answer["makingAmount"], answer["takingAmount"]) == ("", "")
    row = (await sim.alice.call("GET", f"/data/order/{answer['orderID']}")).json()
    assert (row["status"], row["price"], row["original_size"]) == ("LIVE", "0.4", "20")
    listed = (await sim.alice.call("GET", "/data/orders")).json()
    assert [order["id"] for order in listed["data"]] == [answer["orderID"]]
    assert listed["next_cursor"] == "LTE="


@simulated
async def test_two_people_trade_and_the_chain_moves_their_tokens(sim: MemoryClient) -> None:
    maker = (await sim.alice.post(sim.market, "BUY", "0.40", "20", outcome=1)).json()
    taker = (await sim.bob.post(sim.market, "BUY", "0.62", "20")).json()
    assert (taker["status"], taker["makingAmount"], taker["takingAmount"]) == ("matched", "12", "20")
    await trio.sleep(10)
    (seen_by_alice,) = (await sim.alice.call("GET", "/data/trades")).json()["data"]
    (seen_by_bob,) = (await sim.bob.call("GET", "/data/trades")).json()["data"]
    assert (seen_by_alice["trader_side"], seen_by_bob["trader_side"]) == ("MAKER", "TAKER")
    assert seen_by_alice["status"] == seen_by_bob["status"] == "CONFIRMED"
    (leg,) = seen_by_alice["maker_orders"]
    assert (leg["order_id"], leg["asset_id"], leg["side"], leg["price"], leg["matched_amount"]) == (
        maker["orderID"],
        sim.market.token_ids[1],
        "BUY",
        "0.4",
        "20",
    )
    balances = sim.server.books.balances()
    first, second = sim.market.token_ids
    assert balances[sim.alice.address] == {"pUSD": "992", second: "20"}
    # 12 of cash and a fee of 20 * 0.04 * 0.6 * 0.4
    assert balances[sim.bob.address] == {"pUSD": "987.808", first: "20"}


@simulated
async def test_a_deferred_order_names_its_trades_without_their_transactions(sim: MemoryClient) -> None:
    await sim.quote()
    answer = (await sim.alice.post(sim.market, "BUY", "0.52", "20", defer=True)).json()
    assert len(answer["tradeIDs"]) == 1
    assert answer["transactionsHashes"] == []


@simulated
async def test_the_same_signed_order_is_taken_once(sim: MemoryClient) -> None:
    entry = sim.alice.entry(sim.market, "BUY", "0.40", "20")
    first = await sim.alice.call("POST", "/order", entry)
    again = await sim.alice.call("POST", "/order", entry)
    assert again.status_code == 400
    assert again.json() == {"error": f"order {first.json()['orderID']} is invalid. Duplicated."}


async def refusal(sim: MemoryClient, **options: object) -> str:
    arguments: dict[str, object] = {"side": "BUY", "price": "0.40", "size": "20", **options}
    side, price, size = (str(arguments.pop(name)) for name in ("side", "price", "size"))
    response = await sim.alice.post(sim.market, side, price, size, **arguments)
    assert response.status_code == 400, response.text
    return str(response.json()["error"])


@simulated
async def test_every_refusal_has_the_venues_words(sim: MemoryClient) -> None:
    await sim.quote()
    now = sim.now_seconds()
    assert "breaks minimum tick size rule: 0.01" in await refusal(sim, price="0.405")
    assert "Size (4) lower than the minimum: 5" in await refusal(sim, size="4")
    assert (await refusal(sim, size="20.005")).startswith("invalid amounts, the buy orders")
    assert await refusal(sim, size="20000") == (
        "not enough balance / allowance: the balance is not enough -> balance: 1000000000, order amount: 8000000000"
    )
    assert "the balance is not enough -> balance: 0, order amount: 20000000" in await refusal(sim, side="SELL")
    assert await refusal(sim, price="0.52", post_only=True) == "invalid post-only order: order crosses book"
    assert await refusal(sim, order_type="GTD", expiration=now + 60) == "invalid expiration"
    assert await refusal(sim, expiration=now + 600) == "invalid expiration"
    assert (await refusal(sim, order_type="FOK")).startswith("order couldn't be fully filled.")
    assert (await refusal(sim, order_type="FAK")).startswith("no orders found to match with FAK order.")
    assert "min size: $1" in await refusal(sim, price="0.52", size="1", cash="0.52", order_type="FAK")
    assert await refusal(sim, order_type="FOK", post_only=True) == INVALID_PAYLOAD


@simulated
async def test_an_allowance_that_is_gone_is_told_apart_from_a_balance(sim: MemoryClient) -> None:
    await sim.action(type="set_allowance", wallet=sim.alice.address, cash="3")
    assert "the allowance is not enough -> spender: 0xE111180000d2663C0091e4f400237545B87B996B" in await refusal(sim)


@simulated
async def test_orders_that_do_not_belong_to_the_key_are_refused(sim: MemoryClient) -> None:
    entry = sim.alice.entry(sim.market, "BUY", "0.40", "20")
    stolen = await sim.bob.call("POST", "/order", entry)
    assert stolen.json() == {"error": "the order owner has to be the owner of the API KEY"}
    assert sim.bob.credentials is not None
    renamed = await sim.bob.call("POST", "/order", {**entry, "owner": sim.bob.credentials.api_key})
    assert renamed.json() == {"error": "the order signer address has to be the address of the API KEY"}


@simulated
async def test_a_changed_order_has_an_invalid_signature(sim: MemoryClient) -> None:
    entry = sim.alice.entry(sim.market, "BUY", "0.40", "20")
    order = entry["order"]
    assert isinstance(order, dict)
    changed = await sim.alice.call("POST", "/order", {**entry, "order": {**order, "takerAmount": "40000000"}})
    assert changed.json() == {"error": "invalid signature"}


@simulated
async def test_an_order_of_the_old_version_is_told_so(sim: MemoryClient) -> None:
    entry = sim.alice.entry(sim.market, "BUY", "0.40", "20")
    order = entry["order"]
    assert isinstance(order, dict)
    old = {name: value for name, value in order.items() if name != "timestamp"}
    response = await sim.alice.call("POST", "/order", {**entry, "order": {**old, "nonce": "0", "feeRateBps": "0"}})
    assert response.json() == {"error": "order_version_mismatch"}


@simulated
async def test_a_request_without_valid_headers_is_unauthorized(sim: MemoryClient) -> None:
    unsigned = await sim.http.get("/data/orders")
    assert (unsigned.status_code, unsigned.json()) == (401, {"error": "Unauthorized/Invalid api key"})
    assert sim.alice.credentials is not None
    headers = sim.alice.credentials.headers(
        address=sim.alice.signer.address,
        timestamp_seconds=sim.now_seconds(),
        method="GET",
        path="/data/trades",
        body=b"",
    )
    other_path = await sim.http.get("/data/orders", headers=headers)
    assert other_path.status_code == 401
    late = {**headers, "POLY_TIMESTAMP": str(sim.now_seconds() - 3_600)}
    assert (await sim.http.get("/data/trades", headers=late)).status_code == 401


@simulated
async def test_a_cancel_tells_the_true_reason(sim: MemoryClient) -> None:
    await sim.quote()
    resting = (await sim.alice.post(sim.market, "BUY", "0.40", "20")).json()["orderID"]
    filled = (await sim.alice.post(sim.market, "BUY", "0.52", "20")).json()["orderID"]
    unknown = "0x" + "ab" * 32
    foreign = (await sim.bob.post(sim.market, "BUY", "0.40", "20")).json()["orderID"]
    body = [resting, resting, filled, unknown, foreign]
    answer = (await sim.alice.call("DELETE", "/orders", body)).json()
    assert answer == {
        "canceled": [resting],
        "not_canceled": {
            resting: "Order already canceled",
            filled: "Order already matched",
            unknown: "Order not found",
            foreign: "Order not found",
        },
    }


@simulated
async def test_a_good_till_date_order_expires_a_minute_before_its_stamp(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    stamp = sim.now_seconds() + 200
    posted = await sim.alice.post(sim.market, "BUY", "0.40", "20", order_type="GTD", expiration=stamp)
    order_id = posted.json()["orderID"]
    await trio.sleep(139)
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json()["status"] == "LIVE"
    await trio.sleep(2)
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json()["status"] == "CANCELED_EXPIRED_ORDER"
    assert [(event["type"], event["status"]) for event in ears.events("order")] == [
        ("PLACEMENT", "LIVE"),
        ("CANCELLATION", "CANCELED"),
    ]


@simulated
async def test_a_marketable_order_waits_where_takers_are_delayed(sim: MemoryClient) -> None:
    market = sim.server.venue.catalogue.all()[2]
    await sim.action(type="set_quotes", participant="maker", market="delayed", asks=[["0.52", "100"]])
    posted = (await sim.alice.post(market, "BUY", "0.52", "20")).json()
    assert posted["status"] == "delayed"
    canceled = (await sim.alice.call("DELETE", "/order", {"orderID": posted["orderID"]})).json()
    assert canceled["not_canceled"] == {posted["orderID"]: "order is delayed and can't be canceled yet"}
    await trio.sleep(0.3)
    row = (await sim.alice.call("GET", f"/data/order/{posted['orderID']}")).json()
    assert (row["status"], row["size_matched"]) == ("MATCHED", "20")


@simulated
async def test_silence_after_a_heartbeat_cancels_everything_of_the_key(sim: MemoryClient) -> None:
    order_id = (await sim.alice.post(sim.market, "BUY", "0.40", "20")).json()["orderID"]
    other_id = (await sim.bob.post(sim.market, "BUY", "0.40", "20")).json()["orderID"]
    beat = (await sim.alice.call("POST", "/v1/heartbeats", {"heartbeat_id": ""})).json()
    await trio.sleep(9)
    assert (await sim.alice.call("POST", "/v1/heartbeats", beat)).status_code == 200
    await trio.sleep(9)
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json()["status"] == "LIVE"
    await trio.sleep(7)
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json()["status"] == "CANCELED"
    assert (await sim.bob.call("GET", f"/data/order/{other_id}")).json()["status"] == "LIVE"


@simulated
async def test_a_batch_is_answered_leg_by_leg_and_has_a_limit(sim: MemoryClient) -> None:
    legs = [sim.alice.entry(sim.market, "BUY", "0.40", "20"), sim.alice.entry(sim.market, "BUY", "0.405", "20")]
    results = (await sim.alice.call("POST", "/orders", legs)).json()
    assert [result["success"] for result in results] == [True, False]
    assert (results[1]["orderID"], results[1]["makingAmount"]) == ("", "")
    many = [sim.alice.entry(sim.market, "BUY", "0.40", "20") for _ in range(16)]
    response = await sim.alice.call("POST", "/orders", many)
    assert (response.status_code, response.json()) == (400, {"error": "Too many orders in payload"})


@simulated
async def test_a_signer_who_sends_too_much_is_told_to_wait(sim: MemoryClient) -> None:
    for _ in range(60):
        assert (await sim.alice.post(sim.market, "BUY", "0.40", "5")).status_code == 200
    response = await sim.alice.post(sim.market, "BUY", "0.40", "5")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert response.headers["poly-ratelimit-tier"] == "standard"
    assert (await sim.bob.post(sim.market, "BUY", "0.40", "5")).status_code == 200
    assert (await sim.alice.call("DELETE", "/cancel-all")).status_code == 200
    await trio.sleep(1)
    assert (await sim.alice.post(sim.market, "BUY", "0.41", "5")).status_code == 200


@simulated
async def test_orders_are_paged_to_the_end(sim: MemoryClient) -> None:
    ids = []
    for _ in range(3):
        legs = [sim.alice.entry(sim.market, "BUY", "0.02", "5") for _ in range(15)]
        ids += [result["orderID"] for result in (await sim.alice.call("POST", "/orders", legs)).json()]
        await trio.sleep(2)
    for _ in range(4):
        legs = [sim.alice.entry(sim.market, "BUY", "0.03", "5") for _ in range(15)]
        ids += [result["orderID"] for result in (await sim.alice.call("POST", "/orders", legs)).json()]
        await trio.sleep(2)
    first = (await sim.alice.call("GET", "/data/orders", next_cursor="MA==")).json()
    assert (first["count"], first["limit"]) == (100, 100)
    second = (await sim.alice.call("GET", "/data/orders", next_cursor=first["next_cursor"])).json()
    assert second["next_cursor"] == "LTE="
    assert {row["id"] for row in first["data"] + second["data"]} == set(ids)


@simulated
async def test_a_wallet_that_gives_its_money_away_loses_its_resting_orders(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    order_id = (await sim.alice.post(sim.market, "BUY", "0.40", "1000")).json()["orderID"]
    await sim.action(type="transfer", source=sim.alice.address, target=sim.bob.address, asset="cash", amount="900")
    await trio.sleep(4)
    row = (await sim.alice.call("GET", f"/data/order/{order_id}")).json()
    assert row["status"] == "CANCELED_NOT_ENOUGH_BALANCE"
    assert ears.events("order")[-1]["status"] == "CANCELED_NOT_ENOUGH_BALANCE"


@simulated
async def test_a_tick_change_keeps_what_rests_and_refuses_the_old_grid(sim: MemoryClient) -> None:
    ears = await sim.hear_market(sim.market.token_ids[0])
    order_id = (await sim.alice.post(sim.market, "BUY", "0.41", "20")).json()["orderID"]
    await sim.action(type="change_tick", market="first", tick_size="0.1")
    assert "breaks minimum tick size rule: 0.1" in await refusal(sim, price="0.42")
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json()["status"] == "LIVE"
    await quiet()
    (event,) = ears.events("tick_size_change")
    assert (event["old_tick_size"], event["new_tick_size"]) == ("0.01", "0.1")


@simulated
async def test_a_resolved_market_cancels_pays_and_closes(sim: MemoryClient) -> None:
    await sim.quote()
    await sim.alice.post(sim.market, "BUY", "0.52", "20")
    resting = (await sim.alice.post(sim.market, "BUY", "0.40", "20")).json()["orderID"]
    await trio.sleep(10)
    ears = await sim.hear_market(*sim.market.token_ids, extra=True)
    await sim.action(type="resolve_market", market="first", outcome="Yes")
    row = (await sim.alice.call("GET", f"/data/order/{resting}")).json()
    assert row["status"] == "CANCELED_MARKET_RESOLVED"
    assert (await sim.alice.post(sim.market, "BUY", "0.40", "20")).json() == {
        "error": "the market is not yet ready to process new orders"
    }
    await quiet()
    assert ears.events("market_resolved")[0]["winning_outcome"] == "Yes"
    page = (await sim.http.get("/v2/positions", params={"user": sim.alice.address})).json()
    assert (page["data"][0]["status"], page["data"][0]["redeemable"]) == ("REDEEMABLE", True)
    before = sim.server.books.balances()[sim.alice.address]["pUSD"]
    await sim.action(type="redeem", wallet=sim.alice.address, market="first")
    await trio.sleep(4)
    after = sim.server.books.balances()[sim.alice.address]
    assert float(after["pUSD"]) == float(before) + 20
    assert list(after) == ["pUSD"]
