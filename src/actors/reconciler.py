"""The reconciler: asks the venue for its truth, on a cadence and on every doubt, and leaves a record each time.

A sweep reads fills since the watermark minus an overlap, to the end; then the open orders; then every order of ours
that is not among them, one by one (design 9). It hands all of it on and changes nothing itself: fills go through the
fill log, order states to their actors. What could not be read makes the record incomplete and says why.
"""

import trio

from ..model.account import Reconciliation, SweepTrigger
from ..model.event import ReconciliationEnded
from ..model.fill import FillSource
from ..model.identifiers import AccountId, ClientOrderId, SweepId, TradeId
from ..model.order import Acknowledged, Sent
from ..model.report import ExecutionReport, OrderNotFound, OrderReport, Unreadable
from ..model.value import Value
from ..store.records import FILLS, fill_row
from .context import Context, Paths
from .exchange import ConversingActor
from .kernel import TaskDone, handles
from .messages import LogExecutions, ReportOrder, Sweep, SweepEnded

CADENCE, DUE = "cadence", "due"
PAGES_MAXIMUM = 1000
"""A venue that pages for ever is broken; the sweep says so instead of never ending."""


class Findings(Value, frozen=True):
    """What one sweep read, before it became a record."""

    record: Reconciliation
    stream_was_up: bool


class ReconcilerActor(ConversingActor):
    """One account's sweeps, one at a time, with a minimum spacing; a trigger during a sweep runs another after it."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.running = False
        self.wanted: Sweep | None = None
        self.last_ended = float("-inf")
        self.number = 0

    def on_start(self) -> None:
        self.after(self.settings.reconciler.cadence_seconds, Sweep(trigger=SweepTrigger.CADENCE), key=CADENCE)
        if self.incarnation > 1:
            # A crash may have lost a trigger; whatever it was, a sweep answers it.
            self.actor_ref.tell(Sweep(trigger=SweepTrigger.GATEWAY_RESTART))

    @handles(Sweep)
    def _sweep(self, message: Sweep) -> None:
        if message.trigger is SweepTrigger.CADENCE:
            self.after(self.settings.reconciler.cadence_seconds, message, key=CADENCE)
            if self.running:
                return
        if not self.context.connection(self.account).gateway_ready:
            return  # whatever the reason was: once the gateway is ready, a sweep is the first thing that happens
        if self.running:
            if self.wanted is None or self.wanted.trigger is SweepTrigger.CADENCE:
                self.wanted = message
            return
        wait = self.last_ended + self.settings.reconciler.spacing_seconds_minimum - self.monotonic()
        if wait > 0:
            self.after(wait, message, key=DUE)
            return
        self.running = True
        self.number += 1
        sweep_id = SweepId(f"{self.account}/{self.ledger.started}.{self.incarnation}.{self.number}")
        self.start_task(self._run, sweep_id, message.trigger, name="sweep")

    @handles(TaskDone)
    def _done(self, message: TaskDone) -> None:
        found = message.value
        assert isinstance(found, Findings)
        self.running = False
        self.last_ended = self.monotonic()
        self.record(ReconciliationEnded(record=found.record))
        desk = self.context.ref(Paths.account(self.account, "desk"))
        desk.tell(SweepEnded(record=found.record, stream_was_up=found.stream_was_up))
        if found.record.complete:
            self.mark_healthy()
        wanted, self.wanted = self.wanted, None
        if wanted is not None:
            self.actor_ref.tell(wanted)
        elif not found.record.complete:
            retry = Sweep(trigger=found.record.trigger, detail=f"again after {found.record.sweep_id}")
            self.after(self.settings.reconciler.incomplete_retry_seconds, retry, key=DUE)

    # ---- one sweep ----------------------------------------------------------------------------------------

    async def _run(self, sweep_id: SweepId, trigger: SweepTrigger) -> Findings:
        started = self.now_ns()
        stream_was_up = self.context.connection(self.account).stream_up
        source = FillSource.RECOVERY if trigger is SweepTrigger.START else FillSource.SWEEP
        overlap_ns = int(self.settings.reconciler.overlap_seconds * 1e9)
        since = max(0, self.ledger.account(self.account).last_fill_ns - overlap_ns)
        if since == 0:
            since = max(0, self.context.born_ns - overlap_ns)
        fills = await self._read_fills(since, source)
        orders = await self._read_orders() if not fills.why else OrderFindings(why=fills.why)
        return Findings(
            record=Reconciliation(
                sweep_id=sweep_id,
                account=self.account,
                trigger=trigger,
                started_at_ns=started,
                ended_at_ns=self.now_ns(),
                fills_since_ns=since,
                fill_pages=fills.pages,
                fills_seen=fills.seen,
                fills_recovered=fills.recovered,
                order_pages=orders.pages,
                orders_open_at_venue=orders.open_at_venue,
                orders_queried=orders.queried,
                orders_corrected=orders.corrected,
                foreign_orders=orders.foreign,
                rows_refused=fills.refused + orders.refused,
                complete=not orders.why and not fills.refused and not orders.refused,
                why=orders.why
                or (
                    f"{fills.refused + orders.refused} rows could not be read" if fills.refused + orders.refused else ""
                ),
            ),
            stream_was_up=stream_was_up,
        )

    async def _read_fills(self, since_ns: int, source: FillSource) -> "FillFindings":
        cursor: str | None = None
        pages = seen = refused = 0
        recovered: list[TradeId] = []
        journal = self.context.recorder.journal
        fill_log = self.context.ref(Paths.account(self.account, "fills"))
        while True:
            page = self.dialect.read_executions(await self.request(self.dialect.list_executions(since_ns, cursor)))
            if isinstance(page, Unreadable):
                return FillFindings(pages, seen, tuple(recovered), refused, f"fills, page {pages + 1}: {page.why}")
            pages += 1
            seen += len(page.executions)
            refused += len(page.refused)
            recovered += [
                found.key.trade_id for found in page.executions if journal.get(FILLS, fill_row(found.key)) is None
            ]
            if page.executions:
                reports = tuple(ExecutionReport(execution=found) for found in page.executions)
                fill_log.tell(LogExecutions(reports=reports, source=source, received_at_ns=self.now_ns()))
            cursor = page.next_cursor
            if cursor is None:
                return FillFindings(pages, seen, tuple(recovered), refused, "")
            if pages >= PAGES_MAXIMUM:
                return FillFindings(pages, seen, tuple(recovered), refused, f"fills did not end after {pages} pages")

    async def _read_orders(self) -> "OrderFindings":
        # Ours as they were before the venue was asked: what is sent meanwhile is not missing from its list.
        ours = {
            state.venue_order_id: state
            for state in self.ledger.live_orders(self.account)
            if isinstance(state, (Sent, Acknowledged)) and state.venue_order_id is not None
        }
        desk = self.context.ref(Paths.account(self.account, "desk"))
        found = OrderFindings()
        cursor: str | None = None
        listed = set()
        while True:
            page = self.dialect.read_open_orders(await self.request(self.dialect.list_open_orders(cursor)))
            if isinstance(page, Unreadable):
                found.why = f"open orders, page {found.pages + 1}: {page.why}"
                return found
            found.pages += 1
            found.refused += len(page.refused)
            for report in page.orders:
                listed.add(report.venue_order_id)
                found.open_at_venue += 1
                if (self.account, report.venue_order_id) not in self.ledger.by_venue_id:
                    found.foreign += 1
                desk.tell(ReportOrder(report=report, source=FillSource.SWEEP, rest=True))
            cursor = page.next_cursor
            if cursor is None:
                break
            if found.pages >= PAGES_MAXIMUM:
                found.why = f"open orders did not end after {found.pages} pages"
                return found
        for venue_order_id, state in ours.items():
            if venue_order_id in listed:
                continue
            found.queried += 1
            reply = await self.request(self.dialect.query_order(venue_order_id))
            match self.dialect.read_order(reply, venue_order_id):
                case OrderReport() as report:
                    if not report.status.is_open:
                        found.corrected = (*found.corrected, state.terms.client_order_id)
                    desk.tell(ReportOrder(report=report, source=FillSource.SWEEP, rest=True))
                case OrderNotFound():
                    pass  # its own actor asks on, with its backoff; until then it counts as open
                case Unreadable() as failure:
                    found.why = f"order {state.terms.client_order_id}: {failure.why}"
                    return found
            await trio.lowlevel.checkpoint()
        return found


class FillFindings:
    """What was read of fills; `why` is empty when all of it was."""

    __slots__ = ("pages", "recovered", "refused", "seen", "why")

    def __init__(self, pages: int, seen: int, recovered: tuple[TradeId, ...], refused: int, why: str) -> None:
        self.pages = pages
        self.seen = seen
        self.recovered = recovered
        self.refused = refused
        self.why = why


class OrderFindings:
    """What was read of orders; `why` is empty when all of it was."""

    __slots__ = ("corrected", "foreign", "open_at_venue", "pages", "queried", "refused", "why")

    def __init__(self, why: str = "") -> None:
        self.pages = self.open_at_venue = self.queried = self.foreign = self.refused = 0
        self.corrected: tuple[ClientOrderId, ...] = ()
        self.why = why
