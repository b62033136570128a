"""What the tests of things share: keys, messages, a directory without a database, and a whole small server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from entrepot.kernel.casework.manifest import manifest as casework
from entrepot.kernel.database import Database
from entrepot.kernel.notices.manifest import manifest as notices
from entrepot.kernel.operations import Actor, Clock, Executor, Registry, Runtime, SystemClock
from entrepot.kernel.parties.manifest import manifest as parties
from entrepot.kernel.things.judgement import Device, ValueModel
from entrepot.kernel.things.manifest import manifest as things
from entrepot.kernel.things.message import ED25519, Suite, encode, public_key, telemetry_topic
from entrepot.kernel.things.rules import Rule
from entrepot.kernel.things.store import telemetry_url
from entrepot.kernel.things.telemetry import Telemetry

TENANT = "lanzhou"
NOW_US = 1_772_352_000_000_000  # 2026-03-01T08:00:00Z
SECOND_US = 1_000_000
SECRET = b"the broker's secret in the tests"
MODEL = {"level_mm": ValueModel("mm", 0, 20_000), "temperature_c": ValueModel("Cel")}
SCOPES = frozenset({"things:read", "things:register", "things:acknowledge", "things:inspect", "casework:read"})


def seed(name: str) -> bytes:
    """A device's private key."""
    return hashlib.sha256(name.encode()).digest()


def message(
    device: str, seq: int, at_us: int = NOW_US, suite: Suite = ED25519, key: bytes | None = None, **values: float
) -> tuple[str, bytes, int]:
    """A sound, signed message, received when it was measured."""
    topic = telemetry_topic(TENANT, device)
    payload = encode(topic, seq, at_us, values or {"level_mm": 12_000.5}, suite, key or seed(device))
    return topic, payload, at_us


class Register:
    """A directory in memory."""

    def __init__(self, *devices: Device) -> None:
        self.known = {device.id: device for device in devices}

    def devices(self, names: Iterable[str], now_us: int) -> Mapping[str, Device]:
        return {name: self.known[name] for name in names if name in self.known}

    def listening(self, now_us: int) -> list[Device]:
        return [device for device in self.known.values() if any(rule.kind == "silent" for rule in device.rules)]


def device(name: str, *rules: Rule, **details: Any) -> Device:
    """A registered Ed25519 device."""
    return Device(name, ED25519, public_key(seed(name)), MODEL, rules, **details)


def store_url(database: Database) -> str:
    """The telemetry store that belongs to a test's database."""
    return telemetry_url("", database.url)


def actor(party: str = "org_owner", person: str = "per_1") -> Actor:
    """A person with every permission on things."""
    return Actor(TENANT, person, party, "person", SCOPES)


class Server:
    """Executor and telemetry over one database."""

    def __init__(self, database: Database, clock: Clock | None = None, **settings: Any) -> None:
        self.clock = clock or SystemClock()
        self.telemetry = Telemetry(
            database, self.clock, TENANT, store_url(database), broker_secret=SECRET, durable=False, **settings
        )
        registry = Registry([parties, casework, notices, things])
        self.executor = Executor(Runtime(database, registry, self.clock, make_things=self.telemetry.things), seed=1)


@asynccontextmanager
async def serving(database: Database, **settings: Any) -> AsyncIterator[Server]:
    """A server with its broker child, until the block ends."""
    server = Server(database, **settings)
    with server.executor:
        await server.telemetry.start(server.executor)
        try:
            async with asyncio.timeout(20):
                await server.telemetry.until_connected()
            yield server
        finally:
            await server.telemetry.stop()


async def eventually(check: Any, timeout_s: float = 20.0) -> None:
    """Wait until `check()` is true."""
    async with asyncio.timeout(timeout_s):
        while not check():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


def key_file(folder: Path, name: str) -> Path:
    """A key file for a gauge process."""
    file = folder / f"{name}.key"
    file.write_bytes(seed(name))
    return file
