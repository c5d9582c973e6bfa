"""Runs a test against a simulated Polymarket in memory, on a clock that jumps to whatever is due next."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Concatenate, ParamSpec

import trio
from tallystick.venues.sim.polymarket.markets import MarketSpec
from tallystick.venues.sim.polymarket.running import running_server
from tallystick.venues.sim.polymarket.venue import VenueSettings
from trio.testing import MockClock

from .memory_client import EPOCH_MS, MemoryClient, memory_client

MARKETS = (
    MarketSpec(question="First", slug="first", fee_rate=Decimal("0.04")),
    MarketSpec(question="Second", slug="second", tick_size=Decimal("0.001"), neg_risk=True),
    MarketSpec(question="Delayed", slug="delayed", taker_delay_ms=250),
)
SETTINGS = VenueSettings(markets=MARKETS, fund=Decimal(1_000))

Parameters = ParamSpec("Parameters")


def simulated(test: Callable[Concatenate[MemoryClient, Parameters], Awaitable[None]]) -> Callable[Parameters, None]:
    """Make a test of an async function whose first argument is a client of a running simulator."""

    async def main(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        async with (
            running_server(SETTINGS, epoch_ms=EPOCH_MS, port=None) as server,
            memory_client(server) as client,
        ):
            await test(client, *args, **kwargs)

    @functools.wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            trio.run(functools.partial(main, *args, **kwargs), clock=MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            raise _innermost(group) from None

    # pytest is to see the parameters without the client.
    own = list(inspect.signature(test).parameters.values())[1:]
    setattr(run, "__signature__", inspect.Signature(own))  # noqa: B010 - no attribute of functions to a type checker
    del run.__wrapped__
    return run


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
