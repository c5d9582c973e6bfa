"""Alerts: deduplicated by their id, recorded before anyone hears of them, open until something named closed them."""

from ..model.alert import AlertState, Severity
from ..model.event import AlertClosed, AlertOpened
from ..store.records import ALERTS
from .context import TradingActor, log
from .kernel import handles
from .messages import Explain, Raise


class AlertsActor(TradingActor):
    """The one place where alerts open and close. The log is told once the alert is durable."""

    @handles(Raise)
    def _raise(self, message: Raise) -> None:
        alert = message.alert
        known = self.ledger.alerts.get(alert.alert_id)
        if known is not None and known.state.is_open and not message.again:
            return
        before = self.context.recorder.journal.get(ALERTS, alert.alert_id)
        if before is not None and _is_for_ever(alert.alert_id):
            return
        lsn = self.record(AlertOpened(alert=alert))

        def tell() -> None:
            write = log.critical if alert.severity is Severity.CRITICAL else log.warning
            write(
                alert.message,
                alert=alert.alert_id,
                kind=alert.kind,
                severity=alert.severity,
                evidence=dict(alert.evidence),
            )

        self.when_durable(lsn, tell)

    @handles(Explain)
    def _explain(self, message: Explain) -> None:
        alert = self.ledger.alerts.get(message.alert_id)
        if alert is None or not alert.state.is_open:
            return
        lsn = self.record(
            AlertClosed(alert_id=message.alert_id, state=AlertState.EXPLAINED, by=message.by, evidence=message.evidence)
        )
        self.when_durable(
            lsn,
            lambda: log.info("alert explained", alert=message.alert_id, by=message.by, evidence=dict(message.evidence)),
        )


def _is_for_ever(alert_id: str) -> bool:
    """Alerts about one execution or one slice happen once; conditions (a connection, a view) may come again."""
    return alert_id.split(":", 1)[0] in {
        "dropped_fill",
        "slice_never_sent",
        "fill_conflict",
        "fill_reversed",
        "settlement_changed",
        "foreign_fill",
        "foreign_order",
        "transfer",
        "exit_recovered",
        "history_changed",
    }
