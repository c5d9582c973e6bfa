"""What moved an account's cash or positions without a trade, as the ledger that it settles on shows it.

A transfer is one transaction of that ledger: all of it happened or none, and at most once, so its name is enough to
tell it from every other for ever. Its movements are the account's own, net for each asset. Rules: polymarket.md 13,
evm.md 6 and 10.
"""

from enum import StrEnum

from .identifiers import AccountId, AssetId
from .money import SignedQuantity, plain
from .value import Value


class TransferKind(StrEnum):
    """What a transaction did to the account, from its movements alone."""

    DEPOSIT = "deposit"
    """Cash came in: a deposit, a rebate or a reward; the ledger does not tell them apart."""
    WITHDRAWAL = "withdrawal"
    """Cash went out to somebody else."""
    POSITION_IN = "position_in"
    """A position came in from somebody else."""
    POSITION_OUT = "position_out"
    """A position went out to somebody else."""
    SPLIT = "split"
    """Cash became a complete set of outcomes."""
    MERGE = "merge"
    """A complete set of outcomes became cash."""
    REDEMPTION = "redemption"
    """Shares of a resolved market became their payout."""
    OTHER = "other"
    """Movements that fit none of these; they are booked all the same, since they happened."""

    @property
    def is_harmless(self) -> bool:
        """Nothing that a strategy holds or may sell became less: it is told, and nobody has to decide."""
        return self in {TransferKind.DEPOSIT, TransferKind.REDEMPTION}


class Movement(Value, frozen=True):
    """One asset's net change in one transaction.

    `followed` is False for assets outside the account's markets: recorded, and in no book, since no view covers them.
    `references` name the ledger's own entries, `counterparties` who was on the other side.
    """

    asset: AssetId
    quantity: SignedQuantity
    followed: bool
    references: tuple[str, ...]
    counterparties: tuple[str, ...]


class LedgerPosition(Value, frozen=True):
    """How far a ledger has been read: a block, and its hash, by which a changed history is recognised.

    An empty stamp says that the place is known and its content is not: reading begins there without that check.
    """

    number: int
    stamp: str


class Transfer(Value, frozen=True):
    """One transaction that moved something of the account and settled no trade of the venue."""

    account: AccountId
    transaction: str
    kind: TransferKind
    movements: tuple[Movement, ...]
    at: LedgerPosition

    def __str__(self) -> str:
        moved = ", ".join(
            f"{'+' if part.quantity > 0 else ''}{plain(part.quantity)} {part.asset}" for part in self.movements
        )
        return f"{self.kind} {moved} in {self.transaction}"


class TransferPage(Value, frozen=True):
    """What one reading of the ledger showed, from just behind the position asked from up to and with `until`.

    `settled_trades` are the transactions that settled a trade of the venue: they belong to the fill log. `ended` says
    that the reading reached the end it was pinned to. `history_changed` is not empty where the ledger no longer has the
    position that was read before; then nothing else in the page is to be believed.
    """

    transfers: tuple[Transfer, ...]
    settled_trades: tuple[str, ...]
    until: LedgerPosition
    ended: bool
    history_changed: str = ""
