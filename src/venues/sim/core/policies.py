"""What differs between venues, as objects the exchange is given: fees, funds and order rules."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Protocol

import msgspec

from .values import (
    ZERO,
    AccountId,
    AssetId,
    Instrument,
    InstrumentId,
    OrderRequest,
    Rejection,
    RejectReason,
    Shortfall,
    Side,
    Trade,
)

FEE_ACCOUNT = AccountId("fees")
"""Where a ledger credits fees unless it is told otherwise."""


class FeePolicy(Protocol):
    """Fees in the quote asset for a fill, as exact Decimals; the policy owns the rounding."""

    def taker_fee(self, instrument_id: InstrumentId, fills: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        """The taker's fee for (price, quantity) fills that settle together."""
        ...

    def maker_fee(self, instrument_id: InstrumentId, price: Decimal, quantity: Decimal) -> Decimal: ...


class NoFees(msgspec.Struct, frozen=True):
    """A venue that charges nothing."""

    def taker_fee(self, instrument_id: InstrumentId, fills: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        return ZERO

    def maker_fee(self, instrument_id: InstrumentId, price: Decimal, quantity: Decimal) -> Decimal:
        return ZERO


class ProportionalFees(msgspec.Struct, frozen=True, kw_only=True):
    """Fees as shares of notional, the form of most order-book venues; a negative maker rate is a rebate."""

    maker_rate: Decimal
    taker_rate: Decimal
    step: Decimal = Decimal("0.000001")

    def taker_fee(self, instrument_id: InstrumentId, fills: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        notional = sum((price * quantity for price, quantity in fills), ZERO)
        return (notional * self.taker_rate).quantize(self.step, ROUND_HALF_UP)

    def maker_fee(self, instrument_id: InstrumentId, price: Decimal, quantity: Decimal) -> Decimal:
        return (price * quantity * self.maker_rate).quantize(self.step, ROUND_HALF_UP)


class FeeCurve(msgspec.Struct, frozen=True, kw_only=True):
    """A fee that peaks at even odds: quantity * rate * (p*(1-p))^exponent (polymarket.md 10)."""

    rate: Decimal = ZERO
    exponent: Decimal = Decimal(1)


class CurveFees:
    """Taker-only curve fees with a curve per instrument, 5 decimals, at least 0.00001 (polymarket.md 10)."""

    _step = Decimal("0.00001")

    def __init__(self) -> None:
        self._curves: dict[InstrumentId, FeeCurve] = {}

    def set_curve(self, instrument_id: InstrumentId, curve: FeeCurve) -> None:
        self._curves[instrument_id] = curve

    def taker_fee(self, instrument_id: InstrumentId, fills: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        curve = self._curves.get(instrument_id)
        if curve is None or curve.rate == ZERO:
            return ZERO
        raw = sum((quantity * curve.rate * (price * (1 - price)) ** curve.exponent for price, quantity in fills), ZERO)
        # Which way the last decimal is rounded is not published; upwards is what clients have to be ready for.
        return max(raw.quantize(self._step, ROUND_CEILING), self._step) if raw > ZERO else ZERO

    def maker_fee(self, instrument_id: InstrumentId, price: Decimal, quantity: Decimal) -> Decimal:
        return ZERO


class Funds(Protocol):
    """Who can pay for what, and where trades are booked."""

    def shortfall(
        self, account: AccountId, instrument: Instrument, asset: AssetId, amount: Decimal
    ) -> Shortfall | None:
        """None when the account can pay the amount now, else what is missing."""
        ...

    def book(self, trade: Trade) -> None:
        """Take note of a trade; called once, in order, before anybody hears of it."""
        ...


class Ledger:
    """Funds of a venue that settles at once in its own books, with nothing reserved for resting orders."""

    def __init__(self, instruments: Iterable[Instrument], fee_account: AccountId = FEE_ACCOUNT) -> None:
        self._instruments = {instrument.instrument_id: instrument for instrument in instruments}
        self._fee_account = fee_account
        self.balances: dict[tuple[AccountId, AssetId], Decimal] = {}

    def credit(self, account: AccountId, asset: AssetId, amount: Decimal) -> None:
        key = (account, asset)
        self.balances[key] = self.balances.get(key, ZERO) + amount

    def shortfall(
        self, account: AccountId, instrument: Instrument, asset: AssetId, amount: Decimal
    ) -> Shortfall | None:
        available = self.balances.get((account, asset), ZERO)
        return None if available >= amount else Shortfall(available=available, needed=amount)

    def book(self, trade: Trade) -> None:
        instrument = self._instruments[trade.instrument_id]
        self._exchange(trade.taker_account, instrument, trade.side, trade.quantity, trade.taker_cash, trade.taker_fee)
        for leg in trade.legs:
            maker_instrument = self._instruments[leg.maker_instrument_id]
            self._exchange(
                leg.maker_account, maker_instrument, leg.maker_side, leg.quantity, leg.maker_cash, leg.maker_fee
            )

    def _exchange(
        self, account: AccountId, instrument: Instrument, side: Side, quantity: Decimal, cash: Decimal, fee: Decimal
    ) -> None:
        sign = 1 if side is Side.BUY else -1
        self.credit(account, instrument.base, sign * quantity)
        self.credit(account, instrument.quote, -sign * cash - fee)
        self.credit(self._fee_account, instrument.quote, fee)


class OrderRules(Protocol):
    """Which orders a venue takes at all, before funds and matching are looked at."""

    def check(self, instrument: Instrument, request: OrderRequest, now_ms: int, crosses: bool) -> Rejection | None: ...


class GridRules(msgspec.Struct, frozen=True):
    """The common rules: price on the tick grid, size on the step and at least the minimum, not yet expired."""

    def check(self, instrument: Instrument, request: OrderRequest, now_ms: int, crosses: bool) -> Rejection | None:
        if request.price <= ZERO or request.price % instrument.tick_size != ZERO:
            return Rejection(order_id=request.order_id, reason=RejectReason.PRICE_OFF_GRID, limit=instrument.tick_size)
        if request.size < instrument.min_size or request.size % instrument.size_step != ZERO:
            return Rejection(order_id=request.order_id, reason=RejectReason.SIZE_TOO_SMALL, limit=instrument.min_size)
        if request.expires_at_ms is not None and request.expires_at_ms <= now_ms:
            return Rejection(order_id=request.order_id, reason=RejectReason.EXPIRED)
        return None
