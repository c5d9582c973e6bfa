"""The folder of archive files: written whole or not at all, and safe on the disk before their writing returns."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

ARCHIVE_FOLDER = "archive"
PARTIAL = ".partial"
"""The end of the name of a file that is being written. One that was left over says nothing and is written anew."""


class Folder(Protocol):
    """Where archive files lie. Its calls may block, and raise OSError."""

    def where(self, name: str) -> str:
        """How a person finds this file."""

    def names(self) -> list[str]:
        """The names of all whole files, in order."""

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none of that name."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, all of it or nothing; it survives a loss of power when this returns."""


class FileFolder:
    """A folder of a file system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def where(self, name: str) -> str:
        """The file's path."""
        return str(self.path / name)

    def names(self) -> list[str]:
        """The names of all whole files; see `Folder.names`."""
        if not self.path.exists():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if entry.suffix != PARTIAL)

    def read(self, name: str) -> bytes | None:
        """The content of a file; see `Folder.read`."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write beside, sync, rename, sync the folder; see `Folder.write`."""
        if not self.path.exists():
            self.path.mkdir(mode=0o700, parents=True)
            _sync(self.path.parent)
        partial = self.path / (name + PARTIAL)
        try:
            with partial.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path / name)
        except OSError:
            with suppress(OSError):
                partial.unlink()  # on a full disk its bytes are worth more than it is
            raise
        _sync(self.path)


def _sync(directory: Path) -> None:
    """Make the names in a directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
