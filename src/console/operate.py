"""The commands that change what a running runtime may do: pause, resume, halt, lift-halt, cancel-all, adopt, order end.

Each is recorded with its author, note and id before it has any effect, and survives restarts.
"""

from typing import Annotated

import typer

from ..model.identifiers import AccountId, AssetId, ClientOrderId, StrategyName
from ..model.operator import AdoptHolding, CancelAll, EndOrder, Halt, LiftHalt, PauseStrategy, ResumeStrategy
from .commanding import CommandIdOption, LiveStore, NeededNote, NoteOption, command
from .reading import JsonOption

PAUSE_EXAMPLES = """\b
Examples:
  tallystick pause var/main weather --note "the model looks odd"
  tallystick pause config/polymarket.toml weather --note "maintenance" --json
"""
RESUME_EXAMPLES = """\b
Examples:
  tallystick resume var/main weather --note "drift explained: a withdrawal by hand"
  tallystick resume var/main weather --note "checked" --json
"""
HALT_EXAMPLES = """\b
Examples:
  tallystick halt var/main --note "something is wrong, find out first"
  tallystick halt var/main --account polymarket:main --note "maintenance at the venue"
  tallystick halt var/main --note "test" --json
"""
LIFT_EXAMPLES = """\b
Examples:
  tallystick lift-halt var/main --note "found and mended"
  tallystick lift-halt var/main --account polymarket:main --note "maintenance is over"
  tallystick lift-halt var/main --note "test" --json
"""
CANCEL_ALL_EXAMPLES = """\b
Examples:
  tallystick cancel-all var/main --halt --note "leaving the market"
  tallystick cancel-all var/main --account polymarket:main
  tallystick cancel-all var/main --json
"""
ADOPT_EXAMPLES = """\b
Examples:
  tallystick adopt var/main polymarket:main polymarket:rain:Yes --note "bought by hand on Monday"
  tallystick adopt var/main polymarket:main pUSD --note "rent, taken out by hand"
  tallystick adopt var/main polymarket:main pUSD --note "rent" --json
"""
ORDER_EXAMPLES = """\b
Examples:
  tallystick order end var/main rain-1.0.0.0-4f6a05d900d759ee --evidence "support: the venue never received it"
  tallystick order end var/main rain-1.0.0.0-4f6a05d900d759ee --evidence "support ticket 4711" --json
"""

Strategy = Annotated[str, typer.Argument(metavar="STRATEGY", help="The strategy's name.", show_default=False)]
Account = Annotated[
    str | None, typer.Option("--account", "-a", help="This account alone; without it, all of them.", show_default=False)
]


def pause(
    store: LiveStore,
    strategy: Strategy,
    *,
    note: NeededNote,
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a strategy: its new intents are refused, what is open goes on."""
    what = PauseStrategy(strategy=StrategyName(strategy))
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def resume(
    store: LiveStore,
    strategy: Strategy,
    *,
    note: NeededNote,
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Resume a paused strategy; refused while the drift or the lost slice that paused it is open."""
    what = ResumeStrategy(strategy=StrategyName(strategy))
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def halt(
    store: LiveStore,
    *,
    account: Account = None,
    note: NeededNote,
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop new orders, of one account or of all; cancels and questions go on. It outlives restarts."""
    what = Halt(account=None if account is None else AccountId(account))
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def lift_halt(
    store: LiveStore,
    *,
    account: Account = None,
    note: NeededNote,
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a halt: that of one account, or the one of everything."""
    what = LiftHalt(account=None if account is None else AccountId(account))
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def cancel_all(
    store: LiveStore,
    *,
    account: Account = None,
    also_halt: Annotated[bool, typer.Option("--halt", help="Stop new orders as well, in the same step.")] = False,
    note: NoteOption = "",
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """End every intent at work: cancel what is open, withdraw what was not sent. A crash right after forgets none."""
    what = CancelAll(account=None if account is None else AccountId(account), halt=also_halt)
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def adopt(
    store: LiveStore,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.", show_default=False)],
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="The instrument, or the cash that it is paid in.", show_default=False)
    ],
    *,
    note: NeededNote,
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take what venue and wallet agree on into the book: an opening, or a difference that nothing explains.

    It is never a fill, and no strategy's position. Refused while orders or fills could still explain the difference.
    """
    what = AdoptHolding(account=AccountId(account), asset=AssetId(asset))
    command(store, what, note=note, command_id=command_id, as_json=as_json)


def end(
    store: LiveStore,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The client order id.", show_default=False)],
    *,
    evidence: Annotated[str, typer.Option(metavar="TEXT", help="How you know; it is kept in the journal for ever.")],
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an order that the venue does not show, on your evidence. The venue is asked once more first."""
    what = EndOrder(client_order_id=ClientOrderId(order))
    command(store, what, note=evidence, command_id=command_id, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause", epilog=PAUSE_EXAMPLES)(pause)
    app.command("resume", epilog=RESUME_EXAMPLES)(resume)
    app.command("halt", epilog=HALT_EXAMPLES)(halt)
    app.command("lift-halt", epilog=LIFT_EXAMPLES)(lift_halt)
    app.command("cancel-all", epilog=CANCEL_ALL_EXAMPLES)(cancel_all)
    app.command("adopt", epilog=ADOPT_EXAMPLES)(adopt)
    order = typer.Typer(help="Act on one order.", no_args_is_help=True, rich_markup_mode=None)
    order.command("end", epilog=ORDER_EXAMPLES)(end)
    app.add_typer(order, name="order")

    # A group of one command would be taken for that command alone.
    @order.callback()
    def _order() -> None:
        pass
