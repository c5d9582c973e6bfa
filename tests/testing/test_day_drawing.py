"""Every drawn day keeps the laws from which its outcome follows."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.model.bracket import PairOutcome
from tallystick.model.instrument import Instrument, InstrumentKind
from tallystick.model.money import Price, Quantity, is_multiple
from tallystick.model.sizing import child_sizes, pair_quantities
from tallystick.testing.day import SETTLEMENT_ASSET, VENUE, DayPlan, Fate, LegPlan, MarketPlan, PairPlan
from tallystick.testing.day_drawing import PAIRS_MAXIMUM, PAIRS_MINIMUM, plan_day

days = st.builds(plan_day, st.integers(0, 2**40), st.integers(PAIRS_MINIMUM, 45))


def legs(plan: DayPlan) -> list[tuple[PairPlan, LegPlan, bool]]:
    return [(pair, leg, buys) for pair in plan.pairs for leg, buys in zip(pair.legs, (True, False), strict=True)]


def rules(market: MarketPlan) -> Instrument:
    return Instrument(
        instrument_id=market.yes,
        venue=VENUE,
        venue_symbol=market.slug,
        market=market.slug,
        kind=InstrumentKind.OUTCOME_SHARE,
        settlement_asset=SETTLEMENT_ASSET,
        price_tick=market.tick,
        price_minimum=market.tick,
        price_maximum=Price(1 - market.tick),
        quantity_step=Quantity(Decimal("0.01")),
        quantity_minimum=Quantity(Decimal(5)),
        complement=market.no,
    )


@given(seed=st.integers(0, 2**40), pairs=st.integers(PAIRS_MINIMUM, PAIRS_MAXIMUM))
@settings(max_examples=30)
def test_one_pair_in_twenty_gets_one_side_and_as_many_get_none(seed: int, pairs: int) -> None:
    plan = plan_day(seed, pairs)
    unlucky = max(1, round(pairs / 20))
    assert plan.outcomes() == {
        PairOutcome.BOTH: pairs - 2 * unlucky,
        PairOutcome.ONE_SIDE: unlucky,
        PairOutcome.NEITHER: unlucky,
    }


def test_forty_pairs_make_about_two_hundred_fills() -> None:
    fills = [plan_day(seed).fills for seed in range(60)]
    assert 190 <= sum(fills) / len(fills) <= 210
    assert all(170 <= found <= 230 for found in fills)


@given(seed=st.integers(0, 2**40))
@settings(max_examples=10)
def test_the_same_seed_is_the_same_day_and_another_seed_another(seed: int) -> None:
    assert plan_day(seed, 8) == plan_day(seed, 8)
    assert plan_day(seed, 8).pairs != plan_day(seed + 1, 8).pairs


@given(plan=days)
@settings(max_examples=30)
def test_a_market_has_one_leg_at_work_at_a_time(plan: DayPlan) -> None:
    for market in plan.markets:
        spans = sorted(
            (pair.at_seconds, pair.expires_at_seconds) for pair, leg, _ in legs(plan) if leg.market == market.slug
        )
        assert all(ends < begins for (_, ends), (begins, _) in pairwise(spans))


@given(plan=days)
@settings(max_examples=30)
def test_takes_add_up_to_their_leg_between_its_submission_and_its_deadline(plan: DayPlan) -> None:
    for pair, leg, _ in legs(plan):
        assert bool(leg.takes) is (leg.fate is Fate.RESTING)
        if leg.takes:
            assert sum(take.quantity for take in leg.takes) == leg.quantity
        times = [take.at_seconds for take in leg.takes]
        assert times == sorted(times)
        assert all(pair.at_seconds + 10 < at < pair.expires_at_seconds - 10 for at in times)


@given(plan=days)
@settings(max_examples=30)
def test_the_runtime_will_split_every_leg_into_the_equal_slices_of_the_plan(plan: DayPlan) -> None:
    for pair in plan.pairs:
        found = [rules(plan.market(leg.market)) for leg in pair.legs]
        quantities = pair_quantities(plan.intent(pair), found[0], found[1])
        for leg, quantity, rule in zip(pair.legs, quantities, found, strict=True):
            assert quantity == leg.quantity
            sizes = child_sizes(quantity, pair.child_quantity_maximum, rule)
            assert isinstance(sizes, tuple)
            assert len(sizes) == leg.children
            assert len(set(sizes)) == 1


@given(plan=days)
@settings(max_examples=30)
def test_only_marketable_legs_meet_the_crowds_quotes_and_resting_ones_are_before_them(plan: DayPlan) -> None:
    for pair, leg, buys in legs(plan):
        tick = plan.market(leg.market).tick
        assert is_multiple(leg.limit_price, tick)
        earlier = [q for q in plan.quotes if q.market == leg.market and q.at_seconds <= pair.at_seconds][-1:]
        during = [
            q
            for q in plan.quotes
            if q.market == leg.market and pair.at_seconds < q.at_seconds < pair.expires_at_seconds
        ]
        for quotes in earlier + during:
            best_bid, best_ask = quotes.bids[0][0], quotes.asks[0][0]
            match leg.fate:
                case Fate.RESTING:
                    assert best_bid < leg.limit_price < best_ask
                case Fate.UNLUCKY:
                    worst_bid, worst_ask = quotes.bids[-1][0], quotes.asks[-1][0]
                    assert leg.limit_price < worst_bid if buys else leg.limit_price > worst_ask
                case Fate.TAKING if quotes in earlier:
                    level, second = (quotes.asks if buys else quotes.bids)[:2]
                    # At one price, or the average price of a fill would be a rounded one.
                    assert level[1] >= leg.quantity
                    assert level[0] < leg.limit_price < second[0] if buys else level[0] > leg.limit_price > second[0]
                case Fate.TAKING:
                    pass


@given(plan=days)
@settings(max_examples=30)
def test_nothing_else_happens_while_a_fault_may_strike(plan: DayPlan) -> None:
    marks = plan.marks
    for mark, after in ((marks.silenced_at_seconds, 45), (marks.cut_at_seconds, 15)):
        takes = [take.at_seconds for _, leg, _ in legs(plan) for take in leg.takes]
        assert takes.count(mark) == 1
        busy = [*takes, *(pair.at_seconds for pair in plan.pairs), *(pair.expires_at_seconds for pair in plan.pairs)]
        assert [at for at in busy if mark - 10 < at < mark + after] == [mark]
    assert marks.silenced_at_seconds % 60 == 5
    assert marks.cut_at_seconds % 2 == pytest.approx(1.4)


@given(plan=days)
@settings(max_examples=30)
def test_the_slice_that_may_get_lost_is_in_the_last_pair_on_the_leg_that_nobody_wants(plan: DayPlan) -> None:
    last = plan.pairs[-1]
    assert last.outcome is PairOutcome.ONE_SIDE
    assert last.at_seconds == max(pair.at_seconds for pair in plan.pairs)
    intent_id, leg, number, _attempt = plan.marks.lost_order.split("-")[1].split(".", 3)
    assert f"pair-{intent_id}" == last.intent_id
    assert last.legs[int(leg)].fate is Fate.UNLUCKY
    assert int(number) < last.legs[int(leg)].children


def test_fills_are_counted_where_takes_and_slices_end() -> None:
    plan = plan_day(1, 20)
    for _, leg, _ in legs(plan):
        if leg.fate is Fate.RESTING:
            child = leg.quantity / leg.children
            filled, fills = [Decimal(0)] * leg.children, 0
            for take in leg.takes:
                left: Decimal = take.quantity
                for number in range(leg.children):
                    part = min(left, child - filled[number])
                    if part:
                        filled[number] += part
                        left -= part
                        fills += 1
            assert leg.fills == fills


@pytest.mark.parametrize("pairs", [0, 3, PAIRS_MAXIMUM + 1])
def test_a_number_of_pairs_out_of_bounds_is_refused(pairs: int) -> None:
    with pytest.raises(ValueError, match=f"not {pairs}"):
        plan_day(1, pairs)


def test_a_day_too_short_for_its_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="need a day of at least"):
        plan_day(1, 40, seconds=3_600)
