from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from tallystick.actors.kernel import ActorSystem

from .world import in_virtual_time, new_system, run_in_virtual_time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the virtual clock before the runner that trio_mode gives to every async test."""
    for item in items:
        if any(mark.kwargs.get("run") is run_in_virtual_time for mark in item.iter_markers("trio")):
            item.add_marker(in_virtual_time, append=False)


@pytest.fixture(autouse=True)
def _expected_crashes_stay_quiet() -> Iterator[None]:
    logger = logging.getLogger("tallystick.actors")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with new_system() as system:
        yield system


@pytest.fixture
def log() -> list[str]:
    return []
