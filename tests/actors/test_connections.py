"""The seam to the network: what it raises tells whether anything can have left, and silence ends a session."""

import gzip
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from tallystick.actors.connect import SeamTransport
from tallystick.actors.settings import StreamSettings
from tallystick.actors.websocket import SessionEnded, reconnect_seconds, session
from tallystick.venues.port import FrameOut
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_server_stream

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
PING = FrameOut(text="PING", redacted="PING")
SETTINGS = StreamSettings()

Peer = Callable[[trio.abc.Stream], Awaitable[None]]


class Wire:
    """Hands out one end of a memory stream for every connection and runs a peer on the other."""

    def __init__(self, nursery: trio.Nursery, peer: Peer) -> None:
        self.connections = 0
        self._nursery = nursery
        self._peer = peer

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.connections += 1
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._peer, theirs)
        return ours


async def answers(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        await stream.send_all(OK)


async def hangs_up(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.aclose()


async def says_nothing(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def refuses(host: str, port: int) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise OSError("no route")


def run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


def client(connect: Callable[[str, int], Awaitable[trio.abc.Stream]]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=SeamTransport(connect), timeout=5)  # type: ignore[arg-type]  # parameters by place


def test_a_connection_is_kept_and_used_again() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            wire = Wire(nursery, answers)
            async with client(wire.connect) as http:
                for _ in range(3):
                    assert (await http.get("http://venue/x")).text == "ok"
            assert wire.connections == 1
            nursery.cancel_scope.cancel()

    run(main)


def test_a_connection_that_cannot_be_made_says_so_before_anything_left() -> None:
    async def main() -> None:
        async with client(refuses) as http:
            with pytest.raises(httpx.ConnectError, match="no route"):
                await http.get("http://venue/x")

    run(main)


def test_a_peer_that_hangs_up_without_an_answer_is_not_a_connection_that_was_never_made() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            async with client(Wire(nursery, hangs_up).connect) as http:
                with pytest.raises(httpx.RemoteProtocolError):
                    await http.get("http://venue/x")
            nursery.cancel_scope.cancel()

    run(main)


def test_a_peer_that_says_nothing_is_a_timeout_of_reading() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            async with client(Wire(nursery, says_nothing).connect) as http:
                with pytest.raises(httpx.ReadTimeout):
                    await http.get("http://venue/x")
            assert trio.current_time() == 5
            nursery.cancel_scope.cancel()

    run(main)


# ---- one exchange over HTTP -------------------------------------------------------------------------------


class Answering:
    """A peer that says one thing after the other, each after the next request, and remembers what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[bytes] = []
        self._answers = list(answers)

    async def __call__(self, stream: trio.abc.Stream) -> None:
        while self._answers and (asked := await stream.receive_some()):
            self.asked.append(bytes(asked))
            await stream.send_all(self._answers.pop(0))
        await stream.aclose()


def exchange(
    *answers: bytes,
    then: Callable[[httpx.AsyncClient, Answering, Wire], Awaitable[None]],
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            peer = Answering(*answers)
            wire = Wire(nursery, peer)
            async with client(wire.connect) as http:
                await then(http, peer, wire)
            nursery.cancel_scope.cancel()

    run(main)


def test_a_request_leaves_in_one_piece() -> None:
    async def then(http: httpx.AsyncClient, peer: Answering, wire: Wire) -> None:
        await http.post("http://venue/order", content=b'{"a":1}')
        (asked,) = peer.asked
        assert asked.startswith(b"POST /order HTTP/1.1\r\n")
        assert asked.endswith(b'\r\n\r\n{"a":1}')
        assert wire.connections == 1

    exchange(OK, then=then)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 22\r\n\r\n" + gzip.compress(b"ok", mtime=0),
    ],
    ids=["in chunks", "after an interim answer", "compressed"],
)
def test_an_answer_is_read_in_every_form_that_http_has(answer: bytes) -> None:
    async def then(http: httpx.AsyncClient, peer: Answering, wire: Wire) -> None:
        assert (await http.get("http://venue/x")).text == "ok"
        assert (await http.get("http://venue/x")).text == "ok"
        assert wire.connections == 1

    exchange(answer, answer, then=then)


def test_an_answer_that_ends_with_its_connection_is_whole_and_the_connection_is_not_used_again() -> None:
    async def then(http: httpx.AsyncClient, peer: Answering, wire: Wire) -> None:
        assert (await http.get("http://venue/x")).text == "ok"
        assert len(peer.asked) == 1
        with pytest.raises(httpx.HTTPError):
            await http.get("http://venue/x")
        assert wire.connections == 2

    exchange(b"HTTP/1.1 200 OK\r\n\r\nok", then=then)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-len",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
    ids=["cut body", "cut chunk", "cut head", "another protocol", "an upgrade that nobody asked for"],
)
def test_an_answer_that_is_not_whole_is_none(answer: bytes) -> None:
    async def then(http: httpx.AsyncClient, peer: Answering, wire: Wire) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("http://venue/x")
        assert len(peer.asked) == 1

    exchange(answer, then=then)


@given(cuts=st.lists(st.integers(1, 60), max_size=8), content=st.binary(max_size=60), end=st.integers(0, 200))
def test_an_answer_cut_anywhere_is_the_same_answer_or_an_error(cuts: list[int], content: bytes, end: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content

    async def peer(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        said = whole[:end]
        for cut in cuts:
            await stream.send_all(said[:cut])
            said = said[cut:]
            await trio.lowlevel.checkpoint()
        await stream.send_all(said)
        await stream.aclose()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            async with client(Wire(nursery, peer).connect) as http:
                if end >= len(whole):
                    assert (await http.get("http://venue/x")).content == content
                else:
                    with pytest.raises(httpx.RemoteProtocolError):
                        await http.get("http://venue/x")
            nursery.cancel_scope.cancel()

    run(main)


def test_a_connection_whose_exchange_was_given_up_is_not_used_again() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            peers: list[Peer] = [says_nothing, answers]

            async def peer(stream: trio.abc.Stream) -> None:
                await peers.pop(0)(stream)

            wire = Wire(nursery, peer)
            async with client(wire.connect) as http:
                with trio.move_on_after(1) as scope:
                    await http.get("http://venue/x")
                assert scope.cancelled_caught
                assert (await http.get("http://venue/x")).text == "ok"
            assert wire.connections == 2
            nursery.cancel_scope.cancel()

    run(main)


def test_as_many_exchanges_as_allowed_are_under_way_and_one_more_waits_its_turn() -> None:
    async def slow(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            await trio.sleep(2)
            await stream.send_all(OK)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            wire = Wire(nursery, slow)
            transport = SeamTransport(wire.connect, connections_maximum=2)
            ended: list[float] = []

            async def ask() -> None:
                await transport.handle_async_request(httpx.Request("GET", "http://venue/x"))
                ended.append(trio.current_time())

            async with trio.open_nursery() as asking:
                for _ in range(3):
                    asking.start_soon(ask)
            assert ended == [2, 2, 4]
            assert wire.connections == 2
            impatient = httpx.Request("GET", "http://venue/x", extensions={"timeout": {"pool": 1}})
            async with trio.open_nursery() as asking:
                asking.start_soon(ask)
                asking.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(httpx.PoolTimeout):
                    await transport.handle_async_request(impatient)
            await transport.aclose()
            nursery.cancel_scope.cancel()

    run(main)


def test_what_http_cannot_say_is_refused_before_anything_leaves() -> None:
    async def then(http: httpx.AsyncClient, peer: Answering, wire: Wire) -> None:
        with pytest.raises(httpx.LocalProtocolError):
            await http.get("http://venue/x", headers={"poly-api-key": "a\r\nb: c"})
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("ftp://venue/x")
        assert peer.asked == []

    exchange(then=then)


# ---- websockets -------------------------------------------------------------------------------------------


class Session:
    """What a session told."""

    def __init__(self) -> None:
        self.subscribed_at: list[float] = []
        self.frames: list[str | bytes] = []
        self.ended = ""

    async def run(self, connect: Callable[[str, int], Awaitable[trio.abc.Stream]], *, ping: bool = True) -> None:
        try:
            await session(
                connect,  # type: ignore[arg-type]  # parameters by place
                "ws://venue/ws/user",
                [FrameOut(text="subscribe", redacted="subscribe")],
                (PING, 10.0) if ping else None,
                SETTINGS,
                on_subscribed=lambda: self.subscribed_at.append(trio.current_time()),
                on_frame=self.frames.append,
            )
        except SessionEnded as ended:
            self.ended = str(ended)


def talk(told: Session, peer: Callable[[WebSocketConnection], Awaitable[None]], *, ping: bool = True) -> None:
    """Run a session against a websocket server that behaves as `peer` does."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def serve(stream: trio.abc.Stream) -> None:
                request = await wrap_server_stream(nursery, stream)
                await peer(await request.accept())

            await told.run(Wire(nursery, serve).connect, ping=ping)
            nursery.cancel_scope.cancel()

    run(main)


def test_a_session_counts_as_subscribed_once_the_peer_has_said_anything() -> None:
    async def peer(socket: WebSocketConnection) -> None:
        assert await socket.get_message() == "subscribe"
        assert await socket.get_message() == "PING"
        await trio.sleep(3)
        await socket.send_message("PONG")
        await socket.send_message("news")
        await socket.aclose()

    told = Session()
    talk(told, peer)
    assert told.subscribed_at == [3.0]
    assert told.frames == ["PONG", "news"]
    assert "closed" in told.ended


def test_a_session_that_is_never_answered_is_silent_and_ends() -> None:
    async def peer(socket: WebSocketConnection) -> None:
        await trio.sleep_forever()

    told = Session()
    talk(told, peer)
    assert told.subscribed_at == []
    assert told.ended == f"nothing heard for {SETTINGS.silence_seconds_maximum} s, not even an answer to a ping"


def test_answers_to_pings_keep_a_session_that_has_nothing_to_say() -> None:
    async def peer(socket: WebSocketConnection) -> None:
        for _ in range(30):
            if await socket.get_message() == "PING":
                await socket.send_message("PONG")
        await socket.aclose()

    told = Session()
    talk(told, peer)
    assert len(told.frames) == 29
    assert "closed" in told.ended


def test_no_connection_and_no_handshake_end_a_session_with_their_reason() -> None:
    async def main() -> None:
        told = Session()
        await told.run(refuses)
        assert "no route" in told.ended
        async with trio.open_nursery() as nursery:
            for peer, why in ((says_nothing, "within 10 s"), (hangs_up, "ws://venue/ws/user"), (answers, "venue")):
                told = Session()
                await told.run(Wire(nursery, peer).connect)
                assert why in told.ended
            nursery.cancel_scope.cancel()

    run(main)


def test_a_session_may_be_cancelled() -> None:
    async def peer(socket: WebSocketConnection) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        told = Session()
        async with trio.open_nursery() as nursery:

            async def serve(stream: trio.abc.Stream) -> None:
                request = await wrap_server_stream(nursery, stream)
                await peer(await request.accept())

            with trio.move_on_after(1) as scope:
                await told.run(Wire(nursery, serve).connect)
            assert scope.cancelled_caught
            nursery.cancel_scope.cancel()

    run(main)


def test_reconnecting_waits_longer_each_time_and_never_longer_than_the_maximum() -> None:
    random = Random(1)
    waits = [reconnect_seconds(SETTINGS, attempt, random) for attempt in range(20)]
    assert 1 <= waits[0] <= 1.2
    assert all(later > earlier for earlier, later in pairwise(waits[:6]))
    assert max(waits) <= SETTINGS.backoff_seconds_maximum * 1.2
