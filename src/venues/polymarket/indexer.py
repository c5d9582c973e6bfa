"""Answers of the data API: positions and activity as the venue's indexer sees them (polymarket.md section 12).

The indexer trails the chain by a lag that nobody states, so these views only ever cross-check.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from ...model.report import Unreadable
from ...model.value import Value
from ..evm.address import Address, HexRefused, parse_address
from ..port import Reply
from . import wire
from .answers import Row, Rows
from .contracts import TokenId
from .decoding import Malformed, amount, moment, optional_amount, read_answer, read_rows, token_id, typed


class WalletPosition(Value, frozen=True):
    """One row of the indexer's positions. A view that trails the chain by an unstated lag."""

    wallet: Address
    token_id: TokenId
    market: str
    shares: Decimal
    status: str
    redeemable: bool
    outcome_index: int | None
    last_event_at_ns: int | None


class WalletActivity(Value, frozen=True):
    """Something that moved cash or tokens of the wallet. `kind` is the venue's word.

    Kinds seen: TRADE, SPLIT, MERGE, REDEEM, REWARD, CONVERSION, MIGRATION, DEPOSIT, WITHDRAWAL, YIELD,
    MAKER_REBATE, TAKER_REBATE, REFERRAL_REWARD, TIP. An unknown kind is kept under its own word.
    """

    kind: str
    at_ns: int | None
    transaction_hash: str
    market: str
    token_id: str
    side: str
    shares: Decimal | None
    cash: Decimal | None
    price: Decimal | None


def read_positions_page(reply: Reply) -> Rows[WalletPosition] | Unreadable:
    """Return a page of positions."""
    return read_answer(reply, lambda body: _data_page(body, _position))


def read_activity_page(reply: Reply) -> Rows[WalletActivity] | Unreadable:
    """Return a page of activity."""
    return read_answer(reply, lambda body: _data_page(body, _activity))


def _data_page(body: bytes, read: Callable[[bytes | str | msgspec.Raw], Row]) -> Rows[Row]:
    page = typed(body, wire.DataPage)
    cursor = page.pagination.next_cursor or None
    if page.pagination.has_more != (cursor is not None):
        # Believing either of the two could end a listing early or never.
        raise Malformed(f"has_more is {page.pagination.has_more} and next_cursor is {cursor!r}")
    rows, refused = read_rows(page.data, read, about_account=True)
    return Rows(rows=rows, refused=refused, next_cursor=cursor)


def _position(raw: bytes | str | msgspec.Raw) -> WalletPosition:
    row = typed(raw, wire.DataPosition)
    try:
        wallet = parse_address(row.proxy_wallet)
    except HexRefused as problem:
        raise Malformed(f"proxy_wallet: {problem}") from None
    return WalletPosition(
        wallet=wallet,
        token_id=token_id(row.token_id, "token_id"),
        market=row.condition_id.lower(),
        shares=amount(row.current_size, "current_size"),
        status=(row.status or "").upper(),
        redeemable=row.redeemable,
        outcome_index=row.outcome_index,
        last_event_at_ns=moment(row.last_event_at, "last_event_at"),
    )


def _activity(raw: bytes | str | msgspec.Raw) -> WalletActivity:
    row = typed(raw, wire.DataActivity)
    return WalletActivity(
        kind=row.type.upper(),
        at_ns=moment(row.timestamp, "timestamp"),
        transaction_hash=(row.transaction_hash or "").lower(),
        market=(row.condition_id or "").lower(),
        token_id=row.token_id or "",
        side=(row.side or "").upper(),
        shares=optional_amount(row.size, "size"),
        cash=optional_amount(row.usdc_size, "usdc_size"),
        price=optional_amount(row.price, "price"),
    )
