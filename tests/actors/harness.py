"""Scenarios of the actors at the simulated Polymarket: the world of `tallystick.testing`, with the venue's own names.

    @scenario()
    async def test_a_pair_fills_both_legs(world: World) -> None:
        ticket = await world.submit(pair("p1"))
        world.crowd.sells(RAIN_YES, "0.44", "100")
        assert (await world.end_of(ticket)).outcome == "both"

After each scenario the laws are checked that hold after every day (design 14), and no actor may have crashed that the
scenario did not ask to.
"""

import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any, Concatenate, ParamSpec

import msgspec
import trio
from tallystick.actors.settings import AccountSettings, StrategySettings
from tallystick.actors.ticket import Report
from tallystick.model.identifiers import InstrumentId, IntentId, VenueOrderId
from tallystick.model.intent import Intent, PairIntent, PairLeg, Side, Style, TimeInForce
from tallystick.model.money import Cash, Price, Quantity
from tallystick.testing.world.clock import EPOCH_MS, true_ns
from tallystick.testing.world.laws import Guard
from tallystick.testing.world.polymarket import (
    ACCOUNT,
    CASH,
    KEY,
    MARKETS,
    OWNER,
    PolymarketRig,
    PolymarketSession,
)
from tallystick.testing.world.wire import HttpRequest, Link, Network
from tallystick.testing.world.world import STRATEGY, Crowd, simulate
from tallystick.testing.world.world import World as AnyWorld
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import AnyFault
from tallystick.venues.sim.polymarket.running import RunningServer
from tallystick.venues.sim.polymarket.venue import VenueSettings

__all__ = [
    "ACCOUNT",
    "CASH",
    "EPOCH_MS",
    "KEY",
    "MARKETS",
    "OWNER",
    "RAIN_NO",
    "RAIN_YES",
    "SCHEDULE_SEED",
    "SLOW_YES",
    "SNOW_NO",
    "SNOW_YES",
    "STRATEGY",
    "VENUE_SETTINGS",
    "Crowd",
    "HttpRequest",
    "Link",
    "Network",
    "World",
    "account_settings",
    "kinds",
    "now_ns",
    "pair",
    "scenario",
    "single",
]

SCHEDULE_SEED = int(os.environ.get("TALLYSTICK_SCHEDULE", "1"))
"""Another number gives every scenario other interleavings of its tasks."""
RAIN_YES = InstrumentId("polymarket:rain:Yes")
RAIN_NO = InstrumentId("polymarket:rain:No")
SNOW_YES = InstrumentId("polymarket:snow:Yes")
SNOW_NO = InstrumentId("polymarket:snow:No")
SLOW_YES = InstrumentId("polymarket:slow:Yes")
VENUE_SETTINGS = VenueSettings(markets=MARKETS, fund=Decimal(1_000))

Parameters = ParamSpec("Parameters")


# ---- what is asked for ------------------------------------------------------------------------------------


def now_ns() -> int:
    """The time of the world, UTC nanoseconds: what the venue's clock shows, too."""
    return true_ns()


def pair(
    intent_id: str = "p1",
    *,
    long: str = "0.44",
    short: str = "0.60",
    notional: str = "44",
    seconds: float = 20,
    child: str | None = None,
    post_only: bool = False,
) -> PairIntent:
    """Long rain and short snow by the same notional; the short is a purchase of its complement at one minus."""
    return PairIntent(
        intent_id=IntentId(intent_id),
        strategy=STRATEGY,
        account=ACCOUNT,
        long=PairLeg(instrument=RAIN_YES, limit_price=Price(Decimal(long))),
        short=PairLeg(instrument=SNOW_YES, limit_price=Price(Decimal(short))),
        notional=Cash(Decimal(notional)),
        expires_at_ns=now_ns() + round(seconds * 1e9),
        style=Style.POST_ONLY if post_only else Style.LIMIT,
        child_quantity_maximum=None if child is None else Quantity(Decimal(child)),
    )


def single(
    intent_id: str = "i1",
    *,
    instrument: InstrumentId = RAIN_YES,
    side: Side = Side.BUY,
    quantity: str = "50",
    price: str = "0.44",
    seconds: float = 20,
    time_in_force: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
    child: str | None = None,
) -> Intent:
    """One instrument, one side, one quantity."""
    return Intent(
        intent_id=IntentId(intent_id),
        strategy=STRATEGY,
        account=ACCOUNT,
        instrument=instrument,
        side=side,
        quantity=Quantity(Decimal(quantity)),
        limit_price=Price(Decimal(price)),
        expires_at_ns=now_ns() + round(seconds * 1e9),
        time_in_force=time_in_force,
        style=Style.POST_ONLY if post_only else Style.LIMIT,
        child_quantity_maximum=None if child is None else Quantity(Decimal(child)),
    )


# ---- the world --------------------------------------------------------------------------------------------


class World(AnyWorld):
    """A world at the simulated Polymarket, with its operator's levers."""

    @property
    def session(self) -> PolymarketSession:
        assert isinstance(self.venue, PolymarketSession)
        return self.venue

    @property
    def server(self) -> RunningServer:
        return self.session.server

    def venue_orders(self) -> list[dict[str, Any]]:
        """Every order of ours that the venue ever accepted, by its own books."""
        return [dict(row) for row in self.server.books.orders(OWNER)]

    def venue_order(self) -> dict[str, Any]:
        """Our only order at the venue."""
        (found,) = self.venue_orders()
        return found

    def venue_trades(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.server.books.trades(OWNER)]

    def wallet(self, asset: str = CASH) -> Decimal:
        """What the chain says that the wallet holds: cash, or an outcome share."""
        return super().wallet(asset)

    def token(self, instrument: InstrumentId) -> str:
        """The token id of an instrument at the venue."""
        return self.session.token(instrument)

    def do(self, action: actions.AnyAction) -> dict[str, Any]:
        """Have the venue's operator do something now."""
        return self.session.do(action)

    def fault(self, fault: AnyFault) -> int:
        """Switch a fault on; returns its id."""
        return int(self.do(actions.PutOnFault(fault=fault))["fault_id"])

    def heal(self, fault_id: int | None = None) -> None:
        """Lift one fault, or all."""
        self.do(actions.LiftFaults(fault_id=fault_id))

    def bites(self) -> int:
        """How often faults have bitten so far."""
        return sum(self.venue.bites().values())

    def expect_foreign(self, order_id: str) -> None:
        """An order of our key was made behind the runtime's back."""
        self.foreign_orders.add(VenueOrderId(order_id))


# ---- running scenarios ------------------------------------------------------------------------------------


def account_settings(**changes: Any) -> AccountSettings:
    """The defaults, at the simulated venue."""
    return msgspec.structs.replace(PolymarketRig().settings(), **changes)


def scenario(
    *,
    venue: VenueSettings = VENUE_SETTINGS,
    settings: AccountSettings | None = None,
    strategy: StrategySettings | None = None,
    start: bool = True,
    surplus_shares_allowed: bool = False,
) -> Callable[
    [Callable[Concatenate[World, Parameters], Awaitable[None]]],
    Callable[Parameters, None],
]:
    """Make a test of an async function whose first argument is a world; with `start`, one whose account is Live."""

    def decorate(test: Callable[Concatenate[World, Parameters], Awaitable[None]]) -> Callable[Parameters, None]:
        async def main(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            rig = PolymarketRig(venue, surplus_shares_allowed=surplus_shares_allowed)
            async with rig.open(epoch_ms=EPOCH_MS) as session, trio.open_nursery() as nursery:
                world = World(
                    rig,
                    session,
                    nursery,
                    settings=account_settings() if settings is None else settings,
                    strategy=strategy,
                )
                guard = Guard(world)
                if start:
                    await world.start_live()
                await test(world, *args, **kwargs)
                if world.is_running:
                    await world.stop()
                await guard.stopped()
                guard.check()
                world.check_no_accidents()
                nursery.cancel_scope.cancel()

        @functools.wraps(test)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            simulate(functools.partial(main, *args, **kwargs), seed=SCHEDULE_SEED)

        # pytest is to see the parameters without the world.
        own = list(inspect.signature(test).parameters.values())[1:]
        setattr(run, "__signature__", inspect.Signature(own))  # noqa: B010 - no attribute of functions to a type checker
        del run.__wrapped__
        return run

    return decorate


def kinds(reports: Iterable[Report]) -> list[str]:
    """The kinds of reports, in order."""
    return [str(report.kind) for report in reports]
