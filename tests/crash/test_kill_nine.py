"""Hundreds of deaths in one day: no order doubled, no fill lost, no position invented.

`TALLYSTICK_CRASHES=300` has so many runtimes killed; `TALLYSTICK_SEED` gives the host, the crowd and the deaths other
dice. What was hit is printed at the end: a campaign that never came into the situations it is for has shown nothing.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from .campaign import CANCELLING, CLOSING, KILLED, LIVE_DEATH, RECOVERING, STOPPING, UNANSWERED, Campaign, Tally
from .host import Host
from .processes import nursery
from .stage import ASK, Stage, single, stage

KILLS = int(os.environ.get("TALLYSTICK_CRASHES", "200"))
SEED = int(os.environ.get("TALLYSTICK_SEED", "1"))
LANES = 2
"""Each has a venue, a store and a host of its own; while one waits for the disk or the venue, the other works.

The first one's venue is next door, the second one's is far away, and its lists trail what its stream has told."""
WANTED = (RECOVERING, STOPPING, LIVE_DEATH, UNANSWERED, CANCELLING, CLOSING)
"""What must have come up in a campaign of some length."""
ENOUGH_KILLS = 60
MAIN = "from tallystick.console.cli import main; main()"
SHELL_KILLS = 6
SHELL_SECONDS = 1.5
"""About what the interpreter's start and the runtime's take together, and some trading."""


def lane(folder: Path, number: int, kills: int) -> Tally:
    folder.mkdir()
    seed = SEED * 1000 + number
    with nursery() as commander, stage(folder, commander) as played:
        if number % 2:
            played.move_away()
        return Campaign(played, seed).run(kills)


def test_a_runtime_that_is_killed_again_and_again_ends_with_the_venues_own_books(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = [KILLS // LANES + (number < KILLS % LANES) for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        lanes = [pool.submit(lane, tmp_path / f"lane-{number}", number, share) for number, share in enumerate(shares)]
    tally = Tally()
    for finished in lanes:
        tally += finished.result()
    with capsys.disabled():
        print(f"\n{tally}")  # noqa: T201 - what a campaign has hit is its result
    assert tally.kills >= KILLS
    missed = [moment for moment in WANTED if not tally.moments[moment]]
    assert KILLS < ENOUGH_KILLS or not missed, f"the campaign never died {missed}"


def test_a_process_that_was_started_from_the_shell_dies_no_other_death(played: Stage) -> None:
    """The same with nothing prepared: the interpreter starts, reads its modules, and is killed anywhere from there."""
    host, draw = Host(played), Random(SEED)
    for number in range(SHELL_KILLS):
        host.record.begin_life()
        host.intents[f"shell-{number}"] = single(f"shell-{number}", limit_price=ASK, seconds=60)
        lines = b"".join(line + b"\n" for line in host.intents.values())
        with (played.folder / "log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-c", MAIN, *played.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **played.environment},
            )
            try:
                output, _ = child.communicate(lines, timeout=draw.uniform(0.1, SHELL_SECONDS))
            except subprocess.TimeoutExpired:
                child.kill()
                output, _ = child.communicate()
        assert child.returncode == KILLED
        *whole, _cut_off = output.split(b"\n")
        host.mourn([json.loads(line) for line in whole])
    host.finish()
    assert set(host.over.values()) == {"filled"}
