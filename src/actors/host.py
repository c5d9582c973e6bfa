"""The bridge to the host: turns durable events into numbered reports on the tickets of the host's intents.

It listens to the recorder, so a report exists exactly when its event does, in journal order, and is delivered once
that event is durable (law L1). Callbacks run on one thread of the bridge: a host that blocks it delays its own
reports, a host that raises is told so by an alert, and neither is felt by the runtime.
"""

import queue
import threading
from collections.abc import Callable

from ..model.event import (
    BracketDecided,
    Event,
    FillRecorded,
    FillSettled,
    IntentAccepted,
    IntentEnded,
    OrderDone,
    OrderSubmitted,
    SliceWithdrawn,
    StrategyPaused,
)
from ..model.fill import Fill
from ..model.identifiers import IntentId, StrategyName
from ..model.ledger import IntentKey, Ledger
from ..model.money import plain
from .ticket import Report, ReportKind, Ticket

REPORTED = frozenset(
    {
        IntentAccepted,
        OrderSubmitted,
        OrderDone,
        SliceWithdrawn,
        FillRecorded,
        FillSettled,
        BracketDecided,
        StrategyPaused,
        IntentEnded,
    }
)
"""The events that may make a report; the others need not be asked."""


def reports_of(event: Event, at_ns: int, ledger: Ledger) -> list[Report]:
    """The reports that an event makes, read against the ledger as it was before the event; numbers come later."""
    match event:
        case IntentAccepted():
            intent = event.intent
            return [_report(ReportKind.ACCEPTED, intent.strategy, intent.intent_id, at_ns, "accepted")]
        case OrderSubmitted() | OrderDone() | SliceWithdrawn():
            return _about_order(event, at_ns, ledger)
        case FillRecorded():
            execution = event.fill.execution
            text = (
                f"{execution.direction} {plain(execution.quantity)} {execution.instrument} "
                f"at {plain(execution.price)}, {execution.settlement}, seen by {event.fill.source}"
            )
            return _about_fill(event.fill, ReportKind.FILL, at_ns, text)
        case FillSettled():
            fill = ledger.unsettled.get(event.key)
            if fill is None or not event.settlement.is_final:
                return []
            text = f"trade {event.key.trade_id} is {event.settlement}"
            return _about_fill(fill, ReportKind.SETTLEMENT, at_ns, text)
        case BracketDecided():
            decision = event.decision
            if not decision.needs_disposition:
                return []
            return [
                Report(
                    number=0,
                    kind=ReportKind.DISPOSITION_NEEDED,
                    strategy=event.strategy,
                    intent_id=event.intent_id,
                    at_ns=at_ns,
                    text=(
                        f"partial pair at {decision.reason}: long {plain(decision.long_filled)}, "
                        f"short {plain(decision.short_filled)}; the strategy decides what becomes of it"
                    ),
                    filled=(decision.long_filled, decision.short_filled),
                )
            ]
        case StrategyPaused():
            return [
                _report(ReportKind.PAUSED, event.strategy, entry.intent.intent_id, at_ns, event.reason)
                for entry in ledger.active_intents(event.strategy)
            ]
        case IntentEnded():
            return [end_report(event, at_ns)]
        case _:
            return []


def end_report(event: IntentEnded, at_ns: int) -> Report:
    """The terminal report of an intent."""
    return Report(
        number=0,
        kind=ReportKind.ENDED,
        strategy=event.strategy,
        intent_id=event.intent_id,
        at_ns=at_ns,
        text=f"ended: {event.outcome}" + (f" ({event.reason})" if event.reason else ""),
        outcome=event.outcome,
        filled=event.filled,
    )


def _report(kind: ReportKind, strategy: StrategyName, intent_id: IntentId, at_ns: int, text: str) -> Report:
    return Report(number=0, kind=kind, strategy=strategy, intent_id=intent_id, at_ns=at_ns, text=text)


def _about_order(event: OrderSubmitted | OrderDone | SliceWithdrawn, at_ns: int, ledger: Ledger) -> list[Report]:
    state = ledger.orders.get(event.client_order_id)
    if state is None:
        return []
    terms = state.terms
    text, outcome = "", ""
    match event:
        case OrderSubmitted():
            text, outcome = f"sent: {terms.direction} {plain(terms.quantity)} at {plain(terms.price)}", "sent"
        case OrderDone():
            outcome = str(event.outcome.__struct_config__.tag)
            text = f"order {outcome}: {event.evidence.detail}"
        case SliceWithdrawn():
            text, outcome = f"never sent: {event.reason}", "withdrawn"
    return [
        Report(
            number=0,
            kind=ReportKind.ORDER,
            strategy=terms.strategy,
            intent_id=terms.intent_id,
            at_ns=at_ns,
            text=text,
            client_order_id=terms.client_order_id,
            leg=terms.leg,
            quantity=terms.quantity,
            price=terms.price,
            outcome=outcome,
        )
    ]


def _about_fill(fill: Fill, kind: ReportKind, at_ns: int, text: str) -> list[Report]:
    if fill.strategy is None or fill.intent_id is None:
        return []
    return [
        Report(
            number=0,
            kind=kind,
            strategy=fill.strategy,
            intent_id=fill.intent_id,
            at_ns=at_ns,
            text=text,
            client_order_id=fill.client_order_id,
            quantity=fill.execution.quantity,
            price=fill.execution.price,
        )
    ]


class HostBridge:
    """All tickets of one runtime, and the thread on which host callbacks run."""

    def __init__(self, ledger: Ledger, on_callback_failed: Callable[[Exception], None]) -> None:
        self._ledger = ledger
        self._on_callback_failed = on_callback_failed
        self._tickets: dict[IntentKey, Ticket] = {}
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ticket(self, strategy: StrategyName, intent_id: IntentId) -> Ticket:
        """The intent's ticket, made on first use."""
        key = (strategy, intent_id)
        found = self._tickets.get(key)
        if found is None:
            found = self._tickets[key] = Ticket(strategy, intent_id, self._call)
        return found

    def hear(self, event: Event, at_ns: int) -> list[Report]:
        """The reports of an event that is about to be folded; none while nobody holds a ticket."""
        return reports_of(event, at_ns, self._ledger) if self._tickets and type(event) in REPORTED else []

    def deliver(self, reports: list[Report]) -> None:
        """Hand over reports whose events are durable. The terminal one closes the ticket's account here."""
        for report in reports:
            key = (report.strategy, report.intent_id)
            ticket = self._tickets.get(key)
            if ticket is None:
                continue
            ticket.deliver(report)
            if report.is_last:
                del self._tickets[key]

    # ---- the host's thread --------------------------------------------------------------------------------

    def _call(self, action: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tallystick host callbacks", daemon=True)
            self._thread.start()
        self._calls.put(action)

    def _run(self) -> None:
        while (action := self._calls.get()) is not None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - whatever host code raises is the host's, and is reported
                self._on_callback_failed(error)

    def close(self) -> None:
        """Tell whoever waits that the runtime ends. Callbacks already queued are not waited for: they may block."""
        for ticket in self._tickets.values():
            ticket.close()
        self._tickets.clear()
        if self._thread is not None:
            self._calls.put(None)
