"""What must hold for every sequence of orders, cancels and expiries on the exchange core."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tallystick.venues.sim.core.deadman import DeadManSwitch
from tallystick.venues.sim.core.policies import CurveFees, FeeCurve
from tallystick.venues.sim.core.values import (
    ZERO,
    AccountId,
    AssetId,
    InstrumentId,
    OrderId,
    OrderRequest,
    OrderStatus,
    Rejection,
    Side,
    TimeInForce,
    Trade,
    Traded,
)

from .core_world import ALICE, BOB, CAROL, CASH, NO, YES, CoreWorld

accounts = st.sampled_from([ALICE, BOB, CAROL])
sides = st.sampled_from(list(Side))
instruments = st.sampled_from([YES, NO])
prices = st.integers(40, 60).map(lambda cents: str(Decimal(cents) / 100))
sizes = st.decimals(1, 50, places=2).map(str)
times_in_force = st.sampled_from(list(TimeInForce))


class ExchangeMachine(RuleBasedStateMachine):
    """Any orders in any order: money and shares are conserved and nobody gets more than asked for."""

    @initialize(makers_per_trade=st.integers(1, 3), rate=st.sampled_from(["0", "0.04", "0.07"]))
    def start(self, makers_per_trade: int, rate: str) -> None:
        fees = CurveFees()
        for instrument in (YES, NO):
            fees.set_curve(instrument, FeeCurve(rate=Decimal(rate)))
        self.world = CoreWorld(fees=fees, makers_per_trade=makers_per_trade, rich=False)
        # Little enough that accounts run dry in the middle of a match.
        for account in (ALICE, BOB, CAROL):
            self.world.ledger.credit(account, CASH, Decimal(60))
            self.world.ledger.credit(account, AssetId(YES), Decimal(40))
            self.world.ledger.credit(account, AssetId(NO), Decimal(40))
        self.now_ms = 0
        self.value = self.total_value()

    def total_value(self) -> tuple[Decimal, Decimal]:
        """Cash plus pairs, and the surplus of YES over NO; mint and merge change neither."""
        totals = dict.fromkeys((CASH, AssetId(YES), AssetId(NO)), ZERO)
        for (_, asset), amount in self.world.ledger.balances.items():
            totals[asset] += amount
        yes, no = totals[AssetId(YES)], totals[AssetId(NO)]
        return totals[CASH] + no, yes - no

    @rule(
        account=accounts,
        side=sides,
        instrument=instruments,
        price=prices,
        size=sizes,
        time_in_force=times_in_force,
        post_only=st.booleans(),
        by_cash=st.booleans(),
        lifetime_ms=st.integers(1, 20),
        taker_delay_ms=st.sampled_from([0, 0, 0, 3]),
    )
    def submit(
        self,
        account: AccountId,
        side: Side,
        instrument: InstrumentId,
        price: str,
        size: str,
        time_in_force: TimeInForce,
        post_only: bool,
        by_cash: bool,
        lifetime_ms: int,
        taker_delay_ms: int,
    ) -> None:
        exchange = self.world.exchange
        cash = None
        if by_cash and side is Side.BUY and time_in_force.immediate:
            cash = str((Decimal(price) * Decimal(size)).quantize(Decimal("0.01")))
        request = self.world.request(
            account,
            side,
            price,
            size,
            instrument=instrument,
            time_in_force=time_in_force,
            post_only=post_only and not time_in_force.immediate,
            cash=cash,
            expires_at_ms=self.now_ms + lifetime_ms if time_in_force is TimeInForce.GTD else None,
        )
        before = [
            (price, order.order_id) for book in [exchange._books[instrument]] for price, order in book.opposing(request)
        ]
        self.world.events.clear()
        result = exchange.submit(request, self.now_ms, taker_delay_ms=taker_delay_ms)
        trades = [event.trade for event in self.world.events if isinstance(event, Traded)]
        if isinstance(result, Rejection):
            assert trades == []
            return
        self.check_priority(before, trades)
        self.check_limits(request, trades)
        if request.post_only:
            assert trades == []
        if time_in_force is TimeInForce.FOK and result.status is not OrderStatus.DELAYED and cash is None:
            assert result.filled == request.size
        if time_in_force is TimeInForce.FOK and result.status is not OrderStatus.DELAYED and cash is not None:
            # What is left could not buy one more step at the price of the next offer.
            assert Decimal(cash) - result.paid < Decimal("0.000002")

    def check_priority(self, before: list[tuple[Decimal, OrderId]], trades: list[Trade]) -> None:
        taken = [leg.maker_order_id for trade in trades for leg in trade.legs]
        positions = {order_id: position for position, (_, order_id) in enumerate(before)}
        assert [positions[order_id] for order_id in taken] == sorted(positions[order_id] for order_id in taken)
        closed = self.world.exchange.orders
        # Nobody is passed over except makers that were found unable to pay, and those are gone.
        for position in range(positions[taken[-1]] if taken else 0):
            assert closed[before[position][1]].status in {OrderStatus.FILLED, OrderStatus.CANCELED}

    def check_limits(self, request: OrderRequest, trades: list[Trade]) -> None:
        for leg in (leg for trade in trades for leg in trade.legs):
            if request.side is Side.BUY:
                assert leg.taker_price <= request.price
            else:
                assert leg.taker_price >= request.price
            rounding = Decimal("0.000001")
            exact = leg.quantity * leg.maker_price
            if leg.maker_side is Side.BUY:
                assert leg.maker_cash <= exact + rounding
            else:
                assert leg.maker_cash >= exact - rounding

    @rule(choice=st.integers(0, 10**6))
    def cancel(self, choice: int) -> None:
        open_orders = list(self.world.exchange.open_orders)
        if open_orders:
            order = self.world.exchange.orders[open_orders[choice % len(open_orders)]]
            was_live = order.status is OrderStatus.LIVE
            assert self.world.exchange.cancel(order.order_id, self.now_ms) is was_live

    @rule(step_ms=st.integers(1, 8))
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms
        self.world.exchange.run_due(self.now_ms)
        due_ms = self.world.exchange.next_due_ms()
        assert due_ms is None or due_ms > self.now_ms

    @invariant()
    def value_is_conserved(self) -> None:
        assert self.total_value() == self.value

    @invariant()
    def nobody_owes(self) -> None:
        assert all(amount >= ZERO for amount in self.world.ledger.balances.values())

    @invariant()
    def orders_add_up(self) -> None:
        for order in self.world.exchange.orders.values():
            if order.request.cash is None:
                assert order.filled <= order.request.size
            else:
                assert order.paid <= order.request.cash
            if order.status is OrderStatus.LIVE:
                assert order.filled + order.remaining == order.request.size
                assert order.remaining > ZERO

    @invariant()
    def the_book_is_not_crossed_and_shows_what_rests(self) -> None:
        for instrument in (YES, NO):
            bid, ask = self.world.exchange.best(instrument)
            assert bid is None or ask is None or bid < ask
            depth = self.world.exchange.depth(instrument)
            shown = sum((size for _, size in (*depth.bids, *depth.asks)), ZERO)
            rest = sum((order.remaining for order in self.world.exchange.resting(instrument)), ZERO)
            assert shown == rest
        yes, no = self.world.exchange.depth(YES), self.world.exchange.depth(NO)
        assert yes.bids == tuple((1 - price, size) for price, size in no.asks)


ExchangeMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestExchangeMachine = ExchangeMachine.TestCase


@given(beats=st.lists(st.integers(0, 40_000), min_size=1, max_size=8))
def test_the_dead_man_switch_fires_at_the_first_sweep_after_ten_silent_seconds(beats: list[int]) -> None:
    switch: DeadManSwitch[str] = DeadManSwitch()
    last = 0
    for beat in sorted(beats):
        due = switch.next_due_ms()
        if due is not None and due <= beat:
            break
        switch.beat("key", beat)
        last = beat
    due = switch.next_due_ms()
    assert due is not None
    assert due % 5_000 == 0
    assert last + 10_000 < due <= last + 15_000
    assert switch.sweep(due - 1) == []
    assert switch.sweep(due) == ["key"]
    assert switch.next_due_ms() is None


def test_a_disarmed_switch_never_fires() -> None:
    switch: DeadManSwitch[str] = DeadManSwitch()
    switch.beat("key", 0)
    switch.disarm("key")
    assert switch.next_due_ms() is None
    assert switch.sweep(10**9) == []
