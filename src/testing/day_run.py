"""Runs a planned day: a real runtime against a simulated venue in another process, both on one virtual clock.

Nothing in the runtime knows of it. It gets a configuration, a clock and a seam to the network, as in production; the
strategy here is a host like any other.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import trio

from ..actors.connect import connect_tcp
from ..actors.kernel import DELIVER, DROP, Envelope, TrioClock
from ..actors.kernel.system import Verdict
from ..actors.messages import PlaceOrder
from ..actors.settings import AccountSettings, StrategySettings
from ..actors.ticket import IntentRejected, ReportKind
from ..configuration import AccountConfiguration, Configuration, RuntimeConfiguration
from ..credentials import CredentialsFile
from ..model.identifiers import ClientOrderId
from ..model.ledger import Ledger
from ..model.money import Cash, Quantity
from ..model.risk_facts import RiskLimits
from ..model.value import Value
from ..runtime import Runtime, open_runtime
from ..store.lmdb_store import MAP_SIZE_BYTES_MAX, Durability
from ..venues.polymarket.signing import Signer
from ..venues.sim.polymarket.actions import CreateAccount
from ..venues.sim.polymarket.serving import Addresses
from .day import ACCOUNT, CASH, SETTLEMENT_ASSET, STRATEGY, VENUE, DayPlan, PairPlan
from .day_script import VENUE_LEAD_SECONDS, script_of, venue_arguments
from .venue_process import VenueProcess, venue_process
from .virtual_time import LockStep, Pace, Traffic, VirtualClock, counted, real_sleep

SETTLE_STEP_SECONDS = 5.0
SETTLE_SECONDS_MAXIMUM = 300.0
"""After the day everything must have settled and been compared as equal within this."""
WATCH_SECONDS = 0.1
PAUSE_SECONDS = 0.001
STOP_SECONDS = 3.0
"""How long, in real seconds, the runtime may take to stop at the end of the day before time goes on for it."""


class Moment(Value, frozen=True):
    """How far the day has come. `seconds` are the day's."""

    seconds: float
    pairs_ended: int
    fills: int
    alerts: int
    steps: int


class VenueOrder(msgspec.Struct, frozen=True):
    """One order of ours in the venue's own books."""

    id: str
    status: str
    original_size: Decimal
    size_matched: Decimal


class VenueLeg(msgspec.Struct, frozen=True):
    order_id: str
    quantity: Decimal


class VenueTrade(msgspec.Struct, frozen=True):
    """One trade of ours in the venue's own books."""

    id: str
    status: str
    taker_order_id: str
    size: Decimal
    legs: list[VenueLeg]


class VenueBooks(msgspec.Struct, frozen=True):
    """What the venue knows for sure at the end, and what of its script could not be done."""

    orders: tuple[VenueOrder, ...]
    trades: tuple[VenueTrade, ...]
    script_errors: tuple[str, ...]

    def fills(self) -> dict[tuple[str, str], Decimal]:
        """Every execution of an order of ours: its quantity by trade and order."""
        ours = {order.id for order in self.orders}
        found: dict[tuple[str, str], Decimal] = {}
        for trade in self.trades:
            if trade.taker_order_id in ours:
                found[trade.id, trade.taker_order_id] = trade.size
            found |= {(trade.id, leg.order_id): leg.quantity for leg in trade.legs if leg.order_id in ours}
        return found


class DayRun(msgspec.Struct, frozen=True):
    """How a day went, apart from what its store holds."""

    simulated_seconds: float
    wall_seconds: float
    steps: int
    round_trips: int
    settled: bool
    refused: tuple[str, ...]
    venue: VenueBooks


def run_day(
    plan: DayPlan,
    *,
    with_faults: bool,
    store: Path,
    venue_log: Path,
    pace: float | None = None,
    durability: Durability = "process",
    watch: Callable[[Moment], None] | None = None,
    disturb: Callable[[], Awaitable[None]] | None = None,
    real_clock: Callable[[], float] = time.perf_counter,
) -> DayRun:
    """Live through the day and leave its journal in `store`.

    `pace` is how many seconds of the day pass in one real second at most; None holds nothing back. `watch` is told now
    and then how far it has come, `disturb` is awaited before every step of the clock. Raises `VenueFailed`, and what
    the runtime raises.
    """
    started = real_clock()
    with venue_process(venue_arguments(plan), log=venue_log) as venue, _private_key(plan.seed) as (key, credentials):
        owner = Signer(key).address
        venue.do(CreateAccount(owner=owner, cash=CASH))
        venue.note(script_of(plan, with_faults=with_faults))
        day = _Day(
            plan,
            venue,
            _configuration(plan, venue.addresses, _market_ids(venue), credentials, store, durability),
            lost_order=plan.marks.lost_order if with_faults else None,
            pace=Pace(pace, real_clock=real_clock),
            watch=watch,
            disturb=disturb,
            real_clock=real_clock,
        )
        trio.run(day.live, clock=day.clock)
        books = VenueBooks(
            orders=venue.ask(f"orders?owner={owner}", tuple[VenueOrder, ...]),
            trades=venue.ask(f"trades?owner={owner}", tuple[VenueTrade, ...]),
            script_errors=tuple(venue.script_errors()),
        )
    return DayRun(
        simulated_seconds=day.seconds,
        wall_seconds=real_clock() - started,
        steps=day.steps,
        round_trips=day.round_trips,
        settled=day.settled,
        refused=tuple(day.refused),
        venue=books,
    )


class _Day:
    """One day while it lasts."""

    def __init__(
        self,
        plan: DayPlan,
        venue: VenueProcess,
        configuration: Configuration,
        *,
        lost_order: ClientOrderId | None,
        pace: Pace,
        watch: Callable[[Moment], None] | None,
        disturb: Callable[[], Awaitable[None]] | None,
        real_clock: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.clock = VirtualClock()
        self.settled = False
        self.steps = 0
        self.round_trips = 0
        self.refused: list[str] = []
        self._venue = venue
        self._configuration = configuration
        self._lost_order = lost_order
        self._pace = pace
        self._watch = watch
        self._watched = float("-inf")
        self._disturb = disturb
        self._real_clock = real_clock
        self._runtime: Runtime | None = None
        self._over_at: float | None = None
        self.seconds = 0.0

    async def live(self) -> None:
        """From the opening to the end, inside a trio run on this day's clock."""
        traffic = Traffic()
        control = self._venue.control()
        try:
            control.advance(VENUE_LEAD_SECONDS)
            lock_step = LockStep(
                self.clock,
                traffic,
                control,
                idle=self._idle,
                becomes_idle=self._become_idle,
                pace=self._pace,
                stepped=self._stepped,
                disturb=self._disturb,
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lock_step.run)
                async with open_runtime(
                    self._configuration,
                    clock=lambda: TrioClock(wall_ns=self.clock.wall_ns(self.plan.opens_ns)),
                    connect=counted(connect_tcp, traffic),
                    random=Random(f"runtime {self.plan.seed}"),
                ) as runtime:
                    self._runtime = runtime
                    if self._lost_order is not None:
                        runtime.system.intercept(losing(self._lost_order))
                    await self._trade(runtime)
                    await trio.sleep_until(self.plan.seconds)
                    await self._settle(runtime)
                    self._tell()
                    self.seconds = self.clock.seconds
                    self._over_at = self._real_clock()
                nursery.cancel_scope.cancel()
            self.round_trips = control.round_trips
        finally:
            control.close()

    # ---- the strategy -------------------------------------------------------------------------------------

    async def _trade(self, runtime: Runtime) -> None:
        """Every pair at its time, until the day is over."""
        with trio.move_on_at(self.plan.seconds):
            async with trio.open_nursery() as nursery:
                for pair in self.plan.pairs:
                    nursery.start_soon(self._work, runtime, pair)

    async def _work(self, runtime: Runtime, pair: PairPlan) -> None:
        await trio.sleep_until(pair.at_seconds)
        try:
            ticket = await runtime.submit(self.plan.intent(pair))
        except IntentRejected as refusal:
            self.refused.append(f"{pair.intent_id}: {refusal}")
            return
        async for report in ticket:
            if report.kind is ReportKind.DISPOSITION_NEEDED:
                runtime.dispose(ticket, "keep", "one leg is worth having by itself")

    async def _settle(self, runtime: Runtime) -> None:
        """Wait until nothing is open and the three views are equal, but not for ever."""
        with trio.move_on_after(SETTLE_SECONDS_MAXIMUM):
            while not is_settled(runtime.ledger):  # noqa: ASYNC110  # the ledger has no bell to ring
                await trio.sleep(SETTLE_STEP_SECONDS)
            self.settled = True

    # ---- for the clock ------------------------------------------------------------------------------------

    def _idle(self) -> bool:
        # While the store is being opened or closed, time stands still: a thread is at work that no clock knows of. But
        # should something hang at the end, its timeout is to come.
        if self._over_at is not None:
            return self._real_clock() - self._over_at > STOP_SECONDS
        return self._runtime is not None and self._runtime.is_idle

    async def _become_idle(self) -> None:
        runtime = self._runtime
        if runtime is None or self._over_at is not None or runtime.journal.durable_lsn == runtime.journal.last_lsn:
            await real_sleep(PAUSE_SECONDS)
        else:
            await runtime.journal.wait_durable(runtime.journal.last_lsn)

    def _stepped(self) -> None:
        self.steps += 1
        if self._watch is not None and self._real_clock() - self._watched >= WATCH_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._watched = self._real_clock()
        if self._watch is None or self._runtime is None:
            return
        ledger = self._runtime.ledger
        self._watch(
            Moment(
                seconds=self.clock.seconds,
                pairs_ended=ledger.strategy(STRATEGY).ended,
                fills=sum(position.fills for position in ledger.positions.values()),
                alerts=len(ledger.alerts),
                steps=self.steps,
            )
        )


def is_settled(ledger: Ledger) -> bool:
    """Whether nothing can change by itself any more, and book, venue and wallet were last compared as equal."""
    if any(True for _ in ledger.active_intents()) or any(True for _ in ledger.live_orders()) or ledger.unsettled:
        return False
    for key, book in ledger.holdings.items():
        truth = ledger.truths.get(key)
        if truth is None or truth.book != book or not truth.exact:
            return False
    return bool(ledger.holdings)


def losing(order: ClientOrderId) -> Callable[[Envelope], Verdict]:
    """An interceptor that loses the one message by which this order would be placed."""

    def decide(envelope: Envelope) -> Verdict:
        message = envelope.message
        if isinstance(message, PlaceOrder) and message.order.terms.client_order_id == order:
            return DROP
        return DELIVER

    return decide


# ---- how the runtime is set up ----------------------------------------------------------------------------


@contextmanager
def _private_key(seed: int) -> Iterator[tuple[str, CredentialsFile]]:
    """A key that follows from the seed, in a file of the owner's alone, as the runtime wants it."""
    key = "0x" + hashlib.sha256(f"tallystick day {seed}".encode()).hexdigest()
    with tempfile.TemporaryDirectory(prefix="tallystick-") as directory:
        file = Path(directory) / "credentials.toml"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f'private_key = "{key}"\n')
        yield key, CredentialsFile(path=str(file))


class _Market(msgspec.Struct, frozen=True):
    condition_id: str


class _State(msgspec.Struct, frozen=True):
    markets: tuple[_Market, ...]


def _market_ids(venue: VenueProcess) -> tuple[str, ...]:
    return tuple(market.condition_id for market in venue.ask("state", _State).markets)


def _configuration(
    plan: DayPlan,
    addresses: Addresses,
    markets: tuple[str, ...],
    credentials: CredentialsFile,
    store: Path,
    durability: Durability,
) -> Configuration:
    """What a file would say: the defaults, but for what the day needs."""
    settings = AccountSettings(
        account=ACCOUNT,
        venue=VENUE,
        services=(
            ("clob", addresses.clob),
            ("data", addresses.data),
            ("gamma", addresses.gamma),
            ("rpc", addresses.rpc),
            ("ws_market", addresses.ws_market),
            ("ws_user", addresses.ws_user),
        ),
        markets=markets,
        settlement_asset=SETTLEMENT_ASSET,
        risk=RiskLimits(
            order_quantity_maximum=Quantity(Decimal(500)),
            order_notional_maximum=Cash(Decimal(100)),
            intent_notional_maximum=Cash(Decimal(250)),
            position_quantity_maximum=Quantity(Decimal(10_000)),
        ),
    )
    return Configuration(
        file="a simulated day",
        runtime=RuntimeConfiguration(
            name="day",
            store=str(store),
            durability=durability,
            map_size_bytes_max=MAP_SIZE_BYTES_MAX,
            seed=plan.seed,
        ),
        accounts=(AccountConfiguration(settings=settings, credentials=credentials, chain_id=137, signature_type=0),),
        strategies=(StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,)),),
    )
