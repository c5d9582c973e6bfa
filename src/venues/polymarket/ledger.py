"""Orders and trades of the account: reading them, and reading MY fills out of a trade (polymarket.md 9)."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ...model.fill import Liquidity, Settlement
from ...model.money import EXACT
from ...model.report import Unrecognised, VenueOrderStatus
from ...model.value import Value
from ..evm.address import Address
from . import wire
from .contracts import TokenId
from .decoding import Malformed, amount, moment, order_id, price, read_rows, side, token_id, typed
from .orders import ApiKey, OrderHash, Side

DUST_SHARES = Decimal("0.01")
"""Matched amounts may fall short of an order's size by rounding; the venue still calls it matched."""

SHARE_UNIT = PRICE_UNIT = Decimal("0.000001")
_BASE_UNITS = Decimal(1_000_000)

_ORDER_STATUS: dict[str, VenueOrderStatus] = {
    "LIVE": VenueOrderStatus.OPEN,
    "DELAYED": VenueOrderStatus.DELAYED,
    # The delay is over; an order that can rest may do so, and only asking again tells.
    "UNMATCHED": VenueOrderStatus.UNKNOWN,
    "CANCELED": VenueOrderStatus.CANCELLED,
    "CANCELED_MARKET_RESOLVED": VenueOrderStatus.CANCELLED,
    "CANCELED_NOT_ENOUGH_BALANCE": VenueOrderStatus.CANCELLED,
    "CANCELED_MARKET_NOT_FOUND": VenueOrderStatus.CANCELLED,
    "CANCELED_ORDER_TIMED_OUT": VenueOrderStatus.CANCELLED,
    "CANCELED_EXPIRED_ORDER": VenueOrderStatus.EXPIRED,
    "INVALID": VenueOrderStatus.REJECTED,
}

_TRADE_STATUS: dict[str, Settlement] = {
    "MATCHED": Settlement.MATCHED,
    "MATCHED_NOT_BROADCASTED": Settlement.MATCHED,
    "MINED": Settlement.MINED,
    "RETRYING": Settlement.RETRYING,
    "CONFIRMED": Settlement.CONFIRMED,
    "FAILED": Settlement.REVERSED,
}

_NEVER_RESTING = {"FAK", "FOK", "IOC"}

_EVENT_STATUS = {"PLACEMENT": "LIVE", "UPDATE": "LIVE", "CANCELLATION": "CANCELED"}


class VenueOrder(Value, frozen=True):
    """One order as the venue shows it. `venue_status` is its word without prefix, in one spelling."""

    order_id: OrderHash
    token_id: TokenId
    market: str
    side: Side
    status: VenueOrderStatus
    venue_status: str
    price: Decimal
    original_size: Decimal
    size_matched: Decimal
    order_type: str
    trade_ids: tuple[str, ...]
    created_at_ns: int | None
    event_at_ns: int | None


class PricedPart(Value, frozen=True):
    """So many shares at one price, as the taker of a trade had them."""

    price: Decimal
    shares: Decimal


class OwnFill(Value, frozen=True):
    """One execution of one order of this account; (trade id, order id) names it for ever."""

    trade_id: str
    order_id: OrderHash
    token_id: TokenId
    market: str
    side: Side
    price: Decimal
    shares: Decimal
    liquidity: Liquidity
    settlement: Settlement
    transaction_hash: str
    matched_at_ns: int | None
    parts: tuple[PricedPart, ...] = ()
    """The prices that a taker paid, where the trade lists them all; `price` is then only their average."""


class TradeReading(Value, frozen=True):
    """What a trade says about this account: its fills, and the parts that could not be read."""

    fills: tuple[OwnFill, ...]
    refused: tuple[Unrecognised, ...] = ()


def plain_status(found: str) -> str:
    """Return a status without its prefix and in the spelling CANCELED, upper case."""
    word = found.strip().upper().removeprefix("ORDER_STATUS_").removeprefix("TRADE_STATUS_")
    return word.replace("CANCELLED", "CANCELED")


def read_order(raw: bytes | str | msgspec.Raw, *, sent_shares: Decimal | None = None) -> VenueOrder:
    """Return one order from a query's row or a user-channel event; raises `Malformed`.

    `sent_shares` is what was ordered, where that is known. One description of the interface shows sizes in
    millionths (polymarket.md section 9), so sizes that are exactly a million times what was sent are scaled
    back, and any other difference is refused.
    """
    row = typed(raw, wire.Order)
    original = amount(row.original_size, "original_size")
    matched = amount(row.size_matched, "size_matched")
    if sent_shares is not None and original != sent_shares:
        if original != sent_shares * _BASE_UNITS:
            raise Malformed(f"original_size: the order was sent with {sent_shares} shares, found {original}")
        original, matched = original / _BASE_UNITS, matched / _BASE_UNITS
    word = _order_word(row)
    order_type = plain_status(row.order_type or "")
    return VenueOrder(
        order_id=order_id(row.id, "id"),
        token_id=token_id(row.asset_id),
        market=row.market.lower(),
        side=side(row.side),
        status=_order_status(word, order_type, original, matched),
        venue_status=word,
        price=price(row.price),
        original_size=original,
        size_matched=matched,
        order_type=order_type,
        trade_ids=tuple(row.associate_trades or ()),
        created_at_ns=moment(row.created_at, "created_at"),
        event_at_ns=moment(row.timestamp, "timestamp"),
    )


def _order_word(row: wire.Order) -> str:
    event = (row.type or "").strip().upper()
    # A cancellation ends the order whatever status the event still carries.
    if event == "CANCELLATION":
        word = plain_status(row.status or "")
        return word if word.startswith("CANCELED") else "CANCELED"
    if row.status:
        return plain_status(row.status)
    return _EVENT_STATUS.get(event, event)


def _order_status(word: str, order_type: str, original: Decimal, matched: Decimal) -> VenueOrderStatus:
    if word == "MATCHED":
        if original - matched < DUST_SHARES:
            return VenueOrderStatus.FILLED
        # What an order that never rests could not match is dropped; for any other type this contradicts itself.
        return VenueOrderStatus.CANCELLED if order_type in _NEVER_RESTING else VenueOrderStatus.UNKNOWN
    if word == "LIVE" and matched >= original > 0:
        return VenueOrderStatus.FILLED
    if word == "UNMATCHED" and order_type in _NEVER_RESTING:
        return VenueOrderStatus.CANCELLED
    return _ORDER_STATUS.get(word, VenueOrderStatus.UNKNOWN)


def read_trade(raw: bytes | str | msgspec.Raw, *, api_key: ApiKey, wallet: Address) -> TradeReading:
    """Return the fills that a trade means for this account (polymarket.md section 9.1); raises `Malformed`.

    As taker the trade's own side, token, price and size are ours. As maker only the maker orders that are ours
    are, each with its own token and side: a buy of NO can be matched with a buy of YES, so the trade's own
    fields would book the wrong token. One trade may hold several of our maker orders, and, when we trade with
    ourselves, the taker's side too.
    """
    row = typed(raw, wire.Trade)
    settlement = _TRADE_STATUS.get(plain_status(row.status))
    if settlement is None:
        raise Malformed(f"status: unknown trade status {row.status[:40]!r}")
    if not row.id:
        raise Malformed("id: the trade has no id, so its fills could not be told from others")
    common = _Common(
        trade_id=row.id,
        market=row.market.lower(),
        settlement=settlement,
        transaction_hash=(row.transaction_hash or "").lower(),
        matched_at_ns=_matched_at(row),
    )
    legs, refused = read_rows(row.maker_orders or (), _read_leg, about_account=True)
    owner = _Owner(api_key=api_key, wallet=wallet.lower())
    fills = [common.fill(_maker_part(leg, row)) for leg in legs if owner.owns(leg.owner, leg.maker_address)]
    role = (row.trader_side or "").strip().upper()
    as_taker = role == "TAKER" or (role != "MAKER" and owner.owns(row.owner, row.maker_address))
    if as_taker:
        fills.insert(0, common.fill(_taker_part(row, legs)))
    if not fills and not refused:
        raise Malformed(f"a trade of this account, as {role or 'an unstated role'}, in which no order is ours")
    return TradeReading(fills=tuple(fills), refused=refused)


class _Part(Value, frozen=True):
    order_id: OrderHash
    token_id: TokenId
    side: Side
    price: Decimal
    shares: Decimal
    liquidity: Liquidity
    parts: tuple[PricedPart, ...] = ()


class _Common(Value, frozen=True):
    trade_id: str
    market: str
    settlement: Settlement
    transaction_hash: str
    matched_at_ns: int | None

    def fill(self, part: _Part) -> OwnFill:
        return OwnFill(
            trade_id=self.trade_id,
            market=self.market,
            settlement=self.settlement,
            transaction_hash=self.transaction_hash,
            matched_at_ns=self.matched_at_ns,
            order_id=part.order_id,
            token_id=part.token_id,
            side=part.side,
            price=part.price,
            shares=part.shares,
            liquidity=part.liquidity,
            parts=part.parts,
        )


class _Owner(Value, frozen=True):
    api_key: ApiKey
    wallet: str

    def owns(self, owner: str | None, maker_address: str | None) -> bool:
        # Another key of the same wallet moves the same money, so either name makes it ours.
        return (bool(owner) and owner == self.api_key) or (maker_address or "").lower() == self.wallet


def _read_leg(raw: bytes | str | msgspec.Raw) -> wire.MakerOrder:
    leg = typed(raw, wire.MakerOrder)
    # Checked for every leg: an unreadable number in a leg that turns out to be ours must not pass unnoticed.
    amount(leg.matched_amount, "matched_amount")
    price(leg.price)
    token_id(leg.asset_id)
    order_id(leg.order_id, "order_id")
    if leg.side is not None:
        side(leg.side)
    if not leg.owner and not leg.maker_address:
        raise Malformed("a maker order that names neither its owner nor its wallet may be ours")
    return leg


def _maker_part(leg: wire.MakerOrder, row: wire.Trade) -> _Part:
    return _Part(
        order_id=order_id(leg.order_id, "order_id"),
        token_id=token_id(leg.asset_id),
        side=side(leg.side) if leg.side is not None else _side_against(row, leg.asset_id),
        price=_grid_price(leg.price),
        shares=_shares(leg.matched_amount, "matched_amount"),
        liquidity=Liquidity.MAKER,
    )


def _side_against(row: wire.Trade, token: str) -> Side:
    """The side of a maker order that does not state it, as older trades do not.

    In the taker's own token the maker stands on the other side; in the complement on the same one, since two
    buys mint a pair and two sells merge one.
    """
    taker = side(row.side)
    if token != row.asset_id:
        return taker
    return Side.SELL if taker is Side.BUY else Side.BUY


def _taker_part(row: wire.Trade, legs: Sequence[wire.MakerOrder]) -> _Part:
    """The taker's side. A maker order in the complement traded with it at one minus its own price."""
    shares = _shares(row.size, "size")
    parts = tuple(
        PricedPart(
            price=_grid_price(leg.price) if leg.asset_id == row.asset_id else 1 - _grid_price(leg.price),
            shares=_shares(leg.matched_amount, "matched_amount"),
        )
        for leg in legs
    )
    complete = sum((part.shares for part in parts), Decimal(0)) == shares
    return _Part(
        order_id=order_id(row.taker_order_id or "", "taker_order_id"),
        token_id=token_id(row.asset_id),
        side=side(row.side),
        price=price(row.price),
        shares=shares,
        liquidity=Liquidity.TAKER,
        parts=parts if complete else (),
    )


def _grid_price(found: Decimal) -> Decimal:
    """The price of one maker order lies on a grid of at most four decimals; behind the sixth there is only dust."""
    return price(found).quantize(PRICE_UNIT, context=EXACT)


def _shares(found: Decimal, field: str) -> Decimal:
    """Shares on chain have six decimals; what the wire shows beyond is dust of somebody's arithmetic (9.1)."""
    return amount(found, field).quantize(SHARE_UNIT, context=EXACT)


def _matched_at(row: wire.Trade) -> int | None:
    for field, found in (
        ("match_time", row.match_time),
        ("matchtime", row.matchtime),
        ("timestamp", row.timestamp),
        ("last_update", row.last_update),
    ):
        at_ns = moment(found, field)
        if at_ns is not None:
            return at_ns
    return None
