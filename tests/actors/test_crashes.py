"""Any actor may crash at any moment: its supervisor starts it again from the store, and the outcome is the same."""

from decimal import Decimal

import pytest
import trio
from tallystick.actors.messages import CompareNow
from tallystick.model.event import (
    AccountChanged,
    BracketClosing,
    BracketDecided,
    CancelAnswered,
    CancelRequested,
    Event,
    FillRecorded,
    FillSettled,
    IntentAccepted,
    IntentEnded,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    ReconciliationEnded,
    SliceComputed,
)
from tallystick.model.intent import PairIntent
from tallystick.runtime import RuntimeEnded

from .harness import ACCOUNT, RAIN_YES, SNOW_NO, STRATEGY, World, pair, scenario, single

AT = f"/accounts/{ACCOUNT}"
EVERY_KIND = [
    f"{AT}/desk",
    f"{AT}/fills",
    f"{AT}/witness",
    f"{AT}/feed",
    f"{AT}/connection/gateway",
    f"{AT}/connection/stream",
    f"{AT}/connection/reconciler",
    f"/strategies/{STRATEGY}/desk",
    f"/strategies/{STRATEGY}/work/p1",
    f"/strategies/{STRATEGY}/work/p1:0",
    f"/strategies/{STRATEGY}/work/p1:1",
    "/risk",
    "/alerts",
]


async def one_sided(world: World, intent: PairIntent | None = None) -> None:
    """A pair of which the long leg fills, whatever happens meanwhile."""
    ticket = await world.submit(pair(seconds=12) if intent is None else intent)
    report = await world.end_of(ticket)
    assert (report.outcome, report.filled) == ("one_side", (Decimal(100), Decimal(0)))
    await world.until(lambda: not list(world.ledger.live_orders()) and not world.ledger.unsettled)
    assert world.held(RAIN_YES) == 100 == world.wallet(RAIN_YES)
    assert world.held(SNOW_NO) == 0
    assert len(world.venue_orders()) == 2
    assert len(world.events(BracketDecided)) == 1
    assert world.alerts("actor_crashed")
    await world.live()


@pytest.mark.parametrize("path", EVERY_KIND)
@scenario()
async def test_a_pair_ends_the_same_when_an_actor_is_killed_while_it_works(world: World, path: str) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_sided, world)
        await world.until(lambda: len(world.events(OrderAcknowledged)) == 2)
        world.kill(path)
        await trio.sleep(2)
        world.crowd.sells(RAIN_YES, "0.44", "200")


@pytest.mark.parametrize("path", EVERY_KIND)
@scenario()
async def test_a_pair_ends_the_same_when_an_actor_is_killed_at_a_fill(world: World, path: str) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_sided, world)
        await world.until(lambda: len(world.events(OrderAcknowledged)) == 2)
        world.crowd.sells(RAIN_YES, "0.44", "200")
        world.kill(path)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        IntentAccepted,
        SliceComputed,
        OrderSubmitted,
        OrderAcknowledged,
        FillRecorded,
        FillSettled,
        BracketClosing,
        CancelRequested,
        CancelAnswered,
        OrderDone,
        BracketDecided,
        IntentEnded,
    ],
)
@scenario()
async def test_a_pair_ends_the_same_when_the_actor_that_records_an_event_crashes_over_it(
    world: World, kind: type[Event], before: bool
) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.crash_on(kind, before=before)
    if kind is IntentAccepted:
        intent = pair(seconds=12)
        # The desk itself crashed over it: the host is told that nothing was decided, and hands in the same again.
        with pytest.raises(RuntimeEnded, match="nothing was decided"):
            await world.submit(intent)
        await world.quiet()
        assert len(world.events(IntentAccepted)) == (0 if before else 1)
        await world.until(lambda: world.alerts("actor_crashed"))
        await one_sided(world, intent)
        return
    await one_sided(world)


@pytest.mark.parametrize("order", [0, 1])
@scenario()
async def test_an_order_killed_while_it_rests_asks_the_venue_and_goes_on(world: World, order: int) -> None:
    tickets = [await world.submit(single(f"i{number}", seconds=60)) for number in range(2)]
    await world.until(lambda: len(world.events(OrderAcknowledged)) == 2)
    names = list(world.orders())
    world.kill(f"{AT}/orders/{names[order]}")
    await world.until(lambda: world.network.sent("GET", "/data/order/"))
    world.crowd.sells(RAIN_YES, "0.44", "100")
    for ticket in tickets:
        assert (await world.end_of(ticket)).outcome == "filled"
    assert world.states()[-1] == "live", "one order is no reason to close the door"


@pytest.mark.parametrize("path", EVERY_KIND[4:7])
@scenario()
async def test_a_connection_that_restarts_sweeps_before_the_account_is_live(world: World, path: str) -> None:
    before = len(world.sweeps())
    world.kill(path)
    await world.until(lambda: len(world.sweeps()) > before, seconds=10)
    await world.live()
    entries = world.entries()
    if path.endswith("reconciler"):
        return  # nothing was missed by the stream, which went on: the account stays Live
    degraded = [
        entry.lsn for entry in entries if isinstance(entry.event, AccountChanged) and entry.event.state == "degraded"
    ]
    lives = [entry.lsn for entry in entries if isinstance(entry.event, AccountChanged) and entry.event.state == "live"]
    sweeps = [entry.lsn for entry in entries if isinstance(entry.event, ReconciliationEnded)]
    assert any(degraded[-1] < swept < lives[-1] for swept in sweeps)


@scenario()
async def test_a_killed_risk_actor_is_back_for_the_next_intent(world: World) -> None:
    world.kill("/risk")
    await trio.sleep(5)
    await world.live()
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(await world.submit(single()))).outcome == "filled"


@scenario()
async def test_a_crash_is_an_alert(world: World) -> None:
    world.kill(f"{AT}/witness")
    await world.until(lambda: world.alerts("actor_crashed"))
    witness = world.runtime.system.find(f"{AT}/witness")
    assert witness is not None
    witness.tell(CompareNow(why="hint"))


@scenario()
async def test_an_actor_that_crashes_for_ever_ends_the_runtime_with_its_reason(world: World) -> None:
    world.end_expected = True
    for _ in range(400):
        if world.ended_with is not None:
            break
        found = world.runtime.system.find(f"{AT}/witness")
        if found is not None:
            world.kill(f"{AT}/witness")
        await trio.sleep(0.3)
    assert "root supervisor gave up" in str(world.ended_with)
