"""Every fault of the catalogue bites where it has an occasion, and the laws hold all the same."""

from decimal import Decimal

import msgspec
import pytest
from tallystick.model.fill import Direction
from tallystick.model.identifiers import InstrumentId, IntentId
from tallystick.model.intent import Intent, PairIntent, PairLeg, Side
from tallystick.model.money import Cash, Price, Quantity
from tallystick.testing.world import faults as fault
from tallystick.testing.world import venue_faults as at_venue
from tallystick.testing.world.clock import EPOCH_MS
from tallystick.testing.world.faults import KINDS, AnyFault, Role, name_of, names, sentence_of
from tallystick.testing.world.life import live
from tallystick.testing.world.plan import CrowdOrder, HandIn, Plan, Strike, plan_of_json
from tallystick.testing.world.polymarket import ACCOUNT
from tallystick.testing.world.venue_faults import Asked, Refusal, Told
from tallystick.testing.world.wire import Way
from tallystick.testing.world.world import STRATEGY, World, run_world

RAIN, SNOW = InstrumentId("polymarket:rain:Yes"), InstrumentId("polymarket:snow:Yes")
STRIKES_AT = 12.0
LONG = 40.0

EXAMPLES: tuple[AnyFault, ...] = (
    at_venue.DropReport(told=Told.FILL, count=1),
    at_venue.DuplicateReport(told=Told.FILL, count=2),
    at_venue.DelayReport(told=Told.FILL, by_seconds=4.0, count=2),
    at_venue.ReorderReports(told=Told.ANY, count=2),
    at_venue.CutBeforeReport(told=Told.FILL, count=1),
    at_venue.FreezeStream(seconds=LONG),
    *(at_venue.Refuse(asked=Asked.ANY, how=how, count=3) for how in Refusal),
    at_venue.LoseAnswer(asked=Asked.PLACE, count=1),
    at_venue.FailAfterAccept(asked=Asked.PLACE, count=1),
    at_venue.DelayAnswer(asked=Asked.PLACE, by_seconds=5.0, count=1),
    at_venue.DelayRequest(asked=Asked.PLACE, by_seconds=12.0, count=1),
    at_venue.HideOrders(seconds=LONG),
    at_venue.LagLists(by_seconds=5.0, seconds=LONG),
    at_venue.LagPositions(by_seconds=5.0, seconds=LONG),
    at_venue.StaleBalances(seconds=LONG),
    at_venue.LagWallet(blocks=5, seconds=LONG),
    at_venue.StopFinality(seconds=LONG),
    at_venue.FailSettlement(count=1),
    at_venue.RetrySettlement(count=1),
    at_venue.StallSettlement(count=1),
    at_venue.Reorganise(depth=2),
    at_venue.SkewVenueClock(ahead_seconds=3.0, seconds=LONG),
    at_venue.DustSizes(count=2),
    at_venue.FireDeadMan(),
    fault.LoseConnections(),
    fault.CutConnection(websocket=False, way=Way.FROM_VENUE, after_bytes=300),
    fault.SilenceConnection(websocket=True),
    fault.Clog(way=Way.FROM_VENUE, seconds=8.0),
    fault.Unreachable(seconds=8.0),
    fault.SlowReading(bytes_per_second=2_000.0, seconds=10.0),
    fault.SplitReading(bytes_maximum=3, seconds=10.0),
    fault.StepClock(by_seconds=-20.0, seconds=20.0),
    fault.DriftClock(parts_per_million=500.0, seconds=LONG),
    fault.SlowDisk(by_seconds=0.7, seconds=20.0),
    fault.FailCommit(),
    fault.FillDisk(left_bytes=500, seconds=20.0),
    fault.DamageSnapshot(),
    fault.DelayMessages(to=Role.ORDER, by_seconds=1.0, count=5),
    fault.TightMailbox(of=Role.STRATEGY_DESK, seconds=LONG),
    fault.CrashActor(who=Role.GATEWAY, times=2),
    fault.CrashAtMessage(messages=40),
    fault.CrashAtEvent(kind="fill_recorded", before=False),
    fault.KillAtCommit(commits=3),
    fault.KillAtRequest(orders=1),
    fault.KillInRecovery(commits=4, times=2),
    fault.KillInShutdown(commits=1),
    fault.StopInOrder(),
    fault.TradeByHand(
        instrument=SNOW, direction=Direction.BUY, price=Price(Decimal("0.40")), quantity=Quantity(Decimal(7))
    ),
    fault.Deposit(cash=Cash(Decimal(12))),
    fault.Withdraw(cash=Cash(Decimal(9))),
    fault.CancelOurs(),
)


def _ns(seconds: float) -> int:
    return EPOCH_MS * 1_000_000 + round(seconds * 1e9)


def _pair(at: float) -> HandIn:
    intent = PairIntent(
        intent_id=IntentId(f"pair-{at:.0f}"),
        strategy=STRATEGY,
        account=ACCOUNT,
        long=PairLeg(instrument=RAIN, limit_price=Price(Decimal("0.44"))),
        short=PairLeg(instrument=SNOW, limit_price=Price(Decimal("0.60"))),
        notional=Cash(Decimal(22)),
        expires_at_ns=_ns(at + 14),
        child_quantity_maximum=Quantity(Decimal(20)),
    )
    return HandIn(at_seconds=at, intent=intent)


def _single(at: float) -> HandIn:
    intent = Intent(
        intent_id=IntentId(f"single-{at:.0f}"),
        strategy=STRATEGY,
        account=ACCOUNT,
        instrument=RAIN,
        side=Side.BUY,
        quantity=Quantity(Decimal(30)),
        limit_price=Price(Decimal("0.44")),
        expires_at_ns=_ns(at + 12),
    )
    return HandIn(at_seconds=at, intent=intent, again_at_seconds=(at + 20,))


def _sold(at: float, quantity: int) -> CrowdOrder:
    return CrowdOrder(
        at_seconds=at,
        instrument=RAIN,
        direction=Direction.SELL,
        price=Price(Decimal("0.44")),
        quantity=Quantity(Decimal(quantity)),
        seconds=0.0,
    )


def busy_hour(what: AnyFault) -> Plan:
    """Intents, fills in parts, cancels and deadlines, with the fault put on in the midst of them."""
    strikes = [Strike(at_seconds=STRIKES_AT, fault=what)]
    if isinstance(what, fault.DamageSnapshot):
        strikes.insert(0, Strike(at_seconds=STRIKES_AT - 4, fault=fault.StopInOrder()))  # a stop leaves a snapshot
    if isinstance(what, at_venue.LagLists):
        strikes.append(Strike(at_seconds=STRIKES_AT + 1, fault=fault.LoseConnections()))  # which ends in a sweep
    return Plan(
        seed=7,
        seconds=70.0,
        hand_ins=tuple(found for at in range(6, 60, 6) for found in (_pair(at), _single(at))),
        crowd=tuple(_sold(at + 0.5, 5 + at % 17) for at in range(6, 66)),
        strikes=tuple(strikes),
    )


@pytest.mark.parametrize("what", EXAMPLES, ids=name_of)
def test_a_fault_bites_and_the_laws_hold(what: AnyFault) -> None:
    outcome = live(busy_hour(what))
    assert not outcome.breaches, outcome.story
    assert outcome.bites[name_of(what)] > 0
    assert outcome.fills > 0


def test_no_fault_is_without_an_example() -> None:
    assert {name_of(found) for found in EXAMPLES} == set(names())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_fault_says_in_a_sentence_what_it_does(kind: type[msgspec.Struct]) -> None:
    sentence = sentence_of(kind)
    assert sentence.endswith(".")
    assert len(sentence) > 20


@pytest.mark.parametrize("what", EXAMPLES, ids=name_of)
def test_a_fault_is_the_same_after_a_round_trip_through_json(what: AnyFault) -> None:
    plan = busy_hour(what)
    assert plan_of_json(plan.to_json()) == plan


def test_a_stranger_whom_the_venue_does_not_answer_has_not_traded() -> None:
    """The venue's faults meet whoever asks it: a stranger's lost login ended a whole drawn day."""

    async def story(world: World) -> None:
        world.venue.put_on(at_venue.LoseAnswer(seconds=5))
        with pytest.raises(RuntimeError, match="did not answer the stranger"):
            await world.trade_by_hand(SNOW, Direction.BUY, "0.40", "7")
        assert not world.foreign_orders

    run_world(story)
