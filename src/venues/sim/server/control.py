"""Lock-step with another process: its driver asks for the state of this one and moves its clock (JSON lines over TCP).

    {"cmd": "state"}                  -> {"now": .., "next_deadline": .. | null, "received": .., "sent": ..}
    {"cmd": "advance", "seconds": d}  -> the same, after the clock jumped and everything settled
    {"cmd": "step", "until": t | null, "received": n, "sent": m}
                                      -> the same, after a jump to the next deadline of this process, at most to t

An answer is given when every other task of this process is blocked. The byte counts let the driver see, by
comparing them with its own, whether anything is still on its way between the two processes. A step is taken only if
they are what the driver expects: else time stands still, and the answer says how things are.
"""

import math
from typing import Literal

import msgspec
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from .traffic import Traffic

_LINE_BYTES_MAX = 4_096


class _State(msgspec.Struct, tag_field="cmd", tag="state"):
    pass


class _Advance(msgspec.Struct, tag_field="cmd", tag="advance"):
    seconds: float


class _Step(msgspec.Struct, tag_field="cmd", tag="step"):
    until: float | None
    received: int
    sent: int


class ControlState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the process stands. `now` and `next_deadline` are in seconds, the latter counted from now."""

    now: float
    next_deadline: float | None
    received: int
    sent: int


class ControlError(msgspec.Struct, frozen=True, kw_only=True):
    error: str


GRID_PER_SECOND = 1_000_000
"""Steps end on whole microseconds: no deadline is missed by the rounding of a float."""
TOGETHER_SECONDS = 2.5 / GRID_PER_SECOND

_DECODER = msgspec.json.Decoder(_State | _Advance | _Step)


class Control:
    """Answers one driver's commands about this process and its virtual clock."""

    def __init__(self, clock: MockClock, traffic: Traffic) -> None:
        self._clock = clock
        self._traffic = traffic

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer commands until the driver hangs up."""
        lines = _Lines(stream)
        async with stream:
            try:
                while (line := await lines.next()) is not None:
                    answer = await self._answer(line)
                    await stream.send_all(msgspec.json.encode(answer) + b"\n")
            except trio.BrokenResourceError:
                return

    async def _answer(self, line: bytes) -> ControlState | ControlError:
        try:
            command = _DECODER.decode(line)
        except msgspec.DecodeError as error:
            return ControlError(error=f"a command is one JSON object a line: {error}")
        await wait_all_tasks_blocked()
        if isinstance(command, _Advance):
            if not (math.isfinite(command.seconds) and command.seconds >= 0):
                return ControlError(error=f"time moves forward by finite steps, not by {command.seconds}")
            await self._advance(command.seconds)
        elif isinstance(command, _Step):
            await self._step(command)
        return self._state()

    async def _advance(self, seconds: float) -> None:
        """Jump from deadline to deadline, so that what is due earlier is done earlier."""
        target = trio.current_time() + seconds
        while True:
            deadline = self._next_deadline()
            left = target - trio.current_time()
            step = left if deadline is None else min(max(deadline, 0.0), left)
            self._clock.jump(step)
            await wait_all_tasks_blocked()
            if trio.current_time() >= target:
                return

    async def _step(self, step: _Step) -> None:
        """Jump to the next deadline, or to the driver's where that is earlier; not at all while bytes are under way."""
        if (self._traffic.received, self._traffic.sent) != (step.received, step.sent):
            return
        now, deadline = trio.current_time(), self._next_deadline()
        own = math.inf if deadline is None else math.ceil((now + deadline) * GRID_PER_SECOND) / GRID_PER_SECOND
        until = math.inf if step.until is None else step.until
        # What is due at the same time on both sides may differ by a rounding: it is one step all the same.
        target = max(own, until) if abs(own - until) <= TOGETHER_SECONDS else min(own, until)
        if math.isfinite(target) and target > now:
            self._clock.jump(target - now)
            await wait_all_tasks_blocked()

    def _state(self) -> ControlState:
        return ControlState(
            now=trio.current_time(),
            next_deadline=self._next_deadline(),
            received=self._traffic.received,
            sent=self._traffic.sent,
        )

    @staticmethod
    def _next_deadline() -> float | None:
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        return None if math.isinf(seconds) else seconds


class Driver:
    """The other side of `Control`: what a driver in another process uses."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = _Lines(stream)

    async def state(self) -> ControlState:
        return await self._ask({"cmd": "state"})

    async def advance(self, seconds: float) -> ControlState:
        return await self._ask({"cmd": "advance", "seconds": seconds})

    async def _ask(self, command: dict[Literal["cmd", "seconds"], str | float]) -> ControlState:
        await self._stream.send_all(msgspec.json.encode(command) + b"\n")
        line = await self._lines.next()
        if line is None:
            raise trio.BrokenResourceError("the simulator hung up")
        answer = msgspec.json.decode(line, type=dict[str, object])
        if "error" in answer:
            raise ValueError(f"the simulator refused {command}: {answer['error']}")
        return msgspec.convert(answer, ControlState)


class _Lines:
    """Lines of a stream without their ends."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def next(self) -> bytes | None:
        """The next line; None at the end of the stream, or when a line is too long for any command."""
        while True:
            line, separator, rest = self._buffer.partition(b"\n")
            if separator:
                self._buffer = rest
                return line
            if len(self._buffer) > _LINE_BYTES_MAX:
                return None
            data = await self._stream.receive_some()
            if not data:
                return None
            self._buffer += bytes(data)
