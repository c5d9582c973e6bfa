"""`tallystick orders`: every order, open and ended, with what is known of it."""

from collections.abc import Iterator
from typing import Annotated

import typer

from ..model.ledger import Ledger
from ..model.order import OrderState
from .order_view import OrderView, is_open, order_view
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, fold, opened, require_known
from .text import short_instant

EXAMPLES = """\b
Examples:
  tallystick orders var/main --open
  tallystick orders var/main --strategy weather --intent rain-1
  tallystick orders var/main --json | jq '.orders[] | select(.unconfirmed)'
"""


class OrdersView(View, frozen=True):
    orders: tuple[OrderView, ...]


def select(
    ledger: Ledger, *, open_only: bool, strategy: str | None, account: str | None, intent: str | None
) -> Iterator[OrderState]:
    """The orders that pass all filters, in the order in which they were computed."""
    for state in ledger.orders.values():
        terms = state.terms
        if open_only and not is_open(state):
            continue
        if strategy not in {None, terms.strategy} or account not in {None, terms.account}:
            continue
        if intent in {None, terms.intent_id}:
            yield state


_ID_CHARACTERS_SHOWN = 14


def show(found: OrdersView, screen: Screen) -> None:
    screen.table(
        (
            "order",
            "instrument",
            "side",
            "#price",
            "#quantity",
            "#filled",
            "#open",
            "state",
            "computed (UTC)",
            "at venue",
        ),
        [
            (
                row.client_order_id,
                row.instrument,
                row.side if row.side == row.direction else f"{row.side} as {row.direction}",
                row.price,
                row.quantity,
                row.filled,
                row.open,
                _state(row),
                short_instant(row.computed_at),
                _beginning(row.venue_order_id),
            )
            for row in found.orders
        ],
        empty="no orders",
    )


def _beginning(venue_order_id: str | None) -> str:
    """Enough of a venue's id to trace the order by; the whole is in the trace and in the JSON."""
    if venue_order_id is None or len(venue_order_id) <= _ID_CHARACTERS_SHOWN:
        return venue_order_id or ""
    return f"{venue_order_id[:_ID_CHARACTERS_SHOWN]}…"


def _state(row: OrderView) -> str:
    if row.outcome is not None:
        return f"{row.outcome} ({row.outcome_detail})" if row.outcome_detail else row.outcome
    state = row.state
    if row.unconfirmed and row.knowledge is not None:
        state = f"unconfirmed since {short_instant(row.knowledge.at)}: {row.knowledge.why}"
    if row.cancel_requested_at is not None:
        state = f"{state}, cancelling"
    return state


def orders(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only those of which something may still come, unconfirmed ones included.")
    ] = False,
    strategy: Annotated[str | None, typer.Option(help="Only those of this strategy.", show_default=False)] = None,
    account: Annotated[str | None, typer.Option(help="Only those of this account.", show_default=False)] = None,
    intent: Annotated[str | None, typer.Option(help="Only those of this intent id.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """List orders, open and ended, with their state, fills and ids."""
    with opened(store or store_option) as reader:
        ledger = fold(reader).ledger
    require_known(ledger, account=account, strategy=strategy)
    chosen = select(ledger, open_only=open_only, strategy=strategy, account=account, intent=intent)
    found = OrdersView(orders=tuple(order_view(state) for state in chosen))
    if as_json:
        print_json(found)
    else:
        show(found, Screen())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("orders", epilog=EXAMPLES)(orders)
