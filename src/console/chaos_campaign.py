"""What `tallystick chaos` does and shows: a live table on a terminal, lines else, one JSON document where asked for."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..testing.world.campaign import Summary, Tally, plan_of, run_campaign, run_plan
from ..testing.world.laws import LAWS
from ..testing.world.life import OWN_LAWS, Outcome
from ..testing.world.plan import Plan, plan_of_json
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json

LINE_DAYS = 20
"""Without a terminal, how often a line is written."""
FAULTS_SHOWN = 12
_KNOWN_LAWS = {**LAWS, **OWN_LAWS}


class BrokenView(View, frozen=True, kw_only=True):
    """One day that broke a law."""

    seed: int
    law: str
    rule: str
    what: str
    at_seconds: float
    replay: str


class SummaryView(View, frozen=True, kw_only=True):
    """A campaign as JSON."""

    days: int
    seed: int
    digest: str
    broken: tuple[BrokenView, ...]
    faults: dict[str, int]
    sometimes: dict[str, bool]
    starts: int
    deaths: int
    intents: int
    orders: int
    fills: int
    rest_seconds_maximum: float


def plan_line(seed: int, *, full: bool) -> str:
    """The plan of a seed as one line of JSON."""
    return plan_of(seed, full=full).to_json().decode()


def plan_read(text: str) -> Plan:
    """Read a plan. Raises `Refusal` with what is wrong with it, and where."""
    try:
        return plan_of_json(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Refusal(ExitCode.USAGE, f"that is no plan: {error}") from error


def lived(plan: Plan, *, as_json: bool) -> Summary:
    """Live through one plan, and show what it came to."""
    outcome = run_plan(plan)
    tally = Tally(plan.seed)
    tally.add(outcome)
    summary = tally.summary()
    _show(summary, "tallystick chaos --plan FILE", as_json=as_json)
    return summary


def campaign(seed: int, days: int, *, jobs: int, full: bool, as_json: bool) -> Summary:
    """Run a campaign and show it."""
    replay = "tallystick chaos --days 1 --seed {seed}" + (" --full" if full else "")
    with _shown(days, as_json=as_json) as told:
        summary = run_campaign(seed, days, jobs=min(jobs, days), full=full, told=told)
    _show(summary, replay, as_json=as_json)
    return summary


def _show(summary: Summary, replay: str, *, as_json: bool) -> None:
    broken = tuple(_broken(outcome, replay) for outcome in summary.broken)
    if as_json:
        print_json(
            SummaryView(
                days=summary.days,
                seed=summary.seed,
                digest=summary.digest,
                broken=broken,
                faults=summary.faults,
                sometimes=summary.sometimes,
                starts=summary.starts,
                deaths=summary.deaths,
                intents=summary.intents,
                orders=summary.orders,
                fills=summary.fills,
                rest_seconds_maximum=summary.rest_seconds_maximum,
            )
        )
        return
    screen = Screen()
    screen.fields(_fields(summary))
    if summary.unmet:
        screen.line(f"  never met: {', '.join(summary.unmet)}", "yellow")
    if summary.unfelt:
        screen.line(f"  never felt: {', '.join(summary.unfelt)}", "dim")
    for found, outcome in zip(broken, summary.broken, strict=True):
        screen.title(f"Day {found.seed} broke a law: {found.law}")
        screen.line(f"  {found.rule}")
        screen.line(f"  at {found.at_seconds:.3f} s:")
        screen.lines(found.what)
        screen.lines(outcome.story)
        screen.line(f"replay it with: {found.replay}")


def _fields(summary: Summary) -> list[tuple[str, str | None]]:
    return [
        ("days", f"{summary.days} from seed {summary.seed}, {len(summary.broken)} broken"),
        ("lived through", f"{summary.intents} intents, {summary.orders} orders, {summary.fills} fills"),
        ("starts", f"{summary.starts}, of which {summary.deaths} ended in a sudden death"),
        ("faults felt", f"{sum(summary.faults.values())} times, of {sum(map(bool, summary.faults.values()))} kinds"),
        ("at rest within", f"{summary.rest_seconds_maximum:.0f} s after the last fault and deadline"),
        ("digest", summary.digest),
    ]


def _broken(outcome: Outcome, replay: str) -> BrokenView:
    breach = outcome.breaches[0]
    return BrokenView(
        seed=outcome.seed,
        law=breach.law,
        rule=_KNOWN_LAWS.get(breach.law, "Nothing ends in an error that nobody foresaw."),
        what=breach.what,
        at_seconds=breach.at_seconds,
        replay=replay.format(seed=outcome.seed),
    )


# ---- while it runs ----------------------------------------------------------------------------------------


@contextmanager
def _shown(days: int, *, as_json: bool) -> Iterator[Callable[[Outcome, Summary], None]]:
    """What is to be told of every day, as long as the block lasts; on stderr, so that a pipe gets the result alone."""
    if sys.stderr.isatty() and not as_json:
        with Live(console=Console(stderr=True, markup=False, highlight=False), transient=True) as live:
            recent: list[Outcome] = []

            def show(outcome: Outcome, summary: Summary) -> None:
                recent.append(outcome)
                del recent[:-8]
                live.update(_table(recent, summary, days))

            yield show
        return

    def write(_outcome: Outcome, summary: Summary) -> None:
        if summary.days % LINE_DAYS == 0:
            met = sum(summary.sometimes.values())
            sys.stderr.write(
                f"{summary.days}/{days} days, {summary.deaths} deaths, {sum(summary.faults.values())} faults felt, "
                f"{met}/{len(summary.sometimes)} situations met, {len(summary.broken)} broken\n"
            )
            sys.stderr.flush()

    yield write


def _table(recent: list[Outcome], summary: Summary, days: int) -> Group:
    seeds = Table("seed", "seconds", "starts", "deaths", "orders", "fills", "faults felt", "laws", box=None)
    for outcome in recent:
        seeds.add_row(
            str(outcome.seed),
            f"{outcome.seconds:.0f}",
            str(outcome.starts),
            str(outcome.deaths),
            str(outcome.orders),
            str(outcome.fills),
            str(sum(outcome.bites.values())),
            outcome.breaches[0].law if outcome.breaches else "hold",
        )
    faults = sorted(summary.faults.items(), key=lambda found: -found[1])[:FAULTS_SHOWN]
    felt = Text("faults: " + ", ".join(f"{name} {bites}" for name, bites in faults), style="dim")
    met = Text("met: " + ", ".join(name for name, found in summary.sometimes.items() if found), style="green")
    unmet = Text("not yet: " + ", ".join(summary.unmet), style="yellow")
    return Group(Text(f"{summary.days}/{days} days", style="bold"), seeds, felt, met, unmet)
