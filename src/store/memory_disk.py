"""A disk in memory: what survives on it, and everything that can go wrong with it on purpose."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import trio

from .archive import ARCHIVE_SUFFIX, unpack_archive
from .errors import FailureReason, StoreFailed
from .folder import ARCHIVE_FOLDER
from .port import Lsn, Snapshot
from .reading import FIRST_LSN, snapshot_slots, unpack_snapshot
from .schema import SNAPSHOTS

Put = tuple[str, bytes, bytes | None]


class Group(NamedTuple):
    """One atomic group as it lies on the disk. A torn one was being written when the machine stopped.

    `prune_below` takes records out of the journal. What a loss of power may still take back must stay able to come
    back, so they leave `groups` only once this group is synced.
    """

    records: list[bytes]
    puts: list[Put]
    torn: bool = False
    prune_below: Lsn | None = None

    @property
    def size_bytes(self) -> int:
        size = sum(map(len, self.records))
        for _, key, value in self.puts:
            size += len(key) + (0 if value is None else len(value))
        return size


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
        self._used_bytes = self._sized = 0
        self.epoch = 0
        self.indexes: tuple[int, frozenset[str]] | None = None
        self.owner: str | None = None
        self.groups: list[Group] = []
        self.first_lsn = FIRST_LSN
        """LSN of the first record of `groups`: what was pruned before it is gone."""
        self._records_count = 0
        self.folder = MemoryFolder()
        self.answering = trio.Event()
        """Set while the disk answers; see `hang`."""
        self.answering.set()
        self._synced = 0
        self._may_prune = False
        """Some group may say that records before it can go."""
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
    def used_bytes(self) -> int:
        """What is written so far. Summed up when somebody asks: only a disk with a capacity has to know."""
        self._used_bytes += sum(group.size_bytes for group in self.groups[self._sized :])
        self._sized = len(self.groups)
        return self._used_bytes

    def _forget_size(self) -> None:
        self._used_bytes = self._sized = 0

    @property
    def unsynced(self) -> int:
        """How many committed groups a loss of power may take; always 0 with fsync durability."""
        return len(self.groups) - self._synced

    def lose_power(self, *, keep: int = 0) -> "MemoryDisk":
        """Return the disk after a loss of power: what was synced, and the first `keep` groups after that."""
        return self.survivor(self.groups[: self._synced + keep])

    def survivor(self, groups: list[Group]) -> "MemoryDisk":
        """Return another disk that holds just these groups, and the archive files: those are synced one by one."""
        disk = MemoryDisk(latency_seconds=self.latency_seconds, capacity_bytes=self.capacity_bytes)
        disk.epoch = self.epoch
        disk.indexes = self.indexes
        disk.groups = list(groups)
        disk.first_lsn = self.first_lsn
        disk._count()  # it is one of these
        disk._may_prune = True
        disk.folder = self.folder
        return disk

    def damage_snapshot(self, entity: str, *, at_byte: int | None = None, length: int | None = None) -> bool:
        """Spoil the newest intact snapshot of an entity for the next opening; False where there is none.

        One byte of it is flipped, in the middle where nothing else is said, or it is cut to a length.
        """
        slots = snapshot_slots(entity)
        places = {
            key: (number, place, row)
            for number, group in enumerate(self.groups)
            for place, (table, key, row) in enumerate(group.puts)
            if table == SNAPSHOTS and key in slots
        }
        intact = [
            (found.lsn, key)
            for key, (_, _, row) in places.items()
            if isinstance(found := unpack_snapshot(row or b""), Snapshot)
        ]
        if not intact:
            return False
        _, key = max(intact)
        number, place, row = places[key]
        data = bytearray(row or b"")[:length]
        if length is None:
            data[len(data) // 2 if at_byte is None else at_byte] ^= 0x40
        puts = list(self.groups[number].puts)
        puts[place] = (SNAPSHOTS, key, bytes(data))
        self.groups[number] = self.groups[number]._replace(puts=puts)
        self._forget_size()
        return True

    def write(self, groups: list[Group], *, sync: bool) -> StoreFailed | None:
        """Take groups as one commit, all or none; return why not."""
        fault, self._fault = self._fault, None
        if fault is not None:
            return fault
        if self.capacity_bytes is not None:
            size_bytes = sum(group.size_bytes for group in groups)
            if size_bytes and self.used_bytes + size_bytes > self.capacity_bytes:
                return StoreFailed(
                    FailureReason.DISK_FULL,
                    f"{self.used_bytes} of {self.capacity_bytes} bytes are used and the commit has {size_bytes}",
                )
        self.groups += groups
        self._may_prune = self._may_prune or any(group.prune_below is not None for group in groups)
        self._records_count += sum(len(group.records) for group in groups)
        if sync:
            self.sync()
        return None

    def recover(self) -> list[Group]:
        """Drop what was torn and return what is left."""
        intact = next((place for place, group in enumerate(self.groups) if group.torn), len(self.groups))
        del self.groups[intact:]  # a torn write was never acknowledged, so nobody has seen it
        self._count()
        self.sync()
        self._forget_size()
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
        if not self._may_prune:
            return
        self._may_prune = False
        below = max((group.prune_below for group in self.groups if group.prune_below is not None), default=None)
        if below is None:
            return
        lsn: int = self.first_lsn
        kept: list[Group] = []
        for group in self.groups:
            gone = min(max(0, below - lsn), len(group.records))
            lsn += len(group.records)
            left = group._replace(records=group.records[gone:], prune_below=None)
            if left.records or left.puts:
                kept.append(left)
        self.first_lsn = max(self.first_lsn, min(below, Lsn(lsn)))
        self._records_count = lsn - self.first_lsn
        self.groups[:] = kept
        self._forget_size()
        self._synced = len(kept)
