"""Runs a simulated Polymarket as a process of its own, on the system clock or a virtual one."""

import os
import signal
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Literal, TextIO

import msgspec
import trio
from trio.testing import MockClock

from ..server.control import Control
from .markets import DEFAULT_MARKETS, MarketSpec
from .order_entry import EntryPolicy
from .running import RunningServer, running_server
from .venue import VenueSettings


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the process runs. `fund` None gives newcomers nothing; `epoch_ms` is the venue's time at the start."""

    epoch_ms: int
    host: str = "127.0.0.1"
    port: int = 0
    fund: Decimal | None = Decimal(10_000)
    markets: tuple[MarketSpec, ...] = DEFAULT_MARKETS
    clock: Literal["system", "virtual"] = "system"
    control_port: int = 0
    immediate_buys: Literal["cash", "shares"] = "cash"
    rate_limits: Literal["enforce", "warn", "off"] = "enforce"
    until_stdin_closes: bool = False
    """End when standard input does, so that a child does not outlive a parent that was killed."""

    def settings(self) -> VenueSettings:
        return VenueSettings(
            markets=self.markets,
            fund=self.fund,
            entry=EntryPolicy(immediate_buys_spend_cash=self.immediate_buys == "cash"),
            rate_limits=self.rate_limits,
        )


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is, as one JSON line. `control` is host:port, null on the system clock."""

    clob: str
    ws_market: str
    ws_user: str
    data: str
    gamma: str
    relayer: str
    rpc: str
    admin: str
    control: str | None


def serve(options: ServeOptions, out: TextIO) -> None:
    """Serve until SIGTERM or SIGINT; writes the addresses to `out` as one JSON line when ready."""

    def announce(addresses: Addresses) -> None:
        out.write(msgspec.json.encode(addresses).decode() + "\n")
        out.flush()

    if options.clock == "virtual":
        clock = MockClock(rate=0)
        trio.run(partial(run_server, options, announce, clock), clock=clock)
    else:
        trio.run(run_server, options, announce, None)


async def run_server(options: ServeOptions, announce: Callable[[Addresses], None], clock: MockClock | None) -> None:
    """Serve inside a running trio program until a signal comes; `clock` is the one that the control port moves."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with (
            running_server(
                options.settings(), epoch_ms=options.epoch_ms, host=options.host, port=options.port
            ) as server,
            trio.open_nursery() as nursery,
        ):
            control = None
            if clock is not None:
                control = await _open_control(nursery, options, server, clock)
            if options.until_stdin_closes:
                nursery.start_soon(_cancel_at_end_of_stdin, nursery.cancel_scope)
            announce(_addresses(server, control))
            async for _signal in signals:
                nursery.cancel_scope.cancel()
                break


async def _cancel_at_end_of_stdin(scope: trio.CancelScope) -> None:
    # A duplicate, so that closing it leaves the process its own.
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
        while await stdin.receive_some():
            pass
    scope.cancel()


async def _open_control(nursery: trio.Nursery, options: ServeOptions, server: RunningServer, clock: MockClock) -> str:
    # The control port never leaves this machine, whatever the venue itself listens on.
    listeners = await trio.open_tcp_listeners(options.control_port, host="127.0.0.1")
    handler = Control(clock, server.host.traffic).serve
    nursery.start_soon(trio.serve_listeners, handler, listeners)
    name = listeners[0].socket.getsockname()
    return f"{name[0]}:{name[1]}"


def _addresses(server: RunningServer, control: str | None) -> Addresses:
    return Addresses(
        clob=server.url,
        ws_market=server.ws_market_url,
        ws_user=server.ws_user_url,
        data=server.url,
        gamma=server.url,
        relayer=server.url,
        rpc=server.rpc_url,
        admin=server.admin_url,
        control=control,
    )
