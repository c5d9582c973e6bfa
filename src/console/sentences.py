"""What an entry of the journal says, as one sentence for people and the few facts behind it.

One function tells every kind of entry, another one the messages between actors, of which one entry holds many.
"""

import hashlib
from enum import StrEnum
from typing import NamedTuple

from ..actors.operator import CONTROL
from ..model.event import (
    AccountChanged,
    AlertAcknowledged,
    AlertClosed,
    AlertOpened,
    BracketClosing,
    BracketDecided,
    CancelAnswered,
    CancelRequested,
    DispositionChosen,
    FillConflict,
    FillRecorded,
    FillSettled,
    ForeignOrderSeen,
    HoldingAdopted,
    InstrumentLearned,
    IntentAccepted,
    IntentEnded,
    IntentRefused,
    LedgerRead,
    MessagesTraced,
    OpeningAdopted,
    OpeningObserved,
    OperatorCommanded,
    OperatorHalted,
    OperatorResumed,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    ReconciliationEnded,
    ReportQuarantined,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
    SliceWithdrawn,
    StrategyPaused,
    StrategyResumed,
    StreamGap,
    TransferBooked,
    TruthCompared,
)
from ..model.event import Event as ModelEvent
from ..model.fill import Fill
from ..model.intent import AnyIntent, PairIntent
from ..model.operator import described
from ..model.order import OrderTerms
from ..model.outcome import (
    CancelAlreadyCancelled,
    CancelAlreadyFilled,
    CancelConfirmed,
    CancelOutcome,
    CancelRefused,
    CancelUnknown,
    Evidence,
    NeverArrived,
    Outcome,
    Rejected,
)
from ..model.traced import TracedMessage
from ..model.truth import Absent, Seen, Truth, Unavailable, View
from ..store import AuditRecord, Direction, Dropped, Event
from .order_view import outcome_name
from .text import amount, instant, short_instant, short_span, span

OUTSIDE = "outside"
"""The sender of a message that no actor sent: the host, or a callback of the journal."""


class Lane(StrEnum):
    """Where a step took place."""

    EVENT = "event"
    """An entry of the journal: durable from here on."""
    WIRE = "wire"
    """Bytes exchanged with a venue, from the audit chain."""
    MESSAGE = "message"
    """A message between two actors."""
    GAP = "gap"
    """Time in which nothing of the sequence was recorded, or a change of owners."""


class Told(NamedTuple):
    """One entry in words. `source` and `target` are the two ends where there are two, else the target is empty."""

    kind: str
    text: str
    lane: Lane = Lane.EVENT
    source: str = ""
    target: str = ""
    detail: tuple[tuple[str, str], ...] = ()


def tell(event: Event) -> Told:
    """Put an entry into words. An entry of a kind without a case of its own is told by its kind alone."""
    match event:
        case AuditRecord():
            return _exchange(event)
        case ModelEvent():
            text, detail = _event(event)
            return Told(event.kind, text, detail=detail)
        case Dropped():
            return Told(event.kind, "an entry of a kind that this build no longer reads")
        case _:
            return Told(type(event).__name__, "an entry of a kind that has no words yet")


def tell_message(message: TracedMessage, recorded: tuple[int, int] | None) -> Told:
    """Put a message between two actors into words. `recorded` are the first and last entry that its handling made."""
    outcome = "" if message.outcome == "ok" else f", {message.outcome}"
    took = f"waited {short_span(message.queued_ns)}, took {short_span(message.handled_ns)}{outcome}"
    lsns = None if recorded is None else f"{recorded[0]} to {recorded[1]}"
    return Told(
        message.type,
        f"{message.type.lstrip('_')} ({took})",
        Lane.MESSAGE,
        message.sender or OUTSIDE,
        message.receiver,
        detail=(
            ("message", str(message.message_id)),
            ("enqueued_at", instant(message.enqueued_at_ns)),
            ("queued_seconds", span(message.queued_ns)),
            ("handled_seconds", span(message.handled_ns)),
            ("outcome", message.outcome),
            ("incarnation", str(message.incarnation)),
            *((("recorded", lsns),) if lsns is not None else ()),
        ),
    )


def actor_name(path: str) -> str:
    """An actor's path as people say it: without the folders that all of its kind share."""
    parts = path.split("/")
    if len(parts) == 5 and parts[3] == "orders":
        return f"order {parts[4]}"
    if len(parts) == 5 and parts[3] == "work":
        return f"work {parts[4]}"
    if len(parts) == 5 and parts[3] == "connection":
        return parts[4]
    return "/".join(parts[2:]) if len(parts) > 2 else path.removeprefix("/")


Words = tuple[str, tuple[tuple[str, str], ...]]


def _exchange(record: AuditRecord) -> Told:
    sent = record.direction is Direction.SENT
    body = record.body_bytes_redacted.decode("utf-8", "replace")
    detail = (("body", body), ("stamped_at", instant(record.at_ns)))
    if record.channel == CONTROL:
        return Told("command", f"{record.channel}: {record.summary}", Lane.WIRE, "operator", "runtime", detail)
    door = "stream" if record.channel == "stream" else "gateway"
    ends = (door, record.account) if sent else (record.account, door)
    return Told("request" if sent else "answer", f"{record.channel}: {record.summary}", Lane.WIRE, *ends, detail)


def _event(event: ModelEvent) -> Words:
    match event:
        case (
            IntentAccepted()
            | IntentRefused()
            | IntentEnded()
            | BracketClosing()
            | BracketDecided()
            | DispositionChosen()
        ):
            return _intent_event(event)
        case (
            SliceComputed()
            | SliceWithdrawn()
            | OrderSubmitted()
            | OrderAcknowledged()
            | OrderUnconfirmed()
            | OrderConfirmed()
            | CancelRequested()
            | CancelAnswered()
            | OrderDone()
            | ForeignOrderSeen()
        ):
            return _order_event(event)
        case FillRecorded() | FillSettled() | FillConflict():
            return _fill_event(event)
        case ReportQuarantined(key=key):
            report = (("report", event.report.decode("utf-8", "replace")), ("message", str(event.message_id)))
            return f"a report about trade {key.trade_id} crashed its handler twice and is left out: {event.why}", report
        case AlertOpened(alert=alert):
            diagnosis = f" ({alert.diagnosis})" if alert.diagnosis else ""
            return f"alert {alert.severity} {alert.kind}{diagnosis}: {alert.message}", alert.evidence
        case AlertAcknowledged():
            note = f": {event.note}" if event.note else ""
            return f"alert {event.alert_id} acknowledged by {event.by}{note}", ()
        case AlertClosed():
            return f"alert {event.state} by {event.by}", event.evidence
        case OperatorCommanded():
            note = f": {event.note}" if event.note else ""
            return f"{event.operator} asked to {described(event.command)}{note}", (("command", event.command_id),)
        case HoldingAdopted():
            text = f"{amount(event.quantity)} {event.asset} adopted into the book of {event.account} by {event.by}"
            return f"{text}: {event.note}", _views(event.truth)
        case _:
            return _runtime_event(event), ()


def _views(truth: Truth) -> tuple[tuple[str, str], ...]:
    def seen(view: View) -> str:
        match view:
            case Seen():
                return f"{amount(view.quantity)} as of {instant(view.as_of_ns)} ({view.stamp})"
            case Unavailable():
                return f"unavailable: {view.why}"
            case Absent():
                return "no such view"

    return ("book before", amount(truth.book.matched)), ("venue", seen(truth.venue)), ("wallet", seen(truth.wallet))


def _intent_event(
    event: IntentAccepted | IntentRefused | IntentEnded | BracketClosing | BracketDecided | DispositionChosen,
) -> Words:
    match event:
        case IntentAccepted():
            return f"intent {event.intent.intent_id} accepted: {_wish(event.intent)}", ()
        case IntentRefused():
            return f"intent {event.intent_id} refused at the gate {event.gate}: {event.message}", ()
        case BracketClosing():
            return f"intent {event.intent_id} waits no longer: {event.reason}", ()
        case BracketDecided(decision=decision):
            filled = f"long {amount(decision.long_filled)}, short {amount(decision.short_filled)}"
            return f"the pair {event.intent_id} became {decision.outcome} ({decision.reason}): {filled}", ()
        case DispositionChosen():
            note = f": {event.note}" if event.note else ""
            return f"the strategy chose {event.choice} for {event.intent_id}{note}", ()
        case IntentEnded():
            filled = " and ".join(amount(quantity) for quantity in event.filled) or "nothing"
            return f"terminal report of intent {event.intent_id}: {event.outcome}, filled {filled}", ()


def _wish(intent: AnyIntent) -> str:
    until = f"until {short_instant(instant(intent.expires_at_ns))} UTC"
    if isinstance(intent, PairIntent):
        long, short = intent.long, intent.short
        return (
            f"long {long.instrument} at {amount(long.limit_price)} and short {short.instrument} at "
            f"{amount(short.limit_price)}, each for {amount(intent.notional)}, {until}"
        )
    price = f"{amount(intent.limit_price)} or better"
    return f"{intent.side} {amount(intent.quantity)} {intent.instrument} at {price}, {until}"


def _order_event(
    event: SliceComputed
    | SliceWithdrawn
    | OrderSubmitted
    | OrderAcknowledged
    | OrderUnconfirmed
    | OrderConfirmed
    | CancelRequested
    | CancelAnswered
    | OrderDone
    | ForeignOrderSeen,
) -> Words:
    match event:
        case SliceComputed(terms=terms):
            by = short_instant(instant(event.send_by_ns))
            return f"slice computed: {_terms(terms)}; to be sent by {by}", (("order", terms.client_order_id),)
        case SliceWithdrawn():
            return f"withdrawn, never to be sent: {event.reason}", ()
        case OrderSubmitted():
            # The bytes hold a signature and the name of an API key: their digest identifies them as well.
            digest = hashlib.sha256(event.body).hexdigest()
            return (
                f"signed bytes in the journal, now they may leave; the venue will know it as {event.venue_order_id}",
                (("bytes", str(len(event.body))), ("sha256", digest)),
            )
        case OrderAcknowledged():
            return f"the venue has it as {event.venue_order_id}", _evidence(event.evidence)
        case OrderUnconfirmed():
            return f"its state is not known, so it counts as open: {event.why}", ()
        case OrderConfirmed(knowledge=known):
            at = short_instant(instant(known.as_of_ns))
            return f"the venue said that {amount(known.filled)} is filled, as of {at} by {known.source}", ()
        case CancelRequested():
            return f"cancel requested: {event.reason}", ()
        case CancelAnswered():
            return f"cancel answered: {_cancelled(event.outcome)}", ()
        case OrderDone():
            return f"done: {_ended(event.outcome)}", _evidence(event.evidence)
        case ForeignOrderSeen():
            return f"an order of nobody here, {event.venue_order_id}: {event.detail}", ()


def _terms(terms: OrderTerms) -> str:
    side = f"{terms.side}" if terms.side.value == terms.direction.value else f"{terms.side} (as a {terms.direction})"
    place = f"leg {terms.leg}, slice {terms.slice_number}, attempt {terms.attempt}"
    how = f"; {terms.expressed_as}" if terms.expressed_as else ""
    limit = f"at {amount(terms.price)} {terms.time_in_force}"
    return f"{side} {amount(terms.quantity)} {terms.instrument} {limit} ({place}{how})"


def _evidence(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    return ("evidence", evidence.kind.value), ("seen", evidence.detail), ("seen_at", instant(evidence.at_ns))


def _cancelled(outcome: CancelOutcome) -> str:
    match outcome:
        case CancelConfirmed():
            return "off the book"
        case CancelAlreadyCancelled():
            return f"it was off the book before ({outcome.text})"
        case CancelAlreadyFilled():
            return f"executed first, the fill is on its way ({outcome.text})"
        case CancelRefused():
            return f"refused, it stays open ({outcome.text})"
        case CancelUnknown():
            return f"unknown, to be asked ({outcome.text})"


def _ended(outcome: Outcome) -> str:
    match outcome:
        case Rejected():
            return f"rejected as {outcome.code}: {outcome.text}"
        case NeverArrived():
            return "it never arrived at the venue"
        case _:
            return f"{outcome_name(outcome)}, {amount(outcome.filled)} filled"


def _fill_event(event: FillRecorded | FillSettled | FillConflict) -> Words:
    match event:
        case FillRecorded(fill=fill):
            return _fill(fill), (("trade", fill.execution.key.trade_id), ("venue_time", _venue_time(fill)))
        case FillSettled(key=key):
            transaction = f" in {event.transaction}" if event.transaction else ""
            return f"trade {key.trade_id} is {event.settlement}{transaction}", ()
        case FillConflict(key=key):
            return f"trade {key.trade_id} was reported again, differently, and is held: {event.detail}", ()


def _fill(fill: Fill) -> str:
    execution = fill.execution
    fee = "fee not said" if execution.fee is None else f"fee {amount(execution.fee)} {execution.fee_asset}"
    what = f"{execution.direction} {amount(execution.quantity)} {execution.instrument} at {amount(execution.price)}"
    whose = "" if fill.client_order_id is not None else ", of no order of ours"
    return f"fill: {what} ({execution.liquidity}, {fee}, {execution.settlement}), by {fill.source}{whose}"


def _venue_time(fill: Fill) -> str:
    return instant(fill.execution.venue_time_ns)


def _runtime_event(event: ModelEvent) -> str:
    match event:
        case RuntimeStarted():
            return f"the runtime started: build {event.build}, {event.owner}"
        case RuntimeStopped():
            return f"the runtime stopped: {event.reason}"
        case InstrumentLearned(instrument=instrument):
            return f"learned the rules of {instrument.instrument_id} ({instrument.status})"
        case AccountChanged():
            return f"account {event.account} is {event.state}" + (f": {event.reason}" if event.reason else "")
        case OpeningAdopted():
            held = ", ".join(f"{amount(holding.quantity)} {holding.asset}" for holding in event.holdings) or "nothing"
            return f"opening of {event.account} adopted by {event.by}: {held}"
        case OpeningObserved():
            held = ", ".join(f"{amount(holding.quantity)} {holding.asset}" for holding in event.holdings)
            return f"{event.account} held positions before its first entry: {held}; an operator must adopt them"
        case LedgerRead():
            return f"the ledger of {event.account} was read up to {event.position.number}"
        case TransferBooked():
            return f"moved without a trade at {event.transfer.account}: {event.transfer}"
        case ReconciliationEnded(record=record):
            found = (
                f"{len(record.fills_recovered)} fills recovered, {len(record.orders_corrected)} orders corrected, "
                f"{record.foreign_orders} foreign orders, {len(record.differences)} differences"
            )
            took = short_span(record.ended_at_ns - record.started_at_ns)
            return f"reconciliation of {record.account} ({record.trigger}, {took}) {record.verdict}; {found}"
        case StreamGap():
            lasted = short_span(event.until_ns - event.from_ns)
            return f"the stream of {event.account} was not to be trusted for {lasted}: {event.reason}"
        case TruthCompared(truth=truth):
            agree = {True: "agree", False: "differ", None: "cannot all be read"}[truth.agree]
            return f"the views of {truth.asset} at {truth.account} {agree}"
        case StrategyPaused():
            return f"strategy {event.strategy} paused: {event.reason}"
        case StrategyResumed():
            return f"strategy {event.strategy} resumed by {event.by}"
        case OperatorHalted():
            return f"{event.account or 'everything'} halted by {event.by}: {event.reason}"
        case OperatorResumed():
            return f"{event.account or 'everything'} resumed by {event.by}"
        case MessagesTraced():
            lost = f"; {event.lost} before them were too many to be kept" if event.lost else ""
            return f"{len(event.rows)} messages between actors{lost}"
        case _:
            return event.kind.replace("_", " ")
