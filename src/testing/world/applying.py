"""How each fault comes about in a world, how it ends, and how often it has bitten.

A fault of the process ends with `World.died` set, or with no runtime running: whoever keeps the world (`life.Keeper`)
clears away what is left and starts the next one.
"""

from collections.abc import Callable
from random import Random
from typing import assert_never

import msgspec
import trio

from ...actors.context import Paths
from ...actors.kernel import DELIVER, Delay, Envelope, Restart, Verdict
from ...actors.kernel.ref import ActorRef
from ...model.event import EVENTS
from ...recovery import SNAPSHOT
from ...store.errors import FailureReason
from . import faults as fault
from .faults import ActorFault, AnyFault, Kept, MachineFault, OutsideAct, ProcessFault, Role, WireFault
from .wire import HttpRequest
from .world import World

INJECTED = "injected"
"""What every crash on purpose says; any other is a defect."""
AGAIN_SECONDS = 0.2
"""How soon an actor that is to crash again is looked at again."""

_EVENT_KINDS = {kind.kind: kind for kind in EVENTS}


class Applied:
    """A fault that was brought about: how often it was felt since, and how it ends where it does not end by itself."""

    def __init__(self, what: AnyFault) -> None:
        self.fault = what
        self._bites = 0
        self.count: Callable[[], int] | None = None
        """Tells how often it has bitten, where others count that."""
        self._ends: list[Callable[[], None]] = []

    @property
    def name(self) -> str:
        return fault.name_of(self.fault)

    @property
    def bites(self) -> int:
        return self._bites if self.count is None else self.count()

    def bite(self) -> None:
        self._bites += 1

    def counted_by(self, count: Callable[[], int]) -> None:
        """Let a function tell how often it has bitten; what it told before does not count."""
        before = count()
        self.count = lambda: count() - before

    def at_end(self, end: Callable[[], None]) -> None:
        self._ends.append(end)

    def end(self) -> None:
        """End it. Ending it twice is the same as once."""
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def end_after(self, world: World, seconds: float) -> None:
        """End it by itself after so long."""

        async def later() -> None:
            await trio.sleep(seconds)
            self.end()

        world.nursery.start_soon(later)


async def apply(what: AnyFault, world: World, random: Random) -> Applied:
    """Bring a fault about. `random` picks what it leaves open: which connection, which order, which of many actors.

    A fault for which there is no occasion (no runtime runs, there is no such actor) never bites.
    """
    applied = Applied(what)
    if isinstance(what, WireFault):
        await _on_wires(what, world, random, applied)
    elif isinstance(what, MachineFault):
        _in_machine(what, world, applied)
    elif isinstance(what, ActorFault):
        _in_actors(what, world, random, applied)
    elif isinstance(what, ProcessFault):
        _to_process(what, world, applied)
    elif isinstance(what, OutsideAct):
        _outside(what, world, random, applied)
    elif world.rig.supports(what):
        applied.count = world.venue.put_on(what)
    return applied


# ---- wires ------------------------------------------------------------------------------------------------


async def _on_wires(what: WireFault, world: World, random: Random, applied: Applied) -> None:
    weather, network, now = world.weather, world.network, trio.current_time()

    def felt(name: str) -> None:
        applied.counted_by(lambda: weather.bites[name])

    match what:
        case fault.LoseConnections():
            for _ in network.links:
                applied.bite()
            await network.lose_all()
        case fault.CutConnection():
            felt("cut")
            link = network.pick(random, websocket=what.websocket)
            if link is not None:
                link.cut_after(what.way, what.after_bytes)
        case fault.SilenceConnection():
            felt("silence")
            link = network.pick(random, websocket=what.websocket)
            if link is not None:
                link.fall_silent()
        case fault.Clog():
            felt("clog")
            weather.clogged_until[what.way] = max(weather.clogged_until[what.way], now + what.seconds)
        case fault.Unreachable():
            felt("unreachable")
            weather.unreachable_until = max(weather.unreachable_until, now + what.seconds)
            await network.lose_all()
        case fault.SlowReading():
            felt("slow")
            weather.slow_bytes_per_second = what.bytes_per_second
            weather.slow_until = max(weather.slow_until, now + what.seconds)
        case fault.SplitReading():
            felt("split")
            weather.split_bytes = what.bytes_maximum
            weather.split_until = max(weather.split_until, now + what.seconds)
        case _:
            assert_never(what)


# ---- clock and disk ---------------------------------------------------------------------------------------


def _in_machine(what: MachineFault, world: World, applied: Applied) -> None:
    match what:
        case fault.StepClock():
            world.clock.step(what.by_seconds)
            applied.bite()
            applied.at_end(world.clock.correct)
            applied.end_after(world, what.seconds)
        case fault.DriftClock():
            world.clock.drift(what.parts_per_million)
            applied.bite()
            applied.at_end(world.clock.correct)
            applied.end_after(world, what.seconds)
        case fault.SlowDisk():
            _slow_disk(what, world, applied)
        case fault.FailCommit():
            world.disk.fail_next(FailureReason.IO_ERROR, INJECTED)
            _count_store_failures(world, applied, FailureReason.IO_ERROR)
        case fault.FillDisk():
            _fill_disk(what, world, applied)
        case fault.DamageSnapshot():
            if world.is_up:
                world.kill_process()
            if world.disk.damage_snapshot(SNAPSHOT):
                applied.bite()
        case _:
            assert_never(what)


def _slow_disk(what: fault.SlowDisk, world: World, applied: Applied) -> None:
    def end() -> None:
        world.slow_commit_seconds -= what.by_seconds
        world.at_commit.remove(applied.bite)

    world.slow_commit_seconds += what.by_seconds
    world.at_commit.append(applied.bite)
    applied.at_end(end)
    applied.end_after(world, what.seconds)


def _fill_disk(what: fault.FillDisk, world: World, applied: Applied) -> None:
    world.disk.capacity_bytes = world.disk.used_bytes + what.left_bytes
    _count_store_failures(world, applied, FailureReason.DISK_FULL)

    def free() -> None:
        world.disk.capacity_bytes = None

    applied.at_end(free)
    applied.end_after(world, what.seconds)


def _count_store_failures(world: World, applied: Applied, reason: FailureReason) -> None:
    applied.counted_by(lambda: sum(failure.reason is reason for failure in world.store_failures))


# ---- actors -----------------------------------------------------------------------------------------------


def _in_actors(what: ActorFault, world: World, random: Random, applied: Applied) -> None:
    match what:
        case fault.DelayMessages():
            _delay_messages(what, world, applied)
        case fault.TightMailbox():
            _tighten(what, world, random, applied)
        case fault.CrashActor():
            world.nursery.start_soon(_crash_actor, what, world, random, applied)
        case fault.CrashAtMessage():
            _crash_at_message(what, world, applied)
        case fault.CrashAtEvent():
            if world.is_running:
                _crash_at_event(what, world, applied)
        case _:
            assert_never(what)


def path_of(role: Role, world: World) -> str:
    """Where an actor of this role lives; a path that ends in a slash has many below it."""
    account, strategy = world.rig.account, world.strategy.strategy
    match role:
        case Role.ALERTS:
            return Paths.ALERTS
        case Role.RISK:
            return Paths.RISK
        case Role.FILLS | Role.FEED | Role.WITNESS:
            return Paths.account(account, role.value)
        case Role.ACCOUNT_DESK:
            return Paths.account(account, "desk")
        case Role.GATEWAY | Role.STREAM | Role.RECONCILER:
            return Paths.connection(account, role.value)
        case Role.STRATEGY_DESK:
            return Paths.strategy(strategy, "desk")
        case Role.WORK:
            return Paths.strategy(strategy, "work") + "/"
        case Role.ORDER:
            return Paths.account(account, "orders") + "/"


def find_actor(role: Role, world: World, random: Random) -> ActorRef | None:
    """An actor of this role, if there is one now."""
    if not world.is_running:
        return None
    path = path_of(role, world)
    system = world.runtime.system
    if not path.endswith("/"):
        return system.find(path)
    below = sorted(found for found in system._cells if found.startswith(path))  # noqa: SLF001 - a world looks inside
    return system.find(random.choice(below)) if below else None


async def _crash_actor(what: fault.CrashActor, world: World, random: Random, applied: Applied) -> None:
    for _ in range(what.times):
        found = find_actor(what.who, world, random)
        if found is not None:
            found.control(Restart(INJECTED))
            applied.bite()
        await trio.sleep(AGAIN_SECONDS)


def _crash_at_message(what: fault.CrashAtMessage, world: World, applied: Applied) -> None:
    left = [what.messages]

    def decide(envelope: Envelope) -> Verdict:
        left[0] -= 1
        if left[0] == 0:
            envelope.receiver.ref.control(Restart(INJECTED))
            applied.bite()
            applied.end()
        return DELIVER

    applied.at_end(world.intercept(decide))


def _crash_at_event(what: fault.CrashAtEvent, world: World, applied: Applied) -> None:
    kind = _EVENT_KINDS[what.kind]
    world.crash_on(kind, before=what.before, told=applied.bite)


def _delay_messages(what: fault.DelayMessages, world: World, applied: Applied) -> None:
    place = path_of(what.to, world)
    left = [what.count]
    due: dict[tuple[str, str], float] = {}

    def decide(envelope: Envelope) -> Verdict:
        receiver = envelope.receiver_path
        if not (receiver.startswith(place) if place.endswith("/") else receiver == place):
            return DELIVER
        now = trio.current_time()
        between = (envelope.sender_path, receiver)
        if left[0] > 0:
            left[0] -= 1
            applied.bite()
            due[between] = max(due.get(between, now), now + what.by_seconds)
        # Of one sender, no message overtakes another.
        late = due.get(between, now) - now
        return Delay(late) if late > 0 else DELIVER

    # Until the last delayed one has arrived, those after it must wait, too.
    applied.at_end(world.intercept(decide))


def _tighten(what: fault.TightMailbox, world: World, random: Random, applied: Applied) -> None:
    found = find_actor(what.of, world, random)
    if found is None:
        return
    mailbox = found.cell.mailbox
    before = mailbox.spec
    rules = tuple(msgspec.structs.replace(rule, capacity=1) for rule in before.rules)
    mailbox.spec = msgspec.structs.replace(before, rules=rules)

    def decide(envelope: Envelope) -> Verdict:
        for rule in rules:
            if envelope.receiver is found.cell and isinstance(envelope.message, rule.message_types):
                waiting = sum(isinstance(queued.message, rule.message_types) for queued in mailbox.user or ())
                if waiting >= 1:
                    applied.bite()
        return DELIVER

    def loosen() -> None:
        mailbox.spec = before

    applied.at_end(world.intercept(decide))
    applied.at_end(loosen)
    applied.end_after(world, what.seconds)


# ---- the process ------------------------------------------------------------------------------------------


def _to_process(what: ProcessFault, world: World, applied: Applied) -> None:
    match what:
        case fault.KillAtCommit():
            _kill_at_commit(world, applied, what.commits, what.kept)
        case fault.KillAtRequest():
            _kill_at_order(what, world, applied)
        case fault.KillInRecovery():
            if world.is_up:
                world.kill_process()
                applied.bite()
            world.nursery.start_soon(_kill_again, what, world, applied)
        case fault.KillInShutdown():
            if world.is_running:
                _kill_at_commit(world, applied, what.commits, what.kept)
                world.nursery.start_soon(world.stop)
        case fault.StopInOrder():
            if world.is_running:
                applied.bite()
                world.nursery.start_soon(world.stop)
        case _:
            assert_never(what)


def _kill(world: World, kept: Kept) -> None:
    world.kill_process(keep=kept.groups, torn=kept.torn)


def _kill_at_commit(world: World, applied: Applied, commits: int, kept: Kept) -> None:
    left = [commits]

    def begins() -> None:
        left[0] -= 1
        if left[0] <= 0 and world.is_up:
            applied.end()
            applied.bite()
            _kill(world, kept)

    world.at_commit.append(begins)
    applied.at_end(lambda: world.at_commit.remove(begins))


def _kill_at_order(what: fault.KillAtRequest, world: World, applied: Applied) -> None:
    left = [what.orders]

    def leaves(request: HttpRequest) -> None:
        if world.rig.order_body(request) is None:
            return
        left[0] -= 1
        if left[0] <= 0 and world.is_up:
            applied.end()
            applied.bite()
            _kill(world, what.kept)

    world.at_request.append(leaves)
    applied.at_end(lambda: world.at_request.remove(leaves))


async def _kill_again(what: fault.KillInRecovery, world: World, applied: Applied) -> None:
    stopped = [False]

    def stop() -> None:
        stopped[0] = True

    applied.at_end(stop)
    for _ in range(what.times):
        starts = world.starts
        while world.starts == starts and not stopped[0]:  # noqa: ASYNC110 - a start tells nobody
            await trio.sleep(AGAIN_SECONDS / 4)
        if stopped[0]:
            return
        again = Applied(what)
        _kill_at_commit(world, again, what.commits, what.kept)
        applied.at_end(again.end)
        while not again.bites and not stopped[0]:  # noqa: ASYNC110 - as above
            await trio.sleep(AGAIN_SECONDS / 4)
        if again.bites:
            applied.bite()


# ---- the world outside ------------------------------------------------------------------------------------


async def _trade_by_hand(what: fault.TradeByHand, world: World, applied: Applied) -> None:
    try:
        await world.trade_by_hand(what.instrument, what.direction, str(what.price), str(what.quantity))
    except RuntimeError:
        return  # the venue did not take it: nothing has happened
    applied.bite()


def _outside(what: OutsideAct, world: World, random: Random, applied: Applied) -> None:
    match what:
        case fault.TradeByHand():
            world.nursery.start_soon(_trade_by_hand, what, world, applied)
        case fault.Deposit():
            world.venue.deposit(world.rig.settlement_asset, what.cash)
            applied.bite()
        case fault.Withdraw():
            world.venue.withdraw(world.rig.settlement_asset, what.cash)
            applied.bite()
        case fault.CancelOurs():
            found = sorted(order.venue_order_id for order in world.venue.orders() if order.is_open)
            if found:
                world.venue.cancel_ours(random.choice(found))
                applied.bite()
        case _:
            assert_never(what)
