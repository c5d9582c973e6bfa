"""The command line: ``tallystick``. Each command is a module with a `register`; this one only gathers them."""

from importlib.metadata import version
from typing import Annotated

import typer

from . import (
    alerts,
    archive,
    audit,
    chaos,
    check,
    demo,
    operate,
    orders,
    positions,
    reconciliations,
    run,
    sim,
    status,
    timeline,
    trace,
    tree,
    truth,
)
from .errors import Commands
from .exit_codes import exit_codes_help

app = typer.Typer(
    name="tallystick",
    cls=Commands,
    help="Sends a strategy's orders to real venues, and proves what became of them.",
    epilog=f"\b\nExit codes:\n{exit_codes_help()}",
    no_args_is_help=True,
    add_completion=False,
    # Plain help is the same in a terminal, a pipe and a manual. Plain tracebacks show no local variables, and so no
    # secrets.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tallystick {version('tallystick')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


for _command in (
    demo,
    status,
    orders,
    positions,
    truth,
    timeline,
    trace,
    alerts,
    reconciliations,
    tree,
    operate,
    audit,
    archive,
    run,
    check,
    sim,
    chaos,
):
    _command.register(app)


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="tallystick")
