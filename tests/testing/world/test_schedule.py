"""trio's order of tasks follows from a seed, by two names that are trio's own: here they are held."""

import sys

import trio
import trio._core._run as scheduler
from hypothesis import given
from hypothesis import strategies as st
from tallystick.testing.world.schedule import drawn_tasks, ordered_tasks
from trio.testing import MockClock


async def _departures(log: list[int]) -> None:
    async def depart(number: int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            log.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(depart, number)


def _run() -> list[int]:
    log: list[int] = []
    trio.run(_departures, log, clock=MockClock())
    return log


def test_trio_still_has_the_two_names() -> None:
    assert {"_ALLOW_DETERMINISTIC_SCHEDULING", "_r"} <= set(vars(scheduler)), f"trio {trio.__version__} has changed"


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    orders = []
    for seed in (1, 1, 2):
        with ordered_tasks(seed):
            orders.append(_run())
    assert orders[0] == orders[1] != orders[2]


def test_what_was_there_before_comes_back() -> None:
    before = vars(scheduler)["_ALLOW_DETERMINISTIC_SCHEDULING"], vars(scheduler)["_r"]
    with ordered_tasks(1):
        pass
    assert (vars(scheduler)["_ALLOW_DETERMINISTIC_SCHEDULING"], vars(scheduler)["_r"]) == before


def test_drawing_nothing_means_in_order() -> None:
    with drawn_tasks(lambda count: 0):
        assert _run() == [0, 1, 2, 3, 4] * 3


@given(st.data())
def test_whatever_is_drawn_every_task_runs_once_a_pass(data: st.DataObject) -> None:
    with drawn_tasks(lambda count: data.draw(st.integers(0, count - 1))):
        log = _run()
    assert [sorted(log[place : place + 5]) for place in range(0, 15, 5)] == [[0, 1, 2, 3, 4]] * 3, sys.version
