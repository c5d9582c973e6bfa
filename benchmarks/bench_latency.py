"""From the call of `submit` to the first byte of the order on the wire, beside what no path can do without.

The dialect is Polymarket's with its real signing, the gateway and httpx are the real ones; the far end is a responder
that reads a request and answers it, over trio's in-memory streams, so that no network is in the numbers. The second
stamp is taken when the seam's `send_all` is handed `POST /order`. TLS is not in it.

One intent at a time, each after the one before has come to rest: this is latency, and the order life is throughput.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import median

import trio
import trio.testing
from tallystick.actors.context import Quote, TradingActor
from tallystick.actors.gateway import GatewayActor
from tallystick.actors.kernel import TrioClock
from tallystick.actors.messages import GatewayReady, StreamUp
from tallystick.actors.settings import AccountSettings, GatewaySettings, StrategySettings
from tallystick.actors.ticket import IntentRejected, Ticket
from tallystick.model.event import InstrumentLearned
from tallystick.model.identifiers import AccountId, InstrumentId, IntentId, StrategyName
from tallystick.model.instrument import Instrument, InstrumentKind
from tallystick.model.intent import Intent, Side
from tallystick.model.money import Price, Quantity
from tallystick.model.order import Acknowledged
from tallystick.runtime import Runtime, start_runtime
from tallystick.store import Durability
from tallystick.venues.polymarket.account import TradingAccount
from tallystick.venues.polymarket.auth import Credentials
from tallystick.venues.polymarket.dialect import PolymarketDialect
from tallystick.venues.polymarket.instruments import SETTLEMENT_ASSET, VENUE
from tallystick.venues.polymarket.signing import Signer
from trio_websocket import WebSocketConnection, open_websocket_url, serve_websocket

from .instant_runtime import live, open_journal
from .instant_venue import InstantTree
from .measure import Row, fdatasync_seconds, median_of, progress, row, scratch_directory

ORDERS = 300
WARM_UP = 50
ROUNDS = 3
PROCESS_BUDGET = 300e-6
FSYNC_BUDGET_FIXED, FSYNC_BUDGET_SYNCS = 200e-6, 2.5
EMPTY_SENDS = 2_000

ACCOUNT = AccountId("polymarket:bench")
STRATEGY = StrategyName("bench")
INSTRUMENT = Instrument(
    instrument_id=InstrumentId("polymarket:bench:Yes"),
    venue=VENUE,
    venue_symbol="71321045679252212594626385532706912750332728571942532289631379312455583992563",
    market="0x" + "5f" * 32,
    kind=InstrumentKind.OUTCOME_SHARE,
    settlement_asset=SETTLEMENT_ASSET,
    price_tick=Price(Decimal("0.01")),
    price_minimum=Price(Decimal("0.01")),
    price_maximum=Price(Decimal("0.99")),
    quantity_step=Quantity(Decimal("0.01")),
    quantity_minimum=Quantity(Decimal(5)),
)
_KEY = "11" * 32
_CONTENT_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def run() -> Iterator[Row]:
    """Yield the median with each durability, beside its yardstick and beside its budget."""
    with scratch_directory() as directory:
        sync = median_of(ROUNDS, lambda: fdatasync_seconds(directory), "latency: one fdatasync")
    sent = median_of(ROUNDS, lambda: trio.run(_empty_send_seconds), "latency: an empty websocket send")
    name = "latency: submit to first byte, fsync"
    value = median_of(ROUNDS, lambda: _median_seconds("fsync"), name)
    yield row(f"{name}, p50 beside one fdatasync of 200 bytes", value * 1e6, "us", sync * 1e6)
    budget = FSYNC_BUDGET_SYNCS * sync + FSYNC_BUDGET_FIXED
    yield row(f"{name}, p50 beside its budget of 2.5 fdatasyncs + 200 us", value * 1e6, "us", budget * 1e6)
    name = "latency: submit to first byte, process durability"
    value = median_of(ROUNDS, lambda: _median_seconds("process"), name)
    yield row(f"{name}, p50 beside an empty websocket send", value * 1e6, "us", sent * 1e6)
    yield row(f"{name}, p50 beside its budget of 300 us", value * 1e6, "us", PROCESS_BUDGET * 1e6)


# ---- the seam and what is behind it -----------------------------------------------------------------------


class _StampedStream(trio.abc.Stream):
    """The runtime's end of a connection; notes when an order's first byte is handed to it."""

    def __init__(self, stream: trio.abc.Stream, stamps: list[float]) -> None:
        self._stream = stream
        self._stamps = stamps

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if bytes(data[:11]) == b"POST /order":
            self._stamps.append(time.perf_counter())
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Responder:
    """Answers that the order which was submitted last is live. It is asked for nothing else."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.stamps: list[float] = []
        self.newest_order: Callable[[], str] = str

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        del host, port  # there is only one place to go
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, far)
        return _StampedStream(near, self.stamps)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        received = b""
        while data := await stream.receive_some(65_536):
            received += data
            head, end, body = received.partition(b"\r\n\r\n")
            if not end:
                continue
            length = _CONTENT_LENGTH.search(head)
            if length is None or len(body) < int(length[1]):
                continue
            received = body[int(length[1]) :]
            order = self.newest_order()
            answer = f'{{"errorMsg":"","orderID":"{order}","status":"live","success":true}}'.encode()
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (len(answer), answer)
            )


class _ReadyGateway(GatewayActor):
    """The real gateway, spared the checks of a start: there is no clock and no catalogue at the far end."""

    async def _become_ready(self) -> None:
        self.ready = True
        desk = self.context.ref(f"/accounts/{self.account}/desk")
        desk.tell(GatewayReady())
        desk.tell(StreamUp(down_since_ns=None))


class _Tree(InstantTree):
    def gateway_for(self, account: AccountId) -> TradingActor:
        return _ReadyGateway(self.context, account)


# ---- measuring --------------------------------------------------------------------------------------------


def _median_seconds(durability: Durability) -> float:
    with scratch_directory() as directory:
        return trio.run(_measure, directory, durability)


async def _measure(directory: Path, durability: Durability) -> float:
    signer = Signer(_KEY)
    dialect = PolymarketDialect(
        ACCOUNT,
        TradingAccount(signer, wallet=signer.address),
        credentials=Credentials(api_key="00000000-0000-0000-0000-000000000000", secret="c2VjcmV0", passphrase="p"),
    )
    settings = AccountSettings(
        account=ACCOUNT,
        venue=VENUE,
        services=(("clob", "http://venue.test"),),
        markets=(),
        settlement_asset=SETTLEMENT_ASSET,
        gateway=GatewaySettings(heartbeat_seconds=None),
    )
    strategy = StrategySettings(strategy=STRATEGY, accounts=(ACCOUNT,), active_intents_maximum=10**9)
    async with trio.open_nursery() as nursery, open_journal(directory, durability) as journal:
        journal.append(InstrumentLearned(instrument=INSTRUMENT), at_ns=time.time_ns())
        responder = _Responder(nursery)
        async with start_runtime(
            journal,
            name="bench",
            dialects={ACCOUNT: dialect},
            accounts={ACCOUNT: settings},
            strategies={STRATEGY: strategy},
            clock=TrioClock(),
            connect=responder.connect,
            random=Random(1),
            failures=[],
            builder=_Tree(),
        ) as runtime:
            await live(runtime, ACCOUNT)
            _open_market(runtime)
            responder.newest_order = lambda: next(reversed(runtime.ledger.by_venue_id))[1]
            seconds = [await _submit_one(runtime, responder, number) for number in range(WARM_UP + ORDERS)]
        nursery.cancel_scope.cancel()
    seconds = sorted(seconds[WARM_UP:])
    progress(f"latency: {durability}: p50 {seconds[len(seconds) // 2] * 1e6:.0f} us, p95 {_p95(seconds) * 1e6:.0f} us")
    return median(seconds)


def _p95(seconds: list[float]) -> float:
    return seconds[len(seconds) * 95 // 100]


def _open_market(runtime: Runtime) -> None:
    context = runtime._context  # noqa: SLF001 - there is no feed here to fill the board
    context.quotes[INSTRUMENT.instrument_id] = Quote(
        instrument=INSTRUMENT.instrument_id,
        bid=Price(Decimal("0.44")),
        ask=Price(Decimal("0.46")),
        fresh=True,
        why_stale="",
        venue_time_ns=0,
        received_at_ns=0,
    )


async def _submit_one(runtime: Runtime, responder: _Responder, number: int) -> float:
    intent = Intent(
        intent_id=IntentId(f"intent-{number}"),
        strategy=STRATEGY,
        account=ACCOUNT,
        instrument=INSTRUMENT.instrument_id,
        side=Side.BUY,
        quantity=Quantity(Decimal(10)),
        limit_price=Price(Decimal("0.45")),
        expires_at_ns=time.time_ns() + 3600 * 10**9,
    )
    arrived = len(responder.stamps)
    began = time.perf_counter()
    runtime.submit_soon(intent, _check)
    while len(responder.stamps) == arrived or not (runtime.is_idle and _is_answered(runtime)):  # noqa: ASYNC110 - it tells nobody
        await trio.sleep(0.0005)
    return responder.stamps[arrived] - began


def _is_answered(runtime: Runtime) -> bool:
    return isinstance(next(reversed(runtime.ledger.orders.values())), Acknowledged)


def _check(result: Ticket | Exception) -> None:
    if isinstance(result, IntentRejected):
        raise result


async def _empty_send_seconds() -> float:
    """The median of an empty websocket message handed to a loopback socket: what a bare client cannot do without."""

    async def swallow(request: object) -> None:
        connection: WebSocketConnection = await request.accept()  # type: ignore[attr-defined]  # untyped library
        while True:
            await connection.get_message()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, swallow, "127.0.0.1", 0, None)
        async with open_websocket_url(f"ws://127.0.0.1:{server.port}") as client:
            times = []
            for _ in range(EMPTY_SENDS):
                began = time.perf_counter()
                await client.send_message(b"")
                times.append(time.perf_counter() - began)
            nursery.cancel_scope.cancel()
    return median(times)


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line))
