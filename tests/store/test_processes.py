"""The real store among processes: owners, readers, kills, forks and full disks."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from tallystick.store import (
    Lsn,
    StoreForked,
    StoreLocked,
    check_rows,
    open_reader,
    open_store,
    verify,
)

from tests.store.kit import make_schema, placed

ROOT = Path(__file__).parents[2]


@contextmanager
def child(what: str, directory: Path, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.store.child", what, str(directory), *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_a_second_owner_is_told_the_process_that_holds_the_store(tmp_path: Path) -> None:
    with child("hold", tmp_path) as holder:
        pid = line_of(holder)
        with pytest.raises(
            StoreLocked, match=f"'the other', process {pid} on .*, opened at [0-9-]+T[0-9:.]+Z, epoch 1"
        ):
            await open_store(tmp_path, make_schema()).start()
        with open_reader(tmp_path, make_schema()) as reader:
            assert reader.owner is not None
            assert (reader.owner.owner, str(reader.owner.pid)) == ("the other", pid)
    async with open_store(tmp_path, make_schema()) as journal:
        assert journal.epoch == 2


def test_a_reader_sees_a_consistent_store_while_its_owner_writes_and_the_map_grows(tmp_path: Path) -> None:
    with child("write", tmp_path) as writer:
        assert line_of(writer) == "open 1 0"
        with open_reader(tmp_path, make_schema()) as reader:
            seen = 0
            while seen < 20_000:
                seen = reader.last_lsn
                assert sum(1 for _ in reader.read(until=Lsn(seen))) == seen
                assert sum(1 for _ in reader.scan("fills")) >= seen // 3
                assert verify(reader).intact
            assert reader.epoch == 1
            assert reader.owner is not None


def test_nothing_is_lost_to_kills_while_entries_move_to_archive_files(tmp_path: Path) -> None:
    durable = first = 0
    rng = random.Random(11)
    for epoch in range(1, 9):
        with child("archive", tmp_path) as writer:
            _, opened_epoch, last, first_lsn = line_of(writer).split()
            assert int(opened_epoch) == epoch
            assert int(last) >= durable
            assert int(first_lsn) >= first
            for _ in range(rng.randrange(3, 30)):
                durable = int(line_of(writer))
            time.sleep(rng.random() / 50)
            writer.send_signal(signal.SIGKILL)
        with open_reader(tmp_path, make_schema()) as reader:
            first, last_lsn = reader.first_lsn, reader.last_lsn
            assert last_lsn >= durable
            assert [lsn for lsn, _ in reader.raw()] == list(range(1, last_lsn + 1))
            assert check_rows(reader, make_schema()) == []
            assert verify(reader).intact
            assert sum(1 for _ in reader.scan("fills")) >= durable // 3
    assert first > 301, "it did archive"


def test_a_reader_follows_an_owner_that_archives(tmp_path: Path) -> None:
    with child("archive", tmp_path) as writer:
        line_of(writer)
        with open_reader(tmp_path, make_schema()) as reader:
            while reader.first_lsn < 2_000:
                last = reader.last_lsn
                assert [lsn for lsn, _ in reader.raw(until=last)] == list(range(1, last + 1))
                assert verify(reader).intact


def test_nothing_durable_is_lost_to_kills_in_mid_commit(tmp_path: Path) -> None:
    durable = 0
    rng = random.Random(7)
    for epoch in range(1, 6):
        with child("write", tmp_path) as writer:
            _, opened_epoch, last = line_of(writer).split()
            assert int(opened_epoch) == epoch
            assert int(last) >= durable
            for _ in range(rng.randrange(1, 30)):
                durable = int(line_of(writer))
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().splitlines() if writer.stdout else []
            durable = max([durable, *(int(line) for line in rest if line.isdigit())])
        with open_reader(tmp_path, make_schema()) as reader:
            assert reader.owner is None
            assert reader.last_lsn >= durable
            assert reader.last_lsn % 3 == 0
            assert [entry.lsn for entry in reader.read()] == list(range(1, reader.last_lsn + 1))
            assert verify(reader).verified == reader.last_lsn // 3
            assert check_rows(reader, make_schema()) == []


def test_a_store_at_its_ceiling_fails_and_keeps_what_was_durable(tmp_path: Path) -> None:
    with child("fill", tmp_path, 1 << 20) as filler:
        error, summary = line_of(filler), line_of(filler)
    assert error.startswith("StoreFailed: the store reached its configured ceiling: ")
    assert "needs more than the ceiling of 1048576 bytes" in error
    assert_readable(tmp_path, summary, "MAP_FULL")


def test_a_write_that_is_cut_short_fails_the_store_and_keeps_what_was_durable(tmp_path: Path) -> None:
    with child("limited", tmp_path, 2_000_000) as filler:
        error, summary = line_of(filler), line_of(filler)
    assert error.startswith("StoreFailed: the disk reported an error: writing ")
    assert_readable(tmp_path, summary, "IO_ERROR")


def test_a_full_disk_fails_the_store_and_keeps_what_was_durable(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs rights that this user has not")
    try:
        with child("fill", tmp_path, 1 << 30) as filler:
            error, summary = line_of(filler), line_of(filler)
        assert error.startswith("StoreFailed: the disk is full: writing ")
        assert_readable(tmp_path, summary, "DISK_FULL")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_head_that_cannot_be_written_fails_the_store_and_reads_go_on(tmp_path: Path) -> None:
    with child("headless", tmp_path) as owner:
        assert line_of(owner).startswith("StoreFailed: ")
        assert line_of(owner) == "[1, 2, 3] b'1'"


def assert_readable(directory: Path, summary: str, reason: str) -> None:
    """The failed owner read everything durable; and so does the next."""
    notes, durable, readable = summary.rsplit(" ", 2)
    assert notes == f"['{reason}']"
    assert int(durable) > 0
    assert readable == durable
    with open_reader(directory, make_schema()) as reader:
        assert reader.last_lsn == int(durable)
        assert verify(reader).intact
        assert check_rows(reader, make_schema()) == []
    if reason == "MAP_FULL":
        trio.run(go_on_with_a_higher_ceiling, directory, int(durable))


async def go_on_with_a_higher_ceiling(directory: Path, durable: int) -> None:
    async with open_store(directory, make_schema()) as journal:
        assert journal.append(placed("after"), at_ns=0) == durable + 1


async def test_a_forked_child_cannot_use_the_store_and_does_not_hold_its_lock(tmp_path: Path) -> None:
    async with open_store(tmp_path, make_schema()) as journal:
        await journal.wait_durable(journal.append(placed("a"), at_ns=0))
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:  # pragma: no cover - the child is not measured
            refused = 0
            for call in (lambda: journal.append(placed("b"), at_ns=1), lambda: journal.get("fills", "a")):
                try:
                    call()
                except StoreForked:
                    refused += 1
            os.write(write_end, b"%d" % refused)
            os.close(write_end)
            signal.pause()
        os.close(write_end)
        assert os.read(read_end, 1) == b"2"
        os.close(read_end)
        await journal.wait_durable(journal.append(placed("c"), at_ns=2))
    try:
        async with open_store(tmp_path, make_schema()) as journal:
            assert journal.last_lsn == 2
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # noqa: ASYNC222  # it was killed, so this takes no time


async def test_an_owner_of_a_run_that_ended_unclosed_does_not_block_the_next(tmp_path: Path) -> None:
    store = open_store(tmp_path, make_schema())

    async def abandon() -> None:
        await store.start()
        store.append(placed("a"), at_ns=0)

    await trio.to_thread.run_sync(trio.run, abandon)
    with trio.fail_after(10):
        while True:
            try:
                async with open_store(tmp_path, make_schema()) as journal:
                    assert journal.epoch == 2
                    return
            except StoreLocked:
                await trio.sleep(0.01)
