"""The machine's wall clock follows the world's time, and steps and drifts when told to; its durations never do."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from tallystick.testing.world.clock import EPOCH_MS, MachineClock, true_ns
from tallystick.testing.world.world import simulate


def on_a_machine(story: Callable[[MachineClock], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        await story(MachineClock())

    def test() -> None:
        simulate(main)

    return test


@on_a_machine
async def test_it_shows_the_true_time_until_it_is_told_otherwise(clock: MachineClock) -> None:
    assert clock.wall_ns() == EPOCH_MS * 1_000_000
    await trio.sleep(12.5)
    assert clock.wall_ns() == true_ns() == EPOCH_MS * 1_000_000 + 12_500_000_000


@on_a_machine
async def test_a_step_moves_the_wall_and_no_duration(clock: MachineClock) -> None:
    before = clock.monotonic()
    clock.step(-5)
    assert clock.wall_ns() == true_ns() - 5_000_000_000
    assert clock.monotonic() == before


@on_a_machine
async def test_a_drift_grows_from_when_it_began(clock: MachineClock) -> None:
    await trio.sleep(1_000)
    clock.drift(200)
    await trio.sleep(1_000)
    assert clock.ahead_seconds == pytest.approx(0.2)
    clock.drift(-200)
    await trio.sleep(500)
    assert clock.ahead_seconds == pytest.approx(0.1)


@on_a_machine
async def test_a_corrected_clock_is_right_and_keeps_right(clock: MachineClock) -> None:
    clock.step(3)
    clock.drift(500)
    await trio.sleep(100)
    clock.correct()
    await trio.sleep(100)
    assert clock.wall_ns() == true_ns()
