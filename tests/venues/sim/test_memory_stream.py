"""What bytes do in a connection in memory: they come in order, when they are due, and their end behind them."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.sim.server.memory_stream import MemoryStream, memory_stream_pair
from trio.testing import MockClock, wait_all_tasks_blocked


def between(story: Callable[[MemoryStream, MemoryStream], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        await story(*memory_stream_pair())

    def test() -> None:
        trio.run(main, clock=MockClock(autojump_threshold=0))

    test.__name__ = test.__qualname__ = getattr(story, "__name__", "test")
    return test


@between
async def test_what_is_due_together_is_read_together(ours: MemoryStream, theirs: MemoryStream) -> None:
    await ours.send_all(b"one ")
    await ours.send_all(b"two")
    assert await theirs.receive_some() == b"one two"


@between
async def test_no_more_is_read_than_was_asked_for(ours: MemoryStream, theirs: MemoryStream) -> None:
    await ours.send_all(b"12345")
    assert [await theirs.receive_some(2) for _ in range(3)] == [b"12", b"34", b"5"]


@between
async def test_a_later_piece_never_overtakes_an_earlier_one(ours: MemoryStream, theirs: MemoryStream) -> None:
    delays = iter((5.0, 1.0))
    ours.outgoing.delay_seconds = lambda _: next(delays)
    await ours.send_all(b"slow")
    await trio.sleep(1)
    await ours.send_all(b" fast")
    assert await theirs.receive_some() == b"slow fast"
    assert trio.current_time() == 5


@between
async def test_a_reader_that_waits_is_woken_when_bytes_are_due(ours: MemoryStream, theirs: MemoryStream) -> None:
    for delay in (None, 3.0):
        ours.outgoing.delay_seconds = None if delay is None else lambda _: 3.0
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await theirs.receive_some() == b"told"

            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            await ours.send_all(b"told")
        assert trio.current_time() - began == (delay or 0)


@between
async def test_a_delay_that_begins_while_a_reader_waits_is_kept(ours: MemoryStream, theirs: MemoryStream) -> None:
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            assert await theirs.receive_some() == b"told"
            assert trio.current_time() == 2

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        ours.outgoing.delay_seconds = lambda _: 2.0
        await ours.send_all(b"told")


@between
async def test_the_end_comes_behind_the_last_byte_and_stays(ours: MemoryStream, theirs: MemoryStream) -> None:
    ours.outgoing.delay_seconds = lambda _: 4.0
    await ours.send_all(b"last")
    await ours.aclose()
    assert [await theirs.receive_some() for _ in range(3)] == [b"last", b"", b""]
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"nobody reads this")
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"more")
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()


@between
async def test_half_of_it_can_be_ended(ours: MemoryStream, theirs: MemoryStream) -> None:
    await ours.send_eof()
    assert await theirs.receive_some() == b""
    await theirs.send_all(b"answer")
    assert await ours.receive_some() == b"answer"


@between
async def test_a_lost_connection_loses_what_is_under_way(ours: MemoryStream, theirs: MemoryStream) -> None:
    await ours.send_all(b"arrived")
    ours.outgoing.delay_seconds = lambda _: 9.0
    await ours.send_all(b" lost")
    ours.abort()
    assert await theirs.receive_some() == b"arrived"
    assert await theirs.receive_some() == b""
    assert trio.current_time() == 0


@between
async def test_whoever_waits_is_told_when_either_side_closes(ours: MemoryStream, theirs: MemoryStream) -> None:
    async with trio.open_nursery() as nursery:

        async def own() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        async def other() -> None:
            assert await theirs.receive_some() == b""

        nursery.start_soon(own)
        nursery.start_soon(other)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await ours.receive_some()
        ours.close()


@between
async def test_a_reader_that_gives_up_loses_nothing(ours: MemoryStream, theirs: MemoryStream) -> None:
    ours.outgoing.delay_seconds = lambda _: 5.0
    await ours.send_all(b"kept")
    with trio.move_on_after(1) as scope:
        await theirs.receive_some()
    assert scope.cancelled_caught
    assert await theirs.receive_some() == b"kept"
    assert trio.current_time() == 5


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.floats(0, 10), st.floats(0, 3)), max_size=12),
    st.integers(1, 12),
)
def test_every_byte_arrives_once_and_in_order(sent: list[tuple[bytes, float, float]], most: int) -> None:
    async def main() -> bytes:
        ours, theirs = memory_stream_pair()
        delays = iter([delay for _, delay, _ in sent] + [0.0])
        ours.outgoing.delay_seconds = lambda _: next(delays)
        found = b""

        async def write() -> None:
            for data, _, pause in sent:
                await ours.send_all(data)
                await trio.sleep(pause)
            await ours.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while data := await theirs.receive_some(most):
                assert len(data) <= most
                found += data
        return found

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == b"".join(data for data, _, _ in sent)
