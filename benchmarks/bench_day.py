"""A whole simulated trading day beside its budget: 40 pairs, 200 fills, minute sweeps, heartbeats, the full protocol.

The runtime and the venue are two processes with real connections between them, and in lock-step: while one works, the
other waits. So the day costs what both cost together, and nearly all of it is HTTP: its second yardstick is as many
bare exchanges between the same client and the same server, with nothing around them.

Beside it the same forty pairs as a drawn world lives through them: one process, streams and a disk in memory, and with
faults and restarts strewn over the day. Its seeds differ in both, so each is measured, and the budget is for each.

`python -m benchmarks.bench_day profile` prints where the time of the runtime's process goes instead.
"""

import cProfile
import json
import logging
import pstats
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import structlog
import trio
from tallystick.actors.connect import SeamTransport, connect_tcp
from tallystick.store import Durability
from tallystick.testing.day_drawing import plan_day
from tallystick.testing.day_record import read_day, what_differs
from tallystick.testing.day_run import run_day
from tallystick.testing.venue_process import venue_process
from tallystick.testing.world.campaign import plan_of
from tallystick.testing.world.life import live

from .measure import Row, median_of, progress, row, scratch_directory

BUDGET_SECONDS = 10.0
SEED, PAIRS = 1, 40
ROUNDS: tuple[tuple[Durability, int], ...] = (("process", 3), ("fsync", 1))
BARE_EXCHANGES = 2_000
WORLD_SEEDS = (1, 2, 3)


def run() -> Iterator[Row]:
    """Yield the day with each durability, its exchanges, how its cost is shared, and the day in one process."""
    for durability, rounds in ROUNDS:
        name = f"day: {PAIRS} pairs from half past nine to four, {durability} durability"
        seconds = median_of(rounds, lambda d=durability: _day_seconds(d), name)  # type: ignore[misc]  # bound each time
        yield row(name, seconds, "s", BUDGET_SECONDS)
    with scratch_directory() as directory, _counted() as exchanges:
        before = _processor_seconds()
        _day(directory, "process")
        ours, theirs = (after - earlier for after, earlier in zip(_processor_seconds(), before, strict=True))
    bare = _bare_exchange_seconds()
    yield row("day: processor time of the runtime's process", ours, "s", bare * exchanges[0])
    yield row("day: processor time of the venue's process", theirs, "s", bare * exchanges[0])
    for seed in WORLD_SEEDS:
        yield _world_day(seed)
    progress(f"day: {exchanges[0]} exchanges; a bare one takes {bare * 1e6:.0f} us, both sides together")


def _day_seconds(durability: Durability) -> float:
    with scratch_directory() as directory:
        return _day(directory, durability)


def _day(directory: Path, durability: Durability) -> float:
    """One lawful clean day; what it took, start and end of the venue's process included."""
    plan = plan_day(SEED, PAIRS)
    store = directory / "store"
    run = run_day(plan, with_faults=False, store=store, venue_log=directory / "venue.log", durability=durability)
    differs = what_differs(plan, run, read_day(store), with_faults=False)
    if differs:
        raise RuntimeError(f"an unlawful day measures nothing: {differs[0]}")
    return run.wall_seconds


def _world_day(seed: int) -> Row:
    """Processor time of one lawful day in a world of its own, faults and restarts included."""
    plan = plan_of(seed, full=True)
    began = time.process_time()
    outcome = live(plan)
    seconds = time.process_time() - began
    if outcome.breaches:
        raise RuntimeError(f"an unlawful day measures nothing: {outcome.breaches[0]}")
    name = f"day: one process, with faults, seed {seed} ({outcome.starts} starts): processor time"
    return row(name, seconds, "s", BUDGET_SECONDS)


def _processor_seconds() -> tuple[float, float]:
    """What this process and its ended children have used so far."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Count every exchange of the gateway while the block lasts."""
    count = [0]
    handle = SeamTransport.handle_async_request

    async def counted(self: SeamTransport, request: httpx.Request) -> httpx.Response:
        count[0] += 1
        return await handle(self, request)

    SeamTransport.handle_async_request = counted  # type: ignore[method-assign]  # counting is all that is added
    try:
        yield count
    finally:
        SeamTransport.handle_async_request = handle  # type: ignore[method-assign]  # as before


def _bare_exchange_seconds() -> float:
    """One GET of the venue's time after the other, over one kept connection; nothing else runs in either process."""

    async def main(url: str) -> float:
        async with httpx.AsyncClient(transport=SeamTransport(connect_tcp)) as client:
            began = 0.0
            for number in range(-100, BARE_EXCHANGES):
                if number == 0:
                    began = time.perf_counter()
                await client.get(f"{url}/time")
            return (time.perf_counter() - began) / BARE_EXCHANGES

    with scratch_directory() as directory, venue_process([], log=directory / "venue.log") as venue:
        return trio.run(main, venue.addresses.clob)


def _profile() -> None:
    profile = cProfile.Profile()
    with scratch_directory() as directory:
        profile.runcall(_day, directory, "process")
    for order in ("tottime", "cumtime"):
        pstats.Stats(profile).sort_stats(order).print_stats(40)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    logging.getLogger("tallystick.actors").setLevel(logging.ERROR)
    if sys.argv[1:] == ["profile"]:
        _profile()
    else:
        for found in run():
            print(json.dumps(found), flush=True)
