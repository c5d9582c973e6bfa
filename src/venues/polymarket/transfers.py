"""What moved the wallet's cash and outcome tokens without a trade, read from the chain's logs (polymarket.md 13).

Logs are read between two blocks that will not change: from the last one read to the one that the balances are pinned
to, so that book and wallet are compared at the same block. All entries of one transaction belong together; one in
which an exchange moved something, or was on the other side of it, settled a trade, and trades are the fill log's.
"""

from collections.abc import Iterable, Mapping, Sequence

from ...model.identifiers import AccountId, AssetId
from ...model.money import ZERO, SignedQuantity
from ...model.transfer import LedgerPosition, Movement, Transfer, TransferKind, TransferPage
from ..evm.address import Address, parse_address
from ..evm.blocks import Head, Pin, ReadingRefused, block_call, confirm_pin, read_head
from ..evm.json_rpc import Call, decode_batch, encode_batch
from ..evm.logs import LogUnread, read_transfers, transfer_logs_call
from ..evm.logs import Transfer as TokenTransfer
from .amounts import from_base_units
from .contracts import (
    AMOY_CHAIN_ID,
    AMOY_CONDITIONAL_TOKENS,
    CONDITIONAL_TOKENS,
    POSITION_MANAGER,
    PUSD,
    Exchange,
    TokenId,
    exchange_contract,
)
from .instruments import SETTLEMENT_ASSET, InstrumentTable

BLOCKS_MAXIMUM = 2_000
"""Blocks in one reading. Nodes cap ranges of logs between 500 and 10 000 blocks (evm.md 6); a longer way is read on."""

_ZERO_ADDRESS = parse_address("0x" + "00" * 20)
_BLOCK_CALLS = 2


def last_block(pin: Pin, after: LedgerPosition) -> int:
    """The block up to which one reading goes."""
    return min(pin.number, after.number + BLOCKS_MAXIMUM)


def transfers_body(pin: Pin, after: LedgerPosition, wallet: Address, *, chain_id: int) -> bytes:
    """Return the batch that reads the wallet's transfers behind a position, up to the pinned block at most."""
    return encode_batch(_calls(pin, after, wallet, chain_id))


def read_transfers_page(
    body: bytes,
    pin: Pin,
    after: LedgerPosition,
    wallet: Address,
    *,
    chain_id: int,
    account: AccountId,
    table: InstrumentTable,
) -> TransferPage | ReadingRefused:
    """Return what the chain's logs show, or why they are not known. Never an empty page in place of a failure."""
    until = last_block(pin, after)
    answers = decode_batch(body, count=len(_calls(pin, after, wallet, chain_id)))
    before = read_head(answers[0])
    if not isinstance(before, Head):
        return ReadingRefused(why=f"block {after.number}, read before, could not be read again", retryable=True)
    pinned = pin.head.block_hash if pin.head is not None and pin.number == until else None
    end = confirm_pin(Pin(number=until, finality=pin.finality, head=None, latest=pin.latest), answers[1])
    if isinstance(end, ReadingRefused):
        return end
    if pinned is not None and end.block_hash != pinned:
        return ReadingRefused(why=f"block {until} was {pinned} and is now {end.block_hash}", retryable=True)
    position = LedgerPosition(number=until, stamp=end.block_hash)
    if after.stamp and before.block_hash != after.stamp:
        changed = f"final block {after.number} was {after.stamp} and is now {before.block_hash}"
        return TransferPage(transfers=(), settled_trades=(), until=position, ended=False, history_changed=changed)
    moved: dict[tuple[str, int, int], TokenTransfer] = {}
    for answer in answers[_BLOCK_CALLS:]:
        found = read_transfers(answer)
        if isinstance(found, ReadingRefused):
            return found
        for row in found:
            if isinstance(row, LogUnread):
                return ReadingRefused(why=f"a transfer of the wallet could not be read: {row.why}", retryable=True)
            # What the wallet sends to itself is in both queries.
            moved[row.block_hash, row.log_index, row.position] = row
    transfers, trades = _grouped(moved.values(), wallet, chain_id, account, table)
    return TransferPage(
        transfers=tuple(transfers), settled_trades=tuple(trades), until=position, ended=until == pin.number
    )


def _calls(pin: Pin, after: LedgerPosition, wallet: Address, chain_id: int) -> list[Call]:
    until = last_block(pin, after)
    conditional_tokens = AMOY_CONDITIONAL_TOKENS if chain_id == AMOY_CHAIN_ID else CONDITIONAL_TOKENS
    contracts = ((PUSD, False), (conditional_tokens, True), (POSITION_MANAGER, True))
    queries = [
        transfer_logs_call(
            contract, wallet=wallet, incoming=incoming, erc1155=erc1155, from_block=after.number + 1, to_block=until
        )
        for contract, erc1155 in contracts
        for incoming in (True, False)
    ]
    return [block_call(after.number), block_call(until), *queries]


def _grouped(
    rows: Iterable[TokenTransfer], wallet: Address, chain_id: int, account: AccountId, table: InstrumentTable
) -> tuple[list[Transfer], list[str]]:
    """The transactions in the order of the chain, those that settled a trade apart."""
    exchanges = {exchange_contract(exchange, chain_id).address for exchange in Exchange}
    by_transaction: dict[str, list[TokenTransfer]] = {}
    for row in sorted(rows, key=lambda found: (found.block_number, found.log_index, found.position)):
        by_transaction.setdefault(row.transaction_hash, []).append(row)
    transfers: list[Transfer] = []
    trades: list[str] = []
    for transaction, parts in by_transaction.items():
        # Neg-risk tokens move through an adapter, so that only the other side shows that an exchange was at work.
        if any({part.operator, part.sender, part.receiver} & exchanges for part in parts):
            trades.append(transaction)
            continue
        movements = _movements(parts, wallet, table)
        if movements:
            transfers.append(
                Transfer(
                    account=account,
                    transaction=transaction,
                    kind=kind_of(movements, parts),
                    movements=movements,
                    at=LedgerPosition(number=parts[0].block_number, stamp=parts[0].block_hash),
                )
            )
    return transfers, trades


def _movements(parts: Sequence[TokenTransfer], wallet: Address, table: InstrumentTable) -> tuple[Movement, ...]:
    """Net changes by asset; what cancels out within the transaction changed nothing."""
    rows: dict[AssetId, list[TokenTransfer]] = {}
    followed: dict[AssetId, bool] = {}
    for part in parts:
        if part.token is None:
            asset, known = SETTLEMENT_ASSET, True
        else:
            token = TokenId(str(part.token))
            asset, known = table.asset_of_token(token), table.of_token(token) is not None
        rows.setdefault(asset, []).append(part)
        followed[asset] = known
    net: Mapping[AssetId, int] = {
        asset: sum(_signed(part, wallet) for part in of_asset) for asset, of_asset in rows.items()
    }
    return tuple(
        Movement(
            asset=asset,
            quantity=SignedQuantity(from_base_units(abs(units)) * (1 if units > 0 else -1)),
            followed=followed[asset],
            references=tuple(f"log {part.log_index}" for part in rows[asset]),
            counterparties=tuple(dict.fromkeys(_counterparty(part, wallet) for part in rows[asset])),
        )
        for asset, units in net.items()
        if units
    )


def _signed(part: TokenTransfer, wallet: Address) -> int:
    return part.units * ((part.receiver == wallet) - (part.sender == wallet))


def _counterparty(part: TokenTransfer, wallet: Address) -> Address:
    return part.sender if part.receiver == wallet else part.receiver


def kind_of(movements: Sequence[Movement], parts: Sequence[TokenTransfer]) -> TransferKind:
    """Return what a transaction was, by which way cash and shares moved and whether shares were made or burned."""
    cash = sum((part.quantity for part in movements if part.asset == SETTLEMENT_ASSET), ZERO)
    shares = [part.quantity for part in movements if part.asset != SETTLEMENT_ASSET]
    tokens = [part for part in parts if part.token is not None]
    made = bool(tokens) and all(part.sender == _ZERO_ADDRESS for part in tokens)
    burned = bool(tokens) and all(part.receiver == _ZERO_ADDRESS for part in tokens)
    if not shares:
        return TransferKind.DEPOSIT if cash > 0 else TransferKind.WITHDRAWAL
    came, went = all(change > 0 for change in shares), all(change < 0 for change in shares)
    if came and made and cash < 0:
        return TransferKind.SPLIT
    if went and burned and cash >= 0:
        # A complete set pays its size whether it is merged or redeemed: one of each outcome, for one of cash.
        is_set = len(shares) > 1 and all(change == -cash for change in shares)
        return TransferKind.MERGE if is_set else TransferKind.REDEMPTION
    if cash:
        return TransferKind.OTHER
    if came:
        return TransferKind.POSITION_IN
    return TransferKind.POSITION_OUT if went else TransferKind.OTHER
