"""The exchange core by example: who trades with whom, at which price, and what is told."""

from decimal import Decimal

import pytest
from tallystick.venues.sim.core.policies import CurveFees, FeeCurve, ProportionalFees
from tallystick.venues.sim.core.values import (
    AccountId,
    AssetId,
    BookChanged,
    CancelReason,
    Depth,
    MatchKind,
    Order,
    OrderClosed,
    OrderId,
    OrderStatus,
    Rejection,
    RejectReason,
    Side,
    TimeInForce,
    Trade,
    Traded,
)

from .core_world import ALICE, BOB, CAROL, CASH, NO, YES, CoreWorld

BUY, SELL = Side.BUY, Side.SELL
FOK, IOC, GTD = TimeInForce.FOK, TimeInForce.IOC, TimeInForce.GTD


def accepted(result: Order | Rejection) -> Order:
    assert isinstance(result, Order), f"the order was refused: {result}"
    return result


def refused(result: Order | Rejection) -> RejectReason:
    assert isinstance(result, Rejection), f"the order was taken: {result}"
    return result.reason


def trades(world: CoreWorld) -> list[Trade]:
    return [event.trade for event in world.events if isinstance(event, Traded)]


def test_a_taker_gets_the_makers_price() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.40", "10"), 0)
    taker = accepted(world.exchange.submit(world.request(BOB, BUY, "0.55", "4"), 1))
    (trade,) = trades(world)
    assert (trade.price, trade.quantity, trade.taker_cash) == (Decimal("0.40"), Decimal(4), Decimal("1.6"))
    assert trade.legs[0].kind is MatchKind.DIRECT
    assert (taker.status, taker.filled, taker.paid) == (OrderStatus.FILLED, Decimal(4), Decimal("1.6"))


def test_two_buyers_of_opposite_outcomes_mint_a_pair() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, BUY, "0.45", "10", instrument=NO), 0)
    accepted(world.exchange.submit(world.request(BOB, BUY, "0.60", "10"), 1))
    (trade,) = trades(world)
    (leg,) = trade.legs
    assert (leg.kind, leg.maker_instrument_id, leg.maker_side) == (MatchKind.MINT, NO, BUY)
    assert (trade.price, trade.taker_cash, leg.maker_cash) == (Decimal("0.55"), Decimal("5.5"), Decimal("4.5"))


def test_two_sellers_of_opposite_outcomes_merge_a_pair() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.30", "10", instrument=NO), 0)
    accepted(world.exchange.submit(world.request(BOB, SELL, "0.65", "10"), 1))
    (trade,) = trades(world)
    (leg,) = trade.legs
    assert leg.kind is MatchKind.MERGE
    assert (trade.price, trade.taker_cash, leg.maker_cash) == (Decimal("0.70"), Decimal(7), Decimal(3))


def test_price_beats_time_and_time_decides_at_one_price_across_both_outcomes() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.50", "1", order_id="late price"), 0)
    world.exchange.submit(world.request(ALICE, BUY, "0.52", "1", instrument=NO, order_id="first at 0.48"), 1)
    world.exchange.submit(world.request(CAROL, SELL, "0.48", "1", order_id="second at 0.48"), 2)
    accepted(world.exchange.submit(world.request(BOB, BUY, "0.50", "3"), 3))
    (trade,) = trades(world)
    assert [leg.maker_order_id for leg in trade.legs] == ["first at 0.48", "second at 0.48", "late price"]
    assert trade.price == Decimal("0.486667")


def test_the_rest_of_a_limit_order_rests_and_is_seen_from_both_outcomes() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.40", "3"), 0)
    order = accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "10"), 1))
    assert (order.status, order.remaining) == (OrderStatus.LIVE, Decimal(7))
    assert world.exchange.depth(YES) == Depth(bids=((Decimal("0.40"), Decimal(7)),), asks=())
    assert world.exchange.depth(NO) == Depth(bids=(), asks=((Decimal("0.60"), Decimal(7)),))


def test_fill_or_kill_trades_nothing_when_it_cannot_trade_all() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.40", "3"), 0)
    assert (
        refused(world.exchange.submit(world.request(BOB, BUY, "0.40", "4", time_in_force=FOK), 1))
        is RejectReason.FOK_NOT_FILLED
    )
    assert trades(world) == []
    assert world.exchange.depth(YES).asks == ((Decimal("0.40"), Decimal(3)),)


def test_an_immediate_order_takes_what_is_there_and_drops_the_rest() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.40", "3"), 0)
    order = accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "4", time_in_force=IOC), 1))
    assert (order.status, order.filled) == (OrderStatus.FILLED, Decimal(3))
    assert order.cancel_reason is CancelReason.IMMEDIATE_REMAINDER
    assert world.exchange.depth(YES) == Depth(bids=(), asks=())


def test_an_immediate_order_without_a_counterpart_is_refused() -> None:
    world = CoreWorld()
    assert (
        refused(world.exchange.submit(world.request(BOB, BUY, "0.40", "4", time_in_force=IOC), 1))
        is RejectReason.IOC_NO_MATCH
    )


def test_a_buy_bounded_by_cash_gets_more_shares_at_a_better_price() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.98", "100"), 0)
    order = accepted(world.exchange.submit(world.request(BOB, BUY, "0.99", "5", time_in_force=IOC, cash="4.95"), 1))
    assert order.filled == Decimal("5.051020")
    assert order.paid <= Decimal("4.95")
    assert order.status is OrderStatus.FILLED
    assert order.cancel_reason is None


def test_a_post_only_order_that_would_cross_is_refused_and_changes_nothing() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, BUY, "0.45", "10", instrument=NO), 0)
    assert (
        refused(world.exchange.submit(world.request(BOB, BUY, "0.55", "4", post_only=True), 1))
        is RejectReason.POST_ONLY_CROSSES
    )
    accepted(world.exchange.submit(world.request(BOB, BUY, "0.54", "4", post_only=True), 2))


def test_the_same_order_id_is_taken_once() -> None:
    world = CoreWorld()
    accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "3", order_id="x"), 0))
    again = world.exchange.submit(world.request(ALICE, SELL, "0.40", "3", order_id="x"), 1)
    assert refused(again) is RejectReason.DUPLICATE


@pytest.mark.parametrize(
    ("price", "size", "reason"),
    [
        ("0.405", "3", RejectReason.PRICE_OFF_GRID),
        ("-0.40", "3", RejectReason.PRICE_OFF_GRID),
        ("0.40", "0.5", RejectReason.SIZE_TOO_SMALL),
        ("0.40", "3.0000001", RejectReason.SIZE_TOO_SMALL),
    ],
)
def test_an_order_off_the_grid_is_refused(price: str, size: str, reason: RejectReason) -> None:
    world = CoreWorld()
    assert refused(world.exchange.submit(world.request(ALICE, SELL, price, size), 0)) is reason


def test_an_order_nobody_can_pay_is_refused_with_the_numbers() -> None:
    world = CoreWorld(rich=False)
    world.ledger.credit(ALICE, CASH, Decimal(3))
    result = world.exchange.submit(world.request(ALICE, BUY, "0.40", "10"), 0)
    assert isinstance(result, Rejection)
    assert result.shortfall is not None
    assert (result.shortfall.available, result.shortfall.needed) == (Decimal(3), Decimal("4.0"))


def test_a_maker_who_can_no_longer_pay_is_cancelled_and_skipped() -> None:
    world = CoreWorld()
    accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "3", order_id="poor"), 0))
    accepted(world.exchange.submit(world.request(CAROL, SELL, "0.41", "3", order_id="good"), 1))
    world.ledger.credit(ALICE, AssetId(YES), Decimal(-1_000_000))
    accepted(world.exchange.submit(world.request(BOB, BUY, "0.41", "3"), 2))
    (trade,) = trades(world)
    assert [leg.maker_order_id for leg in trade.legs] == ["good"]
    closed = [event for event in world.events if isinstance(event, OrderClosed)]
    assert [(event.order.order_id, event.reason) for event in closed] == [("poor", CancelReason.FUNDS_GONE)]


def test_one_makers_money_is_not_counted_twice_in_one_match() -> None:
    world = CoreWorld(rich=False)
    world.ledger.credit(ALICE, AssetId(YES), Decimal(5))
    world.ledger.credit(BOB, CASH, Decimal(100))
    for _ in range(2):
        accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "4"), 0))
    taker = accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "8"), 1))
    assert taker.filled == Decimal(4)
    assert world.ledger.balances[ALICE, AssetId(YES)] == Decimal(1)


def test_a_taker_who_cannot_pay_the_fee_on_top_is_refused() -> None:
    fees = CurveFees()
    fees.set_curve(YES, FeeCurve(rate=Decimal("0.04")))
    world = CoreWorld(fees=fees, rich=False)
    world.ledger.credit(ALICE, AssetId(YES), Decimal(100))
    world.ledger.credit(BOB, CASH, Decimal("5.00"))
    accepted(world.exchange.submit(world.request(ALICE, SELL, "0.50", "10"), 0))
    assert refused(world.exchange.submit(world.request(BOB, BUY, "0.50", "10"), 1)) is RejectReason.NOT_ENOUGH_FUNDS
    world.ledger.credit(BOB, CASH, Decimal("0.1"))
    order = accepted(world.exchange.submit(world.request(BOB, BUY, "0.50", "10"), 2))
    assert order.status is OrderStatus.FILLED
    assert world.ledger.balances[BOB, CASH] == Decimal(0)
    assert world.ledger.balances[AccountId("fees"), CASH] == Decimal("0.10000")


@pytest.mark.parametrize(
    ("rate", "exponent", "price", "quantity", "fee"),
    [
        ("0.04", "1", "0.50", "10", "0.10000"),
        ("0.07", "2", "0.30", "100", "0.30870"),
        ("0.04", "1", "0.01", "0.01", "0.00001"),
        ("0.04", "1", "0.47", "1.1", "0.01097"),
        ("0", "1", "0.50", "10", "0"),
    ],
)
def test_the_fee_curve_follows_the_published_formula(
    rate: str, exponent: str, price: str, quantity: str, fee: str
) -> None:
    fees = CurveFees()
    fees.set_curve(YES, FeeCurve(rate=Decimal(rate), exponent=Decimal(exponent)))
    assert fees.taker_fee(YES, [(Decimal(price), Decimal(quantity))]) == Decimal(fee)


def test_proportional_fees_charge_maker_and_taker_by_notional() -> None:
    fees = ProportionalFees(maker_rate=Decimal("-0.0001"), taker_rate=Decimal("0.0005"))
    world = CoreWorld(fees=fees)
    world.exchange.submit(world.request(ALICE, SELL, "0.50", "100"), 0)
    world.exchange.submit(world.request(BOB, BUY, "0.50", "100"), 0)
    (trade,) = trades(world)
    assert (trade.taker_fee, trade.legs[0].maker_fee) == (Decimal("0.025000"), Decimal("-0.005000"))


def test_a_large_match_settles_in_several_buckets() -> None:
    world = CoreWorld(makers_per_trade=2)
    for _ in range(5):
        world.exchange.submit(world.request(ALICE, SELL, "0.40", "1"), 0)
    order = accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "5"), 1))
    assert [(trade.bucket_index, trade.quantity) for trade in trades(world)] == [
        (0, Decimal(2)),
        (1, Decimal(2)),
        (2, Decimal(1)),
    ]
    assert order.trades == [trade.trade_id for trade in trades(world)]


def test_a_good_till_date_order_leaves_at_its_moment() -> None:
    world = CoreWorld()
    order = accepted(
        world.exchange.submit(world.request(ALICE, SELL, "0.40", "1", time_in_force=GTD, expires_at_ms=5_000), 0)
    )
    assert world.exchange.next_due_ms() == 5_000
    world.exchange.run_due(4_999)
    assert order.status is OrderStatus.LIVE
    world.exchange.run_due(5_000)
    assert (order.status, order.cancel_reason) == (OrderStatus.CANCELED, CancelReason.EXPIRED)
    assert world.exchange.next_due_ms() is None


def test_an_expiry_of_an_order_that_is_gone_is_no_work() -> None:
    world = CoreWorld()
    request = world.request(ALICE, SELL, "0.40", "1", time_in_force=GTD, expires_at_ms=5_000)
    world.exchange.submit(request, 0)
    assert world.exchange.cancel(request.order_id, 1)
    assert world.exchange.next_due_ms() is None


def test_a_cancel_of_what_is_not_on_the_book_says_so() -> None:
    world = CoreWorld()
    assert not world.exchange.cancel(OrderId("never seen"), 0)
    order = accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "1"), 0))
    assert world.exchange.cancel(order.order_id, 1)
    assert not world.exchange.cancel(order.order_id, 2)


def test_a_delayed_taker_waits_cannot_be_cancelled_and_then_trades() -> None:
    world = CoreWorld()
    world.exchange.submit(world.request(ALICE, SELL, "0.40", "3"), 0)
    order = accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "3"), 10, taker_delay_ms=250))
    assert order.status is OrderStatus.DELAYED
    assert not world.exchange.cancel(order.order_id, 100)
    assert world.exchange.next_due_ms() == 260
    world.exchange.run_due(260)
    assert (order.status, order.filled) == (OrderStatus.FILLED, Decimal(3))


def test_a_delayed_taker_whose_counterpart_left_rests_or_dies_by_its_time_in_force() -> None:
    world = CoreWorld()
    offer = accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "3"), 0))
    limit = accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "3"), 10, taker_delay_ms=250))
    kill = accepted(
        world.exchange.submit(world.request(BOB, BUY, "0.40", "3", time_in_force=FOK), 11, taker_delay_ms=250)
    )
    world.exchange.cancel(offer.order_id, 20)
    world.exchange.run_due(300)
    assert limit.status is OrderStatus.LIVE
    assert (kill.status, kill.cancel_reason) == (OrderStatus.CANCELED, CancelReason.DELAYED_UNMATCHED)


def test_every_change_of_a_level_is_told_for_both_outcomes_once() -> None:
    world = CoreWorld(makers_per_trade=1)
    for _ in range(3):
        world.exchange.submit(world.request(ALICE, SELL, "0.40", "1"), 0)
    world.events.clear()
    world.exchange.submit(world.request(BOB, BUY, "0.40", "2"), 1)
    (changed,) = [event for event in world.events if isinstance(event, BookChanged)]
    assert [(c.instrument_id, c.side, c.price, c.size) for c in changed.changes] == [
        (YES, SELL, Decimal("0.40"), Decimal(1)),
        (NO, BUY, Decimal("0.60"), Decimal(1)),
    ]


def test_a_closed_market_takes_cancels_but_no_orders() -> None:
    world = CoreWorld()
    order = accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "1"), 0))
    world.exchange.set_open(YES, accepts_orders=False)
    result = world.exchange.submit(world.request(BOB, BUY, "0.40", "1", instrument=NO), 1)
    assert refused(result) is RejectReason.MARKET_NOT_OPEN
    assert world.exchange.cancel(order.order_id, 2)
    world.exchange.set_open(NO, accepts_orders=True)
    accepted(world.exchange.submit(world.request(BOB, BUY, "0.40", "1"), 3))


def test_cancel_all_takes_what_the_predicate_wants() -> None:
    world = CoreWorld()
    mine = accepted(world.exchange.submit(world.request(ALICE, SELL, "0.40", "1"), 0))
    other = accepted(world.exchange.submit(world.request(BOB, SELL, "0.40", "1"), 0))
    assert world.exchange.cancel_all(lambda order: order.request.account == ALICE, 1) == [mine.order_id]
    assert list(world.exchange.open_orders) == [other.order_id]
