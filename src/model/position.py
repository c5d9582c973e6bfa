"""What a strategy or an account holds of one instrument, and what it gained, folded from actual fills.

A position shows two totals: *matched* counts every execution that has not been reversed, *confirmed* only those that
have settled. Quantities, cash and fees of a fill can be taken out again by subtraction. Average cost and realised
profit cannot, since they follow from the order of the fills; so everything from the oldest unsettled fill on is kept
as a tail, and a reversal folds the tail again without the reversed fill. The result is what it would have been if
that fill had never been reported:

    settled fills …│ oldest in flight, later fills …
    ───────────────┼─────────────────────────────────
        base       │ tail                    ──▶ basis

On a venue that confirms at once the tail is always empty.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec.structs import replace

from .fill import Direction, Fill, FillKey, Settlement
from .identifiers import AssetId, InstrumentId
from .money import EXACT, ONE, ZERO, Cash, Price, Quantity, SignedQuantity
from .truth import BookView
from .value import Value

# Cost that is released by closing a part of a position is a quotient; it is rounded once, to this grid, and the rest
# of the cost stays behind. So no cent is lost: realised profit less remaining cost is always exactly the cash.
COST_GRID = Decimal("1e-18")


class ContradictorySettlement(Exception):
    """A settlement that cannot be applied: the fill is not in flight here. The text names the fill and both states."""

    def __init__(self, fill: Fill, found: Settlement) -> None:
        key = fill.execution.key
        super().__init__(
            f"fill {key.trade_id} of order {key.venue_order_id}: {found} after {fill.execution.settlement}, "
            f"but it is not in flight in this position; its totals stay as they are"
        )


class Basis(Value, frozen=True):
    """The part of a position that follows from the order of its fills.

    `cost` is what was paid for the open quantity (negative: received, for a short). `realised` is the profit of what
    was closed, before fees.
    """

    quantity: SignedQuantity = SignedQuantity(ZERO)
    cost: Cash = Cash(ZERO)
    realised: Cash = Cash(ZERO)

    def traded(self, change: Decimal, unit_value: Decimal) -> "Basis":
        """Buy (positive) or sell `change` at `unit_value`, the price of one unit in the settlement asset."""
        held = self.quantity
        value = EXACT.multiply(change, unit_value)
        left = EXACT.add(held, change)
        if not held or (held > 0) is (change > 0):  # opens or adds
            return Basis(quantity=SignedQuantity(left), cost=Cash(EXACT.add(self.cost, value)), realised=self.realised)
        if not left or (left > 0) is not (held > 0):  # closes all, and opens what is left on the other side
            opened = EXACT.multiply(left, unit_value)
            gained = EXACT.subtract(EXACT.subtract(opened, value), self.cost)
            return Basis(
                quantity=SignedQuantity(left), cost=Cash(opened), realised=Cash(EXACT.add(self.realised, gained))
            )
        share = EXACT.divide(EXACT.multiply(self.cost, change.copy_negate()), held)
        released = share.quantize(COST_GRID, context=EXACT)
        return Basis(
            quantity=SignedQuantity(left),
            cost=Cash(EXACT.subtract(self.cost, released)),
            realised=Cash(EXACT.subtract(EXACT.subtract(self.realised, value), released)),
        )


class TailFill(Value, frozen=True):
    """A fill whose place in the order of fills still matters: itself in flight, or later than one that is."""

    key: FillKey
    change: SignedQuantity
    price: Price
    settled: bool


class Position(Value, frozen=True):
    """One instrument as one owner (a strategy, or an account) holds it. Start with `flat`, fold fills with `plus`.

    `fees` are in the settlement asset, `fees_other` in others; `fees_unknown` counts fills whose fee the venue has not
    said. `cash_matched` and `cash_confirmed` are the values traded, negative for purchases, less the known fees in
    the settlement asset; on spot venues that is how the account's cash changed. `fills` counts those that were put in,
    `reversed` those that settlement took out again or never let in.
    """

    instrument: InstrumentId
    settlement_asset: AssetId | None = None
    multiplier: Decimal = ONE
    basis: Basis = Basis()
    confirmed: SignedQuantity = SignedQuantity(ZERO)
    arriving: Quantity = Quantity(ZERO)
    leaving: Quantity = Quantity(ZERO)
    cash_matched: Cash = Cash(ZERO)
    cash_confirmed: Cash = Cash(ZERO)
    fees: Cash = Cash(ZERO)
    fees_other: tuple[tuple[AssetId, Cash], ...] = ()
    fees_unknown: int = 0
    fills: int = 0
    reversed: int = 0
    base: Basis = Basis()
    tail: tuple[TailFill, ...] = ()

    @classmethod
    def flat(
        cls, instrument: InstrumentId, *, settlement_asset: AssetId | None = None, multiplier: Decimal = ONE
    ) -> "Position":
        """Nothing held, nothing traded. Without a `settlement_asset` every fee is taken to be in it."""
        return cls(instrument=instrument, settlement_asset=settlement_asset, multiplier=multiplier)

    # ---- reading ------------------------------------------------------------------------------------------

    @property
    def matched(self) -> SignedQuantity:
        """Everything executed and not reversed, settled or not."""
        return self.basis.quantity

    @property
    def cost(self) -> Cash:
        """What the matched quantity cost; negative for a short. Fees are apart."""
        return self.basis.cost

    @property
    def realised(self) -> Cash:
        """The profit of everything closed, at average cost, before fees."""
        return self.basis.realised

    @property
    def average_cost(self) -> Price | None:
        """The price at which the open quantity was traded, on average; None when nothing is open."""
        held = EXACT.multiply(self.basis.quantity, self.multiplier)
        return Price(self.basis.cost / held) if held else None

    @property
    def book(self) -> BookView:
        """Both totals and what lies between them, for comparing with other views."""
        return BookView(
            confirmed=self.confirmed, matched=self.basis.quantity, arriving=self.arriving, leaving=self.leaving
        )

    def unrealised(self, mark: Price) -> Cash:
        """What closing the matched quantity at `mark` would gain, before fees."""
        value = EXACT.multiply(EXACT.multiply(self.basis.quantity, mark), self.multiplier)
        return Cash(EXACT.subtract(value, self.basis.cost))

    # ---- folding ------------------------------------------------------------------------------------------

    def plus(self, fill: Fill) -> "Position":
        """The position with this fill in it. Whether the fill was there before is the fill log's to know.

        A fill that is first seen as reversed is counted and changes nothing else.
        """
        execution = fill.execution
        assert execution.instrument == self.instrument, (execution.instrument, self.instrument)
        settlement = execution.settlement
        if settlement is Settlement.REVERSED:
            return replace(self, reversed=self.reversed + 1)
        bought = execution.direction is Direction.BUY
        change = SignedQuantity(execution.quantity if bought else execution.quantity.copy_negate())
        basis = self.basis.traded(change, self._unit_value(execution.price))
        cash = self._cash_change(fill, change)
        final = settlement is Settlement.CONFIRMED
        tail = self.tail
        if tail or not final:
            tail = (*tail, TailFill(key=execution.key, change=change, price=execution.price, settled=final))
        fees, fees_other, fees_unknown = self._fees(fill, 1)
        return Position(
            instrument=self.instrument,
            settlement_asset=self.settlement_asset,
            multiplier=self.multiplier,
            basis=basis,
            confirmed=SignedQuantity(EXACT.add(self.confirmed, change)) if final else self.confirmed,
            arriving=self.arriving if final or not bought else Quantity(EXACT.add(self.arriving, change)),
            leaving=self.leaving if final or bought else Quantity(EXACT.subtract(self.leaving, change)),
            cash_matched=Cash(EXACT.add(self.cash_matched, cash)),
            cash_confirmed=Cash(EXACT.add(self.cash_confirmed, cash)) if final else self.cash_confirmed,
            fees=fees,
            fees_other=fees_other,
            fees_unknown=fees_unknown,
            fills=self.fills + 1,
            reversed=self.reversed,
            base=self.base if tail else basis,
            tail=tail,
        )

    def settled(self, fill: Fill, found: Settlement) -> "Position":
        """The position after a fill that is in it (and still in flight) was found settled.

        CONFIRMED moves it into the confirmed total. REVERSED takes it out of the matched one, with its cash, its fee
        and its effect on cost and profit. Anything that is not final changes no total. Raises
        `ContradictorySettlement` if the fill is not in flight here, so that none is confirmed or taken out twice.
        """
        if not found.is_final or found is fill.execution.settlement:
            return self
        place = self._place(fill, found)
        execution = fill.execution
        change = self.tail[place].change
        cash = self._cash_change(fill, change)
        arriving = self.arriving if change < 0 else Quantity(EXACT.subtract(self.arriving, change))
        leaving = self.leaving if change > 0 else Quantity(EXACT.add(self.leaving, change))
        before, after = self.tail[:place], self.tail[place + 1 :]
        if found is Settlement.CONFIRMED:
            entry = TailFill(key=execution.key, change=change, price=execution.price, settled=True)
            base, tail = self._trimmed((*before, entry, *after))
            return replace(
                self,
                base=base,
                tail=tail,
                confirmed=SignedQuantity(EXACT.add(self.confirmed, change)),
                cash_confirmed=Cash(EXACT.add(self.cash_confirmed, cash)),
                arriving=arriving,
                leaving=leaving,
            )
        base, tail = self._trimmed((*before, *after))
        basis = base
        for entry in tail:
            basis = basis.traded(entry.change, self._unit_value(entry.price))
        fees, fees_other, fees_unknown = self._fees(fill, -1)
        return replace(
            self,
            basis=basis,
            base=base,
            tail=tail,
            arriving=arriving,
            leaving=leaving,
            cash_matched=Cash(EXACT.subtract(self.cash_matched, cash)),
            fees=fees,
            fees_other=fees_other,
            fees_unknown=fees_unknown,
            reversed=self.reversed + 1,
        )

    def _unit_value(self, price: Price) -> Decimal:
        return price if self.multiplier is ONE else EXACT.multiply(price, self.multiplier)

    def _cash_change(self, fill: Fill, change: SignedQuantity) -> Decimal:
        execution = fill.execution
        value = EXACT.multiply(change, self._unit_value(execution.price))
        if execution.fee is None or self.settlement_asset not in {None, execution.fee_asset}:
            return value.copy_negate()
        return EXACT.subtract(value.copy_negate(), execution.fee)

    def _fees(self, fill: Fill, sign: int) -> tuple[Cash, tuple[tuple[AssetId, Cash], ...], int]:
        """Fees with this fill's added (1) or taken out (-1)."""
        fee, asset = fill.execution.fee, fill.execution.fee_asset
        if fee is None:
            return self.fees, self.fees_other, self.fees_unknown + sign
        amount = fee if sign == 1 else fee.copy_negate()
        if self.settlement_asset is None or asset == self.settlement_asset:
            return Cash(EXACT.add(self.fees, amount)), self.fees_other, self.fees_unknown
        others = dict(self.fees_other)
        others[asset] = Cash(EXACT.add(others.get(asset, ZERO), amount))
        return self.fees, tuple(sorted(others.items())), self.fees_unknown

    def _place(self, fill: Fill, found: Settlement) -> int:
        key = fill.execution.key
        for place, entry in enumerate(self.tail):
            if entry.key == key and not entry.settled:
                return place
        raise ContradictorySettlement(fill, found)

    def _trimmed(self, tail: tuple[TailFill, ...]) -> tuple[Basis, tuple[TailFill, ...]]:
        """Fold into the base what no reversal can reach any more: the settled fills at the head of the tail."""
        base, done = self.base, 0
        for entry in tail:
            if not entry.settled:
                break
            base = base.traded(entry.change, self._unit_value(entry.price))
            done += 1
        return base, tail[done:]


class PositionState(StrEnum):
    """Where a position is in its life, as a person would say it."""

    OPEN = "open"
    """Held as asked, with nothing against it."""
    PARTIAL = "partial"
    """Held, but less than was asked for."""
    HEDGED = "hedged"
    """Held as asked, and its other leg is as well."""
    CLOSING = "closing"
    """An order is reducing it, or it is flat by executions that have not settled."""
    CLOSED = "closed"
    """Nothing held, and nothing in flight that could change it."""


def position_state(book: BookView, *, asked: Quantity, hedged: bool, reducing: Quantity) -> PositionState:
    """The state that follows from the facts.

    `asked` is what the intents behind it wanted to hold, `hedged` whether the other leg of its pair is complete, and
    `reducing` the open quantity of orders against it. An unconfirmed position is not closed (law L8).
    """
    if not book.matched:
        return PositionState.CLOSED if book.is_quiet else PositionState.CLOSING
    if reducing:
        return PositionState.CLOSING
    if book.matched.copy_abs() < asked:
        return PositionState.PARTIAL
    return PositionState.HEDGED if hedged else PositionState.OPEN
