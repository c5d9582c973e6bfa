"""How many requests may still be sent: sliding windows by the venue's rules, with a reserve for cancels.

Requests are priced before they are sent. A share of every window is kept for cancels and recovery, so that new
orders run dry before the runtime loses the means to get out (law L9).
"""

from collections import deque
from collections.abc import Sequence

from ..venues.port import RateLimit

BACKOFF_SECONDS_DEFAULT = 1.0


class Window:
    """One sliding window: at most `requests` within any `seconds`."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests = requests
        self.seconds = seconds
        self.taken: deque[float] = deque()

    def wait(self, now: float, allowed: int) -> float:
        """Seconds until one more request fits under `allowed`; 0 when it fits now."""
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        if len(self.taken) < allowed:
            return 0.0
        return self.taken[len(self.taken) - allowed] + self.seconds - now


class Quota:
    """All windows of one account. A request that names an unknown quota is charged to `general` alone."""

    def __init__(self, limits: Sequence[RateLimit], *, reserved_share: float) -> None:
        self.reserved_share = reserved_share
        self.windows: dict[str, list[Window]] = {}
        self.refused_until: dict[str, float] = {}
        for limit in limits:
            self.windows.setdefault(limit.quota, []).append(Window(limit.requests, limit.window_seconds))

    def take(self, quota: str, now: float, *, reserve: bool) -> float:
        """Charge one request; returns 0, or the seconds to wait if it does not fit yet (then nothing is charged)."""
        names = (quota,) if quota == "general" else (quota, "general")
        windows = [window for name in names for window in self.windows.get(name, ())]
        wait = 0.0 if reserve else max((self.refused_until.get(name, 0.0) - now for name in names), default=0.0)
        for window in windows:
            kept = 0 if reserve else max(1, int(window.requests * self.reserved_share))
            wait = max(wait, window.wait(now, max(1, window.requests - kept)))
        if wait > 0:
            return wait
        for window in windows:
            window.taken.append(now)
        return 0.0

    def refused(self, quota: str, now: float, retry_after_seconds: float | None) -> None:
        """The venue said 429: new requests of this kind wait; the reserve is left alone."""
        wait = BACKOFF_SECONDS_DEFAULT if retry_after_seconds is None else retry_after_seconds
        self.refused_until[quota] = max(self.refused_until.get(quota, 0.0), now + wait)
