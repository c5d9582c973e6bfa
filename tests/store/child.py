"""Other processes for the tests of the store: `python -m tests.store.child <what> <directory> …`."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import trio
import trio.lowlevel
from tallystick.store import Retention, StoreError, open_store

from tests.store.kit import exchange, filled, make_schema, placed


def say(text: object) -> None:
    print(text, flush=True)  # noqa: T201  # the parent reads these lines


async def hold(directory: Path) -> None:
    """Own the store until standard input closes."""
    async with open_store(directory, make_schema(), owner="the other"):
        say(os.getpid())
        await trio.to_thread.run_sync(sys.stdin.read)


async def write(directory: Path) -> None:
    """Append until killed, saying each place only once it is durable."""
    async with open_store(directory, make_schema(), map_size_bytes=1 << 18) as journal:  # so that it must grow
        number: int = journal.last_lsn
        say(f"open {journal.epoch} {journal.last_lsn}")
        while True:
            for _ in range(40):
                number += 1
                order = f"o{number}"
                journal.append(placed(order), filled(order, f"t{number}"), exchange(number), at_ns=number)
            journal.when_durable(journal.last_lsn, partial(say, journal.last_lsn))
            await journal.wait_durable(journal.last_lsn)


async def archive(directory: Path) -> None:
    """Append and archive until killed, saying each place only once it is durable."""
    policy = Retention(keep_days=0, keep_entries=50, entries_per_file=300)

    async def archiving() -> None:
        while True:
            await journal.archive_next(policy, now_ns=1 << 62)
            await trio.lowlevel.checkpoint()

    async with open_store(directory, make_schema()) as journal, trio.open_nursery() as nursery:
        number: int = journal.last_lsn
        say(f"open {journal.epoch} {journal.last_lsn} {journal.first_lsn}")
        nursery.start_soon(archiving)
        while True:
            for _ in range(40):
                number += 1
                journal.append(placed(f"o{number}"), filled(f"o{number}", f"t{number}"), exchange(number), at_ns=number)
            journal.put_snapshot("ledger", journal.last_lsn, b"state")
            journal.when_durable(journal.last_lsn, partial(say, journal.last_lsn))
            await journal.wait_durable(journal.last_lsn)


async def fill(directory: Path, map_size_bytes_max: int) -> None:
    """Append until the store fails, and say how it did."""
    notes: list[str] = []
    store = open_store(
        directory,
        make_schema(),
        map_size_bytes=1 << 18,
        map_size_bytes_max=map_size_bytes_max,
        on_failure=lambda failure: notes.append(failure.reason.name),
    )
    await store.start()
    durable = 0

    def note(lsn: int) -> None:
        nonlocal durable
        durable = lsn

    try:
        for number in range(1_000_000):
            lsn = store.append(*(exchange(number) for _ in range(10)), placed(f"o{number}"), at_ns=number)
            store.when_durable(lsn, partial(note, lsn))
            await store.wait_durable(lsn)
    except StoreError as error:
        say(f"{type(error).__name__}: {error}")
    readable = sum(1 for _ in store.read(until=store.durable_lsn)) if store.durable_lsn else 0
    await store.close()
    say(f"{notes} {durable} {readable}")


def limited(directory: Path, size_bytes: int) -> None:
    """Fill a store while no file may grow beyond a size, as on a full disk."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    trio.run(fill, directory, 1 << 30)


def take_head_away(data_path: Path) -> None:
    """Make LMDB's own descriptor for the head of its file (the synchronous one) refuse writes."""
    for link in list(Path("/proc/self/fd").iterdir()):
        if link.resolve() == data_path:
            flags = Path(f"/proc/self/fdinfo/{link.name}").read_text(encoding="ascii").split("flags:\t")[1].split()[0]
            if int(flags, 8) & os.O_DSYNC:
                os.dup2(os.open(data_path, os.O_RDONLY), int(link.name))


async def headless(directory: Path) -> None:
    """Lose the head of the file, fail, and read on."""
    store = open_store(directory, make_schema())
    await store.start()
    await store.wait_durable(store.append(placed("a"), placed("b"), placed("c"), at_ns=0))
    take_head_away(directory / "data.mdb")
    lsn = store.append(placed("d"), at_ns=0)
    try:
        await store.wait_durable(lsn)
    except StoreError as error:
        say(f"{type(error).__name__}: {error}")
    say(f"{[entry.lsn for entry in store.read(until=store.durable_lsn)]} {store.get('open_orders', 'a')!r}")
    await store.close()


if __name__ == "__main__":
    what, directory = sys.argv[1], Path(sys.argv[2])
    match what:
        case "hold":
            trio.run(hold, directory)
        case "write":
            trio.run(write, directory)
        case "archive":
            trio.run(archive, directory)
        case "fill":
            trio.run(fill, directory, int(sys.argv[3]))
        case "limited":
            limited(directory, int(sys.argv[3]))
        case "headless":
            trio.run(headless, directory)
