"""`tallystick positions`: what every strategy holds and gained, and what every account's book says."""

from collections import defaultdict
from decimal import Decimal
from typing import Annotated

import typer

from ..model.identifiers import InstrumentId, StrategyName
from ..model.ledger import Ledger
from ..model.money import EXACT, ZERO
from ..model.position import Position
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, fold, opened, require_known
from .text import amount, maybe_amount

EXAMPLES = """\b
Examples:
  tallystick positions var/main
  tallystick positions var/main --strategy weather
  tallystick positions var/main --json | jq '.totals'
"""


AVERAGE_DIGITS_SHOWN = 8


class PositionView(View, frozen=True):
    """`matched` counts every execution, `confirmed` those that have settled. `net` is profit realised less fees.

    Amounts of money are in `settlement_asset`; it is empty where the instrument's rules were never learned.
    """

    strategy: str
    instrument: str
    settlement_asset: str
    matched: str
    confirmed: str
    arriving: str
    leaving: str
    average_cost: str | None
    cost: str
    realised: str
    fees: str
    fees_other: dict[str, str]
    fees_unknown: int
    net: str
    fills: int
    reversed: int


class TotalView(View, frozen=True):
    """A strategy's sums over its instruments of one settlement asset."""

    strategy: str
    settlement_asset: str
    realised: str
    fees: str
    net: str
    fees_unknown: int


class BookRow(View, frozen=True):
    account: str
    asset: str
    confirmed: str
    matched: str
    arriving: str
    leaving: str


class PositionsView(View, frozen=True):
    strategies: tuple[PositionView, ...]
    totals: tuple[TotalView, ...]
    accounts: tuple[BookRow, ...]


def view(ledger: Ledger, *, strategy: str | None = None, account: str | None = None) -> PositionsView:
    """Positions and books as one value, sorted by name."""
    chosen = [
        (owner, instrument, position)
        for (owner, instrument), position in sorted(ledger.positions.items())
        if strategy in {None, owner}
    ]
    return PositionsView(
        strategies=tuple(_position(ledger, *row) for row in chosen),
        totals=_totals(ledger, chosen),
        accounts=tuple(
            BookRow(
                account=owner,
                asset=asset,
                confirmed=amount(book.confirmed),
                matched=amount(book.matched),
                arriving=amount(book.arriving),
                leaving=amount(book.leaving),
            )
            for (owner, asset), book in sorted(ledger.holdings.items())
            if account in {None, owner}
        ),
    )


def _settlement_asset(ledger: Ledger, instrument: InstrumentId) -> str:
    found = ledger.instruments.get(instrument)
    return "" if found is None else found.settlement_asset


def _position(ledger: Ledger, strategy: StrategyName, instrument: InstrumentId, position: Position) -> PositionView:
    return PositionView(
        strategy=strategy,
        instrument=instrument,
        settlement_asset=_settlement_asset(ledger, instrument),
        matched=amount(position.matched),
        confirmed=amount(position.confirmed),
        arriving=amount(position.arriving),
        leaving=amount(position.leaving),
        average_cost=maybe_amount(position.average_cost),
        cost=amount(position.cost),
        realised=amount(position.realised),
        fees=amount(position.fees),
        fees_other={asset: amount(fee) for asset, fee in position.fees_other},
        fees_unknown=position.fees_unknown,
        net=amount(EXACT.subtract(position.realised, position.fees)),
        fills=position.fills,
        reversed=position.reversed,
    )


def _totals(ledger: Ledger, chosen: list[tuple[StrategyName, InstrumentId, Position]]) -> tuple[TotalView, ...]:
    sums: dict[tuple[str, str], tuple[Decimal, Decimal, int]] = defaultdict(lambda: (ZERO, ZERO, 0))
    for strategy, instrument, position in chosen:
        key = strategy, _settlement_asset(ledger, instrument)
        realised, fees, unknown = sums[key]
        sums[key] = (
            EXACT.add(realised, position.realised),
            EXACT.add(fees, position.fees),
            unknown + position.fees_unknown,
        )
    return tuple(
        TotalView(
            strategy=strategy,
            settlement_asset=asset,
            realised=amount(realised),
            fees=amount(fees),
            net=amount(EXACT.subtract(realised, fees)),
            fees_unknown=unknown,
        )
        for (strategy, asset), (realised, fees, unknown) in sorted(sums.items())
    )


def show(found: PositionsView, screen: Screen) -> None:
    screen.title("Positions of strategies")
    screen.table(
        ("strategy", "instrument", "#held", "#settled", "#average cost", "#realised", "#fees", "#net", "#fills"),
        [
            (
                row.strategy,
                row.instrument,
                row.matched,
                row.confirmed,
                _rounded(row.average_cost),
                row.realised,
                _fees(row),
                row.net,
                f"{row.fills} ({row.reversed} reversed)" if row.reversed else str(row.fills),
            )
            for row in found.strategies
        ],
        empty="no fills yet",
    )
    screen.title("Profit and loss of strategies")
    screen.table(
        ("strategy", "in", "#realised", "#fees", "#net", ""),
        [
            (
                row.strategy,
                row.settlement_asset,
                row.realised,
                row.fees,
                row.net,
                f"without the fees of {row.fees_unknown} fills, not known yet" if row.fees_unknown else "",
            )
            for row in found.totals
        ],
        empty="no fills yet",
    )
    screen.title("Books of accounts")
    screen.table(
        ("account", "asset", "#held", "#settled", "#arriving", "#leaving"),
        [(row.account, row.asset, row.matched, row.confirmed, row.arriving, row.leaving) for row in found.accounts],
        empty="nothing held, nothing adopted",
    )


def _fees(row: PositionView) -> str:
    parts = [row.fees, *(f"{fee} {asset}" for asset, fee in row.fees_other.items())]
    if row.fees_unknown:
        parts.append(f"{row.fees_unknown} unknown")
    return " + ".join(parts)


def _rounded(price: str | None) -> str | None:
    """An average for people; the JSON has every digit."""
    return None if price is None else amount(round(Decimal(price), AVERAGE_DIGITS_SHOWN))


def positions(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    strategy: Annotated[str | None, typer.Option(help="Only this strategy's.", show_default=False)] = None,
    account: Annotated[str | None, typer.Option(help="Only this account's book.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what strategies hold and gained, by actual fills, and the book of every account."""
    with opened(store or store_option) as reader:
        ledger = fold(reader).ledger
    require_known(ledger, account=account, strategy=strategy)
    found = view(ledger, strategy=strategy, account=account)
    if as_json:
        print_json(found)
    else:
        show(found, Screen())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("positions", epilog=EXAMPLES)(positions)
