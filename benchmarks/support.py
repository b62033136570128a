"""What every benchmark shares: how a figure is reported, which machine it was, medians over runs.

A benchmark returns `Figure`s. `report` prints the machine and a table for people, then one JSON line a figure::

    {"figure": "operation_sqlite_s", "value": 15204.0, "unit": "1/s", "peer": "...", "ratio": 6.1}

`ratio` is how many times better than the peer the value is: above 1 we are better, whichever way the figure points.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

OUTPUT = Path("bench-output")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `runs` are all measurements in `unit`; the value is their median.

    `target` is (at least, aim); `smaller_is_better` says which side of it is good.
    """

    name: str
    runs: Sequence[float]
    unit: str
    peer: str = ""
    peer_runs: Sequence[float] = ()
    target: tuple[float, float] | None = None
    smaller_is_better: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        return statistics.median(self.runs)

    @property
    def peer_value(self) -> float | None:
        return statistics.median(self.peer_runs) if self.peer_runs else None

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        peer = self.peer_value
        if not peer or not self.value:
            return None
        return peer / self.value if self.smaller_is_better else self.value / peer

    @property
    def verdict(self) -> str:
        """Against the target: "aim", "at least", or "below"."""
        if self.target is None:
            return ""
        at_least, aim = self.target
        for name, bound in (("aim", aim), ("at least", at_least)):
            if (self.value <= bound) if self.smaller_is_better else (self.value >= bound):
                return name
        return "below"

    def line(self) -> str:
        """The JSON line."""
        peer = f"{self.peer}: {_plain(self.peer_value)}" if self.peer_value is not None else self.peer
        ratio = None if self.ratio is None else round(self.ratio, 2)
        document = {"figure": self.name, "value": _rounded(self.value), "unit": self.unit, "peer": peer, "ratio": ratio}
        return json.dumps(document, ensure_ascii=False)


@dataclass(slots=True)
class Report:
    """Figures as they come; printed, and kept under bench-output/."""

    name: str
    figures: list[Figure] = field(default_factory=list)

    def add(self, *figures: Figure) -> None:
        self.figures.extend(figures)

    def print(self) -> None:
        console = Console(width=max(120, shutil.get_terminal_size().columns))
        console.print(machine())
        table = Table(title=f"benchmarks: {self.name}")
        right = {"value", "runs", "peer's value", "times better", "target"}
        for heading in ("figure", "value", "unit", "runs", "peer's value", "times better", "target", "met"):
            table.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading != "runs")
        for one in self.figures:
            target = f"{_plain(one.target[0])} / {_plain(one.target[1])}" if one.target else ""
            ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
            runs = " ".join(_plain(run) for run in one.runs) if len(one.runs) > 1 else ""
            peer_value = "" if one.peer_value is None else _plain(one.peer_value)
            table.add_row(one.name, _plain(one.value), one.unit, runs, peer_value, ratio, target, one.verdict)
        console.print(table)
        for one in self.figures:
            said = "; ".join(filter(None, (one.note, f"peer: {one.peer}" if one.peer else "")))
            if said:
                console.print(f"{one.name}: {said}", highlight=False)
        lines = [one.line() for one in self.figures]
        OUTPUT.mkdir(exist_ok=True)
        (OUTPUT / f"{self.name}.jsonl").write_text("\n".join(lines) + "\n")
        print("\n".join(lines), flush=True)


def machine() -> str:
    """The machine in one paragraph: processor, cores, memory, kernel, Python, SQLite, and how long an fsync takes."""
    model = platform.processor() or "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"fsync of 4 KiB {fsync_ms():.2f} ms, load average before {load:.1f}"
    )


def fsync_ms(count: int = 50) -> float:
    """Median milliseconds of an appended, synchronised 4 KiB block in the folder that benchmarks write to."""
    taken_ms = []
    with work_folder() as folder, (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            taken_ms.append((time.perf_counter() - started) * 1e3)
    return statistics.median(taken_ms)


@contextmanager
def work_folder() -> Iterator[Path]:
    """A temporary folder on the disk of the checkout, since /tmp may be memory; removed at the end."""
    OUTPUT.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=OUTPUT)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def alternate(
    count: int, ours: Callable[[], float], peer: Callable[[], float], *, report: Callable[[str], None] = print
) -> tuple[list[float], list[float]]:
    """Measure ours and the peer in turn, `count` times each, so that a slow minute of the machine hits both."""
    our_runs: list[float] = []
    peer_runs: list[float] = []
    for number in range(1, count + 1):
        our_runs.append(ours())
        peer_runs.append(peer())
        report(f"  run {number}/{count}: {_plain(our_runs[-1])}, peer {_plain(peer_runs[-1])}")
    return our_runs, peer_runs


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def _plain(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
