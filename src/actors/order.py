"""One venue order: a thin actor round the order machine.

It signs once, journals the bytes, and hands them to the gateway, which sends them when they are durable. From there
every doubt is resolved by asking, or by sending those same bytes again, never by signing anew (law L6). A websocket
report is a notification: what would end the order is confirmed with the venue's REST state first (law L2); only its
own executions, which carry the venue's ids, end it by themselves.
"""

import msgspec

from ..model.account import SweepTrigger
from ..model.alert import Alert
from ..model.event import (
    CancelAnswered,
    CancelRequested,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    SliceWithdrawn,
)
from ..model.fill import Known, Unknown
from ..model.identifiers import AlertId, ClientOrderId
from ..model.money import ZERO, Quantity
from ..model.order import Acknowledged, Computed, Done, OrderState, OrderTerms, Sent, Withdrawn
from ..model.outcome import (
    Cancelled,
    CancelOutcome,
    CancelRefused,
    CancelUnknown,
    Evidence,
    EvidenceKind,
    Expired,
    Filled,
    Outcome,
    PlaceAccepted,
    PlaceDuplicate,
    PlaceOutcome,
    PlaceRejected,
    PlaceRetry,
    PlaceUnknown,
    Rejected,
)
from ..model.report import OrderNotFound, OrderReport, Unreadable, VenueOrderStatus
from ..store.errors import StoreFailed
from ..store.port import Lsn
from ..store.records import OUTBOX
from ..venues.port import CannotExpress, Reply, Request
from .context import Context, Paths, TradingActor
from .kernel import handles
from .messages import (
    CancelOrder,
    Exchange,
    Exchanged,
    Explain,
    FillLogged,
    OrderEnded,
    OrderMoved,
    Raise,
    ReportOrder,
    Sweep,
    Tick,
)
from .order_alerts import uncancelled, uncancelled_id, unconfirmed, unconfirmed_id

PLACE, CANCEL, QUERY = "place", "cancel", "query"
CONFIRM, ASK, RESEND, RECANCEL, UNCONFIRMED, MISSING = "confirm", "ask", "resend", "recancel", "unconfirmed", "missing"
ABOUT_HOLDINGS = ("balance", "allowance", "margin", "position")
"""A rejection that speaks of these says that the venue sees other holdings than the book does: a sweep looks."""
UNAUTHORISED_MAXIMUM = 2
"""So many refusals of a fresh time stamp are taken for sporadic; the dialect may know better, and reject earlier."""


class OrderActor(TradingActor):
    """One order of one account; starts from the ledger, ends when the venue has nothing more to say about it."""

    # What most orders never change stands here once, and not in each of them.
    queries = 0
    off_the_book = False
    refusals = 0
    cancels = 0
    misses = 0
    query_in_flight = False
    placed_at = float("-inf")
    """When the bytes were last handed to the gateway, on the system's clock."""
    filled_at_venue = Quantity(ZERO)
    """The most that the venue has told of, by any path: a frame may be ahead of the fills that it speaks of."""
    place_in_flight = False
    copies_in_doubt = 0
    """Copies of the bytes that may have acted: sent, and not answered with a refusal. At zero it is nowhere."""
    alerted: frozenset[AlertId] = frozenset()
    told: OrderState | None = None
    """What the leg was told last."""
    finished = False

    def __init__(self, context: Context, order: ClientOrderId, *, recovered: bool) -> None:
        super().__init__(context)
        self.order = order
        self.recovered = recovered

    def on_start(self) -> None:
        state = self.state
        account = state.terms.account
        self.account = self.context.accounts[account]
        self.dialect = self.context.dialects[account]
        if isinstance(state, (Sent, Acknowledged)):
            # What left before this incarnation, and how it was answered, nobody here knows.
            self.copies_in_doubt = 1
        if isinstance(state, Sent):
            self.placed_at = self.monotonic() - (self.now_ns() - state.sent_at_ns) / 1e9

    def on_begin(self) -> None:
        match self.state_or_none:
            case Computed() as state:
                self._submit(state)
            case Sent() | Acknowledged() as state:
                if isinstance(state, Sent):
                    self._alert_in_time(state)
                # At the start of a runtime the first sweep asks for every order; a crashed actor asks for itself.
                if self.incarnation > 1 or not self.recovered:
                    self._ask()
                else:
                    self.after(self.account.orders.confirm_within_seconds, Tick(name=CONFIRM), key=CONFIRM)
                if state.cancel is not None and not state.cancel.answered:
                    self._send_cancel(state, self.context.recorder.journal.last_lsn)
            case Done() as state:
                if self.incarnation > 1:
                    self._tell_leg()  # it may have crashed between recording its end and telling of it
                self._await_missing_fills(state)
            case _:
                self._finish()

    # ---- state --------------------------------------------------------------------------------------------

    @property
    def state(self) -> OrderState:
        return self.ledger.orders[self.order]

    @property
    def terms(self) -> OrderTerms:
        return self.state.terms

    def _tell_leg(self) -> None:
        """Say that what the leg counts has changed: a fill, the end, a withdrawal. Nothing else concerns it."""
        state = self.state_or_none
        if state is None or state is self.told:
            return
        self.told = state
        terms = state.terms
        leg = self.context.find(Paths.leg(terms.strategy, terms.intent_id, terms.leg))
        if leg is not None:
            leg.tell(OrderMoved(state=state))

    def _evidence(self, kind: EvidenceKind, detail: str) -> Evidence:
        return Evidence(kind=kind, detail=detail, at_ns=self.now_ns())

    def _finish(self) -> None:
        """Nothing can come of the order any more; whatever still arrives for it is in the fill log's hands."""
        if not self.finished:
            self.finished = True
            self.stop()

    # ---- sending ------------------------------------------------------------------------------------------

    def _submit(self, state: Computed) -> None:
        terms = state.terms
        instrument = self.ledger.instruments[terms.instrument]
        try:
            prepared = self.dialect.prepare(terms, instrument, self.now_ns())
        except CannotExpress as refusal:
            self.record(SliceWithdrawn(client_order_id=self.order, reason=f"the venue cannot be asked: {refusal}"))
            self._tell_leg()
            self._finish()
            return
        lsn = self.record(
            OrderSubmitted(
                client_order_id=self.order,
                account=terms.account,
                venue_order_id=prepared.venue_order_id,
                body=prepared.request.body,
            )
        )
        self._place(prepared.request, lsn)
        settings = self.account.orders
        if settings.unconfirmed_alert_seconds <= settings.confirm_within_seconds:
            submitted = self.state
            assert isinstance(submitted, Sent)
            self._alert_in_time(submitted)  # otherwise it is early enough once the answer is late

    def _place(self, request: Request, after: Lsn) -> None:
        self.placed_at = self.monotonic()
        self.place_in_flight = True
        self.copies_in_doubt += 1
        self._exchange(request, PLACE, after)
        self.after(self.account.orders.confirm_within_seconds, Tick(name=CONFIRM), key=CONFIRM)

    def _exchange(self, request: Request, tag: str, after: Lsn) -> None:
        named = msgspec.structs.replace(request, label=f"{request.label} {self.order}")
        places = self.order if tag == PLACE else None
        exchange = Exchange(request=named, reply_to=self.actor_ref, tag=tag, after=after, places=places)
        self.context.tell(Paths.connection(self.account.account, "gateway"), exchange)

    def _resend(self) -> None:
        """Send the journalled bytes again, unchanged: the venue recognises them, or takes them for the first time."""
        state = self.state
        if not isinstance(state, Sent) or state.cancel is not None:
            return
        self._alert_in_time(state)
        body = self.context.recorder.journal.get(OUTBOX, self.order)
        assert body is not None, f"order {self.order} was submitted without its bytes in the outbox"
        self._place(self.dialect.resend(body), self.context.recorder.journal.last_lsn)

    # ---- answers ------------------------------------------------------------------------------------------

    @handles(Exchanged)
    def _answered(self, message: Exchanged) -> None:
        state = self.state_or_none
        if state is None or isinstance(state, (Computed, Withdrawn)) or state.venue_order_id is None:
            return
        if message.tag == PLACE:
            self.place_in_flight = False
            self._placed(state, self.dialect.read_place(message.reply, state.venue_order_id))
        elif message.tag == CANCEL:
            self._cancel_answered(state, self.dialect.read_cancel(message.reply, state.venue_order_id))
        elif message.tag == QUERY:
            self.query_in_flight = False
            self.cancel_timer(ASK)
            self._query_answered(state, message.reply)

    def _placed(self, state: Sent | Acknowledged | Done, outcome: PlaceOutcome) -> None:
        if not isinstance(state, Sent):
            return  # evidence was faster than the answer
        match outcome:
            case PlaceAccepted():
                evidence = self._evidence(EvidenceKind.PLACE_ANSWER, f"placed: {outcome.status}")
                self.record(
                    OrderAcknowledged(
                        client_order_id=self.order, venue_order_id=outcome.venue_order_id, evidence=evidence
                    )
                )
                self._confirmed()
                self._complete_if_filled()
                if not outcome.resting:
                    self._ask_later(self.account.orders.query_backoff_seconds_minimum)
            case PlaceRejected():
                self.copies_in_doubt -= 1
                if self.copies_in_doubt > 0:
                    # This copy is nowhere; what became of an earlier one its refusal does not say.
                    why = f"refused, and an earlier copy is unanswered: {outcome.text}"
                    self.record(OrderUnconfirmed(client_order_id=self.order, why=why))
                    self._ask()
                    return
                self._refused(outcome.code, outcome.text)
            case PlaceDuplicate():
                self._ask()
            case PlaceRetry():
                self._refused_before_acting(state, outcome)
            case PlaceUnknown():
                self.record(OrderUnconfirmed(client_order_id=self.order, why=outcome.text))
                self._ask()

    def _refused_before_acting(self, state: Sent, outcome: PlaceRetry) -> None:
        """This copy is nowhere. The same bytes may go out again, unless nobody wants the order any more."""
        self.copies_in_doubt -= 1
        self.refusals += 1
        if self.copies_in_doubt > 0:
            self._ask()
        elif state.cancel is not None:
            self._refused(outcome.code, f"refused before acting ({outcome.text}) and cancelled meanwhile")
        elif outcome.authentication and self.refusals > UNAUTHORISED_MAXIMUM:
            self._refused(outcome.code, f"refused {self.refusals} times with fresh timestamps: {outcome.text}")
        else:
            # There is nothing to ask about: it is nowhere until it is sent again.
            self.cancel_timer(CONFIRM)
            self.cancel_timer(ASK)
            self._alert_in_time(state)
            wait_seconds = max(outcome.wait_seconds, self.account.orders.query_backoff_seconds_minimum)
            self.after(wait_seconds, Tick(name=RESEND), key=RESEND)

    def _refused(self, code: str, text: str) -> None:
        self._end(Rejected(code=code, text=text), EvidenceKind.PLACE_ANSWER, text)

    def _confirmed(self) -> None:
        self.cancel_timer(CONFIRM)
        self.cancel_timer(UNCONFIRMED)
        self.queries = 0
        if self._may_have_alerts():
            self._explain(unconfirmed_id(self.order), "the venue answered for the order")

    # ---- asking -------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        state = self.state
        if not isinstance(state, (Sent, Acknowledged)) or state.venue_order_id is None or self.query_in_flight:
            return
        self.query_in_flight = True
        self.queries += 1
        self._exchange(self.dialect.query_order(state.venue_order_id), QUERY, self.context.recorder.journal.last_lsn)
        # Should no answer ever come (the gateway was restarted), ask again.
        self._ask_later(self.account.gateway.timeout_seconds + self.account.orders.query_backoff_seconds_maximum)

    def _ask_later(self, seconds: float) -> None:
        self.after(seconds, Tick(name=ASK), key=ASK)

    def _backoff(self) -> float:
        settings = self.account.orders
        return min(
            settings.query_backoff_seconds_maximum,
            settings.query_backoff_seconds_minimum * float(2 ** min(self.queries - 1, 10)),
        )

    def _query_answered(self, state: Sent | Acknowledged | Done, reply: Reply) -> None:
        if isinstance(state, Done) or state.venue_order_id is None:
            return
        match self.dialect.read_order(reply, state.venue_order_id):
            case OrderReport() as report:
                self._take(report, rest=True)
            case OrderNotFound() as absent:
                self._not_found(state, absent)
            case Unreadable():
                self._ask_later(self._backoff())

    def _not_found(self, state: Sent | Acknowledged, absent: OrderNotFound) -> None:
        """Absence now is no proof of absence for ever, unless the venue guarantees it."""
        why = f"the venue does not show it: {absent.text}"
        if isinstance(state, Sent) and not (isinstance(state.knowledge, Unknown) and state.knowledge.why == why):
            self.record(OrderUnconfirmed(client_order_id=self.order, why=why))
        may_resend = self.dialect.capabilities.duplicates_refused_by_venue and isinstance(state, Sent)
        not_expired = self.now_ns() < state.terms.expires_at_ns
        # Counted from the last copy that was sent: a venue that hides an order hides it from every question.
        waited_seconds = self.monotonic() - self.placed_at
        patience_seconds = self.account.orders.resend_after_seconds
        if self.place_in_flight:
            # It may still wait in the gateway; only a gateway that was restarted never answers.
            patience_seconds = max(patience_seconds, self.account.gateway.timeout_seconds * 3)
        if may_resend and not_expired and state.cancel is None and waited_seconds >= patience_seconds:
            self._resend()
            return
        self._ask_later(self._backoff())

    # ---- reports ------------------------------------------------------------------------------------------

    @handles(ReportOrder)
    def _reported(self, message: ReportOrder) -> None:
        self._take(message.report, rest=message.rest)

    def _take(self, report: OrderReport, *, rest: bool) -> None:
        """Take the venue's state of the order. `rest` marks the truth; a stream's frame is only a notification."""
        state = self.state_or_none
        if not isinstance(state, (Sent, Acknowledged)):
            return
        if isinstance(state, Sent) and report.status is not VenueOrderStatus.REJECTED:
            kind = EvidenceKind.ORDER_QUERY if rest else EvidenceKind.ORDER_STREAM
            evidence = self._evidence(kind, f"venue shows {report.venue_status}")
            self.record(
                OrderAcknowledged(client_order_id=self.order, venue_order_id=report.venue_order_id, evidence=evidence)
            )
            state = self.state
            assert isinstance(state, Acknowledged)
        self._confirmed()
        if rest:
            self._correct_knowledge(state, report)
        self.filled_at_venue = max(self.filled_at_venue, report.filled_quantity)
        if self.filled_at_venue > state.progress.filled:
            self._await_missing_fills(state)
            if not rest and report.status is VenueOrderStatus.FILLED:
                return  # its fills are on their way; they end it by themselves, or the sweep asks
        if report.status.is_open:
            if rest and state.cancel is not None and state.cancel.answered:
                # The venue took it off and shows it open all the same: that view is late, or the order is back.
                self.after(self._backoff_of_cancel(), Tick(name=RECANCEL), key=RECANCEL)
            elif rest and report.status is VenueOrderStatus.DELAYED:
                self._ask_later(self.account.orders.query_backoff_seconds_minimum)
            return
        if not rest:
            self._ask()
            return
        detail = f"venue shows {report.venue_status} with {report.filled_quantity} filled"
        self._end(_outcome(state.terms, report), EvidenceKind.ORDER_QUERY, detail)

    def _correct_knowledge(self, state: Sent | Acknowledged, report: OrderReport) -> None:
        if not isinstance(state.knowledge, Known) or state.knowledge.filled != report.filled_quantity:
            known = Known(filled=report.filled_quantity, as_of_ns=self.now_ns(), source="order query")
            self.record(OrderConfirmed(client_order_id=self.order, knowledge=known))

    # ---- fills --------------------------------------------------------------------------------------------

    @handles(FillLogged)
    def _fill_logged(self, _message: FillLogged) -> None:
        """The fill log has folded it already; what is left is to see whether that ends the order.

        While it does not, nothing has changed that a leg counts.
        """
        state = self.state_or_none
        if state is None:
            self._finish()
            return
        if isinstance(state, Sent):
            execution = "an execution of the order overtook its acknowledgement"
            assert state.venue_order_id is not None
            self.record(
                OrderAcknowledged(
                    client_order_id=self.order,
                    venue_order_id=state.venue_order_id,
                    evidence=self._evidence(EvidenceKind.FILL_HISTORY, execution),
                )
            )
            self._confirmed()
        if not self._complete_if_filled() and isinstance(state, Done):
            self._tell_leg()

    def _complete_if_filled(self) -> bool:
        """End the order if its fills say so; returns whether they did."""
        state = self.state_or_none
        if isinstance(state, Done):
            self._await_missing_fills(state)
        elif isinstance(state, (Sent, Acknowledged)) and state.progress.filled >= state.terms.quantity:
            self._end(
                Filled(filled=state.progress.filled), EvidenceKind.FILL_HISTORY, "its fills add up to its quantity"
            )
            return True
        return False

    def _await_missing_fills(self, state: Sent | Acknowledged | Done) -> None:
        """The venue counts more than the log holds: the fills are on their way, or a sweep must fetch them."""
        if isinstance(state, Done) and state.fills_outstanding <= 0:
            self._finish()
            return
        self.after(self.account.reconciler.stream_grace_seconds, Tick(name=MISSING), key=MISSING)

    # ---- ending -------------------------------------------------------------------------------------------

    @handles(OrderEnded)
    def _ended_by_operator(self, message: OrderEnded) -> None:
        """The end is recorded already, in the commit of the operator's command."""
        if isinstance(self.state_or_none, (Sent, Acknowledged)):
            return
        self._let_go(f"{message.by} ended the order")

    def _end(self, outcome: Outcome, kind: EvidenceKind, detail: str) -> None:
        self.record(OrderDone(client_order_id=self.order, outcome=outcome, evidence=self._evidence(kind, detail)))
        if isinstance(outcome, Rejected) and any(word in outcome.code for word in ABOUT_HOLDINGS):
            self._trigger_sweep(SweepTrigger.REJECTION, f"{self.order}: {outcome.code}")
        self._let_go(f"the order has ended: {detail}")

    def _let_go(self, why: str) -> None:
        self._tell_leg()
        if self._may_have_alerts():
            for alert_id in (unconfirmed_id(self.order), uncancelled_id(self.order)):
                self._explain(alert_id, why)
        state = self.state_or_none
        if isinstance(state, Done) and state.fills_outstanding > 0:
            for key in (CONFIRM, ASK, RESEND, RECANCEL, UNCONFIRMED):
                self.cancel_timer(key)
            self._await_missing_fills(state)
        else:
            self._finish()  # which ends the timers as well

    @property
    def state_or_none(self) -> OrderState | None:
        """The ledger lets an order go once nothing can come of it any more."""
        return self.ledger.orders.get(self.order)

    def _trigger_sweep(self, trigger: SweepTrigger, detail: str, since_ns: int | None = None) -> None:
        sweep = Sweep(trigger=trigger, detail=detail, since_ns=since_ns)
        self.context.tell(Paths.connection(self.account.account, "reconciler"), sweep)

    # ---- cancelling ---------------------------------------------------------------------------------------

    @handles(CancelOrder)
    def _cancel(self, message: CancelOrder) -> None:
        state = self.state_or_none
        if not isinstance(state, (Sent, Acknowledged)) or state.cancel is not None:
            return
        try:
            lsn = self.record(CancelRequested(client_order_id=self.order, reason=message.reason))
        except StoreFailed:
            # Nothing can be recorded any more, and a cancel goes out all the same (law L9): once, if it is answered.
            if not self.off_the_book:
                self._send_cancel(state, self.context.recorder.journal.last_lsn)
            raise
        if isinstance(state, Sent) and not self.copies_in_doubt:
            self._refused("not_sent", f"the venue refused it before acting, and then: {message.reason}")
            return
        self._send_cancel(state, lsn)

    def _send_cancel(self, state: Sent | Acknowledged, after: Lsn) -> None:
        assert state.venue_order_id is not None
        self._exchange(self.dialect.cancel(state.venue_order_id), CANCEL, after)
        self.after(self.account.gateway.timeout_seconds * 2, Tick(name=RECANCEL), key=RECANCEL)

    def _cancel_answered(self, state: Sent | Acknowledged | Done, outcome: CancelOutcome) -> None:
        if isinstance(state, Done):
            return
        match outcome:
            case CancelRefused():
                # It stays wanted: the order is still open, and still to be cancelled.
                self.after(max(outcome.wait_seconds, 0.25), Tick(name=RECANCEL), key=RECANCEL)
            case CancelUnknown():
                self._trigger_sweep(SweepTrigger.CANCEL_UNKNOWN, f"{self.order}: {outcome.text}")
                self.after(self._backoff_of_cancel(), Tick(name=RECANCEL), key=RECANCEL)
                self._ask()
            case _:
                # Off the book or filled: either way the venue's order state says how much was executed.
                self.off_the_book = True
                if self.context.recorder.journal.failed is not None:
                    self.context.off_the_book.add(self.order)
                self.cancel_timer(RECANCEL)
                self.record(CancelAnswered(client_order_id=self.order, outcome=outcome))
                self._complete_if_filled()
                if isinstance(self.state_or_none, (Sent, Acknowledged)):
                    self._ask()

    def _backoff_of_cancel(self) -> float:
        self.cancels += 1
        settings = self.account.orders
        return min(
            settings.query_backoff_seconds_maximum,
            settings.query_backoff_seconds_minimum * float(2 ** min(self.cancels - 1, 10)),
        )

    # ---- timers -------------------------------------------------------------------------------------------

    @handles(Tick)
    def _tick(self, message: Tick) -> None:
        state = self.state_or_none
        if state is None:
            self._finish()
            return
        match message.name, state:
            case "confirm", Sent() | Acknowledged():
                self._unanswered(state)
            case "ask", Sent() | Acknowledged():
                self.query_in_flight = False
                self._ask()
            case "resend", Sent():
                self._resend()
            case "recancel", Sent() | Acknowledged():
                if state.cancel is not None:
                    self._send_cancel(state, self.context.recorder.journal.last_lsn)
                    self._alert_cancel(state)
            case "unconfirmed", Sent():
                self._raise(unconfirmed(state, self.now_ns()))
            case "missing", Sent() | Acknowledged() | Done():
                self._fills_missing(state)
            case _:
                pass

    def _unanswered(self, state: Sent | Acknowledged) -> None:
        if isinstance(state, Sent):
            waited = self.account.orders.confirm_within_seconds
            self.record(OrderUnconfirmed(client_order_id=self.order, why=f"no answer within {waited} s"))
            self._alert_in_time(state)
            self._trigger_sweep(SweepTrigger.UNCONFIRMED_ORDER, str(self.order))
        self._ask()

    # ---- alerts -------------------------------------------------------------------------------------------

    def _may_have_alerts(self) -> bool:
        return bool(self.alerted or self.ledger.alerts)

    def _explain(self, alert_id: AlertId, by: str) -> None:
        if alert_id in self.alerted or alert_id in self.ledger.alerts:
            self.alerted -= {alert_id}
            self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert_id, by=by))

    def _alert_in_time(self, state: Sent) -> None:
        """A person is told of an order that the venue has not answered for, however often it was asked or sent."""
        waited_seconds = (self.now_ns() - state.sent_at_ns) / 1e9
        left_seconds = max(0.0, self.account.orders.unconfirmed_alert_seconds - waited_seconds)
        self.after(left_seconds, Tick(name=UNCONFIRMED), key=UNCONFIRMED)

    def _alert_cancel(self, state: Sent | Acknowledged) -> None:
        if state.cancel is None or uncancelled_id(self.order) in self.alerted:
            return
        if self.now_ns() - state.cancel.requested_at_ns >= self.account.orders.unconfirmed_alert_seconds * 1e9:
            self._raise(uncancelled(state, self.now_ns()))

    def _raise(self, alert: Alert) -> None:
        self.alerted |= {alert.alert_id}
        self.context.ref(Paths.ALERTS).tell(Raise(alert=alert))

    def _fills_missing(self, state: Sent | Acknowledged | Done) -> None:
        if isinstance(state, Done):
            missing = state.fills_outstanding > 0
        else:
            missing = self.filled_at_venue > state.progress.filled
        if missing:
            overlap_ns = int(self.account.reconciler.overlap_seconds * 1e9)
            detail = f"{self.order}: the venue counts more than the log"
            self._trigger_sweep(SweepTrigger.UNMATCHED_FILL, detail, since_ns=_sent_at(state) - overlap_ns)
            # The venue's history may trail its order book; from the cadence on the sweeps come by themselves.
            self.misses += 1
            grace_seconds = self.account.reconciler.stream_grace_seconds * float(2 ** min(self.misses, 10))
            self.after(min(self.account.reconciler.cadence_seconds, grace_seconds), Tick(name=MISSING), key=MISSING)
        elif isinstance(state, Done):
            self._finish()


def _sent_at(state: Sent | Acknowledged | Done) -> int:
    before = state.before if isinstance(state, Done) else state
    return before.sent_at_ns if isinstance(before, Sent) else before.sent.sent_at_ns


def _outcome(terms: OrderTerms, report: OrderReport) -> Outcome:
    """What the venue's final state of an order amounts to."""
    filled = Quantity(report.filled_quantity)
    match report.status:
        case VenueOrderStatus.REJECTED:
            return Rejected(code="venue_rejected", text=report.venue_status)
        case VenueOrderStatus.EXPIRED:
            return Expired(filled=filled)
        case VenueOrderStatus.FILLED if filled >= terms.quantity:
            return Filled(filled=filled)
        case _:
            # FILLED short of its quantity is a remainder that the venue dropped (IOC), or dust it rounded away.
            return Cancelled(filled=filled)
