"""Addresses, hexadecimal text and keccak-256."""

import re
from functools import lru_cache
from typing import NewType

from eth_hash.backends.pycryptodome import CryptodomeBackend
from eth_hash.main import Keccak256

Address = NewType("Address", str)
"""A 20-byte address in its EIP-55 mixed-case spelling, so that equal addresses are equal text."""

# The backend is named rather than discovered: discovery reads the environment and could change under us.
keccak256 = Keccak256(CryptodomeBackend())

_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_HEX = re.compile(r"0[xX](?:[0-9a-fA-F]{2})*")


class HexRefused(ValueError):
    """Text that should have been hexadecimal data or an address is not."""


def parse_address(text: str) -> Address:
    """Return `text` as a checksummed address.

    The case of the letters is not verified: venues answer lower case, upper case and mixed case for one
    address (evm.md section 9, trap 5). Raises `HexRefused` when `text` is not 0x and 40 hexadecimal digits.
    """
    return _parse_address(text)


@lru_cache(maxsize=4096)
def _parse_address(text: str) -> Address:
    if not _ADDRESS.fullmatch(text):
        raise HexRefused(f"expected an address (0x and 40 hexadecimal digits), got {text[:60]!r}")
    return checksum_address(bytes.fromhex(text[2:]))


@lru_cache(maxsize=4096)
def checksum_address(raw: bytes) -> Address:
    """Return the EIP-55 spelling of 20 address bytes; raises `HexRefused` for any other length."""
    if len(raw) != 20:
        raise HexRefused(f"an address has 20 bytes, got {len(raw)}")
    lower = raw.hex()
    digest = keccak256(lower.encode("ascii")).hex()
    mixed = "".join(
        letter.upper() if int(nibble, 16) >= 8 else letter for letter, nibble in zip(lower, digest, strict=False)
    )
    return Address("0x" + mixed)


@lru_cache(maxsize=4096)
def address_bytes(address: Address) -> bytes:
    """Return the 20 bytes of an address; raises `HexRefused` when it is not one."""
    if not _ADDRESS.fullmatch(address):
        raise HexRefused(f"expected an address (0x and 40 hexadecimal digits), got {address[:60]!r}")
    return bytes.fromhex(address[2:])


def hex_data(text: str) -> bytes:
    """Return the bytes of 0x-prefixed data of even length; raises `HexRefused` for anything else."""
    if not _HEX.fullmatch(text):
        raise HexRefused(f"expected 0x and an even number of hexadecimal digits, got {text[:60]!r}")
    return bytes.fromhex(text[2:])


def hex_bytes32(text: str) -> bytes:
    """Return 32 bytes written as 0x and 64 digits; raises `HexRefused` for anything else."""
    raw = hex_data(text)
    if len(raw) != 32:
        raise HexRefused(f"expected 32 bytes, got {len(raw)} in {text[:80]!r}")
    return raw
