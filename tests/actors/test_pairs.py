"""A pair: both legs at once, both or neither, decided exactly once."""

from decimal import Decimal

from .harness import RAIN_YES, SNOW_NO, World, pair, scenario


@scenario()
async def test_a_pair_that_fills_on_both_legs_ends_as_both(world: World) -> None:
    world.crowd.sells(RAIN_YES, "0.44", "200")
    world.crowd.sells(SNOW_NO, "0.40", "200")
    ticket = await world.submit(pair())
    report = await world.end_of(ticket)
    assert report.outcome == "both"
    assert world.held(RAIN_YES) == Decimal(100)
    assert world.held(SNOW_NO) == Decimal("73.33")
