"""Which messages are kept, what is kept of them, and when they are journalled."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from tallystick.actors import message_trace
from tallystick.actors.kernel.trace import Record
from tallystick.actors.message_trace import FLUSH_SECONDS, ROWS_A_BATCH, MessageTrace
from tallystick.actors.messages import CheckCoverage, Dispose, LogExecutions
from tallystick.model.event import Event, MessagesTraced
from tallystick.model.fill import FillKey, FillSource, Settlement
from tallystick.model.identifiers import AccountId, ClientOrderId, IntentId, TradeId, VenueOrderId
from tallystick.model.ledger import Ledger
from tallystick.model.report import SettlementReport
from tallystick.model.traced import TracedMessage, traced_message
from tallystick.store.errors import FailureReason, StoreFailed

ORDER = ClientOrderId("i1.0.0.0-aa")
ORDER_ACTOR = f"/accounts/polymarket:main/orders/{ORDER}"
GATEWAY = "/accounts/polymarket:main/connection/gateway"
STREAM = "/accounts/polymarket:main/connection/stream"
FILLS = "/accounts/polymarket:main/fills"
WALL_NS = 1_795_000_000_000_000_000


@dataclass
class Handled:
    """What the kernel shows while it records a message: the envelope of that message."""

    id: int
    message: object


@dataclass
class Sunk:
    sink: Callable[[Record], None] | None = None


@dataclass
class System:
    """As much of an actor system as a sink sees."""

    current: Handled | None = None
    trace: Sunk = field(default_factory=Sunk)
    seconds: float = 100.0

    def now(self) -> float:
        return self.seconds


@dataclass
class Recorder:
    """Keeps what is recorded, or fails."""

    ledger: Ledger = field(default_factory=Ledger)
    events: list[MessagesTraced] = field(default_factory=list)
    failure: StoreFailed | None = None
    last_cause: int = 0

    def now_ns(self) -> int:
        return WALL_NS

    def record(self, event: Event) -> None:
        if self.failure is not None:
            raise self.failure
        assert isinstance(event, MessagesTraced)
        self.events.append(event)


class Bench:
    """A trace with hands on both of its ends."""

    def __init__(self) -> None:
        self.system = System()
        self.recorder = Recorder()
        self.trace = MessageTrace(self.system, self.recorder)  # type: ignore[arg-type]  # the two parts it uses
        self.system.trace.sink = self.trace.take

    def handled(
        self, number: int, name: str, *, cause: int = 0, sender: str = "", receiver: str, message: object = None
    ) -> None:
        """A message was queued at 90 s for 2 ms, then handled for 3 ms."""
        self.system.current = None if message is None else Handled(number, message)
        self.trace.take(
            ("message", number, cause, 1, sender, receiver, 1, "user", name, 90.0, 90.002, 90.005, "ok", None)
        )
        self.system.current = None

    def kept(self) -> list[TracedMessage]:
        self.trace.flush()
        return [traced_message(row, event.texts) for event in self.recorder.events for row in event.rows]


def ids(messages: list[TracedMessage]) -> list[int]:
    return [message.message_id for message in messages]


def test_a_message_that_names_an_order_is_kept_with_its_times() -> None:
    bench = Bench()
    bench.handled(7, "CheckCoverage", receiver="/somewhere", message=CheckCoverage(client_order_id=ORDER))
    assert bench.kept() == [
        TracedMessage(
            message_id=7,
            cause_id=0,
            sender="",
            receiver="/somewhere",
            incarnation=1,
            type="CheckCoverage",
            enqueued_at_ns=WALL_NS - 10_000_000_000,
            queued_ns=2_000_000,
            handled_ns=3_000_000,
            outcome="ok",
            strategy=None,
            intent_id=None,
            order=ORDER,
        )
    ]


def test_a_message_to_or_from_an_actor_of_an_order_or_an_intent_is_kept() -> None:
    bench = Bench()
    bench.handled(1, "Exchanged", sender=GATEWAY, receiver=ORDER_ACTOR)
    bench.handled(2, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
    bench.handled(3, "Deadline", receiver="/strategies/demo/work/i1:0")
    bench.handled(4, "Raise", sender="/strategies/demo/work/a:b:1", receiver="/alerts")
    found = [(message.strategy, message.intent_id, message.order) for message in bench.kept()]
    assert found == [(None, None, ORDER), (None, None, ORDER), ("demo", "i1", None), ("demo", "a:b", None)]


def test_what_is_about_no_order_is_not_kept() -> None:
    bench = Bench()
    bench.handled(1, "Tick", receiver=GATEWAY)
    bench.handled(2, "FrameArrived", receiver="/accounts/polymarket:main/feed")
    assert bench.kept() == []
    assert bench.recorder.events == []


def test_what_caused_a_kept_message_is_kept_before_it_and_once() -> None:
    bench = Bench()
    bench.handled(1, "Tick", receiver=STREAM)
    bench.handled(2, "FrameArrived", receiver=STREAM)
    bench.handled(3, "LogExecutions", cause=2, sender=STREAM, receiver=FILLS)
    bench.handled(4, "FillLogged", cause=3, sender=FILLS, receiver=ORDER_ACTOR)
    bench.handled(5, "FillLogged", cause=3, sender=FILLS, receiver=f"{ORDER_ACTOR}2")
    kept = bench.kept()
    assert ids(kept) == [2, 3, 4, 5]
    assert [message.order for message in kept] == [None, None, ORDER, f"{ORDER}2"]


def test_a_cause_is_remembered_across_a_flush_and_forgotten_after_many_messages() -> None:
    bench = Bench()
    bench.handled(1, "FrameArrived", receiver=STREAM)
    bench.trace.flush()
    bench.handled(2, "FillLogged", cause=1, sender=FILLS, receiver=ORDER_ACTOR)
    assert ids(bench.kept()) == [1, 2]
    bench.handled(10, "FrameArrived", receiver=STREAM)
    for number in range(11, 11 + 2 * message_trace.UNKEPT_MAX):
        bench.handled(number, "FrameArrived", receiver=STREAM)
    bench.handled(9000, "FillLogged", cause=10, sender=FILLS, receiver=ORDER_ACTOR)
    assert ids(bench.kept()) == [1, 2, 9000]


def test_the_start_of_an_actor_is_the_cause_of_its_tasks_and_no_part_of_the_story() -> None:
    bench = Bench()
    bench.handled(1, "StartActor", receiver=STREAM)
    bench.handled(2, "FrameArrived", cause=1, sender=STREAM, receiver=STREAM)
    bench.handled(3, "FillLogged", cause=2, sender=FILLS, receiver=ORDER_ACTOR)
    assert ids(bench.kept()) == [2, 3]


def test_a_report_is_kept_only_where_it_changed_something() -> None:
    bench = Bench()
    bench.handled(1, "ReportOrder", receiver=ORDER_ACTOR)
    bench.handled(2, "ReportOrder", receiver=ORDER_ACTOR)
    bench.handled(3, "OrderMoved", cause=2, sender=ORDER_ACTOR, receiver="/strategies/demo/work/i1:0")
    bench.recorder.last_cause = 4
    bench.handled(4, "ReportOrder", receiver=ORDER_ACTOR)
    assert ids(bench.kept()) == [2, 3, 4]


def executions(*venue_order_ids: str) -> LogExecutions:
    account = AccountId("polymarket:main")
    reports = tuple(
        SettlementReport(
            key=FillKey(account=account, trade_id=TradeId("t1"), venue_order_id=VenueOrderId(name)),
            settlement=Settlement.MINED,
            transaction="",
            venue_time_ns=1,
        )
        for name in venue_order_ids
    )
    return LogExecutions(reports=reports, source=FillSource.STREAM, received_at_ns=1)


def test_a_report_about_one_order_of_ours_is_kept_as_its_own_if_it_recorded_something() -> None:
    bench = Bench()
    bench.recorder.ledger.by_venue_id[AccountId("polymarket:main"), VenueOrderId("0x1")] = ORDER
    bench.handled(1, "FrameArrived", receiver=STREAM)
    for number in (2, 3):  # the second says what is known
        bench.recorder.last_cause = 2
        bench.handled(number, "LogExecutions", cause=1, sender=STREAM, receiver=FILLS, message=executions("0x1"))
    kept = bench.kept()
    assert ids(kept) == [1, 2]
    assert [message.order for message in kept] == [None, ORDER]


def test_a_report_about_several_orders_or_somebody_elses_belongs_to_what_it_causes() -> None:
    bench = Bench()
    bench.recorder.ledger.by_venue_id[AccountId("polymarket:main"), VenueOrderId("0x1")] = ORDER
    for number, message in ((1, executions("0x1", "0x2")), (2, executions("0x2"))):
        bench.recorder.last_cause = number
        bench.handled(number, "LogExecutions", sender=STREAM, receiver=FILLS, message=message)
    assert bench.kept() == []
    bench.handled(3, "FillLogged", cause=1, sender=FILLS, receiver=ORDER_ACTOR)
    assert [(message.message_id, message.order) for message in bench.kept()] == [(1, None), (3, ORDER)]


def test_what_is_too_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_trace, "ROWS_MAX", 2)
    bench = Bench()
    for number in range(5):
        bench.handled(number, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
    assert ids(bench.kept()) == [0, 1]
    assert [event.lost for event in bench.recorder.events] == [3]


def test_many_rows_are_several_events() -> None:
    bench = Bench()
    for number in range(ROWS_A_BATCH + 1):
        bench.handled(number, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
    assert ids(bench.kept()) == list(range(ROWS_A_BATCH + 1))
    assert [len(event.rows) for event in bench.recorder.events] == [ROWS_A_BATCH, 1]


def test_a_message_that_cannot_be_read_ends_the_tracing_and_nothing_else() -> None:
    bench = Bench()
    told = Dispose(intent_id=IntentId("i1"), choice="keep", note="")
    bench.handled(1, "Dispose", receiver="/x", message=told)
    bench.handled(2, "Dispose", receiver="/x", message=object())
    assert bench.system.trace.sink is None
    assert ids(bench.kept()) == [1]


async def test_the_flush_comes_a_while_after_the_first_kept_message(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.trace.run)
        await trio.sleep(5)
        bench.handled(1, "Tick", receiver=GATEWAY)
        await trio.testing.wait_all_tasks_blocked()
        # Nothing is worth keeping: no deadline wakes anybody.
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
        bench.handled(2, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == pytest.approx(FLUSH_SECONDS)
        await trio.sleep(FLUSH_SECONDS / 2)
        bench.handled(3, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
        assert bench.recorder.events == []
        await trio.sleep(FLUSH_SECONDS)
        assert [len(event.rows) for event in bench.recorder.events] == [2]
        nursery.cancel_scope.cancel()


async def test_a_failed_store_ends_the_tracing_quietly(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.recorder.failure = StoreFailed(FailureReason.DISK_FULL, "no space")
    bench.handled(1, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
    await bench.trace.run()
    assert bench.system.trace.sink is None


async def test_a_busy_runtime_flushes_each_thousand_rows_and_loses_none(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.trace.run)
        began = trio.current_time()
        for number in range(ROWS_A_BATCH + 1):
            bench.handled(number, "Exchange", sender=ORDER_ACTOR, receiver=GATEWAY)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began
        assert sum(len(event.rows) for event in bench.recorder.events) == ROWS_A_BATCH + 1
        nursery.cancel_scope.cancel()
