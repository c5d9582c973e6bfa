"""The dialect keeps the port's promises: nothing is lost, nothing is guessed, nothing secret is shown."""

import copy
import pickle
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.fill import Direction, Execution, Liquidity, Settlement
from tallystick.model.identifiers import (
    AccountId,
    AssetId,
    ClientOrderId,
    InstrumentId,
    IntentId,
    StrategyName,
    VenueOrderId,
    salt_of,
)
from tallystick.model.instrument import Instrument, InstrumentKind, MarketStatus
from tallystick.model.intent import Side, TimeInForce
from tallystick.model.money import Price, Quantity, SignedQuantity
from tallystick.model.order import OrderTerms
from tallystick.model.outcome import CancelConfirmed, PlaceAccepted, PlaceRejected, PlaceRetry
from tallystick.model.report import (
    Alive,
    BookDelta,
    BookSnapshot,
    ExecutionPage,
    ExecutionReport,
    Holding,
    HoldingsPage,
    InstrumentPage,
    MarketResolved,
    OrderNotFound,
    OrderPage,
    OrderReport,
    PublicTrade,
    RulesChanged,
    Unreadable,
    Unrecognised,
    VenueOrderStatus,
)
from tallystick.model.transfer import LedgerPosition
from tallystick.venues.evm.address import parse_address
from tallystick.venues.evm.words import dynamic_arrays, uint_word
from tallystick.venues.polymarket.account import AccountRefused, TradingAccount
from tallystick.venues.polymarket.auth import Credentials
from tallystick.venues.polymarket.dialect import PolymarketDialect
from tallystick.venues.polymarket.orders import SignatureType
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.polymarket.wallet_addresses import derive_wallets
from tallystick.venues.port import Answer, CannotExpress, Dialect, Request, TransportFailure

from .test_markets import CONDITION, TOKENS, listed

ACCOUNT = AccountId("polymarket:test")
PRIVATE_KEY = "0x" + "11" * 32
API_KEY = "00000000-0000-0000-0000-000000000001"
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
PASSPHRASE = "0123456789abcdef"
NOW_NS = 1_700_000_000_123_000_000
YES = InstrumentId("polymarket:rain-in-paris:Yes")
NO = InstrumentId("polymarket:rain-in-paris:No")
ORDER = VenueOrderId("0x" + "ab" * 32)


def ok(value: Any, status: int = 200) -> Answer:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Answer(status=status, headers=(), body=body, received_at_ns=NOW_NS)


def credentials() -> Credentials:
    return Credentials(api_key=API_KEY, secret=SECRET, passphrase=PASSPHRASE)


def dialect(*, logged_in: bool = True, learned: bool = True) -> PolymarketDialect:
    found = PolymarketDialect(
        ACCOUNT, TradingAccount(Signer(PRIVATE_KEY)), credentials=credentials() if logged_in else None
    )
    if learned:
        found.learn(instruments())
    return found


def instruments() -> tuple[Instrument, ...]:
    page = PolymarketDialect(ACCOUNT, TradingAccount(Signer(PRIVATE_KEY))).read_instruments(ok({"markets": [listed()]}))
    assert isinstance(page, InstrumentPage)
    return page.instruments


def terms(**changes: Any) -> OrderTerms:
    base = OrderTerms(
        client_order_id=ClientOrderId("i-1.0.0.0-abcd1234"),
        intent_id=IntentId("i-1"),
        leg=0,
        slice_number=0,
        attempt=0,
        strategy=StrategyName("s"),
        account=ACCOUNT,
        instrument=YES,
        side=Side.BUY,
        direction=Direction.BUY,
        price=Price(Decimal("0.56")),
        quantity=Quantity(Decimal("21.04")),
        time_in_force=TimeInForce.GTC,
        expires_at_ns=NOW_NS + 3_600_000_000_000,
    )
    return msgspec.structs.replace(base, **changes)


# ---- the port ---------------------------------------------------------------------------------------------


def test_the_dialect_is_what_the_port_asks_for() -> None:
    found: Dialect = dialect()
    assert (found.venue, found.account, found.settlement_asset) == ("polymarket", ACCOUNT, "pUSD")
    can = found.capabilities
    assert can.order_id_known_before_sending
    assert can.duplicates_refused_by_venue
    assert not can.amend
    assert not can.query_by_client_id
    assert (can.batch_maximum, can.gtd_margin_seconds, can.dead_man_switch_seconds) == (15, 60, 10.0)
    assert set(can.time_in_force) == set(TimeInForce)
    assert {limit.quota for limit in found.rate_limits} >= {"general", "place", "cancel", "ledger_list"}


# ---- the catalogue ----------------------------------------------------------------------------------------


def test_a_market_becomes_two_complementary_instruments() -> None:
    yes, no = instruments()
    assert (yes.instrument_id, no.instrument_id) == (YES, NO)
    assert (yes.complement, no.complement) == (NO, YES)
    assert [yes.venue_symbol, no.venue_symbol] == TOKENS
    assert (yes.kind, yes.status, yes.market) == (InstrumentKind.OUTCOME_SHARE, MarketStatus.OPEN, CONDITION)
    assert (yes.price_tick, yes.price_minimum, yes.price_maximum) == (
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("0.99"),
    )
    assert (yes.quantity_step, yes.quantity_minimum) == (Decimal("0.01"), Decimal(5))
    assert (yes.fee_rate, yes.fee_exponent) == (Decimal("0.05"), Decimal(1))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"acceptingOrders": False}, MarketStatus.CANCEL_ONLY),
        ({"closed": True}, MarketStatus.CLOSED),
        ({"closed": True, "umaResolutionStatus": "resolved"}, MarketStatus.RESOLVED),
    ],
)
def test_a_market_that_takes_no_orders_says_why(changes: dict[str, Any], status: MarketStatus) -> None:
    page = dialect().read_instruments(ok({"markets": [listed(**changes), {"slug": "x"}], "next_cursor": "n"}))
    assert isinstance(page, InstrumentPage)
    assert {instrument.status for instrument in page.instruments} == {status}
    assert (len(page.refused), page.next_cursor) == (1, "n")


def test_markets_are_listed_by_condition_or_by_slug() -> None:
    found = dialect()
    assert ("condition_ids", CONDITION) in found.list_instruments([CONDITION], None).query
    assert ("slug", "rain-in-paris") in found.list_instruments(["rain-in-paris"], "c").query
    assert ("closed", "false") in found.list_instruments([], None).query
    with pytest.raises(CannotExpress, match="not both"):
        found.list_instruments([CONDITION, "rain-in-paris"], None)
    with pytest.raises(CannotExpress, match="condition id"):
        found.list_instruments(["0x12"], None)
    assert isinstance(found.read_instruments(ok(b"<html>")), Unreadable)


# ---- authentication ---------------------------------------------------------------------------------------


def test_logging_in_creates_a_key_and_derives_the_one_that_exists_already() -> None:
    found = dialect(logged_in=False)
    create = found.log_in(NOW_NS)
    assert create is not None
    assert (create.method, create.path) == ("POST", "/auth/api-key")
    assert dict(found.authenticate(create, NOW_NS))["POLY_NONCE"] == "0"
    assert isinstance(found.read_log_in(ok({"error": "Could not create api key"}, 400)), Unreadable)

    derive = found.log_in(NOW_NS)
    assert derive is not None
    assert (derive.method, derive.path) == ("GET", "/auth/derive-api-key")
    assert found.read_log_in(ok({"apiKey": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE})) is None
    assert found.log_in(NOW_NS) is None
    assert set(found.secrets) == {API_KEY, SECRET, PASSPHRASE}


def test_a_failed_log_in_says_nothing_secret_and_is_tried_again() -> None:
    found = dialect(logged_in=False)
    refused = found.read_log_in(ok({"apiKey": API_KEY, "secret": "not base64!", "passphrase": PASSPHRASE}))
    assert isinstance(refused, Unreadable)
    assert "not base64!" not in refused.why
    assert isinstance(found.read_log_in(TransportFailure(why="x", sent=True, at_ns=1)), Unreadable)
    assert found.log_in(NOW_NS) is not None
    with pytest.raises(CannotExpress, match="log in first"):
        found.authenticate(found.cancel_all(), NOW_NS)
    with pytest.raises(CannotExpress, match="log in first"):
        found.private_stream()
    with pytest.raises(CannotExpress, match="log in first"):
        found.prepare(terms(), instruments()[0], NOW_NS)


def test_a_request_is_stamped_anew_for_every_sending() -> None:
    found = dialect()
    request = found.cancel(ORDER)
    first, second = (dict(found.authenticate(request, NOW_NS + seconds * 1_000_000_000)) for seconds in (0, 5))
    assert first["POLY_TIMESTAMP"] == "1700000000"
    assert second["POLY_TIMESTAMP"] == "1700000005"
    assert first["POLY_SIGNATURE"] != second["POLY_SIGNATURE"]
    assert found.authenticate(found.server_time(), NOW_NS) == ()


def test_the_clock_of_the_venue_is_read() -> None:
    assert dialect().read_server_time(ok(1_700_000_000)) == 1_700_000_000_000_000_000


# ---- expressing -------------------------------------------------------------------------------------------


def test_buying_and_selling_are_written_as_they_are_meant() -> None:
    yes, _ = instruments()
    bought = dialect().express(Side.BUY, yes, Price(Decimal("0.4")), Quantity(Decimal(0)))
    assert (bought.instrument, bought.direction, bought.price, bought.note) == (
        YES,
        Direction.BUY,
        Decimal("0.4"),
        "",
    )
    sold = dialect().express(Side.SELL, yes, Price(Decimal("0.4")), Quantity(Decimal(1)))
    assert (sold.instrument, sold.direction) == (YES, Direction.SELL)


def test_a_short_is_written_as_a_purchase_of_the_complement_and_says_so() -> None:
    yes, _ = instruments()
    short = dialect().express(Side.SELL_SHORT, yes, Price(Decimal("0.37")), Quantity(Decimal(0)))
    assert (short.instrument, short.direction, short.price) == (NO, Direction.BUY, Decimal("0.63"))
    assert short.note == f"short of {YES} at 0.37 written as purchase of {NO} at 0.63"
    cover = dialect().express(Side.BUY_TO_COVER, yes, Price(Decimal("0.37")), Quantity(Decimal(0)))
    assert (cover.instrument, cover.direction, cover.price) == (NO, Direction.SELL, Decimal("0.63"))
    assert "cover" in cover.note


def test_what_would_change_the_meaning_is_refused() -> None:
    yes, _ = instruments()
    with pytest.raises(CannotExpress, match="SELL_SHORT"):
        dialect().express(Side.SELL, yes, Price(Decimal("0.4")), Quantity(Decimal(0)))
    alone = msgspec.structs.replace(yes, complement=None)
    with pytest.raises(CannotExpress, match="complement"):
        dialect().express(Side.SELL_SHORT, alone, Price(Decimal("0.4")), Quantity(Decimal(0)))


# ---- orders -----------------------------------------------------------------------------------------------


def prepared(**changes: Any) -> tuple[VenueOrderId, dict[str, Any]]:
    yes, _ = instruments()
    account = TradingAccount(Signer(PRIVATE_KEY), surplus_shares_allowed=True)
    found = PolymarketDialect(ACCOUNT, account, credentials=credentials()).prepare(terms(**changes), yes, NOW_NS)
    return found.venue_order_id, msgspec.json.decode(found.request.body)


def test_an_order_is_signed_the_same_whenever_it_is_asked_for() -> None:
    assert prepared() == prepared()
    other_id, other = prepared(client_order_id=ClientOrderId("i-1.0.0.1-abcd1234"))
    first_id, first = prepared()
    assert other_id != first_id
    assert first["order"]["salt"] == salt_of(terms().client_order_id) != other["order"]["salt"]
    assert first["order"]["timestamp"] == "1700000000123"
    assert first["owner"] == API_KEY


def test_an_order_says_exactly_the_price_and_size_that_were_meant() -> None:
    _, body = prepared()
    assert (body["order"]["makerAmount"], body["order"]["takerAmount"]) == ("11782400", "21040000")
    assert (body["order"]["side"], body["orderType"], body["order"]["expiration"]) == ("BUY", "GTC", "0")
    _, body = prepared(direction=Direction.SELL, side=Side.SELL)
    assert (body["order"]["makerAmount"], body["order"]["takerAmount"]) == ("21040000", "11782400")


@pytest.mark.parametrize(
    ("time_in_force", "wire"),
    [(TimeInForce.GTC, "GTC"), (TimeInForce.GTD, "GTD"), (TimeInForce.IOC, "FAK"), (TimeInForce.FOK, "FOK")],
)
def test_every_time_in_force_has_its_wire_word(time_in_force: TimeInForce, wire: str) -> None:
    _, body = prepared(time_in_force=time_in_force, quantity=Quantity(Decimal(50)))
    assert body["orderType"] == wire
    stamp = 1_700_003_600 + 60 if wire == "GTD" else 0
    assert body["order"]["expiration"] == str(stamp)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"price": Price(Decimal("0.565"))}, "multiple"),
        ({"quantity": Quantity(Decimal("10.001"))}, "decimals"),
        ({"quantity": Quantity(Decimal(1))}, "minimum"),
        ({"time_in_force": TimeInForce.IOC}, "whole cents"),
        ({"time_in_force": TimeInForce.FOK, "post_only": True, "quantity": Quantity(Decimal(50))}, "post-only"),
        ({"time_in_force": TimeInForce.GTD, "expires_at_ns": NOW_NS + 100_000_000_000}, "at least 120 s"),
        ({"instrument": NO}, "rules are of"),
    ],
)
def test_an_order_that_cannot_be_said_faithfully_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotExpress, match=why):
        prepared(**changes)


def test_an_immediate_buy_could_buy_too_much_and_is_refused_unless_that_is_allowed() -> None:
    yes, _ = instruments()
    for time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        immediate = terms(time_in_force=time_in_force, quantity=Quantity(Decimal(50)))
        with pytest.raises(CannotExpress, match="more than 50"):
            dialect().prepare(immediate, yes, NOW_NS)
        sale = msgspec.structs.replace(immediate, direction=Direction.SELL, side=Side.SELL)
        assert dialect().prepare(sale, yes, NOW_NS).venue_order_id


def test_a_deposit_wallet_signs_for_itself() -> None:
    signer = Signer(PRIVATE_KEY)
    deposit = derive_wallets(signer.address).deposit_beacon
    found = PolymarketDialect(ACCOUNT, TradingAccount(signer, wallet=deposit), credentials=credentials())
    yes, _ = instruments()
    body = msgspec.json.decode(found.prepare(terms(), yes, NOW_NS).request.body)
    assert (body["order"]["maker"], body["order"]["signer"], body["order"]["signatureType"]) == (deposit, deposit, 3)
    assert len(body["order"]["signature"]) == 2 + 2 * 317
    assert dict(found.authenticate(found.cancel_all(), NOW_NS))["POLY_ADDRESS"] == signer.address


def test_a_wallet_that_the_key_does_not_control_is_refused() -> None:
    signer = Signer(PRIVATE_KEY)
    stranger = parse_address("0x" + "99" * 20)
    with pytest.raises(AccountRefused, match="does not belong"):
        TradingAccount(signer, wallet=stranger)
    with pytest.raises(AccountRefused, match="signs as POLY_GNOSIS_SAFE"):
        TradingAccount(signer, wallet=derive_wallets(signer.address).safe, signature_type=SignatureType.POLY_PROXY)
    stated = TradingAccount(signer, wallet=stranger, signature_type=SignatureType.POLY_1271)
    assert stated.order_signer == stranger


def test_journalled_bytes_are_sent_again_unchanged() -> None:
    yes, _ = instruments()
    found = dialect()
    first = found.prepare(terms(), yes, NOW_NS).request
    assert found.resend(first.body) == first


def test_a_placement_is_read_and_two_refused_keys_are_forgiven() -> None:
    found = dialect()
    accepted = found.read_place(ok({"success": True, "errorMsg": "", "orderID": ORDER, "status": "live"}), ORDER)
    assert isinstance(accepted, PlaceAccepted)
    refused = ok({"error": "Unauthorized/Invalid api key"}, 401)
    assert isinstance(found.read_place(refused, ORDER), PlaceRetry)
    assert isinstance(found.read_place(refused, ORDER), PlaceRetry)
    dead = found.read_place(refused, ORDER)
    assert isinstance(dead, PlaceRejected)
    assert dead.code == "api_key_refused"
    assert isinstance(found.read_place(refused, ORDER), PlaceRetry)


def test_cancels_and_queries_name_the_order() -> None:
    found = dialect()
    assert found.cancel(ORDER).body == b'{"orderID":"%s"}' % ORDER.encode()
    assert found.read_cancel(ok({"canceled": [ORDER]}), ORDER) == CancelConfirmed()
    assert found.query_order(ORDER).path == f"/data/order/{ORDER}"
    assert found.cancel_all().path == "/cancel-all"
    assert isinstance(found.read_order(ok(None), ORDER), OrderNotFound)


def order_row(**changes: Any) -> dict[str, Any]:
    return {
        "id": ORDER,
        "status": "LIVE",
        "market": CONDITION,
        "asset_id": TOKENS[0],
        "side": "SELL",
        "original_size": "10",
        "size_matched": "2.5",
        "price": "0.5",
        "order_type": "GTC",
        "associate_trades": ["t-1"],
        "created_at": 1_699_999_999,
    } | changes


def test_an_order_is_reported_with_its_instrument() -> None:
    found = dialect().read_order(ok(order_row()), ORDER)
    assert isinstance(found, OrderReport)
    assert (found.instrument, found.direction, found.status) == (YES, Direction.SELL, VenueOrderStatus.OPEN)
    assert (found.original_quantity, found.filled_quantity, found.trades) == (
        Decimal(10),
        Decimal("2.5"),
        ("t-1",),
    )
    assert found.venue_time_ns == 1_699_999_999_000_000_000
    foreign = dialect(learned=False).read_order(ok(order_row(created_at=None)), ORDER)
    assert isinstance(foreign, OrderReport)
    assert (foreign.instrument, foreign.venue_time_ns) == (None, NOW_NS)


def test_open_orders_are_paged_and_counted() -> None:
    page = dialect().read_open_orders(ok({"data": [order_row(), {"id": 7}], "next_cursor": "abc"}))
    assert isinstance(page, OrderPage)
    assert (len(page.orders), len(page.refused), page.next_cursor) == (1, 1, "abc")
    assert dialect().list_open_orders("abc").query == (("next_cursor", "abc"),)


# ---- executions -------------------------------------------------------------------------------------------


def trade_row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "t-1",
        "taker_order_id": ORDER,
        "market": CONDITION,
        "asset_id": TOKENS[0],
        "side": "BUY",
        "size": "10",
        "price": "0.5",
        "status": "MATCHED",
        "match_time": "1700000000",
        "owner": API_KEY,
        "trader_side": "TAKER",
        "transaction_hash": "0xAB",
        "maker_orders": [],
    } | changes


def maker_leg(**changes: Any) -> dict[str, Any]:
    return {
        "order_id": ORDER,
        "owner": API_KEY,
        "matched_amount": "4",
        "price": "0.5",
        "asset_id": TOKENS[1],
        "side": "BUY",
    } | changes


def executions(*rows: Any) -> ExecutionPage:
    page = dialect().read_executions(ok({"data": list(rows), "next_cursor": "LTE="}))
    assert isinstance(page, ExecutionPage)
    return page


def test_an_execution_carries_its_key_its_settlement_and_no_invented_fee() -> None:
    (found,) = executions(trade_row()).executions
    assert isinstance(found, Execution)
    assert (found.key.account, found.key.trade_id, found.key.venue_order_id) == (ACCOUNT, "t-1", ORDER)
    assert (found.instrument, found.direction, found.price, found.quantity) == (
        YES,
        Direction.BUY,
        Decimal("0.5"),
        Decimal(10),
    )
    assert (found.liquidity, found.settlement) == (Liquidity.TAKER, Settlement.MATCHED)
    assert (found.fee, found.fee_asset, found.transaction) == (None, "pUSD", "0xab")
    assert found.venue_time_ns == 1_700_000_000_000_000_000


def test_makers_pay_nothing() -> None:
    (found,) = executions(trade_row(trader_side="MAKER", maker_orders=[maker_leg()])).executions
    assert (found.instrument, found.fee, found.liquidity) == (NO, Decimal(0), Liquidity.MAKER)
    yes, _ = instruments()
    assert dialect().fee(yes, Price(Decimal("0.5")), Quantity(Decimal(100)), Liquidity.MAKER) == 0
    assert dialect().fee(yes, Price(Decimal("0.5")), Quantity(Decimal(100)), Liquidity.TAKER) == Decimal("1.25")


def test_every_row_of_a_page_is_an_execution_or_a_refusal() -> None:
    page = executions(
        trade_row(),
        trade_row(id="t-2", trader_side="MAKER", maker_orders=[maker_leg(), maker_leg(order_id="0x2"), 7]),
        trade_row(id="t-3", status="NEW_WORD"),
        trade_row(id="t-4", asset_id="12345"),
    )
    assert [found.key.trade_id for found in page.executions] == ["t-1", "t-2", "t-2"]
    assert len(page.refused) == 3
    assert all(refused.about_account for refused in page.refused)
    assert any("outside the catalogue" in refused.why for refused in page.refused)


def test_executions_are_asked_from_a_second_before() -> None:
    assert dialect().list_executions(NOW_NS, None).query == (("after", "1699999999"),)
    assert dialect().list_executions(0, "c").query == (("after", "0"), ("next_cursor", "c"))


# ---- streams ----------------------------------------------------------------------------------------------


def private(*events: Any) -> Sequence[Any]:
    return dialect().read_private_frame(msgspec.json.encode(list(events)), NOW_NS)


def test_private_frames_become_reports_one_for_each_thing_in_them() -> None:
    reports = private(
        order_row(event_type="order", type="PLACEMENT"),
        trade_row(event_type="trade", type="TRADE"),
        trade_row(event_type="trade", id="t-9", trader_side="MAKER", maker_orders=[maker_leg(), maker_leg(price="x")]),
        trade_row(event_type="trade", asset_id="12345"),
        {"event_type": "party"},
    )
    assert [type(report) for report in reports] == [
        OrderReport,
        ExecutionReport,
        Unrecognised,
        ExecutionReport,
        Unrecognised,
        Unrecognised,
    ]
    assert dialect().read_private_frame("PONG", NOW_NS) == [Alive()]


def test_public_frames_become_books_changes_trades_and_rules() -> None:
    found = dialect()
    frame = msgspec.json.encode(
        [
            {
                "event_type": "book",
                "asset_id": TOKENS[0],
                "timestamp": "1700000000000",
                "hash": "h",
                "bids": [{"price": "0.4", "size": "5"}, {"price": "0.3", "size": "0"}],
                "asks": [{"price": "0.6", "size": "5"}],
            },
            {
                "event_type": "price_change",
                "price_changes": [
                    {"asset_id": TOKENS[0], "price": "0.4", "size": "7", "side": "BUY", "best_bid": "0.4"},
                    {"asset_id": TOKENS[1], "price": "0.6", "size": "7", "side": "SELL"},
                    {"asset_id": TOKENS[0], "price": "0.41", "size": "1", "side": "BUY", "best_bid": "0.41"},
                    {"asset_id": "12345", "price": "0.6", "size": "7", "side": "SELL"},
                ],
            },
            {"event_type": "price_change", "price_changes": []},
            {"event_type": "last_trade_price", "asset_id": TOKENS[0], "price": "0.5", "size": "1", "side": "BUY"},
            {"event_type": "tick_size_change", "asset_id": TOKENS[0], "new_tick_size": "0.001"},
            {"event_type": "market_resolved", "market": CONDITION, "winning_asset_id": TOKENS[1]},
            {"event_type": "best_bid_ask", "asset_id": TOKENS[0], "best_bid": "0.4", "best_ask": "0.6"},
            {"event_type": "book", "asset_id": "12345", "bids": [], "asks": []},
        ]
    )
    reports = found.read_public_frame(frame, NOW_NS)
    assert [type(report) for report in reports] == [
        BookSnapshot,
        BookDelta,
        BookDelta,
        Unrecognised,
        Alive,
        PublicTrade,
        RulesChanged,
        MarketResolved,
        Alive,
        Unrecognised,
    ]
    snapshot, yes, no = reports[:3]
    assert isinstance(snapshot, BookSnapshot)
    assert (len(snapshot.bids), snapshot.bids[0].price, snapshot.checksum) == (1, Decimal("0.4"), "h")
    assert isinstance(yes, BookDelta)
    assert (yes.instrument, len(yes.changes), yes.best_bid) == (YES, 2, Decimal("0.41"))
    assert isinstance(no, BookDelta)
    assert (no.instrument, no.changes[0].direction, no.best_bid) == (NO, Direction.SELL, None)
    resolved = reports[7]
    assert isinstance(resolved, MarketResolved)
    assert resolved.winner == NO


def test_streams_are_subscribed_and_kept_open() -> None:
    found = dialect()
    service, (frame,) = found.private_stream()
    assert service == "ws_user"
    assert SECRET in frame.text
    assert SECRET not in frame.redacted
    service, (frame,) = found.public_stream([YES, NO])
    assert service == "ws_market"
    assert msgspec.json.decode(frame.text)["assets_ids"] == TOKENS
    ping = found.stream_ping()
    assert ping is not None
    assert (ping[0].text, ping[1]) == ("PING", 10.0)
    with pytest.raises(CannotExpress, match="not in the catalogue"):
        found.public_stream([InstrumentId("polymarket:other:Yes")])


# ---- holdings ---------------------------------------------------------------------------------------------


def positions(*rows: tuple[str, float], cursor: str | None = None) -> Answer:
    return ok(
        {
            "data": [
                {
                    "proxy_wallet": "0x" + "11" * 20,
                    "token_id": token,
                    "condition_id": CONDITION,
                    "current_size": size,
                }
                for token, size in rows
            ],
            "pagination": {"has_more": cursor is not None, "next_cursor": cursor},
        }
    )


def test_the_venues_view_is_cash_and_every_position_of_the_markets() -> None:
    found = dialect()
    asked = found.list_holdings([YES, NO], None)
    assert [request.path for request in asked] == ["/balance-allowance", "/v2/positions", "/v2/positions"]
    assert [dict(request.query).get("status") for request in asked[1:]] == ["OPEN", "REDEEMABLE_LOST"]
    assert dict(asked[1].query)["condition_id"] == CONDITION

    page = found.read_holdings([ok({"balance": "2500000"}), positions((TOKENS[0], 10.5)), positions(("12345", 1))])
    assert isinstance(page, HoldingsPage)
    assert {holding.asset: holding.quantity for holding in page.holdings} == {
        "pUSD": Decimal("2.5"),
        YES: Decimal("10.5"),
        "polymarket:token:12345": Decimal(1),
    }
    assert (page.exhaustive, page.as_of_ns, page.stamp) == (True, NOW_NS, "received")


def test_with_an_instrument_that_was_never_learned_the_whole_wallet_is_listed() -> None:
    asked = dialect().list_holdings([YES, InstrumentId("polymarket:other:Yes")], None)
    assert len(asked) == 3
    assert "condition_id" not in dict(asked[1].query)
    unknown = dialect().wallet_balances(rpc("0x89", block(1), block(2)), [InstrumentId("polymarket:other:Yes")])
    assert isinstance(unknown, Unreadable)


@pytest.mark.parametrize(
    "replies",
    [
        [],
        [ok(b"<html>")],
        [ok({"balance": "1"}), ok({}, 500)],
        [ok({"balance": "1"}), positions(cursor="more")],
        [ok({"balance": "1"}), TransportFailure(why="x", sent=True, at_ns=1)],
    ],
)
def test_a_view_with_a_hole_in_it_is_no_view(replies: list[Answer | TransportFailure]) -> None:
    assert isinstance(dialect().read_holdings(replies), Unreadable)


def rpc(*results: Any) -> Answer:
    return ok([{"jsonrpc": "2.0", "id": place, "result": result} for place, result in enumerate(results, 1)])


def block(number: int) -> dict[str, str]:
    return {"number": hex(number), "hash": "0x" + "ab" * 32, "timestamp": hex(1_700_000_000)}


def test_the_wallet_is_read_at_the_finalized_block() -> None:
    found = dialect()
    head = rpc("0x89", block(990), block(1000))
    asked = found.wallet_head()
    assert asked is not None
    assert (asked.service, asked.method, asked.authenticated) == ("rpc", "POST", False)
    request = found.wallet_balances(head, [YES, NO])
    assert isinstance(request, Request)
    assert b"0x3de" in request.body
    shares = "0x" + dynamic_arrays([uint_word(5_000_000), uint_word(0)]).hex()
    page = found.read_wallet(head, rpc(block(990), "0x" + uint_word(7_000_000).hex(), shares), [YES, NO])
    assert isinstance(page, HoldingsPage)
    assert {holding.asset: holding.quantity for holding in page.holdings} == {
        "pUSD": Decimal(7),
        YES: Decimal(5),
        NO: Decimal(0),
    }
    assert page.as_of_ns == 1_700_000_000_000_000_000
    assert page.stamp.startswith("block 990 0xabab")
    assert page.stamp.endswith("(finalized)")


def aged(number: int, seconds_old: int) -> dict[str, str]:
    return block(number) | {"timestamp": hex(1_700_000_000 - seconds_old)}


def test_a_block_of_yesterday_is_no_view_of_today() -> None:
    found = dialect()
    stalled = found.wallet_balances(rpc("0x89", aged(900, 61), aged(1000, 0)), [YES])
    assert isinstance(stalled, Unreadable)
    assert "finality has stalled: block 900 is 61 s behind" in stalled.why
    stuck = found.wallet_balances(rpc("0x89", aged(995, 70), aged(1000, 65)), [YES])
    assert isinstance(stuck, Unreadable)
    assert "newest block 1000 is 65 s old" in stuck.why
    assert isinstance(found.wallet_balances(rpc("0x89", aged(970, 60), aged(1000, 2)), [YES]), Request)


def test_transfers_are_asked_from_where_reading_ended_and_only_if_the_chain_went_on() -> None:
    found = dialect()
    head = rpc("0x89", block(990), block(1000))
    position = found.ledger_position(head)
    assert position == LedgerPosition(number=990, stamp="0x" + "ab" * 32)
    assert found.list_transfers(head, position) is None
    request = found.list_transfers(head, LedgerPosition(number=980, stamp="0x"))
    assert isinstance(request, Request)
    assert request.service == "rpc"
    assert isinstance(found.list_transfers(TransportFailure(why="x", sent=True, at_ns=1), position), Unreadable)
    assert isinstance(found.read_transfers(head, ok(b"busy", 429), position), Unreadable)
    # Without finalized blocks there is no end of reading that stays what it is.
    assert found.ledger_position(rpc("0x89", None, block(1000))) is None


def test_what_is_held_of_one_instrument_is_asked_by_its_token() -> None:
    found = dialect()
    request = found.query_position(YES)
    assert request is not None
    assert request.path == "/balance-allowance"
    assert dict(request.query)["asset_type"] == "CONDITIONAL"
    assert request.cancels
    held = found.read_position(ok({"balance": "5000000", "allowances": {}}), YES)
    assert held == Holding(asset=AssetId(YES), quantity=SignedQuantity(Decimal(5)))
    assert isinstance(found.read_position(ok(b"busy", 503), YES), Unreadable)


def test_executions_of_an_instrument_are_asked_by_market_since_our_part_may_be_in_the_complement() -> None:
    asked = dict(dialect().list_executions(NOW_NS, None, instrument=YES).query)
    assert set(asked) == {"market", "after"}


def test_a_wallet_that_cannot_be_read_is_unreadable_and_never_empty() -> None:
    found = dialect()
    head = rpc("0x89", block(990), block(1000))
    lost = TransportFailure(why="x", sent=True, at_ns=1)
    assert isinstance(found.wallet_balances(rpc("0x1", block(1), block(2)), [YES]), Unreadable)
    assert isinstance(found.wallet_balances(lost, [YES]), Unreadable)
    assert isinstance(found.read_wallet(lost, head, [YES]), Unreadable)
    assert isinstance(found.read_wallet(head, lost, [YES]), Unreadable)
    assert isinstance(found.read_wallet(head, rpc(block(990), "0x", "0x"), [YES]), Unreadable)
    assert isinstance(found.read_wallet(head, ok(b"busy", 429), [YES]), Unreadable)


# ---- staying alive, secrecy -------------------------------------------------------------------------------


def test_the_dead_man_switch_is_refreshed_with_the_last_id() -> None:
    found = dialect()
    request = found.heartbeat("")
    assert request is not None
    assert request.body == b'{"heartbeat_id":""}'
    assert found.read_heartbeat(ok({"heartbeat_id": "h"})) == "h"


def test_nothing_secret_is_seen_from_outside() -> None:
    found = dialect()
    record = msgspec.json.encode({"owner": API_KEY, "note": f"{SECRET} {PASSPHRASE} {API_KEY}"})
    shown = found.redact(record).decode() + repr(found)
    for secret in (*found.secrets, PRIVATE_KEY[2:]):
        assert secret not in shown
    yes, _ = instruments()
    placed = found.prepare(terms(), yes, NOW_NS).request
    assert API_KEY not in found.redact(placed.body).decode()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(found, protocol)
    with pytest.raises(TypeError, match="stays where it is"):
        copy.deepcopy(found)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_answer_is_read_by_every_method_and_none_raises(body: bytes, status: int) -> None:
    found = dialect()
    reply = Answer(status=status, headers=(), body=body, received_at_ns=1)
    found.read_instruments(reply)
    found.read_server_time(reply)
    found.read_place(reply, ORDER)
    found.read_cancel(reply, ORDER)
    found.read_order(reply, ORDER)
    found.read_open_orders(reply)
    found.read_executions(reply)
    found.read_holdings([reply, reply])
    found.wallet_balances(reply, [YES])
    found.read_wallet(reply, reply, [YES])
    found.read_heartbeat(reply)
    found.redact(body)
    assert len(found.read_private_frame(body, 1)) >= (0 if body.strip() == b"[]" else 1)
    assert len(found.read_public_frame(body, 1)) >= (0 if body.strip() == b"[]" else 1)
    dialect(logged_in=False).read_log_in(reply)
