"""What the wallet holds on chain: pUSD and outcome tokens, all at one pinned block (polymarket.md section 13)."""

from collections.abc import Sequence
from decimal import Decimal

from ...model.value import Value
from ..evm.address import Address
from ..evm.blocks import Pin, ReadingRefused, block_call, choose_pin, confirm_pin, pinning_calls
from ..evm.calls import (
    BALANCE_BATCH_MAXIMUM,
    erc20_balance,
    erc1155_balance,
    erc1155_balances,
    eth_call,
    read_uint,
    read_uints,
)
from ..evm.json_rpc import Call, decode_batch, encode_batch
from .amounts import from_base_units
from .contracts import (
    AMOY_CHAIN_ID,
    AMOY_CONDITIONAL_TOKENS,
    CONDITIONAL_TOKENS,
    POSITION_MANAGER,
    PUSD,
    TokenId,
    is_v3_position,
)

_CALLS_BEFORE_TOKENS = 2


class WalletReading(Value, frozen=True):
    """Cash and tokens of one wallet at one block. Every token that was asked for is there, zeros included."""

    cash: Decimal
    shares: tuple[tuple[TokenId, Decimal], ...]
    block_number: int
    block_hash: str
    block_time_ns: int
    finality: str


def head_body() -> bytes:
    """Return the batch that asks for the chain's id, its finalized block and its newest one."""
    return encode_batch(pinning_calls())


def read_head(body: bytes, *, chain_id: int) -> Pin | ReadingRefused:
    """Return the block to read at, or why none can be trusted."""
    return choose_pin(*decode_batch(body, count=3), expected_chain_id=chain_id)


def balances_body(pin: Pin, wallet: Address, tokens: Sequence[TokenId], *, chain_id: int) -> bytes:
    """Return the batch that reads cash and `tokens` of a wallet at the pinned block."""
    return encode_batch(_balance_calls(pin, wallet, tokens, chain_id))


def read_balances(body: bytes, pin: Pin, tokens: Sequence[TokenId]) -> WalletReading | ReadingRefused:
    """Return the wallet at the pinned block, or why it is not known. Never a zero in place of a failure."""
    groups, positions = _split(tokens)
    answers = decode_batch(body, count=_CALLS_BEFORE_TOKENS + len(groups) + len(positions))
    block = confirm_pin(pin, answers[0])
    if isinstance(block, ReadingRefused):
        return block
    cash = read_uint(answers[1])
    if isinstance(cash, ReadingRefused):
        return cash
    units: dict[TokenId, int] = {}
    for group, answer in zip(groups, answers[_CALLS_BEFORE_TOKENS:], strict=False):
        balances = read_uints(answer, count=len(group))
        if isinstance(balances, ReadingRefused):
            return balances
        units.update(zip(group, balances, strict=True))
    for token, answer in zip(positions, answers[_CALLS_BEFORE_TOKENS + len(groups) :], strict=True):
        balance = read_uint(answer)
        if isinstance(balance, ReadingRefused):
            return balance
        units[token] = balance
    return WalletReading(
        cash=from_base_units(cash),
        shares=tuple((token, from_base_units(units[token])) for token in dict.fromkeys(tokens)),
        block_number=block.number,
        block_hash=block.block_hash,
        block_time_ns=block.timestamp_ns,
        finality=pin.finality,
    )


def _balance_calls(pin: Pin, wallet: Address, tokens: Sequence[TokenId], chain_id: int) -> list[Call]:
    conditional_tokens = AMOY_CONDITIONAL_TOKENS if chain_id == AMOY_CHAIN_ID else CONDITIONAL_TOKENS
    groups, positions = _split(tokens)
    # The block itself is read again in the same batch: its hash shows whether the same history answers.
    calls = [block_call(pin.number), eth_call(PUSD, erc20_balance(wallet), pin.tag)]
    for group in groups:
        data = erc1155_balances([wallet] * len(group), [int(token) for token in group])
        calls.append(eth_call(conditional_tokens, data, pin.tag))
    # Structured positions live in another contract, whose batch call is not documented: one call each.
    calls += [eth_call(POSITION_MANAGER, erc1155_balance(wallet, int(token)), pin.tag) for token in positions]
    return calls


def _split(tokens: Sequence[TokenId]) -> tuple[list[list[TokenId]], list[TokenId]]:
    unique = list(dict.fromkeys(tokens))
    positions = [token for token in unique if is_v3_position(token)]
    others = [token for token in unique if not is_v3_position(token)]
    groups = [others[start : start + BALANCE_BATCH_MAXIMUM] for start in range(0, len(others), BALANCE_BATCH_MAXIMUM)]
    return groups, positions
