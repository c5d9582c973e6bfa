"""Limits, clocks, settlement and size: what the venue allows, what time it is, what is final, and what it all costs."""

import gc
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
import pytest
import trio
from tallystick.actors.quota import Quota
from tallystick.actors.ticket import IntentRejected, ReportKind
from tallystick.model.account import SweepTrigger
from tallystick.model.alert import AlertState
from tallystick.model.event import (
    CancelAnswered,
    CancelRequested,
    Event,
    FillRecorded,
    FillSettled,
    InstrumentLearned,
    IntentAccepted,
    IntentEnded,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    ReconciliationEnded,
    SliceComputed,
    TruthCompared,
)
from tallystick.model.fill import Direction, FillKey, Settlement
from tallystick.model.identifiers import ClientOrderId, IntentId, TradeId, VenueOrderId, client_order_id
from tallystick.model.intent import Side
from tallystick.model.ledger import Ledger
from tallystick.model.money import Quantity
from tallystick.model.outcome import CancelConfirmed, Cancelled, Evidence, EvidenceKind, Rejected
from tallystick.runtime import RuntimeEnded
from tallystick.store.errors import FailureReason, StoreFailed
from tallystick.testing.world.rigs import RIGS
from tallystick.testing.world.venue import VenueRig
from tallystick.testing.world.venue_faults import (
    Asked,
    DropReport,
    FailSettlement,
    Refusal,
    Refuse,
    SkewVenueClock,
    StallSettlement,
)
from tallystick.testing.world.world import World
from tallystick.venues.port import RateLimit

from tests.model.examples import ACCOUNT, INSTRUMENTS, NOW_NS, fill, single, terms

from .kit import (
    asset,
    bought,
    busy,
    calm,
    changed_dialect,
    cut_streams,
    placed_at,
    row,
    settles_after_match,
    sleep_until_sent,
    wire_orders,
    without_dead_man,
)

# ---- limits -----------------------------------------------------------------------------------------------


def cut_to_a_tenth(rig: VenueRig) -> VenueRig:
    """The same venue, allowing a tenth of what it publishes for orders and cancels."""

    def rate_limits(dialect: object) -> tuple[RateLimit, ...]:
        return tuple(
            msgspec.structs.replace(limit, requests=max(1, limit.requests // 10))
            for limit in RIGS[rig.name]().dialect().rate_limits
        )

    return changed_dialect(rig, {"rate_limits": rate_limits})


def cancel_delays(world: World) -> list[float]:
    """For each cancel, the seconds from its being wanted to the venue's answer."""
    wanted: dict[ClientOrderId, int] = {}
    delays = []
    for entry in world.entries():
        match entry.event:
            case CancelRequested(client_order_id=order):
                wanted[order] = entry.at_ns
            case CancelAnswered(client_order_id=order):
                delays.append((entry.at_ns - wanted[order]) / 1e9)
            case _:
                pass
    return delays


def busiest(times: list[float], window_seconds: float) -> int:
    """The most that happened within any window of this length."""
    return max(sum(1 for other in times if at <= other < at + window_seconds) for at in times)


@row(71, settings=without_dead_man, strategy=busy, rig=cut_to_a_tenth)
async def test_with_a_tenth_of_the_limit_orders_wait_and_cancels_leave_within_a_second(world: World) -> None:
    """T71: thirty orders at a tenth of the rate; no window is exceeded, and every cancel is answered in a second."""
    intents = [
        world.single(f"i{number}", quantity="5", price=f"0.{20 + number}", seconds=40 + number) for number in range(30)
    ]
    tickets = [await world.submit(intent) for intent in intents]
    for ticket in tickets:
        assert (await world.end_of(ticket)).outcome == "unfilled"
    assert len(wire_orders(world)) == 30
    dialect = world.context.dialects[world.rig.account]
    quota = dialect.resend(wire_orders(world)[0]).quota
    limits = [limit for limit in dialect.rate_limits if limit.quota == quota]
    assert limits
    for limit in limits:
        assert busiest(placed_at(world), limit.window_seconds) <= limit.requests
    assert max(cancel_delays(world)) <= 1.0


@row(71, needs=(Refuse(asked=Asked.PLACE, how=Refusal.RATE_LIMITED),), settings=calm, strategy=busy)
async def test_an_hour_of_refusals_for_too_many_requests_is_no_storm_and_holds_up_no_cancel(world: World) -> None:
    """T71: every new order is refused with 429 for an hour; they are tried as the venue advises, cancels pass."""
    for number in range(10):
        await world.submit(world.single(f"old{number}", quantity="5", price=f"0.{20 + number}", seconds=1_800))
    await sleep_until_sent(world, 10)
    before = len(wire_orders(world))
    world.venue.put_on(Refuse(asked=Asked.PLACE, how=Refusal.RATE_LIMITED, seconds=3_600))
    waiting = await world.submit(world.single("new", quantity="5", seconds=5_000))
    await trio.sleep(3_590)
    assert len(cancel_delays(world)) == 10
    assert max(cancel_delays(world)) <= 1.0
    tried = len(wire_orders(world)) - before
    assert tried <= 3_600 / 5 + 1, "never before the venue's own advice is over"
    assert len(world.venue.orders()) == 10
    await sleep_until_sent(world, 11)
    world.crowd.sells(world.instruments[0], "0.44", "5")
    assert (await world.end_of(waiting)).outcome == "filled"


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_what_is_kept_for_cancels_is_there_when_new_orders_have_run_dry(share: float) -> None:
    """T71, T72: new orders never touch the reserve, whatever is asked for and however often."""
    limits = (RateLimit(quota="general", requests=100, window_seconds=10),)
    quota = Quota(limits, reserved_share=share)
    random = Random(71)
    now, orders, cancels = 0.0, 0, 0
    taken: list[float] = []
    for _ in range(5_000):
        now += random.expovariate(50)
        cancel = random.random() < share / 2
        waited = quota.take("general", now, reserve=cancel)
        if waited == 0:
            taken.append(now)
            orders, cancels = orders + (not cancel), cancels + cancel
        elif cancel:
            recent = sum(1 for at in taken if at > now - 10)
            assert recent >= 100, "a cancel waits only where the venue itself would refuse it"
    assert busiest(taken[-500:], 10) <= 100
    assert orders
    assert cancels


# ---- clocks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_seconds", [5.0, -5.0])
@row(74, settings=without_dead_man)
async def test_a_clock_that_steps_and_drifts_leaves_orders_as_they_are(world: World, step_seconds: float) -> None:
    """T74: five seconds at once and two hundred millionths for an hour while orders are open: none is refused."""
    resting = await world.submit(world.single("rests", quantity="50", seconds=4_000))
    await sleep_until_sent(world)
    world.clock.step(step_seconds)
    world.crowd.sells(world.instruments[0], "0.44", "10")
    await trio.sleep(60)
    world.clock.drift(200)
    second = await world.submit(world.single("second", quantity="10", price="0.43", seconds=30))
    assert (await world.end_of(second)).outcome == "unfilled"
    await trio.sleep(3_400)
    world.clock.correct()
    world.crowd.sells(world.instruments[0], "0.44", "40")
    assert (await world.end_of(resting)).outcome == "filled"
    assert not [event for event in world.events(OrderDone) if isinstance(event.outcome, Rejected)]
    assert not world.alerts()


@row(74, needs=(SkewVenueClock(ahead_seconds=400),), settings=without_dead_man)
async def test_a_cancel_that_the_venues_clock_refuses_goes_through_as_soon_as_the_clocks_agree(world: World) -> None:
    """T74: for half a minute every signed request is too old or too new; nothing is stuck and nothing is given up."""
    ticket = await world.submit(world.single(seconds=10))
    await sleep_until_sent(world)
    world.venue.put_on(SkewVenueClock(ahead_seconds=400, seconds=40))
    await trio.sleep(30)
    assert ticket.ended is None
    assert world.venue.orders()[0].is_open
    assert (await world.end_of(ticket)).outcome == "unfilled"
    assert trio.current_time() < 100
    assert not world.venue.orders()[0].is_open
    again = await world.submit(world.single("again", seconds=5))
    assert (await world.end_of(again)).outcome == "unfilled"


# ---- settlement -------------------------------------------------------------------------------------------


@row(75, needs=(FailSettlement(),), where=settles_after_match)
async def test_a_match_that_fails_on_chain_is_taken_back_once_and_both_are_in_the_journal(world: World) -> None:
    """T75: matched, counted, told; then it fails for good: position, cash and result are reversed, once."""
    cash = world.held(world.rig.settlement_asset)
    world.venue.put_on(FailSettlement(count=1))
    world.crowd.sells(world.instruments[0], "0.44", "50")
    ticket = await world.submit(world.single())
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(world.instruments[0]) == 50
    await world.until(lambda: world.alerts("fill_reversed"), seconds=600)
    await cut_streams(world)
    await trio.sleep(120)
    assert len(world.opened("fill_reversed")) == 1
    assert len(world.events(FillRecorded)) == 1
    assert [event.settlement for event in world.events(FillSettled)].count(Settlement.REVERSED) == 1
    assert world.held(world.instruments[0]) == 0 == world.wallet(world.instruments[0])
    assert world.held(world.rig.settlement_asset) == cash == world.wallet(world.rig.settlement_asset)
    position = world.ledger.positions[world.strategy.strategy, world.instruments[0]]
    assert position.matched == 0


@row(76, needs=(StallSettlement(), FailSettlement(), DropReport()), where=settles_after_match)
async def test_what_the_account_calls_filled_and_the_wallet_does_not_have_is_never_called_settled(
    world: World,
) -> None:
    """T76: seven trades of twenty never reach the wallet: each is named, and the book says what is only promised."""
    stuck = set(range(0, 20, 3))
    for number in range(20):
        if number in stuck:
            world.venue.put_on(StallSettlement(count=1))
        world.crowd.sells(world.instruments[0], "0.44", "5")
        ticket = await world.submit(world.single(f"i{number}", quantity="5", seconds=60))
        assert (await world.end_of(ticket)).outcome == "filled"
        await trio.sleep(1)
    await trio.sleep(60)
    book = world.ledger.book(world.rig.account, asset(world))
    assert book.matched == 100
    assert book.confirmed == 65 == world.wallet(world.instruments[0])
    shown = [event.truth for event in world.events(TruthCompared) if event.truth.asset == asset(world)]
    assert all(truth.agree is not False for truth in shown), "promised is promised, and no drift"
    limit_seconds = world.settings.witness.settlement_stalled_seconds
    await world.until(lambda: len(world.alerts("settlement_stalled")) == len(stuck), seconds=limit_seconds + 60)
    world.venue.lift_all()
    world.venue.settle_all()
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(world.instruments[0]) == 100 == world.wallet(world.instruments[0])
    assert all(alert.state is AlertState.EXPLAINED for alert in world.alerts("settlement_stalled"))


@row(76, needs=(FailSettlement(), DropReport()), where=settles_after_match)
async def test_trades_that_revert_without_a_word_of_the_stream_are_found_by_the_sweeps(world: World) -> None:
    """T76: a third of the trades revert, and half of the reports never come: the book follows the wallet."""
    tickets = []
    for number in range(12):
        if number % 3 == 0:
            world.venue.put_on(FailSettlement(count=1))
        if number % 2 == 0:
            world.venue.put_on(DropReport(seconds=8))
        world.crowd.sells(world.instruments[0], "0.44", "5")
        ticket = await world.submit(world.single(f"i{number}", quantity="5", seconds=60))
        tickets.append(ticket)
        report = await world.end_of(ticket)
        assert report.outcome in {"filled", "unfilled"}, "whether it had reverted by then"
        await trio.sleep(2)
    await world.until(lambda: not world.ledger.unsettled, seconds=900)
    assert world.held(world.instruments[0]) == 40 == world.wallet(world.instruments[0])
    await world.until(lambda: len(world.opened("fill_reversed")) == 4)
    for ticket in tickets:
        told = Counter(report.kind for report in ticket.reports)
        if ticket.ended is not None and ticket.ended.outcome == "unfilled":
            assert told[ReportKind.FILL] == told[ReportKind.SETTLEMENT] == 1, "told as filled, and as taken back"


# ---- exactness --------------------------------------------------------------------------------------------


@row(78, strategy=busy)
async def test_after_fees_partial_fills_and_money_from_outside_the_ledger_is_the_wallet_to_the_last_unit(
    world: World,
) -> None:
    """T78: forty trades of crooked sizes with fees, there and back, with deposits in between; no tolerance at all."""
    random = Random(world.seed)
    held = Decimal(0)
    for number in range(40):
        selling = held > 8 and random.random() < 0.4
        size = Decimal(random.randint(500, 799)) / 100
        cents = random.randint(35, 55)
        crowd = size + random.choice([Decimal(0), Decimal("1.37")])
        (world.crowd.buys if selling else world.crowd.sells)(world.instruments[0], f"0.{cents}", str(crowd))
        side = Side.SELL if selling else Side.BUY
        ticket = await world.submit(
            world.single(f"i{number}", side=side, quantity=str(size), price=f"0.{cents}", seconds=5)
        )
        (filled,) = (await world.end_of(ticket)).filled
        held += -filled if selling else filled
        if number % 10 == 9:
            world.venue.deposit(world.rig.settlement_asset, Decimal("1.000001"))
    await world.until(lambda: not world.ledger.unsettled)
    await world.until(
        lambda: world.held(world.rig.settlement_asset) == world.wallet(world.rig.settlement_asset), seconds=200
    )
    assert world.held(world.instruments[0]) == held == world.wallet(world.instruments[0])
    fees = [event.fill.execution.fee for event in world.events(FillRecorded)]
    assert all(fee is not None for fee in fees)
    assert any(fees), "some of the trades were charged for"
    await world.until(world.is_converged, seconds=200)
    await world.until(lambda: all(truth.exact for truth in world.ledger.truths.values()), seconds=200)


# ---- reconciliations --------------------------------------------------------------------------------------


@row(79, needs=(Refuse(asked=Asked.FILLS), Refuse(asked=Asked.OPEN_ORDERS)))
async def test_every_sweep_ends_in_a_record_and_an_incomplete_one_keeps_the_door_shut(world: World) -> None:
    """T79: windows, counts, refusals and a verdict; "nothing found" and "nothing could be read" are not the same."""
    await bought(world)
    for asked in (Asked.FILLS, Asked.OPEN_ORDERS):
        world.venue.put_on(Refuse(asked=asked, how=Refusal.SERVER_ERROR, seconds=20))
        await cut_streams(world)
        await world.until(lambda: world.states()[-1] == "degraded")
        await world.until(lambda: not world.sweeps()[-1].record.complete)
        incomplete = world.sweeps()[-1].record
        assert incomplete.why
        with pytest.raises(IntentRejected, match="account_live"):
            await world.submit(world.single(f"while-{asked}"))
        assert world.alerts("reconciliation_incomplete")
        await world.live()
    records = [event.record for event in world.events(ReconciliationEnded)]
    assert len({record.sweep_id for record in records}) == len(records)
    for record in records:
        assert record.ended_at_ns >= record.started_at_ns >= record.fills_since_ns
        assert record.complete is not bool(record.why)
    last = records[-1]
    assert last.complete
    assert last.fills_seen >= 1
    assert {record.trigger for record in records} >= {SweepTrigger.START, SweepTrigger.STREAM_RESTART}


# ---- size -------------------------------------------------------------------------------------------------


def sizes(ledger: Ledger) -> dict[str, int]:
    return {name: len(value) for name, value in vars(ledger).items() if isinstance(value, (dict, set, list, tuple))}


def life(number: int) -> list[Event]:
    """One order from its intent to its end, of which half was executed and settled."""
    intent_id, at_venue = IntentId(f"i{number}"), VenueOrderId(f"0x{number}")
    order = terms(
        client_order_id=client_order_id(terms().strategy, intent_id, 0, 0, 0),
        intent_id=intent_id,
        quantity=Quantity(Decimal(20)),
        direction=Direction.BUY if number % 2 else Direction.SELL,
    )
    name = order.client_order_id
    seen = Evidence(kind=EvidenceKind.ORDER_QUERY, detail="asked", at_ns=NOW_NS)
    key = FillKey(account=ACCOUNT, trade_id=TradeId(f"t{number}"), venue_order_id=at_venue)
    found = fill(direction=order.direction, settlement=Settlement.MATCHED)
    found = msgspec.structs.replace(
        found,
        execution=msgspec.structs.replace(found.execution, key=key),
        client_order_id=name,
        intent_id=intent_id,
    )
    return [
        IntentAccepted(intent=single(intent_id=intent_id)),
        SliceComputed(terms=order, send_by_ns=NOW_NS),
        OrderSubmitted(client_order_id=name, account=ACCOUNT, venue_order_id=at_venue, body=b"{}"),
        OrderAcknowledged(client_order_id=name, venue_order_id=at_venue, evidence=seen),
        FillRecorded(fill=found),
        CancelRequested(client_order_id=name, reason="deadline"),
        CancelAnswered(client_order_id=name, outcome=CancelConfirmed()),
        OrderDone(client_order_id=name, outcome=Cancelled(filled=Quantity(Decimal(10))), evidence=seen),
        FillSettled(key=key, settlement=Settlement.CONFIRMED, transaction="0xabc"),
        IntentEnded(
            strategy=order.strategy, intent_id=intent_id, outcome="partly_filled", filled=(Quantity(Decimal(10)),)
        ),
    ]


def test_a_ledger_that_has_seen_twenty_thousand_orders_is_as_large_as_after_one() -> None:
    """T81: what has ended and settled is let go, so memory follows what is live."""
    ledger = Ledger()
    for rules in INSTRUMENTS.values():
        ledger.apply(InstrumentLearned(instrument=rules), NOW_NS)
    after: list[dict[str, int]] = []
    for number in range(20_000):
        for event in life(number):
            ledger.apply(event, NOW_NS + number)
        if number in {1_000, 19_998}:
            after.append(sizes(ledger))
    assert after[0] == after[1]
    assert not ledger.orders
    assert len(ledger.freeze()) < 5_000


def objects() -> Counter[str]:
    gc.collect()
    return Counter(f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.get_objects())


BOUNDED = {
    "tallystick.actors.kernel.timers.": 500,  # dead ones are swept when there are more than 256 of them
    "tallystick.actors.kernel.tasks.": 100,  # those of the last minutes, whose watch is not over
    "tallystick.actors.message_trace.": 10_000,  # a table of paths that is emptied when it is full
}
"""What does not follow the live orders, by where it is from, and how many there may ever be."""


@row(81, settings=calm, strategy=busy)
async def test_a_runtime_after_many_orders_holds_no_more_objects_than_after_a_few(world: World) -> None:
    """T81: actors, tickets, timers and states of what has ended are gone; only the disk has grown."""

    async def forty(name: str) -> None:
        for number in range(20):
            world.crowd.sells(world.instruments[0], "0.20", "5")
            filled = await world.submit(world.single(f"{name}-f{number}", quantity="5", price="0.20", seconds=5))
            rests = await world.submit(world.single(f"{name}-r{number}", quantity="5", price="0.10", seconds=1))
            await world.end_of(filled)
            await world.end_of(rests)
        await world.until(lambda: not world.ledger.unsettled)
        await trio.sleep(30)

    def held() -> Counter[str]:
        mine = ("tallystick.actors", "tallystick.model.order", "tallystick.model.intent", "tallystick.model.ledger")
        kept_by_the_test = ("Ticket", "Report")
        return Counter(
            {
                name: count
                for name, count in objects().items()
                if name.startswith(mine) and not name.endswith(kept_by_the_test)
            }
        )

    await forty("a")
    first, actors, ledger = held(), len(world.runtime.system.snapshot()), sizes(world.ledger)
    await forty("b")
    await forty("c")
    then = held()
    followed = [name for name in then if not name.startswith(tuple(BOUNDED))]
    assert not {name: then[name] - first[name] for name in followed if then[name] > first[name] + 9}
    for place, most in BOUNDED.items():
        assert sum(count for name, count in then.items() if name.startswith(place)) <= most
    assert len(world.runtime.system.snapshot()) <= actors
    assert sizes(world.ledger) == ledger


# ---- the disk ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [FailureReason.DISK_FULL, FailureReason.IO_ERROR])
@row(83, agrees=False)
async def test_when_the_audit_of_a_submit_cannot_be_written_nothing_leaves(world: World, reason: FailureReason) -> None:
    """T83: the disk fails in the commit that holds an order and its audit record; the wire stays empty."""
    world.end_expected = True
    world.disk.fail_next(reason)
    with pytest.raises((StoreFailed, RuntimeEnded)):
        await world.submit(world.single("i1"))
    for number in range(5):
        with pytest.raises((StoreFailed, RuntimeEnded)):
            await world.submit(world.single(f"more{number}"))
    await trio.sleep(60)
    assert not wire_orders(world)
    assert not world.venue.orders()


@row(83, agrees=False)
async def test_an_order_whose_audit_record_alone_meets_the_failure_does_not_leave(world: World) -> None:
    """T83: the intent was accepted and is durable; the next commit, with the signed bytes, is refused by the disk."""
    world.end_expected = True
    commits = 0

    def second_commit_fails() -> float:
        nonlocal commits
        commits += 1
        if commits == 2:
            world.disk.fail_next(FailureReason.DISK_FULL)
        return 0.05

    world.disk.latency_seconds = second_commit_fails

    async def hand_in() -> None:
        for number in range(10):
            await world.submit(world.single(f"i{number}", quantity="5"))

    with pytest.raises((StoreFailed, RuntimeEnded)):
        await hand_in()
    await trio.sleep(60)
    durable = {event.body for event in world.events(OrderSubmitted)}
    assert set(wire_orders(world)) <= durable


# ---- thousands in flight ----------------------------------------------------------------------------------


def kills(seed: int) -> Iterator[float]:
    random = Random(f"kills {seed}")
    while True:
        yield random.uniform(0.05, 1.5)


@pytest.mark.parametrize("seed", range(2))
@row(84, settings=without_dead_man, strategy=busy)
async def test_killed_at_random_instants_with_hundreds_in_flight_there_is_no_ghost(world: World, seed: int) -> None:
    """T84: a host hands in at full rate and again after every kill; in the end the venue has each order, once."""
    random = Random(f"{world.seed} {seed}")
    world.weather.latency_seconds = lambda: random.uniform(0, 0.05)
    world.disk.latency_seconds = lambda: random.uniform(0, 0.01)
    intents = [world.single(f"i{n}", quantity="5", price=f"0.{10 + n % 30}", seconds=120) for n in range(120)]
    waits = kills(seed)

    async def hand_in() -> None:
        for intent in intents:
            try:
                await world.submit(intent)
            except (StoreFailed, RuntimeEnded):
                return

    for _ in range(6):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_in)
            await trio.sleep(next(waits))
            world.kill_process(keep=random.randrange(3), torn=random.random() < 0.5)
            await world.bury()
            nursery.cancel_scope.cancel()
        await world.start()
        await world.live()
    for intent in intents:
        await world.submit(intent)
    await world.until(lambda: len(world.venue.orders()) == len(intents), seconds=60)
    for _ in range(30):
        world.crowd.sells(world.instruments[0], "0.10", "5")
    tickets = [await world.submit(intent) for intent in intents]
    outcomes = Counter([(await world.end_of(ticket, seconds=200)).outcome for ticket in tickets])
    assert outcomes == {"filled": 30, "unfilled": 90}
    assert len(world.venue.orders()) == 120
    assert world.held(world.instruments[0]) == 150
