"""The store against its budgets, each beside its yardstick in the same run.

Run it with ``python -m benchmarks.bench_store [directory]``; the directory decides which disk is measured. One line of
JSON a measurement, value and yardstick in the same unit; ``ratio`` is yardstick over value, so more is better. Where
the yardstick is the bare operation below (one fdatasync, LMDB alone), one would be perfect.
"""

import json
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import lmdb
import msgspec
import trio
from tallystick.store import Codec, Durability, Event, IndexPut, Schema, open_store

SINGLES = 400
EVENTS = 100_000
EVENTS_A_TICK = 64
EVENTS_A_TRANSACTION = 1000
REPEATS = 3
MICRO = 1e6
DURABILITIES: tuple[Durability, ...] = ("fsync", "process")


class Moved(msgspec.Struct, frozen=True):
    """An event of an order's life, as large as most."""

    order: str
    account: str
    price: Decimal
    quantity: Decimal
    venue_time_ns: int
    trade: str


def rows(event: Event) -> Iterable[IndexPut]:
    """Ten rows for eight events: each moves its order, and two are fills."""
    assert isinstance(event, Moved)
    moved = IndexPut("orders", event.order, event.trade.encode())
    if event.venue_time_ns % 4 == 0:
        return (moved, IndexPut("fills", event.trade, event.order.encode()))
    return (moved,)


def make_schema() -> Schema:
    """The schema of this benchmark."""
    codec = Codec()
    codec.register(Moved, kind="order.moved")
    return Schema(codec, tables=("orders", "fills", "timers", "outbox"), indexer=rows)


def make_events(count: int) -> list[Moved]:
    """Events of orders with eight events each; their trades come in no order."""
    price, quantity = Decimal("0.53"), Decimal("120.5")
    return [
        Moved(f"order-{number // 8:010}", "polymarket:main", price, quantity, number, f"{number * 7919 % 1_000_003:06}")
        for number in range(count)
    ]


def fdatasync_seconds(directory: Path) -> float:
    """Median of one write of 200 bytes, made safe."""
    path = directory / "yardstick"
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        os.write(file, bytes(1 << 20))
        os.fsync(file)
        samples = []
        for number in range(SINGLES):
            started = time.perf_counter()
            os.pwrite(file, bytes(200), number * 200)
            os.fdatasync(file)
            samples.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(samples)


async def single_seconds(directory: Path, durability: Durability) -> float:
    """Median from an append to its action."""
    samples = []
    async with open_store(directory, make_schema(), durability=durability) as journal:
        for event in make_events(SINGLES):
            started = time.perf_counter()
            await journal.wait_durable(journal.append(event, at_ns=1, cause=1))
            samples.append(time.perf_counter() - started)
    return statistics.median(samples)


async def append_seconds(directory: Path) -> float:
    """The owner's share of an event: encoding, rows, and its place in the batch."""
    events = make_events(EVENTS)
    total = 0.0
    async with open_store(directory, make_schema(), durability="process") as journal:
        for first in range(0, EVENTS, EVENTS_A_TICK):
            part = events[first : first + EVENTS_A_TICK]
            started = time.perf_counter()
            for event in part:
                journal.append(event, at_ns=1, cause=1)
            total += time.perf_counter() - started
            await journal.wait_durable(journal.last_lsn)  # so that the writer thread takes no turn in between
    return total / EVENTS


def encode_seconds() -> float:
    """Encoding an event alone."""
    codec = make_schema().codec
    events = make_events(EVENTS // 4)

    def encode_all() -> float:
        started = time.perf_counter()
        for event in events:
            codec.encode(event, 1, 1, 1, 1)
        return (time.perf_counter() - started) / len(events)

    return best_of(encode_all)


async def burst_seconds(directory: Path, durability: Durability) -> float:
    """Seconds per event until all of a burst is durable, while the owner stays busy."""
    events = make_events(EVENTS)
    async with open_store(directory, make_schema(), durability=durability) as journal:
        started = time.perf_counter()
        for number, event in enumerate(events):
            journal.append(event, at_ns=1, cause=1)
            if number % EVENTS_A_TICK == 0:
                await trio.lowlevel.checkpoint()
        await journal.wait_durable(journal.last_lsn)
        return (time.perf_counter() - started) / EVENTS


def lmdb_burst_seconds(directory: Path, durability: Durability) -> float:
    """The same events and rows, encoded beforehand and put by LMDB alone, a row each, in large transactions."""
    codec = make_schema().codec
    events = make_events(EVENTS)
    records = [codec.encode(event, lsn, 1, 1, 1) for lsn, event in enumerate(events, 1)]
    puts = [[(put.table, str(put.key).encode(), put.value or b"") for put in rows(event)] for event in events]
    number = struct.Struct(">Q").pack
    sync = durability == "fsync"
    directory.mkdir()
    with lmdb.open(str(directory), map_size=1 << 30, max_dbs=8, sync=sync, metasync=sync) as env:
        databases = {name: env.open_db(name.encode()) for name in ("journal", "orders", "fills")}
        started = time.perf_counter()
        for first in range(0, EVENTS, EVENTS_A_TRANSACTION):
            last = first + EVENTS_A_TRANSACTION
            with env.begin(write=True) as txn:
                for lsn, record in enumerate(records[first:last], first):
                    txn.put(number(lsn), record, append=True, db=databases["journal"])
                for group in puts[first:last]:
                    for table, key, value in group:
                        txn.put(key, value, db=databases[table])
        return (time.perf_counter() - started) / EVENTS


async def recovery_seconds(directory: Path, durability: Durability) -> tuple[float, float]:
    """Seconds for reading and decoding all events, and for reading the same rows from LMDB and nothing else."""
    async with open_store(directory, make_schema(), durability=durability) as journal:
        for event in make_events(EVENTS):
            journal.append(event, at_ns=1, cause=1)
    async with open_store(directory, make_schema(), durability=durability) as journal:

        def read() -> float:
            started = time.perf_counter()
            count = sum(1 for _ in journal.read())
            assert count == EVENTS
            return time.perf_counter() - started

        seconds = best_of(read)
    with lmdb.open(str(directory), readonly=True, max_dbs=16, map_size=0) as env:
        database = env.open_db(b"journal", create=False)

        def read_bytes() -> float:
            started = time.perf_counter()
            with env.begin(database) as txn, txn.cursor() as cursor:
                assert sum(len(value) for _, value in cursor) > EVENTS * 100
            return time.perf_counter() - started

        return seconds, best_of(read_bytes)


def best_of(measure: Callable[[], float]) -> float:
    """The least disturbed of a few runs."""
    return min(measure() for _ in range(REPEATS))


def result(name: str, value: float, unit: str, yardstick: float) -> dict[str, object]:
    """One line of the report."""
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "yardstick": round(yardstick, 3),
        "ratio": round(yardstick / value, 3),
    }


def run(directory: Path | None = None) -> Iterator[dict[str, object]]:
    """Yield one result a measurement. Budget for one durable event: 2.5 times one fdatasync."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        place = Path(name)
        fdatasync = fdatasync_seconds(place)
        for durability in DURABILITIES:
            single = trio.run(single_seconds, place / f"single-{durability}", durability)
            yield result(
                f"store: one event durable ({durability}), p50; yardstick one fdatasync of 200 bytes",
                single * MICRO,
                "us",
                fdatasync * MICRO,
            )
        yield result(
            "store: append on the owner's thread, rows included; yardstick encoding alone",
            trio.run(append_seconds, place / "append") * MICRO,
            "us/event",
            encode_seconds() * MICRO,
        )
        for durability in DURABILITIES:
            yield result(
                f"store: burst until durable ({durability}); yardstick LMDB alone, encoded beforehand",
                trio.run(burst_seconds, place / f"burst-{durability}", durability) * MICRO,
                "us/event",
                lmdb_burst_seconds(place / f"lmdb-{durability}", durability) * MICRO,
            )
        for durability in DURABILITIES:
            seconds, bare = trio.run(recovery_seconds, place / f"recovery-{durability}", durability)
            yield result(
                f"store: read and decode {EVENTS} events ({durability}); yardstick the same bytes from LMDB",
                seconds * 1e3,
                "ms",
                bare * 1e3,
            )


if __name__ == "__main__":
    for line in run(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(json.dumps(line))
