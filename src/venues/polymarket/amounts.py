"""Turns a price and a size into the two integers that an order signs, exactly (polymarket.md section 5).

The venue reads an order's price back as cash divided by shares, so an amount that was rounded the wrong way
is another price. A limit order within the precision of its tick needs no rounding at all; whatever would
need it is refused and the caller decides. Only the shares of a market buy are rounded, in the one direction
that keeps the order able to take the offer at its cap, and never so far that it reaches the next tick.

Arithmetic is in `Decimal`, never in binary fractions: those are wrong in 3 % of limit orders and let a price
of 0.29 become 0.28.
"""

from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import Enum
from fractions import Fraction

from ...model.value import Value
from .contracts import COLLATERAL_DECIMALS
from .orders import OrderRefused, Side

SIZE_DECIMALS = 2
"""Shares of a limit order, and the given amount of a market order, have at most two decimals on any tick."""

_BASE_UNITS = 10**COLLATERAL_DECIMALS
_ONE = Decimal(1)
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])
_MAGNITUDE_MAXIMUM = 30
"""No size or price has more digits than this before or after the point; larger ones are a broken input."""


class AmountRefused(OrderRefused):
    """A price or a size does not fit the venue's grid; rounding it would change what was meant."""


class TickSize(Enum):
    """The price steps that the venue knows, each with the decimals that its prices and amounts may have."""

    TENTH = (Decimal("0.1"), 1, 3)
    HUNDREDTH = (Decimal("0.01"), 2, 4)
    HALF_HUNDREDTH = (Decimal("0.005"), 3, 5)
    QUARTER_HUNDREDTH = (Decimal("0.0025"), 4, 6)
    THOUSANDTH = (Decimal("0.001"), 3, 5)
    TEN_THOUSANDTH = (Decimal("0.0001"), 4, 6)

    def __init__(self, step: Decimal, price_decimals: int, amount_decimals: int) -> None:
        self.step = step
        self.price_decimals = price_decimals
        self.amount_decimals = amount_decimals

    @staticmethod
    def of(step: Decimal) -> "TickSize":
        """Return the tick with this step; raises `AmountRefused` for one that the venue does not have.

        An unknown tick is refused rather than guessed: its amount decimals are not derivable.
        """
        for tick in TickSize:
            if tick.step == step:
                return tick
        known = ", ".join(str(tick.step) for tick in TickSize)
        raise AmountRefused(f"unknown tick size {step}; known are {known}")


class Amounts(Value, frozen=True):
    """What the maker of an order gives and takes, in base units (millionths)."""

    maker: int
    taker: int

    def price(self, side: Side) -> Fraction:
        """Return the price as the venue computes it: cash for each share."""
        return Fraction(self.maker, self.taker) if side is Side.BUY else Fraction(self.taker, self.maker)

    def shares(self, side: Side) -> Decimal:
        """Return the shares that are bought or sold."""
        return from_base_units(self.taker if side is Side.BUY else self.maker)

    def cash(self, side: Side) -> Decimal:
        """Return the pUSD that is paid or received."""
        return from_base_units(self.maker if side is Side.BUY else self.taker)


def limit_amounts(side: Side, *, price: Decimal, shares: Decimal, tick: TickSize) -> Amounts:
    """Return the amounts of a limit order for `shares` at `price`.

    Raises `AmountRefused` when the price is off the tick's grid or the shares have more than two decimals;
    use `floor_size` first where giving up the excess is meant. The product is exact by construction.
    """
    check_price(price, tick)
    check_size(shares)
    share_units = to_base_units(shares)
    cash_units = to_base_units(_EXACT.multiply(shares, price))
    if side is Side.BUY:
        return Amounts(maker=cash_units, taker=share_units)
    return Amounts(maker=share_units, taker=cash_units)


def market_amounts(side: Side, *, amount: Decimal, price_limit: Decimal, tick: TickSize) -> Amounts:
    """Return the amounts of a market order that must not trade beyond `price_limit`.

    For a buy `amount` is the pUSD to spend and the limit a cap; for a sell `amount` is the shares to sell and
    the limit a floor. Raises `AmountRefused` when either is off its grid, or when the rounded shares of a buy
    would let it pay the next tick.
    """
    check_price(price_limit, tick)
    check_size(amount)
    given = to_base_units(amount)
    if side is Side.SELL:
        return Amounts(maker=given, taker=to_base_units(_EXACT.multiply(amount, price_limit)))
    taken = _round_shares(Fraction(given) / Fraction(price_limit), tick)
    if taken <= 0:
        raise AmountRefused(f"{amount} pUSD buys no shares at {price_limit}")
    # Fewer shares for the same cash read as a higher price. It must stay under the next offer.
    if Fraction(given, taken) >= Fraction(price_limit) + Fraction(tick.step):
        raise AmountRefused(
            f"{amount} pUSD at {price_limit} rounds to a price of {given}/{taken}, at or above the next tick "
            f"of {tick.step}; spend more, or choose another cap"
        )
    return Amounts(maker=given, taker=taken)


def _round_shares(share_units: Fraction, tick: TickSize) -> int:
    """Round up to four decimals beyond the tick's amount decimals, then down to those: the venue's own rule.

    The first step only forgives division noise; the second is what keeps the read-back price at or above
    the cap, so that an offer resting exactly there can be taken.
    """
    unit = int(10 ** (COLLATERAL_DECIMALS - tick.amount_decimals))
    fine_units = -(-share_units.numerator * 10**4 // (share_units.denominator * unit))
    return fine_units // 10**4 * unit


def check_price(price: Decimal, tick: TickSize) -> None:
    """Raise `AmountRefused` unless `price` is a multiple of the tick within [tick, 1 - tick]."""
    _check_magnitude(price, "price")
    if not tick.step <= price <= _ONE - tick.step:
        raise AmountRefused(f"price {price} is outside [{tick.step}, {_ONE - tick.step}]")
    if price % tick.step:
        raise AmountRefused(f"price {price} is not a multiple of the tick size {tick.step}")


def check_size(size: Decimal) -> None:
    """Raise `AmountRefused` unless `size` is positive and has at most two decimals."""
    _check_magnitude(size, "size")
    if size <= 0:
        raise AmountRefused(f"size {size} is not positive")
    if floor_size(size) != size:
        raise AmountRefused(f"size {size} has more than {SIZE_DECIMALS} decimals")


def check_minimum_size(shares: Decimal, minimum: Decimal) -> None:
    """Raise `AmountRefused` when fewer shares are ordered than the market's minimum.

    Whether the minimum counts shares or dollars in edge cases is not settled by the venue's documents
    (polymarket.md section 19); shares is what /book says, and the venue has the last word.
    """
    if shares < minimum:
        raise AmountRefused(f"{shares} shares are fewer than the market's minimum of {minimum}")


def floor_size(size: Decimal) -> Decimal:
    """Return `size` without what lies beyond two decimals: the deliberate way to give up an excess."""
    _check_magnitude(size, "size")
    return size.quantize(Decimal(1).scaleb(-SIZE_DECIMALS), rounding=ROUND_DOWN, context=Context(prec=60))


def to_base_units(amount: Decimal) -> int:
    """Return an amount in millionths; raises `AmountRefused` when it is finer than that."""
    _check_magnitude(amount, "amount")
    units = amount.scaleb(COLLATERAL_DECIMALS, context=_EXACT)
    whole = int(units)
    if whole != units:
        raise AmountRefused(f"{amount} is finer than {COLLATERAL_DECIMALS} decimals")
    return whole


def from_base_units(units: int) -> Decimal:
    """Return millionths as an amount, exactly."""
    return Decimal(units).scaleb(-COLLATERAL_DECIMALS, context=Context(prec=100))


def _check_magnitude(value: Decimal, what: str) -> None:
    if not value.is_finite() or abs(value.adjusted()) > _MAGNITUDE_MAXIMUM:
        raise AmountRefused(f"{what} {value!s:.60} is not a finite number of a sensible magnitude")
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MAGNITUDE_MAXIMUM:
        raise AmountRefused(f"{what} has more than {_MAGNITUDE_MAXIMUM} decimals")
