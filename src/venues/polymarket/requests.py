"""The authenticated requests: keys, orders, cancels, heartbeat and queries (polymarket.md sections 3, 7, 8 and 9).

Nothing is authenticated here: header fields carry a timestamp and are made anew for every sending, while the
body is journalled and sent byte for byte.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from ..port import CannotExpress, Request
from . import wire
from .contracts import ConditionId, TokenId
from .orders import ApiKey, Instructions, OrderHash, SignatureType, SignedOrder
from .rate_limits import Quota

CLOB = "clob"

BATCH_MAXIMUM = 15
CANCEL_BATCH_MAXIMUM = 1000
"""The interface description says 1000, the guide 3000: the smaller holds either way."""

CREATE_API_KEY_PATH = "/auth/api-key"
DERIVE_API_KEY_PATH = "/auth/derive-api-key"
HEARTBEAT_PATH = "/v1/heartbeats"


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
    query = present(("market", condition), ("asset_id", token), ("id", order_id), ("next_cursor", cursor))
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
    query = present(
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


# ---- parts ------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()


def _encode(value: object) -> bytes:
    return _encoder.encode(value)


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
    query = present(("asset_type", kind.value), ("token_id", token))
    return (*query, ("signature_type", str(signature_type.value)))


def present(*query: tuple[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in query if value is not None)
