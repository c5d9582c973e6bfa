"""Signs orders and key requests with a private key that never shows itself."""

from typing import NoReturn

from coincurve import PrivateKey

from ..evm.address import Address, checksum_address, keccak256
from .contracts import ExchangeContract
from .eip712 import ORDER_TYPE, hash_order, key_request_digest, wrapped_order_digest
from .orders import Order, OrderHash, OrderRefused, SignatureType, SignedOrder

_ORDER_TYPE_TRAILER = ORDER_TYPE.encode("ascii") + len(ORDER_TYPE).to_bytes(2, "big")
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class KeyRefused(ValueError):
    """Text that should be a private key is not one. The message never repeats the text."""


class Signer:
    """Holds one private key and signs digests with it.

    The key has no way out: the representation shows the address, copying and pickling are refused, and no
    error mentions the key.
    """

    __slots__ = ("_key", "address")

    address: Address
    """The account of the key, also called its EOA."""

    def __init__(self, private_key: str) -> None:
        """Take a private key as 64 hexadecimal digits, with or without 0x; raises `KeyRefused` otherwise."""
        secret = _private_key_bytes(private_key)
        self._key = PrivateKey(secret)
        self.address = checksum_address(keccak256(self._key.public_key.format(compressed=False)[1:])[12:])

    def __repr__(self) -> str:
        return f"Signer(address={self.address})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Signer is not copied or pickled: its private key stays where it is")

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the 65-byte signature r ‖ s ‖ v of a 32-byte digest, with v 27 or 28.

        Deterministic (RFC 6979), so signing one order twice gives the same bytes.
        """
        recoverable = self._key.sign_recoverable(digest, hasher=None)
        return recoverable[:64] + bytes((recoverable[64] + 27,))


def _private_key_bytes(text: str) -> bytes:
    digits = text.strip()
    digits = digits[2:] if digits[:2] in {"0x", "0X"} else digits
    # The cause of a failed conversion would quote the text, so it is cut off.
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        secret = b""
    if len(digits) != 64 or len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _CURVE_ORDER:
        raise KeyRefused("a private key is 64 hexadecimal digits within the curve's order; this is not one")
    return secret


def order_hash(order: Order, contract: ExchangeContract) -> OrderHash:
    """Return the id under which the venue will know `order` (polymarket.md section 6.2)."""
    return OrderHash("0x" + hash_order(order, contract).digest.hex())


def sign_order(order: Order, contract: ExchangeContract, signer: Signer) -> SignedOrder:
    """Sign `order` for its exchange, in the form that its signature type asks for.

    Raises `OrderRefused` when the order names another signer than this key: the venue would refuse it, and a
    deposit wallet's order must name the wallet, which this function cannot know better than its caller.
    """
    deposit_wallet = order.signature_type is SignatureType.POLY_1271
    if not deposit_wallet and order.signer != signer.address:
        raise OrderRefused(f"the order names signer {order.signer}, but the key is of {signer.address}")
    hashes = hash_order(order, contract)
    if deposit_wallet:
        digest = wrapped_order_digest(hashes, chain_id=contract.chain_id, deposit_wallet=order.signer)
        signature = signer.sign_digest(digest) + hashes.domain_separator + hashes.struct_hash + _ORDER_TYPE_TRAILER
    else:
        signature = signer.sign_digest(hashes.digest)
    return SignedOrder(order=order, order_hash=OrderHash("0x" + hashes.digest.hex()), signature=signature)


def sign_key_request(signer: Signer, *, chain_id: int, timestamp_seconds: int, nonce: int) -> bytes:
    """Return the signature that lets a key's owner create or derive an API key (polymarket.md section 3.1)."""
    return signer.sign_digest(
        key_request_digest(address=signer.address, chain_id=chain_id, timestamp_seconds=timestamp_seconds, nonce=nonce)
    )
