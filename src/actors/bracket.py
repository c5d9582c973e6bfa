"""A pair at work: a thin actor round the bracket machine, which watches two legs and decides once."""

from ..model.bracket import (
    CancelLegs,
    Closing,
    Decided,
    LegProgress,
    PairEffect,
    PairState,
    ReportDecision,
    Working,
    deadline_reached,
    leg_changed,
)
from ..model.event import BracketClosing, BracketDecided, IntentEnded
from ..model.intent import PairIntent
from .context import Context, TradingActor
from .kernel import ActorRef, StartIgnored, handles
from .messages import CloseLeg, Deadline, LegMoved, TellProgress
from .work import Work


class BracketActor(TradingActor):
    """Decides what a pair became. Its state is the machine's; after a restart the legs tell it where they stand."""

    def __init__(self, context: Context, pair: PairIntent, legs: tuple[Work, Work]) -> None:
        super().__init__(context)
        self.pair = pair
        self.works = legs
        self.legs: tuple[ActorRef, ...] = ()
        self.why_not = ""
        self.state: PairState = Working(
            long=LegProgress(target=legs[0].quantity), short=LegProgress(target=legs[1].quantity)
        )

    def on_start(self) -> None:
        entry = self.ledger.intents.get((self.pair.strategy, self.pair.intent_id))
        if entry is None:
            raise StartIgnored(f"pair {self.pair.intent_id} has ended, and its terminal report is recorded")
        if entry.decision is not None:
            # Decided before a crash: only the terminal report may still be owed.
            self.state = Decided(decision=entry.decision)
            return
        if entry.closing is not None:
            assert isinstance(self.state, Working)
            self.state = Closing(long=self.state.long, short=self.state.short, reason=entry.closing)
        # Both legs at the same time; legs that outlived this actor's crash are found and asked where they stand.
        self.legs = tuple(self.context.start.start_leg(work, self.actor_ref) for work in self.works)
        for leg in self.legs:
            leg.tell(TellProgress())
            if entry.closing is not None:
                leg.tell(CloseLeg(reason=entry.closing))
        wait = max(0.0, (self.pair.expires_at_ns - self.now_ns()) / 1e9)
        self.after(wait, Deadline(), key="deadline")

    def on_begin(self) -> None:
        if isinstance(self.state, Decided):
            self._end()

    @handles(LegMoved)
    def _leg_moved(self, message: LegMoved) -> None:
        self.why_not = self.why_not or message.why_not
        self._step(*leg_changed(self.state, message.leg, message.progress))

    @handles(Deadline)
    def _deadline(self, _message: Deadline) -> None:
        self._step(*deadline_reached(self.state))

    @handles(CloseLeg)
    def _close(self, message: CloseLeg) -> None:
        """An operator ends the pair before its time."""
        self._step(*deadline_reached(self.state, message.reason))

    def _step(self, state: PairState, effects: tuple[PairEffect, ...]) -> None:
        self.state = state
        for effect in effects:
            match effect:
                case CancelLegs():
                    try:
                        self.record(
                            BracketClosing(
                                strategy=self.pair.strategy, intent_id=self.pair.intent_id, reason=effect.reason
                            )
                        )
                    finally:
                        # Cancels go out also when nothing can be recorded any more (law L9).
                        for leg in effect.legs:
                            self.legs[leg].tell(CloseLeg(reason=effect.reason))
                case ReportDecision():
                    self.record(
                        BracketDecided(
                            strategy=self.pair.strategy, intent_id=self.pair.intent_id, decision=effect.decision
                        )
                    )
                    self._end()

    def _end(self) -> None:
        assert isinstance(self.state, Decided)
        decision = self.state.decision
        self.record(
            IntentEnded(
                strategy=self.pair.strategy,
                intent_id=self.pair.intent_id,
                outcome=decision.outcome,
                filled=(decision.long_filled, decision.short_filled),
                reason=self.why_not,
            )
        )
        for leg in self.legs:
            # Not waited for: whoever blocks here would block the loop that is to stop them.
            leg.stop(block=False)
        self.stop()
