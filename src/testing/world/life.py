"""Lives through a plan: a host that hands in, a crowd that trades, faults that strike, a keeper that starts anew.

    ├─ safety: faults strike; the laws that can be judged at once are judged at once ─┤─ healing ─┤─ rest, judged ─┤

In the healing phase no new fault comes, those that last are ended, and everything must come to rest within a stated
time: the account Live, no intent and no order at work, nothing unsettled, all views in agreement.

A message that nobody handled is judged in days in which actors and mailboxes are left alone. Where they are not, it
cannot be told from what a crash takes along: what was handled just then, what waited for an actor that did not come
back, the answer to one that had. There the other laws say whether anything was lost that matters.
"""

import hashlib
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from random import Random

import msgspec
import structlog
import trio

from ...actors.gateway import ClockOff
from ...actors.kernel import DeadLetterKind
from ...actors.ticket import IntentRejected, Ticket, TicketClosed
from ...model.identifiers import IntentId
from ...model.value import Value
from ...runtime import RuntimeEnded, RuntimeGaveUp
from ...store.errors import StoreFailed
from ...store.memory import MemoryDisk
from . import faults as fault
from . import venue_faults as at_venue
from .applying import INJECTED, Applied, apply
from .clock import EPOCH_MS
from .laws import Breach, Guard, LawBroken
from .operator import Person
from .plan import CrowdOrder, Delays, HandIn, Plan, expires_seconds
from .rigs import rig_of
from .sometimes import seen
from .world import World, innermost, simulate

CONVERGE_SECONDS = 420.0
"""How long after the last fault, and the last deadline, everything may take to come to rest: a reconnection that had
backed off (60 s), a sweep that had just begun without it (60 s), the question for an order that had backed off
(30 s), a settlement and its finality, two comparisons on their cadence (60 s each) and what they ask for. Each of
these may have to wait for the one before it."""
LOOK_SECONDS = 0.25
JUDGE_SECONDS = 1.0
RESTART_SECONDS = 1.0
"""What a service supervisor waits at least before it starts again what has ended by itself."""
HAND_IN_AGAIN_SECONDS = 3.0
"""How soon a host tries again after a refusal."""
LAW_ENDS_BY_NAME = "ends_by_name"
LAW_NO_CRASH = "no_crash"
LAW_NO_LETTER = "no_letter"
LAW_CONVERGES = "converges"
OWN_LAWS = {
    LAW_ENDS_BY_NAME: "A runtime ends by itself only for a reason that it names, and that was there.",
    LAW_NO_CRASH: "No actor crashes that nobody made crash.",
    LAW_NO_LETTER: "While nothing is done to actors and their mailboxes, every message is handled.",
    LAW_CONVERGES: "Once everything is healed, everything comes to rest within a stated time.",
}


EXPLAINED_BY: dict[type[Exception], tuple[type[msgspec.Struct], ...]] = {
    StoreFailed: (fault.FailCommit, fault.FillDisk),
    ClockOff: (fault.StepClock, fault.DriftClock, at_venue.SkewVenueClock),
    RuntimeGaveUp: (fault.CrashActor, fault.CrashAtMessage, fault.CrashAtEvent, fault.TightMailbox),
}
"""What must have been brought about for a runtime to end by itself in this way."""


class Outcome(Value, frozen=True):
    """What a run came to. `bites` has every fault that was brought about, with how often it was felt."""

    seed: int
    digest: str = ""
    seconds: float = 0.0
    starts: int = 0
    deaths: int = 0
    intents: int = 0
    orders: int = 0
    fills: int = 0
    bites: dict[str, int] = msgspec.field(default_factory=dict)
    sometimes: tuple[str, ...] = ()
    breaches: tuple[Breach, ...] = ()
    rest_seconds: float | None = None
    """How long after the last fault and the last deadline everything was at rest; None where it never was."""
    story: str = ""
    """What led to a breach."""


def live(plan: Plan, *, draw: Callable[[int], int] | None = None) -> Outcome:
    """Live through a plan, in a world of its own. The runtime's log is left unwritten: the journal has it all.

    With `draw`, that decides in which order tasks run, and not the plan's seed (see `schedule.drawn_tasks`).
    """
    with _unlogged():
        return simulate(lambda: _live(plan), seed=plan.seed, draw=draw)


def _drop(_logger: object, _method: str, _event: MutableMapping[str, object]) -> str:
    raise structlog.DropEvent


@contextmanager
def _unlogged() -> Iterator[None]:
    before, disabled = structlog.get_config(), logging.root.manager.disable
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.disable(disabled)


async def _live(plan: Plan) -> Outcome:
    rig = rig_of(plan)
    disk = MemoryDisk(latency_seconds=_drawn(plan.commits, Random(f"commits {plan.seed}")))
    async with rig.open(epoch_ms=EPOCH_MS) as venue, trio.open_nursery() as nursery:
        world = World(rig, venue, nursery, seed=plan.seed, disk=disk)
        outcome = await Life(world, plan).run()
        nursery.cancel_scope.cancel()
    return outcome


def _drawn(delays: Delays, random: Random) -> Callable[[], float]:
    def draw() -> float:
        more = random.expovariate(1 / delays.more_seconds_mean) if delays.more_seconds_mean else 0.0
        return delays.least_seconds + more

    return draw


class Life:
    """One run of one plan in one world."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.guard = Guard(world)
        self.host = Host(world, self.guard)
        self.keeper = Keeper(world, plan, self.host)
        self.person = Person(world)
        self.applied: list[Applied] = []
        self._judged = 0
        self._told = trio.Event()
        """Set when there is something to judge."""
        world.at_crash.append(self._tell)
        self.guard.at_breach.append(self._tell)
        self.keeper.at_end.append(self._tell)
        world.snapshot_every_entries = plan.snapshot_every_entries
        world.end_expected = world.crashes_expected = True
        if plan.wires != Delays():
            world.weather.latency_seconds = _drawn(plan.wires, Random(f"wires {plan.seed}"))

    async def run(self) -> Outcome:
        """Live through the plan, and return what it came to."""
        rest_seconds: float | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.keeper.keep)
                nursery.start_soon(self._judge, nursery.cancel_scope)
                nursery.start_soon(self.person.look_after)
                async with trio.open_nursery() as actors:
                    actors.start_soon(self._crowd)
                    for hand_in in self.plan.hand_ins:
                        actors.start_soon(self.host.live, hand_in)
                    actors.start_soon(self._strike)
                    await trio.sleep_until(self.plan.seconds)
                self._heal()
                await trio.sleep_until(max(self.plan.ends_seconds, self.plan.seconds + self._views_seconds))
                rest_seconds = await self._come_to_rest()
                self.keeper.is_last = True
                if rest_seconds is not None:
                    self.guard.settled()
                if self.world.is_running:
                    await self.world.stop()
                await self.guard.stopped()
                nursery.cancel_scope.cancel()
        except LawBroken as broken:
            self.guard.breaches += [found for found in broken.breaches if found not in self.guard.breaches]
        self._accidents()
        return self._outcome(rest_seconds)

    @property
    def _views_seconds(self) -> float:
        """When the last of what happened must have been looked at: with the second comparison after it, as the first
        one may read a chain that has not made it final.
        """
        return 2 * self.world.settings.witness.cadence_seconds

    # ---- phases -------------------------------------------------------------------------------------------

    async def _crowd(self) -> None:
        """Everybody else's orders, each at its time and for as long as it stands."""
        venue = self.world.venue
        due: list[tuple[float, int, CrowdOrder | str]] = [
            (order.at_seconds, number, order) for number, order in enumerate(self.plan.crowd)
        ]
        heapq.heapify(due)
        numbers = itertools.count(len(due))
        while due:
            at_seconds, _, what = heapq.heappop(due)
            await trio.sleep_until(at_seconds)
            if isinstance(what, str):
                venue.withdraw_order(what)
                continue
            order_id = venue.place(what.instrument, what.direction, what.price, what.quantity)
            if what.seconds > 0:
                heapq.heappush(due, (at_seconds + what.seconds, next(numbers), order_id))
            else:
                venue.withdraw_order(order_id)

    async def _strike(self) -> None:
        random = Random(f"strikes {self.plan.seed}")
        for strike in self.plan.strikes:
            await trio.sleep_until(strike.at_seconds)
            self.applied.append(await apply(strike.fault, self.world, random))

    def _heal(self) -> None:
        """End what was brought about, and whatever else lasts."""
        for applied in self.applied:
            applied.end()
        self.world.heal()
        self.person.healed_at = trio.current_time()

    async def _come_to_rest(self) -> float | None:
        began = trio.current_time()
        while not self.world.is_converged():
            if trio.current_time() - began > CONVERGE_SECONDS:
                self._breach(LAW_CONVERGES, f"not at rest {CONVERGE_SECONDS} s after the last fault and deadline")
                return None
            await trio.sleep(LOOK_SECONDS)
        await self.world.quiet()
        return trio.current_time() - began

    # ---- judging ------------------------------------------------------------------------------------------

    async def _judge(self, scope: trio.CancelScope) -> None:
        """Stop at the first breach: what comes after it is another story."""
        while not self.guard.breaches:
            await self._told.wait()
            await trio.sleep(JUDGE_SECONDS)  # whoever brought it about is done with it by then
            self._told = trio.Event()
            self._accidents()
        scope.cancel()

    def _tell(self) -> None:
        self._told.set()

    def _accidents(self) -> None:
        world = self.world
        for crash in world.crashes[self._judged :]:
            if not self._is_explained(crash):
                self._breach(LAW_NO_CRASH, crash)
        self._judged = len(world.crashes)
        if not any(isinstance(applied.fault, fault.ActorFault) for applied in self.applied):
            for letter in world.letters:
                if not letter.startswith(
                    DeadLetterKind.LATE_REPLY.value
                ):  # handled: who gave up waiting has said so itself
                    self._breach(LAW_NO_LETTER, letter)
        for error in self.keeper.ended_with:
            kind = next((kind for kind in EXPLAINED_BY if isinstance(error, kind)), None)
            causes = () if kind is None else EXPLAINED_BY[kind]
            if not any(isinstance(applied.fault, causes) for applied in self.applied):
                self._breach(LAW_ENDS_BY_NAME, f"the runtime ended with {error!r}")

    def _is_explained(self, crash: str) -> bool:
        if INJECTED in crash:
            return True
        return "MailboxOverflow" in crash and any(isinstance(found.fault, fault.TightMailbox) for found in self.applied)

    def _breach(self, law: str, what: str) -> None:
        if all((known.law, known.what) != (law, what) for known in self.guard.breaches):
            self.guard.breaches.append(Breach(law=law, what=what, at_seconds=trio.current_time()))

    # ---- the end ------------------------------------------------------------------------------------------

    def _outcome(self, rest_seconds: float | None) -> Outcome:
        world = self.world
        bites: Counter[str] = Counter()
        for applied in self.applied:
            bites[applied.name] += applied.bites
        executions = world.venue.executions()
        return Outcome(
            seed=self.plan.seed,
            digest=self._digest(),
            seconds=trio.current_time(),
            starts=world.starts,
            deaths=world.deaths,
            intents=len(world.folded().intents),
            orders=len(world.venue.orders()),
            fills=len(executions),
            bites=dict(sorted(bites.items())),
            sometimes=seen(world),
            breaches=tuple(self.guard.breaches),
            rest_seconds=rest_seconds,
            story=world.describe() if self.guard.breaches else "",
        )

    def _digest(self) -> str:
        """One number for everything that happened: the durable journal, what left, and what the host was told."""
        digest = hashlib.sha256()
        for group in self.world.disk.groups:
            for record in () if group.torn else group.records:
                digest.update(record)
        for request in self.world.requests:
            digest.update(f"{request.at!r} {request.method} {request.target} ".encode() + request.body)
        for at, start, report in self.host.reports:
            digest.update(f"{at!r} {start} ".encode() + report)
        return digest.hexdigest()


class Keeper:
    """Starts the runtime again whenever it has died or ended, as a service supervisor does."""

    def __init__(self, world: World, plan: Plan, host: "Host") -> None:
        self.world = world
        self.host = host
        self.ended_with: list[BaseException] = []
        self.at_end: list[Callable[[], None]] = []
        """Called each time that it has ended by itself."""
        self.is_last = False
        """The next end is the last one."""
        self._random = Random(f"keeper {plan.seed}")
        self._delays = plan.restart_seconds

    async def keep(self) -> None:
        world = self.world
        while True:
            await world.start()
            self.host.restarted()
            await _first(world.died, world.store_broke, world.left)
            if self.is_last:
                return
            by_itself = not world.died.is_set()
            if world.died.is_set():
                await world.bury()
            elif world.store_broke.is_set():
                # Somebody reads the alert: new orders have stopped, and only a restart helps.
                await trio.sleep(self._random.uniform(0.0, 10.0))
                await (world.bury() if world.died.is_set() else world.stop())
            if by_itself and world.ended_with is not None:
                self.ended_with.append(innermost(world.ended_with))
                for tell in self.at_end:
                    tell()
                await trio.sleep(RESTART_SECONDS)
            await trio.sleep(self._random.uniform(*self._delays))


async def _first(*events: trio.Event) -> None:
    """Return when the first of them is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


class Host:
    """Hands intents in, and after every restart those again of which it has seen no end."""

    def __init__(self, world: World, guard: Guard) -> None:
        self.world = world
        self.guard = guard
        self.wanted: dict[IntentId, HandIn] = {}
        self.ended: set[IntentId] = set()
        self.reports: list[tuple[float, int, bytes]] = []
        self._followed: dict[int, Ticket] = {}

    async def live(self, hand_in: HandIn) -> None:
        """Hand one intent in at its times."""
        for at_seconds in (hand_in.at_seconds, *hand_in.again_at_seconds):
            await trio.sleep_until(at_seconds)
            self.wanted[hand_in.intent.intent_id] = hand_in
            await self.hand_in(hand_in)

    async def hand_in(self, hand_in: HandIn) -> None:
        """Hand it in until it is taken, or has expired before it was."""
        world, intent = self.world, hand_in.intent
        expires = expires_seconds(intent)
        while True:
            if world.is_running and not world.died.is_set():
                try:
                    ticket = await world.submit(intent)
                except IntentRejected:
                    if trio.current_time() + HAND_IN_AGAIN_SECONDS >= expires:
                        return
                except (StoreFailed, RuntimeEnded):
                    if trio.current_time() >= expires:
                        return
                else:
                    self._follow(ticket)
                    return
            elif trio.current_time() >= expires:
                return  # the keeper's next start hands it in again if it was ever taken
            await trio.sleep(HAND_IN_AGAIN_SECONDS)

    def restarted(self) -> None:
        """Hand in again whatever was handed in before and has not been seen to end."""
        for intent_id, hand_in in list(self.wanted.items()):
            if intent_id not in self.ended:
                self.world.nursery.start_soon(self._again, hand_in)

    async def _again(self, hand_in: HandIn) -> None:
        try:
            if self.world.is_running:
                self._follow(await self.world.submit(hand_in.intent))
        except (IntentRejected, StoreFailed, RuntimeEnded):
            pass  # it was never taken, or the next restart asks again

    def _follow(self, ticket: Ticket) -> None:
        if id(ticket) not in self._followed:
            self._followed[id(ticket)] = ticket  # kept, so that its id stays its own
            self.world.nursery.start_soon(self._read, ticket, len(self._followed))

    async def _read(self, ticket: Ticket, number: int) -> None:
        try:
            async for report in ticket:
                self.reports.append((trio.current_time(), self.world.starts, msgspec.json.encode(report)))
                self.guard.hear(report, number)
                if report.is_last:
                    self.ended.add(ticket.intent_id)
        except TicketClosed:
            pass  # the next start has another one
