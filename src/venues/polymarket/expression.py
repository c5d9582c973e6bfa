"""How what a strategy means is written on this venue, where nothing can be sold that is not held.

A short of an outcome share is a purchase of its complement at one minus the price: the pair always pays one
dollar, so both have the same profit at every outcome. It is recorded as such and never done silently.
"""

from decimal import Decimal

from ...model.fill import Direction
from ...model.identifiers import ClientOrderId, InstrumentId, salt_of
from ...model.instrument import Instrument
from ...model.intent import Side as Meaning
from ...model.intent import TimeInForce
from ...model.money import Price, Quantity, is_multiple, plain
from ...model.order import OrderTerms
from ..port import CannotExpress, Expression
from .account import TradingAccount
from .amounts import SIZE_DECIMALS, TickSize, check_minimum_size, limit_amounts
from .contracts import ContractRefused, choose_exchange, exchange_contract
from .instruments import token_of
from .orders import (
    GOOD_TILL_DATE_SECONDS_MINIMUM,
    Instructions,
    Order,
    OrderRefused,
    OrderType,
    Side,
    SignedOrder,
)
from .signing import sign_order

GOOD_TILL_DATE_MARGIN_SECONDS = 60
"""The venue ends a dated order this much before its stamp."""

_NANOSECONDS_PER_SECOND = 1_000_000_000
_NANOSECONDS_PER_MILLISECOND = 1_000_000
_CENT = Decimal(1).scaleb(-SIZE_DECIMALS)

ORDER_TYPES = {
    TimeInForce.GTC: OrderType.GOOD_TILL_CANCELLED,
    TimeInForce.GTD: OrderType.GOOD_TILL_DATE,
    TimeInForce.IOC: OrderType.FILL_AND_KILL,
    TimeInForce.FOK: OrderType.FILL_OR_KILL,
}

_IMMEDIATE = {OrderType.FILL_AND_KILL, OrderType.FILL_OR_KILL}

SIDES = {Direction.BUY: Side.BUY, Direction.SELL: Side.SELL}
DIRECTIONS = {Side.BUY: Direction.BUY, Side.SELL: Direction.SELL}


def express(side: Meaning, instrument: Instrument, price: Price, held: Quantity) -> Expression:
    """Return the token, side and price that say on the wire what the strategy means.

    Raises `CannotExpress` for a sale of what is not held, and for a short where the complement is not known.
    """
    own = instrument.instrument_id
    match side:
        case Meaning.BUY:
            return Expression(instrument=own, direction=Direction.BUY, price=price)
        case Meaning.SELL:
            if held <= 0:
                raise CannotExpress(f"none of {own} is held, so none can be sold; SELL_SHORT says what it means")
            return Expression(instrument=own, direction=Direction.SELL, price=price)
        case Meaning.SELL_SHORT:
            return _through_complement(instrument, Direction.BUY, price, "short", "purchase")
        case Meaning.BUY_TO_COVER:
            return _through_complement(instrument, Direction.SELL, price, "cover", "sale")


def _through_complement(
    instrument: Instrument, direction: Direction, price: Price, meant: str, written: str
) -> Expression:
    complement: InstrumentId | None = instrument.complement
    if complement is None:
        raise CannotExpress(f"a {meant} of {instrument.instrument_id} needs its complement, which is not known")
    mirrored = Price(1 - price)
    note = (
        f"{meant} of {instrument.instrument_id} at {plain(price)} written as {written} of {complement} "
        f"at {plain(mirrored)}"
    )
    return Expression(instrument=complement, direction=direction, price=mirrored, note=note)


def sign(
    terms: OrderTerms, instrument: Instrument, account: TradingAccount, *, builder: bytes, now_ns: int
) -> tuple[SignedOrder, Instructions]:
    """Return the signed order for `terms` and what travels beside it; raises `CannotExpress`.

    A function of its arguments alone: the salt follows from the client order id, the time stamp is `now_ns`.
    """
    try:
        instructions = _instructions(terms, now_ns)
        order = _order(terms, instrument, account, builder, now_ns)
        exchange = choose_exchange(order.token_id, neg_risk=instrument.negative_risk)
        return sign_order(order, exchange_contract(exchange, account.chain_id), account.signer), instructions
    except (OrderRefused, ContractRefused) as refused:
        raise CannotExpress(str(refused)) from refused


def _order(terms: OrderTerms, instrument: Instrument, account: TradingAccount, builder: bytes, now_ns: int) -> Order:
    if terms.instrument != instrument.instrument_id:
        raise CannotExpress(f"the order is for {terms.instrument}, the rules are of {instrument.instrument_id}")
    side = SIDES[terms.direction]
    tick = TickSize.of(instrument.price_tick)
    check_minimum_size(terms.quantity, instrument.quantity_minimum)
    amounts = limit_amounts(side, price=terms.price, shares=terms.quantity, tick=tick)
    if side is Side.BUY and ORDER_TYPES[terms.time_in_force] in _IMMEDIATE:
        _check_immediate_buy(terms, surplus_shares_allowed=account.surplus_shares_allowed)
    return Order(
        salt=order_salt(terms.client_order_id),
        maker=account.wallet,
        signer=account.order_signer,
        token_id=token_of(instrument),
        maker_amount=amounts.maker,
        taker_amount=amounts.taker,
        side=side,
        signature_type=account.signature_type,
        timestamp_milliseconds=now_ns // _NANOSECONDS_PER_MILLISECOND,
        builder=builder,
    )


def _check_immediate_buy(terms: OrderTerms, *, surplus_shares_allowed: bool) -> None:
    """Refuse an immediate buy that the venue would read as an amount of cash to spend.

    The venue's immediate orders give away exactly what the maker offers: for a buy that is cash, which is spent
    whole, so a price better than the limit buys more shares than were asked for. That changes what was meant,
    and is done only where the account says that it may. The cash must then be whole cents.
    """
    if not surplus_shares_allowed:
        raise CannotExpress(
            f"an immediate buy spends its whole cash here: below {plain(terms.price)} it would buy more than "
            f"{plain(terms.quantity)}; use GTC and cancel the rest, or allow surplus shares for the account"
        )
    cash = terms.price * terms.quantity
    if not is_multiple(cash, _CENT):
        raise CannotExpress(
            f"an immediate buy of {plain(terms.quantity)} at {plain(terms.price)} costs {plain(cash)}; the venue "
            f"takes whole cents for IOC and FOK: choose a quantity that makes them"
        )


def _instructions(terms: OrderTerms, now_ns: int) -> Instructions:
    order_type = ORDER_TYPES[terms.time_in_force]
    expiration: int | None = None
    if order_type is OrderType.GOOD_TILL_DATE:
        expiration = terms.expires_at_ns // _NANOSECONDS_PER_SECOND + GOOD_TILL_DATE_MARGIN_SECONDS
        ahead = expiration - now_ns // _NANOSECONDS_PER_SECOND
        if ahead < GOOD_TILL_DATE_SECONDS_MINIMUM:
            least = GOOD_TILL_DATE_SECONDS_MINIMUM - GOOD_TILL_DATE_MARGIN_SECONDS
            raise CannotExpress(
                f"a dated order must end at least {least} s from now, this one ends in "
                f"{ahead - GOOD_TILL_DATE_MARGIN_SECONDS} s; use GTC and cancel it"
            )
    return Instructions(order_type=order_type, expiration_seconds=expiration, post_only=terms.post_only)


def order_salt(order: ClientOrderId) -> int:
    """Return the salt of an order: the same order, signed again with the same time, is the same order."""
    return salt_of(order)
