"""The runtime for threaded hosts: it lives on a thread of its own, and everything here may be called from any other."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import trio

from .actors.messages import Carried
from .actors.ticket import Ticket
from .configuration import Configuration, load_configuration
from .control.protocol import Tree
from .model.identifiers import CommandId, IntentId, StrategyName
from .model.intake import BadIntent
from .model.intent import AnyIntent
from .model.ledger import Ledger
from .model.operator import Command, Operator
from .runtime import LIVE_CHECK_SECONDS, Runtime, RuntimeEnded, open_runtime

T = TypeVar("T")


class Host:
    """A runtime on its own thread. Made by `tallystick.open`."""

    def __init__(self, runtime: Runtime, token: trio.lowlevel.TrioToken) -> None:
        self._runtime = runtime
        self._token = token

    def wait_live(self, timeout_seconds: float = 60) -> None:
        """Block until every account is Live. Raises TimeoutError, which says what each of the others waits for."""
        ends_at = time.monotonic() + timeout_seconds
        while waiting := self._ask(self._runtime.waits_for):
            if time.monotonic() >= ends_at:
                whys = "; ".join(f"{account} is {why}" for account, why in waiting.items())
                raise TimeoutError(f"not live within {timeout_seconds:g} s: {whys}")
            time.sleep(LIVE_CHECK_SECONDS)

    def read_intent(self, line: bytes, *, where: str = "the line") -> AnyIntent | BadIntent:
        """The intent of a JSON line, or all that is wrong with it; see `Runtime.read_intent`."""
        return self._ask(lambda: self._runtime.read_intent(line, where=where))

    def submit(self, intent: AnyIntent, *, timeout_seconds: float | None = 30) -> Ticket:
        """Hand in an intent and return once it is durable.

        Raises `IntentRejected` with the gate and its numbers, `RuntimeEnded` when the runtime is gone, and TimeoutError
        when nothing was decided in time: then the same intent may be handed in again, and is worked at most once.
        """
        results: queue.SimpleQueue[Ticket | Exception] = queue.SimpleQueue()
        self._call(lambda: self._runtime.submit_soon(intent, results.put))
        try:
            result = results.get(timeout=timeout_seconds)
        except queue.Empty:
            raise TimeoutError(
                f"intent {intent.intent_id} was not decided within {timeout_seconds} s; hand in the same again"
            ) from None
        if isinstance(result, Exception):
            raise result
        return result

    def ticket(self, strategy: StrategyName, intent_id: IntentId) -> Ticket:
        """The ticket of an intent that is at work, for a host that was restarted."""
        return self._ask(lambda: self._runtime.ticket(strategy, intent_id))

    def dispose(self, ticket: Ticket, choice: str, note: str = "") -> None:
        """Answer a partial pair; see `Runtime.dispose`."""
        self._call(lambda: self._runtime.dispose(ticket, choice, note))

    def operate(
        self, command: Command, *, note: str = "", command_id: CommandId | None = None, operator: Operator | None = None
    ) -> Carried:
        """Carry out an operator's command and return once it is durable; see `Runtime.operate`."""

        async def operate() -> Carried:
            return await self._runtime.operate(command, note=note, command_id=command_id, operator=operator)

        try:
            return trio.from_thread.run(operate, trio_token=self._token)
        except trio.RunFinishedError:
            raise RuntimeEnded("the runtime has ended") from None

    def tree(self, children_maximum: int = 50) -> Tree:
        """The live tree of actors: what each has waiting and waits for, and what went wrong lately."""
        return self._ask(lambda: self._runtime.inspection.tree(children_maximum))

    def now_ns(self) -> int:
        """The runtime's time, UTC nanoseconds; expiries count by it."""
        return self._ask(self._runtime.now_ns)

    def read(self, look: Callable[[Ledger], T]) -> T:
        """Run a short function over the ledger, on the runtime's thread, and return what it returns."""
        return self._ask(lambda: look(self._runtime.ledger))

    def end(self, ending: trio.Event) -> None:
        """Let the runtime end; nothing happens where it has ended by itself."""
        with suppress(RuntimeEnded):
            self._call(ending.set)

    def _call(self, action: Callable[[], None]) -> None:
        try:
            self._token.run_sync_soon(action)
        except trio.RunFinishedError:
            raise RuntimeEnded("the runtime has ended") from None

    def _ask(self, look: Callable[[], T]) -> T:
        try:
            return trio.from_thread.run_sync(look, trio_token=self._token)
        except trio.RunFinishedError:
            raise RuntimeEnded("the runtime has ended") from None


@contextmanager
def open_host(configuration: str | Path | Configuration) -> Iterator[Host]:
    """Start a runtime on its own thread; ends it in order when the block is left.

        with tallystick.open("config/demo.toml") as host:
            ticket = host.submit(intent)
            print(ticket.wait().outcome)

    Takes a configuration or the path of its file. Raises `ConfigurationError`, `CredentialsError` and
    `StoreUnavailable` before anything connects; what ends the runtime later is raised when the block is left.
    """
    loaded = configuration if isinstance(configuration, Configuration) else load_configuration(configuration)
    started: queue.SimpleQueue[Host | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    failures: list[BaseException] = []
    ending: list[trio.Event] = []

    async def run() -> None:
        async with open_runtime(loaded) as runtime:
            ending.append(trio.Event())
            started.put(Host(runtime, trio.lowlevel.current_trio_token()))
            if not stop.is_set():
                await ending[0].wait()

    def thread() -> None:
        try:
            trio.run(run)
        except BaseException as error:  # noqa: BLE001 - carried to the host's thread, which raises it
            failures.append(error)
            started.put(error)

    worker = threading.Thread(target=thread, name=f"tallystick {loaded.runtime.name}")
    worker.start()
    first = started.get()
    if isinstance(first, BaseException):
        worker.join()
        raise first
    try:
        yield first
    finally:
        stop.set()
        first.end(ending[0])
        worker.join()
    if failures:
        raise failures[0]
