"""A pledge over HTTP, end to end, with 16 clients: 99th percentile in milliseconds, on both databases.

Each pledge holds a receipt over sensed goods, values the facility, writes case of need, events and the stored answer,
and is answered after its fsync. The clients run in this process, the server in another, on the same two cores.

Run alone: `python -m benchmarks.pledge`.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.operation.measure import _url
from benchmarks.support import Figure, Report, work_folder
from entrepot import local_tokens
from entrepot.kernel.operations import SystemClock
from entrepot.settings import load_settings

CLIENTS, FACILITIES, PER_FACILITY = 16, 64, 12
TARGET = (50.0, 10.0)


def figures() -> Iterator[Figure]:
    """`pledge_sqlite_p99_ms` and `pledge_postgres_p99_ms`."""
    for kind in ("sqlite", "postgres"):
        with _url(kind) as url, work_folder() as folder:
            took = _measure(url, folder)
        took.sort()
        p99 = took[int(len(took) * 0.99)]
        print(f"  {kind}: {len(took)} pledges, median {statistics.median(took):.1f} ms, p99 {p99:.1f} ms")
        yield Figure(
            f"pledge_{kind}_p99_ms",
            [p99],
            "ms",
            target=TARGET,
            smaller_is_better=True,
            note=f"{len(took)} pledges by {CLIENTS} clients in one run, durable; clients share the cores",
        )


def _measure(url: str, folder: Path) -> list[float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.pledge_server", url, str(folder), str(port)]
    process = subprocess.Popen([*command, str(FACILITIES), str(PER_FACILITY)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        pairs = [tuple(line.split()) for line in iter(process.stdout.readline, "ready\n")]
        settings = load_settings({}, data_dir=folder, database_url=url)
        until_us = SystemClock().now_us() + 3_600_000_000
        token = local_tokens.issue(settings, "per_chen", "org_huanghe", until_us)
        return asyncio.run(_pledge_all(f"http://127.0.0.1:{port}", token, pairs))
    finally:
        process.terminate()
        process.wait(30)


async def _pledge_all(base: str, token: str, pairs: list[tuple[str, ...]]) -> list[float]:
    took: list[float] = []
    waiting = list(pairs)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        for _ in range(200):
            try:
                if (await client.get("/healthz")).status_code == 200:
                    break
            except httpx.TransportError:
                await asyncio.sleep(0.1)

        async def work() -> None:
            while waiting:
                facility, receipt = waiting.pop()
                started = time.perf_counter()
                answer = await client.post(
                    f"/v1/tradefinance/facilities/{facility}/pledges",
                    json={"receipt_id": receipt},
                    headers={"idempotency-key": receipt},
                )
                took.append((time.perf_counter() - started) * 1000)
                assert answer.status_code == 200, answer.text

        await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return took


def main() -> int:
    report = Report("pledge")
    report.add(*figures())
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
