"""The control socket: for its owner alone, harmless whatever arrives, gone with its runtime and back after a crash."""

import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tallystick.control import address, server
from tallystick.control.address import ControlUnavailable, listening, may_control, peer_uid, socket_of
from tallystick.control.client import NoAnswer, NotAllowed, NotRunning, ask
from tallystick.control.protocol import (
    ANSWER_BYTES_MAXIMUM,
    REQUEST_BYTES_MAXIMUM,
    Answer,
    AwaitReconciliation,
    Carry,
    Done,
    ReadTree,
    RefusalCode,
    Refused,
    Request,
    Unreadable,
    decode_answer,
    decode_request,
    encode,
)
from tallystick.control.server import ControlServer, serving
from tallystick.model.identifiers import AccountId, CommandId
from tallystick.model.operator import Halt
from tallystick.store.lock import OwnerLock

HALT = Carry(command_id=CommandId("c-1"), command=Halt(account=None), note="why")


class Answering(ControlServer):
    """Answers every request by what a test says; all else is the real server."""

    def __init__(self, answering: Callable[[Request, int], Awaitable[Answer]]) -> None:
        self._callers = 0
        self._answering = answering

    async def answer(self, request: Request, uid: int) -> Answer:
        return await self._answering(request, uid)


async def done(request: Request, uid: int) -> Answer:
    name = request.command_id if isinstance(request, Carry) else CommandId("none")
    return Done(command_id=name, at_ns=uid, repeated=False, text=type(request).__name__)


@contextmanager
def served(folder: Path, answering: Callable[[Request, int], Awaitable[Answer]] = done) -> Iterator[Path]:
    """A server in a thread of its own, as a runtime is beside a command line."""
    path = socket_of(folder)
    started, ended = threading.Event(), []

    async def serve() -> None:
        ended.append((trio.lowlevel.current_trio_token(), trio.Event()))
        with listening(path, folder) as made:
            async with serving(made, Answering(answering)):
                started.set()
                await ended[0][1].wait()

    thread = threading.Thread(target=partial(trio.run, serve))
    thread.start()
    assert started.wait(30)
    try:
        yield path
    finally:
        token, event = ended[0]
        token.run_sync_soon(event.set)
        thread.join()


def raw(path: Path, data: bytes, *, close: bool = False) -> bytes:
    """What comes back for some bytes, to the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        try:
            connection.sendall(data)
            if close:
                connection.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass  # it answered before it had read all
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def test_a_request_is_answered_with_one_line_and_the_callers_user(tmp_path: Path) -> None:
    with served(tmp_path) as path:
        answer = ask(path, HALT, timeout_seconds=30)
    assert answer == Done(command_id=CommandId("c-1"), at_ns=os.geteuid(), repeated=False, text="Carry")


def test_the_socket_is_for_its_owner_alone_and_gone_when_the_runtime_is(tmp_path: Path) -> None:
    with served(tmp_path) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_root_and_the_own_user_may_control_and_nobody_else() -> None:
    assert may_control(os.geteuid())
    assert may_control(0)
    assert not may_control(os.geteuid() + 1)


def test_the_user_at_the_other_end_is_what_the_kernel_says() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == os.geteuid()


def test_another_user_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "may_control", lambda uid: False)
    with served(tmp_path) as path:
        answer = ask(path, HALT, timeout_seconds=30)
    assert isinstance(answer, Refused)
    assert answer.code is RefusalCode.NOT_ALLOWED


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\n", "not a request"),
        (b"hello\n", "not a request"),
        (b"{}\n", "not a request"),
        (b'{"type":"shutdown"}\n', "shutdown"),
        (b'{"type":"read_tree","depth":3}\n', "depth"),
        (b'{"type":"carry","command_id":"1","command":{"type":"sell_everything"}}\n', "sell_everything"),
        (b"[" * 20_000 + b"\n", "not a request"),
        (b"\xff\xfe\n", "not a request"),
        (b"x" * (REQUEST_BYTES_MAXIMUM * 2) + b"\n", "at most"),
    ],
)
def test_a_line_that_is_no_request_is_answered_with_what_is_wrong_and_harms_nobody(
    tmp_path: Path, data: bytes, words: str
) -> None:
    with served(tmp_path) as path:
        answer = decode_answer(raw(path, data).strip())
        assert isinstance(answer, Refused)
        assert answer.code is RefusalCode.BAD_REQUEST
        assert words in answer.message
        assert isinstance(ask(path, HALT, timeout_seconds=30), Done)


def test_a_line_without_an_end_and_a_caller_that_says_nothing_harm_nobody(tmp_path: Path) -> None:
    with served(tmp_path) as path:
        assert b"line feed" in raw(path, b'{"type":"read_tree"}', close=True)
        assert raw(path, b"", close=True) == b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
        assert isinstance(ask(path, HALT, timeout_seconds=30), Done)


def test_a_caller_that_sends_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READ_SECONDS", 0.01)
    with served(tmp_path) as path:
        assert b"no whole line came" in raw(path, b"{")


def test_more_callers_than_are_served_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CALLERS_MAXIMUM", 0)
    with served(tmp_path) as path:
        answer = ask(path, HALT, timeout_seconds=30)
    assert isinstance(answer, Refused)
    assert answer.code is RefusalCode.BUSY


def test_a_defect_behind_the_socket_is_answered_and_logged_and_the_next_caller_is_served(tmp_path: Path) -> None:
    asked: list[Request] = []

    async def answering(request: Request, uid: int) -> Answer:
        asked.append(request)
        if len(asked) == 1:
            raise RuntimeError("secret inside")
        return await done(request, uid)

    with served(tmp_path, answering) as path:
        answer = ask(path, HALT, timeout_seconds=30)
        assert isinstance(answer, Refused)
        assert answer.code is RefusalCode.NOT_ANSWERED
        assert "secret inside" not in answer.message
        assert isinstance(ask(path, HALT, timeout_seconds=30), Done)


def test_an_answer_that_is_too_long_is_refused_and_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWER_BYTES_MAXIMUM", 20)
    with served(tmp_path) as path:
        answer = ask(path, HALT, timeout_seconds=30)
    assert isinstance(answer, Refused)
    assert "ask for less" in answer.message


# ---- where it is ------------------------------------------------------------------------------------------


def test_a_socket_that_a_killed_runtime_left_behind_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_of(tmp_path)))
    left.close()
    with pytest.raises(NotRunning, match="no runtime runs on"):
        ask(socket_of(tmp_path), HALT, timeout_seconds=1)
    with served(tmp_path) as path:
        assert isinstance(ask(path, HALT, timeout_seconds=30), Done)


def test_a_socket_at_which_another_process_listens_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "desk.sock"
    with served(tmp_path) as other:
        with pytest.raises(ControlUnavailable, match="another process listens there"), listening(other, tmp_path):
            raise AssertionError
        assert isinstance(ask(other, HALT, timeout_seconds=30), Done)
    path.write_text("a letter")
    with pytest.raises(ControlUnavailable, match="left alone"), listening(path, tmp_path):
        raise AssertionError
    assert path.read_text() == "a letter"


def test_a_path_that_is_too_long_for_a_socket_is_reached_by_way_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    with served(folder) as path:
        assert len(str(path)) > 150
        assert isinstance(ask(path, HALT, timeout_seconds=30), Done)
    assert not path.exists()


def test_a_socket_elsewhere_is_found_by_a_link_beside_the_store(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "run" / "desk.sock"
    store.mkdir()
    elsewhere.parent.mkdir()
    for _ in range(2):
        with listening(elsewhere, store) as made:
            assert socket_of(store).is_symlink()
            threading.Thread(target=answer_once, args=(made,)).start()
            assert isinstance(ask(socket_of(store), HALT, timeout_seconds=30), Done)
    assert not socket_of(store).is_symlink()
    with listening(elsewhere, store) as made:
        made.close()  # as a kill leaves it: a link to a socket at which nobody listens
    with listening(socket_of(store), store):
        assert not socket_of(store).is_symlink()


def answer_once(made: socket.socket) -> None:
    connection, _ = made.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(encode(Done(command_id=CommandId("c-1"), at_ns=0, repeated=False, text="")))


# ---- the caller's end -------------------------------------------------------------------------------------


def test_without_a_runtime_the_caller_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no runtime runs on"):
        ask(socket_of(tmp_path), HALT, timeout_seconds=1)


def test_a_runtime_without_a_socket_is_told_from_no_runtime(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path, owner="desk", opened_at_ns=0)
    lock.acquire()
    try:
        with pytest.raises(NotRunning, match="its control socket is off"):
            ask(socket_of(tmp_path), HALT, timeout_seconds=1)
    finally:
        lock.release()


def test_a_socket_of_another_user_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(socket.socket):
        def connect(self, _address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tallystick.control.client.socket.socket", Closed)
    with pytest.raises(NotAllowed, match="belongs to another user"):
        ask(socket_of(tmp_path), HALT, timeout_seconds=1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed without an answer"),
        (b"hello\n", "cannot be read"),
        (b'{"type":"done"}\n', "cannot be read"),
        (None, "did not answer within"),
    ],
)
def test_what_is_no_answer_leaves_the_outcome_unknown(tmp_path: Path, answer: bytes | None, words: str) -> None:
    path = socket_of(tmp_path)
    over = threading.Event()
    with ExitStack() as stack:
        made = stack.enter_context(socket.socket(socket.AF_UNIX))
        made.bind(str(path))
        made.listen()

        def misbehave() -> None:
            connection, _ = made.accept()
            with connection:
                connection.recv(65536)
                if answer is None:
                    over.wait(30)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=misbehave)
        thread.start()
        try:
            with pytest.raises(NoAnswer, match=words):
                ask(path, HALT, timeout_seconds=0.2)
        finally:
            over.set()
            thread.join()


# ---- lines ------------------------------------------------------------------------------------------------


@given(line=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_bytes_are_a_request_or_unreadable(line: bytes) -> None:
    for decode in (decode_request, decode_answer):
        with suppress(Unreadable):
            decode(line)


@pytest.mark.parametrize(
    "request_",
    [
        ReadTree(),
        HALT,
        AwaitReconciliation(account=AccountId("polymarket:main"), since_ns=1, within_seconds=2.5),
    ],
)
def test_every_request_comes_back_as_it_was_sent(request_: Request) -> None:
    line = encode(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request(line) == request_


def test_the_bounds_leave_room_for_what_is_meant() -> None:
    assert len(msgspec.json.encode(HALT)) < REQUEST_BYTES_MAXIMUM < ANSWER_BYTES_MAXIMUM
    assert address.ADDRESS_BYTES_MAXIMUM < 104
