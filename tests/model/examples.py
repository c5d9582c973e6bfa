"""Values that the tests of the model start from, each changed where a test needs it."""

from decimal import Decimal

from tallystick.model.account import AccountState
from tallystick.model.fill import Direction, Execution, Fill, FillKey, FillSource, Liquidity, Settlement
from tallystick.model.identifiers import (
    AccountId,
    AssetId,
    ClientOrderId,
    InstrumentId,
    IntentId,
    StrategyName,
    TradeId,
    VenueName,
    VenueOrderId,
)
from tallystick.model.instrument import Instrument, InstrumentKind
from tallystick.model.intent import Intent, PairIntent, PairLeg, Side, TimeInForce
from tallystick.model.money import Cash, Price, Quantity, plain
from tallystick.model.order import OrderTerms
from tallystick.model.risk import Exposure, RiskContext

NOW_NS = 1_790_000_000 * 10**9
SECOND_NS = 10**9
ACCOUNT = AccountId("polymarket:main")
STRATEGY = StrategyName("pairs")
CASH = AssetId("pUSD")
RAIN = InstrumentId("polymarket:rain:Yes")
RAIN_NO = InstrumentId("polymarket:rain:No")
SNOW = InstrumentId("polymarket:snow:Yes")


def price(text: str) -> Price:
    return Price(Decimal(text))


def quantity(text: str) -> Quantity:
    return Quantity(Decimal(text))


def cash(text: str) -> Cash:
    return Cash(Decimal(text))


def plains(*amounts: Decimal) -> str:
    """Amounts as one text, to be compared with what a person would write."""
    return " ".join(plain(amount) for amount in amounts)


def instrument(
    name: InstrumentId = RAIN,
    *,
    tick: str = "0.01",
    step: str = "0.01",
    minimum: str = "5",
    notional_minimum: str = "0",
    multiplier: str = "1",
    complement: InstrumentId | None = None,
) -> Instrument:
    return Instrument(
        instrument_id=name,
        venue=VenueName("polymarket"),
        venue_symbol=f"token of {name}",
        market="0xmarket",
        kind=InstrumentKind.OUTCOME_SHARE,
        settlement_asset=CASH,
        price_tick=price(tick),
        price_minimum=price(tick),
        price_maximum=Price(1 - Decimal(tick)),
        quantity_step=quantity(step),
        quantity_minimum=quantity(minimum),
        notional_minimum=cash(notional_minimum),
        multiplier=Decimal(multiplier),
        complement=complement,
    )


INSTRUMENTS = {
    RAIN: instrument(RAIN, complement=RAIN_NO),
    RAIN_NO: instrument(RAIN_NO, complement=RAIN),
    SNOW: instrument(SNOW),
}


def single(**changes: object) -> Intent:
    fields: dict[str, object] = {
        "intent_id": IntentId("a1"),
        "strategy": STRATEGY,
        "account": ACCOUNT,
        "instrument": RAIN,
        "side": Side.BUY,
        "quantity": quantity("25"),
        "limit_price": price("0.41"),
        "expires_at_ns": NOW_NS + 60 * SECOND_NS,
    }
    return Intent(**(fields | changes))  # type: ignore[arg-type]  # tests hand in wrong values on purpose


def pair(**changes: object) -> PairIntent:
    fields: dict[str, object] = {
        "intent_id": IntentId("p1"),
        "strategy": STRATEGY,
        "account": ACCOUNT,
        "long": PairLeg(instrument=RAIN, limit_price=price("0.41")),
        "short": PairLeg(instrument=SNOW, limit_price=price("0.63")),
        "notional": cash("25"),
        "expires_at_ns": NOW_NS + 60 * SECOND_NS,
    }
    return PairIntent(**(fields | changes))  # type: ignore[arg-type]  # as above


def terms(**changes: object) -> OrderTerms:
    fields: dict[str, object] = {
        "client_order_id": ClientOrderId("a1.0.0.0-0123456789abcdef"),
        "intent_id": IntentId("a1"),
        "leg": 0,
        "slice_number": 0,
        "attempt": 0,
        "strategy": STRATEGY,
        "account": ACCOUNT,
        "instrument": RAIN,
        "side": Side.BUY,
        "direction": Direction.BUY,
        "price": price("0.41"),
        "quantity": quantity("10"),
        "time_in_force": TimeInForce.GTC,
        "expires_at_ns": NOW_NS + 60 * SECOND_NS,
    }
    return OrderTerms(**(fields | changes))  # type: ignore[arg-type]  # as above


def fill(
    number: int = 1,
    direction: Direction = Direction.BUY,
    at: str = "0.41",
    size: str = "10",
    fee: str | None = "0",
    settlement: Settlement = Settlement.CONFIRMED,
    fee_asset: AssetId = CASH,
) -> Fill:
    return Fill(
        execution=Execution(
            key=FillKey(account=ACCOUNT, trade_id=TradeId(f"t{number}"), venue_order_id=VenueOrderId("0xorder")),
            instrument=RAIN,
            direction=direction,
            price=price(at),
            quantity=quantity(size),
            fee=None if fee is None else cash(fee),
            fee_asset=fee_asset,
            liquidity=Liquidity.TAKER,
            settlement=settlement,
            venue_time_ns=NOW_NS,
        ),
        source=FillSource.STREAM,
        received_at_ns=NOW_NS,
        client_order_id=terms().client_order_id,
        intent_id=IntentId("a1"),
        strategy=STRATEGY,
    )


def context(**changes: object) -> RiskContext:
    fields: dict[str, object] = {
        "now_ns": NOW_NS,
        "account": ACCOUNT,
        "account_state": AccountState.LIVE,
        "exposures": {name: Exposure(instrument=rules) for name, rules in INSTRUMENTS.items()},
    }
    return RiskContext(**(fields | changes))  # type: ignore[arg-type]  # as above
