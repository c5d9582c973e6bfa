"""Which block a reading belongs to, and whether the node is on the right chain (evm.md sections 1 to 3).

Every call of one reading is pinned to one block number. The block is the finalized one; where a node does not
offer that tag, it is 64 blocks below the head, and the pin says so.
"""

from enum import StrEnum

import msgspec

from ...model.value import Value
from .address import HexRefused, hex_bytes32
from .json_rpc import Call, RpcAnswer, RpcError, RpcMissing, RpcResult, hex_quantity, quantity, text_result

FALLBACK_DEPTH_BLOCKS = 64
STALLED_SECONDS = 60
"""A finalized block this far behind the newest one does not follow the chain any more (evm.md section 3.1)."""
_NANOSECONDS_PER_SECOND = 1_000_000_000
_TAG_UNSUPPORTED = -32602


class BlockTag(StrEnum):
    """The tags that a witness uses. What `safe` means on current nodes is unknown, so it is not here."""

    LATEST = "latest"
    FINALIZED = "finalized"


class Head(Value, frozen=True):
    """One block: its number, its hash, and the chain's own time for it."""

    number: int
    block_hash: str
    timestamp_ns: int


class Pin(Value, frozen=True):
    """The block that a reading is pinned to, and how it was chosen."""

    number: int
    finality: str
    head: Head | None
    """The block itself where the node showed it; None at the fall-back, whose block is read with the balances."""
    latest: Head

    @property
    def tag(self) -> str:
        """The block parameter for calls: the number, never a tag that could move between two calls."""
        return hex_quantity(self.number)


class ReadingRefused(Value, frozen=True):
    """The node's answers are not to be believed, or not complete; nothing is known of the balances."""

    why: str
    retryable: bool


class _Block(msgspec.Struct):
    number: str
    hash: str
    timestamp: str


def chain_id_call() -> Call:
    return Call(method="eth_chainId")


def head_call(tag: BlockTag) -> Call:
    return Call(method="eth_getBlockByNumber", params=(tag.value, False))


def block_call(number: int) -> Call:
    return Call(method="eth_getBlockByNumber", params=(hex_quantity(number), False))


def pinning_calls() -> tuple[Call, Call, Call]:
    """What `choose_pin` needs: the chain's id, the finalized block and the newest one."""
    return chain_id_call(), head_call(BlockTag.FINALIZED), head_call(BlockTag.LATEST)


def check_chain_id(answer: RpcAnswer, expected: int) -> ReadingRefused | None:
    """Refuse a node of another chain: it would answer plausible zeros (evm.md section 9, trap 2)."""
    text = text_result(answer)
    if not isinstance(text, str):
        return ReadingRefused(why=f"the chain id could not be read: {_why(text)}", retryable=True)
    found = quantity(text)
    if found != expected:
        return ReadingRefused(why=f"the node is on chain {found or text[:20]}, expected {expected}", retryable=False)
    return None


def read_head(answer: RpcAnswer) -> Head | RpcError | RpcMissing | None:
    """Return the block of an answer, or None where the node says that it has no such block or tag."""
    if not isinstance(answer, RpcResult):
        return answer
    try:
        block = msgspec.json.decode(answer.raw, type=_Block | None)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        return RpcMissing(why=f"the block cannot be read: {problem}")
    if block is None:
        return None
    number, timestamp = quantity(block.number), quantity(block.timestamp)
    try:
        hex_bytes32(block.hash)
    except HexRefused as problem:
        return RpcMissing(why=f"the block's hash cannot be read: {problem}")
    if number is None or timestamp is None:
        return RpcMissing(why="the block's number or timestamp is not a quantity")
    return Head(number=number, block_hash=block.hash.lower(), timestamp_ns=timestamp * _NANOSECONDS_PER_SECOND)


def choose_pin(
    chain_id: RpcAnswer, finalized: RpcAnswer, latest: RpcAnswer, *, expected_chain_id: int
) -> Pin | ReadingRefused:
    """Return the block to read at, or why no reading is possible now.

    A node that does not know the finalized tag (an invalid-parameter error or null) is read 64 blocks below its
    head. Any other failure refuses the reading: a wrong pin would look like drift.
    """
    wrong_chain = check_chain_id(chain_id, expected_chain_id)
    if wrong_chain is not None:
        return wrong_chain
    newest = read_head(latest)
    if not isinstance(newest, Head):
        return ReadingRefused(why=f"the newest block could not be read: {_why(newest)}", retryable=True)
    final = read_head(finalized)
    if isinstance(final, Head):
        if final.number > newest.number:
            # Two nodes behind one address answered; the finalized block is the one that both will keep.
            newest = final
        return Pin(number=final.number, finality="finalized", head=final, latest=newest)
    if final is None or (isinstance(final, RpcError) and final.code == _TAG_UNSUPPORTED):
        number = max(0, newest.number - FALLBACK_DEPTH_BLOCKS)
        finality = f"latest-{FALLBACK_DEPTH_BLOCKS}, the node offers no finalized block"
        return Pin(number=number, finality=finality, head=None, latest=newest)
    return ReadingRefused(why=f"the finalized block could not be read: {_why(final)}", retryable=True)


def check_fresh(pin: Pin, now_ns: int) -> ReadingRefused | None:
    """Refuse a pin of yesterday: what settled since is not in it, and would look like drift.

    Finality may stand still while the chain goes on, and a node may stand still while everybody else goes on. At the
    fall-back, which is behind by its own depth, only the node is checked.
    """
    node_seconds = (now_ns - pin.latest.timestamp_ns) / _NANOSECONDS_PER_SECOND
    if node_seconds > STALLED_SECONDS:
        return ReadingRefused(
            why=f"the node's newest block {pin.latest.number} is {node_seconds:.0f} s old", retryable=True
        )
    if pin.head is None:
        return None
    behind_seconds = (pin.latest.timestamp_ns - pin.head.timestamp_ns) / _NANOSECONDS_PER_SECOND
    if behind_seconds > STALLED_SECONDS:
        why = f"finality has stalled: block {pin.number} is {behind_seconds:.0f} s behind the newest one"
        return ReadingRefused(why=why, retryable=True)
    return None


def confirm_pin(pin: Pin, block: RpcAnswer) -> Head | ReadingRefused:
    """Return the pinned block as the node that answered the balances sees it.

    Refuses when that node does not have the block, or has another one at its number: then the balances are of
    another history than the pin (a reorganisation, or a node that lags).
    """
    seen = read_head(block)
    if not isinstance(seen, Head):
        return ReadingRefused(why=f"the pinned block {pin.number} could not be read: {_why(seen)}", retryable=True)
    if seen.number != pin.number:
        return ReadingRefused(why=f"asked for block {pin.number}, got {seen.number}", retryable=True)
    if pin.head is not None and pin.head.block_hash != seen.block_hash:
        return ReadingRefused(
            why=f"block {pin.number} was {pin.head.block_hash} and is now {seen.block_hash}", retryable=True
        )
    return seen


def _why(found: RpcError | RpcMissing | None) -> str:
    match found:
        case None:
            return "the node has no such block"
        case RpcError():
            return f"error {found.code}: {found.message}"
        case RpcMissing():
            return found.why
