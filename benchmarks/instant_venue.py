"""A venue without a network: accepts every order at once and fills it in two halves. For measuring everything else.

It implements only what the actors ask of a dialect on the way of an order; the gateway is replaced by an actor that
answers in the same turn. Journal, ledger, gates, legs, orders, fill log and supervision are the real ones.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from tallystick.actors.context import Context, Paths, TradingActor
from tallystick.actors.kernel import ChildSpec, SupervisorSpec, handles
from tallystick.actors.messages import (
    AskTruth,
    CompareNow,
    Exchange,
    Exchanged,
    GatewayReady,
    LogExecutions,
    StreamUp,
    Sweep,
    SweepEnded,
    TruthTold,
)
from tallystick.actors.tree import UNBOUNDED, TreeBuilder
from tallystick.model.account import Reconciliation, SweepTrigger
from tallystick.model.event import OpeningAdopted
from tallystick.model.fill import Direction, Execution, FillKey, FillSource, Liquidity, Settlement
from tallystick.model.identifiers import (
    AccountId,
    AssetId,
    InstrumentId,
    SweepId,
    TradeId,
    VenueName,
    VenueOrderId,
)
from tallystick.model.instrument import Instrument, InstrumentKind
from tallystick.model.intent import Side, TimeInForce
from tallystick.model.money import Cash, Price, Quantity
from tallystick.model.order import Acknowledged, OrderTerms, Sent
from tallystick.model.outcome import PlaceAccepted, PlaceOutcome
from tallystick.model.report import ExecutionReport
from tallystick.venues.port import (
    Answer,
    Capabilities,
    Dialect,
    Expression,
    PreparedOrder,
    RateLimit,
    Reply,
    Request,
)

VENUE = VenueName("instant")
ACCOUNT = AccountId("instant:bench")
CASH = AssetId("USD")
INSTRUMENT = Instrument(
    instrument_id=InstrumentId("instant:thing"),
    venue=VENUE,
    venue_symbol="thing",
    market="thing",
    kind=InstrumentKind.SPOT,
    settlement_asset=CASH,
    price_tick=Price(Decimal("0.01")),
    price_minimum=Price(Decimal("0.01")),
    price_maximum=Price(Decimal(1000)),
    quantity_step=Quantity(Decimal("0.01")),
    quantity_minimum=Quantity(Decimal("0.01")),
)
OK = Answer(status=200, headers=(), body=b"", received_at_ns=0)


class InstantDialect:
    """What an order needs on its way; everything else is never asked."""

    venue = VENUE
    account = ACCOUNT
    settlement_asset = CASH
    rate_limits: tuple[RateLimit, ...] = ()
    secrets: tuple[str, ...] = ()
    capabilities = Capabilities(
        time_in_force=(TimeInForce.GTC,),
        post_only=False,
        amend=False,
        batch_maximum=1,
        query_by_client_id=True,
        order_id_known_before_sending=True,
        duplicates_refused_by_venue=True,
        stream_sequence_numbers=True,
        dead_man_switch_seconds=None,
        settles_after_match=False,
        oversell_refused=True,
        wallet_view=False,
    )

    def learn(self, instruments: Sequence[Instrument]) -> None:
        pass

    def express(self, side: Side, instrument: Instrument, price: Price, held: Quantity) -> Expression:
        direction = Direction.BUY if side in {Side.BUY, Side.BUY_TO_COVER} else Direction.SELL
        return Expression(instrument=instrument.instrument_id, direction=direction, price=price)

    def prepare(self, terms: OrderTerms, instrument: Instrument, now_ns: int) -> PreparedOrder:
        body = f'{{"id":"{terms.client_order_id}","price":"{terms.price}","quantity":"{terms.quantity}"}}'.encode()
        name = VenueOrderId(hashlib.sha256(body).hexdigest())
        request = Request(label="place", service="rest", method="POST", path="/order", body=body, quota="order")
        return PreparedOrder(venue_order_id=name, request=request)

    def read_place(self, reply: Reply, venue_order_id: VenueOrderId) -> PlaceOutcome:
        return PlaceAccepted(venue_order_id=venue_order_id, status="live", resting=True)

    def redact(self, content: bytes) -> bytes:
        return content


def dialect() -> Dialect:
    """The dialect, as the port's type: the methods it lacks are those that nobody calls here."""
    return cast(Dialect, cast(Any, InstantDialect()))


class InstantGateway(TradingActor):
    """Acknowledges an order when its submission is durable, then reports two halves of it as executed."""

    fills = True

    def on_start(self) -> None:
        self.number = 0
        desk = self.context.ref(Paths.account(ACCOUNT, "desk"))
        desk.tell(GatewayReady())
        desk.tell(StreamUp(down_since_ns=None))

    @handles(Exchange)
    def _exchange(self, message: Exchange) -> None:
        order = message.request.label.split()[-1]
        self.when_durable(message.after, lambda: self._sent(message, order))

    def _sent(self, message: Exchange, order: str) -> None:
        message.reply_to.tell(Exchanged(tag=message.tag, reply=OK))
        state = self.ledger.orders.get(cast(Any, order))
        if not self.fills or not isinstance(state, (Sent, Acknowledged)) or state.venue_order_id is None:
            return
        terms = state.terms
        half = Quantity(terms.quantity / 2)
        reports = []
        for _ in range(2):
            self.number += 1
            key = FillKey(account=ACCOUNT, trade_id=TradeId(f"t{self.number}"), venue_order_id=state.venue_order_id)
            execution = Execution(
                key=key,
                instrument=terms.instrument,
                direction=terms.direction,
                price=terms.price,
                quantity=half,
                fee=Cash(Decimal(0)),
                fee_asset=CASH,
                liquidity=Liquidity.MAKER,
                settlement=Settlement.CONFIRMED,
                venue_time_ns=self.now_ns(),
            )
            reports.append(ExecutionReport(execution=execution))
        fills = self.context.ref(Paths.account(ACCOUNT, "fills"))
        for report in reports:
            fills.tell(LogExecutions(reports=(report,), source=FillSource.STREAM, received_at_ns=self.now_ns()))


class InstantReconciler(TradingActor):
    """Finds nothing to correct; its first sweep also adopts an empty opening."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context)
        self.account = account

    @handles(Sweep)
    def _sweep(self, message: Sweep) -> None:
        now = self.now_ns()
        record = Reconciliation(
            sweep_id=SweepId("bench"),
            account=self.account,
            trigger=SweepTrigger.START,
            started_at_ns=now,
            ended_at_ns=now,
            fills_since_ns=0,
            fill_pages=1,
            fills_seen=0,
            fills_recovered=(),
            order_pages=1,
            orders_open_at_venue=0,
            orders_queried=0,
            orders_corrected=(),
            foreign_orders=0,
            rows_refused=0,
            complete=True,
        )
        if not self.ledger.account(self.account).opened:
            self.record(OpeningAdopted(account=self.account, holdings=(), by="benchmark", stamps=()))
        self.context.ref(Paths.account(self.account, "desk")).tell(SweepEnded(record=record, stream_was_up=True))


class InstantWitness(TradingActor):
    """Takes hints, and finds that all views agree."""

    @handles(CompareNow)
    def _compare(self, message: CompareNow) -> None:
        pass

    @handles(AskTruth)
    def _ask_truth(self, message: AskTruth) -> TruthTold:
        return TruthTold(truths=(), unread=())


class InstantTree(TreeBuilder):
    """The tree with its venue's side replaced."""

    gateway: type[InstantGateway] = InstantGateway

    def gateway_for(self, account: AccountId) -> TradingActor:
        return self.gateway(self.context)

    def reconciler_for(self, account: AccountId) -> TradingActor:
        return InstantReconciler(self.context, account)

    def venue_side(self, account: AccountId) -> tuple[ChildSpec, ...]:
        connection = SupervisorSpec(
            strategy="rest_for_one",
            children=(
                ChildSpec(id="gateway", factory=lambda: self.gateway_for(account), mailbox=UNBOUNDED),
                ChildSpec(id="reconciler", factory=lambda: self.reconciler_for(account), mailbox=UNBOUNDED),
            ),
        )
        return (
            ChildSpec(id="witness", factory=lambda: InstantWitness(self.context), mailbox=UNBOUNDED),
            ChildSpec(id="connection", factory=connection),
        )


class SilentGateway(InstantGateway):
    """Acknowledges and never fills: orders stay live."""

    fills = False


class SilentTree(InstantTree):
    """The tree over a venue at which nothing trades."""

    gateway = SilentGateway
