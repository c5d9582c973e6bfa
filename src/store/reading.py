"""What owner and readers share in reading: entries in order, snapshots with checksums, numbers as keys."""

import struct
import zlib
from collections.abc import Iterable, Iterator

from .codec import Codec
from .errors import InvalidKey, StoreCorrupt
from .port import Entry, Lsn
from .schema import KEY_BYTES_MAX

FIRST_LSN = Lsn(1)

_NUMBER = struct.Struct(">Q")
_CHECKSUM = struct.Struct(">I")


def pack_number(number: int) -> bytes:
    """Return a number as bytes that sort by its size."""
    return _NUMBER.pack(number)


def unpack_number(data: bytes) -> int:
    """Return the number of such bytes. Raises `struct.error` where they are not eight."""
    number: int = _NUMBER.unpack(data)[0]
    return number


def sealed(body: bytes) -> bytes:
    """Return a body behind its checksum."""
    return _CHECKSUM.pack(zlib.crc32(body)) + body


def unsealed(data: bytes) -> bytes | None:
    """Return the body behind a checksum, or None where they do not match."""
    body = data[_CHECKSUM.size :]
    if len(data) < _CHECKSUM.size or _CHECKSUM.unpack_from(data)[0] != zlib.crc32(body):
        return None
    return body


def decoded(codec: Codec, records: Iterable[tuple[Lsn, bytes]]) -> Iterator[Entry]:
    """Iterate over the entries of stored records, sure that each says its own place and that epochs only rise."""
    epoch = 0
    for lsn, record in records:
        entry = codec.decode(record, place=lsn)
        if entry.lsn != lsn or entry.epoch < epoch:
            raise StoreCorrupt(
                f"at LSN {lsn} of the journal lies a record that says LSN {entry.lsn}, epoch {entry.epoch}, "
                f"after epoch {epoch}: two owners wrote, or records were moved. Reading stops here."
            )
        epoch = entry.epoch
        yield entry


def snapshot_prefix(entity: str) -> bytes:
    """Return what the keys of an entity's snapshots start with. Raises `InvalidKey`."""
    data = entity.encode()
    if not data or b"\0" in data or len(data) + 1 + _NUMBER.size > KEY_BYTES_MAX:
        raise InvalidKey(
            f"the name of an entity must have 1 to {KEY_BYTES_MAX - 1 - _NUMBER.size} bytes and no zero byte, "
            f"got {entity[:40]!r}"
        )
    return data + b"\0"


def snapshot_key(entity: str, lsn: Lsn) -> bytes:
    """Return the key of one snapshot."""
    return snapshot_prefix(entity) + pack_number(lsn)


def newest_intact(rows: Iterable[tuple[bytes, bytes]]) -> tuple[Lsn, bytes] | None:
    """Return LSN and state of the newest of an entity's snapshots whose checksum holds."""
    for key, value in sorted(rows, reverse=True):
        state = unsealed(value)
        if state is not None:
            return Lsn(unpack_number(key[-_NUMBER.size :])), state
    return None


def entities(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Iterate over the names in the keys of snapshots, each once."""
    last = None
    for key, _ in rows:
        name = key[: -_NUMBER.size - 1]
        if name != last:
            last = name
            yield name.decode()
