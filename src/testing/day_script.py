"""What a plan asks of the simulated venue: its markets, the crowd's orders at their times, and the faults."""

from decimal import Decimal
from typing import Literal

from ..venues.sim.polymarket.actions import PlaceOrder, PutOnFault, ScriptStep, SetQuotes
from ..venues.sim.polymarket.faults import CutBeforeFrame, FreezeStreams
from .day import DayPlan, LegPlan, Take

VENUE_LEAD_SECONDS = 60
"""The venue is up so long before the day opens: the account's money is final on the chain by then."""

CROWD, FLOW = "crowd", "flow"
"""Who quotes, and who takes. Two participants, so that replacing the quotes leaves a take's rest alone."""

STRIKE_EARLIER_SECONDS = 0.2
SILENCE_SECONDS = 12.0
"""Longer than a trade takes to settle, so that none of its frames gets through; shorter than the runtime's patience
with a silent stream, so that the connection looks healthy throughout."""
CUT_SECONDS = 5.0


def venue_arguments(plan: DayPlan) -> tuple[str, ...]:
    """The command line of the day's venue."""
    markets = [
        f"--market={market.question};slug={market.slug};tick={market.tick};fee={market.fee_rate}"
        for market in plan.markets
    ]
    epoch_ms = plan.opens_ns // 1_000_000 - VENUE_LEAD_SECONDS * 1_000
    return ("--clock=virtual", f"--epoch-ms={epoch_ms}", "--fund=0", *markets)


def script_of(plan: DayPlan, *, with_faults: bool) -> list[ScriptStep]:
    """Everything that happens at the venue of itself, in order of time."""
    steps = [
        _step(
            quotes.at_seconds,
            SetQuotes(participant=CROWD, market=quotes.market, outcome="Yes", bids=quotes.bids, asks=quotes.asks),
        )
        for quotes in plan.quotes
    ]
    for pair in plan.pairs:
        for leg, buys in zip(pair.legs, (True, False), strict=True):
            steps += [_step(take.at_seconds, _take(leg, take, buys=buys)) for take in leg.takes]
    if with_faults:
        steps += _faults(plan)
    return sorted(steps, key=lambda step: step.at_seconds)


def _step(at_seconds: float, action: SetQuotes | PlaceOrder | PutOnFault) -> ScriptStep:
    # Before the day opens there is nobody to be early for: the first quotes stand when the runtime looks.
    return ScriptStep(at_seconds=VENUE_LEAD_SECONDS + at_seconds if at_seconds else 0.0, action=action)


def _take(leg: LegPlan, take: Take, *, buys: bool) -> PlaceOrder:
    """An order that meets our resting leg exactly: across its book, or by making a pair or retiring one."""
    # We bid for Yes, or for No. Whoever sells us the one may as well buy the other for what is left of a dollar.
    outcome, price = ("Yes", leg.limit_price) if buys else ("No", 1 - leg.limit_price)
    side: Literal["BUY", "SELL"] = "SELL"
    if take.mirrored:
        outcome, price, side = _OTHER[outcome], Decimal(1 - price), "BUY"
    return PlaceOrder(
        participant=FLOW,
        market=leg.market,
        outcome=outcome,
        side=side,
        price=price,
        size=take.quantity,
        order_type="FAK",
    )


_OTHER = {"Yes": "No", "No": "Yes"}


def _faults(plan: DayPlan) -> list[ScriptStep]:
    """The two ways in which a report gets lost round a connection: it goes silent, or it breaks."""
    silence = FreezeStreams(channel="user", seconds=SILENCE_SECONDS)
    cut = CutBeforeFrame(channel="user", event="trade", status="MATCHED", count=1, seconds=CUT_SECONDS)
    marks = plan.marks
    return [
        _step(marks.silenced_at_seconds - STRIKE_EARLIER_SECONDS, PutOnFault(fault=silence)),
        _step(marks.cut_at_seconds - STRIKE_EARLIER_SECONDS, PutOnFault(fault=cut)),
    ]
