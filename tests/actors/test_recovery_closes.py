"""Before a close leaves, the venue is asked whether there is something to close; nothing else waits for that."""

import pytest
import trio
from tallystick.model.account import SweepTrigger
from tallystick.model.event import FillRecorded, SliceWithdrawn
from tallystick.model.fill import FillSource
from tallystick.model.intent import Side
from tallystick.venues.sim.polymarket.faults import DelayReply, RefuseRequest, StaleBalances

from .by_hand import by_hand
from .harness import RAIN_NO, RAIN_YES, World, scenario, single
from .test_position_truth import agree, buy
from .test_recovery_sweeps import hide_trades, records

QUESTION = "/balance-allowance"


def questions(world: World) -> int:
    """How often the venue was asked what is held of an instrument."""
    return len([found for found in world.network.sent("GET", QUESTION) if "CONDITIONAL" in found.target])


async def sold_by_hand(world: World, quantity: str = "50") -> None:
    """A person sells what the strategy holds, and nothing of it reaches the runtime."""
    hide_trades(world)
    person = await by_hand(world)
    world.crowd.buys(RAIN_YES, "0.43", quantity)
    await person.sells(RAIN_YES, "0.43", quantity)
    await trio.sleep(6)


@scenario()
async def test_a_close_of_what_is_there_asks_once_and_is_sent(world: World) -> None:
    await buy(world)
    await agree(world)
    assert questions(world) == 0
    world.crowd.buys(RAIN_YES, "0.43", "50")
    report = await world.end_of(await world.submit(single("close", side=Side.SELL, price="0.43")))
    assert report.outcome == "filled"
    assert questions(world) == 1
    assert world.held(RAIN_YES) == 0


@scenario()
async def test_an_order_that_closes_nothing_waits_for_no_question(world: World) -> None:
    await buy(world)
    at = trio.current_time()
    await world.submit(single("more", price="0.40"))
    await world.until(lambda: len(world.network.sent("POST", "/order")) == 2)
    assert trio.current_time() - at < 0.1
    assert questions(world) == 0


@scenario()
async def test_the_slices_of_one_close_share_a_question(world: World) -> None:
    await buy(world)
    await agree(world)
    world.crowd.buys(RAIN_YES, "0.43", "50")
    intent = single("close", side=Side.SELL, price="0.43", child="10")
    assert (await world.end_of(await world.submit(intent))).outcome == "filled"
    assert len(world.network.sent("POST", "/order")) == 1 + 5
    assert questions(world) <= 2


@scenario()
async def test_no_close_is_invented_for_a_position_that_is_gone_and_its_real_exit_is_booked(world: World) -> None:
    await buy(world)
    await agree(world)
    await sold_by_hand(world)
    assert world.held(RAIN_YES) == 50
    sent = len(world.network.sent("POST", "/order"))
    report = await world.end_of(await world.submit(single("close", side=Side.SELL, price="0.43", seconds=60)))
    assert report.outcome == "not_sent"
    assert "position_gone" in report.text
    assert len(world.network.sent("POST", "/order")) == sent
    (withdrawn,) = world.events(SliceWithdrawn)
    assert "venue 0, wallet 0, book 50" in withdrawn.reason
    world.heal()
    await world.until(lambda: world.held(RAIN_YES) == 0, seconds=100)
    assert records(world, SweepTrigger.CLOSE_REFUSED)
    exits = [event.fill for event in world.events(FillRecorded) if event.fill.client_order_id is None]
    assert [found.execution.quantity for found in exits] == [50]
    assert exits[0].source in {FillSource.RECOVERY, FillSource.SWEEP}
    await agree(world)


@scenario()
async def test_a_close_of_more_than_is_left_is_not_sent(world: World) -> None:
    await buy(world)
    await agree(world)
    await sold_by_hand(world, "20")
    report = await world.end_of(await world.submit(single("close", side=Side.SELL, price="0.43", seconds=60)))
    assert report.outcome == "not_sent"
    assert "venue 30, wallet 30, book 50" in report.text


@scenario()
async def test_a_venue_view_that_is_behind_stops_no_close_of_what_the_wallet_holds(world: World) -> None:
    world.fault(StaleBalances())
    person = await by_hand(world)
    # The venue is asked for the balance while it is nothing, and goes on telling that.
    assert await person.asks_for_balance(RAIN_YES) == "0"
    await buy(world)
    world.crowd.buys(RAIN_YES, "0.43", "50")
    await trio.sleep(10)
    report = await world.end_of(await world.submit(single("close", side=Side.SELL, price="0.43", seconds=60)))
    assert report.outcome == "filled"
    assert questions(world) == 1


@scenario()
async def test_what_is_still_settling_may_be_closed(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.end_of(await world.submit(single()))
    assert world.ledger.unsettled
    await world.submit(single("close", side=Side.SELL, price="0.43", seconds=60))
    await world.until(lambda: len(world.network.sent("POST", "/order")) == 2, seconds=2)


@pytest.mark.parametrize("kind", ["internal_error", "html"])
@scenario()
async def test_a_question_without_an_answer_keeps_nobody_from_getting_out_of_a_position(
    world: World, kind: str
) -> None:
    """The venue itself refuses to sell what is not there, so nothing worse can come of it."""
    await buy(world)
    await agree(world)
    world.fault(RefuseRequest(path=QUESTION, kind=kind))  # type: ignore[arg-type]  # one of its literals
    world.crowd.buys(RAIN_YES, "0.43", "50")
    report = await world.end_of(await world.submit(single("close", side=Side.SELL, price="0.43")))
    assert report.outcome == "filled"


@scenario()
async def test_a_cover_is_a_close_of_the_complement_and_asks_for_that(world: World) -> None:
    world.crowd.sells(RAIN_NO, "0.40", "50")
    await world.end_of(await world.submit(single(side=Side.SELL_SHORT, price="0.60")))
    await world.until(lambda: not world.ledger.unsettled)
    world.crowd.buys(RAIN_NO, "0.38", "50")
    cover = single("cover", side=Side.BUY_TO_COVER, price="0.62")
    assert (await world.end_of(await world.submit(cover))).outcome == "filled"
    (asked,) = [found.target for found in world.network.sent("GET", QUESTION) if "CONDITIONAL" in found.target]
    assert world.token(RAIN_NO) in asked


@scenario()
async def test_a_close_that_waited_for_the_answer_in_a_desk_that_crashed_is_handed_in_again(world: World) -> None:
    await buy(world)
    await agree(world)
    world.fault(DelayReply(path=QUESTION, by_seconds=2, count=1))
    world.crowd.buys(RAIN_YES, "0.43", "50")
    ticket = await world.submit(single("close", side=Side.SELL, price="0.43"))
    await world.until(lambda: questions(world) == 1)
    world.kill("/accounts/polymarket:main/desk")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(world.network.sent("POST", "/order")) == 2
    assert world.held(RAIN_YES) == 0
    assert not world.opened("slice_never_sent")


@scenario()
async def test_an_exit_that_was_hidden_when_a_close_was_refused_is_booked_after_a_restart(world: World) -> None:
    """Both at once: the exit is hidden, a close is refused, the exit shows up, and the books agree again."""
    await buy(world)
    await agree(world)
    await sold_by_hand(world)
    await world.end_of(await world.submit(single("close", side=Side.SELL, price="0.43", seconds=60)))
    await trio.sleep(300)
    world.heal()
    await world.restart()
    await world.live()
    await world.until(lambda: world.held(RAIN_YES) == 0)
    await agree(world)
