"""What an order would trade against right now, worked out without changing anything.

The plan is made first and applied afterwards, so that fill-or-kill is all or nothing and a taker who cannot pay
leaves no trace. Cash is rounded to the cash step against the taker; a complementary maker gets exactly the rest
of the pair's value, so no rounding ever makes or destroys money.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from .book import PairBook
from .policies import FeePolicy, Funds
from .values import (
    ZERO,
    AccountId,
    AssetId,
    Instrument,
    InstrumentId,
    MatchKind,
    Order,
    OrderRequest,
    Shortfall,
    Side,
)


class PlannedFill(msgspec.Struct, frozen=True, kw_only=True):
    """One maker's leg before it is booked. `price` is the taker's, in the taker's instrument."""

    maker: Order
    price: Decimal
    quantity: Decimal
    taker_cash: Decimal
    maker_cash: Decimal
    kind: MatchKind


class MatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The fills in order, the makers found unable to pay, and whether the taker would be filled completely."""

    fills: tuple[PlannedFill, ...]
    insolvent: tuple[Order, ...]
    complete: bool


class _Claims:
    """What fills of the same plan already took from each account, so that nobody pays twice from one balance."""

    def __init__(self, funds: Funds) -> None:
        self._funds = funds
        self._claimed: dict[tuple[AccountId, AssetId], Decimal] = {}

    def shortfall(
        self, account: AccountId, instrument: Instrument, asset: AssetId, amount: Decimal
    ) -> Shortfall | None:
        claimed = self._claimed.get((account, asset), ZERO)
        return self._funds.shortfall(account, instrument, asset, claimed + amount)

    def claim(self, account: AccountId, asset: AssetId, amount: Decimal) -> None:
        key = (account, asset)
        self._claimed[key] = self._claimed.get(key, ZERO) + amount


def plan_match(
    request: OrderRequest,
    book: PairBook,
    instruments: Mapping[InstrumentId, Instrument],
    funds: Funds,
    fees: FeePolicy,
) -> MatchPlan:
    """Walk the opposing side in price-time priority until the request is filled or its limit is reached."""
    instrument = instruments[request.instrument_id]
    claims = _Claims(funds)
    fills: list[PlannedFill] = []
    insolvent: list[Order] = []
    size_left = request.size
    cash_left = request.cash
    complete = False
    for price, maker in book.opposing(request):
        quantity = maker.remaining
        if cash_left is None:
            quantity = min(quantity, size_left)
        else:
            quantity = min(quantity, _floor(cash_left / price, instrument.size_step))
            if quantity <= ZERO:
                complete = True
                break
        fill = _fill(request, maker, price, quantity, instrument)
        maker_instrument = instruments[maker.request.instrument_id]
        asset, amount = _maker_pays(fill, maker_instrument, fees)
        account = maker.request.account
        if claims.shortfall(account, maker_instrument, asset, amount) is not None:
            insolvent.append(maker)
            continue
        claims.claim(account, asset, amount)
        fills.append(fill)
        if cash_left is not None:
            cash_left -= fill.taker_cash
            complete = cash_left <= ZERO
        else:
            size_left -= quantity
            complete = size_left <= ZERO
        if complete:
            break
    return MatchPlan(fills=tuple(fills), insolvent=tuple(insolvent), complete=complete)


def taker_shortfall(
    request: OrderRequest, plan: MatchPlan, instrument: Instrument, funds: Funds, fees: FeePolicy
) -> Shortfall | None:
    """Whether the taker can pay for every planned fill and the fee on top; None when it can."""
    if request.side is Side.SELL:
        quantity = sum((fill.quantity for fill in plan.fills), ZERO)
        return funds.shortfall(request.account, instrument, instrument.base, quantity)
    cash = sum((fill.taker_cash for fill in plan.fills), ZERO)
    fee = fees.taker_fee(request.instrument_id, [(fill.price, fill.quantity) for fill in plan.fills])
    return funds.shortfall(request.account, instrument, instrument.quote, cash + fee)


def _fill(
    request: OrderRequest, maker: Order, price: Decimal, quantity: Decimal, instrument: Instrument
) -> PlannedFill:
    rounding = ROUND_CEILING if request.side is Side.BUY else ROUND_FLOOR
    taker_cash = (price * quantity).quantize(instrument.cash_step, rounding)
    if maker.request.instrument_id == request.instrument_id:
        kind, maker_cash = MatchKind.DIRECT, taker_cash
    else:
        kind = MatchKind.MINT if request.side is Side.BUY else MatchKind.MERGE
        maker_cash = quantity * instrument.pair_value - taker_cash
    return PlannedFill(
        maker=maker, price=price, quantity=quantity, taker_cash=taker_cash, maker_cash=maker_cash, kind=kind
    )


def _maker_pays(fill: PlannedFill, instrument: Instrument, fees: FeePolicy) -> tuple[AssetId, Decimal]:
    if fill.maker.request.side is Side.SELL:
        return instrument.base, fill.quantity
    fee = fees.maker_fee(instrument.instrument_id, fill.maker.request.price, fill.quantity)
    return instrument.quote, fill.maker_cash + max(fee, ZERO)


def _floor(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_FLOOR)
