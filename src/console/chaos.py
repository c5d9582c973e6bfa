"""`tallystick chaos`: live through drawn days in which everything goes wrong, and hold each against the laws."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .errors import Refusal
from .exit_codes import ExitCode
from .reading import JsonOption

EXAMPLES = f"""\b
Examples:
  tallystick chaos --days 200 --seed 1
  tallystick chaos --days 1 --seed 12345 --json
  tallystick chaos --seed 7 --print-plan > plan.json
  tallystick chaos --plan plan.json

\b
Ends with {ExitCode.LAW_BROKEN.value} at the first day that breaks a law, and prints the command that replays it;
and with {ExitCode.SITUATION_UNMET.value} where a campaign of 200 days or more never met a situation that it must meet.
"""


def chaos(
    *,
    days: Annotated[int, typer.Option(min=1, help="How many days to live through.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the first day; each next day has the next one.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="How many days at once; as many as there are cores, if not said.", show_default=False),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Whole trading days of forty pairs instead of short, busy ones.")
    ] = False,
    plan: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Live through the one day that this plan says.", show_default=False),
    ] = None,
    print_plan: Annotated[bool, typer.Option("--print-plan", help="Print the plan of the seed, and leave.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Live through drawn days with faults of every kind, and stop at the first broken law.

    Each day is a runtime, a simulated venue, their wires, disk and clocks in one process, on a clock that jumps. It
    follows from its seed alone: the same seed gives the same digest, on every machine.
    """
    # The simulators and the whole runtime: no other command of this program needs them.
    from .chaos_campaign import campaign, lived, plan_line, plan_read  # noqa: PLC0415  # as above

    if print_plan:
        sys.stdout.write(plan_line(seed, full=full) + "\n")
        return
    try:
        if plan is not None:
            text = sys.stdin.read() if plan == "-" else _read(Path(plan))
            summary = lived(plan_read(text), as_json=as_json)
        else:
            summary = campaign(seed, days, jobs=jobs or os.cpu_count() or 1, full=full, as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write("\ntallystick: interrupted\n")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not summary.is_lawful:
        raise typer.Exit(ExitCode.LAW_BROKEN)
    if summary.is_due and summary.unmet:
        raise typer.Exit(ExitCode.SITUATION_UNMET)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Refusal(ExitCode.USAGE, f"the plan {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refusal(ExitCode.USAGE, f"the plan {path} cannot be read: {error}; allowed is UTF-8") from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chaos", epilog=EXAMPLES)(chaos)
