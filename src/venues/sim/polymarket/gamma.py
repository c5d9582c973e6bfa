"""The catalogue: markets and events as the Gamma API lists them (polymarket.md 5)."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from .markets import Catalogue, Market
from .numbers import plain
from .wire import Json

Best = Callable[[Market, str], tuple[Decimal | None, Decimal | None]]


class Gamma:
    """Answers about the catalogue. `best` tells the best bid and ask of a token, `price` what it is worth."""

    def __init__(self, catalogue: Catalogue, best: Best, price: Callable[[Market, str], Decimal]) -> None:
        self._catalogue = catalogue
        self._best = best
        self._price = price

    def market(self, name: str) -> Json | None:
        """A market by its number, slug, condition or token."""
        market = next((m for m in self._catalogue.all() if m.market_id == name), None) or self._catalogue.find(name)
        return None if market is None else self._market_row(market)

    def event(self, name: str) -> Json | None:
        market = next((m for m in self._catalogue.all() if name in {m.event_id, m.slug}), None)
        return None if market is None else self._event_row(market)

    def markets(self, query: Mapping[str, list[str]]) -> list[Json]:
        return [self._market_row(market) for market in self._chosen(query)]

    def events(self, query: Mapping[str, list[str]]) -> list[Json]:
        return [self._event_row(market) for market in self._chosen(query)]

    def page(self, name: str, rows: list[Json], query: Mapping[str, list[str]]) -> Json:
        """One page of a keyset listing; `next_cursor` is absent on the last one."""
        limit = int(_first(query, "limit") or 100)
        cursor = _first(query, "after_cursor")
        start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
        page: Json = {name: rows[start : start + limit]}
        if start + limit < len(rows):
            page["next_cursor"] = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
        return page

    def _chosen(self, query: Mapping[str, list[str]]) -> list[Market]:
        tokens, slugs = set(query.get("clob_token_ids", [])), set(query.get("slug", []))
        conditions = {condition.lower() for condition in query.get("condition_ids", [])}
        numbers = set(query.get("id", []))
        closed = _first(query, "closed")
        version = _first(query, "version")
        return [
            market
            for market in self._catalogue.all()
            if (not tokens or tokens & set(market.token_ids))
            and (not conditions or market.condition_id in conditions)
            and (not slugs or market.slug in slugs)
            and (not numbers or numbers & {market.market_id, market.event_id})
            and (closed is None or market.closed is (closed == "true"))
            and version in {None, "v1"}
        ]

    def _market_row(self, market: Market) -> Json:
        spec, first = market.spec, market.token_ids[0]
        bid, ask = self._best(market, first)
        last = market.last_trade_price.get(first)
        prices = [plain(self._price(market, token_id)) for token_id in market.token_ids]
        curve = {"exponent": spec.fee_exponent, "rate": spec.fee_rate, "takerOnly": True, "rebateRate": Decimal(0)}
        return {
            "id": market.market_id,
            "version": "v1",
            "question": spec.question,
            "conditionId": market.condition_id,
            "questionID": market.question_id,
            "slug": market.slug,
            "description": spec.question,
            "resolutionSource": "",
            "startDate": _iso(market.created_ms // 1_000),
            "endDate": _iso(spec.end_seconds),
            "outcomes": _text(list(spec.outcomes)),
            "outcomePrices": _text(prices),
            "clobTokenIds": _text(list(market.token_ids)),
            "active": True,
            "closed": market.closed,
            "archived": False,
            "acceptingOrders": market.accepting_orders,
            "enableOrderBook": True,
            "negRisk": spec.neg_risk,
            "orderPriceMinTickSize": market.tick_size,
            "orderMinSize": spec.min_size,
            "feesEnabled": spec.fee_rate > 0,
            "feeSchedule": curve if spec.fee_rate > 0 else None,
            "secondsDelay": spec.taker_delay_ms // 1_000,
            "bestBid": bid,
            "bestAsk": ask,
            "lastTradePrice": last,
            "umaResolutionStatuses": "[]",
            "events": [{"id": market.event_id, "slug": market.slug, "title": spec.question}],
        }

    def _event_row(self, market: Market) -> Json:
        row = self._market_row(market)
        del row["events"]
        return {
            "id": market.event_id,
            "ticker": market.slug,
            "slug": market.slug,
            "title": market.spec.question,
            "description": market.spec.question,
            "startDate": row["startDate"],
            "endDate": row["endDate"],
            "active": True,
            "closed": market.closed,
            "archived": False,
            "negRisk": market.spec.neg_risk,
            "markets": [row],
        }


def _first(query: Mapping[str, list[str]], name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None


def _text(values: list[str]) -> str:
    """JSON inside JSON, as Gamma sends its lists."""
    return msgspec.json.encode(values).decode()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
