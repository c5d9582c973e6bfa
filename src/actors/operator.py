"""The operator's desk: carries out commands, each once, each recorded with its author before it has any effect.

    command ─▶ known? the same answer again
            ─▶ may it be? refused, nothing recorded
            ─▶ (the examiner looks at the venue first, where it matters)
            ─▶ OperatorCommanded + audit record + what it changes: one commit ─▶ answered when that is durable

What leaves the process because of a command waits at the gateway for that commit, like everything else (law L1).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ..model.account import SweepTrigger
from ..model.adoption import adoptable
from ..model.alert import Alert, AlertKind, AlertState, Severity
from ..model.bracket import CloseReason
from ..model.event import (
    AlertAcknowledged,
    AlertClosed,
    BracketClosing,
    Event,
    HoldingAdopted,
    OperatorCommanded,
    OperatorHalted,
    OperatorResumed,
    OrderDone,
    StrategyPaused,
    StrategyResumed,
)
from ..model.identifiers import AccountId, AlertId, AssetId, ClientOrderId, CommandId, InstrumentId, StrategyName
from ..model.intent import PairIntent
from ..model.ledger import IntentEntry
from ..model.money import plain
from ..model.operator import (
    COMMAND_ID_LENGTH_MAX,
    NOTE_LENGTH_MAX,
    AcknowledgeAlert,
    AdoptHolding,
    CancelAll,
    EndOrder,
    Halt,
    LiftHalt,
    PauseStrategy,
    Reconcile,
    ResolveAlert,
    ResumeStrategy,
    described,
)
from ..model.order import Acknowledged, Computed, Done, Sent, Withdrawn
from ..model.outcome import Cancelled, Evidence, EvidenceKind, NeverArrived, Outcome
from ..model.timestamps import rfc3339
from ..store.audit import AuditRecord, Direction
from ..store.errors import StoreFailed
from ..store.records import COMMANDS, decode_command
from .context import Context, Paths, TradingActor, log
from .kernel import ActorRef, DomainError, Future, handles
from .messages import (
    CancelOrder,
    Carried,
    CloseLeg,
    CompareNow,
    ExamineHolding,
    ExamineOrder,
    HoldingExamined,
    Operate,
    OperatorMoved,
    OrderEnded,
    OrderExamined,
    OrderMoved,
    Sweep,
    Tick,
)

CONTROL = "control"
"""The channel of operators' commands in the audit chain."""
EXAMINE_SECONDS = 90.0
"""An examination reads the venue and the wallet; one that takes longer than this is given up, and nothing was done."""


class CommandRefused(DomainError):
    """Nothing was recorded and nothing was done; the text says why and what would be allowed."""


class CommandUnknownSubject(CommandRefused):
    """The command is about something that the runtime does not have."""


Effects = list[Callable[[], None]]


class _Examined:
    """A command that waits for the examiner, and who waits for its answer."""

    __slots__ = ("message", "reply")

    def __init__(self, message: Operate, reply: Future[Any]) -> None:
        self.message = message
        self.reply = reply


class OperatorDesk(TradingActor):
    """Takes `Operate` as an ask; answers with `Carried`, or raises `CommandRefused` or `StoreFailed` in the asker."""

    domain_errors = (StoreFailed,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.examined: dict[CommandId, _Examined] = {}

    def on_begin(self) -> None:
        """A desk that crashed may have recorded a command and told nobody: tell everybody again, it is harmless."""
        if self.incarnation > 1:
            for state in list(self.ledger.orders.values()):
                if isinstance(state, Done):
                    self._tell_ended(state, "an operator")
            closing = [found for found in self.ledger.active_intents() if found.closing is CloseReason.OPERATOR]
            for effect in self._close(closing) + self._tell_desks(None):
                effect()

    # ---- taking commands ----------------------------------------------------------------------------------

    @handles(Operate)
    def _operate(self, message: Operate) -> None:
        command = message.command
        if not 0 < len(message.command_id) <= COMMAND_ID_LENGTH_MAX:
            raise CommandRefused(
                f"a command id has 1 to {COMMAND_ID_LENGTH_MAX} characters, this one has {len(message.command_id)}"
            )
        if len(message.note) > NOTE_LENGTH_MAX:
            raise CommandRefused(f"a note has at most {NOTE_LENGTH_MAX} characters, this one has {len(message.note)}")
        known = self.context.recorder.journal.get(COMMANDS, message.command_id)
        if known is not None:
            self._repeated(message, decode_command(known))
            return
        if message.command_id in self.examined:
            raise CommandRefused(f"command {message.command_id} is being carried out; ask again in a moment")
        if command.note_is_needed and not message.note.strip():
            raise CommandRefused(f"to {described(command)} needs a note that says why")
        match command:
            case AdoptHolding():
                self._examine_holding(message, command)
            case EndOrder():
                self._examine_order(message, command)
            case CancelAll():
                self._cancel_all(message, command)
            case _:
                events, effects, text = self._decide(message)
                self._carry_out(message, events, effects, text)

    def _repeated(self, message: Operate, before: OperatorCommanded) -> None:
        if (before.command, before.note) != (message.command, message.note):
            raise CommandRefused(
                f"command id {message.command_id} was used at {rfc3339(before.at_ns)} by {before.operator} to "
                f"{described(before.command)}; a command never changes: give the new one an id of its own"
            )
        text = f"carried out before, at {rfc3339(before.at_ns)} by {before.operator}"
        carried = Carried(command_id=message.command_id, at_ns=before.at_ns, repeated=True, text=text)
        self._answer_when_durable(carried)

    def _answer_when_durable(self, carried: Carried, reply: Future[Any] | None = None) -> None:
        answer = self.defer_reply() if reply is None else reply

        def settle() -> None:
            answer.settle(carried)  # a desk that was restarted meanwhile has had it answered: outcome unknown

        self.when_durable(self.context.recorder.journal.last_lsn, settle)

    def _carry_out(
        self,
        message: Operate,
        events: tuple[Event, ...],
        effects: Effects,
        text: str,
        reply: Future[Any] | None = None,
    ) -> None:
        """Record the command with what it changes, as one commit; then have its effects, and answer when durable."""
        now = self.now_ns()
        commanded = OperatorCommanded(
            command_id=message.command_id,
            operator=message.operator,
            command=message.command,
            note=message.note,
            at_ns=now,
        )
        audit = AuditRecord(
            direction=Direction.RECEIVED,
            account=getattr(message.command, "account", None) or "",
            channel=CONTROL,
            at_ns=now,
            summary=f"{described(message.command)} by {message.operator}",
            body_bytes_redacted=msgspec.json.encode(commanded),
            cause=self.message_id,
        )
        self.record(commanded, audit, *events)
        for effect in effects:
            effect()
        log.warning(
            "an operator's command", command=described(message.command), by=str(message.operator), note=message.note
        )
        carried = Carried(command_id=message.command_id, at_ns=now, repeated=False, text=text)
        self._answer_when_durable(carried, reply)

    # ---- what is decided here -----------------------------------------------------------------------------

    def _decide(self, message: Operate) -> tuple[tuple[Event, ...], Effects, str]:
        command, by = message.command, str(message.operator)
        match command:
            case AcknowledgeAlert():
                alert = self._alert(command.alert_id)
                if alert.state is AlertState.ACKNOWLEDGED:
                    raise CommandRefused(f"alert {alert.alert_id} is acknowledged already")
                acknowledged = AlertAcknowledged(alert_id=alert.alert_id, by=by, note=message.note)
                return (acknowledged,), [], f"alert {alert.alert_id} is acknowledged; it stays open"
            case ResolveAlert():
                alert = self._alert(command.alert_id)
                note = (("note", message.note),)
                closed = AlertClosed(alert_id=alert.alert_id, state=AlertState.RESOLVED, by=by, evidence=note)
                return (closed,), [], f"alert {alert.alert_id} is resolved"
            case PauseStrategy():
                self._known_strategy(command.strategy)
                self._require_paused(command.strategy, paused=False)
                paused = StrategyPaused(strategy=command.strategy, reason=f"{by}: {message.note}")
                return (paused,), [], f"strategy {command.strategy} is paused; what is open goes on"
            case ResumeStrategy():
                self._known_strategy(command.strategy)
                self._require_paused(command.strategy, paused=True)
                self._require_settled(command.strategy)
                return (StrategyResumed(strategy=command.strategy, by=by),), [], f"strategy {command.strategy} goes on"
            case Halt():
                halted = self._halt(command.account, by, message.note)
                name = command.account or "everything"
                return (halted,), self._tell_desks(command.account), f"{name} is halted; cancels and questions go on"
            case LiftHalt():
                return self._lift(command, by)
            case Reconcile():
                self._known_account(command.account)
                sweep = Sweep(
                    trigger=SweepTrigger.OPERATOR, detail=f"{by}: {message.note}".strip(": "), since_ns=command.since_ns
                )
                path = Paths.account(command.account, "desk")
                return (), [lambda: self.context.tell(path, sweep)], f"{command.account} is being reconciled"
            case CancelAll() | AdoptHolding() | EndOrder():
                raise AssertionError(f"{described(command)} is decided elsewhere")

    def _alert(self, alert_id: AlertId) -> Alert:
        alert = self.ledger.alerts.get(alert_id)
        if alert is None or not alert.state.is_open:
            raise CommandUnknownSubject(f"no open alert has the id {alert_id!r}; tallystick alerts lists them")
        return alert

    def _known_strategy(self, strategy: StrategyName) -> None:
        if strategy not in self.context.strategies:
            known = ", ".join(sorted(self.context.strategies)) or "none"
            raise CommandUnknownSubject(f"there is no strategy {strategy!r}; the configuration has {known}")

    def _known_account(self, account: AccountId | None) -> None:
        if account is not None and account not in self.context.accounts:
            known = ", ".join(sorted(self.context.accounts)) or "none"
            raise CommandUnknownSubject(f"there is no account {account!r}; the configuration has {known}")

    def _require_paused(self, strategy: StrategyName, *, paused: bool) -> None:
        reason = self.ledger.strategy(strategy).paused
        if (reason is not None) is not paused:
            raise CommandRefused(
                f"strategy {strategy} is not paused" if paused else f"strategy {strategy} is paused already: {reason}"
            )

    def _require_settled(self, strategy: StrategyName) -> None:
        """What paused it must have been explained or resolved: a pause must not be lifted over an open drift."""
        accounts = self.context.strategies[strategy].accounts
        left = [
            alert.alert_id
            for alert in self.ledger.alerts.values()
            if alert.state.is_open
            and (
                (alert.kind is AlertKind.DRIFT and alert.severity is Severity.CRITICAL and alert.account in accounts)
                or (alert.kind is AlertKind.REPORT_QUARANTINED and alert.account in accounts)
                or (alert.kind is AlertKind.SLICE_NEVER_SENT and alert.strategy == strategy)
            )
        ]
        if left:
            raise CommandRefused(
                f"strategy {strategy} stays paused while what paused it is open: {', '.join(sorted(left))}; "
                "resolve it first (tallystick alerts resolve), or take it into the book (tallystick adopt)"
            )

    # ---- halts --------------------------------------------------------------------------------------------

    def _halt(self, account: AccountId | None, by: str, note: str) -> OperatorHalted:
        self._known_account(account)
        reason = self.ledger.halted.get(account)
        if reason is not None:
            raise CommandRefused(f"{account or 'everything'} is halted already: {reason}")
        return OperatorHalted(account=account, by=by, reason=f"{by}: {note}")

    def _lift(self, command: LiftHalt, by: str) -> tuple[tuple[Event, ...], Effects, str]:
        account = command.account
        self._known_account(account)
        if account not in self.ledger.halted:
            wider = None in self.ledger.halted
            also = "; lift that one without an account" if wider else ""
            halted = ", ".join(name or "everything" for name in self.ledger.halted) or "nothing"
            raise CommandRefused(f"there is no halt of {account or 'everything'} to lift; halted: {halted}{also}")
        rest = [name or "everything" for name in self.ledger.halted if name != account]
        text = f"the halt of {account or 'everything'} is lifted"
        if rest:
            text += f"; still halted: {', '.join(rest)}"
        return (OperatorResumed(account=account, by=by),), self._tell_desks(account), text

    def _tell_desks(self, account: AccountId | None) -> Effects:
        """Whoever depends on a halt looks again."""
        accounts = self.context.accounts if account is None else (account,)
        desks = [self.context.ref(Paths.account(name, "desk")) for name in accounts]
        return [lambda desk=desk: desk.tell(OperatorMoved()) for desk in desks]  # type: ignore[misc]  # bound early

    # ---- cancelling everything ----------------------------------------------------------------------------

    def _cancel_all(self, message: Operate, command: CancelAll) -> None:
        """Recorded as the closing of each intent, so that a crash right after it forgets none of them."""
        self._known_account(command.account)
        halts = command.halt and command.account not in self.ledger.halted
        intents = [entry for entry in self.ledger.active_intents() if command.account in {None, entry.intent.account}]
        closing = tuple(
            BracketClosing(
                strategy=entry.intent.strategy, intent_id=entry.intent.intent_id, reason=CloseReason.OPERATOR
            )
            for entry in intents
            if entry.closing is None
        )
        by = str(message.operator)
        halted = (self._halt(command.account, by, message.note or "cancel-all"),) if halts else ()
        effects = self._close(intents) + self._cancel_stray(command.account, by)
        if halts:
            effects += self._tell_desks(command.account)
        text = "no intent is at work"
        if intents:
            count = "1 intent is" if len(intents) == 1 else f"{len(intents)} intents are"
            text = f"{count} closing: what is open is being cancelled, what was not sent is withdrawn"
        if command.halt:
            text += f"; {command.account or 'everything'} is halted"
        try:
            self._carry_out(message, (*halted, *closing), effects, text)
        except StoreFailed as failure:
            # Nothing can be recorded any more, and cancels go out all the same (law L9).
            for effect in effects:
                effect()
            raise CommandRefused(
                f"the command is not recorded, the store has failed ({failure}); the cancels go out all the same"
            ) from failure

    def _close(self, intents: list[IntentEntry]) -> Effects:
        effects: Effects = []
        for entry in intents:
            intent = entry.intent
            key = (intent.strategy, intent.intent_id)
            actor = self.context.find(Paths.bracket(*key) if isinstance(intent, PairIntent) else Paths.leg(*key, 0))
            if actor is not None:
                effects.append(lambda actor=actor: actor.tell(CloseLeg(reason=CloseReason.OPERATOR)))  # type: ignore[misc]  # bound early
        return effects

    def _cancel_stray(self, account: AccountId | None, by: str) -> Effects:
        """Orders that are open although no intent is at work for them any more."""
        working = {entry.key for entry in self.ledger.active_intents()}
        effects: Effects = []
        for state in self.ledger.live_orders(account):
            terms = state.terms
            if isinstance(state, (Sent, Acknowledged)) and (terms.strategy, terms.intent_id) not in working:
                path = Paths.account(terms.account, "desk")
                cancel = CancelOrder(client_order_id=terms.client_order_id, reason=f"cancel-all by {by}")
                effects.append(lambda path=path, cancel=cancel: self.context.tell(path, cancel))  # type: ignore[misc]  # bound early
        return effects

    # ---- what the venue is looked at for first ------------------------------------------------------------

    def _examiner(self, account: AccountId) -> ActorRef:
        if not self.context.connection(account).gateway_ready:
            raise CommandRefused(f"the venue of {account} is not reached now, and it must be looked at first")
        examiner = self.context.find(Paths.account(account, "examiner"))
        if examiner is None:
            raise CommandRefused(f"the actors of {account} are being started again; ask once more")
        return examiner

    def _examine_holding(self, message: Operate, command: AdoptHolding) -> None:
        self._known_account(command.account)
        settlement_asset = self.context.accounts[command.account].settlement_asset
        known = InstrumentId(command.asset) in self.ledger.instruments or command.asset == settlement_asset
        if not known and (command.account, command.asset) not in self.ledger.holdings:
            raise CommandUnknownSubject(
                f"{command.asset!r} is no instrument of {command.account}, and not its cash ({settlement_asset})"
            )
        examiner = self._examiner(command.account)
        self._wait_for_examiner(message)
        examiner.tell(ExamineHolding(command_id=message.command_id, asset=command.asset, reply_to=self.actor_ref))

    def _examine_order(self, message: Operate, command: EndOrder) -> None:
        state = self._endable(command.client_order_id)
        assert state.venue_order_id is not None
        examiner = self._examiner(state.terms.account)
        self._wait_for_examiner(message)
        examiner.tell(
            ExamineOrder(
                command_id=message.command_id,
                order=command.client_order_id,
                venue_order_id=state.venue_order_id,
                reply_to=self.actor_ref,
            )
        )

    def _wait_for_examiner(self, message: Operate) -> None:
        self.examined[message.command_id] = _Examined(message, self.defer_reply())
        self.after(EXAMINE_SECONDS, Tick(name=message.command_id), key=message.command_id)

    def _take(self, command_id: CommandId) -> _Examined | None:
        self.cancel_timer(command_id)
        return self.examined.pop(command_id, None)

    @handles(Tick)
    def _given_up(self, message: Tick) -> None:
        waiting = self._take(CommandId(message.name))
        if waiting is not None:
            waiting.reply.settle(
                None, CommandRefused(f"the venue was not read within {EXAMINE_SECONDS:g} s; nothing was done")
            )

    @handles(HoldingExamined)
    def _holding_examined(self, found: HoldingExamined) -> None:
        waiting = self._take(found.command_id)
        if waiting is None:
            return
        try:
            self._adopt(waiting, found)
        except (CommandRefused, StoreFailed) as refusal:
            waiting.reply.settle(None, refusal)

    def _adopt(self, waiting: _Examined, found: HoldingExamined) -> None:
        message, truth = waiting.message, found.truth
        account, asset = truth.account, truth.asset
        if self.ledger.account(account).fills != truth.watermark:
            raise CommandRefused("fills came in while the views were read; ask again")
        quantity = adoptable(
            truth,
            missing=found.missing,
            unreadable=found.unreadable,
            open_orders=self._open_orders(account, asset),
        )
        if isinstance(quantity, str):
            raise CommandRefused(f"{asset} of {account} is not adopted: {quantity}")
        adopted = HoldingAdopted(
            command_id=message.command_id,
            account=account,
            asset=asset,
            quantity=quantity,
            truth=truth,
            by=str(message.operator),
            note=message.note,
        )
        witness = Paths.account(account, "witness")
        text = (
            f"the book of {account} has {plain(truth.book.matched + quantity)} {asset} now, {plain(quantity)} adopted"
        )
        effects: Effects = [lambda: self.context.tell(witness, CompareNow(why="adopted"))]
        self._carry_out(message, (adopted,), effects, text, waiting.reply)

    def _open_orders(self, account: AccountId, asset: AssetId) -> int:
        """Orders that may still change the asset: those in it, or any where it is what they are paid with."""
        cash = asset == self.context.accounts[account].settlement_asset
        return sum(
            (cash or AssetId(state.terms.instrument) == asset)
            and not isinstance(state, Withdrawn)
            and not (isinstance(state, Done) and state.fills_outstanding <= 0)
            and state.terms.account == account
            for state in self.ledger.orders.values()
        )

    @handles(OrderExamined)
    def _order_examined(self, found: OrderExamined) -> None:
        waiting = self._take(found.command_id)
        if waiting is None:
            return
        try:
            self._end_order(waiting, found)
        except (CommandRefused, StoreFailed) as refusal:
            waiting.reply.settle(None, refusal)

    def _end_order(self, waiting: _Examined, found: OrderExamined) -> None:
        message = waiting.message
        state = self._endable(found.order)
        if found.shown:
            raise CommandRefused(
                f"the venue shows order {found.order} ({found.shown}): its word counts, cancel the order instead"
            )
        if found.unreadable:
            raise CommandRefused(f"the venue could not be asked for order {found.order}: {found.unreadable}")
        filled = state.progress.filled
        outcome: Outcome = Cancelled(filled=filled) if filled else NeverArrived()
        evidence = Evidence(
            kind=EvidenceKind.OPERATOR,
            detail=f"{message.operator}: {message.note}; the venue, asked again: {found.absent}",
            at_ns=self.now_ns(),
        )
        done = OrderDone(client_order_id=found.order, outcome=outcome, evidence=evidence)

        def tell() -> None:
            ended = self.ledger.orders.get(found.order)
            if isinstance(ended, Done):
                self._tell_ended(ended, str(message.operator))

        text = f"order {found.order} has ended on your evidence: " + (
            f"cancelled with {plain(filled)} filled" if filled else "it never arrived"
        )
        self._carry_out(message, (done,), [tell], text, waiting.reply)

    def _tell_ended(self, state: Done, by: str) -> None:
        """Tell an order that it has ended, or its leg where the order's actor has ended before it."""
        terms = state.terms
        actor = self.context.find(Paths.order(terms.account, terms.client_order_id))
        leg = self.context.find(Paths.leg(terms.strategy, terms.intent_id, terms.leg))
        if actor is not None:
            actor.tell(OrderEnded(by=by))
        elif leg is not None:
            leg.tell(OrderMoved(state=state))

    def _endable(self, order: ClientOrderId) -> Sent | Acknowledged:
        state = self.ledger.orders.get(order)
        if state is None:
            raise CommandUnknownSubject(f"no live order has the id {order!r}; tallystick orders --open lists them")
        match state:
            case Sent() | Acknowledged() if state.venue_order_id is not None:
                return state
            case Computed():
                raise CommandRefused(f"order {order} was never sent: cancel-all withdraws it")
            case _:
                raise CommandRefused(f"order {order} has ended already")
