"""Simulated days a second, one facility, from 1 July 2008 to 31 March 2009.

Not durable (fsync is off in a replay) and not concurrent. Run alone: `python -m benchmarks.replay`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import date
from io import StringIO

from rich.console import Console

from benchmarks.support import Figure, Report
from entrepot.region.replay import replay_region

FIRST, LAST = date(2008, 7, 1), date(2009, 3, 31)
RUNS = 3


def figures(runs: int = RUNS) -> Iterator[Figure]:
    """`replay_days_s`: calendar days over the whole time, seeding and output included."""
    rates = []
    for number in range(1, runs + 1):
        started = time.perf_counter()
        replay_region(FIRST, LAST, facilities=1, seed=2008, console=Console(file=StringIO(), width=120))
        rates.append(((LAST - FIRST).days + 1) / (time.perf_counter() - started))
        print(f"  run {number}/{runs}: {rates[-1]:.0f} days/s")
    yield Figure("replay_days_s", rates, "days/s", target=(50, 500), note="one facility; fsync off, as in every replay")


def main() -> int:
    report = Report("replay")
    report.add(*figures())
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
