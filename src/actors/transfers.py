"""The only door for transfers: what moved an account's cash or positions without a trade, read from its ledger.

Each transaction enters the book once and for ever, with its evidence; that makes a deposit, a split or a redemption an
explanation instead of a drift. Nothing of it is anyone's trade, so no strategy's position changes, and whoever trades
on what has gone is paused until an operator has looked.

The ledger is read when the wallet's balances say that something moved, and now and then all the same, so that what
came and went again between two readings is on record too.
"""

from ..model.alert import Alert, AlertKind, AlertState, Severity
from ..model.event import AlertClosed, Event, LedgerRead, TransferBooked
from ..model.identifiers import AccountId, AlertId
from ..model.money import ZERO, plain
from ..model.report import HoldingsPage, Unreadable
from ..model.transfer import LedgerPosition, Transfer, TransferKind, TransferPage
from ..model.truth import Diagnosis, outside
from ..model.value import Value
from ..store.records import TRANSFERS, transfer_row
from ..venues.port import Reply
from .alerts import announce, opening_of, pauses_of
from .context import Context, Paths
from .exchange import ConversingActor
from .messages import Raise

READ_EVERY_SECONDS = 600.0
CHANGED_BLOCKS = 64
"""How far back a ledger is read again whose final past has changed."""


class LedgerUnread(Value, frozen=True):
    """Why what moved is not known; `wallet_too` says that the wallet of the same reading is not to be believed."""

    why: str
    wallet_too: bool = False


class LedgerReadingActor(ConversingActor):
    """An actor whose tasks read an account's ledger, and book what they find."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.ledger_read_at = float("-inf")
        self.ledger_position: LedgerPosition | None = None

    async def read_ledger(self, head: Reply, wallet: HoldingsPage) -> LedgerUnread | None:
        """Book what moved up to the block of `head`; returns why that is not known, or None.

        Before the account has a baseline nothing is read: whatever moved until then is in it.
        """
        entry = self.ledger.account(self.account)
        position = self.ledger_position or entry.ledger_read
        due = self.monotonic() - self.ledger_read_at >= READ_EVERY_SECONDS
        if not entry.opened or not (due or position is None or self._moved(wallet)):
            return None
        if position is None:
            return self._begin(head)
        while True:
            asks = self.dialect.list_transfers(head, position)
            if asks is None:
                return None
            if isinstance(asks, Unreadable):
                return LedgerUnread(why=asks.why)
            page = self.dialect.read_transfers(head, await self.request(asks), position)
            if isinstance(page, Unreadable):
                return LedgerUnread(why=page.why)
            if page.history_changed:
                self._history_changed(page, position)
                return LedgerUnread(why=page.history_changed, wallet_too=True)
            self._book_transfers(page, due=due)
            position = page.until
            if page.ended:
                self.ledger_read_at = self.monotonic()
                return None

    def _begin(self, head: Reply) -> LedgerUnread | None:
        """An account that was opened before its ledger was followed: from here on it is."""
        found = self.dialect.ledger_position(head)
        if isinstance(found, Unreadable):
            return LedgerUnread(why=found.why)
        if found is not None:
            self.record(LedgerRead(account=self.account, position=found))
            self.ledger_read_at = self.monotonic()
        return None

    def _moved(self, wallet: HoldingsPage) -> bool:
        """Whether the wallet shows anything that the book cannot be."""
        for held in wallet.holdings:
            book = self.ledger.book(self.account, held.asset)
            # Exactly: what a comparison would let pass as dust has a cause as well.
            if outside(book, held.quantity, ZERO):
                return True
        return False

    # ---- booking ------------------------------------------------------------------------------------------

    def _book_transfers(self, page: TransferPage, *, due: bool) -> None:
        """Record what is new. Where nothing is, how far was read is recorded now and then only."""
        journal = self.context.recorder.journal
        # The dialect tells trades apart by who moved what; one that is known to be settling is no transfer anyway.
        settling = {fill.execution.transaction for fill in self.ledger.unsettled.values()}
        fresh = [
            found
            for found in page.transfers
            if found.transaction not in settling
            and journal.get(TRANSFERS, transfer_row(self.account, found.transaction)) is None
        ]
        self.ledger_position = page.until
        if not fresh and not due:
            return
        alerts = [transfer_alert(found, self.now_ns()) for found in fresh]
        # One group: no booking without its alert and its pauses, wherever the process ends.
        events: list[Event] = []
        for found, alert in zip(fresh, alerts, strict=True):
            events += [TransferBooked(transfer=found), *opening_of(self.context, alert)]
            if found.kind.is_harmless:
                by = f"transaction {found.transaction} is booked"
                events.append(AlertClosed(alert_id=alert.alert_id, state=AlertState.EXPLAINED, by=by))
        grave = [alert for found, alert in zip(fresh, alerts, strict=True) if not found.kind.is_harmless]
        if grave:
            events += pauses_of(self.context, self.account, grave[0].message, grave[0].alert_id)
        lsn = self.record(*events, LedgerRead(account=self.account, position=page.until))
        for alert in alerts:
            announce(self.context, alert, lsn)

    def _history_changed(self, page: TransferPage, position: LedgerPosition) -> None:
        """A block that was final is another one now: tell it, and read the last stretch again, with nothing doubled.

        What was booked and is not in the new history stays booked: the difference shows, and a person decides.
        """
        followed_from = self.ledger.account(self.account).ledger_followed_from
        back = LedgerPosition(number=max(followed_from, position.number - CHANGED_BLOCKS), stamp="")
        self.ledger_position = back
        self.record(LedgerRead(account=self.account, position=back))
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=AlertId(f"history_changed:{self.account}:{position.number}:{position.stamp}"),
                    kind=AlertKind.HISTORY_CHANGED,
                    severity=Severity.CRITICAL,
                    message=(
                        f"{self.account}: the chain shows another past than the one that it called final; the wallet "
                        f"is not believed in this reading, and the last {CHANGED_BLOCKS} blocks are read again"
                    ),
                    diagnosis="history_changed",
                    evidence=(("change", page.history_changed), ("read up to", str(position.number))),
                    opened_at_ns=self.now_ns(),
                    account=self.account,
                )
            )
        )


_WORDS = {
    TransferKind.DEPOSIT: "cash came in",
    TransferKind.WITHDRAWAL: "cash was withdrawn",
    TransferKind.POSITION_IN: "a position came in",
    TransferKind.POSITION_OUT: "a position went out",
    TransferKind.SPLIT: "cash was split into outcomes",
    TransferKind.MERGE: "outcomes were merged into cash",
    TransferKind.REDEMPTION: "shares were redeemed",
    TransferKind.OTHER: "a transaction of no known kind moved something",
}


def transfer_alert(transfer: Transfer, now_ns: int) -> Alert:
    """The alert about one transaction that moved something without a trade. One for each, for ever."""
    harmless = transfer.kind.is_harmless
    happens = (
        "it is booked" if harmless else "it is booked, and the account's strategies are paused until it is resolved"
    )
    moved = tuple(
        (
            str(part.asset),
            f"{plain(part.quantity)} ({', '.join(part.references)}; other side {', '.join(part.counterparties)})"
            + ("" if part.followed else ", outside the account's markets: in no book"),
        )
        for part in transfer.movements
    )
    return Alert(
        alert_id=AlertId(f"transfer:{transfer.account}:{transfer.transaction}"),
        kind=AlertKind.TRANSFER if harmless else AlertKind.DRIFT,
        severity=Severity.INFO if harmless else Severity.CRITICAL,
        message=f"{transfer.account}: {_WORDS[transfer.kind]} without a trade; {happens}",
        diagnosis=Diagnosis.TRANSFER,
        evidence=(
            ("kind", transfer.kind),
            ("transaction", transfer.transaction),
            ("block", f"{transfer.at.number} {transfer.at.stamp}"),
            *moved,
        ),
        opened_at_ns=now_ns,
        account=transfer.account,
    )
