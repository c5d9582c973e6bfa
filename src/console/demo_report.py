"""The report of `tallystick demo`: what the day came to, as one document and as tables of it."""

from pathlib import Path

from ..model.alert import Alert
from ..model.bracket import PairOutcome
from ..model.truth import Seen, Truth, View
from ..testing.day import STRATEGY, DayPlan
from ..testing.day_record import DayRecord, cash_of, money_of
from ..testing.day_run import DayRun
from .alerts import EvidenceItem
from .demo_progress import clock_text
from .output import Screen
from .output import View as Shown
from .text import amount, instant, maybe_instant, short_instant


class PairsView(Shown, frozen=True):
    both: int
    one_side: int
    neither: int


class DayAlert(Shown, frozen=True):
    kind: str
    diagnosis: str
    severity: str
    state: str
    message: str
    evidence: tuple[EvidenceItem, ...]
    opened_at: str
    closed_at: str | None
    closed_by: str


class TruthRow(Shown, frozen=True):
    """One asset in all three views at the end; a view that could not be read is null."""

    account: str
    instrument: str
    book: str
    venue: str | None
    wallet: str | None
    agree: bool | None


class AuditRow(Shown, frozen=True):
    records: int
    verified: int


class MoneyView(Shown, frozen=True):
    """In the settlement asset: `worth` is what is held at the crowd's last mid, `profit` is after fees."""

    cash: str
    paid: str
    fees: str
    worth: str
    profit: str


class DayView(Shown, frozen=True):
    day: str
    seed: int
    intents: int
    pairs: PairsView
    orders: int
    fills: int
    alerts: tuple[DayAlert, ...]
    truth: tuple[TruthRow, ...]
    money: MoneyView
    audit: AuditRow
    simulated_seconds: float
    wall_seconds: float
    store: str


def view(day: str, plan: DayPlan, run: DayRun, record: DayRecord, store: Path) -> DayView:
    """The whole day as one value; all of it but the two durations comes from the store."""
    outcomes = record.outcomes()
    money = money_of(plan, record)
    return DayView(
        day=day,
        seed=plan.seed,
        intents=len(record.ledger.intents),
        pairs=PairsView(
            both=outcomes[PairOutcome.BOTH],
            one_side=outcomes[PairOutcome.ONE_SIDE],
            neither=outcomes[PairOutcome.NEITHER],
        ),
        orders=record.orders,
        fills=len(record.fills),
        alerts=tuple(_alert(alert) for alert in record.alerts),
        truth=tuple(_truth(truth) for _, truth in sorted(record.ledger.truths.items())),
        money=MoneyView(
            cash=amount(cash_of(record)),
            paid=amount(money.paid),
            fees=amount(money.fees),
            worth=amount(money.worth),
            profit=amount(money.profit),
        ),
        audit=AuditRow(records=record.audit.records, verified=record.audit.verified),
        simulated_seconds=round(run.simulated_seconds, 6),
        wall_seconds=round(run.wall_seconds, 3),
        store=str(store),
    )


def _alert(alert: Alert) -> DayAlert:
    return DayAlert(
        kind=alert.kind.value,
        diagnosis=alert.diagnosis,
        severity=alert.severity.value,
        state=alert.state.value,
        message=alert.message,
        evidence=tuple(EvidenceItem(name=name, text=text) for name, text in alert.evidence),
        opened_at=instant(alert.opened_at_ns),
        closed_at=maybe_instant(alert.closed_at_ns),
        closed_by=alert.closed_by,
    )


def _truth(truth: Truth) -> TruthRow:
    def quantity(found: View) -> str | None:
        return amount(found.quantity) if isinstance(found, Seen) else None

    return TruthRow(
        account=truth.account,
        instrument=truth.asset,
        book=amount(truth.book.matched),
        venue=quantity(truth.venue),
        wallet=quantity(truth.wallet),
        agree=truth.agree,
    )


# ---- for people -------------------------------------------------------------------------------------------


def show(found: DayView, plan: DayPlan, record: DayRecord, screen: Screen) -> None:
    """The day on one screen or two, the trouble before the proof."""
    until = clock_text(found.simulated_seconds)
    article = "An" if found.day[0] in "aeiou" else "A"
    screen.title(f"{article} {found.day} day, {clock_text(0)} to {until}, seed {found.seed}")
    screen.fields(
        [
            ("intents", str(found.intents)),
            ("both sides", str(found.pairs.both)),
            ("one side", f"{found.pairs.one_side}  (kept by the strategy)" if found.pairs.one_side else "0"),
            ("neither", str(found.pairs.neither)),
            ("orders sent", str(found.orders)),
            ("fills", str(found.fills)),
        ]
    )
    screen.title("Alerts" if found.alerts else "No alerts")
    for alert in found.alerts:
        screen.line(
            f"  {alert.severity} {alert.kind}  {alert.state}", "bold red" if alert.severity == "critical" else "bold"
        )
        closed = f"{short_instant(alert.closed_at)} UTC by {alert.closed_by}" if alert.closed_at else None
        screen.fields(
            [
                ("message", alert.message),
                ("opened", f"{short_instant(alert.opened_at)} UTC"),
                ("closed", closed),
                *((item.name, item.text) for item in alert.evidence),
            ]
        )
        screen.line()
    screen.title("Position truth: book, venue and wallet")
    screen.table(
        ("asset", "#book", "#venue", "#wallet", "equal"),
        [(row.instrument, row.book, row.venue, row.wallet, _agreement(row)) for row in found.truth],
        empty="nothing was compared",
    )
    screen.title("Money, in pUSD")
    screen.fields(
        [
            ("paid", found.money.paid),
            ("fees", found.money.fees),
            ("worth now", f"{found.money.worth}  (at the last mid)"),
            ("profit", found.money.profit),
            ("cash left", found.money.cash),
        ]
    )
    screen.title("Proof")
    screen.fields(
        [
            ("audit chain", f"{found.audit.verified} of {found.audit.records} records verified"),
            ("took", f"{found.wall_seconds:.1f} s for {found.simulated_seconds:.0f} s of the day"),
            ("store", found.store),
        ]
    )
    screen.line()
    screen.line(f"Look into it:  tallystick truth {found.store}")
    screen.line(f"               tallystick timeline {STRATEGY} --store {found.store}")


def _agreement(row: TruthRow) -> str:
    if row.agree is None:
        return "unavailable"
    return "yes" if row.agree else "DIFFERS"
