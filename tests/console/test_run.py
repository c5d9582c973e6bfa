"""`tallystick run`: lines in, reports out, a number at the end; the real command against a simulated venue."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lmdb
import pytest
from tallystick.console.exit_codes import ExitCode
from tallystick.store.lock import LOCK_FILE
from tallystick.testing.venue_process import VenueProcess, venue_process
from tallystick.venues.sim.polymarket.actions import LiftFaults, PutOnFault
from tallystick.venues.sim.polymarket.faults import DelayRequest

from .kit import run, run_json
from .run_kit import (
    KEY_WITH_SHARES,
    KEYS,
    RAIN,
    TALLY,
    configure,
    fund,
    lines_of,
    quote,
    run_file,
    running,
    single,
)

LINE_BYTES_MAX = 65_536
BROKEN_INTAKE = "import tallystick.actors.gates as gates; gates.review_intent = None; "
"""Makes the desk of a strategy crash on every intent."""
BROKEN_RISK = "import tallystick.actors.gates as gates; gates.review_order = None; "
"""Makes a child of the root crash on every order."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with venue_process(["--port", "0"], log=tmp_path_factory.mktemp("venue") / "log") as process:
        fund(process)
        quote(process, RAIN, "0.4", "0.42")
        yield process


def in_order(wanted: list[str], path: list[str]) -> bool:
    """Whether all that is wanted comes in a path, one after the other, with anything between."""
    rest = iter(path)
    return all(step in rest for step in wanted)


class TestAFile:
    def test_is_worked_to_its_end_and_summed_up(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        bought = single("bought", instrument=f"polymarket:{RAIN}:Yes", limit_price="0.42", expires_in_seconds=20)
        rests = single("rests", expires_in_seconds=1)
        command = run_file(tmp_path, configuration, lines_of(bought, rests), key=KEYS[1])
        assert command.child.returncode == ExitCode.OK, command.log
        *reports, summary = command.said
        kinds = {
            name: [found["kind"] for found in reports if found["intent_id"] == name] for name in ("bought", "rests")
        }
        assert kinds["bought"][:2] == ["accepted", "order"]
        assert kinds["bought"][-1] == kinds["rests"][-1] == "ended"
        assert kinds["bought"].count("fill") == 1
        numbers = [found["number"] for found in reports if found["intent_id"] == "bought"]
        assert numbers == list(range(1, len(numbers) + 1))
        ends = {found["intent_id"]: found for found in reports if found["kind"] == "ended"}
        assert (ends["bought"]["outcome"], ends["bought"]["filled"]) == ("filled", ["10"])
        assert summary == {
            "type": "summary",
            "lines": 2,
            "accepted": 2,
            "repeated": 0,
            "refused": 0,
            "ended": {"filled": 1, "unfilled": 1},
            "at_work": 0,
        }

    def test_leaves_a_trace_of_every_message_on_the_way_of_its_orders(
        self, venue: VenueProcess, tmp_path: Path
    ) -> None:
        configuration = configure(tmp_path, venue.addresses)
        bought = single("traced", instrument=f"polymarket:{RAIN}:Yes", limit_price="0.42", expires_in_seconds=20)
        rests = single("rests", expires_in_seconds=1)
        command = run_file(tmp_path, configuration, lines_of(bought, rests), key=KEYS[16])
        assert command.child.returncode == ExitCode.OK, command.log
        sent = [
            "message Submit",
            "event intent_accepted",
            "event slice_computed",
            "message ReviewOrder",
            "message PlaceOrder",
            "message StartActor",
            "event order_submitted",
            "message Exchange",
            "wire request",
            "message Durable",
            "message Performed",
            "wire answer",
            "message Exchanged",
        ]
        # A frame may say it before the answer does; either way its message is there.
        acknowledged = ["event order_submitted", "wire answer", "event order_acknowledged"]
        filled = [
            "wire request",
            "message FrameArrived",
            "wire answer",
            "message LogExecutions",
            "event fill_recorded",
            "event order_done",
            "event intent_ended",
        ]
        cancelled = [
            "message Deadline",
            "message CancelOrder",
            "event cancel_requested",
            "message Exchange",
            "wire request",
            "wire answer",
            "event intent_ended",
        ]
        # Whether the answer or the fill of a purchase comes first is the venue's to decide; what rests has no fill.
        steps = run_json("trace", "traced", "--store", tmp_path / "store")["steps"]
        path = [f"{step['lane']} {step['kind']}" for step in steps]
        assert in_order(filled, path), "\n".join(path)
        steps = run_json("trace", "rests", "--store", tmp_path / "store")["steps"]
        path = [f"{step['lane']} {step['kind']}" for step in steps]
        assert in_order(sent + cancelled, path), "\n".join(path)
        assert in_order(acknowledged, path), "\n".join(path)
        by_message = {step["detail"]["message"] for step in steps if step["lane"] == "message"}
        entries = [step for step in steps if step["kind"].startswith(("intent", "order", "cancel", "slice"))]
        assert {str(step["cause"]) for step in entries} <= by_message, "something was recorded by a message not kept"
        placed = next(step for step in steps if step["kind"] == "PlaceOrder")
        assert (placed["source"], placed["target"]) == ("/risk", "/accounts/polymarket:main/desk")
        assert {"message", "queued_seconds", "handled_seconds", "outcome"} <= placed["detail"].keys()
        said = {kind: [step["text"] for step in steps if step["kind"] == kind] for kind in ("request", "answer")}
        assert {f"{request} → 200" for request in said["request"]} <= set(said["answer"])
        without = run_json("trace", "rests", "--store", tmp_path / "store", "--no-messages")["steps"]
        assert {step["lane"] for step in without} <= {"event", "wire", "gap"}

    def test_has_bad_lines_refused_one_by_one_while_the_rest_goes_on(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        good = single("good", expires_at="2030-01-01T00:00:00Z", expires_in_seconds=None)
        content = b"\n".join(
            [
                json.dumps(good).encode(),
                b'{"kind": "single"',
                b"",
                b'{"intent_id": "\xff"}',
                b"{" + b" " * 2 * LINE_BYTES_MAX + b"}",
                json.dumps(single("a", instrument="polymarket:nothing:Yes")).encode(),
                json.dumps(single("b", strategy="nobody")).encode(),
                json.dumps(single("c", account="polymarket:other")).encode(),
                json.dumps(single("d", quantity="-1", limit_price="x", urgency="now")).encode(),
                json.dumps(good).encode(),
                json.dumps({**good, "quantity": "11"}).encode(),
                json.dumps(single("e", expires_in_seconds=1)).encode(),
                json.dumps(single("half")).encode()[:60],
            ]
        )
        file = tmp_path / "intents.jsonl"
        file.write_bytes(content)
        with running(tmp_path, configuration, "--intents", file, "--on-stop", "cancel", key=KEYS[2]) as command:
            command.until(intent_id="e", kind="ended")
            command.child.send_signal(signal.SIGTERM)
            code = command.ends()
        assert code == ExitCode.INTENTS_REFUSED, command.log
        refused = {found["line"]: found for found in command.said if found["type"] == "refused"}
        fields = {line: [problem["field"] for problem in found["problems"]] for line, found in refused.items()}
        assert fields == {
            2: ["line"],
            3: ["line"],
            4: ["line"],
            5: ["line"],
            6: ["instrument"],
            7: ["strategy"],
            8: ["account"],
            9: ["urgency", "limit_price", "quantity"],
            11: ["intent_id"],
            13: ["line"],
        }
        assert refused[5]["problems"][0]["allowed"] == f"at most {LINE_BYTES_MAX} bytes"
        assert refused[7]["problems"][0]["allowed"] == "a strategy of the configuration: demo"
        assert refused[8]["problems"][0]["found"] == "'polymarket:other'"
        assert refused[11]["gate"] == "duplicate_intent"
        assert all(
            problem["found"] and problem["allowed"] for found in refused.values() for problem in found["problems"]
        )
        summary = command.said[-1]
        assert (summary["lines"], summary["accepted"], summary["repeated"], summary["refused"]) == (13, 2, 1, 10)
        assert summary["at_work"] == 0

    def test_handed_in_again_after_a_restart_is_worked_once(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        expiring = single("once", expires_in_seconds=None, expires_at="2030-01-01T00:00:00Z", quantity="5")
        with running(tmp_path, configuration, "--intents", "-", "--stay", key=KEYS[3]) as command:
            command.hand_in(expiring)
            command.until(kind="order", outcome="sent")
            command.child.send_signal(signal.SIGTERM)
            assert command.ends() == ExitCode.OK, command.log
        assert "orders stay open at the venue" in command.log
        with running(tmp_path, configuration, "--intents", "-", "--on-stop", "cancel", key=KEYS[3]) as command:
            command.hand_in(expiring)
            command.until_logged("the same intent as before")
            command.child.send_signal(signal.SIGINT)
            assert command.ends() == ExitCode.OK, command.log
        assert [found["kind"] for found in command.said if found["type"] == "report"] == ["order", "ended"]
        assert command.said[-1]["repeated"] == 1
        assert command.said[-1]["ended"] == {"unfilled": 1}


class TestStandardInput:
    def test_is_answered_line_by_line_while_it_stays_open(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        with running(tmp_path, configuration, "--intents", "-", key=KEYS[4]) as command:
            for name in ("first", "second"):
                command.hand_in(single(name, expires_in_seconds=1))
                assert command.until(kind="accepted")["intent_id"] == name
            command.end_of_input()
            assert command.ends() == ExitCode.OK, command.log
        assert command.said[-1]["ended"] == {"unfilled": 2}

    def test_that_ended_leaves_a_service_running_until_a_signal(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        with running(tmp_path, configuration, "--intents", "-", "--stay", key=KEYS[5]) as command:
            command.hand_in(single("one"))
            command.until(kind="order", outcome="sent")
            command.end_of_input()
            command.until_logged("staying until a signal")
            assert command.child.poll() is None
            command.child.send_signal(signal.SIGTERM)
            assert command.ends() == ExitCode.OK, command.log

    def test_nobody_reading_the_reports_stops_no_trading(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        with running(tmp_path, configuration, "--intents", "-", key=KEYS[6]) as command:
            assert command.child.stdout is not None
            command.child.stdout.close()
            command.hand_in(single("unheard", expires_in_seconds=1))
            command.until_logged("nobody reads the reports any more")
            command.end_of_input()
            assert command.child.wait(30) == ExitCode.OK, command.log


class TestASignal:
    def test_with_cancel_ends_every_intent_first(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        pair = {
            "kind": "pair",
            "intent_id": "pair",
            "strategy": "demo",
            "long": {"instrument": f"polymarket:{TALLY}:Yes", "limit_price": "0.11"},
            "short": {"instrument": f"polymarket:{RAIN}:Yes", "limit_price": "0.89"},
            "notional": "10",
            "expires_in_seconds": 120,
        }
        with running(
            tmp_path, configuration, "--intents", "-", "--stay", "--on-stop", "cancel", key=KEYS[7]
        ) as command:
            command.hand_in(single("one"), pair)
            sent = Counter(command.until(kind="order", outcome="sent")["intent_id"] for _ in range(3))
            assert sent == {"one": 1, "pair": 2}
            command.child.send_signal(signal.SIGTERM)
            assert command.ends() == ExitCode.OK, command.log
        ends = {found["intent_id"]: found["outcome"] for found in command.said if found.get("kind") == "ended"}
        assert ends == {"one": "unfilled", "pair": "neither"}
        assert "stay open" not in command.log

    def test_that_comes_twice_ends_at_once(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        with running(
            tmp_path,
            configuration,
            "--intents",
            "-",
            "--on-stop",
            "cancel",
            "--stop-timeout-seconds",
            "60",
            key=KEYS[8],
        ) as command:
            command.hand_in(single("one"))
            command.until(kind="order", outcome="sent")
            venue.do(PutOnFault(fault=DelayRequest(method="DELETE", path="/order", by_seconds=3600)))
            try:
                command.child.send_signal(signal.SIGTERM)
                command.until_logged("cancelling what is open")
                command.child.send_signal(signal.SIGTERM)
                assert command.child.wait(5) == -signal.SIGTERM
            finally:
                venue.do(LiftFaults())
        assert "ending at once" in command.log

    def test_stops_a_service_without_intents(self, venue: VenueProcess, tmp_path: Path) -> None:
        with running(tmp_path, configure(tmp_path, venue.addresses), "--log-json", key=KEYS[9]) as command:
            command.until_logged("live: intents are taken from now on")
            command.child.send_signal(signal.SIGTERM)
            assert command.ends() == ExitCode.OK, command.log
        assert command.said == []
        records = [json.loads(line) for line in command.log.splitlines()]
        assert {"event", "level", "timestamp"} <= set.intersection(*(set(record) for record in records))
        assert records[-1]["event"].startswith("stopped")


class TestEndsWithANumber:
    def test_where_no_intents_can_be_read(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        for name, why in (("none.jsonl", "No such file"), (".", "directory")):
            with running(tmp_path, configuration, "--intents", tmp_path / name) as command:
                assert command.ends() == ExitCode.USAGE
            assert why in command.log

    def test_where_the_configuration_is_bad(self, tmp_path: Path) -> None:
        file = configure(tmp_path, None, runtime="nonsense = 1")
        with running(tmp_path, file) as command:
            assert command.ends() == ExitCode.CONFIGURATION
        assert "runtime.nonsense" in command.log

    def test_where_there_are_no_credentials(self, tmp_path: Path) -> None:
        with running(tmp_path, configure(tmp_path, None), RUN_PRIVATE_KEY="") as command:
            assert command.ends() == ExitCode.CREDENTIALS_MISSING
        assert "RUN_PRIVATE_KEY is not set" in command.log
        file = configure(tmp_path, None, credentials='{ file = "keys.toml" }')
        with running(tmp_path, file) as command:
            assert command.ends() == ExitCode.CREDENTIALS_MISSING
        assert "there is no credentials file" in command.log

    def test_where_others_could_read_the_credentials(self, tmp_path: Path) -> None:
        keys = tmp_path / "keys.toml"
        keys.write_text(f'private_key = "{KEYS[0]}"\n')
        keys.chmod(0o644)
        with running(tmp_path, configure(tmp_path, None, credentials='{ file = "keys.toml" }')) as command:
            assert command.ends() == ExitCode.CREDENTIALS_EXPOSED
        assert f"chmod 600 {keys}" in command.log
        assert KEYS[0] not in command.log

    def test_where_the_venue_cannot_be_reached(self, tmp_path: Path) -> None:
        configuration = configure(tmp_path, None)
        command = run_file(tmp_path, configuration, lines_of(single("a")), "--live-timeout-seconds", "0.5")
        assert command.child.returncode == ExitCode.VENUE_UNREACHABLE, command.log
        assert "no intent was handed in (polymarket:main is recovering: the venue is not reached yet)" in command.log
        assert command.said == []

    def test_where_an_account_holds_more_than_it_may(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        content = lines_of(single("a", expires_in_seconds=1))
        command = run_file(tmp_path, configuration, content, "--live-timeout-seconds", "1", key=KEY_WITH_SHARES)
        assert command.child.returncode == ExitCode.NOT_LIVE, command.log
        assert "positions from before the first start await an operator's adoption" in command.log

    def test_where_another_holds_the_store(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        other = tmp_path / "other"
        other.mkdir()
        with running(tmp_path, configuration, key=KEYS[11]) as holder:
            holder.until_logged("live: intents are taken from now on")
            with running(other, configuration, key=KEYS[11]) as command:
                assert command.ends() == ExitCode.STORE_LOCKED
            assert str(holder.child.pid) in command.log
            assert "under-test" in command.log
            holder.child.send_signal(signal.SIGTERM)
            assert holder.ends() == ExitCode.OK

    def test_where_the_store_is_damaged(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "data.mdb").write_bytes(b"something else" * 1000)
        with running(tmp_path, configuration) as command:
            assert command.ends() == ExitCode.STORE_CORRUPT
        assert "data.mdb" in command.log

    def test_where_a_newer_build_wrote_the_store(self, tmp_path: Path) -> None:
        configuration = configure(tmp_path, None)
        with running(tmp_path, configuration) as command:
            command.until_logged("the venue is not reached yet")
            command.child.send_signal(signal.SIGTERM)
            assert command.ends() == ExitCode.OK
        make_newer(tmp_path / "store")
        with running(tmp_path, configuration) as command:
            assert command.ends() == ExitCode.STORE_NEWER, command.log
        assert "newer" in command.log

    def test_where_the_store_fails_while_it_runs(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses, runtime=f"map_size_bytes_max = {1 << 20}")
        with running(tmp_path, configuration, "--intents", "-", key=KEYS[12]) as command:
            assert command.child.stdout is not None
            command.child.stdout.close()
            with suppress(BrokenPipeError):
                for number in range(5000):
                    command.hand_in(single(f"i{number}", expires_in_seconds=1))
            code = command.child.wait(30)
        assert code == ExitCode.STORE_FAILED, command.log
        assert "nothing can be recorded any more" in command.log
        assert "Traceback" not in command.log

    def test_where_the_clock_is_off(self, tmp_path: Path) -> None:
        log = tmp_path / "venue"
        with (
            venue_process(["--port", "0", "--epoch-ms", "1700000000000"], log=log) as late,
            running(tmp_path, configure(tmp_path, late.addresses)) as command,
        ):
            assert command.ends() == ExitCode.CLOCK_OFF, command.log
        assert "correct the clock" in command.log
        assert "Traceback" not in command.log

    def test_where_the_root_supervisor_gives_up(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        with running(tmp_path, configuration, "--intents", "-", key=KEYS[14], prelude=BROKEN_RISK) as command:
            for number in range(4):
                command.hand_in(single(f"i{number}"))
            assert command.child.wait(30) == ExitCode.GAVE_UP, command.log
        assert "the root supervisor gave up" in command.log

    def test_never_because_one_intent_crashed_an_actor(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        command = run_file(tmp_path, configuration, lines_of(single("a")), key=KEYS[15], prelude=BROKEN_INTAKE)
        assert command.child.returncode == ExitCode.INTENTS_REFUSED, command.log
        assert [found["type"] for found in command.said] == ["refused", "summary"]
        assert command.said[0]["problems"][0]["allowed"] == "the same line again; it is worked at most once"


class TestSecrets:
    def test_are_in_no_output_and_no_file_of_a_run(self, venue: VenueProcess, tmp_path: Path) -> None:
        configuration = configure(tmp_path, venue.addresses)
        command = run_file(
            tmp_path, configuration, lines_of(single("a", expires_in_seconds=1)), "--log-level", "debug", key=KEYS[13]
        )
        assert command.child.returncode == ExitCode.OK, command.log
        shown = command.log + json.dumps(command.said)
        key = KEYS[13].removeprefix("0x")
        assert key not in shown
        for arguments in (("status",), ("orders",), ("trace", "a"), ("timeline", "demo")):
            shown += run(*arguments, "--store", tmp_path / "store", "--json").stdout
        assert key not in shown
        assert key.encode() not in (tmp_path / "store" / "data.mdb").read_bytes()


def make_newer(store: Path) -> None:
    """Have the store say that a later build wrote its format."""
    (store / LOCK_FILE).unlink()
    with (
        lmdb.open(str(store), max_dbs=64, subdir=True) as environment,
        environment.begin(write=True) as transaction,
    ):
        meta = environment.open_db(b"meta", txn=transaction)
        transaction.put(b"format", (99).to_bytes(8, "big"), db=meta)
