"""A whole runtime and a simulated venue in one trio run, on a clock that jumps to whatever is due next.

    async def story(world: World) -> None:
        ticket = await world.submit(world.pair("p1"))
        world.crowd.sells(world.instruments[0], "0.44", "100")
        assert (await world.end_of(ticket)).outcome == "both"

    run_world(story, seed=1)

Everything is real but the wires and the disk: the dialect, httpx, the websocket library, the venue's server, its
exchange and every actor. There is no thread in it. The same seed gives the same log, in every process.
"""

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import msgspec
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ...actors.context import Context, Recorder
from ...actors.kernel import (
    DELIVER,
    DROP,
    ChildTerminated,
    DeadLetter,
    Delay,
    Envelope,
    ExitKind,
    Restart,
    Verdict,
)
from ...actors.settings import AccountSettings, StrategySettings
from ...actors.ticket import Report, Ticket
from ...model.account import AccountState
from ...model.alert import Alert
from ...model.event import AccountChanged, AlertClosed, AlertOpened, Event, ReconciliationEnded
from ...model.fill import Direction
from ...model.identifiers import AlertId, AssetId, ClientOrderId, InstrumentId, IntentId, StrategyName, VenueOrderId
from ...model.intent import AnyIntent, Intent, PairIntent, PairLeg, Side, Style, TimeInForce
from ...model.ledger import Ledger
from ...model.money import Cash, Price, Quantity
from ...model.order import OrderState
from ...runtime import Runtime, start_runtime
from ...store.errors import StoreFailed
from ...store.memory import MemoryDisk, MemoryStore
from ...store.port import Entry, Lsn
from ...store.reading import decoded
from ...store.records import journal_schema
from ...store.retention import Retention
from .clock import EPOCH_MS, MachineClock
from .polymarket import PolymarketRig
from .schedule import drawn_tasks, ordered_tasks
from .venue import VenueRig, VenueSession
from .wire import HttpRequest, Network, Weather

STRATEGY = StrategyName("pairs")
POLL_SECONDS = 0.05

E = TypeVar("E", bound=msgspec.Struct)
T = TypeVar("T")


class Crowd:
    """A background participant of the venue, with money and without a name of its own."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def buys(self, instrument: InstrumentId, price: str | Decimal, size: str | Decimal) -> str:
        """Place a bid; returns its order id at the venue."""
        return self._world.venue.place(instrument, Direction.BUY, Decimal(price), Decimal(size))

    def sells(self, instrument: InstrumentId, price: str | Decimal, size: str | Decimal) -> str:
        """Place an offer; returns its order id at the venue."""
        return self._world.venue.place(instrument, Direction.SELL, Decimal(price), Decimal(size))


class World:
    """One venue, one machine with its disk and clock, and the runtimes that come and go on it."""

    def __init__(
        self,
        rig: VenueRig,
        venue: VenueSession,
        nursery: trio.Nursery,
        *,
        seed: int = 1,
        settings: AccountSettings | None = None,
        strategy: StrategySettings | None = None,
        disk: MemoryDisk | None = None,
    ) -> None:
        self.rig = rig
        self.venue = venue
        self.seed = seed
        self.settings = rig.settings() if settings is None else settings
        self.strategy = StrategySettings(strategy=STRATEGY, accounts=(rig.account,)) if strategy is None else strategy
        self.nursery = nursery
        self.disk = MemoryDisk() if disk is None else disk
        self._commit_seconds = self.disk.latency_seconds
        self.disk.latency_seconds = self._begin_commit
        self.clock = MachineClock()
        self.weather = Weather()
        self.network = self._new_network()
        self.requests: list[HttpRequest] = []
        """Every request that left, over all starts."""
        self.crowd = Crowd(self)
        self.foreign_orders: set[VenueOrderId] = set()
        """Orders of our key that were made behind the runtime's back; see `trade_by_hand`."""
        self.crashes_expected = False
        """Set where actors are made to crash; without it a crash fails the run."""
        self.crashes: list[str] = []
        self.at_crash: list[Callable[[], None]] = []
        """Called after each of them, and of the letters."""
        self.letters: list[str] = []
        """Messages that were not handled, outside of stops and crashes."""
        self.end_expected = False
        """Set where the runtime is to end by itself; without it that fails the run."""
        self.ended_with: BaseException | None = None
        self.retention: Retention | None = None
        """What the journal keeps, from the next start on; None keeps all of it."""
        self.snapshot_every_entries: int | None = None
        """After so many entries the ledger is kept, from the next start on; None is what the runtime does by itself."""
        self.starts = 0
        self.deaths = 0
        self.at_request: list[Callable[[HttpRequest], None]] = []
        """Called with every request in the moment in which it leaves."""
        self.at_commit: list[Callable[[], None]] = []
        """Called when a commit begins: what it holds is not durable yet."""
        self.slow_commit_seconds = 0.0
        """What every commit takes longer."""
        self.died = trio.Event()
        """Set in the moment of death; a new one with the next start."""
        self.store_broke = trio.Event()
        """Set when the store fails; a new one with the next start."""
        self.store_failures: list[StoreFailed] = []
        """Every failure of a store, over all starts."""
        self._runtime: Runtime | None = None
        self._store: MemoryStore | None = None
        self._leave = trio.Event()
        self.left = trio.Event()
        """Set when no runtime runs any more; a new one with the next start."""
        self._codec = journal_schema().codec
        self._read_disk: MemoryDisk | None = None
        self._read: list[Entry] = []
        self._read_last = b""
        self._folded = Ledger(keep_ended=True)
        self._interceptors: list[Callable[[Envelope], Verdict]] = []
        self._crashing_recorder: Recorder | None = None
        self._crash_points: list[_CrashPoint] = []

    # ---- the runtime's life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start a runtime on the disk, and return when it runs (its account may not be Live yet)."""
        self.starts += 1
        self._leave, self.left, self.died, self.store_broke = (trio.Event() for _ in range(4))
        self.network = self._new_network()
        self.ended_with = None
        await self.nursery.start(self._run)

    async def start_live(self) -> None:
        """Start, and wait until the account is Live and its market data is there."""
        await self.start()
        await self.live()

    def _new_network(self) -> Network:
        network = Network(self.venue.connect, weather=self.weather)
        network.watch = self._request_left
        return network

    def _request_left(self, request: HttpRequest) -> None:
        self.requests.append(request)
        for told in self.at_request:
            told(request)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        failures: list[Callable[[StoreFailed], None]] = []

        def store_failed(failure: StoreFailed) -> None:
            self.store_failures.append(failure)
            self.store_broke.set()
            for tell in failures:
                tell(failure)

        started = False
        try:
            async with MemoryStore(journal_schema(), self.disk, on_failure=store_failed) as store:
                self._store = store
                async with start_runtime(
                    store,
                    name="world",
                    dialects={self.rig.account: self.rig.dialect()},
                    accounts={self.rig.account: self.settings},
                    strategies={self.strategy.strategy: self.strategy},
                    clock=self.clock,
                    connect=self.network.connect,
                    random=Random(f"{self.seed} start {self.starts}"),
                    failures=failures,
                    retention=self.retention,
                    snapshot_every_entries=self.snapshot_every_entries,
                ) as runtime:
                    self._runtime = runtime
                    runtime.system.events.subscribe(self._reported)
                    runtime.system.dead_letters.subscribe(self._dead_letter)
                    if self._interceptors:
                        runtime.system.intercept(self._decide)
                    task_status.started()
                    started = True
                    await self._leave.wait()
        except (Exception, BaseExceptionGroup) as error:
            if not (self.end_expected or self.died.is_set()):
                raise
            self.ended_with = error
            if not started:
                task_status.started()
        finally:
            self.left.set()
            self._runtime = self._store = None

    def _begin_commit(self) -> float:
        for told in list(self.at_commit):
            told()
        seconds = self._commit_seconds() if callable(self._commit_seconds) else self._commit_seconds
        return seconds + self.slow_commit_seconds

    def _reported(self, report: object) -> None:
        if self.died.is_set():
            return  # whatever is left of a dead process fails at its store
        if isinstance(report, ChildTerminated) and report.reason.kind is ExitKind.CRASHED:
            self._crashed(f"{report.path}: {report.reason}")

    def _dead_letter(self, letter: DeadLetter) -> None:
        if self.died.is_set():
            return
        if self._runtime is not None and not self._runtime.system.is_stopping:
            self.letters.append(letter.describe())
            self._tell_accident()
        if letter.traceback:
            self._crashed(f"{letter.describe()}\n{letter.traceback}")

    def _crashed(self, told: str) -> None:
        self.crashes.append(told)
        self._tell_accident()

    def _tell_accident(self) -> None:
        for tell in self.at_crash:
            tell()

    async def stop(self) -> None:
        """Stop the runtime in order."""
        self._leave.set()
        await self.left.wait()

    async def crash(self, *, keep: int = 0, torn: bool = False) -> None:
        """End the runtime as a killed process does: what was not durable is gone, and so are its sockets."""
        self.kill_process(keep=keep, torn=torn)
        await self.bury()

    def kill_process(self, *, keep: int = 0, torn: bool = False) -> None:
        """The moment of death, from anywhere: nothing more is recorded or sent. `bury` clears away what is left."""
        if self.died.is_set():
            return
        self.deaths += 1
        self.died.set()
        self.network.die()
        self.disk = self.store.crash(keep=keep, torn=torn)

    async def bury(self) -> None:
        """Clear away a runtime whose store has crashed. What was on the wires by then still arrives."""
        await self.network.let_go()
        self._leave.set()
        await self.left.wait()
        self.ended_with = None

    async def restart(self) -> None:
        """Stop in order and start again on the same disk."""
        await self.stop()
        await self.start()

    async def crash_and_restart(self, *, keep: int = 0, torn: bool = False) -> None:
        await self.crash(keep=keep, torn=torn)
        await self.start()

    async def ended(self) -> None:
        """Wait until no runtime runs, whatever ended it."""
        await self.left.wait()

    @property
    def is_running(self) -> bool:
        return self._runtime is not None

    @property
    def is_up(self) -> bool:
        """Whether a process is there that can die; it may be starting still."""
        return self._store is not None and not self.died.is_set()

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None, "start it first"
        return self._runtime

    @property
    def store(self) -> MemoryStore:
        assert self._store is not None, "start it first"
        return self._store

    @property
    def context(self) -> Context:
        return self.runtime._context  # noqa: SLF001 - a world looks inside

    # ---- the host's side ----------------------------------------------------------------------------------

    @property
    def instruments(self) -> tuple[InstrumentId, ...]:
        """The venue's instruments; the first two belong to no common market."""
        return self.rig.instruments

    def pair(
        self,
        intent_id: str = "p1",
        *,
        long: str = "0.44",
        short: str = "0.60",
        notional: str = "44",
        seconds: float = 20,
        child: str | None = None,
        post_only: bool = False,
    ) -> PairIntent:
        """Long the first instrument and short the second by the same notional."""
        return PairIntent(
            intent_id=IntentId(intent_id),
            strategy=self.strategy.strategy,
            account=self.rig.account,
            long=PairLeg(instrument=self.instruments[0], limit_price=Price(Decimal(long))),
            short=PairLeg(instrument=self.instruments[1], limit_price=Price(Decimal(short))),
            notional=Cash(Decimal(notional)),
            expires_at_ns=self.clock.wall_ns() + round(seconds * 1e9),
            style=Style.POST_ONLY if post_only else Style.LIMIT,
            child_quantity_maximum=None if child is None else Quantity(Decimal(child)),
        )

    def single(
        self,
        intent_id: str = "i1",
        *,
        instrument: InstrumentId | None = None,
        side: Side = Side.BUY,
        quantity: str = "50",
        price: str = "0.44",
        seconds: float = 20,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        child: str | None = None,
    ) -> Intent:
        """One instrument (the first, if none is named), one side, one quantity."""
        return Intent(
            intent_id=IntentId(intent_id),
            strategy=self.strategy.strategy,
            account=self.rig.account,
            instrument=self.instruments[0] if instrument is None else instrument,
            side=side,
            quantity=Quantity(Decimal(quantity)),
            limit_price=Price(Decimal(price)),
            expires_at_ns=self.clock.wall_ns() + round(seconds * 1e9),
            time_in_force=time_in_force,
            style=Style.POST_ONLY if post_only else Style.LIMIT,
            child_quantity_maximum=None if child is None else Quantity(Decimal(child)),
        )

    async def submit(self, intent: AnyIntent) -> Ticket:
        return await self.runtime.submit(intent)

    async def end_of(self, ticket: Ticket, *, seconds: float = 120) -> Report:
        """The terminal report. Fails when it does not come in time."""
        with trio.move_on_after(seconds):
            return await ticket.ended_async()
        raise AssertionError(f"no terminal report within {seconds} s; {self.describe()}")

    async def live(self, *, seconds: float = 120) -> None:
        """Wait until the account is Live and both books of every market were seen."""
        await self.until(self.is_live, seconds=seconds)

    def is_live(self) -> bool:
        """Whether new orders would go out now."""
        if self._runtime is None:
            return False
        quotes = self.context.quotes
        return (
            self.ledger.account(self.rig.account).state is AccountState.LIVE
            and bool(quotes)
            and all(quote.fresh for quote in quotes.values())
        )

    async def until(self, fact: Callable[[], object], *, seconds: float = 120) -> None:
        """Wait until something holds. Fails when it does not in time."""
        with trio.move_on_after(seconds):
            while not fact():  # noqa: ASYNC110 - any fact of the world, most of which tell nobody
                await trio.sleep(POLL_SECONDS)
            return
        raise AssertionError(f"{_source(fact)} did not come true in {seconds} s; {self.describe()}")

    async def quiet(self) -> None:
        """Wait until everything that is on its way has arrived; no time passes."""
        await wait_all_tasks_blocked()

    async def converged(self, *, seconds: float = 120) -> None:
        """Wait until the account is Live, nothing is at work or unsettled, and all views were last found to agree."""
        await self.until(self.is_converged, seconds=seconds)

    def is_converged(self) -> bool:
        if not self.is_live() or self.store.pending:
            return False
        ledger = self.ledger
        return (
            not any(True for _ in ledger.active_intents())
            and not any(True for _ in ledger.live_orders())
            and not ledger.unsettled
            and all(truth.agree for truth in ledger.truths.values())
        )

    def heal(self) -> None:
        """End what lasts. What is broken by now (a half-open connection, say) the runtime must notice itself."""
        self.disk.heal()
        self.weather.clear()
        self.network.mend()
        self.clock.correct()
        self.venue.lift_all()
        self.venue.settle_all()

    def check_no_accidents(self) -> None:
        """Raise AssertionError if an actor crashed, or a message was lost, that nobody asked for."""
        assert self.crashes_expected or not self.crashes, "\n".join(self.crashes)
        assert self.crashes_expected or not self.letters, "\n".join(self.letters)

    # ---- looking at the runtime ---------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        return self.runtime.ledger

    def entries(self) -> list[Entry]:
        """The durable journal, whether a runtime runs or not."""
        disk, start = self.disk, Lsn(len(self._read) + 1)
        if self._read_disk is not disk:
            # What a death leaves begins as it was, unless power was lost: a long day has hundreds of deaths.
            last = next(disk.records(Lsn(len(self._read))), None) if self._read else None
            if self._read and (last is None or last[1] != self._read_last):
                self._read, self._folded, start = [], Ledger(keep_ended=True), Lsn(1)
            self._read_disk = disk
        for entry in decoded(self._codec, self._remembered(disk.records(start))):
            self._read.append(entry)
            if isinstance(entry.event, Event):
                self._folded.apply(entry.event, entry.at_ns)
        return self._read

    def _remembered(self, records: Iterable[tuple[Lsn, bytes]]) -> Iterator[tuple[Lsn, bytes]]:
        for found in records:
            self._read_last = found[1]
            yield found

    def events(self, kind: type[E]) -> list[E]:
        """Every durable event of a kind, oldest first."""
        return [entry.event for entry in self.entries() if isinstance(entry.event, kind)]

    def folded(self) -> Ledger:
        """What the durable journal adds up to, with everything that has ended kept."""
        self.entries()
        return self._folded

    def orders(self) -> dict[ClientOrderId, OrderState]:
        """Every order there ever was, ended ones included."""
        return self.folded().orders

    def order(self) -> OrderState:
        """The only order."""
        (found,) = self.orders().values()
        return found

    def alerts(self, kind: str | None = None) -> list[Alert]:
        """Every alert ever opened, oldest first, in its present state."""
        return [found for found in self.folded().alerts.values() if kind in {None, found.kind}]

    def opened(self, kind: str) -> list[AlertId]:
        """The ids of alerts opened, one for each opening."""
        return [event.alert.alert_id for event in self.events(AlertOpened) if event.alert.kind == kind]

    def closed(self, alert_id: str) -> list[AlertClosed]:
        return [event for event in self.events(AlertClosed) if event.alert_id == alert_id]

    def held(self, asset: str) -> Decimal:
        """How much of an asset the book has, matches counted."""
        return self.folded().book(self.rig.account, AssetId(asset)).matched

    def sweeps(self) -> list[ReconciliationEnded]:
        return self.events(ReconciliationEnded)

    def states(self) -> list[str]:
        """The states the account went through, repetitions left out."""
        found: list[str] = []
        for event in self.events(AccountChanged):
            if not found or found[-1] != event.state:
                found.append(str(event.state))
        return found

    def describe(self) -> str:
        """What a failed run wants to know."""
        lines = [f"seed {self.seed}, at {trio.current_time():.2f} s"]
        if self._runtime is not None:
            entry = self.ledger.account(self.rig.account)
            lines.append(f"account {entry.state}: {entry.reason}")
        else:
            lines.append(f"no runtime runs; the last ended with {self.ended_with!r}")
        told = [entry for entry in self.entries() if isinstance(entry.event, Event)]
        lines += [f"  {entry.at_ns / 1e9 - EPOCH_MS / 1e3:.3f} {entry.event!r:.400}" for entry in told[-40:]]
        lines += [f"  {found.at:.3f} {found.method} {found.target}" for found in self.requests[-40:]]
        lines += self.crashes
        return "\n".join(lines)

    # ---- looking at the venue -----------------------------------------------------------------------------

    def wallet(self, asset: str) -> Decimal:
        """What the account holds of an asset for sure."""
        return self.venue.holdings().get(AssetId(asset), Decimal(0))

    async def trade_by_hand(self, instrument: InstrumentId, direction: Direction, price: str, quantity: str) -> str:
        """Somebody trades with the runtime's own key, past it; returns the foreign order's id."""
        found = await self.venue.trade_by_hand(instrument, direction, Decimal(price), Decimal(quantity))
        self.foreign_orders.add(found)
        return found

    # ---- doing things to the actors -----------------------------------------------------------------------

    def kill(self, path: str) -> None:
        """Crash an actor between two of its messages; its supervisor decides the rest."""
        self.crashes_expected = True
        found = self.runtime.system.find(path)
        assert found is not None, f"there is no actor at {path}"
        found.control(Restart("injected"))

    def crash_on(
        self, kind: type[Event], *, before: bool = False, times: int = 1, told: Callable[[], None] | None = None
    ) -> None:
        """Crash whichever actor records an event of this kind, right after (or before) it was recorded.

        `told` is called each time.
        """
        self.crashes_expected = True
        recorder = self.context.recorder
        if recorder is not self._crashing_recorder:
            self._crashing_recorder, self._crash_points = recorder, []
            recorder.record = _crashing(recorder.record, self._crash_points)  # type: ignore[method-assign]  # the point
        self._crash_points.append(_CrashPoint(kind, before, times, told))

    def intercept(self, decide: Callable[[Envelope], Verdict]) -> Callable[[], None]:
        """Let a function decide about every message, also of later starts; returns what ends that.

        The first of several that does not deliver decides.
        """
        self._interceptors.append(decide)
        if self._runtime is not None:
            self._runtime.system.intercept(self._decide)

        def end() -> None:
            if decide in self._interceptors:
                self._interceptors.remove(decide)
            if not self._interceptors and self._runtime is not None:
                self._runtime.system.intercept(None)

        return end

    def _decide(self, envelope: Envelope) -> Verdict:
        for decide in self._interceptors:
            verdict = decide(envelope)
            if verdict is not DELIVER:
                return verdict
        return DELIVER

    def lose(self, kind: type, *, times: int = 1) -> None:
        """Lose messages of a type between two actors."""
        left = [times]

        def decide(envelope: Envelope) -> Verdict:
            if isinstance(envelope.message, kind) and left[0] > 0:
                left[0] -= 1
                return DROP
            return DELIVER

        self.intercept(decide)

    def delay(self, kind: type, seconds: float) -> None:
        """Delay messages of a type between actors."""
        self.intercept(lambda envelope: Delay(seconds) if isinstance(envelope.message, kind) else DELIVER)


class _CrashPoint:
    """Whoever records an event of this kind crashes, so many times."""

    def __init__(self, kind: type[Event], before: bool, times: int, told: Callable[[], None] | None) -> None:
        self.kind = kind
        self.before = before
        self.left = times
        self.told = told


def _crashing(record: Callable[..., Lsn], points: list[_CrashPoint]) -> Callable[..., Lsn]:
    """A recorder's `record` that raises at the first point that an event meets; one that is used up is forgotten."""

    def recording(*events: Any, cause: int = 0) -> Lsn:
        point = next((found for found in points if any(isinstance(event, found.kind) for event in events)), None)
        if point is None:
            return record(*events, cause=cause)
        point.left -= 1
        if point.left == 0:
            points.remove(point)
        if point.told is not None:
            point.told()
        if point.before:
            raise RuntimeError(f"injected before {point.kind.__name__}")
        record(*events, cause=cause)
        raise RuntimeError(f"injected after {point.kind.__name__}")

    return recording


def _source(fact: Callable[[], object]) -> str:
    try:
        return inspect.getsource(fact).strip()
    except OSError:
        return repr(fact)


def run_world(
    story: Callable[[World], Awaitable[T]],
    *,
    seed: int = 1,
    rig: VenueRig | None = None,
    settings: AccountSettings | None = None,
    strategy: StrategySettings | None = None,
    disk: MemoryDisk | None = None,
    start: bool = True,
    seconds_maximum: float = math.inf,
) -> T:
    """Run a story in a world of its own and return what it returns; with `start`, the account is Live when it begins.

    `seed` decides the order of tasks, the runtime's own randomness and what the story draws from it. Whatever the
    story leaves running is stopped in order. Raises what the story raises, and AssertionError where an actor crashed
    or a message was lost that the story did not ask for, or `seconds_maximum` of the world's time have passed.
    """
    venue_rig = PolymarketRig() if rig is None else rig

    async def main() -> T:
        async with venue_rig.open(epoch_ms=EPOCH_MS) as venue, trio.open_nursery() as nursery:
            world = World(venue_rig, venue, nursery, seed=seed, settings=settings, strategy=strategy, disk=disk)
            with trio.move_on_after(seconds_maximum) as scope:
                if start:
                    await world.start_live()
                result = await story(world)
                if world.is_running:
                    await world.stop()
            if scope.cancelled_caught:
                raise AssertionError(f"the story did not end in {seconds_maximum} s; {world.describe()}")
            world.check_no_accidents()
            nursery.cancel_scope.cancel()
        return result

    return simulate(main, seed=seed)


def simulate(main: Callable[[], Awaitable[T]], *, seed: int = 1, draw: Callable[[int], int] | None = None) -> T:
    """Run an async function on a clock that jumps, its tasks in an order that follows from the seed, or is drawn."""
    with ordered_tasks(seed) if draw is None else drawn_tasks(draw):
        try:
            return trio.run(main, clock=MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            raise innermost(group) from None


def innermost(error: BaseException) -> BaseException:
    """The only exception inside nested groups of one, else the innermost group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
