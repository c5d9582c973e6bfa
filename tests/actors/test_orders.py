"""The life of single orders: each time in force, each way to end, and what the strategy is told of it."""

from decimal import Decimal

import pytest
import trio
from tallystick.model.event import (
    CancelAnswered,
    CancelRequested,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    SliceWithdrawn,
)
from tallystick.model.intent import Side, TimeInForce
from tallystick.model.order import Done
from tallystick.model.outcome import (
    CancelAlreadyFilled,
    Cancelled,
    EvidenceKind,
    Expired,
    Filled,
    Rejected,
)
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import (
    DelayFrame,
    DelayReply,
    DropFrame,
    DuplicateFrame,
    LoseReply,
    RefuseRequest,
    ReorderFrames,
)

from .harness import (
    ACCOUNT,
    CASH,
    OWNER,
    RAIN_NO,
    RAIN_YES,
    SLOW_YES,
    World,
    kinds,
    scenario,
    single,
)

# ---- the ways to fill -------------------------------------------------------------------------------------


@scenario()
async def test_a_taker_at_several_prices_books_what_was_paid_and_charged_to_the_last_unit(world: World) -> None:
    """Its average price need not multiply to what was paid, nor carry the fee of its parts."""
    world.crowd.sells(RAIN_YES, "0.40", "13.37")
    world.crowd.sells(RAIN_YES, "0.43", "17.19")
    world.crowd.buys(RAIN_NO, "0.57", "7.77")  # the same price, by minting a pair
    world.crowd.sells(RAIN_YES, "0.44", "50")
    ticket = await world.submit(single())
    assert (await world.end_of(ticket)).outcome == "filled"
    await world.until(lambda: not world.ledger.unsettled)
    await trio.sleep(120)
    assert world.held(RAIN_YES) == 50 == world.wallet(RAIN_YES)
    assert world.held(CASH) == world.wallet()
    assert not world.alerts()


@scenario()
async def test_an_order_that_rests_fills_in_parts_and_reports_each_of_them(world: World) -> None:
    ticket = await world.submit(single())
    await world.until(world.venue_orders)
    for size in ("10", "15", "25"):
        world.crowd.sells(RAIN_YES, "0.44", size)
        await trio.sleep(1)
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("filled", (Decimal(50),))
    fills = [found.quantity for found in ticket.reports if found.kind == "fill"]
    assert fills == [10, 15, 25]
    assert [found.number for found in ticket.reports] == list(range(1, len(ticket.reports) + 1))
    assert kinds(ticket.reports)[0] == "accepted"
    assert kinds(ticket.reports)[-1] == "ended"


@scenario()
async def test_what_is_left_at_the_deadline_is_cancelled_and_reported(world: World) -> None:
    ticket = await world.submit(single(seconds=10))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(20),))
    assert world.venue_order()["status"] == "CANCELED"


@scenario()
async def test_child_slices_add_up_to_the_quantity(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "100")
    ticket = await world.submit(single(quantity="50", child="15"))
    report = await world.end_of(ticket)
    assert report.filled == (Decimal(50),)
    sizes = [Decimal(row["original_size"]) for row in world.venue_orders()]
    assert sum(sizes) == 50
    assert max(sizes) <= 15


@scenario()
async def test_a_sale_of_what_is_held_is_a_sale(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.end_of(await world.submit(single("i1")))
    await world.until(lambda: not world.ledger.unsettled)
    world.crowd.buys(RAIN_YES, "0.50", "50")
    ticket = await world.submit(single("i2", side=Side.SELL, price="0.50"))
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(RAIN_YES) == 0
    assert [row["side"] for row in world.venue_orders()] == ["BUY", "SELL"]


@scenario()
async def test_a_sale_of_nothing_is_not_sent_and_says_why(world: World) -> None:
    ticket = await world.submit(single(side=Side.SELL))
    report = await world.end_of(ticket)
    assert report.outcome == "not_sent"
    assert "none of polymarket:rain:Yes is held" in report.text
    assert not world.venue_orders()


@scenario()
async def test_a_short_is_a_purchase_of_the_complement_and_is_recorded_as_such(world: World) -> None:
    world.crowd.sells(RAIN_NO, "0.40", "50")
    ticket = await world.submit(single(side=Side.SELL_SHORT, price="0.60"))
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(RAIN_NO) == 50
    assert world.order().terms.expressed_as.startswith("short of polymarket:rain:Yes at 0.6 written as purchase")


@scenario()
async def test_a_cover_sells_the_complement_that_a_short_bought(world: World) -> None:
    world.crowd.sells(RAIN_NO, "0.40", "50")
    await world.end_of(await world.submit(single("i1", side=Side.SELL_SHORT, price="0.60")))
    await world.until(lambda: not world.ledger.unsettled)
    world.crowd.buys(RAIN_NO, "0.45", "50")
    ticket = await world.submit(single("i2", side=Side.BUY_TO_COVER, price="0.55"))
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(RAIN_NO) == 0


# ---- times in force ---------------------------------------------------------------------------------------


@scenario()
async def test_a_dated_order_that_the_venue_expires_ends_as_what_the_venue_says(world: World) -> None:
    ticket = await world.submit(single(seconds=200, time_in_force=TimeInForce.GTD))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    report = await world.end_of(ticket, seconds=300)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(20),))
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, (Expired, Cancelled))
    assert done.evidence.kind is EvidenceKind.ORDER_QUERY


@scenario()
async def test_an_immediate_buy_is_refused_unless_the_account_allows_surplus_shares(world: World) -> None:
    ticket = await world.submit(single(time_in_force=TimeInForce.IOC))
    report = await world.end_of(ticket)
    assert report.outcome == "not_sent"
    (withdrawn,) = world.events(SliceWithdrawn)
    assert "surplus shares" in withdrawn.reason


@scenario(surplus_shares_allowed=True)
async def test_what_an_immediate_order_does_not_get_at_once_is_gone(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "20")
    ticket = await world.submit(single(time_in_force=TimeInForce.IOC, seconds=60))
    at = trio.current_time()
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(20),))
    assert trio.current_time() - at < 10
    assert not world.network.sent("DELETE", "/order")


@scenario(surplus_shares_allowed=True)
async def test_an_immediate_order_without_a_match_is_rejected(world: World) -> None:
    report = await world.end_of(await world.submit(single(time_in_force=TimeInForce.IOC)))
    assert report.outcome == "unfilled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Rejected)
    assert done.outcome.code == "fak_not_filled"


@pytest.mark.parametrize(("offered", "outcome"), [("50", "filled"), ("49", "unfilled")])
@scenario(surplus_shares_allowed=True)
async def test_all_or_nothing_is_all_or_nothing(world: World, offered: str, outcome: str) -> None:
    world.crowd.sells(RAIN_YES, "0.44", offered)
    report = await world.end_of(await world.submit(single(time_in_force=TimeInForce.FOK)))
    assert report.outcome == outcome


@scenario()
async def test_a_post_only_order_that_would_cross_is_rejected(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "100")
    report = await world.end_of(await world.submit(single(post_only=True)))
    assert report.outcome == "unfilled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Rejected)
    assert done.outcome.code == "post_only_would_cross"


@scenario()
async def test_a_post_only_order_rests_and_fills_as_a_maker(world: World) -> None:
    ticket = await world.submit(single(post_only=True))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(CASH) == 1000 - 22, "a maker pays no fee"


# ---- rejections -------------------------------------------------------------------------------------------


@scenario()
async def test_too_little_cash_at_the_venue_is_a_rejection_and_a_sweep(world: World) -> None:
    world.do(actions.SetAllowance(wallet=OWNER, cash=Decimal(1)))
    before = len(world.sweeps())
    report = await world.end_of(await world.submit(single()))
    assert report.outcome == "unfilled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Rejected)
    assert done.outcome.code == "allowance_not_enough"
    await world.until(lambda: len(world.sweeps()) > before, seconds=5)
    assert world.sweeps()[-1].record.trigger == "rejection"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, '{"error":"Invalid order payload"}', "invalid_payload"),
        (400, '{"error":"invalid signature"}', "invalid_signature"),
        (400, '{"error":"not enough balance / allowance: the balance is not enough"}', "balance_not_enough"),
        (400, '{"error":"order x is invalid. Price (0.44) breaks minimum tick size rule: 0.1"}', "off_tick"),
        (400, '{"error":"the market is not yet ready to process new orders"}', "market_not_ready"),
        (403, '{"error":"Trading restricted in your region"}', "access_forbidden"),
        (404, '{"error":"No orderbook exists for the requested token id"}', "no_order_book"),
    ],
)
@scenario()
async def test_a_definitive_refusal_ends_the_order_with_its_code(
    world: World, status: int, body: str, code: str
) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="other", status=status, body=body, count=1))
    report = await world.end_of(await world.submit(single()), seconds=5)
    assert report.outcome == "unfilled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Rejected)
    assert done.outcome.code == code
    assert done.evidence.kind is EvidenceKind.PLACE_ANSWER
    assert len(world.network.sent("POST", "/order")) == 1


# ---- races ------------------------------------------------------------------------------------------------


@scenario()
async def test_a_fill_before_the_acknowledgement_is_counted_once(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "50")
    world.fault(DelayReply(path="/order", method="POST", by_seconds=3, count=1))
    report = await world.end_of(await world.submit(single()))
    assert report.filled == (Decimal(50),)
    (acknowledged,) = world.events(OrderAcknowledged)
    assert acknowledged.evidence.kind in {EvidenceKind.FILL_HISTORY, EvidenceKind.ORDER_STREAM}
    await trio.sleep(10)


@scenario()
async def test_duplicated_and_reordered_frames_count_once(world: World) -> None:
    world.fault(DuplicateFrame())
    world.fault(ReorderFrames(event="trade"))
    ticket = await world.submit(single())
    await world.until(world.venue_orders)
    for _ in range(5):
        world.crowd.sells(RAIN_YES, "0.44", "10")
        await trio.sleep(0.2)
    assert (await world.end_of(ticket)).filled == (Decimal(50),)
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(RAIN_YES) == 50 == world.wallet(RAIN_YES)


@scenario()
async def test_a_frame_that_comes_again_after_a_restart_counts_once(world: World) -> None:
    world.fault(DelayFrame(event="trade", by_seconds=30))
    ticket = await world.submit(single(seconds=10))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    assert (await world.end_of(ticket)).filled == (Decimal(20),)
    await world.crash_and_restart()
    await world.live()
    await trio.sleep(60)
    assert world.held(RAIN_YES) == 20 == world.wallet(RAIN_YES)


@scenario()
async def test_a_cancel_that_loses_to_a_fill_ends_as_filled(world: World) -> None:
    ticket = await world.submit(single(seconds=5))
    await world.until(world.venue_orders)
    world.fault(DelayFrame(by_seconds=3))
    await trio.sleep(4)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("filled", (Decimal(50),))
    assert [type(event.outcome) for event in world.events(CancelAnswered)] in ([], [CancelAlreadyFilled])
    assert world.events(CancelRequested)


@scenario()
async def test_a_partial_fill_just_before_the_cancel_is_kept(world: World) -> None:
    ticket = await world.submit(single(seconds=5))
    await world.until(world.venue_orders)
    world.fault(DelayFrame(by_seconds=3))
    await trio.sleep(4.9)
    world.crowd.sells(RAIN_YES, "0.44", "30")
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(30),))


@scenario()
async def test_a_cancel_of_unknown_outcome_is_asked_about_and_sweeps(world: World) -> None:
    ticket = await world.submit(single(seconds=5))
    await world.until(world.venue_orders)
    world.fault(LoseReply(path="/order", method="DELETE", count=1))
    report = await world.end_of(ticket, seconds=10)
    assert report.outcome == "unfilled"
    await world.until(lambda: any(found.record.trigger == "cancel_unknown" for found in world.sweeps()))


@scenario()
async def test_cancels_that_time_out_for_long_leave_the_order_open_and_end_with_evidence(world: World) -> None:
    """T5: every cancel is lost on its way; nothing may be reported as cancelled meanwhile."""
    ticket = await world.submit(single(seconds=5))
    await world.until(world.venue_orders)
    world.fault(RefuseRequest(path="/order", method="DELETE", kind="internal_error", seconds=120))
    await trio.sleep(110)
    assert ticket.ended is None
    assert not world.events(OrderDone)
    (alert,) = world.alerts("order_unconfirmed")
    assert "may still trade" in alert.message
    assert world.venue_order()["status"] == "LIVE"
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    assert world.venue_order()["status"] == "CANCELED"
    await world.until(lambda: not world.alerts("order_unconfirmed")[0].state.is_open)
    assert len(world.opened("order_unconfirmed")) == 1


@scenario()
async def test_an_order_that_the_venue_does_not_take_for_long_is_an_alert(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="trading_disabled", seconds=100))
    ticket = await world.submit(single(seconds=600))
    await world.until(lambda: world.alerts("order_unconfirmed"), seconds=70)
    await world.until(world.venue_orders)
    await world.until(lambda: not world.alerts("order_unconfirmed")[0].state.is_open)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"


@scenario()
async def test_a_cancel_that_a_delayed_match_refuses_is_repeated_until_it_is_known(world: World) -> None:
    world.crowd.sells(SLOW_YES, "0.44", "20")
    ticket = await world.submit(single(instrument=SLOW_YES, seconds=1))
    report = await world.end_of(ticket, seconds=30)
    order = world.order()
    assert isinstance(order, Done)
    matched = Decimal(world.venue_order()["size_matched"])
    assert report.filled == (matched,)
    assert world.held(SLOW_YES) == matched


@scenario()
async def test_a_delayed_match_is_asked_about_until_it_is_known(world: World) -> None:
    world.crowd.sells(SLOW_YES, "0.44", "50")
    ticket = await world.submit(single(instrument=SLOW_YES, seconds=60))
    report = await world.end_of(ticket, seconds=30)
    assert report.outcome == "filled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Filled)


# ---- the venue acts by itself -----------------------------------------------------------------------------


@scenario()
async def test_heartbeats_keep_orders_alive(world: World) -> None:
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    await trio.sleep(120)
    assert world.venue_order()["status"] == "LIVE"
    assert len(world.network.sent("POST", "/v1/heartbeats")) >= 20


@scenario()
async def test_heartbeats_go_on_while_new_orders_wait_for_their_quota(world: World) -> None:
    await world.submit(single("i1", seconds=600))
    await world.until(world.venue_orders)
    world.fault(RefuseRequest(path="/order", method="POST", kind="rate_limited", retry_after_seconds=60, count=1))
    await world.submit(single("i2", seconds=600))
    await trio.sleep(1)
    await world.submit(single("i3", seconds=600))
    await trio.sleep(50)
    assert world.venue_order()["status"] == "LIVE"


@scenario()
async def test_orders_that_the_dead_man_switch_cancelled_are_noticed_and_reported(world: World) -> None:
    ticket = await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "10")
    world.do(actions.ExpireHeartbeat(owner=OWNER))
    report = await world.end_of(ticket, seconds=10)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(10),))
    (done,) = world.events(OrderDone)
    assert done.evidence.kind is EvidenceKind.ORDER_QUERY


@scenario()
async def test_an_order_taken_off_by_the_venue_ends_with_what_filled_before(world: World) -> None:
    ticket = await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    world.do(actions.CancelOrder(order_id=str(world.venue_order()["id"])))
    report = await world.end_of(ticket, seconds=10)
    assert report.outcome == "unfilled"


@scenario()
async def test_an_order_cancelled_while_every_frame_of_it_is_lost_is_found_by_the_next_sweep(world: World) -> None:
    ticket = await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    world.fault(DropFrame(event="order"))
    world.do(actions.CancelOrder(order_id=str(world.venue_order()["id"])))
    report = await world.end_of(ticket, seconds=world.settings.reconciler.cadence_seconds + 5)
    assert report.outcome == "unfilled"
    assert world.ledger.account(ACCOUNT).state == "live"


@scenario()
async def test_an_order_that_rests_is_not_asked_about_again_and_again(world: World) -> None:
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    await trio.sleep(50)
    assert len(world.network.sent("GET", "/data/order/")) == 0
    assert not world.events(OrderConfirmed)
