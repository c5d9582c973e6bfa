"""`tallystick status`: the whole runtime on one page."""

import typer

from ..model.alert import Severity
from ..model.ledger import Ledger
from ..model.order import Acknowledged, Sent, is_unconfirmed
from ..store import AuditHead, Reader
from ..store.audit import AUDIT_HEAD_KEY, META_TABLE
from .order_view import state_name
from .output import Screen, View, print_json
from .reading import Folded, JsonOption, StoreArgument, StoreOption, fold, opened
from .text import instant, maybe_instant, short_instant

EXAMPLES = """\b
Examples:
  tallystick status var/main
  tallystick status config/polymarket.toml
  TALLYSTICK_STORE=var/main tallystick status --json | jq .accounts
"""


class OwnerView(View, frozen=True):
    owner: str
    pid: int
    host: str
    epoch: int
    opened_at: str


class AccountView(View, frozen=True):
    """One account. `fill_reports` counts executions and each step of their settlement."""

    account: str
    state: str
    reason: str
    halted: str | None
    opened: bool
    fill_reports: int
    stream_gaps: int
    reconciled_at: str | None
    reconciliation_complete: bool | None
    reconciliation_why: str


class StrategyView(View, frozen=True):
    strategy: str
    paused: str | None
    active: int
    accepted: int
    refused: int
    ended: int


class OrderCounts(View, frozen=True):
    """By state; `unconfirmed` and `cancelling` are among the sent and acknowledged ones."""

    computed: int = 0
    sent: int = 0
    acknowledged: int = 0
    done: int = 0
    withdrawn: int = 0
    unconfirmed: int = 0
    cancelling: int = 0


class AlertCounts(View, frozen=True):
    critical: int
    warning: int
    info: int


class StatusView(View, frozen=True):
    store: str
    running: bool
    owner: OwnerView | None
    build: str
    starts: int
    stopped: str | None
    epoch: int
    first_lsn: int
    last_lsn: int
    last_event_at: str | None
    audit_records: int
    halted: str | None
    accounts: tuple[AccountView, ...]
    strategies: tuple[StrategyView, ...]
    orders: OrderCounts
    fills_unsettled: int
    alerts_open: AlertCounts


def view(reader: Reader, folded: Folded, store: str) -> StatusView:
    """The page as a value."""
    ledger, holder = folded.ledger, reader.owner
    head = reader.get(META_TABLE, AUDIT_HEAD_KEY)
    owner = None
    if holder is not None:
        owner = OwnerView(
            owner=holder.owner,
            pid=holder.pid,
            host=holder.host,
            epoch=holder.epoch,
            opened_at=instant(holder.opened_at_ns),
        )
    return StatusView(
        store=store,
        running=holder is not None,
        owner=owner,
        build=folded.build,
        starts=ledger.started,
        stopped=folded.stopped,
        epoch=reader.epoch,
        first_lsn=reader.first_lsn,
        last_lsn=folded.last_lsn,
        last_event_at=maybe_instant(folded.last_at_ns),
        audit_records=0 if head is None else AuditHead.unpack(head).count,
        halted=ledger.halted.get(None),
        accounts=_accounts(ledger),
        strategies=_strategies(ledger),
        orders=_order_counts(ledger),
        fills_unsettled=len(ledger.unsettled),
        alerts_open=_alert_counts(ledger),
    )


def _accounts(ledger: Ledger) -> tuple[AccountView, ...]:
    found: list[AccountView] = []
    for account, entry in sorted(ledger.accounts.items()):
        record = entry.last_reconciliation
        found.append(
            AccountView(
                account=account,
                state=entry.state.value,
                reason=entry.reason,
                halted=ledger.halted.get(account),
                opened=entry.opened,
                fill_reports=entry.fills,
                stream_gaps=entry.gaps,
                reconciled_at=None if record is None else instant(record.ended_at_ns),
                reconciliation_complete=None if record is None else record.complete,
                reconciliation_why="" if record is None else record.why,
            )
        )
    return tuple(found)


def _strategies(ledger: Ledger) -> tuple[StrategyView, ...]:
    return tuple(
        StrategyView(
            strategy=strategy,
            paused=entry.paused or None,
            active=sum(1 for _ in ledger.active_intents(strategy)),
            accepted=entry.accepted,
            refused=entry.refused,
            ended=entry.ended,
        )
        for strategy, entry in sorted(ledger.strategies.items())
    )


def _order_counts(ledger: Ledger) -> OrderCounts:
    names = [state_name(state) for state in ledger.orders.values()]
    live = [state for state in ledger.orders.values() if isinstance(state, Sent | Acknowledged)]
    return OrderCounts(
        **{name: names.count(name) for name in ("computed", "sent", "acknowledged", "done", "withdrawn")},
        unconfirmed=sum(1 for state in live if is_unconfirmed(state)),
        cancelling=sum(1 for state in live if state.cancel is not None),
    )


def _alert_counts(ledger: Ledger) -> AlertCounts:
    open_alerts = [alert.severity for alert in ledger.alerts.values() if alert.state.is_open]
    return AlertCounts(
        critical=open_alerts.count(Severity.CRITICAL),
        warning=open_alerts.count(Severity.WARNING),
        info=open_alerts.count(Severity.INFO),
    )


def show(found: StatusView, screen: Screen) -> None:
    """The page for people."""
    alerts, orders = found.alerts_open, found.orders
    if found.owner is not None:
        owner = found.owner
        state = (
            f"running: {owner.owner}, process {owner.pid} on {owner.host} since {short_instant(owner.opened_at)} UTC"
        )
    elif found.stopped is not None:
        state = f"stopped: {found.stopped}"
    else:
        state = "not running: the last run did not say that it stopped" if found.starts else "never started"
    screen.fields(
        [
            ("store", found.store),
            ("runtime", state),
            ("build", found.build),
            ("journal", f"LSN {found.first_lsn} to {found.last_lsn}, epoch {found.epoch}, {found.starts} starts"),
            ("last event", f"{short_instant(found.last_event_at)} UTC" if found.last_event_at else None),
            ("audit chain", f"{found.audit_records} records"),
            ("halted", found.halted),
            ("orders", _counted(orders, ("computed", "sent", "acknowledged", "done", "withdrawn"))),
            ("of these", _counted(orders, ("unconfirmed", "cancelling"))),
            ("fills", f"{found.fills_unsettled} not settled" if found.fills_unsettled else None),
            ("alerts", _counted(alerts, ("critical", "warning", "info")) or "none open"),
        ]
    )
    screen.title("Accounts" if found.running else "Accounts, as the last run left them")
    screen.table(
        ("account", "state", "reason", "#fill reports", "#stream gaps", "reconciled (UTC)", "complete"),
        [
            (
                row.account,
                row.state if row.halted is None else f"{row.state}, halted",
                row.reason if row.halted is None else f"{row.reason}; halted: {row.halted}",
                str(row.fill_reports),
                str(row.stream_gaps),
                short_instant(row.reconciled_at),
                _complete(row),
            )
            for row in found.accounts
        ],
        empty="none yet",
    )
    screen.title("Strategies")
    screen.table(
        ("strategy", "state", "#active", "#accepted", "#refused", "#ended"),
        [
            (
                row.strategy,
                "runs" if row.paused is None else f"PAUSED: {row.paused}",
                str(row.active),
                str(row.accepted),
                str(row.refused),
                str(row.ended),
            )
            for row in found.strategies
        ],
        empty="none yet",
    )


def _complete(row: AccountView) -> str:
    if row.reconciliation_complete is None:
        return ""
    return "yes" if row.reconciliation_complete else f"no: {row.reconciliation_why}"


def _counted(counts: View, names: tuple[str, ...]) -> str:
    return ", ".join(f"{getattr(counts, name)} {name}" for name in names if getattr(counts, name))


def status(store: StoreArgument = None, store_option: StoreOption = None, *, as_json: JsonOption = False) -> None:
    """Show the runtime, its accounts, strategies, orders and alerts on one page."""
    place = store or store_option
    with opened(place) as reader:
        found = view(reader, fold(reader), str(place))
    if as_json:
        print_json(found)
    else:
        show(found, Screen())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog=EXAMPLES)(status)
