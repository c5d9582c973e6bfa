"""`tallystick trace ORDER`: one order from its intent to the terminal report: messages, bytes and durable points."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from ..model.event import (
    AccountChanged,
    AlertAcknowledged,
    AlertClosed,
    AlertOpened,
    FillRecorded,
    ForeignOrderSeen,
    MessagesTraced,
    ReconciliationEnded,
    RuntimeStarted,
    RuntimeStopped,
    StreamGap,
)
from ..model.event import Event as ModelEvent
from ..model.identifiers import AccountId, AlertId, ClientOrderId, IntentId, StrategyName, TradeId, VenueOrderId
from ..model.ledger import IntentKey, Ledger
from ..model.order import Acknowledged, Done, OrderState, Sent
from ..store import AuditRecord, Entry, Event
from .errors import Refusal
from .exit_codes import ExitCode
from .message_lane import MessageLane
from .order_view import OrderView, order_view
from .output import Screen, View, print_json
from .reading import Folded, JsonOption, StoreOption, entries, fold, opened
from .sentences import tell
from .steps import GAP_SECONDS, Found, Step, sequence, show_steps
from .subjects import Subject, Subjects
from .wire import Exchanges

EXAMPLES = """\b
Examples:
  tallystick trace rain-1.0.0.0-5c7e21aa --store var/main
  tallystick trace 0x3f9a --store var/main --detail
  tallystick trace weather/rain-1 --store var/main --json | jq '.steps[] | select(.lane == "wire")'
"""

CANDIDATES_SHOWN_MAX = 10


class TraceView(View, frozen=True):
    """`orders` are the orders that were traced, as they stand now; `intent_id` is whose they are."""

    strategy: str
    intent_id: str
    orders: tuple[OrderView, ...]
    steps: tuple[Step, ...]


# ---- which orders are meant -------------------------------------------------------------------------------


class Target:
    """What is traced: some orders of one intent, by all of their names."""

    def __init__(self, key: IntentKey, orders: Iterable[OrderState]) -> None:
        self.strategy: StrategyName = key[0]
        self.intent_id: IntentId = key[1]
        self.orders: dict[ClientOrderId, OrderState] = {state.terms.client_order_id: state for state in orders}
        self.venue_order_ids: frozenset[VenueOrderId] = frozenset(
            state.venue_order_id
            for state in self.orders.values()
            if isinstance(state, Sent | Acknowledged | Done) and state.venue_order_id is not None
        )
        self.accounts: frozenset[AccountId] = frozenset(state.terms.account for state in self.orders.values())


def resolve(folded: Folded, name: str) -> Target:
    """The one thing that a name means: a client order id, a venue order id, an intent id, or the beginning of one.

    An exact id goes before a beginning, an order before an intent. Raises `Refusal` where it is none or several.
    """
    ledger = folded.ledger
    intents = [key for key in (*ledger.intents, *folded.refused) if name in {key[1], f"{key[0]}/{key[1]}"}]
    venue_names = {(account, venue_id): order for (account, venue_id), order in ledger.by_venue_id.items()}
    exact = {order for (_, venue_id), order in venue_names.items() if venue_id == name}
    if ClientOrderId(name) in ledger.orders:
        exact.add(ClientOrderId(name))
    if exact or intents:
        return _one(ledger, name, exact, intents if not exact else [])
    begun = {order for order in ledger.orders if order.startswith(name)} if name else set()
    begun |= {order for (_, venue_id), order in venue_names.items() if name and venue_id.startswith(name)}
    if len(begun) == 1:
        return _one(ledger, name, begun, [])
    intents = [key for key in (*ledger.intents, *folded.refused) if name and key[1].startswith(name)]
    return _one(ledger, name, set() if len(intents) == 1 else begun, intents)


def _one(ledger: Ledger, name: str, orders: set[ClientOrderId], intents: list[IntentKey]) -> Target:
    if len(orders) == 1 and not intents:
        state = ledger.orders[next(iter(orders))]
        return Target((state.terms.strategy, state.terms.intent_id), [state])
    if len(intents) == 1 and not orders:
        entry = ledger.intents.get(intents[0])
        return Target(intents[0], [] if entry is None else [ledger.orders[order] for order in entry.orders])
    if not orders and not intents:
        raise Refusal(
            ExitCode.NOT_FOUND, f"the journal knows no order or intent {name!r}; `tallystick orders` lists them"
        )
    found = [*sorted(orders), *(f"{strategy}/{intent_id}" for strategy, intent_id in intents)]
    more = f" and {len(found) - CANDIDATES_SHOWN_MAX} more" if len(found) > CANDIDATES_SHOWN_MAX else ""
    shown = ", ".join(found[:CANDIDATES_SHOWN_MAX])
    raise Refusal(ExitCode.NOT_FOUND, f"{name!r} may be {len(found)} things: {shown}{more}. Give more of it.")


# ---- what belongs to it -----------------------------------------------------------------------------------


class Gatherer:
    """Takes the journal entry by entry and picks what belongs to the target."""

    def __init__(self, target: Target, *, with_messages: bool = True) -> None:
        self._target = target
        self._subjects = Subjects()
        self._exchanges = Exchanges(target.orders, target.venue_order_ids)
        self._messages = MessageLane((target.strategy, target.intent_id), target.orders) if with_messages else None
        self._trades: set[TradeId] = set()
        self._alerts: set[AlertId] = set()

    def gather(self, journal: Iterable[Entry]) -> Iterator[Found]:
        """The entries that belong, in journal order, and the messages between them.

        An answer may bring in the request before it, a message its causes.
        """
        messages = self._messages
        found: dict[int, Found] = {}
        for entry in journal:
            event = entry.event
            subject = self._subjects.of(event)
            if messages is not None:
                messages.saw(entry)
            if isinstance(event, MessagesTraced):
                if messages is not None:
                    messages.take(entry, event)
            elif isinstance(event, AuditRecord):
                for part in self._exchanges.take(entry, event):
                    found[part.entry.lsn] = part
            elif self._belongs(event, subject):
                found[entry.lsn] = Found(entry, tell(event), subject.order or "")
            elif self._surrounds(event, subject):
                found[entry.lsn] = Found(entry, tell(event), context=True)
        if messages is not None:
            found |= {entry.lsn: Found(entry, tell(entry.event)) for entry in messages.lost}
        chosen = [found[lsn] for lsn in sorted(found)]
        yield from chosen if messages is None else messages.among(chosen)

    def _belongs(self, event: Event, subject: Subject) -> bool:
        target = self._target
        match event:
            case AlertOpened(alert=alert):
                texts = (alert.alert_id, alert.message, *(text for _, text in alert.evidence))
                if not self._exchanges.mentioned_in(" ".join(texts)):
                    return False
                self._alerts.add(alert.alert_id)
                return True
            case AlertAcknowledged() | AlertClosed():
                return event.alert_id in self._alerts
            case ReconciliationEnded(record=record):
                corrected = target.orders.keys() & set(record.orders_corrected)
                return bool(corrected or self._trades & set(record.fills_recovered))
            case ForeignOrderSeen():
                return event.venue_order_id in target.venue_order_ids
            case ModelEvent() if subject.order is not None or subject.venue_order_id is not None:
                mine = subject.order in target.orders or subject.venue_order_id in target.venue_order_ids
                if mine and isinstance(event, FillRecorded):
                    self._trades.add(event.fill.execution.key.trade_id)
                return mine
            case ModelEvent():
                return (subject.strategy, subject.intent_id) == (target.strategy, target.intent_id)
            case _:
                return False

    def _surrounds(self, event: Event, subject: Subject) -> bool:
        """What happened meanwhile, and may explain a silence."""
        match event:
            case RuntimeStarted() | RuntimeStopped():
                return True
            case AccountChanged() | StreamGap():
                return subject.account in self._target.accounts
            case _:
                return False


def trace(
    order: Annotated[
        str,
        typer.Argument(
            help="A client order id, a venue order id, an intent id (or strategy/intent), or the beginning of one.",
            show_default=False,
        ),
    ],
    store: StoreOption = None,
    *,
    gap_seconds: Annotated[
        float, typer.Option(min=0, help="Show silence from this long on as a line of its own.")
    ] = GAP_SECONDS,
    bodies: Annotated[bool, typer.Option("--detail", help="The evidence and bytes below each line.")] = False,
    with_messages: Annotated[
        bool, typer.Option("--messages/--no-messages", help="With the messages between actors, where they were traced.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Follow an order from the intent to the terminal report: messages, events, venue bytes, durable points, gaps."""
    with opened(store) as reader:
        target = resolve(fold(reader), order)
        found = Gatherer(target, with_messages=with_messages).gather(entries(reader))
        steps = sequence(found, gap_seconds=gap_seconds, trailing_context=False)
    view = TraceView(
        strategy=target.strategy,
        intent_id=target.intent_id,
        orders=tuple(order_view(state) for state in target.orders.values()),
        steps=steps,
    )
    if as_json:
        print_json(view)
        return
    screen = Screen()
    show(view, screen, bodies=bodies)


def show(view: TraceView, screen: Screen, *, bodies: bool) -> None:
    screen.line(f"intent {view.intent_id} of strategy {view.strategy}", "bold")
    for row in view.orders:
        ended = row.outcome or row.state
        screen.line(f"  {row.client_order_id}  {ended}, {row.filled} of {row.quantity} filled, {row.open} open")
        if row.venue_order_id is not None:
            screen.line(f"    at the venue {row.venue_order_id}")
    show_steps(view.steps, screen, bodies=bodies)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trace", epilog=EXAMPLES)(trace)
