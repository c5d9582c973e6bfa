"""The examiner of one account: looks at the venue before an operator's command about it is recorded.

It reads and reports; what follows from it the operator's desk decides.
"""

from ..model.fill import FillSource
from ..model.identifiers import InstrumentId
from ..model.money import ZERO, plain
from ..model.report import OrderNotFound, OrderReport, Unreadable
from ..model.truth import Truth
from ..store.records import FILLS, fill_row
from .context import Paths
from .exchange import HANGS_AFTER_SECONDS
from .kernel import TaskDone, handles
from .messages import ExamineHolding, ExamineOrder, HoldingExamined, OrderExamined, ReportOrder
from .views import ObservingActor, view_of

PAGES_MAXIMUM = 1000


class ExaminerActor(ObservingActor):
    """Answers each examination with one message to whoever asked."""

    @handles(ExamineHolding)
    def _examine_holding(self, message: ExamineHolding) -> None:
        self.start_task(
            self._look_at_holding,
            message,
            name=f"holding {message.command_id}",
            hangs_after_seconds=HANGS_AFTER_SECONDS,
        )

    @handles(ExamineOrder)
    def _examine_order(self, message: ExamineOrder) -> None:
        self.start_task(
            self._look_at_order, message, name=f"order {message.command_id}", hangs_after_seconds=HANGS_AFTER_SECONDS
        )

    @handles(TaskDone)
    def _done(self, _message: TaskDone) -> None:
        """The task has told its findings by itself."""

    async def _look_at_holding(self, message: ExamineHolding) -> None:
        """The views first and the history after them: whatever the views show is in the history by then."""
        observed = await self.observe()
        missing, unreadable = await self._missing()
        # What moved without a trade is booked from the ledger; while that cannot be read, the difference may be it.
        unreadable = unreadable or observed.ledger_unread
        now = self.now_ns()
        instrument = self.ledger.instruments.get(InstrumentId(message.asset))
        truth = Truth(
            account=self.account,
            asset=message.asset,
            book=self.ledger.book(self.account, message.asset),
            venue=view_of("venue", observed.venue, message.asset, now),
            wallet=view_of("wallet", observed.wallet, message.asset, now),
            watermark=observed.watermark,
            compared_at_ns=now,
            tolerance=ZERO if instrument is None else instrument.drift_tolerance,
        )
        found = HoldingExamined(command_id=message.command_id, truth=truth, missing=missing, unreadable=unreadable)
        message.reply_to.tell(found)

    async def _missing(self) -> tuple[int, str]:
        """How many executions the venue's history has, since the last complete sweep, that the log lacks."""
        overlap_ns = int(self.settings.reconciler.overlap_seconds * 1e9)
        swept_until_ns = self.ledger.account(self.account).swept_until_ns or self.context.born_ns
        journal = self.context.recorder.journal
        missing = 0
        cursor: str | None = None
        for page_number in range(1, PAGES_MAXIMUM + 1):
            request = self.dialect.list_executions(max(0, swept_until_ns - overlap_ns), cursor)
            page = self.dialect.read_executions(await self.request(request))
            if isinstance(page, Unreadable):
                return missing, f"page {page_number}: {page.why}"
            if page.refused:
                return missing, f"page {page_number}: {len(page.refused)} rows could not be read"
            missing += sum(journal.get(FILLS, fill_row(found.key)) is None for found in page.executions)
            cursor = page.next_cursor
            if cursor is None:
                return missing, ""
        return missing, f"it did not end after {PAGES_MAXIMUM} pages"

    async def _look_at_order(self, message: ExamineOrder) -> None:
        reply = await self.request(self.dialect.query_order(message.venue_order_id))
        shown = absent = unreadable = ""
        match self.dialect.read_order(reply, message.venue_order_id):
            case OrderReport() as report:
                # It is the truth, whoever asked for it.
                told = ReportOrder(report=report, source=FillSource.SWEEP, rest=True)
                self.context.tell(Paths.account(self.account, "desk"), told)
                filled, whole = plain(report.filled_quantity), plain(report.original_quantity)
                shown = f"{report.venue_status}, {filled} of {whole} filled"
            case OrderNotFound() as not_found:
                absent = not_found.text or "it does not know it"
            case Unreadable() as failure:
                unreadable = failure.why
        message.reply_to.tell(
            OrderExamined(
                command_id=message.command_id,
                order=message.order,
                shown=shown,
                absent=absent,
                unreadable=unreadable,
            )
        )
