"""Every refusal falls into one of four classes, and what nobody listed is an unknown outcome."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.outcome import (
    CancelAlreadyCancelled,
    CancelAlreadyFilled,
    CancelRefused,
    CancelUnknown,
    PlaceDuplicate,
    PlaceRejected,
    PlaceRetry,
    PlaceUnknown,
)
from tallystick.model.report import Unreadable
from tallystick.venues.polymarket.errors import (
    cancel_failure,
    cancel_reason,
    place_failure,
    read_complaint,
    unreadable,
)
from tallystick.venues.port import Answer, TransportFailure

ORDER = "0x" + "ab" * 32
HTML = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>no</body></html>"


def answer(status: int, body: bytes | str = b"", **headers: str) -> Answer:
    raw = msgspec.json.encode({"error": body}) if isinstance(body, str) else body
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status=status, headers=fields, body=raw, received_at_ns=1)


REJECTIONS = [
    ("Invalid order payload", "invalid_payload"),
    ("the order owner has to be the owner of the API KEY", "owner_not_key_owner"),
    ("the order signer address has to be the address of the API KEY", "signer_not_key_address"),
    ("maker address not allowed, please use the deposit wallet flow", "deposit_wallet_required"),
    ("invalid signature", "invalid_signature"),
    ("order_version_mismatch", "order_version_mismatch"),
    ("address banned", "address_banned"),
    ("closed only mode", "closed_only_mode"),
    ("invalid post-only order: order crosses book", "post_only_would_cross"),
    (f"order {ORDER} is invalid. Price (0.565) breaks minimum tick size rule: 0.01", "off_tick"),
    (f"order {ORDER} is invalid. Size (1) lower than the minimum: 5", "below_minimum_size"),
    (
        "not enough balance / allowance: the balance is not enough -> balance: 1, order amount: 2",
        "balance_not_enough",
    ),
    ("not enough balance / allowance: the allowance is not enough -> 1", "allowance_not_enough"),
    ("not enough balance / allowance", "balance_or_allowance_not_enough"),
    ("invalid expiration", "invalid_expiration"),
    ("order canceled in the CTF exchange contract", "cancelled_on_chain"),
    ("order couldn't be fully filled. FOK orders are fully filled or killed.", "fok_not_filled"),
    (
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found.",
        "fak_not_filled",
    ),
    ("the market is not yet ready to process new orders", "market_not_ready"),
    ("Too many orders in payload", "too_many_orders"),
    ("No orderbook exists for the requested token id", "no_order_book"),
    ("invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals", "invalid_amounts"),
]


@pytest.mark.parametrize(("text", "code"), REJECTIONS, ids=[code for _, code in REJECTIONS])
def test_a_listed_refusal_at_400_is_a_rejection_with_a_stable_code(text: str, code: str) -> None:
    found = place_failure(answer(400, text))
    assert isinstance(found, PlaceRejected)
    assert found.code == code
    assert text[:40] in found.text


@pytest.mark.parametrize(("text", "code"), REJECTIONS, ids=[code for _, code in REJECTIONS])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 409, 418])
def test_the_same_words_with_another_status_prove_nothing(text: str, code: str, status: int) -> None:
    assert isinstance(place_failure(answer(status, text)), PlaceUnknown)


def test_a_duplicate_means_that_the_first_copy_was_taken() -> None:
    found = place_failure(answer(400, f"order {ORDER} is invalid. Duplicated."))
    assert isinstance(found, PlaceDuplicate)


@pytest.mark.parametrize(
    ("reply", "code", "wait_seconds"),
    [
        (answer(429, "slow down", retry_after="7"), "rate_limited", 7.0),
        (answer(429, HTML), "rate_limited", 10.0),
        (answer(425, "Too Early"), "matching_engine_restart", 10.0),
        (
            answer(
                503,
                b'{"error":"post-only mode: only post-only orders and cancels are allowed",'
                b'"code":"post_only_mode","retry_after_seconds":79}',
            ),
            "post_only_mode",
            79.0,
        ),
        (answer(503, "Trading is currently disabled. Please try later"), "trading_disabled", 30.0),
        (answer(503, "Trading is currently cancel-only. New orders are off"), "cancel_only_mode", 30.0),
        (answer(429, "x", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), "rate_limited", 10.0),
        (answer(429, "x", retry_after="99999"), "rate_limited", 600.0),
        (answer(429, "x", retry_after="-1"), "rate_limited", 10.0),
        (answer(429, "x", retry_after="nan"), "rate_limited", 10.0),
    ],
)
def test_a_refusal_before_acting_may_be_sent_again_after_its_wait(
    reply: Answer, code: str, wait_seconds: float
) -> None:
    found = place_failure(reply)
    assert isinstance(found, PlaceRetry)
    assert (found.code, found.wait_seconds, found.authentication) == (code, wait_seconds, False)


@pytest.mark.parametrize(
    "reply",
    [
        answer(500, "could not insert order"),
        answer(500, "could not run the execution"),
        answer(400, "order match delayed due to market conditions"),
        answer(400, "a rounding problem"),
        answer(400, "price discrepancy too large"),
        answer(400, "something that nobody has listed"),
        answer(400, b""),
        answer(400, HTML),
        answer(502, HTML),
        answer(503, HTML),
        answer(504, b""),
        answer(404, HTML),
        answer(302, b""),
        answer(401, HTML),
        answer(400, b'{"error":null}'),
        answer(400, b"\xff\xfe\x00"),
        TransportFailure(why="timed out", sent=True, at_ns=1),
    ],
)
def test_anything_unlisted_is_an_unknown_outcome(reply: Answer | TransportFailure) -> None:
    assert isinstance(place_failure(reply), PlaceUnknown)


def test_what_never_left_may_be_sent_again_at_once() -> None:
    found = place_failure(TransportFailure(why="connection refused", sent=False, at_ns=1))
    assert isinstance(found, PlaceRetry)
    assert (found.code, found.wait_seconds) == ("not_sent", 0.0)


@pytest.mark.parametrize("text", ["Unauthorized/Invalid api key", "Invalid L1 Request headers"])
def test_a_401_gets_two_more_tries_before_the_key_counts_as_refused(text: str) -> None:
    for before in (0, 1):
        found = place_failure(answer(401, text), unauthorised_before=before)
        assert isinstance(found, PlaceRetry)
        assert found.authentication
    dead = place_failure(answer(401, text), unauthorised_before=2)
    assert isinstance(dead, PlaceRejected)
    assert dead.code == "api_key_refused"


@pytest.mark.parametrize("body", [HTML, b'{"error":"Trading restricted in your region"}'])
def test_a_403_is_a_rejection_whatever_its_body(body: bytes) -> None:
    found = place_failure(answer(403, body))
    assert isinstance(found, PlaceRejected)
    assert found.code == "access_forbidden"


def test_a_404_that_says_not_found_is_a_rejection() -> None:
    found = place_failure(answer(404, "market not found"))
    assert isinstance(found, PlaceRejected)
    assert found.code == "not_found"


def test_an_error_page_is_told_by_its_title() -> None:
    assert read_complaint(HTML).text == "HTML page: Attention Required! | Cloudflare"
    assert read_complaint(b'{"error_msg":"Invalid Heartbeat ID"}').text == "Invalid Heartbeat ID"
    assert read_complaint(b'"plain"').text == "plain"
    assert read_complaint(b"  ").text == "(empty body)"
    assert read_complaint(b'{"unknown":1}').text == '{"unknown":1}'


def test_an_error_text_that_repeats_a_secret_is_redacted() -> None:
    body = b'{"error":"bad headers {\\"secret\\":1}"}'
    assert "bad headers" in read_complaint(body).text
    assert "hunter2" not in read_complaint(b'{"passphrase":"hunter2","x":').text
    assert "hunter2" not in read_complaint(b'<p>{"secret": "hunter2"</p>').text


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("Order already matched", CancelAlreadyFilled),
        ("Order already canceled", CancelAlreadyCancelled),
        ("Order already cancelled", CancelAlreadyCancelled),
        ("Order not found or already canceled", CancelUnknown),
        ("Order not found", CancelUnknown),
        ("already canceled or matched", CancelUnknown),
        ("order can't be found - already canceled or matched", CancelUnknown),
        ("order is delayed and cannot be canceled", CancelRefused),
        ("", CancelUnknown),
        ("a new reason", CancelUnknown),
    ],
)
def test_only_an_unambiguous_reason_settles_a_cancel(reason: str, outcome: type) -> None:
    assert isinstance(cancel_reason(reason), outcome)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(429, "x", retry_after="3"), CancelRefused(text="HTTP 429: x", wait_seconds=3.0)),
        (answer(425, "Too Early"), CancelRefused(text="HTTP 425: Too Early", wait_seconds=10.0)),
        (answer(500, "boom"), CancelUnknown(text="HTTP 500: boom")),
        (answer(400, "Invalid order payload"), CancelUnknown(text="HTTP 400: Invalid order payload")),
        (
            TransportFailure(why="reset", sent=True, at_ns=1),
            CancelUnknown(text="no answer: reset"),
        ),
        (
            TransportFailure(why="refused", sent=False, at_ns=1),
            CancelRefused(text="nothing was sent: refused", wait_seconds=0.0),
        ),
    ],
)
def test_a_failed_cancel_was_refused_or_is_unknown(
    reply: Answer | TransportFailure, outcome: CancelRefused | CancelUnknown
) -> None:
    assert cancel_failure(reply) == outcome


def test_a_failed_query_says_when_to_ask_again_and_nothing_about_the_account() -> None:
    assert unreadable(answer(429, "x", retry_after="3")) == Unreadable(
        why="HTTP 429: x", status=429, wait_seconds=Decimal("3.0")
    )
    assert unreadable(answer(401, "Unauthorized/Invalid api key")).authentication
    assert unreadable(TransportFailure(why="down", sent=True, at_ns=1)) == Unreadable(why="no answer: down")


@given(st.integers(100, 599), st.binary(max_size=200), st.booleans())
def test_any_answer_is_classified_and_none_raises(status: int, body: bytes, sent: bool) -> None:
    reply = answer(status, body, retry_after=body[:5].decode("latin-1"))
    assert isinstance(place_failure(reply), PlaceRejected | PlaceDuplicate | PlaceRetry | PlaceUnknown)
    cancel_failure(reply)
    unreadable(reply)
    if status >= 500 and status != 503:
        assert isinstance(place_failure(reply), PlaceUnknown)
