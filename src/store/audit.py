"""The audit chain: every private exchange with a venue, hashed with the hash of the one before.

    hash(0) = 32 zero bytes
    hash(n) = SHA-256(hash(n-1) + stored record n)

The stored record is the journal's own bytes (kind, version, LSN, epoch, times, cause, payload), so the chain covers
all of them. A row per record holds its LSN and hash, and the head (count and hash) is kept beside, all in the commit
that holds the event. Someone who can rewrite the whole store can rewrite the whole chain; a head noted elsewhere
(`AuditHead`) is what shows that, see `verify`.
"""

import enum
import struct
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from .errors import StoreCorrupt
from .port import Lsn, StoredRecords

AUDIT_KIND = "audit"
GENESIS = bytes(32)
AUDIT_HEAD_KEY = b"audit_head"
AUDIT_TABLE = "audit"
META_TABLE = "meta"

ANSWERED = " → "
"""In the summary of an answer: before it stands the request's own summary, after it how the exchange ended."""

_ROW = struct.Struct(">Q32s")
_HEAD = struct.Struct(">Q32s")


class Direction(enum.Enum):
    """Which way the bytes went."""

    SENT = "sent"
    RECEIVED = "received"


class AuditRecord(msgspec.Struct, frozen=True):
    """One private exchange with a venue, secrets already removed.

    `channel` names the door (REST, a websocket), `at_ns` is UTC nanoseconds, `cause` the id of the message behind it.
    """

    direction: Direction
    account: str
    channel: str
    at_ns: int
    summary: str
    body_bytes_redacted: bytes
    cause: int = 0


class AuditHead(msgspec.Struct, frozen=True):
    """The end of the chain: how many records it has, and the hash of the last."""

    count: int
    digest: bytes

    def following(self, record: bytes) -> "AuditHead":
        """Return the head after one more stored record."""
        return AuditHead(self.count + 1, sha256(self.digest + record).digest())

    def pack(self) -> bytes:
        """Return the bytes kept beside the chain."""
        return _HEAD.pack(self.count, self.digest)

    @classmethod
    def unpack(cls, data: bytes) -> "AuditHead":
        """Return the head from its stored bytes. Raises `StoreCorrupt` where they are not one."""
        try:
            return cls(*_HEAD.unpack(data))
        except struct.error as error:
            raise StoreCorrupt(f"the head of the audit chain is damaged: {error}, got {data[:48]!r}") from error


START = AuditHead(0, GENESIS)


def pack_row(lsn: int, digest: bytes) -> bytes:
    """Return the row of one chained record."""
    return _ROW.pack(lsn, digest)


def unpack_row(row: bytes) -> tuple[int, bytes]:
    """Return LSN and hash of a row. Raises `struct.error` where it is not one."""
    lsn, digest = _ROW.unpack(row)
    return lsn, digest


class Place(msgspec.Struct, frozen=True):
    """Where in the chain: the number of the record from 1, and its LSN where that is known."""

    number: int
    lsn: Lsn | None

    def __str__(self) -> str:
        return f"audit record {self.number}" + ("" if self.lsn is None else f" (LSN {self.lsn})")


class AuditReport(msgspec.Struct, frozen=True):
    """What `verify` found. `records` were expected, `verified` are intact from the first on without a break."""

    records: int
    verified: int
    first_bad: Place | None = None
    reason: str | None = None
    head: AuditHead = START

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, lost or reordered."""
        return self.first_bad is None

    def __str__(self) -> str:
        if self.intact:
            return f"{self.verified} audit records verified; head {self.head.count}:{self.head.digest.hex()}"
        return f"{self.verified} of {self.records} audit records verified; {self.first_bad} {self.reason}"


_RECORD_PREFIX = b"\x97\xa5audit"  # an array of seven whose first element is the kind


def is_audit_record(record: bytes) -> bool:
    """Whether a stored record is part of the chain."""
    return record.startswith(_RECORD_PREFIX)


def verify(records: StoredRecords, *, noted: AuditHead | None = None) -> AuditReport:
    """Recompute the chain from the journal's bytes and say where it first breaks.

    `noted` is a head that was written down elsewhere earlier: it must still be on the chain. On a live store the
    records that were committed when the call began are verified, and at least those.
    """
    # An owner may commit between these three: what lies through `before` the head must count, and what the head
    # counts must lie through `last_lsn`.
    before = records.last_lsn
    stored = records.get(META_TABLE, AUDIT_HEAD_KEY)
    last_lsn = records.last_lsn
    expected = START if stored is None else AuditHead.unpack(stored)
    count = max(expected.count, 0 if noted is None else noted.count)
    rows = _rows(records)
    head, lsn = START, None

    def broken(number: int, at: Lsn | None, reason: str) -> AuditReport:
        return AuditReport(max(count, number), head.count, Place(number, at), reason, head)

    try:
        for lsn, record in records.raw(until=last_lsn):
            if not is_audit_record(record):
                continue
            number = head.count + 1
            row = next(rows, None)
            if row is None or row[0] != number:
                return broken(number, lsn, "has lost its row: rows were removed, or the record was put in")
            following = head.following(record)
            if row[1] != lsn:
                return broken(number, Lsn(row[1]), f"is missing: the journal's next audit record is at LSN {lsn}")
            if row[2] != following.digest:
                return broken(number, lsn, "was changed, or one before it: its hash does not follow")
            if number > expected.count and lsn <= before:
                return broken(number, lsn, "is beyond the store's own head: that was removed or set back")
            head = following
            for known, name in ((expected, "the store's own head"), (noted, "the head noted elsewhere")):
                if known is not None and known.count == head.count and known.digest != head.digest:
                    return broken(number, lsn, f"is not the one that {name} speaks of: the chain was rewritten")
    except StoreCorrupt as error:
        return broken(head.count + 1, None, f"cannot be reached: {error}")
    left = next((row for row in rows if row[1] <= last_lsn or row[0] <= expected.count), None)
    if left is not None:
        return broken(head.count + 1, Lsn(left[1]), "is missing: its row is there, the journal has no such record")
    if head.count < count:
        return broken(head.count + 1, None, f"is missing: the chain was truncated, {count} records were known")
    return AuditReport(head.count, head.count, head=head)


def _rows(records: StoredRecords) -> Iterator[tuple[int, int, bytes]]:
    """Iterate over number, LSN and hash of every row, a page at a time."""
    after: bytes | None = None
    while page := list(records.scan(AUDIT_TABLE, after=after, limit=_PAGE_ROWS)):
        for key, value in page:
            after = key
            yield (int.from_bytes(key, "big"), *unpack_row(value))


_PAGE_ROWS = 1000
