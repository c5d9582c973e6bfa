"""One death at each place that has a name; the next life goes on as if nothing had been, and the books agree."""

import signal
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from tallystick.model.event import (
    BracketClosing,
    BracketDecided,
    CancelAnswered,
    CancelRequested,
    FillRecorded,
    IntentAccepted,
    IntentEnded,
    OrderAcknowledged,
    OrderDone,
    OrderSubmitted,
    RuntimeStarted,
    RuntimeStopped,
    SliceComputed,
)

from .host import Host
from .points import CANCEL, PLACE, SNAPSHOT, At, Point
from .processes import Life
from .stage import ASK, INSIDE, Stage, pair, single

KILLED = -signal.SIGKILL
COMMITS = (At.BEFORE_COMMIT, At.IN_TRANSACTION, At.AFTER_COMMIT)
REQUESTS = (At.HALF_SENT, At.SENT, At.ANSWERED)
SNAPSHOT_EVERY_EVENTS = 10

_names = (f"point-{number}" for number in count())


class Series(Host):
    """One account and store through all of these deaths, so that each recovers what the ones before have left."""

    def intent(self, make: Callable[[str], bytes]) -> str:
        """A new intent; its time begins to run."""
        name = next(_names)
        self.intents[name] = make(name)
        return name

    def die_over(self, make: Callable[[str], bytes], point: Point) -> str:
        """Hand in an intent to a live runtime that ends at a point; fails where it does not come there."""
        life = self.begin(point=point)
        life.until_live()
        intent = self.intent(make)
        life.hand_in(self.intents[intent])
        self._ended_at(life, point)
        return intent

    def die_early(self, point: Point, *intents: str) -> None:
        """A runtime that ends at a point, maybe before it is live; fails where it does not come there."""
        life = self.begin(point=point)
        life.hand_in(*(self.intents[intent] for intent in intents))
        self._ended_at(life, point)

    def die_in_a_stop(self, make: Callable[[str], bytes], point: Point) -> str:
        life = self.begin(point=point)
        life.until_live()
        intent = self.intent(make)
        life.hand_in(self.intents[intent])
        life.until(kind="accepted", intent_id=intent)
        life.signal(signal.SIGTERM)
        self._ended_at(life, point)
        return intent

    def _ended_at(self, life: Life, point: Point) -> None:
        code = life.ends()
        assert code == KILLED, f"it ended with {code} and not at {point}: {life.log[-4000:]}"
        self.bury(life)

    def outcome(self, intent: str) -> str:
        """What becomes of it in the next life, which is killed when it has told."""
        life = self.begin()
        life.hand_in(self.intents[intent])
        outcome: str = life.until(kind="ended", intent_id=intent)["outcome"]
        assert life.kill() == KILLED
        self.bury(life)
        return outcome

    def orders_of(self, intent: str) -> list[Decimal]:
        """How much each order of an intent got, by the venue's own books."""
        names = {venue_id: order for order, venue_id in self.record.submitted.items()}
        return sorted(order.size_matched for order in self.stage.orders() if names[order.id].startswith(f"{intent}."))


@pytest.fixture(scope="module")
def series(new_stage: Callable[[Path], Stage], tmp_path_factory: pytest.TempPathFactory) -> Series:
    made = Series(new_stage(tmp_path_factory.mktemp("points")))
    life = made.begin()
    life.until_live()
    life.kill()
    made.bury(life)
    return made


def bought(name: str) -> bytes:
    return single(name, limit_price=ASK)


def expires(name: str) -> bytes:
    return single(name, seconds=1)


def one_sided(name: str) -> bytes:
    return pair(name, seconds=1, long=ASK, short=INSIDE)


@pytest.mark.parametrize("at", COMMITS)
@pytest.mark.parametrize(
    "event", [IntentAccepted, SliceComputed, OrderSubmitted, OrderAcknowledged, FillRecorded, OrderDone, IntentEnded]
)
def test_a_purchase_is_made_once(series: Series, event: type[IntentAccepted], at: At) -> None:
    intent = series.die_over(bought, Point(at, event.kind))
    durable = any(isinstance(found, event) for found in series.record.life)
    assert durable is (at is At.AFTER_COMMIT)
    if event in {IntentAccepted, SliceComputed, OrderSubmitted}:
        assert not series.orders_of(intent), "bytes left before the journal had them"
    assert series.outcome(intent) == "filled"
    assert series.orders_of(intent) == [10]


@pytest.mark.parametrize("at", REQUESTS)
def test_a_purchase_whose_request_was_cut_off_is_made_once(series: Series, at: At) -> None:
    intent = series.die_over(bought, Point(at, PLACE))
    known = [name for name in series.record.submitted if name.startswith(f"{intent}.")]
    assert len(known) == 1
    if at is At.ANSWERED:
        assert series.orders_of(intent) == [10]
    elif at is At.HALF_SENT:
        assert not series.orders_of(intent)
    assert series.outcome(intent) == "filled"
    assert series.orders_of(intent) == [10]


@pytest.mark.parametrize("at", COMMITS)
@pytest.mark.parametrize("event", [CancelRequested, CancelAnswered])
def test_an_order_whose_cancel_was_cut_off_is_cancelled(series: Series, event: type[CancelRequested], at: At) -> None:
    intent = series.die_over(expires, Point(at, event.kind))
    assert series.outcome(intent) == "unfilled"
    assert series.orders_of(intent) == [0]


@pytest.mark.parametrize("at", REQUESTS)
def test_an_order_whose_cancel_got_no_answer_is_cancelled(series: Series, at: At) -> None:
    intent = series.die_over(expires, Point(at, CANCEL))
    assert series.outcome(intent) == "unfilled"
    assert series.orders_of(intent) == [0]


@pytest.mark.parametrize("at", COMMITS)
@pytest.mark.parametrize("event", [BracketClosing, BracketDecided])
def test_a_bracket_decides_once(series: Series, event: type[BracketDecided], at: At) -> None:
    intent = series.die_over(one_sided, Point(at, event.kind))
    assert series.outcome(intent) == "one_side"
    assert series.orders_of(intent)[0] == 0
    assert len(series.orders_of(intent)) == 2


@pytest.mark.parametrize("at", COMMITS)
def test_a_snapshot_that_was_cut_short_loses_nothing(series: Series, at: At) -> None:
    intent = series.intent(bought)
    series.die_early(Point(at, SNAPSHOT, snapshot_every_events=SNAPSHOT_EVERY_EVENTS), intent)
    assert series.outcome(intent) == "filled"
    assert series.orders_of(intent) == [10]


@pytest.mark.parametrize(
    "point",
    [
        Point(At.OPENED),
        Point(At.RECOVERING, nth=1),
        Point(At.RECOVERING, nth=5),
        Point(At.BEFORE_COMMIT, RuntimeStarted.kind),
        Point(At.IN_TRANSACTION, RuntimeStarted.kind),
        Point(At.AFTER_COMMIT, RuntimeStarted.kind),
    ],
    ids=str,
)
def test_a_death_in_recovery_leaves_the_next_one_the_same_work(series: Series, point: Point) -> None:
    intent = series.die_over(bought, Point(At.AFTER_COMMIT, OrderSubmitted.kind))
    series.die_early(point)
    assert series.outcome(intent) == "filled"
    assert series.orders_of(intent) == [10]


@pytest.mark.parametrize("at", [*COMMITS, At.CLOSING])
def test_a_death_in_an_orderly_stop_is_a_death_like_any_other(series: Series, at: At) -> None:
    intent = series.die_in_a_stop(one_sided, Point(at, "" if at is At.CLOSING else RuntimeStopped.kind))
    assert series.outcome(intent) == "one_side"


def test_after_all_of_these_deaths_the_books_agree(series: Series) -> None:
    series.intent(bought)
    series.finish()
