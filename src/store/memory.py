"""The simulated twin of the store: the same journal over a disk in memory that can misbehave. No thread in it.

    disk = MemoryDisk()
    async with MemoryStore(schema, disk) as journal: ...
    disk = journal.crash(keep=2)              # what is left: everything durable, and 2 of the groups after it
    async with MemoryStore(schema, disk) as journal: ...

A commit takes `latency_seconds` of trio's clock, so a mock clock drives it.

Faults of the disk: `fail_next` (an error, a full disk), `capacity_bytes` (and `free`), `latency_seconds`, `hang` and
`resume`, `lose_power` (what was not synced is gone), `MemoryStore.crash` (with a torn last write), `damage_snapshot`,
and those of its `MemoryFolder` of archive files: `fail_next`, `damage`, `remove`, `replace`.
"""

import bisect
import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import trio

from .archive import ARCHIVE_SUFFIX, spanning, unpack_archive
from .batch import TABLES_OF_THE_STORE, Batch
from .errors import FailureReason, StoreCorrupt, StoreFailed, StoreLocked
from .folder import ARCHIVE_FOLDER
from .group import GroupJournal
from .port import Durability, Lsn, Snapshot, is_synced
from .reading import FIRST_LSN, FIRST_LSN_KEY, decoded, snapshot_slots, unpack_number, unpack_snapshot
from .rows import rows_of
from .schema import META, SNAPSHOTS, Schema

T = TypeVar("T")
_Put = tuple[str, bytes, bytes | None]


class _Group(NamedTuple):
    """One atomic group as it lies on the disk. A torn one was being written when the machine stopped.

    `prune_below` takes records out of the journal. What a loss of power may still take back must stay able to come
    back, so they leave `groups` only once this group is synced.
    """

    records: list[bytes]
    puts: list[_Put]
    torn: bool = False
    prune_below: Lsn | None = None

    @property
    def size_bytes(self) -> int:
        rows = sum(len(key) + len(value or b"") for _, key, value in self.puts)
        return rows + sum(len(record) for record in self.records)


class _MemoryBatch(Batch):
    """A batch that remembers its groups, so that a crash can fall between any two of them."""

    __slots__ = ("groups",)

    def __init__(self, first_lsn: Lsn, tables: tuple[str, ...]) -> None:
        super().__init__(first_lsn, tables)
        self.groups: list[_Group] = []

    def add(self, records: list[bytes], puts: list[_Put]) -> None:
        super().add(records, puts)
        self.groups.append(_Group(records, puts))

    def prune(self, below: Lsn) -> None:
        super().prune(below)
        self.groups.append(_Group([], [], prune_below=below))


class MemoryFolder:
    """A folder of archive files in memory; see `folder.Folder`. Files are whole or not there, as renaming does it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._fault: OSError | None = None

    def fail_next(self, error: OSError | None = None) -> None:
        """Let the next writing fail, with a full disk where nothing else is said."""
        self._fault = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if error is None else error

    def damage(self, name: str, *, at_byte: int = -1) -> None:
        """Flip the bits of one byte of a file."""
        data = bytearray(self.files[name])
        data[at_byte] ^= 0xFF
        self.files[name] = bytes(data)

    def where(self, name: str) -> str:
        """How a person finds this file."""
        return f"{ARCHIVE_FOLDER}/{name}"

    def names(self) -> list[str]:
        """The names of all files, in order."""
        return sorted(self.files)

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none of that name."""
        return self.files.get(name)

    def write(self, name: str, data: bytes) -> None:
        """Put a file there. Raises the OSError that was asked for."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        self.files[name] = data


class MemoryDisk:
    """A disk that outlives its store objects, keeps what was synced, and fails on demand.

    `latency_seconds` is a number or a function drawn from for every commit. `capacity_bytes` bounds what it takes.
    """

    def __init__(
        self, *, latency_seconds: float | Callable[[], float] = 0.0, capacity_bytes: int | None = None
    ) -> None:
        self.latency_seconds = latency_seconds
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.epoch = 0
        self.indexes: tuple[int, frozenset[str]] | None = None
        self.owner: str | None = None
        self.groups: list[_Group] = []
        self.first_lsn = FIRST_LSN
        """LSN of the first record of `groups`: what was pruned before it is gone."""
        self._records_count = 0
        self.folder = MemoryFolder()
        self.answering = trio.Event()
        """Set while the disk answers; see `hang`."""
        self.answering.set()
        self._synced = 0
        self._fault: StoreFailed | None = None

    def fail_next(self, reason: FailureReason = FailureReason.IO_ERROR, detail: str = "injected") -> None:
        """Let the next commit fail."""
        self._fault = StoreFailed(reason, detail)

    def hang(self) -> None:
        """Let no commit end until `resume`."""
        self.answering = trio.Event()

    def resume(self) -> None:
        """Let what hangs go on."""
        self.answering.set()

    def free(self, capacity_bytes: int | None = None) -> None:
        """Make room, as an operator does who deletes something else: the disk takes so much from now on."""
        self.capacity_bytes = capacity_bytes

    def heal(self) -> None:
        """Fail no more: no fault waits, and there is room."""
        self._fault = None
        self.capacity_bytes = None

    def sync(self) -> None:
        """Make everything written so far survive a loss of power."""
        self._synced = len(self.groups)
        self._let_go()

    @property
    def unsynced(self) -> int:
        """How many committed groups a loss of power may take; always 0 with fsync durability."""
        return len(self.groups) - self._synced

    def lose_power(self, *, keep: int = 0) -> "MemoryDisk":
        """Return the disk after a loss of power: what was synced, and the first `keep` groups after that."""
        return self.survivor(self.groups[: self._synced + keep])

    def survivor(self, groups: list[_Group]) -> "MemoryDisk":
        """Return another disk that holds just these groups, and the archive files: those are synced one by one."""
        disk = MemoryDisk(latency_seconds=self.latency_seconds, capacity_bytes=self.capacity_bytes)
        disk.epoch = self.epoch
        disk.indexes = self.indexes
        disk.groups = list(groups)
        disk.first_lsn = self.first_lsn
        disk._count()  # it is one of these
        disk.folder = self.folder
        return disk

    def damage_snapshot(self, entity: str, *, at_byte: int | None = -1, length: int | None = None) -> None:
        """Spoil the newest snapshot of an entity while no store is open: flip a byte of it, or cut it to a length."""
        slots = snapshot_slots(entity)
        place, put = max(
            (
                (found.lsn, number, place)
                for number, group in enumerate(self.groups)
                for place, (table, key, value) in enumerate(group.puts)
                if table == SNAPSHOTS and key in slots and isinstance(found := unpack_snapshot(value or b""), Snapshot)
            )
        )[1:]
        table, key, value = self.groups[place].puts[put]
        data = bytearray(value or b"")[:length]
        if length is None and at_byte is not None:
            data[at_byte] ^= 0xFF
        puts = list(self.groups[place].puts)
        puts[put] = (table, key, bytes(data))
        self.groups[place] = self.groups[place]._replace(puts=puts)

    def write(self, groups: list[_Group], *, sync: bool) -> StoreFailed | None:
        """Take groups as one commit, all or none; return why not."""
        fault, self._fault = self._fault, None
        if fault is not None:
            return fault
        size_bytes = sum(group.size_bytes for group in groups)
        if self.capacity_bytes is not None and size_bytes and self.used_bytes + size_bytes > self.capacity_bytes:
            return StoreFailed(
                FailureReason.DISK_FULL,
                f"{self.used_bytes} of {self.capacity_bytes} bytes are used and the commit has {size_bytes}",
            )
        self.used_bytes += size_bytes
        self.groups += groups
        self._records_count += sum(len(group.records) for group in groups)
        if sync:
            self.sync()
        return None

    def recover(self) -> list[_Group]:
        """Drop what was torn and return what is left."""
        intact = next((place for place, group in enumerate(self.groups) if group.torn), len(self.groups))
        del self.groups[intact:]  # a torn write was never acknowledged, so nobody has seen it
        self._count()
        self.sync()
        self.used_bytes = sum(group.size_bytes for group in self.groups)
        return self.groups

    def _count(self) -> None:
        self._records_count = sum(len(group.records) for group in self.groups if not group.torn)

    @property
    def last_lsn(self) -> Lsn:
        """LSN of the last whole record on the disk."""
        return Lsn(self.first_lsn + self._records_count - 1)

    def records(self, start: Lsn = FIRST_LSN) -> Iterator[tuple[Lsn, bytes]]:
        """Iterate over every record there is from `start` on, in archive files and in the journal, store or no store.

        For those who look on from outside; where files are missing it begins with what is there.
        """
        if start < self.first_lsn:
            for name in self.folder.names():
                first, last = (int(part) for part in name.removesuffix(ARCHIVE_SUFFIX).split("-"))
                if last < start or first >= self.first_lsn:
                    continue
                for lsn, record in enumerate(unpack_archive(self.folder.files[name], name)[2], first):
                    if start <= lsn < self.first_lsn:
                        yield Lsn(lsn), record
        after = int(self.last_lsn)
        tail: list[tuple[int, list[bytes]]] = []
        for group in reversed(self.groups):
            if after < start:
                break
            if not group.torn:
                after -= len(group.records)
                tail.append((after + 1, group.records))
        for first, records in reversed(tail):
            for lsn, record in enumerate(records, first):
                if lsn >= start:
                    yield Lsn(lsn), record

    def _let_go(self) -> None:
        """Take out the records that synced groups have pruned."""
        below = max((group.prune_below for group in self.groups if group.prune_below is not None), default=None)
        if below is None:
            return
        lsn: int = self.first_lsn
        kept: list[_Group] = []
        for group in self.groups:
            gone = min(max(0, below - lsn), len(group.records))
            lsn += len(group.records)
            self.used_bytes -= sum(len(record) for record in group.records[:gone])
            left = group._replace(records=group.records[gone:], prune_below=None)
            if left.records or left.puts:
                kept.append(left)
        self.first_lsn = max(self.first_lsn, min(below, Lsn(lsn)))
        self._records_count = lsn - self.first_lsn
        self.groups[:] = kept
        self._synced = len(kept)


class _Rows:
    """The rows of one table, in order of their keys."""

    __slots__ = ("_keys", "_values")

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        known = key in self._values
        if value is not None:
            self._values[key] = value
            if not known:
                bisect.insort(self._keys, key)
        elif known:
            del self._values[key]
            del self._keys[bisect.bisect_left(self._keys, key)]

    def scan(self, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        keys = self._keys
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
        group = _Group([], [*emptied, *rows_of(schema, entries)])
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
            await self.disk.answering.wait()
            if self.stopped:
                return  # what was under way when the machine stopped never arrives
            failure = self.disk.write(batch.groups, sync=self._sync)
            if failure is None:
                for group in batch.groups:
                    self._apply(group)
            self._done(failure)

    def _apply(self, group: _Group) -> None:
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

    def _undurable(self) -> list[_Group]:
        if self.failed is not None:
            return []
        batches = (self._in_flight, self._gathering)
        return [group for batch in batches if isinstance(batch, _MemoryBatch) for group in batch.groups]
