"""What the journal adds up to: the live state of orders, intents, holdings, alerts and strategies.

One fold serves recovery, restarts of single actors, the command line and the tests, so they cannot disagree. The
ledger is the only mutable thing in the model; everything in it is a frozen value, replaced and never changed, so a
value handed out stays what it was. What has ended and settled is let go (unless `keep_ended`), so that memory
follows what is live and the millionth order costs what the first did.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar, get_args

import msgspec

from .account import AccountState, Reconciliation
from .alert import Alert, AlertState
from .bracket import CloseReason, Decision
from .event import (
    AccountChanged,
    AlertAcknowledged,
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
    HoldingAdopted,
    InstrumentLearned,
    IntentAccepted,
    IntentEnded,
    IntentRefused,
    LedgerRead,
    MessagesTraced,
    OpeningAdopted,
    OpeningObserved,
    OperatorCommanded,
    OperatorHalted,
    OperatorResumed,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    ReconciliationEnded,
    ReportQuarantined,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
    SliceWithdrawn,
    StrategyPaused,
    StrategyResumed,
    StreamGap,
    TransferBooked,
    TruthCompared,
)
from .fill import Direction, Fill, FillKey, Settlement
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
from .money import EXACT, ZERO, Quantity, SignedQuantity
from .order import Acknowledged, Done, OrderState, OrderTerms, Sent, Withdrawn, open_quantity
from .position import Position
from .report import Holding
from .transfer import LedgerPosition
from .transition import advance
from .truth import BookView, Truth
from .value import Value

IntentKey = tuple[StrategyName, IntentId]
_OpenOrderEvent = OrderAcknowledged | OrderUnconfirmed | OrderConfirmed | CancelRequested
_OrderEvent = SliceWithdrawn | CancelAnswered | OrderDone
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
    """Venue time of the newest execution."""
    swept_until_ns: int = 0
    """When the last complete sweep began: everything that was executed before was read by then."""
    opened_at_ns: int = 0
    """When the opening was adopted: no execution before it is missing from the book."""
    opening_observed: tuple[Holding, ...] = ()
    """Positions that were there before the first entry, and that no operator has adopted yet."""
    ledger_read: LedgerPosition | None = None
    """How far the ledger was read for transfers; None before the first reading."""
    ledger_followed_from: int = 0
    """Everything up to here is in the baseline, and is never read as a transfer."""
    transfers: int = 0


class StrategyEntry(Value, frozen=True):
    paused: str | None = None
    """Why it is paused; None while it runs."""
    accepted: int = 0
    refused: int = 0
    ended: int = 0

    @property
    def active(self) -> int:
        """Intents that were accepted and have no terminal report yet."""
        return self.accepted - self.ended


class LedgerState(Value, frozen=True):
    """A ledger as one value: what a snapshot holds. `version` is `ledger_version` of the build that made it."""

    version: str
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


class _Version(msgspec.Struct, frozen=True):
    version: str


LEDGER_FOLD = 1
"""Raise it whenever `Ledger.apply` makes something else of an event there has been before: a snapshot of the old
meaning is then not used, and everything is read again."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LedgerState)
_decode_version = msgspec.msgpack.Decoder(_Version).decode


class OtherLedger(ValueError):
    """A frozen ledger is whole, and of a build that folds in another way."""


@cache
def ledger_version() -> str:
    """What this build means by a ledger: its fold, and the shape of its state.

    A field that an older snapshot lacks would be filled with its default, which may be anything but what the journal
    says; so a snapshot counts only for the build that folds as the one that made it.
    """
    shape = json.dumps(_shape_of(msgspec.json.schema(LedgerState)), sort_keys=True)
    return f"{LEDGER_FOLD}:{hashlib.sha256(shape.encode()).hexdigest()[:16]}"


def _shape_of(schema: object) -> object:
    """A schema without what may change and leave the state as it is: its texts, and the further values of an enum."""
    if isinstance(schema, dict):
        return {
            key: _shape_of(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str)) and not (key == "enum" and isinstance(value, list))
        }
    if isinstance(schema, list):
        return [_shape_of(value) for value in schema]
    return schema


# ---- how one amount moves through a book ------------------------------------------------------------------


def _booked(book: BookView, amount: SignedQuantity) -> BookView:
    """It is settled from the start."""
    return BookView(
        confirmed=SignedQuantity(EXACT.add(book.confirmed, amount)),
        matched=SignedQuantity(EXACT.add(book.matched, amount)),
        arriving=book.arriving,
        leaving=book.leaving,
    )


def _entered(book: BookView, amount: SignedQuantity) -> BookView:
    """It was executed and has not settled."""
    return BookView(
        confirmed=book.confirmed,
        matched=SignedQuantity(EXACT.add(book.matched, amount)),
        arriving=Quantity(EXACT.add(book.arriving, max(amount, ZERO))),
        leaving=Quantity(EXACT.add(book.leaving, max(-amount, ZERO))),
    )


def _confirmed(book: BookView, amount: SignedQuantity) -> BookView:
    """What was in flight has settled."""
    return BookView(
        confirmed=SignedQuantity(EXACT.add(book.confirmed, amount)),
        matched=book.matched,
        arriving=Quantity(EXACT.subtract(book.arriving, max(amount, ZERO))),
        leaving=Quantity(EXACT.subtract(book.leaving, max(-amount, ZERO))),
    )


def _reversed(book: BookView, amount: SignedQuantity) -> BookView:
    """What was in flight will never settle."""
    return BookView(
        confirmed=book.confirmed,
        matched=SignedQuantity(EXACT.subtract(book.matched, amount)),
        arriving=Quantity(EXACT.subtract(book.arriving, max(amount, ZERO))),
        leaving=Quantity(EXACT.subtract(book.leaving, max(-amount, ZERO))),
    )


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
        self.open_quantities: dict[tuple[AccountId, InstrumentId], tuple[Quantity, Quantity]] = {}
        """(purchases, sales) that may still be executed, everything unconfirmed counted in full (law L8)."""
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
        fold = self._folds.get(type(event))
        if fold is None:
            self._runtime_event(event, at_ns)
        else:
            fold(self, event, at_ns)

    def _slice(self, event: SliceComputed, at_ns: int) -> None:
        terms = event.terms
        order = terms.client_order_id
        self.orders[order] = advance(self.orders.get(order), event, at_ns)
        key = (terms.strategy, terms.intent_id)
        entry = self.intents.get(key)
        if entry is not None:
            self.intents[key] = msgspec.structs.replace(entry, orders=(*entry.orders, order))

    def _submit(self, event: OrderSubmitted, at_ns: int) -> None:
        self._move(event.client_order_id, event, at_ns)
        self.by_venue_id[event.account, event.venue_order_id] = event.client_order_id

    def _open_order_event(self, event: _OpenOrderEvent, at_ns: int) -> None:
        """The order stays open, and as much of it as before."""
        order = event.client_order_id
        self.orders[order] = advance(self.orders.get(order), event, at_ns)

    def _order_event(self, event: _OrderEvent, at_ns: int) -> None:
        self._move(event.client_order_id, event, at_ns)
        self._let_go_of_order(event.client_order_id)

    def _refused(self, event: IntentRefused, _at_ns: int) -> None:
        self._count(event.strategy, refused=1)

    def _move(self, order: ClientOrderId, event: Event, at_ns: int) -> None:
        before = self.orders.get(order)
        after = self.orders[order] = advance(before, event, at_ns)
        opened, was_open = open_quantity(after), ZERO if before is None else open_quantity(before)
        if opened != was_open:
            self._expose(after.terms, Quantity(EXACT.subtract(opened, was_open)))

    def _expose(self, terms: OrderTerms, change: Quantity) -> None:
        """What is open in an instrument, both ways, so that a gate need not walk all orders."""
        key = (terms.account, terms.instrument)
        buys, sells = self.open_quantities.get(key, (Quantity(ZERO), Quantity(ZERO)))
        if terms.direction is Direction.BUY:
            buys = Quantity(EXACT.add(buys, change))
        else:
            sells = Quantity(EXACT.add(sells, change))
        if buys or sells:
            self.open_quantities[key] = (buys, sells)
        else:
            self.open_quantities.pop(key, None)

    def _fill(self, event: FillRecorded, at_ns: int) -> None:
        fill = event.fill
        execution = fill.execution
        account = execution.key.account
        self._watermark(account, execution.venue_time_ns)
        if execution.settlement is not Settlement.REVERSED:
            self._hold(fill, _booked if execution.settlement is Settlement.CONFIRMED else _entered)
        if fill.strategy is not None:
            key = (fill.strategy, execution.instrument)
            self.positions[key] = (self.positions.get(key) or self._flat(execution.instrument)).plus(fill)
        if not execution.settlement.is_final:
            self.unsettled[execution.key] = fill
            if fill.client_order_id is not None:
                count = self._unsettled_by_order.get(fill.client_order_id, 0)
                self._unsettled_by_order[fill.client_order_id] = count + 1
        if fill.client_order_id is not None and fill.client_order_id in self.orders:
            self._move(fill.client_order_id, event, at_ns)
            if execution.settlement is Settlement.REVERSED:
                self._reverse_in_order(fill)
            self._let_go_of_order(fill.client_order_id)

    def _flat(self, instrument: InstrumentId) -> Position:
        known = self.instruments.get(instrument)
        if known is None:
            return Position.flat(instrument)
        return Position.flat(instrument, settlement_asset=known.settlement_asset, multiplier=known.multiplier)

    def _reverse_in_order(self, fill: Fill) -> None:
        """The venue goes on counting the execution; what the strategy has of its order is less by it."""
        order = fill.client_order_id
        state = None if order is None else self.orders.get(order)
        if order is not None and isinstance(state, (Sent, Acknowledged, Done)):
            self.orders[order] = state.reversed(fill.execution.quantity)

    def _settle(self, event: FillSettled, _at_ns: int) -> None:
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
        self._hold(fill, _confirmed if event.settlement is Settlement.CONFIRMED else _reversed)
        if event.settlement is Settlement.REVERSED:
            self._reverse_in_order(fill)
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

    def _hold(self, fill: Fill, change: Callable[[BookView, SignedQuantity], BookView]) -> None:
        """Change the account's book by the fill: the instrument itself, and cash."""
        account = fill.execution.key.account
        self._change(account, AssetId(fill.execution.instrument), fill.signed_quantity, change)
        execution = fill.execution
        known = self.instruments.get(execution.instrument)
        settlement_asset = execution.fee_asset if known is None else known.settlement_asset
        value = EXACT.multiply(execution.price, fill.signed_quantity)
        if execution.value is not None:
            value = EXACT.multiply(execution.value, execution.direction.sign)
        if known is not None and known.multiplier != 1:
            value = EXACT.multiply(value, known.multiplier)
        fee = execution.fee or ZERO
        if execution.fee_asset == settlement_asset:
            self._change(account, settlement_asset, SignedQuantity(-EXACT.add(value, fee)), change)
            return
        self._change(account, settlement_asset, SignedQuantity(-value), change)
        if fee:
            self._change(account, execution.fee_asset, SignedQuantity(-fee), change)

    def _change(
        self,
        account: AccountId,
        asset: AssetId,
        amount: SignedQuantity,
        change: Callable[[BookView, SignedQuantity], BookView],
    ) -> None:
        key = (account, asset)
        self.holdings[key] = change(self.holdings.get(key, NOTHING), amount)

    def _watermark(self, account: AccountId, venue_time_ns: int) -> None:
        entry = self.account(account)
        self.accounts[account] = msgspec.structs.replace(
            entry, fills=entry.fills + 1, last_fill_ns=max(entry.last_fill_ns, venue_time_ns)
        )

    def _accept(self, event: IntentAccepted, at_ns: int) -> None:
        intent = event.intent
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
                    self._change(event.account, holding.asset, holding.quantity, _booked)
                self.accounts[event.account] = msgspec.structs.replace(
                    self.account(event.account), opened=True, opened_at_ns=at_ns, opening_observed=()
                )
            case OpeningObserved():
                self.accounts[event.account] = msgspec.structs.replace(
                    self.account(event.account), opening_observed=event.holdings
                )
            case LedgerRead():
                entry = self.account(event.account)
                self.accounts[event.account] = msgspec.structs.replace(
                    entry,
                    ledger_read=event.position,
                    ledger_followed_from=entry.ledger_followed_from or event.position.number,
                )
            case TransferBooked(transfer=transfer):
                # The account's book alone: no strategy bought or sold anything by it.
                for moved in transfer.movements:
                    if moved.followed:
                        self._change(transfer.account, moved.asset, moved.quantity, _booked)
                entry = self.account(transfer.account)
                self.accounts[transfer.account] = msgspec.structs.replace(entry, transfers=entry.transfers + 1)
            case HoldingAdopted():
                self._change(event.account, event.asset, event.quantity, _booked)
            case ReconciliationEnded():
                account, record = event.record.account, event.record
                known = self.account(account)
                swept_until_ns = record.started_at_ns if record.complete else known.swept_until_ns
                self.accounts[account] = msgspec.structs.replace(
                    known, last_reconciliation=record, swept_until_ns=swept_until_ns
                )
            case StreamGap():
                entry = self.account(event.account)
                self.accounts[event.account] = msgspec.structs.replace(entry, gaps=entry.gaps + 1)
            case TruthCompared():
                self.truths[event.truth.account, event.truth.asset] = event.truth
            case AlertOpened():
                self.alerts[event.alert.alert_id] = event.alert
            case AlertAcknowledged():
                alert = self.alerts.get(event.alert_id)
                if alert is not None and alert.state.is_open:
                    self.alerts[event.alert_id] = msgspec.structs.replace(alert, state=AlertState.ACKNOWLEDGED)
            case AlertClosed():
                self._close_alert(event, at_ns)
            case StrategyPaused():
                entry_ = self.strategy(event.strategy)
                self.strategies[event.strategy] = msgspec.structs.replace(entry_, paused=event.reason)
            case StrategyResumed():
                entry_ = self.strategy(event.strategy)
                self.strategies[event.strategy] = msgspec.structs.replace(entry_, paused=None)
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
            case (
                RuntimeStopped()
                | ForeignOrderSeen()
                | FillConflict()
                | ReportQuarantined()
                | MessagesTraced()
                | OperatorCommanded()
            ):
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

    # By class and not by comparing with one class after the other: orders live and journals are read at this pace.
    # Whatever is not in here is about the runtime, rare, and goes through `_runtime_event`.
    _folds: ClassVar[dict[type[Event], Callable[["Ledger", Any, int], None]]] = {
        SliceComputed: _slice,
        OrderSubmitted: _submit,
        FillRecorded: _fill,
        FillSettled: _settle,
        IntentAccepted: _accept,
        IntentRefused: _refused,
        **dict.fromkeys(get_args(_OpenOrderEvent), _open_order_event),
        **dict.fromkeys(get_args(_OrderEvent), _order_event),
        **dict.fromkeys((BracketClosing, BracketDecided, DispositionChosen, IntentEnded), _intent_event),
    }

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
                version=ledger_version(),
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
    def thaw(cls, content: bytes, *, keep_ended: bool = False) -> "Ledger":
        """The ledger that `freeze` wrote. Raises `OtherLedger` for another build's, and ValueError on other bytes."""
        found = _decode_version(content).version
        if found != ledger_version():
            raise OtherLedger(f"it was made by a build with another ledger, {found}; this one's is {ledger_version()}")
        state = _decoder.decode(content)
        ledger = cls(keep_ended=keep_ended)
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
            ledger._expose(order.terms, open_quantity(order))
            if isinstance(order, (Sent, Acknowledged, Done)) and order.venue_order_id is not None:
                ledger.by_venue_id[order.terms.account, order.venue_order_id] = order.terms.client_order_id
        for fill in state.unsettled:
            if fill.client_order_id is not None:
                count = ledger._unsettled_by_order.get(fill.client_order_id, 0)
                ledger._unsettled_by_order[fill.client_order_id] = count + 1
        return ledger
