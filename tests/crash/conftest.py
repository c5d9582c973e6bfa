"""One nursery and one venue for all tests of a module; each test has an account and a store of its own there."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tallystick.testing.venue_process import VenueProcess, venue_process

from .processes import Commander, nursery
from .stage import Stage, another, fund

ACCOUNTS = 20
_numbers = count(1)


@pytest.fixture(scope="session")
def commander() -> Iterator[Commander]:
    with nursery() as made:
        yield made


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with venue_process(["--port", "0"], log=tmp_path_factory.mktemp("venue") / "log") as process:
        for number in range(1, ACCOUNTS + 1):
            fund(process, number)
        yield process


@pytest.fixture(scope="session")
def new_stage(venue: VenueProcess, commander: Commander) -> Callable[[Path], Stage]:
    """Makes a stage in a folder."""
    return lambda folder: another(folder, venue, commander, next(_numbers))


@pytest.fixture
def played(new_stage: Callable[[Path], Stage], tmp_path: Path) -> Stage:
    """A stage for one test alone."""
    return new_stage(tmp_path)
