"""What actors say to each other: frozen values, each with one receiver in mind, in the order of an order's life."""

from ..model.account import AccountState, Reconciliation, SweepTrigger
from ..model.alert import Alert
from ..model.bracket import CloseReason, LegProgress
from ..model.fill import Fill, FillSource
from ..model.identifiers import (
    AccountId,
    AlertId,
    AssetId,
    ClientOrderId,
    CommandId,
    IntentId,
    StrategyName,
    VenueOrderId,
)
from ..model.intent import AnyIntent
from ..model.operator import Command, Operator
from ..model.order import OrderState, OrderTerms
from ..model.report import ExecutionReport, OrderReport, SettlementReport
from ..model.risk import ApprovedOrder
from ..model.truth import Truth
from ..model.value import Value
from ..store.port import Lsn
from ..venues.port import Reply, Request
from .kernel import ActorRef
from .ticket import Receipt


class Message(Value, frozen=True, gc=True):
    """The base of messages; never changed after it was sent."""


# ---- host → strategy ---------------------------------------------------------------------------------------


class Submit(Message, frozen=True):
    """The host hands in an intent; the receipt is completed once it is durable, or refused."""

    intent: AnyIntent
    receipt: Receipt


class Dispose(Message, frozen=True):
    """The strategy's answer to a partial pair."""

    intent_id: IntentId
    choice: str
    note: str


# ---- bracket ↔ leg -----------------------------------------------------------------------------------------


class LegMoved(Message, frozen=True):
    """Where a leg stands; `why_not` says why a part of it could not be sent, where that is so."""

    leg: int
    progress: LegProgress
    why_not: str = ""


class CloseLeg(Message, frozen=True):
    """Cancel what is open, withdraw what was not sent, and report when all has ended."""

    reason: CloseReason


class TellProgress(Message, frozen=True):
    """A bracket that was restarted asks its legs where they stand."""


class Deadline(Message, frozen=True):
    """A bracket's or an intent's own timer."""


# ---- leg → risk → desk → order -----------------------------------------------------------------------------


class ReviewOrder(Message, frozen=True):
    """A computed slice asks for its gates and goes on to the account's desk, within `send_within_seconds`."""

    terms: OrderTerms
    leg: ActorRef
    send_within_seconds: float


class OrderRefused(Message, frozen=True):
    """The slice was not sent and will not be by itself. `held` says that it may be sent once the account is Live."""

    client_order_id: ClientOrderId
    gate: str
    message: str
    held: bool


class PlaceOrder(Message, frozen=True):
    order: ApprovedOrder
    leg: ActorRef


class OrderMoved(Message, frozen=True):
    """An order tells its leg where it stands."""

    state: OrderState


class CancelOrder(Message, frozen=True):
    client_order_id: ClientOrderId
    reason: str


class ReviewAgain(Message, frozen=True):
    """A leg's timer: a slice that a gate held asks again."""

    client_order_id: ClientOrderId


class CheckClosing(Message, frozen=True):
    """A leg's timer: has every order been asked to end? A crash on the way may have lost the request."""


class CheckCoverage(Message, frozen=True):
    """A leg's timer: has this slice been sent or withdrawn?"""

    client_order_id: ClientOrderId


# ---- anyone → gateway → anyone -----------------------------------------------------------------------------


class Exchange(Message, frozen=True):
    """One request to the venue. Nothing of it leaves before `after` is durable.

    `places` names the order that it places: such a request leaves only while that order is still wanted.
    """

    request: Request
    reply_to: ActorRef
    tag: int | str
    after: Lsn
    places: ClientOrderId | None = None


class Exchanged(Message, frozen=True):
    tag: int | str
    reply: Reply


class CredentialsObtained(Message, frozen=True):
    """The gateway has logged in: what waited for the account's credentials can use them."""


class GatewayReady(Message, frozen=True):
    """The gateway can authenticate and has checked the clock."""


class GatewayDown(Message, frozen=True):
    """The gateway starts (again): what was under way in an earlier one has no answer."""


class StoreLost(Message, frozen=True):
    """The store has failed: what waits for it will wait for ever."""

    why: str


class InstrumentsLearned(Message, frozen=True):
    """The gateway read the catalogue; the feed subscribes to what is new."""


class RequestDue(Message, frozen=True):
    """The gateway's timer: a request that waited for this quota may go."""

    quota: str


# ---- stream and reports ------------------------------------------------------------------------------------


class FrameArrived(Message, frozen=True):
    frame: str | bytes
    received_at_ns: int


class StreamUp(Message, frozen=True):
    """Subscribed; not to be trusted before a sweep has closed the gap since `down_since_ns`."""

    down_since_ns: int | None


class StreamDown(Message, frozen=True):
    since_ns: int
    reason: str


class ReportOrder(Message, frozen=True):
    """An order's state as the venue shows it, with the path by which it came."""

    report: OrderReport
    source: FillSource
    rest: bool


class LogExecutions(Message, frozen=True):
    """Executions and settlements on their way into the fill log, by whatever path they came."""

    reports: tuple[ExecutionReport | SettlementReport, ...]
    source: FillSource
    received_at_ns: int


class FillLogged(Message, frozen=True):
    """A fill entered the log; told to its order, unless all that it changes there is how much is filled."""

    fill: Fill


# ---- account, reconciler, witness --------------------------------------------------------------------------


class Sweep(Message, frozen=True):
    """Reconcile the account now (as soon as spacing allows); fills are read from `since_ns` on at the latest."""

    trigger: SweepTrigger
    detail: str = ""
    since_ns: int | None = None


class SweepEnded(Message, frozen=True):
    """`stream_was_up` says whether the private stream was up when the sweep began: only then it closes the gap."""

    record: Reconciliation
    stream_was_up: bool


class OpeningKnown(Message, frozen=True):
    """The witness recorded what the account held before its first fill here: its baseline, or what awaits adoption."""


class OperatorMoved(Message, frozen=True):
    """An operator halted or resumed something; whoever depends on it looks again."""


class AccountMoved(Message, frozen=True):
    """An account changed its state; told to legs that hold slices and to the witness."""

    account: AccountId
    state: AccountState


class CompareNow(Message, frozen=True):
    """The witness's timer, or a hint that something moved."""

    why: str


class AskTruth(Message, frozen=True):
    """Asks the witness for a comparison that begins now. The reply is a `TruthTold`.

    With `settled` it is given once every difference has settled: explained, gone, or alerted.
    """

    settled: bool


class TruthTold(Message, frozen=True):
    """What a comparison came to. `unread` says which view could not be read and why."""

    truths: tuple[Truth, ...]
    unread: tuple[str, ...]


# ---- operators ---------------------------------------------------------------------------------------------


class Operate(Message, frozen=True):
    """An operator's command, asked of the operator's desk; answered with `Carried` once it is durable."""

    command_id: CommandId
    operator: Operator
    command: Command
    note: str


class Carried(Message, frozen=True):
    """What became of a command. `repeated`: it was carried out before, at `at_ns`, and nothing was done now."""

    command_id: CommandId
    at_ns: int
    repeated: bool
    text: str


class ExamineHolding(Message, frozen=True):
    """The operator's desk has an account looked at before a holding is adopted."""

    command_id: CommandId
    asset: AssetId
    reply_to: ActorRef


class HoldingExamined(Message, frozen=True):
    """The views of one asset as they are now, with executions of the venue's history that the log lacks.

    `unreadable` says why that history could not be read, where it could not; the views say so themselves.
    """

    command_id: CommandId
    truth: Truth
    missing: int
    unreadable: str


class ExamineOrder(Message, frozen=True):
    """The operator's desk has the venue asked for an order before it is ended on an operator's evidence."""

    command_id: CommandId
    order: ClientOrderId
    venue_order_id: VenueOrderId
    reply_to: ActorRef


class OrderExamined(Message, frozen=True):
    """What the venue says of the order now: shown (`shown` says how), not shown (`absent`), or not readable."""

    command_id: CommandId
    order: ClientOrderId
    shown: str = ""
    absent: str = ""
    unreadable: str = ""


class OrderEnded(Message, frozen=True):
    """An operator ended the order: its actor tells its leg, closes its alerts and finishes."""

    by: str


# ---- alerts ------------------------------------------------------------------------------------------------


class Raise(Message, frozen=True):
    """Open an alert. `again` tells an open one anew: what it says has changed, or nobody has answered it."""

    alert: Alert
    again: bool = False


class Explain(Message, frozen=True):
    """A fact closed an alert."""

    alert_id: AlertId
    by: str
    evidence: tuple[tuple[str, str], ...] = ()


# ---- tasks -------------------------------------------------------------------------------------------------


class Tick(Message, frozen=True):
    """A timer of the receiver's own, told apart by its name."""

    name: str


class PauseStrategy(Message, frozen=True):
    strategy: StrategyName
    reason: str
    alert_id: AlertId | None
