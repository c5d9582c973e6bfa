"""The store: a journal with indexes, snapshots and an audit chain, on LMDB, and its simulated twin.

port      what a store offers: `Journal` (owner), `Records` (reading half)
codec     events to bytes and back; kinds, versions, upcasters
schema    which events and which index rows one store holds
group     the owner's half: gathering, group commit, overlay, durability
memory    the twin in memory, with faults
"""

from .audit import AuditHead, AuditRecord, Direction
from .codec import Codec, Dropped
from .errors import (
    EntriesArchived,
    FailureReason,
    InvalidKey,
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
from .memory import MemoryDisk, MemoryStore
from .port import Entry, Event, Journal, Lsn, Records
from .schema import IndexPut, Schema

__all__ = [
    "AuditHead",
    "AuditRecord",
    "Codec",
    "Direction",
    "Dropped",
    "EntriesArchived",
    "Entry",
    "Event",
    "FailureReason",
    "IndexPut",
    "InvalidKey",
    "Journal",
    "Lsn",
    "MemoryDisk",
    "MemoryStore",
    "NewerRecord",
    "RecordError",
    "Records",
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
]
