"""Reads whole structs of settings from tables: the struct's fields, types and defaults are the rules."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import NewType, TypeVar, Union, get_args, get_origin

import msgspec

from .toml_table import Bounds, Table

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
OFF = "off"
SECONDS = Bounds(minimum=Decimal(0), maximum=Decimal(86_400), above=True)
"""Of any duration: more than a day is a mistake of the unit."""
COUNT = Bounds(minimum=Decimal(1), maximum=Decimal(1_000_000))
NOT_NEGATIVE = Bounds(minimum=Decimal(0))


def read_fields(table: Table, kind: type[S], bounds: Mapping[str, Bounds], **given: object) -> S:
    """Read a struct whose fields are the keys of a table, each by the field's own type and default.

    What is `given` is not read; a field that is itself a struct is a table of its own. `bounds` holds by field name
    what the rules above do not say: durations are in (0, a day], counts from 1, amounts not negative. A field that
    may be None is set so by the text "off". Whoever calls finishes the table.
    """
    fields = msgspec.structs.fields(kind)
    values = {field.name: _field(table, field, bounds) for field in fields if field.name not in given}
    return kind(**values, **given)


def _field(table: Table, field: msgspec.structs.FieldInfo, all_bounds: Mapping[str, Bounds]) -> object:
    key = field.name
    bounds = all_bounds.get(key)
    kind, optional = _plain_type(field.type)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        inner = table.table(key)
        found = read_fields(inner, kind, all_bounds)
        inner.finish()
        return found
    default: object = None
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    elif field.default is not msgspec.NODEFAULT:
        default = field.default
    if optional and (key not in table or table.is_text(key, OFF)):
        table.knows(key)
        return None if key in table else default
    if kind is float:
        return table.number(key, _as(default, (int, float)), bounds or SECONDS)
    if kind is int:
        return table.integer(key, _as(default, int), bounds or COUNT)
    if kind is Decimal:
        return table.amount(key, _as(default, Decimal), bounds or NOT_NEGATIVE)
    if kind is bool:
        return table.flag(key, bool(default))
    if kind is str:
        return table.text(key, _as(default, str))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(table.choice(key, _as(default, str), [member.value for member in kind]))
    if get_origin(kind) is tuple:
        return table.texts(key, allowed="a list of texts") if key in table else table.passed(key, default)
    raise TypeError(f"no rule reads the setting {key} of type {field.type!r}; add one here")


def _as(value: object, kind: type[T] | tuple[type[T], ...]) -> T | None:
    return value if isinstance(value, kind) else None


def _plain_type(kind: object) -> tuple[object, bool]:
    """The type below unions with None and below the model's own names for decimals and texts."""
    optional = False
    if get_origin(kind) in {Union, UnionType}:
        parts = [part for part in get_args(kind) if part is not NoneType]
        assert len(parts) == 1, f"a setting of several types: {kind!r}"
        kind, optional = parts[0], True
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    return kind, optional
