from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.actors.kernel import MailboxSpec
from tallystick.actors.kernel.mailbox import Mailbox
from tallystick.actors.kernel.messages import Envelope

from .world import MIXED, Fill, Keyed, Note

MESSAGES = st.one_of(
    st.builds(Fill, st.integers(0, 9)),
    st.builds(Keyed, st.sampled_from("xyz"), st.integers(0, 9)),
    st.builds(Note, st.sampled_from(["p", "q"])),
    st.just(None),  # take one out
)


@pytest.mark.parametrize("tracked", [True, False])
@given(actions=st.lists(MESSAGES, max_size=60))
def test_a_mailbox_never_exceeds_its_bounds_and_never_loses_what_it_accepted(
    tracked: bool, actions: list[object]
) -> None:
    mailbox = Mailbox(MIXED if tracked else MailboxSpec(capacity=3))
    waiting: list[object] = []
    for number, action in enumerate(actions):
        if action is None:
            if mailbox.user:
                envelope = mailbox.user.popleft()
                if mailbox.tracked:
                    mailbox.taken(envelope)
                assert envelope.message == waiting.pop(0)
            continue
        envelope = Envelope(action, None, number, 0, number, None, None, 0.0)  # type: ignore[arg-type]
        room = mailbox.has_room(action)
        admission = mailbox.admit(envelope)
        if admission == "queued":
            waiting.append(action)
        elif admission == "conflated":
            assert isinstance(action, Keyed)
            index = next(
                place for place, other in enumerate(waiting) if isinstance(other, Keyed) and other.key == action.key
            )
            waiting[index] = action
        assert room is (admission in {"queued", "conflated", "overflow"})
        if tracked:
            assert sum(isinstance(message, Fill) for message in waiting) <= 2
            assert sum(isinstance(message, Keyed) for message in waiting) <= 2
            assert sum(isinstance(message, Note) for message in waiting) <= 3
        else:
            assert len(waiting) <= 3
    assert [envelope.message for envelope in mailbox.user or ()] == waiting
    assert [envelope.message for envelope in mailbox.drain()] == waiting
