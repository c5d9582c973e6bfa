"""`tallystick sim VENUE …`: a simulated venue on this machine; its own command line takes all that follows."""

import sys

import typer

EXAMPLES = """\b
Examples:
  tallystick sim polymarket --help
  tallystick sim polymarket --port 8137
"""


def sim(ctx: typer.Context) -> None:
    """Run a simulated venue that speaks the real one's protocol; its addresses come as one JSON line."""
    # The simulators are a third of the program, and no other command needs them.
    from ..venues.sim.cli import main  # noqa: PLC0415  # as above

    main(ctx.args, sys.stdout)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "sim",
        epilog=EXAMPLES,
        # --help after the venue's name is the simulator's own.
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    )(sim)
