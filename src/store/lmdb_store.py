"""The store on LMDB: the owner's journal over a directory.

A commit is made by the writer's thread, since a disk is slow. One that waits for no disk (`durability="process"`) and
is small takes 10 to 30 µs, less than waking the thread and being woken by it; so it is made on the owner's loop. What
makes it short is kept in sight: large batches go to the thread, those of archive runs and snapshots among them; and
after a commit that took longer than `DIRECT_SECONDS_MAX`, as where the kernel holds up whoever writes because too much
is unwritten, all of them do for `DIRECT_PAUSE_SECONDS`.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import trio

from .batch import TABLES_OF_THE_STORE, Batch
from .environment import Environment
from .errors import StoreFailed
from .folder import Folder
from .group import GroupJournal
from .lock import OwnerLock
from .port import Durability, Lsn, is_synced
from .schema import SNAPSHOTS, Schema
from .writer import Settings, Writer, WriterThread

__all__ = ["Durability", "LmdbStore", "open_store"]

T = TypeVar("T")

GIB = 1 << 30
MAP_SIZE_BYTES = GIB
MAP_SIZE_BYTES_MAX = 64 * GIB
VERIFY_BYTES_MAX = 64 << 20

DIRECT_ROWS_MAX = 256
"""Rows and records of a batch that is committed on the loop: some 100 µs."""
DIRECT_BYTES_MAX = 64 << 10
"""Bytes of its records: an audited page may be large."""
DIRECT_SECONDS_MAX = 0.002
DIRECT_PAUSE_SECONDS = 1.0


class _LmdbDisk:
    """The directory below a store, as the group journal sees it."""

    def __init__(self, settings: Settings, lock: OwnerLock, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self._tables = (*settings.tables, *TABLES_OF_THE_STORE)
        self._writer = Writer(settings, lock)
        self._lock = lock
        self._monotonic = monotonic
        self._thread: WriterThread | None = None
        self._done: Callable[[StoreFailed | None], None] | None = None
        self._direct_from = float("inf") if settings.sync else float("-inf")
        """From when on small batches are committed on the loop; never where a commit waits for the disk."""

    async def open(self, done: Callable[[StoreFailed | None], None]) -> Writer:
        self._done = done
        thread = WriterThread(self._writer, done)
        await thread.start()
        self._thread = thread
        return self._writer

    @property
    def _environment(self) -> Environment:
        environment = self._writer.environment
        assert environment is not None
        return environment

    def new_batch(self, first_lsn: Lsn) -> Batch:
        return Batch(first_lsn, self._tables)

    def begin_commit(self, batch: Batch) -> None:
        assert self._thread is not None
        assert self._done is not None
        if self._is_direct(batch):
            self._done(self._write_directly(batch))
        else:
            self._thread.write(batch)

    def _is_direct(self, batch: Batch) -> bool:
        return (
            batch.rows_count + len(batch.records) <= DIRECT_ROWS_MAX
            and not batch.rows[SNAPSHOTS]
            and batch.prune_below is None
            and self._monotonic() >= self._direct_from
            and sum(map(len, batch.records)) <= DIRECT_BYTES_MAX
        )

    def _write_directly(self, batch: Batch) -> StoreFailed | None:
        """Commit here and now. No batch is with the thread meanwhile, so nobody else holds LMDB's lock for writing."""
        began = self._monotonic()
        failure = self._writer.write(batch)
        ended = self._monotonic()
        if ended - began > DIRECT_SECONDS_MAX:
            self._direct_from = ended + DIRECT_PAUSE_SECONDS
        return failure

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._environment.get(table, key)

    def scan(self, table: str, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        return self._environment.scan(table, prefix, after, limit)

    def records(self, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
        return self._environment.records(start, until)

    @property
    def first_lsn(self) -> Lsn:
        return self._environment.first_lsn()

    @property
    def folder(self) -> Folder:
        return self._writer.folder

    def has_archived(self) -> bool:
        return self._environment.has_archived()

    async def run(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work)

    def forked(self) -> None:
        self._lock.abandon()

    def abandon(self) -> None:
        if self._thread is not None:
            self._thread.stop_soon()

    async def close(self) -> None:
        if self._thread is not None:
            await self._thread.stop()


class LmdbStore(GroupJournal):
    """The owner's store in a directory; made by `open_store`."""


def open_store(
    path: str | Path,
    schema: Schema,
    *,
    durability: Durability = "fsync",
    map_size_bytes: int = MAP_SIZE_BYTES,
    map_size_bytes_max: int = MAP_SIZE_BYTES_MAX,
    verify_bytes_max: int = VERIFY_BYTES_MAX,
    on_failure: Callable[[StoreFailed], None] | None = None,
    owner: str = "tallystick",
    build: str = "0",
    now_ns: Callable[[], int] = time.time_ns,
) -> LmdbStore:
    """Return the store at a directory, to be entered as an async context manager, which opens it.

    `map_size_bytes` is the map's first size; it doubles when full, up to `map_size_bytes_max`. Files of up to
    `verify_bytes_max` have every page checked at open (about 0.6 s for 64 MiB); larger ones only where their header
    gives cause. `on_failure` is called once, on the trio thread, when the store stops accepting. `owner`, `build` and
    the time are what a second opener and an investigator get to read.

    Opening raises `StoreLocked`, `StoreNewer`, `StoreCorrupt` or `StoreUnsuitable`. It lowers the interpreter's
    switch interval (see `writer`).
    """
    directory = Path(path)
    settings = Settings(
        directory,
        schema,
        sync=is_synced(durability),
        map_size_bytes=map_size_bytes,
        map_size_bytes_max=map_size_bytes_max,
        verify_bytes_max=verify_bytes_max,
        build=build,
    )
    lock = OwnerLock(directory, owner=owner, opened_at_ns=now_ns())
    return LmdbStore(_LmdbDisk(settings, lock), schema, on_failure=on_failure)
