"""The names of the gates, the limits an operator may set, and the facts that orders are held against."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from .account import AccountState
from .identifiers import AccountId, InstrumentId
from .instrument import Instrument
from .intent import AnyIntent
from .money import ZERO, Cash, Price, Quantity, SignedQuantity
from .truth import BookView
from .value import Value


class Gate(StrEnum):
    """One check, by the name that refusals, reports and metrics use. In the order in which they are asked."""

    WELL_FORMED = "well_formed"
    DUPLICATE_INTENT = "duplicate_intent"
    INTENT_KNOWN = "intent_known"
    OPERATOR_HALT = "operator_halt"
    STORE = "store"
    """The disk keeps up: what is begun can be recorded in time."""
    STRATEGY_PAUSED = "strategy_paused"
    ACCOUNT_LIVE = "account_live"
    EXPIRY = "expiry"
    ACTIVE_INTENTS = "active_intents"
    INSTRUMENT_KNOWN = "instrument_known"
    FAITHFUL = "faithful"
    """The order is what its intent meant: its side, its instrument (or the complement of it), not more than its leg."""
    INSTRUMENT_RULES = "instrument_rules"
    MARKET_STATUS = "market_status"
    LIMIT_PRICE = "limit_price"
    PRICE_BAND = "price_band"
    FRESH_DATA = "fresh_data"
    PRICE_DEVIATION = "price_deviation"
    ORDER_QUANTITY = "order_quantity"
    ORDER_NOTIONAL = "order_notional"
    INTENT_NOTIONAL = "intent_notional"
    POSITION_QUANTITY = "position_quantity"
    POSITION_NOTIONAL = "position_notional"


class RiskLimits(Value, frozen=True):
    """An operator's limits; None is no limit. Notionals are in the settlement asset, positions per instrument.

    `price_deviation_bps_maximum` bounds how far beyond the mid a purchase may pay, or a sale may take less; a better
    price than the mid is never refused.
    """

    order_quantity_maximum: Quantity | None = None
    order_notional_maximum: Cash | None = None
    intent_notional_maximum: Cash | None = None
    position_quantity_maximum: Quantity | None = None
    position_notional_maximum: Cash | None = None
    price_deviation_bps_maximum: Decimal | None = None
    active_intents_per_strategy_maximum: int | None = None


class Market(Value, frozen=True):
    """The top of an instrument's book as it is known. `closed` says why its data is not to be trusted, if it is not."""

    bid: Price | None
    ask: Price | None
    as_of_ns: int
    closed: str | None = None

    @property
    def mid(self) -> Price | None:
        """Halfway between bid and ask; None where a side is missing or they are crossed."""
        if self.bid is None or self.ask is None or self.bid >= self.ask:
            return None
        return Price((self.bid + self.ask) / 2)


class Exposure(Value, frozen=True):
    """What is known of one instrument: its rules, what is held, what is open, and its market.

    `open_buys` and `open_sells` count every order that may still be executed, unconfirmed ones in full; the order
    under review is not among them.
    """

    instrument: Instrument
    book: BookView = BookView(confirmed=SignedQuantity(ZERO), matched=SignedQuantity(ZERO))
    open_buys: Quantity = Quantity(ZERO)
    open_sells: Quantity = Quantity(ZERO)
    market: Market | None = None


class RiskContext(Value, frozen=True):
    """The facts that the gates go by, all of one moment and of one account.

    `halted`, `congestion` (of the store) and `paused` are the reasons (an empty one is a reason as well), None where
    nothing is. `known_intent` is
    what the journal holds under the intent's strategy and id. `active_intents` counts the strategy's. Limits of the
    strategy's own stand beside the account's, and the tighter one holds. Without `market_data_stale_seconds` no
    market data is demanded, but by the price deviation limit.
    """

    now_ns: int
    account: AccountId
    account_state: AccountState
    exposures: Mapping[InstrumentId, Exposure]
    limits: RiskLimits = RiskLimits()
    account_reason: str = ""
    halted: str | None = None
    congestion: str | None = None
    paused: str | None = None
    known_intent: AnyIntent | None = None
    active_intents: int = 0
    strategy_active_intents_maximum: int | None = None
    strategy_notional_maximum: Cash | None = None
    market_data_stale_seconds: float | None = None
