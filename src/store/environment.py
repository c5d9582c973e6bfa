"""One LMDB environment: its databases, reading from it, and its errors in the store's words.

Journal rows are blocks of records, keyed by the LSN of their first (big-endian, so in order):

    checksum of the rest (CRC-32, 4 bytes) | MessagePack array of records

A block stays below the size at which LMDB moves a value to pages of its own. Against a row per record that saves
most of the writes of a burst, each of which may cost the writer thread its turn, and reads several times as fast.
"""

import errno
import itertools
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import lmdb
import msgspec

from .errors import FailureReason, StoreCorrupt, StoreError, StoreFailed, StoreNewer, StoreUnsuitable
from .files import DATA_FILE, free_bytes
from .folder import Folder
from .port import Lsn
from .reading import FIRST_LSN, FIRST_LSN_KEY, pack_number, sealed, unpack_number, unsealed
from .schema import ARCHIVES, AUDIT, JOURNAL, META, SNAPSHOTS

FORMAT = 1
"""Version of the layout on disk. A newer one is refused, an older one would be converted at open."""

FORMAT_KEY = b"format"
BUILD_KEY = b"build"
EPOCH_KEY = b"epoch"
INDEX_VERSION_KEY = b"index_version"
STORE_TABLES = (META, JOURNAL, SNAPSHOTS, AUDIT, ARCHIVES)

BLOCK_BYTES_MAX = 1900
"""Inline values end near 2,040 bytes with pages of 4,096 (LMDB keeps two nodes on a page)."""

PRUNE_BLOCKS = 64
"""How many journal rows one commit takes away: about 120 KiB, so that it is hardly longer than any other."""

_ALMOST_FULL_BYTES = 1 << 20
_ROWS_PER_READ = 512
_decode_records = msgspec.msgpack.Decoder(list[bytes]).decode
_encode_records = msgspec.msgpack.Encoder().encode

_CORRUPT = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)


def blocks_of(first_lsn: int, records: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over the journal rows that hold the records, in order."""
    start, size = 0, 0
    for place, record in enumerate(records):
        if size and size + len(record) > BLOCK_BYTES_MAX:
            yield _block(first_lsn + start, records[start:place])
            start, size = place, 0
        size += len(record) + 3  # the header of a MessagePack bin of that size
    if size:
        yield _block(first_lsn + start, records[start:])


def _block(lsn: int, records: list[bytes]) -> tuple[bytes, bytes]:
    return pack_number(lsn), sealed(_encode_records(records))


def records_of(key: bytes, value: bytes, data_path: Path) -> tuple[int, list[bytes]]:
    """Return first LSN and records of a journal row. Raises `StoreCorrupt`."""
    lsn = unpack_number(key)
    body = unsealed(value)
    if body is None:
        raise StoreCorrupt(
            f"{data_path}: the journal block at LSN {lsn} ({len(value)} bytes) does not match its checksum; "
            f"entries from {lsn} on cannot be trusted. Reading stops here."
        )
    return lsn, _decode_records(body)


def prunable(txn: "lmdb.Transaction[bytes]", journal: "lmdb._Database", below: Lsn, count: int) -> list[bytes]:
    """Return the keys of up to `count` journal rows that hold nothing from `below` on.

    The last row of all is never among them: it says where the journal ends.
    """
    with txn.cursor(journal) as cursor:
        keys = list(itertools.islice(cursor.iternext(keys=True, values=False), count + 1)) if cursor.first() else []
    return [key for key, successor in itertools.pairwise(keys) if unpack_number(successor) <= below]


def failure_of(error: Exception, data_path: Path) -> StoreFailed:
    """Return why a write failed, in the store's words."""
    code = error.code if isinstance(error, lmdb.Error) else error.errno if isinstance(error, OSError) else None
    if code in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        reason = FailureReason.DISK_FULL
    elif code == errno.EIO and free_bytes(data_path) < _ALMOST_FULL_BYTES:
        reason = FailureReason.DISK_FULL  # LMDB reports a write that was cut short for want of space as EIO
    elif code in {errno.EIO, errno.EROFS, errno.ENXIO} or isinstance(error, lmdb.DiskError | lmdb.PanicError):
        reason = FailureReason.IO_ERROR
    elif isinstance(error, (*_CORRUPT, StoreCorrupt)):
        reason = FailureReason.CORRUPT
    else:
        reason = FailureReason.UNEXPECTED
    failure = StoreFailed(
        reason,
        f"writing {data_path} failed: {type(error).__name__}: {error}. Nothing further is accepted; reads go on.",
    )
    failure.__cause__ = error
    return failure


def read_error(error: lmdb.Error, data_path: Path) -> StoreError:
    """Return what a failed read means, in the store's words."""
    if isinstance(error, _CORRUPT):
        return StoreCorrupt(f"{data_path} is damaged: {error}. Check the file with the store stopped.")
    return StoreUnsuitable(f"{data_path} cannot be used: {type(error).__name__}: {error}")


def check_format(value: bytes | None, directory: Path) -> None:
    """Raise unless the store's format is one this build understands."""
    if value is None or len(value) != len(pack_number(0)):
        raise StoreCorrupt(f"{directory / DATA_FILE} is an LMDB file, but no store: it has no format version")
    found = unpack_number(value)
    if found > FORMAT:
        raise StoreNewer(
            f"{directory} has format {found}; this build understands formats up to {FORMAT}. "
            f"Start the build that wrote it, or a later one; nothing was changed."
        )


class Environment:
    """Reads of an open environment. Every call begins and ends its own transaction.

    The lock keeps those apart from a change of the map's size, which must find no transaction in the process.
    """

    def __init__(self, env: lmdb.Environment, directory: Path, max_dbs: int) -> None:
        self.env = env
        self._max_dbs = max_dbs
        self.data_path = directory / DATA_FILE
        self.map_lock = threading.Lock()
        self._databases: dict[str, lmdb._Database] = {}

    def __contains__(self, table: str) -> bool:
        return table in self._databases

    def open_tables(self, tables: Iterable[str], txn: lmdb.Transaction | None, *, create: bool) -> None:
        """Open databases. Without `create`, those that do not exist yet are left for later."""
        for table in tables:
            try:
                self._databases[table] = self.env.open_db(table.encode(), txn=txn, create=create)
            except (lmdb.NotFoundError, lmdb.ReadonlyError):
                if create:
                    raise

    def database(self, table: str) -> "lmdb._Database":
        """Return an open database."""
        return self._databases[table]

    def begin(self, table: str) -> "lmdb.Transaction[bytes]":
        """Begin a read on a database; a map grown by the owner is adopted."""
        database = self._databases[table]
        try:
            return self.env.begin(database)
        except lmdb.MapResizedError:
            self.env.set_mapsize(0)
            return self.env.begin(database)

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a committed row."""
        if table not in self._databases:
            return None
        try:
            with self.map_lock, self.begin(table) as txn:
                return txn.get(key) if key else None
        except lmdb.Error as error:
            raise read_error(error, self.data_path) from error

    def scan(self, table: str, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        """Return committed rows in key order, as of one moment."""
        if table not in self._databases:
            return []
        rows: list[tuple[bytes, bytes]] = []
        start = prefix if after is None or after < prefix else after
        try:
            with self.map_lock, self.begin(table) as txn, txn.cursor() as cursor:
                if not (cursor.set_range(start) if start else cursor.first()):
                    return rows
                for key, value in cursor.iternext():
                    if not key.startswith(prefix) or (limit is not None and len(rows) >= limit):
                        break
                    if key != after:
                        rows.append((key, value))
        except lmdb.Error as error:
            raise read_error(error, self.data_path) from error
        return rows

    def last_lsn(self) -> Lsn:
        """Return the LSN of the last committed record; 0 where there is none."""
        try:
            with self.map_lock, self.begin(JOURNAL) as txn, txn.cursor() as cursor:
                if not cursor.last():
                    return Lsn(0)
                first, records = records_of(cursor.key(), cursor.value(), self.data_path)
        except lmdb.Error as error:
            raise read_error(error, self.data_path) from error
        return Lsn(first + len(records) - 1)

    def first_lsn(self) -> Lsn:
        """Return the oldest LSN that is not in an archive file."""
        value = self.get(META, FIRST_LSN_KEY)
        return FIRST_LSN if value is None else Lsn(unpack_number(value))

    def has_archived(self) -> bool:
        """Whether the oldest journal row holds nothing but records that are in archive files."""
        first_lsn = self.first_lsn()
        try:
            with self.map_lock, self.begin(JOURNAL) as txn:
                return bool(prunable(txn, self.database(JOURNAL), first_lsn, 1))
        except lmdb.Error as error:
            raise read_error(error, self.data_path) from error

    def records(self, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
        """Iterate over committed records. Raises `StoreCorrupt` where one is damaged or missing."""
        place = int(start)
        while place <= until:
            reached = place
            for key, value in self._blocks_from(place):
                first, records = records_of(key, value, self.data_path)
                if first > place:
                    break  # a hole: there is no entry at this place
                for lsn, record in enumerate(records, first):
                    if place <= lsn <= until:
                        yield Lsn(lsn), record
                place = max(place, first + len(records))
                if place > until:
                    return
            if place == reached:
                raise StoreCorrupt(f"{self.data_path}: the journal has no entry {place}, though it goes on to {until}")

    def _blocks_from(self, place: int) -> list[tuple[bytes, bytes]]:
        """Return a bounded run of journal rows, the first of them the one that holds `place`."""
        key = pack_number(place)
        blocks: list[tuple[bytes, bytes]] = []
        try:
            with self.map_lock, self.begin(JOURNAL) as txn, txn.cursor() as cursor:
                found = cursor.set_range(key)
                if (not found or cursor.key() != key) and not (cursor.prev() if found else cursor.last()):
                    return blocks
                for item in cursor.iternext():
                    blocks.append(item)
                    if len(blocks) == _ROWS_PER_READ:
                        break
        except lmdb.Error as error:
            raise read_error(error, self.data_path) from error
        return blocks

    def ensure_readable(self) -> None:
        """Open the file anew, for reading, if a failed write of its head made LMDB refuse everything."""
        try:
            with self.map_lock, self.env.begin():
                return
        except lmdb.PanicError:
            pass
        with self.map_lock:
            self.env.close()
            directory = str(self.data_path.parent)
            self.env = lmdb.open(directory, readonly=True, create=False, map_size=0, max_dbs=self._max_dbs)
            self.open_tables(tuple(self._databases), None, create=False)

    def close(self) -> None:
        """Close the environment; no call may follow."""
        with self.map_lock:
            self.env.close()


class EnvironmentSource:
    """An environment and the archive files beside it, to be read as one journal; see `archive.ArchiveSource`."""

    def __init__(self, environment: Environment, folder: Folder) -> None:
        self._environment = environment
        self.folder = folder
        self.scan = environment.scan
        self.records = environment.records

    @property
    def first_lsn(self) -> Lsn:
        """The oldest LSN that is not in an archive file."""
        return self._environment.first_lsn()
