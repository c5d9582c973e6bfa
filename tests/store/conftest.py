"""Both twins of the store, as one parameter; the one on the disk with commits on the loop, and by its thread."""

from pathlib import Path

import pytest
from tallystick.store import lmdb_store

from tests.store.kit import LmdbMedium, Medium, MemoryMedium


@pytest.fixture(params=["memory", "lmdb", "lmdb by its thread"])
def medium(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Medium:
    if request.param == "lmdb by its thread":
        monkeypatch.setattr(lmdb_store, "DIRECT_ROWS_MAX", 0)
    return MemoryMedium() if request.param == "memory" else LmdbMedium(tmp_path / "store")
