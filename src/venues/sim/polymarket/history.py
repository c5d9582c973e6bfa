"""The indexed history of wallets, from which the Data API's positions and activity follow (polymarket.md 12).

Rows come from the chain, not from the exchange: a trade is a row once it is mined, and is gone again when a reorg
takes it back. Every answer is for a moment, which may lie in the past: that is how the indexer's lag is shown.
"""

import enum
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from ...evm.address import Address
from ...polymarket.contracts import TokenId
from ..core.values import ZERO, Side
from .markets import Market
from .settlement import TradeRecord


class ActivityKind(enum.Enum):
    TRADE = "TRADE"
    SPLIT = "SPLIT"
    MERGE = "MERGE"
    REDEEM = "REDEEM"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    MAKER_REBATE = "MAKER_REBATE"
    TRANSFER = "TRANSFER"
    """Tokens that moved between wallets by hand: it changes positions and is no row of /v2/activity."""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one wallet. `shares` are signed changes by token, `cash` is the amount told."""

    kind: ActivityKind
    wallet: Address
    at_ms: int
    transaction_hash: str
    cash: Decimal
    market: Market | None = None
    token_id: TokenId | None = None
    side: Side | None = None
    price: Decimal = ZERO
    fee: Decimal = ZERO
    shares: tuple[tuple[TokenId, Decimal], ...] = ()


class Position:
    """A wallet's holding of one token, folded from its activity."""

    __slots__ = ("bought", "cost", "fees", "first_ms", "held", "last_ms", "market", "realized", "token_id", "wallet")

    def __init__(self, wallet: Address, market: Market, token_id: TokenId, at_ms: int) -> None:
        self.wallet = wallet
        self.market = market
        self.token_id = token_id
        self.held = ZERO
        self.bought = ZERO
        self.cost = ZERO
        self.fees = ZERO
        self.realized = ZERO
        self.first_ms = at_ms
        self.last_ms = at_ms

    @property
    def average_price(self) -> Decimal:
        return self.cost / self.held if self.held > ZERO else ZERO

    def take(self, quantity: Decimal, cash: Decimal, fee: Decimal, at_ms: int) -> None:
        """Add a signed change: an increase at its cost, a decrease at its proceeds."""
        self.last_ms = at_ms
        self.fees += fee
        if quantity >= ZERO:
            self.held += quantity
            self.bought += quantity
            self.cost += cash
            return
        given = min(-quantity, self.held)
        basis = self.average_price * given
        self.held -= given
        self.cost = self.cost - basis if self.held > ZERO else ZERO
        self.realized += cash - basis


class History:
    """All activity in the order in which it was mined."""

    def __init__(self) -> None:
        self._rows: list[Activity] = []
        self._by_wallet: dict[Address, list[Activity]] = {}

    def add(self, rows: Iterable[Activity]) -> None:
        for row in rows:
            self._rows.append(row)
            self._by_wallet.setdefault(row.wallet, []).append(row)

    def remove(self, transaction_hash: str) -> None:
        """Forget what a transaction did that is no longer on the chain."""
        for row in [row for row in self._rows if row.transaction_hash == transaction_hash]:
            self._rows.remove(row)
            self._by_wallet[row.wallet].remove(row)

    def rows(self, wallet: Address | None, until_ms: int) -> list[Activity]:
        """Activity of a wallet, or of all, up to a moment, newest first."""
        source = self._rows if wallet is None else self._by_wallet.get(wallet, [])
        return [row for row in reversed(source) if row.at_ms <= until_ms]

    def positions(self, wallet: Address, until_ms: int) -> list[Position]:
        """A wallet's positions as of a moment, in the order in which they were first entered."""
        positions: dict[TokenId, Position] = {}
        for row in self._by_wallet.get(wallet, []):
            if row.at_ms > until_ms or row.market is None:
                continue
            for token_id, quantity in row.shares:
                position = positions.get(token_id)
                if position is None:
                    position = positions[token_id] = Position(wallet, row.market, token_id, row.at_ms)
                # Both tokens of a split or merge share its cash.
                position.take(quantity, row.cash / len(row.shares), row.fee, row.at_ms)
        return list(positions.values())


def trade_activity(record: TradeRecord, at_ms: int) -> list[Activity]:
    """The rows of a mined trade: one for the taker, one for every maker's leg."""
    trade = record.trade

    def row(wallet: str, token_id: str, side: Side, quantity: Decimal, cash: Decimal, price: Decimal) -> Activity:
        token = TokenId(token_id)
        return Activity(
            kind=ActivityKind.TRADE,
            wallet=Address(wallet),
            at_ms=at_ms,
            transaction_hash=record.transaction_hash,
            cash=cash,
            market=record.market,
            token_id=token,
            side=side,
            price=price,
            shares=((token, quantity if side is Side.BUY else -quantity),),
        )

    taker = row(trade.taker_account, trade.instrument_id, trade.side, trade.quantity, trade.taker_cash, trade.price)
    makers = [
        row(
            leg.maker_account,
            leg.maker_instrument_id,
            leg.maker_side,
            leg.quantity,
            leg.maker_cash,
            leg.maker_price,
        )
        for leg in trade.legs
    ]
    return [msgspec.structs.replace(taker, fee=trade.taker_fee), *makers]
