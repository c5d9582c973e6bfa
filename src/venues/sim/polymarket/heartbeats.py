"""The heartbeat chain of each key: every call names the id that the last one gave (polymarket.md 8)."""

from itertools import count

from ...polymarket.orders import ApiKey
from ..core.deadman import DeadManSwitch
from .keys import key_id


class Heartbeats:
    """Ids to expect, and the dead-man switch that each beat keeps from firing."""

    def __init__(self, *, timeout_ms: int, sweep_ms: int) -> None:
        self.switch: DeadManSwitch[ApiKey] = DeadManSwitch(timeout_ms=timeout_ms, sweep_ms=sweep_ms)
        self._expected: dict[ApiKey, str] = {}
        self._numbers = count(1)

    def beat(self, api_key: ApiKey, heartbeat_id: str, now_ms: int) -> tuple[bool, str]:
        """Whether the id was the expected one, and the id to send next (or to have sent).

        An empty id starts a chain anew. A wrong id does not count as a beat.
        """
        expected = self._expected.get(api_key, "")
        if heartbeat_id not in {"", expected}:
            return False, expected
        following = str(key_id(f"heartbeat {api_key} {next(self._numbers)}"))
        self._expected[api_key] = following
        self.switch.beat(api_key, now_ms)
        return True, following
