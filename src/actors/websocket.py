"""One websocket session over the seam: connect, subscribe, keep alive, and end when it is silent.

Two layers of health (design 12): the socket's own end, and silence. A connection whose peer has gone without a word
looks healthy to the socket; it is dead when neither a frame nor an answer to a ping came for too long.
"""

import ssl
from collections.abc import Callable, Sequence
from random import Random

import httpx
import trio
import trio_websocket

from ..venues.port import FrameOut
from .connect import Connect, with_tls
from .settings import StreamSettings


class SessionEnded(Exception):
    """The session is over; the message says how it ended."""


def reconnect_seconds(settings: StreamSettings, attempt: int, random: Random) -> float:
    """How long to wait before the next attempt: doubled each time that nothing good came, with jitter."""
    doubled = settings.backoff_seconds_minimum * float(2 ** min(attempt, 10))
    return min(settings.backoff_seconds_maximum, doubled) * (1 + 0.2 * random.random())


async def session(
    connect: Connect,
    url: str,
    frames: Sequence[FrameOut],
    ping: tuple[FrameOut, float] | None,
    settings: StreamSettings,
    *,
    on_subscribed: Callable[[], None],
    on_frame: Callable[[str | bytes], None],
) -> None:
    """Run one session until it ends; always raises `SessionEnded`, unless cancelled.

    `on_subscribed` is called when the subscription was sent and the peer has answered anything at all: some venues
    acknowledge nothing and simply drop a connection whose credentials are wrong.
    """
    opened = _Opened(connect)
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(settings.connect_timeout_seconds):
                socket = await _open(nursery, opened.connect, url)
                for frame in frames:
                    await socket.send_message(frame.text)
                if ping is not None:
                    await socket.send_message(ping[0].text)
            heard = [trio.current_time()]
            if ping is not None:
                nursery.start_soon(_keep_alive, socket, ping)
            nursery.start_soon(_watch_silence, heard, settings.silence_seconds_maximum)
            subscribed = ping is None
            if subscribed:
                on_subscribed()
            while True:
                frame_in = await socket.get_message()
                heard[0] = trio.current_time()
                if not subscribed:
                    subscribed = True
                    on_subscribed()
                on_frame(frame_in)
    except* trio.TooSlowError:
        raise SessionEnded(f"no websocket to {url} within {settings.connect_timeout_seconds} s") from None
    except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as group:
        raise SessionEnded(f"the connection to {url} broke: {_first(group)!r}") from None
    except* (trio_websocket.ConnectionClosed, trio_websocket.HandshakeError) as group:
        raise SessionEnded(f"the websocket to {url} was closed: {_first(group)}") from None
    except* SessionEnded as group:
        raise SessionEnded(str(_first(group))) from None
    finally:
        await opened.close()


class _Opened:
    """The stream of a session: the library closes it after some ends, and a cancellation is not among them."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._stream: trio.abc.Stream | None = None

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        self._stream = await self._connect(host, port)
        return self._stream

    async def close(self) -> None:
        """Let go of the stream without a goodbye; closing twice is harmless."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _open(nursery: trio.Nursery, connect: Connect, url: str) -> trio_websocket.WebSocketConnection:
    parsed = httpx.URL(url)
    secure = parsed.scheme == "wss"
    port = parsed.port or (443 if secure else 80)
    stream = await connect(parsed.host, port)
    if secure:
        stream = await with_tls(stream, parsed.host)
    host = parsed.host if parsed.port is None else f"{parsed.host}:{parsed.port}"
    path = parsed.raw_path.decode("ascii")
    # The library takes any stream; its annotation names the two that it makes itself.
    return await trio_websocket.wrap_client_stream(nursery, stream, host, path)  # type: ignore[arg-type]


async def _keep_alive(socket: trio_websocket.WebSocketConnection, ping: tuple[FrameOut, float]) -> None:
    frame, interval_seconds = ping
    while True:
        await trio.sleep(interval_seconds)
        await socket.send_message(frame.text)


async def _watch_silence(heard: list[float], silence_seconds_maximum: float) -> None:
    while True:
        left = heard[0] + silence_seconds_maximum - trio.current_time()
        if left <= 0:
            raise SessionEnded(f"nothing heard for {silence_seconds_maximum} s, not even an answer to a ping")
        await trio.sleep(left)
