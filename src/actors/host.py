"""The bridge to the host: turns durable events into numbered reports on the tickets of the host's intents.

It listens to the recorder, so a report exists exactly when its event does, in journal order, and is delivered once
that event is durable (law L1). Callbacks run on one thread of the bridge: a host that blocks it delays its own
reports, a host that raises is told so by an alert, and neither is felt by the runtime.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, assert_never

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
from ..model.fill import Fill, Settlement
from ..model.identifiers import IntentId, StrategyName
from ..model.ledger import IntentKey, Ledger
from ..model.money import plain
from ..model.order import OrderTerms
from .ticket import Draft, Report, ReportKind, Ticket

_draft = tuple.__new__
"""A named tuple without the call of its own constructor: every order makes half a dozen."""


def reports_of(event: Event, at_ns: int, ledger: Ledger) -> list[Report]:
    """The reports that an event makes, read against the ledger as it was before the event; numbers come later."""
    return [draft.written() for draft in drafts_of(event, at_ns, ledger)]


def drafts_of(event: Event, at_ns: int, ledger: Ledger) -> list[Draft]:
    """The same reports, not written yet: with all that they will be written from."""
    drafter = _DRAFTERS.get(type(event))
    return [] if drafter is None else drafter(event, at_ns, ledger)


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


def _accepted(event: IntentAccepted, at_ns: int, _ledger: Ledger) -> list[Draft]:
    strategy, intent_id = event.intent.strategy, event.intent.intent_id
    return [
        _draft(
            Draft, (strategy, intent_id, False, _report, (ReportKind.ACCEPTED, strategy, intent_id, at_ns, "accepted"))
        )
    ]


def _paused(event: StrategyPaused, at_ns: int, ledger: Ledger) -> list[Draft]:
    strategy = event.strategy
    intents = [entry.intent.intent_id for entry in ledger.active_intents(strategy)]
    return [
        _draft(
            Draft, (strategy, intent_id, False, _report, (ReportKind.PAUSED, strategy, intent_id, at_ns, event.reason))
        )
        for intent_id in intents
    ]


def _ended(event: IntentEnded, at_ns: int, _ledger: Ledger) -> list[Draft]:
    return [_draft(Draft, (event.strategy, event.intent_id, True, end_report, (event, at_ns)))]


def _decided(event: BracketDecided, at_ns: int, _ledger: Ledger) -> list[Draft]:
    if not event.decision.needs_disposition:
        return []
    return [_draft(Draft, (event.strategy, event.intent_id, False, _disposition_report, (event, at_ns)))]


def _disposition_report(event: BracketDecided, at_ns: int) -> Report:
    decision = event.decision
    return Report(
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


def _about_order(event: OrderSubmitted | OrderDone | SliceWithdrawn, at_ns: int, ledger: Ledger) -> list[Draft]:
    state = ledger.orders.get(event.client_order_id)
    if state is None:
        return []
    terms = state.terms
    return [_draft(Draft, (terms.strategy, terms.intent_id, False, _order_report, (event, terms, at_ns)))]


def _order_report(event: OrderSubmitted | OrderDone | SliceWithdrawn, terms: OrderTerms, at_ns: int) -> Report:
    match event:
        case OrderSubmitted():
            text, outcome = f"sent: {terms.direction} {plain(terms.quantity)} at {plain(terms.price)}", "sent"
        case OrderDone():
            outcome = str(event.outcome.__struct_config__.tag)
            text = f"order {outcome}: {event.evidence.detail}"
        case SliceWithdrawn():
            text, outcome = f"never sent: {event.reason}", "withdrawn"
        case _:
            assert_never(event)
    return Report(
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


def _filled(event: FillRecorded, at_ns: int, _ledger: Ledger) -> list[Draft]:
    fill = event.fill
    told = _about_fill(fill, _fill_report, (fill, at_ns))
    if fill.execution.settlement is Settlement.REVERSED:
        # It failed before anybody here heard of it: a strategy that counts what it is told must hear both.
        told += _about_fill(fill, _settlement_report, (fill, Settlement.REVERSED, at_ns))
    return told


def _settled(event: FillSettled, at_ns: int, ledger: Ledger) -> list[Draft]:
    fill = ledger.unsettled.get(event.key)
    if fill is None or not event.settlement.is_final:
        return []
    return _about_fill(fill, _settlement_report, (fill, event.settlement, at_ns))


def _about_fill(fill: Fill, write: Callable[..., Report], facts: tuple[object, ...]) -> list[Draft]:
    if fill.strategy is None or fill.intent_id is None:
        return []
    return [_draft(Draft, (fill.strategy, fill.intent_id, False, write, facts))]


def _fill_report(fill: Fill, at_ns: int) -> Report:
    execution = fill.execution
    text = (
        f"{execution.direction} {plain(execution.quantity)} {execution.instrument} "
        f"at {plain(execution.price)}, {execution.settlement}, seen by {fill.source}"
    )
    return _report_on_fill(fill, ReportKind.FILL, at_ns, text)


def _settlement_report(fill: Fill, settlement: Settlement, at_ns: int) -> Report:
    text = f"trade {fill.execution.key.trade_id} is {settlement}"
    return _report_on_fill(fill, ReportKind.SETTLEMENT, at_ns, text)


def _report_on_fill(fill: Fill, kind: ReportKind, at_ns: int, text: str) -> Report:
    assert fill.strategy is not None, fill
    assert fill.intent_id is not None, fill
    return Report(
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


_DRAFTERS: Mapping[type[Event], Callable[[Any, int, Ledger], list[Draft]]] = {
    IntentAccepted: _accepted,
    OrderSubmitted: _about_order,
    OrderDone: _about_order,
    SliceWithdrawn: _about_order,
    FillRecorded: _filled,
    FillSettled: _settled,
    BracketDecided: _decided,
    StrategyPaused: _paused,
    IntentEnded: _ended,
}
"""The events that may make a report; the others need not be asked."""


class HostBridge:
    """All tickets of one runtime, and the thread on which host callbacks run."""

    def __init__(self, ledger: Ledger, on_callback_failed: Callable[[Exception], None]) -> None:
        self._ledger = ledger
        self._on_callback_failed = on_callback_failed
        self._tickets: dict[IntentKey, Ticket] = {}
        self._unclaimed: dict[IntentKey, list[Report | Draft]] = {}
        """What intents of a previous process have reported, until their host asks for their tickets again."""
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ticket(self, strategy: StrategyName, intent_id: IntentId) -> Ticket:
        """The intent's ticket, made on first use."""
        key = (strategy, intent_id)
        found = self._tickets.get(key)
        if found is None:
            found = self._tickets[key] = Ticket(strategy, intent_id, self._call)
            for report in self._unclaimed.pop(key, ()):
                found.deliver(report)
        return found

    def goes_on(self, strategy: StrategyName, intent_id: IntentId) -> None:
        """An intent of a previous process is at work: what it reports is kept until its host asks for its ticket."""
        key = (strategy, intent_id)
        if key not in self._tickets:
            self._unclaimed.setdefault(key, [])

    def hear(self, event: Event, at_ns: int) -> list[Draft]:
        """The reports of an event that is about to be folded; none while nobody holds a ticket."""
        drafter = _DRAFTERS.get(type(event)) if self._tickets or self._unclaimed else None
        return [] if drafter is None else drafter(event, at_ns, self._ledger)

    def deliver(self, reports: Iterable[Report | Draft]) -> None:
        """Hand over reports whose events are durable. The terminal one closes the ticket's account here."""
        tickets = self._tickets
        for report in reports:
            key = (report.strategy, report.intent_id)
            ticket = tickets.get(key)
            if ticket is None:
                self._keep(key, report)
                continue
            ticket.deliver(report)
            if report.is_last:
                del tickets[key]

    def _keep(self, key: IntentKey, report: Report | Draft) -> None:
        """Keep it for a host that is not there yet. Once the intent has ended, its terminal report says all."""
        kept = self._unclaimed.get(key)
        if kept is not None and report.is_last:
            del self._unclaimed[key]
        elif kept is not None:
            kept.append(report)

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
