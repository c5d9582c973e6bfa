"""JSON-RPC over the simulated chain: the methods a wallet view and the official client need (evm.md 1-3).

Answers look like a node's: quantities without leading zeros, null for what is unknown, a contract's reason on
a revert, "0x" from an address without code, and "missing trie node" for state that is no longer kept.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from ...evm.address import Address, HexRefused, hex_data, parse_address
from ...evm.words import WordRefused, address_word, decode_address, dynamic_arrays, selector, split_words, uint_word
from .chain import Block, Chain
from .effects import ZERO_ADDRESS, Log, Receipt
from .raw_transaction import RawTransactionRefused, SentTransaction, read_raw_transaction

_NATIVE_BALANCE = 10 * 10**18
_GAS_PRICE = 30 * 10**9
_GAS_LIMIT = 200_000
_LOGS_BLOCKS_MAX = 10_000
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,16}")


class RpcError(Exception):
    """An error answer: the code and message of JSON-RPC, with revert data where there is any."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Contracts(msgspec.Struct, frozen=True, kw_only=True):
    """Which addresses hold code, and what kind. `answers` are constant replies: (address, selector) to words."""

    erc20: frozenset[Address]
    erc1155: frozenset[Address]
    other: frozenset[Address]
    answers: dict[tuple[Address, bytes], bytes] = {}


class RpcRequest(msgspec.Struct, kw_only=True):
    method: str
    params: list[object] = []
    id: int | str | None = None
    jsonrpc: str = "2.0"


class RpcServer:
    """Answers JSON-RPC requests about one chain.

    `submit` takes a decoded raw transaction and arranges its inclusion. `deployed` names wallets with code.
    `lag_blocks` makes the node trail behind its chain, as a slow provider does.
    """

    def __init__(
        self,
        chain: Chain,
        contracts: Contracts,
        *,
        submit: Callable[[SentTransaction], None],
        deployed: Callable[[Address], bool],
        payouts: Callable[[bytes], tuple[int, ...]],
    ) -> None:
        self._chain = chain
        self._contracts = contracts
        self._submit = submit
        self._deployed = deployed
        self._payouts = payouts
        self._nonces: dict[Address, int] = {}
        self.lag_blocks = 0
        self.chain_id_told: int | None = None
        self._methods: Mapping[str, Callable[[list[object], int], object]] = {
            "eth_chainId": lambda _params, _now: hex(self._chain_id()),
            "net_version": lambda _params, _now: str(self._chain_id()),
            "eth_blockNumber": lambda _params, now_ms: hex(self._head(now_ms)),
            "eth_getBlockByNumber": self._get_block,
            "eth_call": self._call,
            "eth_getLogs": self._get_logs,
            "eth_getTransactionReceipt": self._get_receipt,
            "eth_getCode": self._get_code,
            "eth_getBalance": lambda _params, _now: hex(_NATIVE_BALANCE),
            "eth_getTransactionCount": self._get_transaction_count,
            "eth_gasPrice": lambda _params, _now: hex(_GAS_PRICE),
            "eth_maxPriorityFeePerGas": lambda _params, _now: hex(_GAS_PRICE),
            "eth_estimateGas": lambda _params, _now: hex(_GAS_LIMIT),
            "eth_sendRawTransaction": self._send_raw_transaction,
            "web3_clientVersion": lambda _params, _now: "tallystick-sim",
        }

    def answer(self, body: bytes, now_ms: int) -> bytes:
        """Answer a request body: one object for one request, an array for a batch, an error for anything else."""
        try:
            decoded = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return msgspec.json.encode(_error(None, RpcError(-32700, f"parse error: {error}")))
        if isinstance(decoded, list):
            if not decoded:
                return msgspec.json.encode(_error(None, RpcError(-32600, "empty batch")))
            return msgspec.json.encode([self._answer_one(item, now_ms) for item in decoded])
        return msgspec.json.encode(self._answer_one(decoded, now_ms))

    def _answer_one(self, item: object, now_ms: int) -> dict[str, object]:
        try:
            request = msgspec.convert(item, RpcRequest)
        except msgspec.ValidationError as error:
            return _error(None, RpcError(-32600, f"invalid request: {error}"))
        method = self._methods.get(request.method)
        if method is None:
            message = f"the method {request.method} does not exist/is not available"
            return _error(request.id, RpcError(-32601, message))
        try:
            return {"jsonrpc": "2.0", "id": request.id, "result": method(request.params, now_ms)}
        except RpcError as error:
            return _error(request.id, error)
        except (HexRefused, WordRefused) as error:
            return _error(request.id, RpcError(-32602, f"invalid argument: {error}"))

    # Methods.

    def _chain_id(self) -> int:
        return self._chain.rules.chain_id if self.chain_id_told is None else self.chain_id_told

    def _head(self, now_ms: int) -> int:
        return self._chain.head(now_ms) - self.lag_blocks

    def _number(self, tag: object, now_ms: int) -> int | None:
        """The block a tag names; None beyond the head."""
        if isinstance(tag, Mapping) and isinstance(tag.get("blockHash"), str):
            return self._number_of_hash(str(tag["blockHash"]), now_ms)
        if not isinstance(tag, str):
            raise RpcError(-32602, f"invalid argument: {tag!r} is not a block number or tag")
        if tag in {"latest", "pending"}:
            return self._head(now_ms)
        if tag in {"finalized", "safe"}:
            return min(self._chain.finalized(now_ms), self._head(now_ms))
        if tag == "earliest":
            return self._chain.rules.first_block
        if not _QUANTITY.fullmatch(tag):
            raise RpcError(-32602, f"invalid argument: {tag!r} is not a block number or tag")
        number = int(tag, 16)
        return number if self._chain.rules.first_block <= number <= self._head(now_ms) else None

    def _number_of_hash(self, block_hash: str, now_ms: int) -> int | None:
        head = self._head(now_ms)
        for number in range(head, head - self._chain.rules.kept_blocks, -1):
            if self._chain.block_hash(number) == block_hash.lower():
                return number
        raise RpcError(-32000, "header for hash not found")

    def _state_block(self, params: list[object], place: int, now_ms: int) -> int:
        number = self._number(params[place] if len(params) > place else "latest", now_ms)
        if number is None:
            raise RpcError(-32000, "header not found")
        if number < self._chain.head(now_ms) - self._chain.rules.kept_blocks:
            raise RpcError(-32000, f"missing trie node for block {number}: state is not kept that long")
        return number

    def _get_block(self, params: list[object], now_ms: int) -> object:
        number = self._number(params[0] if params else "latest", now_ms)
        return None if number is None else _block(self._chain.block(number))

    def _get_logs(self, params: list[object], now_ms: int) -> object:
        wanted = params[0] if params and isinstance(params[0], Mapping) else {}
        if "blockHash" in wanted:
            first = last = self._number_of_hash(str(wanted["blockHash"]), now_ms) or 0
        else:
            first = self._number(wanted.get("fromBlock", "latest"), now_ms) or self._head(now_ms) + 1
            last = self._number(wanted.get("toBlock", "latest"), now_ms) or self._head(now_ms)
        if last - first > _LOGS_BLOCKS_MAX:
            raise RpcError(-32005, f"block range is too wide: at most {_LOGS_BLOCKS_MAX} blocks")
        addresses = wanted.get("address")
        listed = addresses if isinstance(addresses, list) else [addresses] if addresses is not None else None
        chosen = None if listed is None else {parse_address(str(address)) for address in listed}
        topics = wanted.get("topics", [])
        if not isinstance(topics, list):
            raise RpcError(-32602, "invalid argument: topics must be an array")
        return [
            self._log(log)
            for log in self._chain.logs(first, last)
            if (chosen is None or log.address in chosen) and _topics_match(log.topics, topics)
        ]

    def _get_receipt(self, params: list[object], now_ms: int) -> object:
        receipt = self._chain.receipt(str(params[0]).lower() if params else "")
        if receipt is None or receipt.block_number > self._head(now_ms):
            return None
        return self._receipt(receipt)

    def _get_code(self, params: list[object], now_ms: int) -> str:
        self._state_block(params, 1, now_ms)
        return "0x60806040" if self._has_code(parse_address(str(params[0]))) else "0x"

    def _has_code(self, address: Address) -> bool:
        known = self._contracts
        if address in known.erc20 or address in known.erc1155 or address in known.other:
            return True
        return self._deployed(address)

    def _get_transaction_count(self, params: list[object], now_ms: int) -> str:
        return hex(self._nonces.get(parse_address(str(params[0])), 0))

    def _send_raw_transaction(self, params: list[object], now_ms: int) -> str:
        try:
            sent = read_raw_transaction(hex_data(str(params[0])), self._chain.rules.chain_id)
        except RawTransactionRefused as error:
            raise RpcError(-32000, str(error)) from error
        sender = sent.transaction.sender
        expected = self._nonces.get(sender, 0)
        if sent.nonce != expected:
            fault = "nonce too low" if sent.nonce < expected else "nonce too high"
            raise RpcError(-32000, f"{fault}: next nonce {expected}, tx nonce {sent.nonce}")
        self._nonces[sender] = expected + 1
        self._submit(sent)
        return sent.transaction.transaction_hash

    def _call(self, params: list[object], now_ms: int) -> str:
        if not params or not isinstance(params[0], Mapping):
            raise RpcError(-32602, "invalid argument: eth_call needs a transaction object")
        block = self._state_block(params, 1, now_ms)
        target = parse_address(str(params[0].get("to")))
        data = hex_data(str(params[0].get("data", params[0].get("input", "0x"))))
        if not self._has_code(target):
            return "0x"
        return "0x" + self._run(target, data[:4], data[4:], block).hex()

    def _run(self, target: Address, call: bytes, arguments: bytes, block: int) -> bytes:
        constant = self._contracts.answers.get((target, call))
        if constant is not None:
            return constant
        if target in self._contracts.erc20:
            return self._run_erc20(target, call, arguments, block)
        if target in self._contracts.erc1155:
            return self._run_erc1155(target, call, arguments, block)
        raise _revert("")

    def _run_erc20(self, token: Address, call: bytes, arguments: bytes, block: int) -> bytes:
        if call == _BALANCE_OF:
            (owner,) = split_words(arguments)
            return uint_word(self._chain.cash(token, decode_address(owner), block))
        if call == _ALLOWANCE:
            owner, spender = split_words(arguments)
            return uint_word(self._chain.allowance(token, decode_address(owner), decode_address(spender), block))
        if call == _DECIMALS:
            return uint_word(6)
        raise _revert("")

    def _run_erc1155(self, token: Address, call: bytes, arguments: bytes, block: int) -> bytes:
        if call == _BALANCE_OF_ID:
            owner, token_id = split_words(arguments)
            return uint_word(self._shares(token, decode_address(owner), int.from_bytes(token_id, "big"), block))
        if call == _BALANCE_OF_BATCH:
            owners, token_ids = _two_arrays(arguments)
            if len(owners) != len(token_ids):
                raise _revert("ERC1155: owners and IDs must have same lengths")
            pairs = zip(owners, token_ids, strict=True)
            balances = [self._shares(token, decode_address(o), int.from_bytes(i, "big"), block) for o, i in pairs]
            return dynamic_arrays([uint_word(balance) for balance in balances])
        if call == _IS_APPROVED_FOR_ALL:
            owner, operator = split_words(arguments)
            approved = self._chain.is_approved_for_all(token, decode_address(owner), decode_address(operator), block)
            return uint_word(int(approved))
        if call == _PAYOUT_DENOMINATOR:
            (condition,) = split_words(arguments)
            return uint_word(sum(self._payouts(condition)))
        if call == _PAYOUT_NUMERATORS:
            condition, place = split_words(arguments)
            payouts = self._payouts(condition)
            at = int.from_bytes(place, "big")
            return uint_word(payouts[at] if at < len(payouts) else 0)
        raise _revert("")

    def _shares(self, token: Address, owner: Address, token_id: int, block: int) -> int:
        if owner == ZERO_ADDRESS:
            raise _revert("ERC1155: balance query for the zero address")
        return self._chain.shares(token, owner, token_id, block)

    # Shapes.

    def _receipt(self, receipt: Receipt) -> dict[str, object]:
        transaction = receipt.transaction
        return {
            "status": "0x1" if receipt.succeeded else "0x0",
            "blockNumber": hex(receipt.block_number),
            "blockHash": self._chain.block_hash(receipt.block_number),
            "transactionHash": transaction.transaction_hash,
            "transactionIndex": hex(receipt.transaction_index),
            "from": transaction.sender.lower(),
            "to": transaction.target.lower(),
            "contractAddress": None,
            "gasUsed": hex(_GAS_LIMIT),
            "cumulativeGasUsed": hex(_GAS_LIMIT * (receipt.transaction_index + 1)),
            "effectiveGasPrice": hex(_GAS_PRICE),
            "logs": [self._log(log) for log in receipt.logs],
            "logsBloom": "0x" + "00" * 256,
            "type": "0x2",
        }

    def _log(self, log: Log) -> dict[str, object]:
        return {
            "address": log.address.lower(),
            "topics": list(log.topics),
            "data": log.data,
            "blockNumber": hex(log.block_number),
            "blockHash": self._chain.block_hash(log.block_number),
            "transactionHash": log.transaction_hash,
            "transactionIndex": hex(log.transaction_index),
            "logIndex": hex(log.log_index),
            "removed": False,
        }


_BALANCE_OF = selector("balanceOf(address)")
_BALANCE_OF_ID = selector("balanceOf(address,uint256)")
_BALANCE_OF_BATCH = selector("balanceOfBatch(address[],uint256[])")
_ALLOWANCE = selector("allowance(address,address)")
_DECIMALS = selector("decimals()")
_IS_APPROVED_FOR_ALL = selector("isApprovedForAll(address,address)")
_PAYOUT_DENOMINATOR = selector("payoutDenominator(bytes32)")
_PAYOUT_NUMERATORS = selector("payoutNumerators(bytes32,uint256)")
_ERROR = selector("Error(string)")


def constant_address(address: Address) -> bytes:
    """The words a contract function answers that always returns one address."""
    return address_word(address)


def _two_arrays(arguments: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    words = split_words(arguments)

    def array(head: int) -> tuple[bytes, ...]:
        start = int.from_bytes(words[head], "big") // 32
        if start >= len(words):
            raise WordRefused("an array starts beyond the arguments")
        length = int.from_bytes(words[start], "big")
        elements = words[start + 1 : start + 1 + length]
        if len(elements) != length:
            raise WordRefused(f"an array of {length} elements has {len(elements)}")
        return elements

    if len(words) < 2:
        raise WordRefused("two arrays need two offsets")
    return array(0), array(1)


def _revert(reason: str) -> RpcError:
    if not reason:
        return RpcError(3, "execution reverted", "0x")
    text = reason.encode()
    padded = text.ljust((len(text) + 31) // 32 * 32, b"\x00")
    data = _ERROR + uint_word(32) + uint_word(len(text)) + padded
    return RpcError(3, f"execution reverted: {reason}", "0x" + data.hex())


def _error(request_id: int | str | None, error: RpcError) -> dict[str, object]:
    told: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": request_id, "error": told}


def _topics_match(topics: tuple[str, ...], wanted: list[object]) -> bool:
    """Topic filters by position: null is anything, an array is any of its members."""
    for place, choice in enumerate(wanted):
        if choice is None:
            continue
        if place >= len(topics):
            return False
        options = choice if isinstance(choice, list) else [choice]
        if topics[place] not in {str(option).lower() for option in options}:
            return False
    return True


def _block(block: Block) -> dict[str, object]:
    return {
        "number": hex(block.number),
        "hash": block.block_hash,
        "parentHash": block.parent_hash,
        "timestamp": hex(block.timestamp_seconds),
        "transactions": list(block.transaction_hashes),
        "nonce": "0x" + "00" * 8,
        "sha3Uncles": "0x" + "00" * 32,
        "logsBloom": "0x" + "00" * 256,
        "transactionsRoot": "0x" + "00" * 32,
        "stateRoot": "0x" + "00" * 32,
        "receiptsRoot": "0x" + "00" * 32,
        "miner": "0x" + "00" * 20,
        "difficulty": "0x1",
        "extraData": "0x",
        "size": "0x400",
        "gasLimit": hex(30_000_000),
        "gasUsed": hex(_GAS_LIMIT * len(block.transaction_hashes)),
        "baseFeePerGas": hex(_GAS_PRICE),
        "uncles": [],
    }
