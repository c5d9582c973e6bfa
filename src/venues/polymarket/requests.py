"""Every request that the venue takes, as values: method, path, query, exact body, quota (polymarket.md 3 to 12).

Nothing is authenticated here: header fields carry a timestamp and are made anew for every sending, while the
body is journalled and sent byte for byte.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from ..evm.address import Address
from ..port import CannotExpress, FrameOut, Request
from . import wire
from .auth import Credentials
from .contracts import ConditionId, TokenId, parse_condition_id
from .orders import ApiKey, Instructions, OrderHash, SignatureType, SignedOrder
from .rate_limits import Quota
from .redaction import redact

CLOB = "clob"
DATA = "data"
GAMMA = "gamma"
RELAYER = "relayer"
MARKET_STREAM = "market_stream"
USER_STREAM = "user_stream"

BATCH_MAXIMUM = 15
CANCEL_BATCH_MAXIMUM = 1000
"""The interface description says 1000, the guide 3000: the smaller holds either way."""
STREAM_TOKENS_MAXIMUM = 500
"""Beyond this many tokens on one connection snapshots were seen to stop coming (the venue states no limit)."""
CONDITIONS_MAXIMUM = 20
DATA_PAGE_MAXIMUM = 1000

CREATE_API_KEY_PATH = "/auth/api-key"
DERIVE_API_KEY_PATH = "/auth/derive-api-key"
HEARTBEAT_PATH = "/v1/heartbeats"

PING = FrameOut(text="PING", redacted="PING")
PING_INTERVAL_SECONDS = 10.0

_ORDER_HASH = re.compile(r"0x[0-9a-f]{64}")
_TOKEN_TEXT = re.compile(r"[!#-&(-\[\]-~]*")
"""Printable ASCII without quotes and backslashes: such a text is the same inside and outside of JSON."""


class AssetKind(StrEnum):
    """What a balance is asked of."""

    COLLATERAL = "COLLATERAL"
    CONDITIONAL = "CONDITIONAL"
    CONDITIONAL_V2 = "CONDITIONAL-V2"
    """Positions of Exchange V3."""


def parse_order_hash(text: str) -> OrderHash:
    """Return `text` as an order id; raises `CannotExpress` unless it is 0x and 64 hexadecimal digits."""
    lower = text.lower()
    if not _ORDER_HASH.fullmatch(lower):
        raise CannotExpress(f"expected an order id (0x and 64 hexadecimal digits), got {text[:80]!r}")
    return OrderHash(lower)


# ---- public -----------------------------------------------------------------------------------------------


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
    return _public("positions", DATA, "/v2/positions", *query, *_paging(limit, cursor), quota=Quota.DATA_POSITIONS)


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


def deposit_wallet_deployed(wallet: Address) -> Request:
    """Asks the relayer whether a deposit wallet exists on chain yet."""
    return _public(
        "wallet deployed", RELAYER, "/deployed", ("address", wallet), ("type", "WALLET"), quota=Quota.RELAYER
    )


# ---- API keys ---------------------------------------------------------------------------------------------


def create_api_key() -> Request:
    """Creates an API key; answered 400 where this account has one already. Level-1 header fields."""
    return _private("create API key", "POST", CREATE_API_KEY_PATH, quota=Quota.AUTH)


def derive_api_key() -> Request:
    """Gives the existing API key of this account and nonce again. Level-1 header fields."""
    return _private("derive API key", "GET", DERIVE_API_KEY_PATH, quota=Quota.AUTH)


def delete_api_key() -> Request:
    return _private("delete API key", "DELETE", CREATE_API_KEY_PATH, quota=Quota.AUTH)


def list_api_keys() -> Request:
    return _private("API keys", "GET", "/auth/api-keys", quota=Quota.AUTH)


def create_readonly_api_key() -> Request:
    return _private("create read-only key", "POST", "/auth/readonly-api-key", quota=Quota.AUTH)


def delete_readonly_api_key(key: ApiKey) -> Request:
    body = _encode(wire.SentReadonlyKey(key=_plain_text(key, "API key")))
    return _private("delete read-only key", "DELETE", "/auth/readonly-api-key", body=body, quota=Quota.AUTH)


def list_readonly_api_keys() -> Request:
    return _private("read-only keys", "GET", "/auth/readonly-api-keys", quota=Quota.AUTH)


def closed_only_status() -> Request:
    """Asks whether the venue lets this account only close positions."""
    return _private("closed-only status", "GET", "/auth/ban-status/closed-only", quota=Quota.AUTH)


# ---- orders -----------------------------------------------------------------------------------------------


def placement_body(signed: SignedOrder, owner: ApiKey, instructions: Instructions) -> bytes:
    """Return the exact bytes that place an order: what is journalled, signed over and sent."""
    order = signed.order
    return _encode(
        wire.SentPlacement(
            order=wire.SentOrder(
                salt=order.salt,
                maker=order.maker,
                signer=order.signer,
                token_id=order.token_id,
                maker_amount=str(order.maker_amount),
                taker_amount=str(order.taker_amount),
                side=order.side.value,
                expiration=str(instructions.expiration_seconds or 0),
                signature_type=order.signature_type.value,
                timestamp=str(order.timestamp_milliseconds),
                metadata="0x" + order.metadata.hex(),
                builder="0x" + order.builder.hex(),
                signature="0x" + signed.signature.hex(),
            ),
            owner=_plain_text(owner, "API key"),
            order_type=instructions.order_type.value,
            defer_exec=instructions.defer_execution,
            post_only=instructions.post_only,
        )
    )


def place(body: bytes) -> Request:
    """The request that places the order in `body`; the same bytes again are the same order."""
    return _private("place", "POST", "/order", body=body, quota=Quota.PLACE)


def place_batch(bodies: Sequence[bytes]) -> Request:
    """Places up to fifteen orders. Not atomic: every one has its own answer, in order."""
    if not 1 <= len(bodies) <= BATCH_MAXIMUM:
        raise CannotExpress(f"a batch holds 1 to {BATCH_MAXIMUM} orders, got {len(bodies)}")
    return _private("place batch", "POST", "/orders", body=b"[" + b",".join(bodies) + b"]", quota=Quota.PLACE_BATCH)


def cancel(order: OrderHash) -> Request:
    body = _encode(wire.SentCancel(order_id=parse_order_hash(order)))
    return _private("cancel", "DELETE", "/order", body=body, quota=Quota.CANCEL, cancels=True)


def cancel_batch(orders: Sequence[OrderHash]) -> Request:
    if not 1 <= len(orders) <= CANCEL_BATCH_MAXIMUM:
        raise CannotExpress(f"one request cancels 1 to {CANCEL_BATCH_MAXIMUM} orders, got {len(orders)}")
    body = _encode([parse_order_hash(order) for order in orders])
    return _private("cancel batch", "DELETE", "/orders", body=body, quota=Quota.CANCEL_BATCH, cancels=True)


def cancel_all() -> Request:
    return _private("cancel all", "DELETE", "/cancel-all", quota=Quota.CANCEL_ALL, cancels=True)


def cancel_market(*, condition: ConditionId | None = None, token: TokenId | None = None) -> Request:
    """Cancels every open order of a market, of a token, or of a token within a market."""
    if condition is None and token is None:
        raise CannotExpress("cancelling a market's orders needs its condition id, a token id, or both")
    body = _encode(wire.SentCancelMarket(market=condition, asset_id=token))
    return _private(
        "cancel market", "DELETE", "/cancel-market-orders", body=body, quota=Quota.CANCEL_MARKET, cancels=True
    )


def heartbeat(heartbeat_id: str) -> Request:
    """Refreshes the dead-man switch. Once begun, silence of ten seconds cancels every open order."""
    body = _encode(wire.SentHeartbeat(heartbeat_id=_plain_text(heartbeat_id, "heartbeat id")))
    return _private("heartbeat", "POST", HEARTBEAT_PATH, body=body, cancels=True)


# ---- queries ----------------------------------------------------------------------------------------------


def order(order_id: OrderHash) -> Request:
    return _private("order", "GET", f"/data/order/{parse_order_hash(order_id)}", quota=Quota.LEDGER, cancels=True)


def open_orders(
    *,
    condition: ConditionId | None = None,
    token: TokenId | None = None,
    order_id: OrderHash | None = None,
    cursor: str | None = None,
) -> Request:
    """A page of open orders; with an order id, that order in whatever status it is."""
    query = _present(("market", condition), ("asset_id", token), ("id", order_id), ("next_cursor", cursor))
    return _private("open orders", "GET", "/data/orders", *query, quota=Quota.LEDGER_LIST, cancels=True)


def trades(
    *,
    trade_id: str | None = None,
    condition: ConditionId | None = None,
    token: TokenId | None = None,
    after_seconds: int | None = None,
    before_seconds: int | None = None,
    cursor: str | None = None,
) -> Request:
    """A page of this key's trades, as taker and as maker."""
    query = _present(
        ("id", trade_id),
        ("market", condition),
        ("asset_id", token),
        ("after", None if after_seconds is None else str(after_seconds)),
        ("before", None if before_seconds is None else str(before_seconds)),
        ("next_cursor", cursor),
    )
    return _private("trades", "GET", "/data/trades", *query, quota=Quota.LEDGER_LIST, cancels=True)


def balance_allowance(kind: AssetKind, signature_type: SignatureType, token: TokenId | None = None) -> Request:
    """The venue's own cached reading of the chain; the signature type chooses whose balance it is."""
    query = _balance_query(kind, signature_type, token)
    return _private("balance", "GET", "/balance-allowance", *query, quota=Quota.BALANCE, cancels=True)


def update_balance_allowance(kind: AssetKind, signature_type: SignatureType, token: TokenId | None = None) -> Request:
    """Makes the venue read the chain again, after a deposit or an approval."""
    query = _balance_query(kind, signature_type, token)
    return _private("balance update", "GET", "/balance-allowance/update", *query, quota=Quota.BALANCE_UPDATE)


def rate_limit_tier() -> Request:
    return _private("rate-limit tier", "GET", "/v1/user/rate-limit-tier", quota=Quota.LEDGER)


# ---- stream frames ----------------------------------------------------------------------------------------


def subscribe_market(tokens: Sequence[TokenId]) -> FrameOut:
    """The first frame of the market channel. Sent right after connecting: an idle socket is closed."""
    _check_stream(tokens)
    return _frame(wire.SentMarketSubscription(type="market", assets_ids=list(tokens), custom_feature_enabled=True))


def change_market_subscription(tokens: Sequence[TokenId], *, subscribe: bool) -> FrameOut:
    """A later frame that adds tokens to the market channel or takes them off."""
    _check_stream(tokens)
    operation = "subscribe" if subscribe else "unsubscribe"
    return _frame(wire.SentMarketChange(operation=operation, assets_ids=list(tokens), custom_feature_enabled=True))


def subscribe_user(credentials: Credentials, conditions: Sequence[ConditionId] = ()) -> FrameOut:
    """The first frame of the user channel, with the secret in it; no conditions means all markets.

    Wrong credentials are answered by a lost connection, without a frame and with a close code that nobody
    published.
    """
    return _frame(
        wire.SentUserSubscription(type="user", auth=credentials.stream_auth(), markets=list(conditions) or None)
    )


# ---- parts ------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()


def _encode(value: object) -> bytes:
    return _encoder.encode(value)


def _frame(value: object) -> FrameOut:
    raw = _encode(value)
    return FrameOut(text=raw.decode(), redacted=redact(raw).decode())


def _public(label: str, service: str, path: str, *query: tuple[str, str], quota: Quota = Quota.GENERAL) -> Request:
    return Request(
        label=label,
        service=service,
        method="GET",
        path=path,
        query=query,
        quota=quota,
        private=False,
        authenticated=False,
    )


def _private(
    label: str,
    method: str,
    path: str,
    *query: tuple[str, str],
    body: bytes = b"",
    quota: Quota = Quota.GENERAL,
    cancels: bool = False,
) -> Request:
    return Request(
        label=label,
        service=CLOB,
        method=method,
        path=path,
        query=query,
        body=body,
        quota=quota,
        cancels=cancels,
    )


def _plain_text(text: str, what: str) -> str:
    # Some client libraries sign another text than they send when it holds an apostrophe (polymarket.md 3.2).
    if not _TOKEN_TEXT.fullmatch(text):
        raise CannotExpress(f"the {what} holds characters that a request's body must not hold")
    return text


def is_plain_text(text: str) -> bool:
    """Tell whether a text that the venue gave may be sent back in a body."""
    return bool(_TOKEN_TEXT.fullmatch(text))


def _balance_query(
    kind: AssetKind, signature_type: SignatureType, token: TokenId | None
) -> tuple[tuple[str, str], ...]:
    if (kind is AssetKind.COLLATERAL) != (token is None):
        raise CannotExpress(f"a token id belongs to outcome shares and to nothing else, got {kind} and {token}")
    query = _present(("asset_type", kind.value), ("token_id", token))
    return (*query, ("signature_type", str(signature_type.value)))


def _present(*query: tuple[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in query if value is not None)


def _joined_conditions(conditions: Sequence[ConditionId]) -> list[tuple[str, str]]:
    if len(conditions) > CONDITIONS_MAXIMUM:
        raise CannotExpress(f"one request takes at most {CONDITIONS_MAXIMUM} conditions, got {len(conditions)}")
    return [("condition_id", ",".join(map(parse_condition_id, conditions)))] if conditions else []


def _window(start_seconds: int | None, end_seconds: int | None) -> Iterable[tuple[str, str]]:
    return _present(
        ("start", None if start_seconds is None else str(start_seconds)),
        ("end", None if end_seconds is None else str(end_seconds)),
    )


def _paging(limit: int, cursor: str | None) -> tuple[tuple[str, str], ...]:
    return _present(("limit", str(limit)), ("cursor", cursor))


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _check_stream(tokens: Sequence[TokenId]) -> None:
    # An empty list is reported to mean every market there is, which is never what was meant.
    if not 1 <= len(tokens) <= STREAM_TOKENS_MAXIMUM:
        raise CannotExpress(
            f"one connection carries 1 to {STREAM_TOKENS_MAXIMUM} tokens, got {len(tokens)}; open another"
        )
