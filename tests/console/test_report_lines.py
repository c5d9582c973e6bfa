"""How reports are written for people: each thing once."""

import msgspec
import pytest
from tallystick.console.report_lines import ReportView, in_words

REPORT = ReportView(
    strategy="weather",
    intent_id="rain-1",
    number=2,
    kind="order",
    at="2026-11-20T14:50:04.123456789Z",
    text="sent: buy 25 at 0.41",
    client_order_id="rain-1.0.0.0-5c7e",
    leg=0,
    quantity="25",
    price="0.41",
    outcome="sent",
    filled=(),
)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("order", "sent: buy 25 at 0.41", "order: sent: buy 25 at 0.41"),
        ("order", "order filled: all of it", "order filled: all of it"),
        ("accepted", "accepted", "accepted"),
        ("paused", "root (uid 0): odd", "paused: root (uid 0): odd"),
    ],
)
def test_a_report_whose_text_begins_with_its_kind_says_it_once(kind: str, text: str, said: str) -> None:
    report = msgspec.structs.replace(REPORT, kind=kind, text=text)
    assert in_words(report) == f"2026-11-20 14:50:04.123  rain-1 #2 {said} [rain-1.0.0.0-5c7e]"
