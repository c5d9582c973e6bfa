"""The JSON shapes of orders, trades and books, over REST and on the streams (polymarket.md 9 and 11)."""

import hashlib
from collections.abc import Callable
from decimal import Decimal

import msgspec

from ...evm.address import Address
from ...polymarket.contracts import ConditionId, TokenId
from ...polymarket.orders import ApiKey, OrderType
from ..core.values import CancelReason, Depth, Leg, Order, OrderStatus
from .markets import Market
from .numbers import plain
from .settlement import TradeRecord

Json = dict[str, object]

_CANCEL_STATUSES = {
    CancelReason.EXPIRED: "CANCELED_EXPIRED_ORDER",
    CancelReason.FUNDS_GONE: "CANCELED_NOT_ENOUGH_BALANCE",
    CancelReason.MARKET_CLOSED: "CANCELED_MARKET_RESOLVED",
    CancelReason.DELAYED_UNMATCHED: "UNMATCHED",
}


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue knows of an order beyond what the exchange core keeps."""

    market: Market
    token_id: TokenId
    owner: Address
    wallet: Address
    api_key: ApiKey
    order_type: OrderType
    expiration_seconds: int
    price_text: str


class MarketFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame for the market channel: every subscriber of one of the tokens gets it.

    `extra` frames go only to connections that asked for custom features; with no tokens they go to all of those.
    """

    event: str
    token_ids: tuple[TokenId, ...]
    body: Json
    extra: bool = False


class UserFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame for one account's user channel."""

    event: str
    status: str
    owner: Address
    market: ConditionId
    body: Json


Frame = MarketFrame | UserFrame


def order_status(order: Order) -> str:
    """The venue's name for what became of an order."""
    if order.status is OrderStatus.FILLED:
        return "MATCHED"
    if order.status is OrderStatus.CANCELED:
        assert order.cancel_reason is not None, f"{order!r} was cancelled without a reason"
        return _CANCEL_STATUSES.get(order.cancel_reason, "CANCELED")
    return "LIVE" if order.status is OrderStatus.LIVE else "DELAYED"


def order_row(order: Order, facts: OrderFacts) -> Json:
    """An order as GET /data/order and /data/orders tell it."""
    request = order.request
    return {
        "id": order.order_id,
        "status": order_status(order),
        "owner": facts.api_key,
        "maker_address": facts.wallet,
        "market": facts.market.condition_id,
        "asset_id": facts.token_id,
        "side": request.side.value,
        "original_size": plain(request.size),
        "size_matched": plain(order.filled),
        "price": facts.price_text,
        "outcome": facts.market.outcome(facts.token_id),
        "expiration": str(facts.expiration_seconds),
        "order_type": facts.order_type.value,
        "associate_trades": list(order.trades),
        "created_at": order.created_at_ms // 1_000,
    }


def order_event(kind: str, order: Order, facts: OrderFacts, now_ms: int) -> UserFrame:
    """An order event of the user channel: PLACEMENT, UPDATE or CANCELLATION."""
    status = order_status(order)
    if status == "CANCELED_EXPIRED_ORDER":
        # An expiry appears on the stream as a plain cancellation (polymarket.md 9.2).
        status = "CANCELED"
    body: Json = {
        "event_type": "order",
        "type": kind,
        "id": order.order_id,
        "owner": facts.api_key,
        "order_owner": facts.api_key,
        "market": facts.market.condition_id,
        "asset_id": facts.token_id,
        "side": order.request.side.value,
        "original_size": plain(order.request.size),
        "size_matched": plain(order.filled),
        "price": facts.price_text,
        "outcome": facts.market.outcome(facts.token_id),
        "status": status,
        "order_type": facts.order_type.value,
        "maker_address": facts.wallet,
        "created_at": str(order.created_at_ms // 1_000),
        "expiration": str(facts.expiration_seconds),
        "associate_trades": list(order.trades) or None,
        "timestamp": str(now_ms),
    }
    return UserFrame(event="order", status=kind, owner=facts.owner, market=facts.market.condition_id, body=body)


def trade_row(record: TradeRecord, facts_of: Callable[[str], OrderFacts], viewer: Address) -> Json:
    """A trade as one of its owners sees it, over REST and, with two fields more, on the stream.

    The top level is the taker's; a maker finds its own fills among `maker_orders` (polymarket.md 9.1).
    """
    trade, taker = record.trade, facts_of(record.trade.taker_order_id)

    def size(quantity: Decimal) -> str:
        return plain(quantity + record.dust)

    def maker_order(leg: Leg) -> Json:
        facts = facts_of(leg.maker_order_id)
        return {
            "order_id": leg.maker_order_id,
            "owner": facts.api_key,
            "maker_address": facts.wallet,
            "matched_amount": size(leg.quantity),
            "price": plain(leg.maker_price),
            "fee_rate_bps": "0",
            "asset_id": facts.token_id,
            "outcome": facts.market.outcome(facts.token_id),
            "outcome_index": facts.market.outcome_index(facts.token_id),
            "side": leg.maker_side.value,
        }

    return {
        "id": trade.trade_id,
        "taker_order_id": trade.taker_order_id,
        "market": record.market.condition_id,
        "asset_id": taker.token_id,
        "side": trade.side.value,
        "size": size(trade.quantity),
        "fee_rate_bps": "0",
        "price": plain(trade.price),
        "status": record.status.value,
        "match_time": str(trade.matched_at_ms // 1_000),
        "last_update": str(record.updated_ms // 1_000),
        "outcome": record.market.outcome(taker.token_id),
        "bucket_index": trade.bucket_index,
        "owner": taker.api_key,
        "maker_address": taker.wallet,
        "transaction_hash": record.transaction_hash,
        "trader_side": "TAKER" if taker.owner == viewer else "MAKER",
        "maker_orders": [maker_order(leg) for leg in trade.legs],
    }


def trade_event(record: TradeRecord, facts_of: Callable[[str], OrderFacts], viewer: Address, now_ms: int) -> UserFrame:
    """A trade event of the user channel, one for every change of the trade's status."""
    row = trade_row(record, facts_of, viewer)
    body: Json = {
        "event_type": "trade",
        "type": "TRADE",
        **row,
        "trade_owner": row["owner"],
        "matchtime": row["match_time"],
        "timestamp": str(now_ms),
    }
    return UserFrame(
        event="trade", status=record.status.value, owner=viewer, market=record.market.condition_id, body=body
    )


def book_summary(market: Market, token_id: TokenId, depth: Depth, changed_ms: int) -> Json:
    """A book as GET /book tells it: bids ascending, asks descending, the best of both at the end."""
    last = market.last_trade_price.get(token_id)
    summary: Json = {
        "market": market.condition_id,
        "asset_id": token_id,
        "timestamp": str(changed_ms),
        "hash": "",
        "bids": [{"price": plain(price), "size": plain(size)} for price, size in reversed(depth.bids)],
        "asks": [{"price": plain(price), "size": plain(size)} for price, size in reversed(depth.asks)],
        "min_order_size": plain(market.spec.min_size),
        "tick_size": plain(market.tick_size),
        "neg_risk": market.spec.neg_risk,
        "last_trade_price": "" if last is None else plain(last),
    }
    # The hash covers the compact JSON with an empty hash in its place; the order of keys is part of it.
    digest = hashlib.sha1(msgspec.json.encode(summary), usedforsecurity=False)
    summary["hash"] = digest.hexdigest()
    return summary
