"""`tallystick run CONFIG`: the runtime as a service, or for a file of intents."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
import typer

from ..configuration import load_configuration
from .errors import Refusal
from .exit_codes import ExitCode
from .logs import Level, configure_logs
from .run_session import OnStop, RunOptions, run_session

EXAMPLES = f"""\b
Examples:
  tallystick run config/polymarket.toml
  tallystick run config/demo.toml --intents docs/examples/intents.jsonl
  strategy | tallystick run config/demo.toml --intents - --json --stay

\b
Intents are JSON lines, one intent a line. A line that cannot be used is refused with its number, the field, what was
found and what is allowed; the other lines go on, and the exit code is then {ExitCode.INTENTS_REFUSED.value}. A line
with expires_at does nothing twice when it comes again; expires_in_seconds counts from each reading, so that line is
then another intent under a used id, and refused. Reports are on stdout, logs on stderr. Without --intents it runs as
a service until SIGTERM or SIGINT; a second signal ends at once, and the next start recovers.
"""

STANDARD_INPUT = "-"


def run(
    configuration: Annotated[Path, typer.Argument(help="The configuration file.", show_default=False)],
    *,
    intents: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Hand in the intents of a file, or of standard input as they come."),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Go on running when the last intent has come.")] = False,
    on_stop: Annotated[
        OnStop,
        typer.Option(help="What a signal does with open orders: leave them at the venue, or cancel them and wait."),
    ] = OnStop.LEAVE,
    live_timeout_seconds: Annotated[
        float, typer.Option(min=0, help="How long to wait for the accounts to be live; a service waits for ever.")
    ] = 60,
    stop_timeout_seconds: Annotated[
        float, typer.Option(min=0, help="How long a stop that cancels waits for the venue's answers.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Reports as JSON, one object a line.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as JSON, one object a line.")] = False,
    log_level: Annotated[Level, typer.Option(help="From which severity on logs are written.")] = Level.INFO,
) -> None:
    """Run the runtime of a configuration, until its intents have ended or a signal comes."""
    configure_logs(log_level, as_json=log_json)
    loaded = load_configuration(configuration)
    options = RunOptions(
        descriptor=None if intents is None else _opened(intents),
        stay=stay,
        as_json=as_json,
        on_stop=on_stop,
        live_timeout_seconds=live_timeout_seconds,
        stop_timeout_seconds=stop_timeout_seconds,
    )
    code = trio.run(partial(run_session, loaded, options))
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _opened(name: str) -> int:
    """The open file. It is opened before anything else is done, so that a wrong name costs nothing."""
    if name == STANDARD_INPUT:
        return sys.stdin.fileno()
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal(ExitCode.USAGE, f"the intents in {name} cannot be read: {error.strerror}") from None
    if Path(name).is_dir():
        raise Refusal(ExitCode.USAGE, f"the intents in {name} cannot be read: it is a directory")
    return descriptor


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog=EXAMPLES)(run)
