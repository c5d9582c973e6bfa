"""Index rows follow from the journal alone: so they can be checked against it, and made anew from it."""

from collections.abc import Iterable, Iterator

import msgspec

from .port import Entry, Records
from .schema import KEY_BYTES_MAX, Schema


class RowDifference(msgspec.Struct, frozen=True):
    """A row that is not what the journal says. None stands for no row."""

    table: str
    key: bytes
    stored: bytes | None
    expected: bytes | None

    def __str__(self) -> str:
        def shown(value: bytes | None) -> str:
            return "no row" if value is None else f"{len(value)} bytes {value[:40]!r}"

        return f"{self.table}[{self.key!r}] is {shown(self.stored)}, the journal says {shown(self.expected)}"


def rows_of(schema: Schema, entries: Iterable[Entry]) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Iterate over the rows that follow from entries, in order; None deletes."""
    for entry in entries:
        for table, key, value in schema.rows(entry.event, entry.lsn):
            data = key.encode() if isinstance(key, str) else key
            if table not in schema.tables or not 0 < len(data) <= KEY_BYTES_MAX:
                raise ValueError(f"entry {entry.lsn} leads to a row that cannot be: table {table!r}, key {data[:40]!r}")
            yield table, data, value


def check_rows(records: Records, schema: Schema) -> list[RowDifference]:
    """Return every row that differs from what the journal says. Use it on a stopped store; it holds all rows at once.

    Everything since the beginning is read, archive files too. Raises `RecordError`, `ArchiveMissing` or `StoreCorrupt`
    where that cannot be.
    """
    expected: dict[tuple[str, bytes], bytes] = {}
    for table, key, value in rows_of(schema, records.read()):
        if value is None:
            expected.pop((table, key), None)
        else:
            expected[table, key] = value
    stored = {(table, key): value for table in schema.tables for key, value in records.scan(table)}
    return [
        RowDifference(table, key, stored.get((table, key)), expected.get((table, key)))
        for table, key in sorted(expected.keys() | stored.keys())
        if stored.get((table, key)) != expected.get((table, key))
    ]
