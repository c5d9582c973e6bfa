"""The laws that hold in every world, whatever happens in it (design 14): what must never be seen, and how one looks.

`Guard` watches one world from its start. What can be judged at once is judged at once, in the moment in which a
request leaves, a report is read or a commit is durable; the rest when the world is quiet. Everything is held against
the durable journal and the venue's own books, never against what the runtime believes.
"""

from collections.abc import Callable, Container
from decimal import Decimal

import trio

from ...actors.ticket import Report, ReportKind
from ...model.account import AccountState
from ...model.alert import AlertKind
from ...model.event import (
    BracketDecided,
    CancelRequested,
    Event,
    FillRecorded,
    FillSettled,
    HoldingAdopted,
    IntentAccepted,
    IntentEnded,
    OpeningAdopted,
    OperatorCommanded,
    OrderDone,
    OrderSubmitted,
    SliceComputed,
    SliceWithdrawn,
    TransferBooked,
)
from ...model.fill import Settlement
from ...model.identifiers import AccountId, AssetId, ClientOrderId, CommandId, IntentId, TradeId, VenueOrderId
from ...model.intent import PairIntent
from ...model.ledger import IntentKey, Ledger
from ...model.order import OrderTerms
from ...model.outcome import Cancelled, Expired, Filled, NeverArrived, Rejected
from ...model.sizing import pair_quantities
from ...model.value import Value
from ...store import verify
from ...store.memory import MemoryStore
from ...store.records import journal_schema
from .wire import HttpRequest
from .world import World

LAWS: dict[str, str] = {
    "durable_before_sent": "No order, and while the store works no cancel, leaves before its cause is durable.",
    "durable_before_told": "No report reaches the host before its event is durable.",
    "only_while_live": "A new order leaves only while its account is Live.",
    "one_order_per_slice": "Each (intent, leg, slice, attempt) is signed once, and is at most one order at the venue.",
    "each_fill_once": "A fill enters the log once, for ever.",
    "one_end": "Orders, brackets and intents end once, and nothing ends that had not begun.",
    "never_more_than_intended": "What was executed and what is open of a leg never exceed what was intended.",
    "outcomes_equal": "Every order's outcome is the one that the venue has in its own books.",
    "fills_equal": "The log has the fills that the venue has: each of them, and no other.",
    "moved_by_evidence": "Only executions, the ledger's transactions and an operator's command move a book.",
    "views_equal": "Once quiet, the book is what the venue and the wallet hold, to the last unit.",
    "nobody_else": "The venue has no order of ours that the journal does not know or that was not told of as foreign.",
    "every_intent_ends": "Every accepted intent ends in one terminal report, the same however often it is told.",
    "reports_in_order": "A ticket's reports come in order, without a gap, and nothing comes after the terminal one.",
    "replay_equals_state": "What the journal adds up to is what the runtime believes.",
    "audit_verifies": "The audit chain verifies from its first record to its last.",
    "strangers_are_shown": "What was done behind the runtime's back is alerted, and never corrected.",
}


Key = tuple[TradeId, VenueOrderId]


class Breach(Value, frozen=True):
    """A law that was seen broken, and how; `at_seconds` of the world's time."""

    law: str
    what: str
    at_seconds: float


class Guard:
    """Watches one world from its start. `breaches` is what it saw, oldest first."""

    def __init__(self, world: World) -> None:
        self.breaches: list[Breach] = []
        self.at_breach: list[Callable[[], None]] = []
        """Called after each."""
        self.told: dict[tuple[int, IntentId, int], list[Report]] = {}
        """Reports by the start of the runtime that told them, counted from 1, the intent, and the ticket's number."""
        self._world = world
        self._seen = 0
        self._terms: dict[ClientOrderId, OrderTerms] = {}
        self._slices: set[tuple[object, ...]] = set()
        self._bodies: dict[bytes, ClientOrderId] = {}
        self._signed: dict[ClientOrderId, VenueOrderId] = {}
        self._cancels: set[ClientOrderId] = set()
        self._fills: dict[Key, Decimal] = {}
        self._reversed: set[Key] = set()
        self._ended_orders: set[ClientOrderId] = set()
        self._accepted: dict[IntentKey, IntentAccepted] = {}
        self._ended: dict[IntentKey, IntentEnded] = {}
        self._logged_at_end: dict[tuple[IntentKey, int], Decimal] = {}
        self._decided: set[IntentKey] = set()
        self._left: set[bytes] = set()
        self._exposed: dict[tuple[IntentKey, int], Decimal] = {}
        self._opened: set[AccountId] = set()
        self._commands: set[CommandId] = set()
        self._transfers: set[str] = set()
        world.at_request.append(self._request)

    # ---- at once ------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Judge what has become durable since the last step."""
        entries = self._world.entries()
        if len(entries) < self._seen:
            self._breach("durable_before_sent", f"the journal has {len(entries)} entries and once had {self._seen}")
        fresh, self._seen = entries[self._seen :], len(entries)
        for entry in fresh:
            if isinstance(entry.event, Event):
                self._event(entry.event)

    def hear(self, report: Report, ticket: int = 0) -> None:
        """Judge a report in the moment in which the host reads it. Each start of a runtime numbers anew.

        `ticket` tells the tickets of one intent apart: one that is handed in after its end gets another.
        """
        self.step()
        heard = self.told.setdefault((self._world.starts, report.intent_id, ticket), [])
        comes_first = report.kind is not ReportKind.ACCEPTED or report.number == 1
        if report.number != len(heard) + 1 or not comes_first or (heard and heard[-1].is_last):
            self._breach("reports_in_order", f"after {len(heard)} reports of {report.intent_id} came {report}")
        heard.append(report)
        key = (report.strategy, report.intent_id)
        if report.kind is ReportKind.ACCEPTED and key not in self._accepted:
            self._breach("durable_before_told", f"{key} was told as accepted and is not in the journal")
        elif report.kind is ReportKind.ENDED and key not in self._ended:
            self._breach("durable_before_told", f"{key} was told as ended and is not in the journal")
        elif report.kind is ReportKind.FILL:
            told = sum((found.quantity or 0 for found in heard if found.kind is ReportKind.FILL), Decimal(0))
            if told > self._logged(report.intent_id):
                what = f"{told} of {key} were told as filled, the journal has {self._logged(report.intent_id)}"
                self._breach("durable_before_told", what)

    def _logged(self, intent_id: IntentId, leg: int | None = None, *, only: Container[Key] | None = None) -> Decimal:
        """What the log has of an intent or of one leg of it, reversed or not; or only these executions of it."""
        names = {
            self._signed[order]
            for order, terms in self._terms.items()
            if terms.intent_id == intent_id and leg in {None, terms.leg} and order in self._signed
        }
        found = (quantity for key, quantity in self._fills.items() if key[1] in names and (only is None or key in only))
        return sum(found, Decimal(0))

    def _request(self, request: HttpRequest) -> None:
        """Judge a request in the moment in which it leaves."""
        rig = self._world.rig
        body = rig.order_body(request)
        if body is not None:
            self.step()
            if body not in self._bodies:
                self._breach("durable_before_sent", f"an order left whose bytes are not in the journal: {body!r:.300}")
            if body not in self._left:
                self._left.add(body)
                state = self._world.context.ledger.account(rig.account).state
                if state is not AccountState.LIVE:
                    self._breach("only_while_live", f"a new order left while the account was {state}: {body!r:.300}")
        for venue_order_id in rig.cancelled_orders(request):
            if self._world.store.failed is not None:
                return  # cancels go on when nothing can be recorded any more: less risk, and nothing to lose
            self.step()
            order = next((known for known, found in self._signed.items() if found == venue_order_id), None)
            if order not in self._cancels:
                self._breach("durable_before_sent", f"a cancel of {venue_order_id} ({order}) left without its event")

    def _event(self, event: Event) -> None:
        match event:
            case SliceComputed(terms=terms):
                name = (terms.strategy, terms.intent_id, terms.leg, terms.slice_number, terms.attempt)
                if terms.client_order_id in self._terms or name in self._slices:
                    self._breach("one_order_per_slice", f"{terms.client_order_id} was computed twice")
                self._terms[terms.client_order_id] = terms
                self._slices.add(name)
            case OrderSubmitted():
                if event.client_order_id in self._signed or event.body in self._bodies:
                    self._breach("one_order_per_slice", f"{event.client_order_id} was signed twice")
                self._signed[event.client_order_id] = event.venue_order_id
                self._bodies[event.body] = event.client_order_id
                self._expose(event.client_order_id, self._quantity(event.client_order_id))
            case CancelRequested():
                self._cancels.add(event.client_order_id)
            case FillRecorded():
                self._fill(event)
            case FillSettled(settlement=Settlement.REVERSED):
                self._reversed.add((event.key.trade_id, event.key.venue_order_id))
            case OrderDone() | SliceWithdrawn():
                if event.client_order_id in self._ended_orders:
                    self._breach("one_end", f"order {event.client_order_id} ended twice")
                if event.client_order_id not in self._terms:
                    self._breach("one_end", f"order {event.client_order_id} ended and was never computed")
                self._ended_orders.add(event.client_order_id)
                if isinstance(event, OrderDone):
                    executed = getattr(event.outcome, "filled", Decimal(0))
                    self._expose(event.client_order_id, executed - self._quantity(event.client_order_id))
            case IntentAccepted():
                key = (event.intent.strategy, event.intent.intent_id)
                if key in self._accepted:
                    self._breach("one_end", f"intent {key} was accepted twice")
                self._accepted[key] = event
            case BracketDecided():
                if (event.strategy, event.intent_id) in self._decided:
                    self._breach("one_end", f"bracket {event.intent_id} decided twice")
                self._decided.add((event.strategy, event.intent_id))
            case IntentEnded():
                key = (event.strategy, event.intent_id)
                if key in self._ended or key not in self._accepted:
                    self._breach("one_end", f"intent {key} ended twice, or without having been accepted")
                self._ended[key] = event
                self._as_it_stood(event)
            case OpeningAdopted() | OperatorCommanded() | HoldingAdopted() | TransferBooked():
                self._moved(event)
            case _:
                pass

    def _moved(self, event: OpeningAdopted | OperatorCommanded | HoldingAdopted | TransferBooked) -> None:
        """Judge what moves a book without an execution."""
        match event:
            case OpeningAdopted():
                positions = [held for held in event.holdings if held.asset != self._world.rig.settlement_asset]
                if positions or event.account in self._opened:
                    self._breach("moved_by_evidence", f"an opening moved the book: {event}")
                self._opened.add(event.account)
            case OperatorCommanded():
                self._commands.add(event.command_id)
            case HoldingAdopted():
                if event.command_id not in self._commands:
                    self._breach("moved_by_evidence", f"nobody commanded it: {event}")
            case TransferBooked():
                transaction = event.transfer.transaction
                if transaction in self._transfers or not self._world.venue.has_transaction(transaction):
                    self._breach("moved_by_evidence", f"twice, or not on the ledger: {event.transfer}")
                self._transfers.add(transaction)

    def _fill(self, event: FillRecorded) -> None:
        execution = event.fill.execution
        key = (execution.key.trade_id, execution.key.venue_order_id)
        if key in self._fills:
            self._breach("each_fill_once", f"{key} entered the log twice")
        self._fills[key] = execution.quantity
        if execution.settlement is Settlement.REVERSED:
            self._reversed.add(key)

    def _expose(self, order: ClientOrderId, quantity: Decimal) -> None:
        """Count what of a leg is signed and may still be executed, or was."""
        terms = self._terms.get(order)
        if terms is None:
            return
        key = (terms.strategy, terms.intent_id)
        leg = (key, terms.leg)
        exposed = self._exposed[leg] = self._exposed.get(leg, Decimal(0)) + quantity
        if key not in self._accepted:
            self._breach("never_more_than_intended", f"{order} was signed for an intent that nobody handed in")
        elif exposed > self._intended(key, terms.leg):
            what = f"{exposed} of leg {terms.leg} of {key} are signed, {self._intended(key, terms.leg)} were intended"
            self._breach("never_more_than_intended", what)

    def _quantity(self, order: ClientOrderId) -> Decimal:
        return self._terms[order].quantity if order in self._terms else Decimal(0)

    def _intended(self, key: IntentKey, leg: int) -> Decimal:
        intent = self._accepted[key].intent
        if not isinstance(intent, PairIntent):
            return intent.quantity
        rules = self._world.folded().instruments
        quantities = pair_quantities(intent, rules[intent.long.instrument], rules[intent.short.instrument])
        return quantities[leg]

    # ---- when all is quiet --------------------------------------------------------------------------------

    def settled(self) -> None:
        """Judge a world that runs and is quiet: everything has arrived, nothing is at work."""
        self.step()
        for law in (self._outcomes, self._fills_equal, self._views, self._nobody_else, self._ends, self._replay):
            law()
        self._strangers()

    async def stopped(self) -> None:
        """Judge a world in which no runtime runs any more."""
        self.step()
        disk = self._world.disk
        async with MemoryStore(journal_schema(), disk.survivor(disk.groups)) as store:
            report = verify(store)
        if not report.intact:
            self._breach("audit_verifies", str(report))

    def _outcomes(self) -> None:
        at_venue = {order.venue_order_id: order for order in self._world.venue.orders()}
        done = {
            entry.event.client_order_id: entry.event.outcome
            for entry in self._world.entries()
            if isinstance(entry.event, OrderDone)
        }
        for client_order_id, venue_order_id in self._signed.items():
            outcome, found = done.get(client_order_id), at_venue.get(venue_order_id)
            told = f"{client_order_id} is {outcome} here and {found} at the venue"
            agrees = False
            match outcome:
                case None:
                    pass
                case Rejected() | NeverArrived():
                    agrees = found is None
                case Filled():
                    agrees = found is not None and not found.is_open and found.filled == found.quantity
                case Cancelled() | Expired():
                    agrees = found is not None and not found.is_open and found.filled == outcome.filled
            if not agrees:
                self._breach("outcomes_equal", told)

    def _fills_equal(self) -> None:
        venue = self._world.venue
        theirs = {(found.trade_id, found.venue_order_id): found.quantity for found in venue.executions()}
        reverted = {(found.trade_id, found.venue_order_id) for found in venue.executions() if found.reverted}
        for key in theirs.keys() | self._fills.keys():
            if theirs.get(key) != self._fills.get(key):
                self._breach("fills_equal", f"{key}: {self._fills.get(key)} here, {theirs.get(key)} at the venue")
        for key in reverted ^ self._reversed:
            self._breach("fills_equal", f"{key}: reversed {'at the venue' if key in reverted else 'here'} alone")

    def _views(self) -> None:
        world = self._world
        held = world.venue.holdings()
        booked = {asset: book.matched for (_, asset), book in world.folded().holdings.items()}
        for asset in held.keys() | booked.keys():
            here, there = booked.get(AssetId(asset), Decimal(0)), held.get(AssetId(asset), Decimal(0))
            if here != there:
                self._breach("views_equal", f"{asset}: {here} in the book, {there} in the account")

    def _nobody_else(self) -> None:
        known = set(self._signed.values()) | self._world.foreign_orders
        for order in self._world.venue.orders():
            if order.venue_order_id not in known:
                self._breach("nobody_else", f"{order} is at the venue and not in the journal")

    def _ends(self) -> None:
        for key in self._accepted.keys() - self._ended.keys():
            self._breach("every_intent_ends", f"intent {key} was accepted and has not ended")
        for (_, intent_id, _), reports in self.told.items():
            ended = next((found for key, found in self._ended.items() if key[1] == intent_id), None)
            last = reports[-1]
            if ended is None or (last.is_last and (last.outcome, last.filled) != (ended.outcome, ended.filled)):
                self._breach("every_intent_ends", f"{intent_id} ended as {ended}, and the host was told {last}")
        for key, ended in self._ended.items():
            for leg in range(len(ended.filled)):
                now, then = self._logged(key[1], leg), self._logged_at_end[key, leg]
                if now != then:
                    self._breach("every_intent_ends", f"{key[1]} leg {leg} ended with {then} logged, and has {now} now")

    def _as_it_stood(self, ended: IntentEnded) -> None:
        """A terminal report counts what was executed and had not been reversed by then."""
        for leg, quantity in enumerate(ended.filled):
            logged = self._logged(ended.intent_id, leg)
            self._logged_at_end[(ended.strategy, ended.intent_id), leg] = logged
            stands = logged - self._logged(ended.intent_id, leg, only=self._reversed)
            if quantity != stands:
                self._breach("every_intent_ends", f"{ended.intent_id} leg {leg}: told {quantity}, the log had {stands}")

    def _replay(self) -> None:
        world = self._world
        if not world.is_running or world.store.pending:
            return
        replayed = Ledger()
        for entry in world.entries():
            if isinstance(entry.event, Event):
                replayed.apply(entry.event, entry.at_ns)
        if replayed.freeze() != world.ledger.freeze():
            self._breach("replay_equals_state", "the journal adds up to another ledger than the one at work")

    def _strangers(self) -> None:
        alerts = self._world.alerts()
        shown = " ".join(
            f"{alert.alert_id} {alert.message} {alert.evidence}"
            for alert in alerts
            if alert.kind in {AlertKind.FOREIGN_ORDER, AlertKind.FOREIGN_FILL, AlertKind.DRIFT}
        )
        for order in self._world.venue.orders():
            # One that came and went unfilled while nobody looked has left no trace that could be read.
            is_there = order.is_open or order.filled
            if order.venue_order_id in self._world.foreign_orders and is_there and order.venue_order_id not in shown:
                self._breach("strangers_are_shown", f"no alert names the foreign order {order}")

    def _breach(self, law: str, what: str) -> None:
        found = Breach(law=law, what=what, at_seconds=trio.current_time())
        if all((known.law, known.what) != (law, what) for known in self.breaches):
            self.breaches.append(found)
            for tell in self.at_breach:
                tell()

    def check(self) -> None:
        """Raise `LawBroken` if any was seen broken."""
        if self.breaches:
            raise LawBroken(self.breaches)


class LawBroken(AssertionError):
    """A law was seen broken; `breaches` says which and how."""

    def __init__(self, breaches: list[Breach]) -> None:
        lines = [f"{found.law} at {found.at_seconds:.3f} s: {LAWS[found.law]}\n  {found.what}" for found in breaches]
        super().__init__("\n".join(lines))
        self.breaches = tuple(breaches)
