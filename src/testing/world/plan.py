"""The whole of one run as a value: who does what when, and what goes wrong. It follows from a seed, or from a file.

Parameters are drawn, too (actors.md 4.6): most runs have few kinds of faults at a high rate, some have many, some
none. The smaller a number, the less happens: shortening a plan's lists is how a failing one is made small.
Times are seconds of the world.
"""

from decimal import Decimal

import msgspec

from ...model.fill import Direction
from ...model.identifiers import InstrumentId
from ...model.intent import AnyIntent
from ...model.money import Price, Quantity
from ...model.value import Value
from .clock import EPOCH_MS
from .faults import AnyFault


class Delays(Value, frozen=True):
    """A delay that is drawn for every piece of bytes or commit: `least_seconds`, and exponentially more."""

    least_seconds: float = 0.0
    more_seconds_mean: float = 0.0


class HandIn(Value, frozen=True):
    """The host hands an intent in, and again at every time of `again_at_seconds`, whatever has become of it."""

    at_seconds: float
    intent: AnyIntent
    again_at_seconds: tuple[float, ...] = ()


class CrowdOrder(Value, frozen=True):
    """Somebody else's order; what is left of it after `seconds` is cancelled."""

    at_seconds: float
    instrument: InstrumentId
    direction: Direction
    price: Price
    quantity: Quantity
    seconds: float


class Strike(Value, frozen=True):
    """A fault at its time."""

    at_seconds: float
    fault: AnyFault


class MarketNeeded(Value, frozen=True):
    """A market that the venue is to have beyond its usual ones."""

    slug: str
    question: str
    tick: Price
    fee_rate: Decimal


class Plan(Value, frozen=True):
    """One run. `seconds` is how long faults go on; then everything is healed and must come to rest.

    `restart_seconds` is between which delays a runtime that ended is started again. A snapshot of the ledger is kept
    after so many entries; None leaves that to the runtime. Without `markets` the venue has its usual ones.
    """

    seed: int
    seconds: float
    venue: str = "polymarket"
    markets: tuple[MarketNeeded, ...] = ()
    wires: Delays = Delays()
    commits: Delays = Delays()
    restart_seconds: tuple[float, float] = (0.0, 0.0)
    snapshot_every_entries: int | None = None
    hand_ins: tuple[HandIn, ...] = ()
    crowd: tuple[CrowdOrder, ...] = ()
    strikes: tuple[Strike, ...] = ()

    def to_json(self) -> bytes:
        """The plan as one line of JSON, which `plan_of_json` reads."""
        return msgspec.json.encode(self)

    @property
    def ends_seconds(self) -> float:
        """When the faults have ended and the last intent has expired."""
        last = max((expires_seconds(hand_in.intent) for hand_in in self.hand_ins), default=0.0)
        return max(self.seconds, last)


def plan_of_json(text: bytes | str) -> Plan:
    """Read a plan. Raises msgspec.ValidationError (or DecodeError) with the place of what is wrong."""
    return msgspec.json.decode(text, type=Plan)


def expires_seconds(intent: AnyIntent) -> float:
    """When an intent expires, in seconds of the world."""
    return (intent.expires_at_ns - EPOCH_MS * 1_000_000) / 1e9
