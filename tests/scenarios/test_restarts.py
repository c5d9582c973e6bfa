"""Restarts, crashes, and positions that differ: everything is taken up again, and nothing is invented."""

import contextlib
import os
import re
from decimal import Decimal
from random import Random

import pytest
import trio
from tallystick.actors.ticket import IntentRejected, ReportKind
from tallystick.control.operations import this_operator
from tallystick.model.event import (
    AlertOpened,
    BracketDecided,
    Event,
    FillRecorded,
    FillSettled,
    HoldingAdopted,
    IntentEnded,
    OpeningAdopted,
    OpeningObserved,
    OrderAcknowledged,
    OrderSubmitted,
    SliceComputed,
    TransferBooked,
)
from tallystick.model.fill import Direction
from tallystick.model.identifiers import VenueOrderId
from tallystick.model.intent import AnyIntent, Side
from tallystick.model.ledger import Ledger
from tallystick.model.operator import AdoptHolding, CancelAll, Halt
from tallystick.model.order import Acknowledged, Done
from tallystick.runtime import RuntimeEnded
from tallystick.store.errors import StoreFailed
from tallystick.testing.world.venue_faults import (
    CutBeforeReport,
    DropReport,
    LagPositions,
    LagWallet,
    StaleBalances,
)
from tallystick.testing.world.world import World

from .kit import asset, bought, busy, live, row, sleep_until_sent, wire_orders, without_dead_man

EVERY = os.environ.get("TALLYSTICK_EVERY_COMMIT")
"""Set for each commit instead of a sample of them."""

# ---- orders of a previous process -------------------------------------------------------------------------


async def fourteen_live_and_many_closed(world: World, closed: int) -> None:
    """A book of live orders among everything that has ended already."""
    each = closed // 10
    many = [
        world.single(f"closed{n}", quantity=str(5 * each), price=f"0.{5 + n:02}", child="5", seconds=25)
        for n in range(10)
    ]
    tickets = [await world.submit(intent) for intent in many]
    for ticket in tickets:
        assert (await world.end_of(ticket)).outcome == "unfilled"
    for number in range(14):
        await world.submit(world.single(f"live{number}", quantity="6", price=f"0.{20 + number}", seconds=300))
    await sleep_until_sent(world, closed + 14)
    await world.until(lambda: len(world.events(OrderAcknowledged)) == closed + 14)


@pytest.mark.parametrize("torn", [False, True])
@row(50, settings=without_dead_man, strategy=busy)
async def test_live_orders_among_hundreds_of_closed_ones_are_all_manageable_five_seconds_after_a_kill(
    world: World, torn: bool
) -> None:
    """T50: fourteen live, seven hundred and thirty closed; all fourteen have an actor, and all can be cancelled."""
    await fourteen_live_and_many_closed(world, 100 if torn else 730)
    await world.crash(torn=torn)
    at = trio.current_time()
    await world.start()
    await world.live()
    assert trio.current_time() - at < 5
    mine = live(world.ledger.orders.values())
    assert len(mine) == 14
    for state in mine:
        path = f"/accounts/{world.rig.account}/orders/{state.terms.client_order_id}"
        assert world.runtime.system.find(path) is not None
    await world.runtime.operate(CancelAll(), operator=this_operator())
    await world.until(lambda: not live(world.ledger.orders.values()), seconds=5)
    assert not any(order.is_open for order in world.venue.orders())


@row(51, settings=without_dead_man, strategy=busy)
async def test_every_order_of_a_previous_process_is_filled_or_cancelled_by_the_next_one(world: World) -> None:
    """T51: orders that are recovered are ours in every way: their fills count, their deadlines cancel them."""
    intents = [world.single(f"i{number}", quantity="6", price=f"0.{30 + number}", seconds=30) for number in range(8)]
    for intent in intents:
        await world.submit(intent)
    await sleep_until_sent(world, 8)
    await world.crash_and_restart()
    await world.live()
    for _ in range(4):
        world.crowd.sells(world.instruments[0], "0.30", "6")
    outcomes = [(await world.end_of(await world.submit(intent))).outcome for intent in intents]
    assert sorted(outcomes) == ["filled"] * 4 + ["unfilled"] * 4
    assert len(wire_orders(world)) == 8


# ---- positions --------------------------------------------------------------------------------------------

MOVES_HOLDINGS = (FillRecorded, FillSettled, OpeningAdopted, TransferBooked, HoldingAdopted)
"""What may change what the book holds: executions and settlements with their ids, and what was moved or adopted."""


def assert_only_facts_moved_holdings(world: World) -> None:
    ledger = Ledger(keep_ended=True)
    for entry in world.entries():
        if not isinstance(entry.event, Event):
            continue
        before, held = dict(ledger.holdings), dict(ledger.positions)
        ledger.apply(entry.event, entry.at_ns)
        if not isinstance(entry.event, MOVES_HOLDINGS):
            assert ledger.holdings == before, f"{entry.event} changed what is held"
        if not isinstance(entry.event, (FillRecorded, FillSettled)):
            assert ledger.positions == held, f"{entry.event} changed what a strategy holds"


@pytest.mark.parametrize("clean", [True, False])
@row(52, needs=(LagPositions(by_seconds=1), StaleBalances(), LagWallet(blocks=1)), settings=without_dead_man)
async def test_a_restart_before_views_that_show_no_position_leaves_the_position_alone(
    world: World, clean: bool
) -> None:
    """T52: the next process is shown an account without the position; the book stands, and says that they differ."""
    await bought(world)
    await trio.sleep(20)
    before = world.held(world.instruments[0])
    world.venue.put_on(LagPositions(by_seconds=10_000, seconds=300))
    world.venue.put_on(StaleBalances(seconds=300))
    await (world.restart() if clean else world.crash_and_restart())
    await world.live()
    await trio.sleep(290)
    assert world.held(world.instruments[0]) == before == 50
    assert_only_facts_moved_holdings(world)
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts("drift")), seconds=120)


@row(55, needs=(LagPositions(by_seconds=1), StaleBalances()))
async def test_a_difference_that_stays_is_one_alert_and_no_traffic_of_repair(world: World) -> None:
    """T55: the venue's view is wrong for two hours; it is told once, and asked no more often than before."""
    await bought(world)
    await trio.sleep(60)
    quiet = len(world.requests)
    await trio.sleep(1_200)
    asked_in_peace = len(world.requests) - quiet
    world.venue.put_on(LagPositions(by_seconds=100_000))
    await world.until(lambda: world.alerts("drift"))
    await trio.sleep(120)
    opened, drifting = len(world.events(AlertOpened)), len(world.requests)
    await trio.sleep(1_200)
    assert len(world.events(AlertOpened)) == opened
    assert len(world.requests) - drifting <= asked_in_peace * 1.1
    assert world.held(world.instruments[0]) == 50
    assert len(world.venue.orders()) == 1
    world.venue.lift_all()
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts("drift")), seconds=120)


@row(56, settings=without_dead_man, start=False, agrees=False)
async def test_a_position_older_than_any_history_is_a_baseline_to_which_later_fills_are_added(world: World) -> None:
    """T56: bought 200 days before the first start: an operator adopts what every view shows; nothing is computed."""
    world.crowd.sells(world.instruments[0], "0.44", "30")
    await world.trade_by_hand(world.instruments[0], Direction.BUY, "0.44", "30")
    world.venue.settle_all()
    await trio.sleep(200 * 86_400)
    await world.start()
    await world.until(lambda: world.events(OpeningObserved), seconds=200)
    with pytest.raises(IntentRejected, match="account_live"):
        await world.submit(world.single("early"))
    adopt = AdoptHolding(account=world.rig.account, asset=asset(world))
    await world.runtime.operate(adopt, operator=this_operator(), note="bought by hand long ago")
    await world.live()
    (adopted,) = world.events(HoldingAdopted)
    assert adopted.quantity == 30
    assert "30" in str(adopted.truth.venue), "the evidence is what the venue showed"
    await bought(world, "20", "later")
    assert world.held(world.instruments[0]) == 50
    assert_only_facts_moved_holdings(world)
    await world.until(world.is_converged)
    assert world.wallet(world.instruments[0]) == 50


CLOCKS = re.compile(r"\b\w*(?:_ns|watermark)=\d+|\b(?:stamp|stamps|as_of|detail|note)=[^,)]*|'block [^']*'")


def without_clocks(events: list[Event]) -> list[str]:
    """The events as text, without anything that a clock or a growing chain puts into them."""
    return [CLOCKS.sub("", repr(event)) for event in events]


@row(57, needs=(DropReport(),), settings=without_dead_man)
async def test_two_starts_on_the_same_state_write_the_same_journal(world: World) -> None:
    """T57: one disk, copied; each process finds the same orders, fills and differences, under the same names."""
    await bought(world)
    await world.submit(world.single("rests", quantity="10", price="0.30", seconds=3_000))
    await sleep_until_sent(world, 2)
    await world.crash()
    world.crowd.sells(world.instruments[0], "0.30", "6")
    await world.trade_by_hand(world.instruments[1], Direction.BUY, "0.20", "20")
    await trio.sleep(60)
    copy = world.disk
    known = len(world.entries())
    runs = []
    for _ in range(2):
        world.disk = copy.survivor(copy.groups)
        await world.start_live()
        await world.until(lambda: world.alerts("foreign_order"))
        await trio.sleep(20)
        await world.stop()
        fresh = [entry.event for entry in world.entries()[known:]]
        runs.append(without_clocks([event for event in fresh if isinstance(event, NAMED)]))
    assert runs[0] == runs[1]
    assert len(runs[0]) >= 2


NAMED = (FillRecorded, FillSettled, AlertOpened, SliceComputed, OrderSubmitted, IntentEnded, HoldingAdopted)


@row(63, settings=without_dead_man)
async def test_nothing_that_lives_is_outside_of_any_window_that_is_read(world: World) -> None:
    """T63: an order rests, the runtime is down for a month and the order fills on its second day."""
    intent = world.single(quantity="50", seconds=60 * 86_400)
    await world.submit(intent)
    await sleep_until_sent(world)
    world.crowd.sells(world.instruments[0], "0.44", "10")
    await world.until(lambda: world.held(world.instruments[0]) == 10)
    await trio.sleep(10)
    await world.crash()
    await trio.sleep(2 * 86_400)
    world.crowd.sells(world.instruments[0], "0.44", "15")
    await trio.sleep(28 * 86_400)
    await world.start()
    ticket = await world.submit(intent)
    await world.live()
    assert world.held(world.instruments[0]) == 25
    assert ticket.ended is None
    world.crowd.sells(world.instruments[0], "0.44", "25")
    assert (await world.end_of(ticket)).outcome == "filled"


@row(64, needs=(LagPositions(by_seconds=1), LagWallet(blocks=1)))
async def test_a_difference_without_a_cause_stops_new_risk_and_is_shown(world: World) -> None:
    """T64: neither view has what the book has; the strategy is paused by name, and says so to whoever asks."""
    world.venue.put_on(LagPositions(by_seconds=100_000))
    world.venue.put_on(StaleBalances())
    world.venue.put_on(LagWallet(blocks=100_000))
    resting = await world.submit(world.single("rests", quantity="10", price="0.30", seconds=900))
    await bought(world)
    await world.until(lambda: world.ledger.strategy(world.strategy.strategy).paused, seconds=200)
    with pytest.raises(IntentRejected, match="strategy_paused"):
        await world.submit(world.single("more"))
    (alert, *_) = world.alerts("drift")
    assert alert.state.is_open
    assert [report for report in resting.reports if report.kind is ReportKind.PAUSED]
    assert world.held(world.instruments[0]) == 50
    world.venue.lift_all()
    await world.until(lambda: not any(found.state.is_open for found in world.alerts("drift")), seconds=200)
    assert world.ledger.strategy(world.strategy.strategy).paused, "going on is a person's decision"


@row(65)
async def test_a_position_that_somebody_else_closes_is_known_in_a_cadence_with_its_cause(world: World) -> None:
    """T65: what a strategy holds is sold by an order that no client sent: booked as that, alerted, never undone."""
    await bought(world)
    world.crowd.buys(world.instruments[0], "0.40", "50")
    at = trio.current_time()
    order = await world.trade_by_hand(world.instruments[0], Direction.SELL, "0.40", "50")
    await world.until(lambda: world.alerts("foreign_fill"), seconds=world.settings.reconciler.cadence_seconds + 1)
    assert trio.current_time() - at <= world.settings.reconciler.cadence_seconds + 1
    (alert,) = world.alerts("foreign_fill")
    assert dict(alert.evidence)["venue order"] == order
    assert world.held(world.instruments[0]) == 0
    fill = world.events(FillRecorded)[-1].fill
    assert fill.client_order_id is None
    assert fill.strategy is None
    assert len(wire_orders(world)) == 1, "nothing is bought back"


@row(67, strategy=busy)
async def test_a_sale_that_filled_in_part_and_is_made_anew_sells_no_more_than_was_held(world: World) -> None:
    """T67: 2.8 % of an exit fill, it ends, and what is left is sold by the next one: the sum is what was held."""
    await bought(world)
    first = await world.submit(world.single("exit1", side=Side.SELL, price="0.60", seconds=3))
    await sleep_until_sent(world, 2)
    await trio.sleep(2.9)
    world.crowd.buys(world.instruments[0], "0.60", "5.6")
    (sold,) = (await world.end_of(first)).filled
    left = Decimal(50) - sold
    world.crowd.buys(world.instruments[0], "0.50", "100")
    second = await world.submit(world.single("exit2", side=Side.SELL, price="0.50", quantity=str(left)))
    assert (await world.end_of(second)).filled == (left,)
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(world.instruments[0]) == 0 == world.wallet(world.instruments[0])
    third = await world.submit(world.single("exit3", side=Side.SELL, price="0.50", quantity="10"))
    assert (await world.end_of(third)).outcome == "not_sent", "nothing is held that could be sold"
    assert len(wire_orders(world)) == 3


@pytest.mark.parametrize("path", ["deadline", "cancel all", "halt", "restart", "crash", "cut"])
@row(69, settings=without_dead_man)
async def test_an_order_of_somebody_else_survives_whatever_we_do_to_ours(world: World, path: str) -> None:
    """T69: the same key, another hand: no cancel of ours ever names it."""
    foreign = await world.trade_by_hand(world.instruments[1], Direction.BUY, "0.20", "20")
    intent = world.single(seconds=5 if path == "deadline" else 300)
    await world.submit(intent)
    await sleep_until_sent(world, 2)
    match path:
        case "cancel all":
            await world.runtime.operate(CancelAll(halt=True), operator=this_operator())
        case "halt":
            await world.runtime.operate(Halt(), operator=this_operator(), note="testing")
        case "restart":
            await world.restart()
        case "crash":
            await world.crash_and_restart()
        case "cut":
            world.venue.put_on(CutBeforeReport(count=1))
        case _:
            pass
    await world.until(lambda: world.alerts("foreign_order"), seconds=70)
    await trio.sleep(60)
    cancelled = {order for request in world.requests for order in world.rig.cancelled_orders(request)}
    assert VenueOrderId(foreign) not in cancelled
    (theirs,) = [order for order in world.venue.orders() if order.venue_order_id == foreign]
    assert theirs.is_open


# ---- a kill anywhere --------------------------------------------------------------------------------------

COMMITS = 40
"""More than the script below makes; a kill at a commit that never comes is a run without one."""
SAMPLE = list(range(COMMITS)) if EVERY else sorted(Random(62).sample(range(COMMITS - 6), 10))


class Death:
    """Ends the process in its nth commit, counted from when it is armed, with that commit lost or kept."""

    def __init__(self, world: World, commit: int, *, kept: bool) -> None:
        self.came = trio.Event()
        self._world = world
        self._left = commit
        self._kept = kept
        world.disk.latency_seconds = self._at_commit

    def _at_commit(self) -> float:
        if self._left == 0 and not self.came.is_set():
            world = self._world
            world.kill_process(keep=world.store.undurable_groups if self._kept else 0)
            world.disk.latency_seconds = 0.0
            self.came.set()
        self._left -= 1
        return 0.0


async def hand_in(world: World, intents: list[AnyIntent]) -> None:
    """What a host does that may be killed as well."""
    with contextlib.suppress(StoreFailed, RuntimeEnded):
        for intent in intents:
            await world.submit(intent)


async def trade(world: World) -> None:
    """The venue's side of the day, whether a process runs or not."""
    await trio.sleep(3)
    for size in ("8", "12", "100"):
        world.crowd.sells(world.instruments[0], "0.44", size)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("commit", SAMPLE)
@row(62, settings=without_dead_man)
async def test_a_day_ends_as_the_uninterrupted_one_wherever_the_process_was_killed(
    world: World, commit: int, kept: bool
) -> None:
    """T62: a pair of which one leg fills, a single that fills in parts, killed at a commit, handed in again."""
    intents: list[AnyIntent] = [
        world.single("i1", quantity="20", price="0.45", seconds=20),
        world.pair("p1", seconds=20),
    ]
    world.nursery.start_soon(trade, world)
    death = Death(world, commit, kept=kept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hand_in, world, intents)
        with trio.move_on_after(25):
            await death.came.wait()
            await world.bury()
            nursery.cancel_scope.cancel()
    world.disk.latency_seconds = 0.0
    if death.came.is_set():
        await world.start()
    await world.live()
    tickets = [await world.submit(intent) for intent in intents]
    outcomes = [(await world.end_of(ticket)).outcome for ticket in tickets]
    assert outcomes == ["filled", "one_side"]
    await world.until(lambda: not world.ledger.unsettled)
    assert world.held(world.instruments[0]) == 120
    assert len(world.venue.orders()) == 3 == len(world.events(OrderSubmitted))
    assert len(world.events(BracketDecided)) == 1
    assert all(isinstance(state, Done) for state in world.orders().values())


@row(51, 62, settings=without_dead_man)
async def test_a_process_that_dies_again_and_again_while_it_recovers_loses_nothing(world: World) -> None:
    """T51, T62: six deaths in a row, each in one of the first commits after a start."""
    intent = world.single(quantity="50", seconds=600)
    await world.submit(intent)
    await sleep_until_sent(world)
    await world.crash()
    world.crowd.sells(world.instruments[0], "0.44", "20")
    for commit in range(6):
        death = Death(world, commit, kept=commit % 2 == 0)
        world.nursery.start_soon(start_and_die, world)
        with trio.move_on_after(5):
            await death.came.wait()
        await world.bury()
    world.disk.latency_seconds = 0.0
    await world.start()
    ticket = await world.submit(intent)
    await world.live()
    assert isinstance(next(iter(world.ledger.orders.values())), Acknowledged)
    assert world.held(world.instruments[0]) == 20
    world.crowd.sells(world.instruments[0], "0.44", "30")
    assert (await world.end_of(ticket)).outcome == "filled"


async def start_and_die(world: World) -> None:
    """A start whose process is killed in the middle of it."""
    with contextlib.suppress(StoreFailed, RuntimeEnded):
        await world.start()
