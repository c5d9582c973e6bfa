"""Transfers are read from log entries, and an entry that is none is said so."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.evm import logs
from tallystick.venues.evm.address import parse_address
from tallystick.venues.evm.blocks import ReadingRefused
from tallystick.venues.evm.json_rpc import RpcError, RpcMissing, RpcResult
from tallystick.venues.evm.words import address_word, dynamic_arrays, uint_word

CONTRACT = parse_address("0x4D97DCd97eC945f40cF65F87097ACe5EA0476045")
WALLET = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
OTHER = parse_address("0x" + "11" * 20)


def topic(address: Any) -> str:
    return "0x" + address_word(address).hex()


def entry(topics: list[str], data: bytes, **changes: Any) -> dict[str, Any]:
    return {
        "address": CONTRACT.lower(),
        "topics": topics,
        "data": "0x" + data.hex(),
        "blockNumber": "0x4c4b3f0",
        "blockHash": "0x" + "AB" * 32,
        "transactionHash": "0x" + "CD" * 32,
        "transactionIndex": "0x7",
        "logIndex": "0x1a",
        "removed": False,
    } | changes


def read(*entries: Any) -> Any:
    return logs.read_transfers(RpcResult(raw=msgspec.json.encode(list(entries))))


SINGLE = [logs.TRANSFER_SINGLE, topic(OTHER), topic(OTHER), topic(WALLET)]
BATCH = [logs.TRANSFER_BATCH, topic(OTHER), topic(WALLET), topic(OTHER)]


def test_a_single_transfer_names_its_token_its_parties_and_its_place() -> None:
    (found,) = read(entry(SINGLE, uint_word(7) + uint_word(100_000_000)))
    assert isinstance(found, logs.Transfer)
    assert (found.sender, found.receiver, found.token, found.units) == (OTHER, WALLET, 7, 100_000_000)
    assert (found.block_number, found.log_index, found.position) == (79_999_984, 26, 0)
    assert found.block_hash == "0x" + "ab" * 32


def test_a_batch_transfer_is_one_transfer_for_each_token() -> None:
    data = dynamic_arrays([uint_word(1), uint_word(2)], [uint_word(10), uint_word(20)])
    found = read(entry(BATCH, data))
    assert [(move.token, move.units, move.position) for move in found] == [(1, 10, 0), (2, 20, 1)]


def test_a_cash_transfer_has_no_token() -> None:
    (found,) = read(entry([logs.ERC20_TRANSFER, topic(WALLET), topic(OTHER)], uint_word(5)))
    assert isinstance(found, logs.Transfer)
    assert (found.token, found.units, found.sender) == (None, 5, WALLET)


@pytest.mark.parametrize(
    "crooked",
    [
        entry(SINGLE, uint_word(1)),
        entry(SINGLE[:3], uint_word(1) + uint_word(2)),
        entry(SINGLE, uint_word(1) + uint_word(2), removed=True),
        entry(SINGLE, uint_word(1) + uint_word(2), blockNumber="5"),
        entry([logs.ERC20_TRANSFER, topic(OTHER), topic(OTHER), topic(WALLET)], b""),
        entry([logs.POSITION_SPLIT, topic(OTHER)], uint_word(1)),
        entry(BATCH, dynamic_arrays([uint_word(1)], [])),
        entry(BATCH, dynamic_arrays([], [])),
        entry(BATCH, uint_word(1 << 200) + uint_word(64)),
        entry(BATCH, uint_word(64) + uint_word(1 << 250)),
        entry([], b""),
        {"address": 5},
        "nonsense",
    ],
)
def test_an_entry_that_cannot_be_read_is_said_so(crooked: Any) -> None:
    (found,) = read(crooked)
    assert isinstance(found, logs.LogUnread)
    assert found.why


def test_a_failed_query_is_refused() -> None:
    assert isinstance(logs.read_transfers(RpcError(code=-32005, message="range too large")), ReadingRefused)
    assert isinstance(logs.read_transfers(RpcMissing(why="no answer")), ReadingRefused)
    assert isinstance(logs.read_transfers(RpcResult(raw=b'{"a":1}')), ReadingRefused)


def test_a_query_puts_the_wallet_where_the_event_has_the_party() -> None:
    incoming = logs.transfer_logs_call(CONTRACT, wallet=WALLET, incoming=True, erc1155=True, from_block=1, to_block=16)
    assert incoming.params[0]["topics"] == [
        [logs.TRANSFER_SINGLE, logs.TRANSFER_BATCH],
        None,
        None,
        topic(WALLET),
    ]
    assert (incoming.params[0]["fromBlock"], incoming.params[0]["toBlock"]) == ("0x1", "0x10")
    outgoing = logs.transfer_logs_call(CONTRACT, wallet=WALLET, incoming=False, erc1155=False, from_block=1, to_block=2)
    assert outgoing.params[0]["topics"] == [logs.ERC20_TRANSFER, topic(WALLET)]


@given(
    st.lists(st.binary(min_size=0, max_size=32).map(lambda raw: "0x" + raw.hex()), max_size=5), st.binary(max_size=320)
)
def test_any_entry_gives_at_least_one_result(topics: list[str], data: bytes) -> None:
    for first in (logs.TRANSFER_SINGLE, logs.TRANSFER_BATCH, logs.ERC20_TRANSFER, "0x"):
        assert len(read(entry([first, *topics], data))) >= 1
