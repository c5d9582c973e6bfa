"""Everything that is journalled. State is what these add up to; nothing else is ever restored.

An event names what happened, in the past tense, with everything that is needed to apply it: no clock, no random
number and no other actor is asked when it is replayed. `kind` and `version` are what the journal stores; a
changed event gets a new version and a function that lifts the old one (tallystick.store.codec).
"""

from typing import ClassVar

from .account import AccountState, Reconciliation
from .alert import Alert
from .bracket import CloseReason, Decision
from .fill import Fill, FillKey, Known, Settlement
from .identifiers import (
    AccountId,
    AlertId,
    AssetId,
    ClientOrderId,
    CommandId,
    IntentId,
    StrategyName,
    VenueOrderId,
)
from .instrument import Instrument
from .intent import AnyIntent
from .money import Quantity, SignedQuantity
from .operator import Command, Operator
from .order import OrderTerms
from .outcome import CancelOutcome, Evidence, Outcome
from .report import Holding
from .traced import TracedRow
from .transfer import LedgerPosition, Transfer
from .truth import Truth
from .value import Value


class Event(Value, frozen=True):
    """The base of all events."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1


# ---- runtime and accounts ---------------------------------------------------------------------------------


class RuntimeStarted(Event, frozen=True):
    """A runtime took the store. `build` is its version, `owner` says where it runs."""

    kind: ClassVar[str] = "runtime_started"
    build: str
    owner: str


class RuntimeStopped(Event, frozen=True):
    kind: ClassVar[str] = "runtime_stopped"
    reason: str


class InstrumentLearned(Event, frozen=True):
    """An instrument's rules, as the venue's catalogue had them; journalled when new or changed."""

    kind: ClassVar[str] = "instrument_learned"
    instrument: Instrument


class AccountChanged(Event, frozen=True):
    kind: ClassVar[str] = "account_changed"
    account: AccountId
    state: AccountState
    reason: str


class OpeningAdopted(Event, frozen=True):
    """What the account held before its first fill in this journal: the baseline that fills are added to.

    `by` is the rule or the operator that adopted it, `stamps` name the views that agreed on it.
    """

    kind: ClassVar[str] = "opening_adopted"
    account: AccountId
    holdings: tuple[Holding, ...]
    by: str
    stamps: tuple[str, ...]


class OpeningObserved(Event, frozen=True):
    """Positions were there before the journal's first entry for the account; nothing is booked by it.

    It stands until an operator adopts them: until then the account has no baseline and stays out of Live.
    """

    kind: ClassVar[str] = "opening_observed"
    account: AccountId
    holdings: tuple[Holding, ...]
    stamps: tuple[str, ...]


class LedgerRead(Event, frozen=True):
    """The ledger that the account settles on was read up to this position; what moved before it is booked."""

    kind: ClassVar[str] = "ledger_read"
    account: AccountId
    position: LedgerPosition


class TransferBooked(Event, frozen=True):
    """Cash or positions moved without a trade: once and for ever for each transaction of the ledger."""

    kind: ClassVar[str] = "transfer_booked"
    transfer: Transfer


class ReconciliationEnded(Event, frozen=True):
    kind: ClassVar[str] = "reconciliation_ended"
    record: Reconciliation


class StreamGap(Event, frozen=True):
    """A private stream was not to be trusted from `from_ns` until `until_ns`; what happened meanwhile was swept."""

    kind: ClassVar[str] = "stream_gap"
    account: AccountId
    from_ns: int
    until_ns: int
    reason: str


# ---- intents ----------------------------------------------------------------------------------------------


class IntentAccepted(Event, frozen=True):
    """From here on the runtime owes the strategy exactly one terminal report for it."""

    kind: ClassVar[str] = "intent_accepted"
    intent: AnyIntent


class IntentRefused(Event, frozen=True):
    """Nothing will be done. `gate` names the check, `message` carries its numbers."""

    kind: ClassVar[str] = "intent_refused"
    strategy: StrategyName
    intent_id: IntentId
    gate: str
    message: str


class SliceComputed(Event, frozen=True):
    """One child order exists; it must be sent or withdrawn by `send_by_ns`, or coverage raises an alert."""

    kind: ClassVar[str] = "slice_computed"
    terms: OrderTerms
    send_by_ns: int


class SliceWithdrawn(Event, frozen=True):
    kind: ClassVar[str] = "slice_withdrawn"
    client_order_id: ClientOrderId
    reason: str


class BracketClosing(Event, frozen=True):
    """The bracket stopped waiting and cancels what still works."""

    kind: ClassVar[str] = "bracket_closing"
    strategy: StrategyName
    intent_id: IntentId
    reason: CloseReason


class BracketDecided(Event, frozen=True):
    """What the pair became; at most one for each bracket, ever."""

    kind: ClassVar[str] = "bracket_decided"
    strategy: StrategyName
    intent_id: IntentId
    decision: Decision


class DispositionChosen(Event, frozen=True):
    """The strategy's answer to a partial pair."""

    kind: ClassVar[str] = "disposition_chosen"
    strategy: StrategyName
    intent_id: IntentId
    choice: str
    note: str


class IntentEnded(Event, frozen=True):
    """The terminal report: `filled` per leg (one entry for a single intent). Exactly one per accepted intent.

    `reason` says why nothing of it could be sent, where that is so.
    """

    kind: ClassVar[str] = "intent_ended"
    strategy: StrategyName
    intent_id: IntentId
    outcome: str
    filled: tuple[Quantity, ...]
    reason: str = ""


# ---- orders -----------------------------------------------------------------------------------------------


class OrderSubmitted(Event, frozen=True):
    """The exact signed bytes, durable before any of them leaves (law L1) and the only bytes that ever will (L6)."""

    kind: ClassVar[str] = "order_submitted"
    client_order_id: ClientOrderId
    account: AccountId
    venue_order_id: VenueOrderId
    body: bytes


class OrderAcknowledged(Event, frozen=True):
    kind: ClassVar[str] = "order_acknowledged"
    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    evidence: Evidence


class OrderUnconfirmed(Event, frozen=True):
    """Its state at the venue is not known since now: it counts as open until a report says otherwise."""

    kind: ClassVar[str] = "order_unconfirmed"
    client_order_id: ClientOrderId
    why: str


class OrderConfirmed(Event, frozen=True):
    """The venue was asked and said how much is executed; the answer to an `OrderUnconfirmed`."""

    kind: ClassVar[str] = "order_confirmed"
    client_order_id: ClientOrderId
    knowledge: Known


class CancelRequested(Event, frozen=True):
    kind: ClassVar[str] = "cancel_requested"
    client_order_id: ClientOrderId
    reason: str


class CancelAnswered(Event, frozen=True):
    kind: ClassVar[str] = "cancel_answered"
    client_order_id: ClientOrderId
    outcome: CancelOutcome


class OrderDone(Event, frozen=True):
    kind: ClassVar[str] = "order_done"
    client_order_id: ClientOrderId
    outcome: Outcome
    evidence: Evidence


class ForeignOrderSeen(Event, frozen=True):
    """The venue shows an open order of this account that the journal does not know. Attributed to nobody."""

    kind: ClassVar[str] = "foreign_order_seen"
    account: AccountId
    venue_order_id: VenueOrderId
    detail: str


# ---- fills ------------------------------------------------------------------------------------------------


class FillRecorded(Event, frozen=True):
    """An execution entered the log, once and for ever (law L5)."""

    kind: ClassVar[str] = "fill_recorded"
    fill: Fill


class FillSettled(Event, frozen=True):
    """Settlement of a recorded fill went on; CONFIRMED and REVERSED are final."""

    kind: ClassVar[str] = "fill_settled"
    key: FillKey
    settlement: Settlement
    transaction: str


class FillConflict(Event, frozen=True):
    """A report contradicts a recorded fill under the same key; held and shown, not guessed."""

    kind: ClassVar[str] = "fill_conflict"
    key: FillKey
    found: Fill
    detail: str


class ReportQuarantined(Event, frozen=True):
    """A report crashed its handler twice: it is kept here and left out while this process lives (actors.md 1.14).

    Nothing is known of what it would have changed. `report` is the whole of it as JSON, `message_id` the trace's.
    """

    kind: ClassVar[str] = "report_quarantined"
    key: FillKey
    report: bytes
    why: str
    message_id: int


# ---- truth, alerts, strategies ----------------------------------------------------------------------------


class TruthCompared(Event, frozen=True):
    """The three views were compared; journalled when anything changed, and on a cadence."""

    kind: ClassVar[str] = "truth_compared"
    truth: Truth


class AlertOpened(Event, frozen=True):
    kind: ClassVar[str] = "alert_opened"
    alert: Alert


class AlertClosed(Event, frozen=True):
    """`explained` when a fact closed it, `resolved` when an operator did."""

    kind: ClassVar[str] = "alert_closed"
    alert_id: AlertId
    state: str
    by: str
    evidence: tuple[tuple[str, str], ...] = ()


class StrategyPaused(Event, frozen=True):
    kind: ClassVar[str] = "strategy_paused"
    strategy: StrategyName
    reason: str
    alert_id: AlertId | None = None


class StrategyResumed(Event, frozen=True):
    kind: ClassVar[str] = "strategy_resumed"
    strategy: StrategyName
    by: str


class OperatorCommanded(Event, frozen=True):
    """An operator asked for it. The events of what it changes are in the same commit, right after this one.

    `command_id` makes it idempotent; `at_ns` is when the runtime decided, UTC nanoseconds.
    """

    kind: ClassVar[str] = "operator_commanded"
    command_id: CommandId
    operator: Operator
    command: Command
    note: str
    at_ns: int


class AlertAcknowledged(Event, frozen=True):
    """Somebody looks after it; it stays open until a fact or an operator closes it."""

    kind: ClassVar[str] = "alert_acknowledged"
    alert_id: AlertId
    by: str
    note: str


class HoldingAdopted(Event, frozen=True):
    """An operator took a difference between the views and the book into the book: never a fill, of no strategy.

    The book changes by `quantity`. `truth` is the evidence: the book as it was, and the views with their as-of.
    """

    kind: ClassVar[str] = "holding_adopted"
    command_id: CommandId
    account: AccountId
    asset: AssetId
    quantity: SignedQuantity
    truth: Truth
    by: str
    note: str


class OperatorHalted(Event, frozen=True):
    """New orders stop for the account (or for all, with None); cancels go on."""

    kind: ClassVar[str] = "operator_halted"
    account: AccountId | None
    by: str
    reason: str


class OperatorResumed(Event, frozen=True):
    kind: ClassVar[str] = "operator_resumed"
    account: AccountId | None
    by: str


# ---- tracing ----------------------------------------------------------------------------------------------


class MessagesTraced(Event, frozen=True):
    """Messages between actors on the path of orders, many in one event; read them with `traced_message`.

    `texts` is what the rows point into, "" first. `lost` messages before these were too many to be kept.
    """

    kind: ClassVar[str] = "messages_traced"
    texts: tuple[str, ...]
    rows: tuple[TracedRow, ...]
    lost: int = 0


EVENTS: tuple[type[Event], ...] = (
    RuntimeStarted,
    RuntimeStopped,
    InstrumentLearned,
    AccountChanged,
    OpeningAdopted,
    OpeningObserved,
    LedgerRead,
    TransferBooked,
    ReconciliationEnded,
    StreamGap,
    IntentAccepted,
    IntentRefused,
    SliceComputed,
    SliceWithdrawn,
    BracketClosing,
    BracketDecided,
    DispositionChosen,
    IntentEnded,
    OrderSubmitted,
    OrderAcknowledged,
    OrderUnconfirmed,
    OrderConfirmed,
    CancelRequested,
    CancelAnswered,
    OrderDone,
    ForeignOrderSeen,
    FillRecorded,
    FillSettled,
    FillConflict,
    ReportQuarantined,
    TruthCompared,
    AlertOpened,
    AlertClosed,
    StrategyPaused,
    StrategyResumed,
    OperatorCommanded,
    AlertAcknowledged,
    HoldingAdopted,
    OperatorHalted,
    OperatorResumed,
    MessagesTraced,
)
