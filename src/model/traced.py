"""A message between two actors, as the journal keeps it: what it was, whom it went between, and how long it took.

An order's life is some thirty messages, so they are kept small: a row is numbers alone, and the texts that many rows
share (paths, types, outcomes, ids) stand once beside them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .identifiers import ClientOrderId, IntentId, StrategyName


class TracedRow(NamedTuple):
    """One message. `sender`, `receiver`, `type`, `outcome`, `strategy`, `intent` and `order` are places in the texts.

    Ids count from 1 in each run; `cause_id` is the message whose handling sent this one, 0 where none did. The message
    was queued for `queued_ns` from `enqueued_at_ns` (UTC) on, and then handled for `handled_ns`.
    """

    message_id: int
    cause_id: int
    sender: int
    receiver: int
    incarnation: int
    type: int
    enqueued_at_ns: int
    queued_ns: int
    handled_ns: int
    outcome: int
    strategy: int
    intent: int
    order: int


class TracedMessage(NamedTuple):
    """A row with its texts in place. A `sender` that is empty is no actor: the host, or a task of the receiver's.

    Ids of strategy, intent and order are None where the message is about no single one: then it is here because it
    caused a message that is.
    """

    message_id: int
    cause_id: int
    sender: str
    receiver: str
    incarnation: int
    type: str
    enqueued_at_ns: int
    queued_ns: int
    handled_ns: int
    outcome: str
    strategy: StrategyName | None
    intent_id: IntentId | None
    order: ClientOrderId | None

    @property
    def handled_at_ns(self) -> int:
        """When its handling began, UTC."""
        return self.enqueued_at_ns + self.queued_ns


def traced_message(row: TracedRow, texts: Sequence[str]) -> TracedMessage:
    """The message of a row. A place that is in no text reads as a question mark: a trace is no truth, it is told."""

    def text(place: int) -> str:
        return texts[place] if 0 <= place < len(texts) else "?"

    strategy, intent_id, order = text(row.strategy), text(row.intent), text(row.order)
    return TracedMessage(
        message_id=row.message_id,
        cause_id=row.cause_id,
        sender=text(row.sender),
        receiver=text(row.receiver),
        incarnation=row.incarnation,
        type=text(row.type),
        enqueued_at_ns=row.enqueued_at_ns,
        queued_ns=row.queued_ns,
        handled_ns=row.handled_ns,
        outcome=text(row.outcome),
        strategy=StrategyName(strategy) if strategy else None,
        intent_id=IntentId(intent_id) if intent_id else None,
        order=ClientOrderId(order) if order else None,
    )
