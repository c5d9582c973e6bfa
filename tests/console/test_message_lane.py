"""Where messages stand among the entries of the journal, and which of them belong to an order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from tallystick.console.message_lane import MessageLane
from tallystick.console.sentences import actor_name, tell
from tallystick.console.steps import Found
from tallystick.model.event import IntentEnded, MessagesTraced
from tallystick.model.identifiers import ClientOrderId, IntentId, StrategyName
from tallystick.model.traced import TracedRow, traced_message
from tallystick.store import Entry, Lsn

MINE, OTHER = ClientOrderId("mine"), ClientOrderId("other")
INTENT = (StrategyName("weather"), IntentId("rain-1"))
TEXTS = ("", "/a", "/b", "Exchange", "ok", "weather", "rain-1", MINE, OTHER)
NOBODY = (0, 0, 0)
INTENTS_OWN = (5, 6, 0)
ORDERS_OWN = (5, 6, 7)
ANOTHERS = (5, 6, 8)


def row(message: int, cause: int, at_ns: int, whose: tuple[int, int, int] = ORDERS_OWN) -> TracedRow:
    return TracedRow(message, cause, 1, 2, 1, 3, at_ns, 0, 10, 4, *whose)


def entry(lsn: int, at_ns: int, cause: int = 0, epoch: int = 1) -> Entry:
    event = IntentEnded(strategy=INTENT[0], intent_id=INTENT[1], outcome="filled", filled=())
    return Entry(lsn=Lsn(lsn), epoch=epoch, at_ns=at_ns, cause=cause, event=event)


def drawn(
    entries: Sequence[Entry], rows: Sequence[TracedRow], *, epoch: int = 1, lost: int = 0
) -> tuple[list[str], MessageLane]:
    """What stands where: entries as #lsn, messages as their ids."""
    lane = MessageLane(INTENT, {MINE})
    for found in entries:
        lane.saw(found)
    batch = MessagesTraced(texts=TEXTS, rows=tuple(rows), lost=lost)
    lane.take(Entry(lsn=Lsn(99), epoch=epoch, at_ns=10**9, cause=0, event=batch), batch)
    among = lane.among([Found(found, tell(found.event)) for found in entries])
    said = [
        f"m{dict(found.told.detail)['message']}" if found.told.lane == "message" else f"#{found.entry.lsn}"
        for found in among
    ]
    return said, lane


def test_messages_stand_between_entries_by_time() -> None:
    said, _lane = drawn([entry(1, 100), entry(2, 300)], [row(1, 0, 50), row(2, 0, 200), row(3, 0, 400)])
    assert said == ["m1", "#1", "m2", "#2", "m3"]


def test_a_message_stands_before_what_its_handling_recorded_whatever_the_clocks_say() -> None:
    said, _lane = drawn([entry(1, 100, cause=2), entry(2, 100, cause=2)], [row(1, 0, 150), row(2, 1, 160)])
    assert said == ["m1", "m2", "#1", "#2"]


def test_where_a_clock_stands_still_ids_decide() -> None:
    entries = [entry(1, 100, cause=2), entry(2, 100, cause=4), entry(3, 100)]
    said, _lane = drawn(entries, [row(number, 0, 100) for number in range(1, 7)])
    assert said == ["m1", "m2", "#1", "m3", "m4", "#2", "#3", "m5", "m6"]


def test_ids_of_another_run_are_others() -> None:
    said, _lane = drawn([entry(1, 100, cause=2, epoch=1), entry(2, 50, cause=2, epoch=2)], [row(2, 0, 20)], epoch=2)
    assert said == ["#1", "m2", "#2"]


def test_messages_of_another_order_of_the_intent_do_not_belong() -> None:
    said, _lane = drawn([], [row(1, 0, 1, INTENTS_OWN), row(2, 1, 2, ANOTHERS), row(3, 1, 3)])
    assert said == ["m1", "m3"]


def test_causes_that_say_nothing_belong_to_what_they_caused() -> None:
    said, _lane = drawn([], [row(1, 0, 1, NOBODY), row(2, 1, 2, NOBODY), row(3, 0, 3, NOBODY), row(4, 2, 4)])
    assert said == ["m1", "m2", "m4"]


def test_a_message_tells_what_its_handling_recorded() -> None:
    lane = MessageLane(INTENT, {MINE})
    for recorded in (entry(4, 1, cause=7), entry(5, 1, cause=7), entry(6, 1, cause=8)):
        lane.saw(recorded)
    batch = MessagesTraced(texts=TEXTS, rows=(row(7, 0, 1),))
    lane.take(entry(9, 2), batch)
    (found,) = lane.among([])
    assert dict(found.told.detail)["recorded"] == "4 to 5"
    assert (found.told.source, found.told.target, found.about) == ("/a", "/b", MINE)
    assert found.told.text == "Exchange (waited 0 µs, took 0 µs)"


def test_lost_messages_are_told_where_they_may_be_missed() -> None:
    assert drawn([], [row(1, 0, 1)], lost=5)[1].lost != []
    assert drawn([], [row(1, 0, 1, ANOTHERS)], lost=5)[1].lost == []


def test_actors_have_short_names() -> None:
    assert actor_name("/accounts/polymarket:main/orders/o-1") == "order o-1"
    assert actor_name("/accounts/polymarket:main/connection/gateway") == "gateway"
    assert actor_name("/accounts/polymarket:main/desk") == "polymarket:main/desk"
    assert actor_name("/strategies/demo/work/p1:0") == "work p1:0"
    assert actor_name("/risk") == "risk"
    assert actor_name("outside") == "outside"


@given(
    row=st.builds(TracedRow, *[st.integers(-(2**63), 2**63 - 1) for _ in TracedRow._fields]),
    texts=st.lists(st.text(max_size=5), max_size=3),
)
def test_any_row_reads_as_some_message(row: TracedRow, texts: list[str]) -> None:
    assert traced_message(row, texts).message_id == row.message_id
