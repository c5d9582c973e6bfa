"""Alerts: deduplicated by their id, recorded before anyone hears of them, open until something named closed them.

What must not be lost when the process ends at the wrong moment is recorded by whoever found it, in one group with its
cause: the fact, its alert and its pauses are in the journal together or not at all. Everything else is sent here.
"""

from ..model.alert import Alert, AlertState, Severity
from ..model.event import AlertClosed, AlertOpened, StrategyPaused
from ..model.identifiers import AccountId, AlertId
from ..store.port import Lsn
from ..store.records import ALERTS
from .context import Context, TradingActor, log
from .kernel import handles
from .messages import Explain, Raise


def opening_of(context: Context, alert: Alert, *, again: bool = False) -> tuple[AlertOpened, ...]:
    """The event that opens an alert; none where it is open already, or was told once for ever."""
    known = context.ledger.alerts.get(alert.alert_id)
    if known is not None and known.state.is_open and not again:
        return ()
    if _is_for_ever(alert.alert_id) and context.recorder.journal.get(ALERTS, alert.alert_id) is not None:
        return ()
    return (AlertOpened(alert=alert),)


def pauses_of(context: Context, account: AccountId, reason: str, alert_id: AlertId) -> tuple[StrategyPaused, ...]:
    """The events that pause the strategies of an account; none for those that are paused already."""
    return tuple(
        StrategyPaused(strategy=strategy, reason=reason, alert_id=alert_id)
        for strategy, settings in context.strategies.items()
        if account in settings.accounts and context.ledger.strategy(strategy).paused is None
    )


def announce(context: Context, alert: Alert, lsn: Lsn) -> None:
    """Tell the log of an alert once it is durable."""

    def tell() -> None:
        write = log.critical if alert.severity is Severity.CRITICAL else log.warning
        write(
            alert.message,
            alert=alert.alert_id,
            kind=alert.kind,
            severity=alert.severity,
            evidence=dict(alert.evidence),
        )

    context.recorder.when_durable(lsn, tell)


class AlertsActor(TradingActor):
    """Opens and closes what others send it."""

    @handles(Raise)
    def _raise(self, message: Raise) -> None:
        opened = opening_of(self.context, message.alert, again=message.again)
        if opened:
            announce(self.context, message.alert, self.record(*opened))

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
