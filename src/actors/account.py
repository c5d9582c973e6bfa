"""One account's desk: its state, its order actors, and who is told what.

An account is Recovering, Live, Degraded or Halted. New orders go out only when Live: the gateway is ready, the private
stream is up, a complete sweep has closed the gap before it, and the opening balances are known. A close goes out when
the venue says that there is something to close. Cancels and questions go out always.
"""

from ..model.account import AccountState, SweepTrigger
from ..model.alert import Alert, AlertKind, Severity
from ..model.closing import is_close
from ..model.event import AccountChanged, ForeignOrderSeen, StreamGap
from ..model.identifiers import AccountId, AlertId, AssetId, ClientOrderId, VenueOrderId
from ..model.money import plain
from ..model.order import Acknowledged, Computed, Done, OrderTerms, Sent, Withdrawn
from ..model.report import OrderReport
from ..store.records import ALERTS, ORDER_NAMES, order_name_row
from .closing import ClosingActor
from .context import Connection, Context, Paths
from .kernel import ActorDeadError, ActorRef, handles
from .messages import (
    AccountMoved,
    CancelOrder,
    CompareNow,
    Explain,
    GatewayDown,
    GatewayReady,
    OpeningKnown,
    OperatorMoved,
    OrderRefused,
    PlaceOrder,
    Raise,
    ReportOrder,
    StreamDown,
    StreamUp,
    Sweep,
    SweepEnded,
)


class AccountDesk(ClosingActor):
    """Opens the door for new orders, and closes it again."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.gateway_ready = False
        self.stream_up = False
        self.swept = False
        self.gap_since_ns: int | None = None
        self.gap_reason = ""
        self.was_live = False
        self.foreign: set[VenueOrderId] = set()

    def on_start(self) -> None:
        if self.incarnation > 1:
            # The connections outlived this actor's crash; a sweep tells whether anything was missed.
            known = self.context.connection(self.account)
            self.gateway_ready, self.stream_up = known.gateway_ready, known.stream_up
            self.was_live = True
            if self.gateway_ready and self.stream_up:
                self._sweep(SweepTrigger.GATEWAY_RESTART)
            self._ask_for_slices_again()
        self._move()

    def _ask_for_slices_again(self) -> None:
        """Slices that waited here for the venue's word are with nobody now: their legs are to hand them in again."""
        for state in list(self.ledger.orders.values()):
            terms = state.terms
            if not isinstance(state, Computed) or terms.account != self.account:
                continue
            leg = self.context.find(Paths.leg(terms.strategy, terms.intent_id, terms.leg))
            if leg is not None:
                order, why = terms.client_order_id, "the account's desk was restarted"
                leg.tell(OrderRefused(client_order_id=order, gate="account_live", message=why, held=True))

    def _recover_orders(self) -> None:
        """Every order of which something may still come gets its actor again; the first sweep asks for each of them."""
        for state in list(self.ledger.orders.values()):
            terms = state.terms
            if terms.account != self.account:
                continue
            if isinstance(state, (Sent, Acknowledged)) or (isinstance(state, Done) and state.fills_outstanding > 0):
                self._start_order(terms, recovered=True)  # where it lives already, nothing happens

    def _start_order(self, terms: OrderTerms, *, recovered: bool) -> ActorRef | None:
        """The order's actor; None while their supervisor is being started again: then the next sweep starts it."""
        try:
            return self.context.start.start_order(terms, recovered=recovered)
        except ActorDeadError:
            return None

    def _actor(self, order: ClientOrderId) -> ActorRef | None:
        return self.context.find(Paths.order(self.account, order))

    # ---- state --------------------------------------------------------------------------------------------

    def _wanted(self) -> tuple[AccountState, str]:
        halted = self.ledger.halted.get(self.account, self.ledger.halted.get(None))
        if halted is not None:
            return AccountState.HALTED, halted
        closed = AccountState.DEGRADED if self.was_live else AccountState.RECOVERING
        if not self.gateway_ready:
            return closed, "the venue is not reached yet"
        if not self.stream_up:
            return closed, f"the private stream is down: {self.gap_reason}"
        if not self.swept:
            return closed, "a sweep has not closed the gap yet"
        entry = self.ledger.account(self.account)
        if not entry.opened and entry.opening_observed:
            return closed, "positions from before the first start await an operator's adoption"
        if not entry.opened:
            return closed, "the opening balances are not known yet"
        return AccountState.LIVE, "reconciled"

    def _connected(self, *, gateway_ready: bool | None = None, stream_up: bool | None = None) -> None:
        """Note how the account is connected, before anything else: a crash over the rest must not forget it."""
        if gateway_ready is not None:
            self.gateway_ready = gateway_ready
        if stream_up is not None:
            self.stream_up = stream_up
        self.context.connections[self.account] = Connection(gateway_ready=self.gateway_ready, stream_up=self.stream_up)

    def _move(self) -> None:
        state, reason = self._wanted()
        entry = self.ledger.account(self.account)
        if (entry.state, entry.reason) == (state, reason):
            return
        self.record(AccountChanged(account=self.account, state=state, reason=reason))
        if state is AccountState.LIVE:
            self.was_live = True
        if entry.state is not state:
            for name, strategy in self.context.strategies.items():
                desk = self.context.find(Paths.strategy(name, "desk"))
                if desk is not None and self.account in strategy.accounts:
                    desk.tell(AccountMoved(account=self.account, state=state))

    @handles(GatewayDown)
    def _gateway_down(self, _message: GatewayDown) -> None:
        self._connected(gateway_ready=False)
        self.swept = False
        self._move()

    @handles(GatewayReady)
    def _gateway_ready(self, _message: GatewayReady) -> None:
        self._connected(gateway_ready=True)
        self._recover_orders()
        if self.stream_up:
            self._sweep(SweepTrigger.GATEWAY_RESTART if self.was_live else SweepTrigger.START)
        self._move()

    @handles(StreamDown)
    def _stream_down(self, message: StreamDown) -> None:
        self._connected(stream_up=False)
        self.swept = False
        self.gap_reason = message.reason
        if self.gap_since_ns is None:
            self.gap_since_ns = message.since_ns
        self._move()

    @handles(StreamUp)
    def _stream_up(self, message: StreamUp) -> None:
        self._connected(stream_up=True)
        self.swept = False
        if self.gap_since_ns is None:
            self.gap_since_ns = message.down_since_ns
        if self.gateway_ready:
            self._sweep(SweepTrigger.STREAM_RESTART if self.was_live else SweepTrigger.START)
        self._move()

    def _sweep(self, trigger: SweepTrigger) -> None:
        self._pass_on(Sweep(trigger=trigger))

    @handles(Sweep)
    def _pass_on(self, message: Sweep) -> None:
        reconciler = self.context.find(Paths.connection(self.account, "reconciler"))
        if reconciler is None:
            # The tree is still starting, in order; what follows this actor in it comes in a moment.
            self.after(0.01, message)
        else:
            reconciler.tell(message)

    @handles(SweepEnded)
    def _sweep_ended(self, message: SweepEnded) -> None:
        """A complete sweep that began after the stream was up has closed the gap."""
        record = message.record
        alert_id = AlertId(f"reconciliation_incomplete:{self.account}")
        if not record.complete:
            self._alert_incomplete(alert_id, record.why)
            self._move()
            return
        if alert_id in self.ledger.alerts:
            by = f"sweep {record.sweep_id} was complete"
            self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert_id, by=by))
        if self.stream_up and not self.swept and message.stream_was_up:
            self.swept = True
            if self.gap_since_ns is not None:
                self.record(
                    StreamGap(
                        account=self.account,
                        from_ns=self.gap_since_ns,
                        until_ns=self.now_ns(),
                        reason=self.gap_reason or "start",
                    )
                )
                self.gap_since_ns = None
            if not self.ledger.account(self.account).opened:
                self.context.tell(Paths.account(self.account, "witness"), CompareNow(why="opening"))
        self._move()

    def _alert_incomplete(self, alert_id: AlertId, why: str) -> None:
        if self.swept:
            return  # the next sweep on the cadence may well succeed; the gap is closed already
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=alert_id,
                    kind=AlertKind.RECONCILIATION_INCOMPLETE,
                    severity=Severity.CRITICAL,
                    message=(
                        f"{self.account}: the venue could not be reconciled ({why}); new orders wait, it is tried again"
                    ),
                    diagnosis="",
                    evidence=(("why", why),),
                    opened_at_ns=self.now_ns(),
                    account=self.account,
                )
            )
        )

    @handles(OpeningKnown)
    def _opening_known(self, _message: OpeningKnown) -> None:
        self._move()

    @handles(OperatorMoved)
    def _operator_moved(self, _message: OperatorMoved) -> None:
        self._move()

    # ---- orders -------------------------------------------------------------------------------------------

    @handles(PlaceOrder)
    def _place(self, message: PlaceOrder) -> None:
        terms = message.order.terms
        if is_close(self.ledger.book(self.account, AssetId(terms.instrument)), terms.direction):
            self.check_close(message)
        else:
            self.send(message)

    def send(self, message: PlaceOrder) -> None:
        entry = self.ledger.account(self.account)
        if entry.state is not AccountState.LIVE:
            self.refuse(message, "account_live", f"{self.account} is {entry.state}: {entry.reason}", held=True)
            return
        if self._start_order(message.order.terms, recovered=False) is None:
            self.refuse(message, "account_live", f"the orders of {self.account} are being started again", held=True)

    @handles(CancelOrder)
    def _cancel(self, message: CancelOrder) -> None:
        state = self.ledger.orders.get(message.client_order_id)
        if state is None or isinstance(state, (Done, Withdrawn)):
            return
        actor = self._actor(message.client_order_id)
        if actor is None:
            actor = self._start_order(state.terms, recovered=False)
        if actor is not None:
            actor.tell(message)

    @handles(ReportOrder)
    def _report(self, message: ReportOrder) -> None:
        report = message.report
        order = self.ledger.by_venue_id.get((self.account, report.venue_order_id))
        if order is None:
            self._unknown_order(report)
            return
        state = self.ledger.orders[order]
        if isinstance(state, (Done, Withdrawn)):
            return
        actor = self._actor(order)
        if actor is None:
            actor = self._start_order(state.terms, recovered=False)
        if actor is not None:
            actor.tell(message)

    def _unknown_order(self, report: OrderReport) -> None:
        """An order of ours that has ended long ago, or one that the journal has never seen."""
        venue_order_id = report.venue_order_id
        journal = self.context.recorder.journal
        alert_id = AlertId(f"foreign_order:{self.account}:{venue_order_id}")
        if not report.status.is_open or venue_order_id in self.foreign:
            return
        if journal.get(ORDER_NAMES, order_name_row(self.account, venue_order_id)) or journal.get(ALERTS, alert_id):
            return
        self.foreign.add(venue_order_id)
        detail = (
            f"{report.direction} {plain(report.original_quantity)} {report.instrument} at {plain(report.price)}, "
            f"{plain(report.filled_quantity)} filled, {report.venue_status}"
        )
        self.record(ForeignOrderSeen(account=self.account, venue_order_id=venue_order_id, detail=detail))
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=alert_id,
                    kind=AlertKind.FOREIGN_ORDER,
                    severity=Severity.CRITICAL,
                    message=(
                        f"{self.account}: the venue shows an open order that this runtime did not send; "
                        "it is left alone"
                    ),
                    diagnosis="foreign_order",
                    evidence=(("venue order", venue_order_id), ("order", detail)),
                    opened_at_ns=self.now_ns(),
                    account=self.account,
                    instrument=report.instrument,
                )
            )
        )
