"""Errors that a command expects: one clear sentence on stderr and an exit code of their own, never a traceback."""

from typing import Any

import typer
from typer.core import TyperGroup

from ..actors.gateway import ClockOff
from ..configuration import ConfigurationError
from ..control.address import ControlUnavailable
from ..credentials import CredentialsExposed, CredentialsMissing, CredentialsUnusable
from ..runtime import RuntimeGaveUp
from ..store import (
    ArchiveConflict,
    ArchiveMissing,
    NewerRecord,
    StateLost,
    StoreCorrupt,
    StoreFailed,
    StoreLocked,
    StoreMissing,
    StoreNewer,
    StoreUnsuitable,
    UndecodableRecord,
    UnknownRecord,
)
from .exit_codes import ExitCode
from .text import printable


class Refusal(Exception):
    """A command cannot do what was asked; raise it anywhere below a command."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ConfigurationError, ExitCode.CONFIGURATION),
    (CredentialsMissing, ExitCode.CREDENTIALS_MISSING),
    (CredentialsExposed, ExitCode.CREDENTIALS_EXPOSED),
    (CredentialsUnusable, ExitCode.CREDENTIALS_UNUSABLE),
    (StoreMissing, ExitCode.STORE_MISSING),
    (StoreLocked, ExitCode.STORE_LOCKED),
    (StoreNewer, ExitCode.STORE_NEWER),
    (StoreCorrupt, ExitCode.STORE_CORRUPT),
    (StoreUnsuitable, ExitCode.STORE_UNSUITABLE),
    (StoreFailed, ExitCode.STORE_FAILED),
    (NewerRecord, ExitCode.STORE_NEWER),
    # Kinds are never taken out of a build without being declared dropped: an unknown one is of a later build.
    (UnknownRecord, ExitCode.STORE_NEWER),
    (UndecodableRecord, ExitCode.STORE_CORRUPT),
    (ArchiveMissing, ExitCode.ARCHIVE_MISSING),
    (ArchiveConflict, ExitCode.ARCHIVE_CONFLICT),
    (StateLost, ExitCode.STATE_LOST),
    (ControlUnavailable, ExitCode.CONTROL_UNAVAILABLE),
    (ClockOff, ExitCode.CLOCK_OFF),
    (RuntimeGaveUp, ExitCode.GAVE_UP),
)


def expected(error: BaseException) -> tuple[ExitCode, str] | None:
    """The exit code and the sentence of an error that is expected, else None.

    A group counts as the first expected error in it, but only if every error in it is expected: what nobody foresaw
    is never hidden behind what somebody did.
    """
    if isinstance(error, BaseExceptionGroup):
        found = [expected(part) for part in error.exceptions]
        return None if None in found else found[0]
    if isinstance(error, Refusal):
        return error.code, str(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, _sentence(error)
    return None


def _sentence(error: Exception) -> str:
    if not isinstance(error, ConfigurationError):
        return str(error)
    if len(error.problems) == 1:
        return str(error)
    return f"the configuration has {len(error.problems)} problems\n" + "\n".join(f"  {line}" for line in error.problems)


class Commands(TyperGroup):
    """The group of all commands, with the one place where expected errors become exit codes."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer names its own context so
        try:
            return super().invoke(ctx)
        except Exception as error:
            found = expected(error)
            if found is None:
                raise
            code, sentence = found
            lines = [printable(line) for line in sentence.splitlines()]
            typer.echo("tallystick: " + "\n".join(lines), err=True)
            raise typer.Exit(code) from None
