"""Ctrl-C, and what is refused before anything runs."""

from __future__ import annotations

import signal

import pytest
import trio
from tallystick.actors.kernel import Actor, handles

from .world import Do, Doer, Note, Worker, new_system, settle


def test_ctrl_c_in_the_hosts_code_stops_the_actors_in_order() -> None:
    log: list[str] = []

    async def main() -> None:
        async with new_system() as system:
            system.spawn(Worker, log, "a")
            system.spawn(Worker, log, "b")
            await settle()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert log == ["start a", "start b", "stop b shutdown", "stop a shutdown"]


def test_ctrl_c_during_a_handler_does_not_tear_it_apart() -> None:
    log: list[str] = []

    def interrupted(actor: Doer) -> None:
        signal.raise_signal(signal.SIGINT)
        actor.log.append("the handler finished")

    async def main() -> None:
        async with new_system() as system:
            system.spawn(Doer, log, "a").tell(Do(interrupted))
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert log == ["start a", "the handler finished", "stop a shutdown"]


def test_an_async_handler_or_hook_is_refused_when_its_class_is_made() -> None:
    with pytest.raises(TypeError, match="handlers are synchronous"):

        class _AsyncHandler(Actor):
            @handles(Note)
            async def note(self, message: Note) -> None:
                pass

    with pytest.raises(TypeError, match="on_start must not be async"):

        class _AsyncHook(Actor):
            async def on_start(self) -> None:  # type: ignore[override]
                pass
