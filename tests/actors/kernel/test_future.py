"""Futures: settled once, waited for in threads, awaited in trio, combined as in pykka."""

from __future__ import annotations

import asyncio
import queue
import threading
import traceback
from typing import Any

import pykka
import pytest
import trio
from pykka import Timeout, get_all
from tallystick.actors.kernel import Future, WouldBlock

WAIT_SECONDS = 5.0


def settled(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set(value)
    return future


def failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception((type(error), error, None))
    return future


def test_a_value_is_got_as_often_as_wanted() -> None:
    future = settled(1)
    assert [future.get(), future.get(timeout=0)] == [1, 1]


def test_a_future_may_be_set_to_nothing() -> None:
    assert settled(None).get() is None


def test_a_wait_times_out_and_the_future_may_still_be_settled() -> None:
    future: Future[int] = Future()
    with pytest.raises(Timeout, match=r"0\.01 seconds"):
        future.get(timeout=0.01)
    with pytest.raises(Timeout):
        future.get(timeout=0)
    future.set(1)
    assert future.get() == 1


def test_a_future_is_settled_once() -> None:
    for future in (settled(1), failed(KeyError("x"))):
        with pytest.raises(queue.Full):
            future.set(2)
        with pytest.raises(queue.Full):
            future.set_exception((ValueError, ValueError(), None))


def test_an_exception_is_raised_by_get_with_its_traceback() -> None:
    def raiser() -> None:
        raise NameError("inner")

    future: Future[None] = Future()
    try:
        raiser()
    except NameError:
        future.set_exception()
    with pytest.raises(NameError, match="inner") as caught:
        future.get()
    assert "raiser" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_an_exception_may_be_given_as_exc_info() -> None:
    future: Future[None] = Future()
    future.set_exception((NameError, None, None))
    with pytest.raises(NameError):
        future.get()


def test_setting_an_exception_needs_one() -> None:
    with pytest.raises(ValueError, match="needs an exception"):
        Future[None]().set_exception()


def test_a_thread_waits_until_another_sets() -> None:
    future: Future[str] = Future()
    got: list[str] = []
    waiters = [threading.Thread(target=lambda: got.append(future.get(timeout=WAIT_SECONDS))) for _ in range(5)]
    for waiter in waiters:
        waiter.start()
    future.set("done")
    for waiter in waiters:
        waiter.join(WAIT_SECONDS)
    assert got == ["done"] * 5


def race(count: int) -> list[bool]:
    """Lets several threads settle one future at once; returns who succeeded."""
    future: Future[int] = Future()
    wins: list[bool] = []
    start = threading.Barrier(count)

    def settle(number: int) -> None:
        start.wait(WAIT_SECONDS)
        wins.append(future.settle(number))

    threads = [threading.Thread(target=settle, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    return sorted(wins)


def test_racing_setters_settle_once() -> None:
    for _ in range(50):
        assert race(4) == [False, False, False, True]


# --- combinators -------------------------------------------------------------------------------------------------


def test_get_all_keeps_the_order() -> None:
    assert get_all([settled(1), settled(2), settled(3)]) == [1, 2, 3]


def test_map_applies_a_function_to_the_whole_value_once() -> None:
    calls: list[Any] = []

    def double(value: list[int]) -> list[int]:
        calls.append(value)
        return value * 2

    mapped = settled([1, 2]).map(double)
    assert [mapped.get(), mapped.get()] == [[1, 2, 1, 2]] * 2
    assert calls == [[1, 2]]


def test_filter_keeps_the_items_that_pass() -> None:
    assert settled([1, 15, 3, 20]).filter(lambda item: item > 10).get() == [15, 20]
    with pytest.raises(TypeError):
        settled(1).filter(bool).get()


def test_join_lists_the_results_of_several_futures() -> None:
    assert settled(1).join(settled(2), settled(3)).get() == [1, 2, 3]


def test_reduce_folds_with_and_without_a_first_value() -> None:
    assert settled(["a", "b", "c"]).reduce(lambda left, right: left + right).get() == "abc"
    assert settled([1, 2, 3]).reduce(lambda left, right: left + right, 5).get() == 11
    assert settled([]).reduce(lambda left, right: left + right, 5).get() == 5
    with pytest.raises(TypeError):
        settled([]).reduce(lambda left, right: left + right).get()
    with pytest.raises(TypeError):
        settled(1).reduce(lambda left, right: left + right).get()


def test_combinators_chain_and_pass_errors_on() -> None:
    chain = settled([1, 2, 3]).map(lambda items: [item * 10 for item in items]).filter(lambda item: item > 10)
    assert chain.reduce(lambda left, right: left + right).get() == 50
    with pytest.raises(KeyError):
        failed(KeyError("x")).map(str).get()
    with pytest.raises(ZeroDivisionError):
        settled(0).map(lambda value: 1 // value).get()


def test_a_combinator_passes_its_timeout_to_its_source() -> None:
    mapped = Future[int]().map(str)
    with pytest.raises(Timeout):
        mapped.get(timeout=0.01)


def test_a_hook_makes_the_value_when_it_is_wanted_and_excludes_setting() -> None:
    asked: list[float | None] = []
    future: Future[int] = Future()

    def hook(timeout: float | None) -> int:
        asked.append(timeout)
        return 7

    future.set_get_hook(hook)
    assert [future.get(timeout=3), future.get()] == [7, 7]
    assert asked == [3]
    with pytest.raises(queue.Full):
        future.set(1)
    with pytest.raises(queue.Full):
        settled(1).set_get_hook(hook)


# --- trio, asyncio, concurrent.futures ---------------------------------------------------------------------------


async def test_a_future_is_awaited_by_several_tasks() -> None:
    future: Future[int] = Future()
    got: list[int] = []

    async def wait() -> None:
        got.append(await future)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        future.set(5)
    assert got == [5, 5, 5]
    assert await future == 5


async def test_an_error_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(KeyError):
        await failed(KeyError("x"))


async def test_a_cancelled_wait_leaves_the_future_alone(autojump_clock: trio.testing.MockClock) -> None:
    future: Future[int] = Future()
    with trio.move_on_after(1) as scope:
        await future
    assert scope.cancelled_caught
    future.set(1)
    assert await future == 1


async def test_a_blocking_get_in_trio_raises_instead_of_hanging() -> None:
    with pytest.raises(WouldBlock, match="await"):
        Future[int]().get()
    assert settled(1).get() == 1


async def test_another_thread_wakes_the_awaiting_task() -> None:
    future: Future[str] = Future()
    thread = threading.Timer(0.01, future.set, ["from a thread"])
    thread.start()
    assert await future == "from a thread"
    thread.join(WAIT_SECONDS)


async def test_combinators_are_awaited_without_blocking_the_loop(autojump_clock: trio.testing.MockClock) -> None:
    first: Future[int] = Future()
    second: Future[int] = Future()
    joined = first.join(second).map(sum)

    async def set_later() -> None:
        await trio.sleep(1)
        first.set(1)
        await trio.sleep(1)
        second.set(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(set_later)
        assert await joined == 3


async def test_a_combination_with_a_plain_pykka_future_is_awaited_through_a_thread() -> None:
    theirs: pykka.ThreadingFuture[int] = pykka.ThreadingFuture()
    theirs.set(2)
    assert await settled(1).join(theirs) == [1, 2]
    hooked: Future[int] = Future()
    hooked.set_get_hook(lambda _: theirs.get())
    assert await hooked == 2


def test_a_future_is_handed_to_concurrent_futures() -> None:
    future: Future[int] = Future()
    outer = future.as_concurrent()
    assert not outer.done()
    future.set(3)
    assert outer.result(timeout=WAIT_SECONDS) == 3
    assert isinstance(failed(KeyError("x")).as_concurrent().exception(timeout=WAIT_SECONDS), KeyError)
    assert settled(1).join(settled(2)).as_concurrent().result(timeout=WAIT_SECONDS) == [1, 2]


def test_a_future_is_awaited_in_asyncio() -> None:
    async def main() -> int:
        future: Future[int] = Future()
        wrapped = future.as_asyncio()
        threading.Timer(0.01, future.set, [4]).start()
        return await wrapped

    assert asyncio.run(main()) == 4


def test_a_future_of_a_foreign_hook_has_no_moment_of_completion() -> None:
    future: Future[int] = Future()
    future.set_get_hook(lambda _: 1)
    assert not future.done()
    with pytest.raises(TypeError, match="no moment of completion"):
        future.add_done_callback(lambda: None)


def test_a_future_shows_its_state() -> None:
    assert [repr(future) for future in (Future(), settled(1), failed(KeyError()))] == [
        "<Future pending>",
        "<Future done>",
        "<Future failed>",
    ]
