"""Runs the benchmarks: one line of JSON per result on the output, progress on the error stream.

    python -m benchmarks                    everything
    python -m benchmarks --list             the names
    python -m benchmarks --only store       one benchmark (may be given several times)

A line is {"name", "value", "unit", "yardstick", "ratio"}; a ratio above one is better than the yardstick, which was
measured in the same run wherever there is something to measure beside.
"""

import argparse
import importlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from .measure import Row, progress

PREFIX = "bench_"


class Benchmark(Protocol):
    """What a module of this package offers."""

    def run(self) -> Iterator[Row]: ...


def names() -> list[str]:
    """The benchmarks of this package, in order."""
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; the exit code is 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the budgets of the runtime.")
    parser.add_argument("--only", action="append", choices=names(), metavar="NAME", help="run this benchmark alone")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(names()))
        return 0
    for name in options.only or names():
        began = time.monotonic()
        progress(f"--- {name}")
        benchmark = cast(Benchmark, importlib.import_module(f".{PREFIX}{name}", __package__))
        for row in benchmark.run():
            print(json.dumps(row, ensure_ascii=False), flush=True)
        progress(f"--- {name}: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
