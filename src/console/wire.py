"""Which exchanges with a venue are about an order: by the ids in them, and by which answer belongs to which request."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..model.identifiers import ClientOrderId, VenueOrderId, salt_of
from ..store import AuditRecord, Direction, Entry
from ..store.audit import ANSWERED
from .sentences import tell
from .steps import Found

STREAM = "stream"


class _Request(NamedTuple):
    entry: Entry
    ours: bool


class Exchanges:
    """Takes audit records in journal order and gives back those that are about some orders.

    A record is about them when its summary or its body holds one of their ids (or the number that stands for the
    client order id on venues which take a salt). An answer's summary begins with that of its request, which has a
    number of its own, so the two find each other. Where requests without numbers were under way under one summary, the
    oldest that is not answered yet is taken, and that is said, because it may be another's.
    """

    def __init__(self, orders: Iterable[ClientOrderId], venue_order_ids: Iterable[VenueOrderId]) -> None:
        names = [*orders]
        needles = [*names, *venue_order_ids, *(str(salt_of(name)) for name in names)]
        self._needle = re.compile("|".join(re.escape(needle) for needle in needles) or r"(?!)")
        self._needle_bytes = re.compile(self._needle.pattern.encode())
        self._under_way: dict[tuple[str, str, str], deque[_Request]] = {}

    def mentioned_in(self, text: str) -> bool:
        """Whether a text holds one of the ids."""
        return self._needle.search(text) is not None

    def take(self, entry: Entry, record: AuditRecord) -> Iterator[Found]:
        """Take one record; yields it if it is about the orders, with the request that it answers."""
        ours = self.mentioned_in(record.summary) or self._needle_bytes.search(record.body_bytes_redacted) is not None
        if record.channel == STREAM:  # a frame answers nothing, not even the subscription that it follows
            if ours:
                yield Found(entry, tell(record))
            return
        request_summary = record.summary.partition(ANSWERED)[0]
        waiting = self._under_way.setdefault((record.account, record.channel, request_summary), deque())
        if record.direction is Direction.SENT:
            waiting.append(_Request(entry, ours))
            if ours:
                yield Found(entry, tell(record))
            return
        requests = list(waiting)
        if not requests:  # a frame that nobody asked for
            if ours:
                yield Found(entry, tell(record))
            return
        request = next((candidate for candidate in requests if candidate.ours), requests[0]) if ours else requests[0]
        waiting.remove(request)
        if ours:
            if not request.ours:
                yield Found(request.entry, tell(request.entry.event))
            yield Found(entry, tell(record))
        elif request.ours:
            told = tell(record)
            if len(requests) > 1:
                doubt = f" (one of {len(requests)} such requests under way: it may be another's answer)"
                told = told._replace(text=told.text + doubt)
            yield Found(entry, told)
