"""Wallets as the exchange sees them: balances and allowances on chain, less what matched trades will still take."""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from ...evm.address import Address
from ...polymarket.contracts import (
    CONDITIONAL_TOKENS,
    POSITION_MANAGER,
    PUSD,
    ExchangeContract,
    TokenId,
    is_v3_position,
)
from ..chain.chain import Chain
from ..chain.effects import UNLIMITED
from ..core.values import ZERO, AccountId, AssetId, Instrument, Shortfall, Side, Trade
from .markets import PUSD_ASSET, Catalogue
from .numbers import from_units


class Outlay(msgspec.Struct, frozen=True, kw_only=True):
    """What a trade takes out of one wallet."""

    wallet: Address
    asset: AssetId
    amount: Decimal


class ChainFunds:
    """The exchange core's funds, read from the chain's head.

    A match moves nothing by itself: until the trade settles its outlays are kept aside, so that a wallet cannot
    sell the same shares twice. What it will receive does not count before it is mined.
    """

    def __init__(self, chain: Chain, catalogue: Catalogue, clock: Callable[[], int]) -> None:
        self._chain = chain
        self._catalogue = catalogue
        self._clock = clock
        self._aside: dict[tuple[str, AssetId], Decimal] = {}

    def shortfall(
        self, account: AccountId, instrument: Instrument, asset: AssetId, amount: Decimal
    ) -> Shortfall | None:
        wallet = Address(account)
        available = self.available(wallet, asset)
        if available < amount:
            return Shortfall(available=max(available, ZERO), needed=amount)
        market = self._catalogue.of_token(instrument.instrument_id)
        assert market is not None, f"instrument {instrument.instrument_id} belongs to no market"
        allowance = self.allowance(wallet, asset, market.contract(TokenId(instrument.instrument_id)))
        if allowance < amount:
            return Shortfall(available=allowance, needed=amount, allowance=True)
        return None

    def book(self, trade: Trade) -> None:
        for outlay in self.outlays(trade):
            key = (outlay.wallet, outlay.asset)
            self._aside[key] = self._aside.get(key, ZERO) + outlay.amount

    def release(self, trade: Trade) -> None:
        """The trade is on chain, or never will be: nothing of it is kept aside any more."""
        for outlay in self.outlays(trade):
            key = (outlay.wallet, outlay.asset)
            self._aside[key] -= outlay.amount
            if self._aside[key] == ZERO:
                del self._aside[key]

    def balance(self, wallet: Address, asset: AssetId) -> Decimal:
        """What a wallet holds at the chain's head."""
        head = self._chain.head(self._clock())
        if asset == PUSD_ASSET:
            return from_units(self._chain.cash(PUSD, wallet, head))
        return from_units(self._chain.shares(token_contract(TokenId(asset)), wallet, int(asset), head))

    def available(self, wallet: Address, asset: AssetId) -> Decimal:
        return self.balance(wallet, asset) - self._aside.get((wallet, asset), ZERO)

    def allowance(self, wallet: Address, asset: AssetId, contract: ExchangeContract) -> Decimal:
        return from_units(self.allowance_units(wallet, asset, contract.address))

    def allowance_units(self, wallet: Address, asset: AssetId, spender: Address) -> int:
        """What a spender may take of an asset; an approval for all outcome tokens counts as without limit."""
        head = self._chain.head(self._clock())
        if asset == PUSD_ASSET:
            return self._chain.allowance(PUSD, wallet, spender, head)
        token = token_contract(TokenId(asset))
        return UNLIMITED if self._chain.is_approved_for_all(token, wallet, spender, head) else 0

    @staticmethod
    def outlays(trade: Trade) -> list[Outlay]:
        """Everything a trade takes out of wallets, fee included."""
        outlays = [_outlay(trade.taker_account, trade.instrument_id, trade.side, trade.quantity, trade.taker_cash)]
        outlays += [
            _outlay(leg.maker_account, leg.maker_instrument_id, leg.maker_side, leg.quantity, leg.maker_cash)
            for leg in trade.legs
        ]
        if trade.side is Side.BUY and trade.taker_fee:
            outlays.append(Outlay(wallet=Address(trade.taker_account), asset=PUSD_ASSET, amount=trade.taker_fee))
        return outlays


def token_contract(token_id: TokenId) -> Address:
    """The ERC-1155 contract that holds an outcome token."""
    return POSITION_MANAGER if is_v3_position(token_id) else CONDITIONAL_TOKENS


def _outlay(account: str, instrument_id: str, side: Side, quantity: Decimal, cash: Decimal) -> Outlay:
    if side is Side.BUY:
        return Outlay(wallet=Address(account), asset=PUSD_ASSET, amount=cash)
    return Outlay(wallet=Address(account), asset=AssetId(instrument_id), amount=quantity)
