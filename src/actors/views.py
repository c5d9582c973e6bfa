"""Reads what an account holds as the venue and the wallet show it, at one fill watermark.

For whoever compares (the witness) and whoever acts on a comparison (an operator's adoption): both see the same.
"""

from collections.abc import Sequence

from ..model.identifiers import AssetId, InstrumentId
from ..model.money import ZERO, SignedQuantity
from ..model.report import Holding, HoldingsPage, Unreadable
from ..model.truth import Absent, BookView, Seen, Unavailable, View
from ..model.value import Value
from ..venues.port import Reply, TransportFailure
from .exchange import ConversingActor


class Observed(Value, frozen=True):
    """Both views at one fill watermark; None where the account has no such view.

    `before` are the books as they were when the reading began: all that a reading is worth while fills never pause.
    """

    venue: HoldingsPage | Unreadable
    wallet: HoldingsPage | Unreadable | None
    watermark: int
    before: dict[AssetId, BookView]


class ObservingActor(ConversingActor):
    """An actor whose tasks read the views of one account."""

    def _instruments(self) -> tuple[InstrumentId, ...]:
        venue = self.settings.venue
        return tuple(sorted(name for name, found in self.ledger.instruments.items() if found.venue == venue))

    async def observe(self) -> Observed:
        """Read both views; a fill that came in between makes them views of two watermarks, so read again."""
        instruments = self._instruments()
        attempt = 0
        while True:
            attempt += 1
            watermark = self.ledger.account(self.account).fills
            before = {asset: book for (account, asset), book in self.ledger.holdings.items() if account == self.account}
            venue = await self._read_venue(instruments)
            wallet = await self._read_wallet(instruments)
            if self.ledger.account(self.account).fills == watermark or attempt >= self.settings.witness.read_attempts:
                return Observed(venue=venue, wallet=wallet, watermark=watermark, before=before)

    async def _read_venue(self, instruments: Sequence[InstrumentId]) -> HoldingsPage | Unreadable:
        holdings: list[Holding] = []
        cursor: str | None = None
        while True:
            replies = await self.requests(self.dialect.list_holdings(instruments, cursor))
            page = self.dialect.read_holdings(replies)
            if isinstance(page, Unreadable):
                return page
            if page.refused:
                return Unreadable(why=f"{len(page.refused)} rows of the venue's view could not be read")
            holdings += page.holdings
            cursor = page.next_cursor
            if cursor is None:
                return HoldingsPage(
                    holdings=tuple(holdings), as_of_ns=page.as_of_ns, stamp=page.stamp, exhaustive=page.exhaustive
                )

    async def _read_wallet(self, instruments: Sequence[InstrumentId]) -> HoldingsPage | Unreadable | None:
        asks = self.dialect.wallet_head()
        if asks is None:
            return None
        head: Reply = await self.request(asks)
        if isinstance(head, TransportFailure):
            return Unreadable(why=head.why)
        balances = self.dialect.wallet_balances(head, instruments)
        if isinstance(balances, Unreadable):
            return balances
        return self.dialect.read_wallet(head, await self.request(balances), instruments)


def view_of(name: str, page: HoldingsPage | Unreadable | None, asset: AssetId, now_ns: int) -> View:
    """One asset in one reading. What a reading that lists everything does not list is zero; else it is unknown."""
    if page is None:
        return Absent()
    if isinstance(page, Unreadable):
        return Unavailable(since_ns=now_ns, why=page.why)
    for held in page.holdings:
        if held.asset == asset:
            return Seen(quantity=held.quantity, as_of_ns=page.as_of_ns, stamp=page.stamp)
    if not page.exhaustive:
        return Unavailable(since_ns=page.as_of_ns, why=f"the {name} does not list it, and does not list everything")
    return Seen(quantity=SignedQuantity(ZERO), as_of_ns=page.as_of_ns, stamp=page.stamp)
