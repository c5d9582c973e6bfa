"""The live tree: every actor with what it has waiting and waits for, and what went wrong, also while it goes wrong."""

import msgspec
import trio
from tallystick.control.protocol import ActorView, Tree, decode_answer, encode
from tallystick.model.event import OrderAcknowledged
from tallystick.venues.sim.polymarket.faults import DelayReply

from ..actors.harness import ACCOUNT, STRATEGY, World, scenario, single


def actor(tree: Tree, path: str) -> ActorView:
    (found,) = [view for view in tree.actors if view.snapshot.path == path]
    return found


@scenario()
async def test_the_tree_shows_every_actor_with_its_tasks_and_timers(world: World) -> None:
    await world.submit(single(seconds=600))
    await world.until(world.venue_orders)
    tree = world.runtime.inspection.tree()
    paths = [view.snapshot.path for view in tree.actors]
    assert paths[0] == "/"
    assert {"/alerts", f"/accounts/{ACCOUNT}/connection/gateway", f"/strategies/{STRATEGY}/desk", "/operator/desk"} <= {
        *paths
    }
    assert len([path for path in paths if path.startswith(f"/accounts/{ACCOUNT}/orders/")]) == 1
    stream = actor(tree, f"/accounts/{ACCOUNT}/connection/stream").snapshot
    assert [task.name for task in stream.tasks] == ["private stream"]
    assert stream.tasks[0].where
    witness = actor(tree, f"/accounts/{ACCOUNT}/witness")
    assert [timer.name for timer in witness.snapshot.timers] == ["cadence"]
    assert witness.handling is not None
    assert witness.handling.messages > 0
    assert witness.idle_seconds is not None
    assert tree.messages_handled >= witness.snapshot.handled
    assert tree.dead_letters == {}
    assert tree.incidents == ()


@scenario()
async def test_the_tree_shows_where_a_task_waits_for_a_venue_that_does_not_answer(world: World) -> None:
    world.fault(DelayReply(path="/data/trades", by_seconds=8))
    await world.until(lambda: world.network.sent("GET", "/data/trades"))
    sweeps = len(world.sweeps())
    await world.until(lambda: actor(world.runtime.inspection.tree(), RECONCILER).snapshot.tasks, seconds=90)
    (task,) = actor(world.runtime.inspection.tree(), RECONCILER).snapshot.tasks
    assert task.name == "sweep"
    assert any("request" in frame for frame in task.where)
    await world.until(lambda: len(world.sweeps()) > sweeps)


RECONCILER = f"/accounts/{ACCOUNT}/connection/reconciler"


@scenario()
async def test_a_message_that_crashed_its_actor_is_in_the_tree_and_in_the_alert_with_its_traceback(
    world: World,
) -> None:
    world.crash_on(OrderAcknowledged)
    await world.submit(single(seconds=600))
    await world.until(lambda: world.alerts("actor_crashed"))
    (alert,) = world.alerts("actor_crashed")
    evidence = dict(alert.evidence)
    assert evidence["message"] == "Exchanged"
    assert "injected after OrderAcknowledged" in evidence["traceback"]
    await trio.sleep(2)  # past the backoff of its restart
    tree = world.runtime.inspection.tree()
    (incident,) = [found for found in tree.incidents if found.kind == "crashed"]
    assert incident.message_type == "Exchanged"
    assert "not handled again" in incident.text
    assert "injected after OrderAcknowledged" in incident.detail
    order = actor(tree, incident.path)
    assert order.crash == incident
    assert order.snapshot.incarnation == 2
    assert order.snapshot.restarts == 1
    assert tree.dead_letters["crash"] == 1


@scenario()
async def test_a_large_set_shows_those_in_trouble_and_counts_the_others(world: World) -> None:
    for number in range(6):
        await world.submit(single(f"i{number}", seconds=600))
    await world.until(lambda: len(world.venue_orders()) == 6)
    orders = f"/accounts/{ACCOUNT}/orders"
    troubled = next(path for path in world.runtime.system._cells if path.startswith(f"{orders}/i4"))
    world.kill(troubled)
    await trio.sleep(3)
    tree = world.runtime.inspection.tree(children_maximum=2)
    shown = [view.snapshot.path for view in tree.actors if view.snapshot.path.startswith(f"{orders}/")]
    assert len(shown) == 2
    assert troubled in shown
    assert {(hidden.path, hidden.count) for hidden in tree.hidden} >= {(orders, 4)}


@scenario()
async def test_a_tree_travels_as_one_line(world: World) -> None:
    tree = world.runtime.inspection.tree()
    line = encode(tree)
    assert line.count(b"\n") == 1
    assert decode_answer(line) == tree
    assert msgspec.json.decode(line)["type"] == "tree"
