"""The only door for fills of one account (law L5): each execution enters once, by whatever path it came first.

The ledger of what has entered is in the store, exact and for ever; here is only what is under way: settlements, and
fills that a sweep found before the stream said a word. Such a fill may still be on its way; when the stream's time is
up it was dropped, and that is alerted with the evidence, as explained by the sweep that recovered it.
"""

from collections.abc import Sequence

import msgspec

from ..model.account import SweepTrigger
from ..model.alert import Alert, AlertKind, Severity
from ..model.event import Event, FillConflict, FillRecorded, FillSettled, ReportQuarantined, StrategyPaused
from ..model.fill import Execution, Fill, FillKey, FillSource, Settlement
from ..model.identifiers import AccountId, AlertId, AssetId, ClientOrderId, TradeId, VenueOrderId
from ..model.money import ZERO, plain
from ..model.order import Acknowledged, OrderTerms
from ..model.report import ExecutionReport, SettlementReport
from ..model.timestamps import rfc3339
from ..model.value import Value
from ..store.errors import StoreFailed
from ..store.records import (
    FILLS,
    ORDER_NAMES,
    ORDERS,
    SETTLEMENTS,
    decode_execution,
    decode_terms,
    fill_row,
    order_name_row,
)
from .alerts import announce, opening_of
from .context import Context, Leaving, Paths, TradingActor, log
from .kernel import handles
from .messages import CompareNow, Explain, FillLogged, LogExecutions, OrderMoved, PauseStrategy, Raise, Sweep

HINTS_APART_SECONDS = 1.0
"""The witness waits longer than this after a hint, so one of them is for all fills of that time."""


POISON_CRASHES = 2
"""A report that crashes its handler so often is put aside; the others must not wait for it for ever."""


def quarantined_id(key: FillKey) -> AlertId:
    """The alert of a report that was put aside."""
    return AlertId(f"quarantined:{key.account}:{key.trade_id}:{key.venue_order_id}")


class StreamDue(Value, frozen=True):
    """By now the stream should have delivered this fill."""

    key: FillKey


class FillLogActor(TradingActor):
    """One account's fills: deduplicated, attributed, settled, and told to whom they concern."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context)
        self.account = account
        self.settings = context.accounts[account]
        self.dialect = context.dialects[account]
        self.unheard: dict[FillKey, Fill] = {}
        self.hint_again_at = float("-inf")

    def on_start(self) -> None:
        if self.incarnation > 1:
            # The report that it crashed over is gone; the venue still has what it said.
            reconciler = self.context.find(Paths.connection(self.account, "reconciler"))
            if reconciler is not None:
                reconciler.tell(Sweep(trigger=SweepTrigger.UNMATCHED_FILL, detail="the fill log was restarted"))
        else:
            # A new start, of the process or of the account's branch alone, tries what was put aside again.
            for key in [key for key in self.context.poison if key.account == self.account]:
                del self.context.poison[key]
            self._explain_what_is_logged()

    def _explain_what_is_logged(self) -> None:
        """A report that crashed its handler after its fill was recorded: the start's sweep reads the rest of it."""
        for alert in list(self.ledger.alerts.values()):
            if alert.kind is not AlertKind.REPORT_QUARANTINED or alert.account != self.account:
                continue
            told = dict(alert.evidence)
            key = FillKey(
                account=self.account,
                trade_id=TradeId(told["trade"]),
                venue_order_id=VenueOrderId(told["venue order"]),
            )
            if alert.state.is_open and self.context.recorder.journal.get(FILLS, fill_row(key)) is not None:
                by = "its fill is in the log, and what else there is of it is read by this start's sweep"
                self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert.alert_id, by=by))

    @handles(LogExecutions)
    def _log(self, message: LogExecutions) -> None:
        for report in message.reports:
            try:
                self._take(report, message)
            except (StoreFailed, Leaving):
                raise
            except Exception as error:
                if not self._is_poison(report, error):
                    raise

    def _take(self, report: ExecutionReport | SettlementReport, message: LogExecutions) -> None:
        match report:
            case ExecutionReport():
                if self.context.poison.get(report.execution.key, 0) < POISON_CRASHES:
                    self._execution(report.execution, message)
            case SettlementReport():
                if self.context.poison.get(report.key, 0) < POISON_CRASHES:
                    self._settlement(report.key, report.settlement, report.transaction)

    # ---- poison -------------------------------------------------------------------------------------------

    def _is_poison(self, report: ExecutionReport | SettlementReport, error: Exception) -> bool:
        """Whether a report is put aside: on its second crash. On the first this actor restarts, and a sweep follows."""
        key = report.execution.key if isinstance(report, ExecutionReport) else report.key
        crashes = self.context.poison[key] = self.context.poison.get(key, 0) + 1
        if crashes < POISON_CRASHES:
            return False
        why = f"{type(error).__name__}: {error}"
        content = msgspec.json.encode(report)
        log.exception("a report crashed its handler again and is quarantined", trade=key.trade_id)
        self.record(ReportQuarantined(key=key, report=content, why=why, message_id=self.message_id))
        alert_id = quarantined_id(key)
        text = (
            f"{self.account}: a report about trade {key.trade_id} crashed its handler twice and is quarantined; what "
            "it says is not in the book, and the strategies of the account are paused. The next start tries it again"
        )
        alert = Alert(
            alert_id=alert_id,
            kind=AlertKind.REPORT_QUARANTINED,
            severity=Severity.CRITICAL,
            message=text,
            diagnosis="",
            evidence=(
                ("trade", key.trade_id),
                ("venue order", key.venue_order_id),
                ("error", why),
                ("message", str(self.message_id)),
                ("report", content.decode()),
            ),
            opened_at_ns=self.now_ns(),
            account=self.account,
        )
        self.context.ref(Paths.ALERTS).tell(Raise(alert=alert))
        for strategy, settings in self.context.strategies.items():
            desk = self.context.find(Paths.strategy(strategy, "desk"))
            if self.account in settings.accounts and desk is not None:
                desk.tell(PauseStrategy(strategy=strategy, reason=text, alert_id=alert_id))
        return True

    # ---- executions ---------------------------------------------------------------------------------------

    def _execution(self, execution: Execution, message: LogExecutions) -> None:
        journal = self.context.recorder.journal
        known = journal.get(FILLS, fill_row(execution.key))
        if known is not None:
            self._seen_again(decode_execution(known), execution, message)
            return
        fill = self._attributed(execution, message)
        event = FillRecorded(fill=fill)
        if fill.client_order_id is not None and execution.settlement is not Settlement.REVERSED:
            self.record(event)
        else:
            self._record_with(event, self._alerts_of(fill), self._pauses_of(fill))
        if self.ledger.alerts and (alert_id := quarantined_id(execution.key)) in self.ledger.alerts:
            self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert_id, by="the report was read by a later start"))
        if fill.client_order_id is None:
            self._sweep(f"trade {execution.key.trade_id} matches no order")
        else:
            self._tell_order(fill, fill.client_order_id, message)
        self._tell_witness()
        # What was executed before this runtime started, no stream of it can have lost; the history may show it late.
        before_our_time = execution.venue_time_ns < self.context.born_ns
        if message.source is FillSource.SWEEP and fill.client_order_id is not None and not before_our_time:
            self.unheard[execution.key] = fill
            grace = self.settings.reconciler.stream_grace_seconds
            self.after(grace, StreamDue(key=execution.key), key=f"stream {execution.key}")

    def _record_with(self, event: Event, alerts: Sequence[Alert], pauses: Sequence[StrategyPaused] = ()) -> None:
        """Record a fact with its alerts and pauses in one group: none without the others, wherever the process ends."""
        opened = [opened for alert in alerts for opened in opening_of(self.context, alert)]
        lsn = self.record(event, *opened, *pauses)
        for found in opened:
            announce(self.context, found.alert, lsn)

    def _alerts_of(self, fill: Fill) -> list[Alert]:
        """What a person must be told of a fill: that it is nobody's, or that it had failed before it was heard of."""
        alerts = [self._foreign(fill)] if fill.client_order_id is None else []
        if fill.execution.settlement is Settlement.REVERSED:
            alerts.append(self._reversed(fill, fill.execution.transaction))
        return alerts

    def _attributed(self, execution: Execution, message: LogExecutions) -> Fill:
        """Whose fill it is, what it cost by the venue's rule where the venue did not say, and the market then."""
        instrument = self.ledger.instruments.get(execution.instrument)
        if execution.fee is None and instrument is not None:
            fee = self.dialect.fee(instrument, execution.price, execution.quantity, execution.liquidity)
            execution = msgspec.structs.replace(execution, fee=fee)
        terms = self._terms(execution.key)
        quote = self.context.quotes.get(execution.instrument)
        return Fill(
            execution=execution,
            source=message.source,
            received_at_ns=message.received_at_ns,
            client_order_id=terms.client_order_id if terms is not None else None,
            intent_id=terms.intent_id if terms is not None else None,
            strategy=terms.strategy if terms is not None else None,
            mid_at_fill=quote.mid if quote is not None and quote.fresh else None,
            purpose=terms.purpose if terms is not None else "",
        )

    def _terms(self, key: FillKey) -> OrderTerms | None:
        """The terms of our order with this id at the venue, live or long ended; None for an order that is not ours."""
        live = self.ledger.order_by_venue_id(self.account, key.venue_order_id)
        if live is not None:
            return live.terms
        journal = self.context.recorder.journal
        name = journal.get(ORDER_NAMES, order_name_row(self.account, key.venue_order_id))
        row = None if name is None else journal.get(ORDERS, name)
        return None if row is None else decode_terms(row)

    def _tell_order(self, fill: Fill, order: ClientOrderId, message: LogExecutions) -> None:
        state = self.ledger.orders.get(order)
        if (
            isinstance(state, Acknowledged)
            and state.progress.filled < state.sent.computed.terms.quantity
            and len(message.reports) == 1
        ):
            # It goes on as it was, and its actor would do nothing. (A message with several executions names no order;
            # what it causes says in the journal of messages whose it was.)
            return
        actor = self.context.find(Paths.order(self.account, order))
        if actor is not None:
            actor.tell(FillLogged(fill=fill))
            return
        # The order's actor has ended; its leg, if it still works, must hear of a late fill all the same.
        if state is None:
            return
        leg = self.context.find(Paths.leg(state.terms.strategy, state.terms.intent_id, state.terms.leg))
        if leg is not None:
            leg.tell(OrderMoved(state=state))

    def _tell_witness(self) -> None:
        now = self.monotonic()
        if now >= self.hint_again_at:
            self.hint_again_at = now + HINTS_APART_SECONDS
            self.context.tell(Paths.account(self.account, "witness"), CompareNow(why="hint"))

    # ---- seen again ---------------------------------------------------------------------------------------

    def _seen_again(self, known: Execution, found: Execution, message: LogExecutions) -> None:
        if message.source is FillSource.STREAM and self.unheard.pop(found.key, None) is not None:
            self.cancel_timer(f"stream {found.key}")
        same = (known.instrument, known.direction, known.quantity) == (
            found.instrument,
            found.direction,
            found.quantity,
        )
        # An average is written with as many digits as its writer likes; its exact value is what counts.
        same_price = known.price == found.price or (known.value is not None) is not (found.value is not None)
        if not same or not same_price:
            self._conflict(known, found, message)
            return
        self._settlement(found.key, found.settlement, found.transaction)

    def _conflict(self, known: Execution, found: Execution, message: LogExecutions) -> None:
        """Two reports under one key that differ: held and shown, not guessed (law L5)."""
        detail = (
            f"log has {known.direction} {plain(known.quantity)} {known.instrument} at {plain(known.price)}, "
            f"{message.source} says {found.direction} {plain(found.quantity)} {found.instrument} "
            f"at {plain(found.price)}"
        )
        alert_id = AlertId(f"fill_conflict:{self.account}:{found.key.trade_id}:{found.key.venue_order_id}")
        if alert_id in self.ledger.alerts:
            return
        self.record(FillConflict(key=found.key, found=self._attributed(found, message), detail=detail))
        self._raise(
            alert_id,
            AlertKind.FILL_CONFLICT,
            f"{self.account}: two reports of trade {found.key.trade_id} differ; "
            "the first stands until a person decides",
            (("difference", detail), ("trade", found.key.trade_id), ("venue order", found.key.venue_order_id)),
            None,
        )

    # ---- settlement ---------------------------------------------------------------------------------------

    def _settlement(self, key: FillKey, settlement: Settlement, transaction: str) -> None:
        row = self.context.recorder.journal.get(SETTLEMENTS, fill_row(key))
        if row is None:
            # A settlement of an execution that never came: the sweep reads the execution itself.
            self._sweep(f"settlement of unknown trade {key.trade_id}")
            return
        before = Settlement(row.decode())
        if settlement is before or (before.is_final and not settlement.is_final):
            return
        fill = self.ledger.unsettled.get(key)
        if before.is_final or fill is None:
            if settlement is not before:
                self._raise(
                    AlertId(f"settlement_changed:{self.account}:{key.trade_id}:{key.venue_order_id}"),
                    AlertKind.FILL_CONFLICT,
                    f"{self.account}: trade {key.trade_id} was {before} and is now reported {settlement}; "
                    "the book stands until a person decides",
                    (("trade", key.trade_id), ("before", before), ("now", settlement)),
                    None,
                )
            return
        alerts = [self._reversed(fill, transaction)] if settlement is Settlement.REVERSED else []
        self._record_with(FillSettled(key=key, settlement=settlement, transaction=transaction), alerts)
        if settlement is Settlement.REVERSED:
            self._tell_leg(fill)
        if settlement.is_final:
            self._tell_witness()
            stalled = stalled_alert_id(key)
            if stalled in self.ledger.alerts:
                self.context.ref(Paths.ALERTS).tell(
                    Explain(alert_id=stalled, by=f"trade {key.trade_id} is {settlement}")
                )

    def _tell_leg(self, fill: Fill) -> None:
        """What a leg at work counts has become less. Its order may have ended long ago and tells it nothing more."""
        state = None if fill.client_order_id is None else self.ledger.orders.get(fill.client_order_id)
        if state is None:
            return
        terms = state.terms
        leg = self.context.find(Paths.leg(terms.strategy, terms.intent_id, terms.leg))
        if leg is not None:
            leg.tell(OrderMoved(state=state))

    def _reversed(self, fill: Fill, transaction: str) -> Alert:
        execution = fill.execution
        key = execution.key
        return self._alert(
            AlertId(f"fill_reversed:{self.account}:{key.trade_id}:{key.venue_order_id}"),
            AlertKind.FILL_REVERSED,
            f"{self.account}: trade {key.trade_id} failed to settle; its {plain(execution.quantity)} "
            f"{execution.instrument} left the book again, the position is smaller than the venue's match said",
            (
                ("trade", key.trade_id),
                ("order", fill.client_order_id or key.venue_order_id),
                ("quantity", plain(execution.quantity)),
                ("price", plain(execution.price)),
                ("transaction", transaction),
            ),
            fill,
        )

    # ---- fills that the stream lost -----------------------------------------------------------------------

    @handles(StreamDue)
    def _stream_due(self, message: StreamDue) -> None:
        fill = self.unheard.pop(message.key, None)
        if fill is None:
            return
        alert = dropped_fill_alert(fill.execution, fill.client_order_id, self.now_ns())
        alerts = self.context.ref(Paths.ALERTS)
        alerts.tell(Raise(alert=msgspec.structs.replace(alert, strategy=fill.strategy)))
        alerts.tell(
            Explain(
                alert_id=alert.alert_id,
                by=f"fill recovered by {fill.source}: trade {message.key.trade_id} is booked from the venue's history",
                evidence=(("recovered at", rfc3339(fill.received_at_ns)), ("recovered by", fill.source.value)),
            )
        )

    # ---- foreign ------------------------------------------------------------------------------------------

    def _foreign(self, fill: Fill) -> Alert:
        execution = fill.execution
        key = execution.key
        return self._alert(
            foreign_fill_id(key),
            AlertKind.FOREIGN_FILL,
            f"{self.account}: trade {key.trade_id} belongs to an order that this runtime did not send; it is in the "
            "account's book and attributed to no strategy",
            (
                ("trade", key.trade_id),
                ("venue order", key.venue_order_id),
                ("execution", f"{execution.direction} {plain(execution.quantity)} at {plain(execution.price)}"),
            ),
            fill,
        )

    def _pauses_of(self, fill: Fill) -> tuple[StrategyPaused, ...]:
        """Strategies that believe to hold more than a stranger has left would sell what has been sold already."""
        instrument = fill.execution.instrument
        if fill.client_order_id is not None or fill.execution.settlement is Settlement.REVERSED:
            return ()
        holders = {
            strategy: held.matched
            for (strategy, name), held in self.ledger.positions.items()
            if name == instrument and held.matched
        }
        left = sum(
            (book.matched for (_, asset), book in self.ledger.holdings.items() if asset == AssetId(instrument)),
            fill.signed_quantity,
        )
        believed = sum(holders.values(), ZERO)
        if not believed or abs(believed) <= abs(left):
            return ()
        key = fill.execution.key
        reason = (
            f"strategies believe to hold {plain(believed)} {instrument}, and {plain(left)} are left after trade "
            f"{key.trade_id}, which is nobody's here"
        )
        return tuple(
            StrategyPaused(strategy=strategy, reason=reason, alert_id=foreign_fill_id(key))
            for strategy in holders
            if self.ledger.strategy(strategy).paused is None
        )

    def _sweep(self, detail: str) -> None:
        sweep = Sweep(trigger=SweepTrigger.UNMATCHED_FILL, detail=detail)
        self.context.tell(Paths.connection(self.account, "reconciler"), sweep)

    def _raise(
        self, alert_id: AlertId, kind: AlertKind, message: str, evidence: tuple[tuple[str, str], ...], fill: Fill | None
    ) -> None:
        self.context.ref(Paths.ALERTS).tell(Raise(alert=self._alert(alert_id, kind, message, evidence, fill)))

    def _alert(
        self, alert_id: AlertId, kind: AlertKind, message: str, evidence: tuple[tuple[str, str], ...], fill: Fill | None
    ) -> Alert:
        return Alert(
            alert_id=alert_id,
            kind=kind,
            severity=Severity.CRITICAL,
            message=message,
            diagnosis=kind,
            evidence=evidence,
            opened_at_ns=self.now_ns(),
            account=self.account,
            strategy=fill.strategy if fill is not None else None,
            instrument=fill.execution.instrument if fill is not None else None,
        )


def foreign_fill_id(key: FillKey) -> AlertId:
    """The alert about an execution of an order that nobody here sent. One per execution, for ever."""
    return AlertId(f"foreign_fill:{key.account}:{key.trade_id}:{key.venue_order_id}")


def stalled_alert_id(key: FillKey) -> AlertId:
    """The alert about an execution that has not settled for too long: the witness opens, its settlement closes it."""
    return AlertId(f"settlement_stalled:{key.account}:{key.trade_id}:{key.venue_order_id}")


def dropped_fill_alert(execution: Execution, order: ClientOrderId | None, now_ns: int) -> Alert:
    """The alert for an execution that the stream never delivered. One per execution, for ever."""
    key = execution.key
    return Alert(
        alert_id=AlertId(f"dropped_fill:{key.account}:{key.trade_id}:{key.venue_order_id}"),
        kind=AlertKind.DROPPED_FILL,
        severity=Severity.WARNING,
        message=(
            f"{key.account}: the stream did not deliver trade {key.trade_id} "
            f"({execution.direction} {plain(execution.quantity)} {execution.instrument} at {plain(execution.price)}); "
            "a sweep books it from the venue's history"
        ),
        diagnosis="dropped_fill",
        evidence=(
            ("trade", key.trade_id),
            ("order", order or "not ours"),
            ("venue order", key.venue_order_id),
            ("execution", f"{execution.direction} {plain(execution.quantity)} at {plain(execution.price)}"),
            ("matched at", rfc3339(execution.venue_time_ns)),
        ),
        opened_at_ns=now_ns,
        account=key.account,
        instrument=execution.instrument,
    )
