"""Prices and sizes become the integers that were meant, or are refused."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.polymarket.amounts import (
    AmountRefused,
    Amounts,
    TickSize,
    check_minimum_size,
    check_price,
    floor_size,
    from_base_units,
    limit_amounts,
    market_amounts,
    to_base_units,
)
from tallystick.venues.polymarket.orders import Side

from .recorded import cases

VECTORS = "signing_vectors.json"


def exact(number: float) -> Decimal:
    return Decimal(str(number))


def amounts_of(*, market: bool, side: Side, price: Decimal, size: Decimal, tick: TickSize) -> Amounts:
    if market:
        return market_amounts(side, amount=floor_size(size), price_limit=price, tick=tick)
    return limit_amounts(side, price=price, shares=floor_size(size), tick=tick)


@pytest.mark.parametrize("vector", cases(VECTORS, "orders_v2_v3"), ids=lambda vector: str(vector["name"]))
def test_every_recorded_order_has_the_amounts_of_its_price_and_size(vector: Any) -> None:
    wanted = vector["input"]
    amounts = amounts_of(
        market=vector["market_order"],
        side=Side(wanted["side"]),
        price=exact(wanted["price"]),
        size=exact(wanted["amount" if vector["market_order"] else "size"]),
        tick=TickSize.of(Decimal(vector["tick_size"])),
    )
    assert str(amounts.maker) == vector["expected"]["makerAmount"]
    assert str(amounts.taker) == vector["expected"]["takerAmount"]


@pytest.mark.parametrize("case", cases(VECTORS, "amount_arithmetic_divergence", "cases"), ids=str)
def test_where_the_clients_disagree_the_decimal_answer_is_ours(case: Any) -> None:
    amounts = amounts_of(
        market=case["kind"] == "market",
        side=Side(case["side"]),
        price=exact(case["price"]),
        size=exact(case["size_or_amount"]),
        tick=TickSize.of(Decimal(case["tick_size"])),
    )
    assert str(amounts.maker) == case["unified_decimal"]["makerAmount"]
    assert str(amounts.taker) == case["unified_decimal"]["takerAmount"]
    assert (
        str(amounts.maker) != case["legacy_float"]["makerAmount"]
        or str(amounts.taker) != (case["legacy_float"]["takerAmount"])
    )


ticks = st.sampled_from(list(TickSize))
sides = st.sampled_from(list(Side))
sizes = st.integers(1, 10**9).map(lambda cents: Decimal(cents).scaleb(-2))


@st.composite
def priced(draw: st.DrawFn) -> tuple[TickSize, Decimal]:
    tick = draw(ticks)
    steps = int(1 / tick.step)
    return tick, tick.step * draw(st.integers(1, steps - 1))


@given(sides, priced(), sizes)
def test_a_limit_order_reads_back_as_exactly_its_price_and_size(
    side: Side, at: tuple[TickSize, Decimal], shares: Decimal
) -> None:
    tick, price = at
    amounts = limit_amounts(side, price=price, shares=shares, tick=tick)
    assert amounts.price(side) == Fraction(price)
    assert amounts.shares(side) == shares
    assert amounts.cash(side) == shares * price


@given(priced(), sizes)
def test_a_market_buy_can_take_an_offer_at_its_cap_and_never_the_next_one(
    at: tuple[TickSize, Decimal], cash: Decimal
) -> None:
    tick, cap = at
    try:
        amounts = market_amounts(Side.BUY, amount=cash, price_limit=cap, tick=tick)
    except AmountRefused:
        # Only amounts so small that a share more or less is worth a tick are refused.
        assert cash / cap < 10
        return
    assert amounts.cash(Side.BUY) == cash
    assert Fraction(cap) <= amounts.price(Side.BUY) < Fraction(cap) + Fraction(tick.step)
    assert amounts.taker % 10 ** (6 - tick.amount_decimals) == 0


@given(priced(), sizes)
def test_a_market_sell_never_reads_back_below_its_floor(at: tuple[TickSize, Decimal], shares: Decimal) -> None:
    tick, floor = at
    amounts = market_amounts(Side.SELL, amount=shares, price_limit=floor, tick=tick)
    assert amounts.price(Side.SELL) == Fraction(floor)


@pytest.mark.parametrize(
    ("price", "shares", "text"),
    [
        ("0.565", "10", "multiple"),
        ("0.005", "10", "outside"),
        ("1", "10", "outside"),
        ("0.995", "10", "outside"),
        ("NaN", "10", "finite"),
        ("1e-60", "10", "magnitude"),
        ("0.56", "10.001", "decimals"),
        ("0.56", "0", "positive"),
        ("0.56", "-1", "positive"),
        ("0.56", "1e40", "magnitude"),
        ("0.56", "Infinity", "finite"),
    ],
)
def test_what_would_need_rounding_is_refused(price: str, shares: str, text: str) -> None:
    with pytest.raises(AmountRefused, match=text):
        limit_amounts(Side.BUY, price=Decimal(price), shares=Decimal(shares), tick=TickSize.HUNDREDTH)


def test_an_unknown_tick_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(AmountRefused, match=r"0\.02.*0\.0025"):
        TickSize.of(Decimal("0.02"))
    assert TickSize.of(Decimal("0.0100")) is TickSize.HUNDREDTH


def test_the_minimum_size_is_kept() -> None:
    check_minimum_size(Decimal(5), Decimal(5))
    with pytest.raises(AmountRefused, match=r"4\.99 shares"):
        check_minimum_size(Decimal("4.99"), Decimal(5))


def test_prices_on_the_edge_of_the_grid_are_allowed() -> None:
    check_price(Decimal("0.0001"), TickSize.TEN_THOUSANDTH)
    check_price(Decimal("0.9999"), TickSize.TEN_THOUSANDTH)
    check_price(Decimal("0.505"), TickSize.HALF_HUNDREDTH)


@given(st.integers(0, 2**256 - 1))
def test_base_units_convert_without_loss(units: int) -> None:
    amount = from_base_units(units)
    assert int(amount.scaleb(6)) == units or units >= 10**28
    if units < 10**30:
        assert to_base_units(amount) == units


def test_what_is_finer_than_a_base_unit_is_refused() -> None:
    with pytest.raises(AmountRefused, match="finer"):
        to_base_units(Decimal("0.0000001"))
