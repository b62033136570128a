"""Telemetry: messages a second through judgement and commit, through the embedded broker, and our MQTT client's share.

    python -m benchmarks.telemetry [--runs 3]

- `telemetry_ingest_ed25519_s`, `telemetry_ingest_hmac_s`: signed messages judged and durably committed, 500 a batch.
- `telemetry_embedded_s`: QoS 1 from one device through the embedded broker to a subscriber that acknowledges.
- `telemetry_client_s`: what our MQTT client takes at QoS 1 from a source that never waits; the peer is amqtt's client
  (which acknowledges on arrival, and so could not acknowledge after the commit).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from amqtt.client import MQTTClient

from benchmarks.support import Figure, Report, alternate, work_folder
from entrepot.kernel.things.broker import EmbeddedBroker
from entrepot.kernel.things.ingest import Ingest, Message
from entrepot.kernel.things.judgement import Device
from entrepot.kernel.things.message import ED25519, HMAC_SHA256, Suite, encode, public_key, telemetry_topic
from entrepot.kernel.things.mqtt import Address, MqttConnection, PacketReader, Received, packet, publish_packet
from entrepot.kernel.things.store import TelemetryStore

TENANT, DEVICES, BATCH = "lanzhou", 20, 500
NOW_US = 1_772_352_000_000_000
VALUES = {"level_mm": 11_874.6, "temperature_c": 18.25, "density_kg_m3": 852.31, "water_mm": 19.8}
KEY = hashlib.sha256(b"benchmark").digest()
SUBSCRIPTION = f"entrepot/{TENANT}/+/telemetry"


class Everybody:
    """A directory in which every device is registered with one key."""

    def __init__(self, suite: Suite) -> None:
        self._suite, self._key = suite, public_key(KEY) if suite == ED25519 else KEY

    def devices(self, names: Iterable[str], now_us: int) -> Mapping[str, Device]:
        return {name: Device(name, self._suite, self._key) for name in names}

    def listening(self, now_us: int) -> list[Device]:
        return []


def signed(suite: Suite, count: int) -> list[Message]:
    """Messages of DEVICES devices in turn."""
    messages = []
    for number in range(count):
        topic = telemetry_topic(TENANT, f"dev_{number % DEVICES}")
        seq, at_us = number // DEVICES + 1, NOW_US + number
        messages.append((topic, encode(topic, seq, at_us, VALUES, suite, KEY), at_us))
    return messages


def ingest_rate(folder: Path, suite: Suite, messages: list[Message], run: int) -> float:
    """Messages a second, judged and committed with fsync."""
    store = TelemetryStore(f"sqlite:///{folder}/{suite}-{run}.sqlite")
    ingest = Ingest(store, Everybody(suite), TENANT)
    started = time.perf_counter()
    for start in range(0, len(messages), BATCH):
        ingest.ingest(messages[start : start + BATCH])
    rate = len(messages) / (time.perf_counter() - started)
    assert store.counts(TENANT) == {"accepted": len(messages), "duplicates": 0}
    ingest.close()
    store.close()
    return rate


async def _publish(broker: EmbeddedBroker, count: int, heard: asyncio.Future[None]) -> None:
    url = broker.url(f"{TENANT}/dev_0")
    device = await MqttConnection.open(Address.parse(url), "device", lambda connection, received: None)
    topic = telemetry_topic(TENANT, "dev_0")
    payload = encode(topic, 1, NOW_US, VALUES, ED25519, KEY)
    room = asyncio.Semaphore(200)

    async def one() -> None:
        async with room:
            await device.publish(topic, payload)

    await asyncio.gather(*(one() for _ in range(count)))
    await heard  # amqtt forgets what it acknowledged but did not forward when the sender leaves
    device.close()


async def ours(broker: EmbeddedBroker, count: int) -> float:
    """Messages a second from device to our subscriber."""
    done = asyncio.get_running_loop().create_future()
    heard = 0

    def arrived(connection: MqttConnection, received: Received) -> None:
        nonlocal heard
        heard += 1
        connection.acknowledge([received.packet_id])
        if heard == count:
            done.set_result(None)

    connection = await MqttConnection.open(Address.parse(broker.url()), "subscriber", arrived)
    await connection.subscribe(SUBSCRIPTION)
    started = time.perf_counter()
    await _publish(broker, count, done)
    rate = count / (time.perf_counter() - started)
    connection.close()
    return rate


@asynccontextmanager
async def source(count: int) -> AsyncIterator[tuple[str, asyncio.Future[None]]]:
    """Something that says what a broker says and sends `count` messages at once; the future: all are acknowledged."""
    acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    topic = telemetry_topic(TENANT, "dev_0")
    payload = encode(topic, 1, NOW_US, VALUES, ED25519, KEY)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets, acks = PacketReader(), 0
        with suppress(asyncio.CancelledError):  # the client may leave last
            while data := await reader.read(65_536):
                for kind, _, body in packets.feed(data):
                    if kind == 1:
                        writer.write(packet(2, 0, b"\0\0"))
                    elif kind == 8:
                        writer.write(packet(9, 0, body[:2] + b"\1"))
                        writer.write(b"".join(publish_packet(topic, payload, 1 + n % 65_535) for n in range(count)))
                    elif kind == 4:
                        acks += 1
                        if acks == count:
                            acknowledged.set_result(None)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"mqtt://a:b@127.0.0.1:{server.sockets[0].getsockname()[1]}", acknowledged
    server.close()


async def our_client(count: int) -> float:
    """Messages a second that our client takes and acknowledges."""
    async with source(count) as (url, acknowledged):
        connection = await MqttConnection.open(
            Address.parse(url), "ours", lambda connection, received: connection.acknowledge([received.packet_id])
        )
        started = time.perf_counter()
        await connection.subscribe(SUBSCRIPTION)
        await acknowledged
        rate = count / (time.perf_counter() - started)
        connection.close()
        return rate


async def amqtts_client(count: int) -> float:
    """Messages a second that amqtt's client takes and acknowledges."""
    async with source(count) as (url, acknowledged):
        client = MQTTClient(client_id="peer", config={"auto_reconnect": False})
        await client.connect(url)

        async def hear() -> None:
            for _ in range(count):
                await client.deliver_message()

        started = time.perf_counter()
        hearing = asyncio.ensure_future(hear())
        await client.subscribe([(SUBSCRIPTION, 1)])
        await asyncio.gather(acknowledged, hearing)
        rate = count / (time.perf_counter() - started)
        await client.disconnect()
        return rate


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Telemetry: messages a second")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=4_000)
    options = parser.parse_args()
    report = Report("telemetry")
    with work_folder() as folder:
        for suite, name in ((ED25519, "ed25519"), (HMAC_SHA256, "hmac")):
            messages = signed(suite, options.count)
            runs = [ingest_rate(folder, suite, messages, run) for run in range(options.runs)]
            report.add(Figure(f"telemetry_ingest_{name}_s", runs, "1/s", note="verified, sequenced, committed (fsync)"))
    with EmbeddedBroker(b"benchmark") as broker:
        runs = [asyncio.run(ours(broker, options.count)) for _ in range(options.runs)]
        report.add(Figure("telemetry_embedded_s", runs, "1/s", note="amqtt in its child process is the limit"))
    our_runs, peer_runs = alternate(
        options.runs,
        lambda: asyncio.run(our_client(options.count)),
        lambda: asyncio.run(amqtts_client(options.count)),
    )
    report.add(Figure("telemetry_client_s", our_runs, "1/s", peer="amqtt's client", peer_runs=peer_runs))
    report.print()


if __name__ == "__main__":
    main()
