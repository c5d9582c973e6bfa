"""A campaign: many seeds, several at a time, each in a process of its own kind, until one breaks a law.

Worker processes are spawned, not forked, and each lives through many worlds. Results are taken in the order of their
seeds, so that a campaign is the same whatever finishes first.
"""

import gc
import hashlib
import itertools
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from ...model.value import Value
from .drawing import draw_full_plan, draw_plan
from .faults import names
from .laws import Breach
from .life import Outcome, live
from .plan import Plan
from .sometimes import SOMETIMES

LAW_NO_ERROR = "no_error"
AHEAD = 4
"""So many seeds for each worker are under way or waiting: enough that none is idle, few enough to stop soon."""


DUE_DAYS = 200
"""A campaign of so many days must have met every situation; a shorter one may have had no occasion."""


class Summary(Value, frozen=True):
    """What a campaign came to so far. `faults` says how often each was felt, over all runs."""

    days: int
    seed: int
    broken: tuple[Outcome, ...]
    faults: dict[str, int]
    sometimes: dict[str, bool]
    starts: int
    deaths: int
    intents: int
    orders: int
    fills: int
    rest_seconds_maximum: float
    digest: str

    @property
    def is_lawful(self) -> bool:
        return not self.broken

    @property
    def is_due(self) -> bool:
        """Whether it was long enough that every situation must have occurred."""
        return self.days >= DUE_DAYS

    @property
    def unmet(self) -> tuple[str, ...]:
        """The situations that were wanted and never occurred."""
        return tuple(name for name, met in self.sometimes.items() if not met)

    @property
    def unfelt(self) -> tuple[str, ...]:
        """The faults that were never felt."""
        return tuple(name for name, bites in self.faults.items() if not bites)


def run_plan(plan: Plan) -> Outcome:
    """Live through a plan. Whatever is raised is a breach as well: nothing may end in an error nobody foresaw."""
    try:
        return live(plan)
    except Exception as error:  # noqa: BLE001 - as the docstring says
        breach = Breach(law=LAW_NO_ERROR, what=f"{type(error).__name__}: {error}", at_seconds=0.0)
        return Outcome(seed=plan.seed, breaches=(breach,), story=traceback.format_exc())
    finally:
        # A runtime collects seldom, and a world that has ended is one great cycle: hundreds of them would pile up.
        gc.collect()


def plan_of(seed: int, *, full: bool) -> Plan:
    """The plan of a seed."""
    return draw_full_plan(seed) if full else draw_plan(seed)


def _run_seed(seed: int, full: bool) -> Outcome:
    return run_plan(plan_of(seed, full=full))


def outcomes(seeds: range, *, jobs: int, full: bool = False) -> Generator[Outcome, None, None]:
    """Run seeds on so many processes at once; the outcomes come in the order of the seeds.

    Whoever stops reading ends the campaign: what has not begun is not begun. `jobs` 1 runs in this process.
    """
    if jobs == 1:
        for seed in seeds:
            yield _run_seed(seed, full)
        return
    # Spawned: a fork would carry this process' threads and open files along.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    waiting: deque[Future[Outcome]] = deque()
    left = iter(seeds)
    try:
        waiting.extend(pool.submit(_run_seed, seed, full) for seed in itertools.islice(left, jobs * AHEAD))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_run_seed, seed, full) for seed in itertools.islice(left, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Tally:
    """Adds outcomes up."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._days = 0
        self._totals: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._sometimes: set[str] = set()
        self._broken: list[Outcome] = []
        self._rest_seconds = 0.0
        self._digest = hashlib.sha256()

    def add(self, outcome: Outcome) -> None:
        self._days += 1
        for name in COUNTED:
            self._totals[name] += getattr(outcome, name)
        self._faults.update(outcome.bites)
        self._sometimes.update(outcome.sometimes)
        self._rest_seconds = max(self._rest_seconds, outcome.rest_seconds or 0.0)
        self._digest.update(outcome.digest.encode())
        if outcome.breaches:
            self._broken.append(outcome)

    def summary(self) -> Summary:
        return Summary(
            days=self._days,
            seed=self._seed,
            broken=tuple(self._broken),
            faults={name: self._faults[name] for name in names()},
            sometimes={name: name in self._sometimes for name in SOMETIMES},
            starts=self._totals["starts"],
            deaths=self._totals["deaths"],
            intents=self._totals["intents"],
            orders=self._totals["orders"],
            fills=self._totals["fills"],
            rest_seconds_maximum=self._rest_seconds,
            digest=self._digest.hexdigest(),
        )


COUNTED = ("starts", "deaths", "intents", "orders", "fills")


def run_campaign(
    seed: int,
    days: int,
    *,
    jobs: int = 1,
    full: bool = False,
    told: Callable[[Outcome, Summary], None] | None = None,
    stops_at_first: bool = True,
) -> Summary:
    """Run `days` worlds, of the seeds from `seed` on. `told` hears each outcome, and what they came to so far."""
    tally = Tally(seed)
    running = outcomes(range(seed, seed + days), jobs=jobs, full=full)
    try:
        for outcome in running:
            tally.add(outcome)
            if told is not None:
                told(outcome, tally.summary())
            if outcome.breaches and stops_at_first:
                break
    finally:
        running.close()
    return tally.summary()
