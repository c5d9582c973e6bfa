"""What happens to a message: handled, refused, crashed on, expired, unhandled, lost. And to whoever waits for it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tallystick.actors.kernel import (
    NORMAL,
    Actor,
    ActorDeadError,
    ActorRestarted,
    ActorSystem,
    CallCycle,
    CancelAll,
    CrashReport,
    DeadLetter,
    DeadLetterKind,
    DomainError,
    ExitKind,
    MessageExpired,
    NoActorSystem,
    OutcomeUnknown,
    Report,
    Restart,
    Resume,
    SupervisorSpec,
    Suspend,
    Timeout,
    TraceOff,
    TraceOn,
    WouldBlock,
    handles,
)

from .world import (
    Boom,
    Crash,
    Do,
    Doer,
    Exit,
    Note,
    Refuse,
    Unknown,
    Who,
    Worker,
    in_virtual_time,
    new_system,
    ref_of,
    settle,
    supervisor,
    worker,
)

pytestmark = in_virtual_time


def kinds(system: ActorSystem) -> list[DeadLetterKind]:
    return [letter.kind for letter in system.dead_letters]


# --- ask ----------------------------------------------------------------------------------------------------------


async def test_messages_of_one_sender_are_handled_in_order(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    for number in range(200):
        ref.tell(Note(str(number)))
    await settle()
    assert log[1:] == [str(number) for number in range(200)]


async def test_a_refusal_answers_the_asker_and_the_actor_lives_on(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    with pytest.raises(DomainError, match="not today"):
        await ref.ask_async(Refuse())
    assert await ref.ask_async(Who()) == 1


async def test_a_refusal_of_a_told_message_is_a_dead_letter_and_the_actor_lives_on(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Worker, log)
    ref.tell(Refuse())
    assert await ref.ask_async(Who()) == 1
    (letter,) = system.dead_letters
    assert (letter.kind, letter.detail) == (DeadLetterKind.REFUSED, "DomainError: not today")


async def test_an_ask_in_flight_at_a_crash_is_answered_with_an_unknown_outcome(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log))
    with pytest.raises(ActorRestarted, match="/a crashed in incarnation 1") as caught:
        await ref.ask_async(Crash("broke"))
    assert isinstance(caught.value, OutcomeUnknown)
    assert isinstance(caught.value.__cause__, Boom)


async def test_asks_that_wait_at_a_crash_are_answered_by_the_next_incarnation(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log))
    ref.tell(Crash())
    futures = [ref.ask(Who(), block=False) for _ in range(3)]
    assert [await future for future in futures] == [2, 2, 2]


async def test_an_ask_of_an_ended_actor_fails_at_once(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    ref.tell(Exit(NORMAL))
    await settle()
    with pytest.raises(ActorDeadError, match="has ended"):
        await ref.ask_async(Who())


async def test_asks_that_wait_when_an_actor_ends_for_good_are_answered_that_it_is_dead(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Worker, log)
    ref.tell(Exit(NORMAL))
    future = ref.ask(Who(), block=False)
    with pytest.raises(ActorDeadError):
        await future
    assert kinds(system) == [DeadLetterKind.UNDELIVERABLE]


class Later(Doer):
    """Answers when it is told to."""

    answer: Any = None

    @handles(Note)
    def note(self, message: Note) -> str:
        self.answer = self.defer_reply()
        if message.text == "refuse":
            raise DomainError("after all, no")
        return "ignored"


async def test_a_deferred_reply_is_given_later(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Later, log)
    future = ref.ask(Note("question"), block=False)
    await settle()
    assert not future.done()
    ref.tell(Do(lambda actor: actor.answer.set("late but true")))
    assert await future == "late but true"


async def test_a_refusal_after_a_deferral_still_reaches_the_asker(system: ActorSystem, log: list[str]) -> None:
    with pytest.raises(DomainError, match="after all"):
        await system.spawn(Later, log).ask_async(Note("refuse"))


async def test_a_deferred_reply_is_answered_with_an_unknown_outcome_when_the_actor_crashes(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log, factory=Later))
    future = ref.ask(Note("question"), block=False)
    ref.tell(Crash())
    with pytest.raises(ActorRestarted):
        await future


async def test_a_deferred_reply_is_answered_with_an_unknown_outcome_when_the_actor_stops(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Later, log)
    future = ref.ask(Note("question"), block=False)
    ref.tell(Exit(NORMAL))
    with pytest.raises(OutcomeUnknown, match="before it answered"):
        await future


async def test_only_an_asked_message_can_be_answered_later(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Later, log)
    ref.tell(Note("told"))
    await settle()
    assert kinds(system) == [DeadLetterKind.CRASH]


async def test_an_ask_times_out_on_the_systems_clock_and_the_late_answer_is_a_dead_letter(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Later, log)
    began = trio.current_time()
    with pytest.raises(Timeout, match="within 5 seconds"):
        await ref.ask_async(Note("question"), timeout=5)
    assert trio.current_time() - began == 5
    await ref.ask_async(Do(lambda actor: actor.answer.set("too late")))
    assert kinds(system) == [DeadLetterKind.LATE_REPLY]


async def test_an_ask_whose_asker_was_cancelled_is_answered_into_the_dead_letters(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Worker, log)
    ref.control(Suspend())
    await settle()
    with trio.move_on_after(1):
        await ref.ask_async(Who())
    ref.control(Resume())
    await settle()
    assert kinds(system) == [DeadLetterKind.LATE_REPLY]


# --- actors asking actors -------------------------------------------------------------------------------------------


async def test_an_actor_asks_another_and_the_answer_comes_as_a_message(system: ActorSystem, log: list[str]) -> None:
    target = system.spawn(Worker, [])
    asker = system.spawn(Doer, log)
    await asker.ask_async(Do(lambda actor: actor.ask_for_reply(target, Who(), key="q")))
    await settle()
    assert log[-1] == "reply q 1"


@pytest.mark.parametrize(
    ("message", "outcome"), [(Refuse(), "DomainError"), (Crash(), "ActorRestarted"), (Exit(NORMAL), "None")]
)
async def test_an_actors_question_is_answered_whatever_happens(
    system: ActorSystem, log: list[str], message: object, outcome: str
) -> None:
    target = system.spawn(Worker, [])
    asker = system.spawn(Doer, log)
    asker.tell(Do(lambda actor: actor.ask_for_reply(target, message, key="q")))
    await settle()
    assert log[-1] == f"reply q {outcome}"


async def test_an_actors_question_to_a_dead_actor_is_answered_that_it_is_dead(
    system: ActorSystem, log: list[str]
) -> None:
    target = system.spawn(Worker, [])
    target.tell(Exit(NORMAL))
    await settle()
    system.spawn(Doer, log).tell(Do(lambda actor: actor.ask_for_reply(target, Who(), key="q")))
    await settle()
    assert log[-1] == "reply q ActorDeadError"


async def test_an_actors_question_times_out(system: ActorSystem, log: list[str]) -> None:
    target = system.spawn(Later, [])
    system.spawn(Doer, log).tell(Do(lambda actor: actor.ask_for_reply(target, Note("?"), key="q", timeout_seconds=3)))
    await trio.sleep(2.9)
    assert log[-1].startswith("start")
    await trio.sleep(0.2)
    assert log[-1] == "reply q Timeout"


async def test_an_answer_to_a_question_of_an_earlier_incarnation_is_not_delivered(
    system: ActorSystem, log: list[str]
) -> None:
    target = system.spawn(Later, [])
    asker = system.spawn(worker("asker", log, factory=Doer))
    await asker.ask_async(Do(lambda actor: actor.ask_for_reply(target, Note("?"), key="q")))
    asker.tell(Crash())
    await settle()
    target.tell(Do(lambda actor: actor.answer.set("for a ghost")))
    await settle()
    assert not [line for line in log if line.startswith("reply")]


async def test_a_question_to_oneself_is_a_cycle(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Doer, log)

    def ask_myself(actor: Doer) -> str:
        with pytest.raises(CallCycle, match="waits for this very answer"):
            actor.ask_for_reply(actor.actor_ref, Who())
        with pytest.raises(CallCycle):
            actor.actor_ref.ask(Who())
        return "raised"

    assert await ref.ask_async(Do(ask_myself)) == "raised"


async def test_a_question_that_travels_back_to_an_asker_up_the_chain_is_a_cycle(
    system: ActorSystem, log: list[str]
) -> None:
    first, second, third = (system.spawn(Doer, log, name, name=name) for name in ("first", "second", "third"))
    caught: list[str] = []

    def back_to_first(actor: Doer) -> None:
        try:
            actor.ask_for_reply(first, Who())
        except CallCycle as error:
            caught.append(str(error))

    first.tell(Do(lambda a: a.ask_for_reply(second, Do(lambda b: b.ask_for_reply(third, Do(back_to_first))))))
    await settle()
    assert caught == [
        "/user/first waits for this very answer: /user/first -> /user/second -> /user/third -> /user/first"
    ]


async def test_a_blocking_wait_on_the_actors_own_thread_raises_at_once_and_names_the_way_out(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Worker, log)
    with pytest.raises(WouldBlock, match="ask_async"):
        ref.ask(Who())
    future = ref.ask(Who(), block=False)
    with pytest.raises(WouldBlock, match="await future"):
        future.get()
    assert await future == 1
    assert future.get() == 1


# --- crashes --------------------------------------------------------------------------------------------------------


async def test_the_crashing_message_becomes_a_dead_letter_with_its_traceback_and_is_not_handled_again(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log))
    ref.tell(Crash("why"))
    ref.tell(Note("after"))
    await settle()
    assert log == ["start a", "stop a crashed", "start a", "after"]
    (letter,) = system.dead_letters
    assert (letter.kind, letter.message) == (DeadLetterKind.CRASH, Crash("why"))
    assert "Boom: why" in letter.traceback


async def test_a_crash_report_says_what_crashed_on_what_and_what_was_waiting(
    system: ActorSystem, log: list[str]
) -> None:
    reports: list[Report] = []
    system.events.subscribe(reports.append)
    ref = system.spawn(worker("a", log))
    ref.tell(Crash("why"))
    ref.tell(Note("after"))
    await settle()
    (report,) = [one for one in reports if isinstance(one, CrashReport)]
    assert (report.path, report.incarnation, report.actor_class) == ("/a", 1, "Worker")
    assert (report.message_type, report.mailbox_depth) == ("Crash", 1)


async def test_on_failure_runs_before_on_stop(system: ActorSystem, log: list[str]) -> None:
    class Mourning(Worker):
        def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
            self.log.append(f"failure {exception_type.__name__} {exception_value}")

    system.spawn(Mourning, log).tell(Crash("x"))
    await settle()
    assert log == ["start w", "failure Boom x", "stop w crashed"]


async def test_an_unsupervised_actor_that_crashes_is_gone(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    ref.tell(Crash())
    await settle()
    assert not ref.is_alive()


# --- unhandled, undeliverable, expired ----------------------------------------------------------------------------


async def test_a_message_without_a_handler_is_a_dead_letter_and_answers_none_as_in_pykka(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Worker, log)
    assert await ref.ask_async(Unknown()) is None
    (letter,) = system.dead_letters
    assert (letter.kind, letter.detail) == (DeadLetterKind.UNHANDLED, "Worker has no handler for it")


async def test_a_handler_takes_the_subclasses_of_its_message_type(system: ActorSystem, log: list[str]) -> None:
    class Remark(Note, frozen=True):
        pass

    ref = system.spawn(Worker, log)
    assert await ref.ask_async(Remark("sub")) == "sub"
    assert await ref.ask_async(Remark("again")) == "again"


async def test_an_overriding_method_keeps_the_message_types_of_the_one_it_overrides(
    system: ActorSystem, log: list[str]
) -> None:
    class Louder(Worker):
        def note(self, message: Note) -> str:
            return super().note(message).upper()

    assert await system.spawn(Louder, log).ask_async(Note("hi")) == "HI"


async def test_an_own_on_receive_sees_every_message_and_may_fall_back_to_the_declared_handlers(
    system: ActorSystem, log: list[str]
) -> None:
    class Own(Worker):
        def on_receive(self, message: Any) -> Any:
            self.log.append(type(message).__name__)
            return super().on_receive(message)

    ref = system.spawn(Own, log)
    assert await ref.ask_async(Who()) == 1
    assert log[-1] == "Who"


async def test_a_host_that_tells_a_dead_actor_gets_an_error_and_an_actor_that_does_gets_a_dead_letter(
    system: ActorSystem, log: list[str]
) -> None:
    dead = system.spawn(Worker, [])
    dead.tell(Exit(NORMAL))
    await settle()
    with pytest.raises(ActorDeadError):
        dead.tell(Note("from the host"))
    ref = system.spawn(Doer, log)
    await ref.ask_async(Do(lambda actor: dead.tell(Note("from an actor"))))
    assert ref.is_alive()
    assert kinds(system) == [DeadLetterKind.UNDELIVERABLE] * 2


async def test_a_message_past_its_deadline_is_refused_unprocessed(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    ref.control(Suspend())
    deadline = system.clock.monotonic() + 5
    ref.tell(Note("told"), deadline=deadline)
    future = ref.ask(Note("asked"), block=False, deadline=deadline)
    ref.tell(Note("patient"), deadline=deadline + 100)
    await trio.sleep(6)
    ref.control(Resume())
    with pytest.raises(MessageExpired, match=r"its deadline passed 1\.000 s before"):
        await future
    await settle()
    assert log == ["start w", "patient"]
    assert kinds(system) == [DeadLetterKind.EXPIRED] * 2


async def test_dead_letters_are_counted_bounded_and_told_to_subscribers(system: ActorSystem, log: list[str]) -> None:
    seen: list[DeadLetter] = []
    unsubscribe = system.dead_letters.subscribe(seen.append)
    ref = system.spawn(Worker, log)
    await ref.ask_async(Unknown())
    unsubscribe()
    await ref.ask_async(Unknown())
    assert len(seen) == 1
    assert (
        seen[0].describe()
        == f"unhandled Unknown #{seen[0].message_id} from outside to {ref.path}: Worker has no handler for it"
    )
    assert system.dead_letters.counts[DeadLetterKind.UNHANDLED] == 2


async def test_a_dead_letter_subscriber_that_fails_harms_nobody(system: ActorSystem, log: list[str]) -> None:
    def broken(_letter: DeadLetter) -> None:
        raise Boom("subscriber")

    seen: list[DeadLetter] = []
    system.dead_letters.subscribe(broken)
    system.dead_letters.subscribe(seen.append)
    await system.spawn(Worker, log).ask_async(Unknown())
    assert len(seen) == 1


async def test_the_log_of_dead_letters_falls_silent_and_later_says_how_many_it_left_out(
    system: ActorSystem, log: list[str]
) -> None:
    lines: list[str] = []
    system.dead_letters.log = lines.append
    ref = system.spawn(Worker, log)
    for _ in range(30):
        await ref.ask_async(Unknown())
    assert len(lines) == 10
    await trio.sleep(301)
    await ref.ask_async(Unknown())
    assert lines[10] == "20 dead letters were not logged in the last 300 s"
    assert len(lines) == 12


# --- control ----------------------------------------------------------------------------------------------------------


async def test_control_overtakes_what_waits(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    await settle()
    for number in range(3):
        ref.tell(Note(str(number)))
    ref.stop_next()
    await settle()
    assert log == ["start w", "stop w shutdown"]
    assert kinds(system) == [DeadLetterKind.UNDELIVERABLE] * 3


async def test_a_suspended_actor_keeps_its_messages_and_goes_on_where_it_was(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(Worker, log)
    await ref.control(Suspend())
    ref.tell(Note("waiting"))
    await trio.sleep(10)
    snapshot = await ref.inspect()
    assert (snapshot.state, snapshot.mailbox_depth, snapshot.oldest_age_seconds) == ("suspended", 1, 10)
    await ref.control(Resume())
    await settle()
    assert log == ["start w", "waiting"]


async def test_only_the_closed_set_rides_the_control_lane(system: ActorSystem, log: list[str]) -> None:
    with pytest.raises(TypeError, match="Note may not ride the control lane; these may: CancelAll, Inspect"):
        system.spawn(Worker, log).control(Note("urgent!"))


async def test_a_requested_restart_is_a_crash_on_purpose(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(worker("a", log))
    await ref.control(Restart("new settings"))
    assert await ref.ask_async(Who()) == 2
    assert log == ["start a", "stop a crashed", "start a"]


class Cancelling(Worker):
    @handles(CancelAll)
    def cancel_all(self, message: CancelAll) -> str:
        self.log.append(f"cancel all: {message.why}")
        return "cancelled"


async def test_cancel_all_overtakes_even_in_a_suspended_actor(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Cancelling, log)
    await ref.control(Suspend())
    ref.tell(Note("a place order"))
    assert await ref.control(CancelAll("operator")) == "cancelled"
    assert log == ["start w", "cancel all: operator"]


async def test_cancel_all_during_a_restart_is_the_first_thing_the_new_incarnation_sees(
    system: ActorSystem, log: list[str]
) -> None:
    ref = system.spawn(worker("a", log, factory=Cancelling))
    ref.tell(Crash())
    ref.tell(Note("waiting"))
    ref.control(CancelAll("now"))
    await settle()
    assert log.index("cancel all: now") < log.index("waiting")


async def test_the_trace_of_one_actor_can_be_turned_off_and_on(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log, name="w")
    await ref.control(TraceOff())
    await ref.ask_async(Note("unseen"))
    await ref.control(TraceOn())
    await ref.ask_async(Note("seen"))
    assert len([event for event in system.trace.events(path="/user/w") if event.type == "Note"]) == 1


# --- the end of the system --------------------------------------------------------------------------------------------


async def test_an_interrupt_out_of_a_handler_stops_the_system_in_order_and_is_raised_at_its_end() -> None:
    log: list[str] = []

    def interrupt(_actor: Actor) -> None:
        raise KeyboardInterrupt

    async def run() -> None:
        async with new_system() as system:
            system.spawn(Worker, log, "a")
            system.spawn(Doer, log, "b").tell(Do(interrupt))
            await system.wait_ended()

    with pytest.raises(KeyboardInterrupt):
        await run()
    assert log == ["start a", "start b", "stop b shutdown", "stop a shutdown"]


async def test_a_cancellation_around_the_system_still_stops_it_in_order() -> None:
    log: list[str] = []
    with trio.CancelScope() as scope:
        async with new_system() as system:
            system.spawn(Worker, log, "a")
            await settle()
            scope.cancel()
            await trio.sleep_forever()
    assert log == ["start a", "stop a shutdown"]


async def test_an_error_in_the_block_comes_out_as_it_is_after_an_orderly_stop() -> None:
    log: list[str] = []

    async def run() -> None:
        async with new_system() as system:
            system.spawn(Worker, log, "a")
            await settle()
            raise Boom("mine")

    with pytest.raises(Boom, match="mine"):
        await run()
    assert log == ["start a", "stop a shutdown"]


async def test_a_stopped_system_says_so_to_everyone(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    await settle()
    await system.stop()
    with pytest.raises(ActorDeadError):
        ref.tell(Note("late"))
    with pytest.raises(ActorDeadError):
        system.spawn(Worker, log)
    assert (await ref.wait_ended()).kind is ExitKind.NOT_FOUND


async def test_refs_know_the_reason_of_the_end(system: ActorSystem, log: list[str]) -> None:
    parent = system.spawn(supervisor("s", SupervisorSpec(children=(worker("a", log, restart="temporary"),))))
    await settle()
    assert parent.is_alive()
    ref = ref_of(system, "/s/a")
    ref.tell(Crash("why"))
    reason = await ref.wait_ended()
    assert (reason.kind, reason.detail) == (ExitKind.CRASHED, "Boom: why")


async def test_an_actor_is_not_made_by_calling_its_class() -> None:
    with pytest.raises(NoActorSystem, match=r"system\.spawn\(Worker"):
        Worker([])


async def test_idle_means_that_no_actor_can_run(system: ActorSystem, log: list[str]) -> None:
    ref = system.spawn(Worker, log)
    await settle()
    assert system.idle()
    ref.tell(Note("x"))
    assert not system.idle()
    await settle()
    assert system.idle()
