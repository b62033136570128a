"""Real processes: a gauge, a broker, an ingest. Each is killed at random moments; nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.kernel.database import Database, open_database
from entrepot.kernel.things import operations as ops
from entrepot.kernel.things.broker import EmbeddedBroker
from entrepot.kernel.things.message import public_key
from entrepot.kernel.things.store import TelemetryStore
from entrepot.kernel.things.views import RuleSpec, ValueSpec, base64url
from tests.kernel.things.support import SECRET, TENANT, Server, actor, eventually, key_file, seed, serving, store_url

ROUNDS = max(6, int(os.environ.get("ENTREPOT_CRASH_ROUNDS", "20")) // 3)
VALUES = {
    "level_mm": ValueSpec(unit="mm", minimum=0, maximum=20_000),
    "temperature_c": ValueSpec(unit="Cel"),
    "density_kg_m3": ValueSpec(unit="kg/m3"),
    "water_mm": ValueSpec(unit="mm"),
}


def register(server: Server, name: str, *rules: RuleSpec) -> None:
    server.executor.run(
        ops.RegisterDevice(
            owner="org_owner", title=(name, name), public_key=base64url(public_key(seed(name))), values=VALUES,
            rules=list(rules), device_id=name,
        ),
        actor(),
        f"register {name}",
    )  # fmt: skip


def start_gauge(folder: Path, name: str, url: str, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "entrepot.region.gauge", "--tenant", TENANT, "--device", name, "--mqtt", url]
    command += ["--key", str(key_file(folder, name)), "--store", str(folder / f"{name}.outbox"), "--seed", "1", *more]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def outbox(folder: Path, name: str) -> tuple[int, int]:
    """Readings that wait, and the next number."""
    connection = sqlite3.connect(folder / f"{name}.outbox")
    try:
        ((waiting,),) = connection.execute("SELECT COUNT(*) FROM outbox").fetchall()
        ((following,),) = connection.execute("SELECT value FROM memory WHERE name = 'next_seq'").fetchall()
        return int(waiting), int(following)
    finally:
        connection.close()


async def _alarmed(server: Server, *, cleared: bool) -> None:
    for _ in range(200):
        found = (await server.executor.execute(ops.ListAlarms(), actor())).alarms
        if found and (found[0].cleared_at is not None) == cleared:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the alarm did not turn")


def test_a_gauge_is_seen_obeys_and_alarms(database: Database, tmp_path: Path):
    async def story() -> None:
        async with serving(database) as server:
            loop, telemetry = asyncio.get_running_loop(), server.telemetry
            frozen = RuleSpec(name="frozen", kind="frozen", value="level_mm", window_s=1, limit=0.05)
            await loop.run_in_executor(None, register, server, "dev_t7", frozen)
            gauge = start_gauge(tmp_path, "dev_t7", telemetry.device_url("dev_t7"), "--period", "0.1")
            try:
                await eventually(lambda: telemetry.store.state(TENANT, "dev_t7").accepted >= 3)
                await telemetry.command("dev_t7", {"do": "freeze"})

                await _alarmed(server, cleared=False)
                await telemetry.command("dev_t7", {"do": "thaw"})
                await _alarmed(server, cleared=True)
                latest = await server.executor.execute(ops.GetLatest(device_id="dev_t7"), actor())
                assert latest.reading is not None
                assert abs(latest.reading.values["level_mm"] - 11_900) < 50
                assert latest.refused == 0
            finally:
                gauge.kill()
                gauge.wait()

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.crash
def test_kill_anything_at_any_moment(database_url: str, tmp_path: Path):
    chance = random.Random(7)
    database = open_database(database_url, durable=False)
    server = Server(database, mqtt_url="mqtt://nobody@127.0.0.1:1")
    with server.executor:
        for name in ("dev_a", "dev_b"):
            register(server, name)
    server.telemetry.close()
    url = store_url(database)
    database.close()
    with EmbeddedBroker(SECRET) as broker:
        _storm(chance, broker, database_url, tmp_path)
        program = _start_server(database_url, broker)
        gauges = [_gauge(tmp_path, name, broker, "30") for name in ("dev_a", "dev_b")]  # they empty what waits
        try:
            _until(lambda: all(outbox(tmp_path, name)[0] == 0 for name in ("dev_a", "dev_b")))
        finally:
            for process in (program, *gauges):
                process.kill()
                process.wait()
    store = TelemetryStore(url)
    for name in ("dev_a", "dev_b"):
        following = outbox(tmp_path, name)[1]
        state = store.state(TENANT, name)
        assert [r.seq for r in store.readings(TENANT, name, limit=1 << 30)] == list(range(1, following))
        assert (state.last_seq, state.gaps, state.accepted, state.refused) == (following - 1, [], following - 1, 0)
        assert following > 3 * ROUNDS
    assert store.counts(TENANT).keys() == {"accepted", "duplicates"}
    store.close()


def _storm(chance: random.Random, broker: EmbeddedBroker, database_url: str, folder: Path) -> None:
    """Kill ingest, broker and gauges in turn, with readings on their way."""
    program = _start_server(database_url, broker)
    gauges = {name: _gauge(folder, name, broker) for name in ("dev_a", "dev_b")}
    try:
        for number in range(ROUNDS):
            time.sleep(chance.uniform(0.1, 0.7))
            victim = ("server", "broker", "gauge")[number % 3]
            if victim == "server":
                program.kill()
                program.wait()
                time.sleep(chance.uniform(0, 0.3))
                program = _start_server(database_url, broker)
            elif victim == "broker":
                before = broker.restarts
                os.kill(broker.pid, signal.SIGKILL)
                _until(lambda before=before: broker.restarts > before)  # type: ignore[misc]
            else:
                name = chance.choice(sorted(gauges))
                gauges[name].kill()
                gauges[name].wait()
                gauges[name] = _gauge(folder, name, broker)
    finally:
        for process in (program, *gauges.values()):
            process.kill()
            process.wait()


def _gauge(folder: Path, name: str, broker: EmbeddedBroker, period: str = "0.02") -> subprocess.Popen[bytes]:
    return start_gauge(folder, name, broker.url(f"{TENANT}/{name}"), "--period", period)


def _start_server(database_url: str, broker: EmbeddedBroker) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.kernel.things.server", database_url, broker.url()]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def _until(check: Callable[[], bool], timeout_s: float = 45.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
