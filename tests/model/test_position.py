from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tallystick.model.fill import Direction, Fill, Settlement
from tallystick.model.identifiers import AssetId
from tallystick.model.money import EXACT, ZERO, Price
from tallystick.model.position import (
    ContradictorySettlement,
    Position,
    PositionState,
    position_state,
)
from tallystick.model.truth import BookView

from .examples import CASH, RAIN, fill, plains, price, quantity

BUY, SELL = Direction.BUY, Direction.SELL
FLAT = Position.flat(RAIN, settlement_asset=CASH)


def cash_change(fill: Fill) -> Decimal:
    """What the settlement asset changed by, fee included: negative for a purchase."""
    execution = fill.execution
    return -fill.signed_quantity * execution.price - (execution.fee or Decimal(0))


def folded(*fills: Fill, start: Position = FLAT) -> Position:
    position = start
    for one in fills:
        position = position.plus(one)
    return position


def at(one: Fill, settlement: Settlement) -> Fill:
    """The same fill as it was first recorded, at another state of settlement."""
    return msgspec.structs.replace(one, execution=msgspec.structs.replace(one.execution, settlement=settlement))


# ---- cost and profit --------------------------------------------------------------------------------------


def test_purchases_average_their_cost() -> None:
    position = folded(fill(1, BUY, "0.40", "10"), fill(2, BUY, "0.50", "30"))
    assert position.matched == position.confirmed == 40
    assert position.cost == Decimal(19)
    assert position.average_cost == Decimal("0.475")
    assert position.realised == 0
    assert position.unrealised(price("0.60")) == Decimal(5)


def test_a_sale_realises_against_average_cost_and_leaves_it_as_it_was() -> None:
    position = folded(fill(1, BUY, "0.40", "10"), fill(2, BUY, "0.50", "10"), fill(3, SELL, "0.65", "5"))
    assert position.realised == Decimal("1.00")
    assert position.average_cost == Decimal("0.45")
    assert position.matched == 15


def test_a_short_gains_when_it_is_covered_lower() -> None:
    position = folded(fill(1, SELL, "0.60", "10"), fill(2, BUY, "0.50", "4"))
    assert position.matched == -6
    assert position.average_cost == Decimal("0.60")
    assert position.realised == Decimal("0.4")
    assert position.unrealised(price("0.70")) == Decimal("-0.6")


def test_a_flip_through_zero_closes_at_the_price_and_opens_the_rest_at_it() -> None:
    position = folded(fill(1, BUY, "0.40", "10"), fill(2, SELL, "0.55", "25"))
    assert position.realised == Decimal("1.5")
    assert position.matched == -15
    assert position.average_cost == Decimal("0.55")
    back = position.plus(fill(3, BUY, "0.50", "20"))
    assert back.realised == Decimal("2.25")
    assert back.matched == 5
    assert back.average_cost == Decimal("0.50")


def test_a_flat_position_has_no_cost_and_no_average() -> None:
    position = folded(fill(1, BUY, "0.33", "7"), fill(2, SELL, "0.34", "3"), fill(3, SELL, "0.35", "4"))
    assert position.cost == 0
    assert position.average_cost is None
    assert position.realised == position.cash_matched == Decimal("0.11")


def test_a_multiplier_counts_in_cost_cash_and_profit() -> None:
    start = Position.flat(RAIN, settlement_asset=CASH, multiplier=Decimal(50))
    position = folded(fill(1, BUY, "4000", "2"), fill(2, SELL, "4010", "1"), start=start)
    assert position.realised == Decimal(500)
    assert position.average_cost == Decimal(4000)
    assert position.unrealised(price("3990")) == Decimal(-500)
    assert position.cash_matched == Decimal(-199_500)


# ---- fees -------------------------------------------------------------------------------------------------


def test_an_unknown_fee_is_counted_and_never_taken_for_zero() -> None:
    position = folded(fill(1, fee="0.01"), fill(2, fee=None))
    assert position.fees == Decimal("0.01")
    assert position.fees_unknown == 1


def test_a_fee_in_another_asset_does_not_touch_the_cash() -> None:
    other = AssetId("BNB")
    position = folded(fill(1, BUY, "0.40", "10", fee="0.001", fee_asset=other), fill(2, BUY, "0.40", "10", fee="0.02"))
    assert position.fees == Decimal("0.02")
    assert position.fees_other == ((other, Decimal("0.001")),)
    assert position.cash_matched == Decimal("-8.02")


# ---- settlement -------------------------------------------------------------------------------------------


def test_a_matched_fill_moves_into_the_confirmed_total_when_it_settles() -> None:
    matched = fill(1, BUY, "0.40", "10", fee="0.02", settlement=Settlement.MATCHED)
    position = folded(matched)
    assert plains(position.matched, position.confirmed, position.arriving) == "10 0 10"
    assert plains(position.cash_matched, position.cash_confirmed) == "-4.02 0"
    assert position.settled(matched, Settlement.MINED) == position
    settled = position.settled(matched, Settlement.CONFIRMED)
    assert plains(settled.matched, settled.confirmed, settled.arriving) == "10 10 0"
    assert settled.cash_confirmed == Decimal("-4.02")
    assert settled.book.is_quiet
    assert settled.tail == ()


def test_a_reversed_fill_is_taken_out_with_its_cash_fee_and_profit() -> None:
    bought = fill(1, BUY, "0.40", "10")
    sold = fill(2, SELL, "0.60", "10", fee="0.05", settlement=Settlement.MATCHED)
    position = folded(bought, sold)
    assert position.realised == Decimal(2)
    back = position.settled(sold, Settlement.REVERSED)
    assert plains(back.matched, back.confirmed, back.realised, back.fees) == "10 10 0 0"
    assert back.average_cost == Decimal("0.40")
    assert back.cash_matched == back.cash_confirmed == -4
    assert (back.fills, back.reversed) == (2, 1)


def test_a_reversal_rewrites_the_profit_of_what_came_after_it() -> None:
    bought = fill(1, BUY, "0.50", "10", settlement=Settlement.MATCHED)
    sold = fill(2, SELL, "0.60", "10")
    back = folded(bought, sold).settled(bought, Settlement.REVERSED)
    assert plains(back.matched, back.realised) == "-10 0"
    assert back.average_cost == Decimal("0.60")


@pytest.mark.parametrize("second", [Settlement.REVERSED, Settlement.CONFIRMED])
@pytest.mark.parametrize("first", [Settlement.REVERSED, Settlement.CONFIRMED])
def test_a_fill_settles_once_and_a_second_time_is_refused(first: Settlement, second: Settlement) -> None:
    one = fill(1, settlement=Settlement.MATCHED)
    once = folded(one).settled(one, first)
    with pytest.raises(ContradictorySettlement, match="t1"):
        once.settled(one, second)


def test_a_fill_that_was_never_put_in_cannot_be_taken_out() -> None:
    with pytest.raises(ContradictorySettlement, match="not in flight"):
        FLAT.settled(fill(1, settlement=Settlement.MATCHED), Settlement.REVERSED)


def test_a_fill_first_seen_as_reversed_changes_nothing_but_its_count() -> None:
    position = folded(fill(1, settlement=Settlement.REVERSED))
    assert position == msgspec.structs.replace(FLAT, reversed=1)


def test_repeating_the_present_settlement_changes_nothing() -> None:
    one = fill(1, settlement=Settlement.CONFIRMED)
    position = folded(one)
    assert position.settled(one, Settlement.CONFIRMED) == position


def test_in_flight_purchases_and_sales_do_not_cancel_each_other() -> None:
    position = folded(
        fill(1, BUY, size="10", settlement=Settlement.MATCHED), fill(2, SELL, size="10", settlement=Settlement.MATCHED)
    )
    assert position.matched == position.confirmed == 0
    assert not position.book.is_quiet
    assert plains(position.book.lowest, position.book.highest) == "-10 10"


def test_a_position_survives_being_written_and_read() -> None:
    position = folded(fill(1, settlement=Settlement.MATCHED), fill(2, SELL, "0.43", "3"), fill(3, fee=None))
    content = msgspec.msgpack.encode(position)
    assert msgspec.msgpack.decode(content, type=Position) == position


# ---- conservation -----------------------------------------------------------------------------------------

FILLS = st.lists(
    st.builds(
        fill,
        number=st.integers(min_value=0, max_value=10**9),
        direction=st.sampled_from(Direction),
        at=st.decimals(min_value=Decimal("0.001"), max_value=Decimal("0.999"), places=3).map(str),
        size=st.decimals(min_value=Decimal("0.01"), max_value=Decimal(100_000), places=2).map(str),
        fee=st.none() | st.decimals(min_value=Decimal("-0.1"), max_value=Decimal(5), places=5).map(str),
    ),
    max_size=40,
    unique_by=lambda one: one.execution.key,
)


@given(FILLS)
def test_quantity_and_cash_are_conserved_to_the_last_digit(fills: list[Fill]) -> None:
    position = folded(*fills)
    assert position.matched == position.confirmed == sum(one.signed_quantity for one in fills)
    assert position.cash_matched == sum(cash_change(one) for one in fills)
    assert position.fees == sum(one.execution.fee or ZERO for one in fills)
    assert position.fees_unknown == sum(one.execution.fee is None for one in fills)
    # Profit and cost are nothing but cash told apart: realised - cost = cash before fees.
    assert EXACT.subtract(position.realised, position.cost) == position.cash_matched + position.fees


@given(FILLS)
def test_closing_everything_makes_all_profit_realised_profit(fills: list[Fill]) -> None:
    position = folded(*fills)
    mark = Price(Decimal("0.5"))
    worth = EXACT.add(position.realised, position.unrealised(mark))
    if position.matched:
        direction = SELL if position.matched > 0 else BUY
        position = position.plus(fill(-1, direction, "0.5", str(abs(position.matched))))
    assert position.matched == position.cost == 0
    assert position.realised == worth


class SettlementOfFills(RuleBasedStateMachine):
    """Fills arrive and settle in any order; at any time the position is what the fills that stand add up to."""

    def __init__(self) -> None:
        super().__init__()
        self.position = FLAT
        self.standing: list[Fill] = []
        self.in_flight: list[Fill] = []
        self.number = 0

    @rule(
        direction=st.sampled_from(Direction),
        at_price=st.sampled_from(["0.1", "0.33", "0.5", "0.77"]),
        size=st.sampled_from(["1", "3", "7", "10"]),
        settlement=st.sampled_from(Settlement),
    )
    def arrives(self, direction: Direction, at_price: str, size: str, settlement: Settlement) -> None:
        self.number += 1
        one = fill(self.number, direction, at_price, size, "0.01", settlement)
        self.position = self.position.plus(one)
        if settlement is not Settlement.REVERSED:
            self.standing.append(one)
        if not settlement.is_final:
            self.in_flight.append(one)

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(min_value=0), found=st.sampled_from(Settlement))
    def settles(self, which: int, found: Settlement) -> None:
        one = self.in_flight[which % len(self.in_flight)]
        self.position = self.position.settled(one, found)
        if found.is_final:
            self.in_flight.remove(one)
        if found is Settlement.REVERSED:
            self.standing.remove(one)

    @invariant()
    def is_as_if_reversed_fills_had_never_been(self) -> None:
        fresh = folded(*(at(one, Settlement.CONFIRMED) for one in self.standing))
        assert self.position.basis == fresh.basis
        assert self.position.cash_matched == fresh.cash_matched
        assert self.position.fees == fresh.fees

    @invariant()
    def confirmed_and_in_flight_make_matched(self) -> None:
        settled = [one for one in self.standing if one not in self.in_flight]
        book = self.position.book
        assert book.confirmed == sum(one.signed_quantity for one in settled)
        assert book.matched == book.confirmed + book.arriving - book.leaving
        assert self.position.cash_confirmed == sum(cash_change(one) for one in settled)
        assert book.lowest <= min(book.confirmed, book.matched) <= max(book.confirmed, book.matched) <= book.highest

    @invariant()
    def keeps_a_tail_only_while_something_is_in_flight(self) -> None:
        assert bool(self.position.tail) is bool(self.in_flight)


SettlementOfFills.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestSettlementOfFills = SettlementOfFills.TestCase


# ---- states -----------------------------------------------------------------------------------------------


def book(confirmed: str, matched: str) -> BookView:
    return folded(*_towards(confirmed, matched)).book


def _towards(confirmed: str, matched: str) -> list[Fill]:
    fills = []
    if Decimal(confirmed):
        fills.append(fill(1, size=confirmed))
    change = Decimal(matched) - Decimal(confirmed)
    if change:
        fills.append(fill(2, BUY if change > 0 else SELL, size=str(abs(change)), settlement=Settlement.MATCHED))
    return fills


@pytest.mark.parametrize(
    ("confirmed", "matched", "asked", "hedged", "reducing", "expected"),
    [
        ("0", "0", "10", False, "0", PositionState.CLOSED),
        ("10", "0", "10", False, "0", PositionState.CLOSING),
        ("4", "4", "10", False, "0", PositionState.PARTIAL),
        ("4", "4", "10", True, "0", PositionState.PARTIAL),
        ("0", "10", "10", False, "0", PositionState.OPEN),
        ("10", "10", "10", True, "0", PositionState.HEDGED),
        ("10", "10", "10", True, "3", PositionState.CLOSING),
        ("4", "4", "10", False, "4", PositionState.CLOSING),
    ],
)
def test_the_state_of_a_position_follows_from_the_facts(
    confirmed: str, matched: str, asked: str, hedged: bool, reducing: str, expected: PositionState
) -> None:
    view = book(confirmed, matched)
    assert position_state(view, asked=quantity(asked), hedged=hedged, reducing=quantity(reducing)) is expected


def test_a_short_position_has_the_states_of_a_long_one() -> None:
    view = folded(fill(1, SELL, size="4")).book

    def state(asked: str) -> PositionState:
        return position_state(view, asked=quantity(asked), hedged=False, reducing=quantity("0"))

    assert state("10") is PositionState.PARTIAL
    assert state("4") is PositionState.OPEN
