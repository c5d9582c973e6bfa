"""A full disk, a damaged file, a second owner: the runtime stops with a sentence, and what it knew is not lost."""

import os
import re
import signal
from decimal import Decimal
from random import Random

import pytest
from tallystick.console.exit_codes import ExitCode
from tallystick.model.event import OrderSubmitted
from tallystick.store import StoreError, open_reader
from tallystick.store.lock import LOCK_FILE, read_holder
from tallystick.store.records import journal_schema

from .host import LIVE, Host
from .processes import Life
from .stage import ASK, Stage, single

KILLED = -signal.SIGKILL
PAGE = 4096
CEILING = "map_size_bytes_max = 1048576"
LINES = 100
AT_ONCE = 6
FLIPS = 24


def data_of(stage: Stage) -> bytes:
    return (stage.store / "data.mdb").read_bytes()


def damage(stage: Stage, data: bytes) -> None:
    (stage.store / "data.mdb").write_bytes(data)


def traded(host: Host, *names: str) -> None:
    """A first life that buys something, and is killed."""
    life = host.begin()
    for name in names:
        host.intents[name] = single(name, limit_price=ASK)
        life.hand_in(host.intents[name])
        life.until(kind="ended", intent_id=name)
    assert life.kill() == KILLED
    host.bury(life)


def fill_up(host: Host, life: Life) -> int:
    """Hand in until the runtime ends by itself; returns how it ended."""
    for number in range(LINES):
        names = [f"full-{number}-{part}" for part in range(AT_ONCE)]
        host.intents |= {name: single(name, limit_price=ASK, seconds=60) for name in names}
        life.hand_in(*(host.intents[name] for name in names))
        life.listen(0.05)
        if life.code(0.0) is not None:
            break
    return life.ends()


class TestAFullDisk:
    def test_ends_the_runtime_and_the_next_one_with_space_goes_on_from_there(self, played: Stage) -> None:
        host = Host(played)
        traded(host, "before")
        size = (played.store / "data.mdb").stat().st_size
        host.record.begin_life()
        life = played.start(file_bytes_max=size + 16 * PAGE)
        code = fill_up(host, life)
        assert code == ExitCode.STORE_FAILED, life.log[-4000:]
        assert "Traceback" not in life.log, life.log[-4000:]
        assert "the store has failed" in life.log
        host.bury(life)
        host.finish()
        assert not host.ended_by_hand

    def test_a_ceiling_that_is_reached_is_named_and_a_higher_one_helps(self, played: Stage) -> None:
        host = Host(played)
        played.configure(runtime=CEILING)
        life = host.begin()
        code = fill_up(host, life)
        assert code == ExitCode.STORE_FAILED, life.log[-4000:]
        assert "needs more than the ceiling of 1048576 bytes" in life.log
        host.bury(life)
        played.configure()
        host.finish()


class TestADamagedFile:
    def test_that_is_cut_off_is_refused_and_nothing_is_asked_of_the_venue(self, played: Stage) -> None:
        host = Host(played)
        traded(host, "one")
        whole = data_of(played)
        damage(played, whole[: len(whole) // 2])
        life = host.begin()
        life.hand_in(single("never", limit_price=ASK))
        assert life.ends() == ExitCode.STORE_CORRUPT, life.log
        assert "data.mdb" in life.log
        assert "restore a copy" in life.log
        assert [order.size_matched for order in played.orders()] == [10]
        assert data_of(played) == whole[: len(whole) // 2], "the evidence was changed"

    def test_an_older_copy_is_brought_up_to_date_from_the_venues_own_records(self, played: Stage) -> None:
        """As on a machine that lost its last seconds: what the venue took meanwhile is told, and counted once."""
        host = Host(played)
        traded(host, "one")
        copy = data_of(played)
        traded(host, "two")
        damage(played, copy)
        host = Host(played)
        life = host.begin()
        life.until_live()
        assert life.kill() == KILLED
        host.record.read_on()
        assert host.record.fills == played.books().fills()
        assert {str(opened.alert.kind) for opened in host.record.alerts} == {"foreign_fill"}
        held = host.record.ledger.holdings
        assert sum(book.matched for (_, asset), book in held.items() if "Yes" in asset) == Decimal(20)

    def test_with_a_byte_flipped_is_refused_or_reads_as_before(self, played: Stage) -> None:
        host = Host(played)
        traded(host, "one")
        whole, before = data_of(played), entries(played)
        draw = Random(1)
        ends = set()
        for _ in range(FLIPS):
            data = bytearray(whole)
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            damage(played, bytes(data))
            life = host.begin()
            while not life.logged(LIVE) and life.code(0.01) is None:
                life.listen(0.01)
            code = life.kill()
            ends.add(code)
            if code == KILLED:
                assert entries(played)[: len(before)] == before
            else:
                assert code in {ExitCode.STORE_CORRUPT, ExitCode.STORE_NEWER}, life.log
                assert "Traceback" not in life.log, life.log
        assert ends >= {KILLED, ExitCode.STORE_CORRUPT}, "not every flip met a free page, and not every one a used page"
        assert [order.size_matched for order in played.orders()] == [10]


def entries(stage: Stage) -> list[bytes]:
    with open_reader(stage.store, journal_schema()) as reader:
        return [record for _lsn, record in reader.raw()]


class TestTheOwner:
    def test_a_second_runtime_is_refused_and_told_who_holds_the_store(self, played: Stage) -> None:
        host = Host(played)
        first = host.begin()
        first.until_live()
        second = played.start()
        assert second.ends() == ExitCode.STORE_LOCKED, second.log
        assert f"process {first.pid} " in second.log
        assert re.search(r"is held by 'crash', process \d+ on \S+", second.log)
        host.intents["one"] = single("one", limit_price=ASK)
        first.hand_in(host.intents["one"])
        assert first.until(kind="ended")["outcome"] == "filled"
        assert first.kill() == KILLED
        host.bury(first)
        assert sum(isinstance(event, OrderSubmitted) for event in host.record.life) == 1

    def test_the_lock_of_a_killed_one_is_no_lock(self, played: Stage) -> None:
        host = Host(played)
        traded(host, "one")
        holder = read_holder(played.store / LOCK_FILE)
        assert holder is not None, "a killed owner leaves its name"
        # The number may have become another process's by now: a name in a file holds nothing.
        (played.store / LOCK_FILE).write_bytes(
            (played.store / LOCK_FILE).read_bytes().replace(b'"pid":%d' % holder.pid, b'"pid":%d' % os.getpid())
        )
        traded(host, "two")
        assert (played.store / LOCK_FILE).read_bytes()
        host.finish()
        assert (played.store / LOCK_FILE).read_bytes() == b"", "an orderly stop takes its name away"


def test_a_reader_of_a_damaged_store_says_what_it_is(played: Stage) -> None:
    host = Host(played)
    traded(host, "one")
    damage(played, data_of(played)[: 3 * PAGE])
    with pytest.raises(StoreError, match=r"data\.mdb"):
        open_reader(played.store, journal_schema())
