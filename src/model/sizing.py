"""From what an intent says to the quantities that are traded: the legs of a pair, and what may be split how far."""

from collections.abc import Callable

from .identifiers import InstrumentId
from .instrument import Instrument, RuleBroken, broken_quantity_rules, notional_of
from .intent import AnyIntent, Intent, PairIntent, PriceBand, Side
from .money import EXACT, ONE, Price, Quantity, ceil_to, floor_to, is_multiple, plain
from .value import Value

SLICES_MAX = 1000
"""An intent that would become more orders than this is a mistake in `child_quantity_maximum`."""


class Leg(Value, frozen=True):
    """One leg of any intent: which instrument, which way, how much, and the worst price for it."""

    name: str
    instrument: InstrumentId
    side: Side
    quantity: Quantity
    limit_price: Price
    price_band: PriceBand


def pair_quantities(pair: PairIntent, long: Instrument, short: Instrument) -> tuple[Quantity, Quantity]:
    """How much of each leg the notional buys at the leg's limit price, rounded down to the instrument's step.

    Limit prices must be positive; whether the quantities meet the venue's minimums is for `broken_pair_rules` to say.
    """
    return _quantity(pair, pair.long.limit_price, long), _quantity(pair, pair.short.limit_price, short)


def _quantity(pair: PairIntent, limit_price: Price, instrument: Instrument) -> Quantity:
    assert limit_price > 0, limit_price
    # Counted in whole steps, without ever rounding a quotient: a rounded one could buy more than was asked for.
    step_value = notional_of(instrument, limit_price, instrument.quantity_step)
    return Quantity(EXACT.multiply(EXACT.divide_int(pair.notional, step_value), instrument.quantity_step))


def broken_pair_rules(pair: PairIntent, long: Instrument, short: Instrument) -> list[RuleBroken]:
    """Every minimum that a leg misses because the notional is too small for it, long leg first."""
    broken: list[RuleBroken] = []
    quantities = pair_quantities(pair, long, short)
    for name, leg, instrument, quantity in (
        ("long", pair.long, long, quantities[0]),
        ("short", pair.short, short, quantities[1]),
    ):
        minimum = minimum_quantity(instrument, leg.limit_price)
        if quantity < minimum:
            needed = notional_of(instrument, leg.limit_price, minimum)
            found = f"{plain(pair.notional)}, which makes the {name} leg {plain(quantity)} at {plain(leg.limit_price)}"
            allowed = f"at least {plain(needed)}, as {leg.instrument} trades from {plain(minimum)}"
            broken.append(RuleBroken(field="notional", found=found, allowed=allowed))
    return broken


def minimum_quantity(instrument: Instrument, price: Price | None = None) -> Quantity:
    """The smallest quantity on the instrument's grid that one order may have (at this price, where it is given)."""
    step = instrument.quantity_step
    smallest = max(ceil_to(instrument.quantity_minimum, step), step)
    if price is not None and price > 0 and instrument.notional_minimum > 0:
        step_value = notional_of(instrument, price, step)
        steps = EXACT.divide_int(instrument.notional_minimum, step_value)
        if EXACT.multiply(steps, step_value) < instrument.notional_minimum:
            steps = EXACT.add(steps, ONE)
        smallest = max(smallest, EXACT.multiply(steps, step))
    return Quantity(smallest)


def child_sizes(
    quantity: Quantity, child_quantity_maximum: Quantity | None, instrument: Instrument, price: Price | None = None
) -> tuple[Quantity, ...] | RuleBroken:
    """Split a quantity into as few children as possible, as even as the grid allows, the larger ones first.

    They lie on the grid, none is above `child_quantity_maximum` or below the instrument's minimum, and they add up to
    the quantity exactly. An even split has the largest smallest child of all splits, so where it breaks the minimum
    there is none that does not: then the rule that cannot be kept is returned.
    """
    step = instrument.quantity_step
    minimum = minimum_quantity(instrument, price)
    broken = broken_quantity_rules(instrument, quantity)
    if broken:
        return broken[0]
    if quantity < minimum:
        return RuleBroken(field="quantity", found=plain(quantity), allowed=f"at least {plain(minimum)}")
    if child_quantity_maximum is None or child_quantity_maximum >= quantity:
        return (quantity,)
    largest = floor_to(child_quantity_maximum, step)
    found = plain(child_quantity_maximum)
    if largest < minimum:
        return RuleBroken(field="child_quantity_maximum", found=found, allowed=f"at least {plain(minimum)}")
    count = int(EXACT.divide_int(quantity, largest))
    if not is_multiple(quantity, largest):
        count += 1
    if count > SLICES_MAX:
        allowed = f"at least {plain(ceil_to(EXACT.divide(quantity, SLICES_MAX), step))} (at most {SLICES_MAX} slices)"
        return RuleBroken(field="child_quantity_maximum", found=found, allowed=allowed)
    units = int(EXACT.divide_int(quantity, step))
    small, larger = divmod(units, count)
    smallest = EXACT.multiply(step, small)
    if smallest < minimum:
        allowed = f"a size that splits {plain(quantity)} into children of {plain(minimum)} or more"
        return RuleBroken(field="child_quantity_maximum", found=found, allowed=allowed)
    return (Quantity(EXACT.add(smallest, step)),) * larger + (Quantity(smallest),) * (count - larger)


def legs_of(intent: AnyIntent, known: Callable[[InstrumentId], Instrument | None]) -> tuple[Leg, ...]:
    """The legs of an intent, in the order of their numbers. Instruments must be known, limit prices positive."""
    if isinstance(intent, Intent):
        return (
            Leg(
                name="",
                instrument=intent.instrument,
                side=intent.side,
                quantity=intent.quantity,
                limit_price=intent.limit_price,
                price_band=intent.price_band,
            ),
        )
    long, short = known(intent.long.instrument), known(intent.short.instrument)
    assert long is not None, intent.long.instrument
    assert short is not None, intent.short.instrument
    quantities = pair_quantities(intent, long, short)
    return tuple(
        Leg(
            name=name,
            instrument=part.instrument,
            side=side,
            quantity=quantity,
            limit_price=part.limit_price,
            price_band=part.price_band,
        )
        for name, part, side, quantity in (
            ("long", intent.long, Side.BUY, quantities[0]),
            ("short", intent.short, Side.SELL_SHORT, quantities[1]),
        )
    )
