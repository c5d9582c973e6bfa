"""Every gate speaks to the host with its name and its numbers; what is refused leaves no trace at the venue."""

from decimal import Decimal

import msgspec
import pytest
import trio
from tallystick.actors.settings import StrategySettings
from tallystick.actors.ticket import IntentRejected, Ticket
from tallystick.model.event import IntentRefused, OperatorHalted, OperatorResumed, StrategyPaused, StrategyResumed
from tallystick.model.identifiers import AccountId, InstrumentId, StrategyName
from tallystick.model.intent import Intent, PriceBand, Style, TimeInForce
from tallystick.model.money import Cash, Price, Quantity
from tallystick.model.risk_facts import Gate, RiskLimits
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import FreezeStreams

from .harness import ACCOUNT, RAIN_YES, STRATEGY, World, account_settings, pair, scenario, single

LIMITS = RiskLimits(
    order_quantity_maximum=Quantity(Decimal(100)),
    order_notional_maximum=Cash(Decimal(40)),
    intent_notional_maximum=Cash(Decimal(80)),
    position_quantity_maximum=Quantity(Decimal(150)),
    position_notional_maximum=Cash(Decimal(60)),
    price_deviation_bps_maximum=Decimal(2_000),
    active_intents_per_strategy_maximum=3,
)


async def refused(world: World, intent: Intent) -> IntentRejected:
    with pytest.raises(IntentRejected) as caught:
        await world.submit(intent)
    assert not world.venue_orders()
    assert world.events(IntentRefused)[-1].gate == caught.value.refusal.gate
    return caught.value


@pytest.mark.parametrize(
    ("changes", "gate", "numbers"),
    [
        ({"quantity": Quantity(Decimal(4))}, Gate.INSTRUMENT_RULES, ["4", "5"]),
        ({"quantity": Quantity(Decimal("50.001"))}, Gate.INSTRUMENT_RULES, ["50.001", "0.01"]),
        ({"limit_price": Price(Decimal("0.445"))}, Gate.INSTRUMENT_RULES, ["0.445", "0.01"]),
        ({"instrument": InstrumentId("polymarket:nowhere:Yes")}, Gate.INSTRUMENT_KNOWN, ["nowhere"]),
        ({"expires_at_ns": 1}, Gate.EXPIRY, ["expires_at"]),
        ({"price_band": PriceBand(maximum=Price(Decimal("0.40")))}, Gate.PRICE_BAND, ["0.44", "0.4"]),
        ({"quantity": Quantity(Decimal(200))}, Gate.POSITION_QUANTITY, ["200", "150"]),
        ({"quantity": Quantity(Decimal(140)), "limit_price": Price(Decimal("0.50"))}, Gate.POSITION_NOTIONAL, ["60"]),
        ({"limit_price": Price(Decimal("0.99"))}, Gate.PRICE_DEVIATION, ["0.99", "2000"]),
        ({"style": Style.POST_ONLY, "time_in_force": TimeInForce.IOC}, Gate.WELL_FORMED, ["ioc"]),
        ({"quantity": Quantity(Decimal(-1))}, Gate.WELL_FORMED, ["-1"]),
    ],
)
@scenario(settings=account_settings(risk=LIMITS))
async def test_a_gate_refuses_with_its_name_and_numbers(
    world: World, changes: dict[str, object], gate: Gate, numbers: list[str]
) -> None:
    world.crowd.buys(RAIN_YES, "0.42", "10")
    world.crowd.sells(RAIN_YES, "0.46", "10")
    await world.quiet()
    error = await refused(world, msgspec.structs.replace(single(), **changes))
    assert error.refusal.gate is gate
    for number in numbers:
        assert number in str(error)


@scenario(settings=account_settings(risk=LIMITS))
async def test_a_slice_that_breaks_an_order_limit_is_withdrawn_with_the_numbers(world: World) -> None:
    world.crowd.buys(RAIN_YES, "0.42", "10")
    world.crowd.sells(RAIN_YES, "0.46", "10")
    await world.quiet()
    ticket = await world.submit(single(quantity="101"))
    report = await world.end_of(ticket)
    assert report.outcome == "not_sent"
    assert "order_quantity: quantity is 101; allowed is at most 100" in report.text
    assert not world.venue_orders()


@scenario(settings=account_settings(risk=LIMITS))
async def test_a_pair_beyond_the_notional_of_an_intent_is_refused(world: World) -> None:
    for instrument, bid, ask in (("polymarket:rain:Yes", "0.42", "0.46"), ("polymarket:snow:Yes", "0.58", "0.62")):
        world.crowd.buys(InstrumentId(instrument), bid, "10")
        world.crowd.sells(InstrumentId(instrument), ask, "10")
    await world.quiet()
    with pytest.raises(IntentRejected) as caught:
        await world.submit(pair(notional="45"))
    assert caught.value.refusal.gate is Gate.INTENT_NOTIONAL
    assert "at most 80" in str(caught.value)


@scenario()
async def test_an_account_that_the_strategy_may_not_use_is_named_with_those_it_may(world: World) -> None:
    error = await refused(world, msgspec.structs.replace(single(), account=AccountId("polymarket:other")))
    assert (error.refusal.field, error.refusal.found) == ("account", "polymarket:other")
    assert ACCOUNT in str(error)


@scenario(strategy=StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,), active_intents_maximum=2))
async def test_more_intents_than_allowed_at_the_same_time_are_refused_until_one_ends(world: World) -> None:
    await world.submit(single("i1", seconds=10))
    await world.submit(single("i2", seconds=60))
    with pytest.raises(IntentRejected, match="2 active intents"):
        await world.submit(single("i3"))
    await trio.sleep(12)
    await world.submit(single("i3"))


@scenario(settings=account_settings(risk=RiskLimits(position_quantity_maximum=Quantity(Decimal(100)))))
async def test_two_intents_handed_in_together_see_each_other_in_the_limits(world: World) -> None:
    """Both are handed in before either is at work; the second is over the limit at one gate or the other."""
    decided: list[Ticket | Exception] = []
    world.runtime.submit_soon(single("i1", quantity="60", seconds=5), decided.append)
    world.runtime.submit_soon(single("i2", quantity="60", seconds=5), decided.append)
    await trio.sleep(20)
    outcomes = {found.ended.outcome for found in decided if isinstance(found, Ticket) and found.ended is not None}
    assert outcomes <= {"unfilled", "not_sent"}
    assert len(decided) == 2
    assert len(world.venue_orders()) == 1


@scenario()
async def test_a_halted_account_takes_no_intents_and_goes_on_cancelling(world: World) -> None:
    ticket = await world.submit(single("i1", seconds=10))
    await world.until(world.venue_orders)
    world.context.recorder.record(OperatorHalted(account=None, by="anna", reason="earthquake"))
    with pytest.raises(IntentRejected, match="earthquake"):
        await world.submit(single("i2"))
    assert (await world.end_of(ticket)).outcome == "unfilled"
    assert world.venue_order()["status"] == "CANCELED"
    world.context.recorder.record(OperatorResumed(account=None, by="anna"))
    await world.live()
    await world.submit(single("i3"))


@scenario()
async def test_a_paused_strategy_is_refused_and_told_why_until_it_is_resumed(world: World) -> None:
    world.context.recorder.record(StrategyPaused(strategy=STRATEGY, reason="a drift of 7"))
    with pytest.raises(IntentRejected, match="a drift of 7"):
        await world.submit(single())
    world.context.recorder.record(StrategyResumed(strategy=STRATEGY, by="anna"))
    await world.submit(single())


@scenario()
async def test_an_unknown_strategy_is_refused_with_the_known_ones(world: World) -> None:
    intent = msgspec.structs.replace(single(), strategy=StrategyName("nobody"))
    with pytest.raises(IntentRejected, match=STRATEGY):
        await world.submit(intent)


@scenario()
async def test_a_market_that_resolved_takes_no_more_intents(world: World) -> None:
    world.do(actions.ResolveMarket(market="rain", outcome="Yes"))
    await trio.sleep(1)
    with pytest.raises(IntentRejected) as caught:
        await world.submit(single())
    assert caught.value.refusal.gate in {Gate.MARKET_STATUS, Gate.FRESH_DATA}


@scenario()
async def test_a_finer_tick_is_learned_while_running(world: World) -> None:
    world.do(actions.ChangeTick(market="rain", tick_size=Decimal("0.001")))
    await world.quiet()
    await world.live()
    await world.submit(single(price="0.445"))
    await world.until(world.venue_orders)
    assert world.venue_order()["price"] == "0.445"


@scenario()
async def test_without_market_data_nothing_new_goes_out(world: World) -> None:
    world.fault(FreezeStreams(channel="market", seconds=60))
    await trio.sleep(40)
    with pytest.raises(IntentRejected) as caught:
        await world.submit(single())
    assert caught.value.refusal.gate is Gate.FRESH_DATA
    await world.live()
    await world.submit(single())
