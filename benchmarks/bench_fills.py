"""Executions from the decoded frame to committed and booked, beside the budget.

Each execution comes in a message of its own, as from a stream. It is deduplicated against the store, attributed to its
order, recorded, folded into order, position and balances, and reported on the ticket. None of them completes its order,
so none is told to it: one that does costs a message more. The clock stops when the last is durable. For these rows the
yardstick is the budget itself.
"""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median

import trio
from tallystick.actors.context import Paths
from tallystick.actors.messages import LogExecutions
from tallystick.actors.settings import TraceScope
from tallystick.model.fill import Execution, FillKey, FillSource, Liquidity, Settlement
from tallystick.model.identifiers import TradeId
from tallystick.model.money import Cash, Quantity
from tallystick.model.order import Acknowledged
from tallystick.model.report import ExecutionReport
from tallystick.runtime import Runtime
from tallystick.store import Durability

from .instant_runtime import context_of, instant_runtime, submit_live
from .instant_venue import ACCOUNT, CASH, SilentTree
from .measure import Row, median_of, row, scratch_directory

ORDERS = 100
FILLS_PER_ORDER = 100
CHUNK = 1_000
"""Executions that wait at the same time: well below the bound of the fill log's mailbox."""
ROUNDS = 5
BUDGET_PER_SECOND = 30_000.0


def run() -> Iterator[Row]:
    """Yield the rate with each durability, and without the journal of messages."""
    measures: tuple[tuple[str, Durability, TraceScope], ...] = (
        ("fills: decoded to committed and booked, fsync", "fsync", "orders"),
        ("fills: decoded to committed and booked, process durability", "process", "orders"),
        ("fills: decoded to committed and booked, fsync, messages not journalled", "fsync", "off"),
    )
    for name, durability, trace in measures:
        used: list[float] = []
        rate = median_of(ROUNDS, lambda d=durability, t=trace, u=used: _fills_per_second(d, t, u), name)  # type: ignore[misc]
        yield row(name, rate, "fills/s", BUDGET_PER_SECOND, more_is_better=True)
        yield row(f"{name}: the loop's processor time", median(used) * 1e6, "us/fill", 1e6 / BUDGET_PER_SECOND)


def _fills_per_second(durability: Durability, trace: TraceScope, used: list[float]) -> float:
    with scratch_directory() as directory:
        rate, processor_seconds = trio.run(_main, directory, durability, trace)
    used.append(processor_seconds)
    return rate


async def _main(directory: Path, durability: Durability, trace: TraceScope) -> tuple[float, float]:
    """Fills a second by the clock, and the processor seconds of each on the loop's thread."""
    async with instant_runtime(directory, durability, tree=SilentTree(), trace=trace) as runtime:
        await submit_live(runtime, 0, ORDERS)
        messages = _messages(runtime)
        log = context_of(runtime).ref(Paths.account(ACCOUNT, "fills"))
        before = runtime.ledger.account(ACCOUNT).fills
        began, used = time.perf_counter(), time.thread_time()
        for start in range(0, len(messages), CHUNK):
            for message in messages[start : start + CHUNK]:
                log.tell(message)
            while runtime.ledger.account(ACCOUNT).fills - before < start + CHUNK:
                await trio.lowlevel.checkpoint()
        while not runtime.is_idle:
            await trio.lowlevel.checkpoint()
        return len(messages) / (time.perf_counter() - began), (time.thread_time() - used) / len(messages)


def _messages(runtime: Runtime) -> list[LogExecutions]:
    """Small executions of all orders in turn; together they leave every order open."""
    now = time.time_ns()
    found = []
    states = [state for state in runtime.ledger.orders.values() if isinstance(state, Acknowledged)]
    for number in range(ORDERS * FILLS_PER_ORDER):
        state = states[number % len(states)]
        execution = Execution(
            key=FillKey(account=ACCOUNT, trade_id=TradeId(f"t{number}"), venue_order_id=state.venue_order_id),
            instrument=state.terms.instrument,
            direction=state.terms.direction,
            price=state.terms.price,
            quantity=Quantity(Decimal("0.05")),
            fee=Cash(Decimal(0)),
            fee_asset=CASH,
            liquidity=Liquidity.MAKER,
            settlement=Settlement.CONFIRMED,
            venue_time_ns=now,
        )
        report = ExecutionReport(execution=execution)
        found.append(LogExecutions(reports=(report,), source=FillSource.STREAM, received_at_ns=now))
    return found


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line))
