"""Decimal amounts with their own types, and the only roundings that money may go through."""

from decimal import Context, Decimal, InvalidOperation
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

# Sums, products and whole quotients of any two amounts that `parse_decimal` lets in are exact with this many digits;
# with the default of 28 they are silently rounded.
EXACT = Context(prec=120)


class NotAnAmount(ValueError):
    """The text is no finite decimal number of sane length; the message says what was found."""


def parse_decimal(found: object) -> Decimal:
    """Read an exact finite decimal from a string or an integer.

    Floats are refused: 0.1 as a float is not 0.1. So is what `Decimal` alone would let pass: underscores, spaces
    around the number, digits of other scripts. Raises `NotAnAmount`.
    """
    if isinstance(found, bool) or not isinstance(found, (str, int, Decimal)):
        raise NotAnAmount(f"expected a decimal number as a string, found {type(found).__name__} {found!r:.80}")
    if isinstance(found, int) and found.bit_length() > 4 * DIGITS_MAX:  # before str(), which has a limit of its own
        raise NotAnAmount(f"expected at most {DIGITS_MAX} digits, found an integer of {found.bit_length()} bits")
    text = str(found)
    if len(text) > DIGITS_MAX:
        raise NotAnAmount(f"expected at most {DIGITS_MAX} characters, found {len(text)}")
    if not text.isascii() or "_" in text or text != text.strip():
        raise NotAnAmount(f"expected a decimal number, found {text!r}")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise NotAnAmount(f"expected a decimal number, found {text!r}") from None
    if not value.is_finite():
        raise NotAnAmount(f"expected a finite number, found {text!r}")
    if not value:
        return ZERO  # 0E+999999 and -0 are zero as well, and would be written out with all their digits
    if not -DIGITS_MAX < value.adjusted() < DIGITS_MAX:
        raise NotAnAmount(f"expected a number of sane size, found {text!r}")
    return value


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`."""
    steps = EXACT.divide_int(value, step)
    exact = EXACT.multiply(steps, step)
    return exact if exact <= value else EXACT.subtract(exact, step)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    steps = EXACT.divide_int(value, step)
    exact = EXACT.multiply(steps, step)
    return exact if exact >= value else EXACT.add(exact, step)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` lies on the grid of `step` (a tick or a lot)."""
    return EXACT.remainder(value, step) == 0


def plain(value: Decimal) -> str:
    """The number as people write it: no exponent, no trailing zeros, no negative zero."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
