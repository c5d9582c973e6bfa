"""Per-signer token buckets for orders and cancels, and the headers that tell of them (polymarket.md 14)."""

import math
from typing import Literal

import msgspec

from ...evm.address import Address


class BucketRule(msgspec.Struct, frozen=True):
    """Tokens per second and the most that can be saved up."""

    per_second: int
    burst: int


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """One tier of the venue. Its cancel bucket may go below zero by one call."""

    name: str
    orders: BucketRule
    cancels: BucketRule


STANDARD = Tier(name="standard", orders=BucketRule(40, 60), cancels=BucketRule(80, 120))
ELITE = Tier(name="elite", orders=BucketRule(600, 900), cancels=BucketRule(1_200, 1_800))

Purpose = Literal["orders", "cancels"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a call passes, and the headers to send with its answer."""

    allowed: bool
    headers: tuple[tuple[str, str], ...]


class RateLimits:
    """All signers' buckets. In `warn` mode nothing is refused, and the warning header says what would have been."""

    def __init__(self, tier: Tier, mode: Literal["enforce", "warn", "off"]) -> None:
        self.tier = tier
        self._mode = mode
        self._buckets: dict[tuple[Address, Purpose], tuple[float, int]] = {}

    def spend(self, signer: Address, purpose: Purpose, cost: int, now_ms: int) -> Verdict:
        """Take `cost` tokens, all or nothing; a refused call costs nothing."""
        if self._mode == "off":
            return Verdict(allowed=True, headers=())
        rule = self.tier.orders if purpose == "orders" else self.tier.cancels
        tokens, at_ms = self._buckets.get((signer, purpose), (float(rule.burst), now_ms))
        tokens = min(float(rule.burst), tokens + (now_ms - at_ms) * rule.per_second / 1_000)
        enough = tokens >= (1 if purpose == "cancels" else cost)
        allowed = enough or self._mode == "warn"
        left = tokens - cost if allowed else tokens
        self._buckets[signer, purpose] = (left, now_ms)
        missing = max(cost - tokens, 0.0) if not enough else 0.0
        wait_seconds = missing / rule.per_second
        headers = [
            ("Poly-RateLimit-Remaining", str(math.floor(left))),
            ("Poly-RateLimit-Reset", str(math.ceil(now_ms / 1_000 + wait_seconds))),
            ("Poly-RateLimit-Tier", self.tier.name),
        ]
        if not enough and self._mode == "warn":
            headers.append(("Poly-RateLimit-Warning", "true"))
        if not allowed:
            headers.append(("Retry-After", str(max(1, math.ceil(wait_seconds)))))
        return Verdict(allowed=allowed, headers=tuple(headers))
