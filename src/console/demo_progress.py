"""How far the day of `tallystick demo` has come, on stderr: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..testing.day import OPENS, DayPlan
from ..testing.day_run import Moment

LINE_SECONDS = 5.0


def clock_text(seconds: float) -> str:
    """The time of the day: ``14:05``."""
    return f"{OPENS + timedelta(seconds=seconds):%H:%M}"


def _facts(moment: Moment, pairs: int) -> str:
    alerts = "1 alert" if moment.alerts == 1 else f"{moment.alerts} alerts"
    return f"{moment.pairs_ended}/{pairs} pairs  {moment.fills} fills  {alerts} open"


@contextmanager
def progress(plan: DayPlan, real_clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[Moment], None]]:
    """What is to be told of every moment, as long as the block lasts."""
    if sys.stderr.isatty():
        with _bar(plan) as tell:
            yield tell
    else:
        yield _lines(plan, real_clock)


@contextmanager
def _bar(plan: DayPlan) -> Iterator[Callable[[Moment], None]]:
    bar = Progress(
        TextColumn("{task.fields[clock]}"),
        BarColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True, markup=False, highlight=False),
        transient=True,
    )
    with bar:
        task: TaskID = bar.add_task("", total=plan.seconds, clock=clock_text(0), facts="the venue starts")

        def tell(moment: Moment) -> None:
            bar.update(
                task,
                completed=min(moment.seconds, plan.seconds),
                clock=clock_text(moment.seconds),
                facts=_facts(moment, len(plan.pairs)),
            )

        yield tell


def _lines(plan: DayPlan, real_clock: Callable[[], float]) -> Callable[[Moment], None]:
    told = real_clock()

    def tell(moment: Moment) -> None:
        nonlocal told
        now = real_clock()
        if now - told >= LINE_SECONDS or moment.seconds >= plan.seconds:
            told = now
            sys.stderr.write(f"{clock_text(moment.seconds)}  {_facts(moment, len(plan.pairs))}\n")
            sys.stderr.flush()

    return tell
