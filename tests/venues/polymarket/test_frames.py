"""A frame gives one result for each item in it, and the books in it are in order."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tallystick.model.report import Alive, Unrecognised
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket.frames import (
    BestChanged,
    BookImage,
    LevelsChanged,
    read_market_frame,
    read_user_frame,
)
from tallystick.venues.polymarket.orders import ApiKey

KEY = ApiKey("00000000-0000-0000-0000-000000000001")
WALLET = parse_address("0xa3D82Ed56F4c68d2328Fb8c29e568Ba2cAF7d7c8")


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def book(**changes: Any) -> dict[str, Any]:
    return {
        "event_type": "book",
        "asset_id": "7",
        "market": "0xAB",
        "timestamp": "1700000000000",
        "hash": "h",
        "bids": [{"price": "0.1", "size": "5"}, {"price": "0.3", "size": "1"}],
        "asks": [{"price": "0.9", "size": "2"}, {"price": "0.5", "size": "4"}],
        "tick_size": "0.01",
        "min_order_size": "5",
        "neg_risk": False,
        "last_trade_price": "0.4",
    } | changes


@pytest.mark.parametrize("frame", ["PONG", b"PONG", "PONG\n"])
def test_the_answer_to_a_ping_is_a_sign_of_life(frame: str | bytes) -> None:
    assert read_market_frame(frame) == (Alive(),)
    assert read_user_frame(frame, api_key=KEY, wallet=WALLET) == (Alive(),)


def test_a_book_comes_best_first_on_both_sides() -> None:
    (image,) = read_market_frame(encoded(book()))
    assert isinstance(image, BookImage)
    assert [level.price for level in image.bids] == [Decimal("0.3"), Decimal("0.1")]
    assert [level.price for level in image.asks] == [Decimal("0.5"), Decimal("0.9")]
    assert (image.market, image.at_ns, image.checksum) == ("0xab", 1_700_000_000_000_000_000, "h")
    assert (image.tick_size, image.min_order_size, image.neg_risk) == (Decimal("0.01"), Decimal(5), False)


def test_a_book_with_two_levels_at_one_price_is_not_believed() -> None:
    twice = [{"price": "0.1", "size": "5"}, {"price": "0.10", "size": "6"}]
    (found,) = read_market_frame(encoded(book(bids=twice)))
    assert isinstance(found, Unrecognised)
    assert "one price" in found.why


def test_an_array_gives_a_result_for_each_item() -> None:
    frame = encoded([book(), {"event_type": "surprise"}, 7, book(asset_id="x")])
    found = read_market_frame(frame.decode())
    assert [type(event) for event in found] == [BookImage, Unrecognised, Unrecognised, Unrecognised]
    assert read_market_frame(b"[]") == ()


def test_every_change_of_an_event_is_read_or_refused() -> None:
    changes = [
        {"asset_id": "7", "price": "0.5", "size": "0", "side": "sell", "best_bid": "", "best_ask": "0.6"},
        {"asset_id": "8", "price": "0.5", "size": "-1", "side": "BUY"},
        {"asset_id": "8"},
    ]
    frame = encoded({"event_type": "price_change", "market": "0xAB", "price_changes": changes})
    (event,) = read_market_frame(frame)
    assert isinstance(event, LevelsChanged)
    assert (len(event.changes), len(event.refused)) == (1, 2)
    assert (event.changes[0].size, event.changes[0].best_bid) == (Decimal(0), None)
    assert event.changes[0].best_ask == Decimal("0.6")


@pytest.mark.parametrize(("bid", "ask"), [("0", "1"), ("0.000", 1)])
def test_the_ends_of_the_price_range_stand_for_an_empty_side(bid: str, ask: str | int) -> None:
    frame = encoded({"event_type": "best_bid_ask", "asset_id": "7", "best_bid": bid, "best_ask": ask})
    (event,) = read_market_frame(frame)
    assert isinstance(event, BestChanged)
    assert (event.best_bid, event.best_ask) == (None, None)


def test_the_best_prices_alone_are_read() -> None:
    frame = encoded({"event_type": "best_bid_ask", "asset_id": "7", "best_bid": "0.4", "best_ask": 0.5})
    (event,) = read_market_frame(frame)
    assert isinstance(event, BestChanged)
    assert (event.best_bid, event.best_ask) == (Decimal("0.4"), Decimal("0.5"))


@pytest.mark.parametrize("frame", [b"", "", b"<html>", b"\xff\xfe", b"[1,", "nonsense", b"[" * 5000])
def test_what_is_no_frame_is_one_unrecognised_item(frame: str | bytes) -> None:
    (found,) = read_market_frame(frame)
    assert isinstance(found, Unrecognised)
    assert not found.about_account
    (private,) = read_user_frame(frame, api_key=KEY, wallet=WALLET)
    assert isinstance(private, Unrecognised)
    assert private.about_account


def test_an_unrecognised_user_event_is_recorded_without_the_api_key_in_it() -> None:
    frame = encoded({"event_type": "order", "owner": KEY, "secret": "hunter2", "price": "?"})
    (found,) = read_user_frame(frame, api_key=KEY, wallet=WALLET)
    assert isinstance(found, Unrecognised)
    assert KEY not in found.excerpt
    assert "hunter2" not in found.excerpt
    assert "key:" in found.excerpt
