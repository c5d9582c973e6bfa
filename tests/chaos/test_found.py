"""What drawn days have found, each reduced to the least that shows it."""

from decimal import Decimal

import pytest
import trio
from tallystick.actors.context import Paths
from tallystick.model.alert import AlertKind
from tallystick.model.event import FillRecorded, FillSettled, IntentEnded, OrderAcknowledged, OrderDone
from tallystick.model.fill import Settlement
from tallystick.store.memory import MemoryDisk
from tallystick.testing.world.faults import CrashActor, Role
from tallystick.testing.world.life import LAW_NO_LETTER, Host, live
from tallystick.testing.world.plan import Plan, Strike
from tallystick.testing.world.venue_faults import FailSettlement, FireDeadMan
from tallystick.testing.world.world import World, run_world


def test_an_end_is_told_no_sooner_than_it_is_durable_to_who_hands_in_again_just_then() -> None:
    """The desk answered a repetition with the end that it had recorded, and that a crash could still have undone."""

    async def story(world: World) -> None:
        intent = world.single("i1", quantity="50")
        await world.submit(intent)
        world.crowd.sells(world.instruments[0], "0.44", "50")
        await world.until(lambda: not list(world.ledger.active_intents()))
        assert not world.events(IntentEnded)
        again = await world.submit(intent)
        await world.end_of(again)
        assert world.events(IntentEnded)

    run_world(story, disk=MemoryDisk(latency_seconds=0.4))


def test_a_pair_decides_without_what_was_reversed_after_its_order_had_ended() -> None:
    """The order had ended, told its leg nothing more, and the bracket counted what had left the book again."""

    async def story(world: World) -> None:
        world.venue.put_on(FailSettlement(count=1))
        ticket = await world.submit(world.pair("p1", seconds=40))
        world.crowd.sells(world.instruments[0], "0.44", "100")
        await world.until(lambda: [e for e in world.events(FillSettled) if e.settlement is Settlement.REVERSED])
        report = await world.end_of(ticket)
        assert report.filled == (Decimal(0), Decimal(0))

    run_world(story)


def test_the_alert_of_a_quarantined_report_ends_with_the_next_start_where_its_fill_is_in_the_log() -> None:
    """The handler crashed behind the recording, so no later start recorded the fill, and the alert stayed for ever."""

    async def story(world: World) -> None:
        world.crashes_expected = True
        ticket = await world.submit(world.single("i1", quantity="50"))
        world.crash_on(FillRecorded)
        world.crash_on(FillSettled)
        world.crowd.sells(world.instruments[0], "0.44", "50")
        await world.end_of(ticket)
        await world.until(lambda: world.alerts(AlertKind.REPORT_QUARANTINED))
        await world.restart()
        await world.live()
        await trio.sleep(5)
        assert not [alert for alert in world.alerts(AlertKind.REPORT_QUARANTINED) if alert.state.is_open]

    run_world(story)


def test_a_message_that_nobody_handles_breaks_the_law_of_a_day_in_which_actors_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def restarted(self: Host) -> None:
        self.world.context.ref(Paths.RISK).tell("nobody knows this")

    monkeypatch.setattr(Host, "restarted", restarted)
    (breach,) = live(Plan(seed=1, seconds=10.0)).breaches
    assert breach.law == LAW_NO_LETTER
    assert "/risk" in breach.what
    touched = Strike(at_seconds=0.0, fault=CrashActor(who=Role.ALERTS))
    assert live(Plan(seed=1, seconds=10.0, strikes=(touched,))).breaches == ()


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_leg_that_is_told_to_close_as_its_pair_is_decided_says_nothing_of_what_it_no_longer_knows(seed: int) -> None:
    """It told the bracket, which had ended, that nothing was filled: the ledger had let go of its orders."""

    async def story(world: World) -> None:
        ticket = await world.submit(world.pair("p1", seconds=60))
        await world.until(lambda: len(world.events(OrderAcknowledged)) == 2)
        world.crowd.sells(world.instruments[0], "0.44", "20")
        world.venue.put_on(FireDeadMan())
        assert (await world.end_of(ticket)).outcome == "one_side"

    run_world(story, seed=seed)  # which fails where a message was not handled


def test_a_cancelled_orders_leg_hears_of_its_end_when_the_order_crashes_right_after_recording_it() -> None:
    """The order ended with the next incarnation, which told nobody: its pair stayed open until the next start."""

    async def story(world: World) -> None:
        ticket = await world.submit(world.pair("p1", seconds=5))
        await trio.sleep(2)
        world.crash_on(OrderDone)
        assert (await world.end_of(ticket, seconds=30)).outcome == "neither"

    run_world(story)


def test_what_was_quarantined_is_tried_again_when_the_accounts_branch_alone_is_started_again() -> None:
    """The alert was closed by that start as if its sweep would read the rest, and the rest was put aside again."""

    async def story(world: World) -> None:
        world.crashes_expected = True
        ticket = await world.submit(world.single("i1", quantity="50"))
        world.crash_on(FillRecorded)
        world.crash_on(FillSettled)
        world.crowd.sells(world.instruments[0], "0.44", "50")
        await world.end_of(ticket)
        await world.until(lambda: world.alerts(AlertKind.REPORT_QUARANTINED))
        world.kill(f"/accounts/{world.rig.account}")
        await world.until(lambda: not world.ledger.unsettled)

    run_world(story)
