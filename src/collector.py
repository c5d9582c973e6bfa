"""Python's garbage collector, set for a process that must not pause.

The collector runs after every 700 new containers by default, and a full run looks at everything that lives: with many
open orders that is a pause of a tenth of a second at a moment nobody chose, and ten percent of all work before it.
Nearly everything here is freed by its reference count alone (values are not even tracked); what is left are the cycles
of ended actors, a few kilobytes each order, which may well wait.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 10, 10)
"""New containers before a young run, young runs before a middle one, middle ones before a full one is considered."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Collect seldom inside the block, and leave out what lives at its beginning; afterwards everything is as before.

    The settings are the process's. What was there at the beginning and becomes a garbage cycle is freed after the end.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
