"""The simulated chain. Blocks follow from the clock: block n is the head from its time until the next one's.

Nothing ticks: a quiet chain costs nothing however long it runs. A transaction becomes part of the block that is
head when `include` is called; callers include at the block's first moment, so that no reader has seen the block
without it. A reorg replaces the last blocks by empty ones with other hashes and hands back what was in them.
"""

import msgspec

from ...evm.address import Address, address_bytes, keccak256
from ...evm.words import uint_word
from .effects import (
    UNLIMITED,
    ZERO_ADDRESS,
    CashApproved,
    CashMoves,
    Effect,
    Log,
    Receipt,
    SharesMove,
    Transaction,
)
from .state import History

TRANSFER_TOPIC = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()
TRANSFER_SINGLE_TOPIC = "0x" + keccak256(b"TransferSingle(address,address,address,uint256,uint256)").hex()
APPROVAL_TOPIC = "0x" + keccak256(b"Approval(address,address,uint256)").hex()
APPROVAL_FOR_ALL_TOPIC = "0x" + keccak256(b"ApprovalForAll(address,address,bool)").hex()


Cell = tuple[str | int, ...]
"""One number of the state: (token, owner), (token, token id, owner), or an allowance or approval."""


class ChainRules(msgspec.Struct, frozen=True, kw_only=True):
    """The chain's constants: Polygon's by default (evm.md 3.1).

    `first_block` is the head `history_blocks` before the start. State older than `kept_blocks` cannot be asked.
    """

    chain_id: int = 137
    block_ms: int = 2_000
    first_block: int = 80_000_000
    history_blocks: int = 256
    finalized_lag_blocks: int = 2
    kept_blocks: int = 128


class Block(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    block_hash: str
    parent_hash: str
    timestamp_seconds: int
    transaction_hashes: tuple[str, ...]


class Reverted(Exception):
    """A transaction cannot be carried out; the message is the contract's reason."""


class Chain:
    """Balances, allowances, blocks, receipts and logs of one simulated chain."""

    def __init__(self, rules: ChainRules, started_ms: int) -> None:
        self.rules = rules
        genesis_ms = started_ms - rules.history_blocks * rules.block_ms
        self._genesis_ms = genesis_ms - genesis_ms % rules.block_ms
        self._state = History()
        self._receipts: dict[str, Receipt] = {}
        self._blocks: dict[int, list[Receipt]] = {}
        self._forks: list[tuple[int, int]] = []
        self._finalized_stop: int | None = None

    # Blocks.

    def head(self, now_ms: int) -> int:
        return self.rules.first_block + (now_ms - self._genesis_ms) // self.rules.block_ms

    def finalized(self, now_ms: int) -> int:
        """The last finalized block: a fixed lag behind the head, or standing still while finality is stopped."""
        lagged = max(self.head(now_ms) - self.rules.finalized_lag_blocks, self.rules.first_block)
        return lagged if self._finalized_stop is None else min(lagged, self._finalized_stop)

    def stop_finality(self, now_ms: int) -> None:
        """Let `finalized` stand still until `resume_finality` (evm.md 3.1: milestones can lag or stop)."""
        self._finalized_stop = self.finalized(now_ms)

    def resume_finality(self) -> None:
        self._finalized_stop = None

    def block_ms(self, number: int) -> int:
        """The moment at which a block becomes the head."""
        return self._genesis_ms + (number - self.rules.first_block) * self.rules.block_ms

    def next_block_ms(self, now_ms: int) -> int:
        """The first moment of a block that nobody has seen at `now_ms`."""
        return self.block_ms(self.head(now_ms) + 1)

    def block(self, number: int) -> Block:
        return Block(
            number=number,
            block_hash=self.block_hash(number),
            parent_hash=self.block_hash(number - 1),
            timestamp_seconds=self.block_ms(number) // 1_000,
            transaction_hashes=tuple(r.transaction.transaction_hash for r in self._blocks.get(number, ())),
        )

    def block_hash(self, number: int) -> str:
        forks = sum(first <= number <= last for first, last in self._forks)
        return "0x" + keccak256(f"{self.rules.chain_id}:{number}:{forks}".encode()).hex()

    # State.

    def cash(self, token: Address, owner: Address, block: int) -> int:
        return self._state.get((token, owner), block)

    def shares(self, token: Address, owner: Address, token_id: int, block: int) -> int:
        return self._state.get((token, token_id, owner), block)

    def allowance(self, token: Address, owner: Address, spender: Address, block: int) -> int:
        return self._state.get(("allowance", token, owner, spender), block)

    def is_approved_for_all(self, token: Address, owner: Address, operator: Address, block: int) -> bool:
        return self._state.get(("operator", token, owner, operator), block) == 1

    # Transactions.

    def include(self, transaction: Transaction, now_ms: int, *, must_revert: str | None = None) -> Receipt:
        """Make a transaction part of the head block; if it cannot be carried out it is included as reverted."""
        number = self.head(now_ms)
        receipts = self._blocks.setdefault(number, [])
        reason = must_revert
        if reason is None:
            reason = self._apply_all(transaction.effects, number)
        logs: tuple[Log, ...] = ()
        if reason is None:
            first_index = sum(len(receipt.logs) for receipt in receipts)
            logs = tuple(
                _log(effect, number, transaction.transaction_hash, len(receipts), first_index + offset)
                for offset, effect in enumerate(transaction.effects)
            )
        receipt = Receipt(
            transaction=transaction,
            block_number=number,
            transaction_index=len(receipts),
            succeeded=reason is None,
            logs=logs,
            revert_reason=reason,
        )
        receipts.append(receipt)
        self._receipts[transaction.transaction_hash] = receipt
        return receipt

    def receipt(self, transaction_hash: str) -> Receipt | None:
        return self._receipts.get(transaction_hash)

    def logs(self, first_block: int, last_block: int) -> list[Log]:
        """Every log of a range of blocks, both ends included, in order."""
        numbers = sorted(number for number in self._blocks if first_block <= number <= last_block)
        return [log for number in numbers for receipt in self._blocks[number] for log in receipt.logs]

    def reorg(self, depth: int, now_ms: int) -> list[Transaction]:
        """Replace the last `depth` blocks by empty ones; what they held is undone and handed back, oldest first."""
        head = self.head(now_ms)
        first = head - depth + 1
        undone = [
            receipt.transaction
            for number in sorted(n for n in self._blocks if n >= first)
            for receipt in self._blocks.pop(number)
        ]
        for transaction in undone:
            self._receipts.pop(transaction.transaction_hash, None)
        self._state.forget_after(first - 1)
        self._forks.append((first, head))
        return undone

    def _apply_all(self, effects: tuple[Effect, ...], block: int) -> str | None:
        """Carry out all effects or none; the contract's reason when none."""
        draft = _Draft(self._state, block)
        try:
            for effect in effects:
                draft.apply(effect)
        except Reverted as reverted:
            return str(reverted)
        draft.write()
        return None


class _Draft:
    """The writes of one transaction before it is known to succeed."""

    def __init__(self, state: History, block: int) -> None:
        self._state = state
        self._block = block
        self._writes: dict[Cell, int] = {}

    def apply(self, effect: Effect) -> None:
        if isinstance(effect, CashMoves):
            if effect.spender is not None and effect.source != ZERO_ADDRESS:
                self._use_allowance(("allowance", effect.token, effect.source, effect.spender), effect.amount)
            self._move((effect.token,), effect, "ERC20: transfer amount exceeds balance")
        elif isinstance(effect, SharesMove):
            if effect.source not in {ZERO_ADDRESS, effect.operator}:
                self._need_operator(("operator", effect.token, effect.source, effect.operator))
            self._move((effect.token, effect.token_id), effect, "SafeMath: subtraction overflow")
        elif isinstance(effect, CashApproved):
            self._writes["allowance", effect.token, effect.owner, effect.spender] = effect.amount
        else:
            self._writes["operator", effect.token, effect.owner, effect.operator] = int(effect.approved)

    def write(self) -> None:
        for cell, value in self._writes.items():
            self._state.put(cell, self._block, value)

    def _read(self, cell: Cell) -> int:
        return self._writes[cell] if cell in self._writes else self._state.get(cell, self._block)

    def _use_allowance(self, cell: Cell, amount: int) -> None:
        allowed = self._read(cell)
        if allowed < amount:
            raise Reverted("ERC20: insufficient allowance")
        if allowed != UNLIMITED:
            self._writes[cell] = allowed - amount

    def _need_operator(self, cell: Cell) -> None:
        if not self._read(cell):
            raise Reverted("ERC1155: need operator approval for 3rd party transfers.")

    def _move(self, asset: Cell, effect: CashMoves | SharesMove, reason: str) -> None:
        """Move an amount of an asset; the zero address gives and takes without end."""
        if effect.source != ZERO_ADDRESS:
            held = self._read((*asset, effect.source))
            if held < effect.amount:
                raise Reverted(reason)
            self._writes[*asset, effect.source] = held - effect.amount
        if effect.target != ZERO_ADDRESS:
            self._writes[*asset, effect.target] = self._read((*asset, effect.target)) + effect.amount


def _log(effect: Effect, block: int, transaction_hash: str, transaction_index: int, log_index: int) -> Log:
    topics, data = _topics_and_data(effect)
    return Log(
        address=effect.token,
        topics=topics,
        data="0x" + data.hex(),
        block_number=block,
        transaction_hash=transaction_hash,
        transaction_index=transaction_index,
        log_index=log_index,
    )


def _topics_and_data(effect: Effect) -> tuple[tuple[str, ...], bytes]:
    if isinstance(effect, CashMoves):
        return (TRANSFER_TOPIC, _topic(effect.source), _topic(effect.target)), uint_word(effect.amount)
    if isinstance(effect, SharesMove):
        parties = (_topic(effect.operator), _topic(effect.source), _topic(effect.target))
        return (TRANSFER_SINGLE_TOPIC, *parties), uint_word(effect.token_id) + uint_word(effect.amount)
    if isinstance(effect, CashApproved):
        return (APPROVAL_TOPIC, _topic(effect.owner), _topic(effect.spender)), uint_word(effect.amount)
    approved = uint_word(int(effect.approved))
    return (APPROVAL_FOR_ALL_TOPIC, _topic(effect.owner), _topic(effect.operator)), approved


def _topic(address: Address) -> str:
    return "0x" + address_bytes(address).rjust(32, b"\x00").hex()
