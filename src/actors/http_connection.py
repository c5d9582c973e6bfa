"""One kept HTTP/1.1 connection: a request leaves as one piece, and its whole answer is read (h11 is the protocol).

A request is one call of the stream's `send_all`, head and body together: one packet for the network, and one place
where a byte of an order can leave. Whatever goes wrong ends the connection, because nobody knows what the peer would
answer next.
"""

from typing import NamedTuple

import h11
import httpx
import trio

READ_BYTES = 65_536
BODY_BYTES_MAXIMUM = 64 * 1024 * 1024
"""An answer that goes on for longer is refused: no venue sends one, and memory is not without end."""

Headers = list[tuple[bytes, bytes]]


class HttpAnswer(NamedTuple):
    """A whole answer; header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class HttpConnection:
    """A connection for one exchange at a time. It is used again for as long as `reusable` says so."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = h11.Connection(h11.CLIENT)
        self.is_free = True
        """Whether no exchange is under way, and neither side has said that the last one was the end."""
        self._peer_left = False

    @property
    def reusable(self) -> bool:
        """Whether the next request may go over it. Readable while idle means that the peer has closed it."""
        return self.is_free and not _is_readable(self._stream)

    async def exchange(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        write_seconds: float | None = None,
        read_seconds: float | None = None,
    ) -> HttpAnswer:
        """Send a request and return its answer.

        The seconds limit the sending, and each waiting for more of the answer; None waits for ever. Raises
        httpx.LocalProtocolError for what HTTP cannot say, and before a byte has left; and httpx.WriteError,
        ReadError, RemoteProtocolError, WriteTimeout or ReadTimeout when anything may have left.
        """
        self.is_free = False
        request = self._encoded(method, target, headers, body)
        try:
            await self._send(request, write_seconds)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(_told(error)) from error
        try:
            answer = await self._read_answer(read_seconds)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(_told(error)) from error
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        over = self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE
        if over and not self._peer_left:
            self._protocol.start_next_cycle()
            self.is_free = True
        return answer

    async def aclose(self) -> None:
        """Close it, without waiting for the peer."""
        self.is_free = False
        await trio.aclose_forcefully(self._stream)

    def _encoded(self, method: bytes, target: bytes, headers: Headers, body: bytes) -> bytes:
        protocol = self._protocol
        try:
            head = protocol.send(h11.Request(method=method, target=target, headers=headers))
            parts = (head, protocol.send(h11.Data(data=body)) if body else b"", protocol.send(h11.EndOfMessage()))
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        return b"".join(part for part in parts if part)

    async def _send(self, data: bytes, seconds: float | None) -> None:
        if seconds is None:
            await self._stream.send_all(data)
            return
        with trio.move_on_after(seconds):
            await self._stream.send_all(data)
            return
        raise httpx.WriteTimeout(f"the request could not be sent within {seconds} s")

    async def _receive(self, seconds: float | None) -> bytes:
        if seconds is None:
            return bytes(await self._stream.receive_some(READ_BYTES))
        with trio.move_on_after(seconds):
            return bytes(await self._stream.receive_some(READ_BYTES))
        raise httpx.ReadTimeout(f"the peer said nothing for {seconds} s")

    async def _read_answer(self, read_seconds: float | None) -> HttpAnswer:
        protocol = self._protocol
        head: h11.Response | None = None
        parts: list[bytes] = []
        length = 0
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                data = await self._receive(read_seconds)
                self._peer_left = not data
                if not data and head is None:
                    raise httpx.RemoteProtocolError("the peer hung up without an answer")
                protocol.receive_data(data)
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                length += len(event.data)
                if length > BODY_BYTES_MAXIMUM:
                    raise httpx.RemoteProtocolError(f"the answer is longer than {BODY_BYTES_MAXIMUM} bytes")
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None, "h11 gives the head of a message before its end"
                return HttpAnswer(head.status_code, list(head.headers), b"".join(parts))
            elif not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError(f"instead of an answer there was {event!r}")


def _is_readable(stream: trio.abc.Stream) -> bool:
    """Whether bytes or the end of the stream wait; False where the stream cannot tell."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        return stream.socket.is_readable()
    tells = getattr(stream, "is_readable", None)
    return bool(tells()) if callable(tells) else False


def _told(error: Exception) -> str:
    """What a broken stream says of itself, or what it is called where it says nothing."""
    return str(error) or type(error).__name__
