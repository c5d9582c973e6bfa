"""How a quantity is split into child orders, and which order a style has working for each of them.

A schedule is a pure function: what it returns for a leg is the same after any crash. It never changes what the intent
meant: the children of a leg add up to the leg exactly, and none is at a worse price than the leg's limit.
"""

from collections.abc import Callable, Mapping

from ..model.instrument import Instrument, RuleBroken
from ..model.intent import PriceBand, Side, Style, TimeInForce
from ..model.money import Price, Quantity, ceil_to, floor_to, plain
from ..model.risk_facts import Market
from ..model.sizing import child_sizes
from ..model.value import Value


def slices_of(
    quantity: Quantity, child_quantity_maximum: Quantity | None, instrument: Instrument, price: Price | None = None
) -> tuple[Quantity, ...]:
    """The sizes of the children, larger ones first; as few and as even as the instrument's grid allows.

    Empty where no split keeps the rules (off the grid, below the minimum, too many slices);
    `tallystick.model.sizing.child_sizes` says which. With a `price`, the smallest notional counts as well.
    """
    sizes = child_sizes(quantity, child_quantity_maximum, instrument, price)
    return () if isinstance(sizes, RuleBroken) else sizes


class Placement(Value, frozen=True):
    """The order that a style wants at work for one child."""

    price: Price
    time_in_force: TimeInForce
    post_only: bool


class Waits(Value, frozen=True):
    """No order may be at work now without changing what the intent meant; asked again when the market moves."""

    why: str


class Wanted(Value, frozen=True):
    """What a style goes by: the leg's side and prices, and the rules of the instrument it is meant for."""

    instrument: Instrument
    side: Side
    limit_price: Price
    price_band: PriceBand = PriceBand()
    time_in_force: TimeInForce = TimeInForce.GTC

    @property
    def buys(self) -> bool:
        return self.side in {Side.BUY, Side.BUY_TO_COVER}


def limit(wanted: Wanted, market: Market | None) -> Placement | Waits:
    """At the limit price, whatever the market: the venue executes it at the limit or better."""
    return Placement(price=wanted.limit_price, time_in_force=wanted.time_in_force, post_only=False)


def post_only(wanted: Wanted, market: Market | None) -> Placement | Waits:
    """Never takes: at the limit price, or one tick behind the other side of the book where the limit would cross it.

    Without market data it stays at the limit; the venue refuses it should it cross, and nothing is taken.
    """
    if wanted.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}:
        return Waits(why=f"an order that only rests cannot be {wanted.time_in_force}")
    price = _behind_the_book(wanted, market)
    rules = wanted.instrument
    if not rules.price_minimum <= price <= rules.price_maximum:
        found = f"{plain(price)}, and {rules.instrument_id} trades"
        return Waits(
            why=f"it could rest only at {found} from {plain(rules.price_minimum)} to {plain(rules.price_maximum)}"
        )
    if not wanted.price_band.allows(price):
        return Waits(why=f"it could rest only at {plain(price)}, outside the intent's price band")
    return Placement(price=price, time_in_force=wanted.time_in_force, post_only=True)


def _behind_the_book(wanted: Wanted, market: Market | None) -> Price:
    if market is None or market.closed is not None:
        return wanted.limit_price
    tick = wanted.instrument.price_tick
    if wanted.buys:
        if market.ask is None or wanted.limit_price < market.ask:
            return wanted.limit_price
        return Price(ceil_to(market.ask, tick) - tick)
    if market.bid is None or wanted.limit_price > market.bid:
        return wanted.limit_price
    return Price(floor_to(market.bid, tick) + tick)


STYLES: Mapping[Style, Callable[[Wanted, Market | None], Placement | Waits]] = {
    Style.LIMIT: limit,
    Style.POST_ONLY: post_only,
}
