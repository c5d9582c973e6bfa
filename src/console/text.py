"""How numbers, times and strangers' texts are written, the same in tables and in JSON."""

from datetime import UTC, datetime
from decimal import Decimal

from ..model.money import plain

_NS = 1_000_000_000
_YEAR_10000_SECONDS = 253_402_300_800


def amount(value: Decimal) -> str:
    """An exact decimal as people write it: no exponent, no trailing zeros, and never "-0"."""
    return plain(value) if value else "0"


def maybe_amount(value: Decimal | None) -> str | None:
    return None if value is None else amount(value)


def instant(at_ns: int) -> str:
    """A time with all of its nanoseconds: ``2026-11-20T14:50:04.123456789Z``."""
    seconds, nanoseconds = divmod(at_ns, _NS)
    if not 0 <= seconds < _YEAR_10000_SECONDS:
        return f"{at_ns} ns"  # a venue's nonsense is shown as it is
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"


def maybe_instant(at_ns: int | None) -> str | None:
    return None if at_ns is None else instant(at_ns)


def short_instant(text: str | None) -> str:
    """The same for tables, to the millisecond: ``2026-11-20 14:50:04.123``, all of it UTC."""
    return "" if text is None else text[:23].replace("T", " ")


def span(nanoseconds: int) -> str:
    """A time between two others in exact seconds: ``0.001234567``."""
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), _NS)
    return f"{sign}{whole}.{rest:09}"


def short_span(nanoseconds: int) -> str:
    """The same for tables, with a unit: ``1.235 ms``, ``12.3 s``, ``2 h 5 min``."""
    size = abs(nanoseconds)
    sign = "-" if nanoseconds < 0 else ""
    if size < 1_000_000:
        return f"{sign}{size / 1000:.0f} µs"
    if size < _NS:
        return f"{sign}{size / 1_000_000:.1f} ms"
    if size < 120 * _NS:
        return f"{sign}{size / _NS:.1f} s"
    minutes = size // (60 * _NS)
    return f"{sign}{minutes} min" if minutes < 120 else f"{sign}{minutes // 60} h {minutes % 60} min"


def printable(text: str) -> str:
    """A text of others that cannot move the cursor, ring or colour: control characters become their escapes."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
