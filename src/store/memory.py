"""The simulated twin of the store: the same journal over a disk in memory that can misbehave. No thread in it.

    disk = MemoryDisk()
    async with MemoryStore(schema, disk) as journal: ...
    disk = journal.crash(keep=2)              # what is left: everything durable, and 2 of the groups after it
    async with MemoryStore(schema, disk) as journal: ...

A commit takes `latency_seconds` of trio's clock, so a mock clock drives it.

Faults of the disk (`memory_disk`): `fail_next` (an error, a full disk), `capacity_bytes` (and `free`),
`latency_seconds`, `hang` and `resume`, `lose_power` (what was not synced is gone), `damage_snapshot`, here
`MemoryStore.crash` (with a torn last write), and of the folder of archive files `fail_next` and `damage`.
"""

import bisect
from collections.abc import Callable, Iterator
from typing import TypeVar

import trio

from .archive import spanning
from .batch import TABLES_OF_THE_STORE, Batch
from .errors import FailureReason, StoreCorrupt, StoreFailed, StoreLocked
from .group import GroupJournal
from .memory_disk import Group, MemoryDisk, MemoryFolder, Put
from .port import Durability, Lsn, is_synced
from .reading import FIRST_LSN, FIRST_LSN_KEY, decoded, unpack_number
from .rows import rows_of
from .schema import META, Schema

__all__ = ["MemoryDisk", "MemoryFolder", "MemoryStore"]

T = TypeVar("T")


class _MemoryBatch(Batch):
    """A batch that remembers its groups, so that a crash can fall between any two of them."""

    __slots__ = ("groups",)

    def __init__(self, first_lsn: Lsn, tables: tuple[str, ...]) -> None:
        super().__init__(first_lsn, tables)
        self.groups: list[Group] = []

    def add(self, records: list[bytes], puts: list[Put]) -> None:
        super().add(records, puts)
        self.groups.append(Group(records, puts))

    def prune(self, below: Lsn) -> None:
        super().prune(below)
        self.groups.append(Group([], [], prune_below=below))


class _Rows:
    """The rows of one table. Their keys are brought into order when somebody scans, which few tables ever see."""

    __slots__ = ("_has_gone", "_keys", "_new_keys", "_values")

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._new_keys: list[bytes] = []
        self._has_gone = False
        self._values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        values = self._values
        if value is not None:
            if key not in values:
                self._new_keys.append(key)
            values[key] = value
        elif values.pop(key, None) is not None:
            self._has_gone = True

    def _ordered(self) -> list[bytes]:
        if self._has_gone:
            self._keys = sorted(self._values)
        elif self._new_keys:
            self._keys += self._new_keys
            self._keys.sort()  # what is in order already costs a comparison a key
        self._has_gone = False
        self._new_keys.clear()
        return self._keys

    def scan(self, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        keys = self._ordered()
        first = bisect.bisect_left(keys, prefix)
        if after is not None:
            first = max(first, bisect.bisect_right(keys, after))
        rows: list[tuple[bytes, bytes]] = []
        for place in range(first, len(keys)):
            key = keys[place]
            if not key.startswith(prefix) or len(rows) == limit:
                break
            rows.append((key, self._values[key]))
        return rows


class _MountedDisk:
    """A memory disk while a store has it open."""

    def __init__(self, disk: MemoryDisk, schema: Schema, durability: Durability, owner: str) -> None:
        self.disk = disk
        self.epoch = 0
        self._schema = schema
        self._tables = (*schema.tables, *TABLES_OF_THE_STORE)
        self._sync = is_synced(durability)
        self._owner = owner
        self._records: list[bytes] = []
        self._base = disk.first_lsn
        self._rows = {table: _Rows() for table in self._tables}
        self._done: Callable[[StoreFailed | None], None] = lambda _: None
        self._commits: trio.MemorySendChannel[_MemoryBatch] | None = None
        self.stopped = False

    @property
    def last_lsn(self) -> Lsn:
        return Lsn(self._base + len(self._records) - 1)

    @property
    def first_lsn(self) -> Lsn:
        value = self._rows[META].get(FIRST_LSN_KEY)
        return FIRST_LSN if value is None else Lsn(unpack_number(value))

    @property
    def folder(self) -> MemoryFolder:
        return self.disk.folder

    def has_archived(self) -> bool:
        return self._base < min(self.first_lsn, self.last_lsn)

    async def run(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return work()

    async def open(self, done: Callable[[StoreFailed | None], None]) -> "_MountedDisk":
        await trio.lowlevel.checkpoint()
        if self.disk.owner is not None:
            raise StoreLocked(f"the memory disk is held by {self.disk.owner!r} (epoch {self.disk.epoch})")
        self.disk.owner = self._owner
        self._done = done
        self.disk.epoch += 1
        self.epoch = self.disk.epoch
        groups = self.disk.recover()
        self._base = self.disk.first_lsn
        for group in groups:
            self._apply(group)
        self._follow_schema()
        self._commits, batches = trio.open_memory_channel[_MemoryBatch](1)
        trio.lowlevel.spawn_system_task(self._write, batches, name="memory disk")
        return self

    def _follow_schema(self) -> None:
        """Make the rows anew if a table is new or the indexes have another version, as the real store does."""
        schema, known = self._schema, self.disk.indexes
        self.disk.indexes = (schema.index_version, frozenset(schema.tables))
        if known is None or (known[0] == schema.index_version and known[1].issuperset(schema.tables)):
            return
        emptied = [(table, key, None) for table in schema.tables for key, _ in self.scan(table, b"", None, None)]
        entries = decoded(schema.codec, spanning(self, FIRST_LSN, self.last_lsn))
        group = Group([], [*emptied, *rows_of(schema, entries)])
        self.disk.groups.append(group)
        self._apply(group)

    def new_batch(self, first_lsn: Lsn) -> Batch:
        return _MemoryBatch(first_lsn, self._tables)

    def begin_commit(self, batch: Batch) -> None:
        assert isinstance(batch, _MemoryBatch)
        assert self._commits is not None
        self._commits.send_nowait(batch)

    async def _write(self, batches: "trio.MemoryReceiveChannel[_MemoryBatch]") -> None:
        async for batch in batches:
            latency = self.disk.latency_seconds
            seconds = latency() if callable(latency) else latency
            if seconds > 0:
                await trio.sleep(seconds)
            if not self.disk.answering.is_set():
                await self.disk.answering.wait()
            if self.stopped:
                return  # what was under way when the machine stopped never arrives
            failure = self.disk.write(batch.groups, sync=self._sync)
            if failure is None:
                for group in batch.groups:
                    self._apply(group)
            self._done(failure)

    def _apply(self, group: Group) -> None:
        self._records += group.records
        if group.prune_below is not None:
            gone = max(0, min(group.prune_below, self.last_lsn) - self._base)
            del self._records[:gone]
            self._base = Lsn(self._base + gone)
        for table, key, value in group.puts:
            # A table may be gone from the schema; its rows stay on the disk, as they would in a file.
            if table not in self._rows:
                self._rows[table] = _Rows()
            self._rows[table].put(key, value)

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._rows[table].get(key)

    def scan(self, table: str, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        return self._rows[table].scan(prefix, after, limit)

    def records(self, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
        for lsn in range(start, until + 1):
            if not self._base <= lsn <= self.last_lsn:
                raise StoreCorrupt(f"the memory disk has no entry {lsn}, it holds {self._base} to {self.last_lsn}")
            yield Lsn(lsn), self._records[lsn - self._base]

    def forked(self) -> None:
        """Nothing to let go of: the child has its own copy of the memory."""

    def abandon(self) -> None:
        self.stopped = True
        if self._commits is not None:
            self._commits.close()
        if self.disk.owner == self._owner:
            self.disk.owner = None

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self.stopped:
            self.disk.sync()
        self.abandon()


class MemoryStore(GroupJournal):
    """A store over a `MemoryDisk`; an async context manager, like the real one."""

    def __init__(
        self,
        schema: Schema,
        disk: MemoryDisk | None = None,
        *,
        durability: Durability = "fsync",
        on_failure: Callable[[StoreFailed], None] | None = None,
        owner: str = "owner",
    ) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self._mounted = _MountedDisk(self.disk, schema, durability, owner)
        super().__init__(self._mounted, schema, on_failure=on_failure)

    @property
    def undurable_groups(self) -> int:
        """How many appended groups are not durable: what `crash` may keep or lose."""
        return len(self._undurable())

    def crash(self, *, keep: int = 0, torn: bool = False) -> MemoryDisk:
        """Stop as a killed process does, and return what is left on the disk.

        Everything durable survives, and the first `keep` of the groups after it; with `torn` the group after those
        is half written. Nothing of this store runs any more: no action, no `on_failure`.
        """
        undurable = self._undurable()
        kept = undurable[:keep]
        if torn and len(undurable) > keep:
            kept.append(undurable[keep]._replace(torn=True))
        durable = self.disk.groups
        survivor = self.disk.survivor([*durable, *kept])
        self._mounted.stopped = True
        self._on_failure = None
        self._fail(StoreFailed(FailureReason.CRASHED, f"{len(kept)} of {len(undurable)} groups reached the disk"))
        return survivor

    def _undurable(self) -> list[Group]:
        if self.failed is not None:
            return []
        batches = (self._in_flight, self._gathering)
        return [group for batch in batches if isinstance(batch, _MemoryBatch) for group in batch.groups]
