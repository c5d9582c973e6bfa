"""The witness of one account: compares book, venue and wallet, settles, diagnoses, and never corrects (law L3).

A comparison is made only between views of one fill watermark: read, and if a fill came meanwhile, read again. A
disagreement must survive a settling time and a second reading; then its cause is looked for before anyone is alerted.
What the venue's history has and the log lacks is booked under its execution ids, and that closes the alert as
explained. Any other drift pauses the strategies of the account until an operator resolves it; it is one alert, told
again when it changes and on a schedule, and asks nobody to repair anything in between.
"""

from ..model.account import SweepTrigger
from ..model.alert import Alert
from ..model.event import Event, LedgerRead, OpeningAdopted, OpeningObserved, TruthCompared
from ..model.fill import FillSource
from ..model.identifiers import AccountId, AlertId, AssetId, InstrumentId
from ..model.money import ZERO, Quantity, SignedQuantity
from ..model.report import ExecutionReport, Holding, HoldingsPage, Unreadable
from ..model.truth import BookView, Diagnosis, Difference, Seen, Truth, Unavailable, View, diagnosis_of
from ..model.value import Value
from .alerts import announce, opening_of, pauses_of
from .context import Context, Paths
from .diagnosis import Diagnosed, DiagnosingActor
from .exchange import HANGS_AFTER_SECONDS
from .fill_log import dropped_fill_alert, stalled_alert_id
from .kernel import Future, TaskDone, handles
from .messages import (
    AskTruth,
    CompareNow,
    Explain,
    LogExecutions,
    OpeningKnown,
    Raise,
    Sweep,
    TruthTold,
)
from .views import Observed, view_of
from .witness_alerts import (
    DIFFERENCE,
    difference_text,
    drift_alert,
    drift_id,
    exit_alert,
    opening_alert,
    opening_id,
    stalled_alert,
    truth_evidence,
    unavailable_alert,
    unavailable_id,
)

AGAIN, CADENCE, HINT = "again", "cadence", "hint"
JOURNAL_EVERY_NS = 600_000_000_000
HINT_SECONDS = 3.0
OPENING_SETTLE_SECONDS = 60.0
"""A deposit that is just being made is in one view and not yet final in the other; nothing is traded meanwhile."""
OPENING = AssetId("the opening")
"""Stands for all assets together, as long as there is no baseline."""


class Drift(Value, frozen=True):
    """A difference that was diagnosed and told, and when; `differences` are empty where a process before told it."""

    diagnosis: Diagnosis
    differences: tuple[Difference, ...]
    told_at_ns: int


class Asked(Value, frozen=True):
    """Somebody waits for a comparison that begins after reading number `behind`."""

    answer: Future[TruthTold]
    settled: bool
    behind: int


class WitnessActor(DiagnosingActor):
    """One account's position truth."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.busy = False
        self.again = False
        self.hinted = False
        self.diagnosing = False
        self.searched = False
        """Whether the history was searched since somebody asked for what has settled."""
        self.readings = 0
        self.asked: list[Asked] = []
        self.ledger_unread = ""
        self.differing_since: dict[AssetId, int] = {}
        self.last_difference: dict[AssetId, tuple[Difference, ...]] = {}
        self.unavailable_since: dict[str, int] = {}
        self.agreed_at_ns: dict[AssetId, int] = {}
        self.journalled_at_ns: dict[AssetId, int] = {}
        self.drifts: dict[AssetId, Drift] = {}

    def on_start(self) -> None:
        self._compare_within_a_cadence()

    # ---- when to compare ----------------------------------------------------------------------------------

    @handles(CompareNow)
    def _compare_now(self, message: CompareNow) -> None:
        if message.why == "hint":
            # Fills come in bursts: one comparison a little later is for all of them, and none can put it off again.
            if not self.hinted:
                self.hinted = True
                self.after(HINT_SECONDS, CompareNow(why="settled hint"), key=HINT)
            return
        if message.why == "settled hint":
            self.hinted = False
        self._compare_within_a_cadence()
        self._watch_settlements()
        if self.busy:
            self.again = self.again or message.why not in {"cadence", "asked"}
            return
        if not self.context.connection(self.account).gateway_ready:
            return
        self.busy = True
        self.readings += 1
        self.start_task(self.observe, name="observe", hangs_after_seconds=HANGS_AFTER_SECONDS)

    def _compare_within_a_cadence(self) -> None:
        """The cadence is the longest time without a comparison, whatever the last one was for."""
        self.after(self.settings.witness.cadence_seconds, CompareNow(why="cadence"), key=CADENCE)

    @handles(AskTruth)
    def _ask_truth(self, message: AskTruth) -> None:
        self.searched = False
        self.asked.append(Asked(answer=self.defer_reply(), settled=message.settled, behind=self.readings))
        self._compare_now(CompareNow(why="asked"))

    @handles(TaskDone)
    def _done(self, message: TaskDone) -> None:
        match message.value:
            case Observed() as observed:
                self.busy = False
                self.ledger_unread = observed.ledger_unread
                if not self.ledger.account(self.account).opened:
                    self._open(observed)
                    settled = True
                else:
                    settled = self._compare(observed)
                self._answer(settled=settled and not self.diagnosing)
                if self.again:
                    self.again = False
                    self.actor_ref.tell(CompareNow(why="hint"))
                if any(asked.behind == self.readings for asked in self.asked):
                    self.actor_ref.tell(CompareNow(why="asked"))
            case Diagnosed() as diagnosed:
                self.diagnosing = False
                self._conclude(diagnosed)

    def _answer(self, *, settled: bool) -> None:
        """Tell those who waited for a comparison like this one."""
        unread = tuple(f"{name} since {since}" for name, since in sorted(self.unavailable_since.items()))
        truths = tuple(truth for (account, _), truth in sorted(self.ledger.truths.items()) if account == self.account)
        waiting: list[Asked] = []
        for asked in self.asked:
            if asked.behind < self.readings and (settled or not asked.settled):
                asked.answer.settle(TruthTold(truths=truths, unread=unread))
            else:
                waiting.append(asked)
        self.asked = waiting

    # ---- settlements --------------------------------------------------------------------------------------

    def _watch_settlements(self) -> None:
        """A match is a promise; one that is not kept for too long is told, and stays counted as matched."""
        now = self.now_ns()
        limit_ns = self.settings.witness.settlement_stalled_seconds * 1e9
        for fill in self.ledger.unsettled.values():
            key = fill.execution.key
            waited_ns = now - fill.execution.venue_time_ns
            if (
                key.account == self.account
                and waited_ns >= limit_ns
                and stalled_alert_id(key) not in self.ledger.alerts
            ):
                self._raise(stalled_alert(fill, now))

    # ---- the opening --------------------------------------------------------------------------------------

    def _open(self, observed: Observed) -> None:
        """Record what was there before the first fill: only what every view agrees on, and no position by itself."""
        entry = self.ledger.account(self.account)
        if entry.fills != observed.watermark or isinstance(observed.venue, Unreadable):
            self._look_again_soon()
            return
        unsettled = any(fill.execution.key.account == self.account for fill in self.ledger.unsettled.values())
        if isinstance(observed.wallet, Unreadable) or unsettled:
            # While a fill is in flight nobody can say whether a view has it already.
            self._look_again_soon()
            return
        venue = {held.asset: held.quantity for held in observed.venue.holdings if held.quantity}
        stamps = [observed.venue.stamp]
        if observed.wallet is not None:
            wallet = {held.asset: held.quantity for held in observed.wallet.holdings if held.quantity}
            stamps.append(observed.wallet.stamp)
            if wallet != venue:
                # One of the two may only be late: a difference must survive, as every other.
                since = self.differing_since.setdefault(OPENING, self.now_ns())
                if self.now_ns() - since >= OPENING_SETTLE_SECONDS * 1e9:
                    self._raise(opening_alert(self.account, "venue and wallet differ", venue, wallet, self.now_ns()))
                self._look_again_soon()
                return
        cash = self.dialect.settlement_asset
        # What an operator has adopted already is in the book, and asks for no rule any more.
        positions = [asset for asset in venue if asset != cash and venue[asset] != self._matched(asset)]
        if positions:
            self._positions_await_adoption(venue, tuple(stamps))
            return
        baseline = {asset: SignedQuantity(quantity - self._matched(asset)) for asset, quantity in venue.items()}
        events: list[Event] = [
            OpeningAdopted(
                account=self.account,
                holdings=_holdings({asset: quantity for asset, quantity in baseline.items() if quantity}),
                by="the first reading: cash on which every view agrees",
                stamps=tuple(stamps),
            )
        ]
        if observed.position is not None:
            # Whatever moved up to here is in the baseline; from here on the ledger is followed.
            events.append(LedgerRead(account=self.account, position=observed.position))
        self.record(*events)
        self.differing_since.pop(OPENING, None)
        self._explain(opening_id(self.account), "the opening was adopted")
        self.context.tell(Paths.account(self.account, "desk"), OpeningKnown())
        self._compare(observed)

    def _matched(self, asset: AssetId) -> SignedQuantity:
        return self.ledger.book(self.account, asset).matched

    def _positions_await_adoption(self, venue: dict[AssetId, SignedQuantity], stamps: tuple[str, ...]) -> None:
        """Record what was seen, once for each content, and ask for the only thing that may take it into the book."""
        holdings = _holdings(venue)
        if self.ledger.account(self.account).opening_observed != holdings:
            self.record(OpeningObserved(account=self.account, holdings=holdings, stamps=stamps))
            self.context.tell(Paths.account(self.account, "desk"), OpeningKnown())
        why = "there are positions, and only an operator's command adopts a position"
        self._raise(opening_alert(self.account, why, venue, venue, self.now_ns()))
        self._look_again_soon()

    def _look_again_soon(self) -> None:
        self.after(self.settings.witness.settle_seconds, CompareNow(why="again"), key=AGAIN)

    # ---- comparing ----------------------------------------------------------------------------------------

    def _compare(self, observed: Observed) -> bool:
        """Compare every asset; returns whether every difference has settled."""
        # A reading that fills overlapped, as often as it was repeated: each view may lie anywhere between the books
        # before and after it. Weaker than one watermark, and better than no comparison while trading goes on.
        overlapped = self.ledger.account(self.account).fills != observed.watermark
        search = any(asked.settled and asked.behind < self.readings for asked in self.asked) and not self.searched
        now = self.now_ns()
        settled: list[AssetId] = []
        waiting = False
        for asset in self._assets(observed):
            truth = Truth(
                account=self.account,
                asset=asset,
                book=self._book(asset, observed.before if overlapped else None),
                venue=self._view("venue", observed.venue, asset, now),
                wallet=self._view("wallet", observed.wallet, asset, now),
                watermark=observed.watermark,
                compared_at_ns=now,
                tolerance=self._tolerance(asset),
            )
            self._journal(truth)
            if truth.agree is not False:
                if truth.agree:
                    self._agreed(truth)
                continue
            if asset not in self.differing_since:
                self.differing_since[asset] = now
                self._swept_for(truth)
            drift = self.drifts.get(asset)
            if now - self.differing_since[asset] < self.settings.witness.settle_seconds * 1e9:
                waiting = True
            elif drift is None or search or self._is_due(drift) or self._has_changed(drift, truth):
                settled.append(asset)
            self.last_difference[asset] = truth.differences
        if waiting:
            self._look_again_soon()
        if settled and not self.diagnosing:
            self.diagnosing = self.searched = True
            agreed = min(self.agreed_at_ns.get(asset, self.context.born_ns) for asset in settled)
            self.start_task(
                self.diagnose, tuple(settled), agreed, name="diagnose", hangs_after_seconds=HANGS_AFTER_SECONDS
            )
        return not waiting

    def _is_due(self, drift: Drift) -> bool:
        return self.now_ns() - drift.told_at_ns >= self.settings.witness.realert_seconds * 1e9

    def _has_changed(self, drift: Drift, truth: Truth) -> bool:
        """Whether a drift is another one than was told, in two readings: it may only be passing through."""
        return truth.differences not in {drift.differences, ()} and (
            self.last_difference.get(truth.asset) == truth.differences
        )

    def _swept_for(self, truth: Truth) -> None:
        """A position that jumps is looked into at once, while it settles: fills that were lost are then soon back."""
        if truth.asset == self.dialect.settlement_asset:
            return
        jump = max(abs(part.amount) for part in truth.differences)
        if jump > self.settings.witness.position_jump:
            reconciler = self.context.find(Paths.connection(self.account, "reconciler"))
            if reconciler is not None:
                detail = f"{truth.asset} differs by {difference_text(truth)}"
                reconciler.tell(Sweep(trigger=SweepTrigger.POSITION_JUMP, detail=detail))

    def _book(self, asset: AssetId, before: dict[AssetId, BookView] | None) -> BookView:
        book = self.ledger.book(self.account, asset)
        if before is None or asset not in before:
            return book
        lowest, highest = min(book.lowest, before[asset].lowest), max(book.highest, before[asset].highest)
        return BookView(
            confirmed=book.confirmed,
            matched=book.matched,
            arriving=Quantity(highest - book.confirmed),
            leaving=Quantity(book.confirmed - lowest),
        )

    def _assets(self, observed: Observed) -> list[AssetId]:
        assets = {asset for account, asset in self.ledger.holdings if account == self.account}
        assets.add(self.dialect.settlement_asset)
        for page in (observed.venue, observed.wallet):
            if isinstance(page, HoldingsPage):
                assets.update(held.asset for held in page.holdings if held.quantity)
        return sorted(assets)

    def _view(self, name: str, page: HoldingsPage | Unreadable | None, asset: AssetId, now: int) -> View:
        if isinstance(page, Unreadable):
            since = self.unavailable_since.setdefault(name, now)
            if now - since >= self.settings.witness.unavailable_alert_seconds * 1e9:
                self._raise(unavailable_alert(self.account, name, since, page.why, now))
            return Unavailable(since_ns=since, why=page.why)
        if page is not None and self.unavailable_since.pop(name, None) is not None:
            self._explain(unavailable_id(self.account, name), f"the {name} can be read again")
        return view_of(name, page, asset, now)

    def _tolerance(self, asset: AssetId) -> SignedQuantity:
        instrument = self.ledger.instruments.get(InstrumentId(asset))
        return SignedQuantity(instrument.drift_tolerance if instrument is not None else ZERO)

    def _journal(self, truth: Truth) -> None:
        """Record a comparison when something changed, and now and then when nothing did."""
        before = self.ledger.truths.get((self.account, truth.asset))
        recent = truth.compared_at_ns - self.journalled_at_ns.get(truth.asset, 0) < JOURNAL_EVERY_NS
        if before is not None and recent and _same(before, truth):
            return
        self.journalled_at_ns[truth.asset] = truth.compared_at_ns
        self.record(TruthCompared(truth=truth))

    def _agreed(self, truth: Truth) -> None:
        self.agreed_at_ns[truth.asset] = truth.compared_at_ns
        self.differing_since.pop(truth.asset, None)
        self.last_difference.pop(truth.asset, None)
        alert_id = drift_id(self.account, truth.asset)
        if self.drifts.pop(truth.asset, None) is not None or alert_id in self.ledger.alerts:
            self._explain(alert_id, "the views agree again", truth_evidence(truth))

    # ---- concluding ---------------------------------------------------------------------------------------

    def _conclude(self, found: Diagnosed) -> None:
        """Have booked what the history has; what it does not explain is a drift."""
        if found.unreadable:
            self._look_again_soon()
            return
        explained = self._book_exits(found) | self._have_swept(found)
        for asset in found.assets:
            truth = self.ledger.truths.get((self.account, asset))
            if truth is None or not truth.differences:
                continue
            if asset in explained:
                self.differing_since[asset] = self.now_ns()  # what is booked now gets the settling time again
                continue
            self._drift(truth)
        self._answer(settled=not explained)
        self._look_again_soon()

    def _have_swept(self, found: Diagnosed) -> set[AssetId]:
        """Fills that the log lacks come in through a sweep, which leaves its record."""
        if not found.missing:
            return set()
        for execution in found.missing:
            order = self.ledger.by_venue_id.get((self.account, execution.key.venue_order_id))
            self._raise(dropped_fill_alert(execution, order, self.now_ns()))
        since_ns = min(execution.venue_time_ns for execution in found.missing) - 1_000_000_000
        detail = f"{len(found.missing)} fills are not in the log"
        sweep = Sweep(trigger=SweepTrigger.DRIFT, detail=detail, since_ns=since_ns)
        self.context.tell(Paths.connection(self.account, "reconciler"), sweep)
        return {AssetId(execution.instrument) for execution in found.missing} | {self.dialect.settlement_asset}

    def _book_exits(self, found: Diagnosed) -> set[AssetId]:
        """*Book open, venue flat*: the real exit is booked as what it was, and a person is told."""
        if not found.exits:
            return set()
        for asset, exits in found.exits:
            # Before the fills: whoever finds them in the journal finds the alert in front of them.
            alert = exit_alert(self.ledger.truths[self.account, asset], exits, self.now_ns())
            if opened := opening_of(self.context, alert):
                announce(self.context, alert, self.record(*opened))
            reports = tuple(ExecutionReport(execution=execution) for execution in exits)
            self.context.tell(
                Paths.account(self.account, "fills"),
                LogExecutions(reports=reports, source=FillSource.RECOVERY, received_at_ns=self.now_ns()),
            )
        return {asset for asset, _ in found.exits} | {self.dialect.settlement_asset}

    def _drift(self, truth: Truth) -> None:
        """Tell a drift that is new or has changed; one that is the same is told again on its schedule, and no more."""
        asset, now = truth.asset, self.now_ns()
        before = self.drifts.get(asset)
        diagnosis = diagnosis_of(truth, is_position=asset != self.dialect.settlement_asset)
        alert = drift_alert(truth, diagnosis, now, ledger_unread=self.ledger_unread)
        known = self.ledger.alerts.get(alert.alert_id)
        told = known is not None and dict(known.evidence).get(DIFFERENCE) == difference_text(truth)
        same = told if before is None else before.differences == truth.differences
        due = before is not None and self._is_due(before)
        told_at_ns = before.told_at_ns if same and before is not None and not due else now
        self.drifts[asset] = Drift(diagnosis=diagnosis, differences=truth.differences, told_at_ns=told_at_ns)
        if not same:
            grave = diagnosis is not Diagnosis.VENUE_VIEW_STALE
            pauses = pauses_of(self.context, self.account, alert.message, alert.alert_id) if grave else ()
            # One group: no alert without its pauses, wherever the process ends.
            announce(self.context, alert, self.record(*opening_of(self.context, alert, again=True), *pauses))
        elif due and known is not None:
            self._raise(alert, again=True)  # nobody has answered it; it pauses nothing anew

    def _raise(self, alert: Alert, *, again: bool = False) -> None:
        self.context.ref(Paths.ALERTS).tell(Raise(alert=alert, again=again))

    def _explain(self, alert_id: AlertId, by: str, evidence: tuple[tuple[str, str], ...] = ()) -> None:
        self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert_id, by=by, evidence=evidence))


def _holdings(quantities: dict[AssetId, SignedQuantity]) -> tuple[Holding, ...]:
    return tuple(Holding(asset=asset, quantity=quantity) for asset, quantity in sorted(quantities.items()))


def _same(before: Truth, now: Truth) -> bool:
    """Whether nothing but the time of reading differs."""
    return (before.book, _shown(before.venue), _shown(before.wallet)) == (
        now.book,
        _shown(now.venue),
        _shown(now.wallet),
    )


def _shown(view: View) -> object:
    return view.quantity if isinstance(view, Seen) else type(view)
