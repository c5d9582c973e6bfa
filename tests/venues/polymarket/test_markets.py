"""Markets are read with the rules that trading them needs, or refused with the reason."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tallystick.model.report import Unreadable
from tallystick.venues.evm.conditional_tokens import outcome_token_ids
from tallystick.venues.polymarket import answers, markets
from tallystick.venues.polymarket.contracts import NEG_RISK_COLLATERAL, USDC_BRIDGED
from tallystick.venues.polymarket.decoding import Malformed
from tallystick.venues.polymarket.markets import FeeCurve, taker_fee
from tallystick.venues.port import Answer

CONDITION = "0x" + "17" * 32
TOKENS = [str(token) for token in outcome_token_ids(USDC_BRIDGED, bytes.fromhex(CONDITION[2:]))]
NEG_RISK_TOKENS = [str(token) for token in outcome_token_ids(NEG_RISK_COLLATERAL, bytes.fromhex(CONDITION[2:]))]


def ok(value: Any) -> Answer:
    return Answer(status=200, headers=(), body=msgspec.json.encode(value), received_at_ns=1)


def listed(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "conditionId": CONDITION,
        "slug": "rain-in-paris",
        "question": "Rain in Paris?",
        "outcomes": '["Yes", "No"]',
        "clobTokenIds": msgspec.json.encode(TOKENS).decode(),
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "negRisk": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "active": True,
        "closed": False,
        "archived": False,
        "endDate": "2027-01-01T00:00:00Z",
        "feesEnabled": True,
        "feeSchedule": {"rate": 0.05, "exponent": 1, "takerOnly": True, "rebateRate": 0.25},
    } | changes


def read(**changes: Any) -> markets.Market:
    return markets.read_market(msgspec.json.encode(listed(**changes)))


def test_a_market_has_two_outcomes_in_order_and_exact_rules() -> None:
    market = read()
    assert [outcome.name for outcome in market.outcomes] == ["Yes", "No"]
    assert [outcome.token_id for outcome in market.outcomes] == TOKENS
    assert (market.tick_size, market.minimum_size) == (Decimal("0.01"), Decimal(5))
    assert market.fee == FeeCurve(rate=Decimal("0.05"), exponent=Decimal(1))
    assert market.ends_at_ns == 1_798_761_600_000_000_000
    assert market.accepting_orders
    assert not market.closed


def test_a_neg_risk_market_has_the_tokens_of_the_wrapped_collateral() -> None:
    market = read(negRisk=True, clobTokenIds=msgspec.json.encode(NEG_RISK_TOKENS).decode())
    assert market.neg_risk
    with pytest.raises(Malformed, match="not the outcomes"):
        read(negRisk=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"clobTokenIds": msgspec.json.encode(TOKENS[::-1]).decode()}, "the first one first"),
        ({"clobTokenIds": '["1", "2"]'}, "not the outcomes"),
        ({"clobTokenIds": "[]"}, "two tokens"),
        ({"outcomes": '["A", "B", "C"]'}, "two outcomes"),
        ({"outcomes": "Yes,No"}, "malformed"),
        ({"conditionId": "0x12"}, "condition id"),
        ({"feeSchedule": None}, "schedule is absent"),
        ({"feeSchedule": {"rate": 0.05}}, "schedule is absent"),
        ({"orderPriceMinTickSize": -1}, "not negative"),
        ({"orderMinSize": "many"}, "decimal"),
    ],
)
def test_a_market_that_cannot_be_traded_safely_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        read(**changes)


def test_structured_position_ids_are_taken_as_they_are() -> None:
    position = "452312848583266388373324160190187140280203133231273979958762269979397062657"
    assert read(clobTokenIds=f'["{position}", "{int(position) - 1}"]').outcomes[0].token_id == position


@pytest.mark.parametrize(
    ("changes", "accepting", "closed"),
    [
        ({"acceptingOrders": False}, False, False),
        ({"acceptingOrders": None}, False, False),
        ({"enableOrderBook": False}, False, False),
        ({"closed": True}, True, True),
        ({"archived": True}, True, True),
        ({"active": False}, True, True),
    ],
)
def test_a_market_takes_orders_only_where_the_catalogue_says_so(
    changes: dict[str, Any], accepting: bool, closed: bool
) -> None:
    market = read(**changes)
    assert (market.accepting_orders, market.closed) == (accepting, closed)


@pytest.mark.parametrize("changes", [{"feesEnabled": False}, {"feesEnabled": None, "feeSchedule": None}])
def test_a_market_without_fees_has_none(changes: dict[str, Any]) -> None:
    assert read(**changes).fee.rate == 0


def test_the_rules_of_the_order_book_are_read_from_their_short_keys() -> None:
    body = {
        "c": CONDITION,
        "t": [{"t": TOKENS[0], "o": "Yes"}, {"t": TOKENS[1], "o": "No"}],
        "mts": 0.001,
        "mos": 5,
        "nr": False,
        "mbf": 0,
        "tbf": 0,
        "fd": {"r": 0.04, "e": 1, "to": True},
        "itode": True,
        "sd": 0,
    }
    rules = markets.read_market_rules(ok(body))
    assert isinstance(rules, markets.MarketRules)
    assert (rules.tick_size, rules.minimum_size, rules.taker_delay) == (Decimal("0.001"), Decimal(5), True)
    assert rules.fee == FeeCurve(rate=Decimal("0.04"), exponent=Decimal(1))
    without = markets.read_market_rules(ok(body | {"fd": None}))
    assert isinstance(without, markets.MarketRules)
    assert without.fee is None


def test_small_answers_about_a_token_are_read() -> None:
    pair = {"condition_id": CONDITION.upper(), "primary_token_id": TOKENS[0], "secondary_token_id": TOKENS[1]}
    found = markets.read_token_pair(ok(pair))
    assert isinstance(found, markets.TokenPair)
    assert (found.condition_id, found.secondary) == (CONDITION, TOKENS[1])
    assert markets.read_tick_size(ok({"minimum_tick_size": 0.01})) == Decimal("0.01")
    assert markets.read_tick_size(ok({"minimum_tick_size": "0.0025"})) == Decimal("0.0025")
    assert markets.read_neg_risk(ok({"neg_risk": True})) is True
    assert markets.read_fee_rate(ok({"base_fee": 0})) == 0
    assert isinstance(markets.read_neg_risk(ok({"neg_risk": "yes"})), Unreadable)


@pytest.mark.parametrize(
    ("price", "shares", "fee"),
    [
        ("0.5", "100", "1.25000"),
        ("0.01", "100", "0.04950"),
        ("0.99", "100", "0.04950"),
        ("0.5", "0.0001", "0.00001"),
        ("1", "100", "0"),
        ("0.5", "0", "0"),
    ],
)
def test_takers_pay_by_the_curve_in_five_decimals(price: str, shares: str, fee: str) -> None:
    curve = FeeCurve(rate=Decimal("0.05"), exponent=Decimal(1))
    assert taker_fee(curve, at=Decimal(price), shares=Decimal(shares)) == Decimal(fee)


def test_a_free_market_charges_nothing() -> None:
    assert taker_fee(FeeCurve(rate=Decimal(0), exponent=Decimal(1)), at=Decimal("0.5"), shares=Decimal(9)) == 0


def test_a_catalogue_page_carries_its_cursor() -> None:
    page = markets.read_catalogue_page(ok({"markets": [listed()], "next_cursor": "abc"}))
    assert isinstance(page, answers.Rows)
    assert (len(page.rows), page.next_cursor) == (1, "abc")
    assert isinstance(markets.read_catalogue_page(ok([])), Unreadable)
