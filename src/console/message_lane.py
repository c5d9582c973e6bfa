"""The messages of an order among the entries of the journal: which belong, and where each one stands."""

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from ..model.event import MessagesTraced
from ..model.identifiers import ClientOrderId
from ..model.ledger import IntentKey
from ..model.traced import TracedMessage, traced_message
from ..store import Entry
from .sentences import tell_message
from .steps import Found

MessageKey = tuple[int, int]
"""Ids of messages count anew in each run: the epoch belongs to them."""


class _Kept(NamedTuple):
    entry: Entry
    message: TracedMessage

    @property
    def key(self) -> MessageKey:
        return self.entry.epoch, self.message.message_id


class MessageLane:
    """Takes batches of traced messages in journal order and gives back those of some orders of one intent."""

    def __init__(self, intent: IntentKey, orders: Container[ClientOrderId]) -> None:
        self._intent = intent
        self._orders = orders
        self._kept: dict[MessageKey, _Kept] = {}
        self._of_nobody: dict[MessageKey, _Kept] = {}
        self._recorded: dict[MessageKey, tuple[int, int]] = {}
        self.lost: list[Entry] = []
        """Batches before which messages of these orders may be missing."""

    def saw(self, entry: Entry) -> None:
        """Note which message recorded an entry. Call it for every entry."""
        if entry.cause:
            key = (entry.epoch, entry.cause)
            first, _last = self._recorded.get(key, (entry.lsn, entry.lsn))
            self._recorded[key] = (first, entry.lsn)

    def take(self, entry: Entry, batch: MessagesTraced) -> None:
        """Take one batch."""
        found = False
        for row in batch.rows:
            message = traced_message(row, batch.texts)
            kept = _Kept(entry, message)
            if message.order is None and message.intent_id is None:
                self._of_nobody[kept.key] = kept
            elif self._belongs(message):
                found = True
                self._kept[kept.key] = kept
                self._take_causes(entry.epoch, message.cause_id)
        if found and batch.lost:
            self.lost.append(entry)

    def _belongs(self, message: TracedMessage) -> bool:
        if message.order is not None:
            return message.order in self._orders
        return (message.strategy or self._intent[0], message.intent_id) == self._intent

    def _take_causes(self, epoch: int, cause: int) -> None:
        """Messages that say nothing themselves belong to what they caused; a cause is always journalled before."""
        while (kept := self._of_nobody.pop((epoch, cause), None)) is not None:
            self._kept[kept.key] = kept
            cause = kept.message.cause_id

    def among(self, entries: Iterable[Found]) -> Iterator[Found]:
        """The entries in their order with the messages between them: each before what its handling recorded.

        Where times are equal, as on a virtual clock, ids decide: they rise with the sending.
        """
        waiting = sorted(self._kept.values(), key=lambda kept: (kept.entry.epoch, kept.message.handled_at_ns))
        place = 0
        for found in entries:
            entry = found.entry
            cause = (entry.epoch, entry.cause)
            until = next((at + 1 for at in range(place, len(waiting)) if waiting[at].key == cause), place)
            while place < len(waiting) and (place < until or _is_before(waiting[place], entry)):
                yield self._found(waiting[place])
                place += 1
            yield found
        for kept in waiting[place:]:
            yield self._found(kept)

    def _found(self, kept: _Kept) -> Found:
        entry, message = kept
        at = Entry(
            lsn=entry.lsn, epoch=entry.epoch, at_ns=message.handled_at_ns, cause=message.cause_id, event=entry.event
        )
        return Found(at, tell_message(message, self._recorded.get(kept.key)), message.order or "")


def _is_before(kept: _Kept, entry: Entry) -> bool:
    message = kept.message
    ours, theirs = (kept.entry.epoch, message.handled_at_ns), (entry.epoch, entry.at_ns)
    return ours < theirs or (ours == theirs and 0 < message.message_id <= entry.cause)
