"""What a caller is told when a runtime does not answer."""

import socket
from pathlib import Path

import pytest
from tallystick.console.commanding import ask_runtime
from tallystick.console.errors import Refusal
from tallystick.console.exit_codes import ExitCode
from tallystick.control.protocol import ReadTree


def test_a_runtime_that_hangs_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind("control.sock")
        deaf.listen()
        with pytest.raises(Refusal, match="its log has the stack, and its next start recovers") as caught:
            ask_runtime(Path(), ReadTree(children_maximum=1), timeout_seconds=0.05)
    assert caught.value.code is ExitCode.NOT_ANSWERED
