"""How an actor begins and ends where nobody else has to be asked: in its own turn, without messages in between."""

from random import Random

import pytest
import trio
import trio.testing
from tallystick.actors.kernel import Actor, ActorSystem, ChildSpec, SupervisorSpec, handles


class Note:
    def __init__(self, text: str) -> None:
        self.text = text


class Leave:
    """Asks an actor to end."""


class Beginner(Actor):
    """Writes down what happens to it; its first beginnings fail as often as it is told."""

    def __init__(self, log: list[str], failures: int = 0) -> None:
        super().__init__()
        self.log = log
        self.failures = failures

    def on_start(self) -> None:
        self.log.append(f"start {self.incarnation}")

    def on_begin(self) -> None:
        if self.incarnation <= self.failures:
            raise RuntimeError("the first step failed")
        self.log.append(f"begin {self.incarnation} {self.message_id > 0}")

    @handles(Note)
    def note(self, message: Note) -> None:
        self.log.append(message.text)

    @handles(Leave)
    def leave(self, _message: Leave) -> None:
        self.stop()
        self.log.append("leaving")


def workers() -> ChildSpec:
    template = ChildSpec(id="worker", factory=Beginner, restart="transient")
    rules = SupervisorSpec(strategy="simple_one_for_one", intensity=9, children=(template,))
    return ChildSpec(id="workers", factory=rules)


async def settled(system: ActorSystem) -> None:
    while not system.idle():
        await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_an_actor_begins_before_any_message_and_under_the_message_of_its_start() -> None:
    log: list[str] = []
    async with ActorSystem(random=Random(1)) as system:
        under = await system.start_child(workers())
        assert under is not None
        system.spawn_from_template(under, "a", log).tell(Note("first message"))
        await settled(system)
    assert log == ["start 1", "begin 1 True", "first message"]


@pytest.mark.trio
async def test_a_beginning_that_fails_is_a_crash_and_not_a_failed_start(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with ActorSystem(random=Random(1)) as system:
        under = await system.start_child(workers())
        assert under is not None
        ref = system.spawn_from_template(under, "a", log, failures=1)
        ref.tell(Note("kept for the next"))
        await trio.sleep(5)
        assert ref.is_alive()
    assert log == ["start 1", "start 2", "begin 2 True", "kept for the next"]


@pytest.mark.trio
async def test_an_actor_that_stops_itself_handles_what_waited_and_its_place_is_free_in_the_same_turn() -> None:
    log: list[str] = []
    async with ActorSystem(random=Random(1)) as system:
        under = await system.start_child(workers())
        assert under is not None
        ref = system.spawn_from_template(under, "a", log)
        for message in (Leave(), Note("waited")):
            ref.tell(message)
        await settled(system)
        assert log[2:] == ["leaving", "waited"]
        assert not ref.is_alive()
        assert system.find("/workers/a") is None
        again = system.spawn_from_template(under, "a", log)
        again.tell(Leave())
        await settled(system)
        assert not again.is_alive()
        told = [event for event in system.trace.events(kind="message") if event.receiver == "/workers"]
        kinds = {event.type for event in told}
        assert not kinds & {"ChildStarted", "ChildEnded"}, "nothing hangs on them: they are no messages"
