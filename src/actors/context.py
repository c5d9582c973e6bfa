"""What every actor of trading shares: the recorder, the ledger it folds, the market board, and each other's refs.

The ledger and the board are read-only to everyone but their single writers, and everything in them is a frozen
value, so reading them is reading a fact and never another actor's state.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import structlog

from ..model.event import Event, OrderSubmitted, SliceWithdrawn
from ..model.fill import Direction, FillKey
from ..model.identifiers import AccountId, ClientOrderId, InstrumentId, IntentId, StrategyName
from ..model.intent import PairIntent
from ..model.ledger import Ledger
from ..model.money import EXACT, ZERO, Price, Quantity
from ..model.order import OrderTerms
from ..model.value import Value
from ..store.audit import AuditRecord
from ..store.errors import StoreFailed
from ..store.port import Journal, Lsn
from ..venues.port import Dialect
from .connect import Connect
from .host import HostBridge
from .kernel import Actor, ActorRef, ActorSystem, TaskCrashed
from .settings import AccountSettings, StrategySettings
from .ticket import Draft
from .work import Work

log = structlog.get_logger("tallystick")


class Quote(Value, frozen=True):
    """The top of one book as the feed last saw it; `fresh` is False from the moment it can no longer be trusted."""

    instrument: InstrumentId
    bid: Price | None
    ask: Price | None
    fresh: bool
    why_stale: str
    venue_time_ns: int
    received_at_ns: int

    @property
    def mid(self) -> Price | None:
        if self.bid is None or self.ask is None:
            return None
        return Price((self.bid + self.ask) / 2)


class Approvals:
    """Orders that passed the gates and are neither submitted nor withdrawn yet.

    Without them, two slices that are reviewed in one breath would not see each other. The risk actor adds; the recorder
    takes off in the step that makes the ledger count the order, so that it is counted once at every moment.
    """

    def __init__(self) -> None:
        self._terms: dict[ClientOrderId, OrderTerms] = {}
        self._sums: dict[tuple[AccountId, InstrumentId], tuple[Quantity, Quantity]] = {}

    def add(self, terms: OrderTerms) -> None:
        if terms.client_order_id not in self._terms:
            self._terms[terms.client_order_id] = terms
            self._change(terms, terms.quantity)

    def settle(self, order: ClientOrderId) -> None:
        terms = self._terms.pop(order, None)
        if terms is not None:
            self._change(terms, terms.quantity.copy_negate())

    def open_quantities(self, account: AccountId, instrument: InstrumentId) -> tuple[Quantity, Quantity]:
        """(purchases, sales) that were approved."""
        return self._sums.get((account, instrument), _NONE_APPROVED)

    def _change(self, terms: OrderTerms, amount: Decimal) -> None:
        key = (terms.account, terms.instrument)
        buys, sells = self._sums.pop(key, _NONE_APPROVED)
        if terms.direction is Direction.BUY:
            buys = Quantity(EXACT.add(buys, amount))
        else:
            sells = Quantity(EXACT.add(sells, amount))
        if buys or sells:
            self._sums[key] = (buys, sells)


_NONE_APPROVED = (Quantity(ZERO), Quantity(ZERO))


_SETTLING: frozenset[type[Event]] = frozenset({OrderSubmitted, SliceWithdrawn})
"""Events with which the ledger counts an approved order itself, or nobody needs to any more."""


class Recorder:
    """The one way into the journal: an event is folded into the ledger and appended, together.

    An event that the ledger refuses is not journalled, and one that the journal cannot take is not acted upon: the
    caller gets the exception and stops. Effects wait for `when_durable` (law L1).
    """

    def __init__(self, journal: Journal, ledger: Ledger, bridge: HostBridge, now_ns: Callable[[], int]) -> None:
        self.journal = journal
        self.ledger = ledger
        self.bridge = bridge
        self.now_ns = now_ns
        self.approvals = Approvals()
        self._drafts: deque[tuple[Lsn, list[Draft]]] = deque()
        self.last_cause = 0
        """The message whose handling recorded last: the trace keeps what changed something."""

    def record(self, *events: Event | AuditRecord, cause: int = 0) -> Lsn:
        """Fold and append as one atomic group; returns the journal position of the last.

        Raises `StoreFailed` where nothing can be recorded any more, and `IllegalTransition` for an event that its
        order's state does not allow: nothing of the group from there on has happened then.
        """
        journal = self.journal
        if journal.failed is not None:
            raise journal.failed
        now = self.now_ns()
        done = 0
        drafts: list[Draft] = []
        try:
            for event in events:
                if isinstance(event, Event):
                    heard = self.bridge.hear(event, now)
                    self.ledger.apply(event, now)
                    if heard:
                        drafts += heard
                    if event.__class__ in _SETTLING:
                        self.approvals.settle(event.client_order_id)  # type: ignore[attr-defined]  # those have one
                done += 1
        finally:
            self.last_cause = cause
            lsn = journal.append(*events[:done], at_ns=now, cause=cause) if done else journal.last_lsn
            if drafts:
                self._drafts.append((lsn, drafts))
                if len(self._drafts) == 1:
                    journal.when_durable(lsn, self._deliver)
        return lsn

    def _deliver(self) -> None:
        """Hand over every report whose event is durable by now: one action a commit, and not one an event."""
        drafts, journal = self._drafts, self.journal
        while drafts and drafts[0][0] <= journal.durable_lsn:
            self.bridge.deliver(drafts.popleft()[1])
        if drafts:
            journal.when_durable(drafts[0][0], self._deliver)

    def when_durable(self, lsn: Lsn, action: Callable[[], None]) -> None:
        self.journal.when_durable(lsn, action)


class Connection(Value, frozen=True):
    """How one account is connected; its desk is the only writer."""

    gateway_ready: bool = False
    stream_up: bool = False


class Starter(Protocol):
    """Starts the actors that come and go (tallystick.actors.tree)."""

    def start_order(self, terms: OrderTerms, *, recovered: bool) -> ActorRef: ...
    def start_leg(self, work: Work, owner: ActorRef) -> ActorRef: ...
    def start_intent(self, work: Work, owner: ActorRef) -> ActorRef: ...
    def start_bracket(self, pair: PairIntent, legs: tuple[Work, Work]) -> ActorRef: ...


class Leaving(Exception):
    """The runtime stops, and who was to hear this has stopped before."""


@dataclass(slots=True)
class Context:
    """Handed to every actor at its making."""

    system: ActorSystem
    recorder: Recorder
    dialects: Mapping[AccountId, Dialect]
    accounts: Mapping[AccountId, AccountSettings]
    strategies: Mapping[StrategyName, StrategySettings]
    connect: Connect
    start: Starter
    born_ns: int
    """When this runtime started, UTC; nothing older than this minus an overlap can be ours in a fresh store."""
    on_fatal: Callable[[Exception], None]
    """Ends the runtime with an error that no restart can mend."""
    on_store_failed: Callable[[StoreFailed], None]
    quotes: dict[InstrumentId, Quote] = field(default_factory=dict)
    """The market board; the feeds are its only writers."""
    connections: dict[AccountId, Connection] = field(default_factory=dict)
    poison: dict[FillKey, int] = field(default_factory=dict)
    """How often a report about an execution crashed its handler in this process; it outlives the handler's restarts."""
    off_the_book: set[ClientOrderId] = field(default_factory=set)
    """Orders whose cancel the venue answered when nothing could be recorded any more; the orders are its writers."""

    @property
    def ledger(self) -> Ledger:
        return self.recorder.ledger

    def find(self, path: str) -> ActorRef | None:
        """The actor at this path, or None where there is none (any more)."""
        return self.system.find(path)

    def tell(self, path: str, message: object) -> None:
        """Tell an actor that may be in a branch which is just started again: then it hears nothing, as at a crash.

        For messages that nobody waits for in vain: whoever starts there reads the store, and who needs an answer has
        a timer. Raises `Leaving` like `ref`.
        """
        found = self.system.find(path)
        if found is not None:
            found.tell(message)
        elif self.system.is_stopping:
            raise Leaving(f"{path} has stopped already")

    def ref(self, path: str) -> ActorRef:
        """The actor at this path, which is there as long as the runtime is.

        Raises `Leaving` for one that has stopped before the caller in an orderly stop, else KeyError.
        """
        found = self.system.find(path)
        if found is None:
            if self.system.is_stopping:
                raise Leaving(f"{path} has stopped already")
            raise KeyError(f"there is no actor at {path}")
        return found

    def connection(self, account: AccountId) -> Connection:
        return self.connections.get(account, Connection())


class Paths:
    """Where each actor lives in the tree."""

    ALERTS = "/alerts"
    RISK = "/risk"
    OPERATOR = "/operator/desk"

    @staticmethod
    def account(account: AccountId, role: str) -> str:
        return f"/accounts/{account}/{role}"

    @staticmethod
    def connection(account: AccountId, role: str) -> str:
        return f"/accounts/{account}/connection/{role}"

    @staticmethod
    def order(account: AccountId, order: ClientOrderId) -> str:
        return f"/accounts/{account}/orders/{order}"

    @staticmethod
    def leg(strategy: StrategyName, intent_id: IntentId, leg: int) -> str:
        return f"/strategies/{strategy}/work/{intent_id}:{leg}"

    @staticmethod
    def bracket(strategy: StrategyName, intent_id: IntentId) -> str:
        return f"/strategies/{strategy}/work/{intent_id}"

    @staticmethod
    def strategy(strategy: StrategyName, role: str) -> str:
        return f"/strategies/{strategy}/{role}"


class TradingActor(Actor):
    """An actor with the shared context. A failed store is not a crash: what needs the journal stops, cancels go on."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.ledger: Ledger = context.recorder.ledger
        self.now_ns: Callable[[], int] = context.recorder.now_ns
        """UTC nanoseconds; for records and venue times. Durations are measured with `monotonic`."""
        self.monotonic: Callable[[], float] = context.system.clock.monotonic

    def record(self, *events: Event | AuditRecord) -> Lsn:
        """Record events as caused by the current message; see `Recorder.record`."""
        cell = self._cell
        current = cell.system.current
        cause = current.id if current is not None and current.receiver is cell else 0
        return self.context.recorder.record(*events, cause=cause)

    def when_durable(self, lsn: Lsn, action: Callable[[], None]) -> None:
        self.context.recorder.when_durable(lsn, action)

    def absorbs(self, error: Exception, message: object) -> bool:
        if isinstance(error, Leaving):
            return True  # as if the process had ended right here: the next start takes it up from the store
        if isinstance(error, TaskCrashed) and isinstance(error.__cause__, StoreFailed):
            error = error.__cause__  # a task of the actor's: it has ended, and the actor goes on without it
        if not isinstance(error, StoreFailed):
            return False
        self.context.on_store_failed(error)
        log.critical("not recorded, not done", actor=self.path, message=type(message).__name__, why=str(error))
        return True
