"""The dead-man switch: who sends heartbeats must go on, or its orders are cancelled (polymarket.md 8)."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class DeadManSwitch(Generic[Key]):
    """Remembers the last beat of each key; a sweep on a fixed cadence names those that were silent too long."""

    def __init__(self, *, timeout_ms: int = 10_000, sweep_ms: int = 5_000) -> None:
        self._timeout_ms = timeout_ms
        self._sweep_ms = sweep_ms
        self._last_beat_ms: dict[Key, int] = {}

    def beat(self, key: Key, now_ms: int) -> None:
        """Arm the switch of a key, or keep it from firing."""
        self._last_beat_ms[key] = now_ms

    def disarm(self, key: Key) -> None:
        self._last_beat_ms.pop(key, None)

    def armed(self) -> list[Key]:
        """Keys whose switch would fire without another beat."""
        return list(self._last_beat_ms)

    def next_due_ms(self) -> int | None:
        """The first sweep that will find a silent key, None while no switch is armed."""
        if not self._last_beat_ms:
            return None
        return self._sweep_after(min(self._last_beat_ms.values()))

    def sweep(self, now_ms: int) -> list[Key]:
        """Keys whose switch fires now; each fires once and is armed again by its next beat."""
        silent = [key for key, beat_ms in self._last_beat_ms.items() if self._sweep_after(beat_ms) <= now_ms]
        for key in silent:
            del self._last_beat_ms[key]
        return silent

    def _sweep_after(self, beat_ms: int) -> int:
        # More than the timeout must have passed, hence the next sweep strictly after it.
        return ((beat_ms + self._timeout_ms) // self._sweep_ms + 1) * self._sweep_ms
