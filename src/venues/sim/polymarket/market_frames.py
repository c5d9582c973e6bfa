"""The frames of the market channel (polymarket.md 11.1)."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ...polymarket.contracts import TokenId
from ..core.values import LevelChange
from .markets import Market
from .numbers import plain
from .settlement import TradeRecord
from .wire import Json, MarketFrame

Best = tuple[Decimal | None, Decimal | None]


def book_frame(token_id: TokenId, book: Json) -> MarketFrame:
    """A whole book: on subscribing, and after trades."""
    return MarketFrame(event="book", token_ids=(token_id,), body={"event_type": "book", **book})


def price_change_frame(
    market: Market,
    changes: Iterable[LevelChange],
    books: Mapping[TokenId, Json],
    best: Mapping[TokenId, Best],
    at_ms: int,
) -> MarketFrame:
    """The new totals of the levels that one operation changed, of both outcomes."""

    def told(change: LevelChange) -> Json:
        token_id = TokenId(change.instrument_id)
        bid, ask = best[token_id]
        return {
            "asset_id": token_id,
            "price": plain(change.price),
            "size": plain(change.size),
            "side": change.side.value,
            "hash": books[token_id]["hash"],
            "best_bid": _bid(bid),
            "best_ask": _ask(ask),
        }

    body: Json = {
        "event_type": "price_change",
        "market": market.condition_id,
        "price_changes": [told(change) for change in changes],
        "timestamp": str(at_ms),
    }
    return MarketFrame(event="price_change", token_ids=market.token_ids, body=body)


def last_trade_frame(record: TradeRecord, token_id: TokenId, at_ms: int) -> MarketFrame:
    """A match, as everybody sees it."""
    trade = record.trade
    body: Json = {
        "event_type": "last_trade_price",
        "asset_id": token_id,
        "market": record.market.condition_id,
        "price": plain(trade.price),
        "side": trade.side.value,
        "size": plain(trade.quantity),
        "fee_rate_bps": "0",
        "transaction_hash": record.transaction_hash,
        "timestamp": str(at_ms),
    }
    return MarketFrame(event="last_trade_price", token_ids=(token_id,), body=body)


def tick_size_frame(market: Market, token_id: TokenId, old: Decimal, at_ms: int) -> MarketFrame:
    body: Json = {
        "event_type": "tick_size_change",
        "asset_id": token_id,
        "market": market.condition_id,
        "old_tick_size": plain(old),
        "new_tick_size": plain(market.tick_size),
        "timestamp": str(at_ms),
    }
    return MarketFrame(event="tick_size_change", token_ids=(token_id,), body=body)


def best_frame(market: Market, token_id: TokenId, best: Best, at_ms: int) -> MarketFrame:
    bid, ask = best
    body: Json = {
        "event_type": "best_bid_ask",
        "asset_id": token_id,
        "market": market.condition_id,
        "best_bid": _bid(bid),
        "best_ask": _ask(ask),
        "spread": plain((Decimal(1) if ask is None else ask) - (Decimal(0) if bid is None else bid)),
        "timestamp": str(at_ms),
    }
    return MarketFrame(event="best_bid_ask", token_ids=(token_id,), body=body, extra=True)


def new_market_frame(market: Market, at_ms: int) -> MarketFrame:
    spec = market.spec
    body: Json = {
        "event_type": "new_market",
        "id": market.market_id,
        "question": spec.question,
        "market": market.condition_id,
        "condition_id": market.condition_id,
        "slug": market.slug,
        "description": spec.question,
        "assets_ids": list(market.token_ids),
        "clob_token_ids": list(market.token_ids),
        "outcomes": list(spec.outcomes),
        "active": True,
        "order_price_min_tick_size": plain(spec.tick_size),
        "timestamp": str(at_ms),
    }
    return MarketFrame(event="new_market", token_ids=(), body=body, extra=True)


def resolved_frame(market: Market, at_ms: int) -> MarketFrame:
    assert market.winner is not None, f"market {market.condition_id} is not resolved"
    body: Json = {
        "event_type": "market_resolved",
        "id": market.market_id,
        "market": market.condition_id,
        "assets_ids": list(market.token_ids),
        "winning_asset_id": market.token_ids[market.winner],
        "winning_outcome": market.spec.outcomes[market.winner],
        "timestamp": str(at_ms),
    }
    return MarketFrame(event="market_resolved", token_ids=market.token_ids, body=body, extra=True)


# An empty side of a book is told as the end of the price range.


def _bid(bid: Decimal | None) -> str:
    return "0" if bid is None else plain(bid)


def _ask(ask: Decimal | None) -> str:
    return "1" if ask is None else plain(ask)
