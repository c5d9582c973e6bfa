"""Reads one JSON object field by field, collecting what is wrong instead of stopping at it.

A field is taken once, by what it should be; what is left over at the end is unknown. A reader gets None for what is
absent or wrong, and the problem list says which it was.
"""

import difflib
import json
from collections import Counter
from collections.abc import Collection, Iterable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from .intent_rules import (
    FOUND_CHARACTERS_MAX,
    Problem,
    amount_problems,
    bps_problems,
    excerpt,
    name_problems,
    tag_problems,
)
from .money import DIGITS_MAX, NotAnAmount, parse_decimal
from .timestamps import NotATime, parse_rfc3339

LINE_BYTES_MAX = 65_536
UNKNOWN_FIELDS_SHOWN_MAX = 20
ONE_OBJECT = "one JSON object on one line, in UTF-8"

E = TypeVar("E", bound=StrEnum)


class Literal(str):
    """A JSON number, by the characters that stand in the line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class JsonObject(dict[str, object]):
    """A JSON object that remembers which of its keys came more than once."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, object]]) -> JsonObject:
    found = JsonObject(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _value in pairs)
        found.repeated = tuple(name for name, count in counts.items() if count > 1)
    return found


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Literal, parse_int=Literal, parse_constant=Literal, strict=True
)


def read_object(line: bytes) -> JsonObject | Problem:
    """The object on a line, or what is wrong with the line as a whole. Never raises."""
    if len(line) > LINE_BYTES_MAX:
        return Problem(field="line", found=f"{len(line)} bytes", allowed=f"at most {LINE_BYTES_MAX} bytes")
    try:
        text = line.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at {error.start}, which is not UTF-8"
        return Problem(field="line", found=found, allowed=ONE_OBJECT)
    if not text:
        return Problem(field="line", found="an empty line", allowed=ONE_OBJECT)
    try:
        found_object = _decoder.decode(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            found = f"a line that breaks off after {excerpt(text[-30:])}"
        else:
            found = f"{excerpt(text[error.pos : error.pos + 30])} at character {error.pos + 1} ({error.msg})"
        return Problem(field="line", found=found, allowed=ONE_OBJECT)
    except RecursionError:
        return Problem(field="line", found="JSON that is nested too deeply", allowed=ONE_OBJECT)
    if not isinstance(found_object, JsonObject):
        return Problem(field="line", found=shown(found_object), allowed=ONE_OBJECT)
    return found_object


def shown(value: object) -> str:
    """A JSON value as errors show it: its kind, and as much of it as fits."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Literal():
            return f"the number {value[:FOUND_CHARACTERS_MAX]}"
        case str():
            return f"the text {excerpt(value)}"
        case dict():
            return f"an object of {len(value)} fields"
        case list():
            return f"a list of {len(value)}"
        case _:
            return excerpt(value)


class Table:
    """One object of the line. `path` is what its fields are called in problems."""

    def __init__(self, content: JsonObject, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self._left: dict[str, object] = dict(content)
        self._known: list[str] = []
        for name in content.repeated[:UNKNOWN_FIELDS_SHOWN_MAX]:
            self.refuse(_field(name), "the same field more than once", "each field once")

    def refuse(self, name: str, found: str, allowed: str) -> None:
        self.problems.append(Problem(field=f"{self.path}{name}", found=found, allowed=allowed))

    def has(self, name: str) -> bool:
        """Whether the field is there, with a value that is not null."""
        return self._left.get(name) is not None

    def take(self, name: str, allowed: str, *, required: bool) -> object | None:
        """The raw value. None when it is absent, which is a problem if it is required."""
        self._known.append(name)
        value = self._left.pop(name, None)
        if value is None and required:
            self.refuse(name, "nothing", allowed)
        return value

    def text(self, name: str, allowed: str, *, required: bool = True) -> str | None:
        value = self.take(name, allowed, required=required)
        if value is None:
            return None
        if not isinstance(value, str) or isinstance(value, Literal):
            self.refuse(name, shown(value), allowed)
            return None
        return value

    def name(self, name: str, allowed: str, *, required: bool = True) -> str | None:
        """An identifier, kept to the rules that all of them keep."""
        value = self.text(name, allowed, required=required)
        if value is None:
            return None
        problems = name_problems(f"{self.path}{name}", value)
        self.problems += problems
        return None if problems else value

    def amount(self, name: str, *, required: bool = True, positive: bool = True, bps: bool = False) -> Decimal | None:
        """A decimal number, as a text or as a JSON number."""
        allowed = "a decimal number, as a text or a JSON number"
        value = self.take(name, allowed, required=required)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(name, shown(value), allowed)
            return None
        try:
            amount = parse_decimal(str(value))
        except NotAnAmount:
            self.refuse(name, shown(value), f"{allowed}, finite and of at most {DIGITS_MAX} digits")
            return None
        field = f"{self.path}{name}"
        problems = bps_problems(field, amount) if bps else amount_problems(field, amount, positive=positive)
        self.problems += problems
        return None if problems else amount

    def whole(self, name: str) -> int | None:
        """An optional whole number from zero."""
        amount = self.amount(name, required=False, positive=False)
        if amount is None:
            return None
        if amount != amount.to_integral_value() or amount > 2**53:
            self.refuse(name, excerpt(amount), "a whole number from 0 to 2^53")
            return None
        return int(amount)

    def time(self, name: str) -> int | None:
        """A time with its offset, in UTC nanoseconds."""
        allowed = 'a time with its offset, like "2026-09-30T14:00:00Z"'
        text = self.text(name, allowed, required=False)
        if text is None:
            return None
        try:
            return parse_rfc3339(text)
        except NotATime:
            self.refuse(name, shown(text), allowed)
            return None

    def choice(self, name: str, kind: type[E], default: E | None = None) -> E | None:
        """One word of a vocabulary; without a default it is required."""
        words = [member.value for member in kind]
        value = self.text(name, f"one of {', '.join(words)}", required=default is None)
        if value is None:
            return default
        if value in words:
            return kind(value)
        self.refuse(name, shown(value), f"one of {', '.join(words)}{_hint(value, words)}")
        return None

    def tags(self, name: str) -> tuple[str, ...]:
        value = self.take(name, "a list of texts", required=False)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.refuse(name, shown(value), "a list of texts")
            return ()
        for place, tag in enumerate(value):
            if not isinstance(tag, str) or isinstance(tag, Literal):
                self.refuse(f"{name}[{place}]", shown(tag), "a text")
        tags = tuple(tag for tag in value if isinstance(tag, str))
        self.problems += tag_problems(tags)
        return tags

    def table(self, name: str, allowed: str, *, required: bool = True) -> "Table | None":
        value = self.take(name, allowed, required=required)
        if value is None:
            return None
        if not isinstance(value, JsonObject):
            self.refuse(name, shown(value), allowed)
            return None
        return Table(value, f"{self.path}{name}.", self.problems)

    def finish(self, elsewhere: Collection[str] = ()) -> None:
        """Refuse every field that nobody took. `elsewhere` are names that are fields of another kind of object."""
        allowed = f"one of {', '.join(self._known)}"
        for name in list(self._left)[:UNKNOWN_FIELDS_SHOWN_MAX]:
            if name in elsewhere:
                self.refuse(name, "a field of the other kind of intent", allowed)
            else:
                self.refuse(_field(name), "an unknown field", f"{allowed}{_hint(name, self._known)}")
        more = len(self._left) - UNKNOWN_FIELDS_SHOWN_MAX
        if more > 0:
            self.refuse("…", f"{more} more unknown fields", allowed)


def _field(name: str) -> str:
    """The name of a field as it stands, unless it is long, or would upset a terminal; one without letters is quoted."""
    if not name.strip():
        return repr(name)
    return name if name.isascii() and name.isprintable() and len(name) <= FOUND_CHARACTERS_MAX else excerpt(name)


def _hint(found: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(found[:80].lower(), list(words), n=1)
    return f"; did you mean {near[0]}?" if near else ""
