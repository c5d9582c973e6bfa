"""Time of two processes: it stands still until both are quiet, and never passes anybody's deadline."""

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tallystick.testing import virtual_time
from tallystick.testing.virtual_time import (
    CountedStream,
    LockStep,
    Pace,
    PeerGone,
    Traffic,
    VirtualClock,
    counted,
)
from tallystick.venues.sim.server.control import ControlState


class Peer:
    """The other process: deadlines of its own, and the bytes that it counts."""

    def __init__(self, deadlines: list[float] | None = None) -> None:
        self.now = 0.0
        self.deadlines = sorted(deadlines or [])
        self.met: list[float] = []
        self.received = 0
        self.sent = 0
        self.on_state: Callable[[], None] = lambda: None

    def state(self) -> ControlState:
        return self._state()

    def step(self, until: float | None, received: int, sent: int) -> ControlState:
        self.on_state()
        if (self.received, self.sent) == (received, sent):
            own = self.deadlines[0] if self.deadlines else math.inf
            target = min(
                math.ceil(own * 1e6) / 1e6 if self.deadlines else math.inf, math.inf if until is None else until
            )
            if math.isfinite(target):
                self.now = max(self.now, target)
            while self.deadlines and self.deadlines[0] <= self.now:
                self.met.append(self.now)
                self.deadlines.pop(0)
        return self._state()

    def _state(self) -> ControlState:
        next_deadline = self.deadlines[0] - self.now if self.deadlines else None
        return ControlState(now=self.now, next_deadline=next_deadline, received=self.received, sent=self.sent)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are never to come are not waited for as long as a kernel may take."""
    monkeypatch.setattr(virtual_time, "PAUSE_SECONDS_MAXIMUM", 0.0)


async def _nothing() -> None:
    await trio.lowlevel.checkpoint()


def lock_step(
    clock: VirtualClock,
    peer: Peer,
    traffic: Traffic | None = None,
    *,
    idle: Callable[[], bool] = lambda: True,
    becomes_idle: Callable[[], Awaitable[None]] = _nothing,
    disturb: Callable[[], Awaitable[None]] | None = None,
) -> LockStep:
    return LockStep(
        clock,
        traffic if traffic is not None else Traffic(),
        peer,
        idle=idle,
        becomes_idle=becomes_idle,
        disturb=disturb,
    )


def live(
    body: Callable[[VirtualClock, Peer, trio.Nursery], Awaitable[None]], peer: Peer | None = None
) -> tuple[VirtualClock, Peer]:
    """Run a body beside a driver, on a clock that only the driver moves."""
    clock, other = VirtualClock(), peer if peer is not None else Peer()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await body(clock, other, nursery)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    return clock, other


# ---- the clock --------------------------------------------------------------------------------------------


def test_a_virtual_clock_stands_still_until_it_is_set() -> None:
    clock = VirtualClock()
    woken: list[float] = []

    async def sleeper() -> None:
        await trio.sleep(5)
        woken.append(clock.seconds)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper)
            await trio.testing.wait_all_tasks_blocked()
            assert not woken
            clock.set(4.999)
            await trio.testing.wait_all_tasks_blocked()
            assert not woken
            clock.set(5.0)

    trio.run(main, clock=clock)
    assert woken == [5.0]


def test_a_virtual_clock_does_not_go_back() -> None:
    clock = VirtualClock()
    clock.set(2.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.set(1.0)


def test_wall_time_follows_the_virtual_clock_in_whole_microseconds() -> None:
    clock = VirtualClock()
    now_ns = clock.wall_ns(1_000_000_000_000)
    assert now_ns() == 1_000_000_000_000
    clock.set(0.1 + 0.2)
    assert now_ns() == 1_000_300_000_000


# ---- lock step --------------------------------------------------------------------------------------------


def test_both_clocks_stop_at_every_deadline_of_either_side() -> None:
    seen: list[tuple[float, float]] = []

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        nursery.start_soon(lock_step(clock, peer).run)
        for _ in range(3):
            await trio.sleep(1)
            seen.append((clock.seconds, peer.now))

    _, peer = live(body, Peer([0.25, 1.5, 2.5]))
    assert seen == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
    assert peer.met == [0.25, 1.5, 2.5]


@given(
    ours=st.lists(st.floats(0.0005, 50), min_size=1, max_size=12),
    theirs=st.lists(st.floats(0.0005, 60), max_size=12),
)
def test_no_deadline_is_met_early_or_more_than_a_grid_step_late(ours: list[float], theirs: list[float]) -> None:
    late: list[float] = []

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        async def one(at: float) -> None:
            await trio.sleep_until(at)
            late.append(clock.seconds - at)
            assert math.isclose(clock.seconds, peer.now, abs_tol=1e-9)

        async with trio.open_nursery() as inner:
            for at in ours:
                inner.start_soon(one, at)
            nursery.start_soon(lock_step(clock, peer).run)

    live(body, Peer(theirs))
    assert len(late) == len(ours)
    assert all(-1e-9 <= by <= 4e-6 for by in late)


def test_time_waits_for_whatever_is_not_idle() -> None:
    busy = [True, True, True]
    waited: list[float] = []

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        async def becomes_idle() -> None:
            waited.append(clock.seconds)
            busy.pop()
            await trio.lowlevel.checkpoint()

        nursery.start_soon(lock_step(clock, peer, idle=lambda: not busy, becomes_idle=becomes_idle).run)
        await trio.sleep(1)

    live(body)
    assert waited == [0.0, 0.0, 0.0]


def test_time_waits_for_bytes_that_are_on_their_way() -> None:
    traffic = Traffic()
    arrived_at: list[float] = []

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        def on_state() -> None:
            # It takes the other side a few questions to have read everything.
            if traffic.sent and peer.received < traffic.sent:
                peer.received += 1
                arrived_at.append(clock.seconds)

        peer.on_state = on_state
        nursery.start_soon(lock_step(clock, peer, traffic).run)
        await trio.sleep(1)
        traffic.sent += 3
        await trio.sleep(1)
        assert clock.seconds == 2.0

    live(body)
    assert arrived_at == [1.0, 1.0, 1.0]


@pytest.mark.usefixtures("_impatient")
def test_bytes_of_a_connection_that_was_cut_are_given_up() -> None:
    traffic = Traffic()

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        nursery.start_soon(lock_step(clock, peer, traffic).run)
        await trio.sleep(1)
        traffic.sent += 7
        traffic.ended += 1
        await trio.sleep(1)
        # From now on the seven are known to be lost, and what comes after them counts as always.
        traffic.sent += 1
        peer.received += 1
        await trio.sleep(1)
        # The other side heard of it late, and had sent a little more by then.
        peer.sent += 5
        await trio.sleep(1)

    clock, _ = live(body)
    assert clock.seconds == 4.0


@pytest.mark.usefixtures("_impatient")
def test_bytes_that_vanish_between_two_live_processes_are_an_error() -> None:
    traffic = Traffic()

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        traffic_lost = lock_step(clock, peer, traffic)
        traffic.sent += 7
        with pytest.raises(PeerGone, match="bytes are missing"):
            await traffic_lost.run()

    live(body)


def test_what_was_exchanged_before_the_driver_came_is_not_missed() -> None:
    peer = Peer()
    peer.received, peer.sent = 120, 4_000

    async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
        nursery.start_soon(lock_step(clock, peer).run)
        await trio.sleep(1)

    clock, _ = live(body, peer)
    assert clock.seconds == 1.0


def test_a_slow_machine_changes_nothing() -> None:
    def run(disturb: Callable[[], Awaitable[None]] | None) -> list[float]:
        seen: list[float] = []

        async def body(clock: VirtualClock, peer: Peer, nursery: trio.Nursery) -> None:
            nursery.start_soon(lock_step(clock, peer, disturb=disturb).run)
            for seconds in (0.3, 0.7, 2.0):
                await trio.sleep(seconds)
                seen.append(clock.seconds)

        live(body, Peer([0.1, 0.9, 1.7]))
        return seen

    async def slow() -> None:
        for _ in range(50):
            await trio.lowlevel.checkpoint()

    assert run(None) == run(slow)


# ---- bytes ------------------------------------------------------------------------------------------------


async def test_a_counted_stream_counts_both_ways_and_its_end_once() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    traffic = Traffic()
    stream = CountedStream(ours, traffic)
    await stream.send_all(b"hello")
    await theirs.send_all(b"wor")
    assert await stream.receive_some() == b"wor"
    assert (traffic.sent, traffic.received, traffic.ended) == (5, 3, 0)
    await theirs.aclose()
    assert await stream.receive_some() == b""
    await stream.aclose()
    assert traffic.ended == 1


async def test_a_counted_stream_that_breaks_has_ended() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    traffic = Traffic()
    stream = CountedStream(ours, traffic)
    await theirs.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"hello")
    assert traffic.ended == 1


async def test_every_connection_of_a_counted_seam_is_counted() -> None:
    traffic = Traffic()
    ends: list[trio.abc.Stream] = []

    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        near, far = trio.testing.memory_stream_pair()
        ends.append(far)
        return near

    seam = counted(connect, traffic)
    for _ in range(2):
        stream = await seam("127.0.0.1", 1)
        await stream.send_all(b"ab")
    assert (len(ends), traffic.sent) == (2, 4)


# ---- pace -------------------------------------------------------------------------------------------------


def test_a_pace_holds_back_what_is_ahead_of_it() -> None:
    now = [100.0]
    pace = Pace(10, real_clock=lambda: now[0])
    assert pace.wait_seconds(20) == pytest.approx(2.0)
    now[0] = 102.5
    assert pace.wait_seconds(20) == 0.0
    assert pace.wait_seconds(30) == pytest.approx(0.5)


def test_without_a_rate_nothing_is_held_back() -> None:
    assert Pace(None).wait_seconds(1e9) == 0.0


@pytest.mark.parametrize("rate", [0, -1])
def test_a_pace_is_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Pace(rate)
