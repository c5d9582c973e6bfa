"""A whole runtime and a simulated venue in one trio run, on a clock that jumps to whatever is due next.

    @scenario()
    async def test_a_pair_fills_both_legs(world: World) -> None:
        ticket = await world.submit(pair("p1"))
        world.crowd.sells(RAIN_YES, "0.44", "100")
        assert (await world.end_of(ticket)).outcome == "both"

Everything is real but the wires and the disk: the dialect, httpx, the websocket library, hypercorn, the simulated
exchange and every actor. `MemoryStore` has no thread, so jumping is right; `World.crash` leaves what its disk had.

After each scenario the laws are checked that hold after every day (design 14), and no actor may have crashed that the
scenario did not ask to.
"""

import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from random import Random
from typing import Any, Concatenate, ParamSpec, TypeVar

import h11
import msgspec
import trio
from tallystick.actors.context import Context
from tallystick.actors.kernel import (
    DELIVER,
    DROP,
    ChildTerminated,
    DeadLetter,
    Delay,
    Envelope,
    ExitKind,
    Restart,
    TrioClock,
)
from tallystick.actors.settings import AccountSettings, StrategySettings
from tallystick.actors.ticket import Report, Ticket
from tallystick.model.account import AccountState
from tallystick.model.alert import Alert
from tallystick.model.event import (
    AccountChanged,
    AlertClosed,
    AlertOpened,
    Event,
    FillRecorded,
    IntentAccepted,
    IntentEnded,
    OrderDone,
    OrderSubmitted,
    ReconciliationEnded,
    SliceComputed,
    SliceWithdrawn,
)
from tallystick.model.identifiers import (
    AccountId,
    AlertId,
    AssetId,
    ClientOrderId,
    InstrumentId,
    IntentId,
    StrategyName,
    VenueName,
)
from tallystick.model.intent import AnyIntent, Intent, PairIntent, PairLeg, Side, Style, TimeInForce
from tallystick.model.ledger import Ledger
from tallystick.model.money import Cash, Price, Quantity
from tallystick.model.order import OrderState
from tallystick.model.risk_facts import RiskLimits
from tallystick.runtime import Runtime, start_runtime
from tallystick.store.errors import StoreFailed
from tallystick.store.memory import MemoryDisk, MemoryStore
from tallystick.store.port import Entry, Lsn
from tallystick.store.reading import decoded
from tallystick.store.records import journal_schema
from tallystick.venues.polymarket.account import TradingAccount
from tallystick.venues.polymarket.dialect import PolymarketDialect
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import AnyFault
from tallystick.venues.sim.polymarket.markets import MarketSpec
from tallystick.venues.sim.polymarket.running import RunningServer, running_server
from tallystick.venues.sim.polymarket.venue import VenueSettings
from trio.abc import HalfCloseableStream
from trio.testing import MockClock, wait_all_tasks_blocked

SCHEDULE_SEED = int(os.environ.get("TALLYSTICK_SCHEDULE", "1"))
"""Another number gives every scenario other interleavings of its tasks."""
EPOCH_MS = 1_800_000_000_000
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OWNER = Signer(KEY).address
ACCOUNT = AccountId("polymarket:main")
STRATEGY = StrategyName("pairs")
CASH = AssetId("pUSD")
RAIN_YES = InstrumentId("polymarket:rain:Yes")
RAIN_NO = InstrumentId("polymarket:rain:No")
SNOW_YES = InstrumentId("polymarket:snow:Yes")
SNOW_NO = InstrumentId("polymarket:snow:No")
SLOW_YES = InstrumentId("polymarket:slow:Yes")
MARKETS = (
    MarketSpec(question="Rain?", slug="rain", fee_rate=Decimal("0.04")),
    MarketSpec(question="Snow?", slug="snow"),
    MarketSpec(question="Slow?", slug="slow", taker_delay_ms=3_000),
)
VENUE_SETTINGS = VenueSettings(markets=MARKETS, fund=Decimal(1_000))

T = TypeVar("T")
E = TypeVar("E", bound=msgspec.Struct)
Parameters = ParamSpec("Parameters")


# ---- what is asked for ------------------------------------------------------------------------------------


def now_ns() -> int:
    """The time of the world, UTC nanoseconds: what the venue's clock shows, too."""
    return EPOCH_MS * 1_000_000 + round(trio.current_time() * 1e9)


def pair(
    intent_id: str = "p1",
    *,
    long: str = "0.44",
    short: str = "0.60",
    notional: str = "44",
    seconds: float = 20,
    child: str | None = None,
    post_only: bool = False,
) -> PairIntent:
    """Long rain and short snow by the same notional; the short is a purchase of its complement at one minus."""
    return PairIntent(
        intent_id=IntentId(intent_id),
        strategy=STRATEGY,
        account=ACCOUNT,
        long=PairLeg(instrument=RAIN_YES, limit_price=Price(Decimal(long))),
        short=PairLeg(instrument=SNOW_YES, limit_price=Price(Decimal(short))),
        notional=Cash(Decimal(notional)),
        expires_at_ns=now_ns() + round(seconds * 1e9),
        style=Style.POST_ONLY if post_only else Style.LIMIT,
        child_quantity_maximum=None if child is None else Quantity(Decimal(child)),
    )


def single(
    intent_id: str = "i1",
    *,
    instrument: InstrumentId = RAIN_YES,
    side: Side = Side.BUY,
    quantity: str = "50",
    price: str = "0.44",
    seconds: float = 20,
    time_in_force: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
    child: str | None = None,
) -> Intent:
    """One instrument, one side, one quantity."""
    return Intent(
        intent_id=IntentId(intent_id),
        strategy=STRATEGY,
        account=ACCOUNT,
        instrument=instrument,
        side=side,
        quantity=Quantity(Decimal(quantity)),
        limit_price=Price(Decimal(price)),
        expires_at_ns=now_ns() + round(seconds * 1e9),
        time_in_force=time_in_force,
        style=Style.POST_ONLY if post_only else Style.LIMIT,
        child_quantity_maximum=None if child is None else Quantity(Decimal(child)),
    )


# ---- the wires --------------------------------------------------------------------------------------------


class HttpRequest(msgspec.Struct, frozen=True):
    """One request as its bytes left the runtime, at a moment of trio's clock."""

    method: str
    target: str
    body: bytes
    at: float

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Link(HalfCloseableStream):
    """One connection of the runtime: the venue's in-memory stream, read along and able to break."""

    def __init__(self, network: "Network", stream: HalfCloseableStream) -> None:
        self._network = network
        self._stream = stream
        self._reader: h11.Connection | None = h11.Connection(h11.SERVER)
        self._begun: tuple[str, str] | None = None
        self._body = b""
        self.broken = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.broken:
            raise trio.BrokenResourceError("the network is down")
        self._read_along(bytes(data))
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self._network.links.discard(self)
        await self._stream.aclose()

    async def break_now(self) -> None:
        """Lose the connection; both sides notice."""
        self.broken = True
        self._network.links.discard(self)
        await trio.aclose_forcefully(self._stream)

    def _read_along(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        reader.receive_data(data)
        while True:
            event = reader.next_event()
            if isinstance(event, h11.Request):
                self._begun, self._body = (event.method.decode(), event.target.decode()), b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert self._begun is not None
                method, target = self._begun
                found = HttpRequest(method=method, target=target, body=self._body, at=trio.current_time())
                self._network.requests.append(found)
                if target.startswith("/ws/"):
                    self._reader = None  # from here on it speaks websocket
                else:
                    # Answers are not read along; the reader is told that there was one.
                    self._reader = h11.Connection(h11.SERVER)
                return
            else:
                return


class Network:
    """All wires between one runtime and the venue: every request that left, and a switch for the whole."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.links: set[Link] = set()
        self.requests: list[HttpRequest] = []
        self.is_down = False

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.is_down:
            raise OSError(f"no route to {host}:{port}")
        link = Link(self, self._server.connect())
        self.links.add(link)
        return link

    async def go_down(self) -> None:
        """Every connection is lost and none can be made."""
        self.is_down = True
        for link in list(self.links):
            await link.break_now()

    def come_back(self) -> None:
        self.is_down = False

    def sent(self, method: str, path: str) -> list[HttpRequest]:
        """Requests that left, by method and exact path (a path that ends in a slash is a prefix)."""
        return [
            found
            for found in self.requests
            if found.method == method
            and (found.path.startswith(path) if path.endswith("/") and path != "/" else found.path == path)
        ]


# ---- the other side of every trade ------------------------------------------------------------------------


class Crowd:
    """A background participant of the venue, with money and without a name of its own."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def buys(self, instrument: InstrumentId, price: str, size: str) -> str:
        """Place a bid; returns its order id at the venue."""
        return self._place(instrument, "BUY", price, size)

    def sells(self, instrument: InstrumentId, price: str, size: str) -> str:
        """Place an offer; returns its order id at the venue."""
        return self._place(instrument, "SELL", price, size)

    def _place(self, instrument: InstrumentId, side: Any, price: str, size: str) -> str:
        _, market, outcome = instrument.split(":")
        row = self._world.do(
            actions.PlaceOrder(
                participant="crowd",
                market=market,
                outcome=outcome,
                side=side,
                price=Decimal(price),
                size=Decimal(size),
            )
        )
        return str(row["id"])


# ---- the world --------------------------------------------------------------------------------------------


class World:
    """One venue, one disk, and the runtimes that come and go on them."""

    def __init__(
        self,
        server: RunningServer,
        nursery: trio.Nursery,
        *,
        settings: AccountSettings,
        strategy: StrategySettings,
        disk: MemoryDisk | None = None,
        surplus_shares_allowed: bool = False,
    ) -> None:
        self.server = server
        self.settings = settings
        self.strategy = strategy
        self.disk = MemoryDisk() if disk is None else disk
        self.network = Network(server)
        self.crowd = Crowd(self)
        self.crashes_expected = False
        """Set by scenarios that make actors crash; without it a crash fails the scenario."""
        self.crashes: list[str] = []
        self.letters: list[str] = []
        """Messages that were not handled, outside of stops and crashes."""
        self.end_expected = False
        """Set by scenarios in which the runtime ends by itself; without it that fails the scenario."""
        self.ended_with: BaseException | None = None
        self.surplus_shares_allowed = surplus_shares_allowed
        self._nursery = nursery
        self._runtime: Runtime | None = None
        self._store: MemoryStore | None = None
        self._leave = trio.Event()
        self._left = trio.Event()
        self._starts = 0
        self._codec = journal_schema().codec
        self._read_disk: MemoryDisk | None = None
        self._read: list[Entry] = []
        self._groups_read = 0
        self._folded = Ledger(keep_ended=True)

    # ---- the runtime's life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start a runtime on the disk, and return when it runs (its account may not be Live yet)."""
        self._starts += 1
        self._leave, self._left = trio.Event(), trio.Event()
        self.network = Network(self.server)
        self.ended_with = None
        await self._nursery.start(self._run)

    async def start_live(self) -> None:
        """Start, and wait until the account is Live and its market data is there."""
        await self.start()
        await self.live()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        failures: list[Callable[[StoreFailed], None]] = []

        def store_failed(failure: StoreFailed) -> None:
            for tell in failures:
                tell(failure)

        started = False
        clock = trio.lowlevel.current_clock()
        dialect = PolymarketDialect(
            ACCOUNT, TradingAccount(Signer(KEY), surplus_shares_allowed=self.surplus_shares_allowed)
        )
        try:
            async with MemoryStore(journal_schema(), self.disk, on_failure=store_failed) as store:
                self._store = store
                async with start_runtime(
                    store,
                    name="world",
                    dialects={ACCOUNT: dialect},
                    accounts={ACCOUNT: self.settings},
                    strategies={STRATEGY: self.strategy},
                    clock=TrioClock(wall_ns=lambda: EPOCH_MS * 1_000_000 + round(clock.current_time() * 1e9)),
                    connect=self.network.connect,
                    random=Random(self._starts),
                    failures=failures,
                ) as runtime:
                    self._runtime = runtime
                    runtime.system.events.subscribe(self._reported)
                    runtime.system.dead_letters.subscribe(self._dead_letter)
                    task_status.started()
                    started = True
                    await self._leave.wait()
        except (Exception, BaseExceptionGroup) as error:
            if not started or not self.end_expected:
                raise
            self.ended_with = error
        finally:
            self._left.set()

    def _reported(self, report: object) -> None:
        if isinstance(report, ChildTerminated) and report.reason.kind is ExitKind.CRASHED:
            self.crashes.append(f"{report.path}: {report.reason}")

    def _dead_letter(self, letter: DeadLetter) -> None:
        if not self.runtime.system.is_stopping:
            self.letters.append(letter.describe())
        if letter.traceback:
            self.crashes.append(f"{letter.describe()}\n{letter.traceback}")

    async def stop(self) -> None:
        """Stop the runtime in order."""
        self._leave.set()
        await self._left.wait()
        self._runtime = self._store = None

    async def crash(self, *, keep: int = 0, torn: bool = False) -> None:
        """End the runtime as a killed process does: what was not durable is gone, and so are its sockets."""
        assert self._store is not None
        self.disk = self._store.crash(keep=keep, torn=torn)
        await self.bury()

    async def bury(self) -> None:
        """Clear away a runtime whose store has crashed: nothing of it reaches the venue any more."""
        await self.network.go_down()
        self._leave.set()
        await self._left.wait()
        self.ended_with = None
        self._runtime = self._store = None

    async def restart(self) -> None:
        """Stop in order and start again on the same disk."""
        await self.stop()
        await self.start()

    async def crash_and_restart(self, *, keep: int = 0, torn: bool = False) -> None:
        await self.crash(keep=keep, torn=torn)
        await self.start()

    @property
    def is_running(self) -> bool:
        return self._runtime is not None

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
        return self.runtime._context

    # ---- the host's side ----------------------------------------------------------------------------------

    async def submit(self, intent: AnyIntent) -> Ticket:
        return await self.runtime.submit(intent)

    async def end_of(self, ticket: Ticket, *, seconds: float = 120) -> Report:
        """The terminal report. Fails when it does not come in time."""
        with trio.move_on_after(seconds):
            return await ticket.ended_async()
        raise AssertionError(f"no terminal report within {seconds} s; {self.describe()}")

    async def live(self) -> None:
        """Wait until the account is Live and both books of every market were seen."""
        await self.until(self._is_live)

    def _is_live(self) -> bool:
        quotes = self.context.quotes
        return (
            self.ledger.account(ACCOUNT).state is AccountState.LIVE
            and bool(quotes)
            and all(quote.fresh for quote in quotes.values())
        )

    async def until(self, fact: Callable[[], object], *, seconds: float = 120) -> None:
        """Wait until something holds. Fails when it does not in time."""
        with trio.move_on_after(seconds):
            while not fact():  # noqa: ASYNC110 - any fact of the world, most of which tell nobody
                await trio.sleep(0.05)
            return
        raise AssertionError(f"{inspect.getsource(fact).strip()} did not come true in {seconds} s; {self.describe()}")

    async def quiet(self) -> None:
        """Wait until everything that is on its way has arrived; no time passes."""
        await wait_all_tasks_blocked()

    # ---- looking at the runtime ---------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        return self.runtime.ledger

    def entries(self) -> list[Entry]:
        """The durable journal, whether a runtime runs or not."""
        if self._read_disk is not self.disk:
            self._read_disk, self._read, self._groups_read = self.disk, [], 0
            self._folded = Ledger(keep_ended=True)
        fresh = self.disk.groups[self._groups_read :]
        self._groups_read += len(fresh)
        records = [record for group in fresh if not group.torn for record in group.records]
        numbered = ((Lsn(number), record) for number, record in enumerate(records, len(self._read) + 1))
        for entry in decoded(self._codec, numbered):
            self._read.append(entry)
            if isinstance(entry.event, Event):
                self._folded.apply(entry.event, entry.at_ns)
        return self._read

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
        return self.folded().book(ACCOUNT, AssetId(asset)).matched

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
        """What a failed test wants to know."""
        lines = [f"at {trio.current_time():.2f} s"]
        if self._runtime is not None:
            entry = self.ledger.account(ACCOUNT)
            lines.append(f"account {entry.state}: {entry.reason}")
        told = [entry for entry in self.entries() if isinstance(entry.event, Event)]
        lines += [f"  {entry.at_ns / 1e9 - EPOCH_MS / 1e3:.3f} {entry.event!r:.400}" for entry in told[-40:]]
        lines += [f"  {found.at:.3f} {found.method} {found.target}" for found in self.network.requests[-40:]]
        lines += self.crashes
        return "\n".join(lines)

    # ---- looking at the venue -----------------------------------------------------------------------------

    def venue_orders(self) -> list[dict[str, Any]]:
        """Every order of ours that the venue ever accepted, by its own books."""
        return [dict(row) for row in self.server.books.orders(OWNER)]

    def venue_order(self) -> dict[str, Any]:
        """Our only order at the venue."""
        (found,) = self.venue_orders()
        return found

    def venue_trades(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.server.books.trades(OWNER)]

    def wallet(self, asset: InstrumentId | None = None) -> Decimal:
        """What the chain says that the wallet holds: cash, or an outcome share."""
        held = self.server.books.balances()[OWNER]
        return Decimal(held.get("pUSD" if asset is None else self.token(asset), "0"))

    def token(self, instrument: InstrumentId) -> str:
        """The token id of an instrument at the venue."""
        _, slug, outcome = instrument.split(":")
        (market,) = (found for found in self.server.venue.catalogue.all() if found.slug == slug)
        return str(market.token_ids[market.spec.outcomes.index(outcome)])

    # ---- doing things to the venue ------------------------------------------------------------------------

    def do(self, action: actions.AnyAction) -> dict[str, Any]:
        """Have the venue's operator do something now."""
        self.server.refresh()
        done = self.server.admin.do(action)
        self.server.refresh()
        return dict(done)

    def fault(self, fault: AnyFault) -> int:
        """Switch a fault on; returns its id."""
        return int(self.do(actions.PutOnFault(fault=fault))["fault_id"])

    def heal(self, fault_id: int | None = None) -> None:
        """Lift one fault, or all."""
        self.do(actions.LiftFaults(fault_id=fault_id))

    def bites(self) -> int:
        """How often faults have bitten so far."""
        return sum(int(str(row["bites"])) for row in self.server.books.faults())

    # ---- doing things to the actors -----------------------------------------------------------------------

    def kill(self, path: str) -> None:
        """Crash an actor between two of its messages; its supervisor decides the rest."""
        self.crashes_expected = True
        found = self.runtime.system.find(path)
        assert found is not None, f"there is no actor at {path}"
        found.control(Restart("injected"))

    def crash_on(self, kind: type[Event], *, before: bool = False, times: int = 1) -> None:
        """Crash whichever actor records an event of this kind, right after (or before) it was recorded."""
        self.crashes_expected = True
        recorder = self.context.recorder
        record = recorder.record
        left = [times]

        def recording(*events: Any, cause: int = 0) -> Lsn:
            meant = left[0] > 0 and any(isinstance(event, kind) for event in events)
            if meant:
                left[0] -= 1
            if meant and before:
                raise RuntimeError(f"injected before {kind.__name__}")
            lsn = record(*events, cause=cause)
            if meant:
                raise RuntimeError(f"injected after {kind.__name__}")
            return lsn

        recorder.record = recording  # type: ignore[method-assign]  # the point of it

    def lose(self, kind: type, *, times: int = 1) -> None:
        """Lose messages of a type between two actors."""
        left = [times]

        def decide(envelope: Envelope) -> Any:
            if isinstance(envelope.message, kind) and left[0] > 0:
                left[0] -= 1
                return DROP
            return DELIVER

        self.runtime.system.intercept(decide)

    def delay(self, kind: type, seconds: float) -> None:
        """Delay messages of a type between actors."""

        def decide(envelope: Envelope) -> Any:
            return Delay(seconds) if isinstance(envelope.message, kind) else DELIVER

        self.runtime.system.intercept(decide)

    # ---- laws ---------------------------------------------------------------------------------------------

    def check_laws(self) -> None:
        """What holds after every scenario, whatever happened in it (design 14)."""
        entries = self.entries()
        events = [entry.event for entry in entries]
        ours = {row["id"] for row in self.venue_orders()}
        submitted = [event for event in events if isinstance(event, OrderSubmitted)]
        computed = [event.terms.client_order_id for event in events if isinstance(event, SliceComputed)]
        assert len(computed) == len(set(computed)), f"a slice was computed twice: {computed}"
        names = [event.client_order_id for event in submitted]
        assert len(names) == len(set(names)), f"an order was signed twice: {names}"
        foreign = ours - {event.venue_order_id for event in submitted} - self.foreign_orders
        assert not foreign, f"the venue has orders that the journal does not: {foreign}"
        accepted = [event.intent.intent_id for event in events if isinstance(event, IntentAccepted)]
        ended = [event.intent_id for event in events if isinstance(event, IntentEnded)]
        assert len(ended) == len(set(ended)), f"an intent ended twice: {ended}"
        assert set(ended) <= set(accepted)
        fills = [event.fill.execution.key for event in events if isinstance(event, FillRecorded)]
        assert len(fills) == len(set(fills)), f"a fill was counted twice: {fills}"
        done = [event.client_order_id for event in events if isinstance(event, (OrderDone, SliceWithdrawn))]
        assert len(done) == len(set(done)), f"an order ended twice: {done}"
        self._check_nothing_left_before_it_was_durable(entries)

    def _check_nothing_left_before_it_was_durable(self, entries: list[Entry]) -> None:
        bodies = {entry.event.body for entry in entries if isinstance(entry.event, OrderSubmitted)}
        sent = {request.body for request in self.network.sent("POST", "/order")}
        assert sent <= bodies, "an order left whose bytes the journal does not have"

    @property
    def foreign_orders(self) -> set[str]:
        """Orders of our key that scenarios made behind the runtime's back; see `trade_by_hand`."""
        return self._foreign

    _foreign: set[str] = set()  # noqa: RUF012 - replaced, never changed

    def expect_foreign(self, order_id: str) -> None:
        self._foreign = self._foreign | {order_id}


# ---- running scenarios ------------------------------------------------------------------------------------


def account_settings(**changes: Any) -> AccountSettings:
    """The defaults, at the simulated venue."""
    settings = AccountSettings(
        account=ACCOUNT,
        venue=VenueName("polymarket"),
        services=(
            ("clob", "http://venue"),
            ("data", "http://venue"),
            ("gamma", "http://venue"),
            ("rpc", "http://venue/rpc"),
            ("ws_market", "ws://venue/ws/market"),
            ("ws_user", "ws://venue/ws/user"),
        ),
        markets=("rain", "snow", "slow"),
        settlement_asset=CASH,
        risk=RiskLimits(),
    )
    return msgspec.structs.replace(settings, **changes)


def scenario(
    *,
    venue: VenueSettings = VENUE_SETTINGS,
    settings: AccountSettings | None = None,
    strategy: StrategySettings | None = None,
    start: bool = True,
    surplus_shares_allowed: bool = False,
) -> Callable[
    [Callable[Concatenate[World, Parameters], Awaitable[None]]],
    Callable[Parameters, None],
]:
    """Make a test of an async function whose first argument is a world; with `start`, one whose account is Live."""

    def decorate(test: Callable[Concatenate[World, Parameters], Awaitable[None]]) -> Callable[Parameters, None]:
        async def main(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            async with running_server(venue, epoch_ms=EPOCH_MS, port=None) as server, trio.open_nursery() as nursery:
                world = World(
                    server,
                    nursery,
                    settings=account_settings() if settings is None else settings,
                    strategy=StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,)) if strategy is None else strategy,
                    surplus_shares_allowed=surplus_shares_allowed,
                )
                if start:
                    await world.start_live()
                await test(world, *args, **kwargs)
                if world.is_running:
                    await world.stop()
                world.check_laws()
                assert world.crashes_expected or not world.crashes, "\n".join(world.crashes)
                assert world.crashes_expected or not world.letters, "\n".join(world.letters)
                nursery.cancel_scope.cancel()

        @functools.wraps(test)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            order_tasks(SCHEDULE_SEED)
            try:
                trio.run(functools.partial(main, *args, **kwargs), clock=MockClock(autojump_threshold=0))
            except BaseExceptionGroup as group:
                raise innermost(group) from None

        # pytest is to see the parameters without the world.
        own = list(inspect.signature(test).parameters.values())[1:]
        setattr(run, "__signature__", inspect.Signature(own))  # noqa: B010 - no attribute of functions to a type checker
        del run.__wrapped__
        return run

    return decorate


def order_tasks(seed: int) -> None:
    """Make trio run what is ready in an order that the seed decides, so that a scenario is the same in every run.

    Both names are trio's own and not public; they have stood since 2019 (actors.md 4.1).
    """
    scheduler = trio._core._run
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # declared final, and meant for this
    scheduler._r.seed(seed)


def innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def kinds(reports: Iterable[Report]) -> list[str]:
    """The kinds of reports, in order."""
    return [str(report.kind) for report in reports]
