"""How this venue writes and reads numbers: plain decimal text on the CLOB, millionths on the chain."""

from decimal import Decimal

BASE_UNIT = Decimal("0.000001")
_UNITS = 1_000_000


def plain(value: Decimal) -> str:
    """A Decimal without exponent and without trailing zeros: "0.5", "10", "0"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"


def to_units(value: Decimal) -> int:
    """Human units to millionths; the value must be a whole number of them."""
    units = value * _UNITS
    whole = int(units)
    assert units == whole, f"{value} has more than six decimals"
    return whole


def from_units(units: int) -> Decimal:
    """Millionths to human units, exactly."""
    return Decimal(units).scaleb(-6)


def decimals_of(value: Decimal) -> int:
    """How many decimals a value needs: 0.50 needs one."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), f"{value} is not a number"
    return max(-exponent, 0)
