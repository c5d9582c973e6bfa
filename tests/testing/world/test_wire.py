"""What bytes do on the wires of a world: they come late, in order, in pieces, or not at all."""

from collections.abc import Awaitable, Callable
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tallystick.testing.world.wire import Link, Network, RequestReader, Way
from tallystick.testing.world.world import simulate
from tallystick.venues.sim.server.memory_stream import MemoryStream, memory_stream_pair

REQUEST = b"POST /order HTTP/1.1\r\nHost: venue\r\nContent-Length: 4\r\n\r\nbody"


class Ends:
    """A network with a venue that only listens."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.venue_ends: list[MemoryStream] = []
        self.network = Network(self._dial)

    def _dial(self) -> MemoryStream:
        ours, theirs = memory_stream_pair()
        self.venue_ends.append(theirs)
        return ours

    async def connect(self) -> tuple[Link, MemoryStream]:
        link = await self.network.connect("venue", 80)
        assert isinstance(link, Link)
        return link, self.venue_ends[-1]


def on_wires(story: Callable[[Ends], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await story(Ends(nursery))
            nursery.cancel_scope.cancel()

    def test() -> None:
        simulate(main)

    test.__name__ = test.__qualname__ = getattr(story, "__name__", "test")
    return test


@on_wires
async def test_in_fair_weather_bytes_pass_at_once_both_ways(ends: Ends) -> None:
    link, venue = await ends.connect()
    await link.send_all(b"ask")
    assert await venue.receive_some() == b"ask"
    await venue.send_all(b"answer")
    assert await link.receive_some() == b"answer"
    assert trio.current_time() == 0


@on_wires
async def test_what_is_clogged_arrives_later_and_in_order(ends: Ends) -> None:
    link, venue = await ends.connect()
    ends.network.weather.clogged_until[Way.TO_VENUE] = 5
    await link.send_all(b"one ")
    await trio.sleep(3)
    await link.send_all(b"two")
    assert trio.current_time() == 3, "the machine takes bytes at once"
    assert await venue.receive_some() == b"one two"
    assert trio.current_time() == 5


@on_wires
async def test_a_request_arrives_although_its_sender_has_hung_up(ends: Ends) -> None:
    link, venue = await ends.connect()
    ends.network.weather.clogged_until[Way.TO_VENUE] = 30
    await link.send_all(REQUEST)
    await link.aclose()
    assert await venue.receive_some() == REQUEST
    assert trio.current_time() == 30
    assert await venue.receive_some() == b"", "and then the end of the stream"


@on_wires
async def test_a_clog_from_the_venue_leaves_the_way_to_it_open(ends: Ends) -> None:
    link, venue = await ends.connect()
    ends.network.weather.clogged_until[Way.FROM_VENUE] = 7
    await venue.send_all(b"answer")
    await link.send_all(b"ask")
    assert await venue.receive_some() == b"ask"
    with trio.move_on_after(2):
        await link.receive_some()
    assert await link.receive_some() == b"answer", "a reader that gave up has lost nothing"
    assert trio.current_time() == 7


@on_wires
async def test_a_connection_is_lost_at_a_certain_byte(ends: Ends) -> None:
    link, venue = await ends.connect()
    link.cut_after(Way.TO_VENUE, 5)
    with pytest.raises(trio.BrokenResourceError):
        await link.send_all(b"1234567890")
    assert await venue.receive_some() == b"12345"
    assert await venue.receive_some() == b""
    assert ends.network.cuts == 1
    with pytest.raises(trio.BrokenResourceError):
        await link.send_all(b"more")


@on_wires
async def test_an_answer_is_lost_at_a_certain_byte(ends: Ends) -> None:
    link, venue = await ends.connect()
    link.cut_after(Way.FROM_VENUE, 3)
    await venue.send_all(b"answer")
    assert await link.receive_some() == b"ans"
    with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
        await link.receive_some()


@on_wires
async def test_a_silent_connection_says_nothing_and_breaks_nothing(ends: Ends) -> None:
    link, venue = await ends.connect()
    link.fall_silent()
    await link.send_all(b"ask")
    await venue.send_all(b"answer")
    with trio.move_on_after(3_600) as scope:
        await link.receive_some()
    assert scope.cancelled_caught
    with trio.move_on_after(3_600) as scope:
        await venue.receive_some()
    assert scope.cancelled_caught


@on_wires
async def test_slow_reading_takes_its_time_by_the_byte(ends: Ends) -> None:
    link, venue = await ends.connect()
    ends.network.weather.slow_bytes_per_second, ends.network.weather.slow_until = 10, 100
    await venue.send_all(b"x" * 50)
    assert len(await link.receive_some()) == 50
    assert trio.current_time() == 5


@on_wires
async def test_split_reading_gives_a_few_bytes_at_a_time(ends: Ends) -> None:
    link, venue = await ends.connect()
    ends.network.weather.split_bytes, ends.network.weather.split_until = 4, 100
    await venue.send_all(b"1234567890")
    assert [bytes(await link.receive_some()) for _ in range(3)] == [b"1234", b"5678", b"90"]


@on_wires
async def test_there_is_no_way_while_the_network_is_down(ends: Ends) -> None:
    link, _ = await ends.connect()
    await ends.network.go_down()
    with pytest.raises(OSError, match="no route"):
        await ends.connect()
    assert link.broken
    assert ends.network.refused == 1
    ends.network.come_back()
    await ends.connect()


@on_wires
async def test_a_connection_is_picked_by_what_it_speaks(ends: Ends) -> None:
    http, _ = await ends.connect()
    websocket, _ = await ends.connect()
    await websocket.send_all(b"GET /ws/user HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    assert ends.network.pick(Random(1), websocket=True) is websocket
    assert ends.network.pick(Random(1), websocket=False) is http
    await http.aclose()
    assert ends.network.pick(Random(1), websocket=False) is None


@given(st.lists(st.integers(1, 40), max_size=12))
def test_requests_are_read_along_wherever_their_bytes_are_split(cuts: list[int]) -> None:
    stream = REQUEST + b"GET /time HTTP/1.1\r\nHost: venue\r\n\r\n" + REQUEST
    reader, found, start = RequestReader(), [], 0
    for length in (*cuts, len(stream)):
        found += reader.feed(stream[start : start + length], 1.5)
        start += length
    assert [(request.method, request.path, request.body) for request in found] == [
        ("POST", "/order", b"body"),
        ("GET", "/time", b""),
        ("POST", "/order", b"body"),
    ]
