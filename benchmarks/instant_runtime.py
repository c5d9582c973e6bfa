"""A whole runtime over the venue that answers at once, and a host that keeps it busy."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast

import trio
from tallystick.actors.context import Context, Quote
from tallystick.actors.kernel import TrioClock
from tallystick.actors.settings import AccountSettings, StrategySettings, TraceScope
from tallystick.actors.ticket import Ticket
from tallystick.model.account import AccountState
from tallystick.model.event import InstrumentLearned
from tallystick.model.identifiers import AccountId, IntentId, StrategyName
from tallystick.model.intent import Intent, Side
from tallystick.model.money import Cash, Price, Quantity
from tallystick.model.risk import RiskLimits
from tallystick.runtime import Runtime, start_runtime
from tallystick.store import Durability, MemoryStore, open_store
from tallystick.store.port import Journal
from tallystick.store.records import journal_schema

from .instant_venue import ACCOUNT, CASH, INSTRUMENT, VENUE, InstantTree, dialect

STRATEGY = StrategyName("bench")
IN_FLIGHT_MAXIMUM = 200
"""Intents under way at the same time: below the strategy's mailbox bound, above what one commit needs."""

# Every gate that has a number gets one, so that it is computed and not skipped.
LIMITS = RiskLimits(
    order_quantity_maximum=Quantity(Decimal(1_000)),
    order_notional_maximum=Cash(Decimal(100_000)),
    intent_notional_maximum=Cash(Decimal(100_000)),
    position_quantity_maximum=Quantity(Decimal(10**9)),
    position_notional_maximum=Cash(Decimal(10**12)),
    price_deviation_bps_maximum=Decimal(5_000),
    active_intents_per_strategy_maximum=10**9,
)
SETTINGS = AccountSettings(account=ACCOUNT, venue=VENUE, services=(), markets=(), settlement_asset=CASH, risk=LIMITS)
STRATEGY_SETTINGS = StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,), active_intents_maximum=10**9)


@asynccontextmanager
async def open_journal(directory: Path | None, durability: Durability) -> AsyncIterator[Journal]:
    """A journal on the disk, or without a directory one in memory, whose cost is the caller's thread alone."""
    store = (
        MemoryStore(journal_schema(), durability=durability)
        if directory is None
        else open_store(directory / "store", journal_schema(), durability=durability)
    )
    async with store as journal:
        yield journal


@asynccontextmanager
async def instant_runtime(
    directory: Path | None,
    durability: Durability = "fsync",
    *,
    tree: InstantTree | None = None,
    trace: TraceScope = "orders",
) -> AsyncIterator[Runtime]:
    """A runtime whose account is Live and whose market is known."""
    async with open_journal(directory, durability) as journal:
        journal.append(InstrumentLearned(instrument=INSTRUMENT), at_ns=time.time_ns())
        async with start_runtime(
            journal,
            name="bench",
            dialects={ACCOUNT: dialect()},
            accounts={ACCOUNT: SETTINGS},
            strategies={
                STRATEGY: StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,), active_intents_maximum=10**9)
            },
            clock=TrioClock(),
            connect=cast(Any, None),
            random=Random(1),
            failures=[],
            builder=InstantTree() if tree is None else tree,
            trace=trace,
        ) as runtime:
            open_market(runtime)
            await live(runtime, ACCOUNT)
            yield runtime


async def live(runtime: Runtime, account: AccountId) -> None:
    """Return once new orders may go out."""
    while runtime.ledger.account(account).state is not AccountState.LIVE:  # noqa: ASYNC110 - the ledger tells nobody
        await trio.sleep(0.001)


def context_of(runtime: Runtime) -> Context:
    """The context of a runtime's actors: a benchmark looks behind the door."""
    return runtime._context  # noqa: SLF001 - there is no feed here to fill the board


def open_market(runtime: Runtime) -> None:
    """Put a fresh quote on the board, as a feed would."""
    context_of(runtime).quotes[INSTRUMENT.instrument_id] = Quote(
        instrument=INSTRUMENT.instrument_id,
        bid=Price(Decimal("1.49")),
        ask=Price(Decimal("1.51")),
        fresh=True,
        why_stale="",
        venue_time_ns=0,
        received_at_ns=0,
    )


def intent(number: int, expires_at_ns: int) -> Intent:
    """One intent that becomes one order."""
    return Intent(
        intent_id=IntentId(f"intent-{number:08}"),
        strategy=STRATEGY,
        account=ACCOUNT,
        instrument=INSTRUMENT.instrument_id,
        # None of them is a close: before one of those the venue is asked, which is a round trip of its own.
        side=Side.BUY,
        quantity=Quantity(Decimal(10)),
        limit_price=Price(Decimal("1.5")),
        expires_at_ns=expires_at_ns,
    )


async def run_orders(runtime: Runtime, first: int, count: int) -> None:
    """Hand in intents `first` to `first + count - 1` and return when all of them have ended.

    The tickets are kept by nobody, as after a strategy's own bookkeeping; their reports are made all the same.
    """
    ended = runtime.ledger.strategy(STRATEGY).ended
    submitted = finished = 0
    expires_at_ns = time.time_ns() + 3600 * 10**9
    while finished < count:
        while submitted < count and submitted - finished < IN_FLIGHT_MAXIMUM:
            runtime.submit_soon(intent(first + submitted, expires_at_ns), _check)
            submitted += 1
        await trio.lowlevel.checkpoint()
        finished = runtime.ledger.strategy(STRATEGY).ended - ended


async def submit_live(runtime: Runtime, first: int, count: int) -> None:
    """Hand in intents whose orders a silent venue acknowledges; returns when all of them rest."""
    expires_at_ns = time.time_ns() + 3600 * 10**9
    for start in range(first, first + count, IN_FLIGHT_MAXIMUM):
        end = min(start + IN_FLIGHT_MAXIMUM, first + count)
        for number in range(start, end):
            runtime.submit_soon(intent(number, expires_at_ns), _check)
        while not runtime.is_idle or len(runtime.ledger.orders) < end:  # noqa: ASYNC110 - the ledger tells nobody
            await trio.sleep(0.001)


def _check(result: Ticket | Exception) -> None:
    if isinstance(result, Exception):
        raise result
