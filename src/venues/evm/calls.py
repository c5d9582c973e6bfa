"""The read-only contract calls of a wallet view (evm.md section 2), encoded and decoded."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from .address import Address, HexRefused, hex_data
from .blocks import ReadingRefused
from .json_rpc import Call, RpcAnswer, RpcError, RpcMissing, text_result
from .words import (
    WordRefused,
    address_word,
    bytes32_word,
    decode_bool,
    decode_uint,
    decode_uint_array,
    dynamic_arrays,
    selector,
    uint_word,
)

BALANCE_BATCH_MAXIMUM = 100
"""Tokens in one batched balance call. Every one costs a cold storage read, and nodes cap a call's gas."""

_ERC20_BALANCE = selector("balanceOf(address)")
_ERC20_ALLOWANCE = selector("allowance(address,address)")
_ERC1155_BALANCE = selector("balanceOf(address,uint256)")
_ERC1155_BALANCES = selector("balanceOfBatch(address[],uint256[])")
_ERC1155_APPROVED = selector("isApprovedForAll(address,address)")
_PAYOUT_DENOMINATOR = selector("payoutDenominator(bytes32)")
_PAYOUT_NUMERATOR = selector("payoutNumerators(bytes32,uint256)")

T = TypeVar("T")


def eth_call(to: Address, data: bytes, block: str) -> Call:
    """Return the call of a contract at a block, which is a number in hexadecimal and never a moving tag."""
    return Call(method="eth_call", params=({"to": to, "data": "0x" + data.hex()}, block))


def erc20_balance(owner: Address) -> bytes:
    return _ERC20_BALANCE + address_word(owner)


def erc20_allowance(owner: Address, spender: Address) -> bytes:
    return _ERC20_ALLOWANCE + address_word(owner) + address_word(spender)


def erc1155_balance(owner: Address, token: int) -> bytes:
    return _ERC1155_BALANCE + address_word(owner) + uint_word(token)


def erc1155_balances(owners: Sequence[Address], tokens: Sequence[int]) -> bytes:
    """Return the data of one call for many balances; owner and token go in pairs.

    Raises `WordRefused` for lists of unequal length, which the contract would revert.
    """
    if len(owners) != len(tokens):
        raise WordRefused(f"{len(owners)} owners and {len(tokens)} tokens do not go in pairs")
    return _ERC1155_BALANCES + dynamic_arrays(
        [address_word(owner) for owner in owners], [uint_word(token) for token in tokens]
    )


def erc1155_is_approved(owner: Address, operator: Address) -> bytes:
    return _ERC1155_APPROVED + address_word(owner) + address_word(operator)


def payout_denominator(condition: bytes) -> bytes:
    """Return the data that asks whether a condition is resolved: above zero means that it is."""
    return _PAYOUT_DENOMINATOR + bytes32_word(condition)


def payout_numerator(condition: bytes, outcome_index: int) -> bytes:
    return _PAYOUT_NUMERATOR + bytes32_word(condition) + uint_word(outcome_index)


def read_uint(answer: RpcAnswer) -> int | ReadingRefused:
    """Return an unsigned integer result. No data is an error and never a zero (evm.md section 2.2)."""
    return _read(answer, decode_uint)


def read_bool(answer: RpcAnswer) -> bool | ReadingRefused:
    return _read(answer, decode_bool)


def read_uints(answer: RpcAnswer, *, count: int) -> tuple[int, ...] | ReadingRefused:
    """Return exactly `count` unsigned integers of one array result."""
    return _read(answer, lambda data: decode_uint_array(data, length=count))


def _read(answer: RpcAnswer, decode: Callable[[bytes], T]) -> T | ReadingRefused:
    text = text_result(answer)
    match text:
        case RpcError():
            return ReadingRefused(why=f"the call failed with {text.code}: {text.message}", retryable=text.retryable)
        case RpcMissing():
            return ReadingRefused(why=text.why, retryable=True)
    try:
        return decode(hex_data(text))
    except (HexRefused, WordRefused) as problem:
        return ReadingRefused(why=str(problem), retryable=False)
