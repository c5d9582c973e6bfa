from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.identifiers import AssetId
from tallystick.model.money import Quantity, SignedQuantity
from tallystick.model.truth import (
    Absent,
    BookView,
    Diagnosis,
    Seen,
    Truth,
    Unavailable,
    View,
    ViewName,
    diagnosis_of,
    is_vanished,
    outside,
)

from .examples import ACCOUNT, plains

WHOLE = st.integers(min_value=-50, max_value=50).map(Decimal)
SIZES = st.integers(min_value=0, max_value=30).map(Decimal)
BOOKS = st.builds(
    lambda confirmed, arriving, leaving: BookView(
        confirmed=SignedQuantity(confirmed),
        matched=SignedQuantity(confirmed + arriving - leaving),
        arriving=Quantity(arriving),
        leaving=Quantity(leaving),
    ),
    WHOLE,
    SIZES,
    SIZES,
)
SEEN = st.builds(lambda held: Seen(quantity=SignedQuantity(held), as_of_ns=1, stamp="block 1"), WHOLE)
VIEWS = SEEN | st.just(Unavailable(since_ns=1, why="no answer")) | st.just(Absent())


def truth(book: BookView, venue: View, wallet: View, tolerance: str = "0") -> Truth:
    return Truth(
        account=ACCOUNT,
        asset=AssetId("pUSD"),
        book=book,
        venue=venue,
        wallet=wallet,
        watermark=1,
        compared_at_ns=1,
        tolerance=Decimal(tolerance),
    )


def held(confirmed: str, matched: str | None = None) -> BookView:
    return BookView(confirmed=SignedQuantity(Decimal(confirmed)), matched=SignedQuantity(Decimal(matched or confirmed)))


def seen(quantity: str) -> Seen:
    return Seen(quantity=SignedQuantity(Decimal(quantity)), as_of_ns=1, stamp="block 1")


@given(BOOKS, WHOLE, SIZES)
def test_a_view_is_outside_exactly_when_it_is_beyond_an_end_by_more_than_the_tolerance(
    book: BookView, view: Decimal, tolerance: Decimal
) -> None:
    amount = outside(book, SignedQuantity(view), tolerance)
    inside = book.lowest - tolerance <= view <= book.highest + tolerance
    assert (amount == 0) is inside
    if not inside:
        assert view - amount in {book.lowest, book.highest}
        assert abs(amount) > tolerance


@given(BOOKS, st.permutations([1, -1] * 2))
def test_no_order_of_settlement_leaves_the_interval(book: BookView, order: list[int]) -> None:
    wallet, arriving, leaving = book.confirmed, book.arriving / 2, book.leaving / 2
    for sign in order:
        wallet = SignedQuantity(wallet + (arriving if sign > 0 else -leaving))
        assert outside(book, wallet, Decimal(0)) == 0
    assert wallet == book.matched


@given(BOOKS, VIEWS, VIEWS, SIZES)
def test_agreement_needs_every_declared_view_and_a_difference_is_never_agreement(
    book: BookView, venue: View, wallet: View, tolerance: Decimal
) -> None:
    found = truth(book, venue, wallet, str(tolerance))
    unread = isinstance(venue, Unavailable) or isinstance(wallet, Unavailable)
    assert (found.agree is False) is bool(found.differences)
    if not found.differences:
        assert found.agree is (None if unread else True)
    if found.exact:
        assert found.agree is True
        assert book.is_quiet


@given(BOOKS, SEEN, SIZES)
def test_a_wider_tolerance_never_finds_a_new_difference(book: BookView, venue: Seen, tolerance: Decimal) -> None:
    narrow = truth(book, venue, Absent())
    wide = truth(book, venue, Absent(), str(tolerance))
    assert len(wide.differences) <= len(narrow.differences)


def test_equal_views_of_a_quiet_book_agree_exactly() -> None:
    found = truth(held("25"), seen("25"), seen("25.0"))
    assert found.agree is True
    assert found.exact


def test_a_matched_fill_that_has_not_settled_is_no_drift_and_no_exact_agreement() -> None:
    found = truth(held("0", "25"), seen("25"), seen("0"))
    assert found.agree is True
    assert not found.exact


def test_a_difference_names_its_view_and_by_how_much() -> None:
    found = truth(held("10", "25"), seen("31"), seen("8"))
    assert [one.view for one in found.differences] == [ViewName.VENUE, ViewName.WALLET]
    assert plains(*(one.amount for one in found.differences)) == "6 -2"
    assert found.agree is False


def test_a_view_that_cannot_be_read_is_unknown_and_the_other_is_still_compared() -> None:
    unread = Unavailable(since_ns=1, why="timeout")
    assert truth(held("10"), unread, seen("10")).agree is None
    assert truth(held("10"), unread, seen("9")).agree is False


def test_a_purchase_and_a_sale_in_flight_at_once_are_not_quiet() -> None:
    book = BookView(
        confirmed=SignedQuantity(Decimal(0)),
        matched=SignedQuantity(Decimal(0)),
        arriving=Quantity(Decimal(10)),
        leaving=Quantity(Decimal(10)),
    )
    assert not book.is_quiet
    # The chain settled the purchase first; without the two amounts this would be called a drift of 10.
    assert truth(book, Absent(), seen("10")).agree is True


def diagnosed(book: BookView, venue: View, wallet: View, *, is_position: bool = True) -> Diagnosis:
    return diagnosis_of(truth(book, venue, wallet), is_position=is_position)


def test_a_difference_is_named_by_where_it_is() -> None:
    unread = Unavailable(since_ns=1, why="no answer")
    assert diagnosed(held("50"), seen("0"), seen("50")) is Diagnosis.VENUE_VIEW_STALE
    assert diagnosed(held("50"), seen("50"), seen("40")) is Diagnosis.WALLET_DIFFERS
    assert diagnosed(held("50"), seen("0"), seen("0")) is Diagnosis.POSITION_VANISHED
    assert diagnosed(held("50"), seen("0"), Absent()) is Diagnosis.POSITION_VANISHED
    assert diagnosed(held("50"), seen("0"), unread) is Diagnosis.POSITION_VANISHED
    assert diagnosed(held("0"), seen("7"), seen("7")) is Diagnosis.POSITION_UNEXPECTED
    assert diagnosed(held("50"), seen("57"), seen("57")) is Diagnosis.UNEXPLAINED


def test_cash_neither_vanishes_nor_appears() -> None:
    assert diagnosed(held("50"), seen("0"), seen("0"), is_position=False) is Diagnosis.UNEXPLAINED
    assert diagnosed(held("0"), seen("7"), seen("7"), is_position=False) is Diagnosis.UNEXPLAINED


def test_a_position_that_may_still_be_settling_has_not_vanished() -> None:
    in_flight = BookView(
        confirmed=SignedQuantity(Decimal(0)),
        matched=SignedQuantity(Decimal(50)),
        arriving=Quantity(Decimal(50)),
    )
    assert not is_vanished(truth(in_flight, seen("0"), seen("0")))
    assert is_vanished(truth(held("50"), seen("0"), seen("0")))
    assert is_vanished(truth(held("-50"), seen("0"), Absent()))
    assert not is_vanished(truth(held("50"), seen("0"), seen("50")))
