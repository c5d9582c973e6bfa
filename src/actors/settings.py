"""Every number that an operator may set, with its default and the reason for it.

The defaults stand together here; `tallystick.configuration` reads them from a file and checks them.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from ..model.identifiers import AccountId, AssetId, StrategyName, VenueName
from ..model.money import Cash, Quantity
from ..model.risk import RiskLimits
from ..model.value import Value

TraceScope = Literal["orders", "off"]
"""Which messages between actors the journal keeps: those on an order's path, or none."""


class OpeningPolicy(StrEnum):
    """What to do with holdings that were there before the journal's first entry for an account.

    There is one rule, and it has a name so that a configuration can say it: nothing but a command adopts a position.
    """

    REQUIRE_FLAT = "require_flat"
    """Adopt cash alone; any position keeps the account out of Live until an operator adopts it."""


class ReconcilerSettings(Value, frozen=True):
    """How often the venue's order state and fills are swept (design 9)."""

    cadence_seconds: float = 60
    spacing_seconds_minimum: float = 0.5
    overlap_seconds: float = 120
    """Fills are read again from this long before the watermark: a venue's history may trail its stream."""
    stream_grace_seconds: float = 2
    """A fill this young may still be on its way through the stream: the sweep does not call it dropped."""
    incomplete_retry_seconds: float = 5


class WitnessSettings(Value, frozen=True):
    """How the three views are compared (design 10)."""

    cadence_seconds: float = 60
    """The longest time without a comparison; as long as between two sweeps, and fills bring one forward."""
    settle_seconds: float = 6
    """A disagreement must survive this long, and a second reading, before it is a drift."""
    realert_seconds: float = 14_400
    """A drift that is still there and unanswered is told again this often; one that changes is told at once."""
    position_jump: Quantity = Quantity(Decimal(1))
    """A position that differs by more than this is swept for at once, before the difference has settled."""
    unavailable_alert_seconds: float = 300
    settlement_stalled_seconds: float = 600
    read_attempts: int = 3


class StreamSettings(Value, frozen=True):
    """Reconnecting and liveness of websockets (design 12)."""

    connect_timeout_seconds: float = 10
    silence_seconds_maximum: float = 35
    """No frame and no answer to a ping for this long: the connection is dead, whatever the socket says."""
    backoff_seconds_minimum: float = 1
    backoff_seconds_maximum: float = 60
    down_alert_seconds: float = 60


class GatewaySettings(Value, frozen=True):
    """Requests to the venue."""

    timeout_seconds: float = 10
    heartbeat_seconds: float | None = 5
    """Refresh of the venue's dead-man switch; None leaves it unarmed."""
    clock_skew_seconds_maximum: float = 5
    reserved_share: float = 0.05
    """The share of every rate limit that only cancels and recovery may use."""
    concurrency_maximum: int = 32


class OrderSettings(Value, frozen=True):
    """The life of one order."""

    send_within_seconds: float = 5
    """A slice that is neither sent nor withdrawn by then is alerted (coverage)."""
    confirm_within_seconds: float = 5
    """An order that is unanswered for this long is asked about, and triggers a sweep."""
    query_backoff_seconds_minimum: float = 1
    query_backoff_seconds_maximum: float = 30
    unconfirmed_alert_seconds: float = 60
    resend_after_seconds: float = 5
    """How long the venue must have answered "unknown" before the same bytes are sent again."""


class AccountSettings(Value, frozen=True):
    """One account at one venue. `services` are the addresses by name; credentials are not in here."""

    account: AccountId
    venue: VenueName
    services: tuple[tuple[str, str], ...]
    markets: tuple[str, ...]
    settlement_asset: AssetId
    opening: OpeningPolicy = OpeningPolicy.REQUIRE_FLAT
    reconciler: ReconcilerSettings = ReconcilerSettings()
    witness: WitnessSettings = WitnessSettings()
    stream: StreamSettings = StreamSettings()
    gateway: GatewaySettings = GatewaySettings()
    orders: OrderSettings = OrderSettings()
    risk: RiskLimits = RiskLimits()
    market_data_stale_seconds: float = 30

    def service(self, name: str) -> str:
        """The address of one of the venue's services. Raises KeyError for a name the dialect never told."""
        return dict(self.services)[name]


class StrategySettings(Value, frozen=True):
    """One strategy: which accounts it may use, and its own limits."""

    strategy: StrategyName
    accounts: tuple[AccountId, ...]
    active_intents_maximum: int = 16
    notional_maximum: Cash | None = None
