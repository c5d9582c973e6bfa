"""The EIP-712 hashes that Polymarket signs: orders, deposit-wallet wrapping, and key creation.

Type hashes and domain separators are computed once; hashing an order is then twelve words and two keccaks.
"""

from functools import lru_cache

from ...model.value import Value
from ..evm.address import Address, keccak256
from ..evm.words import address_word, bytes32_word, uint_word
from .contracts import ExchangeContract
from .orders import Order

_PREFIX = b"\x19\x01"

ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    "uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_WRAPPED_ORDER_TYPE = (
    "TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,"
    "bytes32 salt)" + ORDER_TYPE
)
_KEY_REQUEST_TYPE = "ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_KEY_REQUEST_MESSAGE = "This message attests that I control the given wallet"


def _text_hash(text: str) -> bytes:
    return keccak256(text.encode("utf-8"))


_ORDER_TYPE_HASH = _text_hash(ORDER_TYPE)
_WRAPPED_ORDER_TYPE_HASH = _text_hash(_WRAPPED_ORDER_TYPE)
_KEY_REQUEST_TYPE_HASH = _text_hash(_KEY_REQUEST_TYPE)
_KEY_REQUEST_MESSAGE_HASH = _text_hash(_KEY_REQUEST_MESSAGE)
_DOMAIN_TYPE_HASH = _text_hash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_KEY_DOMAIN_TYPE_HASH = _text_hash("EIP712Domain(string name,string version,uint256 chainId)")
_EXCHANGE_NAME_HASH = _text_hash("Polymarket CTF Exchange")
_KEY_DOMAIN_HEAD = _KEY_DOMAIN_TYPE_HASH + _text_hash("ClobAuthDomain") + _text_hash("1")
_DEPOSIT_WALLET_HEAD = _text_hash("DepositWallet") + _text_hash("1")
_ZERO_WORD = bytes(32)


class OrderHashes(Value, frozen=True):
    """The three hashes of an order: its own, its domain's, and the digest that is also the venue's order id."""

    struct_hash: bytes
    domain_separator: bytes
    digest: bytes


@lru_cache(maxsize=16)
def domain_separator(contract: ExchangeContract) -> bytes:
    """Return the 32-byte domain separator of an exchange."""
    return keccak256(
        _DOMAIN_TYPE_HASH
        + _EXCHANGE_NAME_HASH
        + _text_hash(contract.exchange.domain_version)
        + uint_word(contract.chain_id)
        + address_word(contract.address)
    )


def hash_order(order: Order, contract: ExchangeContract) -> OrderHashes:
    """Return the hashes of an order under its exchange; the digest is the order id (polymarket.md 6.2)."""
    struct_hash = keccak256(
        b"".join(
            (
                _ORDER_TYPE_HASH,
                uint_word(order.salt),
                address_word(order.maker),
                address_word(order.signer),
                uint_word(int(order.token_id)),
                uint_word(order.maker_amount),
                uint_word(order.taker_amount),
                uint_word(order.side.code),
                uint_word(order.signature_type.value),
                uint_word(order.timestamp_milliseconds),
                bytes32_word(order.metadata),
                bytes32_word(order.builder),
            )
        )
    )
    separator = domain_separator(contract)
    return OrderHashes(
        struct_hash=struct_hash,
        domain_separator=separator,
        digest=keccak256(_PREFIX + separator + struct_hash),
    )


def wrapped_order_digest(hashes: OrderHashes, *, chain_id: int, deposit_wallet: Address) -> bytes:
    """Return what the owner of a deposit wallet signs: the order nested in the wallet's own domain.

    polymarket.md section 6.3. The order id stays the plain digest.
    """
    nested = keccak256(
        _WRAPPED_ORDER_TYPE_HASH
        + hashes.struct_hash
        + _DEPOSIT_WALLET_HEAD
        + uint_word(chain_id)
        + address_word(deposit_wallet)
        + _ZERO_WORD
    )
    return keccak256(_PREFIX + hashes.domain_separator + nested)


def key_request_digest(*, address: Address, chain_id: int, timestamp_seconds: int, nonce: int) -> bytes:
    """Return the digest that proves control of `address` when an API key is made (polymarket.md 3.1)."""
    separator = keccak256(_KEY_DOMAIN_HEAD + uint_word(chain_id))
    message = keccak256(
        _KEY_REQUEST_TYPE_HASH
        + address_word(address)
        + _text_hash(str(timestamp_seconds))
        + uint_word(nonce)
        + _KEY_REQUEST_MESSAGE_HASH
    )
    return keccak256(_PREFIX + separator + message)
