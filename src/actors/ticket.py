"""What a host holds for an intent it handed in: a receipt, and the reports in order.

Reports are delivered to the ticket only when their cause is durable (law L1), each with a number that rises by one.
The host reads them from any thread, or awaits them under trio, or gives a callback; the callback runs on a thread of
the host bridge's own, so that host code which raises or blocks hurts nobody but itself.
"""

import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import trio

from ..model.identifiers import ClientOrderId, IntentId, StrategyName
from ..model.money import Price, Quantity
from ..model.risk import Refused
from ..model.value import Value


class ReportKind(StrEnum):
    ACCEPTED = "accepted"
    ORDER = "order"
    FILL = "fill"
    SETTLEMENT = "settlement"
    DISPOSITION_NEEDED = "disposition_needed"
    PAUSED = "paused"
    ENDED = "ended"


class Report(Value, frozen=True):
    """One thing that happened to an intent. `number` starts at 1; `at_ns` is when it was recorded, UTC."""

    number: int
    kind: ReportKind
    strategy: StrategyName
    intent_id: IntentId
    at_ns: int
    text: str
    client_order_id: ClientOrderId | None = None
    leg: int | None = None
    quantity: Quantity | None = None
    price: Price | None = None
    outcome: str = ""
    filled: tuple[Quantity, ...] = ()

    @property
    def is_last(self) -> bool:
        return self.kind is ReportKind.ENDED


class Draft(NamedTuple):
    """A report that is not written yet. Its texts cost more than all else about it, and many are read by nobody."""

    strategy: StrategyName
    intent_id: IntentId
    is_last: bool
    write: Callable[..., Report]
    """A pure function of `facts`, which are values: it says the same whenever, and on whichever thread, it is asked."""
    facts: tuple[Any, ...]

    def written(self) -> Report:
        """The report, without its number."""
        return self.write(*self.facts)


class IntentRejected(Exception):
    """The intent was refused and nothing will be done; the message names the gate and its numbers."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(f"{refusal.gate}: {refusal.message}")
        self.refusal = refusal


class TicketClosed(Exception):
    """The runtime ended before the intent did: its fate is in the store and goes on at the next start."""


class Ticket:
    """One accepted intent. Safe to use from any thread."""

    __slots__ = (
        "_arrived",
        "_bridge",
        "_callbacks",
        "_changed",
        "_closed",
        "_lock",
        "_reports",
        "intent_id",
        "strategy",
    )

    def __init__(
        self, strategy: StrategyName, intent_id: IntentId, bridge: Callable[[Callable[[], None]], None]
    ) -> None:
        self.strategy = strategy
        self.intent_id = intent_id
        self._bridge = bridge
        self._reports: list[Report | Draft] = []
        self._lock = threading.Lock()
        # Both are made by the first who waits: most tickets are read by callbacks, or not at all.
        self._changed: threading.Condition | None = None
        self._arrived: trio.Event | None = None
        self._callbacks: tuple[Callable[[Report], None], ...] = ()
        self._closed = False

    # ---- the host's side ----------------------------------------------------------------------------------

    @property
    def reports(self) -> tuple[Report, ...]:
        """Everything reported so far, in order."""
        with self._lock:
            return tuple(self._written(position) for position in range(len(self._reports)))

    @property
    def ended(self) -> Report | None:
        """The terminal report, or None while the intent is at work."""
        with self._lock:
            return self._written(-1) if self._has_ended() else None

    def on_report(self, callback: Callable[[Report], None]) -> None:
        """Call `callback` with every report, those so far included, in order, on the host bridge's thread."""
        with self._lock:
            self._callbacks = (*self._callbacks, callback)
            for position in range(len(self._reports)):
                report = self._written(position)
                self._bridge(lambda report=report: callback(report))  # type: ignore[misc]  # bound per report

    def wait(self, timeout: float | None = None) -> Report:
        """Block this thread until the terminal report. Raises TimeoutError or `TicketClosed`."""
        with self._lock:
            if not self._condition().wait_for(lambda: self._closed or self._has_ended(), timeout):
                raise TimeoutError(f"intent {self.intent_id} is still at work after {timeout} s")
            if not self._has_ended():
                raise TicketClosed(f"the runtime ended while intent {self.intent_id} was at work")
            return self._written(-1)

    def follow(self, timeout: float | None = None) -> Iterator[Report]:
        """Iterate over the reports as they come, until the terminal one. Blocks this thread between them."""
        position = 0
        while True:
            report = self._await_report(position, timeout)
            position += 1
            yield report
            if report.is_last:
                return

    def _await_report(self, position: int, timeout: float | None) -> Report:
        with self._lock:
            if not self._condition().wait_for(lambda: self._closed or len(self._reports) > position, timeout):
                raise TimeoutError(f"intent {self.intent_id}: no report within {timeout} s")
            if len(self._reports) <= position:
                raise TicketClosed(f"the runtime ended while intent {self.intent_id} was at work")
            return self._written(position)

    def __aiter__(self) -> "Following":
        """The reports as they come, for hosts under trio. It may be left at any report."""
        return Following(self)

    async def report_at(self, position: int) -> Report:
        """Await the report at a place, counted from 0. Raises `TicketClosed`."""
        while len(self._reports) <= position:
            if self._closed:
                raise TicketClosed(f"the runtime ended while intent {self.intent_id} was at work")
            if self._arrived is None:
                self._arrived = trio.Event()
            await self._arrived.wait()
        with self._lock:
            return self._written(position)

    async def ended_async(self) -> Report:
        """Await the terminal report."""
        position = 0
        while not (report := await self.report_at(position)).is_last:
            position += 1
        return report

    # ---- the runtime's side, on its own loop --------------------------------------------------------------

    def deliver(self, report: Report | Draft) -> None:
        """Make the report visible; its place is its number, and a draft is written when it is first read."""
        with self._lock:
            reports = self._reports
            reports.append(report if report.__class__ is Draft else self._numbered(report, len(reports)))
            if self._callbacks:
                self._tell_callbacks(self._written(-1))
            if self._changed is not None or self._arrived is not None:
                self._wake()

    def _tell_callbacks(self, report: Report) -> None:
        for callback in self._callbacks:
            self._bridge(lambda callback=callback: callback(report))  # type: ignore[misc]  # bound per callback

    def _written(self, position: int) -> Report:
        """The report at a place (-1: the last one so far). The caller holds the lock."""
        found = self._reports[position]
        if isinstance(found, Draft):
            place = position if position >= 0 else len(self._reports) + position
            found = self._reports[position] = self._numbered(found, place)
        return found

    @staticmethod
    def _numbered(report: Report | Draft, place: int) -> Report:
        written = report.written() if isinstance(report, Draft) else report
        return msgspec.structs.replace(written, number=place + 1)

    def close(self) -> None:
        """The runtime ends: whoever waits is told so."""
        with self._lock:
            self._closed = True
            self._wake()

    def _has_ended(self) -> bool:
        return bool(self._reports) and self._reports[-1].is_last

    def _condition(self) -> threading.Condition:
        """Where threads wait, over the ticket's lock, which the caller holds."""
        if self._changed is None:
            self._changed = threading.Condition(self._lock)
        return self._changed

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.notify_all()
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None


class Following:
    """One walk over a ticket's reports. No generator: a host may leave it half-way, and nothing is left to clean up."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._position = 0
        self._ended = False

    def __aiter__(self) -> "Following":
        return self

    async def __anext__(self) -> Report:
        if self._ended:
            raise StopAsyncIteration
        report = await self._ticket.report_at(self._position)
        self._position += 1
        self._ended = report.is_last
        return report


class Receipt:
    """Where the answer to a submission is put: a ticket, or the refusal. Settled once, on the runtime's loop."""

    def __init__(self, settle: Callable[[Ticket | IntentRejected | Exception], None]) -> None:
        self._settle: Callable[[Ticket | IntentRejected | Exception], None] | None = settle

    def accept(self, ticket: Ticket) -> None:
        self._put(ticket)

    def refuse(self, refusal: Refused) -> None:
        self._put(IntentRejected(refusal))

    def fail(self, error: Exception) -> None:
        self._put(error)

    def _put(self, result: Ticket | IntentRejected | Exception) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(result)
