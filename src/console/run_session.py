"""One run of the runtime from the command line: wait for Live, hand in lines as they come, follow what becomes of them.

    open the runtime ─ wait for Live ─ read, submit, follow ─ all ended, or a signal ─ stop in order

Every way to end is an exit code: see `tallystick.console.exit_codes`.
"""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum

import structlog
import trio

from ..actors.ticket import IntentRejected, Ticket, TicketClosed
from ..configuration import Configuration
from ..model.account import AccountState
from ..model.identifiers import AccountId
from ..model.intake import BadIntent, Problem
from ..model.intake_fields import LINE_BYTES_MAX
from ..model.intent import AnyIntent
from ..model.ledger import IntentKey
from ..model.order import Acknowledged, Sent
from ..model.value import Value
from ..runtime import Runtime, RuntimeEnded, open_runtime
from ..store.errors import StoreFailed
from .errors import Refusal
from .exit_codes import ExitCode
from .intent_lines import Line, read_lines
from .report_lines import ReportWriter, SummaryView, rejected_view, report_view, undecided_view, unreadable_view

LOOK_SECONDS = 0.1
"""How often the ledger is looked at for what changed; everything in it is a value, so a look costs microseconds."""
SAY_WHY_SECONDS = 3.0
"""A wait for Live that lasts is explained again this often."""
STATUS_SECONDS = 60.0
UNDER_WAY_MAX = 64
"""Submissions that may wait for the disk together: one commit carries all of them."""

log = structlog.get_logger("tallystick")


class OnStop(StrEnum):
    """What a stop does with orders that are open at the venue."""

    LEAVE = "leave"
    CANCEL = "cancel"


class RunOptions(Value, frozen=True):
    """How to run. `descriptor` is the open file with the intents, None for a service without."""

    descriptor: int | None
    stay: bool
    as_json: bool
    on_stop: OnStop
    live_timeout_seconds: float
    stop_timeout_seconds: float

    @property
    def is_service(self) -> bool:
        return self.stay or self.descriptor is None


async def run_session(configuration: Configuration, options: RunOptions) -> ExitCode:
    """Run until the intents have ended, or as a service until a signal. Raises what `open_runtime` does, `Refusal`."""
    code = ExitCode.OK
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as listening:
            stopping = trio.Event()
            listening.start_soon(_listen, signals, stopping)
            async with (
                open_runtime(configuration) as runtime,
                ReportWriter(as_json=options.as_json).opened() as writer,
            ):
                code = await Session(options, runtime, writer).run(stopping)
            listening.cancel_scope.cancel()
    log.info("stopped; everything until now is durable")
    return code


async def _listen(signals: AsyncIterator[int], stopping: trio.Event) -> None:
    async for number in signals:
        name = signal.Signals(number).name
        if stopping.is_set():
            log.warning("ending at once; the store takes no harm, the next start recovers", signal=name)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        log.info("asked to stop; a second signal ends at once", signal=name)
        stopping.set()


class Session:
    """One run over an open runtime."""

    def __init__(self, options: RunOptions, runtime: Runtime, writer: ReportWriter) -> None:
        self._options = options
        self._runtime = runtime
        self._writer = writer
        self._taking = trio.CancelScope()
        self._under_way = trio.CapacityLimiter(UNDER_WAY_MAX)
        self._followed: set[IntentKey] = set()
        self._at_work: set[IntentKey] = set()
        self._ended: Counter[str] = Counter()
        self._store_failure_said = False
        self._lines = self._accepted = self._repeated = self._refused = 0

    async def run(self, stopping: trio.Event) -> ExitCode:
        """Run until all has ended or `stopping` is set; returns the exit code. Raises `Refusal` and `StoreFailed`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._stop_when_asked, stopping, nursery.cancel_scope)
            nursery.start_soon(self._end_when_store_failed)
            async with trio.open_nursery() as following:
                self._follow_recovered(following)
                with self._taking:
                    await self._wait_for_live()
                    await self._take_intents(following)
                if stopping.is_set() or self._options.is_service:
                    await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        await self._say_what_is_left()
        return ExitCode.INTENTS_REFUSED if self._refused and not self._options.is_service else ExitCode.OK

    # ---- before the first intent --------------------------------------------------------------------------

    async def _wait_for_live(self) -> None:
        started = said_at = trio.current_time()
        while waiting := self._runtime.waits_for():
            now = trio.current_time()
            if not self._options.is_service and now - started >= self._options.live_timeout_seconds:
                raise self._never_live(waiting)
            if now - said_at >= SAY_WHY_SECONDS:
                said_at = now
                for account, why in waiting.items():
                    log.info("waiting until the account is live", account=account, why=why)
            await trio.sleep(LOOK_SECONDS)
        log.info("live: intents are taken from now on")

    def _never_live(self, waiting: Mapping[AccountId, str]) -> Refusal:
        reached = all(self._runtime.connection(account).gateway_ready for account in waiting)
        whys = "; ".join(f"{account} is {why}" for account, why in waiting.items())
        return Refusal(
            ExitCode.NOT_LIVE if reached else ExitCode.VENUE_UNREACHABLE,
            f"not live within {self._options.live_timeout_seconds:g} s, so no intent was handed in ({whys})",
        )

    # ---- intents ------------------------------------------------------------------------------------------

    def _follow_recovered(self, following: trio.Nursery) -> None:
        """What is at work since an earlier run is reported from here on like what comes in this one."""
        for entry in list(self._runtime.ledger.active_intents()):
            intent = entry.intent
            self._follow_soon(following, self._runtime.ticket(intent.strategy, intent.intent_id))

    async def _take_intents(self, following: trio.Nursery) -> None:
        if self._options.descriptor is None:
            return
        async for line in read_lines(self._options.descriptor):
            self._lines += 1
            read = self._read(line)
            if isinstance(read, BadIntent):
                self._refused += 1
                await self._writer.say(unreadable_view(line.number, read))
                continue
            await self._submit(line.number, read, following)
        if self._options.stay:
            log.info("no more intents will come; staying until a signal")

    def _read(self, line: Line) -> AnyIntent | BadIntent:
        where = f"line {line.number}"
        if line.too_long_bytes is not None:
            found = f"{line.too_long_bytes} bytes"
            problem = Problem(field="line", found=found, allowed=f"at most {LINE_BYTES_MAX} bytes")
            return BadIntent(where=where, intent_id=None, problems=(problem,))
        return self._runtime.read_intent(line.content, where=where)

    async def _submit(self, line: int, intent: AnyIntent, following: trio.Nursery) -> None:
        """Hand it in now, so that lines keep their order; what is decided about it is awaited beside the next line."""
        decided = trio.Event()
        results: list[Ticket | Exception] = []

        def settle(result: Ticket | Exception) -> None:
            results.append(result)
            decided.set()

        async def await_decision() -> None:
            try:
                await decided.wait()
            finally:
                self._under_way.release_on_behalf_of(decided)
            await self._decided(line, intent, results[0], following)

        await self._under_way.acquire_on_behalf_of(decided)
        self._runtime.submit_soon(intent, settle)
        following.start_soon(await_decision)

    async def _decided(self, line: int, intent: AnyIntent, result: Ticket | Exception, following: trio.Nursery) -> None:
        match result:
            case Ticket():
                if (intent.strategy, intent.intent_id) in self._followed:
                    self._repeated += 1
                    log.info("the same intent as before: nothing is done twice", line=line, intent=intent.intent_id)
                    return
                self._accepted += 1
                self._follow_soon(following, result)
            case IntentRejected():
                self._refused += 1
                await self._writer.say(rejected_view(line, intent.intent_id, result))
            case RuntimeEnded():
                self._refused += 1
                await self._writer.say(undecided_view(line, intent.intent_id, result))
            case StoreFailed():
                raise self._store_failed(result)
            case _:
                raise result

    def _follow_soon(self, following: trio.Nursery, ticket: Ticket) -> None:
        key = (ticket.strategy, ticket.intent_id)
        self._followed.add(key)
        self._at_work.add(key)
        following.start_soon(self._follow, ticket)

    async def _follow(self, ticket: Ticket) -> None:
        try:
            async for report in ticket:
                if report.is_last:
                    self._ended[report.outcome] += 1
                    self._at_work.discard((ticket.strategy, ticket.intent_id))
                await self._writer.say(report_view(report))
        except TicketClosed:
            return  # the runtime ends, and says why itself

    # ---- beside it ----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Status lines: what changed at the accounts, and that it is alive. Alerts are logged where they are opened."""
        ledger = self._runtime.ledger
        states: dict[AccountId, tuple[AccountState, str]] = {}
        said_at = trio.current_time()
        while True:
            for account, entry in ledger.accounts.items():
                if states.get(account) != (entry.state, entry.reason):
                    states[account] = (entry.state, entry.reason)
                    log.info("account", account=account, state=entry.state, why=entry.reason)
            if trio.current_time() - said_at >= STATUS_SECONDS:
                said_at = trio.current_time()
                log.info(
                    "running",
                    accounts={account: str(state) for account, (state, _why) in states.items()},
                    intents_at_work=sum(1 for _ in ledger.active_intents()),
                    orders_open=len(self._open_orders()),
                    alerts_open=sum(1 for alert in ledger.alerts.values() if alert.state.is_open),
                )
            await trio.sleep(LOOK_SECONDS)

    async def _end_when_store_failed(self) -> None:
        while self._runtime.journal.failed is None:  # noqa: ASYNC110 - the journal tells its owner alone, who opened it
            await trio.sleep(LOOK_SECONDS)
        raise self._store_failed(self._runtime.journal.failed)

    def _store_failed(self, failure: StoreFailed) -> StoreFailed:
        if self._store_failure_said:
            return failure
        self._store_failure_said = True
        log.critical(
            "nothing can be recorded any more, so nothing more is done; orders that are open are cancelled, "
            "and the next start asks for each of them",
            orders_open=len(self._open_orders()),
        )
        return failure

    # ---- the end ------------------------------------------------------------------------------------------

    async def _stop_when_asked(self, stopping: trio.Event, scope: trio.CancelScope) -> None:
        await stopping.wait()
        self._taking.cancel()
        if self._options.on_stop is OnStop.CANCEL:
            await self._close_intents()
        scope.cancel()

    async def _close_intents(self) -> None:
        """Cancel what is open and wait for what the venue says; bounded, as silence is no answer."""
        count = self._runtime.close_intents()
        log.info("cancelling what is open and withdrawing what was not sent", intents=count)
        with trio.move_on_after(self._options.stop_timeout_seconds) as scope:
            while any(self._runtime.ledger.active_intents()):  # noqa: ASYNC110 - a ledger is looked at, it tells nobody
                await trio.sleep(LOOK_SECONDS)
        if scope.cancelled_caught:
            log.warning("not everything was answered in time", waited_seconds=self._options.stop_timeout_seconds)

    def _open_orders(self) -> list[str]:
        return [
            state.terms.client_order_id
            for state in self._runtime.ledger.live_orders()
            if isinstance(state, Sent | Acknowledged)
        ]

    async def _say_what_is_left(self) -> None:
        left = self._open_orders()
        if left:
            log.warning("orders stay open at the venue; the next start takes them up again", orders=left)
        if self._options.descriptor is not None:
            await self._writer.say(
                SummaryView(
                    lines=self._lines,
                    accepted=self._accepted,
                    repeated=self._repeated,
                    refused=self._refused,
                    ended=dict(sorted(self._ended.items())),
                    at_work=len(self._at_work),
                )
            )
