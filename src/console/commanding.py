"""What every command to a running runtime does: find its socket, send, and say what came back."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from ..configuration import Configuration, load_configuration
from ..control.address import socket_of
from ..control.client import NoAnswer, NotAllowed, NotRunning, ask
from ..control.protocol import Answer, Carry, Done, RefusalCode, Refused, Request
from ..model.identifiers import CommandId
from ..model.operator import Command
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json
from .text import instant

COMMAND_SECONDS = 130.0
"""Some commands look at the venue first; the runtime itself gives up before this."""
LOOK_SECONDS = 20.0

LiveStore = Annotated[
    Path,
    typer.Argument(
        metavar="STORE",
        help="The running runtime's store: its directory, or the configuration file that names it.",
        show_default=False,
    ),
]
NoteOption = Annotated[
    str,
    typer.Option("--note", "-n", metavar="TEXT", help="Why; it is kept in the journal for ever.", show_default=False),
]
NeededNote = Annotated[
    str, typer.Option("--note", "-n", metavar="TEXT", help="Why, in your words; it is kept in the journal for ever.")
]
CommandIdOption = Annotated[
    str | None,
    typer.Option(
        "--command-id",
        metavar="ID",
        help="A name of your own for this command: the same one again is carried out once. By default a new one.",
        show_default=False,
    ),
]

_CODES = {
    RefusalCode.BAD_REQUEST: ExitCode.COMMAND_REFUSED,
    RefusalCode.NOT_ALLOWED: ExitCode.NOT_ALLOWED,
    RefusalCode.NOT_FOUND: ExitCode.NOT_FOUND,
    RefusalCode.REFUSED: ExitCode.COMMAND_REFUSED,
    RefusalCode.BUSY: ExitCode.COMMAND_REFUSED,
    RefusalCode.STORE_FAILED: ExitCode.STORE_FAILED,
    RefusalCode.NOT_ANSWERED: ExitCode.NOT_ANSWERED,
    RefusalCode.TIMED_OUT: ExitCode.NOT_ANSWERED,
}


class CommandView(View, frozen=True):
    """A command that was carried out."""

    command_id: str
    carried_out_at: str
    repeated: bool
    text: str


def socket_path(place: Path) -> Path:
    """The control socket that a command line means. Raises `Refusal` and `ConfigurationError`."""
    if place.suffix == ".toml" or place.is_file():
        return _configured(load_configuration(place))
    if not place.is_dir():
        raise Refusal(ExitCode.STORE_MISSING, f"there is no store at {place}")
    return socket_of(place)


def _configured(configuration: Configuration) -> Path:
    path = configuration.runtime.control_path
    if path is None:
        raise Refusal(ExitCode.NOT_RUNNING, f'{configuration.file} switches the control socket off (control = "off")')
    return path


def ask_runtime(place: Path, request: Request, *, timeout_seconds: float) -> Answer:
    """The runtime's answer. Raises `Refusal` where there is none, or where it is a refusal."""
    path = socket_path(place)
    try:
        answer = ask(path, request, timeout_seconds=timeout_seconds)
    except NotRunning as error:
        raise Refusal(ExitCode.NOT_RUNNING, str(error)) from None
    except NotAllowed as error:
        raise Refusal(ExitCode.NOT_ALLOWED, str(error)) from None
    except NoAnswer as error:
        hangs = (
            f"{error}. If it goes on so, its loop hangs: its log has the stack, and its next start recovers everything"
        )
        raise Refusal(ExitCode.NOT_ANSWERED, hangs) from None
    if isinstance(answer, Refused):
        raise Refusal(_CODES[answer.code], answer.message)
    return answer


def carry(place: Path, command: Command, *, note: str, command_id: str | None) -> Done:
    """Have a command carried out. Raises `Refusal`; where the outcome is not known, it names the command's id."""
    name = CommandId(secrets.token_hex(6) if command_id is None else command_id)
    # Behind sudo the kernel knows the service's user only; who sat there is worth noting, and marked as claimed.
    request = Carry(command_id=name, command=command, note=note, claimed=os.environ.get("SUDO_USER", ""))
    try:
        answer = ask_runtime(place, request, timeout_seconds=COMMAND_SECONDS)
    except Refusal as refusal:
        if refusal.code is not ExitCode.NOT_ANSWERED:
            raise
        raise Refusal(
            refusal.code, f"{refusal}. Ask with the same --command-id {name}: it is carried out at most once."
        ) from None
    if not isinstance(answer, Done):
        raise Refusal(ExitCode.NOT_ANSWERED, f"the runtime answered a command with {type(answer).__name__}")
    return answer


def show_done(done: Done, *, as_json: bool) -> None:
    """Say what was carried out."""
    if as_json:
        print_json(
            CommandView(
                command_id=done.command_id,
                carried_out_at=instant(done.at_ns),
                repeated=done.repeated,
                text=done.text,
            )
        )
    else:
        Screen().line(done.text)


def command(place: Path, what: Command, *, note: str, command_id: str | None, as_json: bool) -> None:
    """Have a command carried out and say so: the whole of most commands."""
    show_done(carry(place, what, note=note, command_id=command_id), as_json=as_json)
