"""What an operator is told to do about an alert: for every kind, a command, and the right one."""

import msgspec
import pytest
from tallystick.console.next_steps import next_step
from tallystick.model.alert import Alert, AlertKind, AlertState, Severity
from tallystick.model.identifiers import AccountId, AlertId, StrategyName
from tallystick.model.truth import Diagnosis


def alert(kind: AlertKind, diagnosis: str = "", **changes: object) -> Alert:
    found = Alert(
        alert_id=AlertId("drift:polymarket:main:pUSD"),
        kind=kind,
        severity=Severity.CRITICAL,
        message="something",
        diagnosis=diagnosis,
        evidence=(("order", "rain-1.0.0.0-5c7e"),),
        opened_at_ns=1,
        account=AccountId("polymarket:main"),
        strategy=StrategyName("weather"),
    )
    return msgspec.structs.replace(found, **changes)


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_of_alert_has_a_next_step_and_a_closed_one_has_none(kind: AlertKind) -> None:
    assert next_step(alert(kind))
    assert next_step(alert(kind, state=AlertState.ACKNOWLEDGED))
    assert not next_step(alert(kind, state=AlertState.RESOLVED))


def test_a_transfer_is_booked_and_so_resolved_and_not_adopted() -> None:
    said = next_step(alert(AlertKind.DRIFT, Diagnosis.TRANSFER))
    assert "tallystick alerts resolve STORE drift:polymarket:main:pUSD --note" in said
    assert "tallystick resume STORE weather" in said
    assert "adopt" not in said


def test_a_difference_without_a_cause_is_reconciled_first_and_adopted_then() -> None:
    said = next_step(alert(AlertKind.DRIFT, Diagnosis.UNEXPLAINED))
    assert said.index("reconcile STORE polymarket:main") < said.index("adopt STORE polymarket:main pUSD")


def test_an_opening_is_adopted() -> None:
    assert "adopt STORE polymarket:main ASSET" in next_step(alert(AlertKind.DRIFT, "opening"))


def test_an_order_that_stays_unconfirmed_can_be_ended_by_its_id() -> None:
    assert "order end STORE rain-1.0.0.0-5c7e --evidence" in next_step(alert(AlertKind.ORDER_UNCONFIRMED))
