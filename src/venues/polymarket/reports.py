"""Turns what the venue said into the runtime's reports, with instruments in place of tokens."""

from collections.abc import Sequence
from decimal import Decimal

from ...model.fill import Execution, FillKey, Liquidity
from ...model.identifiers import AccountId, TradeId, VenueOrderId
from ...model.instrument import Instrument
from ...model.money import EXACT, Cash, Price, Quantity
from ...model.report import (
    Alive,
    BookChange,
    BookDelta,
    BookSnapshot,
    ExecutionReport,
    MarketResolved,
    OrderReport,
    PriceLevel,
    PrivateReport,
    PublicReport,
    PublicTrade,
    RulesChanged,
    Unrecognised,
)
from .expression import DIRECTIONS
from .frames import (
    BestChanged,
    BookImage,
    BookLevel,
    LevelChanged,
    LevelsChanged,
    MarketAnnounced,
    MarketEvent,
    MarketSettled,
    TickChanged,
    TradeSeen,
    UserEvent,
)
from .instruments import SETTLEMENT_ASSET, InstrumentTable
from .ledger import OwnFill, TradeReading, VenueOrder
from .markets import FeeCurve, taker_fee_of
from .redaction import excerpt

AVERAGE_PRICE_UNIT = Decimal("1e-18")


class Reports:
    """Makes one account's reports. Every event gives at least one: read, or explicitly not."""

    def __init__(self, account: AccountId, table: InstrumentTable) -> None:
        self._account = account
        self._table = table

    def private(self, event: UserEvent | Unrecognised, received_at_ns: int) -> Sequence[PrivateReport]:
        """Return the reports of one event of the user channel."""
        match event:
            case VenueOrder():
                return [self.order(event, received_at_ns)]
            case TradeReading():
                executions = (self.execution(fill, received_at_ns) for fill in event.fills)
                return [
                    *event.refused,
                    *(
                        ExecutionReport(execution=execution) if isinstance(execution, Execution) else execution
                        for execution in executions
                    ),
                ]
            case Alive() | Unrecognised():
                return [event]

    def order(self, order: VenueOrder, received_at_ns: int) -> OrderReport:
        instrument = self._table.of_token(order.token_id)
        return OrderReport(
            account=self._account,
            venue_order_id=VenueOrderId(order.order_id),
            instrument=None if instrument is None else instrument.instrument_id,
            status=order.status,
            venue_status=order.venue_status,
            direction=DIRECTIONS[order.side],
            price=Price(order.price),
            original_quantity=Quantity(order.original_size),
            filled_quantity=Quantity(order.size_matched),
            venue_time_ns=order.event_at_ns or order.created_at_ns or received_at_ns,
            trades=tuple(TradeId(trade) for trade in order.trade_ids),
        )

    def execution(self, fill: OwnFill, received_at_ns: int) -> Execution | Unrecognised:
        instrument = self._table.of_token(fill.token_id)
        if instrument is None:
            # A fill enters once and for ever, so it waits for its instrument rather than take a makeshift name.
            return Unrecognised(
                why=f"trade {fill.trade_id} is in a token outside the catalogue; list market {fill.market}",
                excerpt=f"{fill.side.value} {fill.shares} of token {fill.token_id} at {fill.price}",
                about_account=True,
            )
        value, price = _traded(fill)
        return Execution(
            key=FillKey(
                account=self._account,
                trade_id=TradeId(fill.trade_id),
                venue_order_id=VenueOrderId(fill.order_id),
            ),
            instrument=instrument.instrument_id,
            direction=DIRECTIONS[fill.side],
            price=price,
            quantity=Quantity(fill.shares),
            fee=_fee(fill, instrument),
            fee_asset=SETTLEMENT_ASSET,
            liquidity=fill.liquidity,
            settlement=fill.settlement,
            venue_time_ns=fill.matched_at_ns or received_at_ns,
            transaction=fill.transaction_hash,
            value=value,
        )

    def public(self, event: MarketEvent | Unrecognised, received_at_ns: int) -> Sequence[PublicReport]:
        match event:
            case BookImage():
                return [self._book(event, received_at_ns)]
            case LevelsChanged():
                return [*self._deltas(event, received_at_ns), *event.refused] or [Alive()]
            case TradeSeen():
                return [self._public_trade(event, received_at_ns)]
            case TickChanged():
                return [self._rules_changed(event, received_at_ns)]
            case MarketSettled():
                return [
                    MarketResolved(
                        market=event.market,
                        winner=self._name_of(event.winning_token_id),
                        venue_time_ns=event.at_ns or received_at_ns,
                    )
                ]
            case BestChanged() | MarketAnnounced():
                # Both are additions to what books and the catalogue say; the connection lives, and nothing more.
                return [Alive()]
            case Alive() | Unrecognised():
                return [event]

    def _book(self, event: BookImage, received_at_ns: int) -> PublicReport:
        instrument = self._table.of_token(event.token_id)
        if instrument is None:
            return _not_learned("a book", event.token_id)
        return BookSnapshot(
            instrument=instrument.instrument_id,
            bids=_levels(event.bids),
            asks=_levels(event.asks),
            venue_time_ns=event.at_ns or received_at_ns,
            checksum=event.checksum,
        )

    def _deltas(self, event: LevelsChanged, received_at_ns: int) -> list[PublicReport]:
        """One event may change both books of a market: one report for each token, in the order they came."""
        by_token: dict[str, list[LevelChanged]] = {}
        for change in event.changes:
            by_token.setdefault(change.token_id, []).append(change)
        return [self._delta(token, changes, event.at_ns or received_at_ns) for token, changes in by_token.items()]

    def _delta(self, token: str, changes: list[LevelChanged], at_ns: int) -> PublicReport:
        instrument = self._table.of_token(token)
        if instrument is None:
            return _not_learned("a book change", token)
        last = changes[-1]
        return BookDelta(
            instrument=instrument.instrument_id,
            changes=tuple(
                BookChange(
                    direction=DIRECTIONS[change.side],
                    price=Price(change.price),
                    quantity=Quantity(change.size),
                )
                for change in changes
            ),
            venue_time_ns=at_ns,
            best_bid=None if last.best_bid is None else Price(last.best_bid),
            best_ask=None if last.best_ask is None else Price(last.best_ask),
        )

    def _public_trade(self, event: TradeSeen, received_at_ns: int) -> PublicReport:
        instrument = self._table.of_token(event.token_id)
        if instrument is None:
            return _not_learned("a public trade", event.token_id)
        return PublicTrade(
            instrument=instrument.instrument_id,
            direction=DIRECTIONS[event.side],
            price=Price(event.price),
            quantity=Quantity(event.size),
            venue_time_ns=event.at_ns or received_at_ns,
        )

    def _rules_changed(self, event: TickChanged, received_at_ns: int) -> PublicReport:
        instrument = self._table.of_token(event.token_id)
        if instrument is None:
            return _not_learned("a tick change", event.token_id)
        return RulesChanged(
            instrument=instrument.instrument_id,
            price_tick=Price(event.tick_size),
            venue_time_ns=event.at_ns or received_at_ns,
        )

    def _name_of(self, token: str) -> str:
        instrument = self._table.of_token(token)
        return token if instrument is None else instrument.instrument_id


def _traded(fill: OwnFill) -> tuple[Cash | None, Price]:
    """What a fill at several prices came to exactly, and its average price; a single price needs no such help."""
    if len({part.price for part in fill.parts}) < 2:
        return None, Price(fill.parts[0].price if fill.parts else fill.price)
    value = sum((EXACT.multiply(part.price, part.shares) for part in fill.parts), Decimal(0))
    return Cash(value), Price(EXACT.divide(value, fill.shares).quantize(AVERAGE_PRICE_UNIT, context=EXACT))


def _fee(fill: OwnFill, instrument: Instrument) -> Cash | None:
    """Makers pay nothing by rule. What a taker paid shows only in the cash: it follows from the prices of its parts."""
    if fill.liquidity is Liquidity.MAKER or not instrument.fee_rate:
        return Cash(Decimal(0))
    if not fill.parts:
        return None
    curve = FeeCurve(rate=instrument.fee_rate, exponent=instrument.fee_exponent)
    return Cash(taker_fee_of(curve, [(part.price, part.shares) for part in fill.parts]))


def _levels(found: tuple[BookLevel, ...]) -> tuple[PriceLevel, ...]:
    # A level of size zero in an image is one that has just gone.
    return tuple(PriceLevel(price=Price(level.price), quantity=Quantity(level.size)) for level in found if level.size)


def _not_learned(what: str, token: str) -> Unrecognised:
    return Unrecognised(why=f"{what} of a token outside the catalogue", excerpt=excerpt(token), about_account=False)
