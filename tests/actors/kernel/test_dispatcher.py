"""Fairness, sleep, and interrupts: how the one dispatcher shares the loop with everything else."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
import trio
from tallystick.actors.kernel import Actor, ActorSystem, CrashReport, Delay, MailboxSpec, Report, Verdict, handles

from .world import Crash, Do, Doer, Note, Who, Worker, in_virtual_time, new_system, settle, worker

pytestmark = in_virtual_time


class Spin(msgspec.Struct, frozen=True):
    """Keeps its receiver busy for ever."""


class Spinner(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    @handles(Spin)
    def spin(self, message: Spin) -> None:
        self.turns += 1
        self.actor_ref.tell(message)

    @handles(Who)
    def who(self, _message: Who) -> int:
        return self.turns


async def test_an_actor_that_never_rests_starves_neither_actors_nor_tasks_nor_timers() -> None:
    async with ActorSystem(random=Random(1)) as system:
        log: list[str] = []
        spinner = system.spawn(Spinner)
        spinner.tell(Spin())
        other = system.spawn(Doer, log)
        assert await other.ask_async(Who()) == 1
        await other.ask_async(Do(lambda actor: actor.after(0, Note("timer"))))
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        assert "timer" in log
        first = await spinner.ask_async(Who())
        assert first > 0
        await trio.lowlevel.checkpoint()
        assert await spinner.ask_async(Who()) > first


async def test_a_pass_ends_after_its_number_of_messages(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log, mailbox=MailboxSpec(capacity=None))
    await settle()
    for number in range(200):
        ref.tell(Note(str(number)))
    counts = []
    for _ in range(4):
        await trio.lowlevel.checkpoint()
        counts.append(len(log) - 1)
    assert max(counts[:2]) <= 128
    await settle()
    assert len(log) == 201


async def test_many_immediate_asks_still_let_other_tasks_run(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            ticks.append(len(ticks))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        for _ in range(100):
            await ref.ask_async(Who())
        nursery.cancel_scope.cancel()
    assert len(ticks) > 5


async def test_an_immediate_ask_notices_a_cancellation(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    with trio.CancelScope() as scope:
        scope.cancel()
        await ref.ask_async(Who())
    assert scope.cancelled_caught


async def test_a_timer_armed_during_an_immediate_ask_wakes_the_sleeping_dispatcher(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Doer, log)
    await settle()
    await ref.ask_async(Do(lambda actor: actor.after(50, Note("late"))))
    await trio.sleep(1)
    await ref.ask_async(Do(lambda actor: actor.after(1, Note("soon"))))
    await trio.sleep(2)
    assert log[-1] == "soon"
    await trio.sleep(50)
    assert log[-1] == "late"


async def test_a_report_subscriber_that_fails_harms_nobody_and_one_that_left_is_not_told(
    system: ActorSystem, log: list[str]
) -> None:
    def broken(_report: Report) -> None:
        raise ValueError("subscriber")

    seen: list[Report] = []
    left: list[Report] = []
    system.events.subscribe(broken)
    system.events.subscribe(seen.append)
    system.events.subscribe(left.append)()
    ref = system.spawn(worker("a", log))
    ref.tell(Crash())
    assert await ref.ask_async(Who()) == 2
    assert any(isinstance(report, CrashReport) for report in seen)
    assert left == []


async def test_an_error_whose_text_cannot_be_made_still_makes_an_orderly_crash(
    system: ActorSystem, log: list[str]
) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def fail(_actor: Any) -> None:
        raise Unspeakable

    ref = system.spawn(worker("a", log, factory=Doer))
    ref.tell(Do(fail))
    assert await ref.ask_async(Who()) == 2
    (letter,) = system.dead_letters
    assert letter.detail == "Unspeakable (its text could not be made)"


async def test_a_system_is_opened_once() -> None:
    async with new_system() as system:
        pass
    with pytest.raises(Exception, match="opened before"):
        async with system:
            pass


async def test_delays_of_zero_keep_the_kernels_promises(system: ActorSystem, log: list[str]) -> None:
    def at_once(_envelope: Any) -> Verdict:
        return Delay(0.0)

    ref = system.spawn(worker("a", log))
    await settle()
    system.intercept(at_once)
    for number in range(5):
        ref.tell(Note(str(number)))
    await settle()
    assert log == ["start a", "0", "1", "2", "3", "4"]
