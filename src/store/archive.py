"""Archive files: the journal's oldest records, a run of them in each file, hashed and chained.

    mark (8 bytes) | length of the header (4) | header | body | SHA-256 of everything before it (32)

The header is a MessagePack map (`Header`), the body a MessagePack array of records, compressed with zlib. Each header
holds the digest of the file before, so the files are a chain; the store keeps the digest of every file in a row of
its own (`Archived`), so a file that was replaced is found out even where it is whole in itself.
"""

import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Protocol

import msgspec

from .audit import GENESIS, START, AuditHead, is_audit_record
from .errors import ArchiveCorrupt, ArchiveMissing, StoreCorrupt
from .folder import Folder
from .port import Lsn
from .schema import ARCHIVES

MARK = b"TALLYARC"
ARCHIVE_FORMAT = 1
ARCHIVE_SUFFIX = ".journal"
COMPRESSION_LEVEL = 6

_DIGEST_BYTES = 32
_LENGTH_BYTES = 4


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file says of itself. `first_at_ns` and `last_at_ns` are when its ends were recorded, UTC nanoseconds;
    `audit` is the head of the audit chain after its last record, `records_bytes` the size of its body unpacked.
    """

    format: int
    first_lsn: int
    last_lsn: int
    first_at_ns: int
    last_at_ns: int
    records_bytes: int
    previous: bytes
    audit: AuditHead


class Archived(msgspec.Struct, frozen=True):
    """One archive file as the store knows it: its range, its digest, and where the audit chain stood after it."""

    first_lsn: Lsn
    last_lsn: Lsn
    first_at_ns: int
    last_at_ns: int
    size_bytes: int
    digest: bytes
    audit: AuditHead

    @property
    def name(self) -> str:
        """The name of its file."""
        return file_name(self.first_lsn, self.last_lsn)

    def __str__(self) -> str:
        return f"entries {self.first_lsn} to {self.last_lsn} ({self.name})"


class ArchiveSource(Protocol):
    """Whatever has archive files: the owner's disk, or a reader."""

    @property
    def first_lsn(self) -> Lsn:
        """The oldest LSN that is not in an archive file."""

    @property
    def folder(self) -> Folder:
        """Where the files are."""

    def scan(self, table: str, prefix: bytes, after: bytes | None, limit: int | None) -> list[tuple[bytes, bytes]]:
        """Return committed rows in key order."""

    def records(self, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
        """Iterate over the records that the journal still holds."""


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode
_decode_format = msgspec.msgpack.Decoder(dict[str, object]).decode
_decode_records = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_row = msgspec.msgpack.Decoder(Archived).decode


def file_name(first_lsn: int, last_lsn: int) -> str:
    """The name of the file with this range; names sort as their ranges do."""
    return f"{first_lsn:020d}-{last_lsn:020d}{ARCHIVE_SUFFIX}"


def pack_archived(archived: Archived) -> bytes:
    """Return the store's row of a file."""
    return _encode(archived)


def archived_files(source: ArchiveSource) -> list[Archived]:
    """All files that the store knows, the oldest first. Raises `StoreCorrupt` where a row is damaged."""
    try:
        return [_decode_row(row) for _, row in source.scan(ARCHIVES, b"", None, None)]
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"the list of archive files in the store is damaged: {error}") from error


# ---- one file ---------------------------------------------------------------------------------------------


def pack_archive(
    first_lsn: Lsn, records: list[bytes], *, first_at_ns: int, last_at_ns: int, previous: Archived | None
) -> tuple[bytes, Archived]:
    """Return the content of the file that holds `records`, and its row. The same records make the same file."""
    audit = START if previous is None else previous.audit
    for record in records:
        if is_audit_record(record):
            audit = audit.following(record)
    unpacked = _encode(records)
    header = Header(
        format=ARCHIVE_FORMAT,
        first_lsn=first_lsn,
        last_lsn=first_lsn + len(records) - 1,
        first_at_ns=first_at_ns,
        last_at_ns=last_at_ns,
        records_bytes=len(unpacked),
        previous=GENESIS if previous is None else previous.digest,
        audit=audit,
    )
    head = _encode(header)
    content = b"".join(
        (MARK, len(head).to_bytes(_LENGTH_BYTES, "big"), head, zlib.compress(unpacked, COMPRESSION_LEVEL))
    )
    digest = sha256(content).digest()
    return content + digest, _row_of(header, len(content) + _DIGEST_BYTES, digest)


def unpack_archive(data: bytes, where: str) -> tuple[Archived, bytes, list[bytes]]:
    """Return a file's row, the digest of the file before it, and its records.

    Raises `ArchiveCorrupt`, which says what is wrong with it.
    """
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not data.startswith(MARK):
        raise ArchiveCorrupt(f"{where} is no archive file: it begins with {data[:8]!r}, expected {MARK!r}")
    if sha256(content).digest() != digest:
        raise ArchiveCorrupt(
            f"{where} is damaged: its {len(data)} bytes do not match its own hash (changed, or cut short). "
            f"Restore it from a copy."
        )
    start = len(MARK) + _LENGTH_BYTES
    body = start + int.from_bytes(content[len(MARK) : start], "big")
    try:
        found = _decode_format(content[start:body]).get("format")
        if found != ARCHIVE_FORMAT:
            raise ArchiveCorrupt(
                f"{where} has format {found!r}; this build reads format {ARCHIVE_FORMAT}. Use the build that wrote it."
            )
        header = _decode_header(content[start:body])
        unpacking = zlib.decompressobj()
        unpacked = unpacking.decompress(content[body:], header.records_bytes)
        if len(unpacked) != header.records_bytes or not unpacking.eof:
            raise ArchiveCorrupt(f"{where} is damaged: its body is not the {header.records_bytes} bytes it announces")
        records = _decode_records(unpacked)
    except (msgspec.MsgspecError, UnicodeDecodeError, zlib.error) as error:
        raise ArchiveCorrupt(f"{where} is damaged: {error}. Restore it from a copy.") from error
    if header.last_lsn - header.first_lsn + 1 != len(records):
        raise ArchiveCorrupt(
            f"{where} says entries {header.first_lsn} to {header.last_lsn} and holds {len(records)} records"
        )
    return _row_of(header, len(data), digest), header.previous, records


def _row_of(header: Header, size_bytes: int, digest: bytes) -> Archived:
    return Archived(
        first_lsn=Lsn(header.first_lsn),
        last_lsn=Lsn(header.last_lsn),
        first_at_ns=header.first_at_ns,
        last_at_ns=header.last_at_ns,
        size_bytes=size_bytes,
        digest=digest,
        audit=header.audit,
    )


def load_archive(folder: Folder, known: Archived) -> list[bytes]:
    """Return the records of a file that the store knows, sure that it is that file.

    Raises `ArchiveMissing` or `ArchiveCorrupt`, which name file and range.
    """
    where = folder.where(known.name)
    try:
        data = folder.read(known.name)
    except OSError as error:
        raise ArchiveCorrupt(
            f"{where} with entries {known.first_lsn} to {known.last_lsn} cannot be read: {error}"
        ) from error
    if data is None:
        raise ArchiveMissing(
            f"entries {known.first_lsn} to {known.last_lsn} were archived, and their file {where} is not there. "
            f"Bring it back to read them."
        )
    found, _, records = unpack_archive(data, where)
    if found.digest != known.digest:
        raise ArchiveCorrupt(
            f"{where} is whole, but not the file that was archived: its hash is {found.digest.hex()}, "
            f"the store knows {known.digest.hex()}. Restore it from a copy."
        )
    return records


# ---- reading on, from the files into the journal ----------------------------------------------------------


def spanning(source: ArchiveSource, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
    """Iterate over records from `start` through `until`, wherever they lie, also while an owner archives them.

    Raises `ArchiveMissing`, `ArchiveCorrupt` or `StoreCorrupt` at the first record that cannot be read.
    """
    place = start
    while place <= until:
        first = source.first_lsn
        if place < first:
            for lsn, record in _archived_records(source, place, Lsn(min(until, first - 1))):
                yield lsn, record
                place = Lsn(lsn + 1)
            continue
        try:
            for lsn, record in source.records(place, until):
                yield lsn, record
                place = Lsn(lsn + 1)
        except StoreCorrupt:
            if source.first_lsn <= place:  # else it was archived since, and is read from there
                raise


def _archived_records(source: ArchiveSource, start: Lsn, until: Lsn) -> Iterator[tuple[Lsn, bytes]]:
    place = start
    for known in archived_files(source):
        if known.last_lsn < place:
            continue
        if known.first_lsn > place:
            break
        records = load_archive(source.folder, known)
        for lsn, record in enumerate(records[place - known.first_lsn :], place):
            if lsn > until:
                return
            yield Lsn(lsn), record
        place = Lsn(known.last_lsn + 1)
        if place > until:
            return
    raise StoreCorrupt(f"entry {place} is neither in the journal, which starts at {source.first_lsn}, nor in a file")
