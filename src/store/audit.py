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
from hashlib import sha256

import msgspec

AUDIT_KIND = "audit"
GENESIS = bytes(32)

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
        """Return the head from its stored bytes. Raises `struct.error` where they are not one."""
        return cls(*_HEAD.unpack(data))


START = AuditHead(0, GENESIS)


def pack_row(lsn: int, digest: bytes) -> bytes:
    """Return the row of one chained record."""
    return _ROW.pack(lsn, digest)


def unpack_row(row: bytes) -> tuple[int, bytes]:
    """Return LSN and hash of a row. Raises `struct.error` where it is not one."""
    lsn, digest = _ROW.unpack(row)
    return lsn, digest
