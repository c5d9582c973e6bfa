"""Tickets from any thread: every report once, in order, for whoever asks however late."""

import threading
from collections.abc import Callable

import msgspec
import pytest
import trio
from tallystick.actors.ticket import IntentRejected, Receipt, Report, ReportKind, Ticket, TicketClosed
from tallystick.model.identifiers import IntentId, StrategyName
from tallystick.model.risk import Refused
from tallystick.model.risk_facts import Gate

REPORT = Report(
    number=0,
    kind=ReportKind.ORDER,
    strategy=StrategyName("pairs"),
    intent_id=IntentId("i1"),
    at_ns=1,
    text="sent",
)
LAST = msgspec.structs.replace(REPORT, kind=ReportKind.ENDED, outcome="filled")


def now(action: Callable[[], None]) -> None:
    action()


def ticket() -> Ticket:
    return Ticket(StrategyName("pairs"), IntentId("i1"), now)


def test_reports_are_numbered_from_one_in_the_order_of_delivery() -> None:
    held = ticket()
    for report in (REPORT, REPORT, LAST):
        held.deliver(report)
    assert [report.number for report in held.reports] == [1, 2, 3]
    assert held.ended == held.reports[-1]


def test_a_callback_hears_what_was_before_it_and_what_comes_after() -> None:
    held = ticket()
    heard: list[int] = []
    held.deliver(REPORT)
    held.on_report(lambda report: heard.append(report.number))
    held.deliver(REPORT)
    held.deliver(LAST)
    assert heard == [1, 2, 3]


def test_many_threads_follow_one_ticket_and_all_see_the_same() -> None:
    held = ticket()
    seen: list[list[int]] = [[] for _ in range(8)]

    def follow(place: int) -> None:
        seen[place] = [report.number for report in held.follow(timeout=10)]

    threads = [threading.Thread(target=follow, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        held.deliver(REPORT)
    held.deliver(LAST)
    for thread in threads:
        thread.join(10)
    assert seen == [list(range(1, 102))] * 8


def test_waiting_ends_with_the_last_report() -> None:
    held = ticket()
    threading.Timer(0.02, lambda: held.deliver(LAST)).start()
    assert held.wait(timeout=10).outcome == "filled"


def test_waiting_has_its_timeout() -> None:
    with pytest.raises(TimeoutError, match="i1"):
        ticket().wait(timeout=0.01)
    with pytest.raises(TimeoutError, match="i1"):
        next(ticket().follow(timeout=0.01))


def test_the_end_of_the_runtime_wakes_whoever_waits() -> None:
    held = ticket()
    threading.Timer(0.02, held.close).start()
    with pytest.raises(TicketClosed, match="i1"):
        held.wait(timeout=10)


def test_a_ticket_that_ended_before_the_runtime_did_keeps_its_end() -> None:
    held = ticket()
    held.deliver(LAST)
    held.close()
    assert held.wait(timeout=0).outcome == "filled"
    assert [report.is_last for report in held.follow(timeout=0)] == [True]


async def test_a_task_may_leave_the_reports_half_way_and_come_back() -> None:
    held = ticket()
    held.deliver(REPORT)
    held.deliver(REPORT)
    async for report in held:
        assert report.number == 1
        break
    held.deliver(LAST)
    assert [report.number async for report in held] == [1, 2, 3]


async def test_several_tasks_follow_one_ticket() -> None:
    held = ticket()
    seen: list[list[int]] = []

    async def follow() -> None:
        seen.append([report.number async for report in held])

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(follow)
        for report in (REPORT, REPORT, LAST):
            await trio.testing.wait_all_tasks_blocked()
            held.deliver(report)
    assert seen == [[1, 2, 3]] * 5


async def test_the_end_of_the_runtime_wakes_tasks_that_wait() -> None:
    held = ticket()
    told: list[str] = []

    async def wait() -> None:
        try:
            await held.ended_async()
        except TicketClosed as closed:
            told.append(str(closed))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        held.close()
    assert told == ["the runtime ended while intent i1 was at work"]


def test_a_receipt_is_settled_once() -> None:
    results: list[object] = []
    receipt = Receipt(results.append)
    refusal = Refused(gate=Gate.EXPIRY, message="too late", field="expires_at", found="1 s ago", allowed="later")
    receipt.refuse(refusal)
    receipt.accept(ticket())
    receipt.fail(RuntimeError())
    (result,) = results
    assert isinstance(result, IntentRejected)
    assert result.refusal is refusal
    assert str(result) == "expiry: too late"
