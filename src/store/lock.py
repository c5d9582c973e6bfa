"""One owner per store: an advisory lock on a file that says who holds it."""

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

import msgspec

from ..model.timestamps import rfc3339
from .errors import StoreLocked, StoreUnsuitable

LOCK_FILE = "owner.lock"

# A reader that asks whether there is an owner holds the lock for an instant; that must not turn an owner away.
_TRIES = 4
_TRY_SECONDS = 0.01


class Holder(msgspec.Struct, frozen=True):
    """Who holds a store. `opened_at_ns` is UTC nanoseconds; `epoch` is 0 until the store is open."""

    owner: str
    pid: int
    host: str
    opened_at_ns: int
    epoch: int = 0

    def __str__(self) -> str:
        return (
            f"{self.owner!r}, process {self.pid} on {self.host}, "
            f"opened at {rfc3339(self.opened_at_ns)}, epoch {self.epoch or 'not yet known'}"
        )


class OwnerLock:
    """The lock of a store's directory. The kernel frees it when its process ends, however it ends."""

    def __init__(self, directory: Path, *, owner: str, opened_at_ns: int) -> None:
        self._path = directory / LOCK_FILE
        self._holder = Holder(owner, os.getpid(), socket.gethostname(), opened_at_ns)
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `StoreLocked` naming the holder, `StoreUnsuitable` where locks do not work."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock_exclusively(file)
        except OSError as error:
            held_by = read_holder(self._path)
            os.close(file)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise StoreUnsuitable(f"{self._path}: this file system cannot lock files ({error})") from error
            raise StoreLocked(
                f"{self._path.parent} is held by {held_by or 'an owner that has not signed yet'}. "
                f"One store has one owner: stop that one first, or read with a reader."
            ) from None
        self._file = file
        self._sign()

    def set_epoch(self, epoch: int) -> None:
        """Write the epoch of the opened store into the lock."""
        self._holder = msgspec.structs.replace(self._holder, epoch=epoch)
        self._sign()

    def _sign(self) -> None:
        assert self._file is not None
        data = msgspec.json.encode(self._holder)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, data, 0)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two owners lock two files of one name."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            self.abandon()

    def abandon(self) -> None:
        """Close the descriptor alone: in a forked child, whose copy would keep the lock after the owner's end."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _lock_exclusively(file: int) -> None:
    for left in reversed(range(_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_TRY_SECONDS)
        else:
            return


def read_holder(lock_path: Path) -> Holder | None:
    """Return who signed the lock file last, or None where nobody did."""
    try:
        return msgspec.json.decode(lock_path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def is_held(lock_path: Path) -> bool:
    """Return whether some owner holds the lock now."""
    try:
        file = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
