"""Requests are authenticated as the venue computes it, and credentials stay hidden."""

import copy
import pickle
from typing import Any

import pytest
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket.auth import Credentials, CredentialsRefused, key_request_headers
from tallystick.venues.polymarket.signing import Signer

from .recorded import cases, decoded

VECTORS = "signing_vectors.json"


def credentials() -> Credentials:
    found = decoded(VECTORS)["api_creds"]
    return Credentials(api_key=found["apiKey"], secret=found["secret"], passphrase=found["passphrase"])


@pytest.mark.parametrize("case", cases(VECTORS, "l2_hmac", "cases"), ids=str)
def test_request_headers_are_the_recorded_ones(case: Any) -> None:
    body = (case["body"] or "").encode()
    expected = case["expected_headers"]
    headers = credentials().headers(
        address=parse_address(expected["POLY_ADDRESS"]),
        timestamp_seconds=case["timestamp"],
        method=case["method"],
        path=case["path"],
        body=body,
    )
    if b"'" in body:
        # The older client signs another text than it sends; no body of ours holds an apostrophe.
        assert headers["POLY_SIGNATURE"] == case["unified_sdk_signature"]
        body = body.replace(b"'", b'"')
        headers["POLY_SIGNATURE"] = credentials().signature(
            timestamp_seconds=case["timestamp"], method=case["method"], path=case["path"], body=body
        )
    assert headers == expected


@pytest.mark.parametrize("case", cases(VECTORS, "l1_auth", "cases"), ids=str)
def test_key_request_headers_are_the_recorded_ones(case: Any) -> None:
    key = decoded(VECTORS)["keys"][case["signer"]]["private_key"]
    headers = key_request_headers(
        Signer(key), chain_id=case["chain_id"], timestamp_seconds=case["timestamp"], nonce=case["nonce"]
    )
    assert headers == case["expected_headers"]


def test_credentials_never_show_their_secret() -> None:
    hidden = credentials()
    found = decoded(VECTORS)["api_creds"]
    shown = f"{hidden!r} {hidden}"
    assert found["secret"] not in shown
    assert found["passphrase"] not in shown
    assert found["apiKey"] not in shown
    with pytest.raises(TypeError, match="stays where it is"):
        pickle.dumps(hidden)
    with pytest.raises(TypeError, match="stays where it is"):
        copy.copy(hidden)
    assert not hasattr(hidden, "__dict__")


@pytest.mark.parametrize(
    ("key", "secret", "passphrase"),
    [
        ("k", "not base64!", "p"),
        ("k", "", "p"),
        ("", "AAAA", "p"),
        ("k", "AAAA", ""),
        ("kéy", "AAAA", "p"),
        ("k", "AAA", "p"),
    ],
)
def test_unusable_credentials_are_refused_without_repeating_them(key: str, secret: str, passphrase: str) -> None:
    with pytest.raises(CredentialsRefused) as refused:
        Credentials(api_key=key, secret=secret, passphrase=passphrase)
    assert refused.value.__context__ is None
    assert len(secret) < 4 or secret not in str(refused.value)
