"""Lines are cut from whatever pieces they come in, and no line costs more than its bound."""

import itertools
import os

from hypothesis import given
from hypothesis import strategies as st
from tallystick.console.intent_lines import Line, LineCutter, read_lines


def cut(pieces: list[bytes], line_bytes_max: int = 8) -> list[Line]:
    cutter = LineCutter(line_bytes_max)
    return [line for piece in pieces for line in cutter.feed(piece)] + list(cutter.end())


@given(content=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=8))
def test_lines_do_not_depend_on_the_pieces_they_come_in(content: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(content)]
    pieces = [content[start:end] for start, end in itertools.pairwise(places)]
    assert cut(pieces) == cut([content])


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=8))
def test_every_line_has_its_number_and_its_bytes_or_its_size(lines: list[bytes]) -> None:
    found = cut([b"".join(line + b"\n" for line in lines)])
    assert found == [
        Line(number, line) if len(line) <= 8 else Line(number, b"", len(line)) for number, line in enumerate(lines, 1)
    ]


def test_what_stands_after_the_last_line_feed_is_a_line() -> None:
    assert cut([b"a\nb"]) == [Line(1, b"a"), Line(2, b"b")]
    assert cut([b"a\n"]) == [Line(1, b"a")]
    assert cut([]) == []


def test_a_line_without_end_is_held_up_to_its_bound_alone() -> None:
    cutter = LineCutter(8)
    for _ in range(1000):
        assert list(cutter.feed(b"x" * 100)) == []
    assert len(cutter._begun) == 9
    assert list(cutter.end()) == [Line(1, b"", 100_000)]


async def test_a_file_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nhalf")
    os.close(writing)
    assert [line.content async for line in read_lines(reading)] == [b"one", b"two", b"half"]
    os.close(reading)
