"""What an operator does about an alert: one sentence with the commands, made for the alert at hand.

The runbooks in docs/operating.md say why. STORE stands for the store, and … for the operator's own words.
"""

from typing import assert_never

from ..model.alert import Alert, AlertKind, Severity
from ..model.truth import Diagnosis

OPENING = "opening"
"""The diagnosis of an account that held positions before its first start."""


def next_step(alert: Alert) -> str:
    """The next thing to do about an alert; nothing for one that is closed."""
    return _step(alert) if alert.state.is_open else ""


def _step(alert: Alert) -> str:
    resolve = f"tallystick alerts resolve STORE {alert.alert_id} --note …"
    order = dict(alert.evidence).get("order", alert.strategy or "ORDER")
    match alert.kind:
        case AlertKind.DRIFT:
            return _drift(alert, resolve)
        case AlertKind.DROPPED_FILL | AlertKind.ORDER_UNCONFIRMED | AlertKind.SETTLEMENT_STALLED:
            return _waiting(alert.kind, order)
        case AlertKind.RECONCILIATION_INCOMPLETE | AlertKind.CONNECTION_DOWN | AlertKind.VIEW_UNAVAILABLE:
            return (
                "it is tried again and closes by itself; tallystick reconciliations STORE --last 1 and "
                "tallystick tree STORE say what is in the way now"
            )
        case AlertKind.FOREIGN_ORDER | AlertKind.FOREIGN_FILL:
            return f"find out who else trades with this key; then {resolve}{_resume(alert)}"
        case AlertKind.SLICE_NEVER_SENT:
            return f"tallystick trace {order} --store STORE shows where it stopped; then {resolve}{_resume(alert)}"
        case AlertKind.REPORT_QUARANTINED:
            return (
                "the trade is booked by a build that can read it; until then "
                f"tallystick truth STORE has the difference{_resume(alert)}"
            )
        case AlertKind.FILL_REVERSED | AlertKind.EXIT_RECOVERED | AlertKind.FILL_CONFLICT | AlertKind.TRANSFER:
            return f"tallystick truth STORE shows what is held now; when the strategy knows of it, {resolve}"
        case AlertKind.ACTOR_CRASHED | AlertKind.TASK_HUNG | AlertKind.LOOP_HUNG | AlertKind.HOST_CALLBACK_FAILED:
            return f"tallystick tree STORE --stacks has the traceback; when it is understood, {resolve}"
        case AlertKind.STORE_FAILED | AlertKind.STORE_DAMAGED | AlertKind.ARCHIVE_FAILED:
            return "copy the whole directory, mend the disk, and start again; tallystick audit verify STORE checks it"
        case AlertKind.CLOCK_SKEW:
            return "set this machine's clock (NTP)"
        case AlertKind.UNREADABLE_REPORT | AlertKind.HISTORY_CHANGED:
            return f"tallystick reconciliations STORE --last 5 shows that nothing is missing; then {resolve}"
        case AlertKind.ACCOUNT_HALTED:
            return (
                f"tallystick status STORE says why; then tallystick lift-halt STORE --account {alert.account} --note …"
            )
        case _ as never:
            assert_never(never)


def _drift(alert: Alert, resolve: str) -> str:
    match alert.diagnosis:
        case Diagnosis.TRANSFER:
            return f"it is booked already; {resolve}{_resume(alert)}"
        case diagnosis if diagnosis == OPENING:
            return f"for each position, tallystick adopt STORE {alert.account} ASSET --note …; cash follows by itself"
        case Diagnosis.VENUE_VIEW_STALE:
            return "it closes by itself when the venue's view catches up; tallystick truth STORE shows it"
    if alert.severity is not Severity.CRITICAL:
        return "it closes by itself when the views agree; tallystick truth STORE shows them"
    asset = alert.alert_id.removeprefix(f"drift:{alert.account}:")
    return (
        f"tallystick reconcile STORE {alert.account} books a missing fill; what has another cause, "
        f"tallystick adopt STORE {alert.account} {asset} --note …{_resume(alert)}"
    )


def _waiting(kind: AlertKind, order: str) -> str:
    if kind is AlertKind.ORDER_UNCONFIRMED:
        return (
            f"tallystick trace {order} --store STORE shows what was asked; if you know from elsewhere that the "
            f"venue never had it, tallystick order end STORE {order} --evidence …"
        )
    if kind is AlertKind.SETTLEMENT_STALLED:
        return "it closes by itself when the trade settles or fails; ask the venue about the trade meanwhile"
    return "it closes by itself when the fill is booked; tallystick reconciliations STORE shows it"


def _resume(alert: Alert) -> str:
    return f", and tallystick resume STORE {alert.strategy or 'STRATEGY'} --note … where a strategy is paused"
