"""The host of a strategy as it should be: it hands in again what it is not sure of, and believes what it was told."""

import signal
import time
from collections.abc import Callable
from typing import Any

from tallystick.testing.day_run import VenueOrder

from .laws import Record
from .points import Point
from .processes import Life
from .stage import Stage

SETTLE_SECONDS = 90.0
"""Nothing comes near it; it is where a campaign that does not settle ends."""
EVIDENCE = "it is not in the books of the venue"
LIVE = b"live: intents are taken from now on"


class Host:
    """One account's host through all lives of its runtime."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.record = Record(stage.store)
        self.intents: dict[str, bytes] = {}
        """Every line that was ever handed in, by its intent."""
        self.over: dict[str, str] = {}
        """What it was told of an intent's end: an outcome, or the gate that refused it."""
        self.ended_by_hand = 0

    def begin(self, *arguments: str, point: Point | None = None) -> Life:
        """Start a runtime; the one before has ended."""
        self.record.begin_life()
        return self.stage.start(*arguments, point=point)

    def hear(self, said: list[dict[str, Any]]) -> None:
        """Take in what a runtime has told; no later life may say otherwise."""
        for line in said:
            if line.get("type") == "report" and line["kind"] == "ended":
                told = self.over.setdefault(line["intent_id"], line["outcome"])
                assert told == line["outcome"], f"{line['intent_id']} was told to have ended as {told}, now {line}"
            elif line.get("type") == "refused":
                assert line["intent_id"] is not None, f"a line was not understood: {line}"
                told = self.over.setdefault(line["intent_id"], f"refused: {line['gate']}")
                assert told.startswith("refused"), f"{line['intent_id']} ended as {told}, and is refused now: {line}"

    def bury(self, life: Life) -> list[VenueOrder]:
        """`mourn` with what a life has said."""
        return self.mourn(life.said)

    def mourn(self, said: list[dict[str, Any]]) -> list[VenueOrder]:
        """After the end of a life: is lawful what it told and what it left? Returns the venue's orders."""
        self.hear(said)
        self.record.read_on()
        return self.record.check_death(self.stage, said)

    def finish(self) -> None:
        """One last life, in which everything comes to its end; then the laws, all of them."""
        life = self.begin()
        life.hand_in(*self.intents.values())
        life.until_live()
        self._wait_until_quiet(life, given_up=self.record.unresolved)
        self._end_by_hand()
        self._wait_until_quiet(life, given_up=dict)
        life.signal(signal.SIGTERM)
        assert life.ends() == 0, life.log[-4000:]
        self.bury(life)
        self.record.check_end(self.stage, self.intents)
        for intent_id in self.intents:
            told = self.over.get(intent_id)
            assert told is not None, f"the host was never told what became of {intent_id}"
            assert told.startswith("refused") is (intent_id not in self.record.accepted), f"{intent_id}: told {told}"

    def _end_by_hand(self) -> None:
        """What an operator must do: end orders that nobody wants and of which the venue's own books know nothing."""
        at_venue = {order.id for order in self.stage.orders()}
        for order in self.record.unresolved():
            assert self.record.submitted[order] not in at_venue, f"{order} is at the venue, and was not found there"
            self.stage.command("order", "end", str(self.stage.store), order, "--evidence", EVIDENCE)
            self.ended_by_hand += 1

    def _wait_until_quiet(self, life: Life, *, given_up: Callable[[], dict[str, str]]) -> None:
        ends_at = time.monotonic() + SETTLE_SECONDS
        while not self._is_quiet(life, given_up):
            life.listen(0.1)
            assert life.code(0.0) is None, f"the last life ended: {life.log[-4000:]}"
            assert time.monotonic() < ends_at, f"not quiet within {SETTLE_SECONDS:.0f} s: {self._what_is_left()}"

    def _is_quiet(self, life: Life, given_up: Callable[[], dict[str, str]]) -> bool:
        """Nothing can change any more by itself, and the views were last compared as equal."""
        self.hear(life.said)
        self.record.read_on(alive=True)
        ledger, left = self.record.ledger, set(given_up().values())
        return (
            self.intents.keys() - self.over.keys() <= left
            and {str(entry.intent.intent_id) for entry in ledger.active_intents()} <= left
            and not ledger.unsettled
            and all(
                (truth := ledger.truths.get(key)) is not None and truth.exact and truth.book == book
                for key, book in ledger.holdings.items()
            )
        )

    def _what_is_left(self) -> str:
        ledger = self.record.ledger
        return "\n".join(
            (
                f"not told: {sorted(self.intents.keys() - self.over.keys())}",
                f"active: {[entry.intent.intent_id for entry in ledger.active_intents()]}",
                f"unresolved: {self.record.unresolved()}",
                f"live orders: {list(ledger.live_orders())}",
                f"unsettled: {len(ledger.unsettled)}",
                *(f"{key}: {book} {ledger.truths.get(key)}" for key, book in ledger.holdings.items()),
            )
        )
