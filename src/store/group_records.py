"""What an owner reads: everything appended, committed or not, and further back what lies in archive files.

Rows that are not committed yet are an overlay over the disk: two dictionaries, of the batch in flight and of the one
that gathers. Records that are not committed yet are the two lists beside them.
"""

from collections.abc import Iterator

from .archive import Archived, archived_files, spanning
from .batch import TABLES_OF_THE_STORE, Batch, Disk
from .errors import FailureReason, StoreClosed, StoreFailed, UnknownTable
from .port import Entry, Lsn, Snapshot, Snapshots
from .reading import FIRST_LSN, decoded, entities, read_snapshots, snapshot_slots
from .schema import SNAPSHOTS, Schema


class GroupRecords:
    """The reading half of an owner's store; see `Records` for the verbs."""

    def __init__(self, disk: Disk, schema: Schema) -> None:
        self._disk = disk
        self._codec = schema.codec
        self._tables = frozenset(schema.tables)
        self.first_lsn = FIRST_LSN
        self.last_lsn = Lsn(0)
        self._unreadable: StoreFailed | None = StoreClosed(FailureReason.CLOSED, "it is not open yet")
        self._gathering = disk.new_batch(FIRST_LSN)
        self._in_flight: Batch | None = None

    def get(self, table: str, key: bytes | str) -> bytes | None:
        """Return the row as of the last append, or None."""
        if table not in self._tables and table not in TABLES_OF_THE_STORE:
            raise self._unknown_table(table)
        if self._unreadable is not None:
            raise self._unreadable
        data = _bytes(key)
        rows = self._gathering.rows[table]
        if data in rows:
            return rows[data]
        if self._in_flight is not None:
            rows = self._in_flight.rows[table]
            if data in rows:
                return rows[data]
        return self._disk.get(table, data)

    def scan(
        self, table: str, prefix: bytes | str = b"", *, after: bytes | None = None, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over rows as of the last append; see `Records.scan`."""
        if table not in self._tables and table not in TABLES_OF_THE_STORE:
            raise self._unknown_table(table)
        if self._unreadable is not None:
            raise self._unreadable
        return iter(self._merged(table, _bytes(prefix), after, limit))

    def _merged(self, table: str, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        if self._unreadable is not None:
            raise self._unreadable
        overlay: dict[bytes, bytes | None] = {}
        for batch in (self._in_flight, self._gathering):
            if batch is not None:
                overlay.update(
                    item
                    for item in batch.rows[table].items()
                    if item[0].startswith(prefix) and (after is None or item[0] > after)
                )
        if not overlay:
            return self._disk.scan(table, prefix, after, limit)
        # Every overlay row may hide one row of the disk, so so many more are needed to fill the limit.
        committed = self._disk.scan(table, prefix, after, None if limit is None else limit + len(overlay))
        merged: dict[bytes, bytes | None] = {**dict(committed), **overlay}
        rows = [(key, value) for key, value in sorted(merged.items()) if value is not None]
        return rows if limit is None else rows[:limit]

    def raw(self, start: Lsn = FIRST_LSN, *, until: Lsn | None = None) -> Iterator[tuple[Lsn, bytes]]:
        """Iterate over stored records, those not yet committed included; see `Records.raw`."""
        if self._unreadable is not None:
            raise self._unreadable
        last = self.last_lsn if until is None else min(until, self.last_lsn)
        overlay = [batch for batch in (self._in_flight, self._gathering) if batch is not None]
        return self._raw(start, last, [(batch.first_lsn, list(batch.records)) for batch in overlay])

    def _raw(self, start: Lsn, last: Lsn, overlay: list[tuple[Lsn, list[bytes]]]) -> Iterator[tuple[Lsn, bytes]]:
        committed = Lsn(overlay[0][0] - 1)
        if start <= committed:
            yield from spanning(self._disk, start, min(last, committed))
        for first, records in overlay:
            for lsn, record in enumerate(records, first):
                if start <= lsn <= last:
                    yield Lsn(lsn), record

    def read(self, start: Lsn = FIRST_LSN, *, until: Lsn | None = None) -> Iterator[Entry]:
        """Iterate over entries, those not yet committed included; see `Records.read`."""
        return decoded(self._codec, self.raw(start, until=until))

    def archives(self) -> list[Archived]:
        """Return the archive files that the store knows; see `Records.archives`."""
        if self._unreadable is not None:
            raise self._unreadable
        return archived_files(self._disk)

    def snapshot(self, entity: str) -> Snapshot | None:
        """Return the newest intact snapshot of an entity, or None."""
        return next(iter(self.read_snapshots(entity).intact), None)

    def read_snapshots(self, entity: str) -> Snapshots:
        """Return the intact snapshots of an entity and what is wrong with others; see `Records.read_snapshots`."""
        return read_snapshots(self.get(SNAPSHOTS, slot) for slot in snapshot_slots(entity))

    def snapshots(self, prefix: str = "") -> Iterator[str]:
        """Iterate over the entities that have a snapshot."""
        return entities(self._merged(SNAPSHOTS, prefix.encode(), None, None))

    def _unknown_table(self, table: str) -> UnknownTable:
        return UnknownTable(f"the schema declares no table {table!r}; it has {sorted(self._tables)}")


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
