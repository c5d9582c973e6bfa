"""Archiving from the command line: what moves, what stays, and what every other command shows afterwards."""

import json
import shutil
from pathlib import Path

import pytest
import trio
from tallystick.console.exit_codes import ExitCode
from tallystick.recovery import SNAPSHOT, recover
from tallystick.store import open_store
from tallystick.store.records import journal_schema

from .kit import T0_NS, make_store, run, run_json

SHOWN = (("status",), ("orders",), ("positions",), ("truth",), ("alerts",), ("audit", "verify"))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The scripted store, as a runtime leaves it: with a snapshot at its end."""
    path = make_store(tmp_path / "store")

    async def snapshot() -> None:
        async with open_store(path, journal_schema(), now_ns=lambda: T0_NS) as journal:
            ledger = recover(journal).ledger
            journal.put_snapshot(SNAPSHOT, journal.last_lsn, ledger.freeze())

    trio.run(snapshot)
    return path


def test_a_dry_run_says_what_would_go_and_changes_nothing(stopped: Path) -> None:
    before = (stopped / "data.mdb").read_bytes()
    found = run_json("archive", stopped, "--before", "2026-12-01", "--dry-run")
    assert found["dry_run"] is True
    assert [(row["first_lsn"], row["size_bytes"]) for row in found["archived"]] == [(1, None)]
    assert found["archived"][0]["last_lsn"] == found["last_lsn"]
    assert found["first_lsn"] == 1
    assert not (stopped / "archive").exists()
    assert (stopped / "data.mdb").read_bytes() == before


def test_every_command_shows_the_same_after_archiving(stopped: Path) -> None:
    def shown() -> list[object]:
        answers = [run_json(*command, "--store", stopped) for command in SHOWN]
        for answer in answers:
            for changing in ("first_lsn", "epoch"):
                answer.pop(changing, None) if isinstance(answer, dict) else None
        return [*answers, run("timeline", "weather", "--store", stopped).stdout]

    before = shown()
    found = run_json("archive", stopped, "--before", "2026-12-01T00:00:00Z")
    assert found["first_lsn"] == found["last_lsn"] + 1
    assert [row["file"] for row in found["archived"]] == [path.name for path in (stopped / "archive").iterdir()]
    assert found["missing"] == []
    assert shown() == before


def test_only_what_is_older_than_the_time_goes(stopped: Path) -> None:
    found = run_json("archive", stopped, "--before", "2026-11-18T11:06:50Z")
    assert 1 < found["first_lsn"] < found["last_lsn"]
    assert found["archived"][0]["last_at"] < "2026-11-18T11:06:50Z"
    again = run_json("archive", stopped, "--before", "2026-11-18T11:06:50Z")
    assert again["archived"] == []
    assert again["files"] == 1


def test_without_a_time_the_usual_rule_keeps_a_million_entries(stopped: Path) -> None:
    said = run("archive", stopped).stdout
    assert "the last 1000000 entries are kept" in said
    assert not (stopped / "archive").exists()


def test_without_a_snapshot_nothing_goes(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store")
    assert "there is no snapshot yet" in run_json("archive", path, "--before", "2026-12-01")["kept"]


def test_files_that_were_moved_away_are_named(stopped: Path, tmp_path: Path) -> None:
    run("archive", stopped, "--before", "2026-11-18T11:06:50Z")
    (name,) = [path.name for path in (stopped / "archive").iterdir()]
    shutil.move(stopped / "archive", tmp_path / "elsewhere")
    for command in (("timeline", "weather"), ("audit", "verify")):
        result = run(*command, "--store", stopped, code=ExitCode.ARCHIVE_MISSING)
        assert f"their file {stopped / 'archive' / name} is not there. Bring it back" in result.stderr
    # What is live is in the snapshot: an operator sees it without the files.
    result = run("positions", "--store", stopped)
    assert "what ended before LSN" in result.stderr
    assert name in result.stderr
    assert run_json("archive", stopped, "--dry-run")["missing"] == [name]
    shutil.move(tmp_path / "elsewhere", stopped / "archive")
    assert run("audit", "verify", "--store", stopped).stderr == ""


def test_how_the_last_run_ended_is_not_guessed(stopped: Path) -> None:
    run("archive", stopped, "--before", "2026-12-01")
    shutil.rmtree(stopped / "archive")
    said = run("status", stopped).stdout
    assert "stopped: how the last run ended is in an archive file that is away" in said


def test_positions_without_the_files_are_the_positions_with_them(stopped: Path) -> None:
    before = run_json("positions", "--store", stopped)
    run("archive", stopped, "--before", "2026-11-18T11:06:50Z")
    shutil.rmtree(stopped / "archive")
    result = run("positions", "--store", stopped, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == before


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-11-01T00:00:00"])
def test_a_time_that_is_none_is_refused(stopped: Path, text: str) -> None:
    assert "--before: expected a time" in run("archive", stopped, "--before", text, code=ExitCode.USAGE).stderr


def test_there_must_be_a_store(tmp_path: Path) -> None:
    run("archive", tmp_path / "nothing", code=ExitCode.STORE_MISSING)
    assert not (tmp_path / "nothing").exists()
