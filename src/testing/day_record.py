"""What became of a day, read from its store, and what of it is not as the plan and the laws demand."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ..model.alert import Alert, AlertKind, AlertState
from ..model.bracket import PairOutcome
from ..model.event import Event, FillRecorded, OrderSubmitted
from ..model.fill import Fill
from ..model.identifiers import AssetId
from ..model.ledger import Ledger
from ..model.money import EXACT, ZERO, plain
from ..model.order import Done
from ..store import AuditReport, open_reader, verify
from ..store.records import journal_schema
from .day import ACCOUNT, SETTLEMENT_ASSET, STRATEGY, DayPlan
from .day_run import DayRun

ALERTS_CLEAN: tuple[AlertKind, ...] = ()
ALERTS_ALMOST_WORKING = (AlertKind.DROPPED_FILL, AlertKind.DROPPED_FILL, AlertKind.SLICE_NEVER_SENT)
DISPOSITION = "keep"


@dataclass(frozen=True, slots=True)
class DayRecord:
    """A day as its journal has it: the ledger with everything that has ended, and what was counted on the way."""

    ledger: Ledger
    fills: tuple[Fill, ...]
    orders: int
    audit: AuditReport

    def outcomes(self) -> Counter[str]:
        """How many intents ended in which way."""
        return Counter(entry.outcome for entry in self.ledger.intents.values())

    @property
    def alerts(self) -> list[Alert]:
        """Every alert, in the order of their opening."""
        return sorted(self.ledger.alerts.values(), key=lambda alert: alert.opened_at_ns)


def read_day(store: Path) -> DayRecord:
    """Fold the whole journal and verify its audit chain. Raises what a reader of the store raises."""
    ledger = Ledger(keep_ended=True)
    fills: list[Fill] = []
    orders = 0
    with open_reader(store, journal_schema()) as reader:
        for entry in reader.read():
            event = entry.event
            if not isinstance(event, Event):
                continue
            ledger.apply(event, entry.at_ns)
            match event:
                case FillRecorded():
                    fills.append(event.fill)
                case OrderSubmitted():
                    orders += 1
                case _:
                    pass
        audit = verify(reader)
    return DayRecord(ledger=ledger, fills=tuple(fills), orders=orders, audit=audit)


# ---- the laws ---------------------------------------------------------------------------------------------


def what_differs(plan: DayPlan, run: DayRun, record: DayRecord, *, with_faults: bool) -> tuple[str, ...]:
    """Everything that is not as the plan and the laws demand, one sentence each; empty for a lawful day."""
    return (
        *_intents(plan, run, record),
        *_orders(plan, run, record, with_faults=with_faults),
        *_fills(plan, run, record),
        *_holdings(plan, run, record),
        *_alerts(plan, record, with_faults=with_faults),
        *_ends(run, record),
    )


def _intents(plan: DayPlan, run: DayRun, record: DayRecord) -> Iterator[str]:
    for refused in run.refused:
        yield f"an intent was refused: {refused}"
    for pair in plan.pairs:
        entry = record.ledger.intents.get((STRATEGY, pair.intent_id))
        if entry is None:
            yield f"{pair.intent_id} is not in the journal"
            continue
        if entry.outcome != pair.outcome:
            yield f"{pair.intent_id} ended as {entry.outcome or 'nothing yet'}, the plan is {pair.outcome}"
        if pair.outcome is PairOutcome.ONE_SIDE and entry.disposition != DISPOSITION:
            yield f"{pair.intent_id} got one side, and the strategy's answer is not recorded"


def _orders(plan: DayPlan, run: DayRun, record: DayRecord, *, with_faults: bool) -> Iterator[str]:
    expected = plan.orders - (1 if with_faults else 0)
    if record.orders != expected:
        yield f"{record.orders} orders were sent, the plan has {expected}"
    ours = {
        str(state.venue_order_id): state.progress.filled
        for state in record.ledger.orders.values()
        if isinstance(state, Done)
    }
    theirs = {order.id: order.size_matched for order in run.venue.orders}
    for order in sorted(ours.keys() | theirs.keys()):
        if ours.get(order) != theirs.get(order):
            yield f"order {order}: we have {_shown(ours.get(order))} filled, the venue {_shown(theirs.get(order))}"
    yield from (f"the crowd could not do its part: {error}" for error in run.venue.script_errors)


def _fills(plan: DayPlan, run: DayRun, record: DayRecord) -> Iterator[str]:
    if len(record.fills) != plan.fills:
        yield f"there are {len(record.fills)} fills, the plan has {plan.fills}"
    ours = {
        (str(fill.execution.key.trade_id), str(fill.execution.key.venue_order_id)): fill.execution.quantity
        for fill in record.fills
    }
    theirs = run.venue.fills()
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            trade, order = key
            ours_text, theirs_text = _shown(ours.get(key)), _shown(theirs.get(key))
            yield f"trade {trade} of order {order}: we have {ours_text}, the venue {theirs_text}"


def _holdings(plan: DayPlan, run: DayRun, record: DayRecord) -> Iterator[str]:
    if not run.settled:
        yield "not everything settled and was compared as equal before the end"
    ledger = record.ledger
    expected = {AssetId(instrument): quantity for instrument, quantity in plan.holdings().items()}
    held = {asset: book.matched for (_, asset), book in ledger.holdings.items() if asset != SETTLEMENT_ASSET}
    for asset in sorted(expected.keys() | held.keys()):
        if expected.get(asset, ZERO) != held.get(asset, ZERO):
            yield f"{asset}: {_shown(held.get(asset))} is held, the plan has {_shown(expected.get(asset))}"
    for (account, asset), book in sorted(ledger.holdings.items()):
        truth = ledger.truths.get((account, asset))
        if truth is None:
            yield f"{account} {asset} was never compared"
        elif not (truth.exact and truth.book == book):
            yield f"{account} {asset}: book, venue and wallet are not equal in the last comparison"


def _alerts(plan: DayPlan, record: DayRecord, *, with_faults: bool) -> Iterator[str]:
    expected = ALERTS_ALMOST_WORKING if with_faults else ALERTS_CLEAN
    found = sorted(alert.kind.value for alert in record.alerts)
    if found != sorted(kind.value for kind in expected):
        yield f"the alerts are {', '.join(found) or 'none'}; expected are {', '.join(expected) or 'none'}"
    for alert in record.alerts:
        if alert.diagnosis != alert.kind.value:
            yield f"{alert.alert_id} is diagnosed as {alert.diagnosis or 'nothing'}"
        if alert.kind is AlertKind.DROPPED_FILL and alert.state is not AlertState.EXPLAINED:
            yield f"{alert.alert_id} is {alert.state}, and should be explained by the sweep that booked the fill"
        if alert.kind is AlertKind.SLICE_NEVER_SENT and plan.marks.lost_order not in alert.alert_id:
            yield f"{alert.alert_id} is about another slice than the lost one, {plan.marks.lost_order}"
    paused = bool(record.ledger.strategy(STRATEGY).paused)
    if paused is not with_faults:
        yield f"the strategy is {'paused' if paused else 'not paused'} at the end"


def _ends(run: DayRun, record: DayRecord) -> Iterator[str]:
    if not record.audit.intact:
        yield str(record.audit)
    working = sum(1 for _ in record.ledger.active_intents())
    if working:
        yield f"{working} intents have no terminal report"
    if record.ledger.unsettled:
        yield f"{len(record.ledger.unsettled)} fills have not settled"


def _shown(found: Decimal | None) -> str:
    return "nothing" if found is None else plain(found)


# ---- money ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Money:
    """The day in money: what was paid for what is held, what that is worth at the last mid, and the fees."""

    paid: Decimal
    fees: Decimal
    worth: Decimal

    @property
    def profit(self) -> Decimal:
        """At the last mid, fees deducted."""
        return EXACT.subtract(EXACT.subtract(self.worth, self.paid), self.fees)


def money_of(plan: DayPlan, record: DayRecord) -> Money:
    """What the strategy made of the day. Nothing is sold in it, so all profit is unrealised."""
    paid = fees = worth = ZERO
    mids = plan.last_mids()
    for (_, instrument), position in record.ledger.positions.items():
        paid = EXACT.add(paid, position.cost)
        fees = EXACT.add(fees, position.fees)
        worth = EXACT.add(worth, EXACT.multiply(position.matched, mids[instrument]))
    return Money(paid=paid, fees=fees, worth=worth)


def cash_of(record: DayRecord) -> Decimal:
    """The cash in the book."""
    return record.ledger.book(ACCOUNT, SETTLEMENT_ASSET).matched
