"""The base of every value: frozen, typed, decoded strictly."""

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A value that never changes after it was made and is equal to any other with the same content."""
