from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.actors.kernel import KILLED, NORMAL, SHUTDOWN, Backoff, ChildSpec, ExitKind, ExitReason, SupervisorSpec
from tallystick.actors.kernel.messages import crashed
from tallystick.actors.kernel.spec import RestartType
from tallystick.actors.kernel.supervision_rules import (
    RestartWindow,
    backoff_seconds,
    ends_supervisor,
    restart_group,
    wants_restart,
)

from .world import Worker

CRASHED = crashed(ValueError("x"))
START_FAILED = ExitReason(ExitKind.START_FAILED, "x")


@pytest.mark.parametrize(
    ("restart", "restarts_on"),
    [
        ("permanent", {NORMAL, SHUTDOWN, KILLED, CRASHED, START_FAILED}),
        ("transient", {KILLED, CRASHED, START_FAILED}),
        ("temporary", set()),
    ],
)
def test_the_restart_table_is_otps(restart: RestartType, restarts_on: set[ExitReason]) -> None:
    for reason in (NORMAL, SHUTDOWN, KILLED, CRASHED, START_FAILED):
        assert wants_restart(restart, reason) is (reason in restarts_on), reason


def test_a_strategy_chooses_who_restarts_with_the_failed_child() -> None:
    children = ["a", "b", "c"]
    assert restart_group("one_for_one", children, "b") == ["b"]
    assert restart_group("simple_one_for_one", children, "b") == ["b"]
    assert restart_group("rest_for_one", children, "b") == ["b", "c"]
    assert restart_group("one_for_all", children, "b") == ["a", "b", "c"]


def test_automatic_shutdown_follows_the_significant_children() -> None:
    assert not ends_supervisor("never", significant_left=0)
    assert ends_supervisor("any_significant", significant_left=3)
    assert not ends_supervisor("all_significant", significant_left=1)
    assert ends_supervisor("all_significant", significant_left=0)


TIMES = st.lists(st.floats(min_value=0, max_value=100), min_size=1, max_size=60).map(sorted)


@given(times=TIMES, intensity=st.integers(0, 8), period=st.floats(min_value=0.1, max_value=50))
def test_the_window_admits_exactly_while_no_period_holds_more_than_the_intensity(
    times: list[float], intensity: int, period: float
) -> None:
    window = RestartWindow(intensity, period)
    for index, now in enumerate(times):
        recent = [time for time in times[: index + 1] if time >= now - period]
        assert window.admits(now) is (len(recent) <= intensity)


@given(intensity=st.integers(1, 5), period=st.floats(min_value=1, max_value=60), count=st.integers(1, 40))
def test_restarts_slower_than_the_budget_are_admitted_for_ever(intensity: int, period: float, count: int) -> None:
    window = RestartWindow(intensity, period)
    assert all(window.admits(number * period * 1.001) for number in range(count))


BACKOFFS = st.tuples(
    st.floats(min_value=0, max_value=10), st.floats(min_value=0, max_value=300), st.floats(min_value=0, max_value=1)
).map(lambda parts: Backoff(min_seconds=min(parts[:2]), max_seconds=max(parts[:2]), factor=parts[2]))


@given(backoff=BACKOFFS, failures=st.integers(0, 10_000), draw=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_backoff_stays_within_its_bounds(backoff: Backoff, failures: int, draw: float) -> None:
    seconds = backoff_seconds(backoff, failures, draw)
    assert math.isfinite(seconds)
    assert backoff.min_seconds <= seconds <= backoff.max_seconds * (1 + backoff.factor)


@given(backoff=BACKOFFS, draw=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_backoff_never_shrinks_while_failures_go_on(backoff: Backoff, draw: float) -> None:
    delays = [backoff_seconds(backoff, failures, draw) for failures in range(40)]
    assert all(earlier <= later for earlier, later in pairwise(delays))


def test_a_backoff_doubles_from_its_minimum_and_adds_its_jitter() -> None:
    backoff = Backoff(min_seconds=0.25, max_seconds=60, factor=0.2)
    assert [backoff_seconds(backoff, failures, 0.0) for failures in range(4)] == [0.25, 0.5, 1.0, 2.0]
    assert backoff_seconds(backoff, 30, 0.5) == pytest.approx(66.0)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ChildSpec(id="", factory=Worker), "non-empty path segment"),
        (lambda: ChildSpec(id="a/b", factory=Worker), "without '/'"),
        (lambda: ChildSpec(id="a", factory=Worker, significant=True), "cannot be significant"),
        (lambda: ChildSpec(id="a", factory=Worker, shutdown_timeout_seconds=-1), "shutdown_timeout_seconds"),
        (lambda: ChildSpec(id="a", factory=Worker, start_timeout_seconds=0), "start_timeout_seconds"),
        (lambda: SupervisorSpec(intensity=-1), "intensity"),
        (lambda: SupervisorSpec(period_seconds=0), "period_seconds"),
        (lambda: SupervisorSpec(children=(ChildSpec("a", Worker), ChildSpec("a", Worker))), "more than once"),
        (lambda: SupervisorSpec(strategy="simple_one_for_one"), "the template"),
        (
            lambda: SupervisorSpec(children=(ChildSpec("a", Worker, restart="temporary", significant=True),)),
            "auto_shutdown",
        ),
        (lambda: Backoff(min_seconds=2, max_seconds=1), "min_seconds <= max_seconds"),
    ],
)
def test_a_wrong_specification_is_refused_when_it_is_made(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_specification_shows_the_types_of_its_arguments_and_never_their_values() -> None:
    spec = ChildSpec("a", Worker, args=("secret-key",), kwargs={"token": b"secret"})
    assert spec.describe_arguments() == "(str, token=bytes)"
    assert "secret" not in repr(spec)
