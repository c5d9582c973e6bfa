"""Two hundred drawn days, on both cores: no law breaks, every fault is felt, every wanted situation is met."""

import os

import pytest
from tallystick.testing.world.campaign import Summary, run_campaign

DAYS = int(os.environ.get("TALLYSTICK_CHAOS_DAYS", "200"))
"""More of them on demand; `make chaos` lives through two thousand."""
SEED = 1
JOBS = 2


@pytest.fixture(scope="module")
def campaign() -> Summary:
    return run_campaign(SEED, DAYS, jobs=JOBS)


def test_no_law_breaks_in_two_hundred_drawn_days(campaign: Summary) -> None:
    assert campaign.days == DAYS or campaign.broken
    for outcome in campaign.broken:
        replay = f"tallystick chaos --days 1 --seed {outcome.seed}"
        pytest.fail(f"{outcome.breaches[0]}\n{outcome.story}\nreplay it with: {replay}")


def test_every_wanted_situation_was_met(campaign: Summary) -> None:
    assert campaign.unmet == ()


def test_every_fault_was_felt(campaign: Summary) -> None:
    assert campaign.unfelt == ()
