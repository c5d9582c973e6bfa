"""The journal's schema for this project: every event of the model, and the index rows that follow from it.

| table          | key                              | value                           | written by |
|----------------|----------------------------------|---------------------------------|------------|
| fills          | account, trade, venue order      | the fill, without its prices' context | FillRecorded |
| settlements    | account, trade, venue order      | last settlement state           | FillRecorded, FillSettled |
| orders         | client order id                  | the order's terms               | SliceComputed |
| order_names    | account, venue order id          | client order id                 | OrderSubmitted |
| outbox         | client order id                  | the exact signed bytes          | OrderSubmitted |
| intents        | strategy, intent id              | digest of the intent's content  | IntentAccepted |
| intent_ends    | strategy, intent id              | the terminal event              | IntentEnded |
| alerts         | alert id                         | state           | AlertOpened, AlertAcknowledged, AlertClosed |
| commands       | command id                       | who asked for what, and when    | OperatorCommanded |
| transfers      | account, transaction             | the transfer                    | TransferBooked |

`fills` and `transfers` are the ledgers of what was processed: exact and for ever (law L5). Parts of a key are
joined by a zero byte.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..model.alert import AlertState
from ..model.event import (
    EVENTS,
    AlertAcknowledged,
    AlertClosed,
    AlertOpened,
    FillRecorded,
    FillSettled,
    IntentAccepted,
    IntentEnded,
    OperatorCommanded,
    OrderSubmitted,
    SliceComputed,
    TransferBooked,
)
from ..model.fill import Execution, FillKey
from ..model.identifiers import AccountId, IntentId, StrategyName, VenueOrderId
from ..model.intent import AnyIntent, content_of
from ..model.order import OrderTerms
from ..model.transfer import Transfer
from .codec import Codec
from .port import Event
from .schema import IndexRow, Schema

FILLS = "fills"
SETTLEMENTS = "settlements"
ORDERS = "orders"
ORDER_NAMES = "order_names"
OUTBOX = "outbox"
INTENTS = "intents"
INTENT_ENDS = "intent_ends"
ALERTS = "alerts"
COMMANDS = "commands"
TRANSFERS = "transfers"
TABLES = (FILLS, SETTLEMENTS, ORDERS, ORDER_NAMES, OUTBOX, INTENTS, INTENT_ENDS, ALERTS, COMMANDS, TRANSFERS)

_encode = msgspec.msgpack.Encoder().encode
decode_execution = msgspec.msgpack.Decoder(Execution).decode
decode_end = msgspec.msgpack.Decoder(IntentEnded).decode
decode_command = msgspec.msgpack.Decoder(OperatorCommanded).decode
decode_terms = msgspec.msgpack.Decoder(OrderTerms).decode
decode_transfer = msgspec.msgpack.Decoder(Transfer).decode


def fill_row(key: FillKey) -> bytes:
    """The key of an execution in `fills` and `settlements`."""
    return key.as_bytes()


def order_name_row(account: AccountId, venue_order_id: VenueOrderId) -> bytes:
    """The key of a venue's order id in `order_names`."""
    return f"{account}\x00{venue_order_id}".encode()


def transfer_row(account: AccountId, transaction: str) -> bytes:
    """The key of a transaction in `transfers`."""
    return f"{account}\x00{transaction}".encode()


def intent_row(strategy: StrategyName, intent_id: IntentId) -> bytes:
    """The key of an intent in `intents`."""
    return f"{strategy}\x00{intent_id}".encode()


def intent_digest(intent: AnyIntent) -> bytes:
    """What tells a repetition of an intent from another intent under the same id."""
    return hashlib.sha256(content_of(intent)).digest()


def index(event: Event) -> Iterable[IndexRow]:
    """The rows of one event; pure, so that they can be rebuilt from the journal and compared."""
    rows = _ROWS.get(type(event))
    return () if rows is None else rows(event)


def _recorded(event: FillRecorded) -> tuple[IndexRow, ...]:
    execution = event.fill.execution
    row = fill_row(execution.key)
    return (FILLS, row, _encode(execution)), (SETTLEMENTS, row, execution.settlement.encode())


def _settled(event: FillSettled) -> tuple[IndexRow, ...]:
    return ((SETTLEMENTS, fill_row(event.key), event.settlement.encode()),)


def _computed(event: SliceComputed) -> tuple[IndexRow, ...]:
    return ((ORDERS, event.terms.client_order_id, _encode(event.terms)),)


def _submitted(event: OrderSubmitted) -> tuple[IndexRow, ...]:
    name = order_name_row(event.account, event.venue_order_id)
    return (
        (OUTBOX, event.client_order_id, event.body),
        (ORDER_NAMES, name, event.client_order_id.encode()),
    )


def _accepted(event: IntentAccepted) -> tuple[IndexRow, ...]:
    intent = event.intent
    return ((INTENTS, intent_row(intent.strategy, intent.intent_id), intent_digest(intent)),)


def _ended(event: IntentEnded) -> tuple[IndexRow, ...]:
    return ((INTENT_ENDS, intent_row(event.strategy, event.intent_id), _encode(event)),)


def _opened(event: AlertOpened) -> tuple[IndexRow, ...]:
    return ((ALERTS, event.alert.alert_id, AlertState.OPEN.encode()),)


def _acknowledged(event: AlertAcknowledged) -> tuple[IndexRow, ...]:
    return ((ALERTS, event.alert_id, AlertState.ACKNOWLEDGED.encode()),)


def _closed(event: AlertClosed) -> tuple[IndexRow, ...]:
    return ((ALERTS, event.alert_id, event.state.encode()),)


def _commanded(event: OperatorCommanded) -> tuple[IndexRow, ...]:
    return ((COMMANDS, event.command_id, _encode(event)),)


def _transferred(event: TransferBooked) -> tuple[IndexRow, ...]:
    transfer = event.transfer
    return ((TRANSFERS, transfer_row(transfer.account, transfer.transaction), _encode(transfer)),)


_ROWS: dict[type[Event], Callable[[Any], tuple[IndexRow, ...]]] = {
    FillRecorded: _recorded,
    FillSettled: _settled,
    SliceComputed: _computed,
    OrderSubmitted: _submitted,
    IntentAccepted: _accepted,
    IntentEnded: _ended,
    AlertOpened: _opened,
    AlertAcknowledged: _acknowledged,
    AlertClosed: _closed,
    OperatorCommanded: _commanded,
    TransferBooked: _transferred,
}
"""By class and not by comparing with one class after the other: every event that is recorded comes through here."""


def journal_schema() -> Schema:
    """A fresh schema with every event registered at its newest version."""
    codec = Codec()
    for event_class in EVENTS:
        codec.register(event_class, kind=event_class.kind, version=event_class.version)
    return Schema(codec, tables=TABLES, indexer=index)
