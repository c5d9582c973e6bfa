"""Draws plans from seeds: a short busy day of one account, or the full one of six and a half hours.

Drawn in the VOPR's way: first how hostile this world is, which kinds of faults there are and how often each comes,
then the moments. Uniform rates would make every run the same mixture and find less (actors.md 4.6).
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random

import msgspec

from ...model.fill import Direction
from ...model.identifiers import InstrumentId, IntentId
from ...model.intent import AnyIntent, Intent, PairIntent, PairLeg, Side, Style, TimeInForce
from ...model.money import Cash, Price, Quantity
from ..day import DayPlan, PairPlan
from ..day_drawing import plan_day
from . import faults as fault
from . import venue_faults as at_venue
from .clock import EPOCH_MS
from .faults import AnyFault, Kept, Role
from .plan import CrowdOrder, Delays, HandIn, MarketNeeded, Plan, Strike
from .rigs import RIGS
from .venue import VenueRig
from .venue_faults import Asked, Refusal, Told
from .wire import Way
from .world import STRATEGY

LEAD_SECONDS = 5.0
"""The runtime connects, and becomes Live if nothing is against it."""
SECONDS_MINIMUM, SECONDS_MAXIMUM = 180.0, 1_500.0
STRIKES_MAXIMUM = 60
"""A death a minute over half an hour finds nothing that it has not found by then, and every order that it leaves in
doubt is asked about again by all that follow."""
TICK = Decimal("0.01")
QUOTES_SECONDS = 60.0
CALM_SHARE, FEW_SHARE, SOME_SHARE = 0.04, 0.55, 0.88
"""How many worlds have no faults, up to three kinds, up to nine; the others have every kind."""
INTENT_SECONDS = (8.0, 90.0)
"""How long a host gives an intent: short, so that deadlines meet everything else."""

FULL_SELDOM = 40.0
"""A full day has as many faults as a short one, strewn over more hours."""

_EVENTS_TO_CRASH_AT = (
    "intent_accepted",
    "slice_computed",
    "order_submitted",
    "order_acknowledged",
    "order_unconfirmed",
    "cancel_requested",
    "cancel_answered",
    "order_done",
    "fill_recorded",
    "fill_settled",
    "bracket_closing",
    "bracket_decided",
    "intent_ended",
    "account_changed",
    "reconciliation_ended",
    "truth_compared",
    "alert_opened",
)


def draw_plan(seed: int, *, venue: str = "polymarket") -> Plan:
    """Draw a short world. The same seed gives the same plan, in every process."""
    return _Draw(seed, RIGS[venue]()).plan(venue)


class _Draw:
    """One drawing of one plan."""

    def __init__(self, seed: int, rig: VenueRig, *, seconds: float | None = None, seldom: float = 1.0) -> None:
        self.seed = seed
        self.seldom = seldom
        """So many times as far apart are the faults."""
        self.rig = rig
        self.random = Random(f"world {seed}")
        # Skewed: most worlds are short, and therefore many; a few are long.
        drawn = round(SECONDS_MINIMUM + (SECONDS_MAXIMUM - SECONDS_MINIMUM) * self.random.random() ** 8, 1)
        self.seconds = drawn if seconds is None else seconds
        self.crowd: list[CrowdOrder] = []
        self.mids = {name: Decimal(self.random.randrange(40, 61)) * TICK for name in rig.instruments[:2]}

    def plan(self, venue: str) -> Plan:
        random = self.random
        self._quotes()
        hand_ins = tuple(sorted(self._hand_ins(), key=lambda found: found.at_seconds))
        return Plan(
            seed=self.seed,
            seconds=self.seconds,
            venue=venue,
            wires=self._delays((0.0, 0.002, 0.02, 0.08), (0.0, 0.005, 0.05, 0.3)),
            commits=self._delays((0.0, 0.001, 0.01), (0.0, 0.001, 0.02, 0.2)),
            restart_seconds=random.choice(((0.0, 0.0), (0.0, 2.0), (0.5, 15.0), (5.0, 60.0))),
            snapshot_every_entries=_snapshots(self.seed, (20, 100, 500, None)),
            hand_ins=hand_ins,
            crowd=tuple(sorted(self.crowd, key=lambda found: found.at_seconds)),
            strikes=self.strikes(),
        )

    def _delays(self, least: tuple[float, ...], more: tuple[float, ...]) -> Delays:
        return Delays(least_seconds=self.random.choice(least), more_seconds_mean=self.random.choice(more))

    def _at(self, *, first: float = LEAD_SECONDS, last: float | None = None) -> float:
        return round(self.random.uniform(first, self.seconds if last is None else last), 3)

    # ---- the host -----------------------------------------------------------------------------------------

    def _hand_ins(self) -> Iterator[HandIn]:
        random = self.random
        every_seconds = random.choice((6.0, 15.0, 30.0, 60.0))
        pairs_share = random.choice((0.2, 0.6, 0.9))
        repeated_share = random.choice((0.0, 0.2, 0.8))
        notional_maximum = random.choice((15, 30, 60))
        at = LEAD_SECONDS + random.expovariate(1 / every_seconds)
        number = 0
        while at < self.seconds - 1:
            number += 1
            seconds = random.uniform(*INTENT_SECONDS)
            if random.random() < pairs_share:
                intent: AnyIntent = self._pair(number, at, seconds, notional_maximum)
            else:
                intent = self._single(number, at, seconds)
            again: list[float] = []
            while random.random() < repeated_share and len(again) < 3:
                again.append(self._at(first=at, last=at + 2 * seconds))
            yield HandIn(at_seconds=round(at, 3), intent=intent, again_at_seconds=tuple(sorted(again)))
            at += random.expovariate(1 / every_seconds)

    def _pair(self, number: int, at: float, seconds: float, notional_maximum: int) -> PairIntent:
        random = self.random
        names = list(self.mids)
        random.shuffle(names)
        long, short = names
        prices = self._limit(long, Direction.BUY), self._limit(short, Direction.SELL)
        notional = Decimal(random.randrange(800, notional_maximum * 100)) * TICK
        child = random.choice((None, None, Decimal(random.randrange(8, 30))))
        for name, direction, price in ((long, Direction.BUY, prices[0]), (short, Direction.SELL, prices[1])):
            self._takes(name, direction, price, Quantity(notional / price), at, at + seconds)
        return PairIntent(
            intent_id=IntentId(f"pair-{number:03}"),
            strategy=STRATEGY,
            account=self.rig.account,
            long=PairLeg(instrument=long, limit_price=prices[0]),
            short=PairLeg(instrument=short, limit_price=prices[1]),
            notional=Cash(notional),
            expires_at_ns=_world_ns(at + seconds),
            style=Style.POST_ONLY if random.random() < 0.15 else Style.LIMIT,
            child_quantity_maximum=None if child is None else Quantity(child),
        )

    def _single(self, number: int, at: float, seconds: float) -> Intent:
        random = self.random
        instrument = random.choice(list(self.mids))
        side = random.choice((Side.BUY, Side.BUY, Side.SELL))
        direction = Direction.BUY if side is Side.BUY else Direction.SELL
        price = self._limit(instrument, direction)
        quantity = Quantity(Decimal(random.randrange(800, 6_000)) * TICK)
        self._takes(instrument, direction, price, quantity, at, at + seconds)
        time_in_force = random.choice((TimeInForce.GTC,) * 6 + tuple(TimeInForce))
        passive = time_in_force is TimeInForce.GTC and random.random() < 0.15
        return Intent(
            intent_id=IntentId(f"single-{number:03}"),
            strategy=STRATEGY,
            account=self.rig.account,
            instrument=instrument,
            side=side,
            quantity=quantity,
            limit_price=price,
            expires_at_ns=_world_ns(at + seconds),
            time_in_force=time_in_force,
            style=Style.POST_ONLY if passive else Style.LIMIT,
            child_quantity_maximum=random.choice((None, None, Quantity(Decimal(random.randrange(6, 20))))),
        )

    def _limit(self, instrument: InstrumentId, direction: Direction) -> Price:
        """A limit that rests, or takes what the crowd quotes."""
        ticks = self.random.choice((-2, -1, -1, 0, 1, 4))
        return Price(self.mids[instrument] + direction.sign * ticks * TICK)

    # ---- the crowd ----------------------------------------------------------------------------------------

    def _quotes(self) -> None:
        random = self.random
        spread_ticks = random.choice((3, 3, 5))
        for instrument, mid in self.mids.items():
            at = 0.0
            while at < self.seconds:
                seconds = QUOTES_SECONDS * random.uniform(0.5, 1.5)
                for direction in Direction:
                    price = Price(mid - direction.sign * spread_ticks * TICK)
                    quantity = Quantity(Decimal(random.randrange(10, 120)))
                    self.crowd.append(
                        CrowdOrder(
                            at_seconds=round(at, 3),
                            instrument=instrument,
                            direction=direction,
                            price=price,
                            quantity=quantity,
                            seconds=round(seconds, 3),
                        )
                    )
                at += seconds

    def _takes(
        self, instrument: InstrumentId, direction: Direction, price: Price, quantity: Quantity, at: float, ends: float
    ) -> None:
        """Trades against what we will have resting: in parts, and often just as it is cancelled or expires."""
        random = self.random
        for _ in range(random.choice((0, 0, 1, 1, 2, 3, 4))):
            when = ends + random.uniform(-0.5, 0.7) if random.random() < 0.35 else random.uniform(at, ends)
            share = Decimal(random.choice((25, 40, 60, 100, 150))) / 100
            self.crowd.append(
                CrowdOrder(
                    at_seconds=round(max(0.0, when), 3),
                    instrument=instrument,
                    direction=Direction.SELL if direction is Direction.BUY else Direction.BUY,
                    price=price,
                    quantity=Quantity(max(quantity * share, Decimal(5)).quantize(TICK)),
                    seconds=random.choice((0.0, 0.0, 0.5, 10.0)),
                )
            )

    # ---- what goes wrong ----------------------------------------------------------------------------------

    def strikes(self) -> tuple[Strike, ...]:
        """Every fault at its time, in order."""
        found = list(self._strikes())
        if len(found) > STRIKES_MAXIMUM:
            found = self.random.sample(found, STRIKES_MAXIMUM)
        return tuple(sorted(found, key=lambda strike: strike.at_seconds))

    def _strikes(self) -> Iterator[Strike]:
        random = self.random
        makers = self._makers()
        hostility = random.random()
        every: tuple[float, ...]
        if hostility < CALM_SHARE:
            return
        if hostility < FEW_SHARE:
            chosen = random.sample(makers, random.randint(1, 3))
            every = (10.0, 30.0, 60.0)
        elif hostility < SOME_SHARE:
            chosen = random.sample(makers, random.randint(4, 9))
            every = (20.0, 60.0, 120.0)
        else:
            chosen, every = makers, (300.0, 600.0)
        for make in chosen:
            mean_seconds = random.choice(every) * self.seldom
            at = random.expovariate(1 / mean_seconds)
            while at < self.seconds:
                what = make()
                if not isinstance(what, at_venue.VenueFault) or self.rig.supports(what):
                    yield Strike(at_seconds=round(at, 3), fault=what)
                at += random.expovariate(1 / mean_seconds)

    def _makers(self) -> list[Callable[[], AnyFault]]:
        return [
            *self._of_reports(),
            *self._of_requests(),
            *self._of_views(),
            *self._of_wires(),
            *self._of_the_machine(),
            *self._of_actors(),
            *self._of_the_process(),
            *self._outside(),
        ]

    def _seconds(self, most: float) -> float:
        """A duration, mostly short."""
        return round(min(most, 0.1 + self.random.expovariate(5 / most)), 2)

    def _count(self) -> int:
        return self.random.choice((1, 1, 1, 2, 4))

    def _of_reports(self) -> list[Callable[[], AnyFault]]:
        def told() -> Told:
            return self.random.choice((Told.FILL, Told.FILL, Told.ORDER, Told.ANY))

        return [
            lambda: at_venue.DropReport(told=told(), count=self._count()),
            lambda: at_venue.DuplicateReport(told=told(), count=self._count()),
            lambda: at_venue.DelayReport(told=told(), by_seconds=self._seconds(30), count=self._count()),
            lambda: at_venue.ReorderReports(told=told(), count=self._count()),
            lambda: at_venue.CutBeforeReport(told=told(), count=1),
            lambda: at_venue.FreezeStream(seconds=self._seconds(60)),
        ]

    def _of_requests(self) -> list[Callable[[], AnyFault]]:
        def asked() -> Asked:
            kinds: tuple[Asked, ...] = (Asked.PLACE, Asked.PLACE, Asked.CANCEL, *Asked)
            return self.random.choice(kinds)

        def refusing(how: Refusal) -> Callable[[], AnyFault]:
            def make() -> AnyFault:
                if self.random.random() < 0.3:
                    return at_venue.Refuse(asked=Asked.ANY, how=how, seconds=self._seconds(30))
                return at_venue.Refuse(asked=asked(), how=how, count=self._count())

            return make

        return [
            *(refusing(how) for how in Refusal),
            lambda: at_venue.LoseAnswer(asked=asked(), count=self._count()),
            lambda: at_venue.FailAfterAccept(asked=asked(), count=self._count()),
            lambda: at_venue.DelayAnswer(asked=asked(), by_seconds=self._seconds(25), count=self._count()),
            lambda: at_venue.DelayRequest(asked=asked(), by_seconds=self._seconds(25), count=self._count()),
            lambda: at_venue.HideOrders(seconds=self._seconds(30)),
        ]

    def _of_views(self) -> list[Callable[[], AnyFault]]:
        random = self.random
        return [
            lambda: at_venue.LagLists(by_seconds=self._seconds(20), seconds=self._seconds(60)),
            lambda: at_venue.LagPositions(by_seconds=self._seconds(30), seconds=self._seconds(60)),
            lambda: at_venue.StaleBalances(seconds=self._seconds(60)),
            lambda: at_venue.LagWallet(blocks=random.randint(1, 20), seconds=self._seconds(60)),
            lambda: at_venue.StopFinality(seconds=self._seconds(120)),
            lambda: at_venue.FailSettlement(count=1),
            lambda: at_venue.RetrySettlement(count=self._count()),
            lambda: at_venue.StallSettlement(count=1),
            lambda: at_venue.Reorganise(depth=random.randint(1, 4)),
            lambda: at_venue.SkewVenueClock(ahead_seconds=random.uniform(-8, 8), seconds=self._seconds(60)),
            lambda: at_venue.DustSizes(count=self._count()),
            at_venue.FireDeadMan,
        ]

    def _of_wires(self) -> list[Callable[[], AnyFault]]:
        random = self.random

        def way() -> Way:
            return random.choice(list(Way))

        def websocket() -> bool:
            return random.random() < 0.4

        return [
            fault.LoseConnections,
            lambda: fault.CutConnection(websocket=websocket(), way=way(), after_bytes=random.randrange(2_000)),
            lambda: fault.SilenceConnection(websocket=websocket()),
            lambda: fault.Clog(way=way(), seconds=self._seconds(40)),
            lambda: fault.Unreachable(seconds=self._seconds(60)),
            lambda: fault.SlowReading(bytes_per_second=random.choice((500.0, 5_000.0)), seconds=self._seconds(30)),
            lambda: fault.SplitReading(bytes_maximum=random.choice((1, 7, 100)), seconds=self._seconds(10)),
        ]

    def _of_the_machine(self) -> list[Callable[[], AnyFault]]:
        random = self.random
        return [
            lambda: fault.StepClock(by_seconds=random.choice((-20, -4, -1, 1, 4, 20)), seconds=self._seconds(60)),
            lambda: fault.DriftClock(parts_per_million=random.choice((-500, -200, 200, 500)), seconds=300.0),
            lambda: fault.SlowDisk(by_seconds=self._seconds(3), seconds=self._seconds(30)),
            fault.FailCommit,
            lambda: fault.FillDisk(left_bytes=random.randrange(20_000), seconds=self._seconds(60)),
            fault.DamageSnapshot,
        ]

    def _of_actors(self) -> list[Callable[[], AnyFault]]:
        random = self.random

        def role() -> Role:
            return random.choice(list(Role))

        return [
            lambda: fault.DelayMessages(to=role(), by_seconds=self._seconds(5), count=random.randint(1, 20)),
            lambda: fault.TightMailbox(
                of=random.choice((Role.FILLS, Role.STREAM, Role.FEED, Role.STRATEGY_DESK)), seconds=self._seconds(20)
            ),
            lambda: fault.CrashActor(who=role(), times=random.choice((1, 1, 1, 2, 8, 30))),
            lambda: fault.CrashAtMessage(messages=random.randint(1, 60)),
            lambda: fault.CrashAtEvent(kind=random.choice(_EVENTS_TO_CRASH_AT), before=random.random() < 0.5),
        ]

    def _of_the_process(self) -> list[Callable[[], AnyFault]]:
        random = self.random

        def kept() -> Kept:
            return Kept(groups=random.choice((0, 0, 1, 2, 100)), torn=random.random() < 0.3)

        return [
            lambda: fault.KillAtCommit(commits=random.randint(1, 30), kept=kept()),
            lambda: fault.KillAtRequest(orders=random.randint(1, 3), kept=kept()),
            lambda: fault.KillInRecovery(commits=random.randint(1, 12), times=random.choice((1, 1, 2, 4)), kept=kept()),
            lambda: fault.KillInShutdown(commits=random.randint(1, 3), kept=kept()),
            fault.StopInOrder,
        ]

    def _outside(self) -> list[Callable[[], AnyFault]]:
        random = self.random

        def cash() -> Cash:
            return Cash(Decimal(random.randrange(100, 3_000)) * TICK)

        def trade() -> AnyFault:
            instrument = random.choice(list(self.mids))
            ticks = random.choice((-4, 5))
            return fault.TradeByHand(
                instrument=instrument,
                direction=Direction.BUY,
                price=Price(self.mids[instrument] + ticks * TICK),
                quantity=Quantity(Decimal(random.randrange(5, 15))),
            )

        return [
            trade,
            lambda: fault.Deposit(cash=cash()),
            lambda: fault.Withdraw(cash=cash()),
            fault.CancelOurs,
        ]


def _world_ns(seconds: float) -> int:
    return EPOCH_MS * 1_000_000 + round(seconds * 1_000) * 1_000_000


# ---- the full day -----------------------------------------------------------------------------------------


def draw_full_plan(seed: int) -> Plan:
    """Draw the day of forty sized pairs, half past nine to four, with faults strewn over it."""
    day = plan_day(seed)
    faults = _Draw(seed, RIGS["polymarket"](), seconds=float(day.seconds), seldom=FULL_SELDOM)
    faults.mids = {market.yes: Decimal("0.5") for market in day.markets}
    return Plan(
        seed=seed,
        seconds=float(day.seconds),
        markets=tuple(
            MarketNeeded(slug=found.slug, question=found.question, tick=found.tick, fee_rate=found.fee_rate)
            for found in day.markets
        ),
        wires=Delays(least_seconds=0.01, more_seconds_mean=0.02),
        commits=Delays(least_seconds=0.001, more_seconds_mean=0.002),
        restart_seconds=(0.5, 15.0),
        snapshot_every_entries=_snapshots(seed, (300, 1_000, 5_000)),
        hand_ins=tuple(sorted((_handed_in(day, pair) for pair in day.pairs), key=lambda hand_in: hand_in.at_seconds)),
        crowd=tuple(sorted((*_quoted(day), *_taken(day)), key=lambda order: order.at_seconds)),
        strikes=faults.strikes(),
    )


def _snapshots(seed: int, choices: tuple[int | None, ...]) -> int | None:
    """Drawn by itself: it leaves the rest of a plan as it is."""
    return Random(f"snapshots {seed}").choice(choices)


def _handed_in(day: DayPlan, pair: PairPlan) -> HandIn:
    intent = msgspec.structs.replace(
        day.intent(pair), strategy=STRATEGY, expires_at_ns=_world_ns(pair.expires_at_seconds)
    )
    return HandIn(at_seconds=pair.at_seconds, intent=intent)


def _quoted(day: DayPlan) -> Iterator[CrowdOrder]:
    """Both sides of every market, each level until the market's next quotes."""
    for market in day.markets:
        quoted = [quotes for quotes in day.quotes if quotes.market == market.slug]
        ends = [*(quotes.at_seconds for quotes in quoted[1:]), float(day.seconds)]
        for quotes, until in zip(quoted, ends, strict=True):
            for direction, levels in ((Direction.BUY, quotes.bids), (Direction.SELL, quotes.asks)):
                for price, quantity in levels:
                    yield CrowdOrder(
                        at_seconds=quotes.at_seconds,
                        instrument=market.yes,
                        direction=direction,
                        price=price,
                        quantity=quantity,
                        seconds=until - quotes.at_seconds,
                    )


def _taken(day: DayPlan) -> Iterator[CrowdOrder]:
    """What meets our resting legs: across their book, or in the other outcome, by making a pair or retiring one."""
    for pair in day.pairs:
        for leg, buys in zip(pair.legs, (True, False), strict=True):
            market = day.market(leg.market)
            # We bid for one outcome of the market; whoever sells it may as well bid for the other.
            ours, other, price = (
                (market.yes, market.no, leg.limit_price)
                if buys
                else (market.no, market.yes, Price(1 - leg.limit_price))
            )
            for take in leg.takes:
                yield CrowdOrder(
                    at_seconds=take.at_seconds,
                    instrument=other if take.mirrored else ours,
                    direction=Direction.BUY if take.mirrored else Direction.SELL,
                    price=Price(1 - price) if take.mirrored else price,
                    quantity=take.quantity,
                    seconds=0.0,
                )
