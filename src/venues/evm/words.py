"""ABI words: every static argument is one 32-byte big-endian word (evm.md section 2.2)."""

from collections.abc import Sequence

from .address import Address, address_bytes, checksum_address, keccak256

WORD_BYTES = 32
_UINT256_LIMIT = 1 << 256
_ADDRESS_PADDING = bytes(12)


class WordRefused(ValueError):
    """A value does not fit its ABI word, or returned words are not of the expected shape."""


def selector(signature: str) -> bytes:
    """Return the four bytes that name a function, for example `balanceOf(address)`."""
    return keccak256(signature.encode("ascii"))[:4]


def uint_word(value: int) -> bytes:
    """Return an unsigned integer as a word; raises `WordRefused` outside 0 … 2^256-1."""
    if not 0 <= value < _UINT256_LIMIT:
        raise WordRefused(f"{value} does not fit an unsigned 256-bit word")
    return value.to_bytes(WORD_BYTES, "big")


def address_word(address: Address) -> bytes:
    """Return an address as a word: twelve zero bytes, then the address."""
    return _ADDRESS_PADDING + address_bytes(address)


def bytes32_word(value: bytes) -> bytes:
    """Return 32 bytes unchanged; raises `WordRefused` for any other length."""
    if len(value) != WORD_BYTES:
        raise WordRefused(f"expected 32 bytes, got {len(value)}")
    return value


def dynamic_arrays(*arrays: Sequence[bytes]) -> bytes:
    """Return the encoding of arguments that are all arrays of words: offsets first, then length and elements.

    ```
    | offset of A | offset of B | len A | A0 | A1 | len B | B0 | B1 |
    ```
    """
    heads: list[bytes] = []
    tail = b""
    for array in arrays:
        heads.append(uint_word(WORD_BYTES * len(arrays) + len(tail)))
        tail += uint_word(len(array)) + b"".join(array)
    return b"".join(heads) + tail


def split_words(data: bytes) -> tuple[bytes, ...]:
    """Return the words of `data`; raises `WordRefused` when it is empty or not a whole number of words.

    Empty data means that there is no code at the address that was called, or that the call never reached a
    contract. It is never a zero (evm.md section 2.2).
    """
    if not data:
        raise WordRefused("the call returned no data: there is no contract at that address on that block")
    if len(data) % WORD_BYTES:
        raise WordRefused(f"the call returned {len(data)} bytes, not a whole number of 32-byte words")
    return tuple(data[start : start + WORD_BYTES] for start in range(0, len(data), WORD_BYTES))


def single_word(data: bytes) -> bytes:
    """Return the only word of `data`; raises `WordRefused` when there is none, or more than one."""
    words = split_words(data)
    if len(words) != 1:
        raise WordRefused(f"expected one word, got {len(words)}")
    return words[0]


def decode_uint(data: bytes) -> int:
    """Return the unsigned integer that `data` holds in its single word."""
    return int.from_bytes(single_word(data), "big")


def decode_int(word: bytes, *, bits: int) -> int:
    """Return a signed integer of `bits` bits from its sign-extended word (evm.md section 12).

    Raises `WordRefused` when the value does not fit, which means that the word is not what was expected.
    """
    value = int.from_bytes(bytes32_word(word), "big", signed=True)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise WordRefused(f"{value} does not fit a signed {bits}-bit integer")
    return value


def decode_bool(data: bytes) -> bool:
    """Return the truth value in the single word of `data`; raises `WordRefused` for anything but 0 or 1."""
    value = decode_uint(data)
    if value > 1:
        raise WordRefused(f"expected 0 or 1, got {value}")
    return value == 1


def decode_address(word: bytes) -> Address:
    """Return the address in a word; raises `WordRefused` when its upper twelve bytes are not zero."""
    if bytes32_word(word)[:12] != _ADDRESS_PADDING:
        raise WordRefused("the upper twelve bytes of an address word are not zero")
    return checksum_address(word[12:])


def decode_uint_array(data: bytes, *, length: int) -> tuple[int, ...]:
    """Return a single dynamic array of unsigned integers that must have `length` elements.

    Raises `WordRefused` when offset, length or size differ: a short array is an error, not missing zeros.
    """
    words = split_words(data)
    values = [int.from_bytes(word, "big") for word in words]
    if len(words) < 2 or values[0] != WORD_BYTES:
        raise WordRefused("the result is not a single dynamic array")
    if values[1] != length or len(values) != length + 2:
        raise WordRefused(f"expected {length} elements, got a length of {values[1]} in {len(values)} words")
    return tuple(values[2:])
