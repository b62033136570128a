"""Commands a second with 64 callers, durable, ours and the peer's in turn on the same database.

Run alone: `python -m benchmarks.operation.measure`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from benchmarks.operation import floor, shipping
from benchmarks.operation.peer import Peer
from benchmarks.support import Figure, Report, alternate, work_folder
from entrepot.kernel.database import Database, open_database
from entrepot.kernel.operations import Actor, Executor, Registry, Request, Runtime, System, SystemClock
from tests.support.postgres import Cluster

CALLERS = 64
PARTIES = 1000
WARM_S, MEASURED_S, RUNS = 1.0, 4.0, 3
PEER = "plain SQLAlchemy, a statement a row"
TARGETS = {"sqlite": (6_000.0, 15_000.0), "postgres": (2_500.0, 8_000.0)}


def figures(runs: int = RUNS) -> Iterator[Figure]:
    """The throughput figures on both databases."""
    for kind in ("sqlite", "postgres"):
        with _url(kind) as url:
            print(f"operations on {kind}, {CALLERS} callers, durable")
            yield _against_peer(f"operation_{kind}_s", url, shipping.manifest, _ship, runs)
            yield _against_peer(f"operation_floor_{kind}_s", url, floor.manifest, _move, runs)


def _against_peer(
    name: str, url: str, system: System, request: Callable[[int, int], Request[Any]], runs: int
) -> Figure:
    Registry([system])  # brings the tables
    database = open_database(url)
    database.create_all()
    if system is shipping.manifest:
        _stock(database)
    ours, peers = alternate(runs, lambda: _ours(database, system, request), lambda: _peer(url))
    database.close()
    return Figure(name, ours, "1/s", PEER, peers, TARGETS[database.dialect.replace("postgresql", "postgres")])


@contextmanager
def _url(kind: str) -> Iterator[str]:
    """A fresh durable database on the disk of the checkout."""
    if kind == "sqlite":
        with work_folder() as folder:
            yield f"sqlite:///{folder / 'bench.db'}"
    else:
        with Cluster.create(durable=True) as cluster:
            yield cluster.create_database()


def _ship(seller: int, buyer: int) -> Request[Any]:
    return shipping.Ship(seller=f"p{seller}", buyer=f"p{buyer}", amount=1)


def _move(seller: int, buyer: int) -> Request[Any]:
    return floor.Move(seller=f"p{seller}", buyer=f"p{buyer}", amount=1)


def _ours(database: Database, system: System, request: Callable[[int, int], Request[Any]]) -> float:
    runtime = Runtime(database, Registry([system]), SystemClock())
    scopes = frozenset(scope for granted in system.roles.values() for scope in granted)
    actors = [Actor("bench", f"u{n}", f"p{n}", "person", scopes) for n in range(PARTIES)]
    batch = time.time_ns()
    with Executor(runtime) as executor:

        async def once(seller: int, buyer: int, serial: int) -> None:
            await executor.execute(request(seller, buyer), actors[seller], f"{batch}-{serial}")

        return asyncio.run(_rate(once))


def _stock(database: Database) -> None:
    runtime = Runtime(database, Registry([shipping.manifest]), SystemClock())
    actor = Actor("bench", "stocker", shipping.ISSUER, "person", frozenset({"shipping:ship"}))
    with Executor(runtime) as executor:
        executor.run(shipping.Stock(parties=PARTIES), actor, "stock")


def _peer(url: str) -> float:
    peer = Peer(url, PARTIES)
    batch = time.time_ns()

    async def once(seller: int, buyer: int, serial: int) -> None:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str] = loop.create_future()

        def done(future: Future[str]) -> None:
            loop.call_soon_threadsafe(answered.set_result, future.result())

        peer.ship(f"{batch}-{serial}", f"p{seller}", f"p{buyer}", 1, done)
        await answered

    try:
        return asyncio.run(_rate(once))
    finally:
        peer.close()


async def _rate(once: Callable[[int, int, int], Awaitable[None]]) -> float:
    """Commands a second that `CALLERS` callers complete, each sending its next when the last was answered."""
    chance = random.Random(7)
    serials = itertools.count()
    completed = 0
    stop_at = time.perf_counter() + WARM_S + MEASURED_S

    async def caller() -> None:
        nonlocal completed
        while time.perf_counter() < stop_at:
            seller, buyer = chance.sample(range(PARTIES), 2)
            await once(seller, buyer, next(serials))
            completed += 1

    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    await asyncio.sleep(WARM_S)
    before, started = completed, time.perf_counter()
    await asyncio.sleep(MEASURED_S)
    rate = (completed - before) / (time.perf_counter() - started)
    await asyncio.gather(*callers)
    return rate


def main() -> int:
    report = Report("operation")
    report.add(*figures())
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
