"""The whole venue as one object: it takes orders, matches, settles and tells, and is told the time.

Nothing here waits or reads a clock. `advance` does what has fallen due, `next_due_ms` says when that will be, and
every frame for a stream is handed to `publish` in the order in which things happened.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count
from typing import Literal

import msgspec

from ...evm.address import Address
from ...polymarket.contracts import TokenId
from ...polymarket.orders import ApiKey
from ..agenda import Agenda
from ..chain.chain import Chain, ChainRules
from ..chain.effects import CashMoves, Effect, Receipt, SharesMove, Transaction
from ..core.exchange import Exchange
from ..core.policies import CurveFees
from ..core.values import (
    BookChanged,
    CancelReason,
    ExchangeEvent,
    InstrumentId,
    Order,
    OrderClosed,
    OrderId,
    OrderMatched,
    OrderOpened,
    OrderStatus,
    Rejection,
    RejectReason,
    Side,
    Trade,
    Traded,
    TradeId,
)
from .faults import (
    ChangeHash,
    DustSizes,
    FailSettlement,
    Faults,
    GhostSettlement,
    RetrySettlement,
    StallSettlement,
)
from .funds import ChainFunds
from .heartbeats import Heartbeats
from .history import History, trade_activity
from .keys import KeyHolder, Keys, key_id
from .market_frames import (
    best_frame,
    book_frame,
    last_trade_frame,
    new_market_frame,
    price_change_frame,
    resolved_frame,
    tick_size_frame,
)
from .markets import DEFAULT_MARKETS, Catalogue, Market, MarketSpec
from .numbers import plain
from .order_entry import Entry, EntryPolicy, OrderRejected, check_terms, describe_price, read_entry
from .rate_limits import STANDARD, RateLimits, Tier
from .rules import VenueRules, rejection_text
from .settlement import Settlement, SettlementDelays, SettlementPlan, TradeRecord
from .wallets import Wallets
from .wire import (
    Frame,
    Json,
    OrderFacts,
    book_summary,
    order_event,
    trade_event,
)


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a simulated venue is set up. `fund` is what a new key's owner gets in pUSD; None gives nothing."""

    markets: tuple[MarketSpec, ...] = DEFAULT_MARKETS
    fund: Decimal | None = None
    chain: ChainRules = ChainRules()
    delays: SettlementDelays = SettlementDelays()
    entry: EntryPolicy = EntryPolicy()
    clock_skew_seconds: int = 300
    tier: Tier = STANDARD
    rate_limits: Literal["enforce", "warn", "off"] = "enforce"
    makers_per_trade: int = 20
    heartbeat_timeout_ms: int = 10_000
    heartbeat_sweep_ms: int = 5_000


class Venue:
    """One simulated Polymarket. `publish` receives every stream frame at once, in order."""

    def __init__(self, settings: VenueSettings, started_ms: int, publish: Callable[[Frame], None]) -> None:
        self.settings = settings
        self.started_ms = started_ms
        self.now_ms = started_ms
        self.faults = Faults()
        self.catalogue = Catalogue()
        self.keys = Keys(clock_skew_seconds=settings.clock_skew_seconds)
        self.rate_limits = RateLimits(settings.tier, settings.rate_limits)
        self.chain = Chain(settings.chain, started_ms)
        self.history = History()
        self.agenda = Agenda()
        self.funds = ChainFunds(self.chain, self.catalogue, lambda: self.now_ms)
        self.wallets = Wallets(self)
        self.heartbeats = Heartbeats(timeout_ms=settings.heartbeat_timeout_ms, sweep_ms=settings.heartbeat_sweep_ms)
        self._fees = CurveFees()
        self._publish = publish
        trade_numbers = count(1)
        self.exchange = Exchange(
            rules=VenueRules(),
            funds=self.funds,
            fees=self._fees,
            trade_ids=lambda: TradeId(str(key_id(f"trade {next(trade_numbers)}"))),
            sink=self._on_event,
            makers_per_trade=settings.makers_per_trade,
        )
        self.settlement = Settlement(
            chain=self.chain,
            funds=self.funds,
            agenda=self.agenda,
            delays=settings.delays,
            changed=self._on_settlement,
            mined=self._on_mined,
            unmined=lambda record: self.history.remove(record.transaction_hash),
        )
        self.facts: dict[str, OrderFacts] = {}
        self.records: dict[TradeId, TradeRecord] = {}
        self.trades_of: dict[Address, list[TradeRecord]] = {}
        self._open_of: dict[Address, dict[OrderId, Order]] = {}
        self.book_changed_ms: dict[TokenId, int] = {}
        self._traded: dict[str, Market] = {}
        self._best_told: dict[TokenId, tuple[Decimal | None, Decimal | None]] = {}
        for spec in settings.markets:
            self.create_market(spec)

    # Time.

    def next_due_ms(self) -> int | None:
        """The earliest moment at which `advance` has something to do; None while nothing waits."""
        dues = (self.agenda.next_due_ms(), self.exchange.next_due_ms(), self.heartbeats.switch.next_due_ms())
        return min((due for due in dues if due is not None), default=None)

    def advance(self, now_ms: int) -> None:
        """Do everything that is due by now, in order of time, and let the venue's clock be now."""
        while (due_ms := self.next_due_ms()) is not None and due_ms <= now_ms:
            self.now_ms = max(self.now_ms, due_ms)
            if self.agenda.next_due_ms() == due_ms:
                self.agenda.run_next()
            elif self.exchange.next_due_ms() == due_ms:
                self.exchange.run_due(due_ms)
            else:
                for api_key in self.heartbeats.switch.sweep(due_ms):
                    self.cancel_of_key(api_key, CancelReason.HEARTBEAT_LOST)
        self.now_ms = max(self.now_ms, now_ms)

    # Markets.

    def create_market(self, spec: MarketSpec) -> Market:
        """List a market; raises `MarketRefused`."""
        market = self.catalogue.add(spec, self.now_ms)
        first, second = market.instruments()
        self.exchange.list_instrument(first, second)
        self.exchange.set_open(first.instrument_id, accepts_orders=spec.accepting_orders)
        for token_id in market.token_ids:
            self._fees.set_curve(InstrumentId(token_id), market.fee_curve)
            self.book_changed_ms[token_id] = self.now_ms
        self._publish(new_market_frame(market, self.now_ms))
        return market

    def change_tick(self, market: Market, tick_size: Decimal) -> None:
        """Change a market's grid; resting orders stay where they are (polymarket.md 5)."""
        old, market.tick_size = market.tick_size, tick_size
        for instrument, token_id in zip(market.instruments(), market.token_ids, strict=True):
            self.exchange.replace_instrument(instrument)
            self._publish(tick_size_frame(market, token_id, old, self.now_ms))

    def resolve(self, market: Market, winner: int) -> None:
        """End a market: no more orders, what rests is cancelled, the winning outcome becomes redeemable."""
        market.winner, market.resolved_ms, market.accepting_orders = winner, self.now_ms, False
        self.exchange.set_open(InstrumentId(market.token_ids[0]), accepts_orders=False)
        tokens = {InstrumentId(token_id) for token_id in market.token_ids}
        self.exchange.cancel_all(
            lambda order: order.request.instrument_id in tokens, self.now_ms, CancelReason.MARKET_CLOSED
        )
        self._publish(resolved_frame(market, self.now_ms))

    def set_accepting(self, market: Market, *, accepting: bool) -> None:
        market.accepting_orders = accepting
        self.exchange.set_open(InstrumentId(market.token_ids[0]), accepts_orders=accepting)

    def book(self, token_id: TokenId) -> Json:
        """The book of a token as GET /book tells it."""
        market = self.catalogue.of_token(token_id)
        assert market is not None, f"no market trades {token_id}"
        depth = self.exchange.depth(InstrumentId(token_id))
        return book_summary(market, token_id, depth, self.book_changed_ms[token_id])

    # Orders.

    def post_order(self, item: object, holder: KeyHolder) -> Json:
        """Take one posted order; raises `OrderRejected` with the venue's words."""
        entry = read_entry(item, holder, self.catalogue, self.settings.entry, self.wallets.owner_of)
        self.wallets.use(entry.owner, entry.wallet)
        if entry.request.order_id in self.exchange.orders:
            duplicate = Rejection(order_id=entry.request.order_id, reason=RejectReason.DUPLICATE)
            raise OrderRejected(rejection_text(duplicate, entry.request, entry.contract.address))
        check_terms(entry, self.now_ms)
        order = self.submit(entry)
        return self._post_result(order, defer_execution=entry.defer_execution)

    def submit(self, entry: Entry) -> Order:
        """Give an authorised order to the exchange; raises `OrderRejected`."""
        request = entry.request
        self.facts[request.order_id] = OrderFacts(
            market=entry.market,
            token_id=entry.token_id,
            owner=entry.owner,
            wallet=entry.wallet,
            api_key=entry.api_key,
            order_type=entry.order_type,
            expiration_seconds=entry.expiration_seconds,
            price_text=describe_price(entry),
        )
        delay_ms = entry.market.spec.taker_delay_ms
        result = self.exchange.submit(request, self.now_ms, taker_delay_ms=delay_ms)
        if isinstance(result, Rejection):
            del self.facts[request.order_id]
            raise OrderRejected(rejection_text(result, request, entry.contract.address))
        self._open_of.setdefault(entry.owner, {})[result.order_id] = result
        return result

    def open_orders_of(self, owner: Address) -> list[Order]:
        """An owner's resting and delayed orders, oldest first."""
        orders = self._open_of.get(owner, {})
        for order_id in [order_id for order_id in orders if order_id not in self.exchange.open_orders]:
            del orders[order_id]
        return list(orders.values())

    def _post_result(self, order: Order, *, defer_execution: bool) -> Json:
        """The answer to an accepted order. A deferred one names its trades without their transactions."""
        status = "delayed" if order.status is OrderStatus.DELAYED else "matched" if order.filled else "live"
        making, taking = order.paid, order.filled
        if order.request.side is Side.SELL:
            making, taking = taking, making
        hashes = [] if defer_execution else [self.records[trade_id].transaction_hash for trade_id in order.trades]
        return {
            "success": True,
            "errorMsg": "",
            "orderID": order.order_id,
            "status": status,
            "makingAmount": plain(making) if order.filled else "",
            "takingAmount": plain(taking) if order.filled else "",
            "transactionsHashes": hashes,
            "tradeIDs": list(order.trades),
        }

    def cancel(self, order_ids: Iterable[str], holder: KeyHolder) -> Json:
        """Cancel orders by id; what could not be cancelled is told with the true reason."""
        canceled: list[str] = []
        not_canceled: Json = {}
        for order_id in order_ids:
            order = self.exchange.orders.get(OrderId(order_id.lower()))
            facts = self.facts.get(order_id.lower())
            if order is None or facts is None or facts.owner != holder.owner:
                not_canceled[order_id] = "Order not found"
            elif self.exchange.cancel(order.order_id, self.now_ms):
                canceled.append(order.order_id)
            else:
                not_canceled[order_id] = _why_not(order)
        return {"canceled": canceled, "not_canceled": not_canceled}

    def cancel_matching(self, holder: KeyHolder, condition_id: str | None = None, token_id: str | None = None) -> Json:
        """Cancel an account's resting orders, all of them or those of a market or token."""

        def wanted(order: Order) -> bool:
            facts = self.facts[order.order_id]
            return (
                facts.owner == holder.owner
                and condition_id in {None, facts.market.condition_id}
                and token_id in {None, facts.token_id}
            )

        return {"canceled": self.exchange.cancel_all(wanted, self.now_ms), "not_canceled": {}}

    def cancel_of_key(self, api_key: ApiKey, reason: CancelReason) -> list[OrderId]:
        """Cancel every resting order that a key placed."""
        return self.exchange.cancel_all(
            lambda order: self.facts[order.order_id].api_key == api_key, self.now_ms, reason
        )

    # What the exchange and the chain report.

    def _on_event(self, event: ExchangeEvent) -> None:
        if isinstance(event, BookChanged):
            self._tell_book(event)
        elif isinstance(event, Traded):
            self._on_trade(event.trade, event.at_ms)
        else:
            kind = {OrderOpened: "PLACEMENT", OrderMatched: "UPDATE", OrderClosed: "CANCELLATION"}[type(event)]
            facts = self.facts[event.order.order_id]
            if not self.wallets.is_background(facts.owner):
                self._publish(order_event(kind, event.order, facts, event.at_ms))

    def _on_trade(self, trade: Trade, at_ms: int) -> None:
        facts = self.facts[trade.taker_order_id]
        market, token_id = facts.market, facts.token_id
        record = self.settlement.start(trade, market, self._plan(at_ms), at_ms)
        if (dusty := self.faults.bite(DustSizes, at_ms)) is not None:
            record.dust = Decimal(dusty.dust)
        self.records[trade.trade_id] = record
        for owner in self._owners(trade):
            self.trades_of.setdefault(owner, []).append(record)
        self._tell_trade(record, at_ms)
        for told, price, side in (
            (token_id, trade.price, trade.side),
            (market.opposite(token_id), 1 - trade.price, trade.side.opposite),
        ):
            market.last_trade_price[told] = price
            market.last_trade_side[told] = side.value
        self._publish(last_trade_frame(record, token_id, at_ms))
        self._traded[market.condition_id] = market

    def _plan(self, now_ms: int) -> SettlementPlan:
        """What the fault switches decide for the next trade's settlement."""
        plan = SettlementPlan()
        if self.faults.bite(FailSettlement, now_ms) is not None:
            plan.fails = True
        elif (retry := self.faults.bite(RetrySettlement, now_ms)) is not None:
            plan.reverts = retry.times
        elif self.faults.bite(ChangeHash, now_ms) is not None:
            plan.changes_hash = True
        elif self.faults.bite(StallSettlement, now_ms) is not None:
            plan.stalls = True
        elif self.faults.bite(GhostSettlement, now_ms) is not None:
            plan.ghost = True
        return plan

    def _owners(self, trade: Trade) -> list[Address]:
        """Everybody with a part in a trade, the taker first, each once."""
        orders = (trade.taker_order_id, *(leg.maker_order_id for leg in trade.legs))
        return list(dict.fromkeys(self.facts[order_id].owner for order_id in orders))

    def _on_settlement(self, record: TradeRecord, now_ms: int) -> None:
        self._tell_trade(record, now_ms)

    def _on_mined(self, record: TradeRecord, receipt: Receipt, now_ms: int) -> None:
        self.history.add(trade_activity(record, now_ms))
        self.sweep_unfunded(receipt.transaction.effects)

    def sweep_unfunded(self, effects: Iterable[Effect]) -> None:
        """Cancel resting orders of wallets that gave something away and can no longer pay (polymarket.md 9.2)."""
        wallets: set[str] = set()
        for effect in effects:
            wallets.add(effect.source if isinstance(effect, CashMoves | SharesMove) else effect.owner)

        def cannot_pay(order: Order) -> bool:
            request = order.request
            if request.account not in wallets:
                return False
            instrument = self.exchange.instruments[request.instrument_id]
            if request.side is Side.SELL:
                asset, amount = instrument.base, order.remaining
            else:
                asset, amount = instrument.quote, order.remaining * request.price
            return self.funds.shortfall(request.account, instrument, asset, amount) is not None

        self.exchange.cancel_all(cannot_pay, self.now_ms, CancelReason.FUNDS_GONE)

    def include(self, transaction: Transaction) -> Receipt:
        """Make a transaction that is no trade part of the head block, and let its consequences follow."""
        receipt = self.chain.include(transaction, self.now_ms)
        if receipt.succeeded:
            self.sweep_unfunded(transaction.effects)
        return receipt

    def reorg(self, depth: int) -> int:
        """Replace the last blocks; what was in them is sent again. The number of transactions undone."""
        undone = self.chain.reorg(depth, self.now_ms)
        for transaction in self.settlement.reorged(undone, self.now_ms):
            self.send(transaction)
        return len(undone)

    def send(self, transaction: Transaction) -> None:
        """Have a transaction mined in the next block."""
        self.agenda.at(self.chain.next_block_ms(self.now_ms), lambda _now_ms: self._include_sent(transaction))

    def _include_sent(self, transaction: Transaction) -> None:
        self.include(transaction)

    # What the streams are told.

    def _tell_trade(self, record: TradeRecord, now_ms: int) -> None:
        owners = [owner for owner in self._owners(record.trade) if not self.wallets.is_background(owner)]
        for owner in owners:
            self._publish(trade_event(record, self.facts.__getitem__, owner, now_ms))

    def _tell_book(self, event: BookChanged) -> None:
        market = self.catalogue.of_token(event.changes[0].instrument_id)
        assert market is not None, f"a book changed that belongs to no market: {event.changes[0].instrument_id}"
        for token_id in market.token_ids:
            self.book_changed_ms[token_id] = event.at_ms
        books = {token_id: self.book(token_id) for token_id in market.token_ids}
        best = {token_id: self.exchange.best(InstrumentId(token_id)) for token_id in market.token_ids}
        self._publish(price_change_frame(market, event.changes, books, best, event.at_ms))
        traded = self._traded.pop(market.condition_id, None) is not None
        for token_id in market.token_ids:
            if traded:
                self._publish(book_frame(token_id, books[token_id]))
            if self._best_told.get(token_id) != best[token_id]:
                self._best_told[token_id] = best[token_id]
                self._publish(best_frame(market, token_id, best[token_id], event.at_ms))


def _why_not(order: Order) -> str:
    if order.status is OrderStatus.DELAYED:
        return "order is delayed and can't be canceled yet"
    return "Order already matched" if order.status is OrderStatus.FILLED else "Order already canceled"
