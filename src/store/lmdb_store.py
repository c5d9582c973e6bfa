"""The store on LMDB: the owner's journal over a directory."""

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
from .schema import Schema
from .writer import Settings, Writer, WriterThread

__all__ = ["Durability", "LmdbStore", "open_store"]

T = TypeVar("T")

GIB = 1 << 30
MAP_SIZE_BYTES = GIB
MAP_SIZE_BYTES_MAX = 64 * GIB
VERIFY_BYTES_MAX = 64 << 20


class _LmdbDisk:
    """The directory below a store, as the group journal sees it."""

    def __init__(self, settings: Settings, lock: OwnerLock) -> None:
        self._tables = (*settings.tables, *TABLES_OF_THE_STORE)
        self._writer = Writer(settings, lock)
        self._lock = lock
        self._thread: WriterThread | None = None

    async def open(self, done: Callable[[StoreFailed | None], None]) -> Writer:
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
        self._thread.write(batch)

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
