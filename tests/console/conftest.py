"""One scripted store for all tests that only read it."""

from pathlib import Path

import pytest

from .kit import make_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("console") / "store")
