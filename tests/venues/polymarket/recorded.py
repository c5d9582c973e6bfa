"""Loads the recorded payloads and the signing vectors that stand beside the project."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "polymarket"


def payload(name: str) -> bytes:
    """The bytes of one recorded file, or a skip with the reason where the fixtures are not present."""
    path = FIXTURES / name
    if not path.is_file():
        pytest.skip(f"the recorded payload {name} is not beside this checkout (../shared/fixtures/polymarket)")
    return path.read_bytes()


def decoded(name: str) -> Any:
    """One recorded file as plain JSON values."""
    return msgspec.json.decode(payload(name))


def names(folder: str) -> list[str]:
    """The recorded files of one folder, empty where the fixtures are not present."""
    return sorted(f"{folder}/{path.name}" for path in (FIXTURES / folder).glob("*.json"))


def cases(name: str, *keys: str) -> list[Any]:
    """The cases of a vector file for parametrisation, empty where the fixtures are not present."""
    path = FIXTURES / name
    if not path.is_file():
        return []
    found = msgspec.json.decode(path.read_bytes())
    for key in keys:
        found = found[key]
    assert isinstance(found, list)
    return found
