"""A store with a scripted history of two runs, and the command line run over it.

Run 1 (epoch 1) works the intent rain-1: a fill, a cancel, the end. Run 2 (epoch 2) has a pair with one order that is
unconfirmed and one slice that was never sent, a wallet that differs, alerts, and a fill that settlement reversed.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio
from tallystick.console.cli import app
from tallystick.model.account import AccountState, Reconciliation, SweepTrigger
from tallystick.model.alert import Alert, AlertKind, Severity
from tallystick.model.event import (
    AccountChanged,
    AlertClosed,
    AlertOpened,
    CancelAnswered,
    CancelRequested,
    Event,
    FillRecorded,
    FillSettled,
    InstrumentLearned,
    IntentAccepted,
    IntentEnded,
    IntentRefused,
    OpeningAdopted,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    OrderUnconfirmed,
    ReconciliationEnded,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
    StrategyPaused,
    StreamGap,
    TruthCompared,
)
from tallystick.model.fill import Direction, Execution, Fill, FillKey, FillSource, Liquidity, Settlement
from tallystick.model.identifiers import (
    AccountId,
    AlertId,
    AssetId,
    ClientOrderId,
    InstrumentId,
    IntentId,
    StrategyName,
    SweepId,
    TradeId,
    VenueName,
    VenueOrderId,
    client_order_id,
    salt_of,
)
from tallystick.model.instrument import Instrument, InstrumentKind
from tallystick.model.intent import Intent, PairIntent, PairLeg, Side, TimeInForce
from tallystick.model.money import Cash, Price, Quantity, SignedQuantity
from tallystick.model.order import OrderTerms
from tallystick.model.outcome import CancelConfirmed, Cancelled, Evidence, EvidenceKind
from tallystick.model.report import Holding
from tallystick.model.truth import BookView, Seen, Truth, Unavailable
from tallystick.store import AuditRecord
from tallystick.store import Direction as Way
from tallystick.store.lmdb_store import open_store
from tallystick.store.records import journal_schema
from typer.testing import CliRunner, Result

ACCOUNT = AccountId("polymarket:main")
WEATHER, COAST = StrategyName("weather"), StrategyName("coast")
YES, NO = InstrumentId("polymarket:rain:Yes"), InstrumentId("polymarket:rain:No")
CASH = AssetId("pUSD")
T0_NS = 1_795_000_000_000_000_000
"""2026-11-18 11:06:40 UTC."""
NOON = "2026-11-18T11:06:"
SECOND = 1_000_000_000
API_KEY = "0d7c1c2e-secret-api-key"
SIGNATURE = "0x" + "5e" * 65

RAIN = client_order_id(WEATHER, IntentId("rain-1"), 0, 0, 0)
LONG = client_order_id(WEATHER, IntentId("pair-1"), 0, 0, 0)
SHORT = client_order_id(WEATHER, IntentId("pair-1"), 1, 0, 0)
RAIN_AT_VENUE = VenueOrderId("0x3f9a" + "11" * 30)
LONG_AT_VENUE = VenueOrderId("0x77c0" + "22" * 30)


def at(seconds: float) -> int:
    return T0_NS + round(seconds * SECOND)


def dec(text: str) -> Decimal:
    return Decimal(text)


def instrument(name: InstrumentId, complement: InstrumentId) -> Instrument:
    return Instrument(
        instrument_id=name,
        venue=VenueName("polymarket"),
        venue_symbol="1" if name == YES else "2",
        market="0x" + "5f" * 32,
        kind=InstrumentKind.OUTCOME_SHARE,
        settlement_asset=CASH,
        price_tick=Price(dec("0.01")),
        price_minimum=Price(dec("0.01")),
        price_maximum=Price(dec("0.99")),
        quantity_step=Quantity(dec("0.01")),
        quantity_minimum=Quantity(dec("5")),
        complement=complement,
    )


def terms(order: ClientOrderId, intent: str, leg: int, side: Side, quantity: str, price: str) -> OrderTerms:
    short = side is Side.SELL_SHORT
    return OrderTerms(
        client_order_id=order,
        intent_id=IntentId(intent),
        leg=leg,
        slice_number=0,
        attempt=0,
        strategy=WEATHER,
        account=ACCOUNT,
        instrument=NO if short else YES,
        side=side,
        direction=Direction.BUY,
        price=Price(dec(price)),
        quantity=Quantity(dec(quantity)),
        time_in_force=TimeInForce.GTC,
        expires_at_ns=at(3600),
        expressed_as="purchase of the complement" if short else "",
    )


def fill(
    trade: str, venue_id: VenueOrderId, quantity: str, strategy: StrategyName, order: ClientOrderId | None
) -> Fill:
    return Fill(
        execution=Execution(
            key=FillKey(account=ACCOUNT, trade_id=TradeId(trade), venue_order_id=venue_id),
            instrument=YES,
            direction=Direction.BUY,
            price=Price(dec("0.55")),
            quantity=Quantity(dec(quantity)),
            fee=Cash(dec("0.02")) if order is not None else None,
            fee_asset=CASH,
            liquidity=Liquidity.MAKER,
            settlement=Settlement.MATCHED,
            venue_time_ns=at(1.2),
        ),
        source=FillSource.STREAM,
        received_at_ns=at(1.3),
        client_order_id=order,
        intent_id=None if order is None else IntentId("rain-1"),
        strategy=strategy,
    )


def audit(way: Way, summary: str, body: str, *, channel: str = "rest", seconds: float) -> AuditRecord:
    return AuditRecord(
        direction=way,
        account=ACCOUNT,
        channel=channel,
        at_ns=at(seconds),
        summary=summary,
        body_bytes_redacted=body.encode(),
    )


def evidence(kind: EvidenceKind, detail: str, seconds: float) -> Evidence:
    return Evidence(kind=kind, detail=detail, at_ns=at(seconds))


def book(confirmed: str, matched: str | None = None) -> BookView:
    return BookView(confirmed=SignedQuantity(dec(confirmed)), matched=SignedQuantity(dec(matched or confirmed)))


Moment = tuple[float, Event | AuditRecord]

FIRST_RUN: Sequence[Moment] = (
    (0, RuntimeStarted(build="0.1.0", owner="desk on host-1")),
    (0, InstrumentLearned(instrument=instrument(YES, NO))),
    (0, InstrumentLearned(instrument=instrument(NO, YES))),
    (0.5, AccountChanged(account=ACCOUNT, state=AccountState.LIVE, reason="reconciled")),
    (
        0.5,
        OpeningAdopted(
            account=ACCOUNT,
            holdings=(Holding(asset=CASH, quantity=SignedQuantity(dec("1000"))),),
            by="require_flat",
            stamps=("block 100",),
        ),
    ),
    (
        1,
        IntentAccepted(
            intent=Intent(
                intent_id=IntentId("rain-1"),
                strategy=WEATHER,
                account=ACCOUNT,
                instrument=YES,
                side=Side.BUY,
                quantity=Quantity(dec("10")),
                limit_price=Price(dec("0.55")),
                expires_at_ns=at(3600),
            )
        ),
    ),
    (1, SliceComputed(terms=terms(RAIN, "rain-1", 0, Side.BUY, "10", "0.55"), send_by_ns=at(6))),
    (
        1.001,
        OrderSubmitted(
            client_order_id=RAIN,
            account=ACCOUNT,
            venue_order_id=RAIN_AT_VENUE,
            body=f'{{"owner":"{API_KEY}","signature":"{SIGNATURE}"}}'.encode(),
        ),
    ),
    (1.002, audit(Way.SENT, "POST /order place", f'{{"salt":{salt_of(RAIN)},"owner":"key:1f"}}', seconds=1.002)),
    (1.05, audit(Way.RECEIVED, "POST /order place", f'{{"orderID":"{RAIN_AT_VENUE}"}}', seconds=1.05)),
    (
        1.051,
        OrderAcknowledged(
            client_order_id=RAIN,
            venue_order_id=RAIN_AT_VENUE,
            evidence=evidence(EvidenceKind.PLACE_ANSWER, "live", 1.05),
        ),
    ),
    (
        1.3,
        audit(
            Way.RECEIVED,
            "private stream",
            f'{{"event_type":"trade","id":"t-1","maker_orders":[{{"order_id":"{RAIN_AT_VENUE}"}}]}}',
            channel="stream",
            seconds=1.3,
        ),
    ),
    (1.301, FillRecorded(fill=fill("t-1", RAIN_AT_VENUE, "4", WEATHER, RAIN))),
    (
        4,
        FillSettled(
            key=FillKey(account=ACCOUNT, trade_id=TradeId("t-1"), venue_order_id=RAIN_AT_VENUE),
            settlement=Settlement.CONFIRMED,
            transaction="0xabc",
        ),
    ),
    (10, CancelRequested(client_order_id=RAIN, reason="the strategy asked")),
    (10, audit(Way.SENT, "DELETE /order cancel", f'{{"orderID":"{RAIN_AT_VENUE}"}}', seconds=10)),
    (10.01, audit(Way.SENT, "GET /data/orders open orders", "", seconds=10.01)),
    (10.04, audit(Way.RECEIVED, "GET /data/orders open orders", '{"data":[]}', seconds=10.04)),
    (10.05, audit(Way.RECEIVED, "DELETE /order cancel", f'{{"canceled":["{RAIN_AT_VENUE}"]}}', seconds=10.05)),
    (10.051, CancelAnswered(client_order_id=RAIN, outcome=CancelConfirmed())),
    (
        10.052,
        OrderDone(
            client_order_id=RAIN,
            outcome=Cancelled(filled=Quantity(dec("4"))),
            evidence=evidence(EvidenceKind.CANCEL_ANSWER, "canceled", 10.05),
        ),
    ),
    (
        10.053,
        IntentEnded(strategy=WEATHER, intent_id=IntentId("rain-1"), outcome="cancelled", filled=(Quantity(dec("4")),)),
    ),
    (
        11,
        IntentRefused(
            strategy=WEATHER, intent_id=IntentId("rain-2"), gate="price_band", message="price is 0.99; allowed is 0.6"
        ),
    ),
    (12, RuntimeStopped(reason="asked to stop")),
)

PAIR = PairIntent(
    intent_id=IntentId("pair-1"),
    strategy=WEATHER,
    account=ACCOUNT,
    long=PairLeg(instrument=YES, limit_price=Price(dec("0.50"))),
    short=PairLeg(instrument=YES, limit_price=Price(dec("0.40"))),
    notional=Cash(dec("5")),
    expires_at_ns=at(3600),
)

SECOND_RUN: Sequence[Moment] = (
    (20, RuntimeStarted(build="0.1.0", owner="desk on host-1")),
    (21, AccountChanged(account=ACCOUNT, state=AccountState.LIVE, reason="reconciled")),
    (22, IntentAccepted(intent=PAIR)),
    (22, SliceComputed(terms=terms(LONG, "pair-1", 0, Side.BUY, "10", "0.50"), send_by_ns=at(27))),
    (22, SliceComputed(terms=terms(SHORT, "pair-1", 1, Side.SELL_SHORT, "12.5", "0.60"), send_by_ns=at(27))),
    (
        22.001,
        OrderSubmitted(client_order_id=LONG, account=ACCOUNT, venue_order_id=LONG_AT_VENUE, body=b"signed bytes"),
    ),
    (22.002, audit(Way.SENT, "POST /order place", f'{{"salt":{salt_of(LONG)}}}', seconds=22.002)),
    (32.002, audit(Way.RECEIVED, "POST /order place", "no answer within 10 s", seconds=32.002)),
    (32.003, OrderUnconfirmed(client_order_id=LONG, why="no answer within 10 s")),
    (
        33,
        TruthCompared(
            truth=Truth(
                account=ACCOUNT,
                asset=AssetId(YES),
                book=book("4"),
                venue=Seen(quantity=SignedQuantity(dec("4")), as_of_ns=at(32.9), stamp="received"),
                wallet=Seen(
                    quantity=SignedQuantity(dec("3.5")), as_of_ns=at(32.8), stamp=f"block 120 0x{'5f' * 32} (final)"
                ),
                watermark=2,
                compared_at_ns=at(33),
            )
        ),
    ),
    (
        33,
        TruthCompared(
            truth=Truth(
                account=ACCOUNT,
                asset=CASH,
                book=book("997.78"),
                venue=Unavailable(since_ns=at(31), why="HTTP 503"),
                wallet=Seen(quantity=SignedQuantity(dec("997.78")), as_of_ns=at(32.8), stamp="block 120"),
                watermark=2,
                compared_at_ns=at(33),
            )
        ),
    ),
    (
        34,
        AlertOpened(
            alert=Alert(
                alert_id=AlertId("drift:polymarket:main:polymarket:rain:Yes"),
                kind=AlertKind.DRIFT,
                severity=Severity.CRITICAL,
                message="the wallet holds 0.5 less than the book; weather is paused",
                diagnosis="unexplained",
                evidence=(("book", "4"), ("wallet", "3.5 at block 120")),
                opened_at_ns=at(34),
                account=ACCOUNT,
                strategy=WEATHER,
                instrument=YES,
            )
        ),
    ),
    (34, StrategyPaused(strategy=WEATHER, reason="drift of polymarket:rain:Yes")),
    (
        35,
        AlertOpened(
            alert=Alert(
                alert_id=AlertId("unconfirmed:1"),
                kind=AlertKind.ORDER_UNCONFIRMED,
                severity=Severity.WARNING,
                message="an order is unconfirmed",
                diagnosis="",
                evidence=(("order", LONG),),
                opened_at_ns=at(35),
                account=ACCOUNT,
            )
        ),
    ),
    (
        36,
        AlertClosed(alert_id=AlertId("unconfirmed:1"), state="resolved", by="ada", evidence=(("note", "asked venue"),)),
    ),
    (37, FillRecorded(fill=fill("t-2", VenueOrderId("0xf0"), "2", COAST, None))),
    (
        38,
        FillSettled(
            key=FillKey(account=ACCOUNT, trade_id=TradeId("t-2"), venue_order_id=VenueOrderId("0xf0")),
            settlement=Settlement.REVERSED,
            transaction="0xdef",
        ),
    ),
    (39, StreamGap(account=ACCOUNT, from_ns=at(38), until_ns=at(38.5), reason="\x1b[31mthe peer closed\x1b[0m")),
    (
        40,
        ReconciliationEnded(
            record=Reconciliation(
                sweep_id=SweepId("s-1"),
                account=ACCOUNT,
                trigger=SweepTrigger.STREAM_RESTART,
                started_at_ns=at(39),
                ended_at_ns=at(39.25),
                fills_since_ns=at(0),
                fill_pages=1,
                fills_seen=1,
                fills_recovered=(),
                order_pages=1,
                orders_open_at_venue=0,
                orders_queried=1,
                orders_corrected=(),
                foreign_orders=0,
                rows_refused=0,
                complete=False,
                why="GET /data/trades answered 503",
            )
        ),
    ),
)


async def write(path: Path, runs: Sequence[Sequence[Moment]]) -> None:
    """Make a store at a path, one epoch a run."""
    for run in runs:
        async with open_store(path, journal_schema(), durability="process", owner="desk") as store:
            for seconds, event in run:
                store.append(event, at_ns=at(seconds))


def make_store(path: Path, *runs: Sequence[Moment]) -> Path:
    """A stopped store with these runs in it, by default both."""
    trio.run(write, path, runs or (FIRST_RUN, SECOND_RUN))
    return path


def run(*arguments: str | Path, code: int = 0, **environment: str) -> Result:
    """Run the command line in this process; its exit code must be as said."""
    variables = {"TALLYSTICK_STORE": None, "COLUMNS": "250", **environment}
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=variables)
    if result.exit_code != code:
        raise AssertionError(f"exit code {result.exit_code}: {result.output}") from result.exception
    return result


def run_json(*arguments: str | Path, code: int = 0) -> Any:
    """The document that a command prints with --json; nothing else may be on stdout or stderr."""
    result = run(*arguments, "--json", code=code)
    assert result.stderr == ""
    return json.loads(result.stdout)


def words(text: str) -> list[str]:
    """Lines of a table with runs of blanks made one, so that widths of columns are not part of what is expected."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
