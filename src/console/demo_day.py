"""Runs the day of `tallystick demo`: with its progress on stderr, its log in a file, and its outcome as a report."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from ..runtime import RuntimeGaveUp
from ..testing.day_drawing import plan_day
from ..testing.day_record import read_day, what_differs
from ..testing.day_run import run_day
from ..testing.venue_process import VenueFailed
from ..testing.virtual_time import PeerGone
from .demo import Day
from .demo_progress import progress
from .demo_report import show, view
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, print_json
from .text import printable


def live_through(
    day: Day, *, seed: int, pairs: int, seconds: int, store: Path, rate: float | None, as_json: bool
) -> bool:
    """Run a day of so many seconds, tell of it, and say whether it was lawful. Raises `Refusal`."""
    with_faults = day is Day.ALMOST_WORKING
    try:
        plan = plan_day(seed, pairs, seconds=seconds)
    except ValueError as error:
        raise Refusal(ExitCode.USAGE, str(error)) from None
    with _failures_named(), _log_in(Path(f"{store}.log")), progress(plan) as watch:
        run = run_day(
            plan,
            with_faults=with_faults,
            store=store,
            venue_log=Path(f"{store}.venue.log"),
            pace=rate,
            watch=watch,
        )
    record = read_day(store)
    differs = what_differs(plan, run, record, with_faults=with_faults)
    found = view(day.value, plan, run, record, store)
    if as_json:
        print_json(found)
    else:
        show(found, plan, record, Screen())
    for sentence in differs:
        sys.stderr.write(f"tallystick: not as the day promises: {printable(sentence)}\n")
    return not differs


_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (VenueFailed, ExitCode.VENUE_UNREACHABLE),
    (PeerGone, ExitCode.VENUE_UNREACHABLE),
    (RuntimeGaveUp, ExitCode.GAVE_UP),
)


@contextmanager
def _failures_named() -> Iterator[None]:
    """What may end a day early, as one sentence and an exit code of its own; Ctrl-C as itself, out of any group."""
    try:
        yield
    except BaseException as error:
        leaves = list(_leaves(error))
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
            raise KeyboardInterrupt from error
        for kind, code in _CODES:
            if leaves and all(isinstance(leaf, kind) for leaf in leaves):
                raise Refusal(code, str(leaves[0])) from error
        raise


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


@contextmanager
def _log_in(file: Path) -> Iterator[None]:
    """Write the runtime's log to a file: the day's own report is what the terminal is for."""
    with file.open("a", encoding="utf-8") as opened:
        before = structlog.get_config()
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(default=str),
            ],
            logger_factory=structlog.WriteLoggerFactory(file=opened),
            cache_logger_on_first_use=False,
        )
        handler = logging.StreamHandler(opened)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)
            structlog.configure(**before)
