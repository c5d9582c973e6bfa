"""Structs of settings are read by their own fields, types and defaults."""

from decimal import Decimal
from enum import StrEnum

import msgspec
import pytest
from tallystick.model.money import Cash
from tallystick.toml_settings import read_fields
from tallystick.toml_table import Bounds, Report, Table


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, frozen=True):
    pause_seconds: float = 2


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    limit: Cash | None = None
    heartbeat_seconds: float | None = 5
    attempts: int = 3
    armed: bool = False
    colour: Colour = Colour.RED
    tags: tuple[str, ...] = ("a",)
    share: float = 0.5
    inner: Inner = Inner()


BOUNDS = {"share": Bounds(minimum=Decimal(0), maximum=Decimal(1))}


def read(content: dict[str, object]) -> tuple[Settings, list[str]]:
    report = Report("file.toml")
    table = Table(report, ("t",), content)
    found = read_fields(table, Settings, BOUNDS)
    table.finish()
    return found, [f"{problem.key}: {problem.allowed}" for problem in report.problems]


def test_absent_keys_have_the_defaults_of_the_struct() -> None:
    assert read({"name": "n"}) == (Settings(name="n"), [])


def test_every_type_is_read_as_itself() -> None:
    content: dict[str, object] = {
        "name": "n",
        "limit": "1.50",
        "heartbeat_seconds": 3,
        "attempts": 9,
        "armed": True,
        "colour": "blue",
        "tags": ["x", "y"],
        "share": Decimal("0.25"),
        "inner": {"pause_seconds": 7},
    }
    assert read(content) == (
        Settings(
            name="n",
            limit=Cash(Decimal("1.50")),
            heartbeat_seconds=3,
            attempts=9,
            armed=True,
            colour=Colour.BLUE,
            tags=("x", "y"),
            share=0.25,
            inner=Inner(pause_seconds=7),
        ),
        [],
    )


def test_off_switches_off_what_may_be_none() -> None:
    found, problems = read({"name": "n", "heartbeat_seconds": "off", "limit": "off"})
    assert (found.heartbeat_seconds, found.limit, problems) == (None, None, [])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "t.name: a text"),
        ({"name": ""}, "t.name: a text that is not empty"),
        ({"name": "n", "attempts": 0}, "t.attempts: a whole number, from 1 to 1000000"),
        ({"name": "n", "attempts": "off"}, "t.attempts: a whole number, from 1 to 1000000"),
        ({"name": "n", "armed": 1}, "t.armed: true or false"),
        ({"name": "n", "colour": "blu"}, "t.colour: one of red, blue"),
        ({"name": "n", "tags": "x"}, "t.tags: a list of texts"),
        ({"name": "n", "share": 2}, "t.share: a number, from 0 to 1"),
        ({"name": "n", "limit": -1}, "t.limit: a number, 0 or more"),
        ({"name": "n", "inner": {"pause_seconds": 0}}, "t.inner.pause_seconds: a number, above 0 up to 86400"),
        ({"name": "n", "inner": 3}, "t.inner: a table"),
        ({"name": "n", "inner": {"pase": 3}}, "t.inner.pase: one of pause_seconds"),
    ],
)
def test_what_is_not_allowed_is_told_by_its_path(content: dict[str, object], problem: str) -> None:
    assert read(content)[1] == [problem]


def test_a_type_that_no_rule_reads_is_a_mistake_of_the_program() -> None:
    class Odd(msgspec.Struct, frozen=True):
        when: bytes = b""

    with pytest.raises(TypeError, match="no rule reads the setting when"):
        read_fields(Table(Report("file.toml"), (), {}), Odd, {})
