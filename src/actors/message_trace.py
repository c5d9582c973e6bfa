"""Keeps the messages on an order's path: a sink of the kernel's trace, and a task that journals what it gathered.

    a message was handled ─▶ take: two appends ─▶ sort: whose is it? ─▶ flush: one event for many rows

A message is kept when it names an intent or an order, or goes to or comes from an actor of one. A message that names
none and caused one that is kept (the answer to a request, the frame that held a fill) is kept as well, with its own
causes. What is not kept waits a little, as the cause of something may be known only later, and is then forgotten.

Nothing here is on the path of a message but `take`. The flush is armed by the first message worth keeping and by
nothing else: an idle runtime has no timer, and a virtual clock no step, because of it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog
import trio

from ..model.event import MessagesTraced
from ..model.identifiers import AccountId
from ..model.ledger import Ledger
from ..model.traced import TracedRow
from ..store.errors import StoreFailed
from .context import Recorder
from .kernel import ActorSystem, Envelope
from .kernel.trace import Record
from .messages import (
    CancelOrder,
    CheckCoverage,
    Dispose,
    FillLogged,
    IntentClosed,
    IntentReviewed,
    OrderMoved,
    OrderRefused,
    PlaceOrder,
    ReportOrder,
    ReviewAgain,
    ReviewIntent,
    ReviewOrder,
    SettlementLogged,
    Submit,
)

FLUSH_SECONDS = 1.0
UNSORTED_MAX = 1024
"""Messages that wait to be sorted; then they are sorted at once. As many again may still become known as causes."""
ROWS_MAX = 20_000
"""Rows that wait for the next flush. What comes beyond is lost to the journal, and counted there."""
ROWS_A_BATCH = 1000
STARTS = frozenset({"StartActor", "ChildStarted"})
"""An actor's tasks name its start as their cause, and that its supervisor's: true, and no part of an order's story."""
CAUSES_MAX = 8
"""How far up a kept message's causes are followed, where they are about no order themselves."""
PATHS_MAX = 8192

log = structlog.get_logger("tallystick")


class Subject(NamedTuple):
    """Whose a message is; an empty text where it does not say."""

    strategy: str
    intent: str
    order: str


NOBODY = Subject("", "", "")
_Finder = Callable[[Any], Subject]


def _intent(message: Submit | ReviewIntent | IntentReviewed) -> Subject:
    return Subject(message.intent.strategy, message.intent.intent_id, "")


def _intent_id(message: Dispose | IntentClosed) -> Subject:
    return Subject("", message.intent_id, "")


def _order_id(message: OrderRefused | CancelOrder | ReviewAgain | CheckCoverage) -> Subject:
    return Subject("", "", message.client_order_id)


def _terms(message: ReviewOrder) -> Subject:
    terms = message.terms
    return Subject(terms.strategy, terms.intent_id, terms.client_order_id)


def _approved(message: PlaceOrder) -> Subject:
    terms = message.order.terms
    return Subject(terms.strategy, terms.intent_id, terms.client_order_id)


def _state(message: OrderMoved) -> Subject:
    terms = message.state.terms
    return Subject(terms.strategy, terms.intent_id, terms.client_order_id)


def _fill(message: FillLogged | SettlementLogged) -> Subject:
    fill = message.fill
    return Subject(fill.strategy or "", fill.intent_id or "", fill.client_order_id or "")


FINDERS: Mapping[type, _Finder] = {
    Submit: _intent,
    ReviewIntent: _intent,
    IntentReviewed: _intent,
    Dispose: _intent_id,
    IntentClosed: _intent_id,
    OrderRefused: _order_id,
    CancelOrder: _order_id,
    ReviewAgain: _order_id,
    CheckCoverage: _order_id,
    ReviewOrder: _terms,
    PlaceOrder: _approved,
    OrderMoved: _state,
    FillLogged: _fill,
    SettlementLogged: _fill,
}
"""Which messages name an intent or an order, and where. Others are known by the actors between which they go."""

ARMING = frozenset(kind.__name__ for kind in (*FINDERS, ReportOrder))


class MessageTrace:
    """Gathers the messages of orders and journals them in batches."""

    def __init__(self, system: ActorSystem, recorder: Recorder) -> None:
        self._system = system
        self._recorder = recorder
        self._unsorted: list[tuple[Record, Envelope | None]] = []
        self._rows: list[tuple[Record, Subject]] = []
        self._unkept: dict[int, Record] = {}
        self._unkept_before: dict[int, Record] = {}
        self._paths: dict[str, Subject | None] = {}
        self._armed = trio.Event()
        self._is_armed = False
        self._lost = 0

    # ---- on the path of every message ---------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """The kernel's sink: quick, and never raises."""
        if record[0] != "message":
            return
        self._unsorted.append((record, self._system.current))
        if not self._is_armed and record[8] in ARMING:
            self._is_armed = True
            self._armed.set()
        if len(self._unsorted) >= UNSORTED_MAX:
            self._sort()

    # ---- beside it ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Journal what was gathered, a while after the first of it; ends when nothing can be recorded any more."""
        while True:
            await self._armed.wait()
            await trio.sleep(FLUSH_SECONDS)
            try:
                self.flush()
            except StoreFailed as failure:
                log.warning("messages are no longer traced in the journal", why=str(failure))
                self._system.trace.sink = None
                return

    def flush(self) -> None:
        """Journal what was gathered. Raises `StoreFailed`."""
        self._armed = trio.Event()
        self._is_armed = False
        self._sort()
        rows, self._rows = self._rows, []
        lost, self._lost = self._lost, 0
        for start in range(0, len(rows), ROWS_A_BATCH):
            self._recorder.record(self._batch(rows[start : start + ROWS_A_BATCH], lost))
            lost = 0

    def _batch(self, rows: list[tuple[Record, Subject]], lost: int) -> MessagesTraced:
        # Records have the system's own clock, which started anywhere; the journal has UTC.
        zero_ns = self._recorder.now_ns() - round(self._system.now() * 1e9)
        places: dict[str, int] = {"": 0}
        place = places.setdefault
        made = [
            TracedRow(
                record[1],
                record[2],
                place(record[4], len(places)),
                place(record[5], len(places)),
                record[6],
                place(record[8], len(places)),
                zero_ns + round(record[9] * 1e9),
                max(0, round((record[10] - record[9]) * 1e9)),
                max(0, round((record[11] - record[10]) * 1e9)),
                place(record[12], len(places)),
                place(subject.strategy, len(places)),
                place(subject.intent, len(places)),
                place(subject.order, len(places)),
            )
            for record, subject in rows
        ]
        return MessagesTraced(texts=tuple(places), rows=tuple(made), lost=lost)

    # ---- whose is it? -------------------------------------------------------------------------------------

    def _sort(self) -> None:
        unsorted, self._unsorted = self._unsorted, []
        if len(self._unkept) >= UNSORTED_MAX:
            self._unkept_before, self._unkept = self._unkept, {}
        if len(self._paths) > PATHS_MAX:
            self._paths.clear()
        for record, envelope in unsorted:
            # The envelope is the message's own, unless it was dropped while another was handled.
            message = envelope.message if envelope is not None and envelope.id == record[1] else None
            subject = self._subject(record, message)
            if subject is None:
                self._unkept[record[1]] = record
            else:
                self._keep_causes(record[2])
                self._keep(record, subject)

    def _keep(self, record: Record, subject: Subject) -> None:
        if len(self._rows) < ROWS_MAX:
            self._rows.append((record, subject))
        else:
            self._lost += 1

    def _keep_causes(self, cause: int) -> None:
        """What led to a kept message and says nothing itself, the first cause first."""
        found: list[Record] = []
        while len(found) < CAUSES_MAX:
            record = self._unkept.get(cause) or self._unkept_before.get(cause)
            if record is None or record[8] in STARTS:
                break
            self._unkept.pop(cause, None)
            self._unkept_before.pop(cause, None)
            found.append(record)
            cause = record[2]
        for record in reversed(found):
            self._keep(record, NOBODY)

    def _subject(self, record: Record, message: object) -> Subject | None:
        """Whose a message is: what it says itself goes before the actors between which it went."""
        finder = FINDERS.get(type(message))
        said = finder(message) if finder is not None else None
        if said is not None and said.order and said.intent:
            return said
        if isinstance(message, ReportOrder):
            said = self._reported(record[5], message)
        known = self._of_path(record[5]) or self._of_path(record[4])
        if said is None:
            return known
        if known is None:
            return said
        return Subject(said.strategy or known.strategy, said.intent or known.intent, said.order or known.order)

    def _reported(self, receiver: str, message: ReportOrder) -> Subject | None:
        """A report names the venue's id; only that of a live order is looked for."""
        account = AccountId(receiver.split("/", 3)[2])
        order = self._ledger.by_venue_id.get((account, message.report.venue_order_id))
        return None if order is None else self._of_order(order)

    def _of_path(self, path: str) -> Subject | None:
        paths = self._paths
        if path in paths:
            return paths[path]
        parts = path.split("/")
        found: Subject | None = None
        if len(parts) == 5 and parts[1] == "accounts" and parts[3] == "orders":
            found = self._of_order(parts[4])
        elif len(parts) == 5 and parts[1] == "strategies" and parts[3] == "work":
            found = self._of_work(parts[2], parts[4])
        paths[path] = found
        return found

    def _of_order(self, order: str) -> Subject:
        state = self._ledger.orders.get(order)  # type: ignore[call-overload]  # a path holds the id as text
        if state is None:
            return Subject("", "", order)
        return Subject(state.terms.strategy, state.terms.intent_id, order)

    def _of_work(self, strategy: str, name: str) -> Subject:
        """An intent's own actor has the intent's id, a leg's has the leg behind it; the id may hold a colon itself."""
        if (strategy, name) in self._ledger.intents:
            return Subject(strategy, name, "")
        intent, colon, _leg = name.rpartition(":")
        return Subject(strategy, intent if colon else name, "")

    @property
    def _ledger(self) -> Ledger:
        return self._recorder.ledger
