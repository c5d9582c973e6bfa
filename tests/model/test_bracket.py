from itertools import permutations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tallystick.model.bracket import (
    LONG,
    SHORT,
    CancelLegs,
    CloseReason,
    Closing,
    Decided,
    Decision,
    LegProgress,
    PairEffect,
    PairOutcome,
    PairState,
    ReportDecision,
    Working,
    deadline_reached,
    decide,
    leg_changed,
)
from tallystick.model.money import Quantity

from .examples import quantity

START = Working(long=LegProgress(target=quantity("10")), short=LegProgress(target=quantity("8")))


def leg(target: str, filled: str, *, ended: bool = False) -> LegProgress:
    return LegProgress(target=quantity(target), filled=quantity(filled), ended=ended)


def after(*steps: tuple[int, LegProgress] | CloseReason) -> tuple[PairState, list[PairEffect]]:
    state: PairState = START
    effects: list[PairEffect] = []
    for step in steps:
        if isinstance(step, CloseReason):
            state, new = deadline_reached(state, step)
        else:
            state, new = leg_changed(state, *step)
        effects += new
    return state, effects


# ---- lives ------------------------------------------------------------------------------------------------


def test_two_complete_legs_are_both_and_nothing_is_cancelled() -> None:
    state, effects = after((LONG, leg("10", "10", ended=True)), (SHORT, leg("8", "8", ended=True)))
    decision = Decision(
        outcome=PairOutcome.BOTH,
        reason=CloseReason.COMPLETE,
        long_filled=quantity("10"),
        short_filled=quantity("8"),
    )
    assert state == Decided(decision=decision)
    assert effects == [ReportDecision(decision=decision)]
    assert not decision.needs_disposition


def test_at_the_deadline_the_unmatched_leg_is_cancelled_and_its_true_outcome_awaited() -> None:
    state, effects = after((LONG, leg("10", "10", ended=True)), CloseReason.DEADLINE)
    assert isinstance(state, Closing)
    assert effects == [CancelLegs(legs=(SHORT,), reason=CloseReason.DEADLINE)]
    state, effects = after(
        (LONG, leg("10", "10", ended=True)), CloseReason.DEADLINE, (SHORT, leg("8", "0", ended=True))
    )
    assert isinstance(state, Decided)
    assert state.decision.outcome is PairOutcome.ONE_SIDE
    assert state.decision.needs_disposition
    assert state.decision.long_filled == 10


def test_a_cancel_that_lost_to_a_fill_makes_the_pair_complete_after_all() -> None:
    state, _effects = after(
        (LONG, leg("10", "10", ended=True)),
        CloseReason.DEADLINE,
        (SHORT, leg("8", "8")),
        (SHORT, leg("8", "8", ended=True)),
    )
    assert isinstance(state, Decided)
    assert state.decision.outcome is PairOutcome.BOTH
    assert state.decision.reason is CloseReason.DEADLINE


def test_a_leg_that_ends_short_closes_the_other_before_the_deadline() -> None:
    state, effects = after((SHORT, leg("8", "0", ended=True)))
    assert isinstance(state, Closing)
    assert effects == [CancelLegs(legs=(LONG,), reason=CloseReason.LEG_ENDED)]
    state, effects = after((SHORT, leg("8", "0", ended=True)), (LONG, leg("10", "0", ended=True)))
    assert isinstance(state, Decided)
    assert state.decision.outcome is PairOutcome.NEITHER


def test_a_decision_is_final_whatever_is_reported_later() -> None:
    state, effects = after(
        CloseReason.OPERATOR,
        (LONG, leg("10", "0", ended=True)),
        (SHORT, leg("8", "0", ended=True)),
        (SHORT, leg("8", "3", ended=True)),
        CloseReason.DEADLINE,
    )
    assert isinstance(state, Decided)
    assert state.decision.reason is CloseReason.OPERATOR
    assert state.decision.short_filled == 0
    assert sum(isinstance(effect, ReportDecision) for effect in effects) == 1


def test_a_fill_that_is_reversed_before_the_decision_counts_as_not_filled() -> None:
    state, _effects = after(
        (LONG, leg("10", "10", ended=True)),
        (SHORT, leg("8", "8")),
        (LONG, leg("10", "0", ended=True)),
        (SHORT, leg("8", "8", ended=True)),
    )
    assert isinstance(state, Decided)
    assert state.decision.outcome is PairOutcome.ONE_SIDE


@pytest.mark.parametrize("long_filled", ["0", "4", "10"])
@pytest.mark.parametrize("short_filled", ["0", "3", "8"])
def test_the_outcome_is_a_function_of_the_final_quantities_in_any_order_of_arrival(
    long_filled: str, short_filled: str
) -> None:
    steps: list[tuple[int, LegProgress] | CloseReason] = [
        (LONG, leg("10", long_filled, ended=True)),
        (SHORT, leg("8", short_filled, ended=True)),
        CloseReason.DEADLINE,
    ]
    outcomes = set()
    for order in permutations(steps):
        state, effects = after(*order)
        assert isinstance(state, Decided)
        assert sum(isinstance(effect, ReportDecision) for effect in effects) == 1
        outcomes.add((state.decision.outcome, state.decision.long_filled, state.decision.short_filled))
    expected = decide(leg("10", long_filled), leg("8", short_filled), CloseReason.DEADLINE)
    assert outcomes == {(expected.outcome, expected.long_filled, expected.short_filled)}


# ---- every interleaving -----------------------------------------------------------------------------------


class PairLife(RuleBasedStateMachine):
    """Two legs fill, fail and end in any interleaving, the process crashes anywhere; the bracket watches."""

    @initialize(long=st.integers(min_value=1, max_value=4), short=st.integers(min_value=1, max_value=4))
    def starts(self, long: int, short: int) -> None:
        self.legs = [LegProgress(target=quantity(str(long))), LegProgress(target=quantity(str(short)))]
        self.state: PairState = Working(long=self.legs[LONG], short=self.legs[SHORT])
        self.told: list[tuple[int, LegProgress] | CloseReason] = []
        self.first = self.state
        self.decisions: list[Decision] = []
        self.cancels: list[CancelLegs] = []
        self.final: tuple[Quantity, Quantity] | None = None

    def _take(self, effects: tuple[PairEffect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, ReportDecision):
                self.decisions.append(effect.decision)
                assert all(part.ended for part in self.legs), "decided while a leg was open"
                self.final = (self.legs[LONG].filled, self.legs[SHORT].filled)
            else:
                self.cancels.append(effect)

    def _tell(self, which: int) -> None:
        self.told.append((which, self.legs[which]))
        self.state, effects = leg_changed(self.state, which, self.legs[which])
        self._take(effects)

    def _may_fill(self) -> bool:
        return any(not part.ended and not part.is_complete for part in self.legs)

    @precondition(_may_fill)
    @rule(which=st.sampled_from([LONG, SHORT]))
    def fills(self, which: int) -> None:
        part = self.legs[which]
        if part.ended or part.is_complete:
            which, part = 1 - which, self.legs[1 - which]
        self.legs[which] = msgspec.structs.replace(part, filled=Quantity(part.filled + 1))
        self._tell(which)

    @precondition(lambda self: any(not part.ended for part in self.legs))
    @rule(which=st.sampled_from([LONG, SHORT]))
    def ends(self, which: int) -> None:
        if self.legs[which].ended:
            which = 1 - which
        self.legs[which] = msgspec.structs.replace(self.legs[which], ended=True)
        self._tell(which)

    @rule(which=st.sampled_from([LONG, SHORT]))
    def repeats_its_progress(self, which: int) -> None:
        self._tell(which)

    @precondition(lambda self: any(part.ended and part.filled for part in self.legs) and not self.decisions)
    @rule(which=st.sampled_from([LONG, SHORT]))
    def has_a_fill_reversed(self, which: int) -> None:
        part = self.legs[which]
        if part.ended and part.filled:
            self.legs[which] = msgspec.structs.replace(part, filled=Quantity(part.filled - 1))
            self._tell(which)

    @precondition(lambda self: bool(self.decisions))
    @rule(which=st.sampled_from([LONG, SHORT]))
    def reports_a_fill_too_late(self, which: int) -> None:
        late = msgspec.structs.replace(self.legs[which], filled=Quantity(self.legs[which].filled + 1))
        self.told.append((which, late))
        self.state, effects = leg_changed(self.state, which, late)
        assert effects == ()

    @rule(reason=st.sampled_from([CloseReason.DEADLINE, CloseReason.OPERATOR]))
    def is_closed(self, reason: CloseReason) -> None:
        self.told.append(reason)
        self.state, effects = deadline_reached(self.state, reason)
        self._take(effects)

    @rule()
    def crashes_and_is_read_back(self) -> None:
        written = msgspec.msgpack.encode(self.state)
        self.state = msgspec.msgpack.decode(written, type=PairState)

    @rule()
    def crashes_and_is_replayed_from_its_first_event(self) -> None:
        state: PairState = self.first
        for told in self.told:
            state, _effects = (
                deadline_reached(state, told) if isinstance(told, CloseReason) else leg_changed(state, *told)
            )
        assert state == self.state

    @invariant()
    def decides_at_most_once(self) -> None:
        assert len(self.decisions) <= 1
        assert isinstance(self.state, Decided) is bool(self.decisions)

    @invariant()
    def cancels_at_most_once_and_only_what_works(self) -> None:
        assert len(self.cancels) <= 1
        assert all(cancel.legs for cancel in self.cancels)

    @invariant()
    def decides_by_the_final_quantities(self) -> None:
        if isinstance(self.state, Decided) and self.final is not None:
            decision = self.state.decision
            assert (decision.long_filled, decision.short_filled) == self.final
            complete = [filled >= part.target for filled, part in zip(self.final, self.legs, strict=True)]
            if all(complete):
                assert decision.outcome is PairOutcome.BOTH
            elif not any(self.final):
                assert decision.outcome is PairOutcome.NEITHER
            else:
                assert decision.outcome is PairOutcome.ONE_SIDE

    @invariant()
    def does_not_wait_for_nothing(self) -> None:
        if all(part.ended for part in self.legs):
            assert isinstance(self.state, Decided)


PairLife.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestPairLife = PairLife.TestCase
