"""Two ways out: one JSON document, or tables for people. Both are made of the same view, so they cannot differ."""

import os
import sys
from collections.abc import Sequence

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .text import printable

WIDTH_WITHOUT_TERMINAL = 200
"""Into a pipe or a file: wide enough that ids stay whole, as they are there to be copied."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a command shows, ready to be written: amounts and times are texts. Field names are the JSON's keys."""


def print_json(view: View) -> None:
    """Write the document, and only it, to stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(view), indent=2).decode() + "\n")


class Screen:
    """Prints for people. Texts go through `printable`: a venue's words cannot command the terminal."""

    def __init__(self) -> None:
        width = None
        if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
            width = WIDTH_WITHOUT_TERMINAL
        self._console = Console(width=width, markup=False, highlight=False, emoji=False)

    def line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(printable(text), style=style), soft_wrap=True)

    def lines(self, text: str) -> None:
        """A text of several lines, indented, each of them printable."""
        for line in text.splitlines():
            self.line(f"  {line}")

    def title(self, text: str) -> None:
        self.line()
        self.line(text, "bold")

    def fields(self, pairs: Sequence[tuple[str, str | None]]) -> None:
        """Names and values below each other; those without a value are left out."""
        shown = [(name, value) for name, value in pairs if value]
        if not shown:
            return
        width = max(len(name) for name, _ in shown)
        for name, value in shown:
            self.line(f"  {name:<{width}}  {value}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, empty: str) -> None:
        """A table; a column whose name begins with # is aligned to the right. Cells are folded, never cut."""
        if not rows:
            self.line(f"  {empty}", "dim")
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in columns:
            right = name.startswith("#")
            table.add_column(name.removeprefix("#"), justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        self._console.print(table)


_STYLES = {
    "critical": "bold red",
    "unavailable": "yellow",
    "unconfirmed": "yellow",
    "DIFFERS": "bold red",
    "DRIFT": "bold red",
    "PAUSED:": "bold red",
    "unknown": "yellow",
}


def _cell(value: str | None) -> Text:
    text = "" if value is None else printable(value)
    return Text(text, style=_STYLES.get(text.split(" ", 1)[0], ""))
