"""Doubt about an order is resolved by asking, or by sending the very same bytes: never by signing anew."""

from decimal import Decimal

import pytest
import trio
from tallystick.model.event import OrderDone, OrderSubmitted, OrderUnconfirmed
from tallystick.model.order import Done, Sent
from tallystick.model.outcome import EvidenceKind, Filled, Rejected
from tallystick.venues.sim.polymarket.faults import (
    DelayReply,
    DelayRequest,
    FailAfterAccept,
    FreezeStreams,
    HideFromLists,
    LoseReply,
    NullOrder,
    RefuseRequest,
)

from .harness import RAIN_YES, World, pair, scenario, single


@scenario()
async def test_a_reply_lost_after_the_order_was_accepted_makes_no_second_order(world: World) -> None:
    world.fault(LoseReply(path="/order", method="POST", count=1))
    ticket = await world.submit(single(quantity="50"))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    report = await world.end_of(ticket)
    assert report.outcome == "filled"
    assert len(world.venue_orders()) == 1
    assert world.venue_order()["size_matched"] == "50"
    assert len(world.network.sent("POST", "/order")) == 1
    assert world.events(OrderUnconfirmed)
    assert world.held(RAIN_YES) == 50


@scenario()
async def test_a_lost_reply_of_an_order_that_rests_is_found_by_asking(world: World) -> None:
    world.fault(FreezeStreams(seconds=10))
    world.fault(LoseReply(path="/order", method="POST", count=1))
    ticket = await world.submit(single(seconds=8))
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    assert world.network.sent("GET", "/data/order/")
    assert len(world.venue_orders()) == 1
    assert world.venue_order()["status"] == "CANCELED"


@scenario()
async def test_a_request_that_never_arrived_is_sent_again_as_the_same_bytes(world: World) -> None:
    """It waits in a queue in front of the venue for longer than anyone waits, and is then thrown away."""
    world.fault(RefuseRequest(path="/order", method="POST", kind="html", count=1))
    ticket = await world.submit(single(seconds=60))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    sent = world.network.sent("POST", "/order")
    assert len(sent) == 2
    assert sent[0].body == sent[1].body
    (submitted,) = world.events(OrderSubmitted)
    assert submitted.body == sent[0].body
    assert len(world.venue_orders()) == 1


@scenario()
async def test_bytes_that_arrive_twice_make_one_order(world: World) -> None:
    """The first copy is stuck in a queue, the venue does not show the order, and the second copy overtakes it."""
    world.fault(DelayRequest(path="/order", method="POST", by_seconds=25, count=1))
    ticket = await world.submit(single(seconds=90))
    await world.until(lambda: len(world.network.sent("POST", "/order")) >= 2)
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    bodies = {request.body for request in world.network.sent("POST", "/order")}
    assert len(bodies) == 1
    assert len(world.venue_orders()) == 1
    assert world.held(RAIN_YES) == 50


@scenario()
async def test_a_duplicate_answer_leads_to_a_question_and_not_to_a_rejection(world: World) -> None:
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(NullOrder(seconds=9))
    world.fault(HideFromLists(lag_seconds=100, seconds=9))
    world.fault(FreezeStreams(seconds=12))
    ticket = await world.submit(single(seconds=60))
    # The venue shows nothing, so the same bytes are sent again, and it says that it has them.
    await world.until(lambda: len(world.network.sent("POST", "/order")) == 2)
    await world.until(lambda: not isinstance(world.order(), Sent))
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue_orders()) == 1
    assert not [event for event in world.events(OrderDone) if isinstance(event.outcome, Rejected)]


@pytest.mark.parametrize("status", [500, 502, 503])
@scenario()
async def test_an_error_of_unknown_meaning_is_an_unknown_outcome(world: World, status: int) -> None:
    world.fault(FailAfterAccept(path="/order", method="POST", status=status, count=1))
    ticket = await world.submit(single())
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue_orders()) == 1
    assert len(world.network.sent("POST", "/order")) == 1


@scenario()
async def test_an_answer_that_is_too_late_is_adopted_under_the_same_id(world: World) -> None:
    world.fault(DelayReply(path="/order", method="POST", by_seconds=30, count=1))
    ticket = await world.submit(single(seconds=60))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue_orders()) == 1


@scenario()
async def test_the_venue_restarting_makes_the_order_wait_and_go_out_once(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="restarting", count=2))
    ticket = await world.submit(single(seconds=90))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    sent = world.network.sent("POST", "/order")
    assert len(sent) == 3
    assert len({request.body for request in sent}) == 1


@scenario()
async def test_a_429_is_obeyed_for_as_long_as_the_venue_asks(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="rate_limited", retry_after_seconds=7, count=1))
    ticket = await world.submit(single(seconds=60))
    await world.until(world.venue_orders)
    first, second = world.network.sent("POST", "/order")
    assert 7 <= second.at - first.at < 9
    assert first.body == second.body
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"


@scenario()
async def test_one_401_is_sporadic_and_tried_again_freshly_stamped(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="unauthorized", count=1))
    ticket = await world.submit(single())
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.network.sent("POST", "/order")) == 2


@scenario()
async def test_three_401_in_a_row_are_a_dead_key_and_end_the_order(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="unauthorized", count=3))
    ticket = await world.submit(single())
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Rejected)
    assert done.outcome.code == "api_key_refused"
    assert len(world.network.sent("POST", "/order")) == 3
    assert not world.venue_orders()


@scenario()
async def test_a_null_answer_about_an_order_proves_nothing(world: World) -> None:
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(NullOrder(seconds=20))
    world.fault(FreezeStreams(seconds=20))
    ticket = await world.submit(single(seconds=60))
    await world.until(lambda: len(world.network.sent("GET", "/data/order/")) >= 2)
    assert not world.events(OrderDone)
    await world.until(lambda: not isinstance(world.order(), Sent))
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue_orders()) == 1


@scenario()
async def test_nothing_ends_before_there_is_evidence_however_long_the_venue_is_silent(world: World) -> None:
    """T1: the answer is lost, nobody can be asked for ten minutes, then the order turns out to have filled."""
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(RefuseRequest(path="/data", kind="internal_error", seconds=600))
    world.fault(FreezeStreams(seconds=600))
    ticket = await world.submit(single(seconds=900))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.until(lambda: world.opened("order_unconfirmed"), seconds=200)
    assert not world.events(OrderDone)
    assert ticket.ended is None
    report = await world.end_of(ticket, seconds=700)
    assert report.outcome == "filled"
    assert len(world.venue_orders()) == 1
    assert world.held(RAIN_YES) == 50
    assert world.opened("order_unconfirmed") == ["order_unconfirmed:" + world.order().terms.client_order_id]
    assert world.closed(world.opened("order_unconfirmed")[0])


@scenario()
async def test_a_cancel_of_an_unacknowledged_order_and_the_order_itself_both_end_with_evidence(world: World) -> None:
    """T2: the answer is lost and the deadline passes while nobody knows whether the order exists."""
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(RefuseRequest(path="/data", kind="internal_error", seconds=60))
    world.fault(FreezeStreams(seconds=60))
    ticket = await world.submit(single(seconds=3))
    report = await world.end_of(ticket, seconds=200)
    assert report.outcome == "unfilled"
    order = world.order()
    assert isinstance(order, Done)
    assert order.evidence.kind is EvidenceKind.ORDER_QUERY
    assert world.venue_order()["status"] == "CANCELED"


@scenario()
async def test_an_order_whose_place_was_lost_and_that_was_cancelled_is_never_sent_again(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="html", count=1))
    ticket = await world.submit(single(seconds=2))
    await world.until(lambda: len(world.network.sent("DELETE", "/order")) >= 1)
    # Nothing that the venue says proves that the order never was: it stays unresolved, visible and counted as open.
    await world.until(lambda: world.opened("order_unconfirmed"), seconds=200)
    assert ticket.ended is None
    assert len(world.network.sent("POST", "/order")) == 1
    assert not world.venue_orders()
    buys, _sells = world.ledger.open_quantities[world.settings.account, RAIN_YES]
    assert buys == 50


@scenario()
async def test_a_pair_with_a_lost_answer_on_one_leg_still_decides_by_what_happened(world: World) -> None:
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.crowd.sells(RAIN_YES, "0.44", "200")
    ticket = await world.submit(pair(seconds=15))
    report = await world.end_of(ticket)
    assert report.outcome == "one_side"
    assert report.filled == (Decimal(100), Decimal(0))
    assert len(world.venue_orders()) == 2


@scenario()
async def test_the_fills_of_an_order_with_a_lost_answer_end_it_by_themselves(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "50")
    world.fault(LoseReply(path="/order", method="POST", count=1))
    ticket = await world.submit(single())
    report = await world.end_of(ticket)
    assert report.outcome == "filled"
    (done,) = world.events(OrderDone)
    assert isinstance(done.outcome, Filled)


@scenario()
async def test_an_order_that_waits_for_its_quota_is_withdrawn_at_the_deadline_and_never_leaves(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="rate_limited", retry_after_seconds=40, count=1))
    ticket = await world.submit(single(seconds=5))
    report = await world.end_of(ticket, seconds=10)
    assert report.outcome == "unfilled"
    await trio.sleep(60)
    assert len(world.network.sent("POST", "/order")) == 1
    assert not world.venue_orders()


@scenario()
async def test_a_second_order_behind_a_429_is_withdrawn_before_it_ever_left(world: World) -> None:
    """The quota of new orders is closed when the second one comes: it waits in the gateway, and then is not wanted."""
    world.fault(RefuseRequest(path="/order", method="POST", kind="rate_limited", retry_after_seconds=40, count=1))
    first = await world.submit(single("i1", seconds=90))
    await world.until(lambda: world.network.sent("POST", "/order"))
    second = await world.submit(single("i2", seconds=5))
    assert (await world.end_of(second, seconds=60)).outcome == "unfilled"
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(first)).outcome == "filled"
    assert len(world.venue_orders()) == 1


@scenario()
async def test_a_refused_second_copy_says_nothing_about_the_first(world: World) -> None:
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(NullOrder(seconds=15))
    world.fault(HideFromLists(lag_seconds=100, seconds=15))
    world.fault(FreezeStreams(seconds=15))
    ticket = await world.submit(single(seconds=60))
    await world.until(world.venue_orders)
    world.fault(RefuseRequest(path="/order", method="POST", kind="geoblocked", count=1))
    await world.until(lambda: len(world.network.sent("POST", "/order")) == 2)
    await trio.sleep(1)
    assert isinstance(world.order(), Sent)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(RAIN_YES) == 50
