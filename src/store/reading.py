"""What owner and readers share in reading: entries in order, snapshots with checksums, numbers as keys."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from hashlib import sha256

from .codec import Codec
from .errors import InvalidKey, StoreCorrupt
from .port import Entry, Lsn, Snapshot, Snapshots
from .schema import KEY_BYTES_MAX

FIRST_LSN = Lsn(1)
FIRST_LSN_KEY = b"first_lsn"

_SLOTS = (b"\0a", b"\0b")
_NUMBER = struct.Struct(">Q")
_CHECKSUM = struct.Struct(">I")
SNAPSHOT_FORMAT = 1
_SNAPSHOT_MARK = b"SNAP"
_SNAPSHOT_HEAD = struct.Struct(">4sHQQ")
_HASH_BYTES = 32


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
    """Return a snapshot behind a head that says its format, its place, its length and its hash."""
    head = _SNAPSHOT_HEAD.pack(_SNAPSHOT_MARK, SNAPSHOT_FORMAT, lsn, len(state))
    return head + sha256(head + state).digest() + state


def unpack_snapshot(data: bytes) -> Snapshot | str:
    """Return a snapshot, or what is wrong with its bytes."""
    size = _SNAPSHOT_HEAD.size
    if len(data) < size + _HASH_BYTES:
        return f"it is cut off after {len(data)} bytes"
    mark, version, lsn, length = _SNAPSHOT_HEAD.unpack_from(data)
    if mark != _SNAPSHOT_MARK:
        return f"it begins with {data[:4]!r} instead of {_SNAPSHOT_MARK!r}"
    if version != SNAPSHOT_FORMAT:
        return f"it has format {version}, this build reads format {SNAPSHOT_FORMAT}"
    state = data[size + _HASH_BYTES :]
    if len(state) != length:
        return f"it has {len(state)} bytes of the {length} that were written"
    if sha256(data[:size] + state).digest() != data[size : size + _HASH_BYTES]:
        return "its bytes do not match their hash"
    return Snapshot(Lsn(lsn), state)


def read_snapshots(slots: Iterable[bytes | None]) -> Snapshots:
    """Return what the places of an entity's snapshots hold: the intact ones, the newest first, and the damage."""
    found = [(number, unpack_snapshot(data)) for number, data in enumerate(slots, 1) if data is not None]
    intact = [snapshot for _, snapshot in found if isinstance(snapshot, Snapshot)]
    return Snapshots(
        intact=tuple(sorted(intact, key=lambda snapshot: snapshot.lsn, reverse=True)),
        damaged=tuple(f"in place {number}: {why}" for number, why in found if isinstance(why, str)),
    )


def entities(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Iterate over the names in the keys of snapshots, each once."""
    last = None
    for key, _ in rows:
        name = key[: -len(_SLOTS[0])]
        if name != last:
            last = name
            yield name.decode()
