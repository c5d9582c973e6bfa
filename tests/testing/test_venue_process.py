"""A simulated venue is a child that can be asked, and that never outlives its parent."""

import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import psutil
import pytest
from tallystick.testing.venue_process import VenueFailed, venue_process
from tallystick.venues.sim.polymarket.actions import CancelOrder, ScriptStep, SetQuotes

GONE_SECONDS = 10.0

PARENT = """
import sys, time
from pathlib import Path
from tallystick.testing.venue_process import venue_process
with venue_process(["--clock=virtual", "--epoch-ms=1800000000000"], log=Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


class State(msgspec.Struct):
    now_ms: int


def test_a_venue_is_asked_acts_and_follows_its_script_on_a_virtual_clock(tmp_path: Path) -> None:
    arguments = ["--clock=virtual", "--epoch-ms=1800000000000", "--market=Rain?;slug=rain"]
    with venue_process(arguments, log=tmp_path / "venue.log") as venue:
        quotes = SetQuotes(participant="crowd", market="rain", bids=((Decimal("0.4"), Decimal(10)),))
        venue.do(quotes)
        venue.note(
            [
                ScriptStep(at_seconds=5, action=quotes),
                ScriptStep(at_seconds=7, action=SetQuotes(participant="crowd", market="nowhere")),
            ]
        )
        control = venue.control()
        assert control.state().next_deadline == 5
        assert control.advance(6.0).now == 6.0
        assert venue.script_errors() == []
        control.advance(4.0)
        control.close()
        assert venue.ask("state", State).now_ms == 1_800_000_010_000
        (error,) = venue.script_errors()
        assert "nowhere" in error


def test_what_the_venue_refuses_is_said_with_its_words(tmp_path: Path) -> None:
    with venue_process(["--clock=virtual", "--epoch-ms=0"], log=tmp_path / "venue.log") as venue:
        with pytest.raises(VenueFailed, match="nowhere"):
            venue.do(SetQuotes(participant="crowd", market="nowhere"))
        with pytest.raises(VenueFailed, match="404"):
            venue.ask("nothing", object)
        venue.do(CancelOrder(order_id="0x00"))


def test_a_venue_that_does_not_come_up_is_named_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "venue.log"
    with pytest.raises(VenueFailed, match="did not come up"), venue_process(["--no-such-option"], log=log):
        pass
    assert "no-such-option" in log.read_text()


def test_a_venue_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "venue.log")], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        theirs = psutil.Process(parent.pid).children(recursive=True)
        assert theirs
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(theirs, timeout=GONE_SECONDS)
    assert not alive


def children() -> "set[psutil.Process]":
    """The test run's own children, of which other tests may have some."""
    return set(psutil.Process().children())


def test_a_venue_ends_with_its_block_and_leaves_no_zombie(tmp_path: Path) -> None:
    before = children()
    with venue_process(["--clock=virtual", "--epoch-ms=0"], log=tmp_path / "venue.log"):
        (venue,) = children() - before
    assert not venue.is_running()


def test_an_error_inside_the_block_ends_the_venue_as_well(tmp_path: Path) -> None:
    before = children()
    with (
        pytest.raises(RuntimeError, match="in the block"),
        venue_process(["--clock=virtual", "--epoch-ms=0"], log=tmp_path / "venue.log"),
    ):
        raise RuntimeError("in the block")
    assert children() <= before
