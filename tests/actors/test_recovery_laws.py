"""However often and however badly it was recovered: nothing but evidence moved a book, and nothing is there twice."""

from decimal import Decimal
from typing import Any

import pytest
import trio
from tallystick.model.event import (
    Event,
    FillRecorded,
    FillSettled,
    HoldingAdopted,
    OpeningAdopted,
    OrderSubmitted,
    TransferBooked,
)
from tallystick.model.fill import Settlement
from tallystick.model.identifiers import AssetId, InstrumentId
from tallystick.model.ledger import Ledger
from tallystick.model.truth import Unavailable
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import (
    DropFrame,
    FailSettlement,
    GhostSettlement,
    HideFromLists,
    LagDataApi,
    LoseReply,
    NullOrder,
    StopFinality,
)

from .by_hand import by_hand
from .harness import ACCOUNT, OWNER, RAIN_YES, SNOW_YES, STRATEGY, World, scenario, single
from .test_position_truth import agree, buy
from .test_restarts import crash_after as crash_after_event

BOOKS = (FillRecorded, FillSettled, OpeningAdopted, HoldingAdopted, TransferBooked)
POSITIONS = (FillRecorded, FillSettled)


def check_what_moved_the_books(world: World) -> None:
    """Fold the journal entry by entry: a holding moves by evidence, a strategy's position by executions alone."""
    ledger = Ledger(keep_ended=True)
    for entry in world.entries():
        event: Any = entry.event
        if not isinstance(event, Event):
            continue
        holdings, positions = dict(ledger.holdings), dict(ledger.positions)
        ledger.apply(event, entry.at_ns)
        if ledger.holdings != holdings:
            assert isinstance(event, BOOKS), f"{event.kind} changed a book"
        if ledger.positions != positions:
            assert isinstance(event, POSITIONS), f"{event.kind} changed a position"
    keys = [event.fill.execution.key for event in world.events(FillRecorded)]
    assert len(keys) == len(set(keys))
    transactions = [event.transfer.transaction for event in world.events(TransferBooked)]
    assert len(transactions) == len(set(transactions))


async def crash_after(world: World, kind: type[Event], kept: bool) -> None:
    """Let the process die in the commit that holds the event, with the commit lost or kept."""
    await crash_after_event(world, kind, kept=kept)


@scenario()
async def test_ten_restarts_with_an_open_position_add_nothing(world: World) -> None:
    """T20 and T52: no order, no fill, no transfer and no other position, however often it starts."""
    await buy(world)
    await agree(world)
    held = dict(world.ledger.holdings)
    moved = [len(world.events(kind)) for kind in (*BOOKS, OrderSubmitted)]
    for number in range(10):
        if number % 2:
            await world.restart()
        else:
            await world.crash_and_restart(keep=number % 3)
        await world.live()
    assert [len(world.events(kind)) for kind in (*BOOKS, OrderSubmitted)] == moved
    assert world.ledger.holdings == held
    assert world.held(RAIN_YES) == 50
    assert not world.alerts()
    check_what_moved_the_books(world)


@pytest.mark.parametrize("crashes", [0, 3])
@scenario()
async def test_everything_at_once_ends_with_every_view_at_one_number_or_a_named_difference(
    world: World, crashes: int
) -> None:
    """Lost frames, hidden history, a failing and a ghost settlement, a hand in the account, money in and out."""
    person = await by_hand(world)
    world.fault(DropFrame(event="trade", count=3))
    world.fault(LoseReply(path="/order", method="POST", count=1))
    world.fault(NullOrder(seconds=20))
    world.fault(HideFromLists(lag_seconds=60, seconds=90))
    world.fault(LagDataApi(lag_seconds=30, seconds=120))
    world.fault(FailSettlement(count=1))
    world.crowd.sells(RAIN_YES, "0.44", "80")
    await world.submit(single("i1", quantity="50", seconds=60))
    await trio.sleep(10)
    world.crowd.sells(SNOW_YES, "0.30", "20")
    await person.buys(SNOW_YES, "0.30", "20")
    world.do(actions.Split(wallet=OWNER, market="slow", amount=Decimal(12)))
    world.do(actions.PayRebate(wallet=OWNER, amount=Decimal("0.5")))
    for _ in range(crashes):
        await trio.sleep(15)
        await world.crash_and_restart()
    await trio.sleep(120)
    world.heal()
    await world.live()
    await world.until(lambda: not world.ledger.unsettled, seconds=300)
    await agree(world)
    for asset in (RAIN_YES, SNOW_YES, "polymarket:slow:Yes", "polymarket:slow:No"):
        assert world.held(asset) == world.wallet(InstrumentId(asset)), asset
    assert world.held(str(world.settings.settlement_asset)) == world.wallet()
    check_what_moved_the_books(world)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("fact", [FillRecorded, FillSettled, TransferBooked])
@scenario()
async def test_a_fact_that_a_person_must_hear_of_is_never_in_the_journal_without_its_alert(
    world: World, fact: type[Event], kept: bool
) -> None:
    """A fill of nobody, a reversal and a transfer, with the process ending in the commit that holds them."""
    kinds = {FillRecorded: "foreign_fill", FillSettled: "fill_reversed", TransferBooked: "drift"}
    person = await by_hand(world)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash_after, world, fact, kept)
        if fact is TransferBooked:
            world.do(actions.Transfer(source=OWNER, target="0x" + "77" * 20, asset="cash", amount=Decimal(10)))
        else:
            if fact is FillSettled:
                world.fault(FailSettlement(count=1))
            world.crowd.sells(RAIN_YES, "0.44", "20")
            await person.buys(RAIN_YES, "0.44", "20")
    told = world.opened(kinds[fact])
    assert bool(told) is any(_is_told(event) for event in world.events(fact)), "both, or neither"
    await world.start()
    await world.live()
    await world.until(lambda: world.opened(kinds[fact]), seconds=300)
    if fact is TransferBooked:
        assert world.ledger.strategy(STRATEGY).paused
    check_what_moved_the_books(world)


def _is_told(event: object) -> bool:
    return not isinstance(event, FillSettled) or event.settlement is Settlement.REVERSED


@scenario()
async def test_a_ghost_stays_a_difference_through_restarts_and_no_start_books_it_away(world: World) -> None:
    world.fault(GhostSettlement(count=1))
    await buy(world)
    for _ in range(3):
        await world.crash_and_restart()
        await world.live()
    await trio.sleep(200)
    assert world.held(RAIN_YES) == 50
    assert world.wallet(RAIN_YES) == 0
    assert any(alert.state.is_open for alert in world.alerts("drift"))
    check_what_moved_the_books(world)


@scenario()
async def test_a_finality_that_stands_still_makes_the_wallet_unavailable_and_is_no_drift(world: World) -> None:
    await buy(world, "i1", "20")
    await agree(world)
    world.fault(StopFinality())
    await trio.sleep(100)
    world.crowd.sells(RAIN_YES, "0.44", "30")
    await world.end_of(await world.submit(single("i2", quantity="30")))
    world.do(actions.SettleNow())
    await trio.sleep(200)
    truth = world.ledger.truths[ACCOUNT, AssetId(RAIN_YES)]
    assert isinstance(truth.wallet, Unavailable)
    assert "finality has stalled" in truth.wallet.why
    assert not [alert for alert in world.alerts("drift") if alert.severity == "critical"]
