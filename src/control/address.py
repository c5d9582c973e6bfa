"""Where the control socket is, how it is opened without harming another's, and who may speak over it.

The socket lies beside the store, which has one owner at a time: whoever holds the store's lock may replace a socket
that an earlier owner left behind. A socket elsewhere (`control = "…"`) is reached by a link beside the store.
"""

import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..configuration import CONTROL_SOCKET

ADDRESS_BYTES_MAXIMUM = 100
"""Linux takes 107, macOS 103."""
BACKLOG = 32


class ControlUnavailable(Exception):
    """The control socket cannot be opened; the text says why, and how to do without."""


class PeerUnknown(Exception):
    """The system does not say who the caller is, so he is let do nothing."""


def socket_of(store: Path) -> Path:
    """The socket, or the link to it, of a store's directory."""
    return store / CONTROL_SOCKET


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """An address that the system takes for a socket at `path`; where the path is too long, one by way of its folder.

    Raises OSError where the folder cannot be opened, or where the system knows no such way.
    """
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAXIMUM:
        yield str(path)
        return
    if sys.platform != "linux":
        raise OSError(f"{path} is too long for a socket; at most {ADDRESS_BYTES_MAXIMUM} bytes are possible here")
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextmanager
def listening(path: Path, store: Path) -> Iterator[socket.socket]:
    """A socket that listens at `path`, for its owner alone; removed with the block.

    Call it while the store's lock is held. Raises `ControlUnavailable` where something else is at that path, or
    another process answers there.
    """
    link = socket_of(store)
    try:
        made = _bound(path)
        if link != path:
            _link(link, path)
    except OSError as error:
        raise ControlUnavailable(
            f"the control socket {path} cannot be opened ({error}); "
            'give another path in [runtime] control, or switch it off with control = "off"'
        ) from error
    mine = path.stat().st_ino
    try:
        with made:
            yield made
    finally:
        with suppress(OSError):
            if path.stat().st_ino == mine:
                path.unlink()
                if link != path:
                    link.unlink()


def _bound(path: Path) -> socket.socket:
    _clear(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(path) as address:
            made.bind(address)
        # Nobody can connect before it listens, so there is no moment in which others could.
        path.chmod(0o600)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _clear(path: Path) -> None:
    """Remove a socket at which nobody listens. Raises OSError for anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode) and path.name == CONTROL_SOCKET:
        path.unlink()  # of an earlier configuration
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError("something is there that is no socket, and it is left alone")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, address_of(path) as address:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError("another process listens there")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() or (link.exists() and stat.S_ISSOCK(link.lstat().st_mode)):
        link.unlink()
    link.symlink_to(target.absolute())


def peer_uid(connection: socket.socket) -> int:
    """The user of the process at the other end, as the kernel has it. Raises `PeerUnknown` and OSError."""
    platform: str = sys.platform  # a name of its own, or a type checker leaves out the other systems
    if platform == "linux":
        size = struct.calcsize("3i")
        _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return int(uid)
    if platform == "darwin":
        # struct xucred: version, uid, number of groups, groups; by LOCAL_PEERCRED at level SOL_LOCAL, both from un.h.
        data = connection.getsockopt(0, 1, struct.calcsize("2Ih16I"))
        return int(struct.unpack_from("2I", data)[1])
    raise PeerUnknown(f"on {platform} nobody says who is at the other end of a socket")


def may_control(uid: int) -> bool:
    """Whether a user may control this process: its own user, or root, who could do anything to it anyhow."""
    return uid in {os.geteuid(), 0}
