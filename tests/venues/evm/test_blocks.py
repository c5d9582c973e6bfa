"""A reading is pinned to one block of the right chain, or it is refused."""

from typing import Any

import msgspec
import pytest
from tallystick.venues.evm.blocks import (
    BlockTag,
    Head,
    Pin,
    ReadingRefused,
    block_call,
    choose_pin,
    confirm_pin,
    head_call,
)
from tallystick.venues.evm.json_rpc import RpcAnswer, RpcError, RpcMissing, RpcResult

HASH = "0x" + "ab" * 32


def answer(value: Any) -> RpcResult:
    return RpcResult(raw=msgspec.json.encode(value))


def block(number: int, block_hash: str = HASH, timestamp: int = 1_760_609_696) -> RpcResult:
    return answer({"number": hex(number), "hash": block_hash, "timestamp": hex(timestamp), "miner": "0x0"})


def pin_of(finalized: RpcAnswer, latest: RpcAnswer | None = None, chain: RpcAnswer | None = None) -> Any:
    return choose_pin(chain or answer("0x89"), finalized, latest or block(1000), expected_chain_id=137)


def test_a_reading_is_pinned_to_the_finalized_block_by_number() -> None:
    pin = pin_of(block(990))
    assert isinstance(pin, Pin)
    assert (pin.number, pin.tag, pin.finality) == (990, "0x3de", "finalized")
    assert pin.head == Head(number=990, block_hash=HASH, timestamp_ns=1_760_609_696_000_000_000)
    assert pin.latest.number == 1000


@pytest.mark.parametrize("finalized", [answer(None), RpcError(code=-32602, message="invalid block tag")])
def test_where_the_tag_is_not_offered_the_pin_is_64_below_the_head_and_says_so(finalized: RpcAnswer) -> None:
    pin = pin_of(finalized)
    assert isinstance(pin, Pin)
    assert pin.number == 936
    assert pin.head is None
    assert "64" in pin.finality
    assert "no finalized block" in pin.finality


def test_a_young_chain_falls_back_to_its_first_block() -> None:
    pin = pin_of(answer(None), block(10))
    assert isinstance(pin, Pin)
    assert pin.number == 0


def test_a_finalized_block_above_the_newest_comes_from_two_nodes_and_stays_the_pin() -> None:
    pin = pin_of(block(1003), block(1000))
    assert isinstance(pin, Pin)
    assert pin.number == pin.latest.number == 1003


@pytest.mark.parametrize(
    ("finalized", "latest", "chain", "why", "retryable"),
    [
        (block(1), block(2), answer("0x1"), "chain 1, expected 137", False),
        (block(1), block(2), answer(137), "could not be read", True),
        (block(1), block(2), RpcMissing(why="no answer"), "no answer", True),
        (block(1), answer(None), answer("0x89"), "no such block", True),
        (RpcError(code=-32603, message="internal"), block(2), answer("0x89"), "-32603", True),
        (answer({"number": "0x1"}), block(2), answer("0x89"), "cannot be read", True),
        (block(1, block_hash="0x12"), block(2), answer("0x89"), "hash", True),
        (answer("0x1"), block(2), answer("0x89"), "cannot be read", True),
    ],
)
def test_anything_else_refuses_the_reading(
    finalized: RpcAnswer, latest: RpcAnswer, chain: RpcAnswer, why: str, retryable: bool
) -> None:
    refused = pin_of(finalized, latest, chain)
    assert isinstance(refused, ReadingRefused)
    assert why in refused.why
    assert refused.retryable is retryable


def test_the_node_that_answers_the_balances_must_have_the_pinned_block() -> None:
    pin = pin_of(block(990))
    assert confirm_pin(pin, block(990)) == pin.head
    for seen in (block(990, "0x" + "cd" * 32), answer(None), block(991), RpcMissing(why="lost")):
        refused = confirm_pin(pin, seen)
        assert isinstance(refused, ReadingRefused)
        assert refused.retryable


def test_at_the_fall_back_the_block_is_learned_with_the_balances() -> None:
    pin = pin_of(answer(None))
    head = confirm_pin(pin, block(936))
    assert isinstance(head, Head)
    assert head.number == 936


def test_blocks_are_asked_without_their_transactions() -> None:
    assert head_call(BlockTag.FINALIZED).params == ("finalized", False)
    assert block_call(990).params == ("0x3de", False)
