"""Whose an entry of the journal is: which strategy, intent, order and account it is about.

Entries name what they are about in different ways: an order by its client id, a fill by the venue's ids, an alert's end
by the alert's id. `Subjects` is shown every entry in journal order and so knows them all.
"""

from typing import NamedTuple

from ..model.event import (
    AccountChanged,
    AlertAcknowledged,
    AlertClosed,
    AlertOpened,
    BracketClosing,
    BracketDecided,
    DispositionChosen,
    FillConflict,
    FillRecorded,
    FillSettled,
    ForeignOrderSeen,
    HoldingAdopted,
    IntentAccepted,
    IntentEnded,
    IntentRefused,
    LedgerRead,
    OpeningAdopted,
    OpeningObserved,
    OperatorCommanded,
    OperatorHalted,
    OperatorResumed,
    ReconciliationEnded,
    ReportQuarantined,
    SliceComputed,
    StrategyPaused,
    StrategyResumed,
    StreamGap,
    TransferBooked,
    TruthCompared,
)
from ..model.event import Event as ModelEvent
from ..model.fill import FillKey
from ..model.identifiers import AccountId, AlertId, ClientOrderId, IntentId, StrategyName, VenueOrderId
from ..model.operator import (
    AcknowledgeAlert,
    AdoptHolding,
    CancelAll,
    Command,
    EndOrder,
    Halt,
    LiftHalt,
    PauseStrategy,
    Reconcile,
    ResolveAlert,
    ResumeStrategy,
)
from ..model.transition import order_of
from ..store import AuditRecord, Event


class Subject(NamedTuple):
    """Everything that an entry is known to be about; None where it is about no single one."""

    strategy: StrategyName | None = None
    intent_id: IntentId | None = None
    order: ClientOrderId | None = None
    account: AccountId | None = None
    venue_order_id: VenueOrderId | None = None


NOBODY = Subject()


class Subjects:
    """Remembers what ids stand for while entries go by."""

    def __init__(self) -> None:
        self._orders: dict[ClientOrderId, Subject] = {}
        self._fills: dict[FillKey, Subject] = {}
        self._alerts: dict[AlertId, Subject] = {}

    def of(self, event: Event) -> Subject:
        """What this entry is about. Call it for every entry, in journal order."""
        match event:
            case SliceComputed(terms=terms):
                found = Subject(terms.strategy, terms.intent_id, terms.client_order_id, terms.account)
                self._orders[terms.client_order_id] = found
                return found
            case FillRecorded(fill=fill):
                key = fill.execution.key
                found = Subject(fill.strategy, fill.intent_id, fill.client_order_id, key.account, key.venue_order_id)
                self._fills[key] = found
                return found
            case FillSettled(key=key) | FillConflict(key=key) | ReportQuarantined(key=key):
                return self._fills.get(key, Subject(account=key.account, venue_order_id=key.venue_order_id))
            case IntentAccepted(intent=intent):
                return Subject(intent.strategy, intent.intent_id, account=intent.account)
            case IntentRefused() | BracketClosing() | BracketDecided() | DispositionChosen() | IntentEnded():
                return Subject(event.strategy, event.intent_id)
            case AlertOpened(alert=alert):
                found = Subject(alert.strategy, account=alert.account)
                self._alerts[alert.alert_id] = found
                return found
            case AlertAcknowledged() | AlertClosed():
                return self._alerts.get(event.alert_id, NOBODY)
            case StrategyPaused() | StrategyResumed():
                return Subject(event.strategy)
            case ForeignOrderSeen():
                return Subject(account=event.account, venue_order_id=event.venue_order_id)
            case TransferBooked(transfer=transfer):
                return Subject(account=transfer.account)
            case (
                AccountChanged()
                | OpeningAdopted()
                | OpeningObserved()
                | LedgerRead()
                | HoldingAdopted()
                | StreamGap()
                | OperatorHalted()
                | OperatorResumed()
            ):
                return Subject(account=event.account)
            case OperatorCommanded(command=command):
                return self._asked(command)
            case ReconciliationEnded(record=record):
                return Subject(account=record.account)
            case TruthCompared(truth=truth):
                return Subject(account=truth.account)
            case AuditRecord():
                return Subject(account=AccountId(event.account))
            case ModelEvent():
                order = order_of(event)
                return NOBODY if order is None else self._orders.get(order, Subject(order=order))
            case _:
                return NOBODY

    def _asked(self, command: Command) -> Subject:
        match command:
            case AcknowledgeAlert() | ResolveAlert():
                return self._alerts.get(command.alert_id, NOBODY)
            case PauseStrategy() | ResumeStrategy():
                return Subject(command.strategy)
            case EndOrder(client_order_id=order):
                return self._orders.get(order, Subject(order=order))
            case Halt() | LiftHalt() | CancelAll() | Reconcile() | AdoptHolding():
                return Subject(account=command.account)
