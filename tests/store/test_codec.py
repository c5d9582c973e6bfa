"""Events to bytes and back, over the years: versions, upcasters, dropped and unknown kinds."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.store import Codec, Dropped, NewerRecord, RecordError, UndecodableRecord, UnknownRecord
from tallystick.store.codec import Payload


class PlacedV1(msgspec.Struct, frozen=True):
    """`size` was text with a unit then."""

    order: str
    size: str


class PlacedV2(msgspec.Struct, frozen=True):
    order: str
    quantity: Decimal


class Placed(msgspec.Struct, frozen=True):
    order: str
    quantity: Decimal
    urgent: bool
    tags: tuple[str, ...] = ()
    signature: bytes = b""


def split_the_unit(fields: Payload) -> Payload:
    return {"order": fields["order"], "quantity": str(fields["size"]).removesuffix(" shares")}


def add_urgency(fields: Payload) -> Payload:
    return {**fields, "urgent": False}


def codec_of(event_class: type[msgspec.Struct], version: int) -> Codec:
    codec = Codec()
    steps = {1: split_the_unit, 2: add_urgency}
    codec.register(
        event_class, kind="placed", version=version, upcasters={step: steps[step] for step in range(1, version)}
    )
    return codec


def record(event: msgspec.Struct, version: int) -> bytes:
    codec = codec_of(type(event), version)
    return codec.encode(event, 7, 2, 1_000, 5)


CORPUS = [
    # One stored record for every kind and version there ever was, as bytes: they must be readable for good.
    (
        bytes.fromhex("97a6706c61636564010702cd03e805c41882a56f72646572a161a473697a65a9313020736861726573"),
        Placed("a", Decimal(10), urgent=False),
    ),
    (
        bytes.fromhex("97a6706c61636564020702cd03e805c41882a56f72646572a161a87175616e74697479a531302e3530"),
        Placed("a", Decimal("10.50"), urgent=False),
    ),
    (
        bytes.fromhex(
            "97a6706c61636564030702cd03e805c43485a56f72646572a161a87175616e74697479a431302e35a6757267656e74c3"
            "a47461677391a178a97369676e6174757265c40100"
        ),
        Placed("a", Decimal("10.5"), urgent=True, tags=("x",), signature=b"\0"),
    ),
]


@pytest.mark.parametrize(("stored", "event"), CORPUS)
def test_every_version_ever_written_is_read_as_the_newest(stored: bytes, event: Placed) -> None:
    entry = codec_of(Placed, 3).decode(stored)
    assert (entry.lsn, entry.epoch, entry.at_ns, entry.cause) == (7, 2, 1_000, 5)
    assert entry.event == event


def test_the_corpus_is_what_the_writers_of_those_versions_wrote() -> None:
    assert [stored for stored, _ in CORPUS] == [
        record(PlacedV1("a", "10 shares"), 1),
        record(PlacedV2("a", Decimal("10.50")), 2),
        record(Placed("a", Decimal("10.5"), urgent=True, tags=("x",), signature=b"\0"), 3),
    ]


def test_an_unknown_kind_stops_the_reader_and_says_what_to_do() -> None:
    stored = record(PlacedV1("a", "1"), 1)
    with pytest.raises(UnknownRecord) as caught:
        Codec().decode(stored)
    assert str(caught.value) == (
        "record 7 is 'placed' version 1, which this build does not know. "
        "Start the build that wrote it, register the kind, or declare it dropped."
    )
    assert (caught.value.kind, caught.value.version, caught.value.lsn) == ("placed", 1, 7)


def test_a_newer_version_stops_the_reader_and_says_what_to_do() -> None:
    stored = record(Placed("a", Decimal(1), urgent=True), 3)
    with pytest.raises(NewerRecord) as caught:
        codec_of(PlacedV2, 2).decode(stored)
    assert str(caught.value) == (
        "record 7 is 'placed' version 3; this build knows it up to version 2. "
        "The store was written by a newer build: start that build, or a later one."
    )


def test_a_dropped_kind_keeps_its_place_up_to_the_declared_version() -> None:
    codec = Codec()
    codec.drop("placed", version=2)
    assert codec.decode(record(PlacedV2("a", Decimal(1)), 2)).event == Dropped("placed", 2)
    with pytest.raises(NewerRecord, match="dropped up to version 2"):
        codec.decode(record(Placed("a", Decimal(1), urgent=True), 3))


def test_content_that_does_not_fit_its_version_names_the_place() -> None:
    stored = record(PlacedV1("a", "10 shares"), 1)
    unfit = Codec()
    unfit.register(Placed, kind="placed")
    with pytest.raises(UndecodableRecord, match="record 7 is 'placed' version 1, but its content does not fit"):
        unfit.decode(stored)


def test_a_raising_upcaster_names_the_place() -> None:
    with pytest.raises(UndecodableRecord, match="record 7 is 'placed' version 1"):
        codec_of(Placed, 3).decode(record(PlacedV1("a", "ten shares"), 1))


class Loose(msgspec.Struct):
    name: str


class Listed(msgspec.Struct, frozen=True, array_like=True):
    name: str


@pytest.mark.parametrize(
    ("event_class", "kind", "version", "steps", "says"),
    [
        (Loose, "x", 1, (), "must be frozen"),
        (Listed, "x", 1, (), "must not be array_like"),
        (PlacedV1, "", 1, (), "needs a kind and a version from 1"),
        (PlacedV1, "x", 0, (), "needs a kind and a version from 1"),
        (PlacedV1, "x", 3, (1,), r"needs upcasters from 1..2, got \[1\]"),
        (PlacedV1, "x", 1, (1,), r"version 1 and needs no upcasters, got \[1\]"),
        (PlacedV1, "taken", 1, (), "kind 'taken', which is taken"),
        (PlacedV1, "gone", 1, (), "kind 'gone', which is taken"),
        (PlacedV2, "x", 1, (), "registered already, as 'taken'"),
    ],
)
def test_a_registration_that_cannot_work_is_refused(
    event_class: type[msgspec.Struct], kind: str, version: int, steps: tuple[int, ...], says: str
) -> None:
    codec = Codec()
    codec.register(PlacedV2, kind="taken")
    codec.drop("gone", version=1)
    with pytest.raises(ValueError, match=says):
        codec.register(event_class, kind=kind, version=version, upcasters=dict.fromkeys(steps, add_urgency))
    with pytest.raises(ValueError, match="is taken and cannot be dropped"):
        codec.drop("taken", version=1)


decimals = st.decimals(allow_nan=False, allow_infinity=False)
placed_events = st.builds(
    Placed, st.text(), decimals, urgent=st.booleans(), tags=st.lists(st.text()).map(tuple), signature=st.binary()
)


@given(placed_events, st.integers(1, 2**63), st.integers(0, 2**63), st.integers(0, 2**63))
def test_what_is_written_is_read(event: Placed, lsn: int, at_ns: int, cause: int) -> None:
    codec = codec_of(Placed, 3)
    entry = codec.decode(codec.encode(event, lsn, 1, at_ns, cause))
    assert entry.event == event
    assert isinstance(entry.event, Placed)
    assert str(entry.event.quantity) == str(event.quantity)
    assert (entry.lsn, entry.epoch, entry.at_ns, entry.cause) == (lsn, 1, at_ns, cause)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_record_raise_and_never_crash(data: bytes) -> None:
    with pytest.raises(RecordError):
        codec_of(Placed, 3).decode(data)


@given(st.data(), placed_events)
def test_a_damaged_record_raises_a_record_error_or_reads(data: st.DataObject, event: Placed) -> None:
    stored = bytearray(record(event, 3))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        codec_of(Placed, 3).decode(bytes(stored))
    except RecordError as error:
        assert str(error)  # noqa: PT017  # a damaged byte may also hit a value that stays valid
