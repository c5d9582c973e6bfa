"""What has ended is freed: a campaign, and a runtime that restarts its actors for weeks, stay as small as they were."""

import gc

import msgspec
import trio
from tallystick.actors.context import Paths
from tallystick.actors.messages import Sweep
from tallystick.model.account import SweepTrigger
from tallystick.testing.world import faults as fault
from tallystick.testing.world.campaign import run_plan
from tallystick.testing.world.drawing import draw_plan
from tallystick.testing.world.faults import AnyFault, Role
from tallystick.testing.world.plan import Strike
from tallystick.testing.world.world import World, run_world

STRIKES: tuple[AnyFault, ...] = (
    fault.CrashAtEvent(kind="order_acknowledged", before=False),
    fault.CrashActor(who=Role.GATEWAY, times=2),
    fault.KillAtCommit(commits=2),
    fault.CrashActor(who=Role.WITNESS),
    fault.StopInOrder(),
)


def worlds() -> int:
    gc.collect()
    return sum(isinstance(found, World) for found in gc.get_objects())


def test_a_world_in_which_actors_crashed_and_restarted_is_freed_with_its_end() -> None:
    """The traceback of a crash kept the message, the message its actor, and the collector did not see that circle."""
    before = worlds()
    strikes = tuple(Strike(at_seconds=20.0 + 15 * place, fault=what) for place, what in enumerate(STRIKES))
    outcome = run_plan(msgspec.structs.replace(draw_plan(10), strikes=strikes))
    assert outcome.bites["crash_at_event"] > 0
    assert worlds() == before


def test_a_task_that_has_ended_keeps_nothing_of_the_ones_before_it() -> None:
    """Each sweep that followed upon another kept its whole line of ancestors, messages and stacks included."""

    async def story(world: World) -> int:
        reconciler = world.context.ref(Paths.connection(world.rig.account, "reconciler"))
        for number in range(40):
            reconciler.tell(Sweep(trigger=SweepTrigger.OPERATOR, detail=f"number {number}"))
            await trio.sleep(0.05)
        await trio.sleep(60)
        gc.collect()
        return sum(type(found).__name__ == "TaskHandle" and found.origin is not None for found in gc.get_objects())

    assert run_world(story) < 12
