"""The runtime: a store, a ledger and a tree of actors, built from one configuration.

For hosts under trio:

    async with open_runtime(load_configuration("config/demo.toml")) as runtime:
        ticket = await runtime.submit(intent)
        async for report in ticket: ...

For threaded hosts see `tallystick.open`, which runs this in a thread of its own.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random, SystemRandom

import structlog
import trio

from .actors.connect import Connect, connect_tcp
from .actors.context import Connection, Context, Paths, Recorder
from .actors.host import HostBridge
from .actors.kernel import (
    ActorSystem,
    Clock,
    DeadLetter,
    ExitReason,
    MailboxFull,
    TrioClock,
    Watchdog,
)
from .actors.message_trace import MessageTrace
from .actors.messages import (
    CancelOrder,
    Carried,
    CloseLeg,
    Dispose,
    Explain,
    LogExecutions,
    Raise,
    StoreLost,
    Submit,
)
from .actors.settings import AccountSettings, StrategySettings, TraceScope
from .actors.ticket import IntentRejected, Receipt, Ticket
from .actors.tree import TreeBuilder
from .collector import seldom_collecting
from .configuration import Configuration
from .control.address import listening
from .control.incidents import Incidents
from .control.inspection import Inspection
from .control.operations import Operations, this_operator
from .control.server import ControlServer, serving
from .credentials import load_secrets
from .dialects import make_dialect
from .model.account import AccountState, Reconciliation
from .model.alert import Alert, AlertKind, Severity
from .model.bracket import CloseReason
from .model.event import RuntimeStarted, RuntimeStopped
from .model.identifiers import AccountId, AlertId, ClientOrderId, CommandId, IntentId, StrategyName
from .model.intake import BadIntent, Problem, read_intent
from .model.intent import AnyIntent, PairIntent
from .model.intent_rules import excerpt
from .model.ledger import Ledger
from .model.operator import Command, Operator
from .model.order import Acknowledged, Sent
from .model.risk import Refused
from .model.risk_facts import Gate
from .recovery import SNAPSHOT, keep_archive, keep_snapshots, recover
from .store import open_store
from .store.errors import StoreFailed
from .store.port import Journal
from .store.records import journal_schema
from .store.retention import Retention
from .venues.port import Dialect

log = structlog.get_logger("tallystick")

SNAPSHOT_EVERY_EVENTS = 50_000
SNAPSHOT_CHECK_SECONDS = 60.0
LIVE_CHECK_SECONDS = 0.05
WITHDRAW_SECONDS = 5.0
"""How long an ending runtime waits for the cancels that it sent because nothing could be recorded any more."""


class RuntimeGaveUp(Exception):
    """The root supervisor gave up: what failed is in the message, what was under way is in the store."""


class RuntimeEnded(Exception):
    """The runtime has ended and takes nothing more."""


def build_version() -> str:
    """The installed version of this package."""
    try:
        return version("tallystick")
    except PackageNotFoundError:
        return "0"


class Runtime:
    """A running runtime, as a host under trio sees it. Made by `open_runtime`."""

    def __init__(self, system: ActorSystem, context: Context, bridge: HostBridge, inspection: Inspection) -> None:
        self._system = system
        self._context = context
        self._bridge = bridge
        self.operations = Operations(context)
        self.inspection = inspection
        self._pending: set[Receipt] = set()
        self._withdrawing: set[ClientOrderId] = set()
        self._ended: Exception | None = None

    # ---- intents ------------------------------------------------------------------------------------------

    def read_intent(self, line: bytes, *, where: str = "the line") -> AnyIntent | BadIntent:
        """The intent of a JSON line (`tallystick.model.intake`), or all that is wrong with it. Never raises.

        Call it when the accounts are live: the rules of the instruments are known by then.
        """
        accounts = list(self._context.accounts)
        read = read_intent(
            line,
            where=where,
            now_ns=self.now_ns(),
            known=self.ledger.instruments.get,
            learned=self.ledger.instruments.keys(),
            default_account=accounts[0] if len(accounts) == 1 else None,
        )
        problem = None if isinstance(read, BadIntent) else self._stranger(read)
        return read if problem is None else BadIntent(where=where, intent_id=read.intent_id, problems=(problem,))

    def _stranger(self, intent: AnyIntent) -> Problem | None:
        """An intent of a strategy, or for an account, that the configuration does not have."""
        strategies = self._context.strategies
        strategy = strategies.get(intent.strategy)
        if strategy is None:
            allowed = f"a strategy of the configuration: {', '.join(strategies) or 'it has none'}"
            return Problem(field="strategy", found=excerpt(intent.strategy), allowed=allowed)
        if intent.account not in strategy.accounts:
            allowed = f"an account of strategy {intent.strategy}: {', '.join(strategy.accounts) or 'it has none'}"
            return Problem(field="account", found=excerpt(intent.account), allowed=allowed)
        return None

    async def submit(self, intent: AnyIntent) -> Ticket:
        """Hand in an intent; returns once it is durable. Raises `IntentRejected` with the gate and its numbers.

        The same intent again gives the same ticket. Raises `StoreFailed` when nothing can be recorded any more and
        `RuntimeEnded` when the runtime is gone: then the intent may be handed in again after the next start, and is
        worked at most once.
        """
        settled = trio.Event()
        results: list[Ticket | Exception] = []

        def settle(result: Ticket | Exception) -> None:
            results.append(result)
            settled.set()

        self.submit_soon(intent, settle)
        await settled.wait()
        result = results[0]
        if isinstance(result, Exception):
            raise result
        return result

    def submit_soon(self, intent: AnyIntent, settle: Callable[[Ticket | Exception], None]) -> None:
        """Like `submit`, on the runtime's own loop and without waiting: `settle` gets the ticket or the error."""
        if self._ended is not None:
            settle(self._ended)
            return
        congestion = self.journal.congestion
        if congestion is not None:  # not even a refusal is to be recorded now
            settle(_rejected(Gate.STORE, "store", congestion, "a disk that keeps up; hand it in again then"))
            return
        desk = self._context.find(Paths.strategy(intent.strategy, "desk"))
        if desk is None:
            known = ", ".join(sorted(self._context.strategies)) or "none"
            settle(_rejected(Gate.STRATEGY_PAUSED, "strategy", intent.strategy, f"one that is configured: {known}"))
            return

        def done(result: Ticket | Exception) -> None:
            self._pending.discard(receipt)
            settle(result)

        receipt = Receipt(done)
        self._pending.add(receipt)
        try:
            desk.tell(Submit(intent=intent, receipt=receipt))
        except MailboxFull:
            receipt.fail(_rejected(Gate.ACTIVE_INTENTS, "strategy", "busy", "fewer intents at the same time"))

    def ticket(self, strategy: StrategyName, intent_id: IntentId) -> Ticket:
        """The ticket of an intent that is at work, for a host that was restarted."""
        return self._bridge.ticket(strategy, intent_id)

    def dispose(self, ticket: Ticket, choice: str, note: str = "") -> None:
        """Answer a partial pair: what the strategy decided to do with it. Recorded; it moves nothing by itself."""
        desk = self._context.ref(Paths.strategy(ticket.strategy, "desk"))
        desk.tell(Dispose(intent_id=ticket.intent_id, choice=choice, note=note))

    def close_intents(self) -> int:
        """Have every intent at work cancel what is open and withdraw what was not sent; returns how many there are.

        Each still ends with its terminal report, once the venue has said what became of its orders.
        """
        active = list(self.ledger.active_intents())
        for entry in active:
            intent = entry.intent
            key = (intent.strategy, intent.intent_id)
            actor = self._context.find(Paths.bracket(*key) if isinstance(intent, PairIntent) else Paths.leg(*key, 0))
            if actor is not None:
                actor.tell(CloseLeg(reason=CloseReason.OPERATOR))
        return len(active)

    # ---- operators ----------------------------------------------------------------------------------------

    async def operate(
        self,
        command: Command,
        *,
        note: str = "",
        command_id: CommandId | None = None,
        operator: Operator | None = None,
    ) -> Carried:
        """Carry out an operator's command; returns once it is durable. The same command id again does nothing twice.

        Without `operator` it is whoever runs this process. Raises `CommandRefused` with the reason, `StoreFailed`,
        `NotTaken` where the runtime is stopping, and `NotAnswered` where the outcome is not known.
        """
        return await self.operations.operate(
            command,
            operator=this_operator() if operator is None else operator,
            note=note,
            command_id=self.operations.new_command_id() if command_id is None else command_id,
        )

    async def wait_reconciled(self, account: AccountId, since_ns: int) -> Reconciliation:
        """Wait for the record of the first reconciliation that began at or after `since_ns`; it may take for ever."""
        return await self.operations.wait_reconciled(account, since_ns)

    # ---- looking ------------------------------------------------------------------------------------------

    def waits_for(self) -> dict[AccountId, str]:
        """The accounts that are not Live, each with its state and the reason; intents for them are refused."""
        entries = {account: self.ledger.account(account) for account in self._context.accounts}
        return {
            account: f"{entry.state}: {entry.reason}"
            for account, entry in entries.items()
            if entry.state is not AccountState.LIVE
        }

    async def wait_live(self) -> None:
        """Wait until every account is Live. It may take for ever: `waits_for` says what is missing."""
        while self.waits_for():  # noqa: ASYNC110 - the ledger is looked at, it tells nobody
            await trio.sleep(LIVE_CHECK_SECONDS)

    def connection(self, account: AccountId) -> Connection:
        """How an account is connected now."""
        return self._context.connection(account)

    @property
    def ledger(self) -> Ledger:
        """What the journal adds up to now. Read it; everything in it is a value."""
        return self._context.ledger

    @property
    def system(self) -> ActorSystem:
        return self._system

    @property
    def journal(self) -> Journal:
        return self._context.recorder.journal

    def now_ns(self) -> int:
        """The runtime's time, UTC nanoseconds."""
        return self._context.recorder.now_ns()

    @property
    def is_idle(self) -> bool:
        """No message waits, and nothing waits to become durable. A virtual clock moves on only then."""
        return self._system.idle() and self.journal.pending == 0

    # ---- ends ---------------------------------------------------------------------------------------------

    def withdraw(self, why: str) -> None:
        """Have every open order cancelled, now that nothing about it can be recorded any more."""
        context = self._context
        for account in context.accounts:
            if (gateway := context.find(Paths.connection(account, "gateway"))) is not None:
                gateway.tell(StoreLost(why=why))
        for order, state in list(self.ledger.orders.items()):
            desk = context.find(Paths.account(state.terms.account, "desk"))
            if isinstance(state, (Sent, Acknowledged)) and desk is not None:
                self._withdrawing.add(order)
                desk.tell(CancelOrder(client_order_id=order, reason=f"the store has failed: {why}"))

    async def wait_withdrawn(self) -> None:
        """Wait, but not for ever, until the venue has answered for every order that `withdraw` cancels."""
        gone = self._context.off_the_book
        with trio.move_on_after(WITHDRAW_SECONDS, shield=True):
            while self._withdrawing - gone and not self._system.is_stopping:  # noqa: ASYNC110 - a set tells nobody
                await trio.sleep(LIVE_CHECK_SECONDS)

    def fail_pending(self, error: Exception) -> None:
        """Tell whoever waits for a receipt that none will come."""
        for receipt in list(self._pending):
            receipt.fail(error)

    def end(self, error: Exception) -> None:
        """Take nothing more, and say why."""
        self._ended = error
        self.fail_pending(error)


def _rejected(gate: Gate, field: str, found: str, allowed: str) -> IntentRejected:
    message = f"{field} is {found}; allowed is {allowed}"
    return IntentRejected(Refused(gate=gate, message=message, field=field, found=found, allowed=allowed))


@asynccontextmanager
async def open_runtime(
    configuration: Configuration,
    *,
    clock: Callable[[], Clock] = TrioClock,
    connect: Connect = connect_tcp,
    random: Random | None = None,
) -> AsyncIterator[Runtime]:
    """Open the store and start the tree from a configuration; ends in order when the block is left.

    `clock` is called inside the loop. Raises what the store, the credentials or the control socket raise before
    anything connects (`StoreUnavailable`, `CredentialsError`, `ControlUnavailable`), and out of the block
    `RuntimeGaveUp` or `ClockOff`.
    """
    dialects = {
        account.settings.account: make_dialect(account, load_secrets(account.credentials))
        for account in configuration.accounts
    }
    settings = configuration.runtime
    seed = settings.seed
    made = random if random is not None else SystemRandom() if seed is None else Random(seed)
    time = clock()
    failures: list[Callable[[StoreFailed], None]] = []

    def store_failed(failure: StoreFailed) -> None:
        for tell in failures:
            tell(failure)

    store = open_store(
        settings.store,
        journal_schema(),
        durability=settings.durability,
        map_size_bytes_max=settings.map_size_bytes_max,
        on_failure=store_failed,
        owner=settings.name,
        build=build_version(),
        now_ns=time.wall_ns,
    )
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(store)
        # The store's lock is held from here on, so a socket that an earlier owner left behind may be replaced.
        control = settings.control_path
        listener = None if control is None else stack.enter_context(listening(control, Path(settings.store)))
        runtime = await stack.enter_async_context(
            start_runtime(
                journal,
                name=settings.name,
                dialects=dialects,
                accounts={account.settings.account: account.settings for account in configuration.accounts},
                strategies={strategy.strategy: strategy for strategy in configuration.strategies},
                clock=time,
                connect=connect,
                random=made,
                failures=failures,
                trace=settings.trace,
                retention=settings.retention,
            )
        )
        if settings.watchdog_seconds is not None and clock is TrioClock:
            # A simulation has no watchdog: there time stands still while anything runs.
            watchdog = Watchdog(runtime.system, limit_seconds=settings.watchdog_seconds)
            stack.enter_context(watchdog.watching())
        await stack.enter_async_context(serving(listener, ControlServer(runtime.operations, runtime.inspection)))
        yield runtime


@asynccontextmanager
async def start_runtime(
    journal: Journal,
    *,
    name: str,
    dialects: Mapping[AccountId, Dialect],
    accounts: Mapping[AccountId, AccountSettings],
    strategies: Mapping[StrategyName, StrategySettings],
    clock: Clock,
    connect: Connect,
    random: Random,
    failures: list[Callable[[StoreFailed], None]],
    builder: TreeBuilder | None = None,
    trace: TraceScope = "orders",
    retention: Retention | None = None,
    snapshot_every_entries: int | None = None,
) -> AsyncIterator[Runtime]:
    """Start the tree over an open journal: what `open_runtime` does once everything is at hand.

    Without `retention` nothing is archived. Raises `StateLost` where there is no state to start from.
    """
    recovered = recover(journal)
    ledger = recovered.ledger
    snapshot_every = SNAPSHOT_EVERY_EVENTS if snapshot_every_entries is None else snapshot_every_entries
    for account, dialect in dialects.items():
        venue = accounts[account].venue
        dialect.learn([found for found in ledger.instruments.values() if found.venue == venue])
    builder = TreeBuilder() if builder is None else builder
    system = ActorSystem(name, random=random, clock=clock, root=builder.root(accounts, strategies))
    fatal: list[Exception] = []
    scope = trio.CancelScope()

    def end_with(error: Exception) -> None:
        fatal.append(error)
        scope.cancel()

    def callback_failed(error: Exception) -> None:
        text = f"a callback of the host raised {type(error).__name__}: {error}; the runtime goes on"
        system.call_soon(lambda: _alert(context, AlertKind.HOST_CALLBACK_FAILED, "host_callback_failed", text))

    bridge = HostBridge(ledger, callback_failed)
    recorder = Recorder(journal, ledger, bridge, clock.wall_ns)
    context = builder.context = Context(
        system=system,
        recorder=recorder,
        dialects=dialects,
        accounts=accounts,
        strategies=strategies,
        connect=connect,
        start=builder,
        born_ns=clock.wall_ns(),
        on_fatal=end_with,
        on_store_failed=lambda _failure: None,
    )
    # Listens from before the first actor starts.
    incidents = Incidents(system, clock.wall_ns, partial(_alert, context))
    inspection = Inspection(system, incidents, build=build_version(), now_ns=clock.wall_ns)
    runtime = Runtime(system, context, bridge, inspection)
    failures.append(lambda failure: _store_failed(runtime, failure))
    tell = _Tell(context)
    messages = MessageTrace(system, recorder) if trace == "orders" else None
    if messages is not None:
        system.trace.sink = messages.take
    recorder.record(RuntimeStarted(build=build_version(), owner=name))
    reason = "asked to stop"
    try:
        with scope, seldom_collecting():
            async with system, trio.open_nursery() as nursery:
                _watch(system, context)
                nursery.start_soon(
                    keep_snapshots, journal, ledger, tell, recovered, snapshot_every, SNAPSHOT_CHECK_SECONDS
                )
                if retention is not None:
                    nursery.start_soon(keep_archive, journal, retention, tell, clock.wall_ns)
                nursery.start_soon(_give_up, system, end_with)
                if messages is not None:
                    nursery.start_soon(messages.run)
                try:
                    yield runtime
                finally:
                    await runtime.wait_withdrawn()
                nursery.cancel_scope.cancel()
        if fatal:
            reason = str(fatal[0])
            raise fatal[0]
    finally:
        runtime.end(RuntimeEnded(f"the runtime {name} has ended: {reason}"))
        bridge.close()
        if journal.failed is None:
            if messages is not None:
                messages.flush()
            recorder.record(RuntimeStopped(reason=reason))
            journal.put_snapshot(SNAPSHOT, journal.last_lsn, ledger.freeze())


async def _give_up(system: ActorSystem, end_with: Callable[[Exception], None]) -> None:
    """The root's failure ends the process, with its own code, for the supervisor outside."""
    reason: ExitReason = await system.wait_ended()
    if system.failed is not None:
        end_with(RuntimeGaveUp(f"the root supervisor gave up: {reason}"))


def _store_failed(runtime: Runtime, failure: StoreFailed) -> None:
    """Nothing can be recorded: no new orders, what is open is cancelled, and whoever waits for a receipt is told.

    An order that goes on working would trade without anybody who counts its fills: no gate, no bracket and no limit
    could rely on what is known. Its cancel is sent at once, and heartbeats end, so that the venue's dead-man switch
    cancels what cannot be reached. Fills that come all the same are in the venue's history, and the next start books
    them.
    """
    log.critical(
        "the store has failed: new orders stop, open orders are cancelled; mend the disk and restart the runtime",
        why=str(failure),
    )
    runtime.fail_pending(failure)
    runtime.withdraw(str(failure))


def _watch(system: ActorSystem, context: Context) -> None:
    """Lost reports of trading become alerts."""

    def lost(letter: DeadLetter) -> None:
        if isinstance(letter.message, Submit):
            # Nobody else will: without this the host would wait for a decision that never comes.
            letter.message.receipt.fail(
                RuntimeEnded(f"nothing was decided, {letter.receiver} did not handle it: {letter.kind.value}")
            )
        elif isinstance(letter.message, LogExecutions):
            text = f"a report of executions was not processed ({letter.kind}); the next sweep reads them again"
            _alert(context, AlertKind.UNREADABLE_REPORT, f"lost_report:{context.recorder.now_ns()}", text)

    system.dead_letters.subscribe(lost)


class _Tell:
    """How what is done to the store reaches a person."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def alert(self, kind: AlertKind, subject: str, severity: Severity, text: str) -> None:
        _alert(self._context, kind, f"{kind}:{subject}", text, severity)

    def explain(self, kind: AlertKind, subject: str, by: str) -> None:
        alerts = self._context.find(Paths.ALERTS)
        if alerts is not None:
            alerts.tell(Explain(alert_id=AlertId(f"{kind}:{subject}"), by=by))


def _alert(
    context: Context,
    kind: AlertKind,
    alert_id: str,
    text: str,
    severity: Severity = Severity.CRITICAL,
    evidence: tuple[tuple[str, str], ...] = (),
) -> None:
    alerts = context.find(Paths.ALERTS)
    if alerts is None:
        log.critical(text)
        return
    alerts.tell(
        Raise(
            alert=Alert(
                alert_id=AlertId(alert_id),
                kind=kind,
                severity=severity,
                message=text,
                diagnosis="",
                evidence=evidence,
                opened_at_ns=context.recorder.now_ns(),
            )
        )
    )
