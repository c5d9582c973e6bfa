"""The behaviours that users of pykka know, held from a host's thread as they use them, on our runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

import pykka
import pytest
import trio
from pykka import ActorDeadError, Timeout
from pykka.messages import ProxyCall
from tallystick.actors.kernel import Actor, ActorRef, ActorSystem, ExitReason, Future, NoActorSystem, active_system

WAIT_SECONDS = 5.0


class Pykkan(Actor):
    """An actor as one writes it for pykka: no reasons, no types, exceptions of asks do not crash it."""

    domain_errors: ClassVar[tuple[type[Exception], ...]] = (Exception,)


class Nested:
    pykka_traversable = True

    def __init__(self) -> None:
        self.value = "nested value"
        self.deeper = Deeper()

    def shout(self, text: str) -> str:
        return text.upper()


class Deeper:
    pykka_traversable = True

    def __init__(self) -> None:
        self.level = 2

    def whisper(self, text: str) -> str:
        return text.lower()


class Untraversable:
    value = "hidden"


class Everything(Pykkan):
    class_attribute = "of the class"
    _private = "secret"

    def __init__(self, events: list[str] | None = None) -> None:
        super().__init__()
        self.events = events if events is not None else []
        self.happened = threading.Event()
        self.attribute = "of the instance"
        self.nested = Nested()
        self.hidden = Untraversable()

    def on_start(self) -> None:
        self.events.append("start")

    def on_stop(self) -> None:  # type: ignore[override]  # pykka's form
        self.events.append("stop")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.events.append(f"failure {exception_type.__name__}")
        self.happened.set()

    def on_receive(self, message: Any) -> Any:
        if message == "raise":
            raise ValueError("raised")
        if message == "base":
            raise BaseException("of the worst kind")  # noqa: TRY002 - the case is exactly this class
        if message == "self":
            return self.actor_ref
        if message == "stop":
            self.stop()
            return "stopping"
        self.events.append(f"received {message!r}")
        return message

    def double(self, number: int, *, plus: int = 0) -> int:
        return number * 2 + plus

    def fail(self) -> None:
        raise ValueError("failed")

    def who_am_i(self) -> int:
        return threading.get_ident()

    @property
    def computed(self) -> str:
        return f"computed from {self.attribute}"


def from_a_thread(body: Callable[[ActorSystem], None]) -> None:
    """Runs a body as host code in another thread, beside a live system."""

    async def main() -> None:
        async with ActorSystem(random=Random(1)) as system:
            await trio.to_thread.run_sync(body, system)

    trio.run(main)


def started(events: list[str] | None = None) -> ActorRef:
    return Everything.start(events)


# --- start and stop ----------------------------------------------------------------------------------------------


def test_start_returns_a_ref_and_on_start_runs_before_the_first_message() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)
        assert isinstance(ref, pykka.ActorRef)
        assert ref.ask("x") == "x"
        assert events == ["start", "received 'x'"]

    from_a_thread(body)


def test_what_the_initialiser_raises_is_raised_by_start() -> None:
    class Broken(Pykkan):
        def __init__(self) -> None:
            raise ValueError("no instance")

    def body(system: ActorSystem) -> None:
        with pytest.raises(ValueError, match="no instance"):
            Broken.start()
        assert len(trio.from_thread.run_sync(system.snapshot)) == 2

    from_a_thread(body)


def test_start_without_an_active_system_says_what_to_do() -> None:
    with pytest.raises(NoActorSystem, match=r"system\.activate"):
        Everything.start()


def test_a_foreign_thread_activates_a_system_to_start_actors_in_it() -> None:
    def body(system: ActorSystem) -> None:
        caught: list[object] = []

        def run() -> None:
            try:
                active_system()
            except NoActorSystem:
                caught.append("none")
            with system.activate():
                caught.append(started().ask("x"))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(WAIT_SECONDS)
        assert caught == ["none", "x"]

    from_a_thread(body)


def test_stop_is_true_for_a_living_actor_and_false_for_a_dead_one() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)
        assert ref.is_alive()
        assert not ref.actor_stopped.is_set()
        assert ref.stop() is True
        assert ref.stop() is False
        assert not ref.is_alive()
        assert ref.actor_stopped.is_set()
        assert events == ["start", "stop"]

    from_a_thread(body)


def test_stop_without_blocking_gives_a_future() -> None:
    def body(_: ActorSystem) -> None:
        ref = started()
        future = ref.stop(block=False)
        assert future.get(timeout=WAIT_SECONDS) is True
        assert ref.stop(block=False).get(timeout=WAIT_SECONDS) is False

    from_a_thread(body)


def test_messages_before_a_stop_are_handled_and_messages_after_it_are_answered_with_dead() -> None:
    def body(system: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)

        def all_at_once() -> tuple[Future[Any], Any, Future[Any]]:
            return ref.ask("before", block=False), ref.stop(block=False), ref.ask("after", block=False)

        before, stopped, after = trio.from_thread.run_sync(all_at_once)
        assert before.get(timeout=WAIT_SECONDS) == "before"
        assert stopped.get(timeout=WAIT_SECONDS) is True
        with pytest.raises(ActorDeadError):
            after.get(timeout=WAIT_SECONDS)
        assert events == ["start", "received 'before'", "stop"]

    from_a_thread(body)


def test_an_actor_stops_itself_after_what_was_queued_before() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)

        def all_at_once() -> Future[Any]:
            ref.tell("stop")
            return ref.ask("queued", block=False)

        assert trio.from_thread.run_sync(all_at_once).get(timeout=WAIT_SECONDS) == "queued"
        trio.from_thread.run(ref.wait_ended)
        assert events == ["start", "received 'queued'", "stop"]

    from_a_thread(body)


# --- tell and ask ------------------------------------------------------------------------------------------------


def test_tell_is_handled_in_order_and_raises_for_a_dead_actor() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)
        for number in range(100):
            ref.tell(number)
        ref.ask("end")
        assert events[1:-1] == [f"received {number}" for number in range(100)]
        ref.stop()
        with pytest.raises(ActorDeadError, match="not found"):
            ref.tell("x")

    from_a_thread(body)


def test_an_exception_answers_the_ask_and_the_actor_lives() -> None:
    def body(_: ActorSystem) -> None:
        ref = started()
        with pytest.raises(ValueError, match="raised"):
            ref.ask("raise")
        assert ref.ask("x") == "x"

    from_a_thread(body)


def test_an_exception_on_a_told_message_ends_the_actor_with_on_failure_and_without_on_stop() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)
        ref.tell("raise")
        trio.from_thread.run(ref.wait_ended)
        assert events == ["start", "failure ValueError"]
        with pytest.raises(ActorDeadError):
            ref.ask("x")

    from_a_thread(body)


def test_a_base_exception_ends_the_one_actor_and_no_other() -> None:
    def body(_: ActorSystem) -> None:
        ref, other = started(), started()
        ref.tell("base")
        trio.from_thread.run(ref.wait_ended)
        assert not ref.is_alive()
        assert other.ask("x") == "x"

    from_a_thread(body)


def test_a_blocking_ask_times_out() -> None:
    class Mute(Pykkan):
        def on_receive(self, message: Any) -> Any:
            self.defer_reply()

    def body(system: ActorSystem) -> None:
        ref = Mute.start()
        with pytest.raises(Timeout, match=r"0\.01 seconds"):
            ref.ask("x", timeout=0.01)

    from_a_thread(body)


def test_a_reply_may_be_the_actors_own_ref() -> None:
    def body(_: ActorSystem) -> None:
        ref = started()
        assert ref.ask("self") is ref

    from_a_thread(body)


def test_an_unexpected_message_is_logged_and_answered_with_none(caplog: pytest.LogCaptureFixture) -> None:
    class Plain(Pykkan):
        pass

    def body(_: ActorSystem) -> None:
        assert Plain.start().ask({"unhandled": "message"}) is None

    with caplog.at_level("WARNING", logger="tallystick.actors"):
        from_a_thread(body)
    assert any("Unexpected message received by Plain" in record.message for record in caplog.records)


def test_a_ref_reads_as_class_and_urn() -> None:
    def body(_: ActorSystem) -> None:
        ref = started()
        assert str(ref) == f"Everything ({ref.actor_urn})"
        assert ref.actor_urn.startswith("urn:tallystick:/user/Everything-")
        assert repr(ref) == f"<ActorRef {ref.path}>"
        assert ref.actor_class is Everything

    from_a_thread(body)


def test_all_actors_run_on_the_systems_thread() -> None:
    def body(system: ActorSystem) -> None:
        proxies = [started().proxy() for _ in range(3)]
        assert {proxy.who_am_i().get() for proxy in proxies} == {system.thread_id}
        assert system.thread_id != threading.get_ident()

    from_a_thread(body)


def test_short_lived_actors_stay_out_of_pykkas_process_wide_registry() -> None:
    def body(_: ActorSystem) -> None:
        started().ask("x")
        assert not pykka.ActorRegistry.get_all()

    from_a_thread(body)


# --- proxies -----------------------------------------------------------------------------------------------------


def test_a_proxy_reads_attributes_of_class_instance_and_property() -> None:
    def body(_: ActorSystem) -> None:
        proxy = started().proxy()
        assert proxy.attribute.get() == "of the instance"
        assert proxy.class_attribute.get() == "of the class"
        assert proxy.computed.get() == "computed from of the instance"

    from_a_thread(body)


def test_a_proxy_sets_attributes_and_waits_until_they_are_set() -> None:
    def body(_: ActorSystem) -> None:
        proxy = started().proxy()
        proxy.attribute = "changed"
        assert proxy.computed.get() == "computed from changed"

    from_a_thread(body)


def test_a_proxy_calls_methods_with_arguments() -> None:
    def body(_: ActorSystem) -> None:
        proxy = started().proxy()
        assert proxy.double(4, plus=1).get() == 9
        with pytest.raises(ValueError, match="failed"):
            proxy.fail().get()

    from_a_thread(body)


def test_a_deferred_proxy_call_is_a_tell() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ref = started(events)
        assert ref.proxy().fail.defer() is None
        trio.from_thread.run(ref.wait_ended)
        assert events[-1] == "failure ValueError"

    from_a_thread(body)


def test_a_proxy_traverses_marked_objects_however_deep() -> None:
    def body(_: ActorSystem) -> None:
        proxy = started().proxy()
        assert proxy.nested.value.get() == "nested value"
        assert proxy.nested.shout("hi").get() == "HI"
        assert proxy.nested.deeper.level.get() == 2
        assert proxy.nested.deeper.whisper("HI").get() == "hi"
        proxy.nested.deeper.level = 3
        assert proxy.nested.deeper.level.get() == 3

    from_a_thread(body)


def test_a_proxy_returns_unmarked_objects_themselves() -> None:
    def body(_: ActorSystem) -> None:
        assert isinstance(started().proxy().hidden.get(), Untraversable)

    from_a_thread(body)


def test_a_proxy_hides_private_and_unknown_attributes() -> None:
    def body(_: ActorSystem) -> None:
        proxy = started().proxy()
        with pytest.raises(AttributeError, match="has no attribute '_private'"):
            proxy._private  # noqa: B018 - reading it is the test
        with pytest.raises(AttributeError, match="has no attribute 'unknown'"):
            proxy.unknown  # noqa: B018 - as above

    from_a_thread(body)


def test_a_proxy_sees_attributes_that_appear_later() -> None:
    def body(_: ActorSystem) -> None:
        ref = started()
        proxy = ref.proxy()
        proxy.appeared = "now"
        assert proxy.appeared.get() == "now"

    from_a_thread(body)


def test_there_is_no_proxy_of_a_dead_actor() -> None:
    def body(_: ActorSystem) -> None:
        ref = started()
        ref.stop()
        with pytest.raises(ActorDeadError):
            ref.proxy()

    from_a_thread(body)


def test_an_actor_schedules_work_for_itself_through_a_proxy_of_itself() -> None:
    class Cooperative(Pykkan):
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[int] = []

        def on_start(self) -> None:
            self._in_future = self.actor_ref.proxy()

        def step(self, left: int) -> None:
            self.steps.append(left)
            if left:
                self._in_future.step(left - 1)

    def body(_: ActorSystem) -> None:
        proxy = Cooperative.start().proxy()
        proxy.step(3).get()
        while len(proxy.steps.get()) < 4:
            pass
        assert proxy.steps.get() == [3, 2, 1, 0]

    from_a_thread(body)


def test_a_proxy_call_can_be_sent_as_a_message() -> None:
    def body(_: ActorSystem) -> None:
        message = ProxyCall(attr_path=("double",), args=(4,), kwargs={"plus": 2})
        assert started().ask(message) == 10

    from_a_thread(body)


async def test_a_proxys_future_is_awaited_in_trio() -> None:
    async with ActorSystem(random=Random(1)):
        ref = started()
        assert await ref.proxy().double(2) == 4
        assert await ref.stop(block=False) is True


# --- with plain pykka actors ---------------------------------------------------------------------------------------


class HostActor(pykka.ThreadingActor):
    """A host's own actor on pykka's threads."""

    use_daemon_thread = True

    def __init__(self, ours: ActorRef | None = None) -> None:
        super().__init__()
        self.ours = ours
        self.heard: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "raise":
            raise ValueError("on the host's side")
        if message == "ask ours" and self.ours is not None:
            return self.ours.ask("from the host's actor")
        if message == "tell ours" and self.ours is not None:
            self.ours.tell("told by the host's actor")
            return None
        self.heard.append(message)
        return f"heard {message}"


class Caller(Actor):
    """Talks to a plain pykka actor from its handlers."""

    def __init__(self, theirs: pykka.ActorRef[Any], answers: list[Any], answered: threading.Event) -> None:
        super().__init__()
        self.theirs = theirs
        self.answers = answers
        self.answered = answered

    def on_receive(self, message: Any) -> Any:
        if message in {"ask", "raise"}:
            self.ask_for_reply(self.theirs, message, key=message)
        elif message == "tell":
            self.theirs.tell("told")
        else:
            self.answers.append((message.key, message.value, type(message.error).__name__))
            self.answered.set()


def test_a_plain_pykka_actor_tells_and_asks_ours() -> None:
    def body(_: ActorSystem) -> None:
        events: list[str] = []
        ours = started(events)
        theirs = HostActor.start(ours)
        try:
            theirs.ask("tell ours")
            assert theirs.ask("ask ours") == "from the host's actor"
            assert events[1:] == ['received "told by the host\'s actor"', 'received "from the host\'s actor"']
        finally:
            theirs.stop()

    from_a_thread(body)


@pytest.mark.parametrize(
    ("message", "answer"), [("ask", ("ask", "heard ask", "NoneType")), ("raise", ("raise", None, "ValueError"))]
)
def test_our_actor_asks_a_plain_pykka_actor_without_waiting(message: str, answer: tuple[Any, ...]) -> None:
    def body(system: ActorSystem) -> None:
        theirs = HostActor.start()
        answers: list[Any] = []
        answered = threading.Event()
        try:
            system.spawn(Caller, theirs, answers, answered).tell(message)
            assert answered.wait(WAIT_SECONDS)
            assert answers == [answer]
        finally:
            theirs.stop()

    from_a_thread(body)


def test_our_actor_tells_a_plain_pykka_actor() -> None:
    def body(system: ActorSystem) -> None:
        theirs = HostActor.start()
        try:
            system.spawn(Caller, theirs, [], threading.Event()).tell("tell")
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked)
            theirs.ask("barrier")
            assert theirs.proxy().heard.get() == ["told", "barrier"]
        finally:
            theirs.stop()

    from_a_thread(body)


def test_a_question_to_a_dead_plain_pykka_actor_is_answered_that_it_is_dead() -> None:
    def body(system: ActorSystem) -> None:
        theirs = HostActor.start()
        theirs.stop()
        answers: list[Any] = []
        answered = threading.Event()
        system.spawn(Caller, theirs, answers, answered).tell("ask")
        assert answered.wait(WAIT_SECONDS)
        assert answers == [("ask", None, "ActorDeadError")]

    from_a_thread(body)


def test_plain_pykka_code_may_put_an_envelope_into_our_inbox() -> None:
    from pykka._envelope import Envelope

    def body(_: ActorSystem) -> None:
        ref = started()
        future: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
        ref.actor_inbox.put(Envelope("x", reply_to=future))
        assert future.get(timeout=WAIT_SECONDS) == "x"
        failing: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
        ref.actor_inbox.put(Envelope("raise", reply_to=failing))
        with pytest.raises(ValueError, match="raised"):
            failing.get(timeout=WAIT_SECONDS)
        assert ref.actor_inbox.empty()

    from_a_thread(body)


def test_a_class_with_pykkas_on_stop_runs_it_at_clean_ends_and_one_with_a_reason_always() -> None:
    class Reasoned(Pykkan):
        def __init__(self, reasons: list[str]) -> None:
            super().__init__()
            self.reasons = reasons

        def on_receive(self, message: Any) -> Any:
            raise ValueError(message)

        def on_stop(self, reason: ExitReason) -> None:
            self.reasons.append(reason.kind.value)

    def body(_: ActorSystem) -> None:
        reasons: list[str] = []
        Reasoned.start(reasons).stop()
        crashing = Reasoned.start(reasons)
        crashing.tell("x")
        trio.from_thread.run(crashing.wait_ended)
        assert reasons == ["normal", "crashed"]

    from_a_thread(body)
