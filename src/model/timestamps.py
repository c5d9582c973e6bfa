"""Points in time as text: RFC 3339 to UTC nanoseconds and back, exactly, with no float in between."""

import re
from datetime import UTC, datetime, timedelta

NANOSECONDS = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):([0-5]\d))", re.ASCII
)


class NotATime(ValueError):
    """The text is no RFC 3339 time with its offset; the message says what was found."""


def parse_rfc3339(text: str) -> int:
    """UTC nanoseconds of a time like ``2026-09-30T14:00:00.5+02:00``. Raises `NotATime`.

    The offset is required, since a time without one is a guess. Nine digits of a second are read, more are refused.
    """
    shape = _RFC3339.fullmatch(text)
    if shape is None:
        raise NotATime(f"expected a time like 2026-09-30T14:00:00Z, found {text[:60]!r}")
    day, time, fraction, _zulu, sign, hours, minutes = shape.groups()
    try:
        local = datetime.fromisoformat(f"{day}T{time}+00:00")
    except ValueError as error:
        raise NotATime(f"expected a time that exists, found {text!r} ({error})") from None
    offset_seconds = 0
    if sign is not None:
        if int(hours) > 23:
            raise NotATime(f"expected an offset below 24 hours, found {text!r}")
        offset_seconds = (int(hours) * 3600 + int(minutes) * 60) * (1 if sign == "+" else -1)
    since = local - _EPOCH
    seconds = since.days * 86_400 + since.seconds - offset_seconds
    return seconds * NANOSECONDS + int((fraction or "").ljust(9, "0"))


def rfc3339(at_ns: int) -> str:
    """The time as text in UTC, with as many digits of a second as it needs. Raises OverflowError after year 9999."""
    seconds, fraction = divmod(at_ns, NANOSECONDS)
    text = f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
    return f"{text}.{fraction:09}".rstrip("0") + "Z" if fraction else f"{text}Z"
