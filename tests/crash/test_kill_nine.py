"""Hundreds of deaths in one day: no order doubled, no fill lost, no position invented.

`TALLYSTICK_CRASHES=300` has so many runtimes killed; `TALLYSTICK_SEED` gives the host, the crowd and the deaths other
dice. What was hit is printed at the end: a campaign that never came into the situations it is for has shown nothing.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .campaign import CANCELLING, CLOSING, LIVE_DEATH, RECOVERING, STOPPING, UNANSWERED, Campaign, Tally
from .processes import nursery
from .stage import stage

KILLS = int(os.environ.get("TALLYSTICK_CRASHES", "80"))
SEED = int(os.environ.get("TALLYSTICK_SEED", "1"))
LANES = 2
"""Each has a venue, a store and a host of its own; while one waits for the disk or the venue, the other works."""
WANTED = (RECOVERING, STOPPING, LIVE_DEATH, UNANSWERED, CANCELLING, CLOSING)
"""What must have come up in a campaign of some length."""
ENOUGH_KILLS = 60


def lane(folder: Path, seed: int, kills: int) -> Tally:
    folder.mkdir()
    with nursery() as commander, stage(folder, commander) as played:
        return Campaign(played, seed).run(kills)


def test_a_runtime_that_is_killed_again_and_again_ends_with_the_venues_own_books(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = [KILLS // LANES + (number < KILLS % LANES) for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        lanes = [
            pool.submit(lane, tmp_path / f"lane-{number}", SEED * 1000 + number, share)
            for number, share in enumerate(shares)
        ]
    tally = Tally()
    for finished in lanes:
        tally += finished.result()
    with capsys.disabled():
        print(f"\n{tally}")  # noqa: T201 - what a campaign has hit is its result
    assert tally.kills >= KILLS
    missed = [moment for moment in WANTED if not tally.moments[moment]]
    assert KILLS < ENOUGH_KILLS or not missed, f"the campaign never died {missed}"
