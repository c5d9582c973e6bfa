"""What a transaction does: transfers and approvals of ERC-20 and ERC-1155 tokens, in base units."""

import msgspec

from ...evm.address import Address, parse_address

ZERO_ADDRESS = parse_address("0x" + "00" * 20)
UNLIMITED = (1 << 256) - 1


class CashMoves(msgspec.Struct, frozen=True, kw_only=True):
    """An ERC-20 transfer. From the zero address it mints, to it it burns.

    With a `spender` the payer's allowance to that contract is needed and used up, unless it is unlimited.
    """

    token: Address
    source: Address
    target: Address
    amount: int
    spender: Address | None = None


class SharesMove(msgspec.Struct, frozen=True, kw_only=True):
    """An ERC-1155 transfer of one token id; `operator` needs the owner's approval unless it is the owner."""

    token: Address
    operator: Address
    source: Address
    target: Address
    token_id: int
    amount: int


class CashApproved(msgspec.Struct, frozen=True, kw_only=True):
    """The owner lets a spender pay with its ERC-20 tokens up to an amount."""

    token: Address
    owner: Address
    spender: Address
    amount: int


class SharesApproved(msgspec.Struct, frozen=True, kw_only=True):
    """The owner lets an operator move all its ERC-1155 tokens, or no longer."""

    token: Address
    owner: Address
    operator: Address
    approved: bool


Effect = CashMoves | SharesMove | CashApproved | SharesApproved


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction with its effects already known; the same hash may be mined again after a reorg."""

    transaction_hash: str
    sender: Address
    target: Address
    effects: tuple[Effect, ...]


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """One emitted event, as eth_getLogs tells it. `log_index` counts inside the block."""

    address: Address
    topics: tuple[str, ...]
    data: str
    block_number: int
    transaction_hash: str
    transaction_index: int
    log_index: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A mined transaction. `succeeded` is False when it was included and reverted (evm.md 12)."""

    transaction: Transaction
    block_number: int
    transaction_index: int
    succeeded: bool
    logs: tuple[Log, ...]
    revert_reason: str | None = None
