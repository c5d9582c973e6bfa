"""What can go wrong with the store, as a tree; every message says what, where, and what happens next.

StoreError
├── StoreUnavailable        the store cannot be opened
│   ├── StoreMissing        there is none at that path
│   ├── StoreLocked         another owner holds it; says who
│   ├── StoreNewer          written by a newer build
│   ├── StoreCorrupt        not a store, or damaged; says file and place
│   │   └── ArchiveCorrupt  an archive file is damaged, or not the one that was written
│   ├── StoreUnsuitable     the file system or a setting cannot carry a store
│   └── StateLost           no snapshot can be read, and not everything since the beginning either
├── StoreFailed             an open store stopped accepting; says why
│   ├── StoreClosed         it was closed
│   └── StoreForked         this process is a fork of the owner
├── RecordError             a stored record cannot be turned into an event
│   ├── UnknownRecord       no such kind in this build
│   ├── NewerRecord         its version is newer than this build's
│   └── UndecodableRecord   its bytes do not fit its kind and version
├── ArchiveMissing          the file that holds the entries asked for is not there
├── ArchiveConflict         another file lies where an archive file is to be written
└── SchemaError             the caller's mistake; nothing was recorded
    ├── UnregisteredEvent   this class is in no codec
    ├── UnknownTable        the schema declares no such table
    ├── InvalidKey          empty, or longer than the store can index
    └── InvalidValue        not bytes
"""

# the names say what happened; the base class says that it is an error

import enum


class StoreError(Exception):
    """Anything the store raises on purpose."""


class StoreUnavailable(StoreError):
    """The store cannot be opened; nothing was written."""


class StoreMissing(StoreUnavailable):
    """There is no store at that path."""


class StoreLocked(StoreUnavailable):
    """Another owner holds the store; the message says who."""


class StoreNewer(StoreUnavailable):
    """The store was written in a format newer than this build understands."""


class StoreCorrupt(StoreUnavailable):
    """The files are no store, or are damaged; the message names file and place."""


class ArchiveCorrupt(StoreCorrupt):
    """An archive file is damaged, or is not the one that was written; the message names it."""


class StoreUnsuitable(StoreUnavailable):
    """The file system or a setting cannot carry a store safely."""


class StateLost(StoreUnavailable):
    """No snapshot can be read, and not everything since the beginning either: there is no state to start from."""


class FailureReason(enum.Enum):
    """Why an open store stopped accepting."""

    DISK_FULL = "the disk is full"
    MAP_FULL = "the store reached its configured ceiling"
    IO_ERROR = "the disk reported an error"
    STALLED = "the disk does not answer"
    CORRUPT = "a page of the store is damaged"
    FENCED = "a newer owner has opened the store"
    ACTION_RAISED = "an action waiting for durability raised"
    CLOSED = "the store was closed"
    CRASHED = "the simulated machine crashed"
    FORKED = "this process is a fork of the store's owner"
    UNEXPECTED = "the store met an error it does not know"


class StoreFailed(StoreError):
    """An open store stopped accepting.

    Nothing that was not durable at that moment will become visible: actions waiting for it never run.
    Reads go on. The outcome of the last commit is unknown until the store is opened again.
    """

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class StoreClosed(StoreFailed):
    """The store was closed by its owner."""


class StoreForked(StoreFailed):
    """This process is a fork of the owner; an environment does not survive a fork."""


class RecordError(StoreError):
    """A stored record cannot be turned into an event. Reading stops here; nothing is skipped."""

    def __init__(self, message: str, *, kind: str, version: int, lsn: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.version = version
        self.lsn = lsn


class UnknownRecord(RecordError):
    """This build knows no such kind of record."""


class NewerRecord(RecordError):
    """The record's version is newer than this build's."""


class UndecodableRecord(RecordError):
    """The record's bytes do not fit its kind and version."""


class ArchiveMissing(StoreError):
    """The entries asked for were archived and their file is not there; the message names file and range."""


class ArchiveConflict(StoreError):
    """Where an archive file is to be written lies another one, whole and with other content. Nothing was changed."""


class SchemaError(StoreError):
    """The caller's mistake, found before anything was recorded."""


class UnregisteredEvent(SchemaError):
    """The class of this event is registered in no codec."""


class UnknownTable(SchemaError):
    """The schema declares no table of that name."""


class InvalidKey(SchemaError):
    """A key is empty or longer than the store can index."""


class InvalidValue(SchemaError):
    """The value of a row is not bytes."""
