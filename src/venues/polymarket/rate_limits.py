"""The venue's request limits as data (polymarket.md section 14).

The venue's front delays what exceeds a limit before it refuses: rising latency is the first sign, not an error.
Limits are per address on the network, except the order and cancel buckets, which are per signer and tier.
"""

from enum import StrEnum

from ...model.value import Value
from ..port import Answer, RateLimit
from .errors import header


class Quota(StrEnum):
    """What a request is charged to."""

    GENERAL = "general"
    PLACE = "place"
    PLACE_BATCH = "place_batch"
    CANCEL = "cancel"
    CANCEL_BATCH = "cancel_batch"
    CANCEL_ALL = "cancel_all"
    CANCEL_MARKET = "cancel_market"
    LEDGER_LIST = "ledger_list"
    LEDGER = "ledger"
    BALANCE = "balance"
    BALANCE_UPDATE = "balance_update"
    AUTH = "auth"
    DATA = "data"
    DATA_POSITIONS = "data_positions"
    DATA_TRADES = "data_trades"
    GAMMA = "gamma"
    GAMMA_MARKETS = "gamma_markets"
    GAMMA_EVENTS = "gamma_events"
    RELAYER = "relayer"
    CHAIN = "chain"


class Tier(Value, frozen=True):
    """One signer's token buckets, per second, with the size of the bucket."""

    name: str
    orders_per_second: int
    orders_burst: int
    cancels_per_second: int
    cancels_burst: int


STANDARD = Tier(name="Standard", orders_per_second=40, orders_burst=60, cancels_per_second=80, cancels_burst=120)
"""The tier that every signer starts in. The others are read from GET /v1/user/rate-limit-tier; only the order
side of the highest is published (600 a second, bucket 900)."""

_PUBLISHED: tuple[tuple[Quota, int, float], ...] = (
    (Quota.GENERAL, 9000, 10),
    (Quota.PLACE, 5000, 10),
    (Quota.PLACE, 120_000, 600),
    (Quota.CANCEL, 5000, 10),
    (Quota.CANCEL, 120_000, 600),
    (Quota.PLACE_BATCH, 2000, 10),
    (Quota.PLACE_BATCH, 21_000, 600),
    (Quota.CANCEL_BATCH, 2000, 10),
    (Quota.CANCEL_BATCH, 15_000, 600),
    (Quota.CANCEL_ALL, 250, 10),
    (Quota.CANCEL_ALL, 6000, 600),
    (Quota.CANCEL_MARKET, 1500, 10),
    (Quota.CANCEL_MARKET, 21_000, 600),
    (Quota.LEDGER_LIST, 500, 10),
    (Quota.LEDGER, 900, 10),
    (Quota.BALANCE, 200, 10),
    (Quota.BALANCE_UPDATE, 50, 10),
    (Quota.AUTH, 100, 10),
    (Quota.DATA, 800, 10),
    (Quota.DATA_POSITIONS, 200, 10),
    (Quota.DATA_TRADES, 300, 10),
    (Quota.GAMMA, 4000, 10),
    (Quota.GAMMA_MARKETS, 300, 10),
    (Quota.GAMMA_EVENTS, 500, 10),
)


def rate_limits(tier: Tier = STANDARD) -> tuple[RateLimit, ...]:
    """Return every limit for a signer of `tier`.

    A token bucket of burst b and rate r is stated as b requests in b/r seconds: never looser than the bucket.
    The relayer and the chain's provider publish no limit and have none here.
    """
    published = tuple(
        RateLimit(quota=quota, requests=requests, window_seconds=seconds) for quota, requests, seconds in _PUBLISHED
    )
    return (
        *published,
        RateLimit(
            quota=Quota.PLACE,
            requests=tier.orders_burst,
            window_seconds=tier.orders_burst / tier.orders_per_second,
        ),
        RateLimit(
            quota=Quota.CANCEL,
            requests=tier.cancels_burst,
            window_seconds=tier.cancels_burst / tier.cancels_per_second,
        ),
    )


class BucketState(Value, frozen=True):
    """What an answer says about the signer's bucket; each part may be absent, and `remaining` may be negative."""

    remaining: float | None
    reset_at_seconds: float | None
    tier: str | None
    warning: bool


def bucket_state(answer: Answer) -> BucketState | None:
    """Return the Poly-RateLimit header fields of an answer, or None where it has none."""
    fields = {name: header(answer, f"poly-ratelimit-{name}") for name in ("remaining", "reset", "tier", "warning")}
    if not any(fields.values()):
        return None
    return BucketState(
        remaining=_number(fields["remaining"]),
        reset_at_seconds=_number(fields["reset"]),
        tier=fields["tier"],
        warning=(fields["warning"] or "").strip().lower() in {"true", "1", "yes"},
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
