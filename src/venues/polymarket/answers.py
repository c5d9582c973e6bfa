"""Answers to requests about orders, trades, balances and keys.

A `read_*` function takes whatever came back and returns a value: the decoded answer, the venue's verdict on an
order, or `Unreadable`. Rows of a list that cannot be read are returned beside those that can.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from ...model.identifiers import TradeId, VenueOrderId
from ...model.outcome import CancelConfirmed, CancelOutcome, CancelUnknown, PlaceAccepted, PlaceOutcome, PlaceUnknown
from ...model.report import OrderNotFound, Unreadable, Unrecognised
from ...model.value import Value
from ..evm.address import Address
from ..port import Answer, Reply
from . import wire
from .amounts import from_base_units
from .decoding import (
    Malformed,
    is_success,
    read_answer,
    read_rows,
    typed,
)
from .errors import Complaint, cancel_failure, cancel_reason, complaint_failure, malformed, place_failure, unreadable
from .ledger import TradeReading, VenueOrder, read_order, read_trade
from .orders import ApiKey, OrderHash
from .requests import is_plain_text
from .times import TimeUnreadable, nanoseconds

LAST_PAGE_CURSORS = ("LTE=", "")
_UNMATCHED = "unmatched"
_KNOWN_PLACEMENTS = {"live", "matched", "delayed", ""}

Row = TypeVar("Row")


class Rows(msgspec.Struct, Generic[Row], frozen=True):
    """One page of a list: rows read, rows refused, and the cursor of the next page or None."""

    rows: tuple[Row, ...]
    refused: tuple[Unrecognised, ...]
    next_cursor: str | None


# ---- placing ----------------------------------------------------------------------------------------------


def read_place(reply: Reply, expected: OrderHash, *, unauthorised_before: int = 0) -> PlaceOutcome:
    """Return what became of an order that was sent, by the answer alone."""
    if not isinstance(reply, Answer) or not is_success(reply):
        return place_failure(reply, unauthorised_before=unauthorised_before)
    try:
        return _placed(typed(reply.body, wire.Placed), expected)
    except Malformed as problem:
        return PlaceUnknown(text=malformed(reply, str(problem)).why)


def read_place_batch(reply: Reply, expected: Sequence[OrderHash]) -> tuple[PlaceOutcome, ...]:
    """Return one outcome for each order of a batch, in the order they were sent.

    Answers stand in the order of the legs. Where their number differs, an accepted leg is found by its order
    id, and whatever cannot be assigned is unknown.
    """
    if not isinstance(reply, Answer) or not is_success(reply):
        return (place_failure(reply),) * len(expected)
    try:
        legs = typed(reply.body, list[wire.Placed])
    except Malformed as problem:
        return (PlaceUnknown(text=malformed(reply, str(problem)).why),) * len(expected)
    if len(legs) == len(expected):
        return tuple(_placed(leg, wanted) for leg, wanted in zip(legs, expected, strict=True))
    found = {(leg.order_id or "").lower(): leg for leg in legs}
    lost = PlaceUnknown(text=f"{len(expected)} orders were sent and {len(legs)} answers came")
    return tuple(_placed(found[wanted], wanted) if wanted in found else lost for wanted in expected)


def _placed(answer: wire.Placed, expected: OrderHash) -> PlaceOutcome:
    complaint = (answer.error_message or answer.error or "").strip()
    if complaint:
        return complaint_failure(Complaint(text=complaint))
    found = (answer.order_id or "").lower()
    status = (answer.status or "").strip().lower()
    if answer.success is not True or not found:
        return PlaceUnknown(text=f"neither accepted nor refused: success {answer.success}, status {status!r}")
    if found != expected:
        return PlaceUnknown(text=f"the answer is about order {found[:80]}, sent was {expected}")
    if status == _UNMATCHED:
        # The documents call this a success and one official client a rejection; only the order itself can tell.
        return PlaceUnknown(text="unmatched: the delayed match did not happen; the order may rest or be gone")
    if status not in _KNOWN_PLACEMENTS:
        return PlaceUnknown(text=f"unknown placement status {status[:40]!r}")
    return PlaceAccepted(
        venue_order_id=VenueOrderId(found),
        status=status,
        resting=True,
        trades=tuple(TradeId(trade) for trade in answer.trade_ids or ()),
    )


# ---- cancelling -------------------------------------------------------------------------------------------


class Cancellations(Value, frozen=True):
    """Orders that a request took off the book, and the outcome for each that it did not."""

    cancelled: tuple[OrderHash, ...]
    others: tuple[tuple[OrderHash, CancelOutcome], ...]


def read_cancellations(reply: Reply) -> Cancellations | Unreadable:
    """Return what a cancel of many orders did to each that it names."""
    return read_answer(reply, _cancellations)


def read_cancel(reply: Reply, order: OrderHash) -> CancelOutcome:
    """Return what became of the cancel of one order."""
    if not isinstance(reply, Answer) or not is_success(reply):
        return cancel_failure(reply)
    try:
        found = _cancellations(reply.body)
    except Malformed as problem:
        return CancelUnknown(text=malformed(reply, str(problem)).why)
    if order in found.cancelled:
        return CancelConfirmed()
    return dict(found.others).get(order, CancelUnknown(text="the answer does not mention the order"))


def _cancellations(body: bytes) -> Cancellations:
    found = typed(body, wire.Cancellations)
    if found.canceled is None and found.not_canceled is None:
        raise Malformed("neither canceled nor not_canceled is there")
    return Cancellations(
        cancelled=tuple(OrderHash(order.lower()) for order in found.canceled or ()),
        others=tuple(
            (OrderHash(order.lower()), cancel_reason(reason or ""))
            for order, reason in (found.not_canceled or {}).items()
        ),
    )


# ---- orders and trades ------------------------------------------------------------------------------------


def read_one_order(
    reply: Reply, expected: OrderHash, *, sent_shares: Decimal | None = None
) -> VenueOrder | OrderNotFound | Unreadable:
    """Return an order that was asked for by its id.

    A null answer and a 404 both mean that the venue does not show the order now. UNKNOWN (polymarket.md section
    19): which of the two an unknown id gets, and for how long ended orders are kept. So neither proves that the
    order never existed.
    """
    if isinstance(reply, Answer):
        if reply.status == 404:
            return OrderNotFound(text=unreadable(reply).why, proves_absence=False)
        if is_success(reply) and reply.body.strip() in (b"", b"null", b"{}"):
            return OrderNotFound(text=f"HTTP {reply.status} with an empty answer", proves_absence=False)
    found = read_answer(reply, lambda body: read_order(body, sent_shares=sent_shares))
    if isinstance(found, VenueOrder) and found.order_id != expected:
        return Unreadable(why=f"asked for order {expected}, got {found.order_id[:80]}")
    return found


def read_orders_page(reply: Reply) -> Rows[VenueOrder] | Unreadable:
    """Return a page of open orders."""
    return read_answer(reply, lambda body: _page(body, read_order))


def read_trades_page(reply: Reply, *, api_key: ApiKey, wallet: Address) -> Rows[TradeReading] | Unreadable:
    """Return a page of trades, each with the fills that it means for this account."""
    return read_answer(reply, lambda body: _page(body, lambda row: read_trade(row, api_key=api_key, wallet=wallet)))


def _page(body: bytes, read: Callable[[bytes | str | msgspec.Raw], Row]) -> Rows[Row]:
    # The older interface answered a bare list without pages.
    bare = body.lstrip()[:1] == b"["
    page = wire.Page(data=typed(body, list[msgspec.Raw])) if bare else typed(body, wire.Page)
    rows, refused = read_rows(page.data, read, about_account=True)
    cursor = None if page.next_cursor in LAST_PAGE_CURSORS else page.next_cursor
    return Rows(rows=rows, refused=refused, next_cursor=cursor)


# ---- balances, heartbeat, clock ---------------------------------------------------------------------------


class BalanceReading(Value, frozen=True):
    """The venue's cached reading of one balance, in whole units (pUSD or shares), and what it may spend of it."""

    balance: Decimal
    allowances: tuple[tuple[str, int], ...]


def read_balance(reply: Reply) -> BalanceReading | Unreadable:
    """Return a balance-allowance answer, in the present shape or the older one with a single allowance."""
    return read_answer(reply, _balance)


def _balance(body: bytes) -> BalanceReading:
    found = typed(body, wire.BalanceAllowance)
    allowances = dict(found.allowances or {})
    if found.allowance is not None:
        allowances.setdefault("", found.allowance)
    return BalanceReading(
        balance=from_base_units(_units(found.balance, "balance")),
        allowances=tuple((spender, _units(units, "allowance")) for spender, units in allowances.items()),
    )


def _units(found: str | int, field: str) -> int:
    text = str(found)
    if not (text.isascii() and text.isdigit() and len(text) <= 78):
        raise Malformed(f"{field}: expected base units, found {text[:40]!r}")
    return int(text)


def read_heartbeat(reply: Reply) -> str | Unreadable:
    """Return the id that the next heartbeat must carry, also where a mismatch names the expected one."""
    if not isinstance(reply, Answer) or not (is_success(reply) or reply.status == 400):
        return unreadable(reply)
    try:
        found = typed(reply.body, wire.HeartbeatAnswer).heartbeat_id
    except Malformed as problem:
        return malformed(reply, str(problem))
    if found is None or (not found and reply.status == 400):
        return unreadable(reply) if reply.status == 400 else malformed(reply, "there is no heartbeat_id")
    if not is_plain_text(found) or len(found) > 200:
        return malformed(reply, "the heartbeat_id holds characters that a request's body must not hold")
    return found


def read_server_time(reply: Reply) -> int | Unreadable:
    """Return the venue's clock in UTC nanoseconds, from a bare number or an object."""
    return read_answer(reply, _server_time)


def _server_time(body: bytes) -> int:
    found = typed(body, wire.TimeAnswer | str | int | float)  # type: ignore[arg-type]  # a union is a decodable shape
    value = (found.time or found.timestamp) if isinstance(found, wire.TimeAnswer) else found
    try:
        return nanoseconds("" if value is None else value)
    except (TimeUnreadable, ArithmeticError) as problem:
        raise Malformed(str(problem)) from None


def read_version(reply: Reply) -> int | Unreadable:
    """Return which version of orders the exchange takes."""
    return read_answer(reply, lambda body: typed(body, wire.VersionAnswer).version)


# ---- keys -------------------------------------------------------------------------------------------------


def read_api_credentials(reply: Reply) -> wire.ApiCredentials | Unreadable:
    """Return the credentials of a created or derived API key.

    A failure to read them never quotes the body: it may hold the secret.
    """
    if not isinstance(reply, Answer) or not is_success(reply):
        return unreadable(reply)
    try:
        return typed(reply.body, wire.ApiCredentials)
    except Malformed:
        return Unreadable(why="the answer holds no usable API credentials", status=reply.status)


def read_api_keys(reply: Reply) -> tuple[ApiKey, ...] | Unreadable:
    """Return the API keys of the account, listed as texts or as objects with an apiKey."""
    return read_answer(reply, _api_keys)


def _api_keys(body: bytes) -> tuple[ApiKey, ...]:
    rows = typed(body, wire.ApiKeyList).api_keys
    keys: list[ApiKey] = []
    for row in rows:
        try:
            keys.append(ApiKey(typed(row, str)))
        except Malformed:
            keys.append(ApiKey(typed(row, wire.ApiKeyName).api_key))
    return tuple(keys)


def read_closed_only(reply: Reply) -> bool | Unreadable:
    """Return whether the venue lets this account only close positions."""
    return read_answer(reply, lambda body: typed(body, wire.ClosedOnly).closed_only)
