"""How a match reaches the chain: MATCHED, MINED, CONFIRMED, or by way of RETRYING to FAILED (polymarket.md 9.3).

A match is a promise. Its transaction is included at the first moment of a block, so that no reader saw that block
without it, and is confirmed when the block is finalized. A transaction that reverts is sent again under a new
hash until the attempts are used up; a reorg takes a mined one back to RETRYING.
"""

import enum
from collections.abc import Callable

import msgspec

from ...evm.address import Address, checksum_address, keccak256
from ...polymarket.contracts import PUSD, TokenId
from ..agenda import Agenda
from ..chain.chain import Chain
from ..chain.effects import ZERO_ADDRESS, CashMoves, Effect, Receipt, SharesMove, Transaction
from ..core.values import ZERO, MatchKind, Side, Trade
from .funds import ChainFunds, token_contract
from .markets import Market
from .numbers import to_units

OPERATOR = checksum_address(keccak256(b"operator")[12:])
FEE_COLLECTOR = checksum_address(keccak256(b"fee collector")[12:])


class TradeStatus(enum.Enum):
    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    RETRYING = "RETRYING"
    FAILED = "FAILED"

    @property
    def final(self) -> bool:
        return self in {TradeStatus.CONFIRMED, TradeStatus.FAILED}


class SettlementDelays(msgspec.Struct, frozen=True, kw_only=True):
    """How long settlement takes, in milliseconds of venue time.

    A match is broadcast after `broadcast_ms` and mined at the next block; a reverted attempt is repeated after
    `retry_ms`, at most `attempts_max` times in all. Confirmation follows finality.
    """

    broadcast_ms: int = 500
    retry_ms: int = 4_000
    attempts_max: int = 3


class SettlementPlan(msgspec.Struct, kw_only=True):
    """What was decided for one trade by the fault switches: by default that all goes well."""

    reverts: int = 0
    fails: bool = False
    changes_hash: bool = False
    stalls: bool = False
    ghost: bool = False
    """It reverts, and is told as if it had not."""


class TradeRecord:
    """A trade on its way through settlement; only `Settlement` changes it."""

    __slots__ = ("attempts", "dust", "market", "plan", "status", "trade", "transaction_hash", "updated_ms", "waiting")

    def __init__(self, trade: Trade, market: Market, plan: SettlementPlan, now_ms: int) -> None:
        self.trade = trade
        self.market = market
        self.plan = plan
        self.status = TradeStatus.MATCHED
        self.attempts = 0
        self.transaction_hash = _hash(trade, 0)
        self.updated_ms = now_ms
        # Added to the quantities that are told, and to nothing that settles.
        self.dust = ZERO
        # Counts steps, so that a timer of an earlier step finds itself overtaken.
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<TradeRecord {self.trade.trade_id} {self.status.value} attempts={self.attempts}>"


class Settlement:
    """Takes trades to the chain and reports every change of their status."""

    def __init__(
        self,
        *,
        chain: Chain,
        funds: ChainFunds,
        agenda: Agenda,
        delays: SettlementDelays,
        changed: Callable[[TradeRecord, int], None],
        mined: Callable[[TradeRecord, Receipt, int], None],
        unmined: Callable[[TradeRecord], None],
    ) -> None:
        self._chain = chain
        self._funds = funds
        self._agenda = agenda
        self._delays = delays
        self._changed = changed
        self._mined = mined
        self._unmined = unmined
        self._unsettled: dict[str, TradeRecord] = {}
        self._by_hash: dict[str, TradeRecord] = {}

    @property
    def unsettled(self) -> list[TradeRecord]:
        return list(self._unsettled.values())

    def start(self, trade: Trade, market: Market, plan: SettlementPlan, now_ms: int) -> TradeRecord:
        """Take over a matched trade; its funds are kept aside by now."""
        record = TradeRecord(trade, market, plan, now_ms)
        self._unsettled[trade.trade_id] = record
        self._by_hash[record.transaction_hash] = record
        self._schedule(record, now_ms + self._delays.broadcast_ms)
        return record

    def settle_now(self, now_ms: int) -> int:
        """Mine and confirm everything that is under way at once; the number of trades that it ended."""
        ended = 0
        for record in self.unsettled:
            record.plan.stalls = False
            while not record.status.final:
                if record.status is TradeStatus.MINED:
                    self._confirm(record, now_ms)
                else:
                    self._attempt(record, now_ms)
            ended += 1
        return ended

    def reorged(self, transactions: list[Transaction], now_ms: int) -> list[Transaction]:
        """Take back the trades of undone transactions and send them again; what was not a trade is returned."""
        others: list[Transaction] = []
        for transaction in transactions:
            record = self._by_hash.get(transaction.transaction_hash)
            if record is None:
                others.append(transaction)
            elif record.status in {TradeStatus.MINED, TradeStatus.CONFIRMED}:
                self._unsettled[record.trade.trade_id] = record
                self._funds.book(record.trade)
                self._unmined(record)
                record.attempts = 0
                self._set_status(record, TradeStatus.RETRYING, now_ms)
                self._schedule(record, now_ms + self._delays.retry_ms)
        return others

    def _schedule(self, record: TradeRecord, not_before_ms: int) -> None:
        """Attempt the record at the first block that begins after a moment."""
        record.waiting += 1
        step = record.waiting
        due_ms = self._chain.next_block_ms(not_before_ms)

        def attempt(now_ms: int) -> None:
            if record.waiting == step and not record.plan.stalls:
                self._attempt(record, now_ms)

        self._agenda.at(due_ms, attempt)

    def _attempt(self, record: TradeRecord, now_ms: int) -> None:
        plan = record.plan
        record.waiting += 1
        if record.attempts > 0 or plan.changes_hash:
            plan.changes_hash = False
            record.transaction_hash = _hash(record.trade, record.waiting)
            self._by_hash[record.transaction_hash] = record
        record.attempts += 1
        reverts = plan.fails or plan.ghost or record.attempts <= plan.reverts
        must_revert = "execution reverted" if reverts else None
        transaction = Transaction(
            transaction_hash=record.transaction_hash,
            sender=OPERATOR,
            target=record.market.contract(TokenId(record.trade.instrument_id)).address,
            effects=trade_effects(record.trade, record.market),
        )
        receipt = self._chain.include(transaction, now_ms, must_revert=must_revert)
        if receipt.succeeded or plan.ghost:
            self._funds.release(record.trade)
            self._set_status(record, TradeStatus.MINED, now_ms)
            self._mined(record, receipt, now_ms)
            self._await_finality(record, receipt)
        elif record.attempts >= self._delays.attempts_max:
            self._funds.release(record.trade)
            self._end(record, TradeStatus.FAILED, now_ms)
        else:
            self._set_status(record, TradeStatus.RETRYING, now_ms)
            self._schedule(record, now_ms + self._delays.retry_ms)

    def _await_finality(self, record: TradeRecord, receipt: Receipt) -> None:
        step = record.waiting
        due_ms = self._chain.block_ms(receipt.block_number + self._chain.rules.finalized_lag_blocks)

        def confirm(now_ms: int) -> None:
            if record.waiting == step:
                self._confirm(record, now_ms)

        self._agenda.at(due_ms, confirm)

    def _confirm(self, record: TradeRecord, now_ms: int) -> None:
        record.waiting += 1
        self._end(record, TradeStatus.CONFIRMED, now_ms)

    def _end(self, record: TradeRecord, status: TradeStatus, now_ms: int) -> None:
        del self._unsettled[record.trade.trade_id]
        self._set_status(record, status, now_ms)

    def _set_status(self, record: TradeRecord, status: TradeStatus, now_ms: int) -> None:
        record.status = status
        record.updated_ms = now_ms
        self._changed(record, now_ms)


def trade_effects(trade: Trade, market: Market) -> tuple[Effect, ...]:
    """The transfers that settle a trade: across, by minting a pair, or by merging one, then the fee."""
    exchange = market.contract(TokenId(trade.instrument_id)).address
    taker = Address(trade.taker_account)
    effects: list[Effect] = []
    for leg in trade.legs:
        maker = Address(leg.maker_account)
        units = to_units(leg.quantity)
        own, other = TokenId(trade.instrument_id), TokenId(leg.maker_instrument_id)
        if leg.kind is MatchKind.DIRECT:
            buyer, seller = (taker, maker) if trade.side is Side.BUY else (maker, taker)
            effects.append(_pay(buyer, seller, to_units(leg.taker_cash), exchange))
            effects.append(_give(own, seller, buyer, units, exchange))
        elif leg.kind is MatchKind.MINT:
            # The collateral of the pair leaves circulation, the two outcomes enter it.
            effects.append(_pay(taker, ZERO_ADDRESS, to_units(leg.taker_cash), exchange))
            effects.append(_pay(maker, ZERO_ADDRESS, to_units(leg.maker_cash), exchange))
            effects.append(_give(own, ZERO_ADDRESS, taker, units, exchange))
            effects.append(_give(other, ZERO_ADDRESS, maker, units, exchange))
        else:
            effects.append(_give(own, taker, ZERO_ADDRESS, units, exchange))
            effects.append(_give(other, maker, ZERO_ADDRESS, units, exchange))
            effects.append(_pay(ZERO_ADDRESS, taker, to_units(leg.taker_cash), exchange))
            effects.append(_pay(ZERO_ADDRESS, maker, to_units(leg.maker_cash), exchange))
    if trade.taker_fee:
        spender = exchange if trade.side is Side.BUY else None
        effects.append(
            CashMoves(token=PUSD, source=taker, target=FEE_COLLECTOR, amount=to_units(trade.taker_fee), spender=spender)
        )
    return tuple(effects)


def _pay(source: Address, target: Address, units: int, exchange: Address) -> CashMoves:
    return CashMoves(token=PUSD, source=source, target=target, amount=units, spender=exchange)


def _give(token_id: TokenId, source: Address, target: Address, units: int, exchange: Address) -> SharesMove:
    return SharesMove(
        token=token_contract(token_id),
        operator=exchange,
        source=source,
        target=target,
        token_id=int(token_id),
        amount=units,
    )


def _hash(trade: Trade, attempt: int) -> str:
    return "0x" + keccak256(f"{trade.trade_id}:{attempt}".encode()).hex()
