"""A drawn day follows from its seed alone: the same twice, in another process, and under another hash seed."""

import os
import subprocess
import sys

import pytest
from tallystick.testing.world.campaign import plan_of, run_campaign, run_plan
from tallystick.testing.world.plan import plan_of_json

SEEDS = (10, 21)
SCRIPT = (
    "import sys\n"
    "from tallystick.testing.world.campaign import plan_of, run_plan\n"
    "print(run_plan(plan_of(int(sys.argv[1]), full=False)).digest)\n"
)


def digest_elsewhere(seed: int, hash_seed: str) -> str:
    """The digest of a day that another process lives through."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_the_same_digest_twice(seed: int) -> None:
    plan = plan_of(seed, full=False)
    first, second = run_plan(plan), run_plan(plan_of_json(plan.to_json()))
    assert first.orders > 0
    assert first.digest == second.digest
    assert first == second


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_gives_the_same_digest_in_another_process(hash_seed: str) -> None:
    assert digest_elsewhere(SEEDS[0], hash_seed) == run_plan(plan_of(SEEDS[0], full=False)).digest


def test_a_campaign_is_the_same_on_one_process_and_on_two() -> None:
    assert run_campaign(20, 3, jobs=1).digest == run_campaign(20, 3, jobs=2).digest


def test_neighbouring_seeds_give_different_days() -> None:
    assert plan_of(1, full=False) != plan_of(2, full=False)
    assert run_plan(plan_of(20, full=False)).digest != run_plan(plan_of(21, full=False)).digest


def test_a_seed_gives_the_same_plan_again_also_for_a_full_day() -> None:
    plan = plan_of(3, full=True)
    assert plan == plan_of(3, full=True)
    assert plan_of_json(plan.to_json()) == plan
    assert len(plan.hand_ins) == 40
