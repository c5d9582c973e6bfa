"""Every slice computed is sent or withdrawn by rule; one that is stuck is alerted in seconds and never sent late."""

from decimal import Decimal

import pytest
import trio
from tallystick.actors.messages import OrderRefused, PlaceOrder, ReviewOrder
from tallystick.actors.ticket import IntentRejected
from tallystick.model.event import OrderSubmitted, SliceWithdrawn
from tallystick.model.order import Withdrawn

from .harness import RAIN_YES, SNOW_NO, STRATEGY, World, pair, scenario, single


@pytest.mark.parametrize("lost", [ReviewOrder, PlaceOrder])
@scenario()
async def test_a_slice_lost_on_its_way_is_alerted_in_seconds_and_never_sent(world: World, lost: type) -> None:
    world.lose(lost)
    at = trio.current_time()
    ticket = await world.submit(single(seconds=30))
    await world.until(lambda: world.alerts("slice_never_sent"))
    assert trio.current_time() - at < 10
    (alert,) = world.alerts()
    assert dict(alert.evidence)["slice"] == "buy 50 at 0.44"
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused)
    with pytest.raises(IntentRejected, match="slice_never_sent"):
        await world.submit(single("i2"))
    report = await world.end_of(ticket)
    assert report.outcome == "unfilled"
    await trio.sleep(120)
    assert not world.venue_orders()
    assert not world.events(OrderSubmitted)
    assert len(world.opened("slice_never_sent")) == 1


@scenario()
async def test_one_lost_slice_of_many_leaves_the_others_at_work(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.lose(PlaceOrder)
    ticket = await world.submit(single(quantity="60", child="20", seconds=20))
    report = await world.end_of(ticket)
    assert report.outcome == "partly_filled"
    assert report.filled == (Decimal(40),)
    assert len(world.venue_orders()) == 2
    (alert,) = world.alerts("slice_never_sent")
    evidence = dict(alert.evidence)
    assert (evidence["leg intended"], evidence["leg sent"]) == ("60", "40")


@scenario()
async def test_a_pair_with_a_lost_slice_ends_as_one_side_exactly_once(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.crowd.sells(SNOW_NO, "0.40", "200")
    world.lose(PlaceOrder)
    report = await world.end_of(await world.submit(pair(seconds=12)))
    assert report.outcome == "one_side"
    assert min(report.filled) == 0
    assert len(world.venue_orders()) == 1


@scenario()
async def test_a_lost_slice_stays_lost_across_a_restart(world: World) -> None:
    world.lose(PlaceOrder)
    intent = single(seconds=40)
    await world.submit(intent)
    await world.until(lambda: world.alerts("slice_never_sent"))
    await world.crash_and_restart()
    await world.live()
    ticket = await world.submit(intent)
    assert (await world.end_of(ticket)).outcome == "unfilled"
    assert len(world.opened("slice_never_sent")) == 1
    assert not world.venue_orders()


@scenario()
async def test_a_slice_that_meets_a_degraded_account_waits_and_goes_out_after(world: World) -> None:
    ticket = await world.submit(single("i0", seconds=3))
    await world.end_of(ticket)
    await world.network.go_down()
    await world.until(lambda: world.ledger.account(world.settings.account).state == "degraded")
    with pytest.raises(IntentRejected, match="account_live"):
        await world.submit(single("i1"))
    world.network.come_back()
    await world.live()
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(await world.submit(single("i1")))).outcome == "filled"


@scenario()
async def test_a_slice_held_between_its_gates_and_its_sending_goes_out_when_the_account_is_live(world: World) -> None:
    """The account degrades while the slice is on its way from the gates to the desk."""
    world.delay(PlaceOrder, 0.5)
    ticket = await world.submit(single(seconds=60))
    await world.network.go_down()
    await trio.sleep(8)
    world.network.come_back()
    world.crowd.sells(RAIN_YES, "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.venue_orders()) == 1
    assert not world.alerts("slice_never_sent")


@scenario()
async def test_a_slice_held_past_the_deadline_is_withdrawn(world: World) -> None:
    world.delay(PlaceOrder, 0.5)
    ticket = await world.submit(single(seconds=6))
    await world.network.go_down()
    report = await world.end_of(ticket, seconds=10)
    assert report.outcome == "unfilled"
    assert isinstance(world.order(), Withdrawn)
    world.network.come_back()
    await world.live()
    await trio.sleep(30)
    assert not world.venue_orders()


@scenario()
async def test_a_refusal_that_comes_after_the_deadline_changes_nothing(world: World) -> None:
    world.delay(OrderRefused, 10)
    await world.network.go_down()
    await world.until(lambda: world.ledger.account(world.settings.account).state == "degraded")
    world.network.come_back()
    await world.live()
    world.delay(PlaceOrder, 0.2)
    ticket = await world.submit(single(seconds=4))
    await world.network.go_down()
    await world.quiet()
    assert (await world.end_of(ticket, seconds=10)).outcome == "unfilled"
    await trio.sleep(20)
    assert len(world.events(SliceWithdrawn)) == 1
    world.network.come_back()
    await world.live()
    assert ["OrderRefused" in letter for letter in world.letters] == [True]  # it came too late for its receiver
    world.letters.clear()
