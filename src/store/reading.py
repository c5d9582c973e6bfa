"""What owner and readers share in reading: entries in order, snapshots with checksums, numbers as keys."""

import struct
import zlib
from collections.abc import Iterable, Iterator

from .codec import Codec
from .errors import InvalidKey, StoreCorrupt
from .port import Entry, Lsn
from .schema import KEY_BYTES_MAX

FIRST_LSN = Lsn(1)

_SLOTS = (b"\0a", b"\0b")
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


def snapshot_slots(entity: str) -> tuple[bytes, bytes]:
    """Return the keys of the two places that hold an entity's snapshots in turn. Raises `InvalidKey`."""
    data = entity.encode()
    if not data or b"\0" in data or len(data) + len(_SLOTS[0]) > KEY_BYTES_MAX:
        raise InvalidKey(
            f"the name of an entity must have 1 to {KEY_BYTES_MAX - len(_SLOTS[0])} bytes and no zero byte, "
            f"got {entity[:40]!r}"
        )
    return data + _SLOTS[0], data + _SLOTS[1]


def pack_snapshot(lsn: Lsn, state: bytes) -> bytes:
    """Return a snapshot behind its checksum."""
    return sealed(pack_number(lsn) + state)


def unpack_snapshot(data: bytes | None) -> tuple[Lsn, bytes] | None:
    """Return LSN and state of a snapshot, or None where there is none or its checksum does not hold."""
    body = None if data is None else unsealed(data)
    if body is None or len(body) < _NUMBER.size:
        return None
    return Lsn(unpack_number(body[: _NUMBER.size])), body[_NUMBER.size :]


def newest_intact(slots: Iterable[bytes | None]) -> tuple[Lsn, bytes] | None:
    """Return LSN and state of the newest snapshot whose checksum holds."""
    return max((snapshot for slot in slots if (snapshot := unpack_snapshot(slot)) is not None), default=None)


def entities(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Iterate over the names in the keys of snapshots, each once."""
    last = None
    for key, _ in rows:
        name = key[: -len(_SLOTS[0])]
        if name != last:
            last = name
            yield name.decode()
