"""The pytest plugin: a test that asks for `world` lives in one, and under its laws.

    async def test_a_pair_that_fills_one_leg_tells_so(world):
        ticket = await world.submit(world.pair("p1", seconds=8))
        world.crowd.sells(world.instruments[0], "0.44", "100")
        assert (await world.end_of(ticket)).outcome == "one_side"

It comes with the package. `world` is a runtime whose account is Live at a simulated venue, on a clock that jumps;
`venue` is the venue's own books and its faults; `chaos` breaks things and holds everything against the laws.
A failed test prints the seed that replays it: `pytest … --world-seed 7`.
"""

import functools
import inspect
import shlex
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .world.chaos import Chaos
    from .world.venue import VenueSession
    from .world.world import World

NAMES = ("world", "venue", "chaos")
MARKER = "world(venue, seeds, start, settings, strategy): how the world of a test is made (tallystick.testing.plugin)"


class _Place:
    """Stands for a fixture until the world exists, which it does only while the test runs in it."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.seed = seed


@pytest.fixture
def world(world_seed: int) -> "World":
    """A running world; its account is Live unless the test is marked `world(start=False)`."""
    return _Place("world", world_seed)  # type: ignore[return-value]  # replaced when the test is called


@pytest.fixture
def venue(world_seed: int) -> "VenueSession":
    """The simulated venue of the world: its own books, and its faults."""
    return _Place("venue", world_seed)  # type: ignore[return-value]  # replaced when the test is called


@pytest.fixture
def chaos(world_seed: int) -> "Chaos":
    """Breaks things in the world, heals them, and waits until everything has come to rest under the laws."""
    return _Place("chaos", world_seed)  # type: ignore[return-value]  # replaced when the test is called


@pytest.fixture
def world_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the test's world."""
    return int(request.config.getoption("--world-seed") or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which worlds a test lives in."""
    group = parser.getgroup("tallystick")
    group.addoption("--world-seed", type=int, default=None, metavar="SEED", help="run each test in the world of SEED")
    group.addoption(
        "--world-seeds",
        type=int,
        default=None,
        metavar="N",
        help="run each test that asks for `world` in N worlds (its marker says how many else; 1 by default)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each of its seeds."""
    if "world_seed" not in metafunc.fixturenames or metafunc.config.getoption("--world-seed") is not None:
        return
    marker = metafunc.definition.get_closest_marker("world")
    count = metafunc.config.getoption("--world-seeds") or (marker.kwargs.get("seeds", 1) if marker is not None else 1)
    if count > 1:
        metafunc.parametrize("world_seed", range(1, count + 1), ids=lambda seed: f"seed {seed}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that ask for a world run in one; first, before others take async tests for theirs."""
    for item in items:
        if not isinstance(item, pytest.Function) or not _asks_for_ours(item._fixtureinfo.name2fixturedefs):  # noqa: SLF001 - see above
            continue
        test = item.obj
        if not inspect.iscoroutinefunction(test):
            item.obj = _refusing(item.originalname)
        else:
            marker = item.get_closest_marker("world")
            item.obj = _in_a_world(test, dict(marker.kwargs) if marker is not None else {})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Say with a failure how to see it again."""
    outcome: Any = yield
    report = outcome.get_result()
    seed = getattr(item, "funcargs", {}).get("world_seed")
    if report.when == "call" and report.failed and seed is not None:
        again = f"pytest {shlex.quote(item.nodeid.partition('[')[0])} --world-seed {seed}"
        report.sections.append(("world", f"seed {seed}; see it again with: {again}"))


def _asks_for_ours(definitions: Any) -> bool:
    """Whether one of the fixtures is this plugin's: a project may have its own of the same name."""
    ours = {inspect.unwrap(getattr(fixture, "__wrapped__", fixture)) for fixture in (world, venue, chaos)}
    found = (definitions[name][-1].func for name in NAMES if definitions.get(name))
    return any(inspect.unwrap(getattr(function, "__wrapped__", function)) in ours for function in found)


def _refusing(name: str) -> Callable[..., None]:
    def refuse(**_fixtures: object) -> None:
        pytest.fail(f"{name} asks for a world and is not async: write `async def {name}(…)`", pytrace=False)

    return refuse


def _in_a_world(test: Callable[..., Awaitable[None]], wanted: dict[str, Any]) -> Callable[..., None]:
    """A plain function that runs an async test in a world of its own."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        # Here, so that a pytest run without a world does not load a runtime.
        from .world.chaos import Chaos  # noqa: PLC0415
        from .world.rigs import RIGS  # noqa: PLC0415
        from .world.world import World, run_world  # noqa: PLC0415

        async def story(made: World) -> None:
            chaos = Chaos(made)
            places = {"world": made, "venue": made.venue, "chaos": chaos}
            given = {
                name: places[value.name] if isinstance(value, _Place) else value for name, value in fixtures.items()
            }
            await test(**given)
            await chaos.end()

        run_world(
            story,
            seed=next(value.seed for value in fixtures.values() if isinstance(value, _Place)),
            rig=RIGS[wanted.get("venue", next(iter(RIGS)))](),
            settings=wanted.get("settings"),
            strategy=wanted.get("strategy"),
            start=wanted.get("start", True),
        )

    del run.__wrapped__  # pytest would look through it and find a coroutine
    return run
