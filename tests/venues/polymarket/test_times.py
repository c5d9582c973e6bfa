"""Times are read in every form that the venue writes them in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.polymarket.times import TimeUnreadable, nanoseconds, optional_nanoseconds

MOMENT = 1_700_000_000_123_000_000


@pytest.mark.parametrize(
    "text",
    [
        "1700000000.123",
        "1700000000123",
        1_700_000_000_123,
        "1700000000123000",
        "1700000000123000000",
        "2023-11-14T22:13:20.123Z",
        "2023-11-14T22:13:20.123",
        "2023-11-14 23:13:20.123+01:00",
    ],
)
def test_one_moment_in_every_form(text: str | int) -> None:
    assert nanoseconds(text) == MOMENT


def test_a_date_is_its_first_moment() -> None:
    assert nanoseconds("2027-01-01") == 1_798_761_600_000_000_000


@pytest.mark.parametrize("text", ["", "noon", "-5", "1e9", "99999999999999999999999", "2023-13-01", "١٧"])
def test_what_is_no_time_is_said_so(text: str) -> None:
    with pytest.raises(TimeUnreadable):
        nanoseconds(text)


def test_nothing_and_zero_mean_no_time() -> None:
    assert [optional_nanoseconds(found) for found in (None, "", "0", 0)] == [None] * 4


@given(st.integers(1, 10**11 - 1))
def test_seconds_and_milliseconds_agree(seconds: int) -> None:
    assert nanoseconds(seconds) == seconds * 10**9
    if seconds * 1000 >= 10**11:
        assert nanoseconds(seconds * 1000) == seconds * 10**9
