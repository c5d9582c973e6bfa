"""Transfers change the account's book by exactly what moved, and nothing else."""

from decimal import Decimal

from tallystick.model.event import LedgerRead, OpeningAdopted, OpeningObserved, TransferBooked
from tallystick.model.identifiers import AssetId
from tallystick.model.ledger import Ledger
from tallystick.model.money import SignedQuantity
from tallystick.model.report import Holding
from tallystick.model.transfer import LedgerPosition, Movement, Transfer, TransferKind

from .examples import ACCOUNT

CASH, SHARES, STRANGE = AssetId("pUSD"), AssetId("polymarket:rain:Yes"), AssetId("polymarket:token:1")
AT = LedgerPosition(number=7, stamp="0xblock")


def moved(asset: AssetId, quantity: str, *, followed: bool = True) -> Movement:
    return Movement(
        asset=asset,
        quantity=SignedQuantity(Decimal(quantity)),
        followed=followed,
        references=("log 1",),
        counterparties=("0xother",),
    )


def transfer(*movements: Movement) -> Transfer:
    return Transfer(account=ACCOUNT, transaction="0xtx", kind=TransferKind.SPLIT, movements=movements, at=AT)


def test_a_transfer_moves_the_accounts_book_settled_and_touches_no_position() -> None:
    ledger = Ledger()
    booked = TransferBooked(
        transfer=transfer(moved(CASH, "-40"), moved(SHARES, "40"), moved(STRANGE, "3", followed=False))
    )
    ledger.apply(booked, 1)
    assert ledger.book(ACCOUNT, CASH).confirmed == ledger.book(ACCOUNT, CASH).matched == -40
    assert ledger.book(ACCOUNT, SHARES).matched == 40
    assert (ACCOUNT, STRANGE) not in ledger.holdings
    assert not ledger.positions
    entry = ledger.account(ACCOUNT)
    assert entry.transfers == 1
    assert entry.fills == 0, "it is no execution, so comparisons of one watermark stay what they are"


def test_an_opening_that_was_observed_stands_until_one_is_adopted_and_survives_a_snapshot() -> None:
    ledger = Ledger()
    holdings = (Holding(asset=SHARES, quantity=SignedQuantity(Decimal(30))),)
    ledger.apply(OpeningObserved(account=ACCOUNT, holdings=holdings, stamps=("block 1",)), 1)
    assert ledger.book(ACCOUNT, SHARES).matched == 0
    assert not ledger.account(ACCOUNT).opened
    thawed = Ledger.thaw(ledger.freeze())
    assert thawed.account(ACCOUNT).opening_observed == holdings
    thawed.apply(OpeningAdopted(account=ACCOUNT, holdings=(), by="somebody", stamps=()), 5)
    assert not thawed.account(ACCOUNT).opening_observed
    assert thawed.account(ACCOUNT).opened_at_ns == 5


def test_the_ledger_is_followed_from_where_it_was_first_read() -> None:
    ledger = Ledger()
    for number in (7, 90, 26):
        ledger.apply(LedgerRead(account=ACCOUNT, position=LedgerPosition(number=number, stamp="")), 1)
    entry = ledger.account(ACCOUNT)
    assert entry.ledger_followed_from == 7
    assert entry.ledger_read == LedgerPosition(number=26, stamp="")


def test_a_transfer_reads_as_a_sentence() -> None:
    assert str(transfer(moved(CASH, "-40"), moved(SHARES, "40"))) == ("split -40 pUSD, +40 polymarket:rain:Yes in 0xtx")
