"""The wallet is read at one block, whole, or not at all."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tallystick.venues.evm.address import parse_address
from tallystick.venues.evm.blocks import Pin, ReadingRefused
from tallystick.venues.evm.words import dynamic_arrays, uint_word
from tallystick.venues.polymarket import wallet
from tallystick.venues.polymarket.contracts import (
    AMOY_CONDITIONAL_TOKENS,
    CONDITIONAL_TOKENS,
    POSITION_MANAGER,
    PUSD,
    TokenId,
)

WALLET = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
HASH = "0x" + "ab" * 32
TOKENS = [TokenId(str((1 << 200) + (1 << 60) + number)) for number in range(3)]
POSITION = TokenId("452312848583266388373324160190187140280203133231273979958762269979397062657")


def block(number: int, block_hash: str = HASH) -> dict[str, str]:
    return {"number": hex(number), "hash": block_hash, "timestamp": "0x68f0c5a0"}


def rows(*results: Any, reverse: bool = False) -> bytes:
    found = [{"jsonrpc": "2.0", "id": place, "result": result} for place, result in enumerate(results, start=1)]
    return msgspec.json.encode(found[::-1] if reverse else found)


def array(*values: int) -> str:
    words = dynamic_arrays([uint_word(value) for value in values])
    return "0x" + words.hex()


def word(value: int) -> str:
    return "0x" + uint_word(value).hex()


def pinned(finalized: Any = None) -> Pin:
    pin = wallet.read_head(rows("0x89", finalized or block(990), block(1000)), chain_id=137)
    assert isinstance(pin, Pin)
    return pin


def test_the_head_is_asked_with_the_chain_in_one_batch() -> None:
    asked = msgspec.json.decode(wallet.head_body())
    assert [call["method"] for call in asked] == ["eth_chainId", "eth_getBlockByNumber", "eth_getBlockByNumber"]
    assert [call["params"] for call in asked[1:]] == [["finalized", False], ["latest", False]]


def test_a_node_of_another_chain_is_refused() -> None:
    refused = wallet.read_head(rows("0x1", block(990), block(1000)), chain_id=137)
    assert isinstance(refused, ReadingRefused)
    assert "chain 1" in refused.why


def test_every_call_of_a_reading_names_the_same_block() -> None:
    asked = msgspec.json.decode(wallet.balances_body(pinned(), WALLET, [*TOKENS, POSITION], chain_id=137))
    assert asked[0]["params"] == ["0x3de", False]
    assert {call["params"][1] for call in asked[1:]} == {"0x3de"}
    assert [call["params"][0]["to"] for call in asked[1:]] == [PUSD, CONDITIONAL_TOKENS, POSITION_MANAGER]
    on_amoy = msgspec.json.decode(wallet.balances_body(pinned(), WALLET, TOKENS, chain_id=80002))
    assert on_amoy[2]["params"][0]["to"] == AMOY_CONDITIONAL_TOKENS


def test_cash_and_every_token_are_read_zeros_included() -> None:
    tokens = [*TOKENS, POSITION, TOKENS[0]]
    answers = (block(990), word(750_000_000), array(100_000_000, 0, 1), word(5_000_000))
    for reverse in (False, True):
        reading = wallet.read_balances(rows(*answers, reverse=reverse), pinned(), tokens)
        assert isinstance(reading, wallet.WalletReading)
        assert reading.cash == Decimal(750)
        assert dict(reading.shares) == {
            TOKENS[0]: Decimal(100),
            TOKENS[1]: Decimal(0),
            TOKENS[2]: Decimal("0.000001"),
            POSITION: Decimal(5),
        }
        assert (reading.block_number, reading.block_hash, reading.finality) == (990, HASH, "finalized")
        assert reading.block_time_ns == 0x68F0C5A0 * 1_000_000_000


def test_more_tokens_than_one_call_takes_are_asked_in_several() -> None:
    tokens = [TokenId(str((1 << 200) + (1 << 60) + number)) for number in range(150)]
    asked = msgspec.json.decode(wallet.balances_body(pinned(), WALLET, tokens, chain_id=137))
    assert len(asked) == 4
    reading = wallet.read_balances(
        rows(block(990), word(0), array(*range(100)), array(*range(100, 150))), pinned(), tokens
    )
    assert isinstance(reading, wallet.WalletReading)
    assert [int(held.scaleb(6)) for _, held in reading.shares] == list(range(150))


def test_at_the_fall_back_the_reading_says_how_final_it_is() -> None:
    pin = wallet.read_head(rows("0x89", None, block(1000)), chain_id=137)
    assert isinstance(pin, Pin)
    reading = wallet.read_balances(rows(block(936), word(1)), pin, [])
    assert isinstance(reading, wallet.WalletReading)
    assert "latest-64" in reading.finality


@pytest.mark.parametrize(
    "answers",
    [
        (block(990), "0x", array(1, 2, 3)),
        (block(990), word(1), "0x"),
        (block(990), word(1), array(1, 2)),
        (block(990), word(1), array(1, 2, 3, 4)),
        (block(990), word(1)),
        (block(990, "0x" + "cd" * 32), word(1), array(1, 2, 3)),
        (None, word(1), array(1, 2, 3)),
        (block(991), word(1), array(1, 2, 3)),
        (block(990), None, array(1, 2, 3)),
    ],
)
def test_a_reading_with_a_hole_in_it_is_refused_whole(answers: tuple[Any, ...]) -> None:
    assert isinstance(wallet.read_balances(rows(*answers), pinned(), TOKENS), ReadingRefused)


def test_a_page_of_html_is_no_reading() -> None:
    assert isinstance(wallet.read_head(b"<html>", chain_id=137), ReadingRefused)
    assert isinstance(wallet.read_balances(b"<html>", pinned(), TOKENS), ReadingRefused)
