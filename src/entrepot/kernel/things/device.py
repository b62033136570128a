"""The device's side: measure, sign, keep until acknowledged, send again. Nothing here knows the server.

A reading is on the device's disk before it is sent, and stays there until an acknowledgement names its number.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.kernel.things.message import Suite, ack_topic, command_topic, encode, telemetry_topic
from entrepot.kernel.things.mqtt import Address, MqttConnection, MqttError, Received

WINDOW = 200  # readings sent and not yet acknowledged
SEND_AGAIN_S = 3.0
RECONNECT_S = (0.1, 0.3, 1.0, 3.0)


class Outbox:
    """The store-and-forward file of a device. For one process and one thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._sql = sqlite3.connect(file, isolation_level=None)
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute("PRAGMA synchronous=FULL")  # a number that left the device may never mean another reading
        self._sql.execute("CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY, message BLOB NOT NULL)")
        self._sql.execute("CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    @property
    def next_seq(self) -> int:
        """The number of the next reading."""
        return int(self.recall("next_seq", "1"))

    def recall(self, name: str, default: str = "") -> str:
        """What was kept under a name."""
        row = self._sql.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def put(self, seq: int, message: bytes, memory: Mapping[str, str]) -> None:
        """Keep a reading, and with it, at once, what else the device must remember."""
        with self._transaction():
            self._sql.execute("INSERT INTO outbox VALUES (?, ?)", (seq, message))
            self._remember({**memory, "next_seq": str(seq + 1)})

    def unsent(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Kept readings with a number above `after`, oldest first."""
        return self._sql.execute(
            "SELECT seq, message FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        ).fetchall()

    def waiting(self, up_to: int = 1 << 62) -> int:
        """How many readings are kept, up to a number."""
        return int(self._sql.execute("SELECT COUNT(*) FROM outbox WHERE seq <= ?", (up_to,)).fetchone()[0])

    def acknowledged(self, seq: int, missing: list[tuple[int, int]]) -> int:
        """Forget what the server has: all up to `seq` but what is missing there; how many were forgotten."""
        keep = " AND NOT seq BETWEEN ? AND ?" * len(missing)
        bounds = [bound for gap in missing for bound in gap]
        with self._transaction():
            forgotten = self._sql.execute(f"DELETE FROM outbox WHERE seq <= ?{keep}", (seq, *bounds)).rowcount
            if seq >= self.next_seq:  # this file was lost once: numbers that were used before are not used again
                self._remember({"next_seq": str(seq + 1)})
        return int(forgotten)

    def _remember(self, memory: Mapping[str, str]) -> None:
        self._sql.executemany("INSERT OR REPLACE INTO memory VALUES (?, ?)", memory.items())

    @contextlib.contextmanager
    def _transaction(self) -> Any:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device is. `key`: the 32-byte Ed25519 seed, or the shared key."""

    tenant: str
    device: str
    suite: Suite
    key: bytes


class DeviceLink:
    """Keeps a device connected and its outbox empty. `on_command` hears what the server orders."""

    def __init__(
        self, identity: Identity, url: str, outbox: Outbox,
        on_command: Callable[[dict[str, Any]], None] = lambda order: None,
    ) -> None:  # fmt: skip
        self._identity = identity
        self._address = Address.parse(url)
        self._outbox = outbox
        self._on_command = on_command
        self._topic = telemetry_topic(identity.tenant, identity.device)
        self._ack_topic = ack_topic(identity.tenant, identity.device)
        self._command_topic = command_topic(identity.tenant, identity.device)
        self._sent = 0
        self._loop = asyncio.get_running_loop()
        self._progress_at = self._loop.time()
        self._changed = asyncio.Event()
        self.connected = False

    def measured(self, at_us: int, values: Mapping[str, float], memory: Mapping[str, str] | None = None) -> int:
        """Number, sign and keep a reading; it is sent when the link allows. Its number."""
        seq = self._outbox.next_seq
        message = encode(self._topic, seq, at_us, values, self._identity.suite, self._identity.key)
        self._outbox.put(seq, message, memory or {})
        self._changed.set()
        return seq

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            try:
                await self._serve()
            except (MqttError, OSError):
                pass
            else:
                failures = 0
            await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])
            failures += 1

    async def _serve(self) -> None:
        name = f"{self._identity.tenant}/{self._identity.device}"
        connection = await MqttConnection.open(self._address, name, self._arrived)
        try:
            await connection.subscribe(self._ack_topic, self._command_topic)
            self._sent = 0  # what was under way when the last connection ended may be lost
            self.connected = True
            connection.ended.add_done_callback(lambda ended: self._changed.set())
            while not connection.ended.done():
                await self._send_some(connection)
        finally:
            self.connected = False
            connection.close()

    async def _send_some(self, connection: MqttConnection) -> None:
        """Fill the window, then wait for something to change; without progress, send from the oldest again."""
        under_way = self._outbox.waiting(self._sent) if self._sent else 0
        if not under_way:
            self._progress_at = self._loop.time()
        for seq, message in self._outbox.unsent(self._sent, WINDOW - under_way):
            connection.send(self._topic, message, confirmed=True)
            self._sent = seq
        await connection.drain()
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEND_AGAIN_S):
                await self._changed.wait()
        if self._loop.time() - self._progress_at >= SEND_AGAIN_S:
            self._sent, self._progress_at = 0, self._loop.time()  # the broker or the server lost something

    def _arrived(self, connection: MqttConnection, received: Received) -> None:
        connection.acknowledge([received.packet_id])
        try:
            said = json.loads(received.payload)
            if received.topic == self._ack_topic:
                missing = [(int(first), int(last)) for first, last in said.get("missing", [])[:64]]
                if self._outbox.acknowledged(int(said["seq"]), missing):
                    self._progress_at = self._loop.time()
            elif received.topic == self._command_topic and isinstance(said, dict):
                self._on_command(said)
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # whatever it was, it was no acknowledgement: the readings stay
        self._changed.set()
