"""A price-time order book for an instrument, or for a pair of complementary outcomes seen as one book.

Every order of the second outcome is kept mirrored in the first one's prices: a BUY of NO at q is an offer of YES
at 1-q, because the two together make a pair worth 1. One book then gives price-time priority across direct
matches, mints and merges (polymarket.md 5), and the two published books mirror each other by construction.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

from .values import Depth, Instrument, InstrumentId, LevelChange, Order, OrderId, OrderRequest, Side


class _Ladder:
    """One side of a book: price levels in order of price, orders inside a level in order of arrival."""

    def __init__(self) -> None:
        self._prices: list[Decimal] = []
        self._levels: dict[Decimal, dict[OrderId, Order]] = {}

    def add(self, price: Decimal, order: Order) -> None:
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = {}
            insort(self._prices, price)
        level[order.order_id] = order

    def remove(self, price: Decimal, order_id: OrderId) -> None:
        level = self._levels[price]
        del level[order_id]
        if not level:
            del self._levels[price]
            del self._prices[bisect_left(self._prices, price)]

    def lowest(self) -> Decimal | None:
        return self._prices[0] if self._prices else None

    def highest(self) -> Decimal | None:
        return self._prices[-1] if self._prices else None

    def prices(self, *, descending: bool) -> Iterator[Decimal]:
        return reversed(self._prices) if descending else iter(self._prices)

    def orders(self, price: Decimal) -> Iterator[Order]:
        return iter(self._levels[price].values())

    def total(self, price: Decimal) -> Decimal:
        level = self._levels.get(price)
        return sum((order.remaining for order in level.values()), Decimal(0)) if level else Decimal(0)


class PairBook:
    """The one book behind an instrument and, if it has one, its complement."""

    def __init__(self, primary: Instrument, complement: Instrument | None = None) -> None:
        self._primary = primary.instrument_id
        self._complement = complement.instrument_id if complement is not None else None
        self._pair_value = primary.pair_value
        self._bids = _Ladder()
        self._asks = _Ladder()
        self._touched: dict[tuple[Side, Decimal], None] = {}

    @property
    def instrument_ids(self) -> tuple[InstrumentId, ...]:
        return (self._primary,) if self._complement is None else (self._primary, self._complement)

    def to_book(self, instrument_id: InstrumentId, side: Side, price: Decimal) -> tuple[Side, Decimal]:
        """The side and price of an order in the primary instrument's terms."""
        if instrument_id == self._primary:
            return side, price
        return side.opposite, self._pair_value - price

    def best_opposing(self, request: OrderRequest) -> Decimal | None:
        """The best price the request could take, in the request's own instrument; None on an empty side."""
        side, _ = self.to_book(request.instrument_id, request.side, request.price)
        best = self._asks.lowest() if side is Side.BUY else self._bids.highest()
        if best is None:
            return None
        return best if request.instrument_id == self._primary else self._pair_value - best

    def crosses(self, request: OrderRequest) -> bool:
        """True when the request would take liquidity at its limit price."""
        best = self.best_opposing(request)
        if best is None:
            return False
        return best <= request.price if request.side is Side.BUY else best >= request.price

    def opposing(self, request: OrderRequest) -> Iterator[tuple[Decimal, Order]]:
        """Resting orders the request may take, in price-time priority, with the request's own price for each.

        The caller must not change the book while it iterates.
        """
        side, limit = self.to_book(request.instrument_id, request.side, request.price)
        ladder = self._asks if side is Side.BUY else self._bids
        mirrored = request.instrument_id != self._primary
        for price in ladder.prices(descending=side is Side.SELL):
            if (price > limit) if side is Side.BUY else (price < limit):
                return
            own_price = self._pair_value - price if mirrored else price
            for order in ladder.orders(price):
                yield own_price, order

    def add(self, order: Order) -> None:
        request = order.request
        side, price = self.to_book(request.instrument_id, request.side, request.price)
        self._ladder(side).add(price, order)
        self._touched[side, price] = None

    def remove(self, order: Order) -> None:
        request = order.request
        side, price = self.to_book(request.instrument_id, request.side, request.price)
        self._ladder(side).remove(price, order.order_id)
        self._touched[side, price] = None

    def touch(self, order: Order) -> None:
        """Note that a resting order's remaining quantity changed."""
        request = order.request
        self._touched[self.to_book(request.instrument_id, request.side, request.price)] = None

    def take_changes(self) -> tuple[LevelChange, ...]:
        """The levels touched since the last call, with their totals now, in each published instrument's terms."""
        if not self._touched:
            return ()
        changes: list[LevelChange] = []
        for side, price in self._touched:
            size = self._ladder(side).total(price)
            changes.append(LevelChange(instrument_id=self._primary, side=side, price=price, size=size))
            if self._complement is not None:
                changes.append(
                    LevelChange(
                        instrument_id=self._complement,
                        side=side.opposite,
                        price=self._pair_value - price,
                        size=size,
                    )
                )
        self._touched.clear()
        return tuple(changes)

    def depth(self, instrument_id: InstrumentId) -> Depth:
        """The aggregated book of one instrument, best price first on both sides."""
        bids = tuple((price, self._bids.total(price)) for price in self._bids.prices(descending=True))
        asks = tuple((price, self._asks.total(price)) for price in self._asks.prices(descending=False))
        if instrument_id == self._primary:
            return Depth(bids=bids, asks=asks)
        value = self._pair_value
        return Depth(
            bids=tuple((value - price, size) for price, size in asks),
            asks=tuple((value - price, size) for price, size in bids),
        )

    def best(self, instrument_id: InstrumentId) -> tuple[Decimal | None, Decimal | None]:
        """Best bid and best ask of one instrument."""
        bid, ask = self._bids.highest(), self._asks.lowest()
        if instrument_id == self._primary:
            return bid, ask
        value = self._pair_value
        return (None if ask is None else value - ask), (None if bid is None else value - bid)

    def resting(self) -> Iterator[Order]:
        """Every resting order, best bid to worst, then best ask to worst."""
        for ladder, descending in ((self._bids, True), (self._asks, False)):
            for price in list(ladder.prices(descending=descending)):
                yield from list(ladder.orders(price))

    def _ladder(self, side: Side) -> _Ladder:
        return self._bids if side is Side.BUY else self._asks
