"""A parent order at work: one instrument, one side, one quantity, split into slices (a leg of a pair, or an intent).

Coverage is its law: the quantity is the sum of the slices computed, and every slice is sent, or withdrawn by a rule,
before its deadline. A slice that is stuck between computed and sent is alerted in seconds, before any position can
differ; it is never sent late behind anyone's back.
"""

from ..model.account import AccountState
from ..model.alert import Alert, AlertKind, Severity
from ..model.bracket import LegProgress
from ..model.event import IntentEnded, SliceComputed, SliceWithdrawn
from ..model.fill import Direction
from ..model.identifiers import AlertId, ClientOrderId, client_order_id
from ..model.instrument import Instrument
from ..model.intent import Style
from ..model.money import EXACT, ZERO, Quantity, plain
from ..model.order import Acknowledged, Computed, Done, OrderState, OrderTerms, Sent, Withdrawn
from ..model.timestamps import rfc3339
from ..routing.slices import slices_of
from ..venues.port import CannotExpress
from .context import Context, Paths, TradingActor
from .kernel import ActorRef, StartIgnored, handles
from .messages import (
    AccountMoved,
    CancelOrder,
    CheckClosing,
    CheckCoverage,
    CloseLeg,
    Deadline,
    LegMoved,
    OrderMoved,
    OrderRefused,
    PauseStrategy,
    Raise,
    ReviewAgain,
    ReviewOrder,
    TellProgress,
)
from .settings import AccountSettings
from .work import Work

REVIEW_AGAIN_SECONDS = 1.0


class LegActor(TradingActor):
    """One leg of a pair: slices, their coverage, and what they came to."""

    # What most legs never change stands here once, and not in each of them.
    planned = False
    closing = False
    why_not = ""
    told: LegProgress | None = None
    held: frozenset[ClientOrderId] = frozenset()
    lost: frozenset[ClientOrderId] = frozenset()

    def __init__(self, context: Context, work: Work, owner: ActorRef) -> None:
        super().__init__(context)
        self.work = work
        self.owner = owner

    def on_start(self) -> None:
        entry = self.ledger.intents.get(self.work.key)
        if entry is None:
            raise StartIgnored(f"intent {self.work.intent_id} has ended, and its terminal report is recorded")
        self.planned = bool(self._orders())
        self.closing = entry.closing is not None

    def on_begin(self) -> None:
        if self.closing:
            self._close()
        elif self.planned:
            self._take_up_again()
        else:
            self._plan()

    # ---- what there is ------------------------------------------------------------------------------------

    def _orders(self) -> list[OrderState]:
        entry = self.ledger.intents.get(self.work.key)
        if entry is None:
            return []
        orders, leg = self.ledger.orders, self.work.leg
        return [state for order in entry.orders if (state := orders[order]).terms.leg == leg]

    def progress(self) -> LegProgress:
        """What the leg should become, has become, and whether anything of it can still change."""
        orders = self._orders()
        target = filled = ZERO
        ended = self.planned
        for state in orders:
            target = EXACT.add(target, state.terms.quantity)
            match state:
                case Done():
                    filled = EXACT.add(filled, state.progress.stands)
                    ended = ended and state.fills_outstanding <= 0
                case Sent() | Acknowledged():
                    filled = EXACT.add(filled, state.progress.stands)
                    ended = False
                case Computed():
                    ended = False
                case Withdrawn():
                    pass
        return LegProgress(
            target=Quantity(target) if orders else self.work.quantity, filled=Quantity(filled), ended=ended
        )

    def _tell(self) -> None:
        if self.work.key not in self.ledger.intents:
            return  # the pair was decided a moment ago, and the ledger has let go of what this leg came to
        progress = self.progress()
        if progress != self.told:
            self.told = progress
            self.moved(progress)

    def begun(self) -> None:
        """The slices are computed and on their way."""
        self._tell()

    def moved(self, progress: LegProgress) -> None:
        """The leg's progress changed."""
        self.owner.tell(LegMoved(leg=self.work.leg, progress=progress, why_not=self.why_not))

    # ---- slices -------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Compute the slices, once, as soon as the account is Live."""
        if self.planned or self.closing or self.ledger.account(self.work.account).state is not AccountState.LIVE:
            return
        work = self.work
        meant = self.ledger.instruments[work.instrument]
        try:
            expressed = self.context.dialects[work.account].express(
                work.side, meant, work.limit_price, self._held_quantity(meant)
            )
        except CannotExpress as refusal:
            self._give_up(str(refusal))
            return
        instrument = self.ledger.instruments[expressed.instrument]
        sizes = slices_of(work.quantity, work.child_quantity_maximum, instrument)
        now = self.now_ns()
        within = self.context.accounts[work.account].orders.send_within_seconds
        send_by = now + int(within * 1e9)
        slices = [
            OrderTerms(
                client_order_id=client_order_id(work.strategy, work.intent_id, work.leg, number, 0),
                intent_id=work.intent_id,
                leg=work.leg,
                slice_number=number,
                attempt=0,
                strategy=work.strategy,
                account=work.account,
                instrument=expressed.instrument,
                side=work.side,
                direction=expressed.direction,
                price=expressed.price,
                quantity=size,
                time_in_force=work.time_in_force,
                expires_at_ns=work.expires_at_ns,
                post_only=work.style is Style.POST_ONLY,
                expressed_as=expressed.note,
            )
            for number, size in enumerate(sizes)
        ]
        if not slices:
            self._give_up(f"no slice of {plain(work.quantity)} keeps the rules of {work.instrument}")
            return
        self.record(*[SliceComputed(terms=terms, send_by_ns=send_by) for terms in slices])
        self.planned = True
        for terms in slices:
            self._review(terms)
        self.begun()

    def _held_quantity(self, instrument: Instrument) -> Quantity:
        position = self.ledger.positions.get((self.work.strategy, instrument.instrument_id))
        return Quantity(max(position.matched, ZERO)) if position is not None else Quantity(ZERO)

    def _review(self, terms: OrderTerms) -> None:
        # A slice that waited at a gate has its whole time again from now on.
        within = self.context.accounts[self.work.account].orders.send_within_seconds
        review = ReviewOrder(terms=terms, leg=self.actor_ref, send_within_seconds=within)
        self.context.ref(Paths.RISK).tell(review)
        check = CheckCoverage(client_order_id=terms.client_order_id)
        self.after(within, check, key=f"coverage {terms.client_order_id}")

    def _take_up_again(self) -> None:
        """After a restart: what was computed and certainly never left is sent while its time allows."""
        for state in self._orders():
            if isinstance(state, Computed):
                if self.now_ns() < state.send_by_ns:
                    self._review(state.terms)
                else:
                    self._check_coverage(CheckCoverage(client_order_id=state.terms.client_order_id))
        self._tell()

    def _give_up(self, why: str) -> None:
        """Nothing of this leg can be sent; said so to the owner, which decides what that means."""
        self.planned = True
        self.why_not = why
        self.trace_note("leg cannot be worked", why)
        self._tell()

    @handles(OrderRefused)
    def _refused(self, message: OrderRefused) -> None:
        state = self.ledger.orders.get(message.client_order_id)
        if not isinstance(state, Computed):
            return
        if message.held and not self.closing:
            # The gate opens again by itself; until then the slice waits, and coverage knows why.
            self.held |= {message.client_order_id}
            self.after(REVIEW_AGAIN_SECONDS, ReviewAgain(client_order_id=message.client_order_id))
            return
        reason = f"{message.gate}: {message.message}"
        self.why_not = reason
        self.record(SliceWithdrawn(client_order_id=message.client_order_id, reason=reason))
        self._tell()

    @handles(ReviewAgain)
    def _review_again(self, message: ReviewAgain) -> None:
        self.held -= {message.client_order_id}
        state = self.ledger.orders.get(message.client_order_id)
        if isinstance(state, Computed) and not self.closing:
            self._review(state.terms)

    @handles(AccountMoved)
    def _account_moved(self, message: AccountMoved) -> None:
        if message.account == self.work.account and message.state is AccountState.LIVE:
            self._plan()

    @handles(TellProgress)
    def _tell_progress(self, _message: TellProgress) -> None:
        self.told = None
        self._tell()

    @handles(OrderMoved)
    def _order_moved(self, _message: OrderMoved) -> None:
        self._tell()

    # ---- coverage -----------------------------------------------------------------------------------------

    @handles(CheckCoverage)
    def _check_coverage(self, message: CheckCoverage) -> None:
        order = message.client_order_id
        state = self.ledger.orders.get(order)
        if not isinstance(state, Computed) or order in self.held or order in self.lost:
            return
        self.lost |= {order}
        alert = self._never_sent(state)
        self.context.ref(Paths.ALERTS).tell(Raise(alert=alert))
        reason = f"slice {order} was computed and never sent ({alert.alert_id})"
        strategy = self.context.ref(Paths.strategy(self.work.strategy, "desk"))
        strategy.tell(PauseStrategy(strategy=self.work.strategy, reason=reason, alert_id=alert.alert_id))

    def _never_sent(self, state: Computed) -> Alert:
        terms = state.terms
        intended = sum((found.terms.quantity for found in self._orders()), ZERO)
        sent = sum(
            (found.terms.quantity for found in self._orders() if isinstance(found, (Sent, Acknowledged, Done))), ZERO
        )
        filled = self.progress().filled
        held = self.ledger.positions.get((terms.strategy, terms.instrument))
        actual = held.matched if held is not None else ZERO
        sign = "" if terms.direction is Direction.BUY else "-"
        waited = (self.now_ns() - state.computed_at_ns) / 1e9
        return Alert(
            alert_id=AlertId(f"slice_never_sent:{terms.client_order_id}"),
            kind=AlertKind.SLICE_NEVER_SENT,
            severity=Severity.CRITICAL,
            message=(
                f"Slice {terms.client_order_id} was computed {waited:.1f} s ago and never sent; the strategy is paused "
                "and nothing is sent in its place: resolve the alert to go on"
            ),
            diagnosis="slice_never_sent",
            evidence=(
                ("order", terms.client_order_id),
                ("instrument", terms.instrument),
                ("slice", f"{terms.direction} {plain(terms.quantity)} at {plain(terms.price)}"),
                ("leg intended", f"{sign}{plain(intended)}"),
                ("leg sent", f"{sign}{plain(sent)}"),
                ("leg filled", f"{sign}{plain(filled)}"),
                ("intended position", plain(EXACT.add(actual, terms.direction.sign * (intended - filled)))),
                ("actual position", plain(actual)),
                ("computed at", rfc3339(state.computed_at_ns)),
                ("send by", rfc3339(state.send_by_ns)),
            ),
            opened_at_ns=self.now_ns(),
            account=terms.account,
            strategy=terms.strategy,
            instrument=terms.instrument,
        )

    # ---- closing ------------------------------------------------------------------------------------------

    @handles(CloseLeg)
    def _close_leg(self, message: CloseLeg) -> None:
        self._close(str(message.reason))

    def _close(self, reason: str = "the intent is closing") -> None:
        self.closing = True
        self.planned = True
        # Cancels first: they go out also when nothing can be recorded any more, as the withdrawals must be.
        for open_order in self._still_open():
            self._cancel(open_order, reason)
        for state in self._orders():
            if isinstance(state, Computed):
                # It never left: the journal holds no submission, and the order's actor will find it withdrawn.
                self.record(SliceWithdrawn(client_order_id=state.terms.client_order_id, reason=reason))
        if self._still_open():
            self.after(self._account.orders.confirm_within_seconds, CheckClosing(), key="closing")
        self._tell()

    def _still_open(self) -> list[Sent | Acknowledged]:
        return [state for state in self._orders() if isinstance(state, (Sent, Acknowledged))]

    @handles(CheckClosing)
    def _check_closing(self, _message: CheckClosing) -> None:
        """Ask again for what nobody has taken up: a desk or an order that crashed over the request has lost it."""
        still_open = self._still_open()
        for state in still_open:
            if state.cancel is None:
                self._cancel(state, "the intent is closing, and the order is still open")
        if still_open:
            self.after(self._account.orders.confirm_within_seconds, CheckClosing(), key="closing")

    def _cancel(self, state: Sent | Acknowledged, reason: str) -> None:
        desk = self.context.find(Paths.account(self.work.account, "desk"))
        if desk is not None:  # otherwise it is being started again, and asked once more by the next check
            desk.tell(CancelOrder(client_order_id=state.terms.client_order_id, reason=reason))

    @property
    def _account(self) -> AccountSettings:
        return self.context.accounts[self.work.account]


class IntentActor(LegActor):
    """A single intent: the one leg is the whole, and its end is the terminal report."""

    ended = False

    def on_start(self) -> None:
        wait = max(0.0, (self.work.expires_at_ns - self.now_ns()) / 1e9)
        self.after(wait, Deadline(), key="deadline")
        super().on_start()

    @handles(Deadline)
    def _deadline(self, _message: Deadline) -> None:
        if not self.ended:
            self._close("the intent expired")

    def begun(self) -> None:
        """Nobody counts along with a single intent: its end alone is told."""

    def moved(self, progress: LegProgress) -> None:
        if not progress.ended or self.ended:
            return
        self.ended = True
        if progress.is_complete:
            outcome = "filled"
        elif progress.filled:
            outcome = "partly_filled"
        elif all(isinstance(state, Withdrawn) for state in self._orders()) and not self.closing:
            outcome = "not_sent"
        else:
            outcome = "unfilled"
        self.record(
            IntentEnded(
                strategy=self.work.strategy,
                intent_id=self.work.intent_id,
                outcome=outcome,
                filled=(progress.filled,),
                reason=self.why_not,
            )
        )
        self.stop()
