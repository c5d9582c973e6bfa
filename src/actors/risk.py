"""The risk actor: gathers the facts and lets the pure gates decide. What passes goes on, what does not is told why."""

from ..model.identifiers import AccountId, AssetId, InstrumentId, StrategyName
from ..model.intent import AnyIntent, Intent
from ..model.money import EXACT, ZERO, Quantity
from ..model.order import Computed, OrderTerms
from ..model.risk import ApprovedOrder, Refused, review_intent, review_order
from ..model.risk_facts import Exposure, Gate, Market, RiskContext, RiskLimits
from .context import Context, Paths, TradingActor
from .kernel import handles
from .messages import IntentReviewed, OrderRefused, PlaceOrder, ReviewIntent, ReviewOrder

HELD = frozenset({Gate.ACCOUNT_LIVE, Gate.FRESH_DATA, Gate.STORE})
"""Gates that open again by themselves: a slice that meets one waits, within its own deadline, and is not given up."""


class RiskActor(TradingActor):
    """All pre-trade gates of the runtime. The facts are the ledger's and the market board's."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.approvals = context.recorder.approvals

    @handles(ReviewIntent)
    def _review_intent(self, message: ReviewIntent) -> None:
        intent = message.intent
        facts = self._facts(intent.strategy, intent.account, _instruments(intent), None)
        verdict = review_intent(intent, facts)
        message.reply_to.tell(IntentReviewed(intent=intent, receipt=message.receipt, verdict=verdict))

    @handles(ReviewOrder)
    def _review_order(self, message: ReviewOrder) -> None:
        terms = message.terms
        self.approvals.settle(terms.client_order_id)  # a slice that is reviewed again must not stand in its own way
        entry = self.ledger.intents.get((terms.strategy, terms.intent_id))
        intent = entry.intent if entry is not None else None
        match review_order(terms, self._facts(terms.strategy, terms.account, self._around(terms, intent), intent)):
            case ApprovedOrder() as approved:
                if isinstance(self.ledger.orders.get(terms.client_order_id), Computed):  # not withdrawn meanwhile
                    self.approvals.add(terms)
                desk = self.context.ref(Paths.account(terms.account, "desk"))
                # Past its time it must not go out: coverage has alerted it by then.
                deadline = self.monotonic() + message.send_within_seconds
                desk.tell(PlaceOrder(order=approved, leg=message.leg), deadline=deadline)
            case Refused() as refusal:
                message.leg.tell(
                    OrderRefused(
                        client_order_id=terms.client_order_id,
                        gate=refusal.gate,
                        message=refusal.message,
                        held=refusal.gate in HELD,
                    )
                )

    def _around(self, terms: OrderTerms, intent: AnyIntent | None) -> tuple[InstrumentId, ...]:
        return (terms.instrument, *(_instruments(intent) if intent is not None else ()))

    def _facts(
        self,
        strategy: StrategyName,
        account: AccountId,
        instruments: tuple[InstrumentId, ...],
        intent: AnyIntent | None,
    ) -> RiskContext:
        ledger = self.ledger
        entry = ledger.account(account)
        settings = self.context.accounts.get(account)
        own = self.context.strategies.get(strategy)
        paused = ledger.strategy(strategy).paused
        if own is None:
            paused = f"strategy {strategy} is not configured"
        elif account not in own.accounts:
            paused = f"strategy {strategy} may not use account {account}"
        stale_seconds = settings.market_data_stale_seconds if settings is not None else None
        return RiskContext(
            now_ns=self.now_ns(),
            account=account,
            account_state=entry.state,
            account_reason=entry.reason,
            exposures={name: self._exposure(account, name) for name in instruments if name in ledger.instruments},
            limits=settings.risk if settings is not None else RiskLimits(),
            halted=ledger.halted.get(account, ledger.halted.get(None)),
            congestion=self.context.recorder.journal.congestion,
            paused=paused,
            known_intent=intent,
            active_intents=ledger.strategy(strategy).active,
            strategy_active_intents_maximum=own.active_intents_maximum if own is not None else None,
            strategy_notional_maximum=own.notional_maximum if own is not None else None,
            market_data_stale_seconds=stale_seconds,
        )

    def _exposure(self, account: AccountId, name: InstrumentId) -> Exposure:
        ledger = self.ledger
        buys, sells = ledger.open_quantities.get((account, name), (Quantity(ZERO), Quantity(ZERO)))
        approved_buys, approved_sells = self.approvals.open_quantities(account, name)
        quote = self.context.quotes.get(name)
        market = None
        if quote is not None:
            # A fresh quote is as good as now: the session's silence rule vouches for a book that does not change.
            as_of = self.now_ns() if quote.fresh else quote.received_at_ns
            market = Market(
                bid=quote.bid, ask=quote.ask, as_of_ns=as_of, closed=None if quote.fresh else quote.why_stale
            )
        instrument = ledger.instruments[name]
        book = ledger.book(account, AssetId(name))
        open_buys = Quantity(EXACT.add(buys, approved_buys))
        open_sells = Quantity(EXACT.add(sells, approved_sells))
        return Exposure(instrument=instrument, book=book, open_buys=open_buys, open_sells=open_sells, market=market)


def _instruments(intent: AnyIntent) -> tuple[InstrumentId, ...]:
    if isinstance(intent, Intent):
        return (intent.instrument,)
    return intent.long.instrument, intent.short.instrument
