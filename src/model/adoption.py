"""When a difference between views and book may be taken into the book on an operator's word, and how much of it.

The danger is to adopt what is really a fill: the sweep that brings it later would count it twice. So nothing may be in
flight, nothing may be open, and the venue's history must hold no execution that the log lacks.
"""

from .money import EXACT, SignedQuantity, plain
from .truth import Absent, Seen, Truth, Unavailable, View


def adoptable(truth: Truth, *, missing: int, unreadable: str, open_orders: int) -> SignedQuantity | str:
    """What the book must change by, or in one sentence why nothing may be adopted now.

    `missing` counts executions of the venue's history that the log lacks, `unreadable` says why that history could not
    be read, and `open_orders` counts orders that may still change this asset.
    """
    unavailable = [why for why in (_unavailable("venue", truth.venue), _unavailable("wallet", truth.wallet)) if why]
    if unavailable:
        return "; ".join(unavailable)
    if unreadable:
        return f"the venue's history cannot be read ({unreadable}), so the difference may be a fill"
    if missing:
        return f"the venue's history has {missing} executions that the log lacks; reconcile first, they are fills"
    if open_orders:
        return f"{open_orders} orders may still change it; cancel them first, or wait until they have ended"
    if not truth.book.is_quiet:
        return "fills are in flight between match and settlement; wait until they have settled"
    seen = [view for view in (truth.wallet, truth.venue) if isinstance(view, Seen)]
    if not seen:
        return "no view shows this asset"
    if any(abs(view.quantity - seen[0].quantity) > truth.tolerance for view in seen):
        shown = " and ".join(f"{plain(view.quantity)} ({view.stamp})" for view in seen)
        return f"wallet and venue differ: {shown}; what they do not agree on cannot be adopted"
    difference = SignedQuantity(EXACT.subtract(seen[0].quantity, truth.book.matched))
    if not difference:
        held = plain(truth.book.matched)
        return f"the book has {held} of it already; there is nothing to adopt, and an alert about it can be resolved"
    return difference


def _unavailable(name: str, view: View) -> str:
    match view:
        case Unavailable():
            return f"the {name} cannot be read ({view.why})"
        case Seen() | Absent():
            return ""
