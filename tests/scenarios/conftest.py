"""Expected crashes and alerts are asserted on, not printed."""

import logging
from collections.abc import Iterator, MutableMapping
from typing import Any, NoReturn

import pytest
import structlog


def _drop(_logger: object, _name: str, _event: MutableMapping[str, Any]) -> NoReturn:
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def _logs_stay_quiet() -> Iterator[None]:
    logger = logging.getLogger("tallystick")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    before = structlog.get_config()
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)
    logger.setLevel(level)
