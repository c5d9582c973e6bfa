"""The venue's own books: every order, trade and balance, against which a client's records can be checked."""

from ...evm.address import parse_address
from .markets import Market
from .numbers import plain
from .venue import Venue
from .wire import Json, order_row, trade_row


class OwnBooks:
    """What the venue knows for sure, without lag and without faults."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def state(self) -> Json:
        """Everything at once, in a form that a test can compare."""
        venue = self._venue
        return {
            "now_ms": venue.now_ms,
            "now_seconds": (venue.now_ms - venue.started_ms) / 1_000,
            "started_ms": venue.started_ms,
            "block": venue.chain.head(venue.now_ms),
            "finalized_block": venue.chain.finalized(venue.now_ms),
            "markets": [self.market(market) for market in venue.catalogue.all()],
            "orders": self.orders(None),
            "trades": self.trades(None),
            "balances": self.balances(),
            "owners": venue.wallets.owners(),
            "faults": self.faults(),
        }

    def orders(self, owner: str | None) -> list[Json]:
        """Every order ever accepted, of one owner or of all, with what closed it."""
        chosen = None if owner is None else parse_address(owner)
        rows = []
        for order in self._venue.exchange.orders.values():
            facts = self._venue.facts[order.order_id]
            if chosen is None or facts.owner == chosen:
                row = order_row(order, facts)
                reason = order.cancel_reason
                row.update(
                    owner_address=facts.owner,
                    paid=plain(order.paid),
                    cancel_reason=None if reason is None else reason.value,
                    created_at_ms=order.created_at_ms,
                    closed_at_ms=order.closed_at_ms,
                )
                rows.append(row)
        return rows

    def trades(self, owner: str | None) -> list[Json]:
        """Every trade, of one owner or of all, with its cash, fee and settlement."""
        venue = self._venue
        chosen = None if owner is None else parse_address(owner)
        records = venue.records.values() if chosen is None else venue.trades_of.get(chosen, [])
        rows = []
        for record in records:
            taker = venue.facts[record.trade.taker_order_id].owner
            row = trade_row(record, venue.facts.__getitem__, taker if chosen is None else chosen)
            row.update(
                taker_cash=plain(record.trade.taker_cash),
                taker_fee=plain(record.trade.taker_fee),
                matched_at_ms=record.trade.matched_at_ms,
                attempts=record.attempts,
                legs=[
                    {
                        "order_id": leg.maker_order_id,
                        "kind": leg.kind.value,
                        "quantity": plain(leg.quantity),
                        "cash": plain(leg.maker_cash),
                    }
                    for leg in record.trade.legs
                ],
            )
            rows.append(row)
        return rows

    def balances(self) -> dict[str, dict[str, str]]:
        """What every known wallet holds on chain now, by wallet and asset."""
        balances = self._venue.wallets.balances()
        return {str(w): {a: plain(amount) for a, amount in held.items()} for w, held in balances.items()}

    def faults(self) -> list[Json]:
        now_ms = self._venue.now_ms
        return [
            {"fault_id": a.fault_id, "fault": a.fault, "bites": a.bites, "on": a.is_on(now_ms)}
            for a in self._venue.faults.all()
        ]

    def market(self, market: Market) -> Json:
        return {
            "condition_id": market.condition_id,
            "question": market.spec.question,
            "slug": market.slug,
            "token_ids": list(market.token_ids),
            "outcomes": list(market.spec.outcomes),
            "tick_size": plain(market.tick_size),
            "min_size": plain(market.spec.min_size),
            "neg_risk": market.spec.neg_risk,
            "accepting_orders": market.accepting_orders,
            "winner": market.winner,
            "books": {token_id: self._venue.book(token_id) for token_id in market.token_ids},
        }
