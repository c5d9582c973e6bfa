"""The venue's JSON as typed structs: exactly what is sent, tolerantly what is received.

Field names are the venue's. Received structs ignore fields that they do not know and demand only what an
answer is worthless without; numbers arrive as JSON numbers or as text, and `Decimal` reads both exactly.
"""

from decimal import Decimal

import msgspec

LooseTime = str | int | float | None
LooseNumber = str | int | float | None


# ---- sent -------------------------------------------------------------------------------------------------


class SentOrder(msgspec.Struct, frozen=True, rename="camel"):
    """A signed order; the order of the fields is the order of the bytes."""

    salt: int
    maker: str
    signer: str
    token_id: str
    maker_amount: str
    taker_amount: str
    side: str
    expiration: str
    signature_type: int
    timestamp: str
    metadata: str
    builder: str
    signature: str


class SentPlacement(msgspec.Struct, frozen=True, rename="camel"):
    order: SentOrder
    owner: str
    order_type: str
    defer_exec: bool
    post_only: bool


class SentCancel(msgspec.Struct, frozen=True):
    order_id: str = msgspec.field(name="orderID")


class SentCancelMarket(msgspec.Struct, frozen=True, omit_defaults=True):
    market: str | None = None
    asset_id: str | None = None


class SentHeartbeat(msgspec.Struct, frozen=True):
    heartbeat_id: str


class SentReadonlyKey(msgspec.Struct, frozen=True):
    key: str


class SentMarketSubscription(msgspec.Struct, frozen=True):
    type: str
    assets_ids: list[str]
    custom_feature_enabled: bool


class SentMarketChange(msgspec.Struct, frozen=True):
    operation: str
    assets_ids: list[str]
    custom_feature_enabled: bool


class SentUserSubscription(msgspec.Struct, frozen=True, omit_defaults=True):
    type: str
    auth: dict[str, str]
    markets: list[str] | None = None


# ---- received: orders and trades --------------------------------------------------------------------------


class Placed(msgspec.Struct, frozen=True):
    success: bool | None = None
    error_message: str | None = msgspec.field(default=None, name="errorMsg")
    error: str | None = None
    order_id: str | None = msgspec.field(default=None, name="orderID")
    status: str | None = None
    making_amount: LooseNumber = msgspec.field(default=None, name="makingAmount")
    taking_amount: LooseNumber = msgspec.field(default=None, name="takingAmount")
    transaction_hashes: list[str] | None = msgspec.field(default=None, name="transactionsHashes")
    trade_ids: list[str] | None = msgspec.field(default=None, name="tradeIDs")


class Cancellations(msgspec.Struct, frozen=True):
    canceled: list[str] | None = None
    not_canceled: dict[str, str | None] | None = None


class HeartbeatAnswer(msgspec.Struct, frozen=True):
    heartbeat_id: str | None = None
    error_msg: str | None = None
    error: str | None = None


class Order(msgspec.Struct, frozen=True):
    """One order, from a query or from the user channel (where `type` tells what happened to it)."""

    id: str
    asset_id: str
    side: str
    original_size: Decimal
    size_matched: Decimal
    price: Decimal
    market: str = ""
    status: str | None = None
    type: str | None = None
    owner: str | None = None
    order_owner: str | None = None
    maker_address: str | None = None
    outcome: str | None = None
    expiration: LooseTime = None
    order_type: str | None = None
    associate_trades: list[str] | None = None
    created_at: LooseTime = None
    timestamp: LooseTime = None


class MakerOrder(msgspec.Struct, frozen=True):
    order_id: str
    asset_id: str
    matched_amount: Decimal
    price: Decimal
    owner: str | None = None
    maker_address: str | None = None
    side: str | None = None
    outcome: str | None = None
    fee_rate_bps: LooseNumber = None


class Trade(msgspec.Struct, frozen=True):
    """One trade. Maker orders are read one by one: a broken one must not hide the others."""

    id: str
    asset_id: str
    side: str
    size: Decimal
    price: Decimal
    status: str
    market: str = ""
    taker_order_id: str | None = None
    trader_side: str | None = None
    owner: str | None = None
    trade_owner: str | None = None
    maker_address: str | None = None
    transaction_hash: str | None = None
    bucket_index: str | int | None = None
    fee_rate_bps: LooseNumber = None
    outcome: str | None = None
    maker_orders: list[msgspec.Raw] | None = None
    match_time: LooseTime = None
    matchtime: LooseTime = None
    last_update: LooseTime = None
    timestamp: LooseTime = None


class Page(msgspec.Struct, frozen=True):
    """A page of the CLOB's lists: starts at MA==, ends at LTE=."""

    data: list[msgspec.Raw]
    next_cursor: str | None = None


class BalanceAllowance(msgspec.Struct, frozen=True):
    balance: str | int
    allowances: dict[str, str | int] | None = None
    allowance: str | int | None = None
    """The older shape, with one number for one spender."""


# ---- received: markets ------------------------------------------------------------------------------------


class Level(msgspec.Struct, frozen=True):
    price: Decimal
    size: Decimal


class Book(msgspec.Struct, frozen=True):
    asset_id: str
    bids: list[Level]
    asks: list[Level]
    market: str = ""
    timestamp: LooseTime = None
    hash: str = ""
    min_order_size: Decimal | None = None
    tick_size: Decimal | None = None
    neg_risk: bool | None = None


class LevelChange(msgspec.Struct, frozen=True):
    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    hash: str = ""
    best_bid: LooseNumber = None
    best_ask: LooseNumber = None


class PriceChange(msgspec.Struct, frozen=True):
    price_changes: list[msgspec.Raw]
    market: str = ""
    timestamp: LooseTime = None


class LastTradePrice(msgspec.Struct, frozen=True):
    asset_id: str
    price: Decimal
    side: str
    size: Decimal
    market: str = ""
    timestamp: LooseTime = None


class TickSizeChange(msgspec.Struct, frozen=True):
    asset_id: str
    new_tick_size: Decimal
    old_tick_size: Decimal | None = None
    market: str = ""
    timestamp: LooseTime = None


class MarketResolved(msgspec.Struct, frozen=True):
    market: str
    winning_asset_id: str
    winning_outcome: str = ""
    assets_ids: list[str] = []
    timestamp: LooseTime = None


class NewMarket(msgspec.Struct, frozen=True):
    market: str
    assets_ids: list[str] = []
    timestamp: LooseTime = None


class BestBidAsk(msgspec.Struct, frozen=True):
    asset_id: str
    best_bid: LooseNumber = None
    best_ask: LooseNumber = None
    timestamp: LooseTime = None


class EventHead(msgspec.Struct, frozen=True):
    """What tells one frame item from another."""

    event_type: str | None = None
    type: str | None = None


class TickSizeAnswer(msgspec.Struct, frozen=True):
    minimum_tick_size: Decimal


class NegRiskAnswer(msgspec.Struct, frozen=True):
    neg_risk: bool


class FeeRateAnswer(msgspec.Struct, frozen=True):
    base_fee: Decimal


class VersionAnswer(msgspec.Struct, frozen=True):
    version: int


class TimeAnswer(msgspec.Struct, frozen=True):
    time: LooseTime = None
    timestamp: LooseTime = None


class MarketTokens(msgspec.Struct, frozen=True):
    condition_id: str
    primary_token_id: str
    secondary_token_id: str


class ClobToken(msgspec.Struct, frozen=True):
    token: str = msgspec.field(name="t")
    outcome: str = msgspec.field(default="", name="o")


class FeeCurve(msgspec.Struct, frozen=True):
    rate: Decimal | None = msgspec.field(default=None, name="r")
    exponent: Decimal | None = msgspec.field(default=None, name="e")
    taker_only: bool | None = msgspec.field(default=None, name="to")


class ClobMarket(msgspec.Struct, frozen=True):
    """The rules of a market in the CLOB's short keys."""

    condition_id: str = msgspec.field(name="c")
    tokens: list[ClobToken] = msgspec.field(name="t")
    minimum_tick_size: Decimal = msgspec.field(name="mts")
    minimum_order_size: Decimal = msgspec.field(name="mos")
    neg_risk: bool = msgspec.field(default=False, name="nr")
    maker_base_fee: Decimal = msgspec.field(default=Decimal(0), name="mbf")
    taker_base_fee: Decimal = msgspec.field(default=Decimal(0), name="tbf")
    fee: FeeCurve | None = msgspec.field(default=None, name="fd")
    taker_delay: bool | None = msgspec.field(default=None, name="itode")
    seconds_delay: LooseNumber = msgspec.field(default=None, name="sd")


class BuilderFee(msgspec.Struct, frozen=True):
    builder_maker_fee_rate_bps: Decimal
    builder_taker_fee_rate_bps: Decimal


class FeeSchedule(msgspec.Struct, frozen=True, rename="camel"):
    rate: Decimal | None = None
    exponent: Decimal | None = None
    taker_only: bool | None = None
    rebate_rate: Decimal | None = None


class CatalogueMarket(msgspec.Struct, frozen=True, rename="camel"):
    """A market as the catalogue lists it; token ids and outcomes are JSON text inside the JSON."""

    condition_id: str
    clob_token_ids: str
    outcomes: str
    slug: str
    order_price_min_tick_size: Decimal
    order_min_size: Decimal
    neg_risk: bool = False
    accepting_orders: bool | None = None
    active: bool | None = None
    closed: bool = False
    archived: bool = False
    enable_order_book: bool | None = None
    question: str = ""
    end_date: str | None = None
    fees_enabled: bool | None = None
    fee_schedule: FeeSchedule | None = None
    uma_resolution_status: str | None = None
    version: str | int | None = None


class CataloguePage(msgspec.Struct, frozen=True):
    markets: list[msgspec.Raw]
    next_cursor: str | None = None


# ---- received: data API, keys -----------------------------------------------------------------------------


class DataPagination(msgspec.Struct, frozen=True):
    has_more: bool
    next_cursor: str | None


class DataPage(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    pagination: DataPagination


class DataPosition(msgspec.Struct, frozen=True):
    """A row of /v2/positions. Its numbers are JSON numbers, and it trails the chain by an unstated lag."""

    proxy_wallet: str
    token_id: str
    condition_id: str
    current_size: Decimal
    avg_price: Decimal | None = None
    entry_cost_usdc: Decimal | None = None
    realized_pnl: Decimal | None = None
    current_value: Decimal | None = None
    status: str | None = None
    redeemable: bool = False
    mergeable: bool = False
    negative_risk: bool = False
    outcome: str | None = None
    outcome_index: int | None = None
    opposite_token_id: str | None = None
    last_event_at: LooseTime = None


class DataActivity(msgspec.Struct, frozen=True):
    """A row of /v2/activity: what moved cash or tokens, by trade or otherwise."""

    type: str
    timestamp: LooseTime = None
    transaction_hash: str | None = None
    proxy_wallet: str | None = None
    condition_id: str | None = None
    token_id: str | None = None
    side: str | None = None
    size: Decimal | None = None
    usdc_size: Decimal | None = None
    price: Decimal | None = None
    outcome_index: int | None = None
    is_combo: bool = False


class DataValue(msgspec.Struct, frozen=True):
    value: Decimal
    user: str | None = None


class ApiCredentials(msgspec.Struct, frozen=True, rename="camel"):
    api_key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "ApiCredentials(…)"


class ApiKeyList(msgspec.Struct, frozen=True, rename="camel"):
    api_keys: list[msgspec.Raw]


class ApiKeyName(msgspec.Struct, frozen=True, rename="camel"):
    api_key: str


class ClosedOnly(msgspec.Struct, frozen=True):
    closed_only: bool


class Deployed(msgspec.Struct, frozen=True):
    deployed: bool
