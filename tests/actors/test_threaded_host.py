"""A threaded host with a real store on a real disk, against a simulated venue on a real socket."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import tallystick
import trio
from tallystick.actors.settings import StrategySettings
from tallystick.actors.ticket import IntentRejected, Report, TicketClosed
from tallystick.configuration import AccountConfiguration, Configuration, RuntimeConfiguration
from tallystick.control.client import NotRunning, ask
from tallystick.control.protocol import Carry, Done, ReadTree
from tallystick.credentials import CredentialsFile
from tallystick.host import Host
from tallystick.model.account import AccountState
from tallystick.model.identifiers import CommandId, IntentId
from tallystick.model.intent import Intent, Side
from tallystick.model.money import Price, Quantity
from tallystick.runtime import RuntimeEnded
from tallystick.store.lmdb_store import MAP_SIZE_BYTES_MAX
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.running import RunningServer, running_server

from .harness import ACCOUNT, KEY, RAIN_YES, STRATEGY, VENUE_SETTINGS, account_settings


class Venue:
    """A simulated venue on a thread of its own."""

    def __init__(self, server: RunningServer, token: trio.lowlevel.TrioToken) -> None:
        self._server = server
        self._token = token
        self.url = server.url
        self.ws_url = server.ws_url

    def sells(self, price: str, size: str) -> None:
        action = actions.PlaceOrder(
            participant="crowd", market="rain", outcome="Yes", side="SELL", price=Decimal(price), size=Decimal(size)
        )

        def do() -> None:
            self._server.refresh()
            self._server.admin.do(action)
            self._server.refresh()

        trio.from_thread.run_sync(do, trio_token=self._token)


@contextmanager
def venue() -> Iterator[Venue]:
    ready = threading.Event()
    found: list[Venue] = []
    ends: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def run() -> None:
        async with running_server(VENUE_SETTINGS, epoch_ms=time.time_ns() // 1_000_000) as server:
            token = trio.lowlevel.current_trio_token()
            ends.append((token, trio.Event()))
            found.append(Venue(server, token))
            ready.set()
            await ends[0][1].wait()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        token, end = ends[0]
        token.run_sync_soon(end.set)
        thread.join()


@pytest.fixture
def configuration(tmp_path: Path) -> Iterator[tuple[Configuration, Venue]]:
    secrets = tmp_path / "credentials.toml"
    secrets.write_text(f'private_key = "{KEY}"\n')
    secrets.chmod(0o600)
    with venue() as running:
        settings = account_settings(
            services=(
                *((name, running.url) for name in ("clob", "data", "gamma")),
                ("rpc", f"{running.url}/rpc"),
                ("ws_market", f"{running.ws_url}/ws/market"),
                ("ws_user", f"{running.ws_url}/ws/user"),
            )
        )
        settings = msgspec.structs.replace(
            settings, witness=msgspec.structs.replace(settings.witness, settle_seconds=0.1)
        )
        yield (
            Configuration(
                file="a test",
                runtime=RuntimeConfiguration(
                    name="threads",
                    store=str(tmp_path / "store"),
                    durability="process",
                    map_size_bytes_max=MAP_SIZE_BYTES_MAX,
                ),
                accounts=(
                    AccountConfiguration(
                        settings=settings,
                        credentials=CredentialsFile(path=str(secrets)),
                        chain_id=137,
                        signature_type=0,
                    ),
                ),
                strategies=(StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,)),),
            ),
            running,
        )


def buy(intent_id: str, seconds: float = 20) -> Intent:
    return Intent(
        intent_id=IntentId(intent_id),
        strategy=STRATEGY,
        account=ACCOUNT,
        instrument=RAIN_YES,
        side=Side.BUY,
        quantity=Quantity(Decimal(50)),
        limit_price=Price(Decimal("0.44")),
        expires_at_ns=time.time_ns() + round(seconds * 1e9),
    )


def submit(host: Host, intent: Intent) -> tallystick.Ticket:
    """Hand in as soon as the account is Live."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return host.submit(intent)
        except IntentRejected:
            assert time.monotonic() < deadline, host.read(lambda ledger: ledger.account(ACCOUNT))
            time.sleep(0.05)


def test_a_threaded_host_is_controlled_by_its_own_process_and_over_its_socket(
    configuration: tuple[Configuration, Venue],
) -> None:
    loaded, _running = configuration
    socket = loaded.runtime.control_path
    assert socket is not None
    halt = tallystick.Halt(account=None)
    with tallystick.open(loaded) as host:
        submit(host, buy("i1", seconds=600))
        carried = host.operate(halt, note="the desk is empty", command_id=CommandId("h-1"))
        assert not carried.repeated
        with pytest.raises(tallystick.CommandRefused, match="halted already"):
            host.operate(halt, note="twice")
        over_the_socket = ask(
            socket, Carry(command_id=CommandId("h-1"), command=halt, note="the desk is empty"), timeout_seconds=10
        )
        assert isinstance(over_the_socket, Done)
        assert over_the_socket.repeated
        assert over_the_socket.at_ns == carried.at_ns
        with pytest.raises(IntentRejected, match="operator_halt"):
            host.submit(buy("i2"))
        assert "/operator/desk" in {actor.snapshot.path for actor in host.tree().actors}
        host.operate(tallystick.CancelAll(), note="leaving")
    with pytest.raises(RuntimeEnded):
        host.operate(halt, note="too late")
    with pytest.raises(NotRunning):
        ask(socket, ReadTree(), timeout_seconds=1)


def test_a_threaded_host_hands_in_follows_and_finds_its_intent_again(
    configuration: tuple[Configuration, Venue],
) -> None:
    loaded, running = configuration
    first, second = buy("i1"), buy("i2", seconds=60)
    heard: list[Report] = []
    with tallystick.open(loaded) as host:
        ticket = submit(host, first)
        ticket.on_report(heard.append)
        assert host.submit(first) is ticket
        with pytest.raises(IntentRejected, match="duplicate_intent"):
            host.submit(msgspec.structs.replace(first, quantity=Quantity(Decimal(51))))
        running.sells("0.44", "50")
        assert [report.kind for report in ticket.follow(timeout=10)][-1] == "ended"
        assert ticket.wait(timeout=1).outcome == "filled"
        assert host.read(lambda ledger: ledger.account(ACCOUNT).state) is AccountState.LIVE
        left = submit(host, second)
        with pytest.raises(TimeoutError):
            left.wait(timeout=0.01)
    with pytest.raises(TicketClosed):
        left.wait(timeout=1)
    assert [report.number for report in heard] == list(range(1, len(heard) + 1))
    assert heard[-1].is_last
    with pytest.raises(RuntimeEnded):
        host.submit(first)
    with tallystick.open(loaded) as host:
        assert submit(host, first).wait(timeout=5).outcome == "filled"
        again = submit(host, second)
        assert host.ticket(STRATEGY, second.intent_id) is again
        running.sells("0.44", "50")
        assert again.wait(timeout=10).outcome == "filled"
