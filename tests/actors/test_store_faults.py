"""What becomes of orders, fills and starts when the disk is full, slow, silent, or has lost what it held."""

import errno

import pytest
import trio
from structlog.testing import capture_logs
from tallystick import recovery
from tallystick import runtime as runtime_module
from tallystick.actors.context import Paths
from tallystick.actors.ticket import IntentRejected
from tallystick.model.event import Event, FillRecorded, IntentAccepted, OrderSubmitted
from tallystick.model.identifiers import AlertId
from tallystick.model.ledger import Ledger
from tallystick.model.order import Acknowledged
from tallystick.recovery import SNAPSHOT, recover
from tallystick.store import (
    FailureReason,
    Lsn,
    MemoryDisk,
    MemoryStore,
    Retention,
    StateLost,
    StoreFailed,
    check_rows,
    verify,
)
from tallystick.store.reading import pack_snapshot
from tallystick.store.records import journal_schema
from tallystick.testing.world.world import World as WholeWorld
from tallystick.testing.world.world import run_world
from tallystick.venues.sim.polymarket.faults import DelayReply

from tests.actors.harness import RAIN_YES, SNOW_YES, World, pair, scenario, single

GREEDY = Retention(keep_days=0, keep_entries=0, entries_per_file=20, whole_files=False)


def is_open(world: World, alert_id: str) -> bool:
    alert = world.ledger.alerts.get(AlertId(alert_id))
    return alert is not None and alert.state.is_open


# ---- nothing can be recorded any more ---------------------------------------------------------------------


@scenario()
async def test_open_orders_are_cancelled_at_once_when_nothing_can_be_recorded(world: World) -> None:
    """An order that goes on would trade without anybody who counts its fills (design 5, scenario 83)."""
    world.end_expected = True
    await world.submit(single(seconds=3_000))
    await world.submit(single("i2", instrument=SNOW_YES, price="0.20", seconds=3_000))
    await world.until(lambda: len(world.venue_orders()) == 2)
    await world.until(lambda: sum(isinstance(state, Acknowledged) for state in world.orders().values()) == 2)
    world.disk.fail_next(FailureReason.DISK_FULL)
    with pytest.raises(StoreFailed):
        await world.submit(single("i3", price="0.10"))
    await trio.sleep(2)
    assert {row["status"] for row in world.venue_orders()} == {"CANCELED"}
    cancels = [request.body for request in world.network.sent("DELETE", "/order")]
    # The third is of the order whose placing was not durable and so never left: a cancel too many harms nobody.
    assert len(cancels) == len(set(cancels)) == 3, "one cancel each"
    assert len(world.network.sent("POST", "/order")) == 2, "and nothing new"


@scenario()
async def test_no_heartbeat_keeps_orders_alive_of_which_nothing_can_be_recorded(world: World) -> None:
    world.end_expected = True
    await world.submit(single(seconds=3_000))
    await world.until(world.venue_orders)
    await trio.sleep(12)
    world.disk.fail_next()
    with pytest.raises(StoreFailed):
        await world.submit(single("i2"))
    before = len(world.network.sent("POST", "/v1/heartbeats"))
    assert before > 1
    await trio.sleep(60)
    assert len(world.network.sent("POST", "/v1/heartbeats")) == before


@scenario()
async def test_nothing_leaves_after_the_failure_but_cancels(world: World) -> None:
    world.end_expected = True
    await world.submit(pair(seconds=3_000))
    await world.until(lambda: len(world.venue_orders()) == 2)
    world.disk.fail_next()
    with pytest.raises(StoreFailed):
        await world.submit(single("i2"))
    left = len(world.network.requests)
    await trio.sleep(120)
    private = [found for found in world.network.requests[left:] if found.method != "GET"]
    assert {(found.method, found.path) for found in private} <= {("DELETE", "/order")}
    asked = [found.path for found in world.network.requests[left:] if found.method == "GET"]
    assert not [path for path in asked if path.startswith(("/data/", "/order"))], "no private question either"


@scenario()
async def test_a_host_that_leaves_at_once_leaves_no_open_order_behind(world: World) -> None:
    world.end_expected = True
    await world.submit(single(seconds=3_000))
    await world.until(lambda: sum(isinstance(state, Acknowledged) for state in world.orders().values()) == 1)
    world.fault(DelayReply(path="/order", method="DELETE", by_seconds=2, count=1))
    world.disk.fail_next()
    await world.until(lambda: world.store.failed is not None)
    began = trio.current_time()
    await world.stop()
    assert 1.5 <= trio.current_time() - began < 3
    assert world.venue_order()["status"] == "CANCELED"


@scenario()
async def test_a_host_that_leaves_waits_for_a_venue_that_does_not_answer_but_not_for_ever(world: World) -> None:
    world.end_expected = True
    await world.submit(single(seconds=3_000))
    await world.until(lambda: sum(isinstance(state, Acknowledged) for state in world.orders().values()) == 1)
    await world.network.go_down()
    world.disk.fail_next()
    await world.until(lambda: world.store.failed is not None)
    began = trio.current_time()
    await world.stop()
    assert trio.current_time() - began < 7


@scenario()
async def test_a_cancel_that_waited_for_the_failed_commit_leaves(world: World) -> None:
    world.end_expected = True
    await world.submit(single(seconds=30))
    await world.until(world.venue_orders)
    world.disk.latency_seconds = 1.0
    world.runtime.close_intents()
    await trio.sleep(0.2)
    world.disk.fail_next()
    await trio.sleep(5)
    assert world.venue_order()["status"] == "CANCELED"
    assert len(world.network.sent("DELETE", "/order")) == 1


# ---- a disk that does not answer --------------------------------------------------------------------------


@pytest.mark.parametrize("answers_late", [False, True])
@scenario()
async def test_a_disk_that_hangs_lets_nothing_new_begin_and_then_fails_the_store(
    world: World, answers_late: bool
) -> None:
    world.end_expected = True
    await world.submit(single(seconds=3_000))
    await world.until(world.venue_orders)
    await world.quiet()
    world.disk.hang()
    began = trio.current_time()
    settled: list[object] = []
    world.runtime.submit_soon(single("i2", price="0.10"), settled.append)
    await trio.sleep(4)
    with pytest.raises(IntentRejected, match=r"store is a commit has taken \d\.\d s so far"):
        await world.submit(single("i3", price="0.10"))
    assert len(world.network.sent("POST", "/order")) == 1, "nothing is durable, so nothing leaves"
    await world.until(lambda: world.store.failed is not None)
    assert trio.current_time() - began <= 11
    assert world.store.failed is not None
    assert world.store.failed.reason is FailureReason.STALLED
    assert isinstance(settled[0], StoreFailed)
    await trio.sleep(1)
    assert world.venue_order()["status"] == "CANCELED"
    # What the disk does with the commit that it held back is its own affair, and either way right.
    if answers_late:
        world.disk.resume()
    await world.stop()
    world.disk.resume()
    await world.start_live()
    assert len(world.events(IntentAccepted)) == (2 if answers_late else 1)
    assert len(world.network.sent("POST", "/order")) <= 1


@scenario()
async def test_a_disk_that_comes_back_in_time_is_a_pause_and_no_more(world: World) -> None:
    await world.quiet()
    world.disk.hang()
    settled: list[object] = []
    world.runtime.submit_soon(single(seconds=60), settled.append)
    await trio.sleep(6)
    assert not world.venue_orders()
    world.disk.resume()
    await world.until(world.venue_orders)
    world.crowd.sells(RAIN_YES, "0.44", "50")
    await world.until(lambda: world.held(RAIN_YES) == 50)
    assert not world.alerts("store_failed")


@scenario()
async def test_on_a_slow_disk_everything_is_late_and_nothing_is_lost(world: World) -> None:
    latencies = iter([0.05, 0.8, 0.3, 1.5] * 1_000)
    world.disk.latency_seconds = lambda: next(latencies)
    ticket = await world.submit(pair(seconds=60))
    await world.until(lambda: len(world.venue_orders()) == 2)
    world.crowd.sells(RAIN_YES, "0.44", "100")
    world.crowd.buys(SNOW_YES, "0.60", "110")
    assert (await world.end_of(ticket)).outcome == "both"


# ---- where a start takes its state from -------------------------------------------------------------------


async def a_day(world: World) -> None:
    """A little of everything, and a snapshot at the end."""
    ticket = await world.submit(pair("p1"))
    world.crowd.sells(RAIN_YES, "0.44", "100")
    world.crowd.buys(SNOW_YES, "0.60", "110")
    assert (await world.end_of(ticket)).outcome == "both"
    ticket = await world.submit(single("i1", price="0.30", seconds=5))
    assert (await world.end_of(ticket)).outcome == "unfilled"
    await world.submit(single("i2", price="0.20", seconds=3_000))
    await world.until(lambda: len(world.venue_orders()) == 4)
    await world.quiet()


async def two_snapshots(world: World) -> None:
    await a_day(world)
    await world.restart()
    await world.live()
    await world.stop()


@scenario()
async def test_a_snapshot_and_what_came_after_it_are_the_whole_history(world: World) -> None:
    await a_day(world)
    await world.stop()
    entries = [(entry.event, entry.at_ns) for entry in world.entries() if isinstance(entry.event, Event)]
    whole = Ledger()
    frozen = [whole.freeze()]
    for event, at_ns in entries:
        whole.apply(event, at_ns)
        frozen.append(whole.freeze())
    for cut in range(len(frozen)):
        thawed = Ledger.thaw(frozen[cut])
        assert thawed.freeze() == frozen[cut]
        for place, (event, at_ns) in enumerate(entries[cut : cut + 40], cut + 1):
            thawed.apply(event, at_ns)
            assert thawed.freeze() == frozen[place], f"snapshot at {cut}, different from {place} on: {event}"
    assert len(frozen) > 40


@scenario()
async def test_a_damaged_snapshot_is_passed_over_and_alerted(world: World) -> None:
    await two_snapshots(world)
    expected = world.folded().freeze()
    world.disk.damage_snapshot(SNAPSHOT)
    await world.start_live()
    (alert,) = world.alerts("store_damaged")
    assert "bytes do not match their hash" in alert.message
    assert "The start used the one as of" in alert.message
    await world.until(lambda: not is_open(world, "store_damaged:ledger"))
    assert world.store.read_snapshots(SNAPSHOT).damaged == (), "a new one was made in its place"
    assert expected
    assert world.held(RAIN_YES) == 100


@scenario()
async def test_with_both_snapshots_damaged_everything_is_read_again(world: World) -> None:
    await two_snapshots(world)
    world.disk.damage_snapshot(SNAPSHOT, length=100)
    world.disk.damage_snapshot(SNAPSHOT, at_byte=3)
    await world.start_live()
    (alert,) = world.alerts("store_damaged")
    assert "The start used everything since the beginning" in alert.message
    assert world.held(RAIN_YES) == 100


@scenario()
async def test_a_snapshot_of_another_build_is_not_taken_for_this_builds(world: World) -> None:
    await two_snapshots(world)
    async with MemoryStore(journal_schema(), world.disk) as store:
        last = store.last_lsn
        store.put_snapshot(SNAPSHOT, last, b"\x81\xa7version\xa49:ff")
    with trio.fail_after(10):
        async with MemoryStore(journal_schema(), world.disk) as store:
            found = recover(store)
    assert found.snapshot_lsn < last
    assert "made by a build with another ledger, 9:ff" in found.problems[0]


async def archived(world: World) -> None:
    """Two snapshots, and everything before the older of them in archive files."""
    await two_snapshots(world)
    async with MemoryStore(journal_schema(), world.disk) as store:
        while not isinstance(await store.archive_next(GREEDY, now_ns=world.clock.wall_ns() * 2), str):
            pass
        assert store.first_lsn > 80
        assert check_rows(store, journal_schema()) == []
        assert verify(store).intact


@scenario()
async def test_with_both_snapshots_damaged_archive_files_are_read_too(world: World) -> None:
    await archived(world)
    world.disk.damage_snapshot(SNAPSHOT)
    world.disk.damage_snapshot(SNAPSHOT)
    await world.start_live()
    assert len(world.alerts("store_damaged")) == 1
    assert world.held(RAIN_YES) == 100
    assert len(world.events(FillRecorded)) == len({event.fill.execution.key for event in world.events(FillRecorded)})


@scenario(start=False)
async def test_no_state_is_invented_where_nothing_can_be_read(world: World) -> None:
    await world.start_live()
    await archived(world)
    world.disk.damage_snapshot(SNAPSHOT)
    world.disk.damage_snapshot(SNAPSHOT)
    taken, world.disk.folder.files = world.disk.folder.files, {}
    async with MemoryStore(journal_schema(), world.disk) as store:
        with pytest.raises(StateLost, match=r"no state to start from: the snapshot in place 1.*entries 1 to 20 were"):
            recover(store)
    world.disk.folder.files = taken


@scenario()
async def test_a_start_from_a_snapshot_needs_no_archive_file(world: World) -> None:
    await archived(world)
    taken, world.disk.folder.files = world.disk.folder.files, {}
    await world.start_live()
    assert not world.alerts("store_damaged")
    await world.stop()
    world.disk.folder.files = taken


@scenario()
async def test_an_execution_that_was_archived_is_still_known(world: World) -> None:
    """What the venue's history shows again after its fill was archived enters no second time (law L5)."""
    await archived(world)
    fills = len(world.events(FillRecorded))
    await world.start_live()
    await trio.sleep(300)
    assert len(world.events(FillRecorded)) == fills
    ticket = await world.submit(world.events(IntentAccepted)[0].intent)
    assert (await world.end_of(ticket)).outcome == "both"
    assert len(world.events(OrderSubmitted)) == 4, "the intent is known, and nothing is sent again"


# ---- archiving while it trades ----------------------------------------------------------------------------


@scenario(start=False)
async def test_a_runtime_archives_while_it_trades(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_module, "SNAPSHOT_EVERY_EVENTS", 30)
        patch.setattr(runtime_module, "SNAPSHOT_CHECK_SECONDS", 1.0)
        patch.setattr(recovery, "ARCHIVE_CHECK_SECONDS", 1.0)
        world.retention = Retention(keep_days=0, keep_entries=10, entries_per_file=20)
        await world.start_live()
        world.disk.folder.fail_next(OSError(errno.ENOSPC, "no space left"))
        await a_day(world)
        await world.until(lambda: len(world.disk.folder.files) > 3)
        alert = world.alerts("archive_failed")[0]
        assert "no space left" in alert.message
        assert not is_open(world, alert.alert_id)
        await world.crash_and_restart(keep=1)
        await world.live()
        assert world.store.first_lsn > 80
        assert world.held(RAIN_YES) == 100
        await world.stop()


@pytest.mark.parametrize("length", [0, 3, 20, 60, 400])
def test_a_snapshot_cut_anywhere_is_damaged(length: int) -> None:
    from tallystick.store.reading import unpack_snapshot

    data = pack_snapshot(Lsn(7), b"state" * 100)
    assert isinstance(unpack_snapshot(data[:length]), str)
    assert unpack_snapshot(data) == (7, b"state" * 100)


def test_the_disk_and_its_files_are_one_history() -> None:
    disk = MemoryDisk()
    assert (disk.first_lsn, disk.last_lsn, list(disk.records())) == (1, 0, [])


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("left_bytes", [0, 300, 600, 900, 3000, 4500, 5100])
def test_a_store_that_fails_while_the_gateway_becomes_ready_is_no_crash(left_bytes: int, restarted: bool) -> None:
    """The task that logs in ended with the store's failure, which was taken for a crash of the gateway."""

    async def story(world: WholeWorld) -> None:
        world.end_expected = True
        if restarted:
            await world.start_live()
            world.kill(Paths.connection(world.rig.account, "gateway"))
            await trio.sleep(0.1)
        world.disk.capacity_bytes = world.disk.used_bytes + left_bytes
        if not restarted:
            await world.start()
        await world.until(lambda: world.store_failures)
        sent = len(world.requests)
        await trio.sleep(20)
        assert [crash for crash in world.crashes if "injected" not in crash] == []
        assert world.letters == []
        late = [request.target for request in world.requests[sent + 1 :] if request.method == "POST"]
        assert "/order" not in late

    with capture_logs() as logs:
        run_world(story, start=False)
    # No order was open, so there was nothing to cancel; a question about the chain was sent like a cancel once.
    assert [entry for entry in logs if entry["event"].startswith("sent without an audit record")] == []
