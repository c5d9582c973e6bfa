"""The simulator as a process: its one line of addresses, its virtual clock in lock-step, its end by signal."""

import io
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import msgspec
import pytest
import trio
from tallystick.venues.sim.cli import main
from tallystick.venues.sim.polymarket.serving import Addresses
from tallystick.venues.sim.server.control import Driver

EPOCH_MS = 1_800_000_000_000


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[Addresses]:
    """A simulator process and where it is; ended by SIGTERM."""
    command = [sys.executable, "-m", "tallystick.venues.sim", "polymarket", *arguments]
    async with trio.open_nursery() as nursery:
        options = {"stdout": subprocess.PIPE, "capture_stdout": False, "check": False}
        running: trio.Process = await nursery.start(partial(trio.run_process, command, **options))
        assert running.stdout is not None
        line = b""
        with trio.fail_after(20):
            while not line.endswith(b"\n"):
                line += await running.stdout.receive_some()
        yield msgspec.json.decode(line, type=Addresses)
        running.send_signal(signal.SIGTERM)
        with trio.fail_after(10):
            assert await running.wait() == 0


async def test_the_process_tells_where_it_is_serves_and_ends_on_a_signal() -> None:
    async with process("--market", "Mine;tick=0.001;slug=mine", "--fund", "5") as addresses:
        assert addresses.control is None
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{addresses.clob}/ok")).json() == "OK"
            state = (await http.get(f"{addresses.admin}/state")).json()
        assert [(market["slug"], market["tick_size"]) for market in state["markets"]] == [("mine", "0.001")]


async def test_a_virtual_clock_moves_only_when_it_is_told_to() -> None:
    async with process("--clock", "virtual", "--epoch-ms", str(EPOCH_MS)) as addresses:
        assert addresses.control is not None
        host, _, port = addresses.control.rpartition(":")
        async with httpx.AsyncClient() as http, await trio.open_tcp_stream(host, int(port)) as stream:
            driver = Driver(stream)
            state = await driver.state()
            assert (state.now, state.next_deadline, state.received, state.sent) == (0, None, 0, 0)

            async def venue_seconds() -> int:
                return int((await http.get(f"{addresses.clob}/time")).json())

            assert await venue_seconds() == EPOCH_MS // 1_000
            state = await driver.advance(3_600)
            assert (state.now, state.next_deadline) == (3_600, None)
            assert await venue_seconds() == EPOCH_MS // 1_000 + 3_600
            after = await driver.state()
            assert after.received > state.received
            assert after.sent > state.sent

            script = [
                {"at_seconds": at, "action": {"type": "create_market", "market": {"question": str(at)}}}
                for at in (4_000, 4_500)
            ]
            await http.post(f"{addresses.admin}/script", json=script)
            assert (await driver.state()).next_deadline == pytest.approx(400)
            assert (await driver.advance(399)).next_deadline == pytest.approx(1)
            state = await driver.advance(10_000)
            assert (state.now, state.next_deadline) == (13_999, None)
            told = (await http.get(f"{addresses.admin}/state")).json()
            assert [market["question"] for market in told["markets"][-2:]] == ["4000", "4500"]


async def test_a_driver_that_speaks_nonsense_is_told_so() -> None:
    async with process("--clock", "virtual") as addresses:
        assert addresses.control is not None
        host, _, port = addresses.control.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            driver = Driver(stream)
            with pytest.raises(ValueError, match="time moves forward by finite steps, not by -1"):
                await driver.advance(-1)
            await stream.send_all(b"nonsense\n")
            assert b"one JSON object a line" in bytes(await stream.receive_some())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: venue"),
        (["polymarket", "--fund", "much"], "'much' is not a decimal amount"),
        (["polymarket", "--fund", "-1"], "'-1' is not an amount of money"),
        (["polymarket", "--market", "Q;tick=0.3"], "tick 0.3 does not exist"),
        (["polymarket", "--market", "Q;colour=red"], "'colour=red' is not one of"),
        (["polymarket", "--market", "Q;delay_ms=soon"], "delay_ms must be whole milliseconds"),
        (["polymarket", "--port", "99999"], "'99999' is not a port; allowed is a whole number from 0 to 65535"),
        (["polymarket", "--port", "-1"], "'-1' is not a port"),
        (
            ["polymarket", "--host", "203.0.113.1"],
            "cannot listen on 203.0.113.1, port 0: Cannot assign requested address",
        ),
        (["polymarket", "--clock", "sun"], "invalid choice: 'sun'"),
    ],
)
def test_bad_arguments_end_with_a_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, io.StringIO())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_port_that_is_taken_ends_with_a_message_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["polymarket", "--port", str(port)], io.StringIO())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in said
    assert "0 finds a free one" in said


def test_the_help_tells_how_to_cause_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["polymarket", "--help"], io.StringIO())
    said = capsys.readouterr().out
    for path in ("/quotes", "/faults", "/transfers", "/balances"):
        assert f"$SIM{path}" in said
