"""The store: a journal with indexes, snapshots and an audit chain, on LMDB, and its simulated twin.

port      what a store offers: `Journal` (owner), `Records` (reading half)
codec     events to bytes and back; kinds, versions, upcasters
schema    which events and which index rows one store holds
group     the owner's half: gathering, group commit, overlay, durability
memory    the twin in memory, with faults
"""

from .audit import AuditHead, AuditRecord, AuditReport, Direction, Place, verify
from .codec import Codec, Dropped
from .errors import (
    EntriesArchived,
    FailureReason,
    InvalidKey,
    InvalidValue,
    NewerRecord,
    RecordError,
    SchemaError,
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
from .memory import MemoryDisk, MemoryStore
from .port import Durability, Entry, Event, Journal, Lsn, Records
from .reader import Reader, open_reader
from .rows import RowDifference, check_rows
from .schema import IndexPut, Schema

__all__ = [
    "AuditHead",
    "AuditRecord",
    "AuditReport",
    "Codec",
    "Direction",
    "Dropped",
    "Durability",
    "EntriesArchived",
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
    "MemoryStore",
    "NewerRecord",
    "Place",
    "Reader",
    "RecordError",
    "Records",
    "RowDifference",
    "Schema",
    "SchemaError",
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
