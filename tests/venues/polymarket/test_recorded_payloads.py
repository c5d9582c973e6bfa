"""Every recorded payload goes through its decoder and means what it says."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tallystick.model.fill import Liquidity, Settlement
from tallystick.model.outcome import (
    CancelConfirmed,
    CancelUnknown,
    PlaceAccepted,
    PlaceUnknown,
)
from tallystick.model.report import Unreadable, Unrecognised, VenueOrderStatus
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket import answers, indexer, markets
from tallystick.venues.polymarket.frames import (
    BookImage,
    LevelsChanged,
    MarketAnnounced,
    MarketSettled,
    TickChanged,
    TradeSeen,
    read_market_frame,
    read_user_frame,
)
from tallystick.venues.polymarket.ledger import TradeReading, VenueOrder
from tallystick.venues.polymarket.orders import ApiKey, OrderHash, Side
from tallystick.venues.port import Answer

from .recorded import decoded, names, payload

KEY = ApiKey("3e2c94ca-8124-c4c1-c7ea-be1ea21b71fe")
WALLET = parse_address("0xa3D82Ed56F4c68d2328Fb8c29e568Ba2cAF7d7c8")
ORDER = OrderHash("0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef12")
TRUMP_YES = "21742633143463906290569050155826241533067272736897614950488156847949938836455"


def ok(body: bytes) -> Answer:
    return Answer(status=200, headers=(), body=body, received_at_ns=1)


def recorded(name: str) -> Answer:
    return ok(payload(name))


def user(name: str) -> Any:
    (event,) = read_user_frame(payload(name), api_key=KEY, wallet=WALLET)
    return event


def market(name: str) -> Any:
    (event,) = read_market_frame(payload(name))
    return event


def server_frames(name: str) -> list[bytes]:
    return [msgspec.json.encode(row["frame"]) for row in decoded(name) if row["from"] == "server"]


# ---- the user channel -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "matched", "at_ns"),
    [
        ("ws_user_order_msg", VenueOrderStatus.OPEN, "0.0", 1_703_875_200_001_000_000),
        ("ws_user_order_placement", VenueOrderStatus.OPEN, "0.0", 1_703_875_200_001_000_000),
        ("ws_user_order_update", VenueOrderStatus.OPEN, "25.0", 1_703_875_200_500_000_000),
        ("ws_user_order_matched", VenueOrderStatus.FILLED, "100.0", 1_703_875_201_000_000_000),
        ("ws_user_order_cancellation", VenueOrderStatus.CANCELLED, "0.0", 1_703_875_205_000_000_000),
    ],
)
def test_order_events_are_read(name: str, status: VenueOrderStatus, matched: str, at_ns: int) -> None:
    event = user(f"nautilus/{name}.json")
    assert isinstance(event, VenueOrder)
    assert event.order_id == ORDER
    assert (event.status, event.size_matched, event.event_at_ns) == (status, Decimal(matched), at_ns)
    assert (event.side, event.price, event.original_size) == (Side.BUY, Decimal("0.5"), Decimal(100))


def test_an_older_placement_is_read_with_its_extra_fields() -> None:
    event = user("nautilus_py/ws_messages_order_placement.json")
    assert isinstance(event, VenueOrder)
    assert event.order_id == "0x0f76f4dc6eaf3332f4100f2e8a0b4a927351dd64646b7bb12f37df775c657a78"
    assert (event.token_id, event.price, event.original_size) == (TRUMP_YES, Decimal("0.513"), Decimal(5))
    assert event.created_at_ns == 1_725_842_520_000_000_000


def test_an_order_event_with_little_in_it_is_read() -> None:
    (frame,) = server_frames("jkorf/Subscriptions_Clob_OrderUpdate.json")
    (event,) = read_user_frame(frame, api_key=KEY, wallet=WALLET)
    assert isinstance(event, VenueOrder)
    assert (event.side, event.price, event.status) == (Side.SELL, Decimal("0.57"), VenueOrderStatus.OPEN)
    assert event.event_at_ns == 1_672_290_687_000_000_000


def test_a_trade_as_taker_is_our_fill() -> None:
    event = user("nautilus/ws_user_trade.json")
    assert isinstance(event, TradeReading)
    (fill,) = event.fills
    assert (fill.trade_id, fill.order_id) == ("trade-0xabcdef1234", ORDER)
    assert (fill.side, fill.price, fill.shares) == (Side.BUY, Decimal("0.5"), Decimal("25.0"))
    assert (fill.liquidity, fill.settlement) == (Liquidity.TAKER, Settlement.CONFIRMED)
    assert fill.matched_at_ns == 1_704_067_200_000_000_000


def test_a_trade_over_many_makers_is_only_our_leg() -> None:
    event = user("nautilus_py/ws_messages_user_trade1.json")
    assert isinstance(event, TradeReading)
    (fill,) = event.fills
    assert not event.refused
    assert fill.order_id == "0xab679e56242324e15e59cfd488cd0f12e4fd71b153b9bfb57518898b9983145e"
    # This recording is older than the side of maker orders: the taker bought Yes, so our Yes was sold.
    assert (fill.token_id, fill.side) == (TRUMP_YES, Side.SELL)
    assert (fill.price, fill.shares) == (Decimal("0.518"), Decimal(5))
    assert (fill.liquidity, fill.settlement) == (Liquidity.MAKER, Settlement.MINED)


def test_a_trade_matched_through_the_complement_is_our_leg_with_its_own_price() -> None:
    event = user("nautilus_py/ws_messages_user_trade3.json")
    assert isinstance(event, TradeReading)
    (fill,) = event.fills
    assert fill.order_id == "0x3ad09f225ebe141dfbdb3824f31cb457e8e0301ca4e0a06311e543f5328b9dea"
    assert (fill.token_id, fill.side) == (TRUMP_YES, Side.BUY)
    assert (fill.price, fill.shares) == (Decimal("0.513"), Decimal(5))


# ---- the market channel -----------------------------------------------------------------------------------


def test_books_are_read_best_first_whatever_their_order() -> None:
    image = market("nautilus/ws_market_book_msg.json")
    assert isinstance(image, BookImage)
    assert [level.price for level in image.bids] == [Decimal("0.50"), Decimal("0.49")]
    assert [level.price for level in image.asks] == [Decimal("0.51"), Decimal("0.52")]

    image = market("nautilus_py/ws_messages_book.json")
    assert isinstance(image, BookImage)
    assert (image.bids[0].price, image.bids[0].size) == (Decimal("0.511"), Decimal("1304.72"))
    assert image.bids[0].price < image.asks[0].price
    assert image.asks[-1].price == Decimal("0.999")
    assert image.checksum == "655a38d4977427b086c25b985993691b753ed166"


def test_book_changes_are_read_with_their_new_sizes() -> None:
    event = market("nautilus/ws_market_price_change_msg.json")
    assert isinstance(event, LevelsChanged)
    (change,) = event.changes
    assert (change.side, change.price, change.size) == (Side.BUY, Decimal("0.51"), Decimal("150.0"))
    assert (change.best_bid, change.best_ask) == (Decimal("0.51"), Decimal("0.52"))


def test_book_changes_of_an_impossible_token_are_refused_one_by_one() -> None:
    for frame in server_frames("jkorf/Subscriptions_Clob_Concurrent.json"):
        (event,) = read_market_frame(frame)
        assert isinstance(event, LevelsChanged)
        assert (len(event.changes), len(event.refused)) == (0, 1)


def test_other_market_events_are_read() -> None:
    seen = market("nautilus_py/ws_messages_last_trade_price.json")
    assert isinstance(seen, TradeSeen)
    assert (seen.side, seen.price, seen.size) == (Side.SELL, Decimal("0.491"), Decimal("85.36"))
    for name, tick in (
        ("nautilus/ws_market_tick_size_msg", "0.01"),
        ("nautilus_py/ws_messages_tick_size_change", "0.001"),
    ):
        changed = market(f"{name}.json")
        assert isinstance(changed, TickChanged)
        assert changed.tick_size == Decimal(tick)
    settled = market("nautilus/ws_market_resolved_msg.json")
    assert isinstance(settled, MarketSettled)
    assert settled.winning_outcome == "Yes"
    assert settled.winning_token_id.startswith("7604307375665367")
    announced = market("nautilus/ws_market_new_market_msg.json")
    assert isinstance(announced, MarketAnnounced)
    assert len(announced.token_ids) == 2


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nautilus/ws_book_snapshot.json", "event_type None"),
        ("nautilus/ws_last_trade.json", "event_type None"),
        ("nautilus/ws_tick_size_change.json", "event_type None"),
        ("nautilus_py/ws_messages_price_change.json", "price_changes"),
        ("nautilus/rtds_crypto_prices_update.json", "event_type None"),
        ("nautilus/rtds_crypto_prices_subscribe.json", "event_type None"),
    ],
)
def test_what_the_market_channel_no_longer_sends_is_recorded_as_unrecognised(name: str, why: str) -> None:
    event = market(name)
    assert isinstance(event, Unrecognised)
    assert why in event.why
    assert not event.about_account


def test_a_bare_trade_on_the_user_channel_is_unrecognised_and_about_the_account() -> None:
    event = user("nautilus_py/ws_messages_trades.json")
    assert isinstance(event, Unrecognised)
    assert event.about_account


@pytest.mark.parametrize("name", names("nautilus") + names("nautilus_py") + names("jkorf"))
def test_any_recorded_file_on_either_channel_gives_one_result_for_each_item(name: str) -> None:
    found = decoded(name)
    count = len(found) if isinstance(found, list) else 1
    assert len(read_market_frame(payload(name))) == count
    assert len(read_user_frame(payload(name), api_key=KEY, wallet=WALLET)) == count


# ---- answers ----------------------------------------------------------------------------------------------


def test_a_recorded_acceptance_is_accepted_and_a_recorded_failure_is_unknown() -> None:
    accepted = answers.read_place(recorded("nautilus/http_order_response_ok.json"), ORDER)
    assert isinstance(accepted, PlaceAccepted)
    assert accepted.venue_order_id == str(ORDER)
    # The text is not one of the venue's known refusals, so nobody may call this order rejected.
    failed = answers.read_place(recorded("nautilus/http_order_response_failed.json"), ORDER)
    assert isinstance(failed, PlaceUnknown)
    assert "Insufficient balance" in failed.text


def test_an_answer_about_another_order_is_unknown() -> None:
    body = msgspec.json.encode(decoded("jkorf/Endpoints_Clob_Trading_PlaceOrder.json")["response"])
    found = answers.read_place(ok(body), ORDER)
    assert isinstance(found, PlaceUnknown)
    assert "0x12" in found.text
    assert isinstance(answers.read_place(ok(body), OrderHash("0x12")), PlaceAccepted)


def test_recorded_cancels_are_read_for_each_order() -> None:
    done = OrderHash("0xb816482a1234567890abcdef1234567890abcdef1234567890abcdef12345678")
    found = recorded("nautilus/http_cancel_response_ok.json")
    assert answers.read_cancel(found, done) == CancelConfirmed()
    assert isinstance(answers.read_cancel(found, ORDER), CancelUnknown)

    batch = answers.read_cancellations(recorded("nautilus/http_batch_cancel_response.json"))
    assert isinstance(batch, answers.Cancellations)
    assert batch.cancelled == ("0x" + "1" * 64, "0x" + "2" * 64)
    assert batch.others == (("0x" + "3" * 64, CancelUnknown(text="already canceled or matched")),)


def test_a_recorded_open_order_is_read() -> None:
    found = answers.read_one_order(recorded("nautilus/http_open_order.json"), ORDER, sent_shares=Decimal(100))
    assert isinstance(found, VenueOrder)
    assert (found.status, found.original_size, found.size_matched) == (
        VenueOrderStatus.OPEN,
        Decimal("100.0000"),
        Decimal("25.0000"),
    )
    assert found.trade_ids == ("0xabc001",)

    body = msgspec.json.encode(decoded("jkorf/Endpoints_Clob_Trading_GetOrder.json")["response"])
    small = answers.read_one_order(ok(body), OrderHash("0x12"))
    assert isinstance(small, VenueOrder)
    assert (small.price, small.created_at_ns) == (Decimal("0.001"), 1_768_900_397_000_000_000)


def test_a_recorded_page_of_trades_is_read_to_its_end() -> None:
    page = answers.read_trades_page(recorded("nautilus/http_trades_page.json"), api_key=KEY, wallet=WALLET)
    assert isinstance(page, answers.Rows)
    assert page.next_cursor is None
    (reading,) = page.rows
    (fill,) = reading.fills
    assert (fill.trade_id, fill.settlement) == ("trade-0x001", Settlement.MINED)
    assert fill.matched_at_ns == 1_704_067_200_000_000_000


def test_the_older_balance_shape_is_read() -> None:
    found = answers.read_balance(recorded("nautilus/http_balance_allowance_collateral.json"))
    assert isinstance(found, answers.BalanceReading)
    assert found.balance == Decimal(1000)
    assert found.allowances == (("", 999_999_999_000_000),)


def test_recorded_books_over_http_are_read_best_first() -> None:
    image = markets.read_order_book(recorded("nautilus/clob_book_response.json"))
    assert isinstance(image, BookImage)
    assert (image.bids[0].price, image.asks[0].price) == (Decimal("0.50"), Decimal("0.51"))
    image = markets.read_order_book(recorded("nautilus_py/http_responses_book.json"))
    assert isinstance(image, BookImage)
    assert (image.bids[0].price, image.asks[0].price) == (Decimal("0.1"), Decimal("0.14"))


def test_a_book_with_impossible_prices_is_unreadable() -> None:
    body = msgspec.json.encode(decoded("jkorf/Endpoints_Clob_ExchangeData_GetTokenInfo.json")["response"])
    found = markets.read_order_book(ok(body))
    assert isinstance(found, Unreadable)
    assert "1800.50" in found.why


def test_the_legacy_fee_rate_is_read() -> None:
    found = markets.read_fee_rate(recorded("nautilus/clob_fee_rate_response_nonzero.json"))
    assert found == Decimal(150)


def test_the_retired_positions_shape_is_unreadable_and_not_an_empty_account() -> None:
    found = indexer.read_positions_page(recorded("nautilus/data_api_positions_response.json"))
    assert isinstance(found, Unreadable)


@pytest.mark.parametrize(
    ("name", "slug", "tick", "resolved"),
    [
        (
            "gamma_market_closed_binary_accepting_false",
            "katana-fdv-above-1b-one-day-after-launch-395-996",
            "0.001",
            True,
        ),
        ("gamma_market_sports_market_map_handicap", "cs2-faze-ill-2026-04-05-map-handicap-away-1pt5", "0.001", True),
    ],
)
def test_recorded_markets_are_read_and_their_tokens_belong_to_their_condition(
    name: str, slug: str, tick: str, resolved: bool
) -> None:
    found = markets.read_market(payload(f"nautilus/{name}.json"))
    assert (found.slug, found.tick_size, found.resolved) == (slug, Decimal(tick), resolved)
    assert found.closed
    assert found.minimum_size == Decimal(5)
    assert len(found.outcomes) == 2


def test_markets_of_recorded_events_are_read() -> None:
    (event,) = decoded("nautilus/gamma_event.json")
    page = markets.read_catalogue_page(ok(msgspec.json.encode({"markets": event["markets"]})))
    assert isinstance(page, answers.Rows)
    assert [row.neg_risk for row in page.rows] == [True, True]
    assert not page.refused
    assert page.next_cursor is None
    assert page.rows[0].outcomes[0].name == "Yes"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gamma_market.json", "fees are enabled"),
        ("gamma_market_closed_nonbinary_legacy.json", "orderPriceMinTickSize"),
    ],
)
def test_a_recorded_market_that_cannot_be_traded_safely_is_refused_with_its_reason(name: str, why: str) -> None:
    found = decoded(f"nautilus/{name}")
    page = markets.read_catalogue_page(ok(msgspec.json.encode({"markets": [found], "next_cursor": "n"})))
    assert isinstance(page, answers.Rows)
    assert (len(page.rows), len(page.refused), page.next_cursor) == (0, 1, "n")
    assert why in page.refused[0].why


READERS: list[Callable[[Answer], object]] = [
    lambda answer: answers.read_place(answer, ORDER),
    lambda answer: answers.read_place_batch(answer, [ORDER, OrderHash("0x2")]),
    lambda answer: answers.read_cancel(answer, ORDER),
    answers.read_cancellations,
    lambda answer: answers.read_one_order(answer, ORDER),
    answers.read_orders_page,
    lambda answer: answers.read_trades_page(answer, api_key=KEY, wallet=WALLET),
    answers.read_balance,
    answers.read_heartbeat,
    answers.read_server_time,
    answers.read_version,
    answers.read_api_credentials,
    answers.read_api_keys,
    answers.read_closed_only,
    indexer.read_positions_page,
    indexer.read_activity_page,
    markets.read_catalogue_page,
    markets.read_market_rules,
    markets.read_token_pair,
    markets.read_order_book,
    markets.read_tick_size,
    markets.read_neg_risk,
    markets.read_fee_rate,
]


@pytest.mark.parametrize("name", names("nautilus") + names("nautilus_py") + names("jkorf"))
def test_any_recorded_file_through_any_reader_gives_a_value_and_never_raises(name: str) -> None:
    for read in READERS:
        read(recorded(name))
