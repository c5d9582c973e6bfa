"""What is recorded of every message, and the seam through which tests lose and delay them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from tallystick.actors.kernel import (
    DELIVER,
    DROP,
    NORMAL,
    ActorSystem,
    Delay,
    Envelope,
    SupervisorSpec,
    Timeout,
    TraceEvent,
    Verdict,
)
from tallystick.actors.kernel.trace import Record, Trace

from .world import (
    Crash,
    Do,
    Doer,
    Exit,
    Note,
    Who,
    Worker,
    in_virtual_time,
    new_system,
    settle,
    supervisor,
    worker,
)

pytestmark = in_virtual_time


def notes(system: ActorSystem) -> list[TraceEvent]:
    return [event for event in system.trace.events(kind="message") if event.type == "Note"]


async def test_a_handled_message_is_recorded_with_who_when_and_how_it_ended(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log))
    await settle()
    began = trio.current_time()
    await ref.ask_async(Note("x"))
    (event,) = notes(system)
    assert (event.sender, event.receiver, event.incarnation, event.lane) == ("", "/a", 1, "user")
    assert (event.cause, event.root, event.outcome) == (0, event.id, "ok")
    assert began <= event.enqueued_at <= event.started_at <= event.finished_at


async def test_causes_lead_from_any_message_back_to_its_root(system: ActorSystem, log: list[str]) -> None:
    last = system.spawn(worker("c", log))
    middle = system.spawn(worker("b", log, factory=Doer))
    first = system.spawn(worker("a", log, factory=Doer))
    first.tell(Do(lambda _: middle.tell(Do(lambda _: last.tell(Note("x"))))))
    await settle()
    (note,) = notes(system)
    chain = list(system.trace.events(root=note.root, kind="message"))
    assert [(event.sender, event.receiver) for event in chain] == [("", "/a"), ("/a", "/b"), ("/b", "/c")]
    assert [event.cause for event in chain] == [0, chain[0].id, chain[1].id]


async def test_the_actor_knows_its_message_its_cause_and_its_sender(system: ActorSystem, log: list[str]) -> None:
    seen: list[Any] = []
    last = system.spawn(worker("b", log, factory=Doer))
    first = system.spawn(worker("a", log, factory=Doer))

    def look(actor: Doer) -> None:
        seen.append((actor.sender, actor.message_id, actor.cause, actor.root))

    def pass_on(actor: Doer) -> None:
        seen.append((actor.sender, actor.message_id, actor.cause, actor.root))
        last.tell(Do(look))

    first.tell(Do(pass_on))
    await settle()
    (outside, first_id, no_cause, root), (sender, _, cause, same_root) = seen
    assert (outside, no_cause, root) == (None, 0, first_id)
    assert (sender, cause, same_root) == (first, first_id, root)


@pytest.mark.parametrize(
    ("message", "outcome"), [(Note("x"), "ok"), (Crash(), "crashed"), (Exit(NORMAL), "ok")], ids=str
)
async def test_the_outcome_is_recorded(system: ActorSystem, log: list[str], message: object, outcome: str) -> None:
    system.spawn(worker("a", log)).tell(message)
    await settle()
    (event,) = [one for one in system.trace.events() if one.type == type(message).__name__]
    assert event.outcome == outcome


async def test_life_cycle_changes_are_recorded(system: ActorSystem, log: list[str]) -> None:
    system.spawn(worker("a", log)).tell(Crash("why"))
    await settle()
    states = [(one.incarnation, one.outcome) for one in system.trace.events(kind="lifecycle", path="/a")]
    assert states == [
        (0, "starting"),
        (1, "running"),
        (1, "stopping"),
        (1, "down"),
        (1, "starting"),
        (2, "running"),
    ]


async def test_an_actor_adds_notes_under_its_current_message(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log, factory=Doer))
    await ref.ask_async(Do(lambda actor: actor.trace_note("lsn", (7, 9))))
    (cause,) = [event for event in system.trace.events() if event.type == "Do"]
    (note,) = system.trace.events(kind="note")
    assert (note.type, note.detail, note.cause, note.root, note.receiver) == (
        "lsn",
        (7, 9),
        cause.id,
        cause.root,
        "/a",
    )


async def test_a_sink_receives_every_record_as_it_is_made(system: ActorSystem, log: list[str]) -> None:
    received: list[Record] = []
    system.trace.sink = received.append
    ref = system.spawn(worker("a", log))
    await ref.ask_async(Note("seen"))
    assert "Note" in [TraceEvent(*record).type for record in received]
    system.trace.sink = None
    count = len(received)
    await ref.ask_async(Note("unseen"))
    assert (len(received), system.trace.sink) == (count, None)


async def test_the_ring_keeps_the_newest_events() -> None:
    async with new_system(trace_size=10) as system:
        log: list[str] = []
        ref = system.spawn(Worker, log)
        await settle()
        for number in range(30):
            ref.tell(Note(str(number)))
        await settle()
        assert len(system.trace) == 10
        assert all(event.type == "Note" for event in system.trace.events())


async def test_a_ring_needs_a_size() -> None:
    with pytest.raises(ValueError, match="size > 0"):
        Trace(0)


async def test_one_seed_gives_one_trace() -> None:
    async def run(seed: int) -> list[tuple[Any, ...]]:
        log: list[str] = []
        async with ActorSystem(random=Random(seed), root=SupervisorSpec(intensity=99)) as system:
            refs = [system.spawn(worker(str(number), log, factory=Doer)) for number in range(5)]

            def chatter(actor: Doer) -> None:
                target = refs[actor.random.randrange(5)]
                if actor.random.random() < 0.2:
                    raise RuntimeError("by chance")
                if len(actor.system.trace) < 400:
                    target.tell(Do(chatter))
                    actor.after(actor.random.random(), Do(chatter))

            refs[0].tell(Do(chatter))
            refs[1].tell(Do(chatter))
            await trio.sleep(20)
            zero = next(system.trace.events()).enqueued_at
            return [(*event[:9], round(event.started_at - zero, 6), event.outcome) for event in system.trace.events()]

    first, second, other = await run(3), await run(3), await run(4)
    assert len(first) > 50
    assert first == second
    assert first != other


# --- interception -----------------------------------------------------------------------------------------------------


async def test_a_dropped_message_is_lost_as_on_a_network(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log))
    await settle()
    system.intercept(lambda envelope: DROP if envelope.message == Note("lost") else DELIVER)
    ref.tell(Note("lost"))
    ref.tell(Note("kept"))
    await settle()
    assert log == ["start a", "kept"]
    assert [event.outcome for event in notes(system)] == ["dropped", "ok"]
    assert not list(system.dead_letters)


async def test_a_dropped_ask_is_never_answered(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log))
    system.intercept(lambda _: DROP)
    with pytest.raises(Timeout):
        await ref.ask_async(Who(), timeout=3)
    system.intercept(None)
    assert await ref.ask_async(Who()) == 1


async def test_a_delayed_message_arrives_later_and_is_overtaken(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log))
    await settle()
    delays = {"slow": 5.0, "slower": 9.0}

    def by_text(envelope: Envelope) -> Verdict:
        message = envelope.message
        seconds = delays.get(message.text) if isinstance(message, Note) else None
        return Delay(seconds) if seconds is not None else DELIVER

    system.intercept(by_text)
    for text in ("slower", "slow", "quick"):
        ref.tell(Note(text))
    await trio.sleep(6)
    assert log == ["start a", "quick", "slow"]
    await trio.sleep(6)
    assert log[-1] == "slower"


async def test_an_interceptor_sees_sender_and_receiver(system: ActorSystem, log: list[str]) -> None:
    ways: list[tuple[str, str]] = []

    def look(envelope: Envelope) -> Verdict:
        ways.append((envelope.sender_path, envelope.receiver_path))
        return DELIVER

    target = system.spawn(worker("b", log))
    sender = system.spawn(worker("a", log, factory=Doer))
    system.intercept(look)
    sender.tell(Do(lambda _: target.tell(Note("x"))))
    await settle()
    assert ways == [("", "/a"), ("/a", "/b")]


async def test_a_message_delayed_past_its_receivers_end_is_a_dead_letter(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    await settle()
    system.intercept(lambda envelope: Delay(5) if isinstance(envelope.message, Note) else DELIVER)
    ref.tell(Note("late"))
    future = ref.ask(Note("late too"), block=False)
    ref.tell(Exit(NORMAL))
    await trio.sleep(6)
    assert len(system.dead_letters) == 2
    assert future.done()


async def test_the_kernels_own_messages_are_not_intercepted(system: ActorSystem, log: list[str]) -> None:
    system.intercept(lambda _: DROP)
    await system.start_child(worker("a", log, factory=Doer))
    system.find("/a").cell.owned().arm_timer(1, Note("a timer"), None)  # type: ignore[union-attr]
    await trio.sleep(2)
    assert log == ["start a", "a timer"]


# --- the snapshot -----------------------------------------------------------------------------------------------------


async def test_the_snapshot_is_the_live_tree(system: ActorSystem, log: list[str]) -> None:
    await system.start_child(supervisor("s", SupervisorSpec(intensity=5, children=(worker("a", log),))))
    ref = system.find("/s/a")
    assert ref is not None
    ref.tell(Crash())
    await ref.ask_async(Who())
    tree = {snapshot.path: snapshot for snapshot in system.snapshot()}
    assert list(tree) == ["/", "/s", "/s/a"]
    assert (tree["/s"].actor_class, tree["/s/a"].actor_class) == ("Supervisor", "Worker")
    assert (tree["/s/a"].state, tree["/s/a"].incarnation, tree["/s/a"].restarts) == ("running", 2, 1)


async def test_the_clock_may_be_given() -> None:
    class Fixed:
        def __init__(self) -> None:
            self.monotonic = trio.current_time
            self.wall_ns = lambda: 1_700_000_000_000_000_000

    async with ActorSystem(random=Random(1), clock=Fixed()) as system:
        ref = system.spawn(Doer, [])
        assert await ref.ask_async(Do(lambda actor: actor.clock.wall_ns())) == 1_700_000_000_000_000_000
