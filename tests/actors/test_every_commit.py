"""The process dies at every single commit of a busy hour, with the commit lost or kept: the end is always the same."""

import os
from decimal import Decimal
from random import Random

import pytest
import trio
from tallystick.model.event import BracketDecided, FillRecorded, IntentEnded, OrderSubmitted
from tallystick.model.intent import AnyIntent
from tallystick.runtime import RuntimeEnded
from tallystick.store.errors import StoreFailed

from .harness import CASH, RAIN_YES, SNOW_NO, World, pair, scenario, single

COMMITS = 60
"""More than the script below makes; a crash at a commit that never comes is a run without one."""

SAMPLE = (
    list(range(COMMITS)) if os.environ.get("TALLYSTICK_EVERY_COMMIT") else sorted(Random(7).sample(range(COMMITS), 12))
)


class Death:
    """Ends the process in its nth commit, counted from when it is armed."""

    def __init__(self, world: World, commit: int, *, kept: bool) -> None:
        self.came = trio.Event()
        self._world = world
        self._left = commit
        self._kept = kept
        world.disk.latency_seconds = self._at_commit

    def _at_commit(self) -> float:
        if self._left == 0 and not self.came.is_set():
            store = self._world.store
            self._world.disk = store.crash(keep=store.undurable_groups if self._kept else 0)
            self._world.disk.latency_seconds = 0.0
            self.came.set()
        self._left -= 1
        return 0.0


async def hand_in(world: World, intents: list[AnyIntent]) -> None:
    """What a host does that may be killed as well: hand in, and after a restart hand in the same again."""
    try:
        for intent in intents:
            await world.submit(intent)
    except (StoreFailed, RuntimeEnded):
        pass


async def act(world: World, intents: list[AnyIntent]) -> None:
    """The script: a pair of which one leg fills, and a single order that fills in parts."""
    world.crowd.sells(RAIN_YES, "0.44", "30")
    world.crowd.sells(RAIN_YES, "0.44", "100")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hand_in, world, intents)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    await trio.sleep(5)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("commit", SAMPLE)
@scenario()
async def test_the_end_does_not_depend_on_where_the_process_died(world: World, commit: int, kept: bool) -> None:
    intents: list[AnyIntent] = [single("i1", quantity="20", seconds=14), pair("p1", seconds=14)]
    death = Death(world, commit, kept=kept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(act, world, intents)
        with trio.move_on_after(18):
            await death.came.wait()
            await world.bury()
            nursery.cancel_scope.cancel()
    if death.came.is_set():
        await world.start()
    await world.live()
    if not {"30", "100"} <= {row["original_size"] for row in crowd_orders(world)}:
        pytest.skip("it died before the script began")
    tickets = [await world.submit(intent) for intent in intents]
    outcomes = [(await world.end_of(ticket)).outcome for ticket in tickets]
    await world.until(lambda: not list(world.ledger.live_orders()) and not world.ledger.unsettled)
    assert outcomes == ["filled", "one_side"]
    assert world.held(RAIN_YES) == 120 == world.wallet(RAIN_YES)
    assert world.held(SNOW_NO) == 0
    assert world.held(CASH) == world.wallet()
    assert len(world.venue_orders()) == 3 == len(world.events(OrderSubmitted))
    assert len(world.events(IntentEnded)) == 2
    assert len(world.events(BracketDecided)) == 1
    assert sum((event.fill.execution.quantity for event in world.events(FillRecorded)), Decimal(0)) == 120
    assert not world.alerts("drift")


def crowd_orders(world: World) -> list[dict[str, object]]:
    return [dict(row) for row in world.server.books.orders(None)]
