"""Schedules and faults that are drawn shrink: what is left of a failing world is what it needs to fail."""

import functools
import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from tallystick.actors.context import Recorder
from tallystick.store.port import Lsn
from tallystick.testing.world import faults as fault
from tallystick.testing.world import venue_faults as at_venue
from tallystick.testing.world.drawing import draw_plan
from tallystick.testing.world.faults import AnyFault, Role
from tallystick.testing.world.life import live
from tallystick.testing.world.plan import Plan, Strike
from tallystick.testing.world.venue_faults import Asked, Told

PICKS = 300
"""So many decisions of the scheduler are drawn; from then on the oldest task goes first."""
SHORT_SECONDS = 60.0

FAULTS: tuple[AnyFault, ...] = (
    at_venue.DropReport(told=Told.FILL, count=1),
    at_venue.LoseAnswer(asked=Asked.PLACE, count=1),
    at_venue.DelayAnswer(asked=Asked.CANCEL, by_seconds=4.0, count=1),
    fault.LoseConnections(),
    fault.KillAtCommit(commits=4),
    fault.KillAtRequest(orders=1),
    fault.CrashActor(who=Role.ORDER),
    fault.StopInOrder(),
)


class Picks:
    """Draws for trio's scheduler, which must not be raised in: what drawing raises is raised after the run."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._left = PICKS
        self.raised: BaseException | None = None

    def __call__(self, count: int) -> int:
        if self._left <= 0 or self.raised is not None:
            return 0
        self._left -= 1
        try:
            return self._draw(count)
        except BaseException as error:  # noqa: BLE001 - the test engine's own signals have no common base
            self.raised = error
            return 0


def short_plan() -> Plan:
    """The first minute of a drawn day, without its faults."""
    plan = draw_plan(10)
    return msgspec.structs.replace(
        plan,
        seconds=SHORT_SECONDS,
        hand_ins=tuple(found for found in plan.hand_ins if found.at_seconds < SHORT_SECONDS - 5),
        crowd=tuple(found for found in plan.crowd if found.at_seconds < SHORT_SECONDS),
        strikes=(),
    )


@given(
    data=st.data(),
    strikes=st.lists(st.tuples(st.integers(5, 50), st.sampled_from(FAULTS)), max_size=4),
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_the_laws_hold_whatever_order_the_tasks_run_in(
    data: st.DataObject, strikes: list[tuple[int, AnyFault]]
) -> None:
    picks = Picks(lambda count: data.draw(st.integers(0, count - 1)))
    found = tuple(Strike(at_seconds=float(at), fault=what) for at, what in sorted(strikes, key=lambda each: each[0]))
    outcome = live(msgspec.structs.replace(short_plan(), strikes=found), draw=picks)
    if picks.raised is not None:
        raise picks.raised
    assert not outcome.breaches, outcome.story


def test_a_planted_bug_shrinks_to_a_small_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: Recorder, lsn: Lsn, action: Callable[[], None]) -> None:
        action()

    # Nothing waits for the disk any more: what is sent and told is ahead of what is durable.
    monkeypatch.setattr(Recorder, "when_durable", at_once)
    whole = msgspec.structs.replace(
        short_plan(),
        strikes=tuple(Strike(at_seconds=5.0 + 5 * place, fault=what) for place, what in enumerate(FAULTS[::4])),
    )

    parts: tuple[tuple[object, ...], ...] = (whole.hand_ins, whole.crowd, whole.strikes)

    def part(kept: tuple[tuple[bool, ...], ...]) -> Plan:
        hand_ins, crowd, strikes = (
            tuple(itertools.compress(found, chosen)) for found, chosen in zip(parts, kept, strict=True)
        )
        return msgspec.structs.replace(whole, hand_ins=hand_ins, crowd=crowd, strikes=strikes)

    breaks = functools.cache(lambda kept: bool(live(part(kept)).breaches))
    kept = find(
        st.tuples(*(st.tuples(*(st.booleans() for _ in found)) for found in parts)),
        breaks,
        settings=settings(max_examples=20, deadline=None, database=None),
    )
    smallest = part(kept)
    assert len(smallest.hand_ins) <= 1
    assert len(smallest.strikes) <= 1
    assert smallest.crowd == ()
