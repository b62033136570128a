"""Every figure of the kernel: `make bench-kernel`, or `python -m benchmarks.kernel operation server` for some.

Ends with one JSON line a figure. Run it on an idle machine: the first line says how busy it was.
"""

from __future__ import annotations

import importlib
import sys

from benchmarks.support import Report

PARTS = {
    "operation": "benchmarks.operation.measure",
    "permission": "benchmarks.permission",
    "pledge": "benchmarks.pledge",
    "replay": "benchmarks.replay",
    "server": "benchmarks.server",
}


def main(wanted: list[str]) -> int:
    """Measure the wanted parts, or all; exit status 2 for an unknown part."""
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    report = Report("kernel")
    for part in wanted or PARTS:
        print(f"{part}:", flush=True)
        report.add(*importlib.import_module(PARTS[part]).figures())
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
