"""Reads what an account holds as the venue and the wallet show it, at one fill watermark.

Where the wallet shows that something moved without a trade, the account's ledger is read up to the same block and
booked first, so that views and book are of one moment.

For whoever compares (the witness) and whoever acts on a comparison (an operator's adoption): both see the same.
"""

from collections.abc import Sequence

from ..model.identifiers import AssetId, InstrumentId
from ..model.money import ZERO, SignedQuantity
from ..model.report import Holding, HoldingsPage, Unreadable
from ..model.transfer import LedgerPosition
from ..model.truth import Absent, BookView, Seen, Unavailable, View
from ..model.value import Value
from ..venues.port import Reply, TransportFailure
from .transfers import LedgerReadingActor


class Observed(Value, frozen=True):
    """Both views at one fill watermark; None where the account has no such view.

    `before` are the books as they were when the reading began: all that a reading is worth while fills never pause.
    `position` is the wallet's place in its ledger; `ledger_unread` says why what moved up to there is not known.
    """

    venue: HoldingsPage | Unreadable
    wallet: HoldingsPage | Unreadable | None
    watermark: int
    before: dict[AssetId, BookView]
    position: LedgerPosition | None = None
    ledger_unread: str = ""


class WalletReading(Value, frozen=True):
    """The wallet, with the block that it was read at; both None where there is none."""

    page: HoldingsPage | Unreadable | None = None
    head: Reply | None = None


class ObservingActor(LedgerReadingActor):
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
            wallet = await self.read_wallet(instruments)
            if self.ledger.account(self.account).fills == watermark or attempt >= self.settings.witness.read_attempts:
                break
        page, unread, position = wallet.page, None, None
        if wallet.head is not None and isinstance(page, HoldingsPage):
            unread = await self.read_ledger(wallet.head, page)
            found = self.dialect.ledger_position(wallet.head)
            position = None if isinstance(found, Unreadable) else found
        if unread is not None and unread.wallet_too:
            page = Unreadable(why=unread.why)
        return Observed(
            venue=venue,
            wallet=page,
            watermark=watermark,
            before=before,
            position=position,
            ledger_unread="" if unread is None else unread.why,
        )

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

    async def read_wallet(self, instruments: Sequence[InstrumentId]) -> WalletReading:
        """Read cash and these instruments on chain, all at one block."""
        asks = self.dialect.wallet_head()
        if asks is None:
            return WalletReading()
        head: Reply = await self.request(asks)
        if isinstance(head, TransportFailure):
            return WalletReading(page=Unreadable(why=head.why))
        balances = self.dialect.wallet_balances(head, instruments)
        if isinstance(balances, Unreadable):
            return WalletReading(page=balances)
        return WalletReading(page=self.dialect.read_wallet(head, await self.request(balances), instruments), head=head)


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
