"""What a store offers, whichever medium is below it.

`Journal` is the owner's side: it appends and reads. `Records` is the reading half, which other processes get too.

    append ──► last_lsn ──► (group commit) ──► durable_lsn ──► actions of when_durable
               visible to the owner            visible to everyone
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, NewType, Protocol, TypeAlias, TypeVar

import msgspec

from .errors import StoreFailed

if TYPE_CHECKING:  # these know this module
    from .archive import Archived
    from .retention import Retention

T = TypeVar("T")

Lsn = NewType("Lsn", int)
"""Log sequence number: the place of an event in the one total order. The first is 1; 0 is before everything."""

Event: TypeAlias = msgspec.Struct
"""Events are frozen msgspec structs that a `Codec` knows by kind and version."""

Durability: TypeAlias = Literal["fsync", "process"]
"""What "durable" survives: a loss of power (`fsync`), or the end of the process only (`process`). Nothing is weaker."""


def is_synced(durability: Durability) -> bool:
    """Return whether a commit waits for the disk. Raises ValueError for a durability that is not one."""
    if durability not in {"fsync", "process"}:
        raise ValueError(f"durability must be 'fsync' or 'process', got {durability!r}")
    return durability == "fsync"


class Entry(msgspec.Struct, frozen=True):
    """One event as the journal holds it.

    `epoch` counts the owners of the store, `at_ns` is UTC nanoseconds, `cause` the id of the message that caused it.
    """

    lsn: Lsn
    epoch: int
    at_ns: int
    cause: int
    event: Event


class Snapshot(NamedTuple):
    """The state of an entity as of an LSN."""

    lsn: Lsn
    state: bytes


class Snapshots(NamedTuple):
    """An entity's snapshots: those whose hash holds, the newest first, and what is wrong with the others."""

    intact: tuple[Snapshot, ...]
    damaged: tuple[str, ...]


class StoredRecords(Protocol):
    """Records and rows as they are stored. No transaction outlives a call, so no reader pins old pages."""

    @property
    def first_lsn(self) -> Lsn:
        """The oldest LSN in the journal itself; what is older lies in archive files, and reading goes through them."""

    @property
    def last_lsn(self) -> Lsn:
        """The newest LSN this reader can see; 0 where the journal is empty."""

    def get(self, table: str, key: bytes | str) -> bytes | None:
        """Return the row, or None. The owner also sees what is appended and not yet committed."""

    def scan(
        self, table: str, prefix: bytes | str = b"", *, after: bytes | None = None, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over rows whose key starts with `prefix`, in key order, as they were at the call.

        `after` skips keys up to and including itself, `limit` bounds the number of rows: together they page.
        """

    def raw(self, start: Lsn = ..., *, until: Lsn | None = None) -> Iterator[tuple[Lsn, bytes]]:
        """Like `read`, but the record's stored bytes instead of its decoded event."""


class Records(StoredRecords, Protocol):
    """The reading half of a store: what is stored, and what it means."""

    @property
    def epoch(self) -> int:
        """The owner epoch: grows by one each time the store is opened for writing."""

    def read(self, start: Lsn = ..., *, until: Lsn | None = None) -> Iterator[Entry]:
        """Iterate over entries from `start` through `until`, or through the last at the call.

        Raises `RecordError` at a record this build cannot decode, `ArchiveMissing` where the file with older entries
        is not there, `ArchiveCorrupt` where it is damaged.
        """

    def archives(self) -> "list[Archived]":
        """Return the archive files that the store knows, the oldest first. Whether they are there is another matter."""

    def snapshot(self, entity: str) -> Snapshot | None:
        """Return the newest intact snapshot of an entity. A damaged newest one falls back to the older."""

    def read_snapshots(self, entity: str) -> Snapshots:
        """Return all intact snapshots of an entity, the newest first, and what is wrong with the damaged ones."""

    def snapshots(self, prefix: str = "") -> Iterator[str]:
        """Iterate over the entities that have a snapshot, in order of their names."""


class Journal(Records, Protocol):
    """The owner's side of a store. All of it is called on the owner's trio thread."""

    @property
    def durable_lsn(self) -> Lsn:
        """Everything up to here survives what the store's durability promises to survive."""

    @property
    def failed(self) -> StoreFailed | None:
        """Why the store stopped accepting, or None while it accepts."""

    @property
    def pending(self) -> int:
        """How many records and rows are not yet durable; 0 when nothing is under way. Zero after a failure."""

    def append(self, *events: Event, at_ns: int, cause: int = 0) -> Lsn:
        """Append events as one atomic group and return the LSN of the last. Immediate; durable later.

        Raises `StoreFailed` when the store no longer accepts, and `SchemaError` (nothing recorded) for an
        event, table or key that the schema does not know.
        """

    def when_durable(self, lsn: Lsn, action: Callable[[], None]) -> None:
        """Run `action` once everything up to `lsn` is durable, in LSN order; at once if it already is.

        On a failed store the action never runs. An action must not raise: if it does, the store fails.
        """

    async def wait_durable(self, lsn: Lsn) -> None:
        """Return once everything up to `lsn` is durable. Raises `StoreFailed` if that will not happen."""

    async def wait_written(self) -> None:
        """Return once everything handed in until now is durable, rows too. Raises `StoreFailed`."""

    async def beside(self, work: Callable[[], T]) -> T:
        """Do work that takes long beside the loop; it must touch nothing that the loop touches."""

    def put_snapshot(self, entity: str, lsn: Lsn, state: bytes) -> None:
        """Keep the state of an entity as of `lsn`. The two newest are kept."""

    def drop_snapshots(self, entity: str) -> None:
        """Forget the snapshots of an entity that has ended."""

    @property
    def congestion(self) -> str | None:
        """Why nothing new should be begun, as the disk does not keep up; None while it does."""

    async def archive_next(self, policy: "Retention", *, now_ns: int) -> "Archived | str":
        """Move the oldest entries into one archive file, if the policy lets them go; else say what it waits for.

        Raises `ArchiveConflict`, `ArchiveCorrupt`, `StoreFailed`, and OSError where the file could not be written:
        the entries are in the journal then as before.
        """

    async def close(self) -> None:
        """Commit what is pending, then stop. Appends after this raise `StoreClosed`."""
