"""What an event tells the host: read against the ledger before it, addressed to the intent it concerns."""

from decimal import Decimal

import pytest
from tallystick.actors.host import HostBridge, reports_of
from tallystick.actors.ticket import Report, ReportKind
from tallystick.model.bracket import CloseReason, Decision, PairOutcome
from tallystick.model.event import (
    BracketDecided,
    Event,
    FillRecorded,
    FillSettled,
    IntentAccepted,
    IntentEnded,
    OrderDone,
    OrderSubmitted,
    RuntimeStarted,
    SliceComputed,
    SliceWithdrawn,
    StrategyPaused,
)
from tallystick.model.fill import Settlement
from tallystick.model.identifiers import IntentId, VenueOrderId
from tallystick.model.ledger import Ledger
from tallystick.model.money import Quantity
from tallystick.model.outcome import Evidence, EvidenceKind, Filled

from tests.model.examples import ACCOUNT, STRATEGY, fill, single, terms

NAME = terms().client_order_id
SUBMITTED = OrderSubmitted(client_order_id=NAME, account=ACCOUNT, venue_order_id=VenueOrderId("0xorder"), body=b"{}")
DONE = OrderDone(
    client_order_id=NAME,
    outcome=Filled(filled=Quantity(Decimal(10))),
    evidence=Evidence(kind=EvidenceKind.FILL_HISTORY, detail="its fills add up", at_ns=1),
)
MATCHED = FillRecorded(fill=fill(settlement=Settlement.MATCHED))
ENDED = IntentEnded(
    strategy=STRATEGY, intent_id=IntentId("a1"), outcome="filled", filled=(Quantity(Decimal(10)),), reason="because"
)


def decided(outcome: PairOutcome) -> BracketDecided:
    nothing, some = Quantity(Decimal(0)), Quantity(Decimal(3))
    decision = Decision(outcome=outcome, reason=CloseReason.DEADLINE, long_filled=some, short_filled=nothing)
    return BracketDecided(strategy=STRATEGY, intent_id=IntentId("p1"), decision=decision)


def told(*events: Event) -> list[Report]:
    """What the last of the events tells, after the others."""
    ledger = Ledger()
    for event in events[:-1]:
        ledger.apply(event, 1)
    return reports_of(events[-1], 7, ledger)


@pytest.mark.parametrize(
    ("before", "event", "kind", "text"),
    [
        ((), IntentAccepted(intent=single()), ReportKind.ACCEPTED, "accepted"),
        ((SliceComputed(terms=terms(), send_by_ns=1),), SUBMITTED, ReportKind.ORDER, "sent: buy 10 at 0.41"),
        (
            (SliceComputed(terms=terms(), send_by_ns=1),),
            SliceWithdrawn(client_order_id=NAME, reason="a gate"),
            ReportKind.ORDER,
            "never sent: a gate",
        ),
        (
            (SliceComputed(terms=terms(), send_by_ns=1), SUBMITTED),
            DONE,
            ReportKind.ORDER,
            "order filled: its fills add up",
        ),
        (
            (),
            MATCHED,
            ReportKind.FILL,
            "buy 10 polymarket:rain:Yes at 0.41, matched, seen by stream",
        ),
        (
            (MATCHED,),
            FillSettled(key=fill().execution.key, settlement=Settlement.REVERSED, transaction=""),
            ReportKind.SETTLEMENT,
            "trade t1 is reversed",
        ),
        (
            (),
            decided(PairOutcome.ONE_SIDE),
            ReportKind.DISPOSITION_NEEDED,
            "partial pair at deadline: long 3, short 0; the strategy decides what becomes of it",
        ),
        (
            (IntentAccepted(intent=single()),),
            StrategyPaused(strategy=STRATEGY, reason="a drift"),
            ReportKind.PAUSED,
            "a drift",
        ),
        ((), ENDED, ReportKind.ENDED, "ended: filled (because)"),
    ],
)
def test_an_event_tells_one_thing(before: tuple[Event, ...], event: Event, kind: ReportKind, text: str) -> None:
    (report,) = told(*before, event)
    assert (report.kind, report.text, report.at_ns, report.strategy) == (kind, text, 7, STRATEGY)


def test_a_fill_that_had_failed_before_it_was_heard_of_tells_both() -> None:
    both = told(FillRecorded(fill=fill(settlement=Settlement.REVERSED)))
    assert [report.kind for report in both] == [ReportKind.FILL, ReportKind.SETTLEMENT]
    assert both[1].text == "trade t1 is reversed"


@pytest.mark.parametrize(
    "events",
    [
        (RuntimeStarted(build="0", owner="a test"),),
        (SliceComputed(terms=terms(), send_by_ns=1),),
        (decided(PairOutcome.BOTH),),
        (MATCHED, FillSettled(key=fill().execution.key, settlement=Settlement.MINED, transaction="")),
        (FillSettled(key=fill().execution.key, settlement=Settlement.CONFIRMED, transaction=""),),
        (DONE,),
        (StrategyPaused(strategy=STRATEGY, reason="nobody is at work"),),
    ],
)
def test_what_is_no_news_for_an_intent_is_not_told(events: tuple[Event, ...]) -> None:
    assert told(*events) == []


def test_reports_reach_the_ticket_of_their_intent_and_the_last_one_closes_its_account() -> None:
    bridge = HostBridge(Ledger(), lambda error: None)
    ticket = bridge.ticket(STRATEGY, IntentId("a1"))
    other = bridge.ticket(STRATEGY, IntentId("a2"))
    bridge.deliver(bridge.hear(IntentAccepted(intent=single()), 1) + bridge.hear(ENDED, 2))
    assert [report.number for report in ticket.reports] == [1, 2]
    assert not other.reports
    assert bridge.ticket(STRATEGY, IntentId("a1")) is not ticket, "a repetition is answered from the store"
    bridge.close()


def test_while_nobody_holds_a_ticket_nothing_is_written_for_it() -> None:
    assert HostBridge(Ledger(), lambda error: None).hear(ENDED, 1) == []
