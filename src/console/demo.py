"""`tallystick demo`: a whole simulated trading day on this machine, with everything real but the money."""

import math
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .errors import Refusal
from .exit_codes import ExitCode
from .reading import JsonOption

EXAMPLES = f"""\b
Examples:
  tallystick demo --day clean
  tallystick demo --day almost-working --seed 7
  tallystick demo --day clean --speed max --json | jq .pairs

\b
Ends with {ExitCode.DEMO_UNLAWFUL.value} where the outcome is not what the day promises. The store is kept, for
tallystick status, orders, truth, alerts, timeline and trace.
"""

SECONDS_FOR_A_DAY = 60
"""How long a day takes in real time, on a machine that is fast enough."""
MAX = "max"


class Day(StrEnum):
    CLEAN = "clean"
    ALMOST_WORKING = "almost-working"


def _speed(text: str) -> float | None:
    """Simulated seconds for each real one; None for as fast as the machine is."""
    if text == MAX:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (math.isfinite(speed) and speed > 0):
        raise Refusal(ExitCode.USAGE, f"--speed is {text!r}; allowed is a number above zero, or {MAX}")
    return speed


def demo(
    *,
    day: Annotated[Day, typer.Option(help="A day on which all goes well, or one with three faults in it.")],
    seed: Annotated[int, typer.Option(help="Another seed is another day under the same laws.")] = 1,
    pairs: Annotated[int, typer.Option(help="How many pairs of orders the strategy tries, 4 to 160.")] = 40,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where to keep the journal; a new directory, by default below the temporary one."
        ),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            metavar=f"N|{MAX}",
            help="Simulated seconds for each real one, at most. By default the day takes about a minute.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Live through a trading day, from half past nine to four, in about a minute.

    A strategy hands pairs of orders to a runtime that trades with a simulated venue in another process, over real
    connections; both follow one virtual clock. At the end the journal is held against the venue's own books.
    """
    # The simulators and the whole runtime: no other command of this program needs them.
    from ..testing.day import DAY_SECONDS  # noqa: PLC0415  # as above
    from .demo_day import live_through  # noqa: PLC0415  # as above

    rate = DAY_SECONDS / SECONDS_FOR_A_DAY if speed is None else _speed(speed)
    place = _new_store(store)
    try:
        lawful = live_through(day, seed=seed, pairs=pairs, seconds=DAY_SECONDS, store=place, rate=rate, as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write(f"\ntallystick: interrupted; what the day had come to is in {place}\n")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not lawful:
        raise typer.Exit(ExitCode.DEMO_UNLAWFUL)


def _new_store(store: Path | None) -> Path:
    """A place where no store is yet: a day that began in another one's journal could not be held against its plan."""
    if store is None:
        return Path(tempfile.mkdtemp(prefix="tallystick-day-")) / "store"
    if store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise Refusal(ExitCode.USAGE, f"{store} is not empty, and a day begins with a store of its own: name a new one")
    store.parent.mkdir(parents=True, exist_ok=True)
    return store


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=EXAMPLES)(demo)
