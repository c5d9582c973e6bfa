"""The seam to the network: what it raises tells whether anything can have left, and silence ends a session."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import httpx
import pytest
import trio
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
