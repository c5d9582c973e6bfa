"""API keys and who may speak for whom: level-1 and level-2 headers, verified as the venue does (polymarket.md 3)."""

import base64
import hmac
import uuid
from collections.abc import Mapping

import msgspec
from coincurve import PublicKey

from ...evm.address import Address, checksum_address, hex_data, keccak256, parse_address
from ...polymarket.auth import Credentials
from ...polymarket.contracts import POLYGON_CHAIN_ID
from ...polymarket.eip712 import key_request_digest
from ...polymarket.orders import ApiKey

INVALID_KEY = "Unauthorized/Invalid api key"
INVALID_L1 = "Invalid L1 Request headers"


class AuthRefused(Exception):
    """A request did not prove who sent it. `status` and the message are the venue's answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KeyHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a verified request speaks for."""

    api_key: ApiKey
    owner: Address
    read_only: bool = False


class Keys:
    """Every API key, derived from its owner and nonce so that a run can be repeated exactly.

    `clock_skew_seconds` bounds how far a request's timestamp may be from the venue's clock; the venue's own
    tolerance is unknown (polymarket.md 3.2).
    """

    def __init__(self, *, clock_skew_seconds: int) -> None:
        self._clock_skew_seconds = clock_skew_seconds
        self._credentials: dict[ApiKey, Credentials] = {}
        self._holders: dict[ApiKey, KeyHolder] = {}
        self._by_nonce: dict[tuple[Address, int], ApiKey] = {}
        self._retired: set[tuple[Address, int]] = set()

    # Level 1.

    def prove_owner(self, headers: Mapping[str, str], now_ms: int) -> tuple[Address, int]:
        """The address and nonce that a level-1 request proves control of; raises `AuthRefused`."""
        try:
            address = parse_address(headers["poly_address"])
            signature = hex_data(headers["poly_signature"])
            timestamp = int(headers["poly_timestamp"])
            nonce = int(headers.get("poly_nonce", "0"))
        except (KeyError, ValueError) as error:
            raise AuthRefused(401, INVALID_L1) from error
        if not self._is_fresh(timestamp, now_ms):
            raise AuthRefused(401, INVALID_L1)
        digest = key_request_digest(
            address=address, chain_id=POLYGON_CHAIN_ID, timestamp_seconds=timestamp, nonce=nonce
        )
        if recover_signer(signature, digest) != address:
            raise AuthRefused(401, INVALID_L1)
        return address, nonce

    def create(self, owner: Address, nonce: int) -> Credentials | None:
        """A new key for an owner and nonce; None when that pair was used before."""
        if (owner, nonce) in self._by_nonce or (owner, nonce) in self._retired:
            return None
        return self._issue(owner, nonce, f"{owner}:{nonce}")

    def derive(self, owner: Address, nonce: int) -> Credentials | None:
        """The key that was created for an owner and nonce, again; None when there is none."""
        api_key = self._by_nonce.get((owner, nonce))
        return None if api_key is None else self._credentials[api_key]

    def create_read_only(self, owner: Address) -> ApiKey:
        """A key that may ask but not trade."""
        number = sum(holder.owner == owner for holder in self._holders.values())
        credentials = self._make(f"{owner}:read-only:{number}")
        self._credentials[credentials.api_key] = credentials
        self._holders[credentials.api_key] = KeyHolder(api_key=credentials.api_key, owner=owner, read_only=True)
        return credentials.api_key

    def delete(self, api_key: ApiKey) -> bool:
        """Forget a key for good; its nonce cannot be used again."""
        holder = self._holders.pop(api_key, None)
        self._credentials.pop(api_key, None)
        for pair in [pair for pair, key in self._by_nonce.items() if key == api_key]:
            del self._by_nonce[pair]
            self._retired.add(pair)
        return holder is not None

    def of_owner(self, owner: Address, *, read_only: bool = False) -> list[ApiKey]:
        return [h.api_key for h in self._holders.values() if h.owner == owner and h.read_only is read_only]

    def _issue(self, owner: Address, nonce: int, seed: str) -> Credentials:
        credentials = self._make(seed)
        self._credentials[credentials.api_key] = credentials
        self._holders[credentials.api_key] = KeyHolder(api_key=credentials.api_key, owner=owner)
        self._by_nonce[owner, nonce] = credentials.api_key
        return credentials

    @staticmethod
    def _make(seed: str) -> Credentials:
        return Credentials(
            api_key=str(key_id(seed)),
            secret=base64.urlsafe_b64encode(keccak256(f"secret:{seed}".encode())).decode(),
            passphrase=keccak256(f"passphrase:{seed}".encode()).hex(),
        )

    # Level 2.

    def prove_holder(self, headers: Mapping[str, str], method: str, path: str, body: bytes, now_ms: int) -> KeyHolder:
        """Whom a level-2 request speaks for; raises `AuthRefused`. The query string is not signed."""
        try:
            api_key = ApiKey(headers["poly_api_key"])
            address = parse_address(headers["poly_address"])
            passphrase = headers["poly_passphrase"]
            signature = headers["poly_signature"]
            timestamp = int(headers["poly_timestamp"])
        except (KeyError, ValueError) as error:
            raise AuthRefused(401, INVALID_KEY) from error
        holder = self._holders.get(api_key)
        if holder is None or holder.owner != address or not self._is_fresh(timestamp, now_ms):
            raise AuthRefused(401, INVALID_KEY)
        credentials = self._credentials[api_key]
        expected = credentials.signature(timestamp_seconds=timestamp, method=method, path=path, body=body)
        if not _equal(signature, expected) or not _equal(passphrase, credentials.stream_auth()["passphrase"]):
            raise AuthRefused(401, INVALID_KEY)
        return holder

    def prove_stream(self, auth: Mapping[str, object]) -> KeyHolder | None:
        """Whom the first frame of the user channel speaks for; None when its three texts do not belong together."""
        holder = self._holders.get(ApiKey(str(auth.get("apiKey"))))
        if holder is None:
            return None
        expected = self._credentials[holder.api_key].stream_auth()
        matches = all(_equal(str(auth.get(name)), expected[name]) for name in ("secret", "passphrase"))
        return holder if matches else None

    def _is_fresh(self, timestamp_seconds: int, now_ms: int) -> bool:
        return abs(now_ms - timestamp_seconds * 1_000) <= self._clock_skew_seconds * 1_000


def key_id(seed: str) -> uuid.UUID:
    """A UUID that follows from its seed."""
    return uuid.UUID(bytes=keccak256(f"key:{seed}".encode())[:16], version=4)


def recover_signer(signature: bytes, digest: bytes) -> Address | None:
    """The account that made a 65-byte signature of a digest; None when it is not a signature."""
    if len(signature) != 65 or signature[64] not in {0, 1, 27, 28}:
        return None
    recoverable = signature[:64] + bytes([signature[64] % 27])
    try:
        public_key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception:  # noqa: BLE001 - the library raises bare Exception for points that are not on the curve
        return None
    return checksum_address(keccak256(public_key.format(compressed=False)[1:])[12:])


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
