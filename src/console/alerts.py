"""`tallystick alerts`: what needs a person, with its evidence; and what a person says to it."""

from typing import Annotated

import typer
from typer.core import TyperGroup

from ..model.alert import Alert, Severity
from ..model.identifiers import AlertId
from ..model.ledger import Ledger
from ..model.operator import AcknowledgeAlert, ResolveAlert
from .commanding import CommandIdOption, LiveStore, NeededNote, NoteOption, command
from .next_steps import next_step
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, fold, opened
from .text import instant, maybe_instant, short_instant

EXAMPLES = """\b
Examples:
  tallystick alerts var/main
  tallystick alerts var/main --all
  tallystick alerts var/main --json | jq '.alerts[] | select(.severity == "critical") | .message'

\b
To a running runtime, each with a --help of its own:
  tallystick alerts ack STORE ALERT
  tallystick alerts resolve STORE ALERT --note TEXT
"""
ACK_EXAMPLES = """\b
Examples:
  tallystick alerts ack var/main drift:polymarket:main:pUSD --note "looking into it"
  tallystick alerts ack var/main drift:polymarket:main:pUSD --json
"""
RESOLVE_EXAMPLES = """\b
Examples:
  tallystick alerts resolve var/main drift:polymarket:main:pUSD --note "rent, taken out by hand"
  tallystick alerts resolve var/main drift:polymarket:main:pUSD --note "rent" --json
"""

_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


class EvidenceItem(View, frozen=True):
    name: str
    text: str


class AlertView(View, frozen=True):
    """One alert. `next_step` says what an operator does about it, with the commands; empty where it is closed."""

    alert_id: str
    kind: str
    severity: str
    state: str
    message: str
    diagnosis: str
    evidence: tuple[EvidenceItem, ...]
    account: str | None
    strategy: str | None
    instrument: str | None
    opened_at: str
    closed_at: str | None
    closed_by: str
    next_step: str


class AlertsView(View, frozen=True):
    alerts: tuple[AlertView, ...]


def view(ledger: Ledger, *, closed_too: bool) -> AlertsView:
    """Open alerts before closed ones, the worst first, the oldest first among equals."""
    chosen = [alert for alert in ledger.alerts.values() if closed_too or alert.state.is_open]
    chosen.sort(key=lambda alert: (not alert.state.is_open, _ORDER.index(alert.severity), alert.opened_at_ns))
    return AlertsView(alerts=tuple(_alert(alert) for alert in chosen))


def _alert(alert: Alert) -> AlertView:
    return AlertView(
        alert_id=alert.alert_id,
        kind=alert.kind.value,
        severity=alert.severity.value,
        state=alert.state.value,
        message=alert.message,
        diagnosis=alert.diagnosis,
        evidence=tuple(EvidenceItem(name=name, text=text) for name, text in alert.evidence),
        account=alert.account,
        strategy=alert.strategy,
        instrument=alert.instrument,
        opened_at=instant(alert.opened_at_ns),
        closed_at=maybe_instant(alert.closed_at_ns),
        closed_by=alert.closed_by,
        next_step=next_step(alert),
    )


def show(found: AlertsView, screen: Screen) -> None:
    if not found.alerts:
        screen.line("no alerts")
    for alert in found.alerts:
        screen.line(
            f"{alert.severity} {alert.kind}  {alert.state}", "bold red" if alert.severity == "critical" else "bold"
        )
        closed = f"{short_instant(alert.closed_at)} UTC by {alert.closed_by}" if alert.closed_at else None
        screen.fields(
            [
                ("message", alert.message),
                ("diagnosis", alert.diagnosis),
                ("account", alert.account),
                ("strategy", alert.strategy),
                ("instrument", alert.instrument),
                ("opened", f"{short_instant(alert.opened_at)} UTC"),
                ("closed", closed),
                ("id", alert.alert_id),
                *((item.name, item.text) for item in alert.evidence),
                ("next", alert.next_step),
            ]
        )
        screen.line()


def alerts(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    closed_too: Annotated[bool, typer.Option("--all", help="Closed ones as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show open alerts with their diagnosis and evidence, the worst first."""
    with opened(store or store_option) as reader:
        found = view(fold(reader).ledger, closed_too=closed_too)
    if as_json:
        print_json(found)
    else:
        show(found, Screen())


AlertArgument = Annotated[
    str, typer.Argument(metavar="ALERT", help="The alert's id, as tallystick alerts shows it.", show_default=False)
]


def ack(
    store: LiveStore,
    alert: AlertArgument,
    *,
    note: NoteOption = "",
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that somebody looks after an alert; it stays open."""
    what = AcknowledgeAlert(alert_id=AlertId(alert))
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def resolve(
    store: LiveStore,
    alert: AlertArgument,
    *,
    note: NeededNote,
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close an alert: the matter is settled, and the note says how."""
    command(store, ResolveAlert(alert_id=AlertId(alert)), note=note, command_id=command_id, as_json=as_json)


LIST = "list"


class _Alerts(TyperGroup):
    """Takes anything that is not the name of one of its commands for the arguments of the list."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer names its own context so
        if not args or args[0] not in self.commands:
            args.insert(0, LIST)
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=_Alerts, help="Show open alerts; ack and resolve them.", rich_markup_mode=None)
    group.command(LIST, epilog=EXAMPLES)(alerts)
    group.command("ack", epilog=ACK_EXAMPLES)(ack)
    group.command("resolve", epilog=RESOLVE_EXAMPLES)(resolve)
    app.add_typer(group, name="alerts")
