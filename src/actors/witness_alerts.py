"""What a person is told about position truth: drifts, recovered exits, views and settlements that fail."""

from collections.abc import Sequence
from decimal import Decimal

from ..model.alert import Alert, AlertKind, Severity
from ..model.fill import Execution, Fill
from ..model.identifiers import AccountId, AlertId, AssetId
from ..model.money import EXACT, ZERO, SignedQuantity, plain
from ..model.timestamps import rfc3339
from ..model.truth import Absent, Diagnosis, Seen, Truth, Unavailable, View
from .fill_log import stalled_alert_id

NOTHING = SignedQuantity(ZERO)

_WHERE = {
    Diagnosis.VENUE_VIEW_STALE: "the wallet agrees with the book, the venue's view is behind",
    Diagnosis.POSITION_VANISHED: "the book holds it and no view does, and the venue's history has no exit of it",
    Diagnosis.POSITION_UNEXPECTED: "the book knows nothing of it; it is left alone",
    Diagnosis.WALLET_DIFFERS: "book and venue agree, so what the venue calls settled did not reach the wallet",
}
DIFFERENCE = "difference"
"""The evidence by which a drift that was told is recognised, also by the next process."""


def drift_id(account: AccountId, asset: AssetId) -> AlertId:
    return AlertId(f"drift:{account}:{asset}")


def opening_id(account: AccountId) -> AlertId:
    return AlertId(f"opening:{account}")


def unavailable_id(account: AccountId, view: str) -> AlertId:
    return AlertId(f"view_unavailable:{account}:{view}")


def difference_text(truth: Truth) -> str:
    """How far each view is outside the book, in words."""
    return ", ".join(f"{part.view} {plain(part.amount)}" for part in truth.differences)


def drift_alert(truth: Truth, diagnosis: Diagnosis, now_ns: int, *, ledger_unread: str) -> Alert:
    """A difference that settled, and of which no cause was found."""
    stale = diagnosis is Diagnosis.VENUE_VIEW_STALE
    where = _WHERE.get(diagnosis, "no cause was found")
    happens = "" if stale else "; the strategies of the account are paused, nothing is corrected"
    unread = (("transfers", f"could not be read: {ledger_unread}"),) if ledger_unread else ()
    return Alert(
        alert_id=drift_id(truth.account, truth.asset),
        kind=AlertKind.DRIFT,
        severity=Severity.WARNING if stale else Severity.CRITICAL,
        message=(f"{truth.account}: {truth.asset} differs from the book by {difference_text(truth)}; {where}{happens}"),
        diagnosis=diagnosis,
        evidence=((DIFFERENCE, difference_text(truth)), *truth_evidence(truth), *unread),
        opened_at_ns=now_ns,
        account=truth.account,
    )


def exit_alert(truth: Truth, exits: Sequence[Execution], now_ns: int) -> Alert:
    """The book held what was flat everywhere; what closed it was found, and is booked as what it was."""
    closed = sum((EXACT.multiply(found.quantity, found.direction.sign) for found in exits), Decimal(0))
    left = EXACT.add(truth.book.matched, closed)
    last = exits[-1].key
    rest = "" if not left else f"; {plain(left)} of it remain unexplained"
    return Alert(
        alert_id=AlertId(f"exit_recovered:{truth.account}:{last.trade_id}:{last.venue_order_id}"),
        kind=AlertKind.EXIT_RECOVERED,
        severity=Severity.CRITICAL,
        message=(
            f"{truth.account}: the book held {plain(truth.book.matched)} {truth.asset}, which is flat at the venue; "
            f"its real exit was found in the venue's history and is booked{rest}"
        ),
        diagnosis=Diagnosis.EXIT_RECOVERED,
        evidence=(
            *truth_evidence(truth),
            *(
                (
                    f"trade {found.key.trade_id}",
                    (
                        f"{found.direction} {plain(found.quantity)} at {plain(found.price)}, "
                        f"{rfc3339(found.venue_time_ns)}, order {found.key.venue_order_id}"
                    ),
                )
                for found in exits
            ),
        ),
        opened_at_ns=now_ns,
        account=truth.account,
        instrument=exits[-1].instrument,
    )


def opening_alert(
    account: AccountId,
    why: str,
    venue: dict[AssetId, SignedQuantity],
    wallet: dict[AssetId, SignedQuantity],
    now_ns: int,
) -> Alert:
    """An account with holdings that nothing may take as its baseline."""
    return Alert(
        alert_id=opening_id(account),
        kind=AlertKind.DRIFT,
        severity=Severity.CRITICAL,
        message=(
            f"{account}: what the account holds cannot be taken as the opening ({why}); it stays out of Live "
            "until an operator adopts it (tallystick adopt)"
        ),
        diagnosis="opening",
        evidence=tuple(
            (asset, f"venue {plain(venue.get(asset, NOTHING))}, wallet {plain(wallet.get(asset, NOTHING))}")
            for asset in sorted({*venue, *wallet})
        ),
        opened_at_ns=now_ns,
        account=account,
    )


def unavailable_alert(account: AccountId, view: str, since_ns: int, why: str, now_ns: int) -> Alert:
    """A view that could not be read for too long."""
    waited_seconds = (now_ns - since_ns) / 1e9
    return Alert(
        alert_id=unavailable_id(account, view),
        kind=AlertKind.VIEW_UNAVAILABLE,
        severity=Severity.WARNING,
        message=(
            f"{account}: the {view} could not be read for {waited_seconds:.0f} s; it is unknown, not zero, and the "
            "other views go on being compared"
        ),
        diagnosis="",
        evidence=(("since", rfc3339(since_ns)), ("last failure", why)),
        opened_at_ns=now_ns,
        account=account,
    )


def stalled_alert(fill: Fill, now_ns: int) -> Alert:
    """A match that has not settled for too long."""
    execution = fill.execution
    key = execution.key
    waited_seconds = (now_ns - execution.venue_time_ns) / 1e9
    return Alert(
        alert_id=stalled_alert_id(key),
        kind=AlertKind.SETTLEMENT_STALLED,
        severity=Severity.WARNING,
        message=(
            f"{key.account}: trade {key.trade_id} was matched {waited_seconds:.0f} s ago and is still "
            f"{execution.settlement}; its {plain(execution.quantity)} {execution.instrument} may yet be reversed"
        ),
        diagnosis="",
        evidence=(
            ("trade", key.trade_id),
            ("order", fill.client_order_id or key.venue_order_id),
            ("execution", f"{execution.direction} {plain(execution.quantity)} at {plain(execution.price)}"),
            ("settlement", execution.settlement),
            ("transaction", execution.transaction),
        ),
        opened_at_ns=now_ns,
        account=key.account,
    )


def truth_evidence(truth: Truth) -> tuple[tuple[str, str], ...]:
    """The three views side by side, as a person wants to read them."""

    def text(view: View) -> str:
        match view:
            case Seen():
                return f"{plain(view.quantity)} ({view.stamp})"
            case Unavailable():
                return f"unavailable since {view.since_ns}: {view.why}"
            case Absent():
                return "no such view"

    book = plain(truth.book.confirmed)
    if not truth.book.is_quiet:
        book = f"{book} settled, {plain(truth.book.matched)} matched"
    return (
        ("asset", truth.asset),
        ("book", book),
        ("venue", text(truth.venue)),
        ("wallet", text(truth.wallet)),
        ("watermark", str(truth.watermark)),
    )
