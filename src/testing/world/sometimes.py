"""Situations that a campaign must have met: one that never occurred has proved nothing about them (actors.md 4.7).

Each is found in what a run leaves behind: the durable journal, in its order, and the venue's own books.
"""

from ...model.account import AccountState, SweepTrigger
from ...model.alert import AlertKind
from ...model.bracket import CloseReason, PairOutcome
from ...model.event import (
    AccountChanged,
    AlertClosed,
    AlertOpened,
    BracketClosing,
    BracketDecided,
    CancelRequested,
    Event,
    FillRecorded,
    FillSettled,
    IntentAccepted,
    IntentEnded,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    ReconciliationEnded,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
)
from ...model.fill import FillSource, Settlement
from ...model.identifiers import AlertId, ClientOrderId, IntentId
from .world import World

SOMETIMES: dict[str, str] = {
    "fill_during_cancel": "A fill is logged between the request to cancel its order and the order's end.",
    "crash_during_recovery": "The process dies after it has started and before its account is Live.",
    "resync_during_partial_fill": "The account is swept, out of turn, while an order is filled in part.",
    "deadline_while_disconnected": "A bracket's deadline comes while its account is not Live.",
    "drift_during_drift": "A drift is found while another one is open.",
    "crash_with_orders_open": "The process dies while the venue may hold orders of ours.",
    "fill_found_by_sweep": "A fill is learned from the venue's history and not from its stream.",
    "fill_found_in_recovery": "A fill that happened while no runtime ran is found when the next one starts.",
    "fill_after_end": "A fill is logged for an order that had ended.",
    "outcome_unknown": "What became of an order is not known for a while.",
    "settlement_reversed": "A fill fails to settle, and its amount leaves the book again.",
    "pair_one_sided": "A pair ends with one of its legs filled.",
    "accepted_and_died": "The process dies after an intent was accepted and before anything of it was sent.",
    "gave_up": "A root supervisor gives up, and the process with it.",
}


def seen(world: World) -> tuple[str, ...]:
    """Which of them occurred in a world, sorted."""
    watch = _Watch()
    for entry in world.entries():
        if isinstance(entry.event, Event):
            watch.take(entry.event)
    return tuple(sorted(watch.seen))


class _Watch:
    """Walks through a journal."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._state = AccountState.RECOVERING
        self._running = False
        self._was_live = False
        self._cancelling: set[ClientOrderId] = set()
        self._ended: set[ClientOrderId] = set()
        self._open: dict[ClientOrderId, bool] = {}
        """Orders that were submitted and have not ended; whether each has a fill."""
        self._intents: dict[ClientOrderId, IntentId] = {}
        self._unsent: set[IntentId] = set()
        """Intents that were accepted, and nothing of them was sent."""
        self._drifts: set[AlertId] = set()

    def take(self, event: Event) -> None:
        match event:
            case RuntimeStarted():
                if self._running:
                    self._died()
                self._running, self._was_live = True, False
            case RuntimeStopped():
                self._running = False
                if "gave up" in event.reason:
                    self.seen.add("gave_up")
            case AccountChanged():
                self._state = event.state
                self._was_live |= event.state is AccountState.LIVE
            case IntentAccepted():
                self._unsent.add(event.intent.intent_id)
            case SliceComputed(terms=terms):
                self._intents[terms.client_order_id] = terms.intent_id
            case OrderSubmitted():
                self._open[event.client_order_id] = False
                self._unsent.discard(self._intents[event.client_order_id])
            case OrderUnconfirmed():
                self.seen.add("outcome_unknown")
            case CancelRequested():
                self._cancelling.add(event.client_order_id)
            case OrderDone():
                self._cancelling.discard(event.client_order_id)
                self._ended.add(event.client_order_id)
                self._open.pop(event.client_order_id, None)
            case FillRecorded():
                self._fill(event)
            case FillSettled(settlement=Settlement.REVERSED):
                self.seen.add("settlement_reversed")
            case ReconciliationEnded():
                if event.record.trigger is not SweepTrigger.CADENCE and any(self._open.values()):
                    self.seen.add("resync_during_partial_fill")
            case BracketClosing(reason=CloseReason.DEADLINE):
                if self._state is not AccountState.LIVE:
                    self.seen.add("deadline_while_disconnected")
            case BracketDecided():
                if event.decision.outcome is PairOutcome.ONE_SIDE:
                    self.seen.add("pair_one_sided")
            case IntentEnded():
                self._unsent.discard(event.intent_id)
            case AlertOpened():
                if event.alert.kind is AlertKind.DRIFT:
                    if self._drifts - {event.alert.alert_id}:
                        self.seen.add("drift_during_drift")
                    self._drifts.add(event.alert.alert_id)
            case AlertClosed():
                self._drifts.discard(event.alert_id)
            case _:
                pass

    def _died(self) -> None:
        if not self._was_live:
            self.seen.add("crash_during_recovery")
        if self._open:
            self.seen.add("crash_with_orders_open")
        if self._unsent:
            self.seen.add("accepted_and_died")

    def _fill(self, event: FillRecorded) -> None:
        order = event.fill.client_order_id
        if event.fill.source is FillSource.SWEEP:
            self.seen.add("fill_found_by_sweep")
        if event.fill.source is FillSource.RECOVERY:
            self.seen.add("fill_found_in_recovery")
        if order is None:
            return
        if order in self._cancelling:
            self.seen.add("fill_during_cancel")
        if order in self._ended:
            self.seen.add("fill_after_end")
        if order in self._open:
            self._open[order] = True
