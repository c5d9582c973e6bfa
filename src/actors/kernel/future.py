"""A future that is awaited in trio, waited for in threads, and handed to other event loops.

It keeps pykka's interface and its rules for ``get``, ``set``, hooks and combinators. Two things differ. It can be
awaited under trio. And a wait that could never end, because the waiting thread is the one that runs the actors,
raises WouldBlock at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeAlias, TypeVar, cast

import pykka
import trio
from pykka import Timeout

from .errors import WouldBlock

logger = logging.getLogger("tallystick.actors")

T = TypeVar("T")
M = TypeVar("M")
R = TypeVar("R")

ExceptionInfo: TypeAlias = tuple[type[BaseException] | None, BaseException | None, Any]

# One lock for all futures: it is held for a few instructions, and a lock per future would cost more to make
# than contention ever does.
_LOCK = threading.Lock()


class Future(pykka.Future[T]):
    """A value or an error that is here now or later; settled exactly once."""

    # Defaults live on the class, so that making a future (once per ask) runs no code at all.
    _get_hook: Callable[[float | None], T] | None = None
    _settled = False
    _value: T | None = None
    _error: BaseException | None = None
    _callbacks: list[Callable[[], None]] | None = None
    _sources: tuple[pykka.Future[Any], ...] | None = None
    _hook_done = False

    def __init__(self) -> None:  # pykka's initialiser only sets what the class above declares
        pass

    def __repr__(self) -> str:
        if not self._settled:
            return "<Future pending>"
        return "<Future failed>" if self._error is not None else "<Future done>"

    # --- settling -------------------------------------------------------------------------------------------

    def settle(self, value: T | None, error: BaseException | None = None) -> bool:
        """Sets the outcome; returns False, changing nothing, where there is one already."""
        with _LOCK:
            if self._settled:
                return False
            self._value = value
            self._error = error
            self._settled = True
            callbacks = self._callbacks
            self._callbacks = None
        if callbacks is not None:
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    logger.exception("a callback of a future failed")
        return True

    def set(self, value: T | None = None) -> None:
        """Sets the value; raises queue.Full, as pykka does, where the future is settled or hooked."""
        if self._get_hook is not None or not self.settle(value):
            raise queue.Full

    def set_exception(self, exc_info: ExceptionInfo | None = None) -> None:
        """Sets an exception, by default the one being handled; raises queue.Full as ``set`` does."""
        error_type, error, traceback = exc_info if exc_info is not None else sys.exc_info()
        if error is None:
            if error_type is None:
                raise ValueError("set_exception() needs an exception, or to be called while one is handled")
            error = error_type()
        if error.__traceback__ is not traceback:
            error = error.with_traceback(traceback)
        if self._get_hook is not None or not self.settle(None, error):
            raise queue.Full

    def made_of(self, sources: tuple[pykka.Future[Any], ...]) -> None:
        """Remembers the futures a hook reads, so that waiting for them is waiting for this one."""
        self._sources = sources

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Sets a function that makes the value when it is wanted; raises queue.Full on a settled future."""
        if self._settled:
            raise queue.Full
        super().set_get_hook(func)

    # --- waiting --------------------------------------------------------------------------------------------

    def done(self) -> bool:
        """Tells whether a wait would return at once."""
        if self._get_hook is not None:
            return self._sources is not None and all(
                isinstance(source, Future) and source.done() for source in self._sources
            )
        return self._settled

    def result(self) -> T:
        """Returns the value or raises the error of a settled future."""
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def outcome(self) -> tuple[T | None, BaseException | None]:
        """Returns the value and the error of a settled future; one of them is None."""
        return self._value, self._error

    def get(self, *, timeout: float | None = None) -> T:
        """Waits, in a thread that is not the actors' own, for the value; raises pykka.Timeout or the error.

        On the thread of a trio loop it returns a value that is there and raises WouldBlock otherwise.
        """
        if self._get_hook is not None:
            if not self._hook_done:
                self._value = self._get_hook(timeout)
                self._hook_done = True
            return cast("T", self._value)
        if not self._settled:
            self._block(timeout)
        return self.result()

    def _block(self, timeout: float | None) -> None:
        if trio.lowlevel.in_trio_run():
            raise WouldBlock(
                "a blocking wait on the thread that runs the actors would never end: "
                "use `await future` or `await ref.ask_async(...)`, and `self.ask_for_reply(...)` inside a handler"
            )
        gate = threading.Lock()
        gate.acquire()
        self.add_done_callback(gate.release)
        if not gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            with _LOCK:
                if self._callbacks is not None and gate.release in self._callbacks:
                    self._callbacks.remove(gate.release)
            if not self._settled:
                raise Timeout(f"{timeout} seconds")

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Calls ``callback`` once when settled: now, or later on the thread that settles it.

        Raises TypeError for a future whose value a foreign hook makes: nobody can know when that is ready.
        """
        if self._get_hook is not None:
            self._call_when_sources_done(callback)
            return
        with _LOCK:
            if not self._settled:
                if self._callbacks is None:
                    self._callbacks = [callback]
                else:
                    self._callbacks.append(callback)
                return
        callback()

    def _call_when_sources_done(self, callback: Callable[[], None]) -> None:
        sources = self._sources
        if sources is None or not all(isinstance(source, Future) for source in sources):
            raise TypeError("a future made by a foreign hook has no moment of completion; get() or await it")
        left = len(sources)

        def one_done() -> None:
            nonlocal left
            with _LOCK:
                left -= 1
                last = left == 0
            if last:
                callback()

        for source in sources:
            cast("Future[Any]", source).add_done_callback(one_done)

    def __await__(self) -> Generator[Any, None, T]:
        """Waits in a trio task."""
        return self.wait().__await__()

    __iter__ = __await__

    async def wait(self) -> T:
        """Waits in a trio task for the value; raises the error it was settled with."""
        if self._get_hook is not None:
            return await self._wait_for_hook()
        if self._settled:
            await trio.lowlevel.checkpoint()
            return self.result()
        waiter = _TrioWaiter()
        self.add_done_callback(waiter.wake)
        if waiter.active:
            await trio.lowlevel.wait_task_rescheduled(waiter.abort)
        return self.result()

    async def _wait_for_hook(self) -> T:
        if self._sources is None:
            return await trio.to_thread.run_sync(self.get, abandon_on_cancel=True)
        for source in self._sources:
            if isinstance(source, Future):
                await _swallow(source)
            else:
                await trio.to_thread.run_sync(_wait_quietly, source, abandon_on_cancel=True)
        return self.get(timeout=0)

    def as_concurrent(self) -> concurrent.futures.Future[T]:
        """Wraps the future for hosts that use concurrent.futures."""
        outer: concurrent.futures.Future[T] = concurrent.futures.Future()

        def transfer() -> None:
            if not outer.set_running_or_notify_cancel():
                return
            try:
                outer.set_result(self.get(timeout=0))
            except BaseException as error:  # noqa: BLE001 - whatever the outcome is, it belongs to the waiter
                outer.set_exception(error)

        self.add_done_callback(transfer)
        return outer

    def as_asyncio(self, loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Future[T]:
        """Wraps the future for an asyncio loop, by default the running one."""
        return asyncio.wrap_future(self.as_concurrent(), loop=loop or asyncio.get_running_loop())

    # --- pykka's combinators, which remember what they are made of so that they can be awaited ---------------

    def filter(self: pykka.Future[Any], func: Callable[[Any], bool]) -> Future[Iterable[Any]]:
        return _derived(lambda timeout: list(filter(func, self.get(timeout=timeout))), self)

    def join(self: pykka.Future[Any], *futures: pykka.Future[Any]) -> Future[Iterable[Any]]:
        sources = (self, *futures)
        return _derived(lambda timeout: [source.get(timeout=timeout) for source in sources], *sources)

    def map(self, func: Callable[[T], M]) -> Future[M]:
        return _derived(lambda timeout: func(self.get(timeout=timeout)), self)

    def reduce(self: pykka.Future[Any], func: Callable[[R, Any], R], *args: R) -> Future[R]:
        return _derived(lambda timeout: functools.reduce(func, self.get(timeout=timeout), *args), self)


class _TrioWaiter:
    """Wakes one trio task, from its own thread or through the loop's token from another."""

    __slots__ = ("_task", "_thread", "_token", "active")

    def __init__(self) -> None:
        self._task = trio.lowlevel.current_task()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self.active = True

    def wake(self) -> None:
        if threading.get_ident() == self._thread:
            self._reschedule()
            return
        try:
            self._token.run_sync_soon(self._reschedule)
        except trio.RunFinishedError:
            self.active = False  # the loop is gone, and the waiting task with it

    def _reschedule(self) -> None:
        if self.active:
            self.active = False
            trio.lowlevel.reschedule(self._task)

    def abort(self, _raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        self.active = False
        return trio.lowlevel.Abort.SUCCEEDED


def _derived(hook: Callable[[float | None], Any], *sources: pykka.Future[Any]) -> Future[Any]:
    future: Future[Any] = Future()
    future.made_of(sources)
    future.set_get_hook(hook)
    return future


def converted(source: Future[Any], convert: Callable[[Callable[[], Any]], M]) -> Future[M]:
    """Makes a future whose value ``convert`` computes from a function that gives the source's outcome."""
    return _derived(lambda timeout: convert(lambda: source.get(timeout=timeout)), source)


async def _swallow(source: Future[Any]) -> None:
    try:
        await source.wait()
    except Exception:  # noqa: BLE001 - the hook that reads the source next raises it in its own order
        return


def _wait_quietly(source: pykka.Future[Any]) -> None:
    try:
        source.get()
    except Exception:  # noqa: BLE001 - as above
        return
