"""The requests that need no key: markets, books, the catalogue, the indexer, the relayer and the chain.

polymarket.md sections 5, 10, 12 and 13.
"""

from collections.abc import Sequence

from ..evm.address import Address
from ..port import CannotExpress, Request
from .contracts import ConditionId, TokenId, parse_condition_id
from .rate_limits import Quota
from .requests import CLOB, present

DATA = "data"
GAMMA = "gamma"
RELAYER = "relayer"
CHAIN = "rpc"

CONDITIONS_MAXIMUM = 20
DATA_PAGE_MAXIMUM = 1000


def ok() -> Request:
    return _public("ok", CLOB, "/ok")


def server_time() -> Request:
    return _public("server time", CLOB, "/time")


def version() -> Request:
    """Which version of orders the exchange takes; read again after `order_version_mismatch`."""
    return _public("version", CLOB, "/version")


def book(token: TokenId) -> Request:
    return _public("book", CLOB, "/book", ("token_id", token))


def tick_size(token: TokenId) -> Request:
    return _public("tick size", CLOB, "/tick-size", ("token_id", token))


def neg_risk(token: TokenId) -> Request:
    return _public("neg risk", CLOB, "/neg-risk", ("token_id", token))


def fee_rate(token: TokenId) -> Request:
    return _public("fee rate", CLOB, "/fee-rate", ("token_id", token))


def market_of_token(token: TokenId) -> Request:
    return _public("market of token", CLOB, f"/markets-by-token/{token}")


def clob_market(condition: ConditionId) -> Request:
    return _public("market rules", CLOB, f"/clob-markets/{condition}")


def builder_fee(builder: bytes) -> Request:
    return _public("builder fee", CLOB, f"/fees/builder-fees/0x{builder.hex()}")


def catalogue(
    *,
    conditions: Sequence[ConditionId] = (),
    slugs: Sequence[str] = (),
    closed: bool | None = None,
    cursor: str | None = None,
    page_size: int = 100,
) -> Request:
    """A page of the market catalogue, narrowed by condition ids, by slugs, or by being closed."""
    query = [("condition_ids", str(condition)) for condition in conditions]
    query += [("slug", slug) for slug in slugs]
    if closed is not None:
        query.append(("closed", _flag(closed)))
    query.append(("limit", str(page_size)))
    if cursor is not None:
        query.append(("after_cursor", cursor))
    return _public("catalogue", GAMMA, "/markets/keyset", *query, quota=Quota.GAMMA_MARKETS)


def events(*, closed: bool | None = None, cursor: str | None = None, page_size: int = 100) -> Request:
    """A page of the catalogue's events, each with its markets."""
    query = [] if closed is None else [("closed", _flag(closed))]
    query.append(("limit", str(page_size)))
    if cursor is not None:
        query.append(("after_cursor", cursor))
    return _public("events", GAMMA, "/events/keyset", *query, quota=Quota.GAMMA_EVENTS)


def positions(
    wallet: Address,
    *,
    conditions: Sequence[ConditionId] = (),
    status: str | None = None,
    cursor: str | None = None,
    limit: int = DATA_PAGE_MAXIMUM,
) -> Request:
    """A page of positions of the wallet that holds the tokens (not of the account that signs).

    A cursor is sent with the same wallet, conditions and status it was given for: a bare one may be refused.
    """
    query = [("user", str(wallet))]
    query += _joined_conditions(conditions)
    if status is not None:
        query.append(("status", status))
    return _public(
        "positions",
        DATA,
        "/v2/positions",
        *query,
        *_paging(limit, cursor),
        quota=Quota.DATA_POSITIONS,
        recovers=True,
    )


def activity(
    wallet: Address,
    *,
    conditions: Sequence[ConditionId] = (),
    start_seconds: int | None = None,
    end_seconds: int | None = None,
    cursor: str | None = None,
    limit: int = DATA_PAGE_MAXIMUM,
) -> Request:
    """A page of everything that moved the wallet's cash or tokens, also without an order."""
    query = [("user", str(wallet)), *_joined_conditions(conditions)]
    query += _window(start_seconds, end_seconds)
    return _public("activity", DATA, "/v2/activity", *query, *_paging(limit, cursor), quota=Quota.DATA)


def wallet_trades(
    wallet: Address, *, start_seconds: int | None = None, cursor: str | None = None, limit: int = 1000
) -> Request:
    """A page of the wallet's trades as the indexer sees them: a cross-check, not the fill history."""
    query = [("user", str(wallet)), *_window(start_seconds, None)]
    return _public("wallet trades", DATA, "/v2/trades", *query, *_paging(limit, cursor), quota=Quota.DATA_TRADES)


def wallet_value(wallet: Address) -> Request:
    return _public("wallet value", DATA, "/v2/value", ("user", wallet), quota=Quota.DATA)


def chain(label: str, body: bytes) -> Request:
    """Asks the chain's node, whose address has no path of ours."""
    return Request(
        label=label,
        service=CHAIN,
        method="POST",
        path="",
        body=body,
        quota=Quota.CHAIN,
        private=False,
        authenticated=False,
        cancels=True,
    )


def deposit_wallet_deployed(wallet: Address) -> Request:
    """Asks the relayer whether a deposit wallet exists on chain yet."""
    return _public(
        "wallet deployed", RELAYER, "/deployed", ("address", wallet), ("type", "WALLET"), quota=Quota.RELAYER
    )


def _public(
    label: str,
    service: str,
    path: str,
    *query: tuple[str, str],
    quota: Quota = Quota.GENERAL,
    recovers: bool = False,
) -> Request:
    return Request(
        label=label,
        service=service,
        method="GET",
        path=path,
        query=query,
        quota=quota,
        private=False,
        authenticated=False,
        cancels=recovers,
    )


def _joined_conditions(conditions: Sequence[ConditionId]) -> list[tuple[str, str]]:
    if len(conditions) > CONDITIONS_MAXIMUM:
        raise CannotExpress(f"one request takes at most {CONDITIONS_MAXIMUM} conditions, got {len(conditions)}")
    return [("condition_id", ",".join(map(parse_condition_id, conditions)))] if conditions else []


def _window(start_seconds: int | None, end_seconds: int | None) -> tuple[tuple[str, str], ...]:
    return present(
        ("start", None if start_seconds is None else str(start_seconds)),
        ("end", None if end_seconds is None else str(end_seconds)),
    )


def _paging(limit: int, cursor: str | None) -> tuple[tuple[str, str], ...]:
    return present(("limit", str(limit)), ("cursor", cursor))


def _flag(value: bool) -> str:
    return "true" if value else "false"
