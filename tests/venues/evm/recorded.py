"""Loads the encoding vectors that stand beside the project."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

_VECTORS = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "polymarket" / "evm_call_vectors.json"


def vectors() -> Any:
    """All vectors, or a skip with the reason where they are not present."""
    if not _VECTORS.is_file():
        pytest.skip("evm_call_vectors.json is not beside this checkout (../shared/fixtures/polymarket)")
    return msgspec.json.decode(_VECTORS.read_bytes())


def cases(key: str) -> list[Any]:
    """The cases of one list for parametrisation, empty where the vectors are not present."""
    if not _VECTORS.is_file():
        return []
    found = msgspec.json.decode(_VECTORS.read_bytes())[key]
    assert isinstance(found, list)
    return found


def call(name: str) -> Any:
    """One recorded call by its name."""
    return next(case for case in vectors()["calls"] if case["name"] == name)
