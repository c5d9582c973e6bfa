"""In which order trio runs what is ready: decided by a seed, or by whoever draws.

trio takes all runnable tasks as a batch and may reverse it by a coin of its own. With its deterministic mode on, it
sorts the batch and shuffles it with a generator that can be seeded or replaced (actors.md 4.1). Both names are trio's
own and not public; they have stood since 2019, and a test holds them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import trio

_FLAG, _GENERATOR = "_ALLOW_DETERMINISTIC_SCHEDULING", "_r"


@contextmanager
def ordered_tasks(seed: int) -> Iterator[None]:
    """Make trio run what is ready in an order that follows from the seed, until the block ends."""
    with _scheduler_draws_from(Random(seed)):
        yield


@contextmanager
def drawn_tasks(draw: Callable[[int], int]) -> Iterator[None]:
    """Let `draw(n)` choose which of n ready tasks goes next; 0 is the oldest, so that shrinking means "in order".

    `draw` must not raise: it is called inside trio's scheduler. Only under a mock clock, which asks for nothing else.
    """
    with _scheduler_draws_from(_Drawn(draw)):
        yield


class _Drawn:
    """As much of a random generator as trio's scheduler asks for."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw

    def shuffle(self, batch: list[Any]) -> None:
        for place in range(len(batch) - 1):
            chosen = place + self._draw(len(batch) - place)
            batch[place], batch[chosen] = batch[chosen], batch[place]
        batch.reverse()  # trio takes them from the end


@contextmanager
def _scheduler_draws_from(generator: Any) -> Iterator[None]:
    scheduler = vars(trio._core._run)  # noqa: SLF001 - the module that has the two names
    before = {name: scheduler[name] for name in (_FLAG, _GENERATOR)}
    scheduler.update({_FLAG: True, _GENERATOR: generator})
    try:
        yield
    finally:
        scheduler.update(before)
