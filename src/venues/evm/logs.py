"""Token transfers from a node's log entries, which explain balances that moved without a trade (evm.md 6)."""

import msgspec

from ...model.value import Value
from .address import Address, HexRefused, hex_bytes32, hex_data, keccak256, parse_address
from .blocks import ReadingRefused
from .json_rpc import Call, RpcAnswer, RpcError, RpcMissing, RpcResult, hex_quantity, quantity
from .words import WORD_BYTES, WordRefused, address_word, decode_address, split_words


def _topic(signature: str) -> str:
    return "0x" + keccak256(signature.encode("ascii")).hex()


ERC20_TRANSFER = _topic("Transfer(address,address,uint256)")
TRANSFER_SINGLE = _topic("TransferSingle(address,address,address,uint256,uint256)")
TRANSFER_BATCH = _topic("TransferBatch(address,address,address,uint256[],uint256[])")
POSITION_SPLIT = _topic("PositionSplit(address,address,bytes32,bytes32,uint256[],uint256)")
POSITIONS_MERGE = _topic("PositionsMerge(address,address,bytes32,bytes32,uint256[],uint256)")
PAYOUT_REDEMPTION = _topic("PayoutRedemption(address,address,bytes32,bytes32,uint256[],uint256)")
CONDITION_RESOLUTION = _topic("ConditionResolution(bytes32,address,bytes32,uint256,uint256[])")


class Transfer(Value, frozen=True):
    """One movement of a token. `token` is None for ERC-20. Its identity is (block hash, log index, position).

    `operator` is who moved an ERC-1155 token; ERC-20 does not say.
    """

    contract: Address
    sender: Address
    receiver: Address
    token: int | None
    units: int
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int
    position: int
    """The place within a batch transfer, else 0."""
    operator: Address | None = None


class LogUnread(Value, frozen=True):
    """A log entry that is no transfer, was reorganised away, or cannot be read."""

    why: str


class _Log(msgspec.Struct, rename="camel"):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False


def transfer_logs_call(
    contract: Address, *, wallet: Address, incoming: bool, erc1155: bool, from_block: int, to_block: int
) -> Call:
    """Return the query for transfers into or out of a wallet. A wallet needs two: incoming and outgoing."""
    party = "0x" + address_word(wallet).hex()
    first = [TRANSFER_SINGLE, TRANSFER_BATCH] if erc1155 else ERC20_TRANSFER
    topics: list[str | list[str] | None] = [first]
    # An ERC-1155 transfer names its operator before the two parties.
    topics += [None] * (int(erc1155) + int(incoming))
    topics.append(party)
    return Call(
        method="eth_getLogs",
        params=(
            {
                "fromBlock": hex_quantity(from_block),
                "toBlock": hex_quantity(to_block),
                "address": contract,
                "topics": topics,
            },
        ),
    )


def read_transfers(answer: RpcAnswer) -> tuple[Transfer | LogUnread, ...] | ReadingRefused:
    """Return the transfers in an answer; every entry gives at least one, read or explicitly unread."""
    match answer:
        case RpcError():
            return ReadingRefused(why=f"error {answer.code}: {answer.message}", retryable=answer.retryable)
        case RpcMissing():
            return ReadingRefused(why=answer.why, retryable=True)
        case RpcResult():
            pass
    try:
        rows = msgspec.json.decode(answer.raw, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        return ReadingRefused(why=f"the log list cannot be read: {problem}", retryable=True)
    return tuple(transfer for row in rows for transfer in _read_log(row))


def _read_log(row: msgspec.Raw) -> tuple[Transfer | LogUnread, ...]:
    try:
        log = msgspec.json.decode(row, type=_Log)
        return _transfers(log)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, HexRefused, WordRefused) as problem:
        return (LogUnread(why=f"the log entry cannot be read: {problem}"),)


def _transfers(log: _Log) -> tuple[Transfer | LogUnread, ...]:
    if log.removed:
        return (LogUnread(why="the log entry was reorganised away"),)
    erc1155 = log.topics[:1] in ([TRANSFER_SINGLE], [TRANSFER_BATCH])
    if not erc1155 and (log.topics[:1] != [ERC20_TRANSFER] or len(log.topics) != 3):
        # An ERC-721 transfer has the same first topic and its token as a fourth.
        return (LogUnread(why=f"not a transfer of a fungible or outcome token: {log.topics[:1]}"),)
    if erc1155 and len(log.topics) != 4:
        return (LogUnread(why=f"expected four topics, got {len(log.topics)}"),)
    number, index = quantity(log.block_number), quantity(log.log_index)
    if number is None or index is None:
        return (LogUnread(why="the block number or log index is not a quantity"),)
    sender, receiver = (decode_address(hex_bytes32(topic)) for topic in log.topics[-2:])
    operator = decode_address(hex_bytes32(log.topics[1])) if erc1155 else None
    return tuple(
        Transfer(
            contract=parse_address(log.address),
            sender=sender,
            receiver=receiver,
            token=token,
            units=units,
            block_number=number,
            block_hash=log.block_hash.lower(),
            transaction_hash=log.transaction_hash.lower(),
            log_index=index,
            position=position,
            operator=operator,
        )
        for position, (token, units) in enumerate(_moved(log))
    )


def _moved(log: _Log) -> list[tuple[int | None, int]]:
    words = [int.from_bytes(word, "big") for word in split_words(hex_data(log.data))]
    if log.topics[0] == ERC20_TRANSFER and len(words) == 1:
        return [(None, words[0])]
    if log.topics[0] == TRANSFER_SINGLE and len(words) == 2:
        return [(words[0], words[1])]
    if log.topics[0] == TRANSFER_BATCH:
        tokens, units = _array(words, 0), _array(words, 1)
        if tokens and len(tokens) == len(units):
            return list(zip(tokens, units, strict=True))
    raise WordRefused("the data of the transfer has another shape than its event")


def _array(words: list[int], argument: int) -> list[int]:
    if len(words) <= argument or words[argument] % WORD_BYTES:
        raise WordRefused("the offset of an array is missing or crooked")
    start = words[argument] // WORD_BYTES
    if start >= len(words) or start + 1 + words[start] > len(words):
        raise WordRefused("an array reaches beyond the data")
    return words[start + 1 : start + 1 + words[start]]
