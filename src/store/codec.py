"""Events to bytes and back: a registry of kinds and versions.

A record is one MessagePack array, packed with `msgpack`:

    [kind, version, lsn, epoch, at_ns, cause, payload]

and its payload is the event as a MessagePack *map*, encoded by `msgspec` with decimals as strings. Maps cost 60 bytes
and 0.05 µs more than arrays for a typical fill, and decode as fast; in return an upcaster works on names, and a field
added with a default needs no new version.

Writers always write the newest version. Older payloads are upcast on read, step by step. A kind or version this build
does not know stops the reader with an error that names it.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeAlias, TypeVar

import msgpack  # type: ignore[import-untyped]  # ships no type information
import msgspec

from .errors import NewerRecord, UndecodableRecord, UnknownRecord, UnregisteredEvent
from .port import Entry, Event, Lsn

E = TypeVar("E", bound=msgspec.Struct)

Payload: TypeAlias = dict[str, object]
Upcaster: TypeAlias = Callable[[Payload], Payload]
"""Turns the payload of version n into that of version n + 1. Pure: no clock, no lookup."""


class Dropped(msgspec.Struct, frozen=True):
    """Stands for an event whose kind was declared dropped: its place is kept, its content is not read."""

    kind: str
    version: int


class Kind(Generic[E]):
    """How one class of events is stored."""

    __slots__ = ("_decoder", "event_class", "name", "upcasters", "version")

    def __init__(self, event_class: type[E], name: str, version: int, upcasters: Mapping[int, Upcaster]) -> None:
        self.event_class = event_class
        self.name = name
        self.version = version
        self.upcasters = dict(upcasters)
        self._decoder = msgspec.msgpack.Decoder(event_class)

    def decode(self, payload: bytes, version: int) -> E:
        """Return the event of a payload written as `version`. Raises msgspec's or the upcaster's own errors."""
        if version == self.version:
            return self._decoder.decode(payload)
        fields = msgspec.msgpack.decode(payload, type=dict[str, object])
        for step in range(version, self.version):
            fields = self.upcasters[step](fields)
        return self._decoder.decode(_encode(fields))


_encode = msgspec.msgpack.Encoder(decimal_format="string").encode
_Envelope: TypeAlias = tuple[str, int, int, int, int, int, bytes]
_envelope_decoder = msgspec.msgpack.Decoder(_Envelope)


def recorded_at_ns(record: bytes) -> int:
    """Return when a stored record was recorded, UTC nanoseconds. Raises `UndecodableRecord`."""
    try:
        at_ns: int = _envelope_decoder.decode(record)[4]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableRecord(f"{len(record)} bytes are no record: {error}", kind="?", version=0, lsn=0) from error
    return at_ns


class Codec:
    """The kinds of events a store may hold. Register all of them before the first store is opened."""

    def __init__(self) -> None:
        self._by_class: dict[type[msgspec.Struct], Kind[msgspec.Struct]] = {}
        self._by_name: dict[str, Kind[msgspec.Struct]] = {}
        self._dropped: dict[str, int] = {}
        self._pack: Callable[[object], bytes] = msgpack.Packer().pack

    @property
    def kinds(self) -> Mapping[str, Kind[msgspec.Struct]]:
        """The registered kinds by name."""
        return self._by_name

    def __contains__(self, event_class: type[msgspec.Struct]) -> bool:
        return event_class in self._by_class

    def register(
        self,
        event_class: type[E],
        *,
        kind: str,
        version: int = 1,
        upcasters: Mapping[int, Upcaster] | None = None,
    ) -> type[E]:
        """Register a class of events and return it.

        `upcasters[n]` turns version n into n + 1; every version below `version` needs one. Raises ValueError for a
        class, kind or set of upcasters that cannot work.
        """
        steps = dict(upcasters or {})
        config = event_class.__struct_config__
        problem = None
        if not config.frozen:
            problem = "must be frozen, as an event never changes"
        elif config.array_like:
            problem = "must not be array_like, as upcasters work on field names"
        elif not kind or version < 1:
            problem = f"needs a kind and a version from 1, got {kind!r} version {version}"
        elif kind in self._by_name or kind in self._dropped:
            problem = f"wants the kind {kind!r}, which is taken"
        elif event_class in self._by_class:
            problem = f"is registered already, as {self._by_class[event_class].name!r}"
        elif set(steps) != set(range(1, version)):
            needed = f"upcasters from 1..{version - 1}" if version > 1 else "no upcasters"
            problem = f"has version {version} and needs {needed}, got {sorted(steps)}"
        if problem is not None:
            raise ValueError(f"event class {event_class.__name__} {problem}")
        spec = Kind(event_class, kind, version, steps)
        self._by_name[kind] = spec  # type: ignore[assignment]  # one registry holds kinds of every class
        self._by_class[event_class] = spec  # type: ignore[assignment]  # as above
        return event_class

    def drop(self, kind: str, *, version: int) -> None:
        """Declare that records of `kind`, up to `version`, are no longer read: they appear as `Dropped`."""
        if kind in self._by_name or kind in self._dropped:
            raise ValueError(f"the kind {kind!r} is taken and cannot be dropped")
        self._dropped[kind] = version

    def kind_of(self, event: Event) -> Kind[msgspec.Struct]:
        """Return how this event is stored. Raises `UnregisteredEvent`."""
        spec = self._by_class.get(type(event))
        if spec is None:
            raise UnregisteredEvent(
                f"{type(event).__module__}.{type(event).__qualname__} is not a registered event; "
                f"nothing was recorded. Register the class with its kind and version in the codec of the store."
            )
        return spec

    def encode(self, event: Event, lsn: int, epoch: int, at_ns: int, cause: int) -> bytes:
        """Return the record of an event at its place. Raises `UnregisteredEvent`."""
        spec = self._by_class.get(type(event)) or self.kind_of(event)
        return self._pack((spec.name, spec.version, lsn, epoch, at_ns, cause, _encode(event)))

    def decode(self, record: bytes, *, place: int = 0) -> Entry:
        """Return the entry of a record; `place` is where it lies, for errors.

        Raises `UnknownRecord`, `NewerRecord` or `UndecodableRecord`.
        """
        try:
            kind, version, lsn, epoch, at_ns, cause, payload = _envelope_decoder.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UndecodableRecord(
                f"the {len(record)} bytes at LSN {place} are no record ({error}). The journal is damaged there; "
                f"reading stops.",
                kind="?",
                version=0,
                lsn=place,
            ) from error
        spec = self._by_name.get(kind)
        if spec is None:
            return Entry(Lsn(lsn), epoch, at_ns, cause, self._dropped_event(kind, version, lsn))
        if version > spec.version:
            raise NewerRecord(
                f"record {lsn} is {kind!r} version {version}; this build knows it up to version {spec.version}. "
                f"The store was written by a newer build: start that build, or a later one.",
                kind=kind,
                version=version,
                lsn=lsn,
            )
        try:
            event = spec.decode(payload, version)
        except Exception as error:  # an upcaster may raise anything; the place must be told
            raise UndecodableRecord(
                f"record {lsn} is {kind!r} version {version}, but its content does not fit: {error}. "
                f"Either the class changed without a new version and upcaster, or the record is damaged.",
                kind=kind,
                version=version,
                lsn=lsn,
            ) from error
        return Entry(Lsn(lsn), epoch, at_ns, cause, event)

    def _dropped_event(self, kind: str, version: int, lsn: int) -> Dropped:
        known = self._dropped.get(kind)
        if known is None:
            raise UnknownRecord(
                f"record {lsn} is {kind!r} version {version}, which this build does not know. "
                f"Start the build that wrote it, register the kind, or declare it dropped.",
                kind=kind,
                version=version,
                lsn=lsn,
            )
        if version > known:
            raise NewerRecord(
                f"record {lsn} is {kind!r} version {version}; the kind was declared dropped up to version {known}. "
                f"Start the build that wrote it, or a later one.",
                kind=kind,
                version=version,
                lsn=lsn,
            )
        return Dropped(kind, version)
