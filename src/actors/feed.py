"""Public market data of one account's venue: builds books, judges their quality, publishes quotes to the board.

A quote is fresh only while the connection is alive and its book is whole: it began with a snapshot, is not crossed, and
agrees with the best prices that the venue sends along. Anything else closes the gate with its reason, and a clean
snapshot opens it again (design 12). On venues that send only changes a quiet book is not a stale one: the session's
own silence rule tells a dead connection from a quiet market.
"""

from collections.abc import Sequence

import msgspec
import trio

from ..model.event import InstrumentLearned
from ..model.fill import Direction
from ..model.identifiers import AccountId, InstrumentId
from ..model.instrument import Instrument, MarketStatus
from ..model.money import Price, Quantity
from ..model.report import (
    Alive,
    BookDelta,
    BookSnapshot,
    MarketResolved,
    PublicTrade,
    RulesChanged,
    Unrecognised,
)
from ..model.value import Value
from .context import Context, Quote, TradingActor
from .kernel import handles
from .messages import FrameArrived, InstrumentsLearned, Tick
from .websocket import SessionEnded, reconnect_seconds, session

RESYNC = "resync"
RESYNC_SECONDS = 1.0
"""How long a book that was given up waits for the venue to send a whole one by itself."""


class Book:
    """One order book by price level."""

    __slots__ = ("asks", "bids")

    def __init__(self, snapshot: BookSnapshot) -> None:
        self.bids: dict[Price, Quantity] = {level.price: level.quantity for level in snapshot.bids if level.quantity}
        self.asks: dict[Price, Quantity] = {level.price: level.quantity for level in snapshot.asks if level.quantity}

    def change(self, delta: BookDelta) -> None:
        for change in delta.changes:
            side = self.bids if change.direction is Direction.BUY else self.asks
            if change.quantity:
                side[change.price] = change.quantity
            else:
                side.pop(change.price, None)

    @property
    def bid(self) -> Price | None:
        return max(self.bids, default=None)

    @property
    def ask(self) -> Price | None:
        return min(self.asks, default=None)


class FeedDown(Value, frozen=True):
    """The public stream ended; every quote is stale from here on."""

    reason: str


class Subscribed(Value, frozen=True):
    """The venue said something on a new session; its books are to follow."""


class FeedActor(TradingActor):
    """One public connection, and the quotes that come of it."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context)
        self.account = account
        self.settings = context.accounts[account]
        self.dialect = context.dialects[account]
        self.books: dict[InstrumentId, Book] = {}
        self.subscribed: tuple[InstrumentId, ...] = ()
        self.given_up: set[InstrumentId] = set()
        """Instruments whose book was whole once and can no longer be trusted: only a new snapshot mends them."""
        self.resyncs = 0
        self.sessions = 0
        self.task = ""

    def on_start(self) -> None:
        self._subscribe()

    @handles(InstrumentsLearned)
    def _instruments_learned(self, _message: InstrumentsLearned) -> None:
        self._subscribe()

    def _subscribe(self) -> None:
        instruments = tuple(self._instruments())
        if instruments == self.subscribed:
            return
        self.subscribed = instruments
        self._connect("no snapshot yet")

    def _connect(self, why: str) -> None:
        """Begin a new session: the venue answers a subscription with whole books."""
        self.cancel_task(self.task)
        self._down(FeedDown(reason=why))
        # A name of its own: the task of the session before is still unwinding.
        self.sessions += 1
        self.task = self.start_task(self._run, self.subscribed, name=f"public stream {self.sessions}")

    def _instruments(self) -> Sequence[InstrumentId]:
        venue = self.settings.venue
        return sorted(name for name, found in self.ledger.instruments.items() if found.venue == venue)

    async def _run(self, instruments: Sequence[InstrumentId]) -> None:
        attempt = 0
        while True:
            service, frames = self.dialect.public_stream(instruments)
            heard = False

            def arrived(frame: str | bytes) -> None:
                nonlocal heard
                heard = True
                self.actor_ref.tell(FrameArrived(frame=frame, received_at_ns=self.now_ns()))

            try:
                await session(
                    self.context.connect,
                    self.settings.service(service),
                    frames,
                    self.dialect.stream_ping(),
                    self.settings.stream,
                    on_subscribed=lambda: self.actor_ref.tell(Subscribed()),
                    on_frame=arrived,
                )
            except SessionEnded as ended:
                self.actor_ref.tell(FeedDown(reason=str(ended)))
            attempt = 0 if heard else attempt + 1
            await trio.sleep(reconnect_seconds(self.settings.stream, attempt, self.system.random))

    @handles(FeedDown)
    def _down(self, message: FeedDown) -> None:
        self.books.clear()
        self.given_up.clear()
        self.cancel_timer(RESYNC)  # a session that ended is followed by another, with a backoff of its own
        for instrument in self._instruments():
            self._stale(instrument, message.reason)

    @handles(Subscribed)
    def _subscribed(self, _message: Subscribed) -> None:
        self._resync_later()

    @handles(FrameArrived)
    def _frame(self, message: FrameArrived) -> None:
        for report in self.dialect.read_public_frame(message.frame, message.received_at_ns):
            match report:
                case BookSnapshot():
                    self.books[report.instrument] = Book(report)
                    self.given_up.discard(report.instrument)
                    self._publish(report.instrument, report.venue_time_ns, message.received_at_ns)
                case BookDelta():
                    self._delta(report, message.received_at_ns)
                case RulesChanged():
                    self._rules(report)
                case MarketResolved():
                    self._resolved(report)
                case PublicTrade() | Alive():
                    pass
                case Unrecognised():
                    self.trace_note("public frame not recognised", f"{report.why}: {report.excerpt}")

    # ---- books --------------------------------------------------------------------------------------------

    def _delta(self, delta: BookDelta, received_at_ns: int) -> None:
        book = self.books.get(delta.instrument)
        if book is None:
            return  # changes before the snapshot are in it
        book.change(delta)
        told = (delta.best_bid, delta.best_ask)
        if any(price is not None and price != ours for price, ours in zip(told, (book.bid, book.ask), strict=True)):
            self._give_up(
                delta.instrument, f"the venue's best prices are {told}, the book has {book.bid} and {book.ask}"
            )
            return
        self._publish(delta.instrument, delta.venue_time_ns, received_at_ns)

    def _publish(self, instrument: InstrumentId, venue_time_ns: int, received_at_ns: int) -> None:
        book = self.books[instrument]
        bid, ask = book.bid, book.ask
        crossed = bid is not None and ask is not None and bid >= ask
        before = self.context.quotes.get(instrument)
        backwards = before is not None and before.fresh and venue_time_ns < before.venue_time_ns
        why = f"crossed: bid {bid}, ask {ask}" if crossed else "venue time went backwards" if backwards else ""
        self.context.quotes[instrument] = Quote(
            instrument=instrument,
            bid=bid,
            ask=ask,
            fresh=not why,
            why_stale=why,
            venue_time_ns=venue_time_ns,
            received_at_ns=received_at_ns,
        )

    def _stale(self, instrument: InstrumentId, why: str) -> None:
        before = self.context.quotes.get(instrument)
        self.context.quotes[instrument] = Quote(
            instrument=instrument,
            bid=before.bid if before is not None else None,
            ask=before.ask if before is not None else None,
            fresh=False,
            why_stale=why,
            venue_time_ns=before.venue_time_ns if before is not None else 0,
            received_at_ns=before.received_at_ns if before is not None else 0,
        )

    def _give_up(self, instrument: InstrumentId, why: str) -> None:
        self.books.pop(instrument, None)
        self._stale(instrument, why)
        if not self.given_up:
            self._resync_later()
        self.given_up.add(instrument)

    def _resync_later(self) -> None:
        wait_seconds = RESYNC_SECONDS * float(2 ** min(self.resyncs, 10))
        self.after(min(self.settings.stream.backoff_seconds_maximum, wait_seconds), Tick(name=RESYNC), key=RESYNC)

    @handles(Tick)
    def _resync(self, _message: Tick) -> None:
        """Subscribe again where the venue did not send a whole book by itself; less and less often if that fails.

        A session that answers pings and gave no book at all has lost the subscription or its answer. One book among
        many may be missing for good: the market has ended, and a new session would only take the others away.
        """
        missing = sorted(self.given_up if self.books else self._trading())
        if not missing:
            self.resyncs = 0
            return
        self.resyncs += 1
        self._connect(f"subscribing again for {', '.join(missing)}")

    def _trading(self) -> Sequence[InstrumentId]:
        known = self.ledger.instruments
        return [name for name in self.subscribed if known[name].status is not MarketStatus.RESOLVED]

    # ---- rules --------------------------------------------------------------------------------------------

    def _rules(self, report: RulesChanged) -> None:
        found = self.ledger.instruments.get(report.instrument)
        if found is None or found.price_tick == report.price_tick:
            return
        self._learn(
            msgspec.structs.replace(
                found,
                price_tick=report.price_tick,
                price_minimum=report.price_tick,
                price_maximum=Price(1 - report.price_tick),
            )
        )
        self._give_up(report.instrument, f"the tick changed to {report.price_tick}; waiting for a new snapshot")

    def _resolved(self, report: MarketResolved) -> None:
        for found in list(self.ledger.instruments.values()):
            if found.market == report.market and found.status is not MarketStatus.RESOLVED:
                self._learn(msgspec.structs.replace(found, status=MarketStatus.RESOLVED))
                self._stale(found.instrument_id, f"the market resolved: {report.winner}")

    def _learn(self, instrument: Instrument) -> None:
        self.record(InstrumentLearned(instrument=instrument))
        self.dialect.learn([instrument])
