"""Nothing secret survives in what is recorded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.polymarket.auth import Credentials
from tallystick.venues.polymarket.redaction import HIDDEN, excerpt, fingerprint, redact
from tallystick.venues.polymarket.subscriptions import subscribe_user

KEY = "0f8fad5b-d9cb-469f-a165-70867728950e"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
PASSPHRASE = "a64f0b7c2d9e"
SIGNATURE = "NTt0e8XQzUuVTici5whIU-0NfgRXijqf0FarNw-ik2Q="

RECORDS = [
    msgspec.json.encode({"apiKey": KEY, "secret": SECRET, "passphrase": PASSPHRASE}),
    b'{\n  "secret" :  "%s" , "passphrase":"%s" }' % (SECRET.encode(), PASSPHRASE.encode()),
    b'200 {"apiKey":"%s","secret":"%s","passphrase":"%s' % (KEY.encode(), SECRET.encode(), PASSPHRASE.encode()),
    subscribe_user(Credentials(api_key=KEY, secret=SECRET, passphrase=PASSPHRASE)).text.encode(),
    f"POLY_API_KEY: {KEY}\r\nPOLY_PASSPHRASE: {PASSPHRASE}\r\nPOLY_SIGNATURE: {SIGNATURE}\r\n".encode(),
    f"poly_signature:{SIGNATURE}\npoly-passphrase:{PASSPHRASE}\npoly-api-key:{KEY}".encode(),
    msgspec.json.encode({"POLY_SIGNATURE": SIGNATURE, "POLY_PASSPHRASE": PASSPHRASE, "POLY_API_KEY": KEY}),
    msgspec.json.encode({"order": {"salt": 1}, "owner": KEY, "orderType": "GTC"}),
    msgspec.json.encode([{"event_type": "trade", "trade_owner": KEY, "maker_orders": [{"owner": KEY}]}]),
    msgspec.json.encode({"type": "USER", "auth": {"apikey": KEY, "secret": SECRET, "passphase": PASSPHRASE}}),
    msgspec.json.encode({"apiKeys": [KEY, KEY]}),
]


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_no_secret_and_no_key_is_left_in_a_record(record: bytes) -> None:
    shown = redact(record).decode()
    for hidden in (KEY, SECRET, PASSPHRASE, SIGNATURE):
        assert hidden not in shown
    assert redact(redact(record)) == redact(record)


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    assert redact(b"GET /x?token=" + SECRET.encode(), [SECRET, ""]) == b"GET /x?token=" + HIDDEN.encode()


def test_what_is_not_secret_stays() -> None:
    record = b'{"orderID":"0xab","signature":"0xcd","price":"0.5"}'
    assert redact(record) == record


def test_one_key_has_one_fingerprint_that_leads_nowhere() -> None:
    assert fingerprint(KEY) == fingerprint(KEY) != fingerprint(KEY + "0")
    assert fingerprint(KEY).encode() in redact(RECORDS[7])
    assert KEY not in fingerprint(KEY)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_are_redacted_and_a_cut_never_uncovers_a_secret(noise: bytes, cut: int) -> None:
    redact(noise)
    record = (noise + b'"secret":"%s"' % SECRET.encode())[: cut + 12]
    assert SECRET[:8] not in redact(record).decode("utf-8", "replace") or b'"secret":"' not in record


def test_an_excerpt_is_short_and_redacted_before_it_is_cut() -> None:
    record = b'{"secret":"' + b"x" * 5000 + b'"}'
    assert excerpt(record) == '{"secret":"[hidden]"}' or "xxx" not in excerpt(record)
    assert len(excerpt("é" * 1000)) <= 301
