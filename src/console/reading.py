"""What every reading command does first: find the store, open it beside its owner, fold its journal."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ..configuration import load_configuration
from ..model.event import Event, IntentRefused, RuntimeStarted, RuntimeStopped
from ..model.ledger import IntentKey, Ledger
from ..model.order import IllegalTransition
from ..model.position import ContradictorySettlement
from ..recovery import SNAPSHOT
from ..store import ArchiveMissing, Entry, Lsn, Reader, Records, open_reader
from ..store.records import journal_schema
from .errors import Refusal
from .exit_codes import ExitCode
from .text import printable

STORE_VARIABLE = "TALLYSTICK_STORE"

StoreArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="STORE",
        help="The store's directory, or the configuration file that names it. Goes before --store.",
        show_default=False,
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        "-s",
        envvar=STORE_VARIABLE,
        metavar="PATH",
        help="The store's directory, or the configuration file that names it.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def store_path(place: Path | None) -> Path:
    """The directory of the store that a command line means. Raises `Refusal` and `ConfigurationError`."""
    if place is None:
        raise Refusal(
            ExitCode.USAGE,
            f"no store is named: give its directory or a configuration file, use --store, or set {STORE_VARIABLE}",
        )
    if place.suffix == ".toml" or place.is_file():
        return Path(load_configuration(place).runtime.store)
    return place


@contextmanager
def opened(place: Path | None) -> Iterator[Reader]:
    """A reader of the store, live or stopped."""
    with open_reader(store_path(place), journal_schema()) as reader:
        yield reader


@dataclass(frozen=True, slots=True)
class Folded:
    """The whole journal, folded: the ledger with all that has ended, and how far it goes."""

    ledger: Ledger
    last_lsn: Lsn
    last_at_ns: int | None
    refused: frozenset[IntentKey]
    """Intents that were refused, of which the ledger keeps only the count."""
    build: str
    stopped: str | None
    """The reason of the last stop, None while nothing was written after it or the last run ended without one."""


def fold(records: Records) -> Folded:
    """Fold the journal up to its last entry at the call, archive files included.

    Where such a file is away, what is live is taken from the newest snapshot, and stderr says what is not shown.
    Raises `ArchiveMissing` where there is no snapshot either, and `Refusal` where the journal contradicts itself,
    which a journal of one owner at a time cannot.
    """
    try:
        return _fold(records.read(), Ledger(keep_ended=True), Lsn(0))
    except ArchiveMissing as missing:
        for snapshot in records.read_snapshots(SNAPSHOT).intact:
            if snapshot.lsn + 1 < records.first_lsn:
                continue  # what came after it is in a file as well
            with suppress(ValueError):  # it is another build's
                ledger = Ledger.thaw(snapshot.state, keep_ended=True)
                break
        else:
            raise
        typer.echo(
            f"tallystick: what ended before LSN {snapshot.lsn} is not shown: {printable(str(missing))}", err=True
        )
        folded = _fold(records.read(records.first_lsn), ledger, snapshot.lsn)
        if folded.build:
            return folded
        return replace(folded, stopped="how the last run ended is in an archive file that is away")


def require_known(ledger: Ledger, *, account: str | None = None, strategy: str | None = None) -> None:
    """Raise `Refusal` for a name that the journal does not know: an empty table would look as if all were quiet."""
    strategies = {*ledger.strategies, *(holder for holder, _ in ledger.positions)}
    for name, what, known in (("account", account, set(ledger.accounts)), ("strategy", strategy, strategies)):
        if what is not None and what not in known:
            names = ", ".join(sorted(known)) or "none yet"
            raise Refusal(ExitCode.NOT_FOUND, f"the journal knows no {name} {what!r}; it knows {names}")


def _fold(read: Iterator[Entry], ledger: Ledger, after: Lsn) -> Folded:
    """Fold entries into a ledger that holds those through `after` already."""
    last_lsn, last_at_ns, build, stopped = after, None, "", None
    refused: set[IntentKey] = set()
    for entry in read:
        event = entry.event
        last_lsn, last_at_ns = entry.lsn, entry.at_ns
        if not isinstance(event, Event):
            continue  # audit records and kinds that are declared dropped: no state hangs on them
        try:
            if entry.lsn > after:
                ledger.apply(event, entry.at_ns)
        except (IllegalTransition, ContradictorySettlement) as error:
            raise Refusal(
                ExitCode.STORE_CORRUPT,
                f"the journal contradicts itself at LSN {entry.lsn} (epoch {entry.epoch}): {error}. "
                f"What comes after it cannot be trusted; nothing is shown.",
            ) from error
        match event:
            case RuntimeStarted():
                build, stopped = event.build, None
            case RuntimeStopped():
                stopped = event.reason
            case IntentRefused():
                refused.add((event.strategy, event.intent_id))
            case _:
                pass
    return Folded(
        ledger=ledger,
        last_lsn=last_lsn,
        last_at_ns=last_at_ns,
        # An id that was refused and then used is traced as what it became.
        refused=frozenset(refused - ledger.intents.keys()),
        build=build,
        stopped=stopped,
    )


def entries(records: Records) -> Iterator[Entry]:
    """The whole journal from its beginning, archive files included. Raises `ArchiveMissing` where one is away."""
    return records.read()
