"""The command line of the simulated venues: `python -m tallystick.venues.sim polymarket --port 0`."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import TextIO

from .polymarket.markets import AMOUNT_DECIMALS, DEFAULT_MARKETS, MarketSpec
from .polymarket.serving import ServeOptions, serve


def main(argv: Sequence[str], out: TextIO, wall_clock: Callable[[], float] = time.time) -> None:
    """Run the simulated venue that the arguments name until a signal comes.

    Writes one JSON line with its addresses to `out` when it is ready. Bad arguments end with a message on standard
    error and exit status 2. `wall_clock` gives the starting time where none is asked for.
    """
    serve(_options(_parser().parse_args(list(argv)), wall_clock), out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tallystick sim", description="Run a simulated venue.")
    venues = parser.add_subparsers(dest="venue", required=True)
    polymarket = venues.add_parser("polymarket", help="the CLOB, Data API, Gamma, relayer and chain of Polymarket")
    polymarket.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    polymarket.add_argument("--port", type=int, default=0, help="port for everything; 0 picks a free one")
    polymarket.add_argument(
        "--market",
        action="append",
        type=_market,
        default=[],
        metavar="QUESTION[;key=value...]",
        help="a market; keys: tick, min, fee, neg_risk, delay_ms, slug. Without any, a small default set",
    )
    polymarket.add_argument(
        "--fund", type=_amount, default=Decimal(10_000), help="pUSD for each new owner; 0 gives nothing"
    )
    polymarket.add_argument("--clock", choices=("system", "virtual"), default="system")
    polymarket.add_argument("--control-port", type=int, default=0, help="loopback port that moves a virtual clock")
    polymarket.add_argument("--epoch-ms", type=int, default=None, help="the venue's unix milliseconds at the start")
    polymarket.add_argument(
        "--immediate-buys",
        choices=("cash", "shares"),
        default="cash",
        help="whether a FOK or FAK BUY is bounded by the cash it signs (as the venue does) or by its shares",
    )
    polymarket.add_argument(
        "--until-stdin-closes", action="store_true", help="end as well when standard input does: a parent's last word"
    )
    polymarket.add_argument("--rate-limits", choices=("enforce", "warn", "off"), default="enforce")
    return parser


def _options(arguments: argparse.Namespace, wall_clock: Callable[[], float]) -> ServeOptions:
    epoch_ms = arguments.epoch_ms
    return ServeOptions(
        epoch_ms=int(wall_clock() * 1_000) if epoch_ms is None else epoch_ms,
        host=arguments.host,
        port=arguments.port,
        fund=arguments.fund or None,
        markets=tuple(arguments.market) or DEFAULT_MARKETS,
        clock=arguments.clock,
        control_port=arguments.control_port,
        immediate_buys=arguments.immediate_buys,
        rate_limits=arguments.rate_limits,
        until_stdin_closes=arguments.until_stdin_closes,
    )


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a decimal amount") from None
    if not amount.is_finite() or amount < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of money")
    return amount


def _market(text: str) -> MarketSpec:
    question, *pairs = text.split(";")
    fields: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in {"tick", "min", "fee", "neg_risk", "delay_ms", "slug"}:
            raise argparse.ArgumentTypeError(f"{pair!r} is not one of tick=, min=, fee=, neg_risk=, delay_ms=, slug=")
        fields[key] = value
    tick = _amount(fields.get("tick", "0.01"))
    if tick not in AMOUNT_DECIMALS:
        known = ", ".join(str(known) for known in AMOUNT_DECIMALS)
        raise argparse.ArgumentTypeError(f"tick {tick} does not exist; known are {known}")
    delay = fields.get("delay_ms", "0")
    if not delay.isdecimal():
        raise argparse.ArgumentTypeError(f"delay_ms must be whole milliseconds, got {delay!r}")
    return MarketSpec(
        question=question,
        slug=fields.get("slug"),
        tick_size=tick,
        min_size=_amount(fields.get("min", "5")),
        fee_rate=_amount(fields.get("fee", "0")),
        neg_risk=fields.get("neg_risk", "false") == "true",
        taker_delay_ms=int(delay),
    )


def run() -> None:
    """The entry point of `python -m`."""
    main(sys.argv[1:], sys.stdout)
