"""The ledger: one fold for everything. It forgets only what can no longer change, and a snapshot changes nothing."""

from decimal import Decimal

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tallystick.model.account import Reconciliation, SweepTrigger
from tallystick.model.event import (
    CancelAnswered,
    CancelRequested,
    Event,
    FillRecorded,
    FillSettled,
    InstrumentLearned,
    IntentAccepted,
    IntentEnded,
    OpeningAdopted,
    OrderAcknowledged,
    OrderConfirmed,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    ReconciliationEnded,
    RuntimeStarted,
    SliceComputed,
    SliceWithdrawn,
)
from tallystick.model.fill import (
    Direction,
    Execution,
    Fill,
    FillKey,
    FillSource,
    Known,
    Liquidity,
    Settlement,
)
from tallystick.model.identifiers import (
    AssetId,
    ClientOrderId,
    IntentId,
    SweepId,
    TradeId,
    VenueOrderId,
    client_order_id,
)
from tallystick.model.ledger import Ledger
from tallystick.model.money import Quantity, SignedQuantity
from tallystick.model.order import (
    Acknowledged,
    Computed,
    Done,
    IllegalTransition,
    OrderState,
    Sent,
    Withdrawn,
    open_quantity,
)
from tallystick.model.outcome import (
    CancelConfirmed,
    Cancelled,
    Evidence,
    EvidenceKind,
    Expired,
    Filled,
    Outcome,
    Rejected,
)
from tallystick.model.report import Holding

from .examples import ACCOUNT, CASH, INSTRUMENTS, NOW_NS, RAIN, STRATEGY, cash, fill, price, quantity, single, terms

EVIDENCE = Evidence(kind=EvidenceKind.ORDER_QUERY, detail="asked", at_ns=NOW_NS)
PRICES = st.sampled_from(["0.01", "0.33", "0.41", "0.5", "0.99"])


class Lives(RuleBasedStateMachine):
    """Orders live in every order that is legal, beside a ledger that is frozen and thawed at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.lean = Ledger()
        self.full = Ledger(keep_ended=True)
        self.thawed = Ledger()
        self.at_ns = NOW_NS
        self.fills: dict[FillKey, Fill] = {}
        self.settled: dict[FillKey, Settlement] = {}
        self.open_intents: set[IntentId] = set()
        self.made = 0

    def happen(self, *events: Event) -> None:
        for event in events:
            self.at_ns += 1
            for ledger in (self.lean, self.full, self.thawed):
                ledger.apply(event, self.at_ns)

    @initialize()
    def open(self) -> None:
        self.happen(*(InstrumentLearned(instrument=found) for found in INSTRUMENTS.values()))
        holdings = (Holding(asset=CASH, quantity=SignedQuantity(Decimal(1000))),)
        self.happen(OpeningAdopted(account=ACCOUNT, holdings=holdings, by="a test", stamps=()))

    # ---- orders that are in some state --------------------------------------------------------------------

    def some(self, data: st.DataObject, *kinds: type[OrderState]) -> OrderState | None:
        found = [state for state in self.full.orders.values() if isinstance(state, kinds)]
        return data.draw(st.sampled_from(found)) if found else None

    def order(self, state: OrderState) -> ClientOrderId:
        return state.terms.client_order_id

    @rule(slices=st.integers(1, 3), direction=st.sampled_from(Direction), at=PRICES)
    def hand_in(self, slices: int, direction: Direction, at: str) -> None:
        self.made += 1
        intent_id = IntentId(f"i{self.made}")
        self.open_intents.add(intent_id)
        self.happen(IntentAccepted(intent=single(intent_id=intent_id)))
        for number in range(slices):
            name = client_order_id(STRATEGY, intent_id, 0, number, 0)
            made = terms(
                client_order_id=name, intent_id=intent_id, slice_number=number, direction=direction, price=price(at)
            )
            self.happen(SliceComputed(terms=made, send_by_ns=self.at_ns + 5))

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        state = self.some(data, Computed)
        if state is not None:
            name = self.order(state)
            self.happen(
                OrderSubmitted(
                    client_order_id=name, account=ACCOUNT, venue_order_id=VenueOrderId(f"0x{name}"), body=b"signed"
                )
            )

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        state = self.some(data, Computed)
        if state is not None:
            self.happen(SliceWithdrawn(client_order_id=self.order(state), reason="refused"))

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        state = self.some(data, Sent)
        if isinstance(state, Sent) and state.venue_order_id is not None:
            self.happen(
                OrderAcknowledged(
                    client_order_id=self.order(state), venue_order_id=state.venue_order_id, evidence=EVIDENCE
                )
            )

    @rule(data=st.data())
    def doubt_and_learn(self, data: st.DataObject) -> None:
        state = self.some(data, Sent, Acknowledged)
        if state is not None:
            known = Known(filled=Quantity(Decimal(0)), as_of_ns=self.at_ns, source="a test")
            self.happen(OrderUnconfirmed(client_order_id=self.order(state), why="silence"))
            self.happen(OrderConfirmed(client_order_id=self.order(state), knowledge=known))

    @rule(data=st.data(), answered=st.booleans())
    def cancel(self, data: st.DataObject, answered: bool) -> None:
        state = self.some(data, Sent, Acknowledged)
        if state is not None:
            self.happen(CancelRequested(client_order_id=self.order(state), reason="a test"))
            if answered:
                self.happen(CancelAnswered(client_order_id=self.order(state), outcome=CancelConfirmed()))

    @rule(data=st.data(), size=st.integers(1, 10), at=PRICES, how=st.sampled_from(Settlement))
    def execute(self, data: st.DataObject, size: int, at: str, how: Settlement) -> None:
        state = self.some(data, Sent, Acknowledged, Done)
        if state is None or isinstance(state, (Computed, Withdrawn)) or state.venue_order_id is None:
            return
        self.made += 1
        key = FillKey(account=ACCOUNT, trade_id=TradeId(f"t{self.made}"), venue_order_id=state.venue_order_id)
        found = Fill(
            execution=Execution(
                key=key,
                instrument=state.terms.instrument,
                direction=state.terms.direction,
                price=price(at),
                quantity=quantity(str(size)),
                fee=cash("0.00001"),
                fee_asset=CASH,
                liquidity=Liquidity.TAKER,
                settlement=how,
                venue_time_ns=self.at_ns,
            ),
            source=FillSource.STREAM,
            received_at_ns=self.at_ns,
            client_order_id=self.order(state),
            intent_id=state.terms.intent_id,
            strategy=STRATEGY,
        )
        self.fills[key], self.settled[key] = found, how
        self.happen(FillRecorded(fill=found))

    @rule(data=st.data(), how=st.sampled_from(Settlement))
    def settle(self, data: st.DataObject, how: Settlement) -> None:
        waiting = [key for key, state in self.settled.items() if not state.is_final]
        if waiting:
            key = data.draw(st.sampled_from(waiting))
            self.settled[key] = how
            self.happen(FillSettled(key=key, settlement=how, transaction="0x1"))

    @rule(data=st.data(), more=st.integers(0, 3), how=st.sampled_from(["filled", "cancelled", "expired", "rejected"]))
    def end_order(self, data: st.DataObject, more: int, how: str) -> None:
        """The venue may count more than the log has: those fills are on their way."""
        state = self.some(data, Sent, Acknowledged)
        if not isinstance(state, (Sent, Acknowledged)):
            return
        filled = Quantity(state.progress.filled + more)
        outcomes: dict[str, Outcome] = {
            "filled": Filled(filled=filled),
            "cancelled": Cancelled(filled=filled),
            "expired": Expired(filled=filled),
            "rejected": Rejected(code="no", text="no"),
        }
        self.happen(OrderDone(client_order_id=self.order(state), outcome=outcomes[how], evidence=EVIDENCE))

    @precondition(lambda self: self.open_intents)
    @rule(data=st.data())
    def end_intent(self, data: st.DataObject) -> None:
        intent_id = data.draw(st.sampled_from(sorted(self.open_intents)))
        own = [state for state in self.full.orders.values() if state.terms.intent_id == intent_id]
        if all(isinstance(state, (Done, Withdrawn)) for state in own):
            self.open_intents.discard(intent_id)
            self.happen(IntentEnded(strategy=STRATEGY, intent_id=intent_id, outcome="ended", filled=()))

    @rule()
    def freeze_and_thaw(self) -> None:
        self.thawed = Ledger.thaw(self.thawed.freeze())

    @rule()
    def restart(self) -> None:
        self.happen(RuntimeStarted(build="0", owner="a test"))

    # ---- what always holds --------------------------------------------------------------------------------

    @invariant()
    def a_snapshot_changes_nothing(self) -> None:
        assert self.thawed.freeze() == self.lean.freeze()
        assert self.thawed.by_venue_id == self.lean.by_venue_id
        assert self.thawed.open_quantities == self.lean.open_quantities

    @invariant()
    def what_is_forgotten_can_no_longer_change(self) -> None:
        for name, state in self.full.orders.items():
            if name in self.lean.orders:
                assert self.lean.orders[name] == state
                continue
            assert isinstance(state, (Done, Withdrawn))
            assert state.terms.intent_id not in self.open_intents
            if isinstance(state, Done):
                # A fill that comes later still moves the holdings; the order itself is not called back for it.
                assert state.fills_outstanding <= 0
        for name, state in self.lean.orders.items():
            own = [found for found in self.lean.unsettled.values() if found.client_order_id == name]
            ended = isinstance(state, Withdrawn) or (isinstance(state, Done) and state.fills_outstanding <= 0)
            assert not ended or own or state.terms.intent_id in self.open_intents, "it should have been let go"

    @invariant()
    def everything_open_is_counted(self) -> None:
        for ledger in (self.lean, self.full):
            buys = sum(
                (open_quantity(state) for state in ledger.orders.values() if state.terms.direction is Direction.BUY),
                Decimal(0),
            )
            sells = sum(
                (open_quantity(state) for state in ledger.orders.values() if state.terms.direction is Direction.SELL),
                Decimal(0),
            )
            assert ledger.open_quantities.get((ACCOUNT, RAIN), (0, 0)) == (buys, sells)

    @invariant()
    def nothing_is_made_and_nothing_is_lost(self) -> None:
        standing = [found for key, found in self.fills.items() if self.settled[key] is not Settlement.REVERSED]
        final = [found for found in standing if self.settled[found.execution.key] is Settlement.CONFIRMED]
        for ledger in (self.lean, self.full):
            shares, money = ledger.book(ACCOUNT, AssetId(RAIN)), ledger.book(ACCOUNT, CASH)
            assert shares.matched == sum((found.signed_quantity for found in standing), Decimal(0))
            assert shares.confirmed == sum((found.signed_quantity for found in final), Decimal(0))
            spent = sum(
                (found.execution.price * found.signed_quantity + (found.execution.fee or 0) for found in standing),
                Decimal(0),
            )
            if self.lean.accounts:
                assert money.matched == (1000 if ledger.account(ACCOUNT).opened else 0) - spent
            assert shares.arriving - shares.leaving == shares.matched - shares.confirmed
            assert shares.lowest <= shares.matched <= shares.highest
            if standing:
                assert ledger.positions[STRATEGY, RAIN].matched == shares.matched
            assert not {key for key in ledger.unsettled if self.settled[key].is_final}
            assert ledger.account(ACCOUNT).fills >= len(self.fills)


Lives.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestLives = Lives.TestCase


# ---- by example -------------------------------------------------------------------------------------------


def ledger_with_an_order() -> Ledger:
    ledger = Ledger()
    ledger.apply(IntentAccepted(intent=single()), 1)
    ledger.apply(SliceComputed(terms=terms(), send_by_ns=5), 2)
    return ledger


def test_an_event_that_the_order_does_not_allow_is_refused_and_changes_nothing() -> None:
    ledger = ledger_with_an_order()
    before = ledger.freeze()
    with pytest.raises(IllegalTransition, match="order_acknowledged"):
        ledger.apply(
            OrderAcknowledged(
                client_order_id=terms().client_order_id, venue_order_id=VenueOrderId("0x1"), evidence=EVIDENCE
            ),
            3,
        )
    assert ledger.freeze() == before


def test_a_fill_of_nobodys_order_changes_the_account_and_no_strategy() -> None:
    ledger = Ledger()
    foreign = msgspec.structs.replace(fill(), client_order_id=None, intent_id=None, strategy=None)
    ledger.apply(FillRecorded(fill=foreign), 1)
    assert ledger.book(ACCOUNT, AssetId(RAIN)).matched == 10
    assert not ledger.positions


def test_a_second_final_settlement_changes_nothing() -> None:
    ledger = Ledger()
    ledger.apply(FillRecorded(fill=fill(settlement=Settlement.MATCHED)), 1)
    key = fill().execution.key
    ledger.apply(FillSettled(key=key, settlement=Settlement.CONFIRMED, transaction=""), 2)
    before = ledger.freeze()
    ledger.apply(FillSettled(key=key, settlement=Settlement.REVERSED, transaction=""), 3)
    assert ledger.freeze() == before


def reconciliation(started_at_ns: int, *, complete: bool) -> ReconciliationEnded:
    return ReconciliationEnded(
        record=Reconciliation(
            sweep_id=SweepId("s"),
            account=ACCOUNT,
            trigger=SweepTrigger.CADENCE,
            started_at_ns=started_at_ns,
            ended_at_ns=started_at_ns + 1,
            fills_since_ns=0,
            fill_pages=1,
            fills_seen=0,
            fills_recovered=(),
            order_pages=1,
            orders_open_at_venue=0,
            orders_queried=0,
            orders_corrected=(),
            foreign_orders=0,
            rows_refused=0,
            complete=complete,
        )
    )


def test_only_a_complete_sweep_moves_the_watermark_from_which_fills_are_read() -> None:
    ledger = Ledger()
    ledger.apply(reconciliation(100, complete=True), 101)
    ledger.apply(reconciliation(200, complete=False), 201)
    assert ledger.account(ACCOUNT).swept_until_ns == 100
    assert ledger.account(ACCOUNT).last_reconciliation is not None
    assert Ledger.thaw(ledger.freeze()).account(ACCOUNT).swept_until_ns == 100


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    with pytest.raises(ValueError):
        Ledger.thaw(b"\x93\x01\x02\x03")
