"""Every fault switch bites: each test sees the world go wrong in the one way that was asked for, and then heal."""

import httpx
import pytest
import trio
from tallystick.venues.sim.polymarket.faults import ActiveFault, Faults, LagNode, LoseReply

from .memory_client import MemoryClient, quiet
from .simulated import simulated


async def fill(sim: MemoryClient, size: str = "5") -> None:
    """A background taker sells into the book."""
    await sim.action(type="place_order", participant="taker", market="first", side="SELL", price="0.40", size=size)


def statuses(ears: object) -> list[object]:
    return [event["status"] for event in ears.events("trade")]  # type: ignore[attr-defined]


async def resting(sim: MemoryClient) -> str:
    return str((await sim.alice.post(sim.market, "BUY", "0.40", "20")).json()["orderID"])


@simulated
async def test_a_dropped_trade_frame_never_arrives_and_the_rest_does(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await resting(sim)
    await sim.fault("drop_frame", channel="user", event="trade", status="MATCHED", count=1)
    await fill(sim)
    await fill(sim)
    await trio.sleep(10)
    assert statuses(ears) == ["MATCHED", "MINED", "MINED", "CONFIRMED", "CONFIRMED"]
    assert not ears.lost
    assert len((await sim.alice.call("GET", "/data/trades")).json()["data"]) == 2


@simulated
async def test_a_duplicated_frame_arrives_twice(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await resting(sim)
    await sim.fault("duplicate_frame", event="trade", status="MATCHED", count=1)
    await fill(sim)
    await quiet()
    assert statuses(ears) == ["MATCHED", "MATCHED"]


@simulated
async def test_a_delayed_frame_is_overtaken(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await resting(sim)
    await sim.fault("delay_frame", event="trade", status="MATCHED", by_seconds=60, count=1)
    await fill(sim)
    await trio.sleep(59)
    assert statuses(ears) == ["MINED", "CONFIRMED"]
    await trio.sleep(2)
    assert statuses(ears) == ["MINED", "CONFIRMED", "MATCHED"]


@simulated
async def test_reordered_frames_change_places(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await resting(sim)
    await sim.fault("reorder_frames", event="order", status="UPDATE", count=1)
    await fill(sim)
    await quiet()
    assert [event["event_type"] for event in ears.heard] == ["order", "trade", "order"]


@simulated
async def test_the_connection_is_cut_before_a_frame(sim: MemoryClient) -> None:
    ears, other = await sim.hear_user(sim.alice), await sim.hear_market(sim.market.token_ids[0])
    await resting(sim)
    await sim.fault("cut_before_frame", event="trade", count=1)
    await fill(sim)
    await quiet()
    assert ears.lost
    assert statuses(ears) == []
    assert not other.lost
    again = await sim.hear_user(sim.alice)
    await fill(sim)
    await quiet()
    assert statuses(again)[0] == "MATCHED"


@simulated
async def test_every_stream_can_be_cut_at_once(sim: MemoryClient) -> None:
    user, market = await sim.hear_user(sim.alice), await sim.hear_market(sim.market.token_ids[0])
    assert await sim.action(type="cut_streams", channel="market") == {"cut": 1}
    await quiet()
    assert (user.lost, market.lost) == (False, True)
    assert await sim.action(type="cut_streams") == {"cut": 1}
    await quiet()
    assert user.lost


@simulated
async def test_a_frozen_stream_stays_open_and_says_nothing(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("freeze_streams", channel="user", seconds=30)
    await resting(sim)
    await ears.say("PING")
    assert ears.texts == []
    assert not ears.lost
    await trio.sleep(31)
    await ears.say("PING")
    assert ears.texts == ["PONG"]


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("restarting", 425, "Too Early"),
        ("trading_disabled", 503, "Trading is currently disabled"),
        ("cancel_only", 503, "Trading is currently cancel-only"),
        ("post_only_mode", 503, "post-only mode: only post-only orders and cancels are allowed"),
        ("rate_limited", 429, "Too Many Requests"),
        ("internal_error", 500, "internal server error"),
        ("unauthorized", 401, "Unauthorized/Invalid api key"),
        ("geoblocked", 403, "Trading restricted in your region"),
        ("html", 502, "<!DOCTYPE html>"),
    ],
)
@simulated
async def test_a_refused_order_was_not_taken(sim: MemoryClient, kind: str, status: int, text: str) -> None:
    await sim.fault("refuse_request", kind=kind, path="/order", method="POST", count=1)
    entry = sim.alice.entry(sim.market, "BUY", "0.40", "20")
    response = await sim.alice.call("POST", "/order", entry)
    assert response.status_code == status
    assert text in response.text
    assert (await sim.alice.call("GET", "/data/orders")).json()["data"] == []
    assert (await sim.alice.call("POST", "/order", entry)).status_code == 200


@simulated
async def test_a_refusal_can_last_for_a_while(sim: MemoryClient) -> None:
    await sim.fault("refuse_request", kind="restarting", path="/order", seconds=90)
    assert (await sim.alice.post(sim.market, "BUY", "0.40", "20")).status_code == 425
    await trio.sleep(89)
    assert (await sim.alice.post(sim.market, "BUY", "0.40", "20")).status_code == 425
    await trio.sleep(2)
    assert (await sim.alice.post(sim.market, "BUY", "0.40", "20")).status_code == 200


@simulated
async def test_post_only_mode_lets_post_only_orders_and_cancels_pass(sim: MemoryClient) -> None:
    await sim.fault("refuse_request", kind="post_only_mode", retry_after_seconds=79)
    refused = await sim.alice.post(sim.market, "BUY", "0.40", "20")
    assert (refused.json()["code"], refused.json()["retry_after_seconds"]) == ("post_only_mode", 79)
    passed = await sim.alice.post(sim.market, "BUY", "0.40", "20", post_only=True)
    assert passed.status_code == 200
    assert (await sim.alice.call("DELETE", "/cancel-all")).json()["canceled"] == [passed.json()["orderID"]]


@simulated
async def test_a_lost_reply_leaves_the_order_on_the_book(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("lose_reply", path="/order", method="POST", count=1)
    entry = sim.alice.entry(sim.market, "BUY", "0.40", "20")
    with pytest.raises(httpx.RemoteProtocolError):
        await sim.alice.call("POST", "/order", entry)
    await quiet()
    assert [event["type"] for event in ears.heard] == ["PLACEMENT"]
    again = await sim.alice.call("POST", "/order", entry)
    assert "is invalid. Duplicated." in again.json()["error"]


@simulated
async def test_an_error_after_acceptance_leaves_the_order_on_the_book(sim: MemoryClient) -> None:
    await sim.fault("fail_after_accept", path="/order", count=1)
    response = await sim.alice.post(sim.market, "BUY", "0.40", "20")
    assert (response.status_code, response.json()) == (500, {"error": "could not run the execution"})
    assert len((await sim.alice.call("GET", "/data/orders")).json()["data"]) == 1


@simulated
async def test_a_late_reply_comes_after_the_events_of_its_order(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("delay_reply", path="/order", by_seconds=3, count=1)
    with trio.move_on_after(1) as gave_up:
        await resting(sim)
    assert gave_up.cancelled_caught
    assert [event["type"] for event in ears.heard] == ["PLACEMENT"]


@simulated
async def test_without_a_fault_the_reply_comes_before_the_events(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await resting(sim)
    heard_at_reply = list(ears.heard)
    await quiet()
    assert heard_at_reply == []
    assert len(ears.heard) == 1


@simulated
async def test_a_delayed_request_is_carried_out_late(sim: MemoryClient) -> None:
    await sim.fault("delay_request", path="/order", by_seconds=5, count=1)
    started = trio.current_time()
    order_id = await resting(sim)
    assert trio.current_time() - started == pytest.approx(5)
    row = (await sim.alice.call("GET", f"/data/order/{order_id}")).json()
    assert row["created_at"] == sim.now_seconds()


@simulated
async def test_a_null_order_exists_all_the_same(sim: MemoryClient) -> None:
    order_id = await resting(sim)
    await sim.fault("null_order", order_id=order_id, count=1)
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json() is None
    assert (await sim.alice.call("GET", f"/data/order/{order_id}")).json()["status"] == "LIVE"


@simulated
async def test_hidden_orders_and_trades_appear_in_the_lists_later(sim: MemoryClient) -> None:
    await sim.fault("hide_from_lists", lag_seconds=20, seconds=1_000)
    await resting(sim)
    await fill(sim)
    assert (await sim.alice.call("GET", "/data/orders")).json()["data"] == []
    assert (await sim.alice.call("GET", "/data/trades")).json()["data"] == []
    await trio.sleep(21)
    assert len((await sim.alice.call("GET", "/data/orders")).json()["data"]) == 1
    assert len((await sim.alice.call("GET", "/data/trades")).json()["data"]) == 1


@simulated
async def test_the_data_api_lags_behind_the_chain(sim: MemoryClient) -> None:
    await resting(sim)
    await fill(sim)
    await trio.sleep(10)
    await sim.fault("lag_data_api", lag_seconds=60, seconds=1_000)
    question = {"user": sim.alice.address}
    assert (await sim.http.get("/v2/positions", params=question)).json()["data"] == []
    await trio.sleep(60)
    assert (await sim.http.get("/v2/positions", params=question)).json()["data"][0]["current_size"] == 5


@simulated
async def test_stale_balances_are_told_until_an_update_is_asked_for(sim: MemoryClient) -> None:
    async def cash() -> str:
        answer = await sim.alice.call("GET", "/balance-allowance", asset_type="COLLATERAL", signature_type="0")
        return str(answer.json()["balance"])

    before = await cash()
    await sim.fault("stale_balances")
    await sim.action(type="pay_rebate", wallet=sim.alice.address, amount="7")
    await trio.sleep(4)
    assert await cash() == before
    await sim.alice.call("GET", "/balance-allowance/update", asset_type="COLLATERAL", signature_type="0")
    assert int(await cash()) == int(before) + 7_000_000


@simulated
async def test_a_failed_settlement_moves_nothing_and_ends_failed(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    before = sim.server.books.balances()[sim.alice.address]
    await sim.fault("fail_settlement", count=1)
    await resting(sim)
    await fill(sim)
    await trio.sleep(30)
    assert statuses(ears) == ["MATCHED", "RETRYING", "RETRYING", "FAILED"]
    assert sim.server.books.balances()[sim.alice.address] == before
    receipt = await sim.rpc("eth_getTransactionReceipt", ears.events("trade")[-1]["transaction_hash"])
    assert isinstance(receipt, dict)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert (await sim.http.get("/v2/positions", params={"user": sim.alice.address})).json()["data"] == []


@simulated
async def test_a_retried_settlement_arrives_under_another_hash(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("retry_settlement", times=1, count=1)
    await resting(sim)
    await fill(sim)
    await trio.sleep(30)
    assert statuses(ears) == ["MATCHED", "RETRYING", "MINED", "CONFIRMED"]
    hashes = [event["transaction_hash"] for event in ears.events("trade")]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]


@simulated
async def test_a_changed_hash_is_mined_without_retrying(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("change_hash", count=1)
    await resting(sim)
    await fill(sim)
    await trio.sleep(30)
    assert statuses(ears) == ["MATCHED", "MINED", "CONFIRMED"]
    matched, mined, _ = (event["transaction_hash"] for event in ears.events("trade"))
    assert matched != mined
    assert await sim.rpc("eth_getTransactionReceipt", matched) is None


@simulated
async def test_a_stalled_settlement_waits_until_it_is_settled_by_hand(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("stall_settlement", count=1)
    await resting(sim)
    await fill(sim)
    await trio.sleep(3_600)
    assert statuses(ears) == ["MATCHED"]
    assert await sim.action(type="settle_now") == {"settled": 1}
    await quiet()
    assert statuses(ears) == ["MATCHED", "MINED", "CONFIRMED"]


@simulated
async def test_a_reorg_takes_a_mined_trade_back_and_it_is_mined_again(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    first = sim.market.token_ids[0]
    await resting(sim)
    await fill(sim)
    # Mined within two and a half seconds, confirmed four later.
    await trio.sleep(3)
    assert statuses(ears) == ["MATCHED", "MINED"]
    assert sim.server.books.balances()[sim.alice.address][first] == "5"
    head = await sim.rpc("eth_getBlockByNumber", "latest", False)
    assert isinstance(head, dict)
    assert await sim.action(type="reorg", depth=1) == {"undone": 1}
    assert first not in sim.server.books.balances()[sim.alice.address]
    replaced = await sim.rpc("eth_getBlockByNumber", head["number"], False)
    assert isinstance(replaced, dict)
    assert replaced["hash"] != head["hash"]
    assert replaced["parentHash"] == head["parentHash"]
    await trio.sleep(20)
    assert statuses(ears) == ["MATCHED", "MINED", "RETRYING", "MINED", "CONFIRMED"]
    assert sim.server.books.balances()[sim.alice.address][first] == "5"


@simulated
async def test_a_dropped_allowance_cancels_what_rests_and_reverts_what_is_under_way(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    order_id = await resting(sim)
    await fill(sim)
    await sim.action(type="set_allowance", wallet=sim.alice.address, cash="0")
    await trio.sleep(30)
    row = (await sim.alice.call("GET", f"/data/order/{order_id}")).json()
    assert (row["status"], row["size_matched"]) == ("CANCELED_NOT_ENOUGH_BALANCE", "5")
    assert statuses(ears) == ["MATCHED", "RETRYING", "RETRYING", "FAILED"]


@simulated
async def test_a_heartbeat_can_be_made_to_expire(sim: MemoryClient) -> None:
    order_id = await resting(sim)
    await sim.alice.call("POST", "/v1/heartbeats", {"heartbeat_id": ""})
    assert await sim.action(type="expire_heartbeat", owner=sim.bob.address) == {"canceled": []}
    assert await sim.action(type="expire_heartbeat") == {"canceled": [order_id]}


@simulated
async def test_dust_is_told_and_does_not_settle(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("dust_sizes", count=1)
    await resting(sim)
    await fill(sim)
    await trio.sleep(10)
    assert ears.events("trade")[0]["maker_orders"][0]["matched_amount"] == "5.0000000000012"  # type: ignore[index]
    assert sim.server.books.balances()[sim.alice.address][sim.market.token_ids[0]] == "5"


@simulated
async def test_requests_are_judged_by_a_clock_that_can_be_wrong(sim: MemoryClient) -> None:
    await sim.fault("skew_clock", ahead_seconds=400, seconds=60)
    assert (await sim.http.get("/time")).json() == sim.now_seconds() + 400
    assert (await sim.alice.call("GET", "/data/orders")).status_code == 401
    await trio.sleep(61)
    assert (await sim.alice.call("GET", "/data/orders")).status_code == 200


@simulated
async def test_finality_can_stand_still(sim: MemoryClient) -> None:
    async def number(tag: str) -> int:
        block = await sim.rpc("eth_getBlockByNumber", tag, False)
        assert isinstance(block, dict)
        return int(block["number"], 16)

    await sim.fault("stop_finality", seconds=120)
    stopped = await number("finalized")
    await trio.sleep(100)
    assert await number("finalized") == stopped
    assert await number("latest") >= stopped + 50
    await trio.sleep(60)
    assert await number("finalized") == await number("latest") - 2


@simulated
async def test_a_node_can_lag_and_can_be_on_another_chain(sim: MemoryClient) -> None:
    head = int(str(await sim.rpc("eth_blockNumber")), 16)
    await sim.fault("lag_node", blocks=3, seconds=10)
    assert int(str(await sim.rpc("eth_blockNumber")), 16) == head - 3
    await sim.fault("wrong_chain", chain_id=1, seconds=10)
    assert await sim.rpc("eth_chainId") == "0x1"
    await trio.sleep(11)
    assert await sim.rpc("eth_chainId") == "0x89"


@simulated
async def test_a_script_does_its_steps_at_their_times(sim: MemoryClient) -> None:
    steps = [
        {
            "at_seconds": 100,
            "action": {"type": "set_quotes", "participant": "maker", "market": "first", "asks": [["0.52", "100"]]},
        },
        {
            "at_seconds": 200,
            "action": {"type": "fault", "fault": {"type": "refuse_request", "kind": "html", "path": "/book"}},
        },
        {"at_seconds": 300, "action": {"type": "lift_faults"}},
        {"at_seconds": 300, "action": {"type": "change_tick", "market": "nowhere", "tick_size": "0.01"}},
    ]
    assert (await sim.http.post("/_sim/script", json=steps)).json() == {"noted": 4}
    question = {"token_id": sim.market.token_ids[0]}
    assert (await sim.http.get("/book", params=question)).json()["asks"] == []
    await trio.sleep(101)
    assert (await sim.http.get("/book", params=question)).json()["asks"] == [{"price": "0.52", "size": "100"}]
    await trio.sleep(100)
    assert (await sim.http.get("/book", params=question)).status_code == 502
    await trio.sleep(100)
    assert (await sim.http.get("/book", params=question)).status_code == 200
    (failure,) = (await sim.http.get("/_sim/script")).json()
    assert "there is no market 'nowhere'" in failure["error"]


@simulated
async def test_faults_tell_how_often_they_bit_and_can_be_lifted(sim: MemoryClient) -> None:
    await sim.http.post("/_sim/faults", json={"type": "refuse_request", "kind": "html", "path": "/ok"})
    for _ in range(2):
        assert (await sim.http.get("/ok")).status_code == 502
    (fault,) = (await sim.http.get("/_sim/faults")).json()
    assert (fault["bites"], fault["on"], fault["fault"]["kind"]) == (2, True, "html")
    assert (await sim.http.delete("/_sim/faults")).json() == {"lifted": 1}
    assert (await sim.http.get("/ok")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/_sim/action", b"{", "Input data was truncated"),
        ("/_sim/action", b'{"type": "unheard_of"}', "Invalid value 'unheard_of'"),
        ("/_sim/action", b'{"type": "reorg", "depth": 0}', "a reorg replaces at least one block"),
        ("/_sim/action", b'{"type": "reorg", "depth": 1, "width": 2}', "unknown field `width`"),
        ("/_sim/faults", b'{"type": "drop_frame", "channel": "moon"}', "Invalid enum value 'moon'"),
        ("/_sim/faults", b'{"type": "drop_fill"}', "known types are change_hash, cut_before_frame, "),
        ("/_sim/action", b'{"type": "withdraw"}', "known types are accept_orders, "),
        ("/_sim/accounts", b'{"owner": "nobody"}', "expected an address"),
        ("/_sim/accounts", b'{"owner": "0x00000000000000000000000000000000000000aa", "cash": "-1"}', "not negative"),
        ("/_sim/markets", b'{"question": "Q", "tick_size": "0.3"}', "tick size 0.3 does not exist"),
        (
            "/_sim/orders",
            b'{"participant": "p", "market": "first", "outcome": "Maybe", "side": "BUY", "price": "0.4", "size": "5"}',
            "has no outcome 'Maybe'",
        ),
        (
            "/_sim/orders",
            b'{"participant": "p", "market": "first", "side": "BUY", "price": "0.405", "size": "5"}',
            "breaks minimum tick size rule",
        ),
    ],
)
@simulated
async def test_what_the_operator_gets_wrong_is_told(sim: MemoryClient, path: str, body: bytes, text: str) -> None:
    response = await sim.http.post(path, content=body)
    assert response.status_code == 400
    assert text in response.json()["error"]


@simulated
async def test_a_ghost_settlement_is_told_and_indexed_and_is_not_on_chain(sim: MemoryClient) -> None:
    ears = await sim.hear_user(sim.alice)
    await sim.fault("ghost_settlement", count=1)
    await resting(sim)
    await fill(sim)
    await trio.sleep(30)
    assert statuses(ears) == ["MATCHED", "MINED", "CONFIRMED"]
    *_, confirmed = (event["transaction_hash"] for event in ears.events("trade"))
    receipt = await sim.rpc("eth_getTransactionReceipt", confirmed)
    assert isinstance(receipt, dict)
    assert receipt["status"] == "0x0"


def test_a_question_for_faults_looks_at_none_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request and every frame asked each fault there had ever been: a long day was quadratic in its faults."""
    looked: list[int] = []
    is_on = ActiveFault.is_on

    def counted(self: ActiveFault, now_ms: int) -> bool:
        looked.append(self.fault_id)
        return is_on(self, now_ms)

    monkeypatch.setattr(ActiveFault, "is_on", counted)
    faults = Faults()
    for number in range(500):
        faults.put_on(LoseReply(count=1), number)
        assert faults.bite(LoseReply, number) is not None
    faults.put_on(LagNode(blocks=1), 500)
    looked.clear()
    assert faults.bite(LoseReply, 501) is None
    assert faults.shows(LagNode, 501) is not None
    assert len(looked) == 1
    assert len(faults.all()) == 501
