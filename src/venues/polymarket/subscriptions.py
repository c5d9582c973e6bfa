"""The frames that this side sends on the market and the user channel (polymarket.md section 11)."""

from collections.abc import Sequence

import msgspec

from ..port import CannotExpress, FrameOut
from . import wire
from .auth import Credentials
from .contracts import ConditionId, TokenId
from .redaction import redact

MARKET_STREAM = "ws_market"
USER_STREAM = "ws_user"

STREAM_TOKENS_MAXIMUM = 500
"""Beyond this many tokens on one connection snapshots were seen to stop coming (the venue states no limit)."""

PING = FrameOut(text="PING", redacted="PING")
PING_INTERVAL_SECONDS = 10.0


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


def _check_stream(tokens: Sequence[TokenId]) -> None:
    # An empty list is reported to mean every market there is, which is never what was meant.
    if not 1 <= len(tokens) <= STREAM_TOKENS_MAXIMUM:
        raise CannotExpress(
            f"one connection carries 1 to {STREAM_TOKENS_MAXIMUM} tokens, got {len(tokens)}; open another"
        )


def _frame(value: object) -> FrameOut:
    raw = msgspec.json.encode(value)
    return FrameOut(text=raw.decode(), redacted=redact(raw).decode())
