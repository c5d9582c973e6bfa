"""What every benchmark shares: medians over rounds, the row it prints, and the disk's own speed as a yardstick."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

FDATASYNC_SAMPLES = 400
FDATASYNC_BYTES = 200

Row = dict[str, object]


def row(name: str, value: float, unit: str, yardstick: float, *, more_is_better: bool = False) -> Row:
    """One result. `ratio` is how many times better than the yardstick the value is, so more is better everywhere."""
    ratio = value / yardstick if more_is_better else yardstick / value
    return {
        "name": name,
        "value": _rounded(value),
        "unit": unit,
        "yardstick": _rounded(yardstick),
        "ratio": _rounded(ratio),
    }


def _rounded(number: float) -> float:
    """Four digits that mean something, whatever the size."""
    return float(f"{number:.4g}") if abs(number) < 1000 else round(number)


def median_of(rounds: int, measure: Callable[[], float], what: str = "") -> float:
    """The median over rounds: one pause of the machine does not count, and one lucky round neither."""
    values = []
    for number in range(rounds):
        values.append(measure())
        if what:
            progress(f"{what}: round {number + 1} of {rounds}: {values[-1]:.6g}")
    return median(values)


def progress(text: str) -> None:
    """Say on the error stream what is going on; results alone go to the output."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory for stores, on the disk that is measured: `TALLYSTICK_BENCH_DIRECTORY`, else the temporary one."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TALLYSTICK_BENCH_DIRECTORY"), prefix="bench-") as name:
        yield Path(name)


def fdatasync_seconds(directory: Path, samples: int = FDATASYNC_SAMPLES) -> float:
    """The median of one overwrite of 200 bytes made safe: what no durable step can do without."""
    path = directory / "yardstick"
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.write(file, bytes(FDATASYNC_BYTES * samples))
        os.fsync(file)
        times = []
        for number in range(samples):
            began = time.perf_counter()
            os.pwrite(file, bytes(FDATASYNC_BYTES), number * FDATASYNC_BYTES)
            os.fdatasync(file)
            times.append(time.perf_counter() - began)
    finally:
        os.close(file)
        path.unlink()
    return median(times)
