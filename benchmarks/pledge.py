"""A pledge over HTTP, end to end, with 16 clients: 99th percentile in milliseconds, on both databases.

Each pledge holds a receipt over sensed goods, values the facility, writes case of need, events and the stored answer,
and is answered after its fsync. The clients run in this process, the server in another, on the same two cores; they
speak HTTP/1.1 over sockets, because a client library takes as much of those cores as the server does. The first pledges
meet a server that has just started: they are measured apart, as `pledge_<database>_first_ms`.

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

from benchmarks.operation.measure import _url
from benchmarks.support import Figure, Report, work_folder
from entrepot import local_tokens
from entrepot.kernel.operations import SystemClock
from entrepot.settings import load_settings

CLIENTS, FACILITIES, PER_FACILITY = 16, 64, 18
FIRST = 4 * CLIENTS
TARGET = (50.0, 10.0)


def figures() -> Iterator[Figure]:
    """`pledge_sqlite_p99_ms` and `pledge_postgres_p99_ms`, and what the first pledges after a start took."""
    for kind in ("sqlite", "postgres"):
        with _url(kind) as url, work_folder() as folder:
            took = _measure(url, folder)
        first, later = took[:FIRST], sorted(took[FIRST:])
        p99 = later[int(len(later) * 0.99)]
        print(f"  {kind}: {len(later)} pledges, median {statistics.median(later):.1f} ms, p99 {p99:.1f} ms")
        yield Figure(
            f"pledge_{kind}_p99_ms",
            [p99],
            "ms",
            target=TARGET,
            smaller_is_better=True,
            note=f"{len(later)} pledges by {CLIENTS} clients in one run after the first {FIRST}, durable; median "
            f"{statistics.median(later):.0f} ms; clients share the cores",
        )
        yield Figure(f"pledge_{kind}_first_ms", [max(first)], "ms", note=f"the slowest of the first {FIRST}")


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
        return asyncio.run(_pledge_all(port, token, pairs))
    finally:
        process.terminate()
        process.wait(30)


async def _pledge_all(port: int, token: str, pairs: list[tuple[str, ...]]) -> list[float]:
    took: list[float] = []
    waiting = list(pairs)
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            break
    await asyncio.gather(*(_client(port, token, waiting, took) for _ in range(CLIENTS)))
    return took


async def _client(port: int, token: str, waiting: list[tuple[str, ...]], took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while waiting:
        facility, receipt = waiting.pop()
        body = f'{{"receipt_id": "{receipt}"}}'
        request = (
            f"POST /v1/tradefinance/facilities/{facility}/pledges HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"authorization: Bearer {token}\r\nidempotency-key: {receipt}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}"
        )
        started = time.perf_counter()
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        answer = await reader.readexactly(int(length.partition(":")[2]))
        took.append((time.perf_counter() - started) * 1000)
        assert head.startswith("http/1.1 200 "), answer
    writer.close()


def main() -> int:
    report = Report("pledge")
    report.add(*figures())
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
