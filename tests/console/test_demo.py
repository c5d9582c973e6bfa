"""`tallystick demo`: one document or one report, progress beside it, and an exit code that tells the truth."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tallystick.console import demo_day, demo_progress
from tallystick.console.cli import app
from tallystick.console.exit_codes import ExitCode
from tallystick.testing import day
from tallystick.testing.day_drawing import plan_day
from tallystick.testing.day_run import Moment
from typer.testing import CliRunner

SHORT_SECONDS = 1_800
END_SECONDS = 20.0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day, "DAY_SECONDS", SHORT_SECONDS)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["demo", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("short")
def test_json_is_one_document_with_the_whole_day_and_the_store_stays_readable(tmp_path: Path) -> None:
    store = tmp_path / "new" / "store"
    code, out, err = run("--day", "almost-working", "--pairs", "6", "--speed", "max", "--store", store, "--json")
    assert code == ExitCode.OK, err
    found = json.loads(out)
    assert (found["day"], found["seed"], found["intents"]) == ("almost-working", 1, 6)
    assert found["pairs"] == {"both": 4, "one_side": 1, "neither": 1}
    plan = plan_day(1, 6, seconds=SHORT_SECONDS)
    assert (found["orders"], found["fills"]) == (plan.orders - 1, plan.fills)
    kinds = sorted((alert["kind"], alert["diagnosis"], alert["state"]) for alert in found["alerts"])
    assert kinds == [
        ("dropped_fill", "dropped_fill", "explained"),
        ("dropped_fill", "dropped_fill", "explained"),
        ("slice_never_sent", "slice_never_sent", "open"),
    ]
    assert all(row["agree"] is True and row["book"] == row["venue"] == row["wallet"] for row in found["truth"])
    assert "pUSD" in {row["instrument"] for row in found["truth"]}
    assert found["audit"]["records"] == found["audit"]["verified"] > 0
    assert (found["simulated_seconds"], found["store"]) == (SHORT_SECONDS, str(store))
    alerts = CliRunner().invoke(app, ["alerts", str(store), "--json"])
    assert [alert["kind"] for alert in json.loads(alerts.stdout)["alerts"]] == ["slice_never_sent"]


@pytest.mark.usefixtures("short")
def test_people_get_a_report_and_whatever_is_unlawful_is_said_and_told_by_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_day, "what_differs", lambda *_, **__: ("the moon is missing",))
    code, out, err = run("--day", "clean", "--pairs", "4", "--speed", "max", "--store", tmp_path / "store")
    assert code == ExitCode.DEMO_UNLAWFUL
    assert "not as the day promises: the moon is missing" in err
    for part in ("A clean day, 09:30 to 10:00, seed 1", "No alerts", "pUSD", "records verified", str(tmp_path)):
        assert part in out
    assert "DIFFERS" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pairs", "3"), "4 to 160 pairs, not 3"),
        (("--speed", "fast"), "--speed is 'fast'"),
        (("--speed", "-1"), "above zero"),
        (("--speed", "nan"), "above zero"),
    ],
)
def test_options_out_of_bounds_are_refused_before_anything_starts(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    code, out, err = run("--day", "clean", "--store", tmp_path / "store", *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err


def test_a_store_that_is_not_new_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"precious")
    code, _, err = run("--day", "clean", "--store", tmp_path)
    assert code == ExitCode.USAGE
    assert "is not empty" in err
    assert (tmp_path / "data.mdb").read_bytes() == b"precious"


def test_a_venue_that_does_not_come_up_ends_the_day_with_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    code, _, err = run("--day", "clean", "--store", tmp_path / "store")
    assert code == ExitCode.VENUE_UNREACHABLE
    assert "did not come up" in err


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", list[psutil.Process]]]:
    command = [sys.executable, "-c", "from tallystick.console.cli import main; main()"]
    arguments = ["demo", "--day", "clean", "--pairs", "4", "--store", str(tmp_path / "store")]
    with subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "dumb"},
    ) as process:
        data = tmp_path / "store" / "data.mdb"
        until = time.monotonic() + END_SECONDS
        while not data.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert data.exists(), process.stderr
        try:
            yield process, psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()


def test_ctrl_c_ends_both_processes_and_leaves_a_store(
    running: tuple["subprocess.Popen[str]", list[psutil.Process]], tmp_path: Path
) -> None:
    process, children = running
    assert children
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=END_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"interrupted; what the day had come to is in {tmp_path / 'store'}" in err
    _, alive = psutil.wait_procs(children, timeout=END_SECONDS)
    assert not alive
    status = CliRunner().invoke(app, ["status", str(tmp_path / "store"), "--json"])
    assert status.exit_code == ExitCode.OK


# ---- progress ---------------------------------------------------------------------------------------------


def moment(seconds: float, alerts: int = 0) -> Moment:
    return Moment(seconds=seconds, pairs_ended=3, fills=17, alerts=alerts, steps=1)


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with demo_progress.progress(plan_day(1, 6), real_clock=lambda: now[0]) as tell:
        tell(moment(60))
        now[0] = 6.0
        tell(moment(3_600, alerts=1))
        now[0] = 7.0
        tell(moment(7_200))
        tell(moment(23_400, alerts=2))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "10:30  3/6 pairs  17 fills  1 alert open",
        "16:00  3/6 pairs  17 fills  2 alerts open",
    ]


def test_on_a_terminal_progress_is_a_bar_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with demo_progress.progress(plan_day(1, 6)) as tell:
        tell(moment(3_600))
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/6 pairs" in err
