"""The command as a process of its own: beside a live owner, into a pipe, with secrets in the journal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import trio
from tallystick.store.lmdb_store import open_store
from tallystick.store.records import journal_schema

from .kit import API_KEY, FIRST_RUN, RAIN, SIGNATURE, at, make_store

COMMAND = (sys.executable, "-c", "from tallystick.console.cli import main; main()")


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"TALLYSTICK_STORE", "COLUMNS"}}
    return subprocess.run(
        [*COMMAND, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


async def beside_an_owner(path: Path) -> subprocess.CompletedProcess[str]:
    async with open_store(path, journal_schema(), durability="process", owner="desk") as store:
        for seconds, event in FIRST_RUN[:11]:
            store.append(event, at_ns=at(seconds))
        await store.wait_durable(store.last_lsn)
        return await trio.to_thread.run_sync(process, "status", path, "--json")


def test_a_live_store_is_read_beside_its_owner(tmp_path: Path) -> None:
    result = trio.run(beside_an_owner, tmp_path / "store")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["running"] is True
    assert document["owner"]["owner"] == "desk"
    assert document["owner"]["pid"] == os.getpid()
    assert document["last_lsn"] == 11
    assert document["orders"]["acknowledged"] == 1


def test_no_command_shows_an_api_key_or_a_signature(store: Path) -> None:
    for arguments in (
        ("orders", store, "--json"),
        ("timeline", "weather", "--store", store, "--json"),
        ("trace", RAIN, "--store", store, "--detail"),
        ("trace", RAIN, "--store", store, "--json"),
    ):
        result = process(*arguments)
        assert result.returncode == 0, result.stderr
        assert API_KEY not in result.stdout + result.stderr
        assert SIGNATURE[:20] not in result.stdout + result.stderr


def test_ids_stay_whole_in_a_pipe(store: Path) -> None:
    result = process("orders", store)
    assert RAIN in result.stdout
    assert "\x1b" not in result.stdout


def test_an_expected_error_is_one_sentence_and_a_number(tmp_path: Path) -> None:
    result = process("status", tmp_path)
    assert result.returncode == 20
    assert result.stdout == ""
    assert result.stderr == f"tallystick: there is no store at {tmp_path}: data.mdb is missing\n"


def test_a_reader_that_goes_away_is_no_error_of_ours(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    command = " ".join(
        [f'"{COMMAND[0]}"', "-c", f'"{COMMAND[2]}"', "timeline", "weather", "--json", "--store", str(store)]
    )
    result = subprocess.run(
        ["/bin/sh", "-c", f"{command} | head -c 1"], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout == "{"
    assert "Traceback" not in result.stderr
