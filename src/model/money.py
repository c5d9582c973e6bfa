"""Decimal amounts with their own types, and the only roundings that money may go through."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import NewType

Price = NewType("Price", Decimal)
"""Quote currency per unit of the instrument."""

Quantity = NewType("Quantity", Decimal)
"""Units of the instrument; never negative on an order or a fill."""

Cash = NewType("Cash", Decimal)
"""An amount of a settlement asset; negative when it leaves the account."""

SignedQuantity = NewType("SignedQuantity", Decimal)
"""A holding or a change of one; negative is short."""

ZERO = Decimal(0)
ONE = Decimal(1)
DIGITS_MAX = 40
"""No venue quotes more; longer input is a mistake or an attack on the parser."""

# Sums and products of amounts are exact well beyond what any venue uses; the default of 28 digits is not.
EXACT = Context(prec=60)


class NotAnAmount(ValueError):
    """The text is no finite decimal number of sane length; the message says what was found."""


def parse_decimal(found: object) -> Decimal:
    """Read an exact finite decimal from a string or an integer.

    Floats are refused: 0.1 as a float is not 0.1. Raises `NotAnAmount`.
    """
    if isinstance(found, bool) or not isinstance(found, (str, int, Decimal)):
        raise NotAnAmount(f"expected a decimal number as a string, found {type(found).__name__} {found!r}")
    text = str(found)
    if len(text) > DIGITS_MAX:
        raise NotAnAmount(f"expected at most {DIGITS_MAX} characters, found {len(text)}")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise NotAnAmount(f"expected a decimal number, found {text!r}") from None
    if not value.is_finite():
        raise NotAnAmount(f"expected a finite number, found {text!r}")
    if value and not -DIGITS_MAX < value.adjusted() < DIGITS_MAX:
        raise NotAnAmount(f"expected a number of sane size, found {text!r}")
    return value


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` lies on the grid of `step` (a tick or a lot)."""
    return EXACT.remainder(value, step) == 0


def plain(value: Decimal) -> str:
    """The number as people write it: no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
