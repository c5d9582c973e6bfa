"""The store: a journal with indexes, snapshots and an audit chain, on LMDB, and its simulated twin.

port      what a store offers: `Journal` (owner), `Records` (reading half)
codec     events to bytes and back; kinds, versions, upcasters
schema    which events and which index rows one store holds
group     the owner's half: gathering, group commit, overlay, durability
archive   the files that the journal's oldest entries become
retention which entries may go, and the steps in which they do
memory    the twin in memory, with faults
"""

from .archive import Archived
from .audit import AuditHead, AuditRecord, AuditReport, Direction, Place, verify
from .codec import Codec, Dropped
from .errors import (
    ArchiveConflict,
    ArchiveCorrupt,
    ArchiveMissing,
    FailureReason,
    InvalidKey,
    InvalidValue,
    NewerRecord,
    RecordError,
    SchemaError,
    StateLost,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    StoreForked,
    StoreLocked,
    StoreMissing,
    StoreNewer,
    StoreUnavailable,
    StoreUnsuitable,
    UndecodableRecord,
    UnknownRecord,
    UnknownTable,
    UnregisteredEvent,
)
from .lmdb_store import LmdbStore, open_store
from .lock import Holder
from .memory import MemoryStore
from .memory_disk import MemoryDisk, MemoryFolder
from .port import Durability, Entry, Event, Journal, Lsn, Records, Snapshot, Snapshots
from .reader import Reader, open_reader
from .retention import Retention
from .rows import RowDifference, check_rows
from .schema import IndexPut, Schema

__all__ = [
    "ArchiveConflict",
    "ArchiveCorrupt",
    "ArchiveMissing",
    "Archived",
    "AuditHead",
    "AuditRecord",
    "AuditReport",
    "Codec",
    "Direction",
    "Dropped",
    "Durability",
    "Entry",
    "Event",
    "FailureReason",
    "Holder",
    "IndexPut",
    "InvalidKey",
    "InvalidValue",
    "Journal",
    "LmdbStore",
    "Lsn",
    "MemoryDisk",
    "MemoryFolder",
    "MemoryStore",
    "NewerRecord",
    "Place",
    "Reader",
    "RecordError",
    "Records",
    "Retention",
    "RowDifference",
    "Schema",
    "SchemaError",
    "Snapshot",
    "Snapshots",
    "StateLost",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreFailed",
    "StoreForked",
    "StoreLocked",
    "StoreMissing",
    "StoreNewer",
    "StoreUnavailable",
    "StoreUnsuitable",
    "UndecodableRecord",
    "UnknownRecord",
    "UnknownTable",
    "UnregisteredEvent",
    "check_rows",
    "open_reader",
    "open_store",
    "verify",
]
