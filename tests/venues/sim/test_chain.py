"""The simulated chain: blocks from the clock, balances with a memory, transactions, reorgs and JSON-RPC."""

import json
from pathlib import Path

import msgspec
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick.venues.evm.address import Address, checksum_address, keccak256, parse_address
from tallystick.venues.evm.words import address_word, decode_uint_array, dynamic_arrays, selector, uint_word
from tallystick.venues.polymarket.contracts import CONDITIONAL_TOKENS, PUSD
from tallystick.venues.sim.chain.chain import Chain, ChainRules
from tallystick.venues.sim.chain.effects import (
    UNLIMITED,
    ZERO_ADDRESS,
    CashApproved,
    CashMoves,
    Effect,
    SharesApproved,
    SharesMove,
    Transaction,
)
from tallystick.venues.sim.chain.raw_transaction import RawTransactionRefused, read_raw_transaction
from tallystick.venues.sim.chain.rpc import Contracts, RpcServer
from tallystick.venues.sim.chain.state import History

START = 1_800_000_000_000
FIXTURES = Path(__file__).parents[3] / ".." / "shared" / "fixtures" / "polymarket"
ALICE, BOB, SPENDER = (checksum_address(keccak256(name)[12:]) for name in (b"alice", b"bob", b"spender"))
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OWNER = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")


def transaction(*effects: Effect, name: str = "one") -> Transaction:
    return Transaction(
        transaction_hash="0x" + keccak256(name.encode()).hex(), sender=ALICE, target=PUSD, effects=effects
    )


def mint(target: Address, amount: int) -> CashMoves:
    return CashMoves(token=PUSD, source=ZERO_ADDRESS, target=target, amount=amount)


def give_shares(target: Address, token_id: int, amount: int) -> SharesMove:
    return SharesMove(
        token=CONDITIONAL_TOKENS,
        operator=target,
        source=ZERO_ADDRESS,
        target=target,
        token_id=token_id,
        amount=amount,
    )


def test_blocks_follow_from_the_clock() -> None:
    chain = Chain(ChainRules(), START)
    head = chain.head(START)
    assert chain.head(START + 1_999) == head
    assert chain.head(START + 2_000) == head + 1
    assert chain.next_block_ms(START) == START + 2_000
    assert chain.block(head + 1).parent_hash == chain.block(head).block_hash
    assert chain.block(head).timestamp_seconds == START // 1_000
    assert chain.finalized(START) == head - 2


def test_a_balance_is_remembered_block_by_block() -> None:
    chain = Chain(ChainRules(), START)
    chain.include(transaction(mint(ALICE, 100), name="a"), START)
    chain.include(transaction(mint(ALICE, 11), name="b"), START + 4_000)
    head = chain.head(START)
    assert [chain.cash(PUSD, ALICE, head + offset) for offset in (-1, 0, 1, 2, 9)] == [0, 100, 100, 111, 111]


def test_a_transaction_is_carried_out_whole_or_not_at_all() -> None:
    chain = Chain(ChainRules(), START)
    chain.include(transaction(mint(ALICE, 100), name="funding"), START)
    spends = CashMoves(token=PUSD, source=ALICE, target=BOB, amount=60)
    receipt = chain.include(transaction(spends, spends, name="twice"), START)
    assert (receipt.succeeded, receipt.logs) == (False, ())
    assert receipt.revert_reason == "ERC20: transfer amount exceeds balance"
    assert chain.cash(PUSD, ALICE, chain.head(START)) == 100


def test_a_spender_needs_an_allowance_and_uses_it_up() -> None:
    chain = Chain(ChainRules(), START)
    pull = CashMoves(token=PUSD, source=ALICE, target=BOB, amount=40, spender=SPENDER)
    chain.include(transaction(mint(ALICE, 100), name="funding"), START)
    assert chain.include(transaction(pull, name="1"), START).revert_reason == "ERC20: insufficient allowance"
    allow = CashApproved(token=PUSD, owner=ALICE, spender=SPENDER, amount=50)
    assert chain.include(transaction(allow, pull, name="2"), START).succeeded
    head = chain.head(START)
    assert chain.allowance(PUSD, ALICE, SPENDER, head) == 10
    limitless = CashApproved(token=PUSD, owner=ALICE, spender=SPENDER, amount=UNLIMITED)
    assert chain.include(transaction(limitless, pull, name="3"), START).succeeded
    assert chain.allowance(PUSD, ALICE, SPENDER, head) == UNLIMITED


def test_an_operator_needs_the_owners_approval() -> None:
    chain = Chain(ChainRules(), START)
    chain.include(transaction(give_shares(ALICE, 7, 10), name="funding"), START)
    pull = SharesMove(token=CONDITIONAL_TOKENS, operator=SPENDER, source=ALICE, target=BOB, token_id=7, amount=4)
    assert not chain.include(transaction(pull, name="1"), START).succeeded
    allow = SharesApproved(token=CONDITIONAL_TOKENS, owner=ALICE, operator=SPENDER, approved=True)
    assert chain.include(transaction(allow, pull, name="2"), START).succeeded
    assert chain.shares(CONDITIONAL_TOKENS, BOB, 7, chain.head(START)) == 4


def test_a_reorg_undoes_the_last_blocks_and_nothing_below() -> None:
    chain = Chain(ChainRules(), START)
    for step in range(4):
        chain.include(transaction(mint(ALICE, 1), name=str(step)), START + 2_000 * step)
    now = START + 6_000
    head = chain.head(now)
    before = [chain.block_hash(number) for number in range(head - 3, head + 1)]
    undone = chain.reorg(2, now)
    after = [chain.block_hash(number) for number in range(head - 3, head + 1)]
    assert [t.transaction_hash for t in undone] == [transaction(name=str(step)).transaction_hash for step in (2, 3)]
    assert chain.cash(PUSD, ALICE, head) == 2
    assert before[:2] == after[:2]
    assert not set(before[2:]) & set(after[2:])
    assert chain.receipt(undone[0].transaction_hash) is None
    assert len(chain.logs(head - 10, head)) == 2
    assert chain.block(head + 1).parent_hash == chain.block_hash(head)


writes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-5, 5)), max_size=30)


@given(writes=writes, cut=st.integers(0, 40))
@settings(max_examples=200)
def test_history_answers_like_a_copy_kept_for_every_block(writes: list[tuple[int, int, int]], cut: int) -> None:
    history, copies, block = History(), {0: {0: 0, 1: 0, 2: 0}}, 0
    for step, cell, value in writes:
        for _ in range(step):
            copies[block + 1] = dict(copies[block])
            block += 1
        history.put(cell, block, value)
        copies[block][cell] = value
    for number, copy in copies.items():
        assert {cell: history.get(cell, number) for cell in range(3)} == copy
    history.forget_after(cut)
    for number in copies:
        assert {cell: history.get(cell, number) for cell in range(3)} == copies[min(number, cut, block)]


# JSON-RPC.


class Node:
    """A JSON-RPC server over a chain with a little on it."""

    def __init__(self) -> None:
        self.chain = Chain(ChainRules(), START)
        self.sent: list[Transaction] = []
        self.now_ms = START
        self.server = RpcServer(
            self.chain,
            Contracts(erc20=frozenset({PUSD}), erc1155=frozenset({CONDITIONAL_TOKENS}), other=frozenset()),
            submit=lambda sent: self.sent.append(sent.transaction),
            deployed=lambda _address: False,
            payouts=lambda condition: (1, 0) if condition[0] else (0, 0),
        )

    def answer(self, method: str, *params: object) -> dict[str, object]:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 5, "method": method, "params": list(params)})
        answer: dict[str, object] = msgspec.json.decode(self.server.answer(body, self.now_ms))
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 5)
        return answer

    def ask(self, method: str, *params: object) -> object:
        answer = self.answer(method, *params)
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, *params: object) -> tuple[int, str]:
        error = self.answer(method, *params)["error"]
        assert isinstance(error, dict)
        return error["code"], error["message"]

    def call(self, to: str, data: bytes, block: object = "latest") -> str:
        return str(self.ask("eth_call", {"to": to, "data": "0x" + data.hex()}, block))


def test_calls_and_their_encodings_are_those_of_the_fixtures() -> None:
    path = FIXTURES / "evm_call_vectors.json"
    if not path.exists():
        pytest.skip(f"no fixtures at {path}")
    node = Node()
    vectors = {vector["name"]: vector for vector in json.loads(path.read_text())["calls"]}
    cash = vectors["erc20_balanceOf"]
    shares = vectors["erc1155_balanceOf"]
    batch = vectors["erc1155_balanceOfBatch"]
    owner, token_id = shares["args"][0], int(shares["args"][1])
    owners, token_ids = batch["args"]
    node.chain.include(transaction(mint(parse_address(owner), 750_000_000), name="cash"), START)
    decoded = dict(zip(zip(owners, token_ids, strict=True), batch["decoded"], strict=True))
    effects = tuple(give_shares(parse_address(o), int(t), amount) for (o, t), amount in decoded.items())
    node.chain.include(transaction(*effects, name="shares"), START)
    assert node.call(cash["to"], bytes.fromhex(cash["data"][2:])) == cash["example_result"]
    assert node.call(batch["to"], bytes.fromhex(batch["data"][2:])) == batch["example_result"]
    assert int(node.call(shares["to"], bytes.fromhex(shares["data"][2:])), 16) == decoded[owner, str(token_id)]


def test_a_historic_block_answers_with_its_own_state() -> None:
    node = Node()
    node.chain.include(transaction(mint(ALICE, 5)), START)
    node.now_ms = START + 20_000
    node.chain.include(transaction(mint(ALICE, 5), name="late"), node.now_ms)
    data = selector("balanceOf(address)") + address_word(ALICE)
    head = int(str(node.ask("eth_blockNumber")), 16)
    old = node.ask("eth_getBlockByNumber", hex(head - 10), False)
    assert isinstance(old, dict)
    assert int(node.call(PUSD, data), 16) == 10
    assert int(node.call(PUSD, data, hex(head - 1)), 16) == 5
    assert int(node.call(PUSD, data, "finalized"), 16) == 5
    assert int(node.call(PUSD, data, {"blockHash": old["hash"]}), 16) == 5
    assert int(node.call(PUSD, data, hex(head - 11)), 16) == 0


def test_errors_are_those_of_a_node() -> None:
    node = Node()
    head = int(str(node.ask("eth_blockNumber")), 16)
    zero_query = selector("balanceOf(address,uint256)") + address_word(ZERO_ADDRESS) + uint_word(1)
    uneven = selector("balanceOfBatch(address[],uint256[])") + dynamic_arrays([address_word(ALICE)], [])

    def call(to: str, data: bytes, block: object = "latest") -> tuple[int, str]:
        return node.error("eth_call", {"to": to, "data": "0x" + data.hex()}, block)

    assert node.error("eth_mystery")[0] == -32601
    assert call(CONDITIONAL_TOKENS, zero_query) == (
        3,
        "execution reverted: ERC1155: balance query for the zero address",
    )
    assert call(CONDITIONAL_TOKENS, uneven)[0] == 3
    assert call(PUSD, b"\x12\x34\x56\x78") == (3, "execution reverted")
    assert call(PUSD, selector("balanceOf(address)"), hex(head + 1)) == (-32000, "header not found")
    assert "missing trie node" in call(PUSD, b"", hex(head - 200))[1]
    assert call(PUSD, b"", "yesterday")[0] == -32602
    assert node.error("eth_call", {"to": "nobody"})[0] == -32602
    assert node.ask("eth_getBlockByNumber", hex(head + 1), False) is None
    assert node.ask("eth_getTransactionReceipt", "0x" + "00" * 32) is None
    assert node.call(ALICE, selector("balanceOf(address)") + address_word(ALICE)) == "0x"


def test_codes_and_payouts_tell_contracts_from_accounts_and_resolved_from_open() -> None:
    node = Node()
    assert node.ask("eth_getCode", PUSD, "latest") != "0x"
    assert node.ask("eth_getCode", ALICE, "latest") == "0x"
    denominator = selector("payoutDenominator(bytes32)")
    assert int(node.call(CONDITIONAL_TOKENS, denominator + b"\x01" * 32), 16) == 1
    assert int(node.call(CONDITIONAL_TOKENS, denominator + b"\x00" * 32), 16) == 0
    numerators = selector("payoutNumerators(bytes32,uint256)") + b"\x01" * 32
    assert [int(node.call(CONDITIONAL_TOKENS, numerators + uint_word(at)), 16) for at in (0, 1, 2)] == [1, 0, 0]


def test_logs_are_found_by_contract_topic_and_range() -> None:
    node = Node()
    node.chain.include(transaction(mint(ALICE, 5), give_shares(BOB, 7, 3)), START)
    head = hex(node.chain.head(START))
    every = node.ask("eth_getLogs", {"fromBlock": head, "toBlock": head})
    assert isinstance(every, list)
    assert [int(log["logIndex"], 16) for log in every] == [0, 1]
    to_bob = "0x" + address_word(BOB).hex()
    found = node.ask(
        "eth_getLogs",
        {"fromBlock": head, "toBlock": "latest", "address": CONDITIONAL_TOKENS, "topics": [None, None, None, to_bob]},
    )
    assert isinstance(found, list)
    (log,) = found
    assert log["data"] == "0x" + (uint_word(7) + uint_word(3)).hex()
    assert node.ask("eth_getLogs", {"fromBlock": head, "topics": [[to_bob]]}) == []
    assert node.error("eth_getLogs", {"fromBlock": "earliest", "toBlock": "latest", "topics": 7})[0] == -32602


def test_a_batch_is_answered_as_an_array_and_nonsense_with_an_error() -> None:
    node = Node()
    batch: list[dict[str, object]] = [
        {"jsonrpc": "2.0", "id": number, "method": "eth_chainId", "params": []} for number in (1, 2)
    ]
    answers = msgspec.json.decode(node.server.answer(msgspec.json.encode(batch), START))
    assert [(answer["id"], answer["result"]) for answer in answers] == [(1, "0x89"), (2, "0x89")]
    for body, code in ((b"{", -32700), (b"[]", -32600), (b"7", -32600), (b'{"id": 1}', -32600)):
        assert msgspec.json.decode(node.server.answer(body, START))["error"]["code"] == code


def test_a_batch_of_balances_of_any_length_comes_back_in_order() -> None:
    node = Node()
    node.chain.include(transaction(*(give_shares(ALICE, token, token) for token in range(1, 40))), START)
    owners, tokens = [address_word(ALICE)] * 39, [uint_word(token) for token in range(1, 40)]
    data = selector("balanceOfBatch(address[],uint256[])") + dynamic_arrays(owners, tokens)
    result = bytes.fromhex(node.call(CONDITIONAL_TOKENS, data)[2:])
    assert decode_uint_array(result, length=39) == tuple(range(1, 40))


# Signed transactions.


def signed(data: bytes, *, nonce: int = 0, chain_id: int = 137, legacy: bool = False, value: int = 0) -> bytes:
    fields: dict[str, object] = {
        "to": PUSD,
        "data": data,
        "nonce": nonce,
        "gas": 200_000,
        "value": value,
        "chainId": chain_id,
    }
    price = {"gasPrice": 10**9} if legacy else {"maxFeePerGas": 10**9, "maxPriorityFeePerGas": 10**9, "type": 2}
    return bytes(Account.sign_transaction({**fields, **price}, KEY).raw_transaction)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("value", [0, 0x7F, 0x80, 0xC0, 10**18])
def test_a_transaction_signed_by_another_library_is_read_back(legacy: bool, value: int) -> None:
    data = selector("approve(address,uint256)") + address_word(SPENDER) + uint_word(UNLIMITED)
    raw = signed(data, nonce=300, legacy=legacy, value=value)
    sent = read_raw_transaction(raw, 137)
    assert (sent.transaction.sender, sent.nonce) == (OWNER, 300)
    assert sent.transaction.transaction_hash == "0x" + keccak256(raw).hex()
    assert sent.transaction.effects == (CashApproved(token=PUSD, owner=OWNER, spender=SPENDER, amount=UNLIMITED),)


def test_every_known_token_call_has_its_effect() -> None:
    shares = selector("safeTransferFrom(address,address,uint256,uint256,bytes)")
    shares += address_word(OWNER) + address_word(BOB) + uint_word(7) + uint_word(3) + uint_word(160) + uint_word(0)
    cases: dict[bytes, object] = {
        selector("transfer(address,uint256)") + address_word(BOB) + uint_word(3): CashMoves(
            token=PUSD, source=OWNER, target=BOB, amount=3
        ),
        selector("setApprovalForAll(address,bool)") + address_word(BOB) + uint_word(1): SharesApproved(
            token=PUSD, owner=OWNER, operator=BOB, approved=True
        ),
        shares: SharesMove(token=PUSD, operator=OWNER, source=OWNER, target=BOB, token_id=7, amount=3),
    }
    for data, effect in cases.items():
        assert read_raw_transaction(signed(data), 137).transaction.effects == (effect,)
    assert read_raw_transaction(signed(b""), 137).transaction.effects == ()
    with pytest.raises(RawTransactionRefused, match="knows no function"):
        read_raw_transaction(signed(b"\x01\x02\x03\x04"), 137)


def test_a_transaction_of_another_chain_is_refused() -> None:
    with pytest.raises(RawTransactionRefused, match="signed for chain 1, this chain is 137"):
        read_raw_transaction(signed(b"", chain_id=1), 137)


@given(data=st.binary(max_size=200), prefix=st.sampled_from([b"", b"\x02", b"\x02\xf8", b"\xf8"]))
def test_bytes_that_are_no_transaction_are_refused_and_never_crash(data: bytes, prefix: bytes) -> None:
    with pytest.raises(RawTransactionRefused):
        read_raw_transaction(prefix + data, 137)


@given(cut=st.integers(0, 170), flip=st.integers(0, 7))
def test_a_damaged_transaction_is_never_taken_for_its_senders(cut: int, flip: int) -> None:
    raw = bytearray(signed(selector("transfer(address,uint256)") + address_word(BOB) + uint_word(3)))
    raw[cut % len(raw)] ^= 1 << flip
    try:
        sent = read_raw_transaction(bytes(raw), 137)
    except RawTransactionRefused:
        return
    assert sent.transaction.sender != OWNER


def test_nonces_count_up_and_a_sent_transaction_is_handed_over() -> None:
    node = Node()
    data = selector("transfer(address,uint256)") + address_word(BOB) + uint_word(3)
    assert node.error("eth_sendRawTransaction", "0x" + signed(data, nonce=1).hex())[1].startswith("nonce too high")
    transaction_hash = node.ask("eth_sendRawTransaction", "0x" + signed(data).hex())
    assert [sent.transaction_hash for sent in node.sent] == [transaction_hash]
    assert node.ask("eth_getTransactionCount", OWNER, "pending") == "0x1"
    assert node.error("eth_sendRawTransaction", "0x" + signed(data).hex())[1].startswith("nonce too low")
    assert node.error("eth_sendRawTransaction", "0x00")[0] == -32000
