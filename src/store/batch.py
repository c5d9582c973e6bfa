"""What one commit writes, and what a disk must offer to take it."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from .errors import StoreFailed
from .folder import Folder
from .port import Lsn
from .schema import ARCHIVES, AUDIT, META, SNAPSHOTS

T = TypeVar("T")

TABLES_OF_THE_STORE = (META, SNAPSHOTS, AUDIT, ARCHIVES)
"""Tables with rows that the store writes itself."""


class Batch:
    """What one commit writes: records in journal order, and the last value of every row touched."""

    __slots__ = ("deletes", "first_lsn", "prune_below", "records", "rows", "rows_count")

    def __init__(self, first_lsn: Lsn, tables: tuple[str, ...]) -> None:
        self.first_lsn = first_lsn
        self.records: list[bytes] = []
        self.rows: dict[str, dict[bytes, bytes | None]] = {table: {} for table in tables}
        self.deletes: set[str] = set()
        self.rows_count = 0
        self.prune_below: Lsn | None = None

    def add(self, records: list[bytes], puts: list[tuple[str, bytes, bytes | None]]) -> None:
        """Take one atomic group."""
        self.records += records
        rows = self.rows
        for table, key, value in puts:
            rows[table][key] = value
            if value is None:
                self.deletes.add(table)
        self.rows_count += len(puts)

    def prune(self, below: Lsn) -> None:
        """Take some of the records below this LSN out of the journal: those that archive files hold."""
        self.prune_below = below
        self.rows_count += 1

    @property
    def last_lsn(self) -> Lsn:
        """LSN of the last record; the one before the first where there is none."""
        return Lsn(self.first_lsn + len(self.records) - 1)


class Opened(Protocol):
    """What a disk knows once it is open."""

    @property
    def epoch(self) -> int: ...
    @property
    def first_lsn(self) -> Lsn: ...
    @property
    def last_lsn(self) -> Lsn: ...


class Disk(Protocol):
    """The medium below a store. `begin_commit` is answered through `done`, on the owner's thread: before it returns, or
    later.
    """

    async def open(self, done: Callable[[StoreFailed | None], None]) -> Opened:
        """Open the medium for writing, as a new epoch."""

    def new_batch(self, first_lsn: Lsn) -> Batch:
        """Return an empty batch."""

    def begin_commit(self, batch: Batch) -> None:
        """Start to write a batch."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a committed row."""

    def scan(self, table: str, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        """Return committed rows in key order."""

    def records(self, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
        """Iterate over committed records."""

    @property
    def first_lsn(self) -> Lsn:
        """The oldest LSN that is not in an archive file, as it is committed."""

    @property
    def folder(self) -> Folder:
        """Where the archive files are."""

    def has_archived(self) -> bool:
        """Whether the journal still holds records that are in archive files, and can do without them."""

    async def run(self, work: Callable[[], T]) -> T:
        """Do work that may take long, beside the owner's loop."""

    def forked(self) -> None:
        """Let go of what a forked child must not hold."""

    def abandon(self) -> None:
        """Stop without anybody to wait for it: the owner's run is over."""

    async def close(self) -> None:
        """Stop; called once, with no commit under way."""
