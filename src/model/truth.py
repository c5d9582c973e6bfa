"""Position truth: three views of what an account holds, and when they may be said to agree.

The *book* is folded from fills; the *venue* is its account endpoint; the *wallet* is on chain. The book is an
interval where executions settle after matching: what is confirmed, and what will be if everything in flight
settles. A view agrees when it lies inside that interval, widened by the instrument's tolerance. Rules:
polymarket.md 9.3, evm.md 10.
"""

from decimal import Decimal
from enum import StrEnum

from .identifiers import AccountId, AssetId
from .money import EXACT, ZERO, Quantity, SignedQuantity
from .value import Value


class BookView(Value, frozen=True):
    """What the fills say: `confirmed` is settled, `matched` includes executions that have not settled yet.

    `arriving` and `leaving` are the quantities of purchases and sales in flight. They settle in any order, and a
    view may show any of them before we hear of it, so the truth lies anywhere from `lowest` to `highest`:

        lowest = confirmed − leaving ──── confirmed, matched ──── confirmed + arriving = highest
    """

    confirmed: SignedQuantity
    matched: SignedQuantity
    arriving: Quantity = Quantity(ZERO)
    leaving: Quantity = Quantity(ZERO)

    @property
    def is_quiet(self) -> bool:
        """Nothing is in flight, so that equality can be demanded."""
        return self.confirmed == self.matched and not self.arriving and not self.leaving

    @property
    def lowest(self) -> SignedQuantity:
        """What is held if every sale in flight settles and no purchase does."""
        return SignedQuantity(min(EXACT.subtract(self.confirmed, self.leaving), self.matched))

    @property
    def highest(self) -> SignedQuantity:
        """What is held if every purchase in flight settles and no sale does."""
        return SignedQuantity(max(EXACT.add(self.confirmed, self.arriving), self.matched))


class Seen(Value, frozen=True, tag="seen"):
    """A view that was read. `stamp` names its own as-of: a block, a page, a time of receipt."""

    quantity: SignedQuantity
    as_of_ns: int
    stamp: str


class Unavailable(Value, frozen=True, tag="unavailable"):
    """A view that could not be read since `since_ns`: never zero, and the others go on being compared."""

    since_ns: int
    why: str


class Absent(Value, frozen=True, tag="absent"):
    """This asset has no such view (there is no wallet); declared, never assumed equal."""


View = Seen | Unavailable | Absent


class ViewName(StrEnum):
    BOOK = "book"
    VENUE = "venue"
    WALLET = "wallet"


class Difference(Value, frozen=True):
    """One view outside the book's interval, by `amount` (view minus the nearest end of the interval)."""

    view: ViewName
    amount: SignedQuantity


class Truth(Value, frozen=True):
    """One asset of one account, as all three views show it at one fill watermark."""

    account: AccountId
    asset: AssetId
    book: BookView
    venue: View
    wallet: View
    watermark: int
    compared_at_ns: int
    tolerance: Decimal = Decimal(0)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Every readable view that lies outside the book's interval."""
        found: list[Difference] = []
        for name, view in ((ViewName.VENUE, self.venue), (ViewName.WALLET, self.wallet)):
            if isinstance(view, Seen):
                amount = outside(self.book, view.quantity, self.tolerance)
                if amount:
                    found.append(Difference(view=name, amount=amount))
        return tuple(found)

    @property
    def agree(self) -> bool | None:
        """Whether every declared view was read and lies inside the interval; None if one could not be read."""
        if self.differences:
            return False
        if isinstance(self.venue, Unavailable) or isinstance(self.wallet, Unavailable):
            return None
        return True

    @property
    def exact(self) -> bool:
        """Agreement without anything in flight and without using the tolerance."""
        views = [view.quantity for view in (self.venue, self.wallet) if isinstance(view, Seen)]
        return self.agree is True and self.book.is_quiet and all(seen == self.book.matched for seen in views)


def outside(book: BookView, seen: SignedQuantity, tolerance: Decimal) -> SignedQuantity:
    """How far `seen` lies outside the book's interval; zero when inside."""
    if seen < book.lowest - tolerance:
        return SignedQuantity(seen - book.lowest)
    if seen > book.highest + tolerance:
        return SignedQuantity(seen - book.highest)
    return SignedQuantity(ZERO)


class Diagnosis(StrEnum):
    """The cause of a drift, from the evidence at hand (design 10)."""

    DROPPED_FILL = "dropped_fill"
    SLICE_NEVER_SENT = "slice_never_sent"
    FOREIGN_ORDER = "foreign_order"
    TRANSFER = "transfer"
    FILL_REVERSED = "fill_reversed"
    VENUE_VIEW_STALE = "venue_view_stale"
    UNEXPLAINED = "unexplained"
