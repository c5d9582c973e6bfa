"""Answers about markets: the catalogue, rules, books and fees (polymarket.md sections 5 and 10)."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from ...model.report import Unreadable
from ...model.value import Value
from ..evm.conditional_tokens import outcome_token_ids
from ..port import Reply
from . import wire
from .answers import Rows
from .contracts import (
    NEG_RISK_COLLATERAL,
    USDC_BRIDGED,
    ConditionId,
    ContractRefused,
    TokenId,
    has_v3_module,
    parse_condition_id,
)
from .decoding import Malformed, amount, moment, price, read_answer, read_rows, token_id, typed
from .frames import BookImage, read_book

FEE_DECIMALS = 5
FEE_MINIMUM = Decimal("0.00001")


class FeeCurve(Value, frozen=True):
    """What takers pay: shares × rate × (p × (1 - p)) ^ exponent, in pUSD."""

    rate: Decimal
    exponent: Decimal


class Outcome(Value, frozen=True):
    """One of the two outcomes of a market and the token that pays when it happens."""

    name: str
    token_id: TokenId


class Market(Value, frozen=True):
    """A market with its two outcomes, the first one first, and its rules."""

    condition_id: ConditionId
    slug: str
    title: str
    outcomes: tuple[Outcome, Outcome]
    tick_size: Decimal
    minimum_size: Decimal
    neg_risk: bool
    accepting_orders: bool
    closed: bool
    resolved: bool
    ends_at_ns: int | None
    fee: FeeCurve


class MarketRules(Value, frozen=True):
    """The rules of a market as the order book itself states them."""

    condition_id: ConditionId
    token_ids: tuple[TokenId, ...]
    tick_size: Decimal
    minimum_size: Decimal
    neg_risk: bool
    fee: FeeCurve | None
    taker_delay: bool


class TokenPair(Value, frozen=True):
    """A market's condition id and its two tokens."""

    condition_id: ConditionId
    primary: TokenId
    secondary: TokenId


def read_catalogue_page(reply: Reply) -> Rows[Market] | Unreadable:
    """Return a page of markets; a market that cannot be traded safely is refused with its reason."""
    return read_answer(reply, _catalogue_page)


def _catalogue_page(body: bytes) -> Rows[Market]:
    page = typed(body, wire.CataloguePage)
    rows, refused = read_rows(page.markets, read_market, about_account=False)
    return Rows(rows=rows, refused=refused, next_cursor=page.next_cursor or None)


def read_market(raw: bytes | str | msgspec.Raw) -> Market:
    """Return one market of the catalogue; raises `Malformed`.

    The token ids are checked against the condition by computing them, so that a mixed-up catalogue cannot make
    a strategy trade another market's token.
    """
    row = typed(raw, wire.CatalogueMarket)
    condition = _condition(row.condition_id)
    names, tokens = typed(row.outcomes, list[str]), typed(row.clob_token_ids, list[str])
    if len(names) != 2 or len(tokens) != 2:
        raise Malformed(f"expected two outcomes and two tokens, found {len(names)} and {len(tokens)}")
    outcomes = (
        Outcome(name=names[0], token_id=token_id(tokens[0], "clobTokenIds")),
        Outcome(name=names[1], token_id=token_id(tokens[1], "clobTokenIds")),
    )
    check_tokens(condition, (outcomes[0].token_id, outcomes[1].token_id), neg_risk=row.neg_risk)
    return Market(
        condition_id=condition,
        slug=row.slug,
        title=row.question,
        outcomes=outcomes,
        tick_size=price(row.order_price_min_tick_size, "orderPriceMinTickSize"),
        minimum_size=amount(row.order_min_size, "orderMinSize"),
        neg_risk=row.neg_risk,
        accepting_orders=row.accepting_orders is True and row.enable_order_book is not False,
        closed=row.closed or row.archived or row.active is False,
        resolved=(row.uma_resolution_status or "").lower() == "resolved",
        ends_at_ns=moment(row.end_date, "endDate"),
        fee=_catalogue_fee(row),
    )


def check_tokens(condition: ConditionId, tokens: tuple[TokenId, TokenId], *, neg_risk: bool) -> None:
    """Raise `Malformed` unless two tokens are the outcomes of a condition, the first outcome first.

    Structured V3 position ids are not derived from the condition this way and pass unchecked.
    """
    if has_v3_module(tokens[0]) and has_v3_module(tokens[1]):
        return
    collateral = NEG_RISK_COLLATERAL if neg_risk else USDC_BRIDGED
    derived = outcome_token_ids(collateral, bytes.fromhex(condition[2:]))
    if (int(tokens[0]), int(tokens[1])) != derived:
        raise Malformed(f"the tokens are not the outcomes of condition {condition}, the first one first")


def _catalogue_fee(row: wire.CatalogueMarket) -> FeeCurve:
    schedule = row.fee_schedule
    if row.fees_enabled is False or (row.fees_enabled is None and schedule is None):
        return FeeCurve(rate=Decimal(0), exponent=Decimal(1))
    if schedule is None or schedule.rate is None or schedule.exponent is None:
        raise Malformed("fees are enabled and their schedule is absent: what a trade costs is not known")
    return FeeCurve(rate=amount(schedule.rate, "rate"), exponent=amount(schedule.exponent, "exponent"))


def read_market_rules(reply: Reply) -> MarketRules | Unreadable:
    """Return the rules in the order book's short keys."""
    return read_answer(reply, _market_rules)


def _market_rules(body: bytes) -> MarketRules:
    row = typed(body, wire.ClobMarket)
    fee = row.fee
    known = fee is not None and fee.rate is not None and fee.exponent is not None
    return MarketRules(
        condition_id=_condition(row.condition_id),
        token_ids=tuple(token_id(token.token, "t") for token in row.tokens),
        tick_size=price(row.minimum_tick_size, "mts"),
        minimum_size=amount(row.minimum_order_size, "mos"),
        neg_risk=row.neg_risk,
        fee=FeeCurve(rate=amount(fee.rate, "r"), exponent=amount(fee.exponent, "e")) if known and fee else None,
        taker_delay=row.taker_delay is True,
    )


def read_token_pair(reply: Reply) -> TokenPair | Unreadable:
    """Return the market that a token belongs to."""
    return read_answer(reply, _token_pair)


def _token_pair(body: bytes) -> TokenPair:
    row = typed(body, wire.MarketTokens)
    return TokenPair(
        condition_id=_condition(row.condition_id),
        primary=token_id(row.primary_token_id, "primary_token_id"),
        secondary=token_id(row.secondary_token_id, "secondary_token_id"),
    )


def read_order_book(reply: Reply) -> BookImage | Unreadable:
    """Return a book asked for over HTTP, best price first on both sides."""
    return read_answer(reply, read_book)


def read_tick_size(reply: Reply) -> Decimal | Unreadable:
    return read_answer(
        reply, lambda body: price(typed(body, wire.TickSizeAnswer).minimum_tick_size, "minimum_tick_size")
    )


def read_neg_risk(reply: Reply) -> bool | Unreadable:
    return read_answer(reply, lambda body: typed(body, wire.NegRiskAnswer).neg_risk)


def read_fee_rate(reply: Reply) -> Decimal | Unreadable:
    """Return the base fee in basis points: a legacy field. What takers pay follows the market's curve."""
    return read_answer(reply, lambda body: amount(typed(body, wire.FeeRateAnswer).base_fee, "base_fee"))


def taker_fee(curve: FeeCurve, *, at: Decimal, shares: Decimal) -> Decimal:
    """Return what the venue charges a taker in pUSD, by its published rule (polymarket.md section 10).

    Five decimals, and at least one unit of the fifth where there is a fee at all. The documents do not say which
    way the fifth decimal is rounded; upwards is what an account should be ready for.
    """
    return taker_fee_of(curve, [(at, shares)])


def taker_fee_of(curve: FeeCurve, parts: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
    """The fee of one trade at several (price, shares): the parts' fees added up, then rounded once.

    UNKNOWN whether the venue rounds each part or their sum; where the two differ it is by a unit of the fifth decimal.
    """
    if not curve.rate:
        return Decimal(0)
    fee = sum((shares * curve.rate * (at * (1 - at)) ** curve.exponent for at, shares in parts), Decimal(0))
    return max(fee.quantize(FEE_MINIMUM, rounding="ROUND_CEILING"), FEE_MINIMUM) if fee else Decimal(0)


def _condition(found: str) -> ConditionId:
    try:
        return parse_condition_id(found)
    except ContractRefused as problem:
        raise Malformed(str(problem)) from None
