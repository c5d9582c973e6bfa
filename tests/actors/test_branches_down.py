"""A branch that is being started again is away for a moment: who talks to it then loses a message, and nothing else.

Every one of these has crashed the sender once, and several in a row cost the process its restarts.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
import trio
from tallystick.actors.context import Leaving, Paths
from tallystick.actors.kernel import DELIVER, Delay, Envelope, Kill, Verdict
from tallystick.actors.messages import AskTruth, CancelOrder, CompareNow, Exchanged, LogExecutions, Sweep
from tallystick.actors.operator import CommandRefused
from tallystick.model.account import SweepTrigger
from tallystick.model.event import (
    CancelRequested,
    FillRecorded,
    IntentAccepted,
    IntentEnded,
    OrderAcknowledged,
    OrderDone,
    ReconciliationEnded,
)
from tallystick.model.fill import Direction
from tallystick.model.identifiers import CommandId
from tallystick.model.operator import EndOrder, Operator, Reconcile
from tallystick.testing.world.world import World, run_world

ACCOUNT = "/accounts/polymarket:main"
CONNECTION = f"{ACCOUNT}/connection"
ORDERS = f"{ACCOUNT}/orders"
PERSON = Operator(uid=1_000, user="operator")


async def take_down(world: World, branch: str) -> None:
    """Crash a supervisor, and return while it and all below it are away; no time passes."""
    cell = world.runtime.system.find(branch)
    assert cell is not None
    world.kill(branch)
    while cell.cell.instance is not None:
        await trio.lowlevel.checkpoint()


def is_away(world: World, branch: str) -> bool:
    found = world.runtime.system.find(branch)
    return found is None or found.cell.instance is None


def only_crashed(world: World, *branches: str) -> None:
    """Nobody crashed but those that were made to."""
    assert [crash.partition(": ")[0] for crash in world.crashes] == list(branches)


async def resting_order(world: World) -> None:
    await world.submit(world.single("i1", quantity="50", seconds=60))
    await world.until(lambda: world.events(OrderAcknowledged))


def in_world(story: Callable[[World], Awaitable[None]]) -> None:
    run_world(story)


def test_an_order_that_is_reviewed_while_its_account_is_away_waits_and_goes_out_later() -> None:
    """The risk actor crashed with a KeyError: the root starts it anew, and after a second time ends the process."""

    async def story(world: World) -> None:
        await take_down(world, ACCOUNT)
        ticket = await world.submit(world.single("i1", quantity="50", seconds=60))
        assert is_away(world, Paths.account(world.rig.account, "desk"))
        await world.until(lambda: world.events(OrderAcknowledged))
        world.crowd.sells(world.instruments[0], "0.44", "50")
        assert (await world.end_of(ticket)).outcome == "filled"
        only_crashed(world, ACCOUNT)

    in_world(story)


def test_a_leg_whose_time_is_over_while_its_account_is_away_asks_for_its_cancel_again() -> None:
    """The leg crashed with a KeyError where it told the account's desk to cancel."""

    async def story(world: World) -> None:
        ticket = await world.submit(world.single("i1", quantity="50", seconds=10))
        await world.until(lambda: world.events(OrderAcknowledged))
        began = world.clock.wall_ns()
        expires_ns = next(event.intent.expires_at_ns for event in world.events(IntentAccepted))
        await trio.sleep((expires_ns - began) / 1e9 - 0.02)
        await take_down(world, ACCOUNT)
        assert (await world.end_of(ticket)).filled == (Decimal(0),)
        assert world.events(CancelRequested)
        only_crashed(world, ACCOUNT)

    in_world(story)


def test_an_order_that_is_cancelled_while_its_connection_is_away_is_cancelled_once_it_is_back() -> None:
    """The order crashed where it handed its request to the gateway."""

    async def story(world: World) -> None:
        await resting_order(world)
        (order,) = world.orders()
        await take_down(world, CONNECTION)
        cancel = CancelOrder(client_order_id=order, reason="by test")
        world.context.ref(Paths.order(world.rig.account, order)).tell(cancel)
        await world.until(lambda: world.events(CancelRequested))
        await world.until(lambda: world.events(OrderDone))
        only_crashed(world, CONNECTION)

    in_world(story)


def test_a_comparison_that_begins_while_the_connection_is_away_says_that_it_could_not_look() -> None:
    """The witness crashed where it handed its question to the gateway."""

    async def story(world: World) -> None:
        await take_down(world, CONNECTION)
        world.context.ref(Paths.account(world.rig.account, "witness")).tell(CompareNow(why="by test"))
        await trio.sleep(90)
        await world.live()
        only_crashed(world, CONNECTION)

    in_world(story)


def test_a_fill_without_an_order_that_comes_while_the_connection_is_away_is_found_all_the_same() -> None:
    """The fill log crashed where it asked the reconciler for a sweep."""

    async def story(world: World) -> None:
        heard: list[LogExecutions] = []

        def decide(envelope: Envelope) -> Verdict:
            if not isinstance(envelope.message, LogExecutions) or heard:
                return DELIVER
            heard.append(envelope.message)
            world.kill(CONNECTION)
            return Delay(0.02)

        world.intercept(decide)
        world.crowd.sells(world.instruments[0], "0.44", "20")
        await world.trade_by_hand(world.instruments[0], Direction.BUY, "0.44", "20")
        await world.until(lambda: heard)
        await trio.sleep(0.01)
        assert is_away(world, Paths.connection(world.rig.account, "reconciler"))
        await world.until(lambda: world.events(FillRecorded))
        await world.live()
        only_crashed(world, CONNECTION)

    in_world(story)


@pytest.mark.parametrize("what", ["reconcile", "order end"])
def test_a_command_that_comes_while_the_account_is_away_is_refused_or_carried_out(what: str) -> None:
    """The operator's desk crashed over it, and so did the next command."""

    async def story(world: World) -> None:
        await resting_order(world)
        (order,) = world.orders()
        await take_down(world, ACCOUNT)
        account = world.rig.account
        command = Reconcile(account=account) if what == "reconcile" else EndOrder(client_order_id=order)
        number = CommandId("c1")
        if what == "reconcile":
            await world.runtime.operate(command, note="by test", command_id=number, operator=PERSON)
        else:
            with pytest.raises(CommandRefused, match=r"started again|not reached"):
                await world.runtime.operate(command, note="by test", command_id=number, operator=PERSON)
        await world.live()
        only_crashed(world, ACCOUNT)

    in_world(story)


def test_an_order_that_is_placed_while_their_supervisor_is_away_waits_for_it() -> None:
    """The account's desk crashed with an ActorDeadError where it started the order's actor."""

    async def story(world: World) -> None:
        await take_down(world, ORDERS)
        ticket = await world.submit(world.single("i1", quantity="50", seconds=60))
        assert is_away(world, ORDERS)
        await world.until(lambda: world.events(OrderAcknowledged))
        world.crowd.sells(world.instruments[0], "0.44", "50")
        assert (await world.end_of(ticket)).outcome == "filled"
        only_crashed(world, ORDERS)

    in_world(story)


def test_a_cancel_and_a_report_for_an_order_whose_supervisor_is_away_are_no_crash() -> None:
    """The account's desk crashed with an ActorDeadError, for the same reason."""

    async def story(world: World) -> None:
        await resting_order(world)
        (order,) = world.orders()
        await take_down(world, ORDERS)
        desk = world.context.ref(Paths.account(world.rig.account, "desk"))
        desk.tell(CancelOrder(client_order_id=order, reason="by test"))
        await trio.sleep(90)
        assert world.events(IntentEnded)
        only_crashed(world, ORDERS)

    in_world(story)


def test_a_sweep_whose_comparison_ends_with_the_witness_says_so_and_is_made_again() -> None:
    """The reconciler crashed: the end of who compares was an error that it did not expect."""

    async def story(world: World) -> None:
        asked: list[AskTruth] = []

        def decide(envelope: Envelope) -> Verdict:
            if isinstance(envelope.message, AskTruth) and not asked:
                asked.append(envelope.message)
            # The comparison takes its time, so that its end can fall into it.
            return Delay(1.0) if isinstance(envelope.message, Exchanged) and asked else DELIVER

        world.intercept(decide)
        sweep = Sweep(trigger=SweepTrigger.OPERATOR, detail="by test")
        world.context.ref(Paths.connection(world.rig.account, "reconciler")).tell(sweep)
        await world.until(lambda: asked)
        await trio.sleep(0.5)
        world.context.ref(Paths.account(world.rig.account, "witness")).control(Kill())
        await trio.sleep(90)
        await world.live()
        assert any(event.record.holdings_unread for event in world.events(ReconciliationEnded))
        only_crashed(world)

    in_world(story)


def test_a_message_to_nobody_is_lost_and_one_in_an_orderly_stop_ends_its_sender() -> None:
    async def story(world: World) -> None:
        context = world.context
        context.tell(Paths.account(world.rig.account, "nobody"), CompareNow(why="by test"))
        await world.stop()
        with pytest.raises(Leaving):
            context.tell(Paths.account(world.rig.account, "nobody"), CompareNow(why="by test"))

    in_world(story)
