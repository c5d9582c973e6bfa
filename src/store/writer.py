"""What writes: every write transaction of a store begins and ends here, and the thread that most of them run on.

It takes one batch at a time, so a wake-up in each direction is all that a commit costs the owner. Beside a busy owner
the thread waits for the interpreter's lock after most calls into LMDB, up to one switch interval each time: with
Python's default of 5 ms a transaction of 2,000 rows took 377 ms, with 0.1 ms it took 2 ms. So opening a store lowers
the interval of the whole process to `SWITCH_INTERVAL_SECONDS`.
"""

import contextlib
import itertools
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import lmdb
import trio

from .archive import spanning
from .batch import Batch
from .environment import (
    BUILD_KEY,
    EPOCH_KEY,
    FORMAT,
    FORMAT_KEY,
    INDEX_VERSION_KEY,
    PRUNE_BLOCKS,
    STORE_TABLES,
    Environment,
    EnvironmentSource,
    blocks_of,
    check_format,
    failure_of,
    prunable,
    read_error,
)
from .errors import ArchiveMissing, FailureReason, StoreCorrupt, StoreFailed, StoreUnsuitable
from .files import DATA_FILE, check_pages, read_header, refuse_network_file_system
from .folder import ARCHIVE_FOLDER, FileFolder
from .lock import OwnerLock
from .port import Lsn
from .reading import FIRST_LSN, FIRST_LSN_KEY, decoded, pack_number, unpack_number
from .rows import rows_of
from .schema import JOURNAL, META, Schema

SWITCH_INTERVAL_SECONDS = 0.0001
SPARE_TABLES = 32
READERS_MAX = 126
REBUILD_ROWS = 20_000
READER_CHECK_COMMITS = 4096


class Settings:
    """How a store is opened; see `open_store`."""

    def __init__(
        self,
        directory: Path,
        schema: Schema,
        *,
        sync: bool,
        map_size_bytes: int,
        map_size_bytes_max: int,
        verify_bytes_max: int,
        build: str,
    ) -> None:
        self.directory = directory
        self.schema = schema
        self.tables = schema.tables
        self.max_dbs = len(STORE_TABLES) + len(schema.tables) + SPARE_TABLES
        self.sync = sync
        self.map_size_bytes = min(map_size_bytes, map_size_bytes_max)
        self.map_size_bytes_max = map_size_bytes_max
        self.verify_bytes_max = verify_bytes_max
        self.build = build


class Writer:
    """Owns the environment for writing. `open` and `close` run on its thread, `write` there or on the owner's loop.

    One call at a time, whichever thread it is on: the owner hands over one batch, and the next when that is written.
    """

    def __init__(self, settings: Settings, lock: OwnerLock) -> None:
        self._settings = settings
        self._lock = lock
        self._data_path = settings.directory / DATA_FILE
        self._map_size_bytes = settings.map_size_bytes
        self.folder = FileFolder(settings.directory / ARCHIVE_FOLDER)
        self._commits = 0
        self.environment: Environment | None = None
        self.epoch = 0
        self.first_lsn = FIRST_LSN
        self.last_lsn = Lsn(0)

    # Opening.

    def open(self) -> None:
        """Open the environment as a new epoch. Raises `StoreUnavailable`."""
        settings = self._settings
        try:
            settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_network_file_system(settings.directory)
            self._lock.acquire()
        except OSError as error:
            raise StoreUnsuitable(f"{settings.directory} cannot hold a store: {error}") from error
        try:
            self._inspect()
            env = self._open_environment()
            self.environment = Environment(env, settings.directory, settings.max_dbs)
            env.reader_check()
            stale_rows = self._begin_epoch(self.environment)
            self.last_lsn = self.environment.last_lsn()
            if stale_rows:
                self._rebuild_rows(self.environment)
            self._lock.set_epoch(self.epoch)
        except BaseException:
            self.close()
            raise

    def _inspect(self) -> None:
        """Judge an existing file before it is mapped: reading a page beyond its end would end the process."""
        if not self._data_path.exists():
            return
        header = read_header(self._data_path)
        if header is None:
            return
        size = self._data_path.stat().st_size
        if size < header.used_size or size <= self._settings.verify_bytes_max:
            check_pages(self._data_path)
        if header.used_size > self._settings.map_size_bytes_max:
            raise StoreUnsuitable(
                f"{self._data_path} uses {header.used_size} bytes, more than the ceiling of "
                f"{self._settings.map_size_bytes_max}; raise the ceiling"
            )
        self._map_size_bytes = min(max(self._map_size_bytes, 2 * header.used_size), self._settings.map_size_bytes_max)

    def _open_environment(self) -> lmdb.Environment:
        try:
            return lmdb.open(
                str(self._settings.directory),
                map_size=self._map_size_bytes,
                max_dbs=self._settings.max_dbs,
                max_readers=READERS_MAX,
                max_spare_txns=1,
                mode=0o600,
                create=False,
                sync=self._settings.sync,
                metasync=self._settings.sync,
                writemap=False,  # with a full disk a written map ends the process (SIGBUS)
            )
        except lmdb.Error as error:
            raise read_error(error, self._data_path) from error

    def _begin_epoch(self, environment: Environment) -> bool:
        """Count the epoch up; return whether the index rows are not those of this schema."""
        env = environment.env
        try:
            with env.begin(write=True) as txn:
                fresh = not txn.stat()["entries"]
                environment.open_tables((META,), txn, create=True)
                meta = environment.database(META)
                if fresh:
                    txn.put(FORMAT_KEY, pack_number(FORMAT), db=meta)
                    txn.put(FIRST_LSN_KEY, pack_number(FIRST_LSN), db=meta)
                check_format(txn.get(FORMAT_KEY, db=meta), self._settings.directory)
                environment.open_tables(STORE_TABLES, txn, create=True)
                known = {bytes(name) for name in env.dbs(txn)}
                environment.open_tables(self._settings.tables, txn, create=True)
                self.epoch = unpack_number(txn.get(EPOCH_KEY, pack_number(0), db=meta)) + 1
                self.first_lsn = Lsn(unpack_number(txn.get(FIRST_LSN_KEY, pack_number(FIRST_LSN), db=meta)))
                txn.put(EPOCH_KEY, pack_number(self.epoch), db=meta)
                txn.put(BUILD_KEY, self._settings.build.encode(), db=meta)
                version = pack_number(self._settings.schema.index_version)
                if fresh:
                    txn.put(INDEX_VERSION_KEY, version, db=meta)
                elif not known.issuperset(table.encode() for table in self._settings.tables):
                    txn.delete(INDEX_VERSION_KEY, db=meta)  # stays so until the new table has its rows
                return txn.get(INDEX_VERSION_KEY, db=meta) != version
        except lmdb.IncompatibleError as error:
            raise StoreCorrupt(
                f"{self._data_path} is an LMDB file, but no store: its root holds plain values ({error})"
            ) from error
        except lmdb.MapFullError as error:
            raise StoreUnsuitable(
                f"{self._data_path} is full up to the ceiling of {self._settings.map_size_bytes_max} bytes; raise it"
            ) from error
        except lmdb.Error as error:
            raise read_error(error, self._data_path) from error

    def _rebuild_rows(self, environment: Environment) -> None:
        """Make all index rows anew. Cut short, it starts over at the next opening: the version is written last."""
        schema = self._settings.schema
        try:
            self._read_all(environment)
        except (ArchiveMissing, StoreCorrupt) as error:
            raise StoreUnsuitable(
                f"{self._data_path}: the indexes changed to version {schema.index_version} and must be made anew from "
                f"everything since the beginning, but: {error} Nothing was changed."
            ) from error
        rows = rows_of(schema, decoded(schema.codec, self._all(environment)))
        self._transact(self._empty_tables)
        while part := list(itertools.islice(rows, REBUILD_ROWS)):
            batch = Batch(FIRST_LSN, schema.tables)
            batch.add([], part)
            self._transact(partial(self._put_batch, batch=batch))
        version = pack_number(schema.index_version)
        self._transact(lambda txn, environment: txn.put(INDEX_VERSION_KEY, version, db=environment.database(META)))

    def _all(self, environment: Environment) -> Iterator[tuple[Lsn, bytes]]:
        return spanning(EnvironmentSource(environment, self.folder), FIRST_LSN, self.last_lsn)

    def _read_all(self, environment: Environment) -> None:
        """Read through everything once before anything is emptied: the rows are worth more than their new version."""
        if self.first_lsn != FIRST_LSN:
            for _ in self._all(environment):
                pass

    def _empty_tables(self, txn: "lmdb.Transaction[bytes]", environment: Environment) -> None:
        for table in self._settings.tables:
            txn.drop(environment.database(table), delete=False)

    # Writing.

    def write(self, batch: Batch) -> StoreFailed | None:
        """Commit a batch; return why it could not be."""
        try:
            self._transact(partial(self._put_batch, batch=batch))
        except Exception as error:  # noqa: BLE001  # an unknown error must stop the store, not only this thread
            failure = error if isinstance(error, StoreFailed) else failure_of(error, self._data_path)
        else:
            return None
        if self.environment is not None:
            with contextlib.suppress(lmdb.Error, OSError):  # then reads say so
                self.environment.ensure_readable()
        return failure

    def _transact(self, work: Callable[["lmdb.Transaction[bytes]", Environment], object]) -> None:
        """Do work in one transaction, growing the map and starting over where it is full. Raises `StoreFailed`."""
        environment = self.environment
        assert environment is not None
        while True:
            try:
                with environment.env.begin(write=True) as txn:
                    work(txn, environment)
            except lmdb.MapFullError as error:
                if not self._grow(environment):
                    raise StoreFailed(
                        FailureReason.MAP_FULL,
                        f"{self._data_path} needs more than the ceiling of {self._settings.map_size_bytes_max} "
                        f"bytes ({error}). Nothing further is accepted; reads go on.",
                    ) from error
            except (lmdb.Error, OSError) as error:
                raise failure_of(error, self._data_path) from error
            else:
                self._commits += 1
                if self._commits % READER_CHECK_COMMITS == 0:
                    environment.env.reader_check()  # a killed reader's slot would keep old pages from being reused
                return

    def _put_batch(self, txn: "lmdb.Transaction[bytes]", environment: Environment, batch: Batch) -> None:
        stored = txn.get(EPOCH_KEY, db=environment.database(META))
        if stored is None or unpack_number(stored) != self.epoch:
            raise StoreFailed(
                FailureReason.FENCED,
                f"{self._data_path} is at epoch {stored and unpack_number(stored)}, this owner is {self.epoch}",
            )
        if batch.records:
            blocks = list(blocks_of(batch.first_lsn, batch.records))
            with txn.cursor(environment.database(JOURNAL)) as cursor:
                taken, _ = cursor.putmulti(blocks, overwrite=False, append=True)
            if taken != len(blocks):
                raise StoreCorrupt(f"{self._data_path}: the journal already goes beyond LSN {batch.first_lsn}")
        for table, rows in batch.rows.items():
            if rows:
                self._put_rows(environment, txn, batch, table, rows)
        if batch.prune_below is not None:
            journal = environment.database(JOURNAL)
            for key in prunable(txn, journal, batch.prune_below, PRUNE_BLOCKS):
                txn.delete(key, db=journal)

    @staticmethod
    def _put_rows(
        environment: Environment,
        txn: "lmdb.Transaction[bytes]",
        batch: Batch,
        table: str,
        rows: dict[bytes, bytes | None],
    ) -> None:
        database = environment.database(table)
        with txn.cursor(database) as cursor:
            if table not in batch.deletes:
                cursor.putmulti(rows.items())  # type: ignore[arg-type]  # without deletes there is no None
                return
            cursor.putmulti([(key, value) for key, value in rows.items() if value is not None])
        for key, value in rows.items():
            if value is None:
                txn.delete(key, db=database)

    def _grow(self, environment: Environment) -> bool:
        """Double the map between two transactions, up to the ceiling; False where it is reached."""
        size = min(self._map_size_bytes * 2, self._settings.map_size_bytes_max)
        if size <= self._map_size_bytes:
            return False
        with environment.map_lock:
            environment.env.set_mapsize(size)
        self._map_size_bytes = size
        return True

    def close(self) -> None:
        """Close the environment, with everything on the disk, and give the lock back."""
        if self.environment is not None:
            with contextlib.suppress(lmdb.Error):  # the store failed before; its owner knows
                self.environment.env.sync(True)
            self.environment.close()
            self.environment = None
        self._lock.release()


class WriterThread:
    """Runs a `Writer` on a thread of its own and reports to the owner's trio thread, once per commit."""

    def __init__(self, writer: Writer, on_commit: Callable[[StoreFailed | None], None]) -> None:
        self._writer = writer
        self._on_commit = on_commit
        self._token = trio.lowlevel.current_trio_token()
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)

    async def start(self) -> None:
        """Start the thread and wait until the store is open. Raises what opening raised."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_SECONDS))
        self._thread.start()
        with trio.CancelScope(shield=True):  # a half-open store has nobody to close it
            await self._opened.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def write(self, batch: Batch) -> None:
        """Hand a batch over; `on_commit` answers."""
        self._batches.put(batch)

    def stop_soon(self) -> None:
        """Let the thread close the store and end, without waiting for it."""
        self._batches.put(None)

    async def stop(self) -> None:
        """Close the store and end the thread."""
        self.stop_soon()
        await self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._writer.open()
        except BaseException as error:  # noqa: BLE001  # it belongs to the task that waits for the opening
            self._error = error
            self._report(self._opened.set)
            return
        self._report(self._opened.set)
        while (batch := self._batches.get()) is not None:
            self._report(partial(self._on_commit, self._writer.write(batch)))
        try:
            self._writer.close()
        finally:
            self._report(self._ended.set)

    def _report(self, message: Callable[[], object]) -> None:
        # Where the owner's run has ended, what is committed is safe and nobody is left to tell.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(message)
