"""Whether a close may be sent: only for what is still there (design 9).

An order that reduces a position is sent on the strength of a book; the venue may have closed that position already,
by hand or by itself. Then the close would do something that nobody meant, so the venue is asked first. What it says is
weighed here, with what is still on its way into the position.
"""

from decimal import Decimal
from enum import StrEnum

from .fill import Direction
from .money import EXACT, ZERO, Quantity, SignedQuantity
from .truth import BookView


class CloseVerdict(StrEnum):
    SEND = "send"
    GONE = "gone"
    """Every view that there is says that it is not there: no close is invented for it."""
    UNCONFIRMED = "unconfirmed"
    """Nobody could say; it is asked again."""


def is_close(book: BookView, direction: Direction) -> bool:
    """Whether an order of this direction makes a position smaller that the book holds."""
    return EXACT.multiply(book.matched, direction.sign) < 0


def close_verdict(
    book: BookView,
    quantity: Quantity,
    *,
    venue: SignedQuantity | None,
    wallet: SignedQuantity | None,
    has_wallet: bool,
    tolerance: Decimal,
    oversell_refused: bool,
) -> CloseVerdict:
    """Weigh what the views say of a position that is to be closed by `quantity`; None is a view that gave no answer.

    The venue's word is enough to send. Against sending it takes the wallet's word too, where there is one, since the
    venue's view may trail its own last fill. Where the venue gives no answer, an order that it would itself refuse for
    want of the position may go; any other waits.
    """
    sign = 1 if book.matched > 0 else -1

    def covers(seen: SignedQuantity) -> bool:
        on_its_way = book.arriving if sign > 0 else book.leaving
        there = EXACT.add(max(EXACT.multiply(seen, Decimal(sign)), ZERO), on_its_way)
        return EXACT.add(there, tolerance) >= quantity

    if venue is None:
        return CloseVerdict.SEND if oversell_refused else CloseVerdict.UNCONFIRMED
    if covers(venue):
        return CloseVerdict.SEND
    if not has_wallet:
        return CloseVerdict.GONE
    if wallet is None:
        return CloseVerdict.UNCONFIRMED
    return CloseVerdict.SEND if covers(wallet) else CloseVerdict.GONE
