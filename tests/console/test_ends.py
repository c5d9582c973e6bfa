"""How commands end: a sentence on stderr, a number of its own, never a traceback for what is expected."""

from pathlib import Path

import lmdb
import pytest
import typer
from tallystick.actors.gateway import ClockOff
from tallystick.configuration import ConfigurationError
from tallystick.console.errors import Commands, Refusal, expected
from tallystick.console.exit_codes import ExitCode
from tallystick.control.address import ControlUnavailable
from tallystick.credentials import CredentialsExposed, CredentialsMissing, CredentialsUnusable
from tallystick.model.event import OrderDone, RuntimeStarted
from tallystick.model.money import Quantity
from tallystick.model.outcome import EvidenceKind, Filled
from tallystick.runtime import RuntimeGaveUp
from tallystick.store import (
    ArchiveConflict,
    ArchiveCorrupt,
    ArchiveMissing,
    FailureReason,
    StateLost,
    StoreClosed,
    StoreCorrupt,
    StoreFailed,
    StoreLocked,
    StoreMissing,
    StoreNewer,
    StoreUnsuitable,
    UndecodableRecord,
    UnknownRecord,
)
from tallystick.toml_table import Problem
from typer.testing import CliRunner

from .kit import RAIN, dec, evidence, make_store, run, run_json

PROBLEM = Problem(file="a.toml", key="runtime.store", found="nothing", allowed="a path")
READING = [
    ("status", "{store}"),
    ("orders", "{store}"),
    ("positions", "{store}"),
    ("truth", "{store}"),
    ("alerts", "{store}"),
    ("reconciliations", "{store}"),
    ("audit", "verify", "{store}"),
    ("timeline", "weather", "--store", "{store}"),
    ("trace", "rain-1", "--store", "{store}"),
]


def placed(command: tuple[str, ...], store: Path) -> list[str]:
    return [part.replace("{store}", str(store)) for part in command]


class TestExitCodes:
    def test_are_all_different_and_have_a_meaning(self) -> None:
        assert len({code.value for code in ExitCode}) == len(ExitCode.__members__)
        assert all(code.meaning for code in ExitCode)
        # Above lie those of service managers, and of signals, of which one is the demo's own.
        assert all(0 <= code < 64 for code in ExitCode if code is not ExitCode.INTERRUPTED)

    def test_are_listed_in_the_help(self) -> None:
        said = run("--help").stdout
        for code in ExitCode:
            assert f"{code.value:>2}  {code.meaning}" in said

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ConfigurationError([PROBLEM]), ExitCode.CONFIGURATION),
            (CredentialsMissing("m"), ExitCode.CREDENTIALS_MISSING),
            (CredentialsExposed("m"), ExitCode.CREDENTIALS_EXPOSED),
            (CredentialsUnusable("m"), ExitCode.CREDENTIALS_UNUSABLE),
            (StoreMissing("m"), ExitCode.STORE_MISSING),
            (StoreLocked("m"), ExitCode.STORE_LOCKED),
            (StoreNewer("m"), ExitCode.STORE_NEWER),
            (StoreCorrupt("m"), ExitCode.STORE_CORRUPT),
            (StoreUnsuitable("m"), ExitCode.STORE_UNSUITABLE),
            (StoreFailed(FailureReason.DISK_FULL, "m"), ExitCode.STORE_FAILED),
            (StoreClosed(FailureReason.CLOSED, "m"), ExitCode.STORE_FAILED),
            (UnknownRecord("m", kind="k", version=1, lsn=1), ExitCode.STORE_NEWER),
            (UndecodableRecord("m", kind="k", version=1, lsn=1), ExitCode.STORE_CORRUPT),
            (ArchiveMissing("m"), ExitCode.ARCHIVE_MISSING),
            (ArchiveConflict("m"), ExitCode.ARCHIVE_CONFLICT),
            (ArchiveCorrupt("m"), ExitCode.STORE_CORRUPT),
            (StateLost("m"), ExitCode.STATE_LOST),
            (ControlUnavailable("m"), ExitCode.CONTROL_UNAVAILABLE),
            (ClockOff("m"), ExitCode.CLOCK_OFF),
            (RuntimeGaveUp("m"), ExitCode.GAVE_UP),
            (Refusal(ExitCode.NOT_LIVE, "m"), ExitCode.NOT_LIVE),
        ],
    )
    def test_follow_from_the_error(self, error: Exception, code: ExitCode) -> None:
        found = expected(error)
        assert found is not None
        assert found[0] is code
        assert expected(ExceptionGroup("nursery", [ExceptionGroup("inner", [error])])) == found

    def test_nothing_unforeseen_hides_behind_what_is_expected(self) -> None:
        assert expected(KeyError("x")) is None
        assert expected(ExceptionGroup("nursery", [StoreLocked("m"), KeyError("x")])) is None

    def test_an_unforeseen_error_keeps_its_traceback(self) -> None:
        broken = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

        @broken.command()
        def fail() -> None:
            raise KeyError("x")

        @broken.command()
        def other() -> None:
            pass

        result = CliRunner().invoke(broken, ["fail"])
        assert result.exit_code == 1
        assert isinstance(result.exception, KeyError)


class TestReadingCommands:
    @pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
    def test_without_a_store_there_say_so(self, command: tuple[str, ...], tmp_path: Path) -> None:
        result = run(*placed(command, tmp_path / "none"), code=20)
        assert result.stdout == ""
        assert result.stderr.startswith(f"tallystick: there is no store at {tmp_path / 'none'}")
        assert "Traceback" not in result.output

    @pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
    def test_without_any_store_named_say_how_to_name_one(self, command: tuple[str, ...]) -> None:
        arguments = [part for part in command if part not in {"{store}", "--store"}]
        result = run(*arguments, code=2)
        assert result.stderr == (
            "tallystick: no store is named: give its directory or a configuration file, use --store, "
            "or set TALLYSTICK_STORE\n"
        )

    @pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
    def test_have_help_with_examples(self, command: tuple[str, ...]) -> None:
        words = [part for part in command if part in {"audit", "verify"} or part == command[0]]
        said = run(*words, "--help").stdout
        assert "--json" in said
        assert "Examples:\n    tallystick " in said

    def test_of_a_foreign_file_say_that_it_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
        result = run("status", tmp_path, code=23)
        assert "data.mdb" in result.stderr

    def test_of_a_foreign_database_say_that_it_is_no_store(self, tmp_path: Path) -> None:
        with lmdb.open(str(tmp_path), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
            transaction.put(b"a", b"b")
        assert "no store" in run("status", tmp_path, code=23).stderr

    def test_of_a_journal_that_contradicts_itself_name_the_place(self, tmp_path: Path) -> None:
        done = OrderDone(
            client_order_id=RAIN,
            outcome=Filled(filled=Quantity(dec("1"))),
            evidence=evidence(EvidenceKind.ORDER_QUERY, "", 1),
        )
        store = make_store(tmp_path / "store", [(0, RuntimeStarted(build="1", owner="o")), (1, done)])
        result = run("status", store, code=23)
        assert "contradicts itself at LSN 2 (epoch 1)" in result.stderr

    def test_a_bad_configuration_lists_its_problems(self, tmp_path: Path) -> None:
        file = tmp_path / "bad.toml"
        file.write_text("[runtime]\nstor = 3\n")
        result = run("status", file, code=10)
        lines = result.stderr.splitlines()
        assert lines[0] == "tallystick: the configuration has 3 problems"
        assert lines[2].startswith(f"  {file}: runtime.stor: found an unknown key;")

    def test_an_unknown_command_is_a_mistake_of_usage(self) -> None:
        assert "No such command 'statsu'. Did you mean 'status'?" in run("statsu", code=2).stderr

    def test_the_version_is_told(self) -> None:
        assert run("--version").stdout == "tallystick 0.1.0\n"


class TestAuditVerify:
    def test_counts_what_is_intact_and_gives_the_head_to_note(self, store: Path) -> None:
        document = run_json("audit", "verify", store)
        assert (document["intact"], document["records"], document["verified"]) == (True, 9, 9)
        assert document["first_bad"] is None
        assert document["head"].startswith("9:")
        again = run("audit", "verify", store, "--noted", document["head"])
        assert again.stdout == f"9 audit records verified; head {document['head']}\n"

    def test_of_another_chain_than_the_noted_one_is_broken(self, store: Path) -> None:
        document = run_json("audit", "verify", store, "--noted", f"9:{'0' * 64}", code=41)
        assert document["intact"] is False
        assert document["first_bad"]["number"] == 9
        assert document["first_bad"]["lsn"] == 32

    def test_a_changed_record_is_named_by_its_place(self, tmp_path: Path) -> None:
        store = make_store(tmp_path / "store")
        with lmdb.open(str(store), max_dbs=32, map_size=1 << 30) as environment:
            chain = environment.open_db(b"audit", create=False)
            with environment.begin(write=True, db=chain) as transaction:
                key = (4).to_bytes(8, "big")
                row = bytearray(transaction.get(key, b""))
                row[-1] ^= 1
                transaction.put(key, bytes(row))
        result = run("audit", "verify", store, code=41)
        assert result.stdout.startswith("3 of 9 audit records verified; audit record 4 (LSN 16) was changed")

    @pytest.mark.parametrize("noted", ["", "9", "9:xyz", f"x:{'0' * 64}", f"{'9' * 19}:{'0' * 64}"])
    def test_a_head_that_is_none_is_a_mistake_of_usage(self, store: Path, noted: str) -> None:
        assert "expected COUNT:HASH" in run("audit", "verify", store, "--noted", noted, code=2).stderr


class TestCheck:
    def configuration(self, folder: Path) -> Path:
        file = folder / "desk.toml"
        market = "0x" + "5f" * 32
        file.write_text(
            f'[runtime]\nstore = "var"\n[accounts."polymarket:main"]\nsignature_type = 0\n'
            f'markets = ["{market}"]\ncredentials = {{ file = "keys.toml" }}\n'
        )
        return file

    def test_loads_the_credentials_and_shows_none_of_them(self, tmp_path: Path) -> None:
        file = self.configuration(tmp_path)
        keys = tmp_path / "keys.toml"
        keys.write_text(f'private_key = "0x{"feedface" * 8}"\n')
        keys.chmod(0o600)
        assert run_json("check", file) == {
            "configuration": str(file),
            "store": str(tmp_path / "var"),
            "accounts": [{"account": "polymarket:main", "markets": 1, "credentials": "a private key"}],
            "strategies": [],
        }
        assert "feedface" not in run("check", file).output

    def test_refuses_a_key_that_a_run_would_refuse(self, tmp_path: Path) -> None:
        file = self.configuration(tmp_path)
        keys = tmp_path / "keys.toml"
        keys.write_text('private_key = "0xfeedface"\n')
        keys.chmod(0o600)
        result = run("check", file, code=13)
        assert "a private key is 64 hexadecimal digits" in result.stderr
        assert "feedface" not in result.output

    def test_refuses_the_placeholder_of_the_example_as_a_wallet(self, tmp_path: Path) -> None:
        file = self.configuration(tmp_path)
        file.write_text(file.read_text().replace("signature_type = 0", f'signature_type = 3\nfunder = "0x{"0" * 40}"'))
        keys = tmp_path / "keys.toml"
        keys.write_text(f'private_key = "0x{"11" * 32}"\n')
        keys.chmod(0o600)
        assert "funder is the zero address, which is nobody's wallet" in run("check", file, code=13).stderr

    def test_refuses_credentials_that_others_can_read(self, tmp_path: Path) -> None:
        file = self.configuration(tmp_path)
        keys = tmp_path / "keys.toml"
        keys.write_text('private_key = "0xfeedface"\n')
        keys.chmod(0o644)
        result = run("check", file, code=12)
        assert f"Run: chmod 600 {keys}" in result.stderr
        assert "feedface" not in result.output

    def test_says_that_credentials_are_missing(self, tmp_path: Path) -> None:
        file = self.configuration(tmp_path)
        assert "there is no credentials file" in run("check", file, code=11).stderr
        assert run_json("check", file, "--without-credentials")["accounts"][0]["credentials"] == "not looked at"


class TestSim:
    def test_hands_everything_to_the_simulators_own_command_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[list[str]] = []
        monkeypatch.setattr("tallystick.venues.sim.cli.main", lambda argv, out: seen.append(list(argv)))
        run("sim", "polymarket", "--port", "0", "--help")
        assert seen == [["polymarket", "--port", "0", "--help"]]

    def test_a_wrong_argument_is_a_mistake_of_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        run("sim", "polymarket", "--nonsense", code=2)
