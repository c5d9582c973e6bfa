"""What must be true after every death, and at the end: the journal against the venue's own books.

`Record` follows the journal from outside, through a reader, a stretch further after each death, and raises
AssertionError at the first law that is broken. Nothing in here shares state with the runtime: it is folded anew from
what is on the disk.
"""

from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from tallystick.model.alert import AlertKind
from tallystick.model.event import (
    AccountChanged,
    AlertOpened,
    BracketDecided,
    Event,
    FillRecorded,
    IntentEnded,
    OrderDone,
    OrderSubmitted,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
    SliceWithdrawn,
)
from tallystick.model.intent import AnyIntent, Intent
from tallystick.model.ledger import Ledger
from tallystick.model.money import Quantity, plain
from tallystick.model.order import Done, Sent
from tallystick.model.outcome import NeverArrived, Rejected
from tallystick.model.sizing import pair_quantities
from tallystick.store import open_reader, verify
from tallystick.store.port import Lsn
from tallystick.store.records import journal_schema
from tallystick.testing.day_run import VenueBooks, VenueOrder

from .stage import Stage

EXPECTED_ALERTS = {AlertKind.ORDER_UNCONFIRMED, AlertKind.CONNECTION_DOWN}
"""What a runtime that dies all the time may tell people of; no alert about money is among them."""


class Record:
    """The durable journal as far as it was read, and what must hold of it so far."""

    def __init__(self, store: Path) -> None:
        self.ledger = Ledger(keep_ended=True)
        self.submitted: dict[str, str] = {}
        self.ends: dict[str, IntentEnded] = {}
        self.fills: dict[tuple[str, str], Decimal] = {}
        self.fills_by_order: Counter[tuple[str, str]] = Counter()
        self.alerts: list[AlertOpened] = []
        self.life: list[Event] = []
        """The events of the newest life, as far as they became durable."""
        self.starts = 0
        self._store = store
        self._computed: set[str] = set()
        self._decided: set[str] = set()
        self._done: set[str] = set()
        self._last_lsn = 0
        self._last_record = b""
        self._epoch = 0

    def begin_life(self) -> None:
        """Another runtime is about to start."""
        self.life = []

    def read_on(self, *, alive: bool = False) -> None:
        """Take in what has become durable since, and check what can be checked in passing."""
        if not (self._store / "data.mdb").exists():
            return  # it died before there was a store
        with open_reader(self._store, journal_schema()) as reader:
            assert alive or reader.owner is None, f"somebody still holds the store: {reader.owner}"
            assert reader.epoch >= self._epoch, "an epoch went backwards"
            self._epoch = reader.epoch
            last = reader.last_lsn  # a live one writes on meanwhile
            if self._last_lsn:
                ((_, again),) = reader.raw(Lsn(self._last_lsn), until=Lsn(self._last_lsn))
                assert again == self._last_record, f"entry {self._last_lsn} changed after it was durable"
            assert last >= self._last_lsn, f"the journal ended at {self._last_lsn}, and ends at {last} now"
            for entry in reader.read(Lsn(self._last_lsn + 1), until=last):
                if isinstance(entry.event, Event):
                    self._take(entry.event, entry.at_ns)
            if last > self._last_lsn:
                self._last_lsn = last
                ((_, self._last_record),) = reader.raw(last, until=last)

    def _take(self, event: Event, at_ns: int) -> None:
        self.ledger.apply(event, at_ns)
        if isinstance(event, RuntimeStarted):
            self.starts += 1
        self.life.append(event)
        match event:
            case SliceComputed():
                order = event.terms.client_order_id
                assert order not in self._computed, f"slice {order} was computed twice"
                self._computed.add(order)
            case OrderSubmitted():
                assert event.client_order_id not in self.submitted, f"order {event.client_order_id} was signed twice"
                assert event.venue_order_id not in self.submitted.values(), "two orders have one id at the venue"
                self.submitted[event.client_order_id] = event.venue_order_id
            case OrderDone() | SliceWithdrawn():
                assert event.client_order_id not in self._done, f"order {event.client_order_id} ended twice"
                self._done.add(event.client_order_id)
            case FillRecorded():
                key = event.fill.execution.key
                found = (str(key.trade_id), str(key.venue_order_id))
                assert found not in self.fills, f"fill {found} was counted twice"
                self.fills[found] = event.fill.execution.quantity
                order_id = str(event.fill.client_order_id)
                self.fills_by_order[order_id, plain(event.fill.execution.quantity)] += 1
            case BracketDecided():
                assert event.intent_id not in self._decided, f"bracket {event.intent_id} was decided twice"
                self._decided.add(event.intent_id)
            case IntentEnded():
                assert event.intent_id not in self.ends, f"intent {event.intent_id} ended twice"
                self.ends[event.intent_id] = event
            case AlertOpened():
                self.alerts.append(event)
            case _:
                pass

    # ---- the newest life ----------------------------------------------------------------------------------

    @property
    def entries(self) -> int:
        return self._last_lsn

    @property
    def accepted(self) -> set[str]:
        return {str(intent_id) for _strategy, intent_id in self.ledger.intents}

    def was_live(self) -> bool:
        return any(isinstance(event, AccountChanged) and event.state.value == "live" for event in self.life)

    def was_stopped(self) -> bool:
        return any(isinstance(event, RuntimeStopped) for event in self.life)

    # ---- after a death ------------------------------------------------------------------------------------

    def check_death(self, stage: Stage, said: list[dict[str, Any]]) -> list[VenueOrder]:
        """What was visible is durable, and nothing is at the venue that is not in the journal. Returns its orders."""
        told: Counter[tuple[str, str]] = Counter()
        for line in said:
            if line.get("type") != "report":
                continue
            intent_id, kind = line["intent_id"], line["kind"]
            assert intent_id in self.accepted, f"{kind} of {intent_id} was told, and its acceptance is not durable"
            if kind == "ended":
                end = self.ends.get(intent_id)
                assert end is not None, f"the end of {intent_id} was told, and is not durable"
                assert line["outcome"] == end.outcome
                assert line["filled"] == [plain(quantity) for quantity in end.filled]
            elif kind == "fill":
                told[line["client_order_id"], line["quantity"]] += 1
            elif kind == "order" and line["outcome"] == "sent":
                assert line["client_order_id"] in self.submitted, "a submission was told, and is not durable"
        assert told <= self.fills_by_order, f"fills were told that are not durable: {told - self.fills_by_order}"
        orders = stage.orders()
        strangers = {order.id for order in orders} - set(self.submitted.values())
        assert not strangers, f"the venue has orders that the journal does not: {strangers}"
        return orders

    # ---- at the end ---------------------------------------------------------------------------------------

    def unresolved(self) -> dict[str, str]:
        """Orders that were submitted, cancelled, and never shown by the venue, with their intents: a person ends them.

        Absence is no evidence (law L4), and the bytes of an order that nobody wants any more are not sent again.
        """
        return {
            str(order): str(state.terms.intent_id)
            for order, state in self.ledger.orders.items()
            if isinstance(state, Sent) and state.cancel is not None
        }

    def check_end(self, stage: Stage, intents: dict[str, bytes]) -> None:
        """Everything is quiet: whatever the laws demand holds, to the last unit."""
        books = stage.books()
        self._check_orders(books)
        assert self.fills == books.fills(), "the fills of the log are not the venue's"
        self._check_sizes(books)
        self._check_intents(intents)
        self._check_holdings(stage)
        kinds = Counter(str(opened.alert.kind) for opened in self.alerts if opened.alert.kind not in EXPECTED_ALERTS)
        assert not kinds, [opened.alert.message for opened in self.alerts if opened.alert.kind not in EXPECTED_ALERTS]
        with open_reader(stage.store, journal_schema()) as reader:
            report = verify(reader)
        assert report.intact, str(report)

    def _check_orders(self, books: VenueBooks) -> None:
        theirs = {order.id: order for order in books.orders}
        assert len(theirs) == len(books.orders), "the venue took one order twice"
        for order, venue_order_id in self.submitted.items():
            state = self.ledger.orders[order]  # type: ignore[index]  # a NewType of text
            there = theirs.get(venue_order_id)
            if there is None:
                resolved = isinstance(state, Done) and isinstance(state.outcome, Rejected | NeverArrived)
                assert resolved, f"{order} is not there: {state}"
                continue
            assert isinstance(state, Done), f"{order} has not ended here, and is {there.status} there"
            assert state.progress.filled == there.size_matched, f"{order}: {state}, the venue has {there}"
            assert there.status != "LIVE", f"{order} is still open there"
        for order in self.submitted.keys() ^ self._computed:
            assert order in self._done, f"slice {order} was neither sent nor withdrawn"

    def _check_sizes(self, books: VenueBooks) -> None:
        """Never more at the venue than was meant."""
        names = {venue_order_id: order for order, venue_order_id in self.submitted.items()}
        sent: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
        for found in books.orders:
            terms = self.ledger.orders[names[found.id]].terms  # type: ignore[index]  # a NewType of text
            sent[terms.intent_id, terms.leg] += found.original_size
        for entry in self.ledger.intents.values():
            for leg, quantity in enumerate(self._meant(entry.intent)):
                found_sent = sent.get((entry.intent.intent_id, leg), Decimal(0))
                assert found_sent <= quantity, (
                    f"{entry.intent.intent_id} leg {leg}: {found_sent} of {quantity} were sent"
                )

    def _meant(self, intent: AnyIntent) -> tuple[Quantity, ...]:
        """How much of each leg the intent asks for."""
        if isinstance(intent, Intent):
            return (intent.quantity,)
        instruments = self.ledger.instruments
        return pair_quantities(intent, instruments[intent.long.instrument], instruments[intent.short.instrument])

    def _check_intents(self, intents: dict[str, bytes]) -> None:
        assert self.accepted <= intents.keys(), "intents were accepted that nobody handed in"
        still = self.accepted - self.ends.keys()
        assert not still, f"intents without a terminal report: {still}"
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for state in self.ledger.orders.values():
            if isinstance(state, Done):
                filled[state.terms.intent_id] += state.progress.filled
        for intent_id, end in self.ends.items():
            total = sum(end.filled, Decimal(0))
            assert total == filled[intent_id], f"{intent_id} ended with {total}, its orders filled {filled[intent_id]}"

    def _check_holdings(self, stage: Stage) -> None:
        assert not self.ledger.unsettled, f"{len(self.ledger.unsettled)} fills have not settled"
        wallet = stage.wallet()
        for (account, asset), book in self.ledger.holdings.items():
            truth = self.ledger.truths.get((account, asset))
            assert book.matched == wallet.get(asset, Decimal(0)), (
                f"{asset}: {book.matched} here, {wallet.get(asset)} there"
            )
            assert truth is not None, f"{asset} was never compared"
            assert truth.exact, f"{asset}: {truth}"
            assert truth.book == book, f"{asset}: the last comparison is not of the last book"
