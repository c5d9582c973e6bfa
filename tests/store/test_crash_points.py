"""Whatever happens when: a crash leaves a prefix of what was appended, and the rows agree with it."""

import tempfile
from pathlib import Path

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.store import (
    Event,
    LmdbStore,
    MemoryDisk,
    MemoryStore,
    Records,
    check_rows,
    open_reader,
    open_store,
    verify,
)

from tests.store.kit import Done, exchange, filled, make_schema, placed

PAGE = 4096

orders = st.sampled_from(["a", "b", "c"])
events: st.SearchStrategy[Event] = st.one_of(
    orders.map(placed),
    st.builds(filled, orders, st.sampled_from(["t1", "t2", "t3", "t4"])),
    orders.map(Done),
    st.integers(1, 9).map(exchange),
    st.integers(0, 3).map(lambda size: placed("large" * 90, "1" * (900 * size + 1))),
)
Group = list[Event]
SETTLE = "settle"
TICK = "tick"
SNAPSHOT = "snapshot"
steps = st.lists(
    st.one_of(st.lists(events, min_size=1, max_size=4), st.sampled_from([SETTLE, TICK, SNAPSHOT])), max_size=25
)


class History:
    """What an owner did: the groups it appended, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ends = [0]

    def add(self, group: Group) -> None:
        self.events += group
        self.ends.append(len(self.events))

    def check(self, left: Records, *, at_least: int) -> None:
        """What is left must be whole groups from the start, everything durable among them, and agree in itself."""
        last = left.last_lsn
        assert last in self.ends
        assert last >= at_least
        assert [entry.event for entry in left.read()] == self.events[:last]
        assert check_rows(left, make_schema()) == []
        assert verify(left).intact
        for entity in left.snapshots():
            snapshot = left.snapshot(entity)
            assert snapshot is not None
            lsn, state = snapshot
            assert lsn <= last
            assert state == b"state as of %d" % lsn


async def run_step(journal: MemoryStore, history: History, step: Group | str) -> None:
    if isinstance(step, list):
        history.add(step)
        journal.append(*step, at_ns=len(history.events), cause=1)
    elif step == SETTLE:
        await journal.wait_durable(journal.last_lsn)
    elif step == TICK:
        await trio.lowlevel.checkpoint()
    elif journal.last_lsn:
        journal.put_snapshot("entity", journal.last_lsn, b"state as of %d" % journal.last_lsn)


@given(st.lists(st.tuples(steps, st.integers(0, 5), st.booleans()), min_size=1, max_size=3))
def test_the_simulated_disk_keeps_a_prefix_over_several_crashes(
    lives: list[tuple[list[Group | str], int, bool]],
) -> None:
    async def live() -> None:
        history = History()
        disk = MemoryDisk()
        for life, keep, torn in lives:
            async with MemoryStore(make_schema(), disk) as journal:
                history.check(journal, at_least=0)
                for step in life:
                    await run_step(journal, history, step)
                durable = journal.durable_lsn
                disk = journal.crash(keep=keep, torn=torn)
            async with MemoryStore(make_schema(), disk) as journal:
                history.check(journal, at_least=durable)
                # What was lost never happened: the next owner's numbers go on from what is left.
                del history.events[journal.last_lsn :]
                history.ends = [end for end in history.ends if end <= journal.last_lsn]

    trio.run(live)


def torn(before: bytes, after: bytes, written: list[int]) -> bytes:
    """A file in the middle of a commit: some pages of the new state, still under the old head.

    LMDB writes a commit's pages, syncs, and writes its head (one of the first two pages) last.
    """
    size = max(len(before), max(((page + 1) * PAGE for page in written), default=0))
    image = bytearray(before.ljust(size, b"\0"))
    for page in written:
        image[page * PAGE : (page + 1) * PAGE] = after[page * PAGE : (page + 1) * PAGE]
    return bytes(image)


async def image_of(directory: Path, journal: LmdbStore) -> tuple[bytes, int]:
    """Return the file once nothing is pending, and the last LSN in it."""
    while journal.pending:
        await trio.lowlevel.checkpoint()
    assert journal.durable_lsn == journal.last_lsn
    return (directory / "data.mdb").read_bytes(), journal.durable_lsn


@settings(max_examples=40, deadline=None)
@given(st.data(), steps)
def test_a_file_left_in_the_middle_of_a_commit_holds_what_was_before(
    data: st.DataObject, life: list[Group | str]
) -> None:
    async def live(directory: Path) -> list[tuple[bytes, int]]:
        """Return an image of the file after each commit; without a tick between, all that gathered is one commit."""
        images: list[tuple[bytes, int]] = []
        async with open_store(directory, make_schema(), durability="process", map_size_bytes=1 << 20) as journal:
            for step in life:
                if isinstance(step, list):
                    history.add(step)
                    journal.append(*step, at_ns=len(history.events), cause=1)
                elif step == SNAPSHOT and journal.last_lsn:
                    journal.put_snapshot("entity", journal.last_lsn, b"state as of %d" % journal.last_lsn)
                elif step == SETTLE:
                    images.append(await image_of(directory, journal))
            images.append(await image_of(directory, journal))
        return images

    history = History()
    with tempfile.TemporaryDirectory() as name:
        images = trio.run(live, Path(name) / "store")
        for number, (before, durable) in enumerate(images):
            after = images[min(number + 1, len(images) - 1)][0]
            changed = [
                page
                for page in range(2, len(after) // PAGE)
                if before[page * PAGE : (page + 1) * PAGE] != after[page * PAGE : (page + 1) * PAGE]
            ]
            written = data.draw(st.lists(st.sampled_from(changed), unique=True)) if changed else []
            crashed = Path(name) / f"crash-{number}"
            crashed.mkdir()
            (crashed / "data.mdb").write_bytes(torn(before, after, written))
            with open_reader(crashed, make_schema()) as reader:
                history.check(reader, at_least=durable)
                assert reader.last_lsn == durable
