"""The Data API's answers: positions, activity, trades and value of a wallet (polymarket.md 12).

Numbers are JSON numbers here. `has_more` is true exactly when there is a next cursor; a cursor is the place in
the listing it was made for.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from ...evm.address import Address, HexRefused, parse_address
from ..core.values import ZERO, Side
from .history import Activity, ActivityKind, History, Position
from .markets import Market
from .wire import Json

_PAGE_MAX = 1_000
_PAGE_DEFAULT = 100
_CENT = Decimal("0.000001")

Row = TypeVar("Row")


class QueryRefused(Exception):
    """A query is not understood; the message is the answer's error text."""


class DataApi:
    """Answers about wallets as of a moment. `price` tells what a share is worth now."""

    def __init__(self, history: History, price: Callable[[Market, str], Decimal]) -> None:
        self._history = history
        self._price = price

    def positions(self, query: Mapping[str, str], until_ms: int) -> Json:
        wallet = _wallet(query)
        status = query.get("status", "OPEN").upper()
        conditions = _conditions(query)
        held = self._history.positions(wallet, until_ms)
        rows = [
            position
            for position in held
            if (not conditions or position.market.condition_id in conditions) and _has_status(position, status, held)
        ]
        order = query.get("sort_by") or query.get("sortBy")
        if order is not None:
            keys: dict[str, Callable[[Position], Decimal]] = {
                "CURRENT_VALUE": lambda p: p.held * self._price(p.market, p.token_id),
                "TOKENS": lambda p: p.held,
                "PRICE": lambda p: self._price(p.market, p.token_id),
                "REALIZED_PNL": lambda p: p.realized,
                "TIMESTAMP": lambda p: Decimal(p.last_ms),
            }
            if order not in keys:
                raise QueryRefused(f"sort_by {order!r} is not supported")
            direction = (query.get("sort_direction") or query.get("sortDirection") or "DESC").upper()
            rows.sort(key=keys[order], reverse=direction == "DESC")
        return _page([self._position_row(position) for position in rows], query)

    def activity(self, query: Mapping[str, str], until_ms: int) -> Json:
        kinds = set(filter(None, query.get("type", "").split(",")))
        rows = [
            row
            for row in self._filtered(query, until_ms)
            if row.kind is not ActivityKind.TRANSFER and (not kinds or row.kind.value in kinds)
        ]
        if (query.get("sort_direction") or "DESC").upper() == "ASC":
            rows.reverse()
        return _page([_activity_row(row) for row in rows], query)

    def trades(self, query: Mapping[str, str], until_ms: int) -> Json:
        rows = [row for row in self._filtered(query, until_ms) if row.kind is ActivityKind.TRADE]
        return _page([_trade_row(row) for row in rows], query)

    def value(self, query: Mapping[str, str], until_ms: int) -> Json:
        wallet = _wallet(query)
        conditions = _conditions(query)
        value = sum(
            (
                position.held * self._price(position.market, position.token_id)
                for position in self._history.positions(wallet, until_ms)
                if not conditions or position.market.condition_id in conditions
            ),
            ZERO,
        )
        return {"data": {"proxy_wallet": wallet, "value": _number(value)}}

    def user_stats(self, query: Mapping[str, str], until_ms: int) -> Json:
        wallet = _wallet(query)
        rows = [row for row in self._history.rows(wallet, until_ms) if row.kind is ActivityKind.TRADE]
        if not rows:
            return {"data": None}
        traded = {row.market.condition_id for row in rows if row.market is not None}
        joined = rows[-1].at_ms // 1_000
        return {
            "data": {
                "proxy_wallet": wallet,
                "trades": len(traded),
                "biggest_win": 0,
                "views": 0,
                "join_date": joined,
                "all_time_pnl": None,
            }
        }

    def _filtered(self, query: Mapping[str, str], until_ms: int) -> list[Activity]:
        wallet = _wallet(query) if "user" in query else None
        conditions = _conditions(query)
        side = query.get("side", "").upper()
        start, end = _seconds(query, "start", 0), _seconds(query, "end", until_ms // 1_000 + 1)
        return [
            row
            for row in self._history.rows(wallet, until_ms)
            if (not conditions or (row.market is not None and row.market.condition_id in conditions))
            and (not side or (row.side is not None and row.side.value == side))
            and start <= row.at_ms // 1_000 <= end
        ]

    def _position_row(self, position: Position) -> Json:
        market, token_id = position.market, position.token_id
        price = self._price(market, token_id)
        value = position.held * price
        unrealized = value - position.cost
        total = unrealized + position.realized
        closed = position.held == ZERO
        status = "CLOSED" if closed else "REDEEMABLE" if market.closed else "OPEN"
        spent = position.cost + position.realized
        return {
            "proxy_wallet": position.wallet,
            "token_id": token_id,
            "condition_id": market.condition_id,
            "current_size": _number(position.held),
            "avg_price": _number(position.average_price),
            "entry_cost_usdc": _number(position.cost),
            "entry_fees_usdc": _number(position.fees),
            "total_cost_usdc": _number(position.cost + position.fees),
            "current_price": _number(price),
            "current_value": _number(value),
            "total_size": _number(position.bought),
            "realized_pnl": _number(position.realized),
            "unrealized_pnl": _number(unrealized),
            "total_pnl": _number(total),
            "percent_pnl": _percent(unrealized, position.cost),
            "percent_realized_pnl": _percent(position.realized, spent),
            "status": status,
            "redeemable": market.closed and not closed,
            "mergeable": False,
            "negative_risk": market.spec.neg_risk,
            "archived": False,
            "verified": False,
            "title": market.spec.question,
            "slug": market.slug,
            "icon": "",
            "event_slug": market.slug,
            "outcome": market.outcome(token_id),
            "opposite_outcome": market.outcome(market.opposite(token_id)),
            "name": "",
            "profile_image": "",
            "event_id": market.event_id,
            "outcome_index": market.outcome_index(token_id),
            "opposite_token_id": market.opposite(token_id),
            "end_date": datetime.fromtimestamp(market.spec.end_seconds, UTC).date().isoformat(),
            "last_event_at": position.last_ms // 1_000,
            "first_entry_at": position.first_ms // 1_000,
        }


def _has_status(position: Position, status: str, all_positions: Sequence[Position]) -> bool:
    held, market = position.held > ZERO, position.market
    won = market.winner == market.outcome_index(position.token_id)
    match status:
        case "OPEN":
            return held and (not market.closed or won)
        case "REDEEMABLE":
            return held and market.closed and won
        case "REDEEMABLE_LOST":
            return held and market.closed and not won
        case "MERGEABLE":
            opposite = market.opposite(position.token_id)
            return held and any(p.token_id == opposite and p.held > ZERO for p in all_positions)
        case "CLOSED":
            return not held
        case _:
            raise QueryRefused(f"invalid status {status!r}")


def _activity_row(row: Activity) -> Json:
    shares = abs(row.shares[0][1]) if row.shares else row.cash
    told = _common_row(row)
    told.update(type=row.kind.value, is_combo=False, size=_number(shares), usdc_size=_number(row.cash))
    return told


def _trade_row(row: Activity) -> Json:
    told = _common_row(row)
    told.update(size=_number(abs(row.shares[0][1])))
    return told


def _common_row(row: Activity) -> Json:
    told: Json = {
        "proxy_wallet": row.wallet,
        "timestamp": row.at_ms // 1_000,
        "transaction_hash": row.transaction_hash,
        "name": "",
        "pseudonym": "",
        "bio": "",
        "profile_image": "",
        "profile_image_optimized": "",
    }
    if row.market is not None:
        told.update(
            condition_id=row.market.condition_id,
            title=row.market.spec.question,
            slug=row.market.slug,
            icon="",
            event_slug=row.market.slug,
        )
        if row.token_id is not None:
            told.update(
                token_id=row.token_id,
                outcome=row.market.outcome(row.token_id),
                outcome_index=row.market.outcome_index(row.token_id),
            )
    if row.side is Side.BUY or row.side is Side.SELL:
        told.update(side=row.side.value, price=_number(row.price))
    return told


def _page(rows: Sequence[Json], query: Mapping[str, str]) -> Json:
    try:
        limit = min(int(query.get("limit", _PAGE_DEFAULT)), _PAGE_MAX)
        start = int(base64.urlsafe_b64decode(query["cursor"])) if query.get("cursor") else 0
    except ValueError as error:
        raise QueryRefused(f"invalid limit or cursor: {error}") from error
    if limit < 1 or start < 0:
        raise QueryRefused("invalid limit or cursor")
    more = start + limit < len(rows)
    cursor = base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None
    return {"data": rows[start : start + limit], "pagination": {"has_more": more, "next_cursor": cursor}}


def _wallet(query: Mapping[str, str]) -> Address:
    try:
        return parse_address(query.get("user", ""))
    except HexRefused as error:
        raise QueryRefused(f"invalid user: {error}") from error


def _conditions(query: Mapping[str, str]) -> set[str]:
    listed = query.get("condition_id") or query.get("condition") or ""
    conditions = {condition.lower() for condition in listed.split(",") if condition}
    if len(conditions) > 20:
        raise QueryRefused("at most 20 condition ids")
    return conditions


def _seconds(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError as error:
        raise QueryRefused(f"{name} must be unix seconds") from error


def _number(value: Decimal) -> Decimal:
    """At most six decimals, and no exponent that a JSON reader would take for a float of another kind."""
    rounded = value.quantize(_CENT).normalize()
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    return _number(part * 100 / whole) if whole else ZERO
