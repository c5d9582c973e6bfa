"""What operators' commands do to the ledger: they close, hold back and adopt, and never make a fill or a position."""

from decimal import Decimal
from typing import get_args

import msgspec
import pytest
from tallystick.model.alert import Alert, AlertKind, AlertState, Severity
from tallystick.model.event import (
    AlertAcknowledged,
    AlertClosed,
    AlertOpened,
    Event,
    HoldingAdopted,
    OperatorCommanded,
    StrategyPaused,
    StrategyResumed,
)
from tallystick.model.identifiers import AlertId, AssetId, CommandId
from tallystick.model.ledger import Ledger
from tallystick.model.money import SignedQuantity
from tallystick.model.operator import Command, Operator, ResolveAlert, described
from tallystick.model.truth import Absent, BookView, Seen, Truth

from .examples import ACCOUNT, CASH, NOW_NS, RAIN, STRATEGY

ADA = Operator(uid=1000, user="ada")
DRIFT = AlertId("drift:1")


def alert() -> Alert:
    return Alert(
        alert_id=DRIFT,
        kind=AlertKind.DRIFT,
        severity=Severity.CRITICAL,
        message="the wallet holds less",
        diagnosis="unexplained",
        evidence=(),
        opened_at_ns=NOW_NS,
        account=ACCOUNT,
    )


def adopted(quantity: str, asset: AssetId = CASH) -> HoldingAdopted:
    amount = SignedQuantity(Decimal(quantity))
    seen = Seen(quantity=amount, as_of_ns=NOW_NS, stamp="page 1")
    nothing = BookView(confirmed=SignedQuantity(Decimal(0)), matched=SignedQuantity(Decimal(0)))
    truth = Truth(
        account=ACCOUNT, asset=asset, book=nothing, venue=seen, wallet=Absent(), watermark=0, compared_at_ns=NOW_NS
    )
    return HoldingAdopted(
        command_id=CommandId("c-1"),
        account=ACCOUNT,
        asset=asset,
        quantity=amount,
        truth=truth,
        by=str(ADA),
        note="moved in by hand",
    )


def folded(*events: Event, keep_ended: bool = False) -> Ledger:
    ledger = Ledger(keep_ended=keep_ended)
    for event in events:
        ledger.apply(event, NOW_NS)
    return ledger


def test_an_adopted_holding_changes_the_book_and_no_position_and_no_watermark() -> None:
    ledger = folded(adopted("5", AssetId(RAIN)), adopted("-2", AssetId(RAIN)))
    book = ledger.book(ACCOUNT, AssetId(RAIN))
    assert book.matched == book.confirmed == Decimal(3)
    assert book.is_quiet
    assert ledger.positions == {}
    assert ledger.account(ACCOUNT).fills == 0
    assert not ledger.account(ACCOUNT).opened


def test_a_command_by_itself_changes_nothing() -> None:
    command = OperatorCommanded(
        command_id=CommandId("c-1"), operator=ADA, command=ResolveAlert(alert_id=DRIFT), note="done", at_ns=NOW_NS
    )
    before = folded(AlertOpened(alert=alert()))
    after = folded(AlertOpened(alert=alert()), command)
    assert after.freeze() == before.freeze()


def test_an_acknowledged_alert_stays_open_until_it_is_closed() -> None:
    acknowledged = AlertAcknowledged(alert_id=DRIFT, by=str(ADA), note="")
    ledger = folded(AlertOpened(alert=alert()), acknowledged, keep_ended=True)
    assert ledger.alerts[DRIFT].state is AlertState.ACKNOWLEDGED
    assert ledger.alerts[DRIFT].state.is_open
    ledger.apply(AlertClosed(alert_id=DRIFT, state=AlertState.RESOLVED, by=str(ADA)), NOW_NS + 1)
    ledger.apply(acknowledged, NOW_NS + 2)
    assert ledger.alerts[DRIFT].state is AlertState.RESOLVED, "a late acknowledgement opens nothing again"


def test_what_an_operator_did_survives_a_snapshot() -> None:
    ledger = folded(
        AlertOpened(alert=alert()),
        AlertAcknowledged(alert_id=DRIFT, by=str(ADA), note=""),
        StrategyPaused(strategy=STRATEGY, reason="drift"),
        adopted("5"),
    )
    thawed = Ledger.thaw(ledger.freeze())
    assert thawed.alerts == ledger.alerts
    assert thawed.holdings == ledger.holdings
    thawed.apply(StrategyResumed(strategy=STRATEGY, by=str(ADA)), NOW_NS)
    assert thawed.strategy(STRATEGY).paused is None


@pytest.mark.parametrize("kind", get_args(Command), ids=lambda kind: kind.__name__)
def test_every_command_has_words_and_travels_as_json(kind: type[msgspec.Struct]) -> None:
    fields = {name: "x" for name in kind.__struct_fields__ if name not in {"halt", "since_ns"}}
    command = kind(**fields)
    assert described(command)  # type: ignore[arg-type]  # one of the union
    decoded: Command = msgspec.json.decode(msgspec.json.encode(command), type=Command)
    assert decoded == command


def test_the_name_of_an_operator_says_what_is_only_claimed() -> None:
    assert str(ADA) == "ada (uid 1000)"
    assert str(Operator(uid=999, user="tallystick", claimed="ada")) == "tallystick (uid 999, who says to be ada)"
