"""What moved a wallet without a trade is read whole, transaction by transaction, between two blocks that stay."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.identifiers import AccountId
from tallystick.model.transfer import LedgerPosition, TransferKind, TransferPage
from tallystick.venues.evm.address import Address, parse_address
from tallystick.venues.evm.blocks import Pin, ReadingRefused
from tallystick.venues.evm.logs import ERC20_TRANSFER, TRANSFER_BATCH, TRANSFER_SINGLE
from tallystick.venues.evm.words import address_word, dynamic_arrays, uint_word
from tallystick.venues.polymarket import transfers, wallet
from tallystick.venues.polymarket.contracts import (
    CONDITIONAL_TOKENS,
    NEG_RISK_ADAPTER,
    PUSD,
    Exchange,
    exchange_contract,
)
from tallystick.venues.polymarket.instruments import InstrumentTable

WALLET = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
OTHER = parse_address("0x" + "11" * 20)
ZERO = parse_address("0x" + "00" * 20)
EXCHANGE = exchange_contract(Exchange.V2, 137).address
BEFORE, HASH = "0x" + "aa" * 32, "0x" + "ab" * 32
YES, NO = (1 << 200) + 7, (1 << 200) + 8
AFTER = LedgerPosition(number=980, stamp=BEFORE)


def block(number: int, block_hash: str) -> dict[str, str]:
    return {"number": hex(number), "hash": block_hash, "timestamp": "0x68f0c5a0"}


def topic(address: Address) -> str:
    return "0x" + address_word(address).hex()


def entry(address: Address, topics: list[str], data: bytes, *, tx: int, log: int) -> dict[str, Any]:
    return {
        "address": address.lower(),
        "topics": topics,
        "data": "0x" + data.hex(),
        "blockNumber": hex(985),
        "blockHash": "0x" + "cc" * 32,
        "transactionHash": f"0x{tx:064x}",
        "logIndex": hex(log),
        "removed": False,
    }


def cash(source: Address, target: Address, units: int, *, tx: int = 1, log: int = 0) -> dict[str, Any]:
    return entry(PUSD, [ERC20_TRANSFER, topic(source), topic(target)], uint_word(units), tx=tx, log=log)


def shares(
    source: Address, target: Address, token: int, units: int, *, operator: Address = WALLET, tx: int = 1, log: int = 1
) -> dict[str, Any]:
    parties = [topic(operator), topic(source), topic(target)]
    data = uint_word(token) + uint_word(units)
    return entry(CONDITIONAL_TOKENS, [TRANSFER_SINGLE, *parties], data, tx=tx, log=log)


def pin(number: int = 990) -> Pin:
    answers = ["0x89", block(number, HASH), block(number + 10, HASH)]
    rows = [{"jsonrpc": "2.0", "id": place, "result": found} for place, found in enumerate(answers, 1)]
    found = wallet.read_head(msgspec.json.encode(rows), chain_id=137)
    assert isinstance(found, Pin)
    return found


def body(
    *entries: dict[str, Any], before: str = BEFORE, until: Any = None, logs: Any = None, number: int = 990
) -> bytes:
    """The answer to one reading: cash in and out, tokens in and out, positions of the other contract."""
    queries: list[list[dict[str, Any]]] = [[], [], [], [], [], []]
    for found in entries:
        erc1155 = found["topics"][0] != ERC20_TRANSFER
        incoming = found["topics"][-1] == topic(WALLET)
        queries[2 * erc1155 + (0 if incoming else 1)].append(found)
    results = [block(980, before), until or block(number, HASH), *queries]
    rows: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": place, "result": found} for place, found in enumerate(results, 1)
    ]
    if logs is not None:
        rows[4] = {"jsonrpc": "2.0", "id": 5} | logs
    return msgspec.json.encode(rows)


def read(content: bytes, at: Pin | None = None, after: LedgerPosition = AFTER) -> TransferPage | ReadingRefused:
    return transfers.read_transfers_page(
        content,
        at or pin(),
        after,
        WALLET,
        chain_id=137,
        account=AccountId("polymarket:main"),
        table=InstrumentTable(),
    )


def page(*entries: dict[str, Any]) -> TransferPage:
    found = read(body(*entries))
    assert isinstance(found, TransferPage), found
    return found


def test_both_blocks_and_every_way_in_and_out_are_asked_in_one_batch() -> None:
    asked = msgspec.json.decode(transfers.transfers_body(pin(), AFTER, WALLET, chain_id=137))
    assert [call["method"] for call in asked] == ["eth_getBlockByNumber"] * 2 + ["eth_getLogs"] * 6
    assert [call["params"][0] for call in asked[:2]] == [hex(980), hex(990)]
    ranges = {(call["params"][0]["fromBlock"], call["params"][0]["toBlock"]) for call in asked[2:]}
    assert ranges == {(hex(981), hex(990))}


def test_a_long_way_is_read_in_parts_and_the_part_says_that_it_is_one() -> None:
    far = pin(9_990)
    assert transfers.last_block(far, AFTER) == 980 + transfers.BLOCKS_MAXIMUM
    found = read(body(until=block(2_980, HASH)), far)
    assert isinstance(found, TransferPage)
    assert (found.until.number, found.ended) == (2_980, False)
    assert page().ended


CASES = [
    (TransferKind.DEPOSIT, [cash(OTHER, WALLET, 5_000_000)], {"pUSD": "5"}),
    (TransferKind.DEPOSIT, [cash(ZERO, WALLET, 250_000)], {"pUSD": "0.25"}),
    (TransferKind.WITHDRAWAL, [cash(WALLET, OTHER, 5_000_000)], {"pUSD": "-5"}),
    (TransferKind.POSITION_IN, [shares(OTHER, WALLET, YES, 7_000_000, operator=OTHER)], {"yes": "7"}),
    (TransferKind.POSITION_OUT, [shares(WALLET, OTHER, YES, 7_000_000)], {"yes": "-7"}),
    (
        TransferKind.SPLIT,
        [
            cash(WALLET, ZERO, 40_000_000),
            shares(ZERO, WALLET, YES, 40_000_000),
            shares(ZERO, WALLET, NO, 40_000_000, log=2),
        ],
        {"pUSD": "-40", "yes": "40", "no": "40"},
    ),
    (
        TransferKind.MERGE,
        [
            cash(ZERO, WALLET, 15_000_000),
            shares(WALLET, ZERO, YES, 15_000_000),
            shares(WALLET, ZERO, NO, 15_000_000, log=2),
        ],
        {"pUSD": "15", "yes": "-15", "no": "-15"},
    ),
    (
        TransferKind.REDEMPTION,
        [cash(ZERO, WALLET, 50_000_000), shares(WALLET, ZERO, YES, 50_000_000)],
        {"pUSD": "50", "yes": "-50"},
    ),
    (TransferKind.REDEMPTION, [shares(WALLET, ZERO, NO, 50_000_000)], {"no": "-50"}),
    (
        TransferKind.OTHER,
        [shares(WALLET, OTHER, YES, 1_000_000), shares(OTHER, WALLET, NO, 2_000_000, log=2)],
        {"yes": "-1", "no": "2"},
    ),
    (
        TransferKind.OTHER,
        [cash(OTHER, WALLET, 1_000_000), shares(WALLET, OTHER, YES, 2_000_000)],
        {"pUSD": "1", "yes": "-2"},
    ),
]


@pytest.mark.parametrize(("kind", "entries", "net"), CASES)
def test_a_transaction_is_named_by_what_it_did(
    kind: TransferKind, entries: list[dict[str, Any]], net: dict[str, str]
) -> None:
    names = {"pUSD": "pUSD", "yes": f"polymarket:token:{YES}", "no": f"polymarket:token:{NO}"}
    (found,) = page(*entries).transfers
    assert found.kind is kind
    assert {moved.asset: moved.quantity for moved in found.movements} == {
        names[name]: Decimal(quantity) for name, quantity in net.items()
    }
    assert found.transaction == f"0x{1:064x}"
    assert found.at.number == 985
    assert all(moved.references for moved in found.movements)
    assert kind.is_harmless is (kind in {TransferKind.DEPOSIT, TransferKind.REDEMPTION})


def test_tokens_outside_the_accounts_markets_are_marked_as_followed_by_nobody() -> None:
    (found,) = page(shares(OTHER, WALLET, YES, 7_000_000), cash(OTHER, WALLET, 1)).transfers
    assert {moved.asset == "pUSD": moved.followed for moved in found.movements} == {True: True, False: False}


def test_the_settlement_of_a_trade_is_the_fill_logs_and_no_transfer() -> None:
    found = page(
        cash(WALLET, OTHER, 22_000_000, tx=5),
        shares(OTHER, WALLET, YES, 50_000_000, operator=EXCHANGE, tx=5),
        cash(WALLET, OTHER, 490_000, tx=5, log=2),
        cash(WALLET, OTHER, 1_000_000, tx=6, log=3),
    )
    assert found.settled_trades == (f"0x{5:064x}",)
    assert [moved.transaction for moved in found.transfers] == [f"0x{6:064x}"]


def test_a_trade_whose_tokens_an_adapter_moved_is_known_by_the_exchange_on_the_other_side() -> None:
    neg_risk = exchange_contract(Exchange.NEG_RISK_V2, 137).address
    found = page(
        cash(WALLET, neg_risk, 22_000_000),
        shares(neg_risk, WALLET, YES, 50_000_000, operator=NEG_RISK_ADAPTER),
    )
    assert found.settled_trades
    assert not found.transfers
    by_hand = page(cash(WALLET, OTHER, 5_000_000), shares(OTHER, WALLET, YES, 5_000_000, operator=NEG_RISK_ADAPTER))
    assert not by_hand.settled_trades
    assert by_hand.transfers


def test_a_batch_of_tokens_is_one_transaction() -> None:
    data = dynamic_arrays([uint_word(YES), uint_word(NO)], [uint_word(1_000_000), uint_word(2_000_000)])
    parties = [topic(OTHER), topic(OTHER), topic(WALLET)]
    (found,) = page(entry(CONDITIONAL_TOKENS, [TRANSFER_BATCH, *parties], data, tx=1, log=4)).transfers
    assert found.kind is TransferKind.POSITION_IN
    assert sorted(moved.quantity for moved in found.movements) == [1, 2]


def test_what_the_wallet_sends_to_itself_or_gets_back_in_one_transaction_changed_nothing() -> None:
    assert not page(cash(WALLET, WALLET, 1_000_000)).transfers
    assert not page(cash(WALLET, OTHER, 1_000_000), cash(OTHER, WALLET, 1_000_000, log=1)).transfers


def test_transactions_come_in_the_order_of_the_chain() -> None:
    found = page(cash(OTHER, WALLET, 1, tx=2, log=9), cash(WALLET, OTHER, 1, tx=3, log=4)).transfers
    assert [moved.transaction[-1] for moved in found] == ["3", "2"]


def test_a_block_that_is_another_one_now_is_told_and_nothing_else_is() -> None:
    found = read(body(cash(OTHER, WALLET, 1), before="0x" + "ee" * 32))
    assert isinstance(found, TransferPage)
    assert "final block 980" in found.history_changed
    assert not found.transfers
    assert isinstance(read(body(cash(OTHER, WALLET, 1)), after=LedgerPosition(number=980, stamp="")), TransferPage)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (body(until=block(990, "0x" + "ee" * 32)), "block 990 was"),
        (body(until=block(991, HASH)), "asked for block 990"),
        (body(logs={"error": {"code": -32005, "message": "limit exceeded"}}), "limit exceeded"),
        (body(logs={"result": [{"topics": []}]}), "could not be read"),
        (body(logs={"result": None}), "cannot be read"),
        (b"<html>", "could not be read again"),
        (b"[]", "could not be read again"),
    ],
)
def test_a_reading_that_is_not_whole_is_refused_and_never_empty(content: bytes, why: str) -> None:
    found = read(content)
    assert isinstance(found, ReadingRefused)
    assert why in found.why


@given(st.binary(max_size=200) | st.just(body(cash(OTHER, WALLET, 1))).map(lambda found: found[: len(found) // 2]))
def test_whatever_arrives_is_a_refusal_or_a_page(content: bytes) -> None:
    assert isinstance(read(content), (TransferPage, ReadingRefused))
