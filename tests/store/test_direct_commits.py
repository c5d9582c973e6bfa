"""Which commits are made on the owner's loop, and which by the writer's thread."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from tallystick.store import Durability, FailureReason, LmdbStore, Lsn, StoreFailed, lmdb_store, open_store
from tallystick.store.batch import Batch
from tallystick.store.writer import Writer

from tests.store.kit import exchange, filled, make_schema, placed

Committed = list[tuple[bool, int]]
"""Of each commit: whether it was made on the loop, and how many records it had."""


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> Committed:
    loop = threading.get_ident()
    found: Committed = []
    write = Writer.write

    def observed(writer: Writer, batch: Batch) -> StoreFailed | None:
        found.append((threading.get_ident() == loop, len(batch.records)))
        return write(writer, batch)

    monkeypatch.setattr(Writer, "write", observed)
    return found


def opened(directory: Path, durability: Durability = "process") -> LmdbStore:
    return open_store(directory, make_schema(), durability=durability)


async def test_a_small_commit_that_waits_for_no_disk_is_made_at_the_end_of_the_tick(
    tmp_path: Path, committed: Committed
) -> None:
    async with opened(tmp_path) as journal:
        lsn = journal.append(placed("a"), filled("a", "t1"), at_ns=1)
        assert journal.durable_lsn < lsn, "several appends of one tick are one commit"
        journal.append(placed("b"), at_ns=1)
        await journal.wait_durable(journal.last_lsn)
        assert committed == [(True, 3)]


async def test_a_commit_that_waits_for_the_disk_is_the_threads(tmp_path: Path, committed: Committed) -> None:
    async with opened(tmp_path, "fsync") as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=1))
        assert committed == [(False, 1)]


@pytest.mark.parametrize(
    "append",
    [
        lambda journal: journal.append(*(placed(f"o{number}") for number in range(200)), at_ns=1),
        lambda journal: journal.append(placed("a", "1" * (1 << 17)), at_ns=1),
        lambda journal: journal.put_snapshot("e", Lsn(1), bytes(1 << 20)),
    ],
    ids=["many rows", "many bytes", "a snapshot"],
)
async def test_what_takes_long_is_the_threads(
    tmp_path: Path, committed: Committed, append: Callable[[LmdbStore], object]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.wait_durable(journal.append(exchange(1), at_ns=1))
        append(journal)
        await journal.wait_written()
        assert [direct for direct, _ in committed] == [True, False]


async def test_after_a_slow_commit_the_thread_has_them_for_a_while(
    tmp_path: Path, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 100.0
    took = 0.0
    async with opened(tmp_path) as journal:

        def monotonic() -> float:
            nonlocal seconds
            seconds += took
            return seconds

        monkeypatch.setattr(journal._disk, "_monotonic", monotonic)
        for number, (step, expected) in enumerate(((0.0, True), (0.01, True), (0.0, False), (0.0, False))):
            took = step
            await journal.wait_durable(journal.append(placed(f"o{number}"), at_ns=1))
            assert committed[-1] == (expected, 1)
        seconds += lmdb_store.DIRECT_PAUSE_SECONDS
        await journal.wait_durable(journal.append(placed("again"), at_ns=1))
        assert committed[-1] == (True, 1)


async def test_what_an_action_appends_is_committed_next_and_its_actions_run_in_their_order(tmp_path: Path) -> None:
    heard: list[int] = []
    async with opened(tmp_path) as journal:

        def go_on(lsn: Lsn) -> None:
            heard.append(lsn)
            if lsn < 5:
                after = journal.append(placed(f"o{lsn}"), at_ns=1)
                journal.when_durable(after, lambda: go_on(after))
                assert journal.durable_lsn == lsn, "an effect is never durable before its action has returned"

        first = journal.append(placed("a"), at_ns=1)
        journal.when_durable(first, lambda: go_on(first))
        with trio.fail_after(5):
            while len(heard) < 5:
                await trio.lowlevel.checkpoint()
    assert heard == [1, 2, 3, 4, 5]


async def test_a_failure_of_a_commit_on_the_loop_stops_the_store_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    failures: list[StoreFailed] = []
    store = open_store(tmp_path, make_schema(), durability="process", on_failure=failures.append)
    await store.start()
    monkeypatch.setattr(Writer, "_put_rows", fail)
    lsn = store.append(placed("a"), at_ns=1)
    store.when_durable(lsn, lambda: pytest.fail("nothing of it is durable"))
    with pytest.raises(StoreFailed, match="No space left"):
        await store.wait_durable(lsn)
    assert [failure.reason for failure in failures] == [FailureReason.DISK_FULL]
    with pytest.raises(StoreFailed):
        store.append(placed("b"), at_ns=1)
    await store.close()
