"""Every lane has a bound and every bound a rule."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tallystick.actors.kernel import (
    SHUTDOWN,
    ActorDeadError,
    ActorSystem,
    CrashReport,
    DeadLetterKind,
    MailboxFull,
    MailboxSpec,
    Report,
    Resume,
    Suspend,
    Timeout,
)

from .world import MIXED, Crash, Do, Doer, Fill, Keyed, Note, Who, in_virtual_time, settle, worker

pytestmark = in_virtual_time


async def suspended(system: ActorSystem, log: list[str], mailbox: MailboxSpec) -> Any:
    ref = system.spawn(worker("a", log, mailbox=mailbox))
    await ref.control(Suspend())
    return ref


async def test_a_full_lane_refuses_at_once_and_queues_nothing_stale(system: ActorSystem, log: list[str]) -> None:
    ref = await suspended(system, log, MailboxSpec(capacity=2))
    ref.tell(Note("1"))
    ref.tell(Note("2"))
    with pytest.raises(MailboxFull, match="/a has 2 messages waiting; Note was refused"):
        ref.tell(Note("3"))
    with pytest.raises(MailboxFull):
        await ref.ask_async(Note("4"))
    ref.control(Resume())
    await settle()
    assert log == ["start a", "1", "2"]
    assert system.dead_letters.counts[DeadLetterKind.REFUSED] == 2


async def test_a_refusal_in_a_handler_is_the_senders_to_handle(system: ActorSystem, log: list[str]) -> None:
    ref = await suspended(system, log, MailboxSpec(capacity=1))

    def send_two(_actor: Doer) -> str:
        ref.tell(Note("1"))
        try:
            ref.tell(Note("2"))
        except MailboxFull:
            return "busy"
        return "sent"

    assert await system.spawn(Doer, log).ask_async(Do(send_two)) == "busy"


async def test_market_data_conflates_to_the_latest_per_key_at_the_earliest_turn(
    system: ActorSystem, log: list[str]
) -> None:
    ref = await suspended(system, log, MIXED)
    for key, value in (("x", 1), ("y", 1), ("x", 2), ("x", 3), ("y", 2)):
        ref.tell(Keyed(key, value))
    ref.tell(Note("after"))
    ref.control(Resume())
    await settle()
    assert log == ["start a", "x=3", "y=2", "after"]
    conflated = [event for event in system.trace.events(path="/a") if event.outcome == "conflated"]
    assert len(conflated) == 3
    # The lane is free again after delivery.
    ref.tell(Keyed("x", 4))
    await settle()
    assert log[-1] == "x=4"


async def test_an_ask_whose_message_was_conflated_away_is_told_so(system: ActorSystem, log: list[str]) -> None:
    ref = await suspended(system, log, MIXED)
    future = ref.ask(Keyed("x", 1), block=False)
    ref.tell(Keyed("x", 2))
    with pytest.raises(MailboxFull, match="took this one's place"):
        await future


async def test_distinct_keys_beyond_the_bound_are_refused(system: ActorSystem, log: list[str]) -> None:
    ref = await suspended(system, log, MIXED)
    ref.tell(Keyed("x", 1))
    ref.tell(Keyed("y", 1))
    with pytest.raises(MailboxFull):
        ref.tell(Keyed("z", 1))
    ref.tell(Keyed("x", 2))


async def test_an_overflow_of_reports_crashes_the_actor_and_not_the_sender(system: ActorSystem, log: list[str]) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    ref = await suspended(system, log, MIXED)
    for number in range(3):
        ref.tell(Fill(number))
    await settle()
    (crash,) = [report for report in reports if isinstance(report, CrashReport)]
    assert "Fill must not be dropped" in crash.reason.detail
    assert await ref.ask_async(Who()) == 2
    assert log == ["start a", "stop a crashed", "start a", "fill 0", "fill 1"]


async def test_a_restart_can_clear_what_a_resync_brings_again_and_keep_the_commands(
    system: ActorSystem, log: list[str]
) -> None:
    spec = MailboxSpec(capacity=5, rules=MIXED.rules, on_restart="clear_reports")
    ref = await suspended(system, log, spec)
    ref.tell(Crash())
    ref.tell(Fill(1))
    ref.tell(Keyed("x", 1))
    ref.tell(Note("command"))
    asked = ref.ask(Fill(2), block=False)
    ref.control(Resume())
    await settle()
    assert log == ["start a", "stop a crashed", "start a", "command"]
    assert asked.done()
    # The bounds count anew.
    ref.tell(Fill(3))
    ref.tell(Keyed("x", 2))
    await settle()
    assert log[-2:] == ["fill 3", "x=2"]


async def test_the_bounds_of_different_rules_are_apart_and_the_order_is_one(
    system: ActorSystem, log: list[str]
) -> None:
    ref = await suspended(system, log, MIXED)
    for message in (Note("1"), Fill(1), Note("2"), Keyed("x", 1), Fill(2), Note("3")):
        ref.tell(message)
    with pytest.raises(MailboxFull):
        ref.tell(Note("4"))
    ref.control(Resume())
    await settle()
    assert log[1:] == ["1", "fill 1", "2", "x=1", "fill 2", "3"]


async def test_a_waiting_send_goes_on_when_there_is_room(system: ActorSystem, log: list[str]) -> None:
    ref = await suspended(system, log, MailboxSpec(capacity=1))
    ref.tell(Note("1"))
    async with trio.open_nursery() as nursery:
        for text in ("2", "3"):
            nursery.start_soon(ref.send, Note(text))
        await trio.sleep(1)
        assert (await ref.inspect()).mailbox_depth == 1
        ref.control(Resume())
    await settle()
    assert sorted(log) == ["1", "2", "3", "start a"]


async def test_a_waiting_send_fails_when_the_actor_ends(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log, mailbox=MailboxSpec(capacity=1), restart="temporary"))
    await ref.control(Suspend())
    ref.tell(Note("1"))
    system.timers.arm(system.now() + 1, lambda _timer: ref.cell.control_stop(SHUTDOWN))
    with pytest.raises(ActorDeadError):
        await ref.send(Note("2"))


async def test_the_kernels_own_messages_are_never_refused(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log, factory=Doer, mailbox=MailboxSpec(capacity=1)))
    await ref.ask_async(Do(lambda actor: [actor.after(1, Note(f"timer {number}")) for number in range(4)]))
    await ref.control(Suspend())
    await trio.sleep(2)
    await ref.control(Resume())
    await settle()
    assert log[1:] == [f"timer {number}" for number in range(4)]


async def test_an_unanswered_ask_of_a_full_actor_times_out_like_any_other(system: ActorSystem, log: list[str]) -> None:
    ref = await suspended(system, log, MailboxSpec(capacity=1))
    with pytest.raises(Timeout):
        await ref.ask_async(Who(), timeout=1)
