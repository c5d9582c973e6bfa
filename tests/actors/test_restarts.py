"""The process ends at any point of an order's life, and the next one goes on as if nothing had been."""

from decimal import Decimal

import pytest
import trio
from tallystick.actors.context import Paths
from tallystick.actors.messages import Sweep
from tallystick.model.account import SweepTrigger
from tallystick.model.event import (
    BracketClosing,
    BracketDecided,
    CancelRequested,
    Event,
    FillRecorded,
    IntentAccepted,
    IntentEnded,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    SliceComputed,
)
from tallystick.model.fill import FillSource

from .harness import ACCOUNT, RAIN_YES, SNOW_NO, World, pair, scenario, single


async def crash_after(world: World, kind: type[Event], *, kept: bool, times: int = 1) -> None:
    """Let the process die in the commit that holds the nth event of a kind, with the commit lost or kept."""
    died = trio.Event()
    latency = world.disk.latency_seconds

    def at_commit() -> float:
        store = world.store
        pending = [event for event in store_events(world) if isinstance(event, kind)]
        if len(pending) + len(world.events(kind)) >= times and pending and not died.is_set():
            groups = store.undurable_groups
            world.disk = store.crash(keep=groups if kept else 0)
            died.set()
        return 0.0

    world.disk.latency_seconds = at_commit
    await died.wait()
    world.disk.latency_seconds = latency
    await world.bury()


def store_events(world: World) -> list[object]:
    """What is appended and not yet durable."""
    store = world.store
    return [entry.event for entry in store.read(type(store.durable_lsn)(store.durable_lsn + 1))]


POINTS: list[type[Event]] = [
    IntentAccepted,
    SliceComputed,
    OrderSubmitted,
    OrderAcknowledged,
    FillRecorded,
    BracketClosing,
    CancelRequested,
    OrderDone,
    BracketDecided,
    IntentEnded,
]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("point", POINTS)
@scenario()
async def test_a_pair_ends_the_same_wherever_the_process_died(world: World, point: type[Event], kept: bool) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    intent = pair(seconds=12)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(submitting, world, intent)
        await crash_after(world, point, kept=kept)
    await world.start()
    await world.live()
    ticket = await world.submit(intent)
    report = await world.end_of(ticket)
    assert report.outcome == "one_side"
    assert report.filled == (Decimal(100), Decimal(0))
    await world.until(lambda: not list(world.ledger.live_orders()))
    assert world.held(RAIN_YES) == 100
    assert world.held(SNOW_NO) == 0
    assert len(world.venue_orders()) == 2
    assert len(world.events(IntentEnded)) == 1
    assert len(world.events(BracketDecided)) == 1


async def submitting(world: World, intent: object) -> None:
    try:
        ticket = await world.submit(intent)  # type: ignore[arg-type]  # the tests' own
        async for _report in ticket:
            pass
    except Exception:  # noqa: BLE001 - the process dies under it
        pass


@scenario()
async def test_a_restarted_runtime_asks_at_once_for_the_key_that_it_has_already(world: World) -> None:
    await world.crash_and_restart()
    await world.live()
    (refused,) = world.network.sent("POST", "/auth/api-key")
    (derived,) = world.network.sent("GET", "/auth/derive-api-key")
    assert derived.at == refused.at, "no time passed between them"


@scenario()
async def test_a_fill_of_the_time_between_two_lives_is_no_dropped_one_whatever_made_the_sweep_ask(world: World) -> None:
    await world.submit(single("i1", quantity="50", seconds=60))
    await world.until(lambda: world.events(OrderAcknowledged))
    await world.crash()
    await trio.sleep(2)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    await world.start()
    doubt = Sweep(trigger=SweepTrigger.UNCONFIRMED_ORDER, detail="somebody was faster than the start")
    world.context.ref(Paths.connection(ACCOUNT, "reconciler")).tell(doubt)
    await world.live()
    await trio.sleep(10)
    (fill,) = world.events(FillRecorded)
    assert fill.fill.source is FillSource.RECOVERY
    assert not world.alerts("dropped_fill")
