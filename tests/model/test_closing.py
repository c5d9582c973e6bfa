"""A close is sent for what is there, refused for what is gone, and waits when nobody can say."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.closing import CloseVerdict, close_verdict, is_close
from tallystick.model.fill import Direction
from tallystick.model.money import ZERO, Quantity, SignedQuantity
from tallystick.model.truth import BookView


def book(held: str, arriving: str = "0", leaving: str = "0") -> BookView:
    confirmed = Decimal(held)
    return BookView(
        confirmed=SignedQuantity(confirmed),
        matched=SignedQuantity(confirmed + Decimal(arriving) - Decimal(leaving)),
        arriving=Quantity(Decimal(arriving)),
        leaving=Quantity(Decimal(leaving)),
    )


def verdict(
    held: BookView,
    quantity: str = "50",
    venue: str | None = "50",
    wallet: str | None = None,
    *,
    has_wallet: bool = True,
    oversell_refused: bool = True,
) -> CloseVerdict:
    return close_verdict(
        held,
        Quantity(Decimal(quantity)),
        venue=None if venue is None else SignedQuantity(Decimal(venue)),
        wallet=None if wallet is None else SignedQuantity(Decimal(wallet)),
        has_wallet=has_wallet,
        tolerance=Decimal("0.01"),
        oversell_refused=oversell_refused,
    )


def test_an_order_closes_what_it_makes_smaller() -> None:
    assert is_close(book("50"), Direction.SELL)
    assert is_close(book("-50"), Direction.BUY)
    assert not is_close(book("50"), Direction.BUY)
    assert not is_close(book("0"), Direction.SELL)


def test_what_the_venue_has_may_be_closed_without_asking_anyone_else() -> None:
    assert verdict(book("50"), venue="50") is CloseVerdict.SEND
    assert verdict(book("50"), venue="49.995") is CloseVerdict.SEND
    assert verdict(book("-50"), venue="-50") is CloseVerdict.SEND


def test_what_every_view_says_is_gone_is_gone() -> None:
    assert verdict(book("50"), venue="0", wallet="0") is CloseVerdict.GONE
    assert verdict(book("50"), venue="0", has_wallet=False) is CloseVerdict.GONE
    assert verdict(book("50"), venue="-50", wallet="0") is CloseVerdict.GONE
    assert verdict(book("50"), venue="30", wallet="30") is CloseVerdict.GONE


def test_a_wallet_that_has_it_overrules_a_venue_view_that_is_behind() -> None:
    assert verdict(book("50"), venue="0", wallet="50") is CloseVerdict.SEND


def test_what_is_still_on_its_way_counts_as_there() -> None:
    assert verdict(book("0", arriving="50"), venue="0", wallet="0") is CloseVerdict.SEND
    assert verdict(book("20", arriving="30"), venue="20") is CloseVerdict.SEND
    assert verdict(book("0", leaving="50"), "50", venue="0", wallet="0") is CloseVerdict.SEND


def test_without_an_answer_only_a_venue_that_would_refuse_it_gets_the_order() -> None:
    assert verdict(book("50"), venue=None) is CloseVerdict.SEND
    assert verdict(book("50"), venue=None, oversell_refused=False) is CloseVerdict.UNCONFIRMED
    assert verdict(book("50"), venue="0", wallet=None) is CloseVerdict.UNCONFIRMED


amounts = st.decimals(min_value=0, max_value=1000, places=2)


@given(held=amounts, quantity=amounts, seen=st.one_of(st.none(), amounts), wallet=st.one_of(st.none(), amounts))
def test_nothing_is_called_gone_that_any_view_has(
    held: Decimal, quantity: Decimal, seen: Decimal | None, wallet: Decimal | None
) -> None:
    found = close_verdict(
        BookView(confirmed=SignedQuantity(held), matched=SignedQuantity(held)),
        Quantity(quantity),
        venue=None if seen is None else SignedQuantity(seen),
        wallet=None if wallet is None else SignedQuantity(wallet),
        has_wallet=True,
        tolerance=ZERO,
        oversell_refused=False,
    )
    if found is CloseVerdict.GONE:
        assert seen is not None
        assert wallet is not None
        assert max(seen, wallet) < quantity
    if found is CloseVerdict.SEND:
        assert max(seen or ZERO, wallet or ZERO) >= quantity
