"""What others do with the same key is shown, attributed to nobody, and never touched."""

from decimal import Decimal

import trio
from tallystick.model.event import FillRecorded, ForeignOrderSeen

from .by_hand import ByHand, by_hand
from .harness import RAIN_YES, SNOW_YES, STRATEGY, World, scenario, single


async def hand(world: World) -> ByHand:
    return await by_hand(world)


@scenario()
async def test_a_foreign_order_is_alerted_once_and_left_alone(world: World) -> None:
    person = await hand(world)
    order = await person.buys(SNOW_YES, "0.30", "20")
    await world.until(lambda: world.alerts("foreign_order"), seconds=70)
    await trio.sleep(200)
    assert len(world.events(ForeignOrderSeen)) == 1
    (alert,) = world.alerts("foreign_order")
    assert order in alert.alert_id
    assert {row["id"]: row["status"] for row in world.venue_orders()}[order] == "LIVE"
    assert not world.network.sent("DELETE", "/order")


@scenario()
async def test_a_foreign_order_is_alerted_once_across_restarts(world: World) -> None:
    person = await hand(world)
    order = await person.buys(SNOW_YES, "0.30", "20")
    await world.until(lambda: world.alerts("foreign_order"), seconds=70)
    for _ in range(3):
        await world.crash_and_restart()
        await world.live()
    assert len(world.opened("foreign_order")) == 1
    assert len(world.events(ForeignOrderSeen)) == 1
    # A crash leaves the dead-man switch unrefreshed only for as long as it lasts.
    assert {row["id"]: row["status"] for row in world.venue_orders()}[order] == "LIVE"


@scenario()
async def test_a_foreign_fill_is_in_the_accounts_book_and_in_no_strategys(world: World) -> None:
    person = await hand(world)
    world.crowd.sells(RAIN_YES, "0.44", "20")
    await person.buys(RAIN_YES, "0.44", "20")
    await world.until(lambda: world.alerts("foreign_fill"), seconds=10)
    (fill,) = world.events(FillRecorded)
    assert fill.fill.strategy is None
    assert fill.fill.client_order_id is None
    assert world.held(RAIN_YES) == 20
    assert (STRATEGY, RAIN_YES) not in world.ledger.positions
    await world.until(lambda: not world.ledger.unsettled)
    await trio.sleep(100)
    assert world.held(RAIN_YES) == 20 == world.wallet(RAIN_YES)
    assert not world.alerts("drift"), "it is known, so it is no drift"
    assert len(world.opened("foreign_fill")) == 1


@scenario()
async def test_a_foreign_sale_of_what_a_strategy_holds_changes_the_account_and_not_the_strategy(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.end_of(await world.submit(single()))
    await world.until(lambda: not world.ledger.unsettled)
    person = await hand(world)
    world.crowd.buys(RAIN_YES, "0.43", "20")
    await person.sells(RAIN_YES, "0.43", "20")
    await world.until(lambda: world.alerts("foreign_fill"), seconds=10)
    assert world.held(RAIN_YES) == 30
    assert world.ledger.positions[STRATEGY, RAIN_YES].matched == Decimal(50)
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused, seconds=5)


@scenario()
async def test_a_foreign_purchase_beside_what_a_strategy_holds_pauses_nobody(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "70")
    await world.end_of(await world.submit(single()))
    person = await hand(world)
    await person.buys(RAIN_YES, "0.44", "20")
    await world.until(lambda: world.alerts("foreign_fill"), seconds=10)
    await trio.sleep(50)
    assert world.held(RAIN_YES) == 70
    assert world.ledger.strategy(STRATEGY).paused is None
