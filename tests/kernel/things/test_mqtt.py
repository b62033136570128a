"""The MQTT codec: any cut of the stream gives the same packets, and what is not MQTT ends the connection."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.things import mqtt

topics = st.text(st.characters(codec="utf-8", exclude_characters="#+\0"), min_size=1, max_size=40)


@given(st.lists(st.tuples(topics, st.binary(max_size=400), st.integers(0, 65_535)), max_size=8), st.data())
def test_publish_survives_any_cut(published: list[tuple[str, bytes, int]], data: st.DataObject):
    stream = b"".join(mqtt.publish_packet(*one) for one in published)
    reader, found = mqtt.PacketReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    received = [mqtt.parse_publish(flags, body) for kind, flags, body in found if kind == mqtt.PUBLISH]
    assert received == [mqtt.Received(*one) for one in published]


@pytest.mark.parametrize(
    ("length", "header"),  # OASIS MQTT 3.1.1, table 2.4: the bounds of the remaining length
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (16_383, b"\xff\x7f"), (16_384, b"\x80\x80\x01")],
)
def test_remaining_length(length: int, header: bytes):
    made = mqtt.packet(mqtt.PUBLISH, 0, b"x" * length)
    assert made[1 : 1 + len(header)] == header
    assert mqtt.PacketReader().feed(made) == [(mqtt.PUBLISH, 0, b"x" * length)]


@given(st.binary(max_size=200))
def test_rubbish_is_packets_or_an_error(data: bytes):
    with contextlib.suppress(mqtt.MqttError):
        for kind, flags, body in mqtt.PacketReader().feed(data):
            if kind == mqtt.PUBLISH:
                mqtt.parse_publish(flags, body)


def test_a_packet_that_would_fill_the_memory_is_refused():
    with pytest.raises(mqtt.MqttError, match="too large"):
        mqtt.PacketReader().feed(b"\x30\xff\xff\xff\x7f")
    with pytest.raises(mqtt.MqttError, match="more than four"):
        mqtt.PacketReader().feed(b"\x30\x80\x80\x80\x80\x01")


def test_addresses():
    address = mqtt.Address.parse("mqtts://lanzhou%2Fdev_1:p%40ss@broker.example")
    assert address == mqtt.Address("broker.example", 8883, True, "lanzhou/dev_1", "p@ss")
    for wrong in ("http://x", "mqtt://", "1883", ""):
        with pytest.raises(ValueError, match="no mqtt"):
            mqtt.Address.parse(wrong)


async def _refused(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(mqtt.MqttError):
            await mqtt.MqttConnection.open(mqtt.Address("127.0.0.1", port, False, "u", "p"), "c", _ignore, timeout_s=5)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x05", b"\x20\x02\x00\x04", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_broker_that_refuses_or_is_none(answer: bytes):
    asyncio.run(_refused(answer))


def _ignore(connection: Any, received: mqtt.Received) -> None:
    pass
