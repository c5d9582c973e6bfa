"""The facts that the gates go by, gathered from the ledger and the market board at the moment of a review."""

from collections.abc import Iterable

from ..model.identifiers import AccountId, AssetId, InstrumentId, StrategyName
from ..model.intent import AnyIntent, Intent
from ..model.money import EXACT, ZERO, Quantity
from ..model.order import OrderTerms
from ..model.risk import ApprovedIntent, ApprovedOrder, Refused, review_intent, review_order
from ..model.risk_facts import Exposure, Market, RiskContext, RiskLimits
from .context import Context

NO_LIMITS = RiskLimits()
NOTHING_OPEN = (Quantity(ZERO), Quantity(ZERO))


class Gates:
    """Reviews intents and orders against what is known now. It holds nothing of its own and changes nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ledger = context.recorder.ledger
        self._approvals = context.recorder.approvals
        self._journal = context.recorder.journal
        self._now_ns = context.recorder.now_ns

    def review_intent(self, intent: AnyIntent) -> ApprovedIntent | Refused:
        """Let an intent through all gates, or name the first that is closed."""
        return review_intent(intent, self._facts(intent.strategy, intent.account, _instruments(intent), None))

    def review_order(self, terms: OrderTerms) -> ApprovedOrder | Refused:
        """Let an order through all gates, or name the first that is closed. Its own approval must not be counted."""
        entry = self._ledger.intents.get((terms.strategy, terms.intent_id))
        if entry is None:
            return review_order(terms, self._facts(terms.strategy, terms.account, (terms.instrument,), None))
        around = _instruments(entry.intent)
        if terms.instrument not in around:
            around = (terms.instrument, *around)
        return review_order(terms, self._facts(terms.strategy, terms.account, around, entry.intent))

    def _facts(
        self, strategy: StrategyName, account: AccountId, instruments: Iterable[InstrumentId], intent: AnyIntent | None
    ) -> RiskContext:
        ledger = self._ledger
        entry = ledger.account(account)
        settings = self._context.accounts.get(account)
        own = self._context.strategies.get(strategy)
        standing = ledger.strategy(strategy)
        paused = standing.paused
        if own is None:
            paused = f"strategy {strategy} is not configured"
        elif account not in own.accounts:
            paused = f"strategy {strategy} may not use account {account}"
        now_ns = self._now_ns()
        return RiskContext(
            now_ns=now_ns,
            account=account,
            account_state=entry.state,
            account_reason=entry.reason,
            exposures={
                name: self._exposure(account, name, now_ns) for name in instruments if name in ledger.instruments
            },
            limits=settings.risk if settings is not None else NO_LIMITS,
            halted=ledger.halted.get(account, ledger.halted.get(None)),
            congestion=self._journal.congestion,
            paused=paused,
            known_intent=intent,
            active_intents=standing.active,
            strategy_active_intents_maximum=own.active_intents_maximum if own is not None else None,
            strategy_notional_maximum=own.notional_maximum if own is not None else None,
            market_data_stale_seconds=settings.market_data_stale_seconds if settings is not None else None,
        )

    def _exposure(self, account: AccountId, name: InstrumentId, now_ns: int) -> Exposure:
        ledger = self._ledger
        buys, sells = ledger.open_quantities.get((account, name), NOTHING_OPEN)
        approved_buys, approved_sells = self._approvals.open_quantities(account, name)
        quote = self._context.quotes.get(name)
        market = None
        if quote is not None:
            # A fresh quote is as good as now: the session's silence rule vouches for a book that does not change.
            as_of = now_ns if quote.fresh else quote.received_at_ns
            market = Market(
                bid=quote.bid, ask=quote.ask, as_of_ns=as_of, closed=None if quote.fresh else quote.why_stale
            )
        return Exposure(
            instrument=ledger.instruments[name],
            book=ledger.book(account, AssetId(name)),
            open_buys=Quantity(EXACT.add(buys, approved_buys)),
            open_sells=Quantity(EXACT.add(sells, approved_sells)),
            market=market,
        )


def _instruments(intent: AnyIntent) -> tuple[InstrumentId, ...]:
    if isinstance(intent, Intent):
        return (intent.instrument,)
    return intent.long.instrument, intent.short.instrument
