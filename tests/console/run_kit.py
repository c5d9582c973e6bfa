"""`tallystick run` as a process of its own against a simulated venue in another, both on loopback."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from tallystick.testing.venue_process import VenueProcess
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.sim.polymarket.actions import CreateAccount, SetQuotes
from tallystick.venues.sim.polymarket.serving import Addresses

MAIN = "from tallystick.console.cli import main; main()"
COMMAND = (sys.executable, "-c", MAIN)
RAIN = "will-it-rain-in-lisbon-this-week"
TALLY = "will-the-tally-match-tomorrow"
SECONDS_MAX = 30.0
"""No test comes near it; it is where a broken one ends."""
KEYS = [f"0x{number:064x}" for number in range(0xC0FFEE00, 0xC0FFEE00 + 24)]


class _Market(msgspec.Struct):
    token_ids: tuple[str, ...]


class _State(msgspec.Struct):
    markets: tuple[_Market, ...]


KEY_WITH_SHARES = f"0x{0xC0FFEEFF:064x}"


def fund(venue: VenueProcess) -> None:
    """Give every test key its money now, so that it is final on chain by the time somebody looks."""
    for key in KEYS:
        venue.do(CreateAccount(owner=Signer(key).address, cash=Decimal(10_000)))
    held = venue.ask("state", _State).markets[0].token_ids[0]
    venue.do(CreateAccount(owner=Signer(KEY_WITH_SHARES).address, shares=((held, Decimal(5)),)))


def quote(venue: VenueProcess, market: str, bid: str, ask: str, size: str = "500") -> None:
    """Have somebody buy and sell YES of a market at these prices."""
    levels = [((Decimal(price), Decimal(size)),) for price in (bid, ask)]
    venue.do(SetQuotes(participant="crowd", market=market, outcome="Yes", bids=levels[0], asks=levels[1]))


CONFIGURATION = """\
[runtime]
name = "under-test"
store = "store"
durability = "process"
seed = 1
{runtime}

[accounts."polymarket:main"]
chain_id = 137
signature_type = 0
opening = "require_flat"
markets = ["{tally}", "{rain}"]
credentials = {credentials}

[accounts."polymarket:main".services]
{services}

[accounts."polymarket:main".witness]
cadence_seconds = 0.2
settle_seconds = 0.1

[accounts."polymarket:main".stream]
backoff_seconds_minimum = 0.1

[strategies.demo]
accounts = ["polymarket:main"]
"""


def configure(
    folder: Path, addresses: Addresses | None, *, runtime: str = "", credentials: str = '{ environment = "RUN" }'
) -> Path:
    """A configuration for a venue; for one where nobody listens without addresses."""
    nowhere = "http://127.0.0.1:9"
    found = {} if addresses is None else msgspec.structs.asdict(addresses)
    services = "\n".join(
        f'{name} = "{found.get(name, nowhere.replace("http", "ws") if name.startswith("ws") else nowhere)}"'
        for name in ("clob", "data", "gamma", "rpc", "ws_market", "ws_user")
    )
    file = folder / "run.toml"
    file.write_text(
        CONFIGURATION.format(runtime=runtime, tally=TALLY, rain=RAIN, services=services, credentials=credentials)
    )
    return file


def single(intent_id: str, **fields: object) -> dict[str, object]:
    """An intent that rests: nobody sells so low."""
    return {
        "kind": "single",
        "intent_id": intent_id,
        "strategy": "demo",
        "instrument": f"polymarket:{TALLY}:Yes",
        "side": "buy",
        "quantity": "10",
        "limit_price": "0.11",
        "expires_in_seconds": 120,
        **fields,
    }


def lines_of(*intents: object) -> bytes:
    return b"".join(json.dumps(intent).encode() + b"\n" for intent in intents)


class Running:
    """A command that runs; its streams are pipes."""

    def __init__(self, child: "subprocess.Popen[bytes]", log: Path) -> None:
        self.child = child
        self._log = log
        self._begun = b""
        self.said: list[Any] = []

    @property
    def log(self) -> str:
        return self._log.read_text()

    def hand_in(self, *intents: object) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(lines_of(*intents))
        self.child.stdin.flush()

    def end_of_input(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()

    def until(self, **fields: object) -> Any:
        """The next object on stdout with these fields. What was before it is in `said` as well."""
        assert self.child.stdout is not None
        ends_at = time.monotonic() + SECONDS_MAX
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while time.monotonic() < ends_at:
                while b"\n" in self._begun:
                    line, _, self._begun = self._begun.partition(b"\n")
                    self.said.append(json.loads(line))
                    if all(self.said[-1].get(name) == value for name, value in fields.items()):
                        return self.said[-1]
                if selector.select(0.5):
                    data = os.read(self.child.stdout.fileno(), 65536)
                    assert data, f"it ended without {fields}: {self.said} {self.log}"
                    self._begun += data
        raise AssertionError(f"nothing like {fields} was said: {self.said} {self.log}")

    def until_logged(self, text: str) -> None:
        ends_at = time.monotonic() + SECONDS_MAX
        while text not in self.log:
            assert self.child.poll() is None, f"it ended without {text!r} in its log: {self.log}"
            assert time.monotonic() < ends_at, f"{text!r} was not logged: {self.log}"
            time.sleep(0.02)

    def ends(self) -> int:
        """Its exit code; the rest of what it said is in `said`."""
        if self.child.stdin is not None and not self.child.stdin.closed:
            self.child.stdin.close()
        assert self.child.stdout is not None
        rest = self._begun + self.child.stdout.read()
        self.said += [json.loads(line) for line in rest.splitlines()]
        return self.child.wait(SECONDS_MAX)


@contextmanager
def running(
    folder: Path, *arguments: str | Path, key: str = KEYS[0], prelude: str = "", **environment: str
) -> Iterator[Running]:
    """`tallystick run` with these arguments and --json, ended with the block; `prelude` is Python that runs before."""
    log = folder / "stderr"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", prelude + MAIN, "run", *(str(argument) for argument in arguments), "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "RUN_PRIVATE_KEY": key, **environment},
        )
    try:
        yield Running(child, log)
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


def run_file(
    folder: Path, configuration: Path, content: bytes, *arguments: str, key: str = KEYS[0], prelude: str = ""
) -> Running:
    """The command over a file of intents, to its end."""
    file = folder / "intents.jsonl"
    file.write_bytes(content)
    with running(folder, configuration, "--intents", file, *arguments, key=key, prelude=prelude) as command:
        command.ends()
    return command
