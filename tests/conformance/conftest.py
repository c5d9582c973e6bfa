"""A simulated Polymarket in a thread of its own, for clients that are not asynchronous."""

import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import httpx
import msgspec
import pytest
import trio
from tallystick.venues.sim.chain.chain import ChainRules
from tallystick.venues.sim.polymarket.markets import MarketSpec
from tallystick.venues.sim.polymarket.running import running_server
from tallystick.venues.sim.polymarket.settlement import SettlementDelays
from tallystick.venues.sim.polymarket.venue import VenueSettings

MARKETS = (
    MarketSpec(question="Standard", slug="standard", fee_rate=Decimal("0.04")),
    MarketSpec(question="Neg risk", slug="neg-risk", neg_risk=True, tick_size=Decimal("0.001")),
)
# Blocks of a tenth of a second, so that a settlement can be waited for.
FAST_CHAIN = ChainRules(block_ms=100)
FAST_DELAYS = SettlementDelays(broadcast_ms=10, retry_ms=100)


class Simulator:
    """Addresses of the running venue, and its operator's door."""

    def __init__(self, url: str, ws_url: str) -> None:
        self.url = url
        self.ws_url = ws_url
        self._http = httpx.Client(base_url=url)

    def action(self, **fields: object) -> dict[str, object]:
        response = self._http.post("/_sim/action", content=msgspec.json.encode(fields))
        assert response.status_code == 200, response.text
        return dict(response.json())

    def ask(self, path: str) -> list[dict[str, object]]:
        response = self._http.get(f"/_sim/{path}")
        assert response.status_code == 200, response.text
        return list(response.json())

    def balances(self) -> dict[str, dict[str, str]]:
        return dict(self._http.get("/_sim/balances").json())

    def tokens(self, slug: str) -> tuple[str, str]:
        markets = self._http.get("/_sim/state").json()["markets"]
        first, second = next(market["token_ids"] for market in markets if market["slug"] == slug)
        return first, second

    def condition(self, slug: str) -> str:
        markets = self._http.get("/_sim/state").json()["markets"]
        return str(next(market["condition_id"] for market in markets if market["slug"] == slug))

    def close(self) -> None:
        self._http.close()


class _Thread:
    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))
        self.simulator: Simulator | None = None

    async def _serve(self) -> None:
        settings = VenueSettings(markets=MARKETS, fund=Decimal(1_000), chain=FAST_CHAIN, delays=FAST_DELAYS)
        self._stop = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        async with running_server(settings, epoch_ms=int(time.time() * 1_000)) as server:
            self.simulator = Simulator(server.url, server.ws_url)
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Simulator:
        self._thread.start()
        assert self._ready.wait(10), "the simulator did not start"
        assert self.simulator is not None
        return self.simulator

    def __exit__(self, *_: object) -> None:
        assert self.simulator is not None
        self.simulator.close()
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the simulator did not stop"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with _Thread() as running:
        yield running
