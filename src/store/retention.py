"""Retention: which entries the journal may let go, and the steps in which they become an archive file.

    write the file, sync, rename ─► read it back, compare ─► commit its row and the new first LSN ─► prune the journal

A crash between any two of them leaves the entries in the journal, in the file, or in both, never in neither. Begun
again, the same entries make the same file, so one that was written before the crash is taken as it is.
"""

from typing import NamedTuple

import msgspec

from .archive import (
    Archived,
    ArchiveSource,
    archived_files,
    load_archive,
    pack_archive,
    pack_archived,
    unpack_archive,
)
from .codec import recorded_at_ns
from .errors import ArchiveConflict, ArchiveCorrupt
from .folder import Folder
from .port import Lsn
from .reading import FIRST_LSN_KEY, entities, pack_number, read_snapshots, snapshot_slots
from .schema import ARCHIVES, META, SNAPSHOTS

DAY_NS = 86_400 * 10**9
PRUNE_PAUSE_SECONDS = 0.01
"""Between two commits that take entries out of the journal, so that they never fill the disk's time."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal keeps: entries of the last `keep_days`, and at least the last `keep_entries`.

    What both let go, and what every kept snapshot already holds, goes to archive files of `entries_per_file` entries
    (fewer where they are large: `bytes_per_file` bounds a file's content before compression). With `whole_files` off
    the last file may hold fewer, too.
    """

    keep_days: float = 30.0
    keep_entries: int = 1_000_000
    entries_per_file: int = 20_000
    bytes_per_file: int = 4 << 20
    whole_files: bool = True


class Step:
    """One file to be made of one run of entries."""

    def __init__(self, folder: Folder, data: bytes, archived: Archived, records: list[bytes]) -> None:
        self.folder = folder
        self.archived = archived
        self._data = data
        self._records = records

    def write(self) -> None:
        """Write the file and read it back. Raises `ArchiveConflict`, `ArchiveCorrupt` or OSError."""
        archived, folder = self.archived, self.folder
        where = folder.where(archived.name)
        there = folder.read(archived.name)
        if there is not None and self._is_ours(there, where):
            return
        # A damaged file is no loss: the journal still has all that it should hold.
        folder.write(archived.name, self._data)
        if load_archive(folder, archived) != self._records:
            raise ArchiveCorrupt(f"{where} holds something else than what was written; the entries stay in the journal")

    def _is_ours(self, there: bytes, where: str) -> bool:
        """Whether the file is there from before a crash. Raises `ArchiveConflict` where it is another whole one."""
        try:
            found, previous, records = unpack_archive(there, where)
        except ArchiveCorrupt:
            return False
        _, our_previous, _ = unpack_archive(self._data, where)
        if records != self._records or previous != our_previous:
            raise ArchiveConflict(
                f"{where} is there already, whole, and holds other entries than the journal at the same place: was an "
                f"older copy of the store brought back? Nothing was archived or changed; move the file elsewhere."
            )
        self.archived = found  # the same entries, perhaps compressed by another version of zlib
        return True

    def rows(self) -> list[tuple[str, bytes, bytes | None]]:
        """The rows that make the store read these entries from the file."""
        archived = self.archived
        return [
            (ARCHIVES, pack_number(archived.first_lsn), pack_archived(archived)),
            (META, FIRST_LSN_KEY, pack_number(archived.last_lsn + 1)),
        ]


def newest_allowed(source: ArchiveSource, policy: Retention, durable_lsn: Lsn) -> tuple[Lsn, str]:
    """Return the newest LSN that may be archived, and what keeps those after it. Entries' age is not looked at.

    Snapshots hold what open entities need. All intact ones must hold it, not only the newest: with the newest
    damaged, the older and the journal after it are what a start needs.
    """
    rows = source.scan(SNAPSHOTS, b"", None, None)
    held = dict(rows)
    oldest: Lsn | None = None
    for entity in entities(rows):
        intact = read_snapshots(held.get(slot) for slot in snapshot_slots(entity)).intact
        if not intact:
            return Lsn(0), f"no snapshot of {entity} can be read, so everything is needed to start"
        oldest = intact[-1].lsn if oldest is None else min(oldest, intact[-1].lsn)
    if oldest is None:
        return Lsn(0), "there is no snapshot yet, so everything is needed to start"
    kept = Lsn(durable_lsn - policy.keep_entries)
    if oldest <= kept:
        return oldest, f"the oldest snapshot is as of {oldest}"
    return kept, f"the last {policy.keep_entries} entries are kept"


class Run(NamedTuple):
    """Entries that may become the next file."""

    first_lsn: Lsn
    records: list[bytes]
    first_at_ns: int
    last_at_ns: int

    @property
    def last_lsn(self) -> Lsn:
        """LSN of the last of them."""
        return Lsn(self.first_lsn + len(self.records) - 1)


def next_run(source: ArchiveSource, first: Lsn, policy: Retention, durable_lsn: Lsn, now_ns: int) -> Run | str:
    """Gather the entries of the next file, from `first` on, or say what it waits for.

    Raises `StoreCorrupt` where the journal cannot be read.
    """
    allowed, why = newest_allowed(source, policy, durable_lsn)
    if first > allowed:
        return f"the journal starts at {first}; {why}"
    before_ns = now_ns - round(policy.keep_days * DAY_NS)
    records: list[bytes] = []
    times: list[int] = []
    size, full = 0, False
    for _, record in source.records(first, allowed):
        at_ns = recorded_at_ns(record)
        if at_ns >= before_ns:
            why = f"entries of the last {policy.keep_days:g} days are kept"
            break
        full = len(records) == policy.entries_per_file or bool(records and size + len(record) > policy.bytes_per_file)
        if full:
            break
        records.append(record)
        times.append(at_ns)
        size += len(record)
    full = full or len(records) == policy.entries_per_file
    if not records or (policy.whole_files and not full):
        return f"{len(records)} of the {policy.entries_per_file} entries of the next file may go; {why}"
    return Run(first, records, times[0], times[-1])


def next_step(source: ArchiveSource, policy: Retention, durable_lsn: Lsn, now_ns: int) -> Step | str:
    """Make the next file of what may go, or say what it waits for. Compresses: not for the owner's loop."""
    run = next_run(source, source.first_lsn, policy, durable_lsn, now_ns)
    if isinstance(run, str):
        return run
    files = archived_files(source)
    previous = files[-1] if files else None
    data, archived = pack_archive(
        run.first_lsn, run.records, first_at_ns=run.first_at_ns, last_at_ns=run.last_at_ns, previous=previous
    )
    return Step(source.folder, data, archived, run.records)


def plan(source: ArchiveSource, policy: Retention, durable_lsn: Lsn, now_ns: int) -> tuple[list[Run], str]:
    """Return what would be archived, file by file, and what keeps the rest in the journal."""
    runs: list[Run] = []
    first = source.first_lsn
    while isinstance(run := next_run(source, first, policy, durable_lsn, now_ns), Run):
        first = Lsn(run.last_lsn + 1)
        runs.append(run)
    return runs, run
