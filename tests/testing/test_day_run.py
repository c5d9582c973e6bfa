"""Short days, lived through with a real runtime, a venue in another process and connections between the two."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import pytest
from tallystick.model.alert import AlertKind, AlertState
from tallystick.model.bracket import PairOutcome
from tallystick.model.identifiers import IntentId
from tallystick.testing.day import STRATEGY, DayPlan
from tallystick.testing.day_drawing import plan_day
from tallystick.testing.day_record import DayRecord, money_of, read_day, what_differs
from tallystick.testing.day_run import DayRun, run_day
from tallystick.testing.virtual_time import real_sleep

SECONDS = 1_800
PAIRS = 6


@dataclass(frozen=True)
class Lived:
    plan: DayPlan
    run: DayRun
    record: DayRecord
    with_faults: bool

    def differs(self) -> tuple[str, ...]:
        return what_differs(self.plan, self.run, self.record, with_faults=self.with_faults)

    def essence(self) -> object:
        """What must not depend on anything but the plan. Which of two equal slices stood first in a queue may."""
        ledger = self.record.ledger
        return (
            {intent: entry.outcome for (_, intent), entry in ledger.intents.items()},
            sorted(
                (fill.execution.instrument, fill.execution.price, fill.execution.quantity, fill.execution.fee)
                for fill in self.record.fills
            ),
            {key: book.matched for key, book in ledger.holdings.items()},
            [(alert.kind, alert.diagnosis, alert.state, alert.opened_at_ns // 10**9) for alert in self.record.alerts],
            self.record.orders,
        )


def lived(
    directory: Path, seed: int, *, with_faults: bool, disturb: Callable[[], Awaitable[None]] | None = None
) -> Lived:
    plan = plan_day(seed, PAIRS, seconds=SECONDS)
    run = run_day(
        plan, with_faults=with_faults, store=directory / "store", venue_log=directory / "venue.log", disturb=disturb
    )
    return Lived(plan, run, read_day(directory / "store"), with_faults)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return lived(tmp_path_factory.mktemp("clean"), 1, with_faults=False)


@pytest.fixture(scope="module")
def almost(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return lived(tmp_path_factory.mktemp("almost"), 2, with_faults=True)


def test_a_clean_day_is_as_planned_to_the_last_fill_and_alerts_nobody(clean: Lived) -> None:
    assert clean.differs() == ()
    assert clean.record.alerts == []
    assert clean.record.outcomes() == {PairOutcome.BOTH: 4, PairOutcome.ONE_SIDE: 1, PairOutcome.NEITHER: 1}
    assert (clean.record.orders, len(clean.record.fills)) == (clean.plan.orders, clean.plan.fills)


def test_book_venue_and_wallet_are_equal_to_the_last_unit_of_cash(clean: Lived, almost: Lived) -> None:
    for day in (clean, almost):
        ledger = day.record.ledger
        assert all(truth.exact for truth in ledger.truths.values())
        assert ledger.holdings.keys() <= ledger.truths.keys()


def test_a_day_is_over_on_time_and_its_audit_chain_verifies(clean: Lived) -> None:
    assert clean.run.settled
    assert clean.run.simulated_seconds == SECONDS
    assert clean.record.audit.intact
    assert clean.record.audit.verified == clean.record.audit.records > 1_000


def test_every_side_that_stands_alone_was_put_to_the_strategy(clean: Lived) -> None:
    entries = [entry for entry in clean.record.ledger.intents.values() if entry.outcome == PairOutcome.ONE_SIDE]
    assert [entry.disposition for entry in entries] == ["keep"]


def test_an_almost_working_day_ends_as_planned_with_exactly_its_three_alerts(almost: Lived) -> None:
    assert almost.differs() == ()
    assert sorted(alert.kind for alert in almost.record.alerts) == [
        AlertKind.DROPPED_FILL,
        AlertKind.DROPPED_FILL,
        AlertKind.SLICE_NEVER_SENT,
    ]
    assert almost.record.outcomes() == {PairOutcome.BOTH: 4, PairOutcome.ONE_SIDE: 1, PairOutcome.NEITHER: 1}
    assert almost.record.orders == almost.plan.orders - 1


def test_a_report_swallowed_by_a_silent_stream_is_found_within_a_cadence_and_booked_by_a_sweep(almost: Lived) -> None:
    opens_ns, at = almost.plan.opens_ns, almost.plan.marks.silenced_at_seconds
    # The stream never noticed: what found it was a comparison, or the sweep of the minute.
    (alert,) = [alert for alert in almost.record.alerts if at <= (alert.opened_at_ns - opens_ns) / 1e9 < at + 60]
    assert (alert.kind, alert.state) == (AlertKind.DROPPED_FILL, AlertState.EXPLAINED)
    assert dict(alert.evidence)["recovered by"] == "sweep"
    assert almost.record.ledger.accounts[almost.record.fills[0].execution.key.account].gaps == 2


def test_a_report_lost_with_its_connection_is_recovered_by_the_resync(almost: Lived) -> None:
    opens_ns, at = almost.plan.opens_ns, almost.plan.marks.cut_at_seconds
    (alert,) = [alert for alert in almost.record.alerts if at <= (alert.opened_at_ns - opens_ns) / 1e9 < at + 15]
    assert (alert.kind, alert.state) == (AlertKind.DROPPED_FILL, AlertState.EXPLAINED)
    trade = dict(alert.evidence)["trade"]
    (fill,) = [fill for fill in almost.record.fills if fill.execution.key.trade_id == trade]
    assert fill.source == "sweep"
    assert fill.execution.venue_time_ns // 10**9 == opens_ns // 10**9 + int(at)


def test_a_slice_that_was_never_sent_is_found_in_seconds_and_pauses_the_strategy(almost: Lived) -> None:
    (alert,) = [alert for alert in almost.record.alerts if alert.kind is AlertKind.SLICE_NEVER_SENT]
    last = almost.plan.pairs[-1]
    assert alert.state is AlertState.OPEN
    assert (alert.opened_at_ns - almost.plan.opens_ns) / 1e9 == pytest.approx(last.at_seconds + 5, abs=1)
    evidence = dict(alert.evidence)
    assert evidence["order"] == almost.plan.marks.lost_order
    assert evidence["leg intended"] != evidence["leg sent"]
    assert {"intended position", "actual position"} <= evidence.keys()
    assert almost.record.ledger.strategy(STRATEGY).paused


def test_the_outcome_follows_from_the_seed_however_slow_the_machine_is(almost: Lived, tmp_path: Path) -> None:
    random = Random(3)

    async def slow() -> None:
        if random.random() < 0.05:
            await real_sleep(random.random() * 0.01)

    again = lived(tmp_path, 2, with_faults=True, disturb=slow)
    assert again.differs() == ()
    assert again.plan == almost.plan
    assert again.essence() == almost.essence()


def test_what_differs_names_everything_that_is_not_as_planned(clean: Lived) -> None:
    other = plan_day(clean.plan.seed + 1, PAIRS, seconds=SECONDS)
    sentences = what_differs(other, clean.run, clean.record, with_faults=True)
    assert any("the alerts are none; expected are dropped_fill" in sentence for sentence in sentences)
    assert any("the strategy is not paused" in sentence for sentence in sentences)
    assert any("is held, the plan has" in sentence for sentence in sentences)


def test_a_venue_whose_books_differ_from_ours_is_named_trade_by_trade(clean: Lived) -> None:
    books = clean.run.venue
    fewer = msgspec.structs.replace(books, trades=books.trades[1:], orders=books.orders[1:], script_errors=("late",))
    run = msgspec.structs.replace(clean.run, venue=fewer, refused=("pair-001: no",), settled=False)
    sentences = "\n".join(what_differs(clean.plan, run, clean.record, with_faults=False))
    for part in (
        "the venue nothing",
        "the crowd could not do its part: late",
        "pair-001: no",
        "not everything settled",
    ):
        assert part in sentences


def test_money_is_conserved_over_the_day(clean: Lived) -> None:
    money = money_of(clean.plan, clean.record)
    assert money.paid > 0
    assert money.profit == money.worth - money.paid - money.fees
    assert clean.record.ledger.intents[STRATEGY, IntentId("pair-001")].ended_at_ns is not None
