"""Each mutation below is a runtime that was broken on purpose; three laws are shown their breach by hand instead."""

import contextlib
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
import trio
from tallystick.actors import fill_log, host, strategy
from tallystick.actors.context import Recorder, TradingActor
from tallystick.actors.gateway import GatewayActor
from tallystick.actors.host import HostBridge
from tallystick.actors.order import OrderActor
from tallystick.actors.reconciler import ReconcilerActor
from tallystick.actors.ticket import IntentRejected, Report, Ticket
from tallystick.actors.witness import WitnessActor
from tallystick.model.event import (
    AlertOpened,
    CancelRequested,
    Event,
    FillSettled,
    IntentEnded,
    OpeningAdopted,
    TruthCompared,
)
from tallystick.model.fill import Direction
from tallystick.model.identifiers import ClientOrderId, VenueOrderId
from tallystick.model.money import Cash, Quantity
from tallystick.model.order import Acknowledged, Done, Sent
from tallystick.model.outcome import Cancelled, CancelOutcome, EvidenceKind, NeverArrived
from tallystick.model.report import Holding
from tallystick.model.sizing import pair_quantities
from tallystick.store.audit import AuditRecord
from tallystick.store.memory import MemoryStore
from tallystick.store.port import Lsn
from tallystick.testing.world import venue_faults as fault
from tallystick.testing.world.laws import LAWS, Breach, Guard
from tallystick.testing.world.rigs import RIGS
from tallystick.testing.world.world import World, run_world
from tallystick.venues.polymarket import reports

Patch = pytest.MonkeyPatch
Story = Callable[[World, Guard], Awaitable[None]]


def watched(story: Story, *, venue: str = "polymarket") -> list[Breach]:
    """Run a story under a guard and return the breaches, the world quiet and stopped at the end."""

    async def main(world: World) -> list[Breach]:
        guard = Guard(world)
        world.crashes_expected = True
        world.disk.latency_seconds = 0.02
        await story(world, guard)
        await world.stop()
        await guard.stopped()
        return guard.breaches

    return run_world(main, rig=RIGS[venue]())


async def listen(ticket: Ticket, guard: Guard) -> None:
    """What a host does: read every report."""
    position = 0
    while True:
        report = await ticket.report_at(position)
        position += 1
        guard.hear(report)
        if report.is_last:
            return


# ---- stories ----------------------------------------------------------------------------------------------


async def a_pair(world: World, guard: Guard, *, seconds: float = 8) -> None:
    """A pair of which the long leg fills in two slices and the short leg is cancelled at the deadline."""
    async with trio.open_nursery() as nursery:
        ticket = await world.submit(world.pair("p1", seconds=seconds, child="60"))
        nursery.start_soon(listen, ticket, guard)
        await trio.sleep(1)
        world.crowd.sells(world.instruments[0], "0.44", "30")
        await trio.sleep(1)
        world.crowd.sells(world.instruments[0], "0.44", "70")
        with trio.move_on_after(seconds + 12):
            await ticket.ended_async()
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    with contextlib.suppress(AssertionError):
        await world.converged(seconds=90)
    guard.settled()


async def an_answer_lost_and_an_order_hidden(world: World, guard: Guard) -> None:
    world.venue.put_on(fault.LoseAnswer(asked=fault.Asked.PLACE, count=1))
    world.venue.put_on(fault.HideOrders(seconds=15))
    await a_pair(world, guard)


async def refused_too_early(world: World, guard: Guard) -> None:
    world.venue.put_on(fault.Refuse(asked=fault.Asked.PLACE, how=fault.Refusal.TOO_EARLY, count=1))
    await a_pair(world, guard, seconds=30)


async def a_fill_that_the_stream_loses(world: World, guard: Guard) -> None:
    world.venue.put_on(fault.DropReport(told=fault.Told.FILL, seconds=60))
    world.venue.put_on(fault.LagLists(by_seconds=30, seconds=60))
    await a_pair(world, guard)
    await trio.sleep(200)
    guard.settled()


async def a_fill_during_the_cancel(world: World, guard: Guard) -> None:
    """The venue hears of the cancel late, has executed the order by then, and the stream does not say so."""
    world.venue.put_on(fault.DropReport(seconds=60))
    world.venue.put_on(fault.DelayRequest(asked=fault.Asked.CANCEL, by_seconds=1, seconds=60))
    ticket = await world.submit(world.single(seconds=5))
    await world.until(lambda: world.events(CancelRequested))
    world.crowd.sells(world.instruments[0], "0.44", "50")
    await world.end_of(ticket)
    await world.converged()
    guard.settled()


async def the_account_is_lost_while_an_order_waits(world: World, guard: Guard) -> None:
    """The commit takes so long that the account is no longer Live when the order may leave."""
    world.disk.latency_seconds = 1.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.submit, world.single(seconds=10))
        await trio.sleep(0.5)
        for link in list(world.network.links.values()):
            if link.is_websocket:
                await link.break_now()
    world.disk.latency_seconds = 0.02
    await trio.sleep(15)
    await world.converged()
    guard.settled()


async def a_taker(world: World, guard: Guard) -> None:
    """An order that takes what rests, and pays for it."""
    world.crowd.sells(world.instruments[0], "0.44", "50")
    await world.end_of(await world.submit(world.single(seconds=5)))
    await trio.sleep(30)
    guard.settled()


async def the_same_twice(world: World, guard: Guard) -> None:
    intent = world.single(seconds=5)
    await world.submit(intent)
    with contextlib.suppress(IntentRejected):
        await world.submit(intent)
    await trio.sleep(20)
    guard.settled()


async def a_stranger_trades(world: World, guard: Guard) -> None:
    await world.trade_by_hand(world.instruments[0], Direction.BUY, "0.30", "20")
    await trio.sleep(90)
    guard.settled()


async def a_stranger_trades_unseen(world: World, guard: Guard) -> None:
    """A trade past the runtime that no stream and no history shows for a while: only the views differ."""
    world.venue.put_on(fault.LagLists(by_seconds=600, seconds=120))
    world.venue.put_on(fault.DropReport(seconds=120))
    world.crowd.sells(world.instruments[0], "0.30", "20")
    await world.trade_by_hand(world.instruments[0], Direction.BUY, "0.30", "20")
    await trio.sleep(400)
    guard.settled()


# ---- broken runtimes --------------------------------------------------------------------------------------


def nothing_broken(patch: Patch) -> None:
    """The runtime as it is."""


def barrier_off(patch: Patch) -> None:
    """Requests do not wait until what caused them is durable."""
    patch.setattr(TradingActor, "when_durable", lambda self, lsn, action: action())


def reports_do_not_wait(patch: Patch) -> None:
    """Reports are handed over when their event is recorded, durable or not."""
    whole = Recorder.record

    def record(self: Recorder, *events: Event, cause: int = 0) -> Lsn:
        lsn = whole(self, *events, cause=cause)
        while self._drafts:
            self.bridge.deliver(self._drafts.popleft()[1])
        return lsn

    patch.setattr(Recorder, "record", record)


def dedup_off(patch: Patch) -> None:
    """The fill log never finds what it has."""
    numbers = itertools.count()
    patch.setattr(fill_log, "fill_row", lambda key: f"nothing {next(numbers)}".encode())


def signed_anew(patch: Patch) -> None:
    """An order that is sent again is signed again."""

    def resend(self: OrderActor) -> None:
        terms = msgspec.structs.replace(self.state.terms, client_order_id=ClientOrderId("another"))
        prepared = self.dialect.prepare(terms, self.ledger.instruments[terms.instrument], self.now_ns())
        self._place(prepared.request, self.context.recorder.journal.last_lsn)

    patch.setattr(OrderActor, "_resend", resend)


def sent_while_not_live(patch: Patch) -> None:
    patch.setattr(GatewayActor, "_no_longer_wanted", lambda self, order: "")


def silence_is_absence(patch: Patch) -> None:
    """An order that the venue does not show is taken for one that never came."""
    patch.setattr(
        OrderActor,
        "_not_found",
        lambda self, state, absent: self._end(NeverArrived(), EvidenceKind.ORDER_QUERY, absent.text),
    )


def every_cancel_believed(patch: Patch) -> None:
    """An order that was to be cancelled is taken for cancelled, whatever the venue answers."""

    def answered(self: OrderActor, state: Sent | Acknowledged | Done, outcome: CancelOutcome) -> None:
        if not isinstance(state, Done):
            self._end(Cancelled(filled=state.progress.filled), EvidenceKind.CANCEL_ANSWER, "it was to be cancelled")

    patch.setattr(OrderActor, "_cancel_answered", answered)


def cursor_without_overlap(patch: Patch) -> None:
    """Fills are read from now on, not from the last complete sweep minus an overlap."""
    patch.setattr(ReconcilerActor, "_since_ns", lambda self, wanted: self.now_ns())


def intents_not_remembered(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(strategy, "intent_row", lambda name, intent: f"nothing {next(numbers)}".encode())


def auto_correct_on(patch: Patch) -> None:
    """A difference between the views is taken into the book, without anybody having asked for it."""
    whole = WitnessActor.record

    def record(self: WitnessActor, *events: Event | AuditRecord) -> Lsn:
        wrong = [event.truth for event in events if isinstance(event, TruthCompared) and event.truth.agree is False]
        corrections = [
            OpeningAdopted(
                account=truth.account,
                holdings=(Holding(asset=truth.asset, quantity=truth.differences[0].amount),),
                by="the runtime",
                stamps=(),
            )
            for truth in wrong
        ]
        return whole(self, *events, *corrections)

    patch.setattr(WitnessActor, "record", record)


def twice_the_size(patch: Patch) -> None:
    """Each leg of a pair is worked in twice the quantity that was meant."""

    def doubled(*args: Any) -> tuple[Quantity, Quantity]:
        long, short = pair_quantities(*args)
        return Quantity(long * 2), Quantity(short * 2)

    patch.setattr("tallystick.actors.strategy.pair_quantities", doubled)


def fees_forgotten(patch: Patch) -> None:
    patch.setattr(reports, "taker_fee_of", lambda curve, parts: Cash(Decimal("0.01")))


def reported_twice(patch: Patch) -> None:
    whole = HostBridge.deliver

    def deliver(self: HostBridge, reports: list[Report]) -> None:
        whole(self, reports)
        whole(self, reports)

    patch.setattr(HostBridge, "deliver", deliver)


def told_another_end(patch: Patch) -> None:
    whole = host.end_report

    def end_report(event: IntentEnded, at_ns: int) -> Report:
        return msgspec.structs.replace(whole(event, at_ns), filled=(Quantity(Decimal(7)), Quantity(Decimal(7))))

    patch.setattr(host, "end_report", end_report)


def _recorded(patch: Patch, change: Callable[[tuple[Event, ...]], tuple[Event, ...]]) -> None:
    whole = Recorder.record
    patch.setattr(Recorder, "record", lambda self, *events, cause=0: whole(self, *change(events), cause=cause))


def ended_twice(patch: Patch) -> None:
    """An intent's end is recorded twice, past the actor that would know."""
    _recorded(patch, lambda events: (*events, *(event for event in events if isinstance(event, IntentEnded))))


def alerts_kept_to_itself(patch: Patch) -> None:
    _recorded(
        patch, lambda events: tuple(event for event in events if not isinstance(event, AlertOpened)) or events[:0]
    )


def folded_and_not_journalled(patch: Patch) -> None:
    """Some of what the runtime believes is not in the journal."""
    whole = MemoryStore.append

    def append(self: MemoryStore, *events: Any, **about: Any) -> Lsn:
        kept = [event for event in events if not isinstance(event, FillSettled)]
        return whole(self, *kept, **about) if kept else self.last_lsn

    patch.setattr(MemoryStore, "append", append)


class Mutation(NamedTuple):
    law: str
    broken: Callable[[Patch], None]
    story: Story


MUTATIONS = (
    Mutation("durable_before_sent", barrier_off, a_pair),
    Mutation("durable_before_sent", signed_anew, refused_too_early),
    Mutation("durable_before_told", reports_do_not_wait, a_pair),
    Mutation("only_while_live", sent_while_not_live, the_account_is_lost_while_an_order_waits),
    Mutation("each_fill_once", dedup_off, a_pair),
    Mutation("one_end", intents_not_remembered, the_same_twice),
    Mutation("one_end", ended_twice, a_pair),
    Mutation("never_more_than_intended", twice_the_size, a_pair),
    Mutation("outcomes_equal", silence_is_absence, an_answer_lost_and_an_order_hidden),
    Mutation("outcomes_equal", every_cancel_believed, a_fill_during_the_cancel),
    Mutation("fills_equal", cursor_without_overlap, a_fill_that_the_stream_loses),
    Mutation("moved_by_evidence", auto_correct_on, a_stranger_trades_unseen),
    Mutation("views_equal", fees_forgotten, a_taker),
    Mutation("every_intent_ends", told_another_end, a_pair),
    Mutation("reports_in_order", reported_twice, a_pair),
    Mutation("replay_equals_state", folded_and_not_journalled, a_pair),
    Mutation("strangers_are_shown", alerts_kept_to_itself, a_stranger_trades),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda found: f"{found.law}-{found.broken.__name__}")
def test_a_broken_runtime_is_caught_by_the_law_that_it_breaks(mutation: Mutation, monkeypatch: Patch) -> None:
    mutation.broken(monkeypatch)
    breaches = watched(mutation.story)
    assert mutation.law in {found.law for found in breaches}, breaches


STORIES = tuple(dict.fromkeys(mutation.story for mutation in MUTATIONS))


@pytest.mark.parametrize("story", STORIES, ids=lambda found: found.__name__)
def test_the_runtime_as_it_is_breaks_no_law_in_the_same_story(story: Story) -> None:
    assert not watched(story)


async def an_order_out_of_nowhere(world: World, guard: Guard) -> None:
    """Not by the runtime, but as if it had bypassed its journal: nobody said that it was a stranger's."""
    await world.venue.trade_by_hand(world.instruments[0], Direction.BUY, Decimal("0.30"), Decimal(20))
    guard.settled()


def test_an_order_that_the_journal_does_not_know_is_caught() -> None:
    assert {found.law for found in watched(an_order_out_of_nowhere)} == {"nobody_else"}


async def a_record_is_changed(world: World, guard: Guard) -> None:
    """One byte of one audit record is changed on the disk."""
    await a_pair(world, guard)
    for group in world.disk.groups:
        for place, record in enumerate(group.records):
            if record.startswith(b"\x97\xa5audit"):
                group.records[place] = record[:-1] + bytes([record[-1] ^ 1])
                return


def test_a_changed_audit_record_is_caught() -> None:
    assert {found.law for found in watched(a_record_is_changed)} == {"audit_verifies"}


async def a_slice_signed_twice(world: World, guard: Guard) -> None:
    await a_pair(world, guard)
    for order in list(world.orders()):
        guard._signed[order] = VenueOrderId("0x0")
    guard._seen = 0
    guard.step()


def test_a_slice_that_is_signed_twice_is_caught() -> None:
    assert "one_order_per_slice" in {found.law for found in watched(a_slice_signed_twice)}


def test_every_law_is_caught_by_a_broken_runtime_or_shown_its_breach_by_hand() -> None:
    by_hand = {"nobody_else", "audit_verifies", "one_order_per_slice"}
    assert {mutation.law for mutation in MUTATIONS} | by_hand == set(LAWS)
