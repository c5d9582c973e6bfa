"""Reads the venue's times, which come as seconds, milliseconds or ISO text, often for one field."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_NANOSECONDS_PER_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{1,19}(?:\.[0-9]{1,9})?")
_SECONDS_LIMIT = 10**11
"""Above this a number of seconds would lie beyond the year 5000, so it counts something finer."""


class TimeUnreadable(ValueError):
    """Text that should be a time is none."""


def nanoseconds(found: str | float) -> int:
    """Return UTC nanoseconds of a time in seconds, milliseconds, microseconds, nanoseconds or ISO form.

    The unit of a number follows from its magnitude. ISO text without a zone is read as UTC, which is what the
    venue means. Raises `TimeUnreadable`.
    """
    text = str(found).strip()
    if _NUMBER.fullmatch(text):
        return _from_number(Decimal(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TimeUnreadable(f"expected a time in seconds, milliseconds or ISO form, found {text[:40]!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def optional_nanoseconds(found: str | float | None) -> int | None:
    """Return the time, or None where the venue writes nothing, an empty text or a zero for "none"."""
    if found is None or found in ("", "0", 0):
        return None
    return nanoseconds(found)


def _from_number(number: Decimal) -> int:
    unit = _NANOSECONDS_PER_SECOND
    while unit > 1 and number >= _SECONDS_LIMIT * (_NANOSECONDS_PER_SECOND // unit):
        unit //= 1000
    return int(number * unit)
