"""Events, a schema and openers that the tests of the store share."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec
from tallystick.store import (
    AuditRecord,
    Codec,
    Direction,
    Event,
    IndexPut,
    LmdbStore,
    Lsn,
    MemoryDisk,
    MemoryStore,
    Reader,
    Schema,
    StoreFailed,
    open_reader,
    open_store,
)
from tallystick.store.folder import ARCHIVE_FOLDER


class Placed(msgspec.Struct, frozen=True):
    order: str
    quantity: Decimal


class Filled(msgspec.Struct, frozen=True):
    order: str
    trade: str
    quantity: Decimal


class Done(msgspec.Struct, frozen=True):
    order: str


class Stranger(msgspec.Struct, frozen=True):
    name: str


class Misfiled(msgspec.Struct, frozen=True):
    table: str
    key: str


TABLES = ("open_orders", "fills", "timeline")


def rows(event: Event) -> Iterable[IndexPut]:
    match event:
        case Placed(order, quantity):
            yield IndexPut("open_orders", order, str(quantity).encode())
        case Filled(order, trade, _):
            yield IndexPut("fills", trade, order.encode())
        case Done(order):
            yield IndexPut("open_orders", order, None)
        case Misfiled(table, key):
            yield IndexPut("fills", "written-before-the-mistake", b"")
            yield IndexPut(table, key, b"")
        case _:
            pass


def located_rows(event: Event, lsn: Lsn) -> Iterable[IndexPut]:
    if isinstance(event, Placed | Filled | Done):
        yield IndexPut("timeline", event.order.encode() + b"\0" + lsn.to_bytes(8, "big"), b"")


def make_codec() -> Codec:
    codec = Codec()
    codec.register(Placed, kind="order.placed")
    codec.register(Filled, kind="order.filled")
    codec.register(Done, kind="order.done")
    codec.register(Misfiled, kind="misfiled")
    return codec


def make_schema(codec: Codec | None = None) -> Schema:
    return Schema(codec or make_codec(), tables=TABLES, indexer=rows, located_indexer=located_rows)


def placed(order: str, quantity: str = "1") -> Placed:
    return Placed(order, Decimal(quantity))


def filled(order: str, trade: str, quantity: str = "1") -> Filled:
    return Filled(order, trade, Decimal(quantity))


def exchange(number: int) -> AuditRecord:
    return AuditRecord(Direction.SENT, "venue:main", "rest", number, f"request {number}", b"{}", number)


Store = LmdbStore | MemoryStore


class Medium(Protocol):
    """Something a store can be opened on, again and again."""

    name: str

    def archive_files(self) -> dict[str, bytes]: ...

    def put_archive_file(self, name: str, data: bytes | None) -> None: ...

    def store(
        self, schema: Schema | None = None, *, on_failure: Callable[[StoreFailed], None] | None = None
    ) -> Store: ...


class MemoryMedium:
    name = "memory"

    def __init__(self) -> None:
        self.disk = MemoryDisk()

    def archive_files(self) -> dict[str, bytes]:
        return dict(self.disk.folder.files)

    def put_archive_file(self, name: str, data: bytes | None) -> None:
        self.disk.folder.files.pop(name, None)
        if data is not None:
            self.disk.folder.files[name] = data

    def store(
        self, schema: Schema | None = None, *, on_failure: Callable[[StoreFailed], None] | None = None
    ) -> MemoryStore:
        return MemoryStore(schema or make_schema(), self.disk, on_failure=on_failure)


class LmdbMedium:
    name = "lmdb"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def archive_files(self) -> dict[str, bytes]:
        folder = self.directory / ARCHIVE_FOLDER
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}

    def put_archive_file(self, name: str, data: bytes | None) -> None:
        path = self.directory / ARCHIVE_FOLDER / name
        if data is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(data)

    def store(
        self, schema: Schema | None = None, *, on_failure: Callable[[StoreFailed], None] | None = None
    ) -> LmdbStore:
        return open_store(
            self.directory,
            schema or make_schema(),
            durability="process",
            map_size_bytes=1 << 20,
            on_failure=on_failure,
            now_ns=lambda: 1_700_000_000_000_000_000,
        )

    @contextmanager
    def reader(self, schema: Schema | None = None) -> Iterator[Reader]:
        with open_reader(self.directory, schema or make_schema()) as reader:
            yield reader
