"""`tallystick timeline STRATEGY`: everything of one strategy, in order."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from ..model.event import (
    AccountChanged,
    AlertAcknowledged,
    AlertClosed,
    AlertOpened,
    FillConflict,
    HoldingAdopted,
    OperatorCommanded,
    OperatorHalted,
    OperatorResumed,
    ReconciliationEnded,
    RuntimeStarted,
    RuntimeStopped,
    StreamGap,
)
from ..model.identifiers import AccountId
from ..model.operator import CancelAll, Halt, LiftHalt
from ..store import Entry, Event
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json
from .reading import JsonOption, StoreOption, entries, opened
from .sentences import tell
from .steps import GAP_SECONDS, Found, Step, sequence, show_steps
from .subjects import Subject, Subjects

EXAMPLES = """\b
Examples:
  tallystick timeline weather --store var/main
  tallystick timeline weather --store var/main --gap-seconds 60
  tallystick timeline weather --store var/main --json | jq '.steps[] | [.after_seconds, .text]'
"""


class TimelineView(View, frozen=True):
    strategy: str
    steps: tuple[Step, ...]


def found_of(strategy: str, journal: Iterable[Entry]) -> Iterator[Found]:
    """The strategy's entries, and as context what happened meanwhile to the runtime and to accounts it uses."""
    subjects = Subjects()
    accounts: set[AccountId] = set()
    for entry in journal:
        subject = subjects.of(entry.event)
        if subject.strategy == strategy:
            if subject.account is not None:
                accounts.add(subject.account)
            yield Found(entry, tell(entry.event), _about(subject))
        elif _is_context(entry.event, subject, accounts):
            yield Found(entry, tell(entry.event), context=True)


def _about(subject: Subject) -> str:
    return subject.order or subject.intent_id or ""


def _is_context(event: Event, subject: Subject, accounts: set[AccountId]) -> bool:
    match event:
        case RuntimeStarted() | RuntimeStopped():
            return True
        case OperatorHalted(account=None) | OperatorResumed(account=None):
            return True
        case ReconciliationEnded(record=record):
            # Every minute has its reconciliation; only those that found something tell a story.
            changed = bool(record.fills_recovered or record.orders_corrected or record.foreign_orders)
            return subject.account in accounts and (changed or not record.complete)
        case OperatorCommanded(command=Halt(account=None) | LiftHalt(account=None) | CancelAll(account=None)):
            return True
        case (
            AccountChanged()
            | StreamGap()
            | OperatorCommanded()
            | OperatorHalted()
            | OperatorResumed()
            | HoldingAdopted()
            | FillConflict()
        ):
            return subject.account in accounts
        case AlertOpened() | AlertAcknowledged() | AlertClosed():
            return subject.strategy is None and subject.account in accounts
        case _:
            return False


def timeline(
    strategy: Annotated[str, typer.Argument(help="The strategy's name.", show_default=False)],
    store: StoreOption = None,
    *,
    gap_seconds: Annotated[
        float, typer.Option(min=0, help="Show silence from this long on as a line of its own.")
    ] = GAP_SECONDS,
    bodies: Annotated[bool, typer.Option("--detail", help="The evidence and facts below each line.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell everything that a strategy asked for and what became of it, in order, with times from the first."""
    with opened(store) as reader:
        steps = sequence(found_of(strategy, entries(reader)), gap_seconds=gap_seconds, trailing_context=True)
    if not steps:
        raise Refusal(ExitCode.NOT_FOUND, f"the journal knows no strategy {strategy!r}; tallystick status lists them")
    if as_json:
        print_json(TimelineView(strategy=strategy, steps=steps))
        return
    screen = Screen()
    screen.line(f"strategy {strategy}", "bold")
    show_steps(steps, screen, bodies=bodies)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("timeline", epilog=EXAMPLES)(timeline)
