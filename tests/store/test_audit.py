"""The audit chain finds what was changed, lost, cut off or put in another order, and where."""

from collections.abc import Callable, Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tallystick.store import AuditHead, AuditReport, Lsn, MemoryStore, Place, verify
from tallystick.store.audit import AUDIT_HEAD_KEY, START

from tests.store.kit import exchange, make_schema, placed

Edit = Callable[["Copy"], None]


class Copy:
    """A store's records and rows, laid open to be tampered with."""

    first_lsn = Lsn(1)

    def __init__(self, records: dict[int, bytes], rows: dict[bytes, bytes], head: bytes | None) -> None:
        self.records = dict(records)
        self.rows = dict(rows)
        self.head = head

    @property
    def last_lsn(self) -> Lsn:
        return Lsn(max(self.records, default=0))

    def get(self, table: str, key: bytes | str) -> bytes | None:
        assert (table, key) == ("meta", AUDIT_HEAD_KEY)
        return self.head

    def scan(
        self, table: str, prefix: bytes | str = b"", *, after: bytes | None = None, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        assert table == "audit"
        return iter([item for item in sorted(self.rows.items()) if after is None or item[0] > after][:limit])

    def raw(self, start: Lsn = first_lsn, *, until: Lsn | None = None) -> Iterator[tuple[Lsn, bytes]]:
        return iter(
            [(Lsn(lsn), record) for lsn, record in sorted(self.records.items()) if until is None or lsn <= until]
        )


async def _write() -> Copy:
    async with MemoryStore(make_schema()) as journal:
        for number in range(1, 7):
            journal.append(placed(str(number)), exchange(number), at_ns=number)
        records = {int(lsn): record for lsn, record in journal.raw()}
        return Copy(records, dict(journal.scan("audit")), journal.get("meta", AUDIT_HEAD_KEY))


ORIGINAL = trio.run(_write)  # audit record n lies at LSN 2n
HEAD = AuditHead.unpack(ORIGINAL.head or b"")


def tampered(*edits: Edit) -> AuditReport:
    copy = Copy(ORIGINAL.records, ORIGINAL.rows, ORIGINAL.head)
    for edit in edits:
        edit(copy)
    return verify(copy)


def row_key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def drop_record(number: int) -> Edit:
    return lambda copy: copy.records.__delitem__(2 * number)


def drop_row(number: int) -> Edit:
    return lambda copy: copy.rows.__delitem__(row_key(number))


def change(number: int) -> Edit:
    return lambda copy: copy.records.update({2 * number: copy.records[2 * number][:-1] + b"\xff"})


def swap(one: int, other: int) -> Edit:
    return lambda copy: copy.records.update({2 * one: copy.records[2 * other], 2 * other: copy.records[2 * one]})


def cut_off(copy: Copy) -> None:
    for number in (5, 6):
        drop_record(number)(copy)
        drop_row(number)(copy)


def rewrite(copy: Copy) -> None:
    """Rebuild the whole chain over a changed record, head and all."""
    change(2)(copy)
    head = START
    for number in range(1, 7):
        head = head.following(copy.records[2 * number])
        copy.rows[row_key(number)] = copy.rows[row_key(number)][:8] + head.digest
    copy.head = head.pack()


def drop_head_by_one(copy: Copy) -> None:
    copy.head = AuditHead(5, copy.rows[row_key(5)][8:]).pack()


def test_an_untouched_chain_verifies() -> None:
    report = tampered()
    assert (report.records, report.verified, report.intact) == (6, 6, True)
    assert str(report) == f"6 audit records verified; head 6:{HEAD.digest.hex()}"


def test_an_empty_chain_verifies() -> None:
    assert verify(Copy({}, {}, None)) == AuditReport(0, 0)


@pytest.mark.parametrize(
    ("edits", "verified", "place", "says"),
    [
        ([change(1)], 0, Place(1, Lsn(2)), "was changed"),
        ([change(4)], 3, Place(4, Lsn(8)), "was changed"),
        ([swap(3, 5)], 2, Place(3, Lsn(6)), "was changed"),
        ([drop_record(3)], 2, Place(3, Lsn(6)), "is missing: the journal's next audit record is at LSN 8"),
        ([drop_record(3), drop_row(3)], 2, Place(3, Lsn(8)), "has lost its row"),
        ([drop_row(2)], 1, Place(2, Lsn(4)), "has lost its row"),
        ([drop_record(6)], 5, Place(6, Lsn(12)), "its row is there"),
        ([drop_record(6), drop_row(6)], 5, Place(6, None), "was truncated, 6 records were known"),
        ([cut_off], 4, Place(5, None), "was truncated"),
        ([lambda copy: copy.records.clear(), lambda copy: copy.rows.clear()], 0, Place(1, None), "was truncated"),
        ([lambda copy: copy.records.update({13: copy.records[2]})], 6, Place(7, Lsn(13)), "or the record was put in"),
        ([drop_head_by_one], 5, Place(6, Lsn(12)), "removed or set back"),
    ],
)
def test_tampering_is_found_at_its_place(edits: list[Edit], verified: int, place: Place, says: str) -> None:
    report = tampered(*edits)
    assert (report.verified, report.first_bad) == (verified, place)
    assert report.reason is not None
    assert says in report.reason
    assert not report.intact
    assert str(place) in str(report)


def test_a_rewritten_chain_is_found_by_a_head_noted_elsewhere() -> None:
    copy = Copy(ORIGINAL.records, ORIGINAL.rows, ORIGINAL.head)
    noted = AuditHead(4, copy.rows[row_key(4)][8:])
    assert verify(copy, noted=noted).intact
    rewrite(copy)
    assert verify(copy).intact
    report = verify(copy, noted=noted)
    assert (report.verified, report.first_bad) == (4, Place(4, Lsn(8)))
    assert "the chain was rewritten" in (report.reason or "")


def test_a_head_that_disagrees_with_its_chain_is_found() -> None:
    copy = Copy(ORIGINAL.records, ORIGINAL.rows, AuditHead(6, bytes(32)).pack())
    assert verify(copy).first_bad == Place(6, Lsn(12))


def test_a_removed_head_does_not_pass_for_an_empty_chain() -> None:
    copy = Copy(ORIGINAL.records, ORIGINAL.rows, None)
    report = verify(copy)
    assert (report.verified, report.first_bad) == (0, Place(1, Lsn(2)))
    assert "head: that was removed" in (report.reason or "")


@given(st.integers(1, 6), st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_of_any_record_is_found_at_its_record(number: int, place: int, flip: int) -> None:
    record = bytearray(ORIGINAL.records[2 * number])
    at = 7 + place % (len(record) - 7)  # the first seven bytes say that it is an audit record
    record[at] ^= flip
    report = tampered(lambda copy: copy.records.update({2 * number: bytes(record)}))
    assert (report.verified, report.first_bad) == (number - 1, Place(number, Lsn(2 * number)))


@given(st.integers(1, 6), st.integers(0, 6), st.integers(1, 255))
def test_a_record_disguised_as_another_kind_is_missed(number: int, place: int, flip: int) -> None:
    record = bytearray(ORIGINAL.records[2 * number])
    record[place] ^= flip
    report = tampered(lambda copy: copy.records.update({2 * number: bytes(record)}))
    assert (report.verified, report.first_bad is not None) == (number - 1, True)
