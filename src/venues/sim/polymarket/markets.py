"""Markets: a condition with two outcome tokens, their grid, fees and state (polymarket.md 5)."""

import re
from decimal import Decimal

from ....model.value import Value
from ...evm.address import keccak256
from ...evm.conditional_tokens import outcome_token_ids
from ...polymarket.contracts import (
    NEG_RISK_COLLATERAL,
    POLYGON_CHAIN_ID,
    USDC_BRIDGED,
    ConditionId,
    ExchangeContract,
    TokenId,
    choose_exchange,
    exchange_contract,
    parse_condition_id,
    parse_token_id,
)
from ..core.policies import FeeCurve
from ..core.values import AssetId, Instrument, InstrumentId

PUSD_ASSET = AssetId("pUSD")

AMOUNT_DECIMALS = {
    Decimal("0.1"): 3,
    Decimal("0.01"): 4,
    Decimal("0.005"): 5,
    Decimal("0.0025"): 6,
    Decimal("0.001"): 5,
    Decimal("0.0001"): 6,
}
"""Decimals that a cash amount may have, by tick size (polymarket.md 5); also the list of known ticks."""

_SLUG_GAPS = re.compile(r"[^a-z0-9]+")


class MarketRefused(ValueError):
    """A market cannot be made as asked for."""


class MarketSpec(Value, frozen=True):
    """What a new market needs; everything else follows. Times are unix seconds."""

    question: str
    slug: str | None = None
    condition_id: str | None = None
    token_ids: tuple[str, str] | None = None
    outcomes: tuple[str, str] = ("Yes", "No")
    tick_size: Decimal = Decimal("0.01")
    min_size: Decimal = Decimal(5)
    neg_risk: bool = False
    fee_rate: Decimal = Decimal(0)
    fee_exponent: Decimal = Decimal(1)
    taker_delay_ms: int = 0
    end_seconds: int = 1_830_000_000
    accepting_orders: bool = True


class Market:
    """One market and its present state; only the venue changes it."""

    def __init__(self, spec: MarketSpec, number: int, created_ms: int) -> None:
        if spec.tick_size not in AMOUNT_DECIMALS:
            known = ", ".join(str(tick) for tick in AMOUNT_DECIMALS)
            raise MarketRefused(f"tick size {spec.tick_size} does not exist; known are {known}")
        self.spec = spec
        self.market_id = str(500_000 + number)
        self.event_id = str(30_000 + number)
        self.created_ms = created_ms
        self.slug = spec.slug or _SLUG_GAPS.sub("-", spec.question.lower()).strip("-")
        seed = keccak256(f"{self.slug}:{number}".encode())
        self.condition_id: ConditionId = parse_condition_id(spec.condition_id or "0x" + seed.hex())
        self.question_id = "0x" + keccak256(seed).hex()
        self.token_ids = self._token_ids(spec)
        self.tick_size = spec.tick_size
        self.accepting_orders = spec.accepting_orders
        self.winner: int | None = None
        self.resolved_ms: int | None = None
        self.last_trade_price: dict[TokenId, Decimal] = {}
        self.last_trade_side: dict[TokenId, str] = {}

    def _token_ids(self, spec: MarketSpec) -> tuple[TokenId, TokenId]:
        if spec.token_ids is not None:
            first, second = spec.token_ids
            return parse_token_id(first), parse_token_id(second)
        collateral = NEG_RISK_COLLATERAL if spec.neg_risk else USDC_BRIDGED
        yes, no = outcome_token_ids(collateral, bytes.fromhex(self.condition_id[2:]))
        return TokenId(str(yes)), TokenId(str(no))

    @property
    def closed(self) -> bool:
        return self.winner is not None

    @property
    def fee_curve(self) -> FeeCurve:
        return FeeCurve(rate=self.spec.fee_rate, exponent=self.spec.fee_exponent)

    def contract(self, token_id: TokenId) -> ExchangeContract:
        """The exchange that settles orders in a token, which is also what their owners must approve."""
        return exchange_contract(choose_exchange(token_id, neg_risk=self.spec.neg_risk), POLYGON_CHAIN_ID)

    def outcome_index(self, token_id: TokenId) -> int:
        return self.token_ids.index(token_id)

    def outcome(self, token_id: TokenId) -> str:
        return self.spec.outcomes[self.outcome_index(token_id)]

    def opposite(self, token_id: TokenId) -> TokenId:
        return self.token_ids[1 - self.outcome_index(token_id)]

    def instruments(self) -> tuple[Instrument, Instrument]:
        """The two outcomes as the exchange core knows them."""
        first, second = self.token_ids
        return self._instrument(first, second), self._instrument(second, first)

    def _instrument(self, token_id: TokenId, complement: TokenId) -> Instrument:
        return Instrument(
            instrument_id=InstrumentId(token_id),
            base=AssetId(token_id),
            quote=PUSD_ASSET,
            tick_size=self.tick_size,
            min_size=self.spec.min_size,
            complement=InstrumentId(complement),
        )

    def payouts(self) -> tuple[int, int]:
        """Payout numerators on chain: both zero until the market is resolved."""
        if self.winner is None:
            return (0, 0)
        return (1, 0) if self.winner == 0 else (0, 1)


class Catalogue:
    """All markets, found by condition, token or slug."""

    def __init__(self) -> None:
        self._by_condition: dict[ConditionId, Market] = {}
        self._by_token: dict[TokenId, Market] = {}

    def add(self, spec: MarketSpec, created_ms: int) -> Market:
        """Make a market; raises `MarketRefused` when its condition or one of its tokens is listed already."""
        market = Market(spec, len(self._by_condition) + 1, created_ms)
        if market.condition_id in self._by_condition or any(t in self._by_token for t in market.token_ids):
            raise MarketRefused(f"market {market.condition_id} is listed already")
        self._by_condition[market.condition_id] = market
        for token_id in market.token_ids:
            self._by_token[token_id] = market
        return market

    def all(self) -> list[Market]:
        return list(self._by_condition.values())

    def of_token(self, token_id: str) -> Market | None:
        return self._by_token.get(TokenId(token_id))

    def of_condition(self, condition_id: str) -> Market | None:
        return self._by_condition.get(ConditionId(condition_id.lower()))

    def find(self, name: str) -> Market | None:
        """A market by condition id, token id or slug, whichever the name is."""
        market = self.of_condition(name) or self.of_token(name)
        if market is not None:
            return market
        return next((market for market in self._by_condition.values() if market.slug == name), None)


DEFAULT_MARKETS: tuple[MarketSpec, ...] = (
    MarketSpec(question="Will the tally match tomorrow?", fee_rate=Decimal("0.04")),
    MarketSpec(question="Will it rain in Lisbon this week?", tick_size=Decimal("0.001")),
    MarketSpec(question="Will the north candidate win?", neg_risk=True, fee_rate=Decimal("0.05")),
)
"""What a simulator offers when no market was asked for."""
