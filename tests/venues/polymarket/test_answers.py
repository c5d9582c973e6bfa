"""Answers about orders, cancels, balances and keys are read, or said to be unreadable."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tallystick.model.outcome import (
    CancelAlreadyFilled,
    CancelConfirmed,
    CancelUnknown,
    PlaceAccepted,
    PlaceDuplicate,
    PlaceRejected,
    PlaceRetry,
    PlaceUnknown,
)
from tallystick.model.report import OrderNotFound, Unreadable
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket import answers, indexer
from tallystick.venues.polymarket.ledger import VenueOrder
from tallystick.venues.polymarket.orders import ApiKey, OrderHash
from tallystick.venues.port import Answer, TransportFailure

ORDER = OrderHash("0x" + "ab" * 32)
OTHER = OrderHash("0x" + "cd" * 32)
KEY = ApiKey("key-1")
WALLET = parse_address("0xa3D82Ed56F4c68d2328Fb8c29e568Ba2cAF7d7c8")
LOST = TransportFailure(why="timed out", sent=True, at_ns=1)


def ok(value: Any, status: int = 200) -> Answer:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Answer(status=status, headers=(), body=body, received_at_ns=1)


def placed(**changes: Any) -> dict[str, Any]:
    return {
        "success": True,
        "errorMsg": "",
        "orderID": ORDER,
        "status": "live",
        "makingAmount": "",
        "takingAmount": "",
        "transactionsHashes": [],
        "tradeIDs": [],
    } | changes


# ---- placing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["live", "matched", "delayed", "LIVE"])
def test_an_accepted_order_names_its_status_and_its_matches(status: str) -> None:
    found = answers.read_place(ok(placed(status=status, tradeIDs=["t-1", "t-2"])), ORDER)
    assert found == PlaceAccepted(
        venue_order_id=ORDER,  # type: ignore[arg-type]  # the same text under its wire name
        status=status.lower(),
        resting=True,
        trades=("t-1", "t-2"),  # type: ignore[arg-type]  # trade ids are texts
    )


@pytest.mark.parametrize(
    "body",
    [
        placed(success=False),
        placed(success=None),
        placed(orderID=""),
        placed(orderID=None),
        placed(orderID=OTHER),
        placed(status="unmatched"),
        placed(status="levitating"),
        placed(errorMsg="nobody knows this text"),
        [],
        None,
        b"<html>",
        b"",
    ],
)
def test_whatever_neither_accepts_nor_refuses_is_unknown(body: Any) -> None:
    assert isinstance(answers.read_place(ok(body), ORDER), PlaceUnknown)


def test_a_success_with_an_error_text_is_judged_by_the_text() -> None:
    refused = answers.read_place(ok(placed(errorMsg="invalid signature", orderID="")), ORDER)
    assert isinstance(refused, PlaceRejected)
    assert refused.code == "invalid_signature"
    again = answers.read_place(ok(placed(errorMsg=f"order {ORDER} is invalid. Duplicated.")), ORDER)
    assert isinstance(again, PlaceDuplicate)


def test_a_batch_has_one_outcome_for_each_leg_in_order() -> None:
    limited = placed(success=False, orderID="", status="delayed", errorMsg="Rate limit exceeded for tokenId: 7")
    found = answers.read_place_batch(ok([placed(), limited]), [ORDER, OTHER])
    assert isinstance(found[0], PlaceAccepted)
    assert isinstance(found[1], PlaceRetry)
    assert found[1].code == "rate_limited"


def test_a_batch_with_missing_answers_finds_accepted_legs_by_their_id() -> None:
    found = answers.read_place_batch(ok([placed(orderID=OTHER)]), [ORDER, OTHER])
    assert isinstance(found[0], PlaceUnknown)
    assert isinstance(found[1], PlaceAccepted)


@pytest.mark.parametrize("reply", [LOST, ok([], 500), ok({}), ok(b"<html>")])
def test_a_batch_that_cannot_be_read_leaves_every_leg_unknown(reply: Answer | TransportFailure) -> None:
    found = answers.read_place_batch(reply, [ORDER, OTHER])
    assert len(found) == 2
    assert all(isinstance(leg, PlaceUnknown) for leg in found)


# ---- cancelling -------------------------------------------------------------------------------------------


def test_a_cancel_is_confirmed_only_where_its_order_is_named() -> None:
    assert answers.read_cancel(ok({"canceled": [ORDER.upper().replace("0X", "0x")]}), ORDER) == CancelConfirmed()
    matched = {"canceled": [], "not_canceled": {ORDER: "Order already matched"}}
    assert isinstance(answers.read_cancel(ok(matched), ORDER), CancelAlreadyFilled)
    silent = {"canceled": [], "not_canceled": {ORDER: None}}
    assert isinstance(answers.read_cancel(ok(silent), ORDER), CancelUnknown)
    assert isinstance(answers.read_cancel(ok({"canceled": [OTHER]}), ORDER), CancelUnknown)


@pytest.mark.parametrize("body", [{}, [], b"<html>", b"", None])
def test_a_cancel_answer_that_says_nothing_is_unknown(body: Any) -> None:
    assert isinstance(answers.read_cancel(ok(body), ORDER), CancelUnknown)
    assert isinstance(answers.read_cancellations(ok(body)), Unreadable)


# ---- orders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [ok(None), ok(b""), ok({}), ok({"error": "order not found"}, 404)])
def test_an_order_that_is_not_shown_is_not_proven_absent(reply: Answer) -> None:
    found = answers.read_one_order(reply, ORDER)
    assert isinstance(found, OrderNotFound)
    assert not found.proves_absence


def test_an_answer_about_another_order_is_not_taken_for_ours() -> None:
    row = {
        "id": OTHER,
        "asset_id": "1",
        "side": "BUY",
        "original_size": "1",
        "size_matched": "0",
        "price": "0.5",
        "status": "LIVE",
    }
    assert isinstance(answers.read_one_order(ok(row), ORDER), Unreadable)
    assert isinstance(answers.read_one_order(ok(row), OTHER), VenueOrder)
    assert isinstance(answers.read_one_order(LOST, ORDER), Unreadable)


@pytest.mark.parametrize(("cursor", "expected"), [("LTE=", None), ("", None), (None, None), ("MTAw", "MTAw")])
def test_pages_end_where_the_venue_says(cursor: str | None, expected: str | None) -> None:
    page = answers.read_orders_page(ok({"limit": 100, "count": 0, "data": [], "next_cursor": cursor}))
    assert isinstance(page, answers.Rows)
    assert page.next_cursor == expected


def test_rows_that_cannot_be_read_are_counted_beside_the_others() -> None:
    row = {
        "id": ORDER,
        "asset_id": "1",
        "side": "BUY",
        "original_size": "1",
        "size_matched": "0",
        "price": "0.5",
    }
    page = answers.read_orders_page(ok({"data": [row, row | {"price": "x"}, 7], "next_cursor": "LTE="}))
    assert isinstance(page, answers.Rows)
    assert (len(page.rows), len(page.refused)) == (1, 2)
    assert all(refused.about_account for refused in page.refused)
    bare = answers.read_orders_page(ok([row]))
    assert isinstance(bare, answers.Rows)
    assert (len(bare.rows), bare.next_cursor) == (1, None)


# ---- balances, heartbeat, clock ---------------------------------------------------------------------------


def test_balances_are_whole_units() -> None:
    found = answers.read_balance(ok({"balance": "1500000", "allowances": {"0xE1": "7"}}))
    assert found == answers.BalanceReading(balance=Decimal("1.5"), allowances=(("0xE1", 7),))
    for crooked in ("1.5", "-1", "", "1e6", "٣"):
        assert isinstance(answers.read_balance(ok({"balance": crooked})), Unreadable)


def test_the_next_heartbeat_id_comes_from_the_answer_and_from_a_mismatch() -> None:
    assert answers.read_heartbeat(ok({"heartbeat_id": "h-2"})) == "h-2"
    mismatch = ok({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": "h-7"}, 400)
    assert answers.read_heartbeat(mismatch) == "h-7"
    for reply in (
        ok({"error_msg": "no"}, 400),
        ok({"error_msg": "no", "heartbeat_id": ""}, 400),
        ok({}),
        ok({"heartbeat_id": "it's"}),
        ok({"heartbeat_id": "x" * 201}),
        ok({}, 500),
        ok(b"<html>"),
        LOST,
    ):
        assert isinstance(answers.read_heartbeat(reply), Unreadable)


@pytest.mark.parametrize(
    "body", [1_700_000_000, "1700000000", {"time": 1_700_000_000}, {"timestamp": "1700000000"}, 1_700_000_000_000]
)
def test_the_venues_clock_is_read_in_any_of_its_shapes(body: Any) -> None:
    assert answers.read_server_time(ok(body)) == 1_700_000_000_000_000_000


@pytest.mark.parametrize("body", [{}, [], "noon", b"OK", None])
def test_a_clock_that_tells_no_time_is_unreadable(body: Any) -> None:
    assert isinstance(answers.read_server_time(ok(body)), Unreadable)


def test_the_version_of_orders_is_read() -> None:
    assert answers.read_version(ok({"version": 2})) == 2
    assert isinstance(answers.read_version(ok({})), Unreadable)


# ---- keys -------------------------------------------------------------------------------------------------


def test_credentials_are_read_and_a_failure_never_repeats_them() -> None:
    found = answers.read_api_credentials(ok({"apiKey": "k", "secret": "hunter2", "passphrase": "swordfish"}))
    assert not isinstance(found, Unreadable)
    assert (found.api_key, found.secret) == ("k", "hunter2")
    assert "hunter2" not in repr(found)
    for broken in ({"apiKey": "k", "secret": "hunter2"}, b'{"secret":"hunter2","passphrase":"swordfish'):
        refused = answers.read_api_credentials(ok(broken))
        assert isinstance(refused, Unreadable)
        assert "hunter2" not in repr(refused)
        assert "swordfish" not in repr(refused)


def test_keys_are_listed_as_texts_or_as_objects() -> None:
    assert answers.read_api_keys(ok({"apiKeys": ["a", {"apiKey": "b"}]})) == ("a", "b")
    assert isinstance(answers.read_api_keys(ok({"apiKeys": [7]})), Unreadable)
    assert answers.read_closed_only(ok({"closed_only": True})) is True


# ---- the indexer ------------------------------------------------------------------------------------------


def position(**changes: Any) -> dict[str, Any]:
    return {
        "proxy_wallet": WALLET.lower(),
        "token_id": "7",
        "condition_id": "0xAB",
        "current_size": 10.25,
        "status": "OPEN",
        "redeemable": False,
        "outcome_index": 0,
        "last_event_at": 1_700_000_000,
    } | changes


def data_page(*rows: Any, more: bool = False, cursor: str | None = None) -> Answer:
    return ok({"data": list(rows), "pagination": {"has_more": more, "next_cursor": cursor}})


def test_positions_are_read_exactly_and_row_by_row() -> None:
    page = indexer.read_positions_page(data_page(position(), position(token_id="x"), more=True, cursor="c"))
    assert isinstance(page, answers.Rows)
    (row,) = page.rows
    assert (row.wallet, row.shares, row.status) == (WALLET, Decimal("10.25"), "OPEN")
    assert row.last_event_at_ns == 1_700_000_000_000_000_000
    assert (len(page.refused), page.next_cursor) == (1, "c")


@pytest.mark.parametrize(("more", "cursor"), [(True, None), (False, "c")])
def test_a_page_that_contradicts_itself_about_its_end_is_unreadable(more: bool, cursor: str | None) -> None:
    found = indexer.read_positions_page(data_page(more=more, cursor=cursor))
    assert isinstance(found, Unreadable)
    assert "has_more" in found.why


def test_activity_without_an_order_is_read_with_its_own_word() -> None:
    rows = [
        {"type": "SPLIT", "timestamp": 1_700_000_000, "usdc_size": 5, "condition_id": "0xAB"},
        {"type": "maker_rebate", "timestamp": "1700000000", "usdc_size": 0.25},
        {"type": "TRADE", "token_id": "7", "side": "buy", "size": 3, "usdc_size": 1.5, "price": 0.5},
        {"type": "A_NEW_KIND"},
        {"timestamp": 1},
    ]
    page = indexer.read_activity_page(data_page(*rows))
    assert isinstance(page, answers.Rows)
    assert [row.kind for row in page.rows] == ["SPLIT", "MAKER_REBATE", "TRADE", "A_NEW_KIND"]
    assert page.rows[1].cash == Decimal("0.25")
    assert (page.rows[2].side, page.rows[2].shares) == ("BUY", Decimal(3))
    assert len(page.refused) == 1
