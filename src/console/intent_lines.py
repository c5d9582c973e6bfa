"""Reads lines of intents as they come, from a file or from standard input, with a bound on what one line may cost.

Reading happens on a thread: a terminal, a pipe and a file all block in their own ways, and none of them may hold up
the loop. When the reader is cancelled the thread is left to itself; it holds nothing and ends with the process.
"""

import os
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import trio

from ..model.intake_fields import LINE_BYTES_MAX

READ_BYTES = 65_536


class Line(NamedTuple):
    """One line by its number, from 1. Of one that is too long only its size is kept."""

    number: int
    content: bytes
    too_long_bytes: int | None = None


class LineCutter:
    """Cuts a stream of bytes into lines. Holds at most one line, and of that at most `line_bytes_max`."""

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._line_bytes_max = line_bytes_max
        self._begun = bytearray()
        self._size = 0
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """Take the next bytes; yields the lines that they complete."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._take(part)
            yield self._cut()
        self._take(rest)

    def end(self) -> Iterator[Line]:
        """Yields what stands after the last line feed, if anything does."""
        if self._size:
            yield self._cut()

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        self._begun += part[: self._line_bytes_max + 1 - len(self._begun)]

    def _cut(self) -> Line:
        self._number += 1
        content, size = bytes(self._begun), self._size
        self._begun.clear()
        self._size = 0
        if size > self._line_bytes_max:
            return Line(self._number, b"", size)
        return Line(self._number, content)


async def read_lines(descriptor: int) -> AsyncIterator[Line]:
    """The lines of an open file, each as soon as it is complete. Raises OSError where it cannot be read."""
    cutter = LineCutter()
    while data := await trio.to_thread.run_sync(os.read, descriptor, READ_BYTES, abandon_on_cancel=True):
        for line in cutter.feed(data):
            yield line
    for line in cutter.end():
        yield line
