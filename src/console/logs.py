"""Where logs go: to stderr, readable on a terminal, one JSON object a line where a machine reads them.

The runtime's own records (structlog) and those of the actor kernel and of libraries (the standard logging module)
come out alike. stdout stays free for what a command was asked for.
"""

import logging
import sys
from enum import StrEnum
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .text import printable


class Level(StrEnum):
    """From which severity on records are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


OWN_LOGGER = "tallystick"


def configure_logs(level: Level, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Send all logs to stderr (or `stream`) from now on. Libraries are heard from WARNING on, whatever the level is:
    some of them write addresses and headers below that.
    """
    out = sys.stderr if stream is None else stream
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [_printable, structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=0)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger(OWN_LOGGER).setLevel(number)


def _printable(_logger: WrappedLogger, _method: str, record: EventDict) -> EventDict:
    """A venue's words cannot command the terminal; a traceback keeps its lines."""
    return {
        name: printable(value) if isinstance(value, str) and name != "exception" else value
        for name, value in record.items()
    }
