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
    """The cause of a drift, or where it is, from the evidence at hand (design 10)."""

    DROPPED_FILL = "dropped_fill"
    SLICE_NEVER_SENT = "slice_never_sent"
    FOREIGN_ORDER = "foreign_order"
    TRANSFER = "transfer"
    FILL_REVERSED = "fill_reversed"
    EXIT_RECOVERED = "exit_recovered"
    """The book held a position that had been closed; its real exit was found in the venue's history."""
    POSITION_VANISHED = "position_vanished"
    """The book holds a position that no view has, and no exit of it was found."""
    POSITION_UNEXPECTED = "position_unexpected"
    """The views have a position of which the book knows nothing."""
    WALLET_DIFFERS = "wallet_differs"
    """Book and venue agree, and the wallet holds something else: what the venue calls settled did not arrive."""
    VENUE_VIEW_STALE = "venue_view_stale"
    UNEXPLAINED = "unexplained"


def diagnosis_of(truth: Truth, *, is_position: bool) -> Diagnosis:
    """Return where a drift is, from the three views alone: what an alert says when no cause was found.

    `is_position` is False for cash, of which there is no flat and no open.
    """
    seen = {name: view for name, view in _views(truth) if isinstance(view, Seen)}
    differing = {part.view for part in truth.differences}
    if differing == {ViewName.VENUE} and ViewName.WALLET in seen:
        return Diagnosis.VENUE_VIEW_STALE
    if is_position:
        if is_vanished(truth):
            return Diagnosis.POSITION_VANISHED
        book_is_flat = truth.book.is_quiet and abs(truth.book.matched) <= truth.tolerance
        if book_is_flat and all(abs(view.quantity) > truth.tolerance for view in seen.values()):
            return Diagnosis.POSITION_UNEXPECTED
    if differing == {ViewName.WALLET} and ViewName.VENUE in seen:
        return Diagnosis.WALLET_DIFFERS
    return Diagnosis.UNEXPLAINED


def is_vanished(truth: Truth) -> bool:
    """Whether the book surely holds something, and every view that could be read holds nothing."""
    seen = [view for _, view in _views(truth) if isinstance(view, Seen)]
    held = truth.book.lowest > truth.tolerance or truth.book.highest < -truth.tolerance
    return held and bool(seen) and all(abs(view.quantity) <= truth.tolerance for view in seen)


def _views(truth: Truth) -> tuple[tuple[ViewName, View], ...]:
    return (ViewName.VENUE, truth.venue), (ViewName.WALLET, truth.wallet)
