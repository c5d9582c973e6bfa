"""A trading day in which nobody lives long: the runtime is killed, started, handed its intents again, and killed.

Everything is drawn from a seed: what the host wants, what the crowd does, when and how each life ends. What a process
does in a millisecond is not, so a seed is a tendency and not a script; what must hold, holds in all of them.
"""

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Self

from tallystick.model.event import (
    BracketClosing,
    BracketDecided,
    CancelAnswered,
    CancelRequested,
    FillRecorded,
    IntentAccepted,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    RuntimeStopped,
    SliceComputed,
)
from tallystick.model.ledger import Ledger
from tallystick.model.order import Acknowledged, Sent
from tallystick.testing.day_run import VenueOrder

from .host import LIVE, Host
from .points import CANCEL, PLACE, SNAPSHOT, At, Point
from .processes import Life
from .stage import ASK, BID, INSIDE, MARKETS, Stage, pair, single

START_SECONDS = 0.25
"""About what a start takes until the account is Live."""
LIFE_SECONDS = 0.25
"""About how long a life lasts that is not killed in its beginnings."""
STOP_SECONDS = 0.03
"""About what an orderly stop takes."""
LIVE_SECONDS_MAX = 60.0
FRESH_MAX = 3
WORKING_MAX = 40
KILLED = -signal.SIGKILL

RECOVERING = "during recovery"
STOPPING = "while it was stopping"
LIVE_DEATH = "while live"
UNANSWERED = "with an order at the venue and its answer lost"
CANCELLING = "with a cancel under way"
CLOSING = "with a bracket closing and not decided"
"""Moments that a campaign must have seen; there are more."""

COMMITS = (At.BEFORE_COMMIT, At.IN_TRANSACTION, At.AFTER_COMMIT)
REQUESTS = (At.HALF_SENT, At.SENT, At.ANSWERED)
EVENTS = (
    IntentAccepted.kind,
    SliceComputed.kind,
    OrderSubmitted.kind,
    OrderAcknowledged.kind,
    FillRecorded.kind,
    CancelRequested.kind,
    CancelAnswered.kind,
    OrderDone.kind,
    BracketClosing.kind,
    BracketDecided.kind,
    RuntimeStopped.kind,
)


@dataclass(slots=True)
class Tally:
    """How a campaign went."""

    kills: int = 0
    stops: int = 0
    intents: int = 0
    orders: int = 0
    fills: int = 0
    entries: int = 0
    ended_by_hand: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    """What was under way when it died; one death may have been in the midst of several things."""

    def __iadd__(self, other: "Tally") -> Self:
        self.kills += other.kills
        self.stops += other.stops
        self.intents += other.intents
        self.orders += other.orders
        self.fills += other.fills
        self.entries += other.entries
        self.ended_by_hand += other.ended_by_hand
        self.moments += other.moments
        return self

    def __str__(self) -> str:
        moments = "\n".join(f"  {count:>5}  {moment}" for moment, count in sorted(self.moments.items()))
        return (
            f"{self.kills} kills and {self.stops} orderly stops; {self.intents} intents, {self.orders} orders, "
            f"{self.fills} fills, {self.entries} entries; {self.ended_by_hand} orders ended by hand; "
            f"it died\n{moments}"
        )


class Campaign(Host):
    """One lane: one store, one venue, and one runtime at a time."""

    def __init__(self, stage: Stage, seed: int) -> None:
        super().__init__(stage)
        self.tally = Tally()
        self._random = Random(seed)
        self._seed = seed

    def run(self, kills: int) -> Tally:
        """Kill so many runtimes, then let one live, and hold everything against the venue's own books."""
        while self.tally.kills < kills:
            self._live_and_die()
        self.finish()
        self.tally.intents = len(self.record.accepted)
        self.tally.orders = len(self.record.submitted)
        self.tally.fills = len(self.record.fills)
        self.tally.entries = self.record.entries
        self.tally.ended_by_hand = self.ended_by_hand
        return self.tally

    # ---- one life -----------------------------------------------------------------------------------------

    def _live_and_die(self) -> None:
        chance = self._random.random()
        if chance < 0.30:
            how, life = self._die_at_a_point()
        elif chance < 0.42:
            how, life = self._die_while_stopping()
        else:
            how, life = self._die_at_a_time()
        code = life.ends()
        orders = self.bury(life)
        assert code in {KILLED, 0}, f"it ended with {code}: {life.log[-4000:]}"
        if code == 0:
            self.tally.stops += 1
            return
        self.tally.kills += 1
        self.tally.moments.update(self._moments(how, orders))

    def _start(self, point: Point | None = None) -> Life:
        life = self.begin(point=point)
        life.hand_in(*self._again(), *self._fresh())
        return life

    def _snapshots(self) -> int | None:
        """Some lives make snapshots all the time, so that others recover from one and its tail."""
        return 30 if self._random.random() < 0.4 else None

    def _die_at_a_time(self) -> tuple[str, Life]:
        life = self._start(Point(At.OPENED, nth=0, snapshot_every_events=self._snapshots()))
        if self._random.random() < 0.3:
            life.listen(self._random.random() * START_SECONDS)
        else:
            self._trade(life, self._random.expovariate(1 / LIFE_SECONDS))
        life.signal(signal.SIGKILL)
        return "at a random time", life

    def _die_at_a_point(self) -> tuple[str, Life]:
        kind = self._random.random()
        snapshots = None
        if kind < 0.55:
            what = self._random.choice((*EVENTS, SNAPSHOT))
            snapshots = 30 if what == SNAPSHOT else self._snapshots()
            point = Point(self._random.choice(COMMITS), what, self._random.choice((1, 1, 2, 3)), snapshots)
        elif kind < 0.85:
            what = self._random.choice((PLACE, PLACE, CANCEL))
            point = Point(self._random.choice(REQUESTS), what, self._random.choice((1, 1, 2)), self._snapshots())
        elif kind < 0.95:
            point = Point(At.RECOVERING, nth=self._random.randrange(1, 200))
        else:
            point = Point(self._random.choice((At.OPENED, At.CLOSING)))
        life = self._start(point)
        self._trade(life, 2 * LIFE_SECONDS)
        if point.what == RuntimeStopped.kind or point.at is At.CLOSING:
            life.signal(signal.SIGTERM)
            life.code(5.0)
        if life.code(0.0) is None:
            life.signal(signal.SIGKILL)  # the point was never reached
            return "at a random time", life
        return f"at a point: {point.at}", life

    def _die_while_stopping(self) -> tuple[str, Life]:
        life = self._start()
        self._trade(life, LIFE_SECONDS * self._random.random())
        life.signal(signal.SIGTERM)
        life.listen(self._random.random() * STOP_SECONDS)
        life.signal(signal.SIGKILL)
        return STOPPING, life

    def _trade(self, life: Life, seconds: float) -> None:
        """Let it live so long once it is live; the host has wishes and the crowd passes by."""
        gives_up_at = time.monotonic() + LIVE_SECONDS_MAX
        while not life.logged(LIVE):
            life.listen(0.01)
            if life.code(0.0) is not None:
                return
            assert time.monotonic() < gives_up_at, f"it does not become live: {life.log[-4000:]}"
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            life.listen(min(left, self._random.expovariate(12.0)))
            if life.code(0.0) is not None:
                return
            chance = self._random.random()
            if chance < 0.4:
                life.hand_in(*self._fresh())
            elif chance < 0.8:
                self._pass_by()

    def _pass_by(self) -> None:
        side, market = self._random.choice(("BUY", "SELL")), self._random.choice(MARKETS)
        self.stage.crowd(market, "BUY" if side == "BUY" else "SELL", Decimal(self._random.randrange(5, 25)))

    # ---- the host -----------------------------------------------------------------------------------------

    def _again(self) -> list[bytes]:
        """What the host is not sure of, and some of what it has forgotten."""
        return [
            line
            for intent_id, line in self.intents.items()
            if intent_id not in self.over or self._random.random() < 0.03
        ]

    def _fresh(self) -> list[bytes]:
        if len(self.intents) - len(self.over) >= WORKING_MAX:
            return []
        lines = []
        for _ in range(self._random.randrange(1, FRESH_MAX + 1)):
            intent_id = f"k{self._seed}-{len(self.intents)}"
            self.intents[intent_id] = line = self._wish(intent_id)
            lines.append(line)
        return lines

    def _wish(self, intent_id: str) -> bytes:
        draw = self._random
        if draw.random() < 0.3:
            long, short = draw.choice(((ASK, BID), (ASK, INSIDE), (INSIDE, BID), (INSIDE, INSIDE)))
            return pair(
                intent_id, seconds=draw.uniform(2, 8), long=long, short=short, notional=draw.choice(("8", "12"))
            )
        side = draw.choice(("buy", "buy", "sell"))
        crossing = ASK if side == "buy" else BID
        return single(
            intent_id,
            seconds=draw.uniform(2, 10),
            instrument=f"polymarket:{draw.choice(MARKETS)}:Yes",
            side=side,
            quantity=str(draw.randrange(10, 40)),
            limit_price=draw.choice((crossing, INSIDE, INSIDE)),
            child_quantity_maximum=draw.choice((None, None, "8")),
        )

    # ---- where it died ------------------------------------------------------------------------------------

    def _moments(self, how: str, orders: list[VenueOrder]) -> list[str]:
        record = self.record
        found = [how]
        if not record.life or record.was_stopped():
            found.append("before its start was durable" if not record.was_stopped() else "after its stop was durable")
        elif not record.was_live():
            found.append(RECOVERING)
        else:
            found.append(LIVE_DEATH)
        return [*found, *_under_way(record.ledger, {order.id for order in orders})]


def _under_way(ledger: Ledger, at_venue: set[str]) -> list[str]:
    """What the journal says was going on, each thing once."""
    found = set()
    for state in ledger.live_orders():
        match state:
            case Sent() if state.cancel is not None:
                found.add(CANCELLING)
            case Sent() if state.venue_order_id in at_venue:
                found.add(UNANSWERED)
            case Sent():
                found.add("with an order signed that the venue never saw")
            case Acknowledged() if state.cancel is not None:
                found.add(CANCELLING)
            case Acknowledged() if state.progress.filled:
                found.add("with an order filled in part")
            case Acknowledged():
                found.add("with an order working")
            case _:
                found.add("with a slice computed and not sent")
    for entry in ledger.active_intents():
        if entry.closing is not None and entry.decision is None:
            found.add(CLOSING)
        if entry.decision is not None:
            found.add("with a bracket decided and not ended")
    if ledger.unsettled:
        found.add("with fills not settled")
    return sorted(found)
