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
from tallystick.runtime import Runtime
from tallystick.store import Durability

from .instant_runtime import IN_FLIGHT_MAXIMUM, instant_runtime, intent, run_orders
from .instant_venue import InstantGateway, InstantTree
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
    """Yield the rate with each durability, the growth of an order's cost, and the memory of a live order."""
    for name, on_disk, durability in (
        ("order life: whole orders, fsync", True, "fsync"),
        ("order life: whole orders, process durability", True, "process"),
        ("order life: whole orders, journal in memory (the loop's own cost)", False, "fsync"),
    ):
        rate = median_of(ROUNDS, lambda d=durability, o=on_disk: _orders_per_second(d, on_disk=o), name)  # type: ignore[misc]
        yield row(name, rate, "orders/s", BUDGET_PER_SECOND, more_is_better=True)
    early, late = _growth()
    name = f"order life: cost of order {LATE} beside order {EARLY}, process durability"
    yield row(name, late * 1e6, "us/order", early * 1e6)
    yield row("order life: memory of a live order", _live_order_bytes(), "bytes", LIVE_BYTES_BUDGET)


def _orders_per_second(durability: Durability, *, on_disk: bool) -> float:
    async def main(directory: Path | None) -> float:
        async with instant_runtime(directory, durability) as runtime:
            await run_orders(runtime, 0, WARM_UP)
            gc.collect()
            began = time.perf_counter()
            await run_orders(runtime, WARM_UP, ORDERS)
            await runtime.journal.wait_durable(runtime.journal.last_lsn)
            return ORDERS / (time.perf_counter() - began)

    with scratch_directory() as directory:
        return trio.run(main, directory if on_disk else None)


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


class _SilentGateway(InstantGateway):
    """Acknowledges and never fills: orders stay live."""

    fills = False


class _SilentTree(InstantTree):
    gateway = _SilentGateway


def _live_order_bytes() -> float:
    """What one acknowledged order holds: its state, actors, timers, tickets, indexes; everything but the disk."""

    async def main(directory: Path) -> float:
        async with instant_runtime(directory, "process", _SilentTree()) as runtime:
            # The ring of the trace is of fixed size: it is filled first, so that it does not count.
            await _submit_live(runtime, 0, LIVE_ORDERS)
            while len(runtime.system.trace) < runtime.system.trace.size:
                await _submit_live(runtime, len(runtime.ledger.orders), LIVE_ORDERS)
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            first = len(runtime.ledger.orders)
            await _submit_live(runtime, first, LIVE_ORDERS)
            gc.collect()
            used = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            return used / LIVE_ORDERS

    with scratch_directory() as directory:
        return trio.run(main, directory)


async def _submit_live(runtime: Runtime, first: int, count: int) -> None:
    expires_at_ns = time.time_ns() + 3600 * 10**9
    for start in range(first, first + count, IN_FLIGHT_MAXIMUM):
        for number in range(start, min(start + IN_FLIGHT_MAXIMUM, first + count)):
            runtime.submit_soon(intent(number, expires_at_ns), lambda _ticket: None)
        while not runtime.is_idle or len(runtime.ledger.by_venue_id) < start + IN_FLIGHT_MAXIMUM - first:
            await trio.sleep(0.001)


def _profile() -> None:
    profile = cProfile.Profile()
    profile.enable()
    _orders_per_second("process", on_disk=False)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(60)


if __name__ == "__main__":
    if sys.argv[1:] == ["profile"]:
        _profile()
    else:
        for line in run():
            print(json.dumps(line))
