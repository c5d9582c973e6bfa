"""`tallystick truth`: the three views of what is held, and intended against actual for every intent."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
import typer

from ..model.intent import AnyIntent, PairIntent, Side
from ..model.ledger import IntentEntry, Ledger
from ..model.money import EXACT, ZERO, Quantity
from ..model.order import Acknowledged, Computed, Done, OrderState, Sent, Withdrawn, open_quantity
from ..model.risk import ENTRY
from ..model.sizing import legs_of
from ..model.truth import Absent, BookView, Seen, Truth, Unavailable, View
from .output import Screen, print_json
from .output import View as Shown
from .reading import Folded, JsonOption, StoreArgument, StoreOption, fold, opened, require_known
from .text import amount, instant, maybe_amount, maybe_instant, short_instant

EXAMPLES = """\b
Examples:
  tallystick truth var/main
  tallystick truth var/main --account polymarket:main --all
  tallystick truth var/main --json | jq '.comparisons[] | select(.agree != true)'
"""

_HASH = re.compile(r"(0x[0-9a-f]{8})[0-9a-f]{56}\b")


class BookSide(Shown, frozen=True):
    """The book's interval: the truth lies from `lowest` to `highest` while anything is in flight."""

    confirmed: str
    matched: str
    lowest: str
    highest: str


class ViewSide(Shown, frozen=True):
    """Another view. `state` is seen, unavailable or absent; `at` is its as-of, or since when it cannot be read."""

    state: str
    quantity: str | None = None
    at: str | None = None
    stamp: str = ""
    why: str = ""
    difference: str | None = None


class Comparison(Shown, frozen=True):
    """One asset of one account. `agree` is None while a view cannot be read; `fills_since` counts what came after."""

    account: str
    asset: str
    book: BookSide
    venue: ViewSide
    wallet: ViewSide
    agree: bool | None
    exact: bool
    tolerance: str
    watermark: int
    fills_since: int
    compared_at: str


class Uncompared(Shown, frozen=True):
    """A book that no comparison has covered yet: unconfirmed, and so open."""

    account: str
    asset: str
    book: BookSide


class LegView(Shown, frozen=True):
    """Intended against actual for one leg of one intent.

    ``intended = filled + open + unsent + uncovered``: `unsent` are slices computed and not sent, `uncovered` is what
    no order stands for now. `intended` is None where the instrument's rules are not in the journal. `drift` names
    what is wrong, and is empty when nothing is.
    """

    strategy: str
    intent_id: str
    leg: int
    name: str
    instrument: str
    side: str
    intended: str | None
    computed: str
    sent: str
    filled: str
    open: str
    unsent: str
    uncovered: str | None
    drift: str
    outcome: str
    ended_at: str | None


class TruthView(Shown, frozen=True):
    as_of: str | None
    comparisons: tuple[Comparison, ...]
    uncompared: tuple[Uncompared, ...]
    intents: tuple[LegView, ...]


def view(folded: Folded, *, account: str | None, ended_too: bool) -> TruthView:
    """Both halves as one value; intents that have ended only with `ended_too`."""
    ledger = folded.ledger
    compared = [truth for _, truth in sorted(ledger.truths.items()) if account in {None, truth.account}]
    covered = {(truth.account, truth.asset) for truth in compared}
    legs: list[LegView] = []
    for entry in ledger.intents.values():
        if account not in {None, entry.intent.account} or (entry.ended_at_ns is not None and not ended_too):
            continue
        legs.extend(_legs(ledger, entry, folded.last_at_ns or 0))
    return TruthView(
        as_of=maybe_instant(folded.last_at_ns),
        comparisons=tuple(_comparison(ledger, truth) for truth in compared),
        uncompared=tuple(
            Uncompared(account=owner, asset=asset, book=_book(book))
            for (owner, asset), book in sorted(ledger.holdings.items())
            if account in {None, owner} and (owner, asset) not in covered and (book.matched or not book.is_quiet)
        ),
        intents=tuple(legs),
    )


# ---- position truth ---------------------------------------------------------------------------------------


def _comparison(ledger: Ledger, truth: Truth) -> Comparison:
    differences = {difference.view.value: difference.amount for difference in truth.differences}
    return Comparison(
        account=truth.account,
        asset=truth.asset,
        book=_book(truth.book),
        venue=_side(truth.venue, differences.get("venue")),
        wallet=_side(truth.wallet, differences.get("wallet")),
        agree=truth.agree,
        exact=truth.exact,
        tolerance=amount(truth.tolerance),
        watermark=truth.watermark,
        fills_since=ledger.account(truth.account).fills - truth.watermark,
        compared_at=instant(truth.compared_at_ns),
    )


def _book(book: BookView) -> BookSide:
    return BookSide(
        confirmed=amount(book.confirmed),
        matched=amount(book.matched),
        lowest=amount(book.lowest),
        highest=amount(book.highest),
    )


def _side(found: View, difference: Decimal | None) -> ViewSide:
    match found:
        case Seen():
            return ViewSide(
                state="seen",
                quantity=amount(found.quantity),
                at=instant(found.as_of_ns),
                stamp=found.stamp,
                difference=maybe_amount(difference),
            )
        case Unavailable():
            return ViewSide(state="unavailable", at=instant(found.since_ns), why=found.why)
        case Absent():
            return ViewSide(state="absent")


# ---- intent truth -----------------------------------------------------------------------------------------


def _legs(ledger: Ledger, entry: IntentEntry, now_ns: int) -> list[LegView]:
    orders = [ledger.orders[order] for order in entry.orders]
    return [
        _leg(entry, number, plan, [state for state in orders if state.terms.leg == number], now_ns)
        for number, plan in enumerate(_plans(ledger, entry.intent))
    ]


class _Plan(msgspec.Struct, frozen=True):
    """What one leg was meant to be; the quantity of a pair's leg follows from its instrument's rules."""

    name: str
    instrument: str
    side: Side
    quantity: Quantity | None


def _plans(ledger: Ledger, intent: AnyIntent) -> tuple[_Plan, ...]:
    match intent:
        case PairIntent(long=long, short=short) if not (
            long.instrument in ledger.instruments and short.instrument in ledger.instruments
        ):
            return (
                _Plan("long", long.instrument, Side.BUY, None),
                _Plan("short", short.instrument, Side.SELL_SHORT, None),
            )
        case _:
            legs = legs_of(intent, ledger.instruments.get)
            return tuple(_Plan(leg.name, leg.instrument, leg.side, leg.quantity) for leg in legs)


def _leg(entry: IntentEntry, number: int, plan: _Plan, orders: Sequence[OrderState], now_ns: int) -> LegView:
    # What undoes an intent afterwards is not a part of what it intended.
    entries = [state for state in orders if state.terms.purpose == ENTRY]
    computed = _sum(state.terms.quantity for state in entries if not isinstance(state, Withdrawn))
    sent = _sum(state.terms.quantity for state in entries if isinstance(state, Sent | Acknowledged | Done))
    filled = _sum(state.progress.filled for state in entries if isinstance(state, Sent | Acknowledged | Done))
    opened = _sum(open_quantity(state) for state in entries)
    unsent = _sum(state.terms.quantity for state in entries if isinstance(state, Computed))
    uncovered = None if plan.quantity is None else EXACT.subtract(plan.quantity, _sum((filled, opened, unsent)))
    return LegView(
        strategy=entry.intent.strategy,
        intent_id=entry.intent.intent_id,
        leg=number,
        name=plan.name,
        instrument=plan.instrument,
        side=plan.side.value,
        intended=maybe_amount(plan.quantity),
        computed=amount(computed),
        sent=amount(sent),
        filled=amount(filled),
        open=amount(opened),
        unsent=amount(unsent),
        uncovered=maybe_amount(uncovered),
        drift=_drift(entry, entries, uncovered, now_ns),
        outcome=entry.outcome,
        ended_at=maybe_instant(entry.ended_at_ns),
    )


def _drift(entry: IntentEntry, orders: Sequence[OrderState], uncovered: Decimal | None, now_ns: int) -> str:
    """What is wrong between intended and actual, in one sentence; empty when nothing is."""
    if uncovered is not None and uncovered < 0:
        return f"{amount(uncovered.copy_abs())} more than intended"
    for state in orders:
        if isinstance(state, Computed) and state.send_by_ns < now_ns:
            return (
                f"{state.terms.client_order_id} was computed and not sent by {short_instant(instant(state.send_by_ns))}"
            )
    if entry.ended_at_ns is not None and any(open_quantity(state) > 0 for state in orders):
        return "ended while something may still be executed"
    return ""


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


# ---- for people -------------------------------------------------------------------------------------------


def show(found: TruthView, screen: Screen) -> None:
    screen.line(f"as of {short_instant(found.as_of)} UTC" if found.as_of else "nothing is journalled yet")
    screen.title("Position truth: book, venue, wallet")
    screen.table(
        ("account", "asset", "#book", "#venue", "as of (UTC)", "#wallet", "as of", "verdict"),
        [
            (
                row.account,
                row.asset,
                _interval(row.book),
                _quantity(row.venue),
                short_instant(row.venue.at),
                _quantity(row.wallet),
                _short_hash(row.wallet.stamp) or short_instant(row.wallet.at),
                _verdict(row),
            )
            for row in found.comparisons
        ],
        empty="no comparison yet",
    )
    if found.uncompared:
        screen.title("Held by the book and compared with nothing yet: unconfirmed")
        screen.table(
            ("account", "asset", "#book"),
            [(row.account, row.asset, _interval(row.book)) for row in found.uncompared],
            empty="",
        )
    screen.title("Intent truth: intended, and what stands for it")
    screen.table(
        ("strategy", "intent", "leg", "side", "#intended", "#filled", "#open", "#unsent", "#uncovered", "drift"),
        [
            (
                row.strategy,
                row.intent_id if row.outcome == "" else f"{row.intent_id} ({row.outcome})",
                f"{row.leg} {row.name} {row.instrument}".replace("  ", " "),
                row.side,
                row.intended,
                row.filled,
                row.open,
                row.unsent,
                row.uncovered,
                f"DRIFT {row.drift}" if row.drift else "none",
            )
            for row in found.intents
        ],
        empty="no active intents",
    )


def _interval(book: BookSide) -> str:
    if book.lowest == book.highest:
        return book.matched
    return f"{book.matched} ({book.lowest} to {book.highest})"


def _quantity(side: ViewSide) -> str:
    return side.quantity if side.quantity is not None else side.state


def _verdict(row: Comparison) -> str:
    since = f", {row.fills_since} fills since" if row.fills_since else ""
    if row.agree is False:
        parts = [
            f"{name} by {side.difference}"
            for name, side in (("venue", row.venue), ("wallet", row.wallet))
            if side.difference is not None
        ]
        return f"DIFFERS {', '.join(parts)}{since}"
    if row.agree is None:
        why = "; ".join(side.why for side in (row.venue, row.wallet) if side.why)
        return f"unknown ({why}){since}"
    return f"{'agree' if row.exact else 'agree, not settled'}{since}"


def _short_hash(stamp: str) -> str:
    """Enough of a block's hash to tell it from another; the whole is in the JSON."""
    return _HASH.sub(r"\1…", stamp)


def truth(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    account: Annotated[str | None, typer.Option(help="Only this account.", show_default=False)] = None,
    ended_too: Annotated[bool, typer.Option("--all", help="Intents that have ended as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare book, venue and wallet for every asset, and intended with actual for every intent."""
    with opened(store or store_option) as reader:
        folded = fold(reader)
    require_known(folded.ledger, account=account)
    found = view(folded, account=account, ended_too=ended_too)
    if as_json:
        print_json(found)
    else:
        show(found, Screen())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("truth", epilog=EXAMPLES)(truth)
