"""Commands to a runtime that runs as a process of its own, sent by the command line of another."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tallystick.testing.venue_process import VenueProcess, venue_process
from typer.testing import CliRunner

from .kit import run, run_json
from .run_kit import KEY_WITH_SHARES, KEYS, RAIN, SECONDS_MAX, TALLY, Running, configure, fund, quote, running, single

LIVE = "live: intents are taken from now on"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with venue_process(["--port", "0"], log=tmp_path_factory.mktemp("venue") / "log") as process:
        fund(process)
        quote(process, RAIN, "0.40", "0.41")
        quote(process, TALLY, "0.60", "0.62")
        yield process


def until(look: Callable[[], Any]) -> Any:
    """What a look finds, as soon as it finds something."""
    ends_at = time.monotonic() + SECONDS_MAX
    while not (found := look()):
        assert time.monotonic() < ends_at, "it never came"
        time.sleep(0.05)
    return found


def ended(command: Running) -> int:
    command.child.send_signal(signal.SIGTERM)
    return command.ends()


def test_a_runtime_is_looked_at_halted_and_let_go_on_from_another_process(venue: VenueProcess, tmp_path: Path) -> None:
    configuration = configure(tmp_path, venue.addresses)
    store = tmp_path / "store"
    with running(tmp_path, configuration, "--intents", "-", "--stay", key=KEYS[12]) as command:
        command.until_logged(LIVE)
        tree = run_json("tree", store)
        assert {"/", "/alerts", "/operator/desk"} <= {row["path"] for row in tree["actors"]}
        assert tree["runtime"] == "under-test"
        shown = run("tree", configuration, "--stacks").stdout
        assert "private stream" in shown
        assert "waits for" in shown

        halted = run_json("halt", store, "--note", "the desk is empty", "--command-id", "h-1")
        assert (halted["command_id"], halted["repeated"]) == ("h-1", False)
        assert run_json("halt", store, "--note", "the desk is empty", "--command-id", "h-1")["repeated"]
        command.hand_in(single("control-1"))
        refused = command.until(intent_id="control-1")
        assert refused["gate"] == "operator_halt"
        again = run("halt", store, "--note", "twice", code=45)
        assert again.stderr.startswith("tallystick: everything is halted already")
        assert run("halt", store, "--account", "nobody", "--note", "x", code=44).stdout == ""
        assert "Missing option '--note'" in run("lift-halt", store, code=2).stderr
        assert "needs a note" in run("lift-halt", store, "--note", " ", code=45).stderr
        assert run("lift-halt", store, "--note", "back").stdout == "the halt of everything is lifted\n"

        command.hand_in(single("control-2"))
        command.until(intent_id="control-2", outcome="sent")
        cancelled = run_json("cancel-all", store, "--note", "leaving")
        assert "1 intent is closing" in cancelled["text"]
        command.until(intent_id="control-2", kind="ended")
        assert ended(command) == 0
    # What was asked for is in the journal of the stopped store, with its author.
    told = run("timeline", "demo", "--store", store).stdout
    assert f"(uid {os.geteuid()}) asked to cancel all orders of every account: leaving" in told
    assert run_json("audit", "verify", store)["intact"]
    stopped = run("tree", store, code=46)
    assert f"no runtime runs on {store}" in stopped.stderr


def test_an_account_is_reconciled_on_demand_and_every_reconciliation_is_told(
    venue: VenueProcess, tmp_path: Path
) -> None:
    configuration = configure(tmp_path, venue.addresses)
    store = tmp_path / "store"
    with running(tmp_path, configuration, key=KEYS[13]) as command:
        command.until_logged(LIVE)
        record = run_json("reconcile", store, "polymarket:main", "--note", "after the outage")
        assert record["complete"]
        assert record["trigger"] == "operator"
        assert "after the outage" in record["detail"]
        assert record["holdings_compared"]
        live = run_json("reconciliations", store, "--account", "polymarket:main", "--last", "1")
        assert live["reconciliations"] == [record]
        assert ended(command) == 0
    told = run_json("reconciliations", store)["reconciliations"]
    assert told[0]["trigger"] == "start"
    assert record in told
    assert run_json("reconciliations", store, "--incomplete")["reconciliations"] == []
    unknown = run("reconciliations", store, "--account", "nobody", code=44)
    assert "the journal knows no account 'nobody'; it knows polymarket:main" in unknown.stderr
    shown = run("reconciliations", store, "--last", "1").stdout
    assert "complete" in shown
    assert "started by" in shown


def test_a_position_from_before_is_adopted_from_the_command_line(venue: VenueProcess, tmp_path: Path) -> None:
    configuration = configure(tmp_path, venue.addresses)
    store = tmp_path / "store"
    with running(tmp_path, configuration, key=KEY_WITH_SHARES) as command:
        alert = until(lambda: _alerts(store))[0]
        assert alert["diagnosis"] == "opening"
        run("alerts", "ack", store, alert["alert_id"], "--note", "looking")
        assert run_json("alerts", store)["alerts"][0]["state"] == "acknowledged"
        instruments = [item["name"] for item in alert["evidence"] if item["name"].endswith((":Yes", ":No"))]
        adopted = run_json("adopt", store, "polymarket:main", instruments[0], "--note", "bought by hand")
        assert "5 " in adopted["text"]
        command.until_logged(LIVE)
        assert ended(command) == 0
    assert run_json("positions", store) is not None


def _alerts(store: Path) -> list[Any]:
    """The open alerts, once there is a store and an alert in it."""
    result = CliRunner().invoke(_app(), ["alerts", str(store), "--json"])
    if result.exit_code:
        return []
    return [alert for alert in json.loads(result.stdout)["alerts"] if alert["kind"] == "drift"]


def _app() -> Any:
    from tallystick.console.cli import app

    return app


def test_a_killed_runtime_leaves_a_socket_that_the_next_one_replaces(venue: VenueProcess, tmp_path: Path) -> None:
    configuration = configure(tmp_path, venue.addresses)
    store = tmp_path / "store"
    with running(tmp_path, configuration, key=KEYS[14]) as command:
        command.until_logged(LIVE)
        run("pause", store, "demo", "--note", "before the kill")
        command.child.kill()
        command.child.wait()
    assert (store / "control.sock").exists()
    assert "no runtime runs on" in run("resume", store, "demo", "--note", "x", code=46).stderr
    with running(tmp_path, configuration, key=KEYS[14]) as command:
        command.until_logged(LIVE)
        assert "paused already" in run("pause", store, "demo", "--note", "x", code=45).stderr
        assert run("resume", store, "demo", "--note", "after it").stdout == "strategy demo goes on\n"
        assert ended(command) == 0
    assert not (store / "control.sock").exists()


def test_a_runtime_whose_control_is_off_takes_no_commands_and_says_so(venue: VenueProcess, tmp_path: Path) -> None:
    configuration = configure(tmp_path, venue.addresses, runtime='control = "off"')
    with running(tmp_path, configuration, key=KEYS[15]) as command:
        command.until_logged(LIVE)
        assert "its control socket is off" in run("tree", tmp_path / "store", code=46).stderr
        assert 'control = "off"' in run("tree", configuration, code=46).stderr
        assert ended(command) == 0


def test_a_socket_that_cannot_be_opened_ends_the_start_before_anything_connects(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("not a socket")
    configuration = configure(tmp_path, None, runtime='control = "letter"')
    with running(tmp_path, configuration) as command:
        assert command.ends() == 29
    assert "left alone" in command.log
    assert (tmp_path / "letter").read_text() == "not a socket"


@pytest.mark.parametrize(
    "command",
    [
        ("tree",),
        ("reconcile", "polymarket:main"),
        ("pause", "demo"),
        ("resume", "demo"),
        ("halt",),
        ("lift-halt",),
        ("cancel-all",),
        ("adopt", "polymarket:main", "pUSD"),
        ("order", "end", "i1"),
        ("alerts", "ack", "a1"),
        ("alerts", "resolve", "a1"),
    ],
    ids=" ".join,
)
class TestEveryCommand:
    def placed(self, command: tuple[str, ...], store: Path) -> list[str | Path]:
        words = 2 if command[0] in {"order", "alerts"} else 1
        why = "--evidence" if command[0] == "order" else "--note"
        return [*command[:words], store, *command[words:], *(() if command[0] == "tree" else (why, "because"))]

    def test_has_help_with_examples_and_json(self, command: tuple[str, ...]) -> None:
        words = 2 if command[0] in {"order", "alerts"} else 1
        said = run(*command[:words], "--help").stdout
        assert "Examples:" in said
        assert f"tallystick {' '.join(command[:words])} " in said
        assert "--json" in said

    def test_without_a_runtime_ends_with_a_code_of_its_own(self, command: tuple[str, ...], tmp_path: Path) -> None:
        result = run(*self.placed(command, tmp_path), code=46)
        assert result.stdout == ""
        assert result.stderr.startswith(f"tallystick: no runtime runs on {tmp_path}")
        assert "Traceback" not in result.output

    def test_says_at_once_that_a_reason_is_missing_where_it_must_have_one(
        self, command: tuple[str, ...], tmp_path: Path
    ) -> None:
        if command[0] in {"tree", "reconcile", "cancel-all"} or command[:2] == ("alerts", "ack"):
            return
        result = run(*self.placed(command, tmp_path)[:-2], code=2)
        assert f"Missing option '--{'evidence' if command[0] == 'order' else 'note'}'" in result.stderr

    def test_without_a_store_says_so(self, command: tuple[str, ...], tmp_path: Path) -> None:
        result = run(*self.placed(command, tmp_path / "none"), code=20)
        assert result.stderr == f"tallystick: there is no store at {tmp_path / 'none'}\n"
