"""Orders and trades are read as what they mean for this account and for nobody else."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tallystick.model.fill import Liquidity, Settlement
from tallystick.model.report import VenueOrderStatus
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket.decoding import Malformed
from tallystick.venues.polymarket.ledger import TradeReading, VenueOrder, plain_status, read_order, read_trade
from tallystick.venues.polymarket.orders import ApiKey, Side

KEY = ApiKey("3e2c94ca-8124-c4c1-c7ea-be1ea21b71fe")
WALLET = parse_address("0xa3D82Ed56F4c68d2328Fb8c29e568Ba2cAF7d7c8")
YES, NO = "21742633143463906290", "48331043336612883890"
STRANGER = "0x1bFDF7224C358405A486b5FD8489f13c2aDcb5f3"


def order(**changes: Any) -> VenueOrder:
    row = {
        "id": "0xAB" + "cd" * 31,
        "status": "LIVE",
        "owner": KEY,
        "maker_address": WALLET,
        "market": "0x11",
        "asset_id": YES,
        "side": "BUY",
        "original_size": "10",
        "size_matched": "0",
        "price": "0.5",
        "outcome": "Yes",
        "expiration": "0",
        "order_type": "GTC",
        "associate_trades": ["t-1"],
        "created_at": 1_700_000_000,
    }
    return read_order(msgspec.json.encode(row | changes))


@pytest.mark.parametrize(
    ("status", "matched", "order_type", "expected"),
    [
        ("LIVE", "0", "GTC", VenueOrderStatus.OPEN),
        ("ORDER_STATUS_LIVE", "3", "GTC", VenueOrderStatus.OPEN),
        ("live", "10", "GTC", VenueOrderStatus.FILLED),
        ("MATCHED", "10", "GTC", VenueOrderStatus.FILLED),
        ("MATCHED", "9.9900001", "GTC", VenueOrderStatus.FILLED),
        ("MATCHED", "9.5", "GTC", VenueOrderStatus.UNKNOWN),
        ("MATCHED", "4", "FAK", VenueOrderStatus.CANCELLED),
        ("DELAYED", "0", "GTC", VenueOrderStatus.DELAYED),
        ("UNMATCHED", "0", "GTC", VenueOrderStatus.UNKNOWN),
        ("UNMATCHED", "0", "FOK", VenueOrderStatus.CANCELLED),
        ("CANCELED", "1", "GTC", VenueOrderStatus.CANCELLED),
        ("CANCELLED", "1", "GTC", VenueOrderStatus.CANCELLED),
        ("ORDER_STATUS_CANCELED_MARKET_RESOLVED", "0", "GTC", VenueOrderStatus.CANCELLED),
        ("CANCELED_NOT_ENOUGH_BALANCE", "0", "GTC", VenueOrderStatus.CANCELLED),
        ("CANCELLED_MARKET_NOT_FOUND", "0", "GTC", VenueOrderStatus.CANCELLED),
        ("CANCELED_ORDER_TIMED_OUT", "0", "GTC", VenueOrderStatus.CANCELLED),
        ("CANCELED_EXPIRED_ORDER", "2", "GTD", VenueOrderStatus.EXPIRED),
        ("INVALID", "0", "GTC", VenueOrderStatus.REJECTED),
        ("SOMETHING_NEW", "0", "GTC", VenueOrderStatus.UNKNOWN),
    ],
)
def test_an_order_status_means_one_thing(
    status: str, matched: str, order_type: str, expected: VenueOrderStatus
) -> None:
    assert order(status=status, size_matched=matched, order_type=order_type).status is expected


@pytest.mark.parametrize(
    ("event", "status", "matched", "expected", "word"),
    [
        ("PLACEMENT", None, "0", VenueOrderStatus.OPEN, "LIVE"),
        ("UPDATE", None, "4", VenueOrderStatus.OPEN, "LIVE"),
        ("UPDATE", None, "10", VenueOrderStatus.FILLED, "LIVE"),
        ("CANCELLATION", None, "4", VenueOrderStatus.CANCELLED, "CANCELED"),
        ("CANCELLATION", "LIVE", "4", VenueOrderStatus.CANCELLED, "CANCELED"),
        ("CANCELLATION", "CANCELED_EXPIRED_ORDER", "4", VenueOrderStatus.EXPIRED, "CANCELED_EXPIRED_ORDER"),
    ],
)
def test_a_user_event_means_what_happened_to_the_order(
    event: str, status: str | None, matched: str, expected: VenueOrderStatus, word: str
) -> None:
    found = order(type=event, status=status, size_matched=matched)
    assert (found.status, found.venue_status) == (expected, word)


def test_sizes_in_base_units_are_seen_by_what_was_sent() -> None:
    row = {
        "id": "0x1",
        "asset_id": YES,
        "side": "buy",
        "original_size": "100000000",
        "size_matched": "25000000",
        "price": "0.5",
        "status": "LIVE",
    }
    found = read_order(msgspec.json.encode(row), sent_shares=Decimal(100))
    assert (found.original_size, found.size_matched) == (Decimal(100), Decimal(25))
    with pytest.raises(Malformed, match="sent with 7 shares"):
        read_order(msgspec.json.encode(row), sent_shares=Decimal(7))


def test_times_come_in_seconds_milliseconds_and_iso() -> None:
    for found in (1_700_000_000, "1700000000", "1700000000000", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20"):
        assert order(created_at=found).created_at_ns == 1_700_000_000_000_000_000
    assert order(created_at="0").created_at_ns is None
    assert order(created_at=None, timestamp="1672290687").event_at_ns == 1_672_290_687_000_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "1.5"},
        {"price": "NaN"},
        {"size_matched": "-1"},
        {"original_size": "1e999999"},
        {"side": "HOLD"},
        {"asset_id": "0x12"},
        {"id": ""},
        {"created_at": "yesterday"},
        {"original_size": None},
    ],
)
def test_an_order_with_a_broken_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        order(**changes)


def leg(**changes: Any) -> dict[str, Any]:
    return {
        "order_id": "0xMaker1",
        "owner": KEY,
        "maker_address": WALLET,
        "matched_amount": "4",
        "price": "0.4",
        "asset_id": NO,
        "outcome": "No",
        "outcome_index": 1,
        "side": "BUY",
        "fee_rate_bps": "0",
    } | changes


def trade(**changes: Any) -> TradeReading:
    row = {
        "id": "trade-1",
        "taker_order_id": "0xTaker",
        "market": "0xAB",
        "asset_id": YES,
        "side": "BUY",
        "size": "10",
        "fee_rate_bps": "0",
        "price": "0.6",
        "status": "CONFIRMED",
        "match_time": "1700000000",
        "last_update": "1700000001",
        "outcome": "Yes",
        "bucket_index": 0,
        "owner": "someone-else",
        "maker_address": STRANGER,
        "transaction_hash": "0xABC",
        "trader_side": "TAKER",
        "maker_orders": [leg(owner="stranger", maker_address=STRANGER)],
    }
    return read_trade(msgspec.json.encode(row | changes), api_key=KEY, wallet=WALLET)


def test_as_taker_the_trade_itself_is_our_fill() -> None:
    reading = trade()
    (fill,) = reading.fills
    assert not reading.refused
    assert (fill.trade_id, fill.order_id) == ("trade-1", "0xtaker")
    assert (fill.token_id, fill.side, fill.price, fill.shares) == (YES, Side.BUY, Decimal("0.6"), Decimal(10))
    assert (fill.liquidity, fill.settlement) == (Liquidity.TAKER, Settlement.CONFIRMED)
    assert fill.matched_at_ns == 1_700_000_000_000_000_000
    assert fill.transaction_hash == "0xabc"


def test_as_maker_our_leg_counts_with_its_own_token_side_price_and_amount() -> None:
    reading = trade(trader_side="MAKER", maker_orders=[leg(), leg(owner="x", maker_address=STRANGER)])
    (fill,) = reading.fills
    assert fill.order_id == "0xmaker1"
    assert (fill.token_id, fill.side, fill.price, fill.shares) == (NO, Side.BUY, Decimal("0.4"), Decimal(4))
    assert fill.liquidity is Liquidity.MAKER


def test_several_maker_orders_of_ours_in_one_trade_are_several_fills() -> None:
    reading = trade(
        trader_side="MAKER",
        maker_orders=[
            leg(order_id="0xm1"),
            leg(order_id="0xm2", asset_id=YES, side="SELL", price="0.6"),
            # The same wallet under another API key: the money that moves is the same.
            leg(order_id="0xm3", owner="another-key-of-ours"),
        ],
    )
    assert [fill.order_id for fill in reading.fills] == ["0xm1", "0xm2", "0xm3"]
    assert len({(fill.trade_id, fill.order_id) for fill in reading.fills}) == 3


def test_a_trade_with_ourselves_is_both_fills() -> None:
    reading = trade(maker_orders=[leg()])
    assert [(fill.order_id, fill.liquidity) for fill in reading.fills] == [
        ("0xtaker", Liquidity.TAKER),
        ("0xmaker1", Liquidity.MAKER),
    ]


@pytest.mark.parametrize(
    ("token", "taker_side", "expected"),
    [(YES, "BUY", Side.SELL), (YES, "SELL", Side.BUY), (NO, "BUY", Side.BUY), (NO, "SELL", Side.SELL)],
)
def test_a_maker_leg_without_a_side_stands_where_the_match_needs_it(
    token: str, taker_side: str, expected: Side
) -> None:
    old = leg(asset_id=token)
    del old["side"]
    (fill,) = trade(trader_side="MAKER", side=taker_side, maker_orders=[old]).fills
    assert fill.side is expected


def test_a_taker_has_the_prices_of_its_parts_and_of_the_complement_one_minus_the_makers() -> None:
    parts = [
        leg(owner="a", maker_address=STRANGER, asset_id=YES, side="SELL", matched_amount="4", price="0.58"),
        leg(owner="b", maker_address=STRANGER, asset_id=NO, side="BUY", matched_amount="6", price="0.4"),
    ]
    (fill,) = trade(maker_orders=parts).fills
    assert [(part.price, part.shares) for part in fill.parts] == [
        (Decimal("0.58"), Decimal(4)),
        (Decimal("0.6"), Decimal(6)),
    ]


def test_a_taker_whose_parts_do_not_add_up_has_its_average_alone() -> None:
    (fill,) = trade().fills  # 4 of its 10 shares are listed
    assert not fill.parts
    assert (fill.price, fill.shares) == (Decimal("0.6"), Decimal(10))


def test_dust_behind_the_sixth_decimal_is_not_booked() -> None:
    (fill,) = trade(trader_side="MAKER", maker_orders=[leg(matched_amount="4.9999999", price="0.0030000000012")]).fills
    assert (fill.shares, fill.price) == (Decimal(5), Decimal("0.003"))


@pytest.mark.parametrize(
    ("status", "settlement"),
    [
        ("MATCHED", Settlement.MATCHED),
        ("TRADE_STATUS_MATCHED_NOT_BROADCASTED", Settlement.MATCHED),
        ("MINED", Settlement.MINED),
        ("trade_status_confirmed", Settlement.CONFIRMED),
        ("RETRYING", Settlement.RETRYING),
        ("FAILED", Settlement.REVERSED),
    ],
)
def test_settlement_follows_the_trade_status(status: str, settlement: Settlement) -> None:
    assert trade(status=status).fills[0].settlement is settlement


def test_without_a_stated_role_ownership_decides() -> None:
    assert trade(trader_side=None, owner=KEY).fills[0].liquidity is Liquidity.TAKER
    assert trade(trader_side="", maker_address=WALLET.lower()).fills[0].liquidity is Liquidity.TAKER
    assert trade(trader_side=None, maker_orders=[leg()]).fills[0].liquidity is Liquidity.MAKER


def test_a_broken_leg_is_reported_and_does_not_hide_the_others() -> None:
    reading = trade(
        trader_side="MAKER",
        maker_orders=[leg(), leg(order_id="0xm2", price="many"), leg(owner=None, maker_address=None), 7],
    )
    assert [fill.order_id for fill in reading.fills] == ["0xmaker1"]
    assert len(reading.refused) == 3
    assert all(problem.about_account for problem in reading.refused)


def test_absent_optional_fields_do_not_lose_a_trade() -> None:
    found = read_trade(
        msgspec.json.encode(
            {
                "id": "t",
                "asset_id": YES,
                "side": "SELL",
                "size": 3,
                "price": 0.25,
                "status": "MATCHED",
                "taker_order_id": "0xt",
                "trader_side": "TAKER",
            }
        ),
        api_key=KEY,
        wallet=WALLET,
    )
    (fill,) = found.fills
    assert (fill.shares, fill.price, fill.matched_at_ns) == (Decimal(3), Decimal("0.25"), None)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "TELEPORTED"},
        {"id": ""},
        {"trader_side": "MAKER"},
        {"trader_side": "MAKER", "maker_orders": None},
        {"trader_side": "TAKER", "taker_order_id": ""},
        {"size": "NaN"},
        {"match_time": "noon"},
    ],
)
def test_a_trade_that_cannot_be_booked_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        trade(**changes)


def test_without_credentials_no_leg_without_an_owner_becomes_ours() -> None:
    row = {
        "id": "t",
        "asset_id": YES,
        "side": "SELL",
        "size": "3",
        "price": "0.25",
        "status": "MATCHED",
        "taker_order_id": "0xt",
        "maker_orders": [leg(owner="", maker_address=STRANGER)],
    }
    with pytest.raises(Malformed, match="no order is ours"):
        read_trade(msgspec.json.encode(row), api_key=ApiKey(""), wallet=WALLET)


def test_statuses_lose_their_prefix_and_have_one_spelling() -> None:
    assert plain_status(" order_status_cancelled ") == "CANCELED"
    assert plain_status("TRADE_STATUS_MINED") == "MINED"
