"""What the CLOB answers when asked: market parameters, books, own orders, trades, balances (polymarket.md 5, 9)."""

import base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from ...evm.address import Address
from ...polymarket.contracts import TokenId
from ...polymarket.orders import SignatureType
from ..core.values import AssetId, InstrumentId, Order, OrderId, TradeId
from .faults import HideFromLists, NullOrder, StaleBalances
from .keys import KeyHolder
from .markets import PUSD_ASSET, Market
from .numbers import plain, to_units
from .venue import Venue
from .wallets import SPENDERS
from .wire import Json, order_row, trade_row

FIRST_CURSOR = "MA=="
LAST_CURSOR = "LTE="
_PAGE_SIZE = 100
_ALLOWANCE_SHOWN_MAX = (1 << 256) - 1

Row = TypeVar("Row")


class NotFound(Exception):
    """What was asked for does not exist; the message is the answer's error text."""


class BadQuery(Exception):
    """The question is not understood; the message is the answer's error text."""


class Queries:
    """Answers from the venue's present state."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._stale: dict[tuple[str, str], Json] = {}

    # Markets and books.

    def market_of_token(self, token_id: str | None) -> Market:
        market = None if token_id is None else self._venue.catalogue.of_token(token_id)
        if market is None:
            raise NotFound("No orderbook exists for the requested token id")
        return market

    def market_of_condition(self, condition_id: str) -> Market:
        market = self._venue.catalogue.of_condition(condition_id)
        if market is None:
            raise NotFound("market not found")
        return market

    def book(self, token_id: str | None) -> Json:
        self.market_of_token(token_id)
        return self._venue.book(TokenId(str(token_id)))

    def markets_by_token(self, token_id: str) -> Json:
        market = self.market_of_token(token_id)
        first, second = market.token_ids
        return {"condition_id": market.condition_id, "primary_token_id": first, "secondary_token_id": second}

    def clob_market(self, condition_id: str) -> Json:
        """A market in the short keys that both clients read before an order."""
        market = self.market_of_condition(condition_id)
        spec = market.spec
        tokens = [{"t": token_id, "o": market.outcome(token_id)} for token_id in market.token_ids]
        return {
            "c": market.condition_id,
            "t": tokens,
            "mts": market.tick_size,
            "mos": spec.min_size,
            "nr": spec.neg_risk,
            "mbf": 0,
            "tbf": 0,
            "fd": {"r": spec.fee_rate, "e": spec.fee_exponent, "to": True},
            "itode": spec.taker_delay_ms > 0,
            "sd": spec.taker_delay_ms // 1_000,
            "ao": market.accepting_orders,
        }

    def clob_market_long(self, market: Market) -> Json:
        """A market as GET /markets/{condition} lists it."""
        spec = market.spec
        tokens = [
            {
                "token_id": token_id,
                "outcome": market.outcome(token_id),
                "price": self.price(market, token_id),
                "winner": market.winner == market.outcome_index(token_id),
            }
            for token_id in market.token_ids
        ]
        return {
            "condition_id": market.condition_id,
            "question_id": market.question_id,
            "question": spec.question,
            "description": spec.question,
            "market_slug": market.slug,
            "tokens": tokens,
            "minimum_order_size": spec.min_size,
            "minimum_tick_size": market.tick_size,
            "neg_risk": spec.neg_risk,
            "accepting_orders": market.accepting_orders,
            "enable_order_book": True,
            "active": True,
            "closed": market.closed,
            "archived": False,
            "seconds_delay": spec.taker_delay_ms // 1_000,
            "maker_base_fee": 0,
            "taker_base_fee": 0,
            "tags": [],
        }

    def all_markets(self, cursor: str | None) -> Json:
        rows = [self.clob_market_long(market) for market in self._venue.catalogue.all()]
        return _page(rows, cursor)

    def price(self, market: Market, token_id: str) -> Decimal:
        """What a share is worth: its payout, the middle of the book, the last trade, or even odds."""
        token = TokenId(token_id)
        if market.winner is not None:
            return Decimal(1 if market.outcome_index(token) == market.winner else 0)
        bid, ask = self._venue.exchange.best(InstrumentId(token))
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        return market.last_trade_price.get(token, Decimal("0.5"))

    def best(self, market: Market, token_id: str) -> tuple[Decimal | None, Decimal | None]:
        return self._venue.exchange.best(InstrumentId(token_id))

    def midpoint(self, token_id: str | None) -> str:
        bid, ask = self._both_sides(token_id)
        return plain((bid + ask) / 2)

    def spread(self, token_id: str | None) -> str:
        bid, ask = self._both_sides(token_id)
        return plain(ask - bid)

    def side_price(self, token_id: str | None, side: str | None) -> str:
        """The best price on a side of the book: BUY is the best bid."""
        market = self.market_of_token(token_id)
        bid, ask = self.best(market, str(token_id))
        if side not in {"BUY", "SELL"}:
            raise BadQuery("Invalid side")
        price = bid if side == "BUY" else ask
        return plain(price) if price is not None else "0"

    def last_trade(self, token_id: str | None) -> Json:
        market = self.market_of_token(token_id)
        token = TokenId(str(token_id))
        price = market.last_trade_price.get(token)
        return {
            "price": "0.5" if price is None else plain(price),
            "side": market.last_trade_side.get(token, ""),
        }

    def _both_sides(self, token_id: str | None) -> tuple[Decimal, Decimal]:
        market = self.market_of_token(token_id)
        bid, ask = self.best(market, str(token_id))
        if bid is None or ask is None:
            raise NotFound("No orderbook exists for the requested token id")
        return bid, ask

    # Own orders and trades.

    def order(self, order_id: str, holder: KeyHolder) -> Json | None:
        """An order in any state; null when it is not this account's, does not exist, or is being hidden."""
        wanted = order_id.lower()

        def hides(fault: NullOrder) -> bool:
            return fault.order_id is None or fault.order_id.lower() == wanted

        order = self._venue.exchange.orders.get(OrderId(wanted))
        if order is None or self._venue.facts[wanted].owner != holder.owner:
            return None
        if self._venue.faults.bite(NullOrder, self._venue.now_ms, hides) is not None:
            return None
        return order_row(order, self._venue.facts[wanted])

    def orders(self, query: Mapping[str, str], holder: KeyHolder) -> Json:
        """Open orders, newest first; with an id that one in any state."""
        venue = self._venue
        wanted_id = query.get("id", "").lower()
        if wanted_id:
            found = venue.exchange.orders.get(OrderId(wanted_id))
            pool = [] if found is None else [found]
        else:
            pool = venue.open_orders_of(holder.owner)
        hidden_after_ms = self._hidden_after_ms()

        def chosen(order: Order) -> bool:
            facts = venue.facts[order.order_id]
            return (
                facts.owner == holder.owner
                and query.get("market", facts.market.condition_id).lower() == facts.market.condition_id
                and query.get("asset_id", facts.token_id) == facts.token_id
                and order.created_at_ms <= hidden_after_ms
            )

        rows = [order for order in reversed(pool) if chosen(order)]
        return _page(rows, query.get("next_cursor"), lambda order: order_row(order, venue.facts[order.order_id]))

    def trades(self, query: Mapping[str, str], holder: KeyHolder) -> Json:
        """Trades of the account as taker or maker, newest first."""
        venue = self._venue
        wanted_id = query.get("id")
        if wanted_id:
            record = venue.records.get(TradeId(wanted_id))
            pool = [record] if record is not None and record in venue.trades_of.get(holder.owner, []) else []
        else:
            pool = venue.trades_of.get(holder.owner, [])
        after, before = _seconds(query, "after"), _seconds(query, "before")
        maker = query.get("maker_address", "").lower()
        hidden_after_ms = self._hidden_after_ms()
        rows = []
        for record in reversed(pool):
            trade = record.trade
            seconds = trade.matched_at_ms // 1_000
            accounts = {trade.taker_account.lower(), *(leg.maker_account.lower() for leg in trade.legs)}
            tokens = {trade.instrument_id, *(leg.maker_instrument_id for leg in trade.legs)}
            if (
                query.get("market", record.market.condition_id).lower() == record.market.condition_id
                and query.get("asset_id", trade.instrument_id) in tokens
                and (not maker or maker in accounts)
                and (after is None or seconds > after)
                and (before is None or seconds < before)
                and trade.matched_at_ms <= hidden_after_ms
            ):
                rows.append(record)
        return _page(
            rows,
            query.get("next_cursor"),
            lambda record: trade_row(record, venue.facts.__getitem__, holder.owner),
        )

    def _hidden_after_ms(self) -> int:
        fault = self._venue.faults.shows(HideFromLists, self._venue.now_ms)
        return self._venue.now_ms if fault is None else self._venue.now_ms - round(fault.lag_seconds * 1_000)

    # Balances.

    def balance_allowance(self, query: Mapping[str, str], holder: KeyHolder) -> Json:
        """The balance and allowances of the wallet that a signature type means, in base units."""
        wallet, asset = self._wallet_and_asset(query, holder)
        told = self._stale.get((wallet, asset))
        if told is not None and self._venue.faults.shows(StaleBalances, self._venue.now_ms) is not None:
            return told
        funds = self._venue.funds
        allowances = {
            spender: str(min(funds.allowance_units(wallet, asset, spender), _ALLOWANCE_SHOWN_MAX))
            for spender in SPENDERS
        }
        answer: Json = {"balance": str(to_units(funds.balance(wallet, asset))), "allowances": allowances}
        self._stale[wallet, asset] = answer
        return answer

    def update_balance_allowance(self, query: Mapping[str, str], holder: KeyHolder) -> None:
        """Have the chain read again; matters only while balances are told stale."""
        wallet, asset = self._wallet_and_asset(query, holder)
        self._stale.pop((wallet, asset), None)

    def _wallet_and_asset(self, query: Mapping[str, str], holder: KeyHolder) -> tuple[Address, AssetId]:
        try:
            signature_type = SignatureType(int(query.get("signature_type", "0")))
        except ValueError as error:
            raise BadQuery("Invalid signature type") from error
        wallet = self._venue.wallets.wallet(holder.owner, signature_type)
        self._venue.wallets.use(holder.owner, wallet)
        asset_type = query.get("asset_type")
        if asset_type == "COLLATERAL":
            return wallet, PUSD_ASSET
        if asset_type not in {"CONDITIONAL", "CONDITIONAL-V2"}:
            raise BadQuery("Invalid asset type")
        token_id = query.get("token_id")
        if token_id is None or self._venue.catalogue.of_token(token_id) is None:
            raise BadQuery("Invalid asset id")
        return wallet, AssetId(token_id)


def _page(rows: list[Row], cursor: str | None, shape: Callable[[Row], object] = lambda row: row) -> Json:
    start = _cursor_offset(cursor)
    chosen = rows[start : start + _PAGE_SIZE]
    end = start + len(chosen)
    following = base64.b64encode(str(end).encode()).decode() if end < len(rows) else LAST_CURSOR
    return {
        "limit": _PAGE_SIZE,
        "next_cursor": following,
        "count": len(chosen),
        "data": [shape(row) for row in chosen],
    }


def _cursor_offset(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        offset = int(base64.b64decode(cursor, validate=True))
    except ValueError as error:
        raise BadQuery("Invalid next_cursor") from error
    if offset < 0:
        raise BadQuery("Invalid next_cursor")
    return offset


def _seconds(query: Mapping[str, str], name: str) -> int | None:
    try:
        return int(query[name]) if query.get(name) else None
    except ValueError as error:
        raise BadQuery(f"Invalid {name}") from error
