"""One venue order as type states: Computed → Sent → Acknowledged → Done.

Each state holds the state it came from, so that a state which skipped its predecessor cannot be written down,
and a transition is a method that exists only where it is legal: a fill for a Computed order does not type-check.

    Computed ──submitted──▶ Sent ──acknowledged──▶ Acknowledged ──done──▶ Done
        │                    │ ▲ filled: proves acceptance ▲               │ filled: venues report
        └─withdrawn─▶ Withdrawn └────────done (refused, never arrived)─────┘ late fills of ended orders

A cancel in flight is an overlay of Sent and Acknowledged and not a state of its own.
"""

from decimal import Decimal
from typing import Self

import msgspec

from .fill import Direction, Known, Unknown
from .identifiers import AccountId, ClientOrderId, InstrumentId, IntentId, StrategyName, VenueOrderId
from .intent import Side, TimeInForce
from .money import EXACT, ZERO, Cash, Price, Quantity
from .outcome import Evidence, NeverArrived, Outcome, Rejected
from .value import Value


class OrderTerms(Value, frozen=True):
    """What an order asks of the venue, and whose it is. Never changes.

    `side` is what the strategy meant and `direction` what the wire says; where they differ in instrument or
    price, `expressed_as` says how (a short of an outcome share is a purchase of its complement).
    """

    client_order_id: ClientOrderId
    intent_id: IntentId
    leg: int
    slice_number: int
    attempt: int
    strategy: StrategyName
    account: AccountId
    instrument: InstrumentId
    side: Side
    direction: Direction
    price: Price
    quantity: Quantity
    time_in_force: TimeInForce
    expires_at_ns: int
    post_only: bool = False
    purpose: str = "entry"
    expressed_as: str = ""

    @property
    def notional(self) -> Cash:
        return Cash(EXACT.multiply(self.price, self.quantity))


class Progress(Value, frozen=True):
    """What was executed so far: quantity and its value before fees.

    `reversed` is the part of it that failed to settle. The venue goes on counting it as executed, so `filled` does
    as well and nothing of it is open again; what the strategy has is what `stands`.
    """

    filled: Quantity = Quantity(ZERO)
    notional: Cash = Cash(ZERO)
    reversed: Quantity = Quantity(ZERO)

    def plus(self, price: Price, quantity: Quantity) -> "Progress":
        return Progress(
            filled=Quantity(EXACT.add(self.filled, quantity)),
            notional=Cash(EXACT.add(self.notional, EXACT.multiply(price, quantity))),
            reversed=self.reversed,
        )

    def minus(self, quantity: Quantity) -> "Progress":
        """An execution that is counted here was reversed by its settlement."""
        taken = Quantity(EXACT.add(self.reversed, quantity))
        return Progress(filled=self.filled, notional=self.notional, reversed=taken)

    @property
    def stands(self) -> Quantity:
        """What was executed and has not been reversed."""
        return Quantity(EXACT.subtract(self.filled, self.reversed))

    @property
    def average_price(self) -> Price | None:
        return Price(self.notional / self.filled) if self.filled else None


class CancelInFlight(Value, frozen=True):
    """A cancel that was asked for. Once `answered` the order is off the book, and how much of it filled is asked."""

    requested_at_ns: int
    reason: str
    answered: bool = False


class Computed(Value, frozen=True, tag="computed"):
    """A slice that exists and was not handed to the venue; it must be sent, or withdrawn, by `send_by_ns`."""

    terms: OrderTerms
    computed_at_ns: int
    send_by_ns: int

    def submitted(self, venue_order_id: VenueOrderId | None, at_ns: int) -> "Sent":
        """The exact bytes are in the outbox. From here on the order may exist at the venue."""
        return Sent(
            computed=self,
            venue_order_id=venue_order_id,
            sent_at_ns=at_ns,
            knowledge=Unknown(since_ns=at_ns, why="sent, no answer yet"),
        )

    def withdrawn(self, reason: str, at_ns: int) -> "Withdrawn":
        """By rule it will not be sent. Only possible here: what was submitted may be open."""
        return Withdrawn(computed=self, reason=reason, at_ns=at_ns)


class Withdrawn(Value, frozen=True, tag="withdrawn"):
    """A slice that was computed, and by rule never sent."""

    computed: Computed
    reason: str
    at_ns: int

    @property
    def terms(self) -> OrderTerms:
        return self.computed.terms


class Sent(Value, frozen=True, tag="sent"):
    """Submitted and unanswered: counts as open exposure until evidence says otherwise (law L8)."""

    computed: Computed
    venue_order_id: VenueOrderId | None
    sent_at_ns: int
    knowledge: Known | Unknown
    progress: Progress = Progress()
    cancel: CancelInFlight | None = None

    @property
    def terms(self) -> OrderTerms:
        return self.computed.terms

    def acknowledged(self, venue_order_id: VenueOrderId, evidence: Evidence) -> "Acknowledged":
        return Acknowledged(
            sent=self,
            venue_order_id=venue_order_id,
            evidence=evidence,
            progress=self.progress,
            knowledge=self.knowledge,
            cancel=self.cancel,
        )

    def filled(self, price: Price, quantity: Quantity, knowledge: Known) -> "Sent":
        """An execution that overtook the acknowledgement."""
        return msgspec.structs.replace(self, progress=self.progress.plus(price, quantity), knowledge=knowledge)

    def reversed(self, quantity: Quantity) -> Self:
        """An execution of it failed to settle."""
        return msgspec.structs.replace(self, progress=self.progress.minus(quantity))

    def unconfirmed(self, at_ns: int, why: str) -> "Sent":
        return msgspec.structs.replace(self, knowledge=Unknown(since_ns=at_ns, why=why))

    def confirmed(self, knowledge: Known) -> "Sent":
        return msgspec.structs.replace(self, knowledge=knowledge)

    def cancelling(self, cancel: CancelInFlight) -> Self:
        return msgspec.structs.replace(self, cancel=cancel)

    def done(self, outcome: Outcome, evidence: Evidence) -> "Done":
        return Done(before=self, outcome=outcome, evidence=evidence, progress=self.progress)


class Acknowledged(Value, frozen=True, tag="acknowledged"):
    """The venue has it: open, partly executed, or executed and not yet known to have ended."""

    sent: Sent
    venue_order_id: VenueOrderId
    evidence: Evidence
    progress: Progress
    knowledge: Known | Unknown
    cancel: CancelInFlight | None = None

    @property
    def terms(self) -> OrderTerms:
        return self.sent.computed.terms

    def filled(self, price: Price, quantity: Quantity, knowledge: Known) -> "Acknowledged":
        return msgspec.structs.replace(self, progress=self.progress.plus(price, quantity), knowledge=knowledge)

    def reversed(self, quantity: Quantity) -> Self:
        """An execution of it failed to settle."""
        return msgspec.structs.replace(self, progress=self.progress.minus(quantity))

    def unconfirmed(self, at_ns: int, why: str) -> "Acknowledged":
        return msgspec.structs.replace(self, knowledge=Unknown(since_ns=at_ns, why=why))

    def confirmed(self, knowledge: Known) -> "Acknowledged":
        return msgspec.structs.replace(self, knowledge=knowledge)

    def cancelling(self, cancel: CancelInFlight) -> Self:
        return msgspec.structs.replace(self, cancel=cancel)

    def done(self, outcome: Outcome, evidence: Evidence) -> "Done":
        return Done(before=self, outcome=outcome, evidence=evidence, progress=self.progress)


class Done(Value, frozen=True, tag="done"):
    """Ended, with the venue's evidence. A fill that is reported late still counts."""

    before: Sent | Acknowledged
    outcome: Outcome
    evidence: Evidence
    progress: Progress

    @property
    def terms(self) -> OrderTerms:
        return self.before.terms

    @property
    def venue_order_id(self) -> VenueOrderId | None:
        return self.before.venue_order_id

    def filled(self, price: Price, quantity: Quantity, knowledge: Known) -> "Done":
        return msgspec.structs.replace(self, progress=self.progress.plus(price, quantity))

    def reversed(self, quantity: Quantity) -> Self:
        """An execution of it failed to settle: it ended with less than the venue says."""
        return msgspec.structs.replace(self, progress=self.progress.minus(quantity))

    @property
    def fills_outstanding(self) -> Quantity:
        """What the venue says was executed and the log has not yet seen: positive means fills are on their way."""
        if isinstance(self.outcome, (Rejected, NeverArrived)):
            return Quantity(ZERO)
        return Quantity(self.outcome.filled - self.progress.filled)


Live = Sent | Acknowledged
OrderState = Computed | Withdrawn | Sent | Acknowledged | Done


class IllegalTransition(Exception):
    """An event that the order's state does not allow; the text names the order, its state and the event."""

    def __init__(self, state: OrderState | None, event: str, order: ClientOrderId) -> None:
        found = "nothing" if state is None else type(state).__name__
        super().__init__(f"order {order}: {event} is not possible in state {found}")


def is_unconfirmed(state: "OrderState") -> bool:
    """Whether a question about the order is open at the venue: nobody knows whether it is there, or what it did.

    What nobody knew before the venue acknowledged it was answered by the acknowledgement.
    """
    match state:
        case Sent():
            return isinstance(state.knowledge, Unknown)
        case Acknowledged():
            return isinstance(state.knowledge, Unknown) and state.knowledge.since_ns > state.evidence.at_ns
        case _:
            return False


def open_quantity(state: OrderState) -> Quantity:
    """What may still be executed, counting everything unconfirmed as open (law L8)."""
    left: Decimal
    if isinstance(state, Acknowledged):
        left = state.sent.computed.terms.quantity - state.progress.filled
    elif isinstance(state, Sent):
        left = state.computed.terms.quantity - state.progress.filled
    elif isinstance(state, Done):
        left = state.fills_outstanding
    else:
        return Quantity(ZERO)
    return Quantity(left if left > 0 else ZERO)
