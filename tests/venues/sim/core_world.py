"""A small exchange for the core's tests: one YES/NO pair, a ledger, and a log of everything it said."""

from decimal import Decimal
from itertools import count

from tallystick.venues.sim.core.exchange import Exchange
from tallystick.venues.sim.core.policies import FeePolicy, GridRules, Ledger, NoFees
from tallystick.venues.sim.core.values import (
    AccountId,
    AssetId,
    ExchangeEvent,
    Instrument,
    InstrumentId,
    OrderId,
    OrderRequest,
    Side,
    TimeInForce,
    TradeId,
)

YES = InstrumentId("YES")
NO = InstrumentId("NO")
CASH = AssetId("cash")
ALICE = AccountId("alice")
BOB = AccountId("bob")
CAROL = AccountId("carol")


def pair(tick: str = "0.01", min_size: str = "1") -> tuple[Instrument, Instrument]:
    def one(name: InstrumentId, other: InstrumentId) -> Instrument:
        return Instrument(
            instrument_id=name,
            base=AssetId(name),
            quote=CASH,
            tick_size=Decimal(tick),
            min_size=Decimal(min_size),
            complement=other,
        )

    return one(YES, NO), one(NO, YES)


class CoreWorld:
    """The exchange under test with accounts that hold plenty of everything, unless a test says otherwise."""

    def __init__(self, *, fees: FeePolicy | None = None, makers_per_trade: int = 20, rich: bool = True) -> None:
        yes, no = pair()
        self.ledger = Ledger([yes, no])
        self.events: list[ExchangeEvent] = []
        trade_numbers = count(1)
        self.exchange = Exchange(
            rules=GridRules(),
            funds=self.ledger,
            fees=fees if fees is not None else NoFees(),
            trade_ids=lambda: TradeId(f"T{next(trade_numbers)}"),
            sink=self.events.append,
            makers_per_trade=makers_per_trade,
        )
        self.exchange.list_instrument(yes, no)
        self._order_numbers = count(1)
        if rich:
            for account in (ALICE, BOB, CAROL):
                for asset in (CASH, AssetId(YES), AssetId(NO)):
                    self.ledger.credit(account, asset, Decimal(1_000_000))

    def request(
        self,
        account: AccountId,
        side: Side,
        price: str,
        size: str,
        *,
        instrument: InstrumentId = YES,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        cash: str | None = None,
        expires_at_ms: int | None = None,
        order_id: str | None = None,
    ) -> OrderRequest:
        return OrderRequest(
            order_id=OrderId(order_id if order_id is not None else f"O{next(self._order_numbers)}"),
            account=account,
            instrument_id=instrument,
            side=side,
            price=Decimal(price),
            size=Decimal(size),
            time_in_force=time_in_force,
            post_only=post_only,
            cash=None if cash is None else Decimal(cash),
            expires_at_ms=expires_at_ms,
        )
