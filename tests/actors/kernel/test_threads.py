"""The border between host threads and the actors' loop: order, bounds, and the end of either side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio
from pykka import ActorDeadError
from tallystick.actors.kernel import (
    Actor,
    ActorError,
    ActorRef,
    ActorSystem,
    DomainError,
    MailboxFull,
    MailboxSpec,
    Resume,
    Suspend,
    Timeout,
    WouldBlock,
)

from .test_pykka_face import WAIT_SECONDS, from_a_thread
from .world import Do, Doer, Note, Refuse, Who, Worker, worker


def test_threads_ask_spawn_and_control_from_outside() -> None:
    def body(system: ActorSystem) -> None:
        log: list[str] = []
        ref = system.spawn(worker("a", log))
        assert ref.ask(Who(), timeout=WAIT_SECONDS) == 1
        with pytest.raises(DomainError):
            ref.ask(Refuse(), timeout=WAIT_SECONDS)
        ref.control(Suspend()).get(timeout=WAIT_SECONDS)
        assert ref.inspect().get(timeout=WAIT_SECONDS).state == "suspended"
        ref.control(Resume()).get(timeout=WAIT_SECONDS)
        assert ref.stop_next().get(timeout=WAIT_SECONDS) is True

    from_a_thread(body)


def test_each_threads_messages_keep_their_order_and_none_is_lost() -> None:
    def body(system: ActorSystem) -> None:
        log: list[str] = []
        ref = system.spawn(Worker, log, mailbox=MailboxSpec(capacity=None))

        def send(name: str) -> None:
            for number in range(500):
                ref.tell(Note(f"{name}{number}"))

        threads = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_SECONDS)
        ref.ask(Who(), timeout=WAIT_SECONDS)
        for name in "abcd":
            assert [line for line in log if line.startswith(name)] == [f"{name}{number}" for number in range(500)]

    from_a_thread(body)


def test_the_bound_holds_for_threads_and_the_refusal_is_immediate() -> None:
    def body(system: ActorSystem) -> None:
        log: list[str] = []
        ref = system.spawn(Worker, log, mailbox=MailboxSpec(capacity=3))
        ref.control(Suspend()).get(timeout=WAIT_SECONDS)
        for _ in range(3):
            ref.tell(Note("x"))
        with pytest.raises(MailboxFull, match="is full; Note was refused"):
            ref.tell(Note("x"))
        with pytest.raises(MailboxFull):
            ref.ask(Note("y"), timeout=WAIT_SECONDS)
        ref.control(Resume())

    from_a_thread(body)


def test_a_message_from_a_thread_wakes_a_sleeping_system_at_once() -> None:
    def body(system: ActorSystem) -> None:
        ref = system.spawn(Doer, [])
        ref.ask(Do(lambda actor: actor.after(3600, Note("far away"))), timeout=WAIT_SECONDS)
        assert ref.ask(Who(), timeout=WAIT_SECONDS) == 1

    from_a_thread(body)


def test_after_the_end_of_the_system_threads_are_told_that_everybody_is_dead() -> None:
    kept: list[Any] = []

    async def main() -> None:
        async with ActorSystem(random=Random(1)) as system:
            kept.extend((system, system.spawn(Worker, [])))

    trio.run(main)
    system, ref = kept

    def body() -> None:
        attempts: list[Callable[[], Any]] = [
            lambda: ref.tell(Note("x")),
            lambda: ref.ask(Note("x")),
            lambda: system.spawn(Worker, []),
            lambda: ref.control(Suspend()).get(timeout=WAIT_SECONDS),
        ]
        for attempt in attempts:
            with pytest.raises(ActorDeadError):
                attempt()
        assert ref.stop() is False
        caught.append("all of them")

    caught: list[str] = []
    thread = threading.Thread(target=body)
    thread.start()
    thread.join(WAIT_SECONDS)
    assert caught == ["all of them"]


async def test_two_systems_live_side_by_side_in_one_loop_and_talk() -> None:
    async with ActorSystem("left", random=Random(1)) as left, ActorSystem("right", random=Random(2)) as right:
        log: list[str] = []
        target = right.spawn(Worker, log, name="same")
        doer = left.spawn(Doer, [], name="same")
        await doer.ask_async(Do(lambda _: target.tell(Note("across"))))
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["start w", "across"]
        assert right.find("/user/same") is target
        assert left.find("/user/same") is doer


def test_two_systems_in_two_threads_talk_through_their_refs() -> None:
    answers: list[Any] = []

    class Echo(Actor):
        def on_receive(self, message: Any) -> Any:
            return f"echo {message}"

    class Relay(Actor):
        def __init__(self, target: ActorRef) -> None:
            super().__init__()
            self.target = target

        def on_receive(self, message: Any) -> Any:
            if message == "go":
                self.target.tell("told across")
                self.answer = self.defer_reply()
                self.ask_for_reply(self.target, "asked across", key="k")
                return None
            self.answer.set(message.value)
            return None

    ready = threading.Event()
    done = threading.Event()
    shared: list[ActorRef] = []

    async def far() -> None:
        async with ActorSystem("far", random=Random(1)) as system:
            shared.append(system.spawn(Echo))
            ready.set()
            await trio.to_thread.run_sync(done.wait, WAIT_SECONDS)

    async def near() -> None:
        async with ActorSystem("near", random=Random(1)) as system:
            answers.append(await system.spawn(Relay, shared[0]).ask_async("go", timeout=WAIT_SECONDS))

    thread = threading.Thread(target=trio.run, args=(far,))
    thread.start()
    try:
        assert ready.wait(WAIT_SECONDS)
        trio.run(near)
    finally:
        done.set()
        thread.join(WAIT_SECONDS)
    assert answers == ["echo asked across"]


def test_a_task_asks_an_actor_of_another_loop_within_its_own_time() -> None:
    shared: list[ActorRef] = []
    ready = threading.Event()
    done = threading.Event()

    async def far() -> None:
        async with ActorSystem("far", random=Random(1)) as system:
            shared.append(system.spawn(Worker, []))
            ready.set()
            await trio.to_thread.run_sync(done.wait, WAIT_SECONDS)

    async def near() -> None:
        (ref,) = shared
        assert await ref.ask_async(Who(), timeout=WAIT_SECONDS) == 1
        await ref.control(Suspend())
        with pytest.raises(Timeout, match=r"did not answer Who within 0\.01 seconds"):
            await ref.ask_async(Who(), timeout=0.01)
        with pytest.raises(WouldBlock, match=r"from another thread use tell"):
            await ref.send(Note("x"))
        ref.stop_next()
        await ref.wait_ended()

    thread = threading.Thread(target=trio.run, args=(far,))
    thread.start()
    try:
        assert ready.wait(WAIT_SECONDS)
        trio.run(near)
    finally:
        done.set()
        thread.join(WAIT_SECONDS)


async def test_an_actor_cannot_watch_into_another_system() -> None:
    async with ActorSystem("left", random=Random(1)) as left, ActorSystem("right", random=Random(2)) as right:
        target = right.spawn(Worker, [])

        def watch(actor: Doer) -> str:
            with pytest.raises(ActorError, match="another actor system"):
                actor.watch(target)
            return "refused"

        assert await left.spawn(Doer, []).ask_async(Do(watch)) == "refused"
