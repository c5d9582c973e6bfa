"""Everything that can go wrong in a world, as one union of values: at the venue, on the wires, in the machine.

Each has a name (its tag in JSON), and its docstring says in a sentence what it does. `applying.apply` brings it about
and says how often it has bitten since; a fault that never bit has proved nothing, and is reported as such.
Numbers and durations of faults of the machine mean what they mean in `venue_faults`: so often, or for so long.
"""

from enum import StrEnum
from typing import get_args

import msgspec

from ...model.fill import Direction
from ...model.identifiers import InstrumentId
from ...model.money import Cash, Price, Quantity
from ...model.value import Value
from . import venue_faults
from .venue_faults import Refuse, VenueFault
from .wire import Way


class Role(StrEnum):
    """An actor by what it does, whatever its path is in a world."""

    ALERTS = "alerts"
    RISK = "risk"
    FILLS = "fills"
    ACCOUNT_DESK = "account_desk"
    GATEWAY = "gateway"
    STREAM = "stream"
    RECONCILER = "reconciler"
    FEED = "feed"
    WITNESS = "witness"
    STRATEGY_DESK = "strategy_desk"
    WORK = "work"
    """Any actor of an intent, a leg or a bracket."""
    ORDER = "order"
    """Any actor of an order."""


class Kept(Value, frozen=True):
    """What the disk has of the commits that were not acknowledged at a death: the first so many groups of them.

    With `torn` the group after those is half written.
    """

    groups: int = 0
    torn: bool = False


# ---- wires ------------------------------------------------------------------------------------------------


class LoseConnections(Value, frozen=True, tag="lose_connections"):
    """Every connection is lost at once; new ones can be made."""


class CutConnection(Value, frozen=True, tag="cut_connection"):
    """A connection is lost after so many more bytes one way: in the midst of whatever is sent then."""

    websocket: bool
    way: Way
    after_bytes: int


class SilenceConnection(Value, frozen=True, tag="silence_connection"):
    """A connection is half-open from now on: the peer is gone, and nobody says so."""

    websocket: bool


class Clog(Value, frozen=True, tag="clog"):
    """Nothing gets through one way for so long; then all of it, in order."""

    way: Way
    seconds: float


class Unreachable(Value, frozen=True, tag="unreachable"):
    """The venue cannot be reached for so long, and every connection is lost."""

    seconds: float


class SlowReading(Value, frozen=True, tag="slow_reading"):
    """What the venue sends arrives at so many bytes a second."""

    bytes_per_second: float
    seconds: float


class SplitReading(Value, frozen=True, tag="split_reading"):
    """Every read gets a few bytes only, wherever they end."""

    bytes_maximum: int
    seconds: float


# ---- clock and disk ---------------------------------------------------------------------------------------


class StepClock(Value, frozen=True, tag="step_clock"):
    """The machine's clock is set wrong by so much all at once, and set right after a while."""

    by_seconds: float
    seconds: float


class DriftClock(Value, frozen=True, tag="drift_clock"):
    """The machine's clock runs too fast or too slow for a while, and is then set right."""

    parts_per_million: float
    seconds: float


class SlowDisk(Value, frozen=True, tag="slow_disk"):
    """Every commit takes so much longer."""

    by_seconds: float
    seconds: float


class FailCommit(Value, frozen=True, tag="fail_commit"):
    """The next commit fails with an I/O error."""


class FillDisk(Value, frozen=True, tag="fill_disk"):
    """The disk takes so many more bytes, until somebody frees it."""

    left_bytes: int
    seconds: float


class DamageSnapshot(Value, frozen=True, tag="damage_snapshot"):
    """The newest snapshot on the disk has a byte that flipped, and the process dies."""


# ---- actors and their mailboxes ---------------------------------------------------------------------------


class DelayMessages(Value, frozen=True, tag="delay_messages"):
    """Messages to an actor wait before they are delivered; those of one sender keep their order."""

    to: Role
    by_seconds: float
    count: int


class TightMailbox(Value, frozen=True, tag="tight_mailbox"):
    """An actor's bounded lanes hold one message each for a while: what comes meanwhile overflows.

    The fill log, the stream, the feed and a strategy's desk have bounded lanes; others do not feel it.
    """

    of: Role
    seconds: float


class CrashActor(Value, frozen=True, tag="crash_actor"):
    """An actor crashes between two messages; and again as soon as it is back, so many times."""

    who: Role
    times: int = 1


class CrashAtMessage(Value, frozen=True, tag="crash_at_message"):
    """Whichever actor is sent the nth message from now crashes before it reads it."""

    messages: int


class CrashAtEvent(Value, frozen=True, tag="crash_at_event"):
    """Whichever actor records the next event of a kind crashes, right before or after it is recorded."""

    kind: str
    before: bool


# ---- the process ------------------------------------------------------------------------------------------


class KillAtCommit(Value, frozen=True, tag="kill_at_commit"):
    """The process dies as the nth commit from now begins."""

    commits: int
    kept: Kept = Kept()


class KillAtRequest(Value, frozen=True, tag="kill_at_request"):
    """The process dies in the moment in which the nth order from now has left."""

    orders: int = 1
    kept: Kept = Kept()


class KillInRecovery(Value, frozen=True, tag="kill_in_recovery"):
    """The process dies now, and again as the nth commit of each of its next starts begins."""

    commits: int
    times: int = 1
    kept: Kept = Kept()


class KillInShutdown(Value, frozen=True, tag="kill_in_shutdown"):
    """The process is asked to stop, and dies as the nth commit of its stopping begins."""

    commits: int
    kept: Kept = Kept()


class StopInOrder(Value, frozen=True, tag="stop_in_order"):
    """The process is asked to stop, and stops."""


# ---- the world outside ------------------------------------------------------------------------------------


class TradeByHand(Value, frozen=True, tag="trade_by_hand"):
    """The account's owner places an order past the runtime, with the same key."""

    instrument: InstrumentId
    direction: Direction
    price: Price
    quantity: Quantity


class Deposit(Value, frozen=True, tag="deposit"):
    """Cash comes into the account from outside."""

    cash: Cash


class Withdraw(Value, frozen=True, tag="withdraw"):
    """Cash leaves the account."""

    cash: Cash


class CancelOurs(Value, frozen=True, tag="cancel_ours"):
    """The venue cancels an open order of ours by itself."""


WireFault = LoseConnections | CutConnection | SilenceConnection | Clog | Unreachable | SlowReading | SplitReading
MachineFault = StepClock | DriftClock | SlowDisk | FailCommit | FillDisk | DamageSnapshot
ActorFault = DelayMessages | TightMailbox | CrashActor | CrashAtMessage | CrashAtEvent
ProcessFault = KillAtCommit | KillAtRequest | KillInRecovery | KillInShutdown | StopInOrder
OutsideAct = TradeByHand | Deposit | Withdraw | CancelOurs
AnyFault = VenueFault | WireFault | MachineFault | ActorFault | ProcessFault | OutsideAct

KINDS: tuple[type[msgspec.Struct], ...] = get_args(AnyFault)


def names() -> tuple[str, ...]:
    """Every name that a fault can have, in the order of the catalogue."""
    found: list[str] = []
    for kind in KINDS:
        tag = str(kind.__struct_config__.tag)
        found += [f"{tag}:{how}" for how in venue_faults.Refusal] if kind is Refuse else [tag]
    return tuple(found)


def name_of(fault: AnyFault) -> str:
    """The name of a fault; refusals are told apart by how they refuse."""
    tag = str(fault.__struct_config__.tag)
    return f"{tag}:{fault.how}" if isinstance(fault, Refuse) else tag


def sentence_of(kind: type[msgspec.Struct]) -> str:
    """What a kind of fault does, in one sentence."""
    text = " ".join((kind.__doc__ or "").split())
    return text.partition(". ")[0].removesuffix(".") + "."
