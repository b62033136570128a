"""From the broker into ingest: batches as they come, acknowledged after the commit, to broker and devices."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from itertools import groupby

import orjson

from entrepot.kernel.operations.clock import Clock
from entrepot.kernel.things.ingest import MAX_BATCH, Ingested, Message
from entrepot.kernel.things.message import ack_topic
from entrepot.kernel.things.mqtt import Address, MqttConnection, MqttError, Received

PAUSE_AT, RESUME_AT = 8_000, 2_000
RECONNECT_S = (0.1, 0.3, 1.0, 3.0)

log = logging.getLogger(__name__)
_Item = tuple[MqttConnection, int, Message]


class Consumer:
    """Subscribes to the telemetry of one tenant and hands it to `ingest`; reconnects for ever.

    A batch that could not be committed is acknowledged to nobody: the devices still have it and send it again.
    """

    def __init__(
        self, url: Callable[[], str], tenant: str, clock: Clock, ingest: Callable[[list[Message]], Awaitable[Ingested]],
        *, client_id: str = "entrepot-ingest",
    ) -> None:  # fmt: skip
        self._url = url
        self._tenant = tenant
        self._clock = clock
        self._ingest = ingest
        self._client_id = client_id
        self._waiting: list[_Item] = []
        self._arrived = asyncio.Event()
        self._connection: MqttConnection | None = None
        self._paused = False
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Consume until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            tasks.create_task(self._drain())

    async def command(self, topic: str, payload: bytes) -> None:
        """Publish on a device's command topic. Raises MqttError when there is no connection."""
        if self._connection is None:
            raise MqttError("not connected to the broker")
        await self._connection.publish(topic, payload)

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            try:
                connection = await MqttConnection.open(Address.parse(self._url()), self._client_id, self._arrive)
                try:
                    await connection.subscribe(f"entrepot/{self._tenant}/+/telemetry")
                    self._connection, self._paused, failures = connection, False, 0
                    self.connected.set()
                    reason = await connection.ended
                finally:
                    self._connection = None
                    self.connected.clear()
                    connection.close()
                log.info("the broker connection ended: %s", reason)
            except (MqttError, OSError) as error:
                log.log(logging.WARNING if failures == 3 else logging.INFO, "no broker: %s", error)
            await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])
            failures += 1

    def _arrive(self, connection: MqttConnection, received: Received) -> None:
        message = (received.topic, received.payload, self._clock.now_us())
        self._waiting.append((connection, received.packet_id, message))
        self._arrived.set()
        if len(self._waiting) >= PAUSE_AT and not self._paused:
            self._paused = True
            connection.pause()

    async def _drain(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if not self._waiting:
                self._arrived.clear()
            try:
                result = await self._ingest([message for _, _, message in batch])
            except Exception:  # the database failed: nothing is lost, the devices keep what was not acknowledged
                log.exception("a batch of %d messages was not kept; the devices will send them again", len(batch))
                await self._start_over()
                continue
            self._acknowledge(batch, result)

    def _acknowledge(self, batch: list[_Item], result: Ingested) -> None:
        for connection, items in groupby(batch, key=lambda item: item[0]):
            connection.acknowledge(identifier for _, identifier, _ in items)
        if self._connection is not None:
            with contextlib.suppress(MqttError):  # a device that hears nothing sends again, and is told then
                for device, ack in result.acks.items():
                    self._connection.send(ack_topic(self._tenant, device), orjson.dumps(ack))
        if self._paused and len(self._waiting) <= RESUME_AT and self._connection is not None:
            self._paused = False
            self._connection.resume()

    async def _start_over(self) -> None:
        self._waiting.clear()
        self._arrived.clear()
        if self._connection is not None:
            self._connection.close("a batch was not kept")
        await asyncio.sleep(1.0)
