"""A mailbox: three lanes, bounds, and the rules of overflow.

::

    control       stop, kill, suspend, inspect, …   a closed set, overtakes everything between two handlers
    supervision   children's starts and ends        only supervisors have it
    user          everything else, in order         bounded; LaneRules bound some message types apart

Lanes are made when first used: an idle actor owns none. Beside messages from others the user lane carries the
kernel's own (timers, task results, ``Down``); those are bounded by construction and never refused.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

from .messages import Envelope
from .spec import LaneRule, MailboxSpec, OverflowRule

Admission: TypeAlias = Literal["queued", "conflated", "refused", "overflow"]

_NO_BOUND = sys.maxsize


class Mailbox:
    """Holds an actor's waiting messages. Not thread-safe: only the system's own thread touches it."""

    __slots__ = (
        "_counts",
        "_latest",
        "_rules",
        "_waiters",
        "capacity",
        "control",
        "plain",
        "spec",
        "supervision",
        "tracked",
        "user",
    )

    def __init__(self, spec: MailboxSpec) -> None:
        self.spec = spec
        self.control: deque[Envelope] | None = None
        self.supervision: deque[Envelope] | None = None
        self.user: deque[Envelope] | None = None
        self.capacity = _NO_BOUND if spec.capacity is None else spec.capacity
        # True where taking a message out needs bookkeeping; the common mailbox needs none.
        self.tracked = bool(spec.rules) or spec.overflow == "conflate"
        # The user lane again, where a message below the bound needs no more than an append; otherwise None.
        self.plain: deque[Envelope] | None = None
        # By type of message: which rule it comes under, and what that says.
        self._rules: dict[type, tuple[int, OverflowRule, int]] | None = None
        self._counts: list[int] | None = None
        self._latest: dict[Any, Envelope] | None = None
        self._waiters: deque[Callable[[], None]] | None = None

    # --- putting in -----------------------------------------------------------------------------------------

    def admit(self, envelope: Envelope) -> Admission:
        """Queues a message of another actor or the host, or says which rule kept it out."""
        user = self.user
        if user is None:
            user = self.user = deque()
            self.plain = None if self.tracked else self.user
        if not self.tracked:
            if len(user) >= self.capacity:
                return "refused" if self.spec.overflow == "refuse" else "overflow"
            user.append(envelope)
            return "queued"
        index, overflow, capacity = self._rule_of(type(envelope.message))
        counts = self._counts
        assert counts is not None
        if overflow == "conflate":
            latest = self._latest
            if latest is None:
                latest = self._latest = {}
            key = (type(envelope.message), _conflation_key(envelope.message))
            waiting = latest.get(key)
            if waiting is not None:
                # The new message takes the place of the old one in the queue: latest value, earliest turn.
                waiting.message, envelope.message = envelope.message, waiting.message
                waiting.id, envelope.id = envelope.id, waiting.id
                waiting.cause, envelope.cause = envelope.cause, waiting.cause
                waiting.root, envelope.root = envelope.root, waiting.root
                waiting.reply_to, envelope.reply_to = envelope.reply_to, waiting.reply_to
                waiting.sender, envelope.sender = envelope.sender, waiting.sender
                waiting.deadline, envelope.deadline = envelope.deadline, waiting.deadline
                return "conflated"
            if counts[index] >= capacity:
                return "refused"
            latest[key] = envelope
        elif counts[index] >= capacity:
            return "refused" if overflow == "refuse" else "overflow"
        counts[index] += 1
        user.append(envelope)
        return "queued"

    def push(self, envelope: Envelope) -> None:
        """Queues one of the kernel's own messages in the user lane, past its bounds."""
        if self.user is None:
            self.user = deque()
            self.plain = None if self.tracked else self.user
        self.user.append(envelope)

    def push_first(self, envelope: Envelope) -> None:
        """Queues a message before everything else in the user lane, past its bounds."""
        self.push(envelope)
        assert self.user is not None
        self.user.rotate(1)

    def push_control(self, envelope: Envelope) -> None:
        """Queues a control message."""
        if self.control is None:
            self.control = deque()
        self.control.append(envelope)

    def pop_control(self) -> Envelope:
        """Takes out the next control message, and lets go of an empty lane: few actors get more than their start."""
        control = self.control
        assert control is not None
        envelope = control.popleft()
        if not control:
            self.control = None
        return envelope

    def release(self) -> None:
        """Lets go of an empty user lane: an actor that waits for hours owns none."""
        if not self.user:
            self.user = self.plain = None

    def push_supervision(self, envelope: Envelope) -> None:
        """Queues an event about a child."""
        if self.supervision is None:
            self.supervision = deque()
        self.supervision.append(envelope)

    # --- taking out -----------------------------------------------------------------------------------------

    def taken(self, envelope: Envelope) -> None:
        """Keeps the books after a message left the user lane of a tracked mailbox."""
        if envelope.guard is None and self._counts is not None:
            index, overflow, _ = self._rule_of(type(envelope.message))
            self._counts[index] -= 1
            if overflow == "conflate" and self._latest:
                self._latest.pop((type(envelope.message), _conflation_key(envelope.message)), None)
        waiters = self._waiters
        if waiters:
            waiters.popleft()()

    def clear_reports(self) -> list[Envelope]:
        """Takes out the messages that a resync brings again: those under a rule that conflates or crashes."""
        user = self.user
        if not user:
            return []
        kept: deque[Envelope] = deque()
        cleared: list[Envelope] = []
        for envelope in user:
            _, overflow, _ = self._rule_of(type(envelope.message))
            if envelope.guard is None and overflow != "refuse":
                cleared.append(envelope)
            else:
                kept.append(envelope)
        self.user = kept
        if self.plain is not None:
            self.plain = kept
        if self.tracked:
            for envelope in cleared:
                self.taken(envelope)
        return cleared

    def drain(self) -> list[Envelope]:
        """Takes everything out of the lanes of an ended actor, and lets waiting senders try (and fail) again."""
        left = [*(self.control or ()), *(self.supervision or ()), *(self.user or ())]
        self.control = self.supervision = self.user = None
        self.plain = None
        self._counts = self._latest = None
        waiters, self._waiters = self._waiters, None
        for wake in waiters or ():
            wake()
        return left

    def has_room(self, message: object, reserved: int = 0) -> bool:
        """Tells whether a message would be accepted now, with ``reserved`` further ones on their way."""
        if not self.tracked or not (self.spec.rules or self.spec.overflow == "conflate"):
            return self.spec.overflow != "refuse" or len(self.user or ()) + reserved < self.capacity
        index, overflow, capacity = self._rule_of(type(message))
        if overflow == "crash":
            return True
        if overflow == "conflate" and (type(message), _conflation_key(message)) in (self._latest or {}):
            return True
        assert self._counts is not None
        return self._counts[index] + reserved < capacity

    # --- waiting for room -------------------------------------------------------------------------------------

    def add_waiter(self, wake: Callable[[], None]) -> None:
        """Registers a sender that waits for room; it is woken when a message has been taken out."""
        if self._waiters is None:
            self._waiters = deque()
        self._waiters.append(wake)
        self.tracked = True
        self.plain = None
        if self._counts is None:
            self._recount()

    def remove_waiter(self, wake: Callable[[], None]) -> None:
        """Forgets a sender that gave up waiting."""
        if self._waiters is not None and wake in self._waiters:
            self._waiters.remove(wake)

    # --- measuring --------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many messages wait, over all lanes."""
        return len(self.control or ()) + len(self.supervision or ()) + len(self.user or ())

    # --- rules ------------------------------------------------------------------------------------------------

    def _rule_of(self, message_type: type) -> tuple[int, OverflowRule, int]:
        """The rule for a type of message: its place (the last stands for the mailbox's own bound), and what it says."""
        rules = self._rules
        if rules is None:
            rules = self._rules = {}
        if self._counts is None:
            self._recount()
        return rules.get(message_type) or self._find_rule(message_type, rules)

    def _find_rule(
        self, message_type: type, rules: dict[type, tuple[int, OverflowRule, int]]
    ) -> tuple[int, OverflowRule, int]:
        index, rule = len(self.spec.rules), cast("LaneRule | MailboxSpec", self.spec)
        for position, lane_rule in enumerate(self.spec.rules):
            if issubclass(message_type, lane_rule.message_types):
                index, rule = position, lane_rule
                break
        found = (index, rule.overflow, _NO_BOUND if rule.capacity is None else rule.capacity)
        rules[message_type] = found
        return found

    def _recount(self) -> None:
        self._counts = [0] * (len(self.spec.rules) + 1)
        for envelope in self.user or ():
            if envelope.guard is None:
                self._counts[self._rule_of(type(envelope.message))[0]] += 1


def _conflation_key(message: object) -> Any:
    return getattr(message, "conflation_key", None)
