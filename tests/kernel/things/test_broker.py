"""The embedded broker: its users and topics, its restarts, its end, and what it shrugs off."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.kernel.things.access import broker_password, may_publish, may_subscribe
from entrepot.kernel.things.broker import BrokerError, EmbeddedBroker
from entrepot.kernel.things.mqtt import Address, MqttConnection, MqttError, Received
from tests.kernel.things.support import SECRET, eventually

TOPIC = "entrepot/lanzhou/dev_a/telemetry"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(SECRET) as broker:
        yield broker


async def connect(broker: EmbeddedBroker, user: str, heard: list[Received], name: str = "") -> MqttConnection:
    def arrived(connection: MqttConnection, received: Received) -> None:
        heard.append(received)
        connection.acknowledge([received.packet_id])

    address = Address.parse(broker.url(user))
    for _ in range(50):
        try:
            return await MqttConnection.open(address, name or user, arrived)
        except OSError:
            await asyncio.sleep(0.1)
    raise AssertionError("the broker did not come back")


def test_access_rules():
    assert may_publish("lanzhou/dev_a", TOPIC)
    assert not may_publish("lanzhou/dev_b", TOPIC)
    assert not may_publish("lanzhou/dev_a", "entrepot/lanzhou/dev_a/command")
    assert may_subscribe("lanzhou/dev_a", "entrepot/lanzhou/dev_a/ack")
    for topic in ("#", "entrepot/#", "entrepot/lanzhou/+/ack", TOPIC):
        assert not may_subscribe("lanzhou/dev_a", topic)
    assert may_publish("entrepot", "anything")
    assert broker_password(SECRET, "a") != broker_password(SECRET, "b")


def test_each_keeps_to_its_own_topics(broker: EmbeddedBroker):
    async def story() -> None:
        heard: list[Received] = []
        acks: list[Received] = []
        server = await connect(broker, "entrepot", heard)
        await server.subscribe("entrepot/lanzhou/+/telemetry")
        device = await connect(broker, "lanzhou/dev_a", acks)
        await device.subscribe("entrepot/lanzhou/dev_a/ack")
        with pytest.raises(MqttError, match="refused the subscription"):
            await device.subscribe("entrepot/lanzhou/dev_b/ack")
        await device.publish("entrepot/lanzhou/dev_b/telemetry", b"not mine")
        await device.publish(TOPIC, b"mine")
        server.send("entrepot/lanzhou/dev_b/ack", b"not for a")
        server.send("entrepot/lanzhou/dev_a/ack", b"for a")
        await eventually(lambda: heard and acks)
        assert [(one.topic, one.payload) for one in heard] == [(TOPIC, b"mine")]
        assert [one.payload for one in acks] == [b"for a"]
        device.close()
        server.close()

    asyncio.run(story())


def test_who_has_no_password_stays_outside(broker: EmbeddedBroker):
    async def story() -> None:
        for user, password in (("entrepot", "guess"), ("", ""), ("lanzhou/dev_a", broker_password(SECRET, "entrepot"))):
            address = Address(broker.host, broker.port, False, user, password)
            with pytest.raises(MqttError, match=r"authorised|password"):
                await MqttConnection.open(address, "x", lambda connection, received: None)

    asyncio.run(story())


RUBBISH = [
    b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"\xff" * 100, b"\x10\xff\xff\xff\x7f", b"\x10\x02\x00\x04",
    b"\x10\x10\x00\x04MQTT\x04\xc2\x00\x3c\x00\x04abcd", os.urandom(500),
]  # fmt: skip


def test_rubbish_harms_nobody_else(broker: EmbeddedBroker):
    async def story() -> None:
        heard: list[Received] = []
        server = await connect(broker, "entrepot", heard)
        await server.subscribe("entrepot/lanzhou/+/telemetry")
        device = await connect(broker, "lanzhou/dev_a", [])
        for number, rubbish in enumerate(RUBBISH):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
            writer.write(rubbish)
            await writer.drain()
            await device.publish(TOPIC, b"%d" % number)
            writer.close()
        signed_in = await connect(broker, "lanzhou/dev_b", [])
        assert signed_in._transport is not None
        signed_in._transport.write(b"\x30\xff\xff\xff\x7f\x00\x01t" + b"x" * 1000)  # announces 256 MiB
        await asyncio.wait_for(signed_in.ended, 10)
        await device.publish(TOPIC, b"last")
        await eventually(lambda: len(heard) == len(RUBBISH) + 1)
        device.close()
        server.close()

    asyncio.run(story())


def test_it_comes_back_on_its_port_when_it_is_killed():
    async def story(broker: EmbeddedBroker) -> None:
        heard: list[Received] = []
        server = await connect(broker, "entrepot", heard)
        before = broker.pid
        os.kill(before, signal.SIGKILL)
        await asyncio.wait_for(server.ended, 10)
        await eventually(lambda: broker.restarts == 1 and broker.pid != before)
        server = await connect(broker, "entrepot", heard)
        await server.subscribe("entrepot/lanzhou/+/telemetry")
        server.close()

    with EmbeddedBroker(SECRET) as broker:
        asyncio.run(story(broker))


def test_a_port_that_is_taken_is_said(broker: EmbeddedBroker):
    with pytest.raises(BrokerError, match="is the port taken"):
        EmbeddedBroker(SECRET, broker.port).start()


def test_it_dies_with_its_parent(tmp_path: Path):
    program = (
        "from entrepot.kernel.things.broker import EmbeddedBroker\n"
        "import time\n"
        f"broker = EmbeddedBroker({SECRET!r}).start()\n"
        "print(broker.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
