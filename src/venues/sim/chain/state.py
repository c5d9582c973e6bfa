"""Numbers that remember every value they had, block by block, so that any kept block can be asked again."""

from bisect import bisect_right
from collections.abc import Hashable
from operator import itemgetter

_BLOCK = itemgetter(0)


class History:
    """Integer cells with one value per block that changed them; a cell never written is zero."""

    def __init__(self) -> None:
        self._cells: dict[Hashable, list[tuple[int, int]]] = {}
        self._written: dict[int, set[Hashable]] = {}

    def get(self, cell: Hashable, block: int) -> int:
        """The value of a cell at the end of a block."""
        versions = self._cells.get(cell)
        if not versions:
            return 0
        if versions[-1][0] <= block:
            return versions[-1][1]
        place = bisect_right(versions, block, key=_BLOCK)
        return versions[place - 1][1] if place else 0

    def put(self, cell: Hashable, block: int, value: int) -> None:
        """Set a cell in a block, which must not be older than the cell's last write."""
        versions = self._cells.setdefault(cell, [])
        if versions and versions[-1][0] == block:
            versions[-1] = (block, value)
        else:
            assert not versions or versions[-1][0] < block, f"{cell} was written in block {versions[-1][0]} > {block}"
            versions.append((block, value))
        self._written.setdefault(block, set()).add(cell)

    def forget_after(self, block: int) -> None:
        """Undo every write of the blocks above this one."""
        for undone in [number for number in self._written if number > block]:
            for cell in self._written.pop(undone):
                versions = self._cells[cell]
                while versions and versions[-1][0] > block:
                    versions.pop()
