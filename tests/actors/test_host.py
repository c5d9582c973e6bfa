"""What a host holds: the same ticket for the same intent, reports in order and only of what is durable."""

import threading
from collections.abc import Callable

import msgspec
import pytest
import trio
from tallystick.actors.ticket import IntentRejected, Report, Ticket, TicketClosed
from tallystick.model.event import FillRecorded, IntentAccepted, IntentEnded, OrderSubmitted
from tallystick.model.identifiers import IntentId
from tallystick.model.money import Price, Quantity
from tallystick.model.risk_facts import Gate
from tallystick.runtime import RuntimeEnded
from tallystick.store.errors import FailureReason, StoreFailed
from tallystick.venues.sim.polymarket.faults import DelayReply

from .harness import RAIN_YES, STRATEGY, World, kinds, pair, scenario, single

# ---- once and for all -------------------------------------------------------------------------------------


@scenario()
async def test_the_same_intent_again_gives_the_same_ticket(world: World) -> None:
    intent = single()
    first = await world.submit(intent)
    assert await world.submit(intent) is first
    assert len(world.events(IntentAccepted)) == 1


@scenario()
async def test_the_same_intent_twice_at_the_same_time_is_accepted_once(world: World) -> None:
    intent = single()
    got: list[Ticket | Exception] = []
    for _ in range(5):
        world.runtime.submit_soon(intent, got.append)
    await world.until(lambda: len(got) == 5)
    assert len({id(ticket) for ticket in got}) == 1
    await world.quiet()
    assert len(world.events(IntentAccepted)) == 1
    await world.until(world.venue_orders)
    assert len(world.venue_orders()) == 1


@scenario()
async def test_other_content_under_the_same_id_is_refused_whatever_became_of_the_first(world: World) -> None:
    intent = single(seconds=3)
    ticket = await world.submit(intent)
    other = msgspec.structs.replace(intent, quantity=Quantity(intent.quantity + 1))
    for _ in range(2):
        with pytest.raises(IntentRejected) as caught:
            await world.submit(other)
        assert caught.value.refusal.gate is Gate.DUPLICATE_INTENT
        await world.end_of(ticket)


@scenario()
async def test_an_intent_that_ended_is_answered_with_its_end_also_after_a_restart(world: World) -> None:
    intent = single(seconds=3)
    await world.end_of(await world.submit(intent))
    again = await world.submit(intent)
    assert (await world.end_of(again, seconds=1)).outcome == "unfilled"
    await world.crash_and_restart()
    await world.live()
    again = await world.submit(intent)
    assert (await world.end_of(again, seconds=1)).outcome == "unfilled"
    with pytest.raises(IntentRejected):
        await world.submit(msgspec.structs.replace(intent, limit_price=Price(intent.limit_price / 2)))
    assert len(world.events(IntentEnded)) == 1
    assert len(world.venue_orders()) == 1


@scenario()
async def test_an_intent_at_work_is_found_again_after_a_restart(world: World) -> None:
    intent = single(seconds=60)
    await world.submit(intent)
    await world.until(world.venue_orders)
    await world.crash_and_restart()
    await world.live()
    ticket = world.runtime.ticket(STRATEGY, IntentId("i1"))
    assert await world.submit(intent) is ticket
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"


# ---- durable before visible -------------------------------------------------------------------------------


@scenario()
async def test_nothing_leaves_and_nothing_is_reported_before_it_is_durable(world: World) -> None:
    world.disk.latency_seconds = 2.0
    at = trio.current_time()
    ticket = await world.submit(single())
    assert trio.current_time() - at >= 2
    assert [found.event for found in world.entries() if isinstance(found.event, IntentAccepted)]
    assert kinds(ticket.reports)[0] == "accepted"
    await world.until(lambda: world.network.sent("POST", "/order"))
    (sent,) = world.network.sent("POST", "/order")
    assert world.events(OrderSubmitted)[0].body == sent.body


@scenario()
async def test_reports_are_never_ahead_of_the_disk(world: World) -> None:
    world.disk.latency_seconds = 0.3
    world.crowd.sells(RAIN_YES, "0.44", "20")
    ticket = await world.submit(single(seconds=10))
    seen = 0
    while ticket.ended is None:
        for report in ticket.reports[seen:]:
            durable = [entry.at_ns for entry in world.entries()]
            assert report.at_ns in durable
        seen = len(ticket.reports)
        await trio.sleep(0.05)
    assert [report.number for report in ticket.reports] == list(range(1, len(ticket.reports) + 1))


@scenario()
async def test_the_reports_of_a_life_are_complete_and_in_order(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "50")
    ticket = await world.submit(single())
    heard = [report async for report in ticket]
    assert kinds(heard) == ["accepted", "order", "fill", "order", "ended"]
    assert [report.outcome for report in heard if report.kind == "order"] == ["sent", "filled"]
    assert heard[-1].is_last


# ---- hosts that misbehave ---------------------------------------------------------------------------------


@scenario()
async def test_a_callback_that_raises_hurts_nobody_and_is_an_alert(world: World) -> None:
    def raises(_report: Report) -> None:
        raise ValueError("a bug of the host")

    ticket = await world.submit(single(seconds=3))
    heard: list[Report] = []
    ticket.on_report(raises)
    ticket.on_report(heard.append)
    report = await world.end_of(ticket)
    await threads_caught_up(lambda: bool(heard) and heard[-1].is_last)
    assert heard[-1] == report
    await world.until(lambda: world.alerts("host_callback_failed"))
    assert "a bug of the host" in world.alerts("host_callback_failed")[0].message


@scenario()
async def test_a_callback_that_blocks_hurts_nobody(world: World) -> None:
    released = threading.Event()
    ticket = await world.submit(single("i1", seconds=3))

    def blocks(_report: Report) -> None:
        released.wait(10)

    ticket.on_report(blocks)
    other = await world.submit(single("i2", seconds=3))
    assert (await world.end_of(ticket)).outcome == "unfilled"
    assert (await world.end_of(other)).outcome == "unfilled"
    released.set()


async def threads_caught_up(fact: Callable[[], bool]) -> None:
    """Give another thread real time; the virtual clock has nothing to do with it."""
    for _ in range(200):
        if fact():
            return
        await trio.to_thread.run_sync(threading.Event().wait, 0.01)
    raise AssertionError("the host's thread did not catch up")


@scenario()
async def test_a_host_that_waits_is_told_when_the_runtime_ends(world: World) -> None:
    ticket = await world.submit(single(seconds=600))
    runtime = world.runtime

    async def wait() -> None:
        with pytest.raises(TicketClosed, match="i1"):
            await ticket.ended_async()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        await world.stop()
    with pytest.raises(RuntimeEnded):
        await runtime.submit(single("i2"))


# ---- when nothing can be recorded any more ----------------------------------------------------------------


@scenario()
async def test_with_a_full_disk_cancels_go_out_and_hosts_are_told(world: World) -> None:
    world.end_expected = True
    ticket = await world.submit(single(seconds=10))
    await world.until(world.venue_orders)
    world.disk.fail_next(FailureReason.DISK_FULL)
    with pytest.raises(StoreFailed):
        await world.submit(single("i2"))
    with pytest.raises(StoreFailed):
        await world.submit(single("i3"))
    assert len(world.venue_orders()) == 1
    await trio.sleep(30)
    # The deadline of the first has passed: its cancel was not recorded, and has left all the same.
    assert world.venue_order()["status"] == "CANCELED"
    assert ticket.ended is None, "what was not recorded is not reported"
    assert len(world.network.sent("POST", "/order")) == 1
    await world.stop()
    # After the disk was mended the next runtime finds the order as the venue has it.
    await world.start_live()
    again = await world.submit(world.events(IntentAccepted)[0].intent)
    assert (await world.end_of(again)).outcome == "unfilled"


@scenario()
async def test_a_host_that_waits_for_a_receipt_when_the_disk_fails_is_told_at_once(world: World) -> None:
    world.end_expected = True
    world.disk.latency_seconds = 5.0
    world.disk.fail_next()
    at = trio.current_time()
    with pytest.raises(StoreFailed):
        await world.submit(pair())
    assert trio.current_time() - at <= 10
    await trio.sleep(60)
    assert not world.venue_orders()


@scenario()
async def test_a_fill_that_could_not_be_recorded_is_booked_by_the_next_runtime(world: World) -> None:
    world.end_expected = True
    intent = single(seconds=600)
    await world.submit(intent)
    await world.until(world.venue_orders)
    await world.quiet()
    world.disk.fail_next(FailureReason.DISK_FULL)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await trio.sleep(10)
    assert world.store.failed is not None
    assert not world.events(FillRecorded)
    await world.stop()
    await world.start_live()
    ticket = await world.submit(intent)
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(RAIN_YES) == 50


@scenario()
async def test_a_slow_answer_is_no_reason_to_hand_out_a_second_ticket(world: World) -> None:
    world.fault(DelayReply(path="/order", method="POST", by_seconds=5, count=1))
    intent = single(seconds=30)
    first = await world.submit(intent)
    second = await world.submit(intent)
    assert first is second


@scenario()
async def test_both_legs_of_a_pair_are_cancelled_at_the_deadline_though_nothing_can_be_recorded(world: World) -> None:
    world.end_expected = True
    await world.submit(pair(seconds=8))
    await world.until(lambda: len(world.venue_orders()) == 2)
    world.disk.fail_next(FailureReason.DISK_FULL)
    await trio.sleep(20)
    assert {row["status"] for row in world.venue_orders()} == {"CANCELED"}
    assert len(world.network.sent("DELETE", "/order")) <= 4, "one cancel each, and no storm"
