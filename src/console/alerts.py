"""`tallystick alerts`: what needs a person, with its evidence."""

from typing import Annotated

import typer

from ..model.alert import Alert, Severity
from ..model.ledger import Ledger
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, fold, opened
from .text import instant, maybe_instant, short_instant

EXAMPLES = """\b
Examples:
  tallystick alerts var/main
  tallystick alerts var/main --all
  tallystick alerts var/main --json | jq '.alerts[] | select(.severity == "critical") | .message'
"""

_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


class EvidenceItem(View, frozen=True):
    name: str
    text: str


class AlertView(View, frozen=True):
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("alerts", epilog=EXAMPLES)(alerts)
