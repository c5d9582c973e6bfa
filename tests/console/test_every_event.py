"""Every kind of event has words, somebody it is about, and a place in both outputs, whatever is in it."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tallystick.console.sentences import tell
from tallystick.console.steps import Found, sequence
from tallystick.console.subjects import Subject, Subjects
from tallystick.model.event import EVENTS, Event
from tallystick.store import AuditRecord, Dropped, Entry, Lsn

st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=6, max_value=10**9))

MAY_BE_ABOUT_NOBODY = {
    "runtime_started",
    "runtime_stopped",
    "instrument_learned",
    "alert_opened",
    "alert_acknowledged",
    "alert_closed",
    "operator_commanded",
    "operator_halted",
    "operator_resumed",
    "messages_traced",
}


@pytest.mark.parametrize("event_class", EVENTS, ids=lambda event_class: event_class.kind)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_is_told_placed_and_written(event_class: type[Event], data: st.DataObject) -> None:
    event = data.draw(st.from_type(event_class))
    told = tell(event)
    assert told.kind == event_class.kind
    assert told.text != event_class.kind.replace("_", " "), "this kind has no words of its own"
    subject = Subjects().of(event)
    assert event_class.kind in MAY_BE_ABOUT_NOBODY or subject != Subject()
    entry = Entry(lsn=Lsn(1), epoch=1, at_ns=data.draw(st.integers(0, 2**62)), cause=0, event=event)
    steps = sequence([Found(entry, told)], gap_seconds=1, trailing_context=True)
    assert msgspec.json.decode(msgspec.json.encode(steps))[0]["kind"] == event_class.kind


@given(record=st.builds(AuditRecord, body_bytes_redacted=st.binary(), at_ns=st.integers(-(2**62), 2**62)))
def test_any_exchange_is_told_even_if_its_bytes_are_no_text(record: AuditRecord) -> None:
    told = tell(record)
    assert told.lane == "wire"
    assert isinstance(dict(told.detail)["body"], str)


def test_kinds_without_words_are_told_by_their_kind() -> None:
    class MessageHandled(msgspec.Struct, frozen=True):
        sender: str

    assert tell(MessageHandled(sender="a")).kind == "MessageHandled"
    assert tell(Dropped("old_kind", 1)).text == "an entry of a kind that this build no longer reads"
