"""What a simulated trading day is planned to be: pure data. `day_drawing` draws it from a seed, `day_run` lives it."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from ..model.bracket import PairOutcome
from ..model.identifiers import AccountId, AssetId, ClientOrderId, InstrumentId, IntentId, StrategyName, VenueName
from ..model.intent import PairIntent, PairLeg
from ..model.money import EXACT, ONE, ZERO, Cash, Price, Quantity
from ..model.value import Value

ACCOUNT = AccountId("polymarket:main")
STRATEGY = StrategyName("pairs")
SETTLEMENT_ASSET = AssetId("pUSD")
VENUE = VenueName("polymarket")
CASH = Cash(Decimal(50_000))
"""What the account begins with."""

OPENS = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
"""A day like any other. Its seconds are even, so that blocks of the simulated chain begin at even seconds of it."""
DAY_SECONDS = 23_400
"""Half past nine to four."""


class MarketPlan(Value, frozen=True):
    """One two-outcome market."""

    slug: str
    question: str
    tick: Price
    fee_rate: Decimal

    @property
    def yes(self) -> InstrumentId:
        return InstrumentId(f"{VENUE}:{self.slug}:Yes")

    @property
    def no(self) -> InstrumentId:
        return InstrumentId(f"{VENUE}:{self.slug}:No")


class Fate(StrEnum):
    """What is to become of a leg."""

    RESTING = "resting"
    """It rests inside the crowd's spread and is filled by takes before its deadline."""
    TAKING = "taking"
    """It is marketable and is filled at once, at the crowd's best price."""
    UNLUCKY = "unlucky"
    """It rests where nobody trades."""


class Take(Value, frozen=True):
    """The crowd takes so much from our resting leg; `mirrored` says that it does so in the other outcome."""

    at_seconds: float
    quantity: Quantity
    mirrored: bool


class LegPlan(Value, frozen=True):
    """One leg: `limit_price` is the first outcome's, `children` the slices of equal size that it becomes."""

    market: str
    fate: Fate
    limit_price: Price
    quantity: Quantity
    children: int
    takes: tuple[Take, ...] = ()

    @property
    def fills(self) -> int:
        """How many executions the leg gets: each take is cut where one slice ends and the next begins."""
        match self.fate:
            case Fate.UNLUCKY:
                return 0
            case Fate.TAKING:
                return self.children
            case Fate.RESTING:
                child = EXACT.divide(self.quantity, Decimal(self.children))
                cuts = {EXACT.multiply(child, Decimal(number)) for number in range(1, self.children + 1)}
                taken = ZERO
                for take in self.takes:
                    taken = EXACT.add(taken, take.quantity)
                    cuts.add(taken)
                return len(cuts)


class PairPlan(Value, frozen=True):
    """One pair intent: long one market and short another by the same notional. Times are seconds of the day."""

    intent_id: IntentId
    at_seconds: float
    expires_at_seconds: float
    notional: Cash
    child_quantity_maximum: Quantity
    long: LegPlan
    short: LegPlan

    @property
    def legs(self) -> tuple[LegPlan, LegPlan]:
        return self.long, self.short

    @property
    def outcome(self) -> PairOutcome:
        lucky = sum(leg.fate is not Fate.UNLUCKY for leg in self.legs)
        return (PairOutcome.NEITHER, PairOutcome.ONE_SIDE, PairOutcome.BOTH)[lucky]


class Quotes(Value, frozen=True):
    """What the crowd has resting in a market from a moment on: (price, size) of the first outcome."""

    at_seconds: float
    market: str
    bids: tuple[tuple[Price, Quantity], ...]
    asks: tuple[tuple[Price, Quantity], ...]


class Marks(Value, frozen=True):
    """Where faults strike on a day that has them: two takes, and a slice that may get lost."""

    silenced_at_seconds: float
    cut_at_seconds: float
    lost_order: ClientOrderId


class DayPlan(Value, frozen=True):
    """The whole day. Times are seconds since it opened."""

    seed: int
    seconds: int
    markets: tuple[MarketPlan, ...]
    pairs: tuple[PairPlan, ...]
    quotes: tuple[Quotes, ...]
    marks: Marks

    @property
    def opens_ns(self) -> int:
        return int(OPENS.timestamp()) * 1_000_000_000

    def market(self, slug: str) -> MarketPlan:
        return next(market for market in self.markets if market.slug == slug)

    def outcomes(self) -> dict[PairOutcome, int]:
        """How many pairs end in which way."""
        counts = dict.fromkeys(PairOutcome, 0)
        for pair in self.pairs:
            counts[pair.outcome] += 1
        return counts

    @property
    def orders(self) -> int:
        """How many slices there are."""
        return sum(leg.children for pair in self.pairs for leg in pair.legs)

    @property
    def fills(self) -> int:
        return sum(leg.fills for pair in self.pairs for leg in pair.legs)

    def holdings(self) -> dict[InstrumentId, Quantity]:
        """What is held at the end of the day; a short is held as the other outcome."""
        held: dict[InstrumentId, Quantity] = {}
        for pair in self.pairs:
            for leg, name in zip(pair.legs, ("yes", "no"), strict=True):
                if leg.fate is not Fate.UNLUCKY:
                    instrument: InstrumentId = getattr(self.market(leg.market), name)
                    held[instrument] = Quantity(EXACT.add(held.get(instrument, ZERO), leg.quantity))
        return held

    def last_mids(self) -> dict[InstrumentId, Price]:
        """What each outcome is worth by the crowd's last quotes."""
        mids: dict[InstrumentId, Price] = {}
        for quotes in self.quotes:
            market = self.market(quotes.market)
            mid = EXACT.divide(EXACT.add(quotes.bids[0][0], quotes.asks[0][0]), Decimal(2))
            mids[market.yes], mids[market.no] = Price(mid), Price(EXACT.subtract(ONE, mid))
        return mids

    def intent(self, pair: PairPlan) -> PairIntent:
        """The intent as the strategy hands it in."""
        return pair_intent(
            pair.intent_id,
            self.market(pair.long.market),
            pair.long.limit_price,
            self.market(pair.short.market),
            pair.short.limit_price,
            pair.notional,
            pair.child_quantity_maximum,
            self.opens_ns + round(pair.expires_at_seconds * 1_000) * 1_000_000,
        )


def pair_intent(
    intent_id: IntentId,
    long: MarketPlan,
    long_price: Price,
    short: MarketPlan,
    short_price: Price,
    notional: Cash,
    child: Quantity,
    expires_at_ns: int,
) -> PairIntent:
    """A pair intent of the day's one strategy and account."""
    return PairIntent(
        intent_id=intent_id,
        strategy=STRATEGY,
        account=ACCOUNT,
        long=PairLeg(instrument=long.yes, limit_price=long_price),
        short=PairLeg(instrument=short.yes, limit_price=short_price),
        notional=notional,
        expires_at_ns=expires_at_ns,
        child_quantity_maximum=child,
    )
