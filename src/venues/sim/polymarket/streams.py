"""The two websocket channels: who is subscribed to what, and how frames reach them (polymarket.md 11).

Frames are collected while the venue works and delivered by `flush`, so that an answer over HTTP leaves before the
frames that it caused. All frame faults bite here.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from ...polymarket.contracts import TokenId
from ..server.http import encode_json
from ..server.traffic import Peer
from .faults import CutBeforeFrame, DelayFrame, DropFrame, DuplicateFrame, FrameFault, FreezeStreams, ReorderFrames
from .keys import KeyHolder
from .market_frames import book_frame
from .venue import Venue
from .wire import Frame, Json, MarketFrame, UserFrame

PING = "PING"
PONG = "PONG"
CUT = None
"""In a connection's queue: lose the connection here."""


class Connection:
    """One websocket connection; `send` queues a text, or CUT, for it."""

    channel: str

    def __init__(self, peer: Peer, send: Callable[[str | None], None]) -> None:
        self.peer = peer
        self.send = send
        self.held: str | None = None

    @property
    def owner(self) -> str | None:
        """The account whose frames these are; None on the market channel."""
        return None

    def wants(self, frame: Frame) -> bool:
        raise NotImplementedError


class MarketConnection(Connection):
    """A subscriber of books and trades of some tokens, or of all when it named none."""

    channel = "market"

    def __init__(self, peer: Peer, send: Callable[[str | None], None]) -> None:
        super().__init__(peer, send)
        self.tokens: set[str] = set()
        self.everything = False
        self.extra = False

    def wants(self, frame: Frame) -> bool:
        if not isinstance(frame, MarketFrame) or (frame.extra and not self.extra):
            return False
        return self.everything or not frame.token_ids or any(token in self.tokens for token in frame.token_ids)


class UserConnection(Connection):
    """A subscriber of one account's orders and trades, in some markets or in all."""

    channel = "user"

    def __init__(self, peer: Peer, send: Callable[[str | None], None]) -> None:
        super().__init__(peer, send)
        self.holder: KeyHolder | None = None
        self.markets: set[str] = set()

    @property
    def owner(self) -> str | None:
        return None if self.holder is None else self.holder.owner

    def wants(self, frame: Frame) -> bool:
        return (
            isinstance(frame, UserFrame)
            and self.holder is not None
            and frame.owner == self.holder.owner
            and (not self.markets or frame.market in self.markets)
        )


class Streams:
    """All open websocket connections of both channels."""

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._pending: deque[Frame] = deque()

    def publish(self, frame: Frame) -> None:
        """Collect a frame for the next `flush`."""
        self._pending.append(frame)

    def add(self, connection: Connection) -> None:
        self._connections.append(connection)

    def remove(self, connection: Connection) -> None:
        self._connections.remove(connection)

    def cut(self, channel: str | None) -> int:
        """Lose every connection of a channel, or all; how many."""
        chosen = [c for c in self._connections if channel in {None, c.channel}]
        for connection in chosen:
            connection.send(CUT)
        return len(chosen)

    def flush(self, venue: Venue) -> None:
        """Deliver what was collected, in order."""
        while self._pending:
            frame = self._pending.popleft()
            text: str | None = None
            for connection in self._connections:
                if connection.wants(frame):
                    text = text if text is not None else encode_json(frame.body).decode()
                    status = frame.status if isinstance(frame, UserFrame) else None
                    self._deliver(connection, frame.event, status, text, venue)

    def hear(self, connection: Connection, text: str, venue: Venue) -> None:
        """React to a text frame of a client: PING, a first frame, or a change of subscription."""
        if text == PING:
            self._deliver(connection, PONG, None, PONG, venue)
            return
        try:
            frame = msgspec.json.decode(text)
        except msgspec.DecodeError:
            # The venue answers what it cannot read with silence.
            return
        if not isinstance(frame, dict):
            return
        if isinstance(connection, MarketConnection):
            self._subscribe_market(connection, frame, venue)
        elif isinstance(connection, UserConnection):
            _subscribe_user(connection, frame, venue)

    def _subscribe_market(self, connection: MarketConnection, frame: Json, venue: Venue) -> None:
        named = frame.get("assets_ids")
        tokens = [token for token in named if isinstance(token, str)] if isinstance(named, list) else []
        if isinstance(frame.get("custom_feature_enabled"), bool):
            connection.extra = frame["custom_feature_enabled"] is True
        if frame.get("operation") == "unsubscribe":
            connection.tokens.difference_update(tokens)
            return
        if frame.get("type") == "market" and not tokens:
            connection.everything = True
            tokens = [token for market in venue.catalogue.all() for token in market.token_ids]
        fresh = [token for token in tokens if token not in connection.tokens]
        connection.tokens.update(fresh)
        for token in fresh:
            if venue.catalogue.of_token(token) is not None:
                book = book_frame(TokenId(token), venue.book(TokenId(token)))
                self._deliver(connection, "book", None, encode_json(book.body).decode(), venue)

    # Faults.

    def _deliver(self, connection: Connection, event: str, status: str | None, text: str, venue: Venue) -> None:
        faults, now_ms = venue.faults, venue.now_ms
        channel, owner = connection.channel, connection.owner

        def concerns(fault: FrameFault) -> bool:
            return fault.concerns(channel, event, status, owner)

        if faults.bite(FreezeStreams, now_ms, lambda fault: fault.channel == channel) is not None:
            return
        if faults.bite(DropFrame, now_ms, concerns) is not None:
            return
        if faults.bite(CutBeforeFrame, now_ms, concerns) is not None:
            connection.send(CUT)
            return
        delay = faults.bite(DelayFrame, now_ms, concerns)
        if delay is not None:
            venue.agenda.at(now_ms + round(delay.by_seconds * 1_000), lambda _now: self._send(connection, text))
            return
        if connection.held is None and faults.bite(ReorderFrames, now_ms, concerns) is not None:
            connection.held = text
            return
        self._send(connection, text)
        if faults.bite(DuplicateFrame, now_ms, concerns) is not None:
            self._send(connection, text)

    def _send(self, connection: Connection, text: str) -> None:
        if connection not in self._connections:
            return
        connection.send(text)
        if connection.held is not None:
            held, connection.held = connection.held, None
            connection.send(held)


def _subscribe_user(connection: UserConnection, frame: Json, venue: Venue) -> None:
    named = frame.get("markets")
    markets = {str(market).lower() for market in named} if isinstance(named, list) else set()
    operation = frame.get("operation")
    if operation == "subscribe":
        connection.markets.update(markets)
    elif operation == "unsubscribe":
        connection.markets.difference_update(markets)
    elif connection.holder is None:
        auth = frame.get("auth")
        holder = venue.keys.prove_stream(auth) if isinstance(auth, dict) else None
        if holder is None:
            # Wrong credentials: the connection is simply lost (polymarket.md 11.2).
            connection.send(CUT)
            return
        connection.holder = holder
        connection.markets = markets
