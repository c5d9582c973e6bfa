"""The reconciler: asks the venue for its truth, on a cadence and on every doubt, and leaves a record each time.

A sweep reads fills since the watermark minus an overlap, to the end; then the open orders; then every order of ours
that is not among them, one by one (design 9). Where the account was out of reach, or somebody doubts what it holds, the
witness then compares the holdings, in both directions. The sweep hands all of it on and changes nothing itself: fills
go through the fill log, order states to their actors. What could not be read makes the record incomplete and says why.
"""

from collections.abc import Sequence

import pykka
import trio

from ..model.account import AccountState, Correction, HoldingDifference, Reconciliation, SweepTrigger
from ..model.event import ReconciliationEnded
from ..model.fill import Execution, FillSource
from ..model.identifiers import AccountId, ClientOrderId, SweepId
from ..model.money import plain
from ..model.order import Acknowledged, Sent
from ..model.report import ExecutionReport, OrderNotFound, OrderReport, Unreadable
from ..model.timestamps import rfc3339
from ..model.truth import Absent, Unavailable
from ..model.value import Value
from ..store.records import FILLS, fill_row
from .context import Context, Paths
from .exchange import HANGS_AFTER_SECONDS, ConversingActor
from .kernel import ExitReason, OutcomeUnknown, TaskDone, handles
from .messages import AskTruth, LogExecutions, ReportOrder, Sweep, SweepEnded, Tick, TruthTold
from .witness_alerts import difference_text

CADENCE, DUE = "cadence", "due"
RECOVERY = frozenset({SweepTrigger.START, SweepTrigger.GATEWAY_RESTART, SweepTrigger.STREAM_RESTART})
"""After these the account is not Live before its holdings were read as well."""
ABOUT_HOLDINGS = RECOVERY | {SweepTrigger.REJECTION, SweepTrigger.CLOSE_REFUSED, SweepTrigger.OPERATOR}
SETTLED = frozenset({SweepTrigger.START, SweepTrigger.CLOSE_REFUSED, SweepTrigger.OPERATOR})
"""For these a difference has settled, and was searched for and alerted, before the record is made."""
PAGES_MAXIMUM = 1000
"""A venue that pages for ever is broken; the sweep says so instead of never ending."""


class Findings(Value, frozen=True):
    """What one sweep read, before it became a record."""

    record: Reconciliation
    stream_was_up: bool


class Begun(Value, frozen=True):
    """The sweep that runs: what its record says even if it never comes to an end."""

    sweep_id: SweepId
    wanted: Sweep
    started_at_ns: int
    since_ns: int


class ReconcilerActor(ConversingActor):
    """One account's sweeps, one at a time, with a minimum spacing; a trigger during a sweep runs another after it."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.running: Begun | None = None
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
        self.wanted = message if self.wanted is None else _both(self.wanted, message)
        self._begin()

    @handles(Tick)
    def _due(self, _message: Tick) -> None:
        self._begin()

    def _begin(self) -> None:
        """Start what is wanted, unless one runs (it starts after that) or the gateway is not ready (then it comes)."""
        wanted = self.wanted
        if wanted is None or self.running is not None or not self.context.connection(self.account).gateway_ready:
            return
        wait = self.last_ended + self.settings.reconciler.spacing_seconds_minimum - self.monotonic()
        if wait > 0:
            self.after(wait, Tick(name=DUE), key=DUE)
            return
        self.cancel_timer(DUE)
        self.wanted = None
        self.number += 1
        sweep_id = SweepId(f"{self.account}/{self.ledger.started}.{self.incarnation}.{self.number}")
        self.running = Begun(
            sweep_id=sweep_id, wanted=wanted, started_at_ns=self.now_ns(), since_ns=self._since_ns(wanted)
        )
        self.start_task(self._run, self.running, name="sweep", hangs_after_seconds=HANGS_AFTER_SECONDS)

    def on_stop(self, reason: ExitReason) -> None:
        """A sweep that is cut short ends in its record, too; only the end of the process itself leaves none."""
        begun = self.running
        if begun is None or self.context.recorder.journal.failed is not None:
            return
        self.record(
            ReconciliationEnded(
                record=Reconciliation(
                    sweep_id=begun.sweep_id,
                    account=self.account,
                    trigger=begun.wanted.trigger,
                    started_at_ns=begun.started_at_ns,
                    ended_at_ns=self.now_ns(),
                    fills_since_ns=begun.since_ns,
                    fill_pages=0,
                    fills_seen=0,
                    fills_recovered=(),
                    order_pages=0,
                    orders_open_at_venue=0,
                    orders_queried=0,
                    orders_corrected=(),
                    foreign_orders=0,
                    rows_refused=0,
                    complete=False,
                    why=f"cut short: {reason}",
                    detail=begun.wanted.detail,
                )
            )
        )

    @handles(TaskDone)
    def _done(self, message: TaskDone) -> None:
        found = message.value
        assert isinstance(found, Findings)
        self.running = None
        self.last_ended = self.monotonic()
        self.record(ReconciliationEnded(record=found.record))
        ended = SweepEnded(record=found.record, stream_was_up=found.stream_was_up)
        self.context.tell(Paths.account(self.account, "desk"), ended)
        if found.record.complete:
            self.mark_healthy()
            self._begin()
            return
        again = Sweep(
            trigger=found.record.trigger,
            detail=f"again after {found.record.sweep_id}",
            since_ns=found.record.fills_since_ns,
        )
        self.wanted = again if self.wanted is None else _both(again, self.wanted)
        self.after(self.settings.reconciler.incomplete_retry_seconds, Tick(name=DUE), key=DUE)

    # ---- one sweep ----------------------------------------------------------------------------------------

    def _since_ns(self, wanted: Sweep) -> int:
        """From when on fills are read: since the last complete sweep began, and as far back as anything is open.

        The newest fill is no watermark: a stream may deliver it while an older one was lost.
        """
        overlap_ns = int(self.settings.reconciler.overlap_seconds * 1e9)
        swept_until_ns = self.ledger.account(self.account).swept_until_ns or self.context.born_ns
        since_ns = swept_until_ns - overlap_ns
        if wanted.since_ns is not None:
            since_ns = min(since_ns, wanted.since_ns)
        for fill in self.ledger.unsettled.values():
            if fill.execution.key.account == self.account:
                # Its settlement is told with the execution, however long ago that was.
                since_ns = min(since_ns, fill.execution.venue_time_ns - 1_000_000_000)
        return max(0, since_ns)

    async def _run(self, begun: Begun) -> Findings:
        wanted, since = begun.wanted, begun.since_ns
        stream_was_up = self.context.connection(self.account).stream_up
        trigger = wanted.trigger
        # Whatever made it ask: until the account was Live once, it reads what happened while nobody was there.
        recovering = self.ledger.account(self.account).state is AccountState.RECOVERING
        source = FillSource.RECOVERY if recovering or trigger is SweepTrigger.START else FillSource.SWEEP
        fills = await self._read_fills(since, source)
        orders = await self._read_orders() if not fills.why else OrderFindings(why=fills.why)
        refused = fills.refused + orders.refused
        holdings = HoldingFindings()
        if not orders.why and trigger in ABOUT_HOLDINGS:
            holdings = await self._read_holdings(trigger)
        why = orders.why or (f"{refused} rows could not be read" if refused else "") or holdings.why
        return Findings(
            record=Reconciliation(
                sweep_id=begun.sweep_id,
                account=self.account,
                trigger=trigger,
                started_at_ns=begun.started_at_ns,
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
                rows_refused=refused,
                complete=not why,
                why=why,
                detail=wanted.detail,
                corrections=(*fills.corrections, *orders.corrections),
                orders_unresolved=orders.unresolved,
                holdings_compared=holdings.compared,
                holdings_unread=holdings.unread,
                differences=holdings.differences,
            ),
            stream_was_up=stream_was_up,
        )

    async def _read_fills(self, since_ns: int, source: FillSource) -> "FillFindings":
        cursor: str | None = None
        pages = seen = refused = 0
        recovered: list[Execution] = []
        journal = self.context.recorder.journal
        fill_log = self.context.ref(Paths.account(self.account, "fills"))
        while True:
            page = self.dialect.read_executions(await self.request(self.dialect.list_executions(since_ns, cursor)))
            if isinstance(page, Unreadable):
                return FillFindings(pages, seen, recovered, refused, f"fills, page {pages + 1}: {page.why}")
            pages += 1
            seen += len(page.executions)
            refused += len(page.refused)
            recovered += [found for found in page.executions if journal.get(FILLS, fill_row(found.key)) is None]
            if page.executions:
                reports = tuple(ExecutionReport(execution=found) for found in page.executions)
                fill_log.tell(LogExecutions(reports=reports, source=source, received_at_ns=self.now_ns()))
            cursor = page.next_cursor
            if cursor is None:
                return FillFindings(pages, seen, recovered, refused, "")
            if pages >= PAGES_MAXIMUM:
                return FillFindings(pages, seen, recovered, refused, f"fills did not end after {pages} pages")

    async def _read_orders(self) -> "OrderFindings":
        # Ours as they were before the venue was asked: what is sent meanwhile is not missing from its list.
        ours = {
            state.venue_order_id: state
            for state in self.ledger.live_orders(self.account)
            if isinstance(state, (Sent, Acknowledged)) and state.venue_order_id is not None
        }
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
                self._report(report)
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
                        said = f"the venue shows {report.venue_status} with {plain(report.filled_quantity)} filled"
                        found.corrections.append(Correction(subject=state.terms.client_order_id, evidence=said))
                    self._report(report)
                case OrderNotFound():
                    # Its own actor asks on, with its backoff; until then it counts as open.
                    found.unresolved = (*found.unresolved, state.terms.client_order_id)
                case Unreadable() as failure:
                    found.why = f"order {state.terms.client_order_id}: {failure.why}"
                    return found
            await trio.lowlevel.checkpoint()
        return found

    def _report(self, report: OrderReport) -> None:
        """Tell an order's actor what the venue shows; the desk knows what to do about one that has none."""
        told = ReportOrder(report=report, source=FillSource.SWEEP, rest=True)
        order = self.ledger.by_venue_id.get((self.account, report.venue_order_id))
        actor = None if order is None else self.context.find(Paths.order(self.account, order))
        if actor is not None:
            actor.tell(told)
        else:
            self.context.tell(Paths.account(self.account, "desk"), told)

    async def _read_holdings(self, trigger: SweepTrigger) -> "HoldingFindings":
        """Have the witness compare what is held, once everything that the fills said is in the book."""
        witness = self.context.find(Paths.account(self.account, "witness"))
        if witness is None or not self.ledger.account(self.account).opened:
            return HoldingFindings()  # the first comparison makes the baseline, and the account waits for it
        settled = trigger in SETTLED
        patience_seconds = self.settings.gateway.timeout_seconds * 3
        if settled:
            patience_seconds += self.settings.witness.settle_seconds * 4
        try:
            told = await witness.ask_async(AskTruth(settled=settled), timeout=patience_seconds)
        except (pykka.Timeout, pykka.ActorDeadError, OutcomeUnknown) as failure:
            why = f"the holdings were not compared: {failure}"
            return HoldingFindings(why=why if trigger in RECOVERY else "", unread=(why,))
        assert isinstance(told, TruthTold)
        differences = tuple(
            HoldingDifference(asset=truth.asset, difference=difference_text(truth))
            for truth in told.truths
            if truth.differences
        )
        # One view that cannot be read is unavailable, and the other goes on being compared; with neither nobody knows.
        blind = [
            truth.asset
            for truth in told.truths
            if isinstance(truth.venue, Unavailable) and isinstance(truth.wallet, (Unavailable, Absent))
        ]
        why = f"no view of {', '.join(blind)} could be read" if blind and trigger in RECOVERY else ""
        return HoldingFindings(
            why=why, compared=len(told.truths) - len(blind), unread=told.unread, differences=differences
        )


def _both(first: Sweep, second: Sweep) -> Sweep:
    """One sweep that answers two reasons: named after the one that says more, as far back as either wants."""
    told = second if first.trigger is SweepTrigger.CADENCE else first
    asked = [wanted.since_ns for wanted in (first, second) if wanted.since_ns is not None]
    return Sweep(trigger=told.trigger, detail=told.detail, since_ns=min(asked, default=None))


class FillFindings:
    """What was read of fills; `why` is empty when all of it was."""

    __slots__ = ("corrections", "pages", "recovered", "refused", "seen", "why")

    def __init__(self, pages: int, seen: int, recovered: Sequence[Execution], refused: int, why: str) -> None:
        self.pages = pages
        self.seen = seen
        self.recovered = tuple(found.key.trade_id for found in recovered)
        self.corrections = tuple(
            Correction(
                subject=f"trade {found.key.trade_id} of order {found.key.venue_order_id}",
                evidence=(
                    f"the venue's history, {found.direction} {plain(found.quantity)} {found.instrument} "
                    f"at {plain(found.price)}, {rfc3339(found.venue_time_ns)}"
                ),
            )
            for found in recovered
        )
        self.refused = refused
        self.why = why


class OrderFindings:
    """What was read of orders; `why` is empty when all of it was."""

    __slots__ = (
        "corrected",
        "corrections",
        "foreign",
        "open_at_venue",
        "pages",
        "queried",
        "refused",
        "unresolved",
        "why",
    )

    def __init__(self, why: str = "") -> None:
        self.pages = self.open_at_venue = self.queried = self.foreign = self.refused = 0
        self.corrected: tuple[ClientOrderId, ...] = ()
        self.unresolved: tuple[ClientOrderId, ...] = ()
        self.corrections: list[Correction] = []
        self.why = why


class HoldingFindings(Value, frozen=True):
    """What the comparison of holdings came to; `compared` is None where there was none."""

    why: str = ""
    compared: int | None = None
    unread: tuple[str, ...] = ()
    differences: tuple[HoldingDifference, ...] = ()
