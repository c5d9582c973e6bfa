"""The tree: which actors there are, in which order they start, and what their supervisors do when one fails.

    root                                    rest_for_one, escalates to the process
    ├─ alerts
    ├─ risk
    ├─ accounts                             one_for_one
    │   └─ polymarket:main                  one_for_one
    │       ├─ fills                        the only door for fills
    │       ├─ orders                       an actor per order
    │       ├─ desk                         the account's state
    │       ├─ connection                   rest_for_one: gateway → stream → reconciler
    │       ├─ feed                         public market data
    │       ├─ witness                      position truth
    │       └─ examiner                     looks at the venue for an operator
    ├─ strategies                           one_for_one
    │   └─ pairs                            one_for_one
    │       ├─ work                         an actor per leg, intent and bracket
    │       └─ desk                         takes intents
    └─ operator                             one_for_one
        └─ desk                             carries out operators' commands

Upper levels get small restart budgets: intensities multiply through levels. A restart of anything in `connection`
restarts what follows it and so ends in a sweep before the account is Live again.
"""

from collections.abc import Iterable

from ..model.identifiers import AccountId, StrategyName
from ..model.intent import PairIntent
from ..model.order import OrderTerms
from .account import AccountDesk
from .alerts import AlertsActor
from .bracket import BracketActor
from .context import Context, Paths
from .examiner import ExaminerActor
from .feed import FeedActor
from .fill_log import FillLogActor
from .gateway import GatewayActor
from .intent import IntentActor, LegActor
from .kernel import ActorRef, ChildSpec, LaneRule, MailboxSpec, SupervisorSpec
from .messages import FrameArrived, LogExecutions, Submit
from .operator import OperatorDesk
from .order import OrderActor
from .reconciler import ReconcilerActor
from .risk import RiskActor
from .strategy import StrategyDesk
from .stream import StreamActor
from .witness import WitnessActor
from .work import Work

UNBOUNDED = MailboxSpec(capacity=None)
"""For actors whose senders are bounded themselves: what an order or an alert is told must not be refused."""

REPORTS = 4096
COMMANDS = 256


class TreeBuilder:
    """Makes the specification of the whole tree, and starts what comes and goes in it."""

    def __init__(self) -> None:
        self.context: Context

    # ---- what stands --------------------------------------------------------------------------------------

    def root(self, accounts: Iterable[AccountId], strategies: Iterable[StrategyName]) -> SupervisorSpec:
        """The root. The context is filled in before the system starts."""
        return SupervisorSpec(
            strategy="rest_for_one",
            intensity=1,
            period_seconds=60,
            children=(
                ChildSpec(id="alerts", factory=lambda: AlertsActor(self.context), mailbox=UNBOUNDED),
                ChildSpec(id="risk", factory=lambda: RiskActor(self.context), mailbox=UNBOUNDED),
                ChildSpec(
                    id="accounts",
                    factory=SupervisorSpec(
                        intensity=3, period_seconds=300, children=tuple(self._account(name) for name in accounts)
                    ),
                ),
                ChildSpec(
                    id="strategies",
                    factory=SupervisorSpec(
                        intensity=3, period_seconds=300, children=tuple(self._strategy(name) for name in strategies)
                    ),
                ),
                # A command that crashes its desk must not spend the root's budget: trading goes on without it.
                ChildSpec(
                    id="operator",
                    factory=SupervisorSpec(
                        intensity=20,
                        period_seconds=60,
                        children=(
                            ChildSpec(
                                id="desk",
                                factory=lambda: OperatorDesk(self.context),
                                mailbox=MailboxSpec(capacity=COMMANDS),
                            ),
                        ),
                    ),
                ),
            ),
        )

    def _account(self, account: AccountId) -> ChildSpec:
        # A report is never dropped: an overflow crashes the receiver, and the resync brings everything again.
        executions = LaneRule(message_types=(LogExecutions,), capacity=REPORTS, overflow="crash")
        orders = SupervisorSpec(
            strategy="simple_one_for_one",
            intensity=20,
            period_seconds=60,
            children=(
                ChildSpec(
                    id="order",
                    factory=lambda order, recovered: OrderActor(self.context, order, recovered=recovered),
                    restart="transient",
                    mailbox=UNBOUNDED,
                ),
            ),
        )
        return ChildSpec(
            id=account,
            factory=SupervisorSpec(
                intensity=5,
                period_seconds=60,
                children=(
                    ChildSpec(
                        id="fills",
                        factory=lambda: FillLogActor(self.context, account),
                        mailbox=MailboxSpec(capacity=None, rules=(executions,)),
                    ),
                    ChildSpec(id="orders", factory=orders),
                    ChildSpec(id="desk", factory=lambda: AccountDesk(self.context, account), mailbox=UNBOUNDED),
                    *self.venue_side(account),
                    ChildSpec(id="examiner", factory=lambda: ExaminerActor(self.context, account), mailbox=UNBOUNDED),
                ),
            ),
        )

    def venue_side(self, account: AccountId) -> tuple[ChildSpec, ...]:
        """The children that talk to the venue. A restart of a connection restarts what follows it."""
        frames = LaneRule(message_types=(FrameArrived,), capacity=REPORTS, overflow="crash")
        streaming = MailboxSpec(capacity=None, rules=(frames,), on_restart="clear_reports")
        connection = SupervisorSpec(
            strategy="rest_for_one",
            intensity=5,
            period_seconds=60,
            children=(
                ChildSpec(id="gateway", factory=lambda: GatewayActor(self.context, account), mailbox=UNBOUNDED),
                ChildSpec(id="stream", factory=lambda: StreamActor(self.context, account), mailbox=streaming),
                ChildSpec(id="reconciler", factory=lambda: ReconcilerActor(self.context, account), mailbox=UNBOUNDED),
            ),
        )
        return (
            ChildSpec(id="connection", factory=connection),
            ChildSpec(id="feed", factory=lambda: FeedActor(self.context, account), mailbox=streaming),
            ChildSpec(id="witness", factory=lambda: WitnessActor(self.context, account), mailbox=UNBOUNDED),
        )

    def _strategy(self, strategy: StrategyName) -> ChildSpec:
        # A dynamic set forgets whom it has seen end, as it must: intents come for as long as the runtime lives.
        work = SupervisorSpec(
            strategy="simple_one_for_one",
            intensity=20,
            period_seconds=60,
            children=(
                ChildSpec(
                    id="work",
                    factory=lambda kind, *arguments: kind(self.context, *arguments),
                    restart="transient",
                    mailbox=UNBOUNDED,
                ),
            ),
        )
        commands = LaneRule(message_types=(Submit,), capacity=COMMANDS, overflow="refuse")
        return ChildSpec(
            id=strategy,
            factory=SupervisorSpec(
                intensity=5,
                period_seconds=60,
                children=(
                    ChildSpec(id="work", factory=work),
                    ChildSpec(
                        id="desk",
                        factory=lambda: StrategyDesk(self.context, strategy),
                        mailbox=MailboxSpec(capacity=None, rules=(commands,)),
                    ),
                ),
            ),
        )

    # ---- what comes and goes ------------------------------------------------------------------------------

    def start_order(self, terms: OrderTerms, *, recovered: bool) -> ActorRef:
        """The order's actor: found where it lives already, else started."""
        found = self.context.find(Paths.order(terms.account, terms.client_order_id))
        if found is not None:
            return found
        orders = self.context.ref(Paths.account(terms.account, "orders"))
        order = terms.client_order_id
        return self.context.system.spawn_from_template(orders, order, order, recovered)

    def start_leg(self, work: Work, owner: ActorRef) -> ActorRef:
        return self._work(work, f"{work.intent_id}:{work.leg}", LegActor, work, owner)

    def start_intent(self, work: Work, owner: ActorRef) -> ActorRef:
        return self._work(work, f"{work.intent_id}:{work.leg}", IntentActor, work, owner)

    def start_bracket(self, pair: PairIntent, legs: tuple[Work, Work]) -> ActorRef:
        return self._work(legs[0], str(pair.intent_id), BracketActor, pair, legs)

    def _work(self, work: Work, name: str, kind: type[LegActor | BracketActor], *arguments: object) -> ActorRef:
        under = self.context.ref(Paths.strategy(work.strategy, "work"))
        found = self.context.find(f"{Paths.strategy(work.strategy, 'work')}/{name}")
        if found is not None:
            return found
        return self.context.system.spawn_from_template(under, name, kind, *arguments)
