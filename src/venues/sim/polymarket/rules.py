"""Which orders this venue takes, and the exact words in which it refuses (polymarket.md 5, 7 and 15)."""

from decimal import Decimal

import msgspec

from ..core.values import (
    Instrument,
    OrderRequest,
    Rejection,
    RejectReason,
    Shortfall,
    Side,
)
from .numbers import plain, to_units

MARKETABLE_BUY_MIN = Decimal(1)
"""A BUY that trades at once must be worth a dollar."""


class VenueRules(msgspec.Struct, frozen=True):
    """Price on the tick within [tick, 1-tick]; at least the minimum size, or a dollar when it trades at once.

    Immediate orders carry their price as the ratio of two rounded amounts, so only its range is checked.
    """

    def check(self, instrument: Instrument, request: OrderRequest, now_ms: int, crosses: bool) -> Rejection | None:
        tick = instrument.tick_size
        in_range = tick <= request.price <= instrument.pair_value - tick
        on_grid = request.time_in_force.immediate or request.price % tick == 0
        if not (in_range and on_grid):
            return Rejection(order_id=request.order_id, reason=RejectReason.PRICE_OFF_GRID, limit=tick)
        if not request.time_in_force.immediate and request.size < instrument.min_size:
            return Rejection(order_id=request.order_id, reason=RejectReason.SIZE_TOO_SMALL, limit=instrument.min_size)
        if request.side is Side.BUY and (crosses or request.time_in_force.immediate):
            cash = request.cash if request.cash is not None else request.price * request.size
            if cash < MARKETABLE_BUY_MIN:
                return Rejection(order_id=request.order_id, reason=RejectReason.CASH_TOO_SMALL, limit=cash)
        return None


def rejection_text(rejection: Rejection, request: OrderRequest, spender: str) -> str:
    """The venue's words for a refused order; `spender` is the exchange contract the order is for."""
    order_id = rejection.order_id
    match rejection.reason:
        case RejectReason.DUPLICATE:
            return f"order {order_id} is invalid. Duplicated."
        case RejectReason.PRICE_OFF_GRID:
            limit = rejection.limit or Decimal(0)
            return (
                f"order {order_id} is invalid. Price ({plain(request.price)}) breaks minimum tick size rule: "
                f"{plain(limit)}"
            )
        case RejectReason.SIZE_TOO_SMALL:
            limit = rejection.limit or Decimal(0)
            return f"order {order_id} is invalid. Size ({plain(request.size)}) lower than the minimum: {plain(limit)}"
        case RejectReason.CASH_TOO_SMALL:
            cash = rejection.limit or Decimal(0)
            return f"invalid amount for a marketable BUY order (${plain(cash)}), min size: $1"
        case RejectReason.NOT_ENOUGH_FUNDS:
            assert rejection.shortfall is not None, f"{order_id} lacks funds, but nothing is missing"
            return "not enough balance / allowance: " + _missing(rejection.shortfall, spender)
        case RejectReason.EXPIRED:
            return "invalid expiration"
        case RejectReason.POST_ONLY_CROSSES:
            return "invalid post-only order: order crosses book"
        case RejectReason.FOK_NOT_FILLED:
            return "order couldn't be fully filled. FOK orders are fully filled or killed."
        case RejectReason.IOC_NO_MATCH:
            return (
                "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is "
                "found."
            )
        case RejectReason.MARKET_NOT_OPEN:
            return "the market is not yet ready to process new orders"
        case RejectReason.UNKNOWN_INSTRUMENT:
            return "No orderbook exists for the requested token id"


def _missing(shortfall: Shortfall, spender: str) -> str:
    needed = to_units(_up(shortfall.needed))
    available = to_units(shortfall.available)
    if shortfall.allowance:
        return f"the allowance is not enough -> spender: {spender}, allowance: {available}, order amount: {needed}"
    return f"the balance is not enough -> balance: {available}, order amount: {needed}"


def _up(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.000001"), "ROUND_CEILING")
