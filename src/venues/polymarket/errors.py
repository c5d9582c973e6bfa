"""The venue's refusals in four classes: refused for good, done already, try again, and nobody knows.

polymarket.md section 15. The rule that keeps money safe: whatever is not in the table is an unknown outcome and
never a rejection. A rejection is believed only from an answer that the venue gives before it acts (400, 401,
403, 404, or one leg of a batch); the same words in a 5xx answer prove nothing.
"""

import re
from decimal import Decimal
from enum import Enum

import msgspec

from ...model.outcome import (
    CancelAlreadyCancelled,
    CancelAlreadyFilled,
    CancelOutcome,
    CancelRefused,
    CancelUnknown,
    PlaceDuplicate,
    PlaceRejected,
    PlaceRetry,
    PlaceUnknown,
)
from ...model.report import Unreadable
from ...model.value import Value
from ..port import Answer, Reply, TransportFailure
from .redaction import excerpt

PlaceFailure = PlaceRejected | PlaceDuplicate | PlaceRetry | PlaceUnknown

UNAUTHORISED_RETRIES = 2
"""Sporadic 401 answers that pass on the next attempt were reported through the winter of 2025: two more tries,
each freshly stamped, before the key counts as dead."""

WAIT_SECONDS_MAXIMUM = 600.0
_WAIT_SECONDS = {
    "rate_limited": 10.0,
    "matching_engine_restart": 10.0,
    "post_only_mode": 30.0,
    "trading_disabled": 30.0,
    "cancel_only_mode": 30.0,
    "unauthorised": 1.0,
}


class _Kind(Enum):
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    RETRY = "retry"
    UNKNOWN = "unknown"


class _Rule(Value, frozen=True):
    kind: _Kind
    code: str
    needle: str


def _rules(kind: _Kind, **needles: str) -> tuple[_Rule, ...]:
    return tuple(_Rule(kind=kind, code=code, needle=needle) for code, needle in needles.items())


# Read from the top; the first needle that the lower-cased text contains decides. The venue rewords post-only and
# tick messages from time to time, so needles are the parts that stayed.
_TABLE: tuple[_Rule, ...] = (
    *_rules(
        _Kind.UNKNOWN,
        match_delayed="order match delayed",
        insert_failed="could not insert order",
        execution_failed="could not run the execution",
        price_discrepancy="discrepancy",
        rounding="rounding",
    ),
    *_rules(_Kind.DUPLICATE, duplicate="duplicated"),
    *_rules(
        _Kind.RETRY,
        post_only_mode="post-only mode",
        trading_disabled="trading is currently disabled",
        cancel_only_mode="trading is currently cancel-only",
        rate_limited="rate limit exceeded",
    ),
    *_rules(
        _Kind.REJECTED,
        invalid_payload="invalid order payload",
        owner_not_key_owner="order owner has to be the owner of the api key",
        # UNKNOWN: since when the venue accepts deposit wallets as signers under a key of their owner. Where it
        # does not, this is a matter of configuration, and repeating the order changes nothing.
        signer_not_key_address="order signer address has to be the address of the api key",
        deposit_wallet_required="maker address not allowed",
        invalid_signature="invalid signature",
        order_version_mismatch="order_version_mismatch",
        address_banned="address banned",
        closed_only_mode="closed only mode",
        post_only_would_cross="order crosses book",
        off_tick="minimum tick size rule",
        below_minimum_size="lower than the minimum",
        # Seen in public reports until 2026-07 for FAK and FOK, whose cash may have two decimals only.
        invalid_amounts="invalid amounts",
        balance_not_enough="the balance is not enough",
        allowance_not_enough="the allowance is not enough",
        balance_or_allowance_not_enough="not enough balance / allowance",
        invalid_expiration="invalid expiration",
        invalid_nonce="invalid nonce",
        cancelled_on_chain="order canceled in the ctf exchange contract",
        fok_not_filled="fok orders are fully filled or killed",
        fak_not_filled="no orders found to match with fak order",
        market_not_ready="the market is not yet ready",
        too_many_orders="too many orders in payload",
        no_order_book="no orderbook exists",
    ),
)

_UNAUTHORISED = ("invalid api key", "invalid l1 request headers", "unauthorized")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class Complaint(Value, frozen=True):
    """What an error answer says, whatever its form was."""

    text: str
    code: str = ""
    retry_after_seconds: float | None = None


class _ErrorBody(msgspec.Struct):
    error: str | None = None
    error_message: str | None = msgspec.field(default=None, name="errorMsg")
    error_msg: str | None = None
    message: str | None = None
    code: str | int | None = None
    retry_after_seconds: float | str | None = None


def read_complaint(body: bytes) -> Complaint:
    """Return the text of an error body: JSON in any of the venue's shapes, HTML, or plain text."""
    stripped = body.strip()
    if not stripped:
        return Complaint(text="(empty body)")
    try:
        found = msgspec.json.decode(stripped, type=_ErrorBody | str)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = excerpt(stripped)
        title = _TITLE.search(text)
        return Complaint(text=f"HTML page: {title.group(1).strip()}" if title else text)
    if isinstance(found, str):
        return Complaint(text=excerpt(found))
    text = found.error or found.error_message or found.error_msg or found.message or ""
    return Complaint(
        text=excerpt(text) if text else excerpt(stripped),
        code=str(found.code or "")[:60],
        retry_after_seconds=_seconds(found.retry_after_seconds),
    )


def place_failure(reply: Reply, *, unauthorised_before: int = 0) -> PlaceFailure:
    """Return what a reply other than a success says about an order that was sent.

    `unauthorised_before` counts earlier 401 answers to this same order. A transport failure before the first
    byte left is safe to repeat; any other is an unknown outcome.
    """
    if isinstance(reply, TransportFailure):
        if reply.sent:
            return PlaceUnknown(text=f"no answer: {reply.why}")
        return PlaceRetry(code="not_sent", text=f"nothing was sent: {reply.why}", wait_seconds=0.0)
    complaint = read_complaint(reply.body)
    text = f"HTTP {reply.status}: {complaint.text}"
    wait = _advised_wait(reply, complaint)
    match reply.status:
        case 429:
            return _retry("rate_limited", text, wait)
        case 425:
            return _retry("matching_engine_restart", text, wait)
        case 401:
            return _unauthorised(complaint, text, wait, unauthorised_before)
        case 403:
            return PlaceRejected(code="access_forbidden", text=text)
        case 404 if "not found" in complaint.text.lower():
            return PlaceRejected(code="not_found", text=text)
        case 400 | 404:
            return complaint_failure(complaint, text=text, wait_seconds=wait)
        case 503:
            verdict = complaint_failure(complaint, text=text, wait_seconds=wait)
            return verdict if isinstance(verdict, PlaceRetry) else PlaceUnknown(text=text)
        case _:
            return PlaceUnknown(text=text)


def complaint_failure(
    complaint: Complaint, *, text: str | None = None, wait_seconds: float | None = None
) -> PlaceFailure:
    """Return what the venue's words alone say about an order: one leg of a batch, or a 400."""
    shown = complaint.text if text is None else text
    lower = f"{complaint.text} {complaint.code}".lower().replace("post_only_mode", "post-only mode")
    for rule in _TABLE:
        if rule.needle in lower:
            return _verdict(rule, shown, wait_seconds)
    return PlaceUnknown(text=f"not in the table of known refusals: {shown}")


def cancel_failure(reply: Reply) -> CancelOutcome:
    """Return what a reply other than a success says about a cancel: it was refused, or nobody knows."""
    if isinstance(reply, TransportFailure):
        if reply.sent:
            return CancelUnknown(text=f"no answer: {reply.why}")
        return CancelRefused(text=f"nothing was sent: {reply.why}", wait_seconds=0.0)
    complaint = read_complaint(reply.body)
    text = f"HTTP {reply.status}: {complaint.text}"
    failure = place_failure(reply)
    if isinstance(failure, PlaceRetry):
        return CancelRefused(text=text, wait_seconds=failure.wait_seconds)
    return CancelUnknown(text=text)


def cancel_reason(reason: str) -> CancelOutcome:
    """Return what the venue's reason for not cancelling one order means (polymarket.md section 8).

    Only "already matched" proves a fill and only "already canceled" alone proves an earlier cancel. Reasons
    that leave both open, and those that only say "not found", are settled by asking for the order.
    """
    lower = reason.lower().replace("cancelled", "canceled")
    settled = "not found" not in lower and "can't be found" not in lower and " or " not in lower
    # UNKNOWN: the exact text for an order whose match is delayed; every wording seen names the delay.
    if "delayed" in lower:
        return CancelRefused(text=reason, wait_seconds=_WAIT_SECONDS["unauthorised"])
    if settled and "already matched" in lower:
        return CancelAlreadyFilled(text=reason)
    if settled and "already canceled" in lower:
        return CancelAlreadyCancelled(text=reason)
    return CancelUnknown(text=reason)


def unreadable(reply: Reply) -> Unreadable:
    """Return a query's failure: it says nothing about the account, only when to ask again."""
    if isinstance(reply, TransportFailure):
        return Unreadable(why=f"no answer: {reply.why}")
    complaint = read_complaint(reply.body)
    wait = _advised_wait(reply, complaint)
    failure = place_failure(reply)
    if wait is None and isinstance(failure, PlaceRetry):
        wait = failure.wait_seconds
    return Unreadable(
        why=f"HTTP {reply.status}: {complaint.text}",
        status=reply.status,
        wait_seconds=None if wait is None else Decimal(str(wait)),
        authentication=reply.status in {401, 403},
    )


def malformed(answer: Answer, why: str) -> Unreadable:
    """Return that an answer came with a good status and a body that is not what was expected."""
    return Unreadable(why=f"{why}; the body begins {excerpt(answer.body, 120)!r}", status=answer.status)


def header(answer: Answer, name: str) -> str | None:
    """Return a header field by its lower-case name, or None."""
    return next((value for field, value in answer.headers if field.lower() == name), None)


def _unauthorised(complaint: Complaint, text: str, wait: float | None, before: int) -> PlaceFailure:
    if not any(needle in complaint.text.lower() for needle in _UNAUTHORISED):
        return PlaceUnknown(text=text)
    if before >= UNAUTHORISED_RETRIES:
        return PlaceRejected(code="api_key_refused", text=f"{text} (refused {before + 1} times in a row)")
    return _retry("unauthorised", text, wait)


def _verdict(rule: _Rule, text: str, wait_seconds: float | None) -> PlaceFailure:
    match rule.kind:
        case _Kind.REJECTED:
            return PlaceRejected(code=rule.code, text=text)
        case _Kind.DUPLICATE:
            return PlaceDuplicate(text=text)
        case _Kind.RETRY:
            return _retry(rule.code, text, wait_seconds)
        case _Kind.UNKNOWN:
            return PlaceUnknown(text=f"{rule.code}: {text}")


def _retry(code: str, text: str, wait_seconds: float | None) -> PlaceRetry:
    wait = _WAIT_SECONDS[code] if wait_seconds is None else wait_seconds
    return PlaceRetry(code=code, text=text, wait_seconds=wait, authentication=code == "unauthorised")


def _advised_wait(answer: Answer, complaint: Complaint) -> float | None:
    in_header = header(answer, "retry-after")
    # Retry-After may also be a date; it is not used, for its clock is not ours.
    return complaint.retry_after_seconds if in_header is None else _seconds(in_header)


def _seconds(found: float | str | None) -> float | None:
    if found is None:
        return None
    try:
        seconds = float(found)
    except ValueError:
        return None
    return min(seconds, WAIT_SECONDS_MAXIMUM) if seconds >= 0 else None
