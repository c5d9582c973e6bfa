from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.money import (
    DIGITS_MAX,
    EXACT,
    NotAnAmount,
    ceil_to,
    floor_to,
    is_multiple,
    parse_decimal,
    plain,
)

STEPS = st.sampled_from(
    [Decimal(text) for text in ("0.0001", "0.001", "0.01", "0.1", "1", "5", "0.25", "1e-18", "100")]
)
AMOUNTS = st.decimals(min_value=Decimal("-1e20"), max_value=Decimal("1e20"), places=18, allow_nan=False)


@pytest.mark.parametrize(
    ("found", "expected"),
    [("0.1", "0.1"), ("1e2", "100"), (25, "25"), ("-3.50", "-3.5"), (Decimal("1.0"), "1"), ("+7", "7"), (".5", "0.5")],
)
def test_an_amount_is_read_exactly(found: object, expected: str) -> None:
    assert parse_decimal(found) == Decimal(expected)


@pytest.mark.parametrize(
    "found",
    [
        0.1,
        True,
        None,
        [],
        b"1",
        "",
        " ",
        "abc",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1_000",
        " 1",
        "1\n",
        "１２",
        "0x10",
        "1,5",
        "1e40",
        "1e-40",
        "1e999999",
        "9" * 41,
        Decimal("NaN"),
        Decimal("1e100"),
    ],
)
def test_what_is_no_sane_decimal_is_refused_with_what_was_found(found: object) -> None:
    with pytest.raises(NotAnAmount, match="expected"):
        parse_decimal(found)


def test_an_integer_too_long_to_be_written_out_is_refused_like_any_other() -> None:
    with pytest.raises(NotAnAmount, match="at most 40 digits"):
        parse_decimal(10**5000)


def test_a_zero_with_a_giant_exponent_is_just_zero() -> None:
    assert plain(parse_decimal("0e999999")) == "0"
    assert plain(parse_decimal("-0.00")) == "0"


@given(st.text(max_size=60) | st.integers() | st.floats() | st.decimals() | st.none() | st.binary(max_size=9))
def test_nothing_but_a_sane_decimal_gets_through_and_nothing_else_is_raised(found: object) -> None:
    try:
        amount = parse_decimal(found)
    except NotAnAmount:
        return
    assert amount.is_finite()
    assert len(plain(amount)) <= 2 * DIGITS_MAX + 3


@given(AMOUNTS, STEPS)
def test_rounding_to_a_grid_lands_on_it_and_never_on_the_wrong_side(value: Decimal, step: Decimal) -> None:
    low, high = floor_to(value, step), ceil_to(value, step)
    assert is_multiple(low, step)
    assert is_multiple(high, step)
    assert low <= value <= high
    assert EXACT.subtract(high, low) in {0, step}
    assert (low == high) is is_multiple(value, step)


def test_a_quotient_that_28_digits_would_round_up_is_still_rounded_down() -> None:
    value = Decimal("99999999999999999999.999999999999999999")
    assert floor_to(value, Decimal(1)) == Decimal(99999999999999999999)
    assert floor_to(value, Decimal("1e-9")) == Decimal("99999999999999999999.999999999")


def test_rounding_keeps_the_digits_of_the_step() -> None:
    assert str(floor_to(Decimal("0.756"), Decimal("0.01"))) == "0.75"
    assert str(ceil_to(Decimal("0.751"), Decimal("0.01"))) == "0.76"


@given(AMOUNTS)
def test_a_plain_number_reads_back_as_itself(value: Decimal) -> None:
    text = plain(value)
    assert "E" not in text
    assert Decimal(text) == value
    assert not ("." in text and text.endswith("0"))


def test_the_largest_amounts_divide_without_an_exception() -> None:
    assert not is_multiple(parse_decimal("9.5e39"), parse_decimal("7e-39"))
