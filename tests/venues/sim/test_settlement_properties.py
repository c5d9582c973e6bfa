"""Whatever fails, retries or is reorganised away: once quiet, the chain holds exactly the confirmed trades."""

from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tallystick.venues.evm.address import Address
from tallystick.venues.sim.core.values import AssetId, Side
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.admin import ActionRefused, Admin
from tallystick.venues.sim.polymarket.faults import AnyFault, ChangeHash, FailSettlement, RetrySettlement
from tallystick.venues.sim.polymarket.markets import PUSD_ASSET, MarketSpec
from tallystick.venues.sim.polymarket.own_books import OwnBooks
from tallystick.venues.sim.polymarket.settlement import FEE_COLLECTOR, TradeStatus
from tallystick.venues.sim.polymarket.venue import Venue, VenueSettings
from tallystick.venues.sim.polymarket.wire import Frame, UserFrame

START = 1_800_000_000_000
PEOPLE = ["ann", "ben", "cat"]
FAULTS: list[AnyFault] = [
    FailSettlement(count=1),
    RetrySettlement(count=1, times=1),
    RetrySettlement(count=1, times=2),
    ChangeHash(count=1),
]


class SettlementMachine(RuleBasedStateMachine):
    """Orders, faults, reorgs and time in any order."""

    @initialize()
    def start(self) -> None:
        self.frames: list[Frame] = []
        market = MarketSpec(question="Q", slug="q", fee_rate=Decimal("0.04"))
        self.venue = Venue(VenueSettings(markets=(market,)), START, self.frames.append)
        self.admin = Admin(self.venue, OwnBooks(self.venue), lambda _channel: 0)
        self.market = self.venue.catalogue.all()[0]
        self.wallets = [self.venue.wallets.background(name, self.market) for name in PEOPLE]
        self.assets = [PUSD_ASSET, *(AssetId(token) for token in self.market.token_ids)]
        # Funded long ago, so that no reorg reaches it.
        self.venue.advance(START + 600_000)
        self.first = {(w, a): self.venue.funds.balance(w, a) for w in self.wallets for a in self.assets}

    @rule(
        person=st.sampled_from(PEOPLE),
        side=st.sampled_from(["BUY", "SELL"]),
        outcome=st.sampled_from(["0", "1"]),
        price=st.integers(45, 55),
        size=st.integers(5, 40),
        order_type=st.sampled_from(["GTC", "FOK", "FAK"]),
    )
    def order(self, person: str, side: str, outcome: str, price: int, size: int, order_type: str) -> None:
        action = actions.PlaceOrder(
            participant=person,
            market="q",
            outcome=outcome,
            side="BUY" if side == "BUY" else "SELL",
            price=Decimal(price) / 100,
            size=Decimal(size),
            order_type="GTC" if order_type == "GTC" else "FOK" if order_type == "FOK" else "FAK",
        )
        try:
            self.admin.do(action)
        except ActionRefused as refused:
            assert "FOK" in str(refused) or "FAK" in str(refused)  # noqa: PT017 - only these two may be refused

    @rule(fault=st.sampled_from(FAULTS))
    def break_something(self, fault: AnyFault) -> None:
        self.admin.do(actions.PutOnFault(fault=fault))

    @rule(depth=st.integers(1, 6))
    def reorganise(self, depth: int) -> None:
        self.admin.do(actions.Reorg(depth=depth))

    @rule(step_ms=st.integers(100, 9_000))
    def time_passes(self, step_ms: int) -> None:
        self.venue.advance(self.venue.now_ms + step_ms)

    @rule()
    def everything_settles(self) -> None:
        self.admin.do(actions.SettleNow())
        self.check_quiet()

    @rule()
    def a_long_silence(self) -> None:
        self.venue.advance(self.venue.now_ms + 600_000)
        self.check_quiet()

    def check_quiet(self) -> None:
        assert self.venue.settlement.unsettled == []
        assert self.venue.funds._aside == {}
        expected = dict(self.first)
        fees = Decimal(0)
        for record in self.venue.records.values():
            assert record.status.final
            if record.status is TradeStatus.FAILED:
                continue
            trade = record.trade
            self.book(expected, trade.taker_account, trade.instrument_id, trade.side, trade.quantity, trade.taker_cash)
            expected[Address(trade.taker_account), PUSD_ASSET] -= trade.taker_fee
            fees += trade.taker_fee
            for leg in trade.legs:
                self.book(
                    expected, leg.maker_account, leg.maker_instrument_id, leg.maker_side, leg.quantity, leg.maker_cash
                )
        assert {key: self.venue.funds.balance(*key) for key in expected} == expected
        assert self.venue.funds.balance(FEE_COLLECTOR, PUSD_ASSET) == fees
        self.check_history(expected)

    def check_history(self, expected: dict[tuple[Address, AssetId], Decimal]) -> None:
        """The indexer shows the same holdings as the chain."""
        for wallet in self.wallets:
            held = {p.token_id: p.held for p in self.venue.history.positions(wallet, self.venue.now_ms)}
            for token in self.market.token_ids:
                assert held[token] == expected[wallet, AssetId(token)]

    def book(
        self,
        balances: dict[tuple[Address, AssetId], Decimal],
        account: str,
        token: str,
        side: Side,
        quantity: Decimal,
        cash: Decimal,
    ) -> None:
        sign = 1 if side is Side.BUY else -1
        balances[Address(account), AssetId(token)] += sign * quantity
        balances[Address(account), PUSD_ASSET] -= sign * cash

    @invariant()
    def what_is_due_was_done(self) -> None:
        if not hasattr(self, "venue"):
            return
        due_ms = self.venue.next_due_ms()
        assert due_ms is None or due_ms > self.venue.now_ms

    @invariant()
    def nobody_hears_of_background_people(self) -> None:
        assert not any(isinstance(frame, UserFrame) for frame in getattr(self, "frames", []))


SettlementMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSettlementMachine = SettlementMachine.TestCase


def test_a_market_that_does_not_exist_is_named_in_the_refusal() -> None:
    venue = Venue(VenueSettings(), START, lambda _frame: None)
    admin = Admin(venue, OwnBooks(venue), lambda _channel: 0)
    with pytest.raises(ActionRefused, match="there is no market 'nowhere'"):
        admin.do(actions.Split(wallet="0x" + "00" * 20, market="nowhere", amount=Decimal(1)))
