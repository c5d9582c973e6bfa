"""What an operator of the simulator can do to it, as typed values: the admin API and scripts both use these.

The JSON form is tagged: {"type": "place_order", "participant": "maker", "market": "...", "side": "BUY", ...}. A
market is named by condition id, slug or token id; an outcome by its label or its index.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from .faults import AnyFault
from .markets import MarketSpec
from .wallets import WalletKind


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The base of every action."""


class CreateAccount(Action, frozen=True, kw_only=True, tag="create_account"):
    """Fund a wallet of an owner. Without `wallet` the address follows from the owner and the kind.

    `shares` are (token id, amount) pairs; they appear out of nothing.
    """

    owner: str
    kind: WalletKind = "eoa"
    wallet: str | None = None
    cash: Decimal = Decimal(10_000)
    shares: tuple[tuple[str, Decimal], ...] = ()
    approved: bool = True


class CreateMarket(Action, frozen=True, kw_only=True, tag="create_market"):
    market: MarketSpec


class PlaceOrder(Action, frozen=True, kw_only=True, tag="place_order"):
    """An order of a background participant, who has money and needs no signature."""

    participant: str
    market: str
    outcome: str = "0"
    side: Literal["BUY", "SELL"]
    price: Decimal
    size: Decimal
    order_type: Literal["GTC", "GTD", "FOK", "FAK"] = "GTC"
    post_only: bool = False
    lifetime_seconds: int | None = None


class SetQuotes(Action, frozen=True, kw_only=True, tag="set_quotes"):
    """Replace everything a background participant has resting in a market by these (price, size) levels."""

    participant: str
    market: str
    outcome: str = "0"
    bids: tuple[tuple[Decimal, Decimal], ...] = ()
    asks: tuple[tuple[Decimal, Decimal], ...] = ()


class CancelOrder(Action, frozen=True, kw_only=True, tag="cancel_order"):
    """Take any order off the book, whoever it belongs to."""

    order_id: str


class Transfer(Action, frozen=True, kw_only=True, tag="transfer"):
    """Move cash (`asset` "cash") or an outcome token between addresses, in the next block."""

    source: str
    target: str
    asset: str
    amount: Decimal


class Split(Action, frozen=True, kw_only=True, tag="split"):
    """Turn cash of a wallet into a pair of outcomes, in the next block."""

    wallet: str
    market: str
    amount: Decimal


class Merge(Action, frozen=True, kw_only=True, tag="merge"):
    """Turn a pair of outcomes back into cash, in the next block."""

    wallet: str
    market: str
    amount: Decimal


class Redeem(Action, frozen=True, kw_only=True, tag="redeem"):
    """Turn a wallet's tokens of a resolved market into their payout, in the next block."""

    wallet: str
    market: str


class PayRebate(Action, frozen=True, kw_only=True, tag="pay_rebate"):
    """Pay a wallet a maker rebate: cash that comes from no trade, in the next block."""

    wallet: str
    amount: Decimal


class SetAllowance(Action, frozen=True, kw_only=True, tag="set_allowance"):
    """Change what every exchange may spend of a wallet; `cash` None is unlimited. Takes effect at once."""

    wallet: str
    cash: Decimal | None = None
    shares: bool = True


class ChangeTick(Action, frozen=True, kw_only=True, tag="change_tick"):
    market: str
    tick_size: Decimal


class ResolveMarket(Action, frozen=True, kw_only=True, tag="resolve_market"):
    market: str
    outcome: str


class AcceptOrders(Action, frozen=True, kw_only=True, tag="accept_orders"):
    market: str
    accepting: bool


class SettleNow(Action, frozen=True, kw_only=True, tag="settle_now"):
    """Mine and confirm every trade that is under way."""


class Reorg(Action, frozen=True, kw_only=True, tag="reorg"):
    """Replace the last blocks of the chain; what was in them is sent again."""

    depth: int


class ExpireHeartbeat(Action, frozen=True, kw_only=True, tag="expire_heartbeat"):
    """Let the dead-man switch of an owner's keys fire now; without one, of every armed key."""

    owner: str | None = None


class PutOnFault(Action, frozen=True, kw_only=True, tag="fault"):
    fault: AnyFault


class LiftFaults(Action, frozen=True, kw_only=True, tag="lift_faults"):
    """End one fault by its id, or all."""

    fault_id: int | None = None


class CutStreams(Action, frozen=True, kw_only=True, tag="cut_streams"):
    """Lose every websocket connection of a channel, or of both, now."""

    channel: Literal["user", "market"] | None = None


AnyAction = (
    CreateAccount
    | CreateMarket
    | PlaceOrder
    | SetQuotes
    | CancelOrder
    | Transfer
    | Split
    | Merge
    | Redeem
    | PayRebate
    | SetAllowance
    | ChangeTick
    | ResolveMarket
    | AcceptOrders
    | SettleNow
    | Reorg
    | ExpireHeartbeat
    | PutOnFault
    | LiftFaults
    | CutStreams
)


class ScriptStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action at a moment of the server's clock, in seconds since it started; what is past is done at once."""

    at_seconds: float
    action: AnyAction
