"""`tallystick chaos`: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
from tallystick.console.cli import app
from tallystick.console.exit_codes import ExitCode
from tallystick.testing.world import campaign
from tallystick.testing.world.laws import Breach
from tallystick.testing.world.life import Outcome
from tallystick.testing.world.plan import Plan
from typer.testing import CliRunner

BROKEN = Breach(law="each_fill_once", what="a fill entered twice", at_seconds=12.5)


def test_a_campaign_is_one_json_document_that_says_what_was_felt_and_met() -> None:
    done = CliRunner().invoke(app, ["chaos", "--days", "2", "--seed", "20", "--jobs", "1", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["days"], told["seed"], told["broken"]) == (2, 20, [])
    assert "kill_at_commit" in told["faults"]
    assert "crash_during_recovery" in told["sometimes"]
    assert len(told["digest"]) == 64


def test_a_broken_law_stops_the_campaign_and_says_how_to_replay_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(plan: Plan) -> Outcome:
        breaches = (BROKEN,) if plan.seed == 8 else ()
        return Outcome(seed=plan.seed, digest=f"{plan.seed}", breaches=breaches, story="what led to it")

    monkeypatch.setattr(campaign, "live", broken)
    done = CliRunner().invoke(app, ["chaos", "--days", "5", "--seed", "7", "--jobs", "1"])
    assert done.exit_code == ExitCode.LAW_BROKEN
    assert "A fill enters the log once, for ever." in done.stdout
    assert "what led to it" in done.stdout
    assert "replay it with: tallystick chaos --days 1 --seed 8" in done.stdout
    assert "2 from seed 7, 1 broken" in done.stdout


def test_an_error_that_nobody_foresaw_is_a_broken_law_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(plan: Plan) -> Outcome:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr(campaign, "live", fails)
    done = CliRunner().invoke(app, ["chaos", "--days", "1", "--jobs", "1", "--json"])
    assert done.exit_code == ExitCode.LAW_BROKEN
    assert json.loads(done.stdout)["broken"][0]["what"] == "ZeroDivisionError: nobody foresaw it"


def test_a_long_campaign_that_never_met_a_situation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "live", lambda plan: Outcome(seed=plan.seed, digest="d"))
    short = CliRunner().invoke(app, ["chaos", "--days", "3", "--jobs", "1"])
    long = CliRunner().invoke(app, ["chaos", "--days", "200", "--jobs", "1"])
    assert short.exit_code == 0
    assert long.exit_code == ExitCode.SITUATION_UNMET
    assert "never met: fill_during_cancel" in long.stdout


def test_a_plan_that_was_printed_is_lived_through_again(tmp_path: Path) -> None:
    runner = CliRunner()
    printed = runner.invoke(app, ["chaos", "--seed", "20", "--print-plan"])
    (tmp_path / "plan.json").write_text(printed.stdout)
    by_seed = runner.invoke(app, ["chaos", "--days", "1", "--seed", "20", "--jobs", "1", "--json"])
    by_plan = runner.invoke(app, ["chaos", "--plan", str(tmp_path / "plan.json"), "--json"])
    assert json.loads(by_plan.stdout) == json.loads(by_seed.stdout)


@pytest.mark.parametrize("text", ["", "{}", '{"seed": 1}', '{"seed": 1, "seconds": 5, "strikes": [{"fault": {}}]}'])
def test_a_plan_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    done = CliRunner().invoke(app, ["chaos", "--plan", str(tmp_path / "plan.json")])
    assert done.exit_code == ExitCode.USAGE
    assert "that is no plan" in done.output
