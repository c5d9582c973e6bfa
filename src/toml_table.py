"""Reads a TOML document key by key and collects everything that is wrong with it, before anyone acts on any of it.

Each key is taken once, by what it should be; what is left over at the end is unknown. A value that is not allowed
becomes a `Problem` and its default (or a placeholder) is returned, so that reading goes on and all problems come at
once: nobody should mend a file one error at a time.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from .model.money import NotAnAmount, parse_decimal, plain
from .model.value import Value

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_KEY = re.compile(r"private|secret|passphrase|password|api_?key", re.IGNORECASE)
_NAME_OF_TYPE = {dict: "a table", list: "a list", bool: "a flag", str: "a text", int: "a number", Decimal: "a number"}
SHOWN_CHARACTERS_MAX = 60

T = TypeVar("T")


class Problem(Value, frozen=True):
    """One thing that is wrong: where (`file` and `key`), what was `found`, what is `allowed`, and maybe a `hint`."""

    file: str
    key: str
    found: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place}: found {self.found}; allowed is {self.allowed}" + (f". {self.hint}" if self.hint else "")


class Bounds(Value, frozen=True):
    """The numbers that are allowed; with `above`, the minimum itself is not."""

    minimum: Decimal | None = None
    maximum: Decimal | None = None
    above: bool = False

    def allow(self, value: Decimal) -> bool:
        if self.minimum is not None and (value < self.minimum or (self.above and value == self.minimum)):
            return False
        return self.maximum is None or value <= self.maximum

    def __str__(self) -> str:
        low, high = self.minimum, self.maximum
        if low is not None and high is not None:
            return f"above {plain(low)} up to {plain(high)}" if self.above else f"from {plain(low)} to {plain(high)}"
        if low is not None:
            return f"above {plain(low)}" if self.above else f"{plain(low)} or more"
        return "any" if high is None else f"at most {plain(high)}"


class Report:
    """The problems of one file, in the order in which they were found."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, path: Sequence[str], found: str, allowed: str, hint: str = "") -> None:
        self.problems.append(Problem(file=self.file, key=key_path(path), found=found, allowed=allowed, hint=hint))


def read_toml(path: Path, report: Report) -> dict[str, object] | None:
    """Parse a file; None where it could not be, with the reason in the report. Numbers with a point are exact."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        report.add((), "no file", "a readable TOML file")
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        report.add((), f"a file that cannot be read ({why})", "a readable TOML file")
        return None
    try:
        return tomllib.loads(content, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError) as error:
        report.add((), f"no TOML: {error}", "TOML 1.0")
        return None


def key_path(path: Sequence[str]) -> str:
    """The path as TOML writes it: ``accounts."polymarket:main".reconciler.cadence_seconds``."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else f'"{part}"' for part in path)


def shown(value: object) -> str:
    """A value as it may stand in an error: short, and of tables and lists only their size."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            cut = value if len(value) <= SHOWN_CHARACTERS_MAX else value[: SHOWN_CHARACTERS_MAX - 1] + "…"
            return repr(cut)
        case int() | Decimal():
            return str(value)
        case float():
            return f"{value:g}"
        case dict():
            return f"a table of {len(value)} keys"
        case list():
            return f"a list of {len(value)}"
        case _:
            return _kind_of(value)


def _kind_of(value: object) -> str:
    return _NAME_OF_TYPE.get(type(value), "a date or time")


class Table:
    """One table of the document, with its path. With `private`, values found are never shown in errors."""

    def __init__(
        self, report: Report, path: tuple[str, ...], content: Mapping[str, object], *, private: bool = False
    ) -> None:
        self.report = report
        self.path = path
        self._content = content
        self._taken: dict[str, None] = {}
        self._private = private

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def knows(self, *keys: str) -> None:
        """Name keys that are allowed here and are taken elsewhere, or not at all."""
        self._taken.update(dict.fromkeys(keys))

    def is_text(self, key: str, text: str) -> bool:
        return self._content.get(key) == text

    def passed(self, key: str, default: T) -> T:
        """Name a key as allowed and return what stands for it while it is absent."""
        self._taken[key] = None
        return default

    def refuse(self, key: str, allowed: str, hint: str = "", *, found: str | None = None) -> None:
        """Record that the value of a key is not allowed."""
        if found is None:
            value = self._content.get(key)
            found = "nothing" if value is None else self._shown(value)
        self.report.add((*self.path, key), found, allowed, hint)

    def finish(self) -> None:
        """Record every key that nobody asked for. Their values are not shown: they may be secrets put elsewhere."""
        for key in self._content:
            if key in self._taken:
                continue
            near = difflib.get_close_matches(key, self._taken, n=1, cutoff=0.6)
            hint = f"Did you mean {key_path(near)}?" if near else ""
            if _SECRET_KEY.search(key):
                hint = "Secrets do not belong into this file."
            allowed = ", ".join(sorted(self._taken)) or "no key at all"
            shown_key = key if len(key) <= SHOWN_CHARACTERS_MAX else key[: SHOWN_CHARACTERS_MAX - 1] + "…"
            self.report.add((*self.path, shown_key), "an unknown key", f"one of {allowed}", hint)

    # ---- one value by what it should be -------------------------------------------------------------------

    def text(self, key: str, default: str | None = None, *, allowed: str = "a text") -> str:
        """A text that is not empty; without a default it must be there."""
        found = self._take(key, str, default, allowed)
        if found is None:
            return ""
        if not found.strip():
            self.refuse(key, f"{allowed} that is not empty")
        return found

    def optional_text(self, key: str, *, allowed: str = "a text") -> str | None:
        return self.text(key, allowed=allowed) if key in self else self.passed(key, None)

    def flag(self, key: str, default: bool) -> bool:
        found = self._take(key, bool, default, "true or false")
        return default if found is None else found

    def integer(self, key: str, default: int | None, bounds: Bounds) -> int:
        """A whole number within bounds; without a default it must be there."""
        allowed = f"a whole number, {bounds}"
        found = self._take(key, int, default, allowed)
        if found is None:
            return default or 0
        if not bounds.allow(Decimal(found)):
            self.refuse(key, allowed)
        return found

    def number(self, key: str, default: float | None, bounds: Bounds) -> float:
        """A number within bounds, for durations and shares; never for money."""
        return float(self._decimal(key, None if default is None else Decimal(str(default)), bounds, (int, Decimal)))

    def amount(self, key: str, default: Decimal | None, bounds: Bounds) -> Decimal:
        """An exact decimal within bounds, as a number or as a text."""
        return self._decimal(key, default, bounds, (int, Decimal, str))

    def _decimal(self, key: str, default: Decimal | None, bounds: Bounds, kinds: tuple[type[object], ...]) -> Decimal:
        self._taken[key] = None
        fallback = Decimal(0) if default is None else default
        if key not in self._content:
            if default is None:
                self.refuse(key, f"a number, {bounds}")
            return fallback
        value = self._content[key]
        if isinstance(value, bool) or not isinstance(value, kinds):
            self.refuse(key, f"a number, {bounds}")
            return fallback
        try:
            found = parse_decimal(value)
        except NotAnAmount:
            self.refuse(key, f"a finite number, {bounds}")
            return fallback
        if not bounds.allow(found):
            self.refuse(key, f"a number, {bounds}")
            return fallback
        return found

    def choice(self, key: str, default: str | None, among: Sequence[str]) -> str:
        """One of a few words."""
        allowed = f"one of {', '.join(among)}"
        found = self._take(key, str, default, allowed)
        if found is None:
            return among[0]
        if found not in among:
            near = difflib.get_close_matches(found, among, n=1)
            self.refuse(key, allowed, f"Did you mean {near[0]}?" if near else "")
            return among[0]
        return found

    def texts(self, key: str, *, allowed: str, required: bool = False) -> tuple[str, ...]:
        """A list of different texts, none of them empty."""
        self._taken[key] = None
        value = self._content.get(key)
        if value is None:
            if required:
                self.refuse(key, allowed)
            return ()
        if not isinstance(value, list) or (required and not value):
            self.refuse(key, allowed)
            return ()
        found: list[str] = []
        for place, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                self.refuse(key, allowed, found=f"{self._shown(item)} at place {place}")
            elif item in found:
                self.refuse(key, f"{allowed}, each once", found=f"{self._shown(item)} twice")
            else:
                found.append(item)
        return tuple(found)

    def table(self, key: str, *, private: bool = False) -> "Table":
        """A sub-table; an empty one where the key is absent or is none."""
        self._taken[key] = None
        private = private or self._private
        value = self._content.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, "a table", found=_kind_of(value) if private else None)
            value = {}
        return Table(self.report, (*self.path, key), value, private=private)

    def tables(self, key: str) -> "Iterator[tuple[str, Table]]":
        """The sub-tables of a table, by name."""
        parent = self.table(key)
        for name in parent:
            yield name, parent.table(name)

    def _take(self, key: str, kind: type[T], default: T | None, allowed: str) -> T | None:
        self._taken[key] = None
        value = self._content.get(key)
        if value is None:
            if default is None:
                self.refuse(key, allowed)
            return default
        # A flag is an int to Python and not to a reader of TOML.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(key, allowed, f"This is {_kind_of(value)}.")
            return None
        return value

    def _shown(self, value: object) -> str:
        if self._private:
            return f"a text of {len(value)} characters" if isinstance(value, str) else _kind_of(value)
        return shown(value)
