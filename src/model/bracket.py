"""The pair bracket: watches two legs and a deadline, and decides once.

Both legs work at the same time. When both are complete, or at the deadline, or when a leg can no longer be
completed, the bracket cancels whatever still works, waits until every order of both legs has ended with the
venue's evidence (a cancel may lose to a fill), and only then decides what the pair became. The decision is a
function of the final quantities, so it is the same whenever it is taken; it is taken once.

    Working ──complete────────────────────────────▶ Decided
       └─deadline / leg failed─▶ Closing ──all ended─▶ Decided
"""

from enum import StrEnum

from .money import ZERO, Quantity
from .value import Value


class PairOutcome(StrEnum):
    BOTH = "both"
    ONE_SIDE = "one_side"
    NEITHER = "neither"


class CloseReason(StrEnum):
    """Why the bracket stopped waiting for more fills."""

    COMPLETE = "complete"
    DEADLINE = "deadline"
    LEG_ENDED = "leg_ended"
    """A leg ended short of its quantity: its orders were refused or cancelled by the venue."""
    OPERATOR = "operator"


class LegProgress(Value, frozen=True):
    """One leg: what it should become, what was executed, and whether all of its orders have ended.

    `ended` is True when no order of the leg is open or unresolved and no slice of it is waiting to be sent.
    """

    target: Quantity
    filled: Quantity = Quantity(ZERO)
    ended: bool = False

    @property
    def is_complete(self) -> bool:
        return self.filled >= self.target


class Decision(Value, frozen=True):
    """What the pair became. `one_side` means the legs differ from what was asked: the strategy must say what now."""

    outcome: PairOutcome
    reason: CloseReason
    long_filled: Quantity
    short_filled: Quantity

    @property
    def needs_disposition(self) -> bool:
        return self.outcome is PairOutcome.ONE_SIDE


class Working(Value, frozen=True, tag="working"):
    """Both legs are at work."""

    long: LegProgress
    short: LegProgress


class Closing(Value, frozen=True, tag="closing"):
    """Open orders are being cancelled; their true outcomes are awaited."""

    long: LegProgress
    short: LegProgress
    reason: CloseReason


class Decided(Value, frozen=True, tag="decided"):
    """Final. Later fills (the venue may report them late) do not change it; they are reported as what they are."""

    decision: Decision


PairState = Working | Closing | Decided


class CancelLegs(Value, frozen=True, tag="cancel_legs"):
    """Effect: cancel every order of these legs that has not ended (0 is the long leg, 1 the short)."""

    legs: tuple[int, ...]
    reason: CloseReason


class ReportDecision(Value, frozen=True, tag="report_decision"):
    """Effect: record and report the decision."""

    decision: Decision


PairEffect = CancelLegs | ReportDecision
LONG, SHORT = 0, 1


def decide(long: LegProgress, short: LegProgress, reason: CloseReason) -> Decision:
    """What final quantities amount to: both only if both are complete, neither only if nothing was executed."""
    if long.is_complete and short.is_complete:
        outcome = PairOutcome.BOTH
    elif not long.filled and not short.filled:
        outcome = PairOutcome.NEITHER
    else:
        outcome = PairOutcome.ONE_SIDE
    return Decision(outcome=outcome, reason=reason, long_filled=long.filled, short_filled=short.filled)


def leg_changed(state: PairState, leg: int, progress: LegProgress) -> tuple[PairState, tuple[PairEffect, ...]]:
    """Take a leg's new progress; returns the next state and what must now happen."""
    match state:
        case Decided():
            return state, ()
        case Working():
            moved = Working(
                long=progress if leg == LONG else state.long, short=progress if leg == SHORT else state.short
            )
            if moved.long.is_complete and moved.short.is_complete:
                return _close(moved.long, moved.short, CloseReason.COMPLETE)
            if any(part.ended and not part.is_complete for part in (moved.long, moved.short)):
                return _close(moved.long, moved.short, CloseReason.LEG_ENDED)
            return moved, ()
        case Closing():
            closing = Closing(
                long=progress if leg == LONG else state.long,
                short=progress if leg == SHORT else state.short,
                reason=state.reason,
            )
            return _finish(closing, ())


def deadline_reached(
    state: PairState, reason: CloseReason = CloseReason.DEADLINE
) -> tuple[PairState, tuple[PairEffect, ...]]:
    """The deadline passed, or an operator ended the bracket."""
    if isinstance(state, Working):
        return _close(state.long, state.short, reason)
    return state, ()


def _close(long: LegProgress, short: LegProgress, reason: CloseReason) -> tuple[PairState, tuple[PairEffect, ...]]:
    open_legs = tuple(leg for leg, part in ((LONG, long), (SHORT, short)) if not part.ended)
    effects: tuple[PairEffect, ...] = (CancelLegs(legs=open_legs, reason=reason),) if open_legs else ()
    return _finish(Closing(long=long, short=short, reason=reason), effects)


def _finish(closing: Closing, effects: tuple[PairEffect, ...]) -> tuple[PairState, tuple[PairEffect, ...]]:
    if not (closing.long.ended and closing.short.ended):
        return closing, effects
    decision = decide(closing.long, closing.short, closing.reason)
    return Decided(decision=decision), (*effects, ReportDecision(decision=decision))
