"""The demo's configuration and the examples are run as they stand, against a venue on a free port."""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tallystick.testing.venue_process import VenueProcess, venue_process
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.sim.polymarket.actions import CreateAccount

from .run_kit import RAIN, TALLY, quote, running

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
KEYS = [f"0x{number:064x}" for number in range(0xBEEF00, 0xBEEF04)]


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with venue_process(["--port", "0"], log=tmp_path_factory.mktemp("venue") / "log") as process:
        for key in KEYS:
            # The demo's wallets get their money when the venue first sees them; here it is final before that.
            process.do(CreateAccount(owner=Signer(key).address))
        quote(process, RAIN, "0.40", "0.41")
        quote(process, TALLY, "0.60", "0.62")
        yield process


def demo(folder: Path, venue: VenueProcess) -> Path:
    """config/demo.toml with nothing changed but the venue's port; its store lands in the folder."""
    (folder / "config").mkdir()
    file = folder / "config" / "demo.toml"
    content = (ROOT / "config" / "demo.toml").read_text()
    assert "127.0.0.1:8137" in content
    file.write_text(content.replace("127.0.0.1:8137", venue.addresses.clob.rpartition("/")[2]))
    return file


def script(name: str, folder: Path, venue: VenueProcess, key: str) -> str:
    result = subprocess.run(
        [sys.executable, EXAMPLES / name, demo(folder, venue)],
        capture_output=True,
        text=True,
        env={**os.environ, "DEMO_PRIVATE_KEY": key},
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_file_of_intents_is_worked_by_the_demo(venue: VenueProcess, tmp_path: Path) -> None:
    arguments = (demo(tmp_path, venue), "--intents", EXAMPLES / "intents.jsonl")
    with running(tmp_path, *arguments, DEMO_PRIVATE_KEY=KEYS[0]) as command:
        assert command.ends() == 0, command.log
    ends = {found["intent_id"]: found["outcome"] for found in command.said if found.get("kind") == "ended"}
    assert ends == {"rain-1": "filled", "rain-2": "filled", "spread-1": "both"}


def test_the_threaded_host_follows_its_intent_to_the_end(venue: VenueProcess, tmp_path: Path) -> None:
    said = script("embed.py", tmp_path, venue, KEYS[1]).splitlines()
    assert said[0] == "1 accepted accepted"
    assert said[-2].endswith("ended ended: filled")
    name, position = said[-1].split()
    assert (name, Decimal(position)) == ("position:", Decimal(25))


def test_the_async_host_awaits_its_reports(venue: VenueProcess, tmp_path: Path) -> None:
    said = script("embed_async.py", tmp_path, venue, KEYS[2])
    assert "rain-1 1 accepted accepted" in said
    assert "ended: filled" in said
    assert said.splitlines()[-1].startswith("spread-1")
