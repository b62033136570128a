"""The whole server at rest: seconds from start to the first page, and memory with everything on.

The peer is the least that could show a page with the same console library: one NiceGUI page, no database, no broker.

Run alone: `python -m benchmarks.server`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.support import Figure, Report, work_folder

RUNS = 3
START_TIMEOUT_S = 120
REST_S = 8
PEER = "one bare NiceGUI page"
BARE_PAGE = """
import sys
from nicegui import ui
@ui.page("/")
def page():
    ui.label("Entrepot")
ui.run(host="127.0.0.1", port=int(sys.argv[1]), reload=False, show=False)
"""


def figures(runs: int = RUNS) -> Iterator[Figure]:
    """`first_page_s` and `rss_mb`, on SQLite with the demo region and its devices on, from a filled folder."""
    seconds: list[float] = []
    megabytes: list[float] = []
    peer_seconds: list[float] = []
    peer_megabytes: list[float] = []
    with work_folder() as folder:
        ours = [
            str(Path(sys.executable).parent / "entrepot"),
            "serve",
            "--demo",
            "--data",
            str(folder / "var"),
            "--port",
        ]
        bare = [sys.executable, "-c", BARE_PAGE]
        _start_to_page(ours, folder)  # fills the data folder and the byte-code caches
        for number in range(1, runs + 1):
            for command, times, sizes in ((ours, seconds, megabytes), (bare, peer_seconds, peer_megabytes)):
                second, megabyte = _start_to_page(command, folder)
                times.append(second)
                sizes.append(megabyte)
            print(f"  run {number}/{runs}: first page {seconds[-1]:.2f} s, at rest {megabytes[-1]:.0f} MB")
    yield Figure("first_page_s", seconds, "s", PEER, peer_seconds, (5, 2), smaller_is_better=True)
    yield Figure(
        "rss_mb",
        megabytes,
        "MB",
        PEER,
        peer_megabytes,
        (400, 250),
        smaller_is_better=True,
        note="resident memory of the server and its child processes added up, so shared pages count twice",
    )


def _start_to_page(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds until the first page has arrived whole, and megabytes resident after `REST_S` seconds of rest."""
    port = _free_port()
    started = time.perf_counter()
    with _running([*command, str(port)], folder) as process:
        _page(f"http://127.0.0.1:{port}/", process, folder)
        took_s = time.perf_counter() - started
        time.sleep(REST_S)
        parent = psutil.Process(process.pid)
        tree = [parent, *parent.children(recursive=True)]
        return took_s, sum(one.memory_info().rss for one in tree) / 1e6


def _page(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, follow_redirects=True, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise SystemExit(f"no page at {url}:\n{(folder / 'server.log').read_text()[-3000:]}")


@contextmanager
def _running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: only this server and its children
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    report = Report("server")
    report.add(*figures())
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
