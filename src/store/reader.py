"""Reading a store from another process: the console, the command line, a strategy's own tools.

A reader works on a live or a stopped store and sees what is committed. It never writes, and no transaction of it
outlives a call, so it pins no pages of a running owner.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import lmdb

from .archive import Archived, archived_files, spanning
from .environment import (
    EPOCH_KEY,
    FORMAT_KEY,
    STORE_TABLES,
    Environment,
    EnvironmentSource,
    check_format,
    read_error,
)
from .errors import FailureReason, StoreClosed, StoreCorrupt, StoreLocked, StoreMissing, UnknownTable
from .files import DATA_FILE, read_header
from .folder import ARCHIVE_FOLDER, FileFolder
from .lock import LOCK_FILE, Holder, is_held, read_holder
from .port import Entry, Lsn, Snapshot, Snapshots
from .reading import FIRST_LSN, decoded, entities, read_snapshots, snapshot_slots, unpack_number
from .retention import Retention, Run, plan
from .schema import META, SNAPSHOTS, Schema

_SPARE_TABLES = 32
_TRIES = 3


class Reader:
    """The reading half of a store in a directory; made by `open_reader`. A context manager; see `Records`."""

    def __init__(self, directory: Path, env: lmdb.Environment, schema: Schema, max_dbs: int) -> None:
        self._directory = directory
        self._schema = schema
        self._tables = frozenset(schema.tables)
        self._environment: Environment | None = Environment(env, directory, max_dbs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the reader. Calls after this raise `StoreClosed`."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    @property
    def owner(self) -> Holder | None:
        """Who holds the store now, or None where it is stopped."""
        lock_path = self._directory / LOCK_FILE
        return read_holder(lock_path) if is_held(lock_path) else None

    @property
    def epoch(self) -> int:
        """The epoch of the newest owner."""
        return self._number(EPOCH_KEY, 0)

    @property
    def first_lsn(self) -> Lsn:
        """The oldest LSN in the journal itself; what is older lies in archive files."""
        return self._opened.first_lsn()

    @property
    def last_lsn(self) -> Lsn:
        """The newest committed LSN."""
        return self._opened.last_lsn()

    def get(self, table: str, key: bytes | str) -> bytes | None:
        """Return the committed row, or None."""
        return self._opened_for(table).get(table, key.encode() if isinstance(key, str) else key)

    def scan(
        self, table: str, prefix: bytes | str = b"", *, after: bytes | None = None, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over committed rows as of the call; see `Records.scan`."""
        data = prefix.encode() if isinstance(prefix, str) else prefix
        return iter(self._opened_for(table).scan(table, data, after, limit))

    def raw(self, start: Lsn = FIRST_LSN, *, until: Lsn | None = None) -> Iterator[tuple[Lsn, bytes]]:
        """Iterate over stored records; see `Records.raw`."""
        last = self.last_lsn
        return spanning(self._source, start, last if until is None else min(until, last))

    def read(self, start: Lsn = FIRST_LSN, *, until: Lsn | None = None) -> Iterator[Entry]:
        """Iterate over entries; see `Records.read`."""
        return decoded(self._schema.codec, self.raw(start, until=until))

    def archives(self) -> list[Archived]:
        """Return the archive files that the store knows; see `Records.archives`."""
        return archived_files(self._source)

    def archive_files(self) -> list[tuple[Archived, bool]]:
        """Return the archive files that the store knows, and whether each is there. Their content is not read."""
        there = set(self._source.folder.names())
        return [(known, known.name in there) for known in self.archives()]

    def plan_archive(self, policy: Retention, *, now_ns: int) -> tuple[list[Run], str]:
        """Return what an owner would archive now, file by file, and what keeps the rest in the journal."""
        return plan(self._source, policy, self.last_lsn, now_ns)

    def snapshot(self, entity: str) -> Snapshot | None:
        """Return the newest intact snapshot of an entity, or None."""
        return next(iter(self.read_snapshots(entity).intact), None)

    def read_snapshots(self, entity: str) -> Snapshots:
        """Return the intact snapshots of an entity and what is wrong with others; see `Records.read_snapshots`."""
        return read_snapshots(self._opened.get(SNAPSHOTS, slot) for slot in snapshot_slots(entity))

    def snapshots(self, prefix: str = "") -> Iterator[str]:
        """Iterate over the entities that have a snapshot."""
        return entities(self._opened.scan(SNAPSHOTS, prefix.encode(), None, None))

    @property
    def _opened(self) -> Environment:
        if self._environment is None:
            raise StoreClosed(FailureReason.CLOSED, f"this reader of {self._directory} was closed")
        return self._environment

    def _opened_for(self, table: str) -> Environment:
        if table not in self._tables and table not in STORE_TABLES:
            raise UnknownTable(f"the schema declares no table {table!r}; it has {sorted(self._tables)}")
        environment = self._opened
        if table not in environment:  # the owner may have made it since; until then it has no rows
            environment.open_tables((table,), None, create=False)
        return environment

    @property
    def _source(self) -> EnvironmentSource:
        return EnvironmentSource(self._opened, FileFolder(self._directory / ARCHIVE_FOLDER))

    def _number(self, key: bytes, default: int) -> int:
        value = self._opened.get(META, key)
        return default if value is None else unpack_number(value)


def open_reader(path: str | Path, schema: Schema) -> Reader:
    """Open a store for reading, beside its owner or without one.

    Raises `StoreMissing`, `StoreCorrupt`, `StoreNewer`, `StoreUnsuitable`, or `StoreLocked` where this very process
    is the owner: LMDB allows one environment a process, so read through the journal there.
    """
    directory = Path(path)
    _inspect(directory)
    max_dbs = len(STORE_TABLES) + len(schema.tables) + _SPARE_TABLES
    try:
        env = lmdb.open(
            str(directory),
            readonly=True,
            create=False,
            map_size=0,
            max_dbs=max_dbs,
            max_spare_txns=1,
        )
    except lmdb.Error as error:
        if "already open in this process" in str(error):
            raise StoreLocked(
                f"{directory} is already open in this process; read through the journal or reader that holds it"
            ) from error
        raise read_error(error, directory / DATA_FILE) from error
    reader = Reader(directory, env, schema, max_dbs)
    try:
        _check(reader, directory)
    except BaseException:
        reader.close()
        raise
    return reader


def _inspect(directory: Path) -> None:
    """Judge the file before it is mapped. A live owner may be extending it, so a short file gets another look."""
    data_path = directory / DATA_FILE
    size = used = 0
    for _ in range(_TRIES):
        header = read_header(data_path)
        if header is None:
            raise StoreMissing(f"there is no store at {directory} yet: {data_path.name} is empty")
        size, used = data_path.stat().st_size, header.used_size
        if size >= used:
            return
    raise StoreCorrupt(f"{data_path} ends at byte {size}, but its header speaks of {used} bytes: it was cut off")


def _check(reader: Reader, directory: Path) -> None:
    environment = reader._opened  # noqa: SLF001  # the two make one whole
    environment.open_tables((*STORE_TABLES, *reader._schema.tables), None, create=False)  # noqa: SLF001  # as above
    if META not in environment:
        raise StoreCorrupt(f"{directory / DATA_FILE} is an LMDB file, but no store: it has no table {META!r}")
    check_format(environment.get(META, FORMAT_KEY), directory)
