"""What one leg must get done: the part of an intent that concerns one instrument."""

from ..model.identifiers import AccountId, InstrumentId, IntentId, StrategyName
from ..model.intent import Intent, PairIntent, Side, Style, TimeInForce, Urgency
from ..model.ledger import IntentKey
from ..model.money import Price, Quantity
from ..model.value import Value


class Work(Value, frozen=True):
    """What one leg must get done. For a single intent the leg is 0 and the whole of it."""

    strategy: StrategyName
    intent_id: IntentId
    leg: int
    account: AccountId
    instrument: InstrumentId
    side: Side
    quantity: Quantity
    limit_price: Price
    expires_at_ns: int
    time_in_force: TimeInForce
    style: Style
    urgency: Urgency
    child_quantity_maximum: Quantity | None

    @property
    def key(self) -> IntentKey:
        return self.strategy, self.intent_id


def work_of(intent: Intent) -> Work:
    """A single intent as one leg."""
    return Work(
        strategy=intent.strategy,
        intent_id=intent.intent_id,
        leg=0,
        account=intent.account,
        instrument=intent.instrument,
        side=intent.side,
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        expires_at_ns=intent.expires_at_ns,
        time_in_force=intent.time_in_force,
        style=intent.style,
        urgency=intent.urgency,
        child_quantity_maximum=intent.child_quantity_maximum,
    )


def legs_of(pair: PairIntent, quantities: tuple[Quantity, Quantity]) -> tuple[Work, Work]:
    """A pair as its two legs, long first."""
    long, short = (
        Work(
            strategy=pair.strategy,
            intent_id=pair.intent_id,
            leg=leg,
            account=pair.account,
            instrument=part.instrument,
            side=side,
            quantity=quantity,
            limit_price=part.limit_price,
            expires_at_ns=pair.expires_at_ns,
            time_in_force=TimeInForce.GTC,
            style=pair.style,
            urgency=pair.urgency,
            child_quantity_maximum=pair.child_quantity_maximum,
        )
        for leg, part, side, quantity in (
            (0, pair.long, Side.BUY, quantities[0]),
            (1, pair.short, Side.SELL_SHORT, quantities[1]),
        )
    )
    return long, short
