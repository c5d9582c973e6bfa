"""What every store does, whichever disk is below. Each test runs on the twin in memory and on LMDB."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import trio
from tallystick.store import (
    Codec,
    Durability,
    Entry,
    Event,
    FailureReason,
    IndexPut,
    InvalidKey,
    InvalidValue,
    Journal,
    Lsn,
    MemoryStore,
    Schema,
    StoreClosed,
    StoreFailed,
    StoreLocked,
    UnknownTable,
    UnregisteredEvent,
    check_rows,
    open_store,
    verify,
)
from trio.testing import MockClock

from tests.store.kit import (
    TABLES,
    Done,
    Filled,
    Medium,
    Misfiled,
    Placed,
    Stranger,
    exchange,
    filled,
    located_rows,
    make_codec,
    make_schema,
    placed,
    rows,
)


async def test_a_new_store_is_empty_at_epoch_one(medium: Medium) -> None:
    async with medium.store() as journal:
        assert (journal.epoch, journal.first_lsn, journal.last_lsn, journal.durable_lsn) == (1, 1, 0, 0)
        assert journal.pending == 0
        assert list(journal.read()) == []
        assert list(journal.scan("fills")) == []


async def test_a_store_is_a_journal(medium: Medium) -> None:
    async with medium.store() as store:
        journal: Journal = store
        assert journal.failed is None


async def test_an_append_is_numbered_at_once_and_durable_later(medium: Medium) -> None:
    async with medium.store() as journal:
        assert journal.append(placed("a"), placed("b"), at_ns=7, cause=3) == 2
        assert (journal.last_lsn, journal.durable_lsn) == (2, 0)
        assert journal.pending > 0
        await journal.wait_durable(Lsn(2))
        assert journal.durable_lsn == 2
        assert journal.pending == 0


async def test_entries_come_back_as_they_were_appended_after_reopening(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a", "0.10"), at_ns=7, cause=3)
        journal.append(filled("a", "t1", "0.10"), Done("a"), at_ns=8)
    async with medium.store() as journal:
        assert list(journal.read()) == [
            Entry(Lsn(1), 1, 7, 3, placed("a", "0.10")),
            Entry(Lsn(2), 1, 8, 0, filled("a", "t1", "0.10")),
            Entry(Lsn(3), 1, 8, 0, Done("a")),
        ]


async def test_each_opening_is_a_new_epoch_and_numbers_go_on(medium: Medium) -> None:
    for epoch in (1, 2, 3):
        async with medium.store() as journal:
            assert journal.epoch == epoch
            assert journal.append(placed("a"), at_ns=0) == epoch
    async with medium.store() as journal:
        assert [(entry.lsn, entry.epoch) for entry in journal.read()] == [(1, 1), (2, 2), (3, 3)]


async def test_read_takes_a_first_and_a_last_place(medium: Medium) -> None:
    async with medium.store() as journal:
        for number in range(1, 200):
            journal.append(placed(f"order-{number}"), at_ns=number)
        await journal.wait_durable(journal.last_lsn)
        journal.append(placed("order-200"), at_ns=200)
        places = [entry.lsn for entry in journal.read(Lsn(150))]
        assert places == list(range(150, 201))
        assert [entry.lsn for entry in journal.read(Lsn(20), until=Lsn(22))] == [20, 21, 22]
        assert list(journal.read(Lsn(201))) == []
        assert [lsn for lsn, _ in journal.raw(Lsn(199))] == [199, 200]


async def test_large_and_small_entries_keep_their_order(medium: Medium) -> None:
    sizes = [1, 5_000, 10, 1_800, 1_900, 2_000, 100_000, 3, 3]
    async with medium.store() as journal:
        for size in sizes:
            journal.append(placed("x" * 100 + str(size), "1"), exchange(size), at_ns=size)
            journal.append(filled("o" * size, f"t{size}"), at_ns=size) if size < 400 else None
        count = journal.last_lsn
    async with medium.store() as journal:
        assert [entry.lsn for entry in journal.read()] == list(range(1, count + 1))


async def test_rows_are_visible_to_the_owner_before_they_are_durable(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a", "5"), at_ns=0)
        assert journal.get("open_orders", "a") == b"5"
        assert journal.get("open_orders", b"a") == b"5"
        assert journal.durable_lsn == 0
        await journal.wait_durable(Lsn(1))
        assert journal.get("open_orders", "a") == b"5"


async def test_a_deleted_row_is_gone_at_once_and_stays_gone(medium: Medium) -> None:
    async with medium.store() as journal:
        await journal.wait_durable(journal.append(placed("a"), placed("b"), at_ns=0))
        journal.append(Done("a"), at_ns=1)
        assert journal.get("open_orders", "a") is None
        assert list(journal.scan("open_orders")) == [(b"b", b"1")]
        await journal.wait_durable(journal.last_lsn)
        assert journal.get("open_orders", "a") is None
    async with medium.store() as journal:
        assert list(journal.scan("open_orders")) == [(b"b", b"1")]


async def test_a_row_deleted_and_put_again_in_one_commit_is_there(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a", "1"), Done("a"), placed("a", "2"), at_ns=0)
        assert journal.get("open_orders", "a") == b"2"
    async with medium.store() as journal:
        assert journal.get("open_orders", "a") == b"2"


async def test_scan_merges_committed_and_fresh_rows_in_key_order(medium: Medium) -> None:
    async with medium.store() as journal:
        await journal.wait_durable(journal.append(placed("a1"), placed("a3"), placed("b1"), at_ns=0))
        journal.append(placed("a2"), Done("a3"), placed("a1", "9"), at_ns=1)
        assert list(journal.scan("open_orders", "a")) == [(b"a1", b"9"), (b"a2", b"1")]
        assert [key for key, _ in journal.scan("open_orders")] == [b"a1", b"a2", b"b1"]
        assert list(journal.scan("open_orders", "zz")) == []


async def test_scan_pages_through_a_table(medium: Medium) -> None:
    async with medium.store() as journal:
        await journal.wait_durable(journal.append(*(placed(f"o{number:02}") for number in range(20)), at_ns=0))
        journal.append(Done("o05"), placed("o051"), at_ns=1)
        seen: list[bytes] = []
        after = None
        while page := list(journal.scan("open_orders", "o", after=after, limit=3)):
            assert len(page) <= 3
            after = page[-1][0]
            seen += [key for key, _ in page]
        assert seen == sorted([f"o{number:02}".encode() for number in range(20) if number != 5] + [b"o051"])


async def test_scan_is_as_of_the_call(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a"), at_ns=0)
        before = journal.scan("open_orders")
        journal.append(Done("a"), placed("b"), at_ns=1)
        await journal.wait_durable(journal.last_lsn)
        assert list(before) == [(b"a", b"1")]


async def test_the_last_possible_key_is_found_by_its_prefix(medium: Medium) -> None:
    key = "\U0010ffff" * 100
    async with medium.store() as journal:
        journal.append(placed(key), at_ns=0)
        assert [found for found, _ in journal.scan("open_orders", "\U0010ffff")] == [key.encode()]
        await journal.wait_durable(Lsn(1))
        assert [found for found, _ in journal.scan("open_orders", "\U0010ffff")] == [key.encode()]


async def test_actions_run_in_order_of_their_places(medium: Medium) -> None:
    ran: list[str] = []
    async with medium.store() as journal:
        for number in (1, 2, 3):
            journal.append(placed(str(number)), at_ns=0)
        journal.when_durable(Lsn(3), partial(ran.append, "3"))
        journal.when_durable(Lsn(1), partial(ran.append, "1, first"))
        journal.when_durable(Lsn(2), partial(ran.append, "2"))
        journal.when_durable(Lsn(1), partial(ran.append, "1, second"))
        assert ran == []
        await journal.wait_durable(Lsn(3))
        assert ran == ["1, first", "1, second", "2", "3"]


async def test_an_action_for_a_durable_place_runs_at_once(medium: Medium) -> None:
    ran: list[int] = []
    async with medium.store() as journal:
        journal.when_durable(Lsn(0), partial(ran.append, 0))
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        journal.when_durable(Lsn(1), partial(ran.append, 1))
        assert ran == [0, 1]


async def test_an_action_that_asks_again_keeps_the_order(medium: Medium) -> None:
    ran: list[str] = []
    async with medium.store() as journal:
        journal.append(placed("a"), placed("b"), at_ns=0)

        def first() -> None:
            ran.append("first")
            journal.when_durable(Lsn(2), partial(ran.append, "asked by the first"))

        journal.when_durable(Lsn(1), first)
        journal.when_durable(Lsn(2), partial(ran.append, "second"))
        await journal.wait_durable(Lsn(2))
        assert ran == ["first", "second", "asked by the first"]


async def test_an_action_may_append(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a"), at_ns=0)

        def append_more() -> None:
            if journal.last_lsn < 5:
                journal.when_durable(journal.append(placed("b"), at_ns=1), append_more)

        journal.when_durable(Lsn(1), append_more)
        while journal.durable_lsn < 5:
            await journal.wait_durable(journal.last_lsn)
        assert journal.failed is None


async def test_an_action_sees_its_cause_durable(medium: Medium) -> None:
    seen: list[int] = []
    async with medium.store() as journal:
        for number in range(50):
            lsn = journal.append(placed(str(number)), at_ns=0)
            journal.when_durable(lsn, lambda lsn=lsn: seen.append(journal.durable_lsn - lsn))  # type: ignore[misc]  # mypy cannot type a default in a lambda
            if number % 7 == 0:
                await trio.lowlevel.checkpoint()
        await journal.wait_durable(journal.last_lsn)
    assert len(seen) == 50
    assert min(seen) >= 0


async def test_waiting_for_a_place_that_does_not_exist_is_refused(medium: Medium) -> None:
    async with medium.store() as journal:
        with pytest.raises(ValueError, match="LSN 1 is not appended yet; the last is 0"):
            journal.when_durable(Lsn(1), lambda: None)
        with pytest.raises(ValueError, match="not appended yet"):
            await journal.wait_durable(Lsn(1))


async def test_closing_commits_what_is_pending_and_runs_its_actions(medium: Medium) -> None:
    ran: list[int] = []
    async with medium.store() as journal:
        journal.when_durable(journal.append(placed("a"), at_ns=0), partial(ran.append, 1))
    assert ran == [1]
    async with medium.store() as journal:
        assert journal.last_lsn == 1


async def test_closing_works_in_a_cancelled_scope(medium: Medium) -> None:
    with trio.CancelScope() as scope:
        async with medium.store() as journal:
            journal.append(placed("a"), at_ns=0)
            scope.cancel()
            await trio.sleep_forever()
    async with medium.store() as journal:
        assert journal.last_lsn == 1


async def test_a_closed_store_refuses_everything(medium: Medium) -> None:
    store = medium.store()
    async with store as journal:
        pass
    calls: list[Callable[[], object]] = [
        lambda: journal.append(placed("a"), at_ns=0),
        lambda: journal.put_snapshot("e", Lsn(1), b""),
        lambda: journal.drop_snapshots("e"),
        lambda: journal.get("fills", "a"),
        lambda: journal.scan("fills"),
        journal.raw,
        lambda: journal.snapshot("e"),
    ]
    for call in calls:
        with pytest.raises(StoreClosed, match="the store was closed"):
            call()
    await journal.close()


async def test_a_second_owner_is_refused_and_told_who_holds_the_store(medium: Medium) -> None:
    async with medium.store():
        with pytest.raises(StoreLocked, match="is held by"):
            await medium.store().start()
    async with medium.store() as journal:
        assert journal.epoch == 2


@pytest.mark.parametrize(
    ("event", "error", "says"),
    [
        (Stranger("x"), UnregisteredEvent, "Stranger is not a registered event"),
        (Misfiled("nowhere", "k"), UnknownTable, "no table 'nowhere'"),
        (Misfiled("meta", "k"), UnknownTable, "no table 'meta'"),
        (Misfiled("fills", ""), InvalidKey, "1 to 511 bytes, got 0"),
        (Misfiled("fills", "é" * 256), InvalidKey, "table 'fills'"),
    ],
)
async def test_a_mistaken_append_records_nothing_of_its_group(
    medium: Medium, event: Stranger | Misfiled, error: type[Exception], says: str
) -> None:
    async with medium.store() as journal:
        with pytest.raises(error, match=says):
            journal.append(placed("a"), exchange(1), event, at_ns=0)
        assert (journal.last_lsn, journal.pending) == (0, 0)
        assert list(journal.scan("open_orders")) == []
        assert list(journal.scan("fills")) == []
        assert journal.append(placed("b"), exchange(1), at_ns=0) == 2
        await journal.wait_durable(Lsn(2))
        assert verify(journal).verified == 1


async def test_reading_an_undeclared_table_is_refused(medium: Medium) -> None:
    async with medium.store() as journal:
        with pytest.raises(UnknownTable, match="no table 'nowhere'; it has"):
            journal.get("nowhere", "a")
        with pytest.raises(UnknownTable):
            journal.scan("nowhere")


async def test_the_newest_snapshot_is_returned_before_and_after_its_commit(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(*(placed(str(number)) for number in range(5)), at_ns=0)
        assert journal.snapshot("orders/a") is None
        for lsn in (1, 2, 3):
            journal.put_snapshot("orders/a", Lsn(lsn), b"state %d" % lsn)
            assert journal.snapshot("orders/a") == (lsn, b"state %d" % lsn)
        journal.put_snapshot("orders/ab", Lsn(4), b"another")
    async with medium.store() as journal:
        assert journal.snapshot("orders/a") == (3, b"state 3")
        assert list(journal.snapshots("orders/")) == ["orders/a", "orders/ab"]
        assert list(journal.snapshots("accounts/")) == []


async def test_two_snapshots_of_an_entity_are_kept(medium: Medium) -> None:
    def kept(journal: Journal) -> list[int]:
        return sorted(snapshot.lsn for snapshot in journal.read_snapshots("a").intact)

    async with medium.store() as journal:
        journal.append(*(placed(str(number)) for number in range(9)), at_ns=0)
        for lsn in range(1, 6):
            journal.put_snapshot("a", Lsn(lsn), b"s")
        assert kept(journal) == [4, 5]
        await journal.wait_durable(journal.last_lsn)
        for lsn in (6, 7):
            journal.put_snapshot("a", Lsn(lsn), b"s")
    async with medium.store() as journal:
        assert kept(journal) == [6, 7]
        journal.put_snapshot("a", Lsn(6), b"again")
        assert kept(journal) == [6, 7]
        assert journal.snapshot("a") == (7, b"s")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "its bytes do not match their hash"),
        (lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:], "its bytes do not match their hash"),
        (lambda data: data[:60], "it has 6 bytes of the 12 that were written"),
        (lambda data: data[:20], "it is cut off after 20 bytes"),
        (lambda data: b"NAPS" + data[4:], "it begins with b'NAPS'"),
        (lambda data: data[:5] + b"\x02" + data[6:], "it has format 2, this build reads format 1"),
    ],
)
async def test_a_damaged_snapshot_says_what_is_wrong_and_the_older_one_is_used(
    medium: Medium, spoil: Callable[[bytes], bytes], why: str
) -> None:
    async with medium.store() as journal:
        journal.append(placed("a"), placed("b"), at_ns=0)
        journal.put_snapshot("e", Lsn(1), b"older state!")
        journal.put_snapshot("e", Lsn(2), b"newer state!")
        slots = list(journal.scan("snapshots"))
        (newest,) = [(key, data) for key, data in slots if b"newer" in data]
        journal._add_rows([("snapshots", newest[0], spoil(newest[1]))])
        await journal.wait_written()
    async with medium.store() as journal:
        assert journal.snapshot("e") == (1, b"older state!")
        (found,) = journal.read_snapshots("e").damaged
        assert why in found
        journal.put_snapshot("e", Lsn(2), b"made anew")
        assert journal.read_snapshots("e") == (((2, b"made anew"), (1, b"older state!")), ())


async def test_rows_alone_can_be_waited_for(medium: Medium) -> None:
    async with medium.store() as journal:
        await journal.wait_written()
        journal.append(placed("a"), at_ns=0)
        await journal.wait_durable(Lsn(1))
        journal.put_snapshot("e", Lsn(1), b"state")
        assert journal.pending
        await journal.wait_written()
        assert not journal.pending


async def test_dropped_snapshots_are_gone(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a"), at_ns=0)
        journal.put_snapshot("a", Lsn(1), b"s")
        journal.put_snapshot("b", Lsn(1), b"s")
    async with medium.store() as journal:
        journal.drop_snapshots("a")
        assert journal.snapshot("a") is None
    async with medium.store() as journal:
        assert list(journal.snapshots()) == ["b"]


async def test_a_snapshot_outside_of_the_journal_is_refused(medium: Medium) -> None:
    async with medium.store() as journal:
        with pytest.raises(ValueError, match="outside of the journal"):
            journal.put_snapshot("a", Lsn(1), b"")
        journal.append(placed("a"), at_ns=0)
        for name in ("", "a\0b", "x" * 510):
            with pytest.raises(InvalidKey, match="name of an entity"):
                journal.put_snapshot(name, Lsn(1), b"")


async def test_a_raising_action_stops_the_store_and_later_actions(medium: Medium) -> None:
    ran: list[str] = []
    failures: list[StoreFailed] = []
    store = medium.store(on_failure=failures.append)
    with pytest.raises(StoreFailed, match="ZeroDivisionError"):  # noqa: PT012  # the failure comes from leaving the block
        async with store as journal:
            journal.append(placed("a"), placed("b"), at_ns=0)
            journal.when_durable(Lsn(1), lambda: ran.append(str(1 // 0)))
            journal.when_durable(Lsn(2), partial(ran.append, "later"))
            while not failures:
                await trio.lowlevel.checkpoint()
    assert ran == []
    assert [failure.reason for failure in failures] == [FailureReason.ACTION_RAISED]
    assert isinstance(failures[0].__cause__, ZeroDivisionError)


async def test_the_audit_chain_verifies_across_owners(medium: Medium) -> None:
    for start in (0, 3):
        async with medium.store() as journal:
            for number in range(start, start + 3):
                journal.append(placed(str(number)), exchange(number), at_ns=number)
    async with medium.store() as journal:
        journal.append(exchange(7), exchange(8), at_ns=7)
        report = verify(journal)
    assert (report.records, report.verified, report.first_bad, report.reason) == (8, 8, None, None)
    assert report.intact


async def test_many_groups_become_durable_in_few_commits(medium: Medium) -> None:
    async with medium.store() as journal:
        commits = 0
        last = journal.durable_lsn
        for number in range(1000):
            journal.append(Placed(str(number), placed("x").quantity), at_ns=0)
        while journal.pending:
            await trio.lowlevel.checkpoint()
            if journal.durable_lsn != last:
                commits, last = commits + 1, journal.durable_lsn
        assert commits == 1


def fills_by_order(event: Event) -> Iterable[IndexPut]:
    if isinstance(event, Filled):
        yield IndexPut("fills", event.order, event.trade.encode())


async def test_rows_are_made_anew_when_the_indexes_change(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a"), filled("a", "t1"), filled("b", "t2"), at_ns=0)
        assert list(journal.scan("fills")) == [(b"t1", b"a"), (b"t2", b"b")]
    changed = Schema(make_codec(), tables=TABLES, indexer=fills_by_order, index_version=2)
    for _ in range(2):
        async with medium.store(changed) as journal:
            assert list(journal.scan("fills")) == [(b"a", b"t1"), (b"b", b"t2")]
            assert list(journal.scan("open_orders")) == []
            assert check_rows(journal, changed) == []


async def test_a_new_table_gets_its_rows_from_the_past(medium: Medium) -> None:
    def index(event: Event) -> Iterable[IndexPut]:
        yield from rows(event)
        if isinstance(event, Filled):
            yield IndexPut("fills_by_order", event.order, event.trade.encode())

    async with medium.store() as journal:
        journal.append(placed("a"), filled("a", "t1"), at_ns=0)
    wider = Schema(make_codec(), tables=(*TABLES, "fills_by_order"), indexer=index, located_indexer=located_rows)
    async with medium.store(wider) as journal:
        assert list(journal.scan("fills_by_order")) == [(b"a", b"t1")]
        assert list(journal.scan("open_orders")) == [(b"a", b"1")]
        assert check_rows(journal, wider) == []


async def test_a_row_that_disagrees_with_the_journal_is_shown(medium: Medium) -> None:
    async with medium.store() as journal:
        journal.append(placed("a"), filled("a", "t1"), at_ns=0)
        assert check_rows(journal, make_schema()) == []
        other = Schema(make_codec(), tables=TABLES, indexer=fills_by_order)
        shown = [str(difference) for difference in check_rows(journal, other)]
    assert shown[0] == "fills[b'a'] is no row, the journal says 2 bytes b't1'"
    assert shown[1] == "fills[b't1'] is 1 bytes b'a', the journal says no row"
    assert len(shown) == 5


async def test_a_value_that_is_not_bytes_records_nothing(medium: Medium) -> None:
    def index(event: Event) -> Iterable[IndexPut]:
        return (IndexPut("fills", "a", "text"),)  # type: ignore[arg-type]  # the mistake under test

    async with medium.store(Schema(make_codec(), tables=TABLES, indexer=index)) as journal:
        with pytest.raises(InvalidValue, match="table 'fills', key 'a' must be bytes or None, got str"):
            journal.append(placed("a"), at_ns=0)
        assert (journal.last_lsn, journal.pending) == (0, 0)


async def test_time_need_not_pass_for_a_commit(medium: Medium, mock_clock: MockClock) -> None:
    async with medium.store() as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        assert trio.current_time() == 0.0


def test_the_names_of_the_store_itself_are_taken() -> None:
    with pytest.raises(ValueError, match=r"the tables \['audit', 'meta'\] belong to the store itself"):
        Schema(make_codec(), tables=("meta", "fills", "audit"))
    codec = Codec()
    codec.register(Placed, kind="audit")
    with pytest.raises(ValueError, match="'audit'"):
        Schema(codec)


def test_a_durability_that_is_none_is_refused(tmp_path: Path) -> None:
    hope = cast("Durability", "hope")
    with pytest.raises(ValueError, match="durability must be 'fsync' or 'process', got 'hope'"):
        MemoryStore(make_schema(), durability=hope)
    with pytest.raises(ValueError, match="durability must be 'fsync' or 'process', got 'hope'"):
        open_store(tmp_path, make_schema(), durability=hope)


async def test_an_action_that_can_record_nothing_more_while_closing_is_left_to_the_next_owner(medium: Medium) -> None:
    ran: list[str] = []

    def effect() -> None:
        journal.append(placed("sent"), at_ns=1)
        ran.append("sent")

    async with medium.store() as journal:
        journal.append(placed("a"), at_ns=0)
        journal.when_durable(Lsn(1), effect)
        journal.when_durable(Lsn(1), partial(ran.append, "next"))
    assert ran == ["next"]
    assert journal.failed is None
    async with medium.store() as again:
        assert again.last_lsn == 1
