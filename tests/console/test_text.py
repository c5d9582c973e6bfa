"""How amounts, times and strangers' texts are written."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.console.text import amount, instant, printable, short_instant, short_span, span


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E+3", "1000"), ("0.10", "0.1"), ("-0.00", "0"), ("1E-9", "0.000000001"), ("0", "0"), ("-2.50", "-2.5")],
)
def test_amounts_have_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert amount(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_amounts_are_exact(value: Decimal) -> None:
    assert Decimal(amount(value)) == value


@given(st.integers(0, 253_402_300_799), st.integers(0, 999_999_999))
def test_instants_lose_no_nanosecond(seconds: int, nanoseconds: int) -> None:
    text = instant(seconds * 1_000_000_000 + nanoseconds)
    assert text[-11:] == f".{nanoseconds:09}Z"[-11:]
    assert datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp() == seconds
    assert len(short_instant(text)) == 23


def test_a_time_that_is_none_is_shown_as_it_came() -> None:
    assert instant(-1) == "-1 ns"
    assert instant(10**30) == f"{10**30} ns"


@given(st.integers(-(10**20), 10**20))
def test_spans_are_exact(nanoseconds: int) -> None:
    assert Decimal(span(nanoseconds)).scaleb(9) == nanoseconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 µs"),
        (1_500, "2 µs"),
        (1_250_000, "1.2 ms"),
        (-2_000_000_000, "-2.0 s"),
        (150_000_000_000, "2 min"),
        (7_500_000_000_000, "2 h 5 min"),
    ],
)
def test_short_spans_have_a_unit(nanoseconds: int, text: str) -> None:
    assert short_span(nanoseconds) == text


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    assert printable(text).isprintable()


def test_what_is_printable_stays_as_it_is() -> None:
    assert printable("naïve → 価格") == "naïve → 価格"
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
