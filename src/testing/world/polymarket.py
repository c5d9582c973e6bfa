"""The simulated Polymarket as a world sees it."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import assert_never

import httpx
import msgspec
import trio

from ...actors.connect import SeamTransport
from ...actors.settings import AccountSettings
from ...model.fill import Direction
from ...model.identifiers import AccountId, AssetId, InstrumentId, TradeId, VenueName, VenueOrderId
from ...model.risk_facts import RiskLimits
from ...venues.polymarket.account import TradingAccount
from ...venues.polymarket.auth import Credentials, key_request_headers
from ...venues.polymarket.contracts import TokenId
from ...venues.polymarket.dialect import PolymarketDialect
from ...venues.polymarket.orders import Order, SignatureType
from ...venues.polymarket.orders import Side as WireSide
from ...venues.polymarket.signing import Signer, sign_order
from ...venues.port import Dialect
from ...venues.sim.core.values import OrderId
from ...venues.sim.polymarket import actions
from ...venues.sim.polymarket import faults as sim
from ...venues.sim.polymarket.markets import Market, MarketSpec
from ...venues.sim.polymarket.running import RunningServer, running_server
from ...venues.sim.polymarket.venue import VenueSettings
from ...venues.sim.server.memory_stream import MemoryStream
from . import venue_faults as fault
from .clock import EPOCH_MS
from .plan import MarketNeeded
from .venue import VenueExecution, VenueOrder, VenueSession
from .wire import HttpRequest

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""A key that everybody knows: it is in the manuals of development chains, and holds nothing anywhere."""
OWNER = Signer(KEY).address
ACCOUNT = AccountId("polymarket:main")
CASH = AssetId("pUSD")
UNITS = 1_000_000
SERVICES = (
    ("clob", "http://venue"),
    ("data", "http://venue"),
    ("gamma", "http://venue"),
    ("rpc", "http://venue/rpc"),
    ("ws_market", "ws://venue/ws/market"),
    ("ws_user", "ws://venue/ws/user"),
)
MARKETS = (
    MarketSpec(question="Rain?", slug="rain", fee_rate=Decimal("0.04")),
    MarketSpec(question="Snow?", slug="snow"),
    MarketSpec(question="Slow?", slug="slow", taker_delay_ms=3_000),
)

FUND, FULL_FUND = Decimal(1_000), Decimal(10_000)
"""What the account begins with: in a short world, and in one with markets of its own."""

_PATHS: dict[fault.Asked, tuple[str | None, str]] = {
    fault.Asked.ANY: (None, "/"),
    fault.Asked.PLACE: ("POST", "/order"),
    fault.Asked.CANCEL: ("DELETE", "/order"),
    fault.Asked.ORDER: ("GET", "/data/order/"),
    fault.Asked.OPEN_ORDERS: ("GET", "/data/orders"),
    fault.Asked.FILLS: ("GET", "/data/trades"),
    fault.Asked.POSITIONS: ("GET", "/v2/positions"),
    fault.Asked.HEARTBEAT: ("POST", "/v1/heartbeats"),
}
_EVENTS: dict[fault.Told, str | None] = {
    fault.Told.ANY: None,
    fault.Told.FILL: "trade",
    fault.Told.ORDER: "order",
}


class PolymarketSession:
    """One simulated Polymarket that is up, with one account of ours."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self._salts = itertools.count(1)

    def connect(self) -> MemoryStream:
        return self.server.connect()

    def refresh(self) -> None:
        self.server.refresh()

    def do(self, action: actions.AnyAction) -> dict[str, object]:
        """Have the venue's operator do something now."""
        self.server.refresh()
        done = self.server.admin.do(action)
        self.server.refresh()
        return dict(done)

    # ---- its own books ------------------------------------------------------------------------------------

    def orders(self) -> Sequence[VenueOrder]:
        venue = self.server.venue
        found = []
        for order in venue.exchange.orders.values():
            facts = venue.facts[order.order_id]
            if facts.owner == OWNER:
                found.append(
                    VenueOrder(
                        venue_order_id=VenueOrderId(order.order_id),
                        instrument=self._instrument(facts.market, facts.token_id),
                        direction=Direction(order.request.side.value.lower()),
                        price=Decimal(facts.price_text),
                        quantity=order.request.size,
                        filled=order.filled,
                        is_open=order.closed_at_ms is None,
                    )
                )
        return found

    def executions(self) -> Sequence[VenueExecution]:
        venue = self.server.venue
        found = []
        for record in venue.trades_of.get(OWNER, []):
            trade = record.trade
            parts = [(trade.taker_order_id, trade.quantity)]
            parts += [(leg.maker_order_id, leg.quantity) for leg in trade.legs]
            found += [
                VenueExecution(
                    trade_id=TradeId(trade.trade_id),
                    venue_order_id=VenueOrderId(order_id),
                    quantity=quantity,
                    reverted=record.status.value == "FAILED",
                    settled=record.status.final,
                )
                for order_id, quantity in parts
                if venue.facts[order_id].owner == OWNER
            ]
        return found

    def holdings(self) -> Mapping[AssetId, Decimal]:
        names = {
            token: AssetId(self._instrument(market, token))
            for market in self.server.venue.catalogue.all()
            for token in market.token_ids
        }
        held = self.server.books.balances().get(OWNER, {})
        return {CASH if asset == "pUSD" else names[TokenId(asset)]: Decimal(amount) for asset, amount in held.items()}

    def has_transaction(self, transaction: str) -> bool:
        receipt = self.server.venue.chain.receipt(transaction)
        return receipt is not None and receipt.succeeded

    # ---- the other side -----------------------------------------------------------------------------------

    def place(self, instrument: InstrumentId, direction: Direction, price: Decimal, quantity: Decimal) -> str:
        _, market, outcome = instrument.split(":")
        row = self.do(
            actions.PlaceOrder(
                participant="crowd",
                market=market,
                outcome=outcome,
                side="BUY" if direction is Direction.BUY else "SELL",
                price=price,
                size=quantity,
            )
        )
        return str(row["id"])

    def withdraw_order(self, order_id: str) -> None:
        order = self.server.venue.exchange.orders.get(OrderId(order_id))
        if order is not None and order.closed_at_ms is None:
            self.do(actions.CancelOrder(order_id=order_id))

    def cancel_ours(self, venue_order_id: VenueOrderId) -> None:
        self.do(actions.CancelOrder(order_id=venue_order_id))

    async def trade_by_hand(
        self, instrument: InstrumentId, direction: Direction, price: Decimal, quantity: Decimal
    ) -> VenueOrderId:
        now_seconds = EPOCH_MS // 1_000 + int(trio.current_time())
        token = self.token(instrument)
        cash, units = round(price * quantity * UNITS), round(quantity * UNITS)
        is_buy = direction is Direction.BUY
        signer = Signer(KEY)
        order = Order(
            salt=next(self._salts),
            maker=signer.address,
            signer=signer.address,
            token_id=token,
            maker_amount=cash if is_buy else units,
            taker_amount=units if is_buy else cash,
            side=WireSide("BUY" if is_buy else "SELL"),
            signature_type=SignatureType.EOA,
            timestamp_milliseconds=now_seconds * 1_000,
        )
        market = self._market(instrument)
        signed = sign_order(order, market.contract(token), signer)
        order_id, why = VenueOrderId(signed.order_hash), ""
        async with httpx.AsyncClient(
            transport=SeamTransport(self._dial),
            base_url="http://venue",
            timeout=None,  # noqa: S113 - the world's own end bounds it
        ) as client:
            login = key_request_headers(signer, chain_id=137, timestamp_seconds=now_seconds, nonce=0)
            try:
                answer = await client.get("/auth/derive-api-key", headers=login)
                if answer.status_code == httpx.codes.BAD_REQUEST:  # nobody has ever logged in with it
                    answer = await client.post("/auth/api-key", headers=login)
            except httpx.HTTPError as error:
                # The venue's faults are for everybody who asks it.
                raise RuntimeError(f"the venue did not answer the stranger: {error!r}") from error
            if answer.status_code != httpx.codes.OK:
                raise RuntimeError(f"the venue refused the stranger: {answer.text}")
            told = answer.json()
            key = Credentials(api_key=told["apiKey"], secret=told["secret"], passphrase=told["passphrase"])
            body = msgspec.json.encode(
                {
                    "order": {
                        "salt": order.salt,
                        "maker": order.maker,
                        "signer": order.signer,
                        "tokenId": order.token_id,
                        "makerAmount": str(order.maker_amount),
                        "takerAmount": str(order.taker_amount),
                        "side": order.side.value,
                        "expiration": "0",
                        "signatureType": 0,
                        "timestamp": str(order.timestamp_milliseconds),
                        "metadata": "0x" + "00" * 32,
                        "builder": "0x" + "00" * 32,
                        "signature": "0x" + signed.signature.hex(),
                    },
                    "owner": key.api_key,
                    "orderType": "GTC",
                    "deferExec": False,
                    "postOnly": False,
                }
            )
            headers = key.headers(
                address=signer.address, timestamp_seconds=now_seconds, method="POST", path="/order", body=body
            )
            try:
                why = (await client.post("/order", headers=headers, content=body)).text
            except httpx.HTTPError as error:
                why = repr(error)
        # Whatever was answered, or not: the venue's books say whether it took the order.
        if OrderId(order_id) not in self.server.venue.exchange.orders:
            raise RuntimeError(f"the venue did not take the foreign order: {why}")
        return order_id

    async def _dial(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return self.server.connect()

    def deposit(self, asset: AssetId, quantity: Decimal) -> None:
        self.do(actions.Transfer(source=_STRANGER, target=OWNER, asset=self._asset(asset), amount=quantity))

    def withdraw(self, asset: AssetId, quantity: Decimal) -> None:
        self.do(actions.Transfer(source=OWNER, target=_STRANGER, asset=self._asset(asset), amount=quantity))

    def settle_all(self) -> None:
        self.do(actions.SettleNow())

    # ---- faults -------------------------------------------------------------------------------------------

    def put_on(self, fault: fault.VenueFault) -> Callable[[], int]:
        found = _action(fault)
        if not isinstance(found, actions.PutOnFault):
            open_before = self._open()
            self.do(found)
            bites = len(open_before - self._open()) if isinstance(found, actions.ExpireHeartbeat) else 1
            return lambda: bites
        self.do(found)
        active = self.server.venue.faults.all()[-1]
        return lambda: active.bites

    def _open(self) -> set[VenueOrderId]:
        return {order.venue_order_id for order in self.orders() if order.is_open}

    def lift_all(self) -> None:
        self.do(actions.LiftFaults())

    def bites(self) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for active in self.server.venue.faults.all():
            counted[type(active.fault).__name__] += active.bites
        return counted

    # ---- names --------------------------------------------------------------------------------------------

    def token(self, instrument: InstrumentId) -> TokenId:
        """The token id of an instrument at the venue."""
        market = self._market(instrument)
        return market.token_ids[market.spec.outcomes.index(instrument.split(":")[2])]

    def _market(self, instrument: InstrumentId) -> Market:
        slug = instrument.split(":")[1]
        return next(found for found in self.server.venue.catalogue.all() if found.slug == slug)

    def _instrument(self, market: Market, token: TokenId) -> InstrumentId:
        return InstrumentId(f"polymarket:{market.slug}:{market.outcome(token)}")

    def _asset(self, asset: AssetId) -> str:
        return "cash" if asset == CASH else self.token(InstrumentId(asset))


_STRANGER = "0x00000000000000000000000000000000000057aa"


def _action(found: fault.VenueFault) -> actions.AnyAction:
    """How a fault comes about here."""
    match found:
        case fault.Reorganise(depth=depth):
            return actions.Reorg(depth=depth)
        case fault.FireDeadMan():
            return actions.ExpireHeartbeat(owner=str(OWNER))
        case _:
            return actions.PutOnFault(fault=_fault(found))


def _fault(found: fault.VenueFault) -> sim.AnyFault:
    match found:
        case fault.DropReport(told=told):
            return sim.DropFrame(event=_EVENTS[told], count=found.count, seconds=found.seconds)
        case fault.DuplicateReport(told=told):
            return sim.DuplicateFrame(event=_EVENTS[told], count=found.count, seconds=found.seconds)
        case fault.DelayReport(told=told, by_seconds=by):
            return sim.DelayFrame(event=_EVENTS[told], by_seconds=by, count=found.count, seconds=found.seconds)
        case fault.ReorderReports(told=told):
            return sim.ReorderFrames(event=_EVENTS[told], count=found.count, seconds=found.seconds)
        case fault.CutBeforeReport(told=told):
            return sim.CutBeforeFrame(event=_EVENTS[told], count=found.count, seconds=found.seconds)
        case fault.FreezeStream():
            return sim.FreezeStreams(count=found.count, seconds=found.seconds)
        case fault.Refuse(asked=asked, how=how):
            method, path = _PATHS[asked]
            common = {"method": method, "path": path, "count": found.count, "seconds": found.seconds}
            return msgspec.convert({"type": "refuse_request", **common, **_REFUSALS[how]}, sim.RefuseRequest)
        case fault.LoseAnswer(asked=asked):
            method, path = _PATHS[asked]
            return sim.LoseReply(method=method, path=path, count=found.count, seconds=found.seconds)
        case fault.FailAfterAccept(asked=asked):
            method, path = _PATHS[asked]
            return sim.FailAfterAccept(method=method, path=path, count=found.count, seconds=found.seconds)
        case fault.DelayAnswer(asked=asked, by_seconds=by):
            method, path = _PATHS[asked]
            return sim.DelayReply(method=method, path=path, by_seconds=by, count=found.count, seconds=found.seconds)
        case fault.DelayRequest(asked=asked, by_seconds=by):
            method, path = _PATHS[asked]
            return sim.DelayRequest(method=method, path=path, by_seconds=by, count=found.count, seconds=found.seconds)
        case fault.HideOrders():
            return sim.NullOrder(count=found.count, seconds=found.seconds)
        case fault.LagLists(by_seconds=by):
            return sim.HideFromLists(lag_seconds=by, count=found.count, seconds=found.seconds)
        case fault.LagPositions(by_seconds=by):
            return sim.LagDataApi(lag_seconds=by, count=found.count, seconds=found.seconds)
        case fault.StaleBalances():
            return sim.StaleBalances(count=found.count, seconds=found.seconds)
        case fault.LagWallet(blocks=blocks):
            return sim.LagNode(blocks=blocks, count=found.count, seconds=found.seconds)
        case fault.StopFinality():
            return sim.StopFinality(count=found.count, seconds=found.seconds)
        case fault.FailSettlement():
            return sim.FailSettlement(count=found.count, seconds=found.seconds)
        case fault.RetrySettlement():
            return sim.RetrySettlement(count=found.count, seconds=found.seconds)
        case fault.StallSettlement():
            return sim.StallSettlement(count=found.count, seconds=found.seconds)
        case fault.SkewVenueClock(ahead_seconds=ahead):
            return sim.SkewClock(ahead_seconds=ahead, count=found.count, seconds=found.seconds)
        case fault.DustSizes():
            return sim.DustSizes(count=found.count, seconds=found.seconds)
        case fault.Reorganise() | fault.FireDeadMan():
            raise AssertionError(found)
        case _:
            assert_never(found)


_REFUSALS: dict[fault.Refusal, dict[str, object]] = {
    fault.Refusal.UNAUTHORIZED: {"kind": "unauthorized"},
    fault.Refusal.TOO_EARLY: {"kind": "restarting"},
    fault.Refusal.RATE_LIMITED: {"kind": "rate_limited"},
    fault.Refusal.SERVER_ERROR: {"kind": "internal_error"},
    fault.Refusal.HTML: {"kind": "html"},
    fault.Refusal.MAINTENANCE: {"kind": "trading_disabled"},
}


def _outcomes(spec: MarketSpec) -> tuple[InstrumentId, InstrumentId]:
    """The two instruments of a market."""
    first, second = (InstrumentId(f"polymarket:{spec.slug}:{outcome}") for outcome in spec.outcomes)
    return first, second


class PolymarketRig:
    """Stands a simulated Polymarket up, with `fund` pUSD in the account's wallet."""

    name = "polymarket"
    account = ACCOUNT
    settlement_asset = CASH

    def __init__(
        self,
        venue: VenueSettings | None = None,
        *,
        markets: Sequence[MarketNeeded] = (),
        surplus_shares_allowed: bool = False,
    ) -> None:
        if venue is None:
            specs = tuple(
                MarketSpec(question=found.question, slug=found.slug, tick_size=found.tick, fee_rate=found.fee_rate)
                for found in markets
            )
            venue = VenueSettings(markets=specs or MARKETS, fund=FULL_FUND if specs else FUND)
        self._venue = venue
        first, second = zip(*(_outcomes(spec) for spec in venue.markets[:2]), strict=True)
        self.instruments: tuple[InstrumentId, ...] = (*first, *second)
        self._surplus_shares_allowed = surplus_shares_allowed

    @asynccontextmanager
    async def open(self, *, epoch_ms: int) -> AsyncIterator[VenueSession]:
        async with running_server(self._venue, epoch_ms=epoch_ms, port=None) as server:
            yield PolymarketSession(server)

    def settings(self) -> AccountSettings:
        return AccountSettings(
            account=ACCOUNT,
            venue=VenueName("polymarket"),
            services=SERVICES,
            markets=tuple(found.slug for found in self._venue.markets if found.slug is not None),
            settlement_asset=CASH,
            risk=RiskLimits(),
        )

    def dialect(self) -> Dialect:
        return PolymarketDialect(
            ACCOUNT, TradingAccount(Signer(KEY), surplus_shares_allowed=self._surplus_shares_allowed)
        )

    def order_body(self, request: HttpRequest) -> bytes | None:
        return request.body if (request.method, request.path) == ("POST", "/order") else None

    def cancelled_orders(self, request: HttpRequest) -> Sequence[VenueOrderId]:
        if (request.method, request.path) == ("DELETE", "/order"):
            return (VenueOrderId(msgspec.json.decode(request.body)["orderID"]),)
        if (request.method, request.path) == ("DELETE", "/orders"):
            return tuple(VenueOrderId(found) for found in msgspec.json.decode(request.body))
        return ()

    def supports(self, fault: fault.VenueFault) -> bool:
        return True
