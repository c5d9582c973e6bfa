"""Calls, words and token identifiers are encoded as the contracts themselves read them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.evm import calls, logs, words
from tallystick.venues.evm.address import (
    Address,
    HexRefused,
    checksum_address,
    hex_bytes32,
    hex_data,
    parse_address,
)
from tallystick.venues.evm.blocks import ReadingRefused
from tallystick.venues.evm.conditional_tokens import collection_id, condition_id, outcome_token_ids
from tallystick.venues.evm.json_rpc import RpcResult

from .recorded import call, cases, vectors

SELECTORS = {
    "balanceOf(address)": "70a08231",
    "balanceOf(address,uint256)": "00fdd58e",
    "balanceOfBatch(address[],uint256[])": "4e1273f4",
    "allowance(address,address)": "dd62ed3e",
    "isApprovedForAll(address,address)": "e985e9c5",
    "payoutDenominator(bytes32)": "dd34de67",
    "payoutNumerators(bytes32,uint256)": "0504c814",
    "getPositionId(address,bytes32)": "39dd7530",
}


def result(text: str) -> RpcResult:
    return RpcResult(raw=msgspec.json.encode(text))


@pytest.mark.parametrize("signature", SELECTORS)
def test_a_selector_is_the_published_one(signature: str) -> None:
    assert words.selector(signature).hex() == SELECTORS[signature]


def test_balance_and_allowance_calls_are_the_recorded_bytes() -> None:
    owner = parse_address(call("erc20_balanceOf")["args"][0])
    assert "0x" + calls.erc20_balance(owner).hex() == call("erc20_balanceOf")["data"]

    recorded = call("erc20_allowance")
    spender = parse_address(recorded["args"][1])
    assert "0x" + calls.erc20_allowance(owner, spender).hex() == recorded["data"]

    recorded = call("erc1155_balanceOf")
    assert "0x" + calls.erc1155_balance(owner, int(recorded["args"][1])).hex() == recorded["data"]

    recorded = call("erc1155_isApprovedForAll")
    operator = parse_address(recorded["args"][1])
    assert "0x" + calls.erc1155_is_approved(owner, operator).hex() == recorded["data"]
    assert calls.read_bool(result(recorded["example_result"])) is True

    recorded = call("ctf_payoutDenominator")
    assert "0x" + calls.payout_denominator(hex_bytes32(recorded["args"][0])).hex() == recorded["data"]


def test_many_balances_are_asked_in_the_recorded_bytes_and_read_in_order() -> None:
    recorded = call("erc1155_balanceOfBatch")
    owners = [parse_address(owner) for owner in recorded["args"][0]]
    tokens = [int(token) for token in recorded["args"][1]]
    assert "0x" + calls.erc1155_balances(owners, tokens).hex() == recorded["data"]
    balances = calls.read_uints(result(recorded["example_result"]), count=3)
    assert balances == (150_000_000, 100_000_000, 250_000_000)


def test_a_single_balance_is_read_in_base_units() -> None:
    assert calls.read_uint(result(call("erc20_balanceOf")["example_result"])) == 750_000_000
    assert calls.read_uint(result(call("erc1155_balanceOf")["example_result"])) == 100_000_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0x", "no data"),
        ("0x00", "whole number"),
        ("0x" + "00" * 64, "one word"),
        ("0xzz", "hexadecimal"),
        ("", "hexadecimal"),
    ],
)
def test_an_empty_or_crooked_result_is_an_error_and_never_zero(text: str, why: str) -> None:
    refused = calls.read_uint(result(text))
    assert isinstance(refused, ReadingRefused)
    assert why in refused.why
    assert not refused.retryable


def test_a_short_array_is_an_error_and_not_missing_zeros() -> None:
    data = words.dynamic_arrays([words.uint_word(7)])
    assert calls.read_uints(result("0x" + data.hex()), count=1) == (7,)
    refused = calls.read_uints(result("0x" + data.hex()), count=2)
    assert isinstance(refused, ReadingRefused)
    assert "expected 2 elements" in refused.why


def test_owners_and_tokens_of_unequal_number_are_refused() -> None:
    with pytest.raises(words.WordRefused, match="pairs"):
        calls.erc1155_balances([parse_address("0x" + "11" * 20)], [])


@pytest.mark.parametrize("case", cases("position_ids"), ids=lambda case: str(case["condition_id"])[:14])
def test_real_token_ids_follow_from_their_condition(case: Any) -> None:
    condition = hex_bytes32(case["condition_id"])
    assert "0x" + collection_id(condition, 1).hex() == case["collection_id_index_set_1"]
    assert "0x" + collection_id(condition, 2).hex() == case["collection_id_index_set_2"]
    tokens = outcome_token_ids(parse_address(case["collateral"]), condition)
    assert [str(token) for token in tokens] == case["clob_token_ids"]


def test_a_condition_id_depends_on_oracle_question_and_number_of_outcomes() -> None:
    oracle = parse_address("0x" + "11" * 20)
    found = condition_id(oracle, bytes(32), 2)
    assert len(found) == 32
    assert found != condition_id(oracle, bytes(32), 3)


def test_event_topics_are_the_published_ones() -> None:
    topics = vectors()["event_topics"]
    assert topics["ERC20 Transfer(address,address,uint256)"] == logs.ERC20_TRANSFER
    assert topics["TransferSingle"] == logs.TRANSFER_SINGLE
    assert topics["TransferBatch"] == logs.TRANSFER_BATCH
    assert topics["PositionSplit"] == logs.POSITION_SPLIT
    assert topics["PositionsMerge"] == logs.POSITIONS_MERGE
    assert topics["PayoutRedemption"] == logs.PAYOUT_REDEMPTION
    assert topics["ConditionResolution"] == logs.CONDITION_RESOLUTION


@given(st.integers(0, 2**256 - 1))
def test_unsigned_words_read_back(value: int) -> None:
    assert words.decode_uint(words.uint_word(value)) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_words_are_sign_extended_and_range_checked(value: int) -> None:
    word = value.to_bytes(32, "big", signed=True)
    assert words.decode_int(word, bits=64) == value
    if not -(2**31) <= value < 2**31:
        with pytest.raises(words.WordRefused, match="32-bit"):
            words.decode_int(word, bits=32)


@given(st.binary(min_size=20, max_size=20))
def test_addresses_read_back_from_their_word_and_their_text(raw: bytes) -> None:
    address = checksum_address(raw)
    assert words.decode_address(words.address_word(address)) == address
    assert parse_address(address.lower()) == address


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(words.WordRefused, match="256-bit"):
        words.uint_word(1 << 256)
    with pytest.raises(words.WordRefused, match="256-bit"):
        words.uint_word(-1)
    with pytest.raises(words.WordRefused, match="32 bytes"):
        words.bytes32_word(b"")
    with pytest.raises(words.WordRefused, match="0 or 1"):
        words.decode_bool(words.uint_word(2))
    with pytest.raises(words.WordRefused, match="upper twelve"):
        words.decode_address(b"\xff" * 32)
    with pytest.raises(HexRefused, match="20 bytes"):
        checksum_address(b"")
    with pytest.raises(HexRefused):
        words.address_word(Address("nonsense"))
    with pytest.raises(HexRefused, match="even number"):
        hex_data("0x123")
    with pytest.raises(HexRefused, match="expected 32 bytes"):
        hex_bytes32("0x12")
