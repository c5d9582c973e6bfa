"""Cancels, deadlines and fills that race: whatever arrives first, what was executed counts, once."""

from decimal import Decimal
from random import Random

import pytest
import trio
from tallystick.actors.kernel import DELIVER, Envelope, Verdict
from tallystick.actors.messages import Exchange
from tallystick.actors.ticket import ReportKind
from tallystick.model.event import (
    BracketDecided,
    CancelAnswered,
    CancelRequested,
    Event,
    FillRecorded,
    IntentEnded,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    SliceComputed,
)
from tallystick.model.fill import Settlement
from tallystick.model.identifiers import VenueOrderId
from tallystick.model.intent import TimeInForce
from tallystick.model.ledger import Ledger
from tallystick.model.order import Done, Sent, open_quantity
from tallystick.model.outcome import (
    CancelAlreadyFilled,
    CancelConfirmed,
    Cancelled,
    Evidence,
    EvidenceKind,
)
from tallystick.testing.world.rigs import RIGS
from tallystick.testing.world.venue_faults import (
    Asked,
    DelayReport,
    DropReport,
    DustSizes,
    Refusal,
    Refuse,
    Told,
)
from tallystick.testing.world.world import World

from tests.model.examples import ACCOUNT, NOW_NS, RAIN, STRATEGY, fill, instrument, quantity, terms

from .kit import asset, busy, row, sleep_until_sent, wire_orders

# ---- a fill and a cancel ----------------------------------------------------------------------------------

ORDER = terms().client_order_id
AT_VENUE = VenueOrderId("0xorder")


def life_of_a_cancelled_order() -> list[Event]:
    """An order that is cancelled after 20 of its 50 were executed, but for the executions themselves."""
    seen = Evidence(kind=EvidenceKind.ORDER_QUERY, detail="the venue shows CANCELED with 20 filled", at_ns=NOW_NS)
    return [
        SliceComputed(terms=terms(quantity=quantity("50")), send_by_ns=NOW_NS),
        OrderSubmitted(client_order_id=ORDER, account=ACCOUNT, venue_order_id=AT_VENUE, body=b"{}"),
        OrderAcknowledged(client_order_id=ORDER, venue_order_id=AT_VENUE, evidence=seen),
        CancelRequested(client_order_id=ORDER, reason="deadline"),
        CancelAnswered(client_order_id=ORDER, outcome=CancelConfirmed()),
        OrderDone(client_order_id=ORDER, outcome=Cancelled(filled=quantity("20")), evidence=seen),
    ]


def test_in_ten_thousand_orders_of_arrival_a_cancelled_order_ends_with_what_was_executed() -> None:
    """T41: executions overtake the acknowledgement, the cancel, its answer and the end; the sum is the same."""
    random = Random(41)
    skeleton = life_of_a_cancelled_order()
    sizes = ("3", "5", "12")
    for _ in range(10_000):
        events = list(skeleton)
        for number in range(len(sizes)):
            # Anywhere after the submission: before that no venue can have executed it.
            place = random.randint(2, len(events))
            events.insert(place, FillRecorded(fill=fill(number, size=sizes[number], settlement=Settlement.MATCHED)))
        ledger = Ledger(keep_ended=True)
        ledger.instruments[RAIN] = instrument(RAIN)
        for event in events:
            ledger.apply(event, NOW_NS)
        order = ledger.orders[ORDER]
        assert isinstance(order, Done)
        assert order.progress.filled == 20
        assert order.fills_outstanding == 0
        assert open_quantity(order) == 0
        assert ledger.positions[STRATEGY, RAIN].matched == 20
        assert not ledger.open_quantities


@row(41, strategy=busy)
async def test_fills_in_the_moment_of_the_cancel_are_decided_upon_once_and_as_they_were(world: World) -> None:
    """T41: two hundred pairs whose leg fills within 50 ms of its cancel, on wires with drawn delays."""
    random = Random(world.seed)
    world.weather.latency_seconds = lambda: random.uniform(0, 0.03)
    for number in range(200):
        pair = world.pair(f"p{number}", notional="4.4", seconds=0.6)
        ticket = await world.submit(pair)
        await sleep_until_sent(world, 2 * (number + 1))
        due = (pair.expires_at_ns - world.clock.wall_ns()) / 1e9
        await trio.sleep(max(0.0, due + random.uniform(-0.05, 0.09)))
        crowd = world.crowd.sells(world.instruments[0], "0.44", random.choice(["6", "10"]))
        report = await world.end_of(ticket, seconds=200)
        world.venue.cancel_ours(VenueOrderId(crowd))
        decided = world.events(BracketDecided)[-1].decision
        assert report.filled == (decided.long_filled, decided.short_filled)
        asked = [found for found in ticket.reports if found.kind is ReportKind.DISPOSITION_NEEDED]
        assert len(asked) == (1 if decided.needs_disposition else 0)
    assert len(world.events(BracketDecided)) == len(world.events(IntentEnded)) == 200
    outcomes = {event.outcome for event in world.events(IntentEnded)}
    assert len(outcomes) >= 2, "the race was lost and won"
    answers = {type(event.outcome) for event in world.events(CancelAnswered)}
    assert answers >= {CancelConfirmed, CancelAlreadyFilled}


@pytest.mark.parametrize("milliseconds", [-15, 0, 15, 40])
@pytest.mark.parametrize("partial", [False, True])
@row(41, needs=(DelayReport(by_seconds=1),))
async def test_what_filled_while_the_cancel_was_under_way_is_in_the_decision(
    world: World, milliseconds: int, partial: bool
) -> None:
    """T41: a fill around the moment at which the cancel leaves, and every report of it a second late."""
    world.weather.latency_seconds = lambda: 0.02
    pair = world.pair(seconds=3)
    ticket = await world.submit(pair)
    await sleep_until_sent(world, 2)
    world.venue.put_on(DelayReport(by_seconds=1))
    await trio.sleep((pair.expires_at_ns - world.clock.wall_ns()) / 1e9 + milliseconds / 1e3)
    world.crowd.sells(world.instruments[0], "0.44", "30" if partial else "100")
    report = await world.end_of(ticket)
    executed = sum((found.quantity for found in world.venue.executions()), Decimal(0))
    assert report.filled[0] == executed
    assert len(world.events(BracketDecided)) == 1


@row(42, strategy=busy)
async def test_an_order_that_is_replaced_after_a_partial_fill_adds_up_to_what_was_intended(world: World) -> None:
    """T42: no venue amends; what stands for it is the old intent's true end, and a new one for what is left."""
    wanted, done, price = Decimal(60), Decimal(0), 40
    for number in range(6):
        left = wanted - done
        if left < 5:
            break
        ticket = await world.submit(world.single(f"i{number}", quantity=str(left), price=f"0.{price}", seconds=1))
        await sleep_until_sent(world, number + 1)
        await trio.sleep(0.99)
        world.crowd.sells(world.instruments[0], f"0.{price}", "11.5")
        (filled,) = (await world.end_of(ticket)).filled
        done += filled
        price += 1
    assert done == sum((found.quantity for found in world.venue.executions()), Decimal(0)) <= wanted
    assert done == world.held(world.instruments[0])


# ---- refusals of a cancel ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Refusal.RATE_LIMITED, Refusal.TOO_EARLY, Refusal.SERVER_ERROR])
@row(45, needs=(Refuse(asked=Asked.CANCEL),))
async def test_a_refused_cancel_stays_wanted_and_the_deadline_fires_once(world: World, how: Refusal) -> None:
    """T45: the venue refuses the cancel of an expired intent for ten seconds; it is cancelled all the same, once."""
    ticket = await world.submit(world.single(seconds=2))
    await sleep_until_sent(world)
    world.venue.put_on(Refuse(asked=Asked.CANCEL, how=how, seconds=10))
    at = trio.current_time()
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    assert trio.current_time() >= at + 10
    assert len(world.events(CancelRequested)) == 1
    assert len(world.events(IntentEnded)) == 1


@row(
    45,
    needs=(Refuse(asked=Asked.CANCEL),),
    where=lambda capabilities: TimeInForce.GTD in capabilities.time_in_force,
)
async def test_an_order_that_cannot_be_cancelled_ends_by_the_venues_own_expiry(world: World) -> None:
    """T45: no cancel is taken at all; the time in force that the venue keeps by itself ends the order, once."""
    world.venue.put_on(Refuse(asked=Asked.CANCEL, how=Refusal.SERVER_ERROR, seconds=400))
    ticket = await world.submit(world.single(seconds=200, time_in_force=TimeInForce.GTD))
    report = await world.end_of(ticket, seconds=300)
    assert report.outcome == "unfilled"
    assert len(world.events(OrderDone)) == 1
    assert not world.venue.orders()[0].is_open


def count_questions(world: World) -> list[str]:
    """From now on, the label of every question about an order."""
    asked: list[str] = []

    def seen(envelope: Envelope) -> Verdict:
        if isinstance(envelope.message, Exchange) and envelope.message.tag == "query":
            asked.append(envelope.message.request.label)
        return DELIVER

    world.intercept(seen)
    return asked


@row(46, needs=(DelayReport(by_seconds=5), DropReport()))
async def test_a_cancel_refused_as_filled_is_one_question_and_then_an_end_with_evidence(world: World) -> None:
    """T46: the fill's report is late, the cancel is told that nothing is open; no loop of cancels follows."""
    questions = count_questions(world)
    ticket = await world.submit(world.single(seconds=3))
    await sleep_until_sent(world)
    world.venue.put_on(DelayReport(by_seconds=30))
    world.crowd.sells(world.instruments[0], "0.44", "50")
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("filled", (Decimal(50),))
    assert [type(event.outcome) for event in world.events(CancelAnswered)] in ([], [CancelAlreadyFilled])
    assert len(questions) <= 1
    assert len(world.events(CancelRequested)) <= 1


@row(46, needs=(DropReport(told=Told.FILL),))
async def test_a_fill_that_only_the_orders_own_report_speaks_of_is_fetched_in_seconds(world: World) -> None:
    """T46: the frame of the trade is missing; the frame of the order says how much is filled, and that is enough."""
    ticket = await world.submit(world.single(seconds=600))
    await sleep_until_sent(world)
    world.venue.put_on(DropReport(told=Told.FILL, seconds=20))
    at = trio.current_time()
    world.crowd.sells(world.instruments[0], "0.44", "20")
    await world.until(lambda: world.held(world.instruments[0]) == 20, seconds=10)
    assert trio.current_time() - at < 2 * world.settings.reconciler.stream_grace_seconds + 1
    assert ticket.ended is None


@row(47, needs=(DelayReport(by_seconds=2),))
async def test_a_leg_that_filled_before_its_cancel_completes_the_pair_and_nothing_crashes(world: World) -> None:
    """T47: both legs are filled when the deadline cancels them; the cancels are answered "filled"."""
    pair = world.pair(seconds=4)
    ticket = await world.submit(pair)
    await sleep_until_sent(world, 2)
    world.venue.put_on(DelayReport(by_seconds=2))
    await trio.sleep(3.5)
    world.crowd.sells(world.instruments[0], "0.44", "100")
    world.crowd.buys(world.instruments[1], "0.60", "100")
    report = await world.end_of(ticket)
    assert report.outcome == "both"
    assert {type(event.outcome) for event in world.events(CancelAnswered)} <= {CancelAlreadyFilled}
    assert not world.crashes
    assert not world.alerts("actor_crashed")


# ---- sizes that are told otherwise ------------------------------------------------------------------------


@pytest.mark.parametrize("venue_name", sorted(RIGS))
def test_no_venue_built_so_far_can_take_another_quantity_than_the_one_it_was_sent(venue_name: str) -> None:
    """T48: the quantity is in the signed bytes that the order's id is made of; what is acknowledged is what was sent.

    A venue that may reduce an order must not be listed before the order follows what is acknowledged.
    """
    assert RIGS[venue_name]().dialect().capabilities.order_id_known_before_sending


@row(48, needs=(DustSizes(),))
async def test_sizes_with_dust_behind_the_last_digit_are_the_sizes_they_are(world: World) -> None:
    """T48: what is acknowledged differs by dust from what was sent: it is one order of one quantity, filled once."""
    world.venue.put_on(DustSizes())
    ticket = await world.submit(world.single(seconds=60))
    await sleep_until_sent(world)
    for _ in range(5):
        world.crowd.sells(world.instruments[0], "0.44", "10")
        await trio.sleep(1)
    assert (await world.end_of(ticket)).filled == (Decimal(50),)
    await world.until(lambda: not world.ledger.unsettled)
    book = world.ledger.book(world.rig.account, asset(world))
    assert book.confirmed == book.matched == 50


@pytest.mark.parametrize("late", [False, True])
@row(46, 47, needs=(DropReport(),))
async def test_an_order_taken_off_by_the_venue_itself_ends_with_what_it_had(world: World, late: bool) -> None:
    """T46, T47: nobody asked for the cancel, and its report may be missing; the end is the venue's state."""
    ticket = await world.submit(world.single(seconds=600))
    await sleep_until_sent(world)
    world.crowd.sells(world.instruments[0], "0.44", "20")
    await trio.sleep(10)
    if late:
        world.venue.put_on(DropReport(seconds=5))
    (order,) = world.venue.orders()
    world.venue.cancel_ours(order.venue_order_id)
    report = await world.end_of(ticket, seconds=world.settings.reconciler.cadence_seconds + 5)
    assert (report.outcome, report.filled) == ("partly_filled", (Decimal(20),))
    assert len(wire_orders(world)) == 1
    (done,) = world.events(OrderDone)
    assert done.evidence.kind is EvidenceKind.ORDER_QUERY


@pytest.mark.parametrize("seed", range(3))
@row(41, 47, strategy=busy)
async def test_every_order_of_task_and_wire_gives_every_execution_exactly_one_report(world: World, seed: int) -> None:
    """T41, T47: forty intents at once, each filled in parts around its deadline, on slow wires."""
    random = Random(f"{world.seed} {seed}")
    world.weather.latency_seconds = lambda: random.expovariate(1 / 0.02)
    tickets = [
        await world.submit(world.single(f"i{number}", quantity="6", price=f"0.{30 + number % 10}", seconds=2))
        for number in range(40)
    ]
    await sleep_until_sent(world, 40)
    while any(ticket.ended is None for ticket in tickets):
        if random.random() < 0.7:
            world.crowd.sells(world.instruments[0], "0.30", random.choice(["5", "6", "7.5"]))
        await trio.sleep(random.uniform(0, 0.1))
        if not any(isinstance(state, Sent) or open_quantity(state) for state in world.ledger.orders.values()):
            break
    for ticket in tickets:
        report = await world.end_of(ticket)
        told = [found.quantity for found in ticket.reports if found.kind is ReportKind.FILL]
        assert sum(quantity for quantity in told if quantity is not None) == report.filled[0]
