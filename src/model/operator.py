"""What an operator may ask of a running runtime: commands as values, and who asked.

Whatever one of them changes is an event in the commit of its `OperatorCommanded` (tallystick.model.event), so that a
change without its author, or an author without his change, cannot be found in a journal.
"""

from typing import ClassVar

from .identifiers import AccountId, AlertId, AssetId, ClientOrderId, StrategyName
from .value import Value

NOTE_LENGTH_MAX = 2000
COMMAND_ID_LENGTH_MAX = 64


class Operator(Value, frozen=True):
    """Who asked. `uid` and `user` are what the machine's kernel says of the caller's process, or of our own.

    `claimed` is what only the caller says of himself, such as the user behind a sudo.
    """

    uid: int
    user: str
    claimed: str = ""

    def __str__(self) -> str:
        claimed = f", who says to be {self.claimed}" if self.claimed else ""
        return f"{self.user} (uid {self.uid}{claimed})"


class AcknowledgeAlert(Value, frozen=True, tag="acknowledge_alert"):
    """Somebody looks after it; it stays open."""

    note_is_needed: ClassVar[bool] = False
    alert_id: AlertId


class ResolveAlert(Value, frozen=True, tag="resolve_alert"):
    """The matter is settled, and the note says how."""

    note_is_needed: ClassVar[bool] = True
    alert_id: AlertId


class PauseStrategy(Value, frozen=True, tag="pause_strategy"):
    """No new orders of this strategy; what is open goes on."""

    note_is_needed: ClassVar[bool] = True
    strategy: StrategyName


class ResumeStrategy(Value, frozen=True, tag="resume_strategy"):
    """The strategy may go on. Refused while a drift of one of its accounts is open."""

    note_is_needed: ClassVar[bool] = True
    strategy: StrategyName


class Halt(Value, frozen=True, tag="halt"):
    """No new orders of one account, or of any with None. Cancels and questions go on."""

    note_is_needed: ClassVar[bool] = True
    account: AccountId | None = None


class LiftHalt(Value, frozen=True, tag="lift_halt"):
    """Ends exactly the halt that was set for this account, or for all with None."""

    note_is_needed: ClassVar[bool] = True
    account: AccountId | None = None


class CancelAll(Value, frozen=True, tag="cancel_all"):
    """Every intent at work cancels what is open and withdraws what was not sent; `halt` stops new orders as well."""

    note_is_needed: ClassVar[bool] = False
    account: AccountId | None = None
    halt: bool = False


class Reconcile(Value, frozen=True, tag="reconcile"):
    """Sweep an account now. Fills are read from `since_ns` (UTC) on, by default as far back as anything is open."""

    note_is_needed: ClassVar[bool] = False
    account: AccountId
    since_ns: int | None = None


class AdoptHolding(Value, frozen=True, tag="adopt_holding"):
    """Take the difference between the views and the book into the book. Never a fill, and no strategy's position.

    Only what the venue and, where there is one, the wallet agree on, while nothing is in flight.
    """

    note_is_needed: ClassVar[bool] = True
    account: AccountId
    asset: AssetId


class EndOrder(Value, frozen=True, tag="end_order"):
    """End an order that the venue does not show, on the operator's evidence, which is the note."""

    note_is_needed: ClassVar[bool] = True
    client_order_id: ClientOrderId


Command = (
    AcknowledgeAlert
    | ResolveAlert
    | PauseStrategy
    | ResumeStrategy
    | Halt
    | LiftHalt
    | CancelAll
    | Reconcile
    | AdoptHolding
    | EndOrder
)


def described(command: Command) -> str:
    """The command in a few words, for a journal, a log and a page."""
    match command:
        case AcknowledgeAlert():
            return f"acknowledge alert {command.alert_id}"
        case ResolveAlert():
            return f"resolve alert {command.alert_id}"
        case PauseStrategy():
            return f"pause strategy {command.strategy}"
        case ResumeStrategy():
            return f"resume strategy {command.strategy}"
        case Halt():
            return f"halt {command.account or 'everything'}"
        case LiftHalt():
            return f"lift the halt of {command.account or 'everything'}"
        case CancelAll():
            also = " and halt" if command.halt else ""
            return f"cancel all orders of {command.account or 'every account'}{also}"
        case Reconcile():
            return f"reconcile {command.account}"
        case AdoptHolding():
            return f"adopt {command.asset} of {command.account}"
        case EndOrder():
            return f"end order {command.client_order_id}"
