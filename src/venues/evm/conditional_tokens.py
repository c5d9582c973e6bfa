"""Identifiers of outcome tokens, computed the way the Conditional Tokens contract computes them.

With them a token id can be checked against its condition without trusting any API (evm.md section 5).
"""

from functools import lru_cache

from .address import Address, address_bytes, keccak256
from .words import bytes32_word, uint_word

_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""The prime of alt_bn128's base field."""

_Y_IS_ODD = 1 << 254
"""Flipped in a collection id when the y coordinate is odd."""


def condition_id(oracle: Address, question_id: bytes, outcome_slot_count: int) -> bytes:
    """Return the 32-byte id of a condition: what an oracle will answer to a question with so many outcomes."""
    return keccak256(address_bytes(oracle) + bytes32_word(question_id) + uint_word(outcome_slot_count))


@lru_cache(maxsize=4096)
def collection_id(condition: bytes, index_set: int) -> bytes:
    """Return the 32-byte collection id of a set of outcomes of one condition, with no parent collection.

    `index_set` is a bit set of outcomes: 1 for the first, 2 for the second. The hash of the pair is mapped
    to a point on alt_bn128 by trying successive x; the id is x with bit 254 telling y's parity.
    """
    digest = int.from_bytes(keccak256(bytes32_word(condition) + uint_word(index_set)), "big")
    odd = digest >> 255 == 1
    x = digest % _FIELD
    while True:
        x = (x + 1) % _FIELD
        y_squared = (x * x * x + 3) % _FIELD
        y = pow(y_squared, (_FIELD + 1) // 4, _FIELD)
        if y * y % _FIELD == y_squared:
            break
    if odd != (y % 2 == 1):
        y = _FIELD - y
    return uint_word(x ^ _Y_IS_ODD if y % 2 else x)


def position_id(collateral: Address, collection: bytes) -> int:
    """Return the ERC-1155 token id of a collection held against `collateral`."""
    return int.from_bytes(keccak256(address_bytes(collateral) + bytes32_word(collection)), "big")


def outcome_token_ids(collateral: Address, condition: bytes) -> tuple[int, int]:
    """Return the token ids of the first and the second outcome of a binary condition."""
    return (
        position_id(collateral, collection_id(condition, 1)),
        position_id(collateral, collection_id(condition, 2)),
    )
