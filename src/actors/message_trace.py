"""Keeps the messages on an order's path: a sink of the kernel's trace, and a task that journals what it gathered.

    a message was handled ─▶ take: whose is it? ─▶ rows ─▶ flush, a second or a thousand rows later: one event

A message is kept when it names an intent or an order, or goes to or comes from an actor of one. A message that names
none and caused one that is kept (the answer to a request, the frame that held a fill) is kept as well, with its own
causes; so what is not kept is remembered for a little while.

On the path of a message is `take` alone. The flush is armed by the first message that is kept and by nothing else: an
idle runtime has no timer, and a virtual clock no step, because of it. A busy one flushes each thousand rows, so that
no flush holds up the loop for long.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog
import trio

from ..model.event import MessagesTraced
from ..model.identifiers import ClientOrderId, IntentId, StrategyName
from ..model.ledger import Ledger
from ..model.order import OrderTerms
from ..model.report import ExecutionReport
from ..model.traced import TracedRow
from ..store.errors import StoreFailed
from .context import Recorder
from .kernel import ActorSystem
from .kernel.trace import Record
from .messages import (
    CancelOrder,
    CheckCoverage,
    Dispose,
    FillLogged,
    LogExecutions,
    OrderMoved,
    OrderRefused,
    PlaceOrder,
    ReportOrder,
    ReviewAgain,
    ReviewOrder,
    Submit,
)

FLUSH_SECONDS = 1.0
ROWS_MAX = 20_000
"""Rows that wait for the next flush. What comes beyond is lost to the journal, and counted there."""
ROWS_A_BATCH = 1000
UNKEPT_MAX = 1024
"""Messages that may still turn out to be causes; between this many and twice as many are remembered."""
CAUSES_MAX = 8
"""How far up a kept message's causes are followed, where they are about no order themselves."""
PATHS_MAX = 8192

log = structlog.get_logger("tallystick")


class Subject(NamedTuple):
    """Whose a message is; an empty text where it does not say."""

    strategy: str
    intent: str
    order: str


NOBODY: Final = Subject("", "", "")
_subject = tuple.__new__
_row = tuple.__new__
"""A named tuple without the call of its own constructor: a busy second has fifty thousand of each."""


# ---- whose is it? -----------------------------------------------------------------------------------------


def _of_intent(message: Submit, _ledger: Ledger) -> Subject:
    return _subject(Subject, (message.intent.strategy, message.intent.intent_id, ""))


def _of_intent_id(message: Dispose, _ledger: Ledger) -> Subject:
    return Subject("", message.intent_id, "")


def _of_terms(terms: OrderTerms) -> Subject:
    return _subject(Subject, (terms.strategy, terms.intent_id, terms.client_order_id))


def _of_order(order: ClientOrderId, ledger: Ledger) -> Subject:
    state = ledger.orders.get(order)
    return Subject("", "", order) if state is None else _of_terms(state.terms)


def _of_fill(message: FillLogged, _ledger: Ledger) -> Subject | None:
    fill = message.fill
    if fill.strategy is None and fill.client_order_id is None:
        return None  # of no order of ours
    return _subject(Subject, (fill.strategy or "", fill.intent_id or "", fill.client_order_id or ""))


def _of_executions(message: LogExecutions, ledger: Ledger) -> Subject | None:
    """Of one order where it holds one report of ours; one with several belongs to the messages that it caused."""
    if len(message.reports) != 1:
        return None
    report = message.reports[0]
    key = report.execution.key if isinstance(report, ExecutionReport) else report.key
    order = ledger.by_venue_id.get((key.account, key.venue_order_id))
    return None if order is None else _of_order(order, ledger)


_Finder = Callable[[Any, Ledger], Subject | None]
_FINDERS: Mapping[type, _Finder] = {
    Submit: _of_intent,
    Dispose: _of_intent_id,
    OrderRefused: lambda message, ledger: _of_order(message.client_order_id, ledger),
    CancelOrder: lambda message, ledger: _of_order(message.client_order_id, ledger),
    ReviewAgain: lambda message, ledger: _of_order(message.client_order_id, ledger),
    CheckCoverage: lambda message, ledger: _of_order(message.client_order_id, ledger),
    ReviewOrder: lambda message, _ledger: _of_terms(message.terms),
    PlaceOrder: lambda message, _ledger: _of_terms(message.order.terms),
    OrderMoved: lambda message, _ledger: _of_terms(message.state.terms),
    FillLogged: _of_fill,
    LogExecutions: _of_executions,
}
"""Which messages name an intent or an order, and where. Others are known by the actors between which they go."""

_FINDERS_BY_NAME: Mapping[str, _Finder] = {kind.__name__: finder for kind, finder in _FINDERS.items()}

IF_IT_CHANGED = frozenset({ReportOrder.__name__, LogExecutions.__name__})
"""Each sweep shows each open order again, and executions that are known. Kept is a report that recorded something or
caused what is kept; all of them are in the audit chain."""
HOUSEKEEPING = frozenset({"ChildStarted", "ChildEnded", "Stop", "_StopSelf", "_ActorStop"})
"""What the kernel says to itself about actors that come and go. The start is kept: an order signs and submits in it."""
STARTS = frozenset({"StartActor"})
"""An actor's tasks name its start as their cause, and that its supervisor's: true, and no part of an order's story."""


class MessageTrace:
    """Gathers the messages of orders and journals them in batches."""

    def __init__(self, system: ActorSystem, recorder: Recorder) -> None:
        self._system = system
        self._recorder = recorder
        # Side by side and not in pairs: a pair a message would be one more object for the garbage collector.
        self._records: list[Record] = []
        self._subjects: list[Subject] = []
        self._unkept: dict[int, Record] = {}
        self._unkept_before: dict[int, Record] = {}
        self._paths: dict[str, Subject | None] = {}
        self._armed = trio.Event()
        self._full = trio.Event()
        self._lost = 0

    # ---- on the path of every message ---------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """The kernel's sink. It is called between two messages of the runtime, so it never raises."""
        try:
            name = record[8]
            if name in HOUSEKEEPING:
                return
            finder = _FINDERS_BY_NAME.get(name)
            subject: Subject | None
            if name in IF_IT_CHANGED and self._recorder.last_cause != record[1]:
                subject = None
            elif finder is not None and (current := self._system.current) is not None and current.id == record[1]:
                subject = finder(current.message, self._recorder.ledger)
            else:
                # Whose a message is by its receiver, or else by its sender.
                known = self._paths
                receiver, sender = record[5], record[4]
                subject = known[receiver] if receiver in known else self._learn(receiver)
                if subject is None:
                    subject = known[sender] if sender in known else self._learn(sender)
            if subject is None:
                self._unkept[record[1]] = record
                if len(self._unkept) >= UNKEPT_MAX:
                    self._unkept_before, self._unkept = self._unkept, {}
                return
            cause = record[2]
            if cause in self._unkept or cause in self._unkept_before:
                self._keep_causes(cause)
            records = self._records
            waiting = len(records)
            if (waiting % ROWS_A_BATCH == 0 or waiting >= ROWS_MAX) and not self._has_room():
                return
            records.append(record)
            self._subjects.append(subject)
        except Exception:
            self._system.trace.sink = None
            log.exception("messages are no longer traced: this one could not be read", message=record[8])

    def _has_room(self) -> bool:
        """Asked at the first row and each thousandth: wakes the flush, and counts what is lost if it does not come."""
        waiting = len(self._records)
        if waiting >= ROWS_MAX:
            self._lost += 1
            return False
        self._armed.set()
        if waiting:
            self._full.set()
        return True

    def _between(self, record: Record) -> Subject | None:
        """Whose a message is by its receiver, or else by its sender."""
        known = self._paths
        receiver, sender = record[5], record[4]
        found = known[receiver] if receiver in known else self._learn(receiver)
        if found is None:
            found = known[sender] if sender in known else self._learn(sender)
        return found

    def _learn(self, path: str) -> Subject | None:
        if len(self._paths) >= PATHS_MAX:
            self._paths.clear()
        parts = path.split("/")
        found: Subject | None = None
        if len(parts) == 5 and parts[1] == "accounts" and parts[3] == "orders":
            found = _of_order(ClientOrderId(parts[4]), self._recorder.ledger)
        elif len(parts) == 5 and parts[1] == "strategies" and parts[3] == "work":
            found = self._of_work(parts[2], parts[4])
        self._paths[path] = found
        return found

    def _of_work(self, strategy: str, name: str) -> Subject:
        """An intent's own actor has the intent's id, a leg's has the leg behind it; the id may hold a colon itself."""
        if (StrategyName(strategy), IntentId(name)) in self._recorder.ledger.intents:
            return Subject(strategy, name, "")
        intent, colon, _leg = name.rpartition(":")
        return Subject(strategy, intent if colon else name, "")

    def _keep(self, record: Record, subject: Subject) -> None:
        waiting = len(self._records)
        if (waiting % ROWS_A_BATCH == 0 or waiting >= ROWS_MAX) and not self._has_room():
            return
        self._records.append(record)
        self._subjects.append(subject)

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
            self._keep(record, self._between(record) or NOBODY)

    # ---- beside it ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Journal what was gathered, a while after the first of it; ends when nothing can be recorded any more."""
        while True:
            await self._armed.wait()
            with trio.move_on_after(FLUSH_SECONDS):
                await self._full.wait()
            try:
                self.flush()
            except StoreFailed as failure:
                log.warning("messages are no longer traced in the journal", why=str(failure))
                self._system.trace.sink = None
                return

    def flush(self) -> None:
        """Journal what was gathered. Raises `StoreFailed`."""
        self._armed = trio.Event()
        self._full = trio.Event()
        records, self._records = self._records, []
        subjects, self._subjects = self._subjects, []
        lost, self._lost = self._lost, 0
        for start in range(0, len(records), ROWS_A_BATCH):
            end = start + ROWS_A_BATCH
            self._recorder.record(self._batch(records[start:end], subjects[start:end], lost))
            lost = 0

    def _batch(self, records: list[Record], subjects: list[Subject], lost: int) -> MessagesTraced:
        # Records have the system's own clock, which started anywhere; the journal has UTC.
        zero_ns = self._recorder.now_ns() - round(self._system.now() * 1e9)
        place = _Places({"": 0})
        rows = [
            _row(
                TracedRow,
                (
                    message_id,
                    cause_id,
                    place[sender],
                    place[receiver],
                    incarnation,
                    place[name],
                    zero_ns + round(enqueued_at * 1e9),
                    round((started_at - enqueued_at) * 1e9) if started_at > enqueued_at else 0,
                    round((finished_at - started_at) * 1e9) if finished_at > started_at else 0,
                    place[outcome],
                    place[strategy],
                    place[intent],
                    place[order],
                ),
            )
            for (
                _kind,
                message_id,
                cause_id,
                _root,
                sender,
                receiver,
                incarnation,
                _lane,
                name,
                enqueued_at,
                started_at,
                finished_at,
                outcome,
                _detail,
            ), (strategy, intent, order) in zip(records, subjects, strict=True)
        ]
        return MessagesTraced(texts=tuple(place), rows=tuple(rows), lost=lost)


class _Places(dict[str, int]):
    """The place of each text, given out in the order in which they are first asked for."""

    def __missing__(self, text: str) -> int:
        place = self[text] = len(self)
        return place
