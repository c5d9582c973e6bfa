"""The files of a store, judged before LMDB touches them: a damaged map can end a process without a word.

Layout of the first two pages after lmdb.h and mdb.c (LMDB 0.9): a page header of 16 bytes, then magic, version,
address, map size, two databases of 48 bytes (the first starts with the page size), last page, transaction.
"""

import os
import struct
from pathlib import Path

import lmdb.verify
import msgspec

from .errors import StoreCorrupt, StoreMissing, StoreUnsuitable

DATA_FILE = "data.mdb"
NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "smb2", "smb3", "smbfs"}
    | {"fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)
"""Locks and shared maps do not hold there (lmdb.h, caveats)."""

_MAGIC = 0xBEEFC0DE
_PAGE_HEADER_BYTES = 16
_META = struct.Struct("=II8xQI92xQQ")
_HEADER_BYTES = 2 * 65536


class Header(msgspec.Struct, frozen=True):
    """The newest valid meta page of a data file. Sizes in bytes."""

    page_size: int
    map_size: int
    pages: int
    transaction: int

    @property
    def used_size(self) -> int:
        """Bytes up to the last page in use."""
        return self.pages * self.page_size


def read_header(data_path: Path) -> Header | None:
    """Return the header of a data file, or None where it is empty (its creation was cut short).

    Raises `StoreMissing` or `StoreCorrupt`.
    """
    try:
        with data_path.open("rb") as file:
            data = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise StoreMissing(f"there is no store at {data_path.parent}: {data_path.name} is missing") from None
    except OSError as error:
        raise StoreUnsuitable(f"{data_path} cannot be read: {error}") from error
    if not data:
        return None
    first = _parse_meta(data, 0)
    page_size = os.sysconf("SC_PAGE_SIZE") if first is None else first.page_size
    metas = [meta for meta in (first, _parse_meta(data, page_size)) if meta is not None]
    if not metas:
        raise StoreCorrupt(f"{data_path} is no LMDB data file: neither of its first two pages carries the mark")
    return max(metas, key=lambda meta: meta.transaction)


def _parse_meta(data: bytes, offset: int) -> Header | None:
    start = offset + _PAGE_HEADER_BYTES
    if len(data) < start + _META.size:
        return None
    magic, _version, map_size, page_size, last_page, transaction = _META.unpack_from(data, start)
    if magic != _MAGIC or page_size < 512 or page_size & (page_size - 1):
        return None
    return Header(page_size, map_size, last_page + 1, transaction)


def verify_pages(data_path: Path) -> list[str]:
    """Walk every page of a data file nobody writes to and return what is wrong with it, page by page."""
    try:
        problems: list[str] = lmdb.verify.verify(str(data_path))  # type: ignore[no-untyped-call]  # not annotated
    except lmdb.verify.VerifyError as error:
        return [str(error)]
    return problems


def check_pages(data_path: Path) -> None:
    """Raise `StoreCorrupt` with the first findings if a page of the file is damaged."""
    problems = verify_pages(data_path)
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise StoreCorrupt(
            f"{data_path} of {data_path.stat().st_size} bytes is damaged: {'; '.join(problems[:3])}{more}. "
            f"Nothing was changed; restore a copy, and let the venues' own records fill what came after it."
        )


def free_bytes(path: Path) -> int:
    """Return how many bytes this user may still write beside `path`; very many where that cannot be told."""
    try:
        stats = os.statvfs(path.parent)
    except OSError:
        return 1 << 62
    return stats.f_bavail * stats.f_frsize


def file_system_of(path: Path, mount_info: str) -> str | None:
    """Return the file system type that holds `path`, by the text of /proc/self/mountinfo (proc(5))."""
    found: tuple[int, str] | None = None
    target = str(path)
    for line in mount_info.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split()
        if not separator or len(fields) < 5 or not right:
            continue
        mount = fields[4].encode().decode("unicode_escape")  # spaces in names are octal escapes
        inside = mount in ("/", target) or target.startswith(mount + "/")
        if inside and (found is None or len(mount) >= found[0]):  # a later mount hides an earlier one
            found = (len(mount), right.split()[0])
    return None if found is None else found[1]


def refuse_network_file_system(path: Path) -> None:
    """Raise `StoreUnsuitable` where `path` is on a network file system; say nothing where that is not known."""
    try:
        mount_info = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    kind = file_system_of(path.resolve(), mount_info)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreUnsuitable(
            f"{path} is on a network file system ({kind}), where LMDB's locks and maps do not hold. Use a local disk."
        )
