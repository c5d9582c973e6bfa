"""Old entries move to archive files and stay what they were: readable, provable, never in neither place."""

import errno
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.store import (
    ArchiveConflict,
    ArchiveCorrupt,
    Archived,
    ArchiveMissing,
    AuditHead,
    Event,
    Journal,
    Lsn,
    MemoryDisk,
    MemoryStore,
    Records,
    Retention,
    Schema,
    StoreUnsuitable,
    check_rows,
    open_reader,
    open_store,
    verify,
)
from tallystick.store.archive import MARK, file_name, pack_archive, unpack_archive
from tallystick.store.folder import PARTIAL, FileFolder
from trio.testing import MockClock

from tests.store.kit import (
    TABLES,
    LmdbMedium,
    Medium,
    MemoryMedium,
    exchange,
    filled,
    make_codec,
    make_schema,
    placed,
    rows,
)

DAY_NS = 86_400 * 10**9
NOW_NS = 100 * DAY_NS
GREEDY = Retention(keep_days=0, keep_entries=0, entries_per_file=10)
"""Keeps nothing that a snapshot holds."""


def events(count: int, start: int = 0) -> list[Event]:
    return [
        (placed(f"o{number}"), filled(f"o{number}", f"t{number}"), exchange(number))[number % 3]
        for number in range(start, start + count)
    ]


async def fill(journal: Journal, count: int, *, snapshot_at: int | None = None) -> list[Event]:
    """Append one entry at a time, one a second, with a snapshot at the end or where it is said."""
    written = events(count)
    for number, event in enumerate(written):
        journal.append(event, at_ns=number * 10**9)
    journal.put_snapshot("ledger", Lsn(snapshot_at or journal.last_lsn), b"state")
    await journal.wait_durable(journal.last_lsn)
    while journal.pending:
        await trio.lowlevel.checkpoint()
    return written


async def archive_all(journal: Journal, policy: Retention = GREEDY) -> list[Archived]:
    found: list[Archived] = []
    while isinstance(step := await journal.archive_next(policy, now_ns=NOW_NS), Archived):
        found.append(step)
    return found


def check_whole(records: Records, written: Iterable[Event]) -> None:
    """Everything can be read, agrees with the rows and with the audit chain."""
    assert [entry.event for entry in records.read()] == list(written)
    assert [lsn for lsn, _ in records.raw()] == list(range(1, records.last_lsn + 1))
    assert check_rows(records, make_schema()) == []
    report = verify(records)
    assert report.intact, str(report)


# ---- what stays and what goes -----------------------------------------------------------------------------


async def test_the_oldest_entries_move_to_files_and_are_read_as_before(medium: Medium) -> None:
    async with medium.store() as journal:
        written = await fill(journal, 95)
        files = await archive_all(journal)
        assert [(found.first_lsn, found.last_lsn) for found in files] == [(1 + 10 * n, 10 + 10 * n) for n in range(9)]
        assert journal.first_lsn == 91
        assert journal.archives() == files
        check_whole(journal, written)
        assert [entry.lsn for entry in journal.read(Lsn(18), until=Lsn(23))] == [18, 19, 20, 21, 22, 23]
        assert [entry.lsn for entry in journal.read(Lsn(89))] == list(range(89, 96))
        journal.append(placed("later"), at_ns=96 * 10**9)
        check_whole(journal, [*written, placed("later")])
    async with medium.store() as journal:
        assert (journal.first_lsn, journal.last_lsn) == (91, 96)
        check_whole(journal, [*written, placed("later")])
    assert list(medium.archive_files()) == [found.name for found in files]


async def test_processed_executions_are_known_for_ever(medium: Medium) -> None:
    """The ledger of executions is rows, and rows are not archived (law L5)."""
    async with medium.store() as journal:
        await fill(journal, 90)
        before = list(journal.scan("fills"))
        assert len(before) == 30
        await archive_all(journal)
        assert list(journal.scan("fills")) == before
    for name in medium.archive_files():
        medium.put_archive_file(name, None)
    async with medium.store() as journal:
        assert list(journal.scan("fills")) == before


async def test_everything_may_be_archived_and_numbers_go_on(medium: Medium) -> None:
    async with medium.store() as journal:
        written = await fill(journal, 20)
        await archive_all(journal)
        assert journal.first_lsn == 21
        check_whole(journal, written)
    async with medium.store() as journal:
        assert journal.last_lsn == 20
        check_whole(journal, written)
        assert journal.append(placed("next"), at_ns=0) == 21
        check_whole(journal, [*written, placed("next")])


async def test_the_journal_gives_back_its_space(tmp_path: Path) -> None:
    policy = Retention(keep_days=0, keep_entries=0, entries_per_file=500)
    sizes: list[int] = []
    async with LmdbMedium(tmp_path).store() as journal:
        for number in range(6):
            for place in range(2_000):
                journal.append(placed(f"o{place % 7}", "1" * 800), at_ns=number)
            await journal.wait_durable(journal.last_lsn)
            journal.put_snapshot("ledger", Lsn(journal.last_lsn - 1), b"s")
            journal.put_snapshot("ledger", journal.last_lsn, b"s")
            await archive_all(journal, policy)
            sizes.append((tmp_path / "data.mdb").stat().st_size)
    # 10 MB were written; what is free again is used again, as far as the order of commits allows.
    assert sizes[5] < 7 << 20, sizes


@pytest.mark.parametrize(
    ("policy", "first_lsn", "says"),
    [
        (Retention(keep_days=0, keep_entries=55, entries_per_file=10), 41, "the last 55 entries are kept"),
        (Retention(keep_days=0, keep_entries=1_000, entries_per_file=10), 1, "the last 1000 entries are kept"),
        (Retention(keep_days=0, keep_entries=0, entries_per_file=70), 71, "the oldest snapshot is as of 100"),
        (
            Retention(keep_days=100 - 45 / 86_400, keep_entries=0, entries_per_file=10),
            41,
            r"entries of the last 99\.\d+ days are kept",
        ),
    ],
)
async def test_the_policy_keeps_what_it_says(medium: Medium, policy: Retention, first_lsn: int, says: str) -> None:
    async with medium.store() as journal:
        written = await fill(journal, 100)
        await archive_all(journal, policy)
        assert journal.first_lsn == first_lsn
        with pytest.raises(AssertionError, match=says):
            raise AssertionError(await journal.archive_next(policy, now_ns=NOW_NS))
        check_whole(journal, written)


async def test_nothing_goes_that_a_start_from_the_older_snapshot_would_need(medium: Medium) -> None:
    async with medium.store() as journal:
        assert await journal.archive_next(GREEDY, now_ns=NOW_NS) == (
            "the journal starts at 1; there is no snapshot yet, so everything is needed to start"
        )
        await fill(journal, 100, snapshot_at=33)
        journal.put_snapshot("ledger", Lsn(90), b"newer")
        await archive_all(journal)
        assert journal.first_lsn == 31
        assert [found.last_lsn for found in journal.archives()] == [10, 20, 30]


async def test_without_whole_files_the_last_one_holds_what_there_is(medium: Medium) -> None:
    policy = Retention(keep_days=0, keep_entries=3, entries_per_file=10, whole_files=False)
    async with medium.store() as journal:
        written = await fill(journal, 25)
        assert [found.last_lsn for found in await archive_all(journal, policy)] == [10, 20, 22]
        check_whole(journal, written)


async def test_large_entries_make_small_files(medium: Medium) -> None:
    policy = Retention(keep_days=0, keep_entries=0, entries_per_file=100, bytes_per_file=2_000)
    async with medium.store() as journal:
        for number in range(12):
            journal.append(placed("o", "1" * (700 if number != 5 else 9_000)), at_ns=number)
        journal.put_snapshot("ledger", journal.last_lsn, b"s")
        await journal.wait_durable(journal.last_lsn)
        await archive_all(journal, policy)
        assert [found.last_lsn for found in journal.archives()] == [2, 4, 5, 6, 8, 10]
        assert [entry.lsn for entry in journal.read()] == list(range(1, 13))


async def test_another_process_reads_through_the_files(tmp_path: Path) -> None:
    medium = LmdbMedium(tmp_path)
    async with medium.store() as journal:
        written = await fill(journal, 50)
        await archive_all(journal)
    with medium.reader() as reader:
        assert reader.first_lsn == 51
        assert len(reader.archives()) == 5
        check_whole(reader, written)


async def test_a_reader_that_is_under_way_follows_entries_into_their_file(medium: Medium) -> None:
    async with medium.store() as journal:
        written = await fill(journal, 3_000)
        reading = journal.read()
        seen = [next(reading).event for _ in range(5)]
        await archive_all(journal, Retention(keep_days=0, keep_entries=0, entries_per_file=500))
        assert journal.first_lsn == 3_001
        seen += [entry.event for entry in reading]
        assert seen == written


# ---- files that are not as they were ----------------------------------------------------------------------


async def archived(medium: Medium, count: int = 30) -> list[Archived]:
    async with medium.store() as journal:
        await fill(journal, count)
        return await archive_all(journal)


async def test_a_file_that_was_moved_away_is_named_with_its_range(medium: Medium) -> None:
    files = await archived(medium)
    data = medium.archive_files()[files[1].name]
    medium.put_archive_file(files[1].name, None)
    async with medium.store() as journal:
        reading = journal.read()
        assert [next(reading).lsn for _ in range(10)] == list(range(1, 11))
        with pytest.raises(ArchiveMissing, match=rf"entries 11 to 20 were archived.*{files[1].name} is not there"):
            next(reading)
        assert [entry.lsn for entry in journal.read(Lsn(21))] == list(range(21, 31))
        with pytest.raises(ArchiveMissing, match="entries 11 to 20"):
            verify(journal)
    medium.put_archive_file(files[1].name, data)
    async with medium.store() as journal:
        assert verify(journal).intact


@pytest.mark.parametrize("at_byte", [0, 9, 40, -20, -1])
async def test_a_damaged_file_is_never_read_as_if_it_were_whole(medium: Medium, at_byte: int) -> None:
    files = await archived(medium)
    data = bytearray(medium.archive_files()[files[0].name])
    data[at_byte] ^= 1
    medium.put_archive_file(files[0].name, bytes(data))
    async with medium.store() as journal:
        with pytest.raises(ArchiveCorrupt, match=files[0].name):
            list(journal.read())
        report = verify(journal)
        assert not report.intact
        assert files[0].name in (report.reason or "")


async def test_a_whole_file_with_other_content_is_not_taken_for_the_one_that_was_written(medium: Medium) -> None:
    files = await archived(medium)
    data = medium.archive_files()[files[0].name]
    _, _, records = unpack_archive(data, "here")
    forged, _ = pack_archive(Lsn(1), [*records[:-1], records[0]], first_at_ns=0, last_at_ns=0, previous=None)
    medium.put_archive_file(files[0].name, forged)
    async with medium.store() as journal:
        with pytest.raises(ArchiveCorrupt, match="is whole, but not the file that was archived"):
            list(journal.read())


async def test_files_are_a_chain_and_know_where_the_audit_chain_stood(medium: Medium) -> None:
    files = await archived(medium)
    contents = medium.archive_files()
    for before, after in pairwise(files):
        _, previous, _ = unpack_archive(contents[after.name], after.name)
        assert previous == before.digest
    async with medium.store() as journal:
        report = verify(journal)
        assert files[-1].audit == AuditHead(report.verified, report.head.digest)


async def test_rows_are_made_anew_from_files_and_journal(medium: Medium) -> None:
    await archived(medium, 45)
    changed = Schema(make_codec(), tables=TABLES, indexer=rows, index_version=2)
    async with medium.store(changed) as journal:
        assert check_rows(journal, changed) == []
        assert len(list(journal.scan("fills"))) == 15


async def test_rows_are_not_thrown_away_where_they_cannot_be_made_anew(tmp_path: Path) -> None:
    medium = LmdbMedium(tmp_path)
    files = await archived(medium)
    medium.put_archive_file(files[0].name, None)
    changed = Schema(make_codec(), tables=TABLES, indexer=rows, index_version=2)
    with pytest.raises(StoreUnsuitable, match=r"must be made anew .* entries 1 to 10 were archived"):
        await open_store(tmp_path, changed).start()
    async with medium.store() as journal:
        assert len(list(journal.scan("fills"))) == 10


# ---- faults in the middle ---------------------------------------------------------------------------------


async def test_where_the_file_cannot_be_written_everything_stays_in_the_journal() -> None:
    medium = MemoryMedium()
    async with medium.store() as journal:
        written = await fill(journal, 30)
        for fault in (None, OSError(errno.EIO, "input/output error")):
            medium.disk.folder.fail_next(fault)
            with pytest.raises(OSError, match=r"No space|input/output"):
                await journal.archive_next(GREEDY, now_ns=NOW_NS)
            assert (journal.first_lsn, journal.archives()) == (1, [])
            assert journal.failed is None
            check_whole(journal, written)
        await archive_all(journal)
        check_whole(journal, written)


async def test_a_file_that_comes_back_different_is_not_trusted() -> None:
    medium = MemoryMedium()

    class Lying(type(medium.disk.folder)):  # type: ignore[misc]  # the class is known, its expression is not
        def write(self, name: str, data: bytes) -> None:
            super().write(name, data)
            self.damage(name)

    async with medium.store() as journal:
        written = await fill(journal, 30)
        medium.disk.folder = Lying()
        with pytest.raises(ArchiveCorrupt, match="do not match its own hash"):
            await journal.archive_next(GREEDY, now_ns=NOW_NS)
        assert journal.first_lsn == 1
        check_whole(journal, written)


async def test_a_file_from_before_a_crash_is_taken_as_it_is(medium: Medium) -> None:
    async with medium.store() as journal:
        await fill(journal, 30)
    async with medium.store() as journal:
        original = journal._commit

        async def crash(*_arguments: object, **_named: object) -> None:
            raise RuntimeError("the process ends here")

        journal._commit = crash  # type: ignore[method-assign]  # a crash between the file and its row
        with pytest.raises(RuntimeError):
            await journal.archive_next(GREEDY, now_ns=NOW_NS)
        journal._commit = original  # type: ignore[method-assign]  # as it was
    left = medium.archive_files()
    assert list(left) == [file_name(1, 10)]
    async with medium.store() as journal:
        assert journal.first_lsn == 1
        assert len(await archive_all(journal)) == 3
    assert medium.archive_files()[file_name(1, 10)] == left[file_name(1, 10)]


@pytest.mark.parametrize("litter", [b"", MARK, MARK + b"\0" * 100, b"something else"])
async def test_what_is_left_of_a_file_is_written_anew(medium: Medium, litter: bytes) -> None:
    medium.put_archive_file(file_name(1, 10), litter)
    async with medium.store() as journal:
        written = await fill(journal, 30)
        await archive_all(journal)
        check_whole(journal, written)


async def test_a_whole_file_of_another_history_is_left_alone(medium: Medium) -> None:
    other, _ = pack_archive(Lsn(1), [b"another", b"history"] * 5, first_at_ns=0, last_at_ns=0, previous=None)
    medium.put_archive_file(file_name(1, 10), other)
    async with medium.store() as journal:
        written = await fill(journal, 30)
        with pytest.raises(ArchiveConflict, match=rf"{file_name(1, 10)} is there already.*older copy of the store"):
            await journal.archive_next(GREEDY, now_ns=NOW_NS)
        assert journal.first_lsn == 1
        check_whole(journal, written)
    assert medium.archive_files()[file_name(1, 10)] == other


async def test_a_partial_file_is_no_file(tmp_path: Path) -> None:
    folder = FileFolder(tmp_path / "archive")
    assert folder.names() == []
    folder.write("b", b"1")
    (tmp_path / "archive" / ("a" + PARTIAL)).write_bytes(b"half")
    assert folder.names() == ["b"]
    assert folder.read("a") is None
    folder.write("a", b"2")
    assert folder.names() == ["a", "b"]
    assert ((tmp_path / "archive" / "a").stat().st_mode & 0o777) == 0o600


async def test_a_file_that_could_not_be_finished_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = LmdbMedium(tmp_path)
    async with medium.store() as journal:
        written = await fill(journal, 30)

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("tallystick.store.folder.os.fsync", full)
            with pytest.raises(OSError, match="no space left"):
                FileFolder(tmp_path / "archive").write(file_name(1, 10), b"data")
        (tmp_path / "archive").rmdir()
        with monkeypatch.context() as patch:
            patch.setattr(FileFolder, "write", lambda *_: full(0))
            with pytest.raises(OSError, match="no space left"):
                await journal.archive_next(GREEDY, now_ns=NOW_NS)
        assert medium.archive_files() == {}
        assert journal.failed is None
        check_whole(journal, written)
        assert len(await archive_all(journal)) == 3
        check_whole(journal, written)


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("keep", [0, 1, 2, 5])
async def test_a_crash_at_any_moment_loses_nothing_and_the_next_owner_goes_on(
    autojump_clock: MockClock, keep: int, torn: bool
) -> None:
    """Commits take a second, so each half second is another step of the archiving."""
    for moment in range(12):
        disk = MemoryDisk(latency_seconds=1.0)
        async with MemoryStore(make_schema(), disk) as journal:
            written = await fill(journal, 30)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(archive_all, journal)
                await trio.sleep(0.5 * moment)
                nursery.cancel_scope.cancel()
            disk = journal.crash(keep=keep, torn=torn)
        for _ in range(2):
            async with MemoryStore(make_schema(), disk) as journal:
                check_whole(journal, written)
                await archive_all(journal)
                assert journal.first_lsn == 31
                check_whole(journal, written)


groups = st.lists(st.integers(1, 8), min_size=1, max_size=12)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(groups, st.integers(0, 4), st.booleans(), st.integers(0, 20), st.booleans()), max_size=4),
    st.integers(1, 9),
    st.integers(0, 12),
    st.booleans(),
)
def test_files_and_journal_together_are_the_whole_history(
    lives: list[tuple[list[int], int, bool, int, bool]], per_file: int, keep_entries: int, synced: bool
) -> None:
    policy = Retention(keep_days=0, keep_entries=keep_entries, entries_per_file=per_file)

    async def live() -> None:
        disk = MemoryDisk(latency_seconds=1.0)
        written: list[Event] = []
        for sizes, keep, torn, moment, power in lives:
            store = MemoryStore(make_schema(), disk, durability="fsync" if synced else "process")
            async with store as journal:
                check_whole(journal, written)
                for size in sizes:
                    group = events(size, len(written))
                    written += group
                    journal.append(*group, at_ns=0)
                journal.put_snapshot("ledger", journal.last_lsn, b"s")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(archive_all, journal, policy)
                    await trio.sleep(moment / 2)
                    nursery.cancel_scope.cancel()
                durable = journal.durable_lsn
                crashed = journal.crash(keep=keep, torn=torn)
                if power and synced:
                    crashed = disk.lose_power()
                disk = crashed
            async with MemoryStore(make_schema(), disk) as journal:
                assert journal.last_lsn >= durable
                del written[journal.last_lsn :]
                check_whole(journal, written)

    trio.run(live, clock=MockClock(autojump_threshold=0))


# ---- the format -------------------------------------------------------------------------------------------

RECORDS = [b"one", b"two" * 500, b"", b"three"]


def test_a_file_comes_back_as_it_was_made() -> None:
    data, made = pack_archive(Lsn(7), RECORDS, first_at_ns=1, last_at_ns=2, previous=None)
    found, previous, records = unpack_archive(data, "here")
    assert (found, previous, records) == (made, bytes(32), RECORDS)
    assert (found.first_lsn, found.last_lsn, found.size_bytes) == (7, 10, len(data))
    assert pack_archive(Lsn(7), RECORDS, first_at_ns=1, last_at_ns=2, previous=None)[0] == data


@given(st.data())
def test_no_change_of_a_file_goes_unnoticed(data: st.DataObject) -> None:
    content, _ = pack_archive(Lsn(1), RECORDS, first_at_ns=1, last_at_ns=2, previous=None)
    place = data.draw(st.integers(0, len(content) - 1))
    spoiled = data.draw(
        st.one_of(
            st.just(content[:place]),
            st.just(content[place:] if place else b""),
            st.binary(min_size=1, max_size=4).map(lambda extra: content[:place] + extra + content[place:]),
            st.integers(1, 255).map(
                lambda flip: content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]
            ),
            st.binary(max_size=200),
        )
    )
    with pytest.raises(ArchiveCorrupt, match="here"):
        unpack_archive(spoiled, "here")


def test_a_file_of_a_later_format_says_so() -> None:
    from hashlib import sha256

    import msgspec

    head = msgspec.msgpack.encode({"format": 2, "whatever": 1})
    content = MARK + len(head).to_bytes(4, "big") + head + b"body"
    with pytest.raises(ArchiveCorrupt, match="here has format 2; this build reads format 1"):
        unpack_archive(content + sha256(content).digest(), "here")


def test_a_file_that_unpacks_to_more_than_it_says_is_refused_before_it_fills_memory() -> None:
    import zlib
    from hashlib import sha256

    import msgspec

    data, _ = pack_archive(Lsn(1), [b"x"], first_at_ns=0, last_at_ns=0, previous=None)
    size = int.from_bytes(data[8:12], "big")
    head = msgspec.msgpack.decode(data[12 : 12 + size], type=dict[str, object])
    content = data[: 12 + size] + zlib.compress(msgspec.msgpack.encode([b"\0" * 50_000_000]))
    with pytest.raises(ArchiveCorrupt, match=f"its body is not the {head['records_bytes']} bytes it announces"):
        unpack_archive(content + sha256(content).digest(), "here")


async def test_a_reader_beside_an_owner_that_archives_sees_every_entry(tmp_path: Path) -> None:
    """Readers are other processes; here it is one that opens before and after each step."""
    medium = LmdbMedium(tmp_path)
    async with medium.store() as journal:
        written = await fill(journal, 30)
    for _ in range(3):
        async with medium.store() as journal:
            await journal.archive_next(GREEDY, now_ns=NOW_NS)
        with open_reader(tmp_path, make_schema()) as reader:
            check_whole(reader, written)
