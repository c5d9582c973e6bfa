"""Looks for the cause of a drift in the venue's history, before anyone is alerted (design 10).

Two questions, both answered with execution ids and nothing else: which executions since the last agreement does the
log lack, and, for a position that the book holds and nobody else does, which execution closed it, however long ago.
"""

from ..model.fill import Execution
from ..model.identifiers import AssetId, InstrumentId
from ..model.report import Unreadable
from ..model.truth import is_vanished
from ..model.value import Value
from ..store.records import FILLS, fill_row
from .views import ObservingActor

PAGES_MAXIMUM = 1000


class Diagnosed(Value, frozen=True):
    """What the venue's history has and the log lacks, for assets whose drift has settled.

    `exits` are executions that closed what the book still holds, by asset, oldest first.
    """

    assets: tuple[AssetId, ...]
    missing: tuple[Execution, ...]
    exits: tuple[tuple[AssetId, tuple[Execution, ...]], ...] = ()
    unreadable: str = ""


class HistoryUnread(Exception):
    """The venue's history could not be read; the message says why."""


class DiagnosingActor(ObservingActor):
    """An actor whose tasks search the venue's history."""

    async def diagnose(self, assets: tuple[AssetId, ...], agreed_at_ns: int) -> Diagnosed:
        """Search since the last agreement (less an overlap), and for vanished positions since the opening."""
        overlap_ns = int(self.settings.reconciler.overlap_seconds * 1e9)
        try:
            missing = await self._missing_since(agreed_at_ns - overlap_ns, None)
            exits: list[tuple[AssetId, tuple[Execution, ...]]] = []
            for asset in assets:
                found = await self._exits(asset)
                if found:
                    exits.append((asset, found))
        except HistoryUnread as unread:
            return Diagnosed(assets=assets, missing=(), unreadable=str(unread))
        closing = {execution.key for _, found in exits for execution in found}
        return Diagnosed(
            assets=assets,
            missing=tuple(execution for execution in missing if execution.key not in closing),
            exits=tuple(exits),
        )

    async def _exits(self, asset: AssetId) -> tuple[Execution, ...]:
        """The executions that closed a position which the book holds and no view has; none for any other asset."""
        truth = self.ledger.truths.get((self.account, asset))
        instrument = InstrumentId(asset)
        if truth is None or instrument not in self.ledger.instruments or not is_vanished(truth):
            return ()
        since_ns = self.ledger.account(self.account).opened_at_ns
        held = truth.book.matched
        found = await self._missing_since(since_ns, instrument)
        # Whatever else the log lacks of it is an ordinary dropped fill; an exit goes against what is held.
        against = [
            execution
            for execution in found
            if execution.instrument == instrument and (execution.direction.sign > 0) is (held < 0)
        ]
        return tuple(sorted(against, key=lambda execution: execution.venue_time_ns))

    async def _missing_since(self, since_ns: int, instrument: InstrumentId | None) -> list[Execution]:
        journal = self.context.recorder.journal
        missing: list[Execution] = []
        cursor: str | None = None
        for _page in range(PAGES_MAXIMUM):
            request = self.dialect.list_executions(max(0, since_ns), cursor, instrument=instrument)
            page = self.dialect.read_executions(await self.request(request))
            if isinstance(page, Unreadable):
                raise HistoryUnread(page.why)
            if page.refused:
                raise HistoryUnread(f"{len(page.refused)} rows could not be read")
            missing += [found for found in page.executions if journal.get(FILLS, fill_row(found.key)) is None]
            cursor = page.next_cursor
            if cursor is None:
                return missing
        raise HistoryUnread(f"it did not end after {PAGES_MAXIMUM} pages")
