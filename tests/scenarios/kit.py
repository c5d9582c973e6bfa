"""Runs one scenario in a world of every venue it can happen at, and asks the three questions when it is over.

    @row(26, needs=(DropReport(told=Told.FILL, seconds=20),))
    async def test_a_lost_frame_is_known_within_one_cadence(world: World) -> None:
        '''T26: one frame is missing and everything else looks healthy.'''

A row is a number of the scenario table (docs/scenarios.md). Which venues a test runs at follows from `RIGS`: all that
can have the faults it needs and the capabilities it asks for, so a new venue joins every scenario by being listed.

When the story has ended, three sets are compared: the orders that the venue holds, the orders that the journal holds,
and what the strategy was told.
"""

import functools
import inspect
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Concatenate, ParamSpec

import msgspec
import pytest
import trio
from tallystick.actors.settings import AccountSettings, StrategySettings
from tallystick.actors.ticket import ReportKind, Ticket, TicketClosed
from tallystick.model.event import FillRecorded, IntentEnded, OrderSubmitted
from tallystick.model.fill import FillKey
from tallystick.model.identifiers import AssetId, ClientOrderId, IntentId
from tallystick.model.intent import AnyIntent
from tallystick.model.money import ZERO, Price, Quantity
from tallystick.model.order import Acknowledged, Computed, Done, OrderState, Sent, Withdrawn
from tallystick.model.outcome import NeverArrived, Rejected
from tallystick.testing.world.laws import Guard
from tallystick.testing.world.rigs import RIGS
from tallystick.testing.world.venue import VenueRig
from tallystick.testing.world.venue_faults import VenueFault
from tallystick.testing.world.wire import HttpRequest
from tallystick.testing.world.world import STRATEGY, World, run_world
from tallystick.venues.port import Capabilities, Dialect

Parameters = ParamSpec("Parameters")
Story = Callable[Concatenate[World, Parameters], Awaitable[None]]

SEED = int(os.environ.get("TALLYSTICK_SCHEDULE", "1"))
"""Another number gives every scenario other interleavings of its tasks, and other draws."""
AGREEMENT_SECONDS = 150.0
"""Two cadences of the reconciler, and the backoff of a question: by then everything has been asked about."""

ROW = re.compile(r"\bT(\d+)\b")


def rows_of(documented: object) -> set[int]:
    """The rows that a test says it proves: the numbers T1, T2, … in its docstring."""
    return {int(number) for number in ROW.findall(getattr(documented, "__doc__", None) or "")}


# ---- what a venue must be able to do ----------------------------------------------------------------------


def venues(needs: Iterable[VenueFault], where: Callable[[Capabilities], bool]) -> list[str]:
    """The names of all venues at which a scenario can happen."""
    wanted = tuple(needs)
    found = []
    for name, make in sorted(RIGS.items()):
        rig = make()
        if all(rig.supports(fault) for fault in wanted) and where(rig.dialect().capabilities):
            found.append(name)
    return found


def anywhere(_capabilities: Capabilities) -> bool:
    return True


def settles_after_match(capabilities: Capabilities) -> bool:
    return capabilities.settles_after_match


# ---- settings ---------------------------------------------------------------------------------------------


def calm(settings: AccountSettings) -> AccountSettings:
    """No heartbeats, and sweeps once an hour: for scenarios whose hours hold nothing but waiting."""
    return msgspec.structs.replace(
        settings,
        gateway=msgspec.structs.replace(settings.gateway, heartbeat_seconds=None),
        reconciler=msgspec.structs.replace(settings.reconciler, cadence_seconds=3_600),
        witness=msgspec.structs.replace(settings.witness, cadence_seconds=3_600),
    )


def without_dead_man(settings: AccountSettings) -> AccountSettings:
    """The venue's dead-man switch stays unarmed: orders outlive a runtime that is down for long."""
    return msgspec.structs.replace(settings, gateway=msgspec.structs.replace(settings.gateway, heartbeat_seconds=None))


def busy(rig: VenueRig) -> StrategySettings:
    """A strategy that may have hundreds of intents at work."""
    return StrategySettings(strategy=STRATEGY, accounts=(rig.account,), active_intents_maximum=10_000)


def changed_dialect(rig: VenueRig, changes: dict[str, Callable[[Dialect], object]]) -> VenueRig:
    """The rig with some properties of its dialect replaced: the same wire at a venue with other promises."""
    make = rig.dialect

    def dialect() -> Dialect:
        found = make()
        properties = {name: property(value) for name, value in changes.items()}
        kind = type(f"Changed{type(found).__name__}", (type(found),), properties)
        found.__class__ = kind
        return found

    rig.dialect = dialect  # type: ignore[method-assign]  # one rig, of this test
    return rig


# ---- the decorator ----------------------------------------------------------------------------------------


def row(
    *numbers: int,
    needs: Iterable[VenueFault] = (),
    where: Callable[[Capabilities], bool] = anywhere,
    settings: Callable[[AccountSettings], AccountSettings] | None = None,
    strategy: Callable[[VenueRig], StrategySettings] | None = None,
    rig: Callable[[VenueRig], VenueRig] | None = None,
    start: bool = True,
    seed: int = SEED,
    agrees: bool = True,
    holdings: bool = True,
) -> Callable[[Story[Parameters]], Callable[..., None]]:
    """Make a test of an async story, run at every venue where it applies.

    `agrees` False is for stories that end in a doubt that nothing resolves; `holdings` False for those that end with
    a difference between book and wallet that they put there.
    """

    def decorate(story: Story[Parameters]) -> Callable[..., None]:
        assert rows_of(story) >= set(numbers), f"{story.__name__} does not name its rows {numbers} in its docstring"

        def run(venue_name: str, *args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            found = RIGS[venue_name]()
            found = found if rig is None else rig(found)

            async def told(world: World) -> None:
                host = Host(world)
                await story(world, *args, **kwargs)
                await host.end(agrees=agrees, holdings=holdings)

            run_world(
                told,
                seed=seed,
                rig=found,
                settings=None if settings is None else settings(found.settings()),
                strategy=None if strategy is None else strategy(found),
                start=start,
            )

        run.__name__, run.__doc__, run.__module__ = story.__name__, story.__doc__, story.__module__
        run.__qualname__ = story.__qualname__
        own = list(inspect.signature(story).parameters.values())[1:]
        venue = inspect.Parameter("venue_name", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        setattr(run, "__signature__", inspect.Signature([venue, *own]))  # noqa: B010 - functions have no such attribute
        run.pytestmark = list(getattr(story, "pytestmark", []))  # type: ignore[attr-defined]  # pytest's own name
        return pytest.mark.parametrize("venue_name", venues(needs, where))(run)

    return decorate


class Host:
    """The side of a world that hands in intents: reads every report as it comes, and judges the world at its end."""

    def __init__(self, world: World) -> None:
        self.tickets: list[Ticket] = []
        self._world = world
        self._read: set[tuple[int, IntentId]] = set()
        self._guard = Guard(world)
        submit = world.submit

        @functools.wraps(submit)
        async def submitting(intent: AnyIntent) -> Ticket:
            ticket = await submit(intent)
            if not any(ticket is known for known in self.tickets):
                self.tickets.append(ticket)
                start = (world.starts, intent.intent_id)
                if start not in self._read:  # an end that is told again is one report, and numbered as one
                    self._read.add(start)
                    world.nursery.start_soon(self._read_all, ticket)
            return ticket

        world.submit = submitting  # type: ignore[method-assign]  # the host's side of this world

    async def _read_all(self, ticket: Ticket) -> None:
        try:
            async for report in ticket:
                self._guard.hear(report)
        except TicketClosed:
            pass  # the runtime ended before the intent did; the next one goes on with it

    async def end(self, *, agrees: bool = True, holdings: bool = True) -> None:
        """Wait until venue and journal agree, stop, and ask the three questions. Raises AssertionError."""
        world = self._world
        if world.is_running:
            if agrees:
                await world.until(lambda: not differences(world, holdings=holdings), seconds=AGREEMENT_SECONDS)
            await world.quiet()
            if agrees and holdings and world.is_converged():
                self._guard.settled()
            await world.stop()
        if agrees:
            found = differences(world, holdings=holdings)
            assert not found, "\n".join([*found, world.describe()])
        told_the_truth(world, self.tickets)
        await self._guard.stopped()
        self._guard.check()


# ---- the three questions ----------------------------------------------------------------------------------


def differences(world: World, *, holdings: bool = True) -> list[str]:
    """In what the venue's own books and the journal do not say the same, in words."""
    known = {event.venue_order_id for event in world.events(OrderSubmitted)} | world.foreign_orders
    found = [
        f"the journal does not know the venue's order {order.venue_order_id}"
        for order in world.venue.orders()
        if order.venue_order_id not in known
    ]
    at_venue = {order.venue_order_id: order for order in world.venue.orders()}
    for state in world.orders().values():
        name = state.terms.client_order_id
        match state:
            case Withdrawn():
                continue
            case Computed():
                found.append(f"{name} is computed, and neither sent nor withdrawn")
                continue
            case Done(outcome=Rejected() | NeverArrived()):
                if state.venue_order_id in at_venue:
                    found.append(f"{name} ended as {state.outcome}, and the venue has it")
                continue
        order = None if state.venue_order_id is None else at_venue.get(state.venue_order_id)
        if order is None:
            found.append(f"{name} is {type(state).__name__}, and the venue does not have it")
            continue
        if order.filled != state.progress.filled:
            found.append(f"{name}: the venue filled {order.filled}, the journal {state.progress.filled}")
        if order.is_open is not isinstance(state, (Sent, Acknowledged)):
            found.append(f"{name} is {type(state).__name__}, and at the venue it is open: {order.is_open}")
    ours, theirs = _recorded(world), _executed(world)
    found += [f"fill {key} is recorded, and the venue does not have it" for key in ours if key not in theirs]
    found += [f"fill {key} is the venue's, and not recorded" for key in theirs if key not in ours]
    found += [
        f"fill {key}: the venue has {theirs[key]}, the journal {ours[key]}"
        for key in ours
        if key in theirs and theirs[key] != ours[key]
    ]
    if holdings and not world.folded().unsettled:
        found += _holdings(world)
    return found


def _holdings(world: World) -> list[str]:
    wallet = world.venue.holdings()
    found = []
    for account, asset in world.folded().holdings:
        book = world.folded().book(account, asset).matched
        if account == world.rig.account and book != wallet.get(asset, ZERO):
            found.append(f"the book has {book} of {asset}, the account holds {wallet.get(asset, ZERO)}")
    return found


def _recorded(world: World) -> dict[FillKey, Decimal]:
    return {event.fill.execution.key: event.fill.execution.quantity for event in world.events(FillRecorded)}


def _executed(world: World) -> dict[FillKey, Decimal]:
    return {
        FillKey(account=world.rig.account, trade_id=found.trade_id, venue_order_id=found.venue_order_id): found.quantity
        for found in world.venue.executions()
    }


FillTold = tuple[ClientOrderId | None, Quantity | None, Price | None]


def told_the_truth(world: World, tickets: list[Ticket]) -> None:
    """What each ticket told is what the journal holds: each fill once, the end as it was."""
    ends = {(event.strategy, event.intent_id): event for event in world.events(IntentEnded)}
    fills = [event.fill for event in world.events(FillRecorded)]
    for ticket in tickets:
        reports = ticket.reports
        assert [report.number for report in reports] == list(range(1, len(reports) + 1))
        key = (ticket.strategy, ticket.intent_id)
        told: Counter[FillTold] = Counter(
            (report.client_order_id, report.quantity, report.price)
            for report in reports
            if report.kind is ReportKind.FILL
        )
        mine: Counter[FillTold] = Counter(
            (fill.client_order_id, fill.execution.quantity, fill.execution.price)
            for fill in fills
            if (fill.strategy, fill.intent_id) == key
        )
        assert told <= mine, f"{key} was told of fills that never were: {told - mine}"
        ended = ticket.ended
        if ended is None:
            continue
        assert key in ends, f"{key} was told its end, and the journal does not have it"
        assert (ended.outcome, ended.filled) == (ends[key].outcome, ends[key].filled)
        if reports[0].kind is ReportKind.ACCEPTED:
            assert told == mine, f"{key} was not told of {mine - told}"


# ---- words that many stories use --------------------------------------------------------------------------


def wire_orders(world: World) -> list[bytes]:
    """The signed bytes of every order that left, in order, repetitions included."""
    return [body for request in world.requests if (body := world.rig.order_body(request)) is not None]


def placed_at(world: World) -> list[float]:
    """When each order left, on trio's clock."""
    return [request.at for request in world.requests if _places(world, request)]


def _places(world: World, request: HttpRequest) -> bool:
    return world.rig.order_body(request) is not None


def asset(world: World, place: int = 0) -> AssetId:
    return AssetId(world.instruments[place])


async def bought(world: World, quantity: str = "50", intent_id: str = "bought") -> None:
    """Hold some of the first instrument, settled and agreed upon."""
    world.crowd.sells(world.instruments[0], "0.44", quantity)
    report = await world.end_of(await world.submit(world.single(intent_id, quantity=quantity)))
    assert report.outcome == "filled"
    await world.until(lambda: not world.ledger.unsettled)


def live(states: Iterable[OrderState]) -> list[Sent | Acknowledged]:
    return [state for state in states if isinstance(state, (Sent, Acknowledged))]


async def sleep_until_sent(world: World, orders: int = 1) -> None:
    """Wait until so many orders are at the venue."""
    await world.until(lambda: len(world.venue.orders()) >= orders)


async def cut_streams(world: World) -> None:
    """Every websocket is lost, and both sides notice."""
    for link in list(world.network.links.values()):
        if link.is_websocket:
            await link.break_now()
    await trio.lowlevel.checkpoint()


def fill_lags(world: World) -> list[float]:
    """For each fill, how many seconds after its execution it was recorded."""
    return [
        (entry.at_ns - entry.event.fill.execution.venue_time_ns) / 1e9
        for entry in world.entries()
        if isinstance(entry.event, FillRecorded)
    ]
