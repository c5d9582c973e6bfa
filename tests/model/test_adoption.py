"""What an operator may take into the book: what every readable view agrees on, and never what could be a fill."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.adoption import adoptable
from tallystick.model.identifiers import AssetId
from tallystick.model.money import Quantity, SignedQuantity
from tallystick.model.truth import Absent, BookView, Seen, Truth, Unavailable, View

from .examples import ACCOUNT, NOW_NS, RAIN

amounts = st.decimals(min_value=-1000, max_value=1000, places=6, allow_nan=False)


def seen(quantity: Decimal | str) -> Seen:
    return Seen(quantity=SignedQuantity(Decimal(quantity)), as_of_ns=NOW_NS, stamp="page 1")


def truth(
    *,
    book: Decimal | str = "0",
    venue: View | None = None,
    wallet: View | None = None,
    tolerance: str = "0",
    arriving: str = "0",
) -> Truth:
    held = SignedQuantity(Decimal(book))
    return Truth(
        account=ACCOUNT,
        asset=AssetId(RAIN),
        book=BookView(confirmed=held, matched=held, arriving=Quantity(Decimal(arriving))),
        venue=seen("5") if venue is None else venue,
        wallet=Absent() if wallet is None else wallet,
        watermark=3,
        compared_at_ns=NOW_NS,
        tolerance=Decimal(tolerance),
    )


def decided(compared: Truth, *, missing: int = 0, unreadable: str = "", open_orders: int = 0) -> SignedQuantity | str:
    return adoptable(compared, missing=missing, unreadable=unreadable, open_orders=open_orders)


@given(book=amounts, shown=amounts)
def test_with_it_the_book_is_what_the_views_show_to_the_last_unit(book: Decimal, shown: Decimal) -> None:
    quantity = decided(truth(book=book, venue=seen(shown), wallet=seen(shown)))
    if book == shown:
        assert isinstance(quantity, str)
        assert "nothing to adopt" in quantity
    else:
        assert not isinstance(quantity, str)
        assert book + quantity == shown


@given(venue=amounts, wallet=amounts)
def test_what_venue_and_wallet_do_not_agree_on_is_not_adopted(venue: Decimal, wallet: Decimal) -> None:
    quantity = decided(truth(book="2000", venue=seen(venue), wallet=seen(wallet)))
    assert isinstance(quantity, str) is (venue != wallet)


@pytest.mark.parametrize(
    ("compared", "facts", "why"),
    [
        (truth(venue=Unavailable(since_ns=NOW_NS, why="HTTP 503")), {}, "the venue cannot be read (HTTP 503)"),
        (truth(wallet=Unavailable(since_ns=NOW_NS, why="no node")), {}, "the wallet cannot be read (no node)"),
        (truth(), {"unreadable": "page 2: HTTP 500"}, "may be a fill"),
        (truth(), {"missing": 2}, "2 executions that the log lacks"),
        (truth(), {"open_orders": 1}, "1 orders may still change it"),
        (truth(arriving="1"), {}, "in flight"),
        (truth(venue=Absent()), {}, "no view shows"),
    ],
)
def test_what_could_be_a_fill_or_is_not_known_is_not_adopted(
    compared: Truth, facts: dict[str, int | str], why: str
) -> None:
    quantity = decided(compared, **facts)  # type: ignore[arg-type]  # the names say the types
    assert isinstance(quantity, str)
    assert why in quantity


def test_within_its_tolerance_the_wallet_counts() -> None:
    assert decided(truth(venue=seen("5.01"), wallet=seen("5"), tolerance="0.01")) == Decimal(5)


def test_where_there_is_no_wallet_the_venue_counts() -> None:
    assert decided(truth(book="2")) == Decimal(3)
