"""Builds the headers that prove who is asking (polymarket.md sections 3.1 and 3.2)."""

import base64
import binascii
import hashlib
import hmac
from typing import NoReturn

from ..evm.address import Address
from .orders import ApiKey
from .signing import Signer, sign_key_request

ADDRESS_HEADER = "POLY_ADDRESS"
SIGNATURE_HEADER = "POLY_SIGNATURE"
TIMESTAMP_HEADER = "POLY_TIMESTAMP"
NONCE_HEADER = "POLY_NONCE"
API_KEY_HEADER = "POLY_API_KEY"
PASSPHRASE_HEADER = "POLY_PASSPHRASE"  # noqa: S105 - the name of a header


class CredentialsRefused(ValueError):
    """API credentials are not usable as given. The message never repeats them."""


class Credentials:
    """An API key with its secret and passphrase; neither of the two shows in representations or errors."""

    __slots__ = ("_hmac_key", "_passphrase", "_secret", "api_key")

    api_key: ApiKey

    def __init__(self, *, api_key: str, secret: str, passphrase: str) -> None:
        """Take the three texts as the venue gave them; raises `CredentialsRefused` when one is unusable."""
        try:
            self._hmac_key = base64.b64decode(secret, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            self._hmac_key = b""
        if not self._hmac_key:
            raise CredentialsRefused("the API secret is not url-safe base64")
        if not api_key or not passphrase or not (api_key + passphrase).isascii():
            raise CredentialsRefused("the API key and its passphrase must be non-empty ASCII")
        self.api_key = ApiKey(api_key)
        self._secret = secret
        self._passphrase = passphrase

    def __repr__(self) -> str:
        return "Credentials(api_key=…, secret=…, passphrase=…)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("Credentials are not copied or pickled: their secret stays where it is")

    def signature(self, *, timestamp_seconds: int, method: str, path: str, body: bytes) -> str:
        """Return the HMAC of one request. The query string is not part of it; the body's exact bytes are."""
        message = f"{timestamp_seconds}{method}{path}".encode() + body
        digest = hmac.new(self._hmac_key, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode("ascii")

    def headers(
        self, *, address: Address, timestamp_seconds: int, method: str, path: str, body: bytes
    ) -> dict[str, str]:
        """Return the level-2 headers of a request.

        `address` is the account that made the API key, not the wallet that holds the money. UNKNOWN: how far the
        time stamp may be off the venue's clock, so it is to be taken from a clock that was compared with it.
        """
        return {
            ADDRESS_HEADER: address,
            SIGNATURE_HEADER: self.signature(timestamp_seconds=timestamp_seconds, method=method, path=path, body=body),
            TIMESTAMP_HEADER: str(timestamp_seconds),
            API_KEY_HEADER: self.api_key,
            PASSPHRASE_HEADER: self._passphrase,
        }

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that nothing recorded may contain."""
        return (self._secret, self._passphrase, self.api_key)

    def stream_auth(self) -> dict[str, str]:
        """Return the `auth` object of the user channel's first frame.

        The secret itself travels in it, inside TLS: that is the venue's protocol (polymarket.md 11.2).
        """
        return {"apiKey": self.api_key, "secret": self._secret, "passphrase": self._passphrase}


def key_request_headers(signer: Signer, *, chain_id: int, timestamp_seconds: int, nonce: int) -> dict[str, str]:
    """Return the level-1 headers, which create or derive an API key."""
    signature = sign_key_request(signer, chain_id=chain_id, timestamp_seconds=timestamp_seconds, nonce=nonce)
    return {
        ADDRESS_HEADER: signer.address,
        SIGNATURE_HEADER: "0x" + signature.hex(),
        TIMESTAMP_HEADER: str(timestamp_seconds),
        NONCE_HEADER: str(nonce),
    }
