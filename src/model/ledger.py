"""What the journal adds up to: the live state of orders, intents, holdings, alerts and strategies.

One fold serves recovery, restarts of single actors, the command line and the tests, so they cannot disagree. The
ledger is the only mutable thing in the model; everything in it is a frozen value, replaced and never changed, so a
value handed out stays what it was. What has ended and settled is let go (unless `keep_ended`), so that memory
follows what is live and the millionth order costs what the first did.
"""

from collections.abc import Iterator

import msgspec

from .account import AccountState, Reconciliation
from .alert import Alert, AlertState
from .bracket import CloseReason, Decision
from .event import (
    AccountChanged,
    AlertClosed,
    AlertOpened,
    BracketClosing,
    BracketDecided,
    CancelAnswered,
    CancelRequested,
    DispositionChosen,
    Event,
    FillConflict,
    FillRecorded,
    FillSettled,
    ForeignOrderSeen,
    InstrumentLearned,
    IntentAccepted,
    IntentEnded,
    IntentRefused,
    OpeningAdopted,
    OperatorHalted,
    OperatorResumed,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    ReconciliationEnded,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
    SliceWithdrawn,
    StrategyPaused,
    StrategyResumed,
    StreamGap,
    TruthCompared,
)
from .fill import Fill, FillKey, Settlement
from .identifiers import (
    AccountId,
    AlertId,
    AssetId,
    ClientOrderId,
    InstrumentId,
    IntentId,
    StrategyName,
    VenueOrderId,
)
from .instrument import Instrument
from .intent import AnyIntent
from .money import ZERO, Quantity, SignedQuantity
from .order import Acknowledged, Done, OrderState, Sent, Withdrawn
from .position import Position
from .transition import advance, order_of
from .truth import BookView, Truth
from .value import Value

IntentKey = tuple[StrategyName, IntentId]
NOTHING = BookView(confirmed=SignedQuantity(ZERO), matched=SignedQuantity(ZERO))


class IntentEntry(Value, frozen=True):
    """One accepted intent and what has become of it so far."""

    intent: AnyIntent
    accepted_at_ns: int
    orders: tuple[ClientOrderId, ...] = ()
    closing: CloseReason | None = None
    decision: Decision | None = None
    disposition: str = ""
    outcome: str = ""
    filled: tuple[Quantity, ...] = ()
    ended_at_ns: int | None = None

    @property
    def key(self) -> IntentKey:
        return self.intent.strategy, self.intent.intent_id


class AccountEntry(Value, frozen=True):
    """One account: its state, its baseline, and its last reconciliation and gap."""

    state: AccountState = AccountState.RECOVERING
    reason: str = ""
    opened: bool = False
    last_reconciliation: Reconciliation | None = None
    gaps: int = 0
    fills: int = 0
    """Executions and settlements folded so far: the fill watermark of comparisons."""
    last_fill_ns: int = 0
    """Venue time of the newest execution; where the next sweep for fills starts, minus its overlap."""


class StrategyEntry(Value, frozen=True):
    paused: str = ""
    """Why it is paused; empty while it runs."""
    accepted: int = 0
    refused: int = 0
    ended: int = 0


class LedgerState(Value, frozen=True):
    """A ledger as one value: what a snapshot holds."""

    instruments: tuple[Instrument, ...]
    accounts: tuple[tuple[AccountId, AccountEntry], ...]
    strategies: tuple[tuple[StrategyName, StrategyEntry], ...]
    intents: tuple[IntentEntry, ...]
    orders: tuple[OrderState, ...]
    unsettled: tuple[Fill, ...]
    holdings: tuple[tuple[AccountId, AssetId, BookView], ...]
    positions: tuple[tuple[StrategyName, InstrumentId, Position], ...]
    alerts: tuple[Alert, ...]
    truths: tuple[Truth, ...]
    halted: tuple[tuple[AccountId | None, str], ...]
    started: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LedgerState)


class Ledger:
    """The fold of the journal. `apply` takes every event in journal order and is the only way in."""

    def __init__(self, *, keep_ended: bool = False) -> None:
        self.keep_ended = keep_ended
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.accounts: dict[AccountId, AccountEntry] = {}
        self.strategies: dict[StrategyName, StrategyEntry] = {}
        self.intents: dict[IntentKey, IntentEntry] = {}
        self.orders: dict[ClientOrderId, OrderState] = {}
        self.by_venue_id: dict[tuple[AccountId, VenueOrderId], ClientOrderId] = {}
        self.unsettled: dict[FillKey, Fill] = {}
        self.holdings: dict[tuple[AccountId, AssetId], BookView] = {}
        self.positions: dict[tuple[StrategyName, InstrumentId], Position] = {}
        self.alerts: dict[AlertId, Alert] = {}
        self.truths: dict[tuple[AccountId, AssetId], Truth] = {}
        self.halted: dict[AccountId | None, str] = {}
        self.started = 0
        self._unsettled_by_order: dict[ClientOrderId, int] = {}

    # ---- reading ------------------------------------------------------------------------------------------

    def order_by_venue_id(self, account: AccountId, venue_order_id: VenueOrderId) -> OrderState | None:
        """The live order with this id at the venue; ended ones may have been let go."""
        found = self.by_venue_id.get((account, venue_order_id))
        return None if found is None else self.orders.get(found)

    def book(self, account: AccountId, asset: AssetId) -> BookView:
        return self.holdings.get((account, asset), NOTHING)

    def account(self, account: AccountId) -> AccountEntry:
        return self.accounts.get(account, AccountEntry())

    def strategy(self, strategy: StrategyName) -> StrategyEntry:
        return self.strategies.get(strategy, StrategyEntry())

    def live_orders(self, account: AccountId | None = None) -> Iterator[OrderState]:
        """Every order that may still change at the venue, or was computed and is not sent."""
        for state in self.orders.values():
            if not isinstance(state, (Done, Withdrawn)) and account in {None, state.terms.account}:
                yield state

    def active_intents(self, strategy: StrategyName | None = None) -> Iterator[IntentEntry]:
        for entry in self.intents.values():
            if entry.ended_at_ns is None and strategy in {None, entry.intent.strategy}:
                yield entry

    # ---- folding ------------------------------------------------------------------------------------------

    def apply(self, event: Event, at_ns: int) -> None:
        """Take one event. Raises `IllegalTransition` for an event that the order's state does not allow."""
        match event:
            case SliceComputed():
                self._order_event(event, at_ns)
                key = (event.terms.strategy, event.terms.intent_id)
                entry = self.intents.get(key)
                if entry is not None:
                    orders = (*entry.orders, event.terms.client_order_id)
                    self.intents[key] = msgspec.structs.replace(entry, orders=orders)
            case OrderSubmitted():
                self._order_event(event, at_ns)
                self.by_venue_id[event.account, event.venue_order_id] = event.client_order_id
            case (
                SliceWithdrawn()
                | OrderAcknowledged()
                | OrderUnconfirmed()
                | OrderConfirmed()
                | CancelRequested()
                | CancelAnswered()
                | OrderDone()
            ):
                self._order_event(event, at_ns)
                self._let_go_of_order(event.client_order_id)
            case FillRecorded():
                self._fill(event.fill, event, at_ns)
            case FillSettled():
                self._settle(event)
            case IntentAccepted():
                self._accept(event.intent, at_ns)
            case IntentRefused():
                self._count(event.strategy, refused=1)
            case BracketClosing() | BracketDecided() | DispositionChosen() | IntentEnded():
                self._intent_event(event, at_ns)
            case _:
                self._runtime_event(event, at_ns)

    def _order_event(self, event: Event, at_ns: int) -> None:
        order = order_of(event)
        assert order is not None, event
        self.orders[order] = advance(self.orders.get(order), event, at_ns)

    def _fill(self, fill: Fill, event: FillRecorded, at_ns: int) -> None:
        execution = fill.execution
        account = execution.key.account
        self._watermark(account, execution.venue_time_ns)
        settled = execution.settlement is Settlement.CONFIRMED
        self._hold(fill, matched=1, confirmed=1 if settled else 0)
        if fill.strategy is not None:
            key = (fill.strategy, execution.instrument)
            self.positions[key] = self.positions.get(key, Position.flat(execution.instrument)).plus(fill)
        if not execution.settlement.is_final:
            self.unsettled[execution.key] = fill
            if fill.client_order_id is not None:
                count = self._unsettled_by_order.get(fill.client_order_id, 0)
                self._unsettled_by_order[fill.client_order_id] = count + 1
        if fill.client_order_id is not None and fill.client_order_id in self.orders:
            self._order_event(event, at_ns)
            self._let_go_of_order(fill.client_order_id)

    def _settle(self, event: FillSettled) -> None:
        fill = self.unsettled.get(event.key)
        if fill is None:
            return  # already final; the fill log journals a final state only once
        self._watermark(event.key.account, 0)
        if not event.settlement.is_final:
            execution = msgspec.structs.replace(
                fill.execution, settlement=event.settlement, transaction=event.transaction
            )
            self.unsettled[event.key] = msgspec.structs.replace(fill, execution=execution)
            return
        del self.unsettled[event.key]
        confirmed = event.settlement is Settlement.CONFIRMED
        self._hold(fill, matched=0 if confirmed else -1, confirmed=1 if confirmed else 0)
        if fill.strategy is not None:
            key = (fill.strategy, fill.execution.instrument)
            self.positions[key] = self.positions[key].settled(fill, event.settlement)
        order = fill.client_order_id
        if order is not None:
            left = self._unsettled_by_order.get(order, 1) - 1
            if left:
                self._unsettled_by_order[order] = left
            else:
                self._unsettled_by_order.pop(order, None)
                self._let_go_of_order(order)

    def _hold(self, fill: Fill, *, matched: int, confirmed: int) -> None:
        """Add the fill to (or take it from) the account's book: the instrument itself, and cash."""
        account = fill.execution.key.account
        instrument = AssetId(fill.execution.instrument)
        self._add(account, instrument, fill.signed_quantity, matched, confirmed)
        self._add(account, fill.execution.fee_asset, SignedQuantity(fill.cash_change), matched, confirmed)

    def _add(
        self, account: AccountId, asset: AssetId, amount: SignedQuantity, matched: int, confirmed: int
    ) -> None:
        before = self.holdings.get((account, asset), NOTHING)
        self.holdings[account, asset] = BookView(
            matched=SignedQuantity(before.matched + matched * amount),
            confirmed=SignedQuantity(before.confirmed + confirmed * amount),
        )

    def _watermark(self, account: AccountId, venue_time_ns: int) -> None:
        entry = self.account(account)
        self.accounts[account] = msgspec.structs.replace(
            entry, fills=entry.fills + 1, last_fill_ns=max(entry.last_fill_ns, venue_time_ns)
        )

    def _accept(self, intent: AnyIntent, at_ns: int) -> None:
        entry = IntentEntry(intent=intent, accepted_at_ns=at_ns)
        self.intents[entry.key] = entry
        self._count(intent.strategy, accepted=1)

    def _count(self, strategy: StrategyName, *, accepted: int = 0, refused: int = 0, ended: int = 0) -> None:
        entry = self.strategy(strategy)
        self.strategies[strategy] = msgspec.structs.replace(
            entry,
            accepted=entry.accepted + accepted,
            refused=entry.refused + refused,
            ended=entry.ended + ended,
        )

    def _intent_event(
        self, event: BracketClosing | BracketDecided | DispositionChosen | IntentEnded, at_ns: int
    ) -> None:
        key = (event.strategy, event.intent_id)
        entry = self.intents.get(key)
        if entry is None:
            return  # a disposition may come after the intent was let go
        match event:
            case BracketClosing():
                self.intents[key] = msgspec.structs.replace(entry, closing=event.reason)
            case BracketDecided():
                self.intents[key] = msgspec.structs.replace(entry, decision=event.decision)
            case DispositionChosen():
                self.intents[key] = msgspec.structs.replace(entry, disposition=event.choice)
            case IntentEnded():
                self.intents[key] = msgspec.structs.replace(
                    entry, outcome=event.outcome, filled=event.filled, ended_at_ns=at_ns
                )
                self._count(event.strategy, ended=1)
                self._let_go_of_intent(key)

    def _runtime_event(self, event: Event, at_ns: int) -> None:
        match event:
            case InstrumentLearned():
                self.instruments[event.instrument.instrument_id] = event.instrument
            case AccountChanged():
                self.accounts[event.account] = msgspec.structs.replace(
                    self.account(event.account), state=event.state, reason=event.reason
                )
            case OpeningAdopted():
                for holding in event.holdings:
                    self._add(event.account, holding.asset, holding.quantity, 1, 1)
                self.accounts[event.account] = msgspec.structs.replace(self.account(event.account), opened=True)
            case ReconciliationEnded():
                account = event.record.account
                self.accounts[account] = msgspec.structs.replace(
                    self.account(account), last_reconciliation=event.record
                )
            case StreamGap():
                entry = self.account(event.account)
                self.accounts[event.account] = msgspec.structs.replace(entry, gaps=entry.gaps + 1)
            case TruthCompared():
                self.truths[event.truth.account, event.truth.asset] = event.truth
            case AlertOpened():
                self.alerts[event.alert.alert_id] = event.alert
            case AlertClosed():
                self._close_alert(event, at_ns)
            case StrategyPaused():
                entry_ = self.strategy(event.strategy)
                self.strategies[event.strategy] = msgspec.structs.replace(entry_, paused=event.reason)
            case StrategyResumed():
                entry_ = self.strategy(event.strategy)
                self.strategies[event.strategy] = msgspec.structs.replace(entry_, paused="")
            case OperatorHalted():
                self.halted[event.account] = event.reason
            case OperatorResumed():
                self.halted.pop(event.account, None)
            case RuntimeStarted():
                self.started += 1
                for account, found in self.accounts.items():
                    self.accounts[account] = msgspec.structs.replace(
                        found, state=AccountState.RECOVERING, reason="the runtime started"
                    )
            case RuntimeStopped() | ForeignOrderSeen() | FillConflict():
                pass  # facts for people; no live state hangs on them
            case _:
                raise TypeError(f"the ledger has no rule for {event.kind}: add one where it is folded")

    def _close_alert(self, event: AlertClosed, at_ns: int) -> None:
        alert = self.alerts.get(event.alert_id)
        if alert is None:
            return
        if self.keep_ended:
            self.alerts[event.alert_id] = msgspec.structs.replace(
                alert,
                state=AlertState(event.state),
                closed_at_ns=at_ns,
                closed_by=event.by,
                evidence=(*alert.evidence, *event.evidence),
            )
        else:
            del self.alerts[event.alert_id]

    # ---- letting go ---------------------------------------------------------------------------------------

    def _let_go_of_intent(self, key: IntentKey) -> None:
        if self.keep_ended:
            return
        entry = self.intents.pop(key)
        for order in entry.orders:
            self._let_go_of_order(order)

    def _let_go_of_order(self, order: ClientOrderId) -> None:
        """Forget an order when nothing can come of it any more: ended, all fills in the log, all settled."""
        state = self.orders.get(order)
        if self.keep_ended or not isinstance(state, (Done, Withdrawn)):
            return
        if (state.terms.strategy, state.terms.intent_id) in self.intents or order in self._unsettled_by_order:
            return
        if isinstance(state, Done):
            if state.fills_outstanding > 0:
                return
            if state.venue_order_id is not None:
                self.by_venue_id.pop((state.terms.account, state.venue_order_id), None)
        del self.orders[order]

    # ---- snapshots ----------------------------------------------------------------------------------------

    def freeze(self) -> bytes:
        """The ledger as bytes, for a snapshot at the journal position it was folded up to."""
        return _encoder.encode(
            LedgerState(
                instruments=tuple(self.instruments.values()),
                accounts=tuple(self.accounts.items()),
                strategies=tuple(self.strategies.items()),
                intents=tuple(self.intents.values()),
                orders=tuple(self.orders.values()),
                unsettled=tuple(self.unsettled.values()),
                holdings=tuple((account, asset, view) for (account, asset), view in self.holdings.items()),
                positions=tuple((strategy, name, held) for (strategy, name), held in self.positions.items()),
                alerts=tuple(self.alerts.values()),
                truths=tuple(self.truths.values()),
                halted=tuple(self.halted.items()),
                started=self.started,
            )
        )

    @classmethod
    def thaw(cls, content: bytes) -> "Ledger":
        """The ledger that `freeze` wrote. Raises `msgspec.DecodeError` (or its ValidationError) on other bytes."""
        state = _decoder.decode(content)
        ledger = cls()
        ledger.instruments = {found.instrument_id: found for found in state.instruments}
        ledger.accounts = dict(state.accounts)
        ledger.strategies = dict(state.strategies)
        ledger.intents = {entry.key: entry for entry in state.intents}
        ledger.unsettled = {fill.execution.key: fill for fill in state.unsettled}
        ledger.holdings = {(account, asset): view for account, asset, view in state.holdings}
        ledger.positions = {(strategy, name): held for strategy, name, held in state.positions}
        ledger.alerts = {alert.alert_id: alert for alert in state.alerts}
        ledger.truths = {(truth.account, truth.asset): truth for truth in state.truths}
        ledger.halted = dict(state.halted)
        ledger.started = state.started
        for order in state.orders:
            ledger.orders[order.terms.client_order_id] = order
            if isinstance(order, (Sent, Acknowledged, Done)) and order.venue_order_id is not None:
                ledger.by_venue_id[order.terms.account, order.venue_order_id] = order.terms.client_order_id
        for fill in state.unsettled:
            if fill.client_order_id is not None:
                count = ledger._unsettled_by_order.get(fill.client_order_id, 0)
                ledger._unsettled_by_order[fill.client_order_id] = count + 1
        return ledger
