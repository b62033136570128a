"""A small MQTT 3.1.1 client: QoS 0 and 1, and acknowledgements under our control.

Why not a library: a reading may be acknowledged to the broker only after it is committed, amqtt's client acknowledges
on arrival; and one pass over the received bytes is several times quicker (benchmarks/telemetry.py). Everything it can
receive from a broker is checked and bounded; what is not MQTT closes the connection.

The numbers in comments are sections of the OASIS standard "MQTT Version 3.1.1".
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
MAX_PACKET_BYTES = 1 << 20
MAX_PACKET_ID = 65_535
REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses the client identifier",
    3: "the broker is not available",
    4: "wrong user name or password",
    5: "not authorised",
}


class MqttError(ConnectionError):
    """The broker refused, broke the protocol, or is gone."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that arrived; `packet_id` 0 at QoS 0, else to be given to `acknowledge` once it is safe."""

    topic: str
    payload: bytes
    packet_id: int


# --- packets -------------------------------------------------------------------------------------------------------


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """A control packet: fixed header with the remaining length (2.2), then the body."""
    length, header = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = length >> 7, length & 127
        header.append(digit | (128 if length else 0))
        if not length:
            return bytes(header) + body


def text(value: str | bytes) -> bytes:
    """A length-prefixed string (1.5.3). Raises ValueError beyond 65,535 bytes."""
    raw = value.encode() if isinstance(value, str) else value
    if len(raw) > 65_535:
        raise ValueError("an MQTT string has at most 65,535 bytes")
    return len(raw).to_bytes(2) + raw


def publish_packet(topic: str, payload: bytes, packet_id: int = 0) -> bytes:
    """PUBLISH (3.3), QoS 1 when there is a packet identifier."""
    identifier = packet_id.to_bytes(2) if packet_id else b""
    return packet(PUBLISH, 2 if packet_id else 0, text(topic) + identifier + payload)


class PacketReader:
    """Bytes in, packets out, whatever the pieces they arrive in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """The packets completed by these bytes: kind, flags, body. Raises MqttError."""
        buffer = self._buffer
        buffer += data
        packets, start = [], 0
        while (header := self._header(start)) is not None:
            begin, length = header
            if len(buffer) - begin < length:
                break
            packets.append((buffer[start] >> 4, buffer[start] & 15, bytes(buffer[begin : begin + length])))
            start = begin + length
        if start:
            del buffer[:start]
        return packets

    def _header(self, start: int) -> tuple[int, int] | None:
        """Where the body at `start` begins and its length; None while the header is incomplete."""
        buffer, length = self._buffer, 0
        for place in range(4):
            position = start + 1 + place
            if position >= len(buffer):
                return None
            length |= (buffer[position] & 127) << (7 * place)
            if length > MAX_PACKET_BYTES:
                raise MqttError("the packet is too large")
            if buffer[position] < 128:
                return position + 1, length
        raise MqttError("the remaining length has more than four bytes")


def parse_publish(flags: int, body: bytes) -> Received:
    """A received PUBLISH (3.3). Raises MqttError."""
    quality = flags >> 1 & 3
    end = 2 + int.from_bytes(body[:2])
    start = end + (2 if quality else 0)
    if quality > 1 or len(body) < max(2, start):
        raise MqttError("a PUBLISH that was not asked for, or is cut short")
    try:
        topic = body[2:end].decode()
    except UnicodeDecodeError:
        raise MqttError("a topic that is not UTF-8") from None
    packet_id = int.from_bytes(body[end:start])
    if quality and not packet_id:
        raise MqttError("a PUBLISH without its packet identifier")
    return Received(topic, body[start:], packet_id)


# --- addresses -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is, and as whom to speak to it."""

    host: str
    port: int
    tls: bool
    user: str
    password: str

    @staticmethod
    def parse(url: str) -> "Address":
        """From `mqtt://user:password@host:1883` or `mqtts://…`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise ValueError(f"{url!r} is no mqtt:// or mqtts:// address")
        tls = parts.scheme == "mqtts"
        port = parts.port or (8883 if tls else 1883)
        return Address(parts.hostname, port, tls, unquote(parts.username or ""), unquote(parts.password or ""))


def connect_packet(client_id: str, user: str, password: str, keep_alive_s: int) -> bytes:
    """CONNECT (3.1) with a clean session: nobody but the device is trusted to keep what was not acknowledged."""
    flags = 0x02 | (0x80 if user else 0) | (0x40 if user and password else 0)
    body = text("MQTT") + bytes([4, flags]) + keep_alive_s.to_bytes(2) + text(client_id)
    if user:
        body += text(user)
        if password:
            body += text(password)
    return packet(CONNECT, 0, body)


# --- the connection --------------------------------------------------------------------------------------------------


class MqttConnection(asyncio.Protocol):
    """One connection, from `open` to its end. Not reused: after the end, open another.

    `on_message` is called for every message, in order, on the event loop.
    """

    def __init__(self, on_message: Callable[["MqttConnection", Received], None], keep_alive_s: int = 20) -> None:
        self._on_message = on_message
        self._keep_alive_s = keep_alive_s
        self._reader = PacketReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._next_id = 0
        self._heard_at = 0.0
        self._pinging: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._can_write = asyncio.Event()
        self._can_write.set()
        self.ended: asyncio.Future[str] = self._loop.create_future()

    @staticmethod
    async def open(
        address: Address, client_id: str, on_message: Callable[["MqttConnection", Received], None], *,
        keep_alive_s: int = 20, timeout_s: float = 10.0,
    ) -> "MqttConnection":  # fmt: skip
        """Connect and sign in. Raises MqttError or OSError."""
        connection = MqttConnection(on_message, keep_alive_s)
        tls = ssl.create_default_context() if address.tls else None
        try:
            async with asyncio.timeout(timeout_s):
                await connection._loop.create_connection(lambda: connection, address.host, address.port, ssl=tls)
                hello = connection._expect(CONNACK, 0)
                connection._write(connect_packet(client_id, address.user, address.password, keep_alive_s))
                code = (await hello)[1:2]
        except TimeoutError:
            connection.close("no answer")
            raise MqttError(f"{address.host}:{address.port} did not answer") from None
        if code != b"\0":
            connection.close("refused")
            raise MqttError(REFUSALS.get(code[0] if code else 0, "the broker refused the connection"))
        connection._pinging = connection._loop.create_task(connection._keep_alive())
        return connection

    async def subscribe(self, *filters: str) -> None:
        """Ask for the messages of these topic filters at QoS 1. Raises MqttError."""
        identifier = self._identifier(SUBACK)
        body = identifier.to_bytes(2) + b"".join(text(one) + b"\1" for one in filters)
        answer = self._expect(SUBACK, identifier)
        self._write(packet(SUBSCRIBE, 2, body))
        codes = (await answer)[2:]
        if len(codes) != len(filters) or any(code > 1 for code in codes):
            raise MqttError(f"the broker refused the subscription to {', '.join(filters)}")

    def send(self, topic: str, payload: bytes, *, confirmed: bool = False) -> None:
        """Publish without waiting: the caller has its own way of knowing that it arrived.

        QoS 0, or with `confirmed` QoS 1, which obliges the broker to deliver. Raises MqttError.
        """
        self._write(publish_packet(topic, payload, self._identifier(PUBACK) if confirmed else 0))

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 and wait until the broker has it. Raises MqttError."""
        identifier = self._identifier(PUBACK)
        answer = self._expect(PUBACK, identifier)
        self._write(publish_packet(topic, payload, identifier))
        await self._can_write.wait()
        await answer

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Tell the broker that these messages are safe; nothing happens when the connection is gone."""
        out = b"".join([b"\x40\x02" + identifier.to_bytes(2) for identifier in packet_ids if identifier])
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(out)

    def pause(self) -> None:
        """Stop reading: the broker, and behind it the devices, wait."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._heard_at = self._loop.time()

    async def drain(self) -> None:
        """Wait until the socket takes more. Raises MqttError when the connection is gone."""
        await self._can_write.wait()
        if self.ended.done():
            raise MqttError(self.ended.result())

    def close(self, reason: str = "closed") -> None:
        """End the connection in order."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packet(DISCONNECT, 0, b""))
            self._transport.close()
        self._end(reason)

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not a check: uvloop's transports are of a kind of their own.
        self._transport = cast(asyncio.Transport, transport)
        self._heard_at = self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc else "the broker closed the connection")

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            for kind, flags, body in self._reader.feed(data):
                if kind == PUBLISH:
                    self._on_message(self, parse_publish(flags, body))
                elif kind in {CONNACK, SUBACK, PUBACK}:
                    if len(body) < 2:
                        raise MqttError("an acknowledgement that is cut short")
                    identifier = 0 if kind == CONNACK else int.from_bytes(body[:2])
                    answer = self._waiting.pop((kind, identifier), None)
                    if answer is not None and not answer.done():
                        answer.set_result(body)
                elif kind != PINGRESP:
                    raise MqttError(f"a packet of kind {kind} that a client never gets")
        except MqttError as error:
            self._abort(str(error))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise MqttError(self.ended.result() if self.ended.done() else "the connection is closed")
        self._transport.write(data)

    def _identifier(self, kind: int) -> int:
        for _ in range(MAX_PACKET_ID):
            self._next_id = self._next_id % MAX_PACKET_ID + 1
            if (kind, self._next_id) not in self._waiting:
                return self._next_id
        raise MqttError("65,535 messages wait for the broker")

    def _expect(self, kind: int, identifier: int) -> asyncio.Future[bytes]:
        if self.ended.done():
            raise MqttError(self.ended.result())
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[kind, identifier] = answer
        return answer

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_s / 2)
            paused = self._transport is not None and not self._transport.is_reading()
            if not paused and self._loop.time() - self._heard_at > self._keep_alive_s * 1.5:
                self._abort("the broker is silent")
                return
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(packet(PINGREQ, 0, b""))

    def _abort(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._pinging is not None:
            self._pinging.cancel()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(MqttError(reason))
                answer.exception()  # whoever waits still gets it; nobody waiting is no error
        self._waiting.clear()
        self._can_write.set()
