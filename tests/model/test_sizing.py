from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.instrument import Instrument, RuleBroken, broken_rules, notional_of
from tallystick.model.intent import PairLeg, Side
from tallystick.model.money import EXACT, Quantity, is_multiple
from tallystick.model.sizing import (
    SLICES_MAX,
    broken_pair_rules,
    child_sizes,
    legs_of,
    minimum_quantity,
    pair_quantities,
)

from .examples import INSTRUMENTS, RAIN, SNOW, cash, instrument, pair, plains, price, quantity, single

STEPS = st.sampled_from(["0.01", "0.1", "1", "5", "0.000001"])
RULES = st.builds(
    lambda step, minimum, multiplier: instrument(step=step, minimum=minimum, multiplier=multiplier),
    STEPS,
    st.sampled_from(["0", "0.5", "1", "5", "7"]),
    st.sampled_from(["1", "50", "0.1"]),
)
PRICES = st.integers(min_value=1, max_value=99).map(lambda cents: price(f"0.{cents:02}"))


# ---- pairs ------------------------------------------------------------------------------------------------


def test_a_leg_is_the_notional_at_its_limit_price_rounded_down_to_the_step() -> None:
    long, short = pair_quantities(pair(), INSTRUMENTS[RAIN], INSTRUMENTS[SNOW])
    assert plains(long, short) == "60.97 39.68"


@given(st.decimals(min_value=Decimal("0.01"), max_value=Decimal("1e30"), places=8), PRICES, PRICES, RULES, RULES)
def test_a_leg_never_costs_more_than_the_notional_and_one_step_more_would(
    notional: Decimal, long_price: Decimal, short_price: Decimal, long: Instrument, short: Instrument
) -> None:
    asked = pair(
        notional=notional,
        long=PairLeg(instrument=RAIN, limit_price=price(str(long_price))),
        short=PairLeg(instrument=SNOW, limit_price=price(str(short_price))),
    )
    for size, rules, part in zip(
        pair_quantities(asked, long, short), (long, short), (asked.long, asked.short), strict=True
    ):
        assert is_multiple(size, rules.quantity_step)
        assert notional_of(rules, part.limit_price, size) <= notional
        assert notional_of(rules, part.limit_price, Quantity(EXACT.add(size, rules.quantity_step))) > notional


def test_a_notional_too_small_for_a_leg_says_which_leg_and_how_much_is_needed() -> None:
    (broken,) = broken_pair_rules(pair(notional=cash("3")), INSTRUMENTS[RAIN], INSTRUMENTS[SNOW])
    assert broken.field == "notional"
    assert broken.found == "3, which makes the short leg 4.76 at 0.63"
    assert broken.allowed == "at least 3.15, as polymarket:snow:Yes trades from 5"


def test_the_legs_of_a_pair_are_a_purchase_and_a_short_sale() -> None:
    long, short = legs_of(pair(), INSTRUMENTS.get)
    assert (long.name, long.side, long.instrument) == ("long", Side.BUY, RAIN)
    assert (short.name, short.side, short.instrument) == ("short", Side.SELL_SHORT, SNOW)
    (only,) = legs_of(single(), INSTRUMENTS.get)
    assert only.quantity == 25


# ---- minimums ---------------------------------------------------------------------------------------------


@given(RULES, PRICES, st.sampled_from(["0", "0.99", "1", "17"]))
def test_the_minimum_quantity_keeps_every_rule_and_one_step_less_breaks_one(
    rules: Instrument, at: Decimal, notional_minimum: str
) -> None:
    rules = instrument(
        step=str(rules.quantity_step),
        minimum=str(rules.quantity_minimum),
        multiplier=str(rules.multiplier),
        notional_minimum=notional_minimum,
    )
    limit = price(str(at))
    smallest = minimum_quantity(rules, limit)
    assert broken_rules(rules, limit, smallest) == []
    less = Quantity(smallest - rules.quantity_step)
    assert less == 0 or broken_rules(rules, limit, less) != []


# ---- children ---------------------------------------------------------------------------------------------


def test_children_are_as_few_and_as_even_as_the_grid_allows() -> None:
    rules = instrument(step="1", minimum="2")
    sizes = child_sizes(quantity("11"), quantity("5"), rules)
    assert sizes == (quantity("4"), quantity("4"), quantity("3"))


def test_a_quantity_that_needs_no_splitting_stays_whole() -> None:
    assert child_sizes(quantity("25"), None, instrument()) == (quantity("25"),)
    assert child_sizes(quantity("25"), quantity("25"), instrument()) == (quantity("25"),)


@pytest.mark.parametrize(
    ("size", "child", "field", "allowed"),
    [
        ("4", None, "quantity", "at least 5"),
        ("25.005", None, "quantity", "a multiple of 0.01"),
        ("25", "4", "child_quantity_maximum", "at least 5"),
        ("9", "6", "child_quantity_maximum", "a size that splits 9 into children of 5 or more"),
        ("1000000", "5", "child_quantity_maximum", "at least 1000 (at most 1000 slices)"),
    ],
)
def test_a_split_that_is_impossible_names_the_rule(size: str, child: str | None, field: str, allowed: str) -> None:
    broken = child_sizes(quantity(size), None if child is None else quantity(child), instrument())
    assert isinstance(broken, RuleBroken)
    assert broken.field == field
    assert broken.allowed == allowed


@given(
    st.integers(min_value=1, max_value=3000),
    st.decimals(min_value=Decimal("0.000001"), max_value=Decimal(4000), places=6),
    RULES,
)
def test_children_lie_on_the_grid_keep_both_bounds_and_add_up_exactly(
    units: int, child: Decimal, rules: Instrument
) -> None:
    whole = Quantity(units * rules.quantity_step)
    sizes = child_sizes(whole, Quantity(child), rules)
    if isinstance(sizes, RuleBroken):
        assert _is_impossible(units, child, rules)
        return
    assert sum(sizes) == whole
    assert len(sizes) <= SLICES_MAX
    assert list(sizes) == sorted(sizes, reverse=True)
    for size in sizes:
        assert rules.quantity_minimum <= size <= max(child, size if len(sizes) == 1 and child >= whole else child)
        assert is_multiple(size, rules.quantity_step)


def _is_impossible(units: int, child: Decimal, rules: Instrument) -> bool:
    """By trying every number of children: none lets all of them be within bounds."""
    step = rules.quantity_step
    largest, smallest = int(child // step), int(-(-minimum_quantity(rules) // step))
    return not any(count * smallest <= units <= count * largest for count in range(1, SLICES_MAX + 1)) and not (
        smallest <= units and child >= units * step
    )
