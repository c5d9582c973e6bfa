"""The simulated disk: slow, full, failing, torn and cut off, in virtual time and without a thread."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from tallystick.store import FailureReason, Lsn, MemoryDisk, MemoryStore, Retention, StoreFailed, verify
from tallystick.store.memory_disk import Group
from trio.testing import MockClock

from tests.store.kit import exchange, make_schema, placed


async def test_a_commit_takes_the_latency_of_the_disk(autojump_clock: MockClock) -> None:
    disk = MemoryDisk(latency_seconds=2.5)
    async with MemoryStore(make_schema(), disk) as journal:
        start = trio.current_time()
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        assert trio.current_time() - start == 2.5


async def test_the_latency_is_drawn_for_each_commit(autojump_clock: MockClock) -> None:
    latencies = iter([1.0, 0.0, 4.0])
    disk = MemoryDisk(latency_seconds=lambda: next(latencies))
    async with MemoryStore(make_schema(), disk) as journal:
        start = trio.current_time()
        for _ in range(3):
            await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        assert trio.current_time() - start == 5.0


async def test_what_comes_during_a_commit_goes_with_the_next(autojump_clock: MockClock) -> None:
    disk = MemoryDisk(latency_seconds=1.0)
    durable_at: dict[int, float] = {}
    async with MemoryStore(make_schema(), disk) as journal:
        start = trio.current_time()

        def note(lsn: Lsn) -> None:
            durable_at[lsn] = trio.current_time() - start

        for delay in (0.0, 0.25, 0.5):
            await trio.sleep(delay)
            lsn = journal.append(placed("a"), at_ns=0)
            journal.when_durable(lsn, partial(note, lsn))
        await journal.wait_durable(journal.last_lsn)
    assert durable_at == {1: 1.0, 2: 2.0, 3: 2.0}


async def test_no_thread_is_started() -> None:
    before = threading.active_count()
    async with MemoryStore(make_schema()) as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        assert threading.active_count() == before


@pytest.mark.parametrize(("keep", "survivors"), [(0, 2), (1, 4), (2, 5), (99, 6)])
async def test_a_crash_keeps_what_was_durable_and_some_groups_after_it(
    autojump_clock: MockClock, keep: int, survivors: int
) -> None:
    ran: list[int] = []
    disk = MemoryDisk(latency_seconds=1.0)
    async with MemoryStore(make_schema(), disk) as journal:
        await journal.wait_durable(journal.append(placed("a"), placed("b"), at_ns=0))
        journal.append(placed("c"), placed("d"), at_ns=1)
        await trio.sleep(0.5)
        journal.append(placed("e"), at_ns=2)
        journal.append(placed("f"), at_ns=3)
        journal.when_durable(Lsn(6), partial(ran.append, 6))
        assert journal.undurable_groups == 3
        left = journal.crash(keep=keep)
        await trio.sleep(10)
        assert journal.undurable_groups == 0
        with pytest.raises(StoreFailed, match="crashed"):
            journal.append(placed("g"), at_ns=4)
    assert ran == []
    async with MemoryStore(make_schema(), left) as journal:
        assert (journal.epoch, journal.last_lsn) == (2, survivors)
        assert [key.decode() for key, _ in journal.scan("open_orders")] == list("abcdef")[:survivors]


async def test_a_torn_last_write_is_dropped_whole() -> None:
    journal = MemoryStore(make_schema())
    async with journal:
        journal.append(placed("a"), exchange(1), at_ns=0)
        journal.append(placed("b"), exchange(2), at_ns=0)
        journal.append(placed("c"), exchange(3), at_ns=0)
        left = journal.crash(keep=1, torn=True)
    async with MemoryStore(make_schema(), left) as again:
        assert again.last_lsn == 2
        assert list(again.scan("open_orders")) == [(b"a", b"1")]
        again.append(exchange(4), at_ns=1)
        assert verify(again).verified == 2


async def test_a_crash_before_anything_was_appended_leaves_an_empty_store() -> None:
    journal = MemoryStore(make_schema())
    async with journal:
        left = journal.crash(torn=True)
    async with MemoryStore(make_schema(), left) as again:
        assert (again.epoch, again.last_lsn) == (2, 0)


async def test_a_loss_of_power_takes_what_process_durability_did_not_sync() -> None:
    disk = MemoryDisk()
    async with MemoryStore(make_schema(), disk, durability="process") as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        disk.sync()
        await journal.wait_durable(journal.append(placed("b"), at_ns=0))
        await journal.wait_durable(journal.append(placed("c"), at_ns=0))
        assert disk.unsynced == 2
        after_power_loss = [disk.lose_power(keep=keep) for keep in range(3)]
        after_kill = journal.crash()
    for number, left in enumerate([*after_power_loss, after_kill], 1):
        async with MemoryStore(make_schema(), left) as again:
            assert again.last_lsn == min(number, 3)


async def test_fsync_durability_leaves_nothing_to_a_loss_of_power() -> None:
    disk = MemoryDisk()
    async with MemoryStore(make_schema(), disk) as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        assert disk.unsynced == 0


@pytest.mark.parametrize("reason", [FailureReason.IO_ERROR, FailureReason.DISK_FULL])
async def test_a_failed_commit_stops_the_store_and_keeps_its_events_invisible(reason: FailureReason) -> None:
    ran: list[int] = []
    failures: list[StoreFailed] = []
    disk = MemoryDisk()
    journal = MemoryStore(make_schema(), disk, on_failure=failures.append)
    await journal.start()
    journal.when_durable(journal.append(placed("a"), at_ns=0), partial(ran.append, 1))
    await journal.wait_durable(Lsn(1))
    disk.fail_next(reason, "sector 7")
    journal.when_durable(journal.append(placed("b"), at_ns=1), partial(ran.append, 2))
    with pytest.raises(StoreFailed, match="sector 7"):
        await journal.wait_durable(Lsn(2))
    with pytest.raises(StoreFailed, match=reason.value):
        journal.append(placed("c"), at_ns=2)
    with pytest.raises(StoreFailed):
        journal.put_snapshot("a", Lsn(1), b"")
    journal.when_durable(Lsn(2), partial(ran.append, 3))
    assert (ran, journal.durable_lsn, journal.pending) == ([1], 1, 0)
    assert [failure.reason for failure in failures] == [reason]
    assert journal.get("open_orders", "a") == b"1"
    await journal.close()
    async with MemoryStore(make_schema(), disk) as again:
        assert again.last_lsn == 1


async def test_a_disk_fills_up() -> None:
    disk = MemoryDisk(capacity_bytes=2_000)
    journal = MemoryStore(make_schema(), disk)
    await journal.start()
    with pytest.raises(StoreFailed) as caught:  # noqa: PT012  # one of these fails, and which is not the point
        for number in range(100):
            await journal.wait_durable(journal.append(placed(f"order {number}"), at_ns=0))
    assert caught.value.reason is FailureReason.DISK_FULL
    assert "of 2000 bytes are used" in str(caught.value)
    durable = journal.durable_lsn
    await journal.close()
    disk.capacity_bytes = None
    async with MemoryStore(make_schema(), disk) as again:
        assert again.last_lsn == durable


async def test_leaving_a_failed_store_raises_its_failure() -> None:
    disk = MemoryDisk()
    disk.fail_next()
    with pytest.raises(StoreFailed, match="injected"):
        async with MemoryStore(make_schema(), disk) as journal:
            journal.append(placed("a"), at_ns=0)


def fail(reason: str) -> None:
    raise RuntimeError(reason)


async def test_a_write_under_way_when_the_store_fails_never_arrives_later(autojump_clock: MockClock) -> None:
    disk = MemoryDisk(latency_seconds=1.0)
    journal = MemoryStore(make_schema(), disk)
    await journal.start()
    journal.append(placed("a"), at_ns=0)
    journal.when_durable(Lsn(1), partial(fail, "an effect"))
    await trio.sleep(0.5)
    journal.append(placed("b"), at_ns=0)
    with pytest.raises(StoreFailed, match="RuntimeError: an effect"):
        await journal.wait_durable(Lsn(2))
    await journal.close()
    async with MemoryStore(make_schema(), disk) as again:
        await trio.sleep(5)
        assert (again.last_lsn, sum(1 for _ in again.read())) == (1, 1)


# ---- a disk that does not keep up -------------------------------------------------------------------------


def why_not(journal: MemoryStore) -> str | None:
    return journal.congestion


async def test_a_slow_commit_is_said_and_ends_by_itself(autojump_clock: MockClock) -> None:
    disk = MemoryDisk()
    async with MemoryStore(make_schema(), disk) as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        assert why_not(journal) is None
        disk.latency_seconds = 6.0
        lsn = journal.append(placed("b"), at_ns=1)
        await trio.sleep(1)
        assert why_not(journal) is None
        await trio.sleep(2)
        assert why_not(journal) == "a commit has taken 3.0 s so far, more than 2 s"
        await journal.wait_durable(lsn)
        assert why_not(journal) is None


async def test_what_gathers_behind_a_commit_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.store.group.BACKLOG_ENTRIES_MAX", 100)
    disk = MemoryDisk()
    async with MemoryStore(make_schema(), disk) as journal:
        disk.hang()
        journal.append(placed("a"), at_ns=0)
        await trio.sleep(0.1)
        for number in range(101):
            assert why_not(journal) is None
            journal.append(placed("b"), at_ns=number)
        assert why_not(journal) == "101 entries wait for the disk, at most 100 may"
        disk.resume()
        await journal.wait_durable(journal.last_lsn)
        assert why_not(journal) is None


async def test_a_disk_that_never_answers_fails_the_store_and_lets_its_owner_leave(autojump_clock: MockClock) -> None:
    disk = MemoryDisk()
    failures: list[StoreFailed] = []
    store = MemoryStore(make_schema(), disk, on_failure=failures.append)
    await store.start()
    await store.wait_durable(store.append(placed("a"), at_ns=0))
    disk.hang()
    began = trio.current_time()
    lsn = store.append(placed("b"), at_ns=1)
    with pytest.raises(StoreFailed, match="the disk does not answer: a commit has not ended within 10 s"):
        await store.wait_durable(lsn)
    assert trio.current_time() - began == pytest.approx(10)
    assert [failure.reason for failure in failures] == [FailureReason.STALLED]
    assert [entry.lsn for entry in store.read(until=store.durable_lsn)] == [1]
    await store.close()
    assert disk.owner is None
    disk.resume()
    await trio.sleep(1)
    async with MemoryStore(make_schema(), disk) as journal:
        assert journal.last_lsn == 1


async def test_commits_one_after_the_other_are_no_stall(autojump_clock: MockClock) -> None:
    disk = MemoryDisk(latency_seconds=9.0)
    async with MemoryStore(make_schema(), disk) as journal:
        for number in range(20):
            journal.append(placed("a"), at_ns=number)
            await trio.sleep(4)
        await journal.wait_durable(journal.last_lsn)
        assert journal.failed is None


async def test_a_full_disk_takes_again_once_there_is_room(autojump_clock: MockClock) -> None:
    async def fill(journal: MemoryStore) -> None:
        for number in range(100):
            await journal.wait_durable(journal.append(placed(f"o{number}"), at_ns=number))

    disk = MemoryDisk(capacity_bytes=600)
    store = MemoryStore(make_schema(), disk)
    await store.start()
    with pytest.raises(StoreFailed, match="the disk is full"):
        await fill(store)
    await store.close()
    disk.free()
    async with MemoryStore(make_schema(), disk) as journal:
        assert journal.last_lsn == store.durable_lsn
        await fill(journal)


async def test_the_disk_shows_its_whole_history_from_outside() -> None:
    disk = MemoryDisk()
    policy = Retention(keep_days=0, keep_entries=3, entries_per_file=4)
    async with MemoryStore(make_schema(), disk) as journal:
        for number in range(20):
            await journal.wait_durable(journal.append(placed(f"o{number}"), exchange(number), at_ns=number))
        journal.put_snapshot("e", journal.last_lsn, b"s")
        await journal.wait_written()
        before = list(disk.records())
        assert [lsn for lsn, _ in before] == list(range(1, 41))
        used = disk.used_bytes
        while not isinstance(await journal.archive_next(policy, now_ns=1 << 62), str):
            pass
        assert disk.first_lsn == 37
        assert disk.used_bytes < used
        assert list(disk.records()) == before
        assert list(disk.records(Lsn(30))) == before[29:]
        assert list(disk.records(Lsn(39))) == before[38:]


class _CountedGroups(list[Group]):
    """Counts how often all of them were looked at."""

    walks = 0

    def __iter__(self) -> Iterator[Group]:
        self.walks += 1
        return super().__iter__()


async def test_a_commit_looks_at_no_older_one() -> None:
    """Each walked through every group there was for something to prune: a long day was quadratic in its commits."""
    disk = MemoryDisk()
    async with MemoryStore(make_schema(), disk) as journal:
        await journal.wait_durable(journal.append(placed("o1"), at_ns=0))
        disk.groups = groups = _CountedGroups(disk.groups)
        for number in range(50):
            await journal.wait_durable(journal.append(exchange(number), at_ns=number))
        assert disk.groups is groups
        assert groups.walks == 0
