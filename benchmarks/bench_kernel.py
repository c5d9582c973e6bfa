"""The actor kernel against its budgets, each beside pykka's ThreadingActor in the same run.

Run it with ``python -m benchmarks.bench_kernel``. One line of JSON a measurement; ``ratio`` says how many times
better than the yardstick, so more is better everywhere.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pykka
import trio
from tallystick.actors.kernel import Actor, ActorRef, ActorSystem, MailboxSpec, Reply, handles

TELLS = 200_000
ASKS = 5_000
STARTS = 20_000
THREAD_STARTS = 500
REPEATS = 5
UNBOUNDED = MailboxSpec(capacity=None)


class Ping(msgspec.Struct, frozen=True):
    """A small message, as most are."""

    number: int


class Pump(msgspec.Struct, frozen=True):
    """Asks a producer to send its next slice."""

    left: int


class Ask(msgspec.Struct, frozen=True):
    """Asks an asker to make its requests."""

    left: int


class Counter(Actor):
    """Counts what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @handles(Ping)
    def ping(self, message: Ping) -> int:
        self.count += 1
        return message.number


class Producer(Actor):
    """Tells a counter from inside the system, slice by slice, as one actor feeds another."""

    def __init__(self, target: ActorRef) -> None:
        super().__init__()
        self.target = target

    @handles(Pump)
    def pump(self, message: Pump) -> None:
        tell = self.target.tell
        size = min(message.left, 63)
        for number in range(size):
            tell(Ping(number))
        if message.left > size:
            self.actor_ref.tell(Pump(message.left - size))


class Asker(Actor):
    """Requests from a counter, each after the answer to the one before."""

    def __init__(self, target: ActorRef) -> None:
        super().__init__()
        self.target = target
        self.left = 0
        self.answer: Any = None

    @handles(Ask)
    def begin(self, message: Ask) -> None:
        self.left = message.left
        self.answer = self.defer_reply()
        self.ask_for_reply(self.target, Ping(self.left))

    @handles(Reply)
    def next(self, _message: Reply) -> None:
        self.left -= 1
        if self.left:
            self.ask_for_reply(self.target, Ping(self.left))
        else:
            self.answer.set(None)


class ThreadCounter(pykka.ThreadingActor):
    """The same counter on pykka."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: Any) -> Any:
        self.count += 1
        return message.number


class ThreadProducer(pykka.ThreadingActor):
    """The same producer on pykka."""

    def __init__(self, target: pykka.ActorRef[Any]) -> None:
        super().__init__()
        self.target = target

    def on_receive(self, message: Any) -> Any:
        tell = self.target.tell
        if isinstance(message, Ask):
            for number in range(message.left):
                self.target.ask(Ping(number))
            return
        for number in range(message.left):
            tell(Ping(number))


def median_of_repeats(measure: Callable[[], float]) -> float:
    """The median of some repetitions: neither the machine's worst moment nor its best."""
    return statistics.median(measure() for _ in range(REPEATS))


def in_system(body: Callable[[ActorSystem], Any]) -> float:
    """Runs an async measurement inside a fresh system."""

    async def main() -> float:
        async with ActorSystem(random=random.Random(1)) as system:
            return float(await body(system))

    return trio.run(main)


async def tell_seconds(system: ActorSystem) -> float:
    """One actor tells another, traced, until all is handled."""
    counter = system.spawn(Counter, mailbox=UNBOUNDED)
    producer = system.spawn(Producer, counter, mailbox=UNBOUNDED)
    await counter.ask_async(Ping(0))
    started = time.perf_counter()
    producer.tell(Pump(TELLS))
    handled = 0
    while handled < TELLS:
        await trio.lowlevel.checkpoint()
        handled = counter.cell.handled
    return (time.perf_counter() - started) / TELLS


def pykka_tell_seconds() -> float:
    counter = ThreadCounter.start()
    producer = ThreadProducer.start(counter)
    started = time.perf_counter()
    producer.ask(Pump(TELLS))
    counter.ask(Ping(0))
    elapsed = time.perf_counter() - started
    producer.stop()
    counter.stop()
    return elapsed / TELLS


async def ask_seconds(system: ActorSystem) -> float:
    """A trio task asks an actor, each time waiting for the answer."""
    counter = system.spawn(Counter)
    started = time.perf_counter()
    for number in range(ASKS):
        await counter.ask_async(Ping(number))
    return (time.perf_counter() - started) / ASKS


async def request_seconds(system: ActorSystem) -> float:
    """One actor asks another, each time after the answer before."""
    counter = system.spawn(Counter)
    asker = system.spawn(Asker, counter)
    started = time.perf_counter()
    await asker.ask_async(Ask(ASKS))
    return (time.perf_counter() - started) / ASKS


def pykka_ask_seconds() -> float:
    counter = ThreadCounter.start()
    started = time.perf_counter()
    for number in range(ASKS):
        counter.ask(Ping(number))
    elapsed = time.perf_counter() - started
    counter.stop()
    return elapsed / ASKS


def pykka_actor_ask_seconds() -> float:
    counter = ThreadCounter.start()
    asker = ThreadProducer.start(counter)
    started = time.perf_counter()
    asker.ask(Ask(ASKS))
    elapsed = time.perf_counter() - started
    asker.stop()
    counter.stop()
    return elapsed / ASKS


async def start_seconds(system: ActorSystem) -> float:
    """Starts supervised actors until the last of them runs."""
    started = time.perf_counter()
    refs: list[ActorRef] = []
    for number in range(STARTS):
        refs.append(system.spawn(Counter))
        if number % 64 == 0:
            await trio.lowlevel.checkpoint()
    await refs[-1].ask_async(Ping(0))
    return (time.perf_counter() - started) / STARTS


def pykka_start_seconds() -> float:
    started = time.perf_counter()
    refs = [ThreadCounter.start() for _ in range(THREAD_STARTS)]
    refs[-1].ask(Ping(0))
    elapsed = time.perf_counter() - started
    pykka.ActorRegistry.stop_all()
    return elapsed / THREAD_STARTS


async def idle_bytes(system: ActorSystem) -> float:
    """Memory of an idle supervised actor: everything it makes the kernel and the allocator hold."""
    await system.spawn(Counter).ask_async(Ping(0))
    gc.collect()
    before = resident_bytes()
    refs = [system.spawn(Counter) for _ in range(STARTS)]
    await refs[-1].ask_async(Ping(0))
    gc.collect()
    return (resident_bytes() - before) / STARTS


def resident_bytes() -> int:
    """The process's resident memory, from the kernel's own count of pages."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def our_idle_bytes() -> float:
    return in_system(idle_bytes)


def pykka_idle_bytes() -> float:
    gc.collect()
    before = resident_bytes()
    refs = [ThreadCounter.start() for _ in range(THREAD_STARTS)]
    refs[-1].ask(Ping(0))
    used = resident_bytes() - before
    pykka.ActorRegistry.stop_all()
    return used / THREAD_STARTS


def in_fresh_process(measure: Callable[[], float]) -> float:
    """Runs a measurement where nothing was allocated and freed before, which would hide growth."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


def result(name: str, value: float, unit: str, yardstick: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "yardstick": round(yardstick, 3),
        "ratio": round(yardstick / value, 2),
    }


def run() -> Iterator[dict[str, Any]]:
    """Yields one result a budget; the yardstick is pykka's ThreadingActor doing the same."""
    # As the runtime does after its start: what lives for ever is not walked again at each collection.
    gc.collect()
    gc.freeze()
    micro = 1e6
    yield result(
        "kernel: tell between actors, traced",
        median_of_repeats(lambda: in_system(tell_seconds)) * micro,
        "us/message",
        median_of_repeats(pykka_tell_seconds) * micro,
    )
    yield result(
        "kernel: ask between actors",
        median_of_repeats(lambda: in_system(request_seconds)) * micro,
        "us/ask",
        median_of_repeats(pykka_actor_ask_seconds) * micro,
    )
    yield result(
        "kernel: ask from outside the actors",
        median_of_repeats(lambda: in_system(ask_seconds)) * micro,
        "us/ask",
        median_of_repeats(pykka_ask_seconds) * micro,
    )
    yield result(
        "kernel: start an actor",
        median_of_repeats(lambda: in_system(start_seconds)) * micro,
        "us/actor",
        median_of_repeats(pykka_start_seconds) * micro,
    )
    yield result(
        "kernel: memory of an idle actor",
        in_fresh_process(our_idle_bytes),
        "bytes/actor",
        in_fresh_process(pykka_idle_bytes),
    )


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line))
