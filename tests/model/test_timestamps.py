import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.timestamps import NotATime, parse_rfc3339, rfc3339

YEAR_9999_NS = 253_402_300_799 * 10**9


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01t01:00:00.5+01:00", 500_000_000),
        ("1969-12-31T23:59:59z", -(10**9)),
        ("2026-09-30T14:00:00-00:30", 1_790_778_600 * 10**9),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, expected_ns: int) -> None:
    assert parse_rfc3339(text) == expected_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-09-30",
        "2026-09-30T14:00:00",
        "2026-09-30 14:00:00Z",
        "2026-02-30T14:00:00Z",
        "2026-09-30T24:00:00Z",
        "2026-09-30T14:00:60Z",
        "2026-09-30T14:00:00.1234567890Z",
        "2026-09-30T14:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "1790000000",
        "２026-09-30T14:00:00Z",
    ],
)
def test_what_is_no_time_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(NotATime, match="expected"):
        parse_rfc3339(text)


@given(st.integers(min_value=0, max_value=YEAR_9999_NS))
def test_a_written_time_reads_back_as_itself(at_ns: int) -> None:
    assert parse_rfc3339(rfc3339(at_ns)) == at_ns


@given(st.text(max_size=40))
def test_no_text_makes_the_reader_raise_anything_else(text: str) -> None:
    with contextlib.suppress(NotATime):
        parse_rfc3339(text)
