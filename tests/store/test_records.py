"""The index rows of the project's own events follow from the journal alone, and are the same however they are made."""

from decimal import Decimal

import msgspec
from tallystick.model.alert import Alert, AlertKind, AlertState, Severity
from tallystick.model.event import (
    EVENTS,
    AlertClosed,
    AlertOpened,
    Event,
    FillRecorded,
    FillSettled,
    IntentAccepted,
    IntentEnded,
    OrderSubmitted,
    RuntimeStarted,
    SliceComputed,
)
from tallystick.model.fill import Settlement
from tallystick.model.identifiers import AlertId, IntentId, VenueOrderId
from tallystick.model.money import Price, Quantity
from tallystick.store.memory import MemoryDisk, MemoryStore
from tallystick.store.records import (
    ALERTS,
    FILLS,
    INTENT_ENDS,
    INTENTS,
    ORDER_NAMES,
    ORDERS,
    OUTBOX,
    SETTLEMENTS,
    TABLES,
    decode_end,
    decode_execution,
    decode_terms,
    fill_row,
    intent_digest,
    intent_row,
    journal_schema,
    order_name_row,
)
from tallystick.store.rows import check_rows

from tests.model.examples import ACCOUNT, STRATEGY, fill, pair, single, terms

ALERT = Alert(
    alert_id=AlertId("drift:x"),
    kind=AlertKind.DRIFT,
    severity=Severity.CRITICAL,
    message="it differs",
    diagnosis="",
    evidence=(),
    opened_at_ns=1,
)
SUBMITTED = OrderSubmitted(
    client_order_id=terms().client_order_id, account=ACCOUNT, venue_order_id=VenueOrderId("0xorder"), body=b"\x00{}"
)
ENDED = IntentEnded(strategy=STRATEGY, intent_id=IntentId("a1"), outcome="filled", filled=(Quantity(Decimal(25)),))
LIFE: tuple[Event, ...] = (
    RuntimeStarted(build="0", owner="a test"),
    IntentAccepted(intent=single()),
    IntentAccepted(intent=pair()),
    SliceComputed(terms=terms(), send_by_ns=1),
    SUBMITTED,
    FillRecorded(fill=fill(settlement=Settlement.MATCHED)),
    FillSettled(key=fill().execution.key, settlement=Settlement.CONFIRMED, transaction="0x1"),
    AlertOpened(alert=ALERT),
    AlertClosed(alert_id=ALERT.alert_id, state=AlertState.EXPLAINED, by="a fact"),
    ENDED,
)


async def lived() -> MemoryDisk:
    disk = MemoryDisk()
    async with MemoryStore(journal_schema(), disk) as store:
        for event in LIFE:
            store.append(event, at_ns=1)
    return disk


async def test_the_rows_say_what_the_events_said() -> None:
    async with MemoryStore(journal_schema(), await lived()) as store:
        key = fill().execution.key
        row = store.get(FILLS, fill_row(key))
        assert row is not None
        assert decode_execution(row) == fill(settlement=Settlement.MATCHED).execution
        assert store.get(SETTLEMENTS, fill_row(key)) == b"confirmed"
        row = store.get(ORDERS, terms().client_order_id)
        assert row is not None
        assert decode_terms(row) == terms()
        assert store.get(OUTBOX, terms().client_order_id) == b"\x00{}"
        name = store.get(ORDER_NAMES, order_name_row(ACCOUNT, SUBMITTED.venue_order_id))
        assert name == terms().client_order_id.encode()
        assert store.get(INTENTS, intent_row(STRATEGY, single().intent_id)) == intent_digest(single())
        row = store.get(INTENT_ENDS, intent_row(STRATEGY, single().intent_id))
        assert row is not None
        assert decode_end(row) == ENDED
        assert store.get(ALERTS, ALERT.alert_id) == b"explained"


async def test_rows_that_are_made_anew_from_the_journal_are_the_same() -> None:
    disk = await lived()
    async with MemoryStore(journal_schema(), disk) as store:
        assert check_rows(store, journal_schema()) == []
        before = {(table, row) for table in TABLES for row in store.scan(table)}
    # An index of another version: everything is thrown away and made again.
    disk.indexes = (-1, frozenset())
    async with MemoryStore(journal_schema(), disk) as store:
        assert {(table, row) for table in TABLES for row in store.scan(table)} == before
        assert check_rows(store, journal_schema()) == []


async def test_every_event_is_known_to_the_journal_under_its_kind() -> None:
    assert len({event.kind for event in EVENTS}) == len(EVENTS)
    codec = journal_schema().codec
    for event in LIFE:
        assert codec.kind_of(event).name == event.kind


def test_an_intent_is_told_from_another_by_its_content_and_not_by_its_spelling() -> None:
    same = msgspec.structs.replace(single(), quantity=Quantity(Decimal("25.00")))
    other = msgspec.structs.replace(single(), limit_price=Price(Decimal("0.42")))
    assert intent_digest(same) == intent_digest(single())
    assert intent_digest(other) != intent_digest(single())
