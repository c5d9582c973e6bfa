"""What a start costs with many open orders: reading the store, and reconciling with the venue until new orders may go.

The store is filled with the events of open orders directly, as the runtime journals them. Recovery is measured from a
snapshot, as after every clean end, and from the bare journal, which is as bad as it can get; its yardstick is reading
the same bytes from LMDB and doing nothing with them. Reconciliation runs the real reconciler, desk and order actors
against a venue that lists all orders in the same turn; its yardstick is the budget.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, cast

import lmdb
import trio
from tallystick.actors.context import TradingActor
from tallystick.actors.kernel import TrioClock
from tallystick.actors.reconciler import ReconcilerActor
from tallystick.model.event import (
    InstrumentLearned,
    IntentAccepted,
    OpeningAdopted,
    OrderAcknowledged,
    OrderConfirmed,
    OrderSubmitted,
    SliceComputed,
)
from tallystick.model.fill import Direction, Known
from tallystick.model.identifiers import AccountId, VenueOrderId, client_order_id
from tallystick.model.intent import Intent
from tallystick.model.ledger import Ledger
from tallystick.model.money import Quantity
from tallystick.model.order import OrderTerms
from tallystick.model.outcome import Evidence, EvidenceKind
from tallystick.model.report import ExecutionPage, OrderPage, OrderReport, VenueOrderStatus
from tallystick.recovery import SNAPSHOT, recover
from tallystick.runtime import start_runtime
from tallystick.store import open_store
from tallystick.store.port import Journal
from tallystick.store.records import journal_schema
from tallystick.store.schema import JOURNAL, SNAPSHOTS
from tallystick.venues.port import Dialect, Reply, Request

from .instant_runtime import SETTINGS, STRATEGY, STRATEGY_SETTINGS, intent, live
from .instant_venue import ACCOUNT, INSTRUMENT, InstantDialect, InstantGateway, InstantTree
from .measure import Row, median_of, progress, row, scratch_directory

RECOVERED_ORDERS = 100_000
RECOVERY_BUDGET_SECONDS = 3.0
RECONCILED_ORDERS = 10_000
RECONCILIATION_BUDGET_PER_SECOND = 20_000.0
PAGE = 500
ROUNDS = 3


def run() -> Iterator[Row]:
    """Yield recovery from snapshot and journal, and the reconciliation of a start."""
    with scratch_directory() as directory:
        trio.run(_fill, directory, RECOVERED_ORDERS)
        raw = median_of(ROUNDS, lambda: _read_raw(directory, JOURNAL))
        name = f"recovery: {RECOVERED_ORDERS} open orders from the bare journal"
        seconds = median_of(ROUNDS, lambda: trio.run(_recover, directory), name)
        yield row(f"{name}, beside reading its bytes", seconds, "s", raw)
        trio.run(_snapshot, directory)
        raw = median_of(ROUNDS, lambda: _read_raw(directory, SNAPSHOTS))
        name = f"recovery: {RECOVERED_ORDERS} open orders from a snapshot"
        seconds = median_of(ROUNDS, lambda: trio.run(_recover, directory), name)
        yield row(f"{name}, beside reading its bytes", seconds, "s", raw)
        yield row(f"{name}, beside the budget", seconds, "s", RECOVERY_BUDGET_SECONDS)
    name = f"reconciliation: start with {RECONCILED_ORDERS} open orders"
    used: list[float] = []
    rate = median_of(ROUNDS, lambda: _reconciled_per_second(used), name)
    yield row(name, rate, "orders/s", RECONCILIATION_BUDGET_PER_SECOND, more_is_better=True)
    budget = 1e6 / RECONCILIATION_BUDGET_PER_SECOND
    yield row(f"{name}: the loop's processor time", median(used) * 1e6, "us/order", budget)


# ---- a store full of open orders --------------------------------------------------------------------------


async def _fill(directory: Path, count: int) -> None:
    async with open_store(directory / "store", journal_schema(), durability="process") as journal:
        _append_orders(journal, count)
        progress(f"recovery: a store with {count} open orders")


def _append_orders(journal: Journal, count: int) -> None:
    now = time.time_ns()
    journal.append(InstrumentLearned(instrument=INSTRUMENT), at_ns=now)
    journal.append(OpeningAdopted(account=ACCOUNT, holdings=(), by="benchmark", stamps=()), at_ns=now)
    for number in range(count):
        wanted = intent(number, now + 3600 * 10**9)
        terms = _terms(wanted)
        order, name = terms.client_order_id, _venue_order_id(number)
        evidence = Evidence(kind=EvidenceKind.PLACE_ANSWER, detail="placed: live", at_ns=now)
        journal.append(IntentAccepted(intent=wanted), at_ns=now)
        journal.append(SliceComputed(terms=terms, send_by_ns=now + 5 * 10**9), at_ns=now)
        journal.append(
            OrderSubmitted(client_order_id=order, account=ACCOUNT, venue_order_id=name, body=bytes(700)), at_ns=now
        )
        journal.append(OrderAcknowledged(client_order_id=order, venue_order_id=name, evidence=evidence), at_ns=now)
        known = Known(filled=Quantity(Decimal(0)), as_of_ns=now, source="order query")
        journal.append(OrderConfirmed(client_order_id=order, knowledge=known), at_ns=now)


def _venue_order_id(number: int) -> VenueOrderId:
    return VenueOrderId(f"0x{number:064x}")


def _terms(wanted: Intent) -> OrderTerms:
    return OrderTerms(
        client_order_id=client_order_id(wanted.strategy, wanted.intent_id, 0, 0, 0),
        intent_id=wanted.intent_id,
        leg=0,
        slice_number=0,
        attempt=0,
        strategy=wanted.strategy,
        account=wanted.account,
        instrument=wanted.instrument,
        side=wanted.side,
        direction=Direction.BUY if wanted.side == "buy" else Direction.SELL,
        price=wanted.limit_price,
        quantity=wanted.quantity,
        time_in_force=wanted.time_in_force,
        expires_at_ns=wanted.expires_at_ns,
    )


# ---- recovery ---------------------------------------------------------------------------------------------


async def _recover(directory: Path) -> float:
    """Seconds from the opened store to the ledger; the opening itself does not depend on what is in the store."""
    async with open_store(directory / "store", journal_schema(), durability="process") as journal:
        began = time.perf_counter()
        ledger = recover(journal).ledger
        seconds = time.perf_counter() - began
        assert len(ledger.orders) == RECOVERED_ORDERS
        return seconds


async def _snapshot(directory: Path) -> None:
    async with open_store(directory / "store", journal_schema(), durability="process") as journal:
        journal.put_snapshot(SNAPSHOT, journal.last_lsn, recover(journal).ledger.freeze())


def _read_raw(directory: Path, table: str) -> float:
    """Seconds to copy every row of a table out of LMDB."""
    with (
        closing(lmdb.open(str(directory / "store"), max_dbs=64, readonly=True, lock=False)) as environment,
        environment.begin() as transaction,
    ):
        began = time.perf_counter()
        size = sum(len(value) for _, value in transaction.cursor(environment.open_db(table.encode(), transaction)))
        seconds = time.perf_counter() - began
    progress(f"recovery: {size} bytes in the table {table}, read in {seconds:.4f} s")
    return seconds


# ---- reconciliation ---------------------------------------------------------------------------------------


class _ListingDialect(InstantDialect):
    """Shows every order as open, page by page, and no execution."""

    def __init__(self, ledger: Ledger) -> None:
        reports = tuple(
            OrderReport(
                account=ACCOUNT,
                venue_order_id=name,
                instrument=INSTRUMENT.instrument_id,
                status=VenueOrderStatus.OPEN,
                venue_status="live",
                direction=Direction.BUY,
                price=ledger.orders[order].terms.price,
                original_quantity=ledger.orders[order].terms.quantity,
                filled_quantity=Quantity(Decimal(0)),
                venue_time_ns=0,
            )
            for (_, name), order in ledger.by_venue_id.items()
        )
        self._pages = [reports[start : start + PAGE] for start in range(0, len(reports), PAGE)]
        self._next = 0

    def list_executions(self, since_ns: int, cursor: str | None) -> Request:
        return Request(label="executions", service="rest", method="GET", path="/trades", body=b"", quota="read")

    def read_executions(self, reply: Reply) -> ExecutionPage:
        return ExecutionPage(executions=(), next_cursor=None)

    def list_open_orders(self, cursor: str | None) -> Request:
        return Request(label="orders", service="rest", method="GET", path="/orders", body=b"", quota="read")

    def read_open_orders(self, reply: Reply) -> OrderPage:
        page, self._next = self._pages[self._next], self._next + 1
        return OrderPage(orders=page, next_cursor=str(self._next) if self._next < len(self._pages) else None)


class _ListingGateway(InstantGateway):
    fills = False


class _ListingTree(InstantTree):
    """The tree with the real reconciler."""

    gateway = _ListingGateway

    def reconciler_for(self, account: AccountId) -> TradingActor:
        return ReconcilerActor(self.context, account)


def _reconciled_per_second(used: list[float]) -> float:
    with scratch_directory() as directory:
        rate, processor_seconds = trio.run(_reconcile, directory)
    used.append(processor_seconds)
    return rate


async def _reconcile(directory: Path) -> tuple[float, float]:
    """From the start of the tree until the account is Live and every order's actor has taken its report."""
    await _fill(directory, RECONCILED_ORDERS)
    await _snapshot(directory)
    async with open_store(directory / "store", journal_schema()) as journal:
        dialect = cast(Dialect, cast(Any, _ListingDialect(recover(journal).ledger)))
        began, used = time.perf_counter(), time.thread_time()
        async with start_runtime(
            journal,
            name="bench",
            dialects={ACCOUNT: dialect},
            accounts={ACCOUNT: SETTINGS},
            strategies={STRATEGY: STRATEGY_SETTINGS},
            clock=TrioClock(),
            connect=cast(Any, None),
            random=Random(1),
            failures=[],
            builder=_ListingTree(),
        ) as runtime:
            await live(runtime, ACCOUNT)
            while not runtime.is_idle:
                await trio.lowlevel.checkpoint()
            rate = RECONCILED_ORDERS / (time.perf_counter() - began)
            return rate, (time.thread_time() - used) / RECONCILED_ORDERS


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line))
