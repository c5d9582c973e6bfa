"""What one store holds: which events, and which index rows follow from each of them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from .audit import AUDIT_KIND, AUDIT_TABLE, META_TABLE, AuditRecord
from .codec import Codec
from .port import Event, Lsn

META = META_TABLE
JOURNAL = "journal"
SNAPSHOTS = "snapshots"
AUDIT = AUDIT_TABLE
ARCHIVES = "archives"
RESERVED_TABLES = frozenset({META, JOURNAL, SNAPSHOTS, AUDIT, ARCHIVES})

KEY_BYTES_MAX = 511
"""Longest key that LMDB can index (lmdb.h, mdb_env_get_maxkeysize)."""


class IndexPut(NamedTuple):
    """One row to write with the event it follows from; a value of None deletes the row. Text keys become UTF-8."""

    table: str
    key: bytes | str
    value: bytes | None


IndexRow: TypeAlias = tuple[str, bytes | str, bytes | None]
"""An `IndexPut`, or the plain tuple that is equal to it: indexers that run for every event save its making."""


def _nothing(_event: Event) -> Iterable[IndexRow]:
    return ()


class Schema:
    """Events, tables, and the pure functions from an event to its rows.

    `indexer` sees the event alone. `located_indexer`, if given, also sees the event's LSN: for rows that point into
    the journal, such as an order's timeline. Both must be pure: rows are checked against the journal and, when a
    table is new or `index_version` is not the one the store was left with, all made anew from it. So raise
    `index_version` whenever an indexer changes what it says about an event there has been before.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        tables: Iterable[str] = (),
        indexer: Callable[[Event], Iterable[IndexRow]] = _nothing,
        located_indexer: Callable[[Event, Lsn], Iterable[IndexRow]] | None = None,
        index_version: int = 1,
    ) -> None:
        self.codec = codec
        self.tables = tuple(dict.fromkeys(tables))
        self.indexer = indexer
        self.located_indexer = located_indexer
        self.index_version = index_version
        taken = sorted(RESERVED_TABLES.intersection(self.tables))
        if taken:
            raise ValueError(f"the tables {taken} belong to the store itself; choose other names")
        if AuditRecord not in codec:
            codec.register(AuditRecord, kind=AUDIT_KIND, version=1)
        if codec.kinds[AUDIT_KIND].event_class is not AuditRecord:
            raise ValueError(f"the kind {AUDIT_KIND!r} belongs to the store's own audit records")

    def rows(self, event: Event, lsn: Lsn) -> Iterable[IndexRow]:
        """Iterate over all rows that follow from an event."""
        yield from self.indexer(event)
        if self.located_indexer is not None:
            yield from self.located_indexer(event, lsn)
