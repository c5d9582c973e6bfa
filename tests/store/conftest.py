"""Both twins of the store, as one parameter."""

from pathlib import Path

import pytest

from tests.store.kit import LmdbMedium, Medium, MemoryMedium


@pytest.fixture(params=["memory", "lmdb"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    return MemoryMedium() if request.param == "memory" else LmdbMedium(tmp_path / "store")
