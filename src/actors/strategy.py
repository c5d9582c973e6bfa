"""A strategy's desk: takes intents from the host, has them reviewed, and starts the actors that work them."""

from ..model.account import AccountState
from ..model.event import (
    DispositionChosen,
    IntentAccepted,
    IntentRefused,
    StrategyPaused,
)
from ..model.identifiers import StrategyName
from ..model.intent import AnyIntent, Intent, PairIntent
from ..model.risk import Refused
from ..model.risk_facts import Gate
from ..model.sizing import pair_quantities
from ..store.records import INTENT_ENDS, INTENTS, decode_end, intent_digest, intent_row
from .context import Context, Paths, TradingActor
from .gates import Gates
from .host import end_report
from .kernel import handles
from .messages import (
    AccountMoved,
    Dispose,
    PauseStrategy,
    Submit,
)
from .work import Work, legs_of, work_of


class StrategyDesk(TradingActor):
    """One strategy. An intent is accepted once: the same content again gives the same ticket, other content none."""

    def __init__(self, context: Context, strategy: StrategyName) -> None:
        super().__init__(context)
        self.strategy = strategy
        self.bridge = context.recorder.bridge
        self.gates = Gates(context)

    def on_start(self) -> None:
        for entry in list(self.ledger.active_intents(self.strategy)):
            self.bridge.goes_on(self.strategy, entry.intent.intent_id)
            self._work(entry.intent)

    # ---- taking intents -----------------------------------------------------------------------------------

    @handles(Submit)
    def _submit(self, message: Submit) -> None:
        intent = message.intent
        failed = self.context.recorder.journal.failed
        if failed is not None:
            message.receipt.fail(failed)
            return
        known = self.context.recorder.journal.get(INTENTS, intent_row(intent.strategy, intent.intent_id))
        if known is not None:
            self._repeated(message, known)
            return
        accounts = self.context.strategies[self.strategy].accounts
        if intent.account not in accounts:
            allowed = f"one of {', '.join(sorted(accounts))}"
            text = f"strategy {self.strategy} may not use account {intent.account}; allowed is {allowed}"
            refusal = Refused(
                gate=Gate.WELL_FORMED, message=text, field="account", found=intent.account, allowed=allowed
            )
            self._refuse(intent, refusal, message)
            return
        verdict = self.gates.review_intent(intent)
        if isinstance(verdict, Refused):
            self._refuse(intent, verdict, message)
            return
        ticket = self.bridge.ticket(intent.strategy, intent.intent_id)
        lsn = self.record(IntentAccepted(intent=intent))
        self.when_durable(lsn, lambda: message.receipt.accept(ticket))
        self._work(intent)

    def _repeated(self, message: Submit, known: bytes) -> None:
        intent = message.intent
        if known != intent_digest(intent):
            self._refuse(
                message.intent,
                Refused(
                    gate=Gate.DUPLICATE_INTENT,
                    message=f"intent {intent.intent_id} was accepted before with other content; "
                    "an intent never changes: give the new one an id of its own",
                    field="intent_id",
                    found=intent.intent_id,
                    allowed="an id that this strategy has not used, or exactly the same intent, its expiry included "
                    "(expires_in_seconds counts from each reading: what may be handed in again needs expires_at)",
                ),
                message,
            )
            return
        ticket = self.bridge.ticket(intent.strategy, intent.intent_id)
        ended = self.context.recorder.journal.get(INTENT_ENDS, intent_row(intent.strategy, intent.intent_id))
        told = [] if ended is None else [end_report(decode_end(ended), self.now_ns())]

        def accept() -> None:
            message.receipt.accept(ticket)
            self.bridge.deliver(told)

        # The end may have been recorded a moment ago: it is told no sooner than it is durable, either.
        self.when_durable(self.context.recorder.journal.last_lsn, accept)

    def _refuse(self, intent: AnyIntent, refusal: Refused, message: Submit) -> None:
        lsn = self.record(
            IntentRefused(
                strategy=self.strategy,
                intent_id=intent.intent_id,
                gate=refusal.gate,
                message=refusal.message,
            )
        )
        self.when_durable(lsn, lambda: message.receipt.refuse(refusal))

    # ---- working them -------------------------------------------------------------------------------------

    def _work(self, intent: AnyIntent) -> None:
        match intent:
            case Intent():
                self.context.start.start_intent(work_of(intent), self.actor_ref)
            case PairIntent():
                self.context.start.start_bracket(intent, self._legs(intent))

    def _legs(self, pair: PairIntent) -> tuple[Work, Work]:
        long = self.ledger.instruments[pair.long.instrument]
        short = self.ledger.instruments[pair.short.instrument]
        return legs_of(pair, pair_quantities(pair, long, short))

    @handles(AccountMoved)
    def _account_moved(self, message: AccountMoved) -> None:
        if message.state is not AccountState.LIVE:
            return
        orders = self.ledger.orders
        for entry in self.ledger.active_intents(self.strategy):
            # A leg waits for its account until its slices are computed, once; then it is theirs to wait.
            planned = {orders[order].terms.leg for order in entry.orders}
            for leg in (0, 1) if isinstance(entry.intent, PairIntent) else (0,):
                if leg in planned:
                    continue
                actor = self.context.find(Paths.leg(self.strategy, entry.intent.intent_id, leg))
                if actor is not None:
                    actor.tell(message)

    # ---- the strategy's own answers -----------------------------------------------------------------------

    @handles(Dispose)
    def _dispose(self, message: Dispose) -> None:
        self.record(
            DispositionChosen(
                strategy=self.strategy, intent_id=message.intent_id, choice=message.choice, note=message.note
            )
        )

    @handles(PauseStrategy)
    def _pause(self, message: PauseStrategy) -> None:
        if self.ledger.strategy(self.strategy).paused is None:
            self.record(StrategyPaused(strategy=self.strategy, reason=message.reason, alert_id=message.alert_id))
