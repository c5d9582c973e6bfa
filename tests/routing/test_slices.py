from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.identifiers import AssetId, InstrumentId, VenueName
from tallystick.model.instrument import Instrument, InstrumentKind
from tallystick.model.intent import PriceBand, Side, Style, TimeInForce
from tallystick.model.money import Cash, Price, Quantity, is_multiple
from tallystick.model.risk import Market
from tallystick.routing.slices import STYLES, Placement, Waits, Wanted, limit, post_only, slices_of


def price(text: str) -> Price:
    return Price(Decimal(text))


def rules(step: str = "0.01", minimum: str = "5", notional_minimum: str = "0") -> Instrument:
    return Instrument(
        instrument_id=InstrumentId("polymarket:rain:Yes"),
        venue=VenueName("polymarket"),
        venue_symbol="1",
        market="0xmarket",
        kind=InstrumentKind.OUTCOME_SHARE,
        settlement_asset=AssetId("pUSD"),
        price_tick=price("0.01"),
        price_minimum=price("0.01"),
        price_maximum=price("0.99"),
        quantity_step=Quantity(Decimal(step)),
        quantity_minimum=Quantity(Decimal(minimum)),
        notional_minimum=Cash(Decimal(notional_minimum)),
    )


def market(bid: str | None, ask: str | None, closed: str | None = None) -> Market:
    return Market(
        bid=None if bid is None else price(bid),
        ask=None if ask is None else price(ask),
        as_of_ns=1,
        closed=closed,
    )


def wanted(side: Side = Side.BUY, at: str = "0.41", **changes: object) -> Wanted:
    return Wanted(instrument=rules(), side=side, limit_price=price(at), **changes)  # type: ignore[arg-type]  # by name


# ---- slices -----------------------------------------------------------------------------------------------


@given(
    st.integers(min_value=1, max_value=100_000),
    st.integers(min_value=1, max_value=100_000),
    st.sampled_from(["0.01", "0.1", "1"]),
    st.sampled_from(["0", "1", "5"]),
)
def test_slices_add_up_to_the_quantity_or_there_are_none(units: int, child_units: int, step: str, minimum: str) -> None:
    instrument = rules(step, minimum)
    whole, child = Quantity(units * Decimal(step)), Quantity(child_units * Decimal(step))
    sizes = slices_of(whole, child, instrument)
    if not sizes:
        return
    assert sum(sizes) == whole
    assert max(sizes) <= max(child, Decimal(0)) or len(sizes) == 1
    assert min(sizes) >= instrument.quantity_minimum
    assert all(is_multiple(size, instrument.quantity_step) for size in sizes)


def test_without_a_maximum_there_is_one_slice() -> None:
    assert slices_of(Quantity(Decimal(25)), None, rules()) == (Quantity(Decimal(25)),)


def test_what_keeps_no_rule_gives_no_slice() -> None:
    assert slices_of(Quantity(Decimal(4)), None, rules()) == ()
    assert slices_of(Quantity(Decimal("25.001")), None, rules()) == ()


def test_a_price_brings_the_smallest_notional_into_the_split() -> None:
    instrument = rules(minimum="1", notional_minimum="1")
    whole, child = Quantity(Decimal(30)), Quantity(Decimal(10))
    assert slices_of(whole, child, instrument) == (child, child, child)
    assert slices_of(whole, child, instrument, price("0.05")) == ()


# ---- styles -----------------------------------------------------------------------------------------------


def test_every_style_has_its_schedule() -> None:
    assert set(STYLES) == set(Style)


@pytest.mark.parametrize("top", [None, market("0.30", "0.35"), market("0.50", "0.55")])
def test_a_limit_stays_at_the_limit_whatever_the_market(top: Market | None) -> None:
    assert limit(wanted(), top) == Placement(price=price("0.41"), time_in_force=TimeInForce.GTC, post_only=False)


@pytest.mark.parametrize(
    ("side", "at", "top", "expected"),
    [
        (Side.BUY, "0.41", market("0.40", "0.45"), "0.41"),
        (Side.BUY, "0.41", market("0.30", "0.35"), "0.34"),
        (Side.BUY, "0.41", market("0.40", "0.41"), "0.40"),
        (Side.BUY, "0.41", market(None, None), "0.41"),
        (Side.BUY, "0.41", None, "0.41"),
        (Side.BUY, "0.41", market("0.30", "0.35", closed="a gap"), "0.41"),
        (Side.SELL, "0.41", market("0.30", "0.35"), "0.41"),
        (Side.SELL_SHORT, "0.41", market("0.45", "0.50"), "0.46"),
        (Side.BUY_TO_COVER, "0.41", market("0.30", "0.355"), "0.35"),
        (Side.SELL, "0.41", market("0.455", "0.50"), "0.46"),
    ],
)
def test_a_post_only_order_rests_at_the_limit_or_just_behind_the_book(
    side: Side, at: str, top: Market | None, expected: str
) -> None:
    placed = post_only(wanted(side, at), top)
    assert placed == Placement(price=price(expected), time_in_force=TimeInForce.GTC, post_only=True)


def test_a_post_only_order_waits_where_it_could_rest_only_outside_its_band_or_the_venues_prices() -> None:
    narrow = PriceBand(minimum=price("0.38"))
    found = post_only(wanted(price_band=narrow), market("0.30", "0.35"))
    assert found == Waits(why="it could rest only at 0.34, outside the intent's price band")
    assert isinstance(post_only(wanted(), market(None, "0.01")), Waits)
    assert isinstance(post_only(wanted(Side.SELL), market("0.99", None)), Waits)


def test_an_order_that_only_rests_cannot_be_immediate() -> None:
    assert isinstance(post_only(wanted(time_in_force=TimeInForce.IOC), None), Waits)


CENTS = st.integers(min_value=1, max_value=99).map(lambda cents: f"0.{cents:02}")


@given(st.sampled_from(Side), CENTS, st.none() | CENTS, st.none() | CENTS, st.sampled_from(Style))
def test_no_style_is_worse_than_the_limit_or_takes_when_it_may_not(
    side: Side, at: str, bid: str | None, ask: str | None, style: Style
) -> None:
    top = market(bid, ask)
    asked = wanted(side, at)
    placed = STYLES[style](asked, top)
    if isinstance(placed, Waits):
        return
    assert placed.price <= asked.limit_price if asked.buys else placed.price >= asked.limit_price
    if style is Style.POST_ONLY:
        assert placed.post_only
        if asked.buys:
            assert top.ask is None or placed.price < top.ask
        else:
            assert top.bid is None or placed.price > top.bid
