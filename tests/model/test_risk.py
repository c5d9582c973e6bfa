import copy
import dataclasses
import re
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.account import AccountState
from tallystick.model.fill import Direction
from tallystick.model.identifiers import AccountId, InstrumentId, IntentId, StrategyName
from tallystick.model.instrument import MarketStatus
from tallystick.model.intent import AnyIntent, Intent, PairLeg, PriceBand, Side, Style, TimeInForce
from tallystick.model.money import Cash, Quantity, SignedQuantity
from tallystick.model.order import OrderTerms
from tallystick.model.risk import (
    ApprovedIntent,
    ApprovedOrder,
    Exposure,
    Gate,
    Market,
    Refused,
    RiskContext,
    RiskLimits,
    review_intent,
    review_order,
)
from tallystick.model.truth import BookView

from .examples import (
    INSTRUMENTS,
    NOW_NS,
    RAIN,
    RAIN_NO,
    SECOND_NS,
    SNOW,
    cash,
    context,
    instrument,
    pair,
    price,
    quantity,
    single,
    terms,
)

FAR_NS = NOW_NS + 60 * SECOND_NS
UNLIMITED = RiskLimits()


def held(confirmed: str = "0", arriving: str = "0", leaving: str = "0") -> BookView:
    matched = Decimal(confirmed) + Decimal(arriving) - Decimal(leaving)
    return BookView(
        confirmed=SignedQuantity(Decimal(confirmed)),
        matched=SignedQuantity(matched),
        arriving=quantity(arriving),
        leaving=quantity(leaving),
    )


def market(bid: str | None, ask: str | None, *, age_seconds: int = 0, closed: str | None = None) -> Market:
    return Market(
        bid=None if bid is None else price(bid),
        ask=None if ask is None else price(ask),
        as_of_ns=NOW_NS - age_seconds * SECOND_NS,
        closed=closed,
    )


def facts(*, intent: AnyIntent | None = None, limits: RiskLimits = UNLIMITED, **rain: object) -> RiskContext:
    """A context in which rain has these facts, for an order of this intent."""
    exposures = {name: Exposure(instrument=rules) for name, rules in INSTRUMENTS.items()}
    exposures[RAIN] = msgspec.structs.replace(exposures[RAIN], **rain)
    return context(exposures=exposures, known_intent=intent, limits=limits)


def refused(verdict: ApprovedIntent | ApprovedOrder | Refused) -> Refused:
    assert isinstance(verdict, Refused), verdict
    assert verdict.message
    assert verdict.found
    assert verdict.allowed
    return verdict


def intent_gate(intent: AnyIntent, facts: RiskContext) -> Gate | None:
    verdict = review_intent(intent, facts)
    return verdict.gate if isinstance(verdict, Refused) else None


def order_gate(order: OrderTerms, facts: RiskContext) -> Gate | None:
    verdict = review_order(order, facts)
    return verdict.gate if isinstance(verdict, Refused) else None


# ---- approvals --------------------------------------------------------------------------------------------


def test_an_intent_that_passes_every_gate_is_approved_as_it_is() -> None:
    for intent in (single(), pair()):
        verdict = review_intent(intent, context())
        assert isinstance(verdict, ApprovedIntent)
        assert verdict.intent is intent
        assert verdict.reviewed_at_ns == NOW_NS
        assert not verdict.repeated


def test_an_order_that_passes_every_gate_is_approved_as_it_is() -> None:
    verdict = review_order(terms(), facts(intent=single()))
    assert isinstance(verdict, ApprovedOrder)
    assert verdict.terms == terms()


def test_nobody_else_can_make_an_approval() -> None:
    with pytest.raises(TypeError, match="by review_order alone"):
        ApprovedOrder(terms=terms(), reviewed_at_ns=NOW_NS, seal=object())  # type: ignore[arg-type]  # as a forger would
    with pytest.raises(TypeError, match="by review_intent alone"):
        ApprovedIntent(intent=single(), reviewed_at_ns=NOW_NS, seal=None)  # type: ignore[arg-type]  # as above


def test_an_approval_cannot_be_changed_into_one_of_something_else() -> None:
    approved = review_order(terms(), facts(intent=single()))
    assert isinstance(approved, ApprovedOrder)
    assert copy.copy(approved) == approved
    with pytest.raises(ValueError, match="seal"):
        dataclasses.replace(approved, terms=terms(quantity=quantity("1000")))  # type: ignore[call-arg]  # as a forger
    with pytest.raises(dataclasses.FrozenInstanceError):
        approved.terms = terms(quantity=quantity("1000"))  # type: ignore[misc]  # as a forger would


# ---- intents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"account_state": AccountState.RECOVERING, "account_reason": "sweeping"}, Gate.ACCOUNT_LIVE),
        ({"account_state": AccountState.DEGRADED}, Gate.ACCOUNT_LIVE),
        ({"account_state": AccountState.HALTED}, Gate.ACCOUNT_LIVE),
        ({"account": AccountId("polymarket:other")}, Gate.ACCOUNT_LIVE),
        ({"halted": "fire drill"}, Gate.OPERATOR_HALT),
        ({"congestion": "a commit has taken 3.0 s so far"}, Gate.STORE),
        ({"halted": ""}, Gate.OPERATOR_HALT),
        ({"paused": "drift of rain"}, Gate.STRATEGY_PAUSED),
        ({"paused": ""}, Gate.STRATEGY_PAUSED),
        ({"now_ns": FAR_NS}, Gate.EXPIRY),
        ({"active_intents": 3, "strategy_active_intents_maximum": 3}, Gate.ACTIVE_INTENTS),
        ({"active_intents": 3, "limits": RiskLimits(active_intents_per_strategy_maximum=3)}, Gate.ACTIVE_INTENTS),
        ({"exposures": {}}, Gate.INSTRUMENT_KNOWN),
        ({"strategy_notional_maximum": cash("10.24")}, Gate.INTENT_NOTIONAL),
        ({"limits": RiskLimits(intent_notional_maximum=cash("10.24"))}, Gate.INTENT_NOTIONAL),
        ({"active_intents": 2, "strategy_active_intents_maximum": 3}, None),
        ({"strategy_notional_maximum": cash("10.25")}, None),
    ],
)
def test_a_fact_closes_its_gate_for_an_intent(changes: dict[str, object], expected: Gate | None) -> None:
    assert intent_gate(single(), context(**changes)) is expected


@pytest.mark.parametrize(
    ("intent", "gate", "field"),
    [
        (single(limit_price=price("0.415")), Gate.INSTRUMENT_RULES, "limit_price"),
        (single(limit_price=price("1.5")), Gate.INSTRUMENT_RULES, "limit_price"),
        (single(quantity=quantity("3")), Gate.INSTRUMENT_RULES, "quantity"),
        (single(quantity=quantity("5.001")), Gate.INSTRUMENT_RULES, "quantity"),
        (single(child_quantity_maximum=quantity("1")), Gate.INSTRUMENT_RULES, "child_quantity_maximum"),
        (single(price_band=PriceBand(maximum=price("0.40"))), Gate.PRICE_BAND, "limit_price"),
        (single(instrument=InstrumentId("polymarket:hail:Yes")), Gate.INSTRUMENT_KNOWN, "instrument"),
        (pair(notional=cash("3")), Gate.INSTRUMENT_RULES, "notional"),
        (
            pair(short=PairLeg(instrument=SNOW, limit_price=price("0.63"), price_band=PriceBand(minimum=price("0.7")))),
            Gate.PRICE_BAND,
            "short.limit_price",
        ),
        (pair(short=PairLeg(instrument=RAIN, limit_price=price("0.63"))), Gate.WELL_FORMED, "short.instrument"),
        (single(intent_id=IntentId("")), Gate.WELL_FORMED, "intent_id"),
        (single(strategy=StrategyName("a\x00b")), Gate.WELL_FORMED, "strategy"),
        (single(quantity=quantity("0")), Gate.WELL_FORMED, "quantity"),
        (single(quantity=quantity("-5")), Gate.WELL_FORMED, "quantity"),
        (single(quantity=Quantity(Decimal("NaN"))), Gate.WELL_FORMED, "quantity"),
        (pair(notional=Cash(Decimal("Infinity"))), Gate.WELL_FORMED, "notional"),
        (single(limit_price=price("1e300")), Gate.WELL_FORMED, "limit_price"),
        (single(style=Style.POST_ONLY, time_in_force=TimeInForce.FOK), Gate.WELL_FORMED, "time_in_force"),
        (single(slippage_bps_maximum=Decimal(-1)), Gate.WELL_FORMED, "slippage_bps_maximum"),
        (single(risk_tags=("",)), Gate.WELL_FORMED, "risk_tags[0]"),
        (single(expires_at_ns=FAR_NS * 10), Gate.EXPIRY, "expires_at"),
    ],
)
def test_a_wrong_intent_is_refused_by_the_gate_that_saw_it(intent: AnyIntent, gate: Gate, field: str) -> None:
    refusal = refused(review_intent(intent, context()))
    assert (refusal.gate, refusal.field) == (gate, field)


@pytest.mark.parametrize(
    ("intent", "field", "allowed"),
    [
        (single(quantity=25.0), "quantity", "Decimal"),
        (single(quantity="25"), "quantity", "Decimal"),
        (single(side="buy"), "side", "Side"),
        (single(intent_id=5), "intent_id", "str"),
        (single(expires_at_ns=1.5), "expires_at_ns", "int"),
        (single(expires_at_ns=True), "expires_at_ns", "int"),
        (single(price_band=None), "price_band", "PriceBand"),
        (single(child_quantity_maximum=3), "child_quantity_maximum", "Decimal"),
        (single(risk_tags=["a"]), "risk_tags", "tuple"),
        (pair(long=None), "long", "PairLeg"),
        (pair(long=PairLeg(instrument=RAIN, limit_price=0.41)), "long.limit_price", "Decimal"),  # type: ignore[arg-type]
    ],
)
def test_a_strategy_that_hands_in_wrong_types_is_told_so_and_nothing_crashes(
    intent: AnyIntent, field: str, allowed: str
) -> None:
    refusal = refused(review_intent(intent, context()))
    assert (refusal.gate, refusal.field, refusal.allowed) == (Gate.WELL_FORMED, field, allowed)


def test_all_problems_of_an_intent_are_in_the_message() -> None:
    wrong = single(limit_price=price("0.415"), quantity=quantity("3.001"))
    message = refused(review_intent(wrong, context())).message
    for part in ("0.415", "the tick 0.01", "3.001", "at least 5", "a multiple of 0.01"):
        assert part in message


def test_the_same_intent_again_is_a_repetition_whatever_the_gates_say_now() -> None:
    known = single()
    again = single(quantity=quantity("25.00"))
    for changes in ({}, {"halted": "drill"}, {"now_ns": FAR_NS * 2}, {"active_intents": 99}):
        verdict = review_intent(again, context(known_intent=known, **changes))
        assert isinstance(verdict, ApprovedIntent)
        assert verdict.repeated


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (single(quantity=quantity("26")), "(quantity differs)"),
        (single(quantity=quantity("26"), side=Side.SELL), "(side, quantity differs)"),
        (pair(intent_id=IntentId("a1")), "(its kind differs)"),
    ],
)
def test_the_same_id_with_other_content_is_refused_and_says_what_differs(other: AnyIntent, changed: str) -> None:
    refusal = refused(review_intent(other, context(known_intent=single())))
    assert refusal.gate is Gate.DUPLICATE_INTENT
    assert changed in refusal.message


# ---- orders against their intent --------------------------------------------------------------------------


def test_an_order_of_no_accepted_intent_is_refused() -> None:
    assert order_gate(terms(), context()) is Gate.INTENT_KNOWN
    assert order_gate(terms(), facts(intent=single(intent_id=IntentId("a2")))) is Gate.INTENT_KNOWN
    assert order_gate(terms(), facts(intent=single(strategy=StrategyName("other")))) is Gate.INTENT_KNOWN


SHORT = single(side=Side.SELL_SHORT)
AS_COMPLEMENT = {"side": Side.SELL_SHORT, "direction": Direction.BUY, "instrument": RAIN_NO}


@pytest.mark.parametrize(
    ("intent", "changes", "expected"),
    [
        (single(), {"price": price("0.40")}, None),
        (single(), {"price": price("0.42")}, Gate.LIMIT_PRICE),
        (single(price_band=PriceBand(minimum=price("0.40"))), {"price": price("0.39")}, Gate.PRICE_BAND),
        (single(), {"quantity": quantity("25")}, None),
        (single(), {"quantity": quantity("25.01")}, Gate.FAITHFUL),
        (single(), {"direction": Direction.SELL}, Gate.FAITHFUL),
        (single(), {"side": Side.SELL, "direction": Direction.SELL}, Gate.FAITHFUL),
        (single(), {"side": Side.BUY_TO_COVER}, Gate.FAITHFUL),
        (single(), {"leg": 1}, Gate.FAITHFUL),
        (single(), {"leg": -1}, Gate.FAITHFUL),
        (single(), {"instrument": SNOW}, Gate.FAITHFUL),
        (single(), {"instrument": InstrumentId("x")}, Gate.INSTRUMENT_KNOWN),
        # A purchase of Yes may be written as a sale of No at one minus the price, and a short of Yes as its purchase.
        (single(), {"instrument": RAIN_NO, "direction": Direction.SELL, "price": price("0.59")}, None),
        (single(), {"instrument": RAIN_NO, "direction": Direction.SELL, "price": price("0.58")}, Gate.LIMIT_PRICE),
        (single(), {"instrument": RAIN_NO, "direction": Direction.BUY, "price": price("0.59")}, Gate.FAITHFUL),
        (SHORT, AS_COMPLEMENT | {"price": price("0.59")}, None),
        (SHORT, AS_COMPLEMENT | {"price": price("0.60")}, Gate.LIMIT_PRICE),
        (SHORT, {"side": Side.SELL_SHORT, "direction": Direction.SELL, "price": price("0.41")}, None),
        (SHORT, {"side": Side.SELL_SHORT, "direction": Direction.SELL, "price": price("0.40")}, Gate.LIMIT_PRICE),
        # What undoes an intent goes the other way, at its own price, and not further than the intent went.
        (single(), {"purpose": "unwind", "side": Side.SELL, "direction": Direction.SELL, "price": price("0.30")}, None),
        (single(), {"purpose": "unwind"}, Gate.FAITHFUL),
        (
            single(),
            {"purpose": "unwind", "side": Side.SELL, "direction": Direction.SELL, "quantity": quantity("26")},
            Gate.FAITHFUL,
        ),
    ],
)
def test_an_order_must_be_what_its_intent_meant(
    intent: Intent, changes: dict[str, object], expected: Gate | None
) -> None:
    assert order_gate(terms(**changes), facts(intent=intent)) is expected


def test_a_leg_of_a_pair_is_held_to_its_own_limit_and_quantity() -> None:
    long, short = (
        {"intent_id": IntentId("p1")},
        {
            "intent_id": IntentId("p1"),
            "leg": 1,
            "instrument": SNOW,
            "side": Side.SELL_SHORT,
            "direction": Direction.SELL,
            "price": price("0.63"),
        },
    )
    around = facts(intent=pair())
    assert order_gate(terms(**long, quantity=quantity("60.97")), around) is None
    assert order_gate(terms(**long, quantity=quantity("60.98")), around) is Gate.FAITHFUL
    assert order_gate(terms(**short, quantity=quantity("39.68")), around) is None
    assert order_gate(terms(**short, quantity=quantity("39.69")), around) is Gate.FAITHFUL
    assert order_gate(terms(**(short | {"price": price("0.62")})), around) is Gate.LIMIT_PRICE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"price": price("0.405")}, Gate.INSTRUMENT_RULES),
        ({"quantity": quantity("4")}, Gate.INSTRUMENT_RULES),
        ({"quantity": quantity("5.001")}, Gate.INSTRUMENT_RULES),
        ({"expires_at_ns": NOW_NS}, Gate.EXPIRY),
        ({"account": AccountId("polymarket:other")}, Gate.ACCOUNT_LIVE),
    ],
)
def test_an_order_keeps_the_rules_of_its_venue(changes: dict[str, object], expected: Gate) -> None:
    assert order_gate(terms(**changes), facts(intent=single())) is expected


# ---- markets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", MarketStatus)
@pytest.mark.parametrize("post_only", [True, False])
def test_only_an_open_market_takes_orders_and_a_post_only_one_those_that_rest(
    status: MarketStatus, post_only: bool
) -> None:
    rules = msgspec.structs.replace(INSTRUMENTS[RAIN], status=status)
    takes = status is MarketStatus.OPEN or (status is MarketStatus.POST_ONLY and post_only)
    expected = None if takes else Gate.MARKET_STATUS
    assert order_gate(terms(post_only=post_only), facts(intent=single(), instrument=rules)) is expected
    style = Style.POST_ONLY if post_only else Style.LIMIT
    assert intent_gate(single(style=style), facts(instrument=rules)) is expected


@pytest.mark.parametrize(
    ("top", "stale_seconds", "deviation", "expected"),
    [
        (None, None, None, None),
        (None, 10, None, Gate.FRESH_DATA),
        (None, None, "100", Gate.FRESH_DATA),
        (market("0.40", "0.42", age_seconds=10), 10, None, None),
        (market("0.40", "0.42", age_seconds=11), 10, None, Gate.FRESH_DATA),
        (market("0.40", "0.42", age_seconds=-5), 10, None, None),
        (market("0.40", "0.42", closed="a gap in the sequence"), None, None, Gate.FRESH_DATA),
        (market("0.40", "0.42", closed=""), None, None, Gate.FRESH_DATA),
        (market("0.42", "0.42"), None, None, Gate.FRESH_DATA),
        (market("0.43", "0.42"), None, None, Gate.FRESH_DATA),
        (market("0.40", None), None, None, None),
        (market("0.40", None), None, "100", Gate.FRESH_DATA),
        (market("0.39", "0.41"), None, "250", None),
        (market("0.39", "0.41"), None, "249", Gate.PRICE_DEVIATION),
        (market("0.80", "0.82"), None, "1", None),
    ],
)
def test_unknown_stale_crossed_or_far_data_stops_new_orders(
    top: Market | None, stale_seconds: float | None, deviation: str | None, expected: Gate | None
) -> None:
    limits = RiskLimits(price_deviation_bps_maximum=None if deviation is None else Decimal(deviation))
    around = msgspec.structs.replace(
        facts(intent=single(), limits=limits, market=top), market_data_stale_seconds=stale_seconds
    )
    assert order_gate(terms(), around) is expected
    assert intent_gate(single(), msgspec.structs.replace(around, known_intent=None)) is expected


def test_a_sale_may_not_take_too_much_less_than_the_mid() -> None:
    limits = RiskLimits(price_deviation_bps_maximum=Decimal(250))
    selling = single(side=Side.SELL, limit_price=price("0.30"))
    order = {"side": Side.SELL, "direction": Direction.SELL}
    around = facts(intent=selling, limits=limits, market=market("0.39", "0.41"))
    assert order_gate(terms(**order, price=price("0.39")), around) is None
    refusal = refused(review_order(terms(**order, price=price("0.38")), around))
    assert refusal.gate is Gate.PRICE_DEVIATION
    assert refusal.found == "0.38, 500.0 bps below the mid 0.4"


# ---- sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (RiskLimits(order_quantity_maximum=quantity("10")), None),
        (RiskLimits(order_quantity_maximum=quantity("9.99")), Gate.ORDER_QUANTITY),
        (RiskLimits(order_notional_maximum=cash("4.1")), None),
        (RiskLimits(order_notional_maximum=cash("4.09")), Gate.ORDER_NOTIONAL),
        (RiskLimits(order_quantity_maximum=quantity("0")), Gate.ORDER_QUANTITY),
    ],
)
def test_one_order_has_its_own_limits(limits: RiskLimits, expected: Gate | None) -> None:
    assert order_gate(terms(), facts(intent=single(), limits=limits)) is expected


BUY, SELL = "buy", "sell"


@pytest.mark.parametrize(
    ("way", "book", "open_buys", "open_sells", "expected"),
    [
        (BUY, held("90"), "0", "0", None),
        (BUY, held("90.01"), "0", "0", Gate.POSITION_QUANTITY),
        (BUY, held("80"), "10.01", "0", Gate.POSITION_QUANTITY),
        # A sale in flight may be reversed, and an open sale may never fill: neither makes room.
        (BUY, held("100", leaving="50"), "0", "0", Gate.POSITION_QUANTITY),
        (BUY, held("100"), "0", "50", Gate.POSITION_QUANTITY),
        (BUY, held("0", arriving="95"), "0", "0", Gate.POSITION_QUANTITY),
        # What brings the position nearer to zero passes, however large it is.
        (SELL, held("500"), "0", "0", None),
        (BUY, held("-500"), "0", "0", None),
        (BUY, held("-500"), "495", "0", None),
        (BUY, held("-500"), "591", "0", Gate.POSITION_QUANTITY),
        (SELL, held("-90"), "0", "0", None),
        (SELL, held("-90"), "0", "1", Gate.POSITION_QUANTITY),
        (SELL, held("-90", arriving="50"), "0", "1", Gate.POSITION_QUANTITY),
    ],
)
def test_a_position_limit_is_held_against_the_worst_case(
    way: str, book: BookView, open_buys: str, open_sells: str, expected: Gate | None
) -> None:
    limits = RiskLimits(position_quantity_maximum=quantity("100"))
    direction, side = (Direction.BUY, Side.BUY) if way == BUY else (Direction.SELL, Side.SELL)
    around = facts(
        intent=single(side=side),
        limits=limits,
        book=book,
        open_buys=quantity(open_buys),
        open_sells=quantity(open_sells),
    )
    assert order_gate(terms(direction=direction, side=side), around) is expected


def test_a_position_is_worth_the_higher_of_order_price_and_mid() -> None:
    limits = RiskLimits(position_notional_maximum=cash("50"))
    around = facts(intent=single(), limits=limits, book=held("90"))
    assert order_gate(terms(), around) is None
    high = facts(intent=single(), limits=limits, book=held("90"), market=market("0.50", "0.52"))
    refusal = refused(review_order(terms(), high))
    assert refusal.gate is Gate.POSITION_NOTIONAL
    assert refusal.found == "90 held + 0 open + 10 = 100 long of polymarket:rain:Yes, worth 51 at 0.51"


def test_an_intent_is_held_against_the_position_limit_with_its_whole_quantity() -> None:
    limits = RiskLimits(position_quantity_maximum=quantity("50"))
    sliced = single(quantity=quantity("51"), child_quantity_maximum=quantity("10"))
    assert intent_gate(sliced, facts(limits=limits)) is Gate.POSITION_QUANTITY
    refusal = refused(review_intent(pair(), facts(limits=limits)))
    assert (refusal.gate, refusal.field) == (Gate.POSITION_QUANTITY, "long.quantity")


@given(
    st.integers(min_value=-300, max_value=300),
    st.integers(min_value=0, max_value=300),
    st.integers(min_value=0, max_value=300),
    st.integers(min_value=5, max_value=300),
    st.booleans(),
)
def test_no_approved_order_can_lead_beyond_the_limit_unless_the_position_was_beyond_it_already(
    position: int, open_buys: int, open_sells: int, size: int, buys: bool
) -> None:
    limits = RiskLimits(position_quantity_maximum=quantity("100"))
    direction, side = (Direction.BUY, Side.BUY) if buys else (Direction.SELL, Side.SELL)
    around = facts(
        intent=single(side=side, quantity=quantity("300")),
        limits=limits,
        book=held(str(position)),
        open_buys=quantity(str(open_buys)),
        open_sells=quantity(str(open_sells)),
    )
    gate = order_gate(terms(direction=direction, side=side, quantity=quantity(str(size))), around)
    worst = position + open_buys + size if buys else -position + open_sells + size
    assert gate is (Gate.POSITION_QUANTITY if worst > 100 else None)


# ---- messages ---------------------------------------------------------------------------------------------


def test_a_refusal_is_one_sentence_with_its_numbers_and_the_same_for_programs() -> None:
    limits = RiskLimits(order_notional_maximum=cash("4"))
    refusal = refused(review_order(terms(), facts(intent=single(), limits=limits)))
    assert refusal == Refused(
        gate=Gate.ORDER_NOTIONAL,
        message="notional is 4.1; allowed is at most 4",
        field="notional",
        found="4.1",
        allowed="at most 4",
    )


def test_a_halt_and_a_pause_tell_their_reason() -> None:
    assert "fire drill" in refused(review_intent(single(), context(halted="fire drill"))).message
    assert "drift of rain" in refused(review_order(terms(), facts_paused("drift of rain"))).message


def facts_paused(reason: str) -> RiskContext:
    return msgspec.structs.replace(facts(intent=single()), paused=reason)


def test_no_message_carries_a_float() -> None:
    odd = instrument(RAIN, tick="0.001")
    refusal = refused(review_order(terms(price=price("0.4005")), facts(intent=single(), instrument=odd)))
    assert not re.search(r"\d{8,}", refusal.message)
