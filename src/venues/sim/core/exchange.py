"""The exchange: takes orders, matches them, keeps them, expires them, and tells a sink everything that happened.

It has no clock and does no I/O. Every operation takes the time; what falls due later is named by `next_due_ms`
and done by `run_due`. Which orders are allowed, who can pay and what it costs come as policy objects.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from .book import PairBook
from .matching import MatchPlan, PlannedFill, plan_match, taker_shortfall
from .policies import FeePolicy, Funds, OrderRules
from .values import (
    ZERO,
    BookChanged,
    CancelReason,
    Depth,
    ExchangeEvent,
    Instrument,
    InstrumentId,
    Leg,
    Order,
    OrderClosed,
    OrderId,
    OrderMatched,
    OrderOpened,
    OrderRequest,
    OrderStatus,
    Rejection,
    RejectReason,
    Side,
    TimeInForce,
    Trade,
    Traded,
    TradeId,
)


class Exchange:
    """Order books of any number of instruments or complementary pairs under one set of policies.

    `makers_per_trade` bounds how many legs settle together: a larger match becomes several trades of one taker
    with bucket indexes 0, 1, 2 (polymarket.md 9.1).
    """

    def __init__(
        self,
        *,
        rules: OrderRules,
        funds: Funds,
        fees: FeePolicy,
        trade_ids: Callable[[], TradeId],
        sink: Callable[[ExchangeEvent], None],
        makers_per_trade: int = 20,
    ) -> None:
        self._rules = rules
        self._funds = funds
        self._fees = fees
        self._trade_ids = trade_ids
        self._sink = sink
        self._makers_per_trade = makers_per_trade
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._books: dict[InstrumentId, PairBook] = {}
        self._open_for_orders: set[InstrumentId] = set()
        self._orders: dict[OrderId, Order] = {}
        self._open: dict[OrderId, Order] = {}
        # (due, arrival number, order id): the number keeps equal times in order of arrival.
        self._timers: list[tuple[int, int, OrderId]] = []
        self._timer_count = 0

    @property
    def orders(self) -> Mapping[OrderId, Order]:
        """Every order ever accepted, in order of arrival."""
        return self._orders

    @property
    def open_orders(self) -> Mapping[OrderId, Order]:
        """Orders that are resting or waiting out a delay, in order of arrival."""
        return self._open

    @property
    def instruments(self) -> Mapping[InstrumentId, Instrument]:
        return self._instruments

    def list_instrument(self, primary: Instrument, complement: Instrument | None = None) -> None:
        """Open an instrument, or a pair of complementary ones, for orders."""
        book = PairBook(primary, complement)
        for instrument in (primary, complement):
            if instrument is not None:
                self._instruments[instrument.instrument_id] = instrument
                self._books[instrument.instrument_id] = book
                self._open_for_orders.add(instrument.instrument_id)

    def replace_instrument(self, instrument: Instrument) -> None:
        """Change an instrument's grid; orders that rest off the new grid stay (polymarket.md 5)."""
        self._instruments[instrument.instrument_id] = instrument

    def set_open(self, instrument_id: InstrumentId, *, accepts_orders: bool) -> None:
        """Let the book of an instrument (both of a pair) take new orders, or only cancels."""
        for listed in self._books[instrument_id].instrument_ids:
            (self._open_for_orders.add if accepts_orders else self._open_for_orders.discard)(listed)

    def depth(self, instrument_id: InstrumentId) -> Depth:
        return self._books[instrument_id].depth(instrument_id)

    def best(self, instrument_id: InstrumentId) -> tuple[Decimal | None, Decimal | None]:
        return self._books[instrument_id].best(instrument_id)

    def crosses(self, request: OrderRequest) -> bool:
        """True when the request would trade at once if it were submitted now."""
        book = self._books.get(request.instrument_id)
        return book is not None and book.crosses(request)

    def resting(self, instrument_id: InstrumentId) -> Iterator[Order]:
        """Orders on the book of an instrument and its complement."""
        return self._books[instrument_id].resting()

    # Orders in.

    def submit(self, request: OrderRequest, now_ms: int, *, taker_delay_ms: int = 0) -> Order | Rejection:
        """Take an order, match it and rest what is left, or say why not.

        A marketable order waits `taker_delay_ms` first; it is then accepted with status DELAYED.
        """
        rejection = self._refusal(request, now_ms)
        if rejection is not None:
            return rejection
        book = self._books[request.instrument_id]
        crosses = book.crosses(request)
        if crosses and request.post_only:
            return Rejection(order_id=request.order_id, reason=RejectReason.POST_ONLY_CROSSES)
        order = Order(request, now_ms)
        if crosses and taker_delay_ms > 0:
            order.status = OrderStatus.DELAYED
            self._accept(order)
            self._start_timer(now_ms + taker_delay_ms, order.order_id)
            return order
        plan = plan_match(request, book, self._instruments, self._funds, self._fees)
        rejection = self._plan_refusal(request, plan)
        if rejection is not None:
            self._cancel_insolvent(plan, now_ms)
            self._publish_book(book, now_ms)
            return rejection
        self._accept(order)
        self._execute(order, plan, book, now_ms)
        return order

    def _accept(self, order: Order) -> None:
        self._orders[order.order_id] = order
        self._open[order.order_id] = order

    def _refusal(self, request: OrderRequest, now_ms: int) -> Rejection | None:
        order_id = request.order_id
        if order_id in self._orders:
            return Rejection(order_id=order_id, reason=RejectReason.DUPLICATE)
        instrument = self._instruments.get(request.instrument_id)
        if instrument is None:
            return Rejection(order_id=order_id, reason=RejectReason.UNKNOWN_INSTRUMENT)
        if request.instrument_id not in self._open_for_orders:
            return Rejection(order_id=order_id, reason=RejectReason.MARKET_NOT_OPEN)
        rejection = self._rules.check(instrument, request, now_ms, self.crosses(request))
        if rejection is not None:
            return rejection
        if request.side is Side.SELL:
            shortfall = self._funds.shortfall(request.account, instrument, instrument.base, request.size)
        else:
            cash = request.cash if request.cash is not None else request.price * request.size
            shortfall = self._funds.shortfall(request.account, instrument, instrument.quote, cash)
        if shortfall is not None:
            return Rejection(order_id=order_id, reason=RejectReason.NOT_ENOUGH_FUNDS, shortfall=shortfall)
        return None

    def _plan_refusal(self, request: OrderRequest, plan: MatchPlan) -> Rejection | None:
        if request.time_in_force is TimeInForce.FOK and not plan.complete:
            return Rejection(order_id=request.order_id, reason=RejectReason.FOK_NOT_FILLED)
        if request.time_in_force is TimeInForce.IOC and not plan.fills:
            return Rejection(order_id=request.order_id, reason=RejectReason.IOC_NO_MATCH)
        if not plan.fills:
            return None
        instrument = self._instruments[request.instrument_id]
        shortfall = taker_shortfall(request, plan, instrument, self._funds, self._fees)
        if shortfall is not None:
            return Rejection(order_id=request.order_id, reason=RejectReason.NOT_ENOUGH_FUNDS, shortfall=shortfall)
        return None

    # Orders out.

    def cancel(self, order_id: OrderId, now_ms: int, reason: CancelReason = CancelReason.REQUESTED) -> bool:
        """Take an order off the book; False when it is not on it (unknown, closed, or waiting out its delay)."""
        order = self._orders.get(order_id)
        if order is None or order.status is not OrderStatus.LIVE:
            return False
        book = self._books[order.request.instrument_id]
        book.remove(order)
        self._close(order, reason, now_ms)
        self._publish_book(book, now_ms)
        return True

    def cancel_all(
        self, wanted: Callable[[Order], bool], now_ms: int, reason: CancelReason = CancelReason.REQUESTED
    ) -> list[OrderId]:
        """Cancel every resting order that the predicate wants, oldest first."""
        chosen = [order.order_id for order in self._open.values() if wanted(order)]
        return [order_id for order_id in chosen if self.cancel(order_id, now_ms, reason)]

    def next_due_ms(self) -> int | None:
        """When `run_due` has something to do; None while nothing waits."""
        while self._timers and self._is_stale(self._timers[0][2]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def run_due(self, now_ms: int) -> None:
        """Expire orders and end taker delays that are due, in order of time."""
        while (due_ms := self.next_due_ms()) is not None and due_ms <= now_ms:
            order = self._orders[heapq.heappop(self._timers)[2]]
            if order.status is OrderStatus.DELAYED:
                self._end_delay(order, due_ms)
            else:
                self.cancel(order.order_id, due_ms, CancelReason.EXPIRED)

    def _is_stale(self, order_id: OrderId) -> bool:
        return self._orders[order_id].status not in {OrderStatus.LIVE, OrderStatus.DELAYED}

    def _start_timer(self, due_ms: int, order_id: OrderId) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (due_ms, self._timer_count, order_id))

    def _end_delay(self, order: Order, now_ms: int) -> None:
        request = order.request
        book = self._books[request.instrument_id]
        order.status = OrderStatus.LIVE
        plan = plan_match(request, book, self._instruments, self._funds, self._fees)
        if self._plan_refusal(request, plan) is not None:
            self._cancel_insolvent(plan, now_ms)
            self._close(order, CancelReason.DELAYED_UNMATCHED, now_ms)
            self._publish_book(book, now_ms)
            return
        self._execute(order, plan, book, now_ms)

    # Matching, applied.

    def _execute(self, order: Order, plan: MatchPlan, book: PairBook, now_ms: int) -> None:
        request = order.request
        self._cancel_insolvent(plan, now_ms)
        rests = not plan.complete and not request.time_in_force.immediate
        if rests:
            self._sink(OrderOpened(order=order, at_ms=now_ms))
        size = self._makers_per_trade
        trade: Trade | None = None
        for bucket, start in enumerate(range(0, len(plan.fills), size)):
            trade = self._book_trade(order, plan.fills[start : start + size], book, bucket, now_ms)
        if plan.complete:
            self._fill_up(order, now_ms)
        elif rests:
            book.add(order)
            if request.expires_at_ms is not None:
                self._start_timer(request.expires_at_ms, order.order_id)
        else:
            # What was filled stands; the rest of an immediate order is dropped without a cancellation notice.
            self._fill_up(order, now_ms)
            order.cancel_reason = CancelReason.IMMEDIATE_REMAINDER
        if trade is not None:
            self._sink(OrderMatched(order=order, trade=trade, at_ms=now_ms))
        self._publish_book(book, now_ms)

    def _book_trade(
        self, order: Order, fills: tuple[PlannedFill, ...], book: PairBook, bucket: int, now_ms: int
    ) -> Trade:
        request = order.request
        quantity = sum((fill.quantity for fill in fills), ZERO)
        taker_cash = sum((fill.taker_cash for fill in fills), ZERO)
        trade = Trade(
            trade_id=self._trade_ids(),
            instrument_id=request.instrument_id,
            taker_order_id=order.order_id,
            taker_account=request.account,
            side=request.side,
            quantity=quantity,
            price=_average_price(fills, quantity),
            taker_cash=taker_cash,
            taker_fee=self._fees.taker_fee(request.instrument_id, [(fill.price, fill.quantity) for fill in fills]),
            legs=tuple(self._leg(fill) for fill in fills),
            bucket_index=bucket,
            matched_at_ms=now_ms,
        )
        order.filled += quantity
        order.paid += taker_cash
        order.trades.append(trade.trade_id)
        self._funds.book(trade)
        for fill in fills:
            self._fill_maker(fill, trade, book, now_ms)
        self._sink(Traded(trade=trade, at_ms=now_ms))
        return trade

    def _fill_maker(self, fill: PlannedFill, trade: Trade, book: PairBook, now_ms: int) -> None:
        maker = fill.maker
        assert fill.quantity <= maker.remaining, f"{maker!r} would be filled beyond its size by {fill.quantity}"
        maker.filled += fill.quantity
        maker.paid += fill.maker_cash
        maker.trades.append(trade.trade_id)
        if maker.filled == maker.request.size:
            book.remove(maker)
            self._fill_up(maker, now_ms)
        else:
            book.touch(maker)
        self._sink(OrderMatched(order=maker, trade=trade, at_ms=now_ms))

    def _leg(self, fill: PlannedFill) -> Leg:
        maker = fill.maker.request
        return Leg(
            maker_order_id=maker.order_id,
            maker_account=maker.account,
            maker_instrument_id=maker.instrument_id,
            maker_side=maker.side,
            maker_price=maker.price,
            taker_price=fill.price,
            quantity=fill.quantity,
            maker_cash=fill.maker_cash,
            taker_cash=fill.taker_cash,
            maker_fee=self._fees.maker_fee(maker.instrument_id, maker.price, fill.quantity),
            kind=fill.kind,
        )

    def _cancel_insolvent(self, plan: MatchPlan, now_ms: int) -> None:
        for order in plan.insolvent:
            self._books[order.request.instrument_id].remove(order)
            self._close(order, CancelReason.FUNDS_GONE, now_ms)

    def _fill_up(self, order: Order, now_ms: int) -> None:
        order.status = OrderStatus.FILLED
        order.closed_at_ms = now_ms
        del self._open[order.order_id]

    def _close(self, order: Order, reason: CancelReason, now_ms: int) -> None:
        order.status = OrderStatus.CANCELED
        order.cancel_reason = reason
        order.closed_at_ms = now_ms
        del self._open[order.order_id]
        self._sink(OrderClosed(order=order, reason=reason, at_ms=now_ms))

    def _publish_book(self, book: PairBook, now_ms: int) -> None:
        changes = book.take_changes()
        if changes:
            self._sink(BookChanged(changes=changes, at_ms=now_ms))


def _average_price(fills: tuple[PlannedFill, ...], quantity: Decimal) -> Decimal:
    """The price of a single-level match as it stands; over several levels the quantity-weighted average."""
    first = fills[0].price
    if all(fill.price == first for fill in fills):
        return first
    weighted = sum((fill.price * fill.quantity for fill in fills), ZERO)
    return (weighted / quantity).quantize(Decimal("0.000001")).normalize()
