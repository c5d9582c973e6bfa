"""Draws the plan of a simulated trading day from a seed, so that its outcome follows from the plan alone.

The day is cut into rounds. In a round every market has at most one leg of ours at work, so no order of ours can meet
another; the crowd moves its prices between rounds only, so that none is filled by accident:

    round   ├─ submit ─┬──── takes ────┬─ quiet ─┬─ deadlines ─┬─ new prices ─┤
            0         14 %            55 %  60 – 75 %       80 – 90 %         100 %

The crowd takes from our resting orders by explicit takes alone, and those add up to a leg exactly, slice by slice. In
the quiet part of a round nothing happens but the takes that are marked for a fault: a day without the faults has the
same takes at the same times.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from random import Random

from ..model.bracket import PairOutcome
from ..model.identifiers import IntentId, client_order_id
from ..model.instrument import Instrument, InstrumentKind
from ..model.money import EXACT, ONE, Cash, Price, Quantity, ceil_to
from ..model.sizing import child_sizes, pair_quantities
from .day import (
    DAY_SECONDS,
    SETTLEMENT_ASSET,
    STRATEGY,
    VENUE,
    DayPlan,
    Fate,
    LegPlan,
    MarketPlan,
    Marks,
    PairPlan,
    Quotes,
    Take,
    pair_intent,
)

LEAD_SECONDS = 60
CLOSE_SECONDS = 300
"""Before the first round the runtime connects, after the last one everything settles."""

PAIRS_MINIMUM, PAIRS_MAXIMUM = 4, 160
PAIRS_A_ROUND = 5
ROUND_SECONDS_MINIMUM = 700
"""A shorter round would not leave a lost report the time to be found before the deadline."""

SUBMIT_SHARE = 0.12
LAST_SUBMIT_SHARE = 0.14
TAKES_SHARES = (0.18, 0.55)
QUIET_SHARE = 0.60
DEADLINE_SHARES = (0.80, 0.90)
PRICES_SHARE = 0.97

UNLUCKY_SHARE = 20
"""One pair in so many gets liquidity on one leg only, and as many get none."""
TAKING_PROBABILITY = 0.15
SPLIT_PROBABILITY = 0.45
MERGE_PROBABILITY = 0.10
QUOTES_SECONDS = 900

BEST_TICKS = 3
LEVELS_TICKS = (BEST_TICKS, BEST_TICKS + 2, BEST_TICKS + 4)
RESTING_TICKS = (1, 2)
UNLUCKY_TICKS = 12
"""How far from the mid the crowd quotes; our resting orders lie before all of it, the unlucky ones behind."""

_CENT = Decimal("0.01")
_QUESTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("rain-in-lisbon", "Will it rain in Lisbon this week?", "0.01", "0.05"),
    ("north-candidate", "Will the north candidate win?", "0.01", "0.04"),
    ("rates-unchanged", "Will rates stay unchanged in December?", "0.01", "0.04"),
    ("harbour-strike", "Will the harbour strike end by Sunday?", "0.001", "0"),
    ("cup-final-extra-time", "Will the cup final go to extra time?", "0.01", "0.05"),
    ("launch-on-time", "Will the rocket launch on time?", "0.01", "0"),
    ("album-number-one", "Will the album enter the charts at number one?", "0.001", "0.05"),
    ("bill-passes", "Will the bill pass before the recess?", "0.01", "0.04"),
    ("wheat-above-600", "Will wheat close above 600?", "0.01", "0.05"),
    ("river-crest", "Will the river crest above five metres?", "0.01", "0.05"),
)


def plan_day(seed: int, pairs: int = 40, *, seconds: int = DAY_SECONDS) -> DayPlan:
    """Draw a day. The same arguments give the same day; another seed the same laws with other numbers.

    Raises ValueError for a number of pairs outside of the bounds, or a day that is too short for them.
    """
    if not PAIRS_MINIMUM <= pairs <= PAIRS_MAXIMUM:
        raise ValueError(f"a day has {PAIRS_MINIMUM} to {PAIRS_MAXIMUM} pairs, not {pairs}")
    rounds = -(-pairs // PAIRS_A_ROUND)
    round_seconds = (seconds - LEAD_SECONDS - CLOSE_SECONDS) / rounds
    if round_seconds < ROUND_SECONDS_MINIMUM:
        needed = rounds * ROUND_SECONDS_MINIMUM + LEAD_SECONDS + CLOSE_SECONDS
        raise ValueError(f"{pairs} pairs need a day of at least {needed} seconds, not {seconds}")
    return _Draw(seed, pairs, seconds, rounds, round_seconds).day()


class _Draw:
    """One drawing of one day."""

    def __init__(self, seed: int, pairs: int, seconds: int, rounds: int, round_seconds: float) -> None:
        self.random = Random(f"day {seed}")  # a text, so that neighbouring seeds are as different as any
        self.seed = seed
        self.count = pairs
        self.seconds = seconds
        self.rounds = rounds
        self.round_seconds = round_seconds
        self.markets = tuple(
            MarketPlan(slug=slug, question=question, tick=Price(Decimal(tick)), fee_rate=Decimal(fee))
            for slug, question, tick, fee in _QUESTIONS
        )
        self.mids = [self._first_mids()]
        for _ in range(rounds):
            self.mids.append(self._next_mids(self.mids[-1]))

    def day(self) -> DayPlan:
        outcomes = self._outcomes()
        silenced, cut = self._struck(outcomes)
        pairs: list[PairPlan] = []
        silenced_at = cut_at = 0.0
        for number, outcome in enumerate(outcomes):
            round_number, place = self._place(number)
            struck_at: float | None = None
            if number == silenced:
                # Just after a whole minute: it takes a comparison or the next sweep to find it, up to a minute later.
                struck_at = silenced_at = self._quiet(round_number) // 60 * 60 + 65.0
            elif number == cut:
                # Just before a block: the trade settles while the stream is down, and tells of itself once only.
                struck_at = cut_at = (self._quiet(round_number) + 0.05 * self.round_seconds) // 2 * 2 + 1.4
            pairs.append(self._pair(number, round_number, place, outcome, struck_at))
        last = pairs[-1]
        lost = next(leg for leg in (0, 1) if last.legs[leg].fate is Fate.UNLUCKY)
        return DayPlan(
            seed=self.seed,
            seconds=self.seconds,
            markets=self.markets,
            pairs=tuple(pairs),
            quotes=tuple(self._quotes()),
            marks=Marks(
                silenced_at_seconds=silenced_at,
                cut_at_seconds=cut_at,
                lost_order=client_order_id(STRATEGY, last.intent_id, lost, last.legs[lost].children - 1, 0),
            ),
        )

    # ---- who gets what ------------------------------------------------------------------------------------

    def _outcomes(self) -> list[PairOutcome]:
        """The last pair of the day is one of those that get one side only."""
        unlucky = max(1, round(self.count / UNLUCKY_SHARE))
        outcomes = [PairOutcome.ONE_SIDE] * (unlucky - 1) + [PairOutcome.NEITHER] * unlucky
        outcomes += [PairOutcome.BOTH] * (self.count - 1 - len(outcomes))
        self.random.shuffle(outcomes)
        return [*outcomes, PairOutcome.ONE_SIDE]

    def _struck(self, outcomes: list[PairOutcome]) -> tuple[int, int]:
        """The two pairs whose last take is marked for a fault, in two different rounds where there are two."""
        both = [number for number, outcome in enumerate(outcomes) if outcome is PairOutcome.BOTH]
        first = both[len(both) // 4]
        others = [number for number in both if number != first and self._place(number)[0] > self._place(first)[0]]
        second = others[len(others) // 3] if others else both[-1]
        assert first != second, outcomes
        return first, second

    def _place(self, number: int) -> tuple[int, int]:
        """Round and place in it of a pair: as even as possible."""
        for round_number, (start, end) in enumerate(pairwise(self._starts())):
            if start <= number < end:
                return round_number, number - start
        raise AssertionError(f"there is no pair {number}")

    def _starts(self) -> list[int]:
        return [self.count * number // self.rounds for number in range(self.rounds + 1)]

    def _quiet(self, round_number: int) -> float:
        return LEAD_SECONDS + (round_number + QUIET_SHARE) * self.round_seconds

    def _at(self, round_number: int, share: float) -> float:
        return round(LEAD_SECONDS + (round_number + share) * self.round_seconds, 3)

    # ---- pairs --------------------------------------------------------------------------------------------

    def _pair(
        self, number: int, round_number: int, place: int, outcome: PairOutcome, struck_at: float | None
    ) -> PairPlan:
        # A shuffle of its own for every round: which markets meet depends on nothing else that is drawn.
        order = list(range(len(self.markets)))
        Random(f"day {self.seed} round {round_number}").shuffle(order)
        fates = self._fates(outcome, struck=struck_at is not None)
        prices = tuple(
            self._limit(order[2 * place + leg], round_number, fate, buys=leg == 0) for leg, fate in enumerate(fates)
        )
        long, short = self.markets[order[2 * place]], self.markets[order[2 * place + 1]]
        notional, child, quantities = self._size(long, prices[0], short, prices[1])
        is_last = number == self.count - 1
        at_seconds = self._at(round_number, LAST_SUBMIT_SHARE if is_last else self.random.uniform(0.0, SUBMIT_SHARE))
        legs = tuple(
            LegPlan(
                market=market.slug,
                fate=fate,
                limit_price=price,
                quantity=quantity,
                children=children,
                takes=self._takes(round_number, quantity, children, struck_at if leg == 0 else None)
                if fate is Fate.RESTING
                else (),
            )
            for leg, (market, fate, price, (quantity, children)) in enumerate(
                zip((long, short), fates, prices, quantities, strict=True)
            )
        )
        return PairPlan(
            intent_id=IntentId(f"pair-{number + 1:03}"),
            at_seconds=at_seconds,
            expires_at_seconds=self._at(round_number, self.random.uniform(*DEADLINE_SHARES)),
            notional=notional,
            child_quantity_maximum=child,
            long=legs[0],
            short=legs[1],
        )

    def _fates(self, outcome: PairOutcome, *, struck: bool) -> tuple[Fate, Fate]:
        def lucky() -> Fate:
            return Fate.TAKING if self.random.random() < TAKING_PROBABILITY else Fate.RESTING

        match outcome:
            case PairOutcome.NEITHER:
                return Fate.UNLUCKY, Fate.UNLUCKY
            case PairOutcome.ONE_SIDE:
                fates = (lucky(), Fate.UNLUCKY)
                return fates if self.random.random() < 0.5 else (fates[1], fates[0])
            case PairOutcome.BOTH:
                return (Fate.RESTING, lucky()) if struck else (lucky(), lucky())

    def _limit(self, market: int, round_number: int, fate: Fate, *, buys: bool) -> Price:
        """The limit price of a leg, as far from the mid as its fate wants it."""
        # Beyond the crowd's best means short of its second: the venue gives the better price.
        ticks = {
            Fate.RESTING: -self.random.choice(RESTING_TICKS),
            Fate.TAKING: BEST_TICKS + 1,
            Fate.UNLUCKY: -UNLUCKY_TICKS,
        }[fate]
        tick = self.markets[market].tick
        return Price(self.mids[round_number][market] + (ticks if buys else -ticks) * tick)

    def _size(
        self, long: MarketPlan, long_price: Price, short: MarketPlan, short_price: Price
    ) -> tuple[Cash, Quantity, tuple[tuple[Quantity, int], tuple[Quantity, int]]]:
        """A notional for which the slices of both legs come out equal, so that no take depends on their order."""
        rules = _instrument(long), _instrument(short)
        children = self.random.choice((2, 2, 3))
        notional = Decimal(self.random.randrange(3_000, 9_000)) * _CENT
        while True:
            notional += _CENT
            probe = pair_intent(
                IntentId("probe"), long, long_price, short, short_price, Cash(notional), Quantity(ONE), self.seconds
            )
            quantities = pair_quantities(probe, *rules)
            child = Quantity(ceil_to(max(quantities) / children, _CENT))
            slices = [child_sizes(found, child, rule) for found, rule in zip(quantities, rules, strict=True)]
            if all(isinstance(sizes, tuple) and len(set(sizes)) == 1 for sizes in slices):
                counts = [len(sizes) for sizes in slices if isinstance(sizes, tuple)]
                return Cash(notional), child, ((quantities[0], counts[0]), (quantities[1], counts[1]))

    def _takes(self, round_number: int, quantity: Quantity, children: int, struck_at: float | None) -> tuple[Take, ...]:
        """Takes that add up to the leg; the last of a struck leg is at its own time."""
        child = Quantity(EXACT.divide(quantity, Decimal(children)))
        sizes = [child] * children
        if self.random.random() < SPLIT_PROBABILITY:
            part = Quantity((child * Decimal(self.random.randrange(30, 70)) / 100).quantize(_CENT))
            sizes[:1] = [part, Quantity(child - part)]
        elif self.random.random() < MERGE_PROBABILITY and struck_at is None:
            sizes[:2] = [Quantity(child * 2)]
        first, last = (self._at(round_number, share) for share in TAKES_SHARES)
        times = sorted(round(self.random.uniform(first, last), 3) for _ in sizes)
        if struck_at is not None:
            times[-1] = struck_at
        return tuple(
            Take(at_seconds=at, quantity=size, mirrored=self.random.random() < 0.5)
            for at, size in zip(times, sizes, strict=True)
        )

    # ---- the crowd ----------------------------------------------------------------------------------------

    def _first_mids(self) -> list[Decimal]:
        return [Decimal(self.random.randrange(40, 61)) * _CENT for _ in self.markets]

    def _next_mids(self, mids: list[Decimal]) -> list[Decimal]:
        moved = [
            mid + self.random.choice((-2, -1, 0, 1, 2)) * market.tick
            for mid, market in zip(mids, self.markets, strict=True)
        ]
        return [min(max(mid, Decimal("0.35")), Decimal("0.65")) for mid in moved]

    def _quotes(self) -> Iterator[Quotes]:
        """Sizes change now and then, prices between two rounds."""
        for number, market in enumerate(self.markets):
            at = 0.0
            for round_number in range(self.rounds):
                ends = self._at(round_number, PRICES_SHARE)
                while at < ends:
                    yield self._quote(at, market, self.mids[round_number][number])
                    at = round(at + QUOTES_SECONDS * self.random.uniform(0.7, 1.3), 3)
                at = ends
            yield self._quote(at, market, self.mids[self.rounds][number])

    def _quote(self, at_seconds: float, market: MarketPlan, mid: Decimal) -> Quotes:
        def level(ticks: int) -> tuple[Price, Quantity]:
            return Price(mid + ticks * market.tick), Quantity(Decimal(self.random.randrange(600, 1_200)))

        return Quotes(
            at_seconds=at_seconds,
            market=market.slug,
            bids=tuple(level(-ticks) for ticks in LEVELS_TICKS),
            asks=tuple(level(ticks) for ticks in LEVELS_TICKS),
        )


def _instrument(market: MarketPlan) -> Instrument:
    """The rules that a market's first outcome will have at the venue."""
    return Instrument(
        instrument_id=market.yes,
        venue=VENUE,
        venue_symbol=market.slug,
        market=market.slug,
        kind=InstrumentKind.OUTCOME_SHARE,
        settlement_asset=SETTLEMENT_ASSET,
        price_tick=market.tick,
        price_minimum=market.tick,
        price_maximum=Price(1 - market.tick),
        quantity_step=Quantity(_CENT),
        quantity_minimum=Quantity(Decimal(5)),
        complement=market.no,
    )
