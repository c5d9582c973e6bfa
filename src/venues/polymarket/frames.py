"""Frames of the market and the user channel (polymarket.md section 11).

A frame is one object, an array of them, or the text PONG. Every item in it gives exactly one result: read, or
`Unrecognised` with the reason. Nothing is skipped and nothing raises.
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar

import msgspec

from ...model.report import Alive, Unrecognised
from ...model.value import Value
from ..evm.address import Address
from . import wire
from .contracts import TokenId
from .decoding import Malformed, amount, moment, optional_amount, price, read_item, side, token_id, typed, unrecognised
from .ledger import TradeReading, VenueOrder, read_order, read_trade
from .orders import ApiKey, Side

Frame = str | bytes
Event = TypeVar("Event")


class BookLevel(Value, frozen=True):
    price: Decimal
    size: Decimal


class BookImage(Value, frozen=True):
    """A whole book, best price first on both sides, whatever order it came in."""

    token_id: TokenId
    market: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    at_ns: int | None
    checksum: str
    tick_size: Decimal | None
    min_order_size: Decimal | None
    neg_risk: bool | None


class LevelChanged(Value, frozen=True):
    """One level's new absolute size; zero removes the level."""

    token_id: TokenId
    side: Side
    price: Decimal
    size: Decimal
    best_bid: Decimal | None
    best_ask: Decimal | None


class LevelsChanged(Value, frozen=True):
    """The changes of one event, over one or more tokens of a market, and those that could not be read."""

    market: str
    changes: tuple[LevelChanged, ...]
    refused: tuple[Unrecognised, ...]
    at_ns: int | None


class TradeSeen(Value, frozen=True):
    token_id: TokenId
    side: Side
    price: Decimal
    size: Decimal
    at_ns: int | None


class TickChanged(Value, frozen=True):
    """The tick changed: orders off the new grid are refused, and the book waits for its next image."""

    token_id: TokenId
    tick_size: Decimal
    at_ns: int | None


class BestChanged(Value, frozen=True):
    token_id: TokenId
    best_bid: Decimal | None
    best_ask: Decimal | None
    at_ns: int | None


class MarketAnnounced(Value, frozen=True):
    market: str
    token_ids: tuple[str, ...]
    at_ns: int | None


class MarketSettled(Value, frozen=True):
    """A market was resolved. The event was missing at times, so its absence proves nothing."""

    market: str
    winning_token_id: str
    winning_outcome: str
    at_ns: int | None


MarketEvent = (
    BookImage | LevelsChanged | TradeSeen | TickChanged | BestChanged | MarketAnnounced | MarketSettled | Alive
)
UserEvent = VenueOrder | TradeReading | Alive


def read_market_frame(frame: Frame) -> tuple[MarketEvent | Unrecognised, ...]:
    """Return the events of a market-channel frame, one for each item in it."""
    return _read_frame(frame, _read_market_item, about_account=False)


def read_user_frame(frame: Frame, *, api_key: ApiKey, wallet: Address) -> tuple[UserEvent | Unrecognised, ...]:
    """Return the events of a user-channel frame, one for each item in it."""

    def read(raw: bytes | str | msgspec.Raw) -> UserEvent:
        return _read_user_item(raw, api_key, wallet)

    return _read_frame(frame, read, about_account=True)


def _read_frame(
    frame: Frame, read: Callable[[bytes | str | msgspec.Raw], Event], *, about_account: bool
) -> tuple[Event | Alive | Unrecognised, ...]:
    stripped = frame.strip()
    if stripped in ("PONG", b"PONG"):
        return (Alive(),)
    try:
        items = typed(stripped, list[msgspec.Raw]) if stripped[:1] in ("[", b"[") else [stripped]
    except Malformed as problem:
        return (unrecognised(f"not JSON: {problem}", frame, about_account=about_account),)
    return tuple(read_item(item, read, about_account=about_account) for item in items)


def _read_user_item(raw: bytes | str | msgspec.Raw, api_key: ApiKey, wallet: Address) -> UserEvent:
    head = typed(raw, wire.EventHead)
    kind = (head.event_type or "").lower()
    event = (head.type or "").upper()
    # Only the event type may be missing where the type tells the same.
    if kind == "order" or (not kind and event in {"PLACEMENT", "UPDATE", "CANCELLATION"}):
        return read_order(raw)
    if kind == "trade" or (not kind and event == "TRADE"):
        return read_trade(raw, api_key=api_key, wallet=wallet)
    raise Malformed(f"unknown user event: event_type {head.event_type!r}, type {head.type!r}")


def _read_market_item(raw: bytes | str | msgspec.Raw) -> MarketEvent:
    head = typed(raw, wire.EventHead)
    reader = _MARKET_READERS.get(head.event_type or "")
    if reader is None:
        raise Malformed(f"unknown market event: event_type {head.event_type!r}")
    return reader(raw)


def read_book(raw: bytes | str | msgspec.Raw) -> BookImage:
    """Return a whole book, from the channel or from GET /book; raises `Malformed`."""
    found = typed(raw, wire.Book)
    return BookImage(
        token_id=token_id(found.asset_id),
        market=found.market.lower(),
        bids=_levels(found.bids, best_is_highest=True),
        asks=_levels(found.asks, best_is_highest=False),
        at_ns=moment(found.timestamp, "timestamp"),
        checksum=found.hash,
        tick_size=found.tick_size,
        min_order_size=found.min_order_size,
        neg_risk=found.neg_risk,
    )


def _levels(found: list[wire.Level], *, best_is_highest: bool) -> tuple[BookLevel, ...]:
    levels = [BookLevel(price=price(level.price), size=amount(level.size, "size")) for level in found]
    # Both clients expect the best price at the end; some recordings have it first. Sorting settles it.
    levels.sort(key=lambda level: level.price, reverse=best_is_highest)
    if any(above.price == below.price for above, below in pairwise(levels)):
        raise Malformed("two levels of the book have one price")
    return tuple(levels)


def _read_changes(raw: bytes | str | msgspec.Raw) -> LevelsChanged:
    found = typed(raw, wire.PriceChange)
    read = [read_item(item, _read_change, about_account=False) for item in found.price_changes]
    return LevelsChanged(
        market=found.market.lower(),
        changes=tuple(item for item in read if isinstance(item, LevelChanged)),
        refused=tuple(item for item in read if isinstance(item, Unrecognised)),
        at_ns=moment(found.timestamp, "timestamp"),
    )


def _read_change(raw: bytes | str | msgspec.Raw) -> LevelChanged:
    found = typed(raw, wire.LevelChange)
    return LevelChanged(
        token_id=token_id(found.asset_id),
        side=side(found.side),
        price=price(found.price),
        size=amount(found.size, "size"),
        best_bid=_best(found.best_bid, "best_bid"),
        best_ask=_best(found.best_ask, "best_ask"),
    )


def _best(found: wire.LooseNumber, field: str) -> Decimal | None:
    """The best price of one side. An outcome cannot cost 0 or 1: with these the venue speaks of an empty side."""
    best = optional_amount(found, field)
    return None if best is None or best in {0, 1} else best


def _read_last_trade(raw: bytes | str | msgspec.Raw) -> TradeSeen:
    found = typed(raw, wire.LastTradePrice)
    return TradeSeen(
        token_id=token_id(found.asset_id),
        side=side(found.side),
        price=price(found.price),
        size=amount(found.size, "size"),
        at_ns=moment(found.timestamp, "timestamp"),
    )


def _read_tick_change(raw: bytes | str | msgspec.Raw) -> TickChanged:
    found = typed(raw, wire.TickSizeChange)
    return TickChanged(
        token_id=token_id(found.asset_id),
        tick_size=price(found.new_tick_size, "new_tick_size"),
        at_ns=moment(found.timestamp, "timestamp"),
    )


def _read_best(raw: bytes | str | msgspec.Raw) -> BestChanged:
    found = typed(raw, wire.BestBidAsk)
    return BestChanged(
        token_id=token_id(found.asset_id),
        best_bid=_best(found.best_bid, "best_bid"),
        best_ask=_best(found.best_ask, "best_ask"),
        at_ns=moment(found.timestamp, "timestamp"),
    )


def _read_new_market(raw: bytes | str | msgspec.Raw) -> MarketAnnounced:
    found = typed(raw, wire.NewMarket)
    return MarketAnnounced(
        market=found.market.lower(),
        token_ids=tuple(found.assets_ids),
        at_ns=moment(found.timestamp, "timestamp"),
    )


def _read_resolved(raw: bytes | str | msgspec.Raw) -> MarketSettled:
    found = typed(raw, wire.MarketResolved)
    return MarketSettled(
        market=found.market.lower(),
        winning_token_id=found.winning_asset_id,
        winning_outcome=found.winning_outcome,
        at_ns=moment(found.timestamp, "timestamp"),
    )


_MARKET_READERS: dict[str, Callable[[bytes | str | msgspec.Raw], MarketEvent]] = {
    "book": read_book,
    "price_change": _read_changes,
    "last_trade_price": _read_last_trade,
    "tick_size_change": _read_tick_change,
    "best_bid_ask": _read_best,
    "new_market": _read_new_market,
    "market_resolved": _read_resolved,
}
