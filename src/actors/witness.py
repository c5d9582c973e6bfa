"""The witness of one account: compares book, venue and wallet, settles, diagnoses, and never corrects (law L3).

A comparison is made only between views of one fill watermark: read, and if a fill came meanwhile, read again. A
disagreement must survive a settling time and a second reading; then its cause is looked for before anyone is alerted.
A fill that the venue's history has and the log lacks is alerted as dropped, and the sweep that books it closes the
alert as explained. Any other drift pauses the strategies of the account until an operator resolves it.
"""

from ..model.account import SweepTrigger
from ..model.alert import Alert, AlertKind, Severity
from ..model.event import OpeningAdopted, TruthCompared
from ..model.fill import Execution
from ..model.identifiers import AccountId, AlertId, AssetId, InstrumentId
from ..model.money import ZERO, Quantity, SignedQuantity, plain
from ..model.report import Holding, HoldingsPage, Unreadable
from ..model.timestamps import rfc3339
from ..model.truth import Absent, BookView, Diagnosis, Seen, Truth, Unavailable, View
from ..model.value import Value
from ..store.records import FILLS, fill_row
from .context import Context, Paths
from .fill_log import dropped_fill_alert, stalled_alert_id
from .kernel import TaskDone, handles
from .messages import CompareNow, Explain, OpeningKnown, PauseStrategy, Raise, Sweep
from .settings import OpeningPolicy
from .views import Observed, ObservingActor, view_of

AGAIN, CADENCE, HINT = "again", "cadence", "hint"
JOURNAL_EVERY_NS = 600_000_000_000
HINT_SECONDS = 3.0
NOTHING = SignedQuantity(ZERO)
OPENING_SETTLE_SECONDS = 60.0
"""A deposit that is just being made is in one view and not yet final in the other; nothing is traded meanwhile."""
OPENING = AssetId("the opening")
"""Stands for all assets together, as long as there is no baseline."""


class Diagnosed(Value, frozen=True):
    """What the venue's history has and the log lacks, for assets whose drift has settled."""

    assets: tuple[AssetId, ...]
    missing: tuple[Execution, ...]
    unreadable: str


class WitnessActor(ObservingActor):
    """One account's position truth."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.busy = False
        self.again = False
        self.hinted = False
        self.differing_since: dict[AssetId, int] = {}
        self.unavailable_since: dict[str, int] = {}
        self.agreed_at_ns: dict[AssetId, int] = {}
        self.journalled_at_ns: dict[AssetId, int] = {}
        self.diagnosed: dict[AssetId, Diagnosis] = {}

    def on_start(self) -> None:
        self.after(self.settings.witness.cadence_seconds, CompareNow(why="cadence"), key=CADENCE)

    # ---- when to compare ----------------------------------------------------------------------------------

    @handles(CompareNow)
    def _compare_now(self, message: CompareNow) -> None:
        if message.why == "cadence":
            self.after(self.settings.witness.cadence_seconds, message, key=CADENCE)
            self._watch_settlements()
        elif message.why == "hint":
            # Fills come in bursts: one comparison a little later is for all of them, and none can put it off again.
            if not self.hinted:
                self.hinted = True
                self.after(HINT_SECONDS, CompareNow(why="settled hint"), key=HINT)
            return
        elif message.why == "settled hint":
            self.hinted = False
        if self.busy:
            self.again = self.again or message.why != "cadence"
            return
        if not self.context.connection(self.account).gateway_ready:
            return
        self.busy = True
        self.start_task(self.observe, name="observe")

    @handles(TaskDone)
    def _done(self, message: TaskDone) -> None:
        match message.value:
            case Observed() as observed:
                self.busy = False
                if not self.ledger.account(self.account).opened:
                    self._open(observed)
                else:
                    self._compare(observed)
                if self.again:
                    self.again = False
                    self.actor_ref.tell(CompareNow(why="hint"))
            case Diagnosed() as diagnosed:
                self._conclude(diagnosed)

    # ---- settlements --------------------------------------------------------------------------------------

    def _watch_settlements(self) -> None:
        """A match is a promise; one that is not kept for too long is told, and stays counted as matched."""
        now = self.now_ns()
        limit_ns = self.settings.witness.settlement_stalled_seconds * 1e9
        for fill in self.ledger.unsettled.values():
            execution = fill.execution
            alert_id = stalled_alert_id(execution.key)
            waited_ns = now - execution.venue_time_ns
            if execution.key.account != self.account or waited_ns < limit_ns or alert_id in self.ledger.alerts:
                continue
            self._raise(
                alert_id,
                AlertKind.SETTLEMENT_STALLED,
                f"{self.account}: trade {execution.key.trade_id} was matched {waited_ns / 1e9:.0f} s ago and is still "
                f"{execution.settlement}; its {plain(execution.quantity)} {execution.instrument} may yet be reversed",
                "",
                (
                    ("trade", execution.key.trade_id),
                    ("order", fill.client_order_id or execution.key.venue_order_id),
                    ("execution", f"{execution.direction} {plain(execution.quantity)} at {plain(execution.price)}"),
                    ("settlement", execution.settlement),
                    ("transaction", execution.transaction),
                ),
                Severity.WARNING,
            )

    # ---- the opening --------------------------------------------------------------------------------------

    def _open(self, observed: Observed) -> None:
        """Record what was there before the first fill: only what every view agrees on, and by the operator's rule."""
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
        views = [observed.venue.stamp]
        if observed.wallet is not None:
            wallet = {held.asset: held.quantity for held in observed.wallet.holdings if held.quantity}
            views.append(observed.wallet.stamp)
            if wallet != venue:
                # One of the two may only be late: a difference must survive, as every other.
                since = self.differing_since.setdefault(OPENING, self.now_ns())
                if self.now_ns() - since >= OPENING_SETTLE_SECONDS * 1e9:
                    self._refuse_opening("venue and wallet differ", venue, wallet)
                else:
                    self._look_again_soon()
                return
        cash = self.dialect.settlement_asset
        # What an operator has adopted already is in the book, and asks for no rule any more.
        positions = [asset for asset in venue if asset != cash and venue[asset] != self._matched(asset)]
        if positions and self.settings.opening is not OpeningPolicy.ADOPT:
            self._refuse_opening(f"there are positions and opening is {self.settings.opening}", venue, venue)
            return
        baseline = {asset: SignedQuantity(quantity - self._matched(asset)) for asset, quantity in venue.items()}
        holdings = tuple(Holding(asset=asset, quantity=quantity) for asset, quantity in sorted(baseline.items()))
        self.record(
            OpeningAdopted(
                account=self.account,
                holdings=holdings,
                by=f"configuration: opening = {self.settings.opening}",
                stamps=tuple(views),
            )
        )
        self.differing_since.pop(OPENING, None)
        alert_id = AlertId(f"opening:{self.account}")
        self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert_id, by="the opening was adopted"))
        self.context.ref(Paths.account(self.account, "desk")).tell(OpeningKnown())
        self._compare(observed)

    def _matched(self, asset: AssetId) -> SignedQuantity:
        return self.ledger.book(self.account, asset).matched

    def _refuse_opening(
        self, why: str, venue: dict[AssetId, SignedQuantity], wallet: dict[AssetId, SignedQuantity]
    ) -> None:
        evidence = tuple(
            (
                asset,
                f"venue {plain(venue.get(asset, NOTHING))}, wallet {plain(wallet.get(asset, NOTHING))}",
            )
            for asset in sorted({*venue, *wallet})
        )
        self._raise(
            AlertId(f"opening:{self.account}"),
            AlertKind.DRIFT,
            f"{self.account}: what the account holds cannot be taken as the opening ({why}); it stays out of Live "
            "until an operator adopts it (tallystick adopt)",
            "opening",
            evidence,
            Severity.CRITICAL,
        )
        self._look_again_soon()

    def _look_again_soon(self) -> None:
        self.after(self.settings.witness.settle_seconds, CompareNow(why="again"), key=AGAIN)

    # ---- comparing ----------------------------------------------------------------------------------------

    def _compare(self, observed: Observed) -> None:
        # A reading that fills overlapped, as often as it was repeated: each view may lie anywhere between the books
        # before and after it. Weaker than one watermark, and better than no comparison while trading goes on.
        overlapped = self.ledger.account(self.account).fills != observed.watermark
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
            since = self.differing_since.setdefault(asset, now)
            if now - since >= self.settings.witness.settle_seconds * 1e9:
                if asset not in self.diagnosed:
                    settled.append(asset)
            else:
                waiting = True
        if waiting:
            self._look_again_soon()
        if settled:
            self.start_task(self._diagnose, tuple(settled), name="diagnose")

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
            self._alert_unavailable(name, since, page.why)
            return Unavailable(since_ns=since, why=page.why)
        if page is not None and self.unavailable_since.pop(name, None) is not None:
            alert_id = AlertId(f"view_unavailable:{self.account}:{name}")
            self.context.ref(Paths.ALERTS).tell(Explain(alert_id=alert_id, by=f"the {name} can be read again"))
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
        if self.diagnosed.pop(truth.asset, None) is not None or self._drift_alert(truth.asset) in self.ledger.alerts:
            self.context.ref(Paths.ALERTS).tell(
                Explain(
                    alert_id=self._drift_alert(truth.asset),
                    by="the views agree again",
                    evidence=_evidence(truth),
                )
            )

    # ---- diagnosing ---------------------------------------------------------------------------------------

    async def _diagnose(self, assets: tuple[AssetId, ...]) -> Diagnosed:
        """Look into the venue's history since the last agreement for executions that the log lacks."""
        overlap_ns = int(self.settings.reconciler.overlap_seconds * 1e9)
        agreed = min(self.agreed_at_ns.get(asset, self.context.born_ns) for asset in assets)
        journal = self.context.recorder.journal
        missing: list[Execution] = []
        cursor: str | None = None
        while True:
            request = self.dialect.list_executions(max(0, agreed - overlap_ns), cursor)
            page = self.dialect.read_executions(await self.request(request))
            if isinstance(page, Unreadable):
                return Diagnosed(assets=assets, missing=tuple(missing), unreadable=page.why)
            missing += [found for found in page.executions if journal.get(FILLS, fill_row(found.key)) is None]
            cursor = page.next_cursor
            if cursor is None:
                return Diagnosed(assets=assets, missing=tuple(missing), unreadable="")

    def _conclude(self, found: Diagnosed) -> None:
        if found.unreadable:
            self._look_again_soon()
            return
        alerts = self.context.ref(Paths.ALERTS)
        explained: set[AssetId] = set()
        for execution in found.missing:
            order = self.ledger.by_venue_id.get((self.account, execution.key.venue_order_id))
            alerts.tell(Raise(alert=dropped_fill_alert(execution, order, self.now_ns())))
            explained |= {AssetId(execution.instrument), self.dialect.settlement_asset}
        if found.missing:
            reconciler = self.context.ref(Paths.connection(self.account, "reconciler"))
            since_ns = min(execution.venue_time_ns for execution in found.missing) - 1_000_000_000
            detail = f"{len(found.missing)} fills are not in the log"
            reconciler.tell(Sweep(trigger=SweepTrigger.DRIFT, detail=detail, since_ns=since_ns))
        for asset in found.assets:
            truth = self.ledger.truths.get((self.account, asset))
            if truth is None or not truth.differences:
                continue
            if asset in explained:
                self.differing_since[asset] = self.now_ns()  # the sweep gets the settling time again
                continue
            self._drift(truth)
        self._look_again_soon()

    def _drift(self, truth: Truth) -> None:
        wallet_agrees = isinstance(truth.wallet, Seen) and all(part.view != "wallet" for part in truth.differences)
        stale = wallet_agrees and len(truth.differences) == 1
        diagnosis = Diagnosis.VENUE_VIEW_STALE if stale else Diagnosis.UNEXPLAINED
        self.diagnosed[truth.asset] = diagnosis
        what = ", ".join(f"{part.view} {plain(part.amount)}" for part in truth.differences)
        text = (
            f"{self.account}: {truth.asset} differs from the book by {what}; "
            + ("the wallet agrees with the book, the venue's view is behind" if stale else "no cause was found; ")
            + ("" if stale else "the strategies of the account are paused, nothing is corrected")
        )
        alert_id = self._drift_alert(truth.asset)
        severity = Severity.WARNING if stale else Severity.CRITICAL
        self._raise(alert_id, AlertKind.DRIFT, text, diagnosis, _evidence(truth), severity)
        if stale:
            return
        for strategy, settings in self.context.strategies.items():
            if self.account in settings.accounts:
                desk = self.context.ref(Paths.strategy(strategy, "desk"))
                desk.tell(PauseStrategy(strategy=strategy, reason=text, alert_id=alert_id))

    def _drift_alert(self, asset: AssetId) -> AlertId:
        return AlertId(f"drift:{self.account}:{asset}")

    def _alert_unavailable(self, name: str, since: int, why: str) -> None:
        waited = (self.now_ns() - since) / 1e9
        if waited < self.settings.witness.unavailable_alert_seconds:
            return
        self._raise(
            AlertId(f"view_unavailable:{self.account}:{name}"),
            AlertKind.VIEW_UNAVAILABLE,
            f"{self.account}: the {name} could not be read for {waited:.0f} s; it is unknown, not zero, and the other "
            "views go on being compared",
            "",
            (("since", rfc3339(since)), ("last failure", why)),
            Severity.WARNING,
        )

    def _raise(
        self,
        alert_id: AlertId,
        kind: AlertKind,
        message: str,
        diagnosis: str,
        evidence: tuple[tuple[str, str], ...],
        severity: Severity,
    ) -> None:
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=alert_id,
                    kind=kind,
                    severity=severity,
                    message=message,
                    diagnosis=diagnosis,
                    evidence=evidence,
                    opened_at_ns=self.now_ns(),
                    account=self.account,
                )
            )
        )


def _same(before: Truth, now: Truth) -> bool:
    """Whether nothing but the time of reading differs."""
    return (before.book, _shown(before.venue), _shown(before.wallet)) == (
        now.book,
        _shown(now.venue),
        _shown(now.wallet),
    )


def _shown(view: View) -> object:
    return view.quantity if isinstance(view, Seen) else type(view)


def _evidence(truth: Truth) -> tuple[tuple[str, str], ...]:
    """The three views side by side, as a person wants to read them."""

    def text(view: View) -> str:
        match view:
            case Seen():
                return f"{plain(view.quantity)} ({view.stamp})"
            case Unavailable():
                return f"unavailable since {view.since_ns}: {view.why}"
            case Absent():
                return "no such view"

    book = plain(truth.book.confirmed)
    if not truth.book.is_quiet:
        book = f"{book} settled, {plain(truth.book.matched)} matched"
    return (
        ("asset", truth.asset),
        ("book", book),
        ("venue", text(truth.venue)),
        ("wallet", text(truth.wallet)),
        ("watermark", str(truth.watermark)),
    )
