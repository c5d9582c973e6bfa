"""The web3 library reads the simulated chain like any node (evm.md 16)."""

import warnings

import pytest
from py_clob_client_v2.clob_types import OrderArgsV2  # type: ignore[import-untyped]  # the client ships no types
from tallystick.venues.polymarket.contracts import CONDITIONAL_TOKENS, PUSD

from .conftest import Simulator
from .test_py_clob_client_v2 import OWNER, connect, eventually, quote

with warnings.catch_warnings():
    # The library still imports the old half of websockets, which warns; nothing here uses it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from web3 import Web3
    from web3.exceptions import ContractLogicError, TransactionNotFound
    from web3.logs import DISCARD

ERC20 = [
    {
        "type": "function",
        "name": "balanceOf",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}],
        "outputs": [{"name": "", "type": "uint256"}],
    },
    {
        "type": "event",
        "name": "Transfer",
        "anonymous": False,
        "inputs": [
            {"name": "from", "type": "address", "indexed": True},
            {"name": "to", "type": "address", "indexed": True},
            {"name": "value", "type": "uint256", "indexed": False},
        ],
    },
]
ERC1155 = [
    {
        "type": "function",
        "name": "balanceOf",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}, {"name": "id", "type": "uint256"}],
        "outputs": [{"name": "", "type": "uint256"}],
    },
    {
        "type": "function",
        "name": "balanceOfBatch",
        "stateMutability": "view",
        "inputs": [{"name": "owners", "type": "address[]"}, {"name": "ids", "type": "uint256[]"}],
        "outputs": [{"name": "", "type": "uint256[]"}],
    },
    {
        "type": "function",
        "name": "isApprovedForAll",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}, {"name": "operator", "type": "address"}],
        "outputs": [{"name": "", "type": "bool"}],
    },
]
ZERO = "0x" + "00" * 20
EXCHANGE = "0xE111180000d2663C0091e4f400237545B87B996B"


def test_blocks_balances_logs_and_receipts_of_a_settlement(simulator: Simulator) -> None:
    yes, no = simulator.tokens("standard")
    quote(simulator)
    client = connect(simulator)
    client.create_and_post_order(OrderArgsV2(token_id=yes, price=0.52, size=10, side="BUY"))
    eventually(lambda: simulator.ask("trades")[0]["status"] == "CONFIRMED")
    web3 = Web3(Web3.HTTPProvider(f"{simulator.url}/rpc"))
    pusd, tokens, owner = (Web3.to_checksum_address(name) for name in (PUSD, CONDITIONAL_TOKENS, OWNER))
    assert web3.eth.chain_id == 137
    latest, finalized = web3.eth.get_block("latest"), web3.eth.get_block("finalized")
    assert latest["number"] - finalized["number"] in {2, 3}
    assert web3.eth.get_block(latest["number"] - 1)["hash"] == web3.eth.get_block(latest["number"])["parentHash"]
    assert len(web3.eth.get_code(pusd)) > 0
    assert len(web3.eth.get_code(owner)) == 0

    cash = web3.eth.contract(address=pusd, abi=ERC20)
    shares = web3.eth.contract(address=tokens, abi=ERC1155)
    assert shares.functions.balanceOf(owner, int(yes)).call() == 10_000_000
    batch = shares.functions.balanceOfBatch([owner, owner], [int(yes), int(no)])
    assert batch.call(block_identifier="finalized") == [10_000_000, 0]
    assert shares.functions.isApprovedForAll(owner, EXCHANGE).call() is True
    with pytest.raises(ContractLogicError, match="balance query for the zero address"):
        shares.functions.balanceOf(ZERO, 1).call()

    trade = simulator.ask("trades")[0]
    receipt = web3.eth.get_transaction_receipt(trade["transaction_hash"])  # type: ignore[arg-type]  # text is accepted
    assert receipt["status"] == 1
    paid = [event["args"]["value"] for event in cash.events.Transfer().process_receipt(receipt, errors=DISCARD)]
    assert paid == [5_200_000, 99_840]
    first = finalized["number"] - 100
    logs = web3.eth.get_logs({"fromBlock": first, "toBlock": "latest", "address": tokens})
    assert any(log["transactionHash"] == receipt["transactionHash"] for log in logs)
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction_receipt("0x" + "00" * 32)  # type: ignore[arg-type]  # text is accepted
