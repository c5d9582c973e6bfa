"""How tables and texts come out for people."""

import pytest
from tallystick.console.output import Screen


def test_a_text_of_several_lines_keeps_them_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().lines("no order is open\n  at 3 s\x1b[31m")
    assert capsys.readouterr().out == "  no order is open\n    at 3 s\\x1b[31m\n"
