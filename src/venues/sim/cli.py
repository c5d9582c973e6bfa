"""The command line of the simulated venues: `python -m tallystick.venues.sim polymarket --port 0`."""

import argparse
import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import TextIO

from .polymarket.markets import AMOUNT_DECIMALS, DEFAULT_MARKETS, MarketSpec
from .polymarket.serving import ServeOptions, serve

PORT_MAX = 65_535

EXAMPLES = """\
examples:
  tallystick sim polymarket --port 8137
  tallystick sim polymarket --market "Will it snow?;slug=snow;tick=0.01;min=5;fee=0.02" --fund 500

Under /_sim it is acted on and looked into, JSON both ways ($SIM is the address in "admin"):
  curl $SIM/quotes -d '{"participant": "crowd", "market": "snow", "outcome": "Yes",
      "bids": [["0.40", "500"]], "asks": [["0.41", "500"]]}'                    somebody to trade with
  curl $SIM/faults -d '{"type": "drop_frame", "event": "trade", "count": 1}'    a fill that the stream keeps back
  curl $SIM/faults -d '{"type": "fail_settlement", "count": 1}'                 a trade that fails on chain
  curl $SIM/transfers -d '{"source": "WALLET", "target": "0x00000000000000000000000000000000000000aa",
      "asset": "cash", "amount": "100"}'                                        a withdrawal
  curl -X DELETE $SIM/faults                                                    ends all faults
  curl $SIM/balances                                                            what every wallet holds
GET also state, orders, trades, faults, script. POST also accounts, orders, markets, settle, reorg, action, script.
A fault lasts for "count" times or "seconds", or until it is ended; a wrong one is answered with what is allowed.
"""


def main(argv: Sequence[str], out: TextIO, wall_clock: Callable[[], float] = time.time) -> None:
    """Run the simulated venue that the arguments name until a signal comes.

    Writes one JSON line with its addresses to `out` when it is ready. Bad arguments end with a message on standard
    error and exit status 2, and so does an address that is taken. `wall_clock` gives the starting
    time where none is asked for.
    """
    parser = _parser()
    options = _options(parser.parse_args(list(argv)), wall_clock)
    try:
        serve(options, out)
    except (OSError, BaseExceptionGroup) as error:
        refused = _refused_address(error)
        if refused is None:
            raise
        parser.error(
            f"cannot listen on {options.host}, port {options.port}: {os.strerror(refused)}; "
            "another --port is allowed, 0 finds a free one"
        )


def _refused_address(error: BaseException) -> int | None:
    """The error number where an address cannot be listened on; None for everything else."""
    if isinstance(error, BaseExceptionGroup):
        return _refused_address(error.exceptions[0]) if len(error.exceptions) == 1 else None
    known = isinstance(error, OSError) and error.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}
    return error.errno if known and isinstance(error, OSError) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tallystick sim", description="Run a simulated venue on this machine.")
    venues = parser.add_subparsers(dest="venue", required=True)
    polymarket = venues.add_parser(
        "polymarket",
        help="the CLOB, Data API, Gamma, relayer and chain of Polymarket",
        description="Run the CLOB, Data API, Gamma, relayer and chain of Polymarket until SIGTERM or SIGINT.\n"
        "Its addresses come as one JSON line on stdout when it is ready.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    polymarket.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    polymarket.add_argument("--port", type=_port, default=0, help="port for everything; 0 (the default) is a free one")
    polymarket.add_argument(
        "--market",
        action="append",
        type=_market,
        default=[],
        metavar="QUESTION[;key=value...]",
        help="a market; keys: tick, min, fee, neg_risk, delay_ms, slug. Without any, a small default set",
    )
    polymarket.add_argument(
        "--fund",
        type=_amount,
        default=Decimal(10_000),
        metavar="PUSD",
        help="pUSD for each new owner (default: 10000); 0 gives nothing",
    )
    polymarket.add_argument(
        "--clock",
        choices=("system", "virtual"),
        default="system",
        help="the machine's clock (the default), or one that stands still until the control port moves it",
    )
    polymarket.add_argument(
        "--control-port", type=_port, default=0, help="loopback port that moves a virtual clock; 0 picks a free one"
    )
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
    polymarket.add_argument(
        "--rate-limits",
        choices=("enforce", "warn", "off"),
        default="enforce",
        help="refuse what is above the venue's published limits (the default), note it only, or count nothing",
    )
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


def _port(text: str) -> int:
    # More than 16 bits would be cut by the system without a word, and another port listened on.
    if not text.isascii() or not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; allowed is a whole number from 0 to {PORT_MAX}")
    return int(text)


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
