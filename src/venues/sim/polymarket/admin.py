"""Carries out the operator's actions: money, markets, background orders, chain events and faults."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import count
from typing import Literal

import msgspec

from ...evm.address import Address, HexRefused, keccak256, parse_address
from ...polymarket.contracts import PUSD, TokenId
from ...polymarket.orders import ApiKey, OrderType, SignatureType
from ..chain.effects import UNLIMITED, ZERO_ADDRESS, CashApproved, CashMoves, Effect, SharesApproved, SharesMove
from ..core.values import AccountId, AssetId, CancelReason, InstrumentId, OrderId, OrderRequest, Side, TimeInForce
from . import actions
from .faults import StopFinality
from .funds import token_contract
from .history import Activity, ActivityKind
from .keys import key_id
from .markets import AMOUNT_DECIMALS, Market, MarketRefused
from .numbers import BASE_UNIT, to_units
from .order_entry import Entry, OrderRejected
from .own_books import OwnBooks
from .venue import Venue
from .wallets import APPROVED_CONTRACTS, SPENDERS, mint
from .wire import Json, order_row

_TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "GTD": TimeInForce.GTD, "FOK": TimeInForce.FOK, "FAK": TimeInForce.IOC}
_SIGNATURE_TYPES = {
    "eoa": SignatureType.EOA,
    "proxy": SignatureType.POLY_PROXY,
    "safe": SignatureType.POLY_GNOSIS_SAFE,
    "deposit": SignatureType.POLY_1271,
    "deposit_uups": SignatureType.POLY_1271,
}


class ActionRefused(Exception):
    """An action cannot be done; the message says what was wrong and what was expected."""


class Admin:
    """The operator's hand. `cut_streams` loses websocket connections, which only the server half can do."""

    def __init__(self, venue: Venue, books: OwnBooks, cut_streams: Callable[[str | None], int]) -> None:
        self._venue = venue
        self._books = books
        self._cut_streams = cut_streams
        self._order_numbers = count(1)

    def do(self, action: actions.AnyAction) -> Json:
        """Carry out one action; raises `ActionRefused`."""
        try:
            return self._do(action)
        except (MarketRefused, HexRefused, OrderRejected) as error:
            raise ActionRefused(str(error)) from error

    def run_script(self, steps: Sequence[actions.ScriptStep], failed: Callable[[actions.ScriptStep, str], None]) -> int:
        """Have the steps done at their times; `failed` hears of a step that could not be. How many were noted."""
        for step in steps:
            due_ms = max(self._venue.started_ms + round(step.at_seconds * 1_000), self._venue.now_ms)

            def run(_now_ms: int, step: actions.ScriptStep = step) -> None:
                try:
                    self.do(step.action)
                except ActionRefused as error:
                    failed(step, str(error))

            self._venue.agenda.at(due_ms, run)
        return len(steps)

    def _do(self, action: actions.AnyAction) -> Json:
        venue = self._venue
        match action:
            case actions.CreateAccount():
                return self._create_account(action)
            case actions.CreateMarket():
                return self._books.market(venue.create_market(action.market))
            case actions.PlaceOrder():
                return self._place_order(action)
            case actions.SetQuotes():
                return self._set_quotes(action)
            case actions.CancelOrder():
                return {"canceled": venue.exchange.cancel(OrderId(action.order_id.lower()), venue.now_ms)}
            case actions.Transfer():
                return self._transfer(action)
            case actions.Split():
                return self._split_or_merge(action.wallet, action.market, action.amount, ActivityKind.SPLIT)
            case actions.Merge():
                return self._split_or_merge(action.wallet, action.market, action.amount, ActivityKind.MERGE)
            case actions.Redeem():
                return self._redeem(action)
            case actions.PayRebate():
                wallet = parse_address(action.wallet)
                paid = CashMoves(token=PUSD, source=ZERO_ADDRESS, target=wallet, amount=_units(action.amount))
                return self._send(wallet, (paid,), ActivityKind.MAKER_REBATE, cash=action.amount)
            case actions.SetAllowance():
                return self._set_allowance(action)
            case actions.ChangeTick():
                if action.tick_size not in AMOUNT_DECIMALS:
                    raise ActionRefused(f"tick size {action.tick_size} does not exist")
                market = self._market(action.market)
                venue.change_tick(market, action.tick_size)
                return self._books.market(market)
            case actions.ResolveMarket():
                market = self._market(action.market)
                venue.resolve(market, market.outcome_index(self._token(market, action.outcome)))
                return self._books.market(market)
            case actions.AcceptOrders():
                market = self._market(action.market)
                venue.set_accepting(market, accepting=action.accepting)
                return self._books.market(market)
            case actions.SettleNow():
                return {"settled": venue.settlement.settle_now(venue.now_ms)}
            case actions.Reorg():
                if action.depth < 1:
                    raise ActionRefused(f"a reorg replaces at least one block, got {action.depth}")
                return {"undone": venue.reorg(action.depth)}
            case actions.ExpireHeartbeat():
                return {"canceled": self._expire_heartbeat(action.owner)}
            case actions.PutOnFault():
                if isinstance(action.fault, StopFinality):
                    venue.chain.stop_finality(venue.now_ms)
                return {"fault_id": venue.faults.put_on(action.fault, venue.now_ms).fault_id}
            case actions.LiftFaults():
                return {"lifted": venue.faults.lift(action.fault_id)}
            case actions.CutStreams():
                return {"cut": self._cut_streams(action.channel)}

    # Accounts.

    def _create_account(self, action: actions.CreateAccount) -> Json:
        owner = parse_address(action.owner)
        wallets = self._venue.wallets
        wallet = wallets.derived(owner, action.kind) if action.wallet is None else parse_address(action.wallet)
        wallets.register(owner, wallet, _SIGNATURE_TYPES[action.kind])
        shares = []
        for token, amount in action.shares:
            market = self._market(token)
            _units(amount)
            shares.append((market, self._token(market, token), amount))
        _units(action.cash)
        wallets.fund(wallet, action.cash, tuple(shares), approved=action.approved)
        return {"owner": owner, "wallet": wallet, "signature_type": _SIGNATURE_TYPES[action.kind].value}

    def _set_allowance(self, action: actions.SetAllowance) -> Json:
        wallet = parse_address(action.wallet)
        amount = UNLIMITED if action.cash is None else _units(action.cash)
        effects: list[Effect] = [
            CashApproved(token=PUSD, owner=wallet, spender=spender, amount=amount) for spender in SPENDERS
        ]
        effects += [
            SharesApproved(token=token, owner=wallet, operator=spender, approved=action.shares)
            for token in APPROVED_CONTRACTS
            for spender in SPENDERS
        ]
        transaction = self._venue.wallets.transaction(wallet, tuple(effects))
        self._venue.include(transaction)
        return {"transaction_hash": transaction.transaction_hash}

    def _expire_heartbeat(self, owner: str | None) -> list[OrderId]:
        keys = self._venue.keys
        owners = None if owner is None else parse_address(owner)
        switch = self._venue.heartbeats.switch
        chosen = [key for key in switch.armed() if owners is None or key in keys.of_owner(owners)]
        canceled: list[OrderId] = []
        for api_key in chosen:
            switch.disarm(api_key)
            canceled += self._venue.cancel_of_key(api_key, CancelReason.HEARTBEAT_LOST)
        return canceled

    # Background orders.

    def _place_order(self, action: actions.PlaceOrder) -> Json:
        market = self._market(action.market)
        token_id = self._token(market, action.outcome)
        now_ms = self._venue.now_ms
        expires_at_ms = None if action.lifetime_seconds is None else now_ms + action.lifetime_seconds * 1_000
        order = self._venue.submit(
            self._background_entry(
                action.participant,
                market,
                token_id,
                Side(action.side),
                action.price,
                action.size,
                action.order_type,
                post_only=action.post_only,
                expires_at_ms=expires_at_ms,
            )
        )
        return order_row(order, self._venue.facts[order.order_id])

    def _set_quotes(self, action: actions.SetQuotes) -> Json:
        venue, market = self._venue, self._market(action.market)
        token_id = self._token(market, action.outcome)
        wallet = venue.wallets.background(action.participant, market)
        account = AccountId(wallet)
        tokens = {InstrumentId(token) for token in market.token_ids}
        canceled = venue.exchange.cancel_all(
            lambda order: order.request.account == account and order.request.instrument_id in tokens, venue.now_ms
        )
        placed = []
        for side, levels in ((Side.BUY, action.bids), (Side.SELL, action.asks)):
            for price, size in levels:
                entry = self._background_entry(action.participant, market, token_id, side, price, size, "GTC")
                placed.append(venue.submit(entry).order_id)
        return {"canceled": canceled, "placed": placed}

    def _background_entry(
        self,
        participant: str,
        market: Market,
        token_id: TokenId,
        side: Side,
        price: Decimal,
        size: Decimal,
        order_type: Literal["GTC", "GTD", "FOK", "FAK"],
        *,
        post_only: bool = False,
        expires_at_ms: int | None = None,
    ) -> Entry:
        wallet = self._venue.wallets.background(participant, market)
        number = next(self._order_numbers)
        request = OrderRequest(
            order_id=OrderId("0x" + keccak256(f"background order {number}".encode()).hex()),
            account=AccountId(wallet),
            instrument_id=InstrumentId(token_id),
            side=side,
            price=price,
            size=size,
            time_in_force=_TIMES_IN_FORCE[order_type],
            post_only=post_only,
            expires_at_ms=expires_at_ms,
        )
        return Entry(
            request=request,
            cash=price * size,
            market=market,
            token_id=token_id,
            owner=wallet,
            wallet=wallet,
            api_key=ApiKey(str(key_id(f"participant {participant}"))),
            contract=market.contract(token_id),
            order_type=OrderType(order_type),
            expiration_seconds=0 if expires_at_ms is None else expires_at_ms // 1_000,
            defer_execution=False,
        )

    # Money by hand, always in the next block as a wallet's own transaction would be.

    def _transfer(self, action: actions.Transfer) -> Json:
        source, target = parse_address(action.source), parse_address(action.target)
        units = _units(action.amount)
        if action.asset == "cash":
            moved: Effect = CashMoves(token=PUSD, source=source, target=target, amount=units)
            return self._send(source, (moved,), ActivityKind.WITHDRAWAL, cash=action.amount, receiver=target)
        market = self._market(action.asset)
        token_id = self._token(market, action.asset)
        moved = msgspec.structs.replace(mint(target, token_id, action.amount), operator=source, source=source)
        return self._send(
            source,
            (moved,),
            ActivityKind.TRANSFER,
            market=market,
            shares=((token_id, -action.amount),),
            receiver=target,
        )

    def _split_or_merge(self, owner: str, market_name: str, amount: Decimal, kind: ActivityKind) -> Json:
        wallet, market = parse_address(owner), self._market(market_name)
        units = _units(amount)
        splits = kind is ActivityKind.SPLIT
        source, target = (ZERO_ADDRESS, wallet) if splits else (wallet, ZERO_ADDRESS)
        cash = CashMoves(token=PUSD, source=target, target=source, amount=units)
        tokens = [
            SharesMove(
                token=token_contract(token_id),
                operator=wallet,
                source=source,
                target=target,
                token_id=int(token_id),
                amount=units,
            )
            for token_id in market.token_ids
        ]
        change = amount if splits else -amount
        shares = tuple((token_id, change) for token_id in market.token_ids)
        return self._send(wallet, (cash, *tokens), kind, cash=amount, market=market, shares=shares)

    def _redeem(self, action: actions.Redeem) -> Json:
        wallet, market = parse_address(action.wallet), self._market(action.market)
        if market.winner is None:
            raise ActionRefused(f"market {market.condition_id} is not resolved, nothing can be redeemed")
        effects: list[Effect] = []
        shares: list[tuple[TokenId, Decimal]] = []
        payout = Decimal(0)
        for token_id in market.token_ids:
            held = self._venue.funds.balance(wallet, AssetId(token_id))
            if held:
                burned = mint(wallet, token_id, held)
                effects.append(msgspec.structs.replace(burned, source=wallet, target=ZERO_ADDRESS))
                shares.append((token_id, -held))
                payout += held if market.outcome_index(token_id) == market.winner else 0
        effects.append(CashMoves(token=PUSD, source=ZERO_ADDRESS, target=wallet, amount=to_units(payout)))
        return self._send(wallet, tuple(effects), ActivityKind.REDEEM, cash=payout, market=market, shares=tuple(shares))

    def _send(
        self,
        wallet: Address,
        effects: tuple[Effect, ...],
        kind: ActivityKind,
        *,
        cash: Decimal = Decimal(0),
        market: Market | None = None,
        shares: tuple[tuple[TokenId, Decimal], ...] = (),
        receiver: Address | None = None,
    ) -> Json:
        venue = self._venue
        transaction = venue.wallets.transaction(wallet, effects)

        def row(at_ms: int, owner: Address, told: ActivityKind, sign: int) -> Activity:
            return Activity(
                kind=told,
                wallet=owner,
                at_ms=at_ms,
                transaction_hash=transaction.transaction_hash,
                cash=cash,
                market=market,
                shares=tuple((token_id, sign * change) for token_id, change in shares),
            )

        def mine(now_ms: int) -> None:
            if not venue.include(transaction).succeeded:
                return
            rows = [row(now_ms, wallet, kind, 1)]
            if receiver is not None:
                received = ActivityKind.DEPOSIT if kind is ActivityKind.WITHDRAWAL else kind
                rows.append(row(now_ms, receiver, received, -1))
            venue.history.add(rows)

        venue.agenda.at(venue.chain.next_block_ms(venue.now_ms), mine)
        return {"transaction_hash": transaction.transaction_hash}

    # Names.

    def _market(self, name: str) -> Market:
        market = self._venue.catalogue.find(name)
        if market is None:
            known = ", ".join(market.slug for market in self._venue.catalogue.all())
            raise ActionRefused(f"there is no market {name!r} (condition id, slug or token id); there are {known}")
        return market

    @staticmethod
    def _token(market: Market, outcome: str) -> TokenId:
        """A token by its id, the label of its outcome, or its index."""
        if outcome in market.token_ids:
            return TokenId(outcome)
        for index, label in enumerate(market.spec.outcomes):
            if outcome.lower() == label.lower() or outcome == str(index):
                return market.token_ids[index]
        raise ActionRefused(f"market {market.slug} has no outcome {outcome!r}; it has {market.spec.outcomes}")


def _units(amount: Decimal) -> int:
    """An amount in millionths; raises `ActionRefused` unless it is a whole, non-negative number of them."""
    if not amount.is_finite() or amount < 0 or amount % BASE_UNIT != 0:
        raise ActionRefused(f"an amount has at most six decimals and is not negative, got {amount}")
    return to_units(amount)
