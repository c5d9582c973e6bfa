"""Operators' commands to a whole runtime: each done once, with its author in the journal, and for good."""

from decimal import Decimal
from typing import Any

import pytest
import trio
from tallystick.actors.context import Paths
from tallystick.actors.messages import Carried, Operate
from tallystick.actors.operator import CommandRefused
from tallystick.actors.ticket import IntentRejected
from tallystick.model.account import AccountState, SweepTrigger
from tallystick.model.alert import AlertState
from tallystick.model.event import (
    AlertAcknowledged,
    AlertClosed,
    BracketClosing,
    CancelAnswered,
    Event,
    FillRecorded,
    HoldingAdopted,
    OperatorCommanded,
    OrderDone,
    StrategyResumed,
)
from tallystick.model.identifiers import AccountId, AlertId, AssetId, ClientOrderId, CommandId, StrategyName
from tallystick.model.money import SignedQuantity
from tallystick.model.operator import (
    AcknowledgeAlert,
    AdoptHolding,
    CancelAll,
    Command,
    EndOrder,
    Halt,
    LiftHalt,
    Operator,
    PauseStrategy,
    Reconcile,
    ResolveAlert,
    ResumeStrategy,
)
from tallystick.model.outcome import EvidenceKind, NeverArrived
from tallystick.model.truth import Absent, BookView, Truth
from tallystick.store.audit import AuditRecord
from tallystick.store.errors import FailureReason, StoreFailed
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import DropFrame, HideFromLists, RefuseRequest, StallSettlement

from ..actors.harness import ACCOUNT, CASH, OWNER, RAIN_YES, STRATEGY, World, pair, scenario, single

ADA = Operator(uid=1000, user="ada")
STRANGER = "0x" + "77" * 20


async def operate(world: World, command: Command, note: str = "because", command_id: str | None = None) -> Carried:
    return await world.runtime.operate(
        command, note=note, operator=ADA, command_id=None if command_id is None else CommandId(command_id)
    )


async def drift_of_cash(world: World, amount: int = 10) -> AlertId:
    """Money leaves behind the runtime's back; returns the alert that pauses the strategy."""
    world.do(actions.Transfer(source=OWNER, target=STRANGER, asset="cash", amount=Decimal(amount)))
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused)
    return world.alerts("drift")[0].alert_id


def group_of(world: World, kind: type[Event]) -> list[str]:
    """The kinds of entries from the command on that the one event of a kind belongs to."""
    entries = world.entries()
    place = max(number for number, entry in enumerate(entries) if isinstance(entry.event, kind))
    start = max(n for n in range(place + 1) if isinstance(entries[n].event, OperatorCommanded))
    return [type(entry.event).__name__ for entry in entries[start : place + 1]]


@scenario()
async def test_a_command_is_in_the_journal_with_its_author_and_in_the_audit_chain(world: World) -> None:
    carried = await operate(world, Halt(account=ACCOUNT), note="maintenance at the venue", command_id="c-1")
    assert not carried.repeated
    (commanded,) = world.events(OperatorCommanded)
    assert commanded.operator == ADA
    assert commanded.note == "maintenance at the venue"
    assert commanded.command == Halt(account=ACCOUNT)
    assert commanded.at_ns == carried.at_ns
    (audited,) = [found for found in world.events(AuditRecord) if found.channel == "control"]
    assert "halt polymarket:main by ada (uid 1000)" in audited.summary
    assert b"maintenance at the venue" in audited.body_bytes_redacted


@scenario()
async def test_a_command_is_answered_only_when_it_is_durable(world: World) -> None:
    await operate(world, Halt(account=None))
    assert world.events(OperatorCommanded), "the durable journal has it by the time of the answer"


@scenario()
async def test_the_same_command_id_is_carried_out_once_and_answered_alike_also_after_a_restart(world: World) -> None:
    first = await operate(world, Halt(account=None), command_id="c-1")
    await world.restart()
    again = await operate(world, Halt(account=None), command_id="c-1")
    assert again.repeated
    assert again.at_ns == first.at_ns
    assert len(world.events(OperatorCommanded)) == 1
    with pytest.raises(CommandRefused, match="never changes"):
        await operate(world, LiftHalt(account=None), command_id="c-1")


@scenario()
async def test_a_command_without_the_note_that_it_needs_is_refused_and_leaves_nothing(world: World) -> None:
    with pytest.raises(CommandRefused, match="needs a note"):
        await operate(world, Halt(account=ACCOUNT), note=" ")
    assert not world.events(OperatorCommanded)
    assert world.ledger.account(ACCOUNT).state is AccountState.LIVE


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (ResolveAlert(alert_id=AlertId("none")), "no open alert"),
        (AcknowledgeAlert(alert_id=AlertId("none")), "no open alert"),
        (ResumeStrategy(strategy=StrategyName("none")), "there is no strategy 'none'; the configuration has pairs"),
        (ResumeStrategy(strategy=STRATEGY), "is not paused"),
        (Halt(account=AccountId("none")), "there is no account 'none'"),
        (LiftHalt(account=ACCOUNT), "there is no halt of .* to lift; halted: nothing"),
        (CancelAll(account=AccountId("none")), "there is no account"),
        (Reconcile(account=AccountId("none")), "there is no account"),
        (AdoptHolding(account=AccountId("none"), asset=CASH), "there is no account"),
        (AdoptHolding(account=ACCOUNT, asset=AssetId("none")), "is no instrument of"),
        (AdoptHolding(account=ACCOUNT, asset=CASH), "nothing to adopt"),
        (EndOrder(client_order_id=ClientOrderId("none")), "no live order"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@scenario()
async def test_what_makes_no_sense_is_refused_with_a_reason_and_leaves_nothing(
    world: World, command: Command, why: str
) -> None:
    with pytest.raises(CommandRefused, match=why):
        await operate(world, command)
    assert not world.events(OperatorCommanded)


# ---- alerts and pauses ------------------------------------------------------------------------------------


@scenario()
async def test_an_alert_is_acknowledged_and_resolved_by_a_name_with_a_note(world: World) -> None:
    alert_id = await drift_of_cash(world)
    await operate(world, AcknowledgeAlert(alert_id=alert_id), note="")
    assert world.ledger.alerts[alert_id].state is AlertState.ACKNOWLEDGED
    with pytest.raises(CommandRefused, match="already"):
        await operate(world, AcknowledgeAlert(alert_id=alert_id))
    await operate(world, ResolveAlert(alert_id=alert_id), note="rent, paid by hand")
    alert = world.folded().alerts[alert_id]
    assert (alert.state, alert.closed_by) == (AlertState.RESOLVED, "ada (uid 1000)")
    assert ("note", "rent, paid by hand") in alert.evidence
    assert len(world.events(AlertAcknowledged)) == 1
    assert group_of(world, AlertClosed) == ["OperatorCommanded", "AuditRecord", "AlertClosed"]


@scenario()
async def test_a_strategy_is_resumed_only_when_what_paused_it_is_settled(world: World) -> None:
    alert_id = await drift_of_cash(world)
    with pytest.raises(CommandRefused, match=alert_id):
        await operate(world, ResumeStrategy(strategy=STRATEGY))
    await operate(world, ResolveAlert(alert_id=alert_id))
    await operate(world, ResumeStrategy(strategy=STRATEGY))
    (resumed,) = world.events(StrategyResumed)
    assert resumed.by == str(ADA)
    await world.submit(single())
    await world.until(world.venue_orders)


@scenario()
async def test_a_paused_strategy_stays_paused_over_a_restart_until_an_operator_resumes_it(world: World) -> None:
    await operate(world, PauseStrategy(strategy=STRATEGY), note="the model looks odd")
    await world.crash_and_restart()
    await world.live()
    with pytest.raises(IntentRejected, match="the model looks odd"):
        await world.submit(single())
    await operate(world, ResumeStrategy(strategy=STRATEGY))
    await world.crash_and_restart()
    await world.live()
    await world.submit(single())


# ---- halts and cancels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [None, ACCOUNT])
@scenario()
async def test_a_halt_stops_new_orders_over_restarts_and_lets_cancels_go_on(
    world: World, account: AccountId | None
) -> None:
    ticket = await world.submit(single(seconds=30))
    await world.until(world.venue_orders)
    await operate(world, Halt(account=account), note="the desk is empty")
    await world.until(lambda: world.ledger.account(ACCOUNT).state is AccountState.HALTED)
    await world.crash_and_restart()
    await world.until(lambda: world.ledger.account(ACCOUNT).state is AccountState.HALTED)
    with pytest.raises(IntentRejected, match="the desk is empty"):
        await world.submit(single("i2"))
    await world.until(lambda: world.venue_order()["status"] == "CANCELED", seconds=60)
    with pytest.raises(CommandRefused, match="halted already"):
        await operate(world, Halt(account=account))
    await operate(world, LiftHalt(account=account))
    await world.live()
    assert ticket.ended is not None or not list(world.ledger.live_orders())


@scenario()
async def test_the_halt_of_an_account_does_not_end_the_halt_of_everything(world: World) -> None:
    await operate(world, Halt(account=None))
    await operate(world, Halt(account=ACCOUNT))
    carried = await operate(world, LiftHalt(account=ACCOUNT))
    assert "still halted: everything" in carried.text
    with pytest.raises(CommandRefused, match="halted: everything; lift that one without an account"):
        await operate(world, LiftHalt(account=ACCOUNT))
    await world.quiet()
    assert world.ledger.account(ACCOUNT).state is AccountState.HALTED


@scenario()
async def test_cancel_all_takes_every_order_off_the_book_and_every_intent_ends(world: World) -> None:
    tickets = [await world.submit(single(seconds=600)), await world.submit(pair("p1", seconds=600))]
    await world.until(lambda: len(world.venue_orders()) == 3)
    carried = await operate(world, CancelAll(halt=True), note="leaving")
    assert "2 intents are closing" in carried.text
    for ticket in tickets:
        await world.end_of(ticket, seconds=30)
    assert {row["status"] for row in world.venue_orders()} == {"CANCELED"}
    assert world.ledger.account(ACCOUNT).state is AccountState.HALTED


@scenario()
async def test_cancel_all_is_finished_by_the_next_start_when_the_runtime_is_killed_right_after_it(
    world: World,
) -> None:
    await world.submit(single(seconds=600))
    await world.submit(pair("p1", seconds=600))
    await world.until(lambda: len(world.venue_orders()) == 3)
    await operate(world, CancelAll())
    await world.crash()
    assert not world.events(CancelAnswered), "it was killed before the venue could answer"
    await world.start()
    await world.until(lambda: {row["status"] for row in world.venue_orders()} == {"CANCELED"}, seconds=60)
    await world.until(lambda: not any(world.ledger.active_intents()), seconds=60)
    assert {event.reason for event in world.events(BracketClosing)} == {"operator"}


@scenario()
async def test_cancels_go_out_also_when_the_store_has_failed_before_the_command(world: World) -> None:
    world.end_expected = True
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    world.disk.fail_next(FailureReason.DISK_FULL)
    with pytest.raises(StoreFailed):
        await world.submit(single("i2"))
    with pytest.raises(CommandRefused, match="the cancels go out all the same"):
        await operate(world, CancelAll())
    await world.until(lambda: world.venue_order()["status"] == "CANCELED", seconds=30)


@scenario()
async def test_a_store_that_fails_under_the_command_is_told_at_once_and_its_cancels_go_out(world: World) -> None:
    world.end_expected = True
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    world.disk.fail_next(FailureReason.DISK_FULL)
    at = trio.current_time()
    with pytest.raises(StoreFailed):
        await operate(world, CancelAll())
    assert trio.current_time() - at < 1
    await world.until(lambda: world.venue_order()["status"] == "CANCELED", seconds=30)
    assert not world.events(OperatorCommanded)


# ---- reconciling ------------------------------------------------------------------------------------------


@scenario()
async def test_a_reconciliation_on_demand_leaves_a_complete_record_that_names_its_cause(world: World) -> None:
    carried = await operate(world, Reconcile(account=ACCOUNT), note="after the outage")
    with trio.fail_after(30):
        record = await world.runtime.wait_reconciled(ACCOUNT, carried.at_ns)
    assert record.complete
    assert record.trigger is SweepTrigger.OPERATOR


# ---- adopting ---------------------------------------------------------------------------------------------


async def drift_without_a_cause(world: World) -> AlertId:
    """The book has ten too many, and nothing at the venue explains it."""
    nothing = BookView(confirmed=SignedQuantity(Decimal(0)), matched=SignedQuantity(Decimal(0)))
    mistake = CommandId("a mistake")
    world.context.recorder.record(
        OperatorCommanded(
            command_id=mistake,
            operator=ADA,
            command=AdoptHolding(account=ACCOUNT, asset=CASH),
            note="a mistake",
            at_ns=world.context.recorder.now_ns(),
        ),
        HoldingAdopted(
            command_id=mistake,
            account=ACCOUNT,
            asset=CASH,
            quantity=SignedQuantity(Decimal(10)),
            truth=Truth(
                account=ACCOUNT,
                asset=CASH,
                book=nothing,
                venue=Absent(),
                wallet=Absent(),
                watermark=0,
                compared_at_ns=0,
            ),
            by="somebody",
            note="a mistake",
        ),
    )
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused)
    return world.alerts("drift")[0].alert_id


@scenario()
async def test_an_adopted_difference_ends_the_drift_and_is_no_fill(world: World) -> None:
    alert_id = await drift_without_a_cause(world)
    assert world.held(CASH) == 1010
    carried = await operate(world, AdoptHolding(account=ACCOUNT, asset=CASH), note="the first was a mistake")
    assert "-10" in carried.text
    adopted = world.events(HoldingAdopted)[-1]
    assert adopted.quantity == -10
    assert adopted.truth.book.matched == 1010
    assert adopted.note == "the first was a mistake"
    assert group_of(world, HoldingAdopted) == ["OperatorCommanded", "AuditRecord", "HoldingAdopted"]
    assert world.held(CASH) == 1000 == world.wallet()
    assert not world.events(FillRecorded)
    await world.until(lambda: not world.folded().alerts[alert_id].state.is_open)
    await operate(world, ResumeStrategy(strategy=STRATEGY))
    await world.crash_and_restart()
    await world.live()
    assert world.ledger.book(ACCOUNT, CASH).matched == 1000, "it survives"
    assert not [alert for alert in world.alerts("drift") if alert.state.is_open]


@scenario(start=False)
async def test_a_position_that_was_there_before_is_adopted_and_the_account_becomes_live(world: World) -> None:
    world.do(actions.CreateAccount(owner=OWNER, cash=Decimal(500), shares=((world.token(RAIN_YES), Decimal(30)),)))
    await world.start()
    await world.until(lambda: world.alerts("drift"))
    await operate(world, AdoptHolding(account=ACCOUNT, asset=AssetId(RAIN_YES)), note="bought last week by hand")
    await world.live()
    assert world.held(RAIN_YES) == 30
    assert world.ledger.positions == {}
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts()))


@scenario()
async def test_nothing_is_adopted_while_orders_may_still_change_it(world: World) -> None:
    await drift_of_cash(world)
    alert_id = world.alerts("drift")[0].alert_id
    await operate(world, ResolveAlert(alert_id=alert_id))
    await operate(world, ResumeStrategy(strategy=STRATEGY))
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    with pytest.raises(CommandRefused, match="1 orders may still change it"):
        await operate(world, AdoptHolding(account=ACCOUNT, asset=CASH))
    assert not world.events(HoldingAdopted)


@scenario()
async def test_a_fill_that_the_log_lacks_is_not_adopted_but_left_to_the_sweep(world: World) -> None:
    world.fault(DropFrame(event="trade"))
    world.fault(DropFrame(event="order"))
    ticket = await world.submit(single(seconds=300))
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    with pytest.raises(CommandRefused, match="the venue's history has 1 executions that the log lacks"):
        await operate(world, AdoptHolding(account=ACCOUNT, asset=AssetId(RAIN_YES)))
    world.heal()
    assert (await world.end_of(ticket)).outcome == "filled"
    assert world.held(RAIN_YES) == 50


@scenario()
async def test_nothing_is_adopted_while_fills_have_not_settled(world: World) -> None:
    world.fault(StallSettlement())
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.end_of(await world.submit(single()))
    with pytest.raises(CommandRefused, match="in flight"):
        await operate(world, AdoptHolding(account=ACCOUNT, asset=AssetId(RAIN_YES)))


@scenario()
async def test_nothing_is_adopted_from_a_view_that_cannot_be_read(world: World) -> None:
    await drift_of_cash(world)
    world.fault(RefuseRequest(path="/rpc", kind="internal_error"))
    with pytest.raises(CommandRefused, match="the wallet cannot be read"):
        await operate(world, AdoptHolding(account=ACCOUNT, asset=CASH))


# ---- ending an order --------------------------------------------------------------------------------------


@scenario()
async def test_an_order_that_the_venue_never_shows_ends_on_an_operators_evidence(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="html"))
    ticket = await world.submit(single(seconds=5))
    await world.until(lambda: world.alerts("order_unconfirmed"), seconds=200)
    order = world.order().terms.client_order_id
    await operate(world, EndOrder(client_order_id=order), note="support ticket 4711: never received")
    (done,) = world.events(OrderDone)
    assert done.outcome == NeverArrived()
    assert done.evidence.kind is EvidenceKind.OPERATOR
    assert "support ticket 4711" in done.evidence.detail
    assert (await world.end_of(ticket, seconds=5)).outcome == "unfilled"
    await world.until(lambda: not any(alert.state.is_open for alert in world.alerts("order_unconfirmed")))
    assert not world.ledger.open_quantities
    await world.restart()
    await world.live()
    assert not world.ledger.open_quantities


@scenario()
async def test_an_order_has_ended_for_its_intent_too_when_the_desk_crashes_right_after_recording_it(
    world: World,
) -> None:
    """The command was durable, and nobody had been told of it: the intent stayed open until the next start."""
    world.fault(RefuseRequest(path="/order", method="POST", kind="html"))
    ticket = await world.submit(single(seconds=5))
    await world.until(lambda: world.alerts("order_unconfirmed"), seconds=200)
    world.crash_on(OrderDone)
    with pytest.raises(Exception, match="send the same command id"):
        await operate(world, EndOrder(client_order_id=world.order().terms.client_order_id))
    assert (await world.end_of(ticket, seconds=5)).outcome == "unfilled"


@scenario()
async def test_an_order_that_the_venue_shows_is_not_ended_by_anybodys_word(world: World) -> None:
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    world.fault(HideFromLists(lag_seconds=100))
    with pytest.raises(CommandRefused, match="the venue shows order"):
        await operate(world, EndOrder(client_order_id=world.order().terms.client_order_id))
    assert not world.events(OrderDone)


@scenario()
async def test_without_the_venue_no_order_is_ended(world: World) -> None:
    world.fault(RefuseRequest(path="/order", method="POST", kind="html"))
    await world.submit(single(seconds=5))
    await world.until(lambda: world.alerts("order_unconfirmed"), seconds=200)
    world.fault(RefuseRequest(path="/data/order", kind="internal_error"))
    with pytest.raises(CommandRefused, match="could not be asked"):
        await operate(world, EndOrder(client_order_id=world.order().terms.client_order_id))
    assert not world.events(OrderDone)


@scenario()
async def test_cancel_all_under_the_same_id_closes_nothing_that_came_after_it(world: World) -> None:
    await operate(world, CancelAll(), command_id="c-1")
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    assert (await operate(world, CancelAll(), command_id="c-1")).repeated
    await trio.sleep(5)
    assert world.venue_order()["status"] == "LIVE"


# ---- crashes ----------------------------------------------------------------------------------------------


@scenario()
async def test_a_command_that_crashes_its_desk_is_recorded_whole_or_not_at_all_and_harms_nothing_else(
    world: World,
) -> None:
    world.crash_on(OperatorCommanded, before=True)
    with pytest.raises(Exception, match="send the same command id"):
        await operate(world, Halt(account=ACCOUNT), command_id="c-1")
    assert not world.events(OperatorCommanded)
    carried = await operate(world, Halt(account=ACCOUNT), command_id="c-1")
    assert not carried.repeated
    world.crash_on(OperatorCommanded)
    with pytest.raises(Exception, match="send the same command id"):
        await operate(world, LiftHalt(account=ACCOUNT), command_id="c-2")
    again = await operate(world, LiftHalt(account=ACCOUNT), command_id="c-2")
    assert again.repeated, "it was recorded before the crash"


@scenario()
async def test_a_desk_that_is_restarted_before_its_command_is_durable_leaves_the_store_whole(world: World) -> None:
    """Its answer had been given, as unknown; giving it again at the commit made the whole store fail."""
    world.disk.latency_seconds = 1.0

    async def ask() -> None:
        with pytest.raises(Exception, match="send the same command id"):
            await operate(world, Halt(account=ACCOUNT), command_id="c-1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.3)
        world.kill(Paths.OPERATOR)
        await trio.sleep(3)
    world.disk.latency_seconds = 0.0
    assert world.store.failed is None
    assert (await operate(world, Halt(account=ACCOUNT), command_id="c-1")).repeated


@scenario()
async def test_a_command_that_was_not_durable_when_the_runtime_was_killed_has_never_been(world: World) -> None:
    desk = world.context.ref(Paths.OPERATOR)
    halt = Halt(account=ACCOUNT)
    message = Operate(command_id=CommandId("c-1"), operator=ADA, command=halt, note="because")
    answer = desk.ask(message, block=False)
    while not world.store.pending:
        await trio.lowlevel.checkpoint()
    assert world.ledger.halted, "it is folded, and not yet durable"
    await world.crash()
    assert not isinstance(outcome_of(answer), Carried), "it was not answered"
    await world.start_live()
    assert not world.ledger.halted
    assert not world.events(OperatorCommanded)
    assert not (await operate(world, halt, command_id="c-1")).repeated


def outcome_of(answer: Any) -> object:
    try:
        return answer.get(timeout=0)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
        return error
