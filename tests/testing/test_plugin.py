"""The pytest plugin: what docs/testing.md shows works as it is shown, and failures say how to see them again."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tallystick.testing.world.laws import LAWS

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
TIMEOUT_SECONDS = 300


def run_pytest(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest in a project of somebody else's."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_everything_that_the_page_shows_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        (tmp_path / f"test_block_{number}.py").write_text(block, encoding="utf-8")
    ran = run_pytest(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "24 passed" in ran.stdout


def test_the_page_has_every_law() -> None:
    assert [name for name, text in LAWS.items() if f"| `{name}` | {text} |" not in PAGE] == []


FAILING = """
import pytest
from tallystick.testing.world.venue_faults import DropReport


@pytest.mark.world(seeds=3)
async def test_only_the_third_world_is_wrong(world):
    assert world.seed != 3


async def test_broken_law(world, chaos):
    from tallystick.model.fill import Direction
    from decimal import Decimal
    await world.venue.trade_by_hand(world.instruments[0], Direction.BUY, Decimal("0.30"), Decimal(20))
    chaos.guard.settled()


def test_not_async(world):
    pass
"""


def test_a_failure_says_which_world_it_was_and_how_to_see_it_again(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING, encoding="utf-8")
    ran = run_pytest(tmp_path)
    assert "3 failed, 2 passed" in ran.stdout, ran.stdout
    assert "see it again with: pytest test_failing.py::test_only_the_third_world_is_wrong --world-seed 3" in ran.stdout
    assert "nobody_else" in ran.stdout
    assert "test_not_async asks for a world and is not async: write `async def test_not_async(…)`" in ran.stdout
    again = run_pytest(tmp_path, "test_failing.py::test_only_the_third_world_is_wrong", "--world-seed", "3")
    assert "1 failed" in again.stdout, again.stdout


OWN = """
import pytest


@pytest.fixture
def world():
    return "mine"


def test_own_fixture(world):
    assert world == "mine"
"""


def test_a_projects_own_fixture_of_the_same_name_stays_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN, encoding="utf-8")
    ran = run_pytest(tmp_path)
    assert "1 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize(("arguments", "passed"), [(("--world-seeds", "4"), 4), ((), 1), (("--world-seed", "9"), 1)])
def test_options_say_in_how_many_worlds_a_test_lives(tmp_path: Path, arguments: tuple[str, ...], passed: int) -> None:
    (tmp_path / "test_one.py").write_text("async def test_one(world):\n    pass\n", encoding="utf-8")
    ran = run_pytest(tmp_path, *arguments)
    assert f"{passed} passed" in ran.stdout, ran.stdout
