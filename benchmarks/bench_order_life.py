"""The whole life of an order beside its budget: intent, gates, submit, acknowledgement, two fills, done, booked.

The venue answers in the same turn (`instant_venue`); journal, ledger, gates, actors and reports are the real ones.
Every order makes eight events and ten index rows, and is durable before the venue hears of it. For these rows the
yardstick is the budget itself, and for the growth of an order's cost it is the cost of an early order.

`python -m benchmarks.bench_order_life profile` prints where the time goes instead.
"""

import cProfile
import gc
import json
import pstats
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import trio
from tallystick.actors.settings import TraceScope
from tallystick.store import Durability

from .instant_runtime import instant_runtime, run_orders, submit_live
from .instant_venue import SilentTree
from .measure import Row, median_of, progress, row, scratch_directory

ORDERS = 4_000
ROUNDS = 5
WARM_UP = 400
BUDGET_PER_SECOND = 7_500.0

EARLY, LATE = 1_000, 100_000
SAMPLE = 2_000

LIVE_ORDERS = 2_000
LIVE_BYTES_BUDGET = 8 * 1024.0


def run() -> Iterator[Row]:
    """Yield the rate with each durability, what tracing costs, the growth of an order's cost, and a live one's size."""
    for name, life in (
        ("order life: whole orders, fsync", _Life("fsync")),
        ("order life: whole orders, process durability", _Life("process")),
        ("order life: whole orders, fsync, messages not journalled", _Life("fsync", trace="off")),
        ("order life: whole orders, journal in memory, messages not journalled", _Life(None, trace="off")),
    ):
        rate = median_of(ROUNDS, life.orders_per_second, name)
        yield row(name, rate, "orders/s", BUDGET_PER_SECOND, more_is_better=True)
        used = median(life.processor_seconds) * 1e6
        yield row(f"{name}: the loop's processor time", used, "us/order", 1e6 / BUDGET_PER_SECOND)
    early, late = _growth()
    name = f"order life: cost of order {LATE} beside order {EARLY}, process durability"
    yield row(name, late * 1e6, "us/order", early * 1e6)
    yield row("order life: memory of a live order", _live_order_bytes(), "bytes", LIVE_BYTES_BUDGET)


class _Life:
    """Orders at full speed over one kind of journal; without a durability it is in memory, with no thread beside."""

    def __init__(self, durability: Durability | None, *, trace: TraceScope = "orders") -> None:
        self.durability = durability
        self.trace = trace
        self.processor_seconds: list[float] = []
        """Of each round so far: what an order took of the loop's thread, whatever else the machine did."""

    def orders_per_second(self) -> float:
        with scratch_directory() as directory:
            return trio.run(self._main, directory)

    async def _main(self, directory: Path) -> float:
        where = None if self.durability is None else directory
        async with instant_runtime(where, self.durability or "process", trace=self.trace) as runtime:
            await run_orders(runtime, 0, WARM_UP)
            gc.collect()
            began, used = time.perf_counter(), time.thread_time()
            await run_orders(runtime, WARM_UP, ORDERS)
            await runtime.journal.wait_durable(runtime.journal.last_lsn)
            self.processor_seconds.append((time.thread_time() - used) / ORDERS)
            return ORDERS / (time.perf_counter() - began)


def _growth() -> tuple[float, float]:
    """Seconds per order around order 1 000 and around order 100 000 of one runtime: medians over blocks."""

    async def main(directory: Path) -> tuple[float, float]:
        async with instant_runtime(directory, "process") as runtime:
            await run_orders(runtime, 0, EARLY)
            done = EARLY

            async def sample() -> float:
                nonlocal done
                times = []
                for _ in range(ROUNDS):
                    began = time.perf_counter()
                    await run_orders(runtime, done, SAMPLE)
                    times.append((time.perf_counter() - began) / SAMPLE)
                    done += SAMPLE
                return median(times)

            early = await sample()
            while done < LATE:
                await run_orders(runtime, done, SAMPLE)
                done += SAMPLE
                progress(f"order life: {done} of {LATE} orders")
            return early, await sample()

    with scratch_directory() as directory:
        return trio.run(main, directory)


def _live_order_bytes() -> float:
    """What one acknowledged order holds: its state, actors, timers, tickets, indexes; everything but the disk."""

    async def main(directory: Path) -> float:
        async with instant_runtime(directory, "process", tree=SilentTree()) as runtime:
            # The ring of the trace is of fixed size: it is filled first, so that it does not count.
            await submit_live(runtime, 0, LIVE_ORDERS)
            while len(runtime.system.trace) < runtime.system.trace.size:
                await submit_live(runtime, len(runtime.ledger.orders), LIVE_ORDERS)
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            first = len(runtime.ledger.orders)
            await submit_live(runtime, first, LIVE_ORDERS)
            gc.collect()
            used = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            return used / LIVE_ORDERS

    with scratch_directory() as directory:
        return trio.run(main, directory)


def _profile() -> None:
    profile = cProfile.Profile()
    profile.enable()
    _Life(None).orders_per_second()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(60)


if __name__ == "__main__":
    if sys.argv[1:] == ["profile"]:
        _profile()
    else:
        for line in run():
            print(json.dumps(line))
