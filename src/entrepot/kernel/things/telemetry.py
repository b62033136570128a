"""Telemetry as a whole: store, broker, consumer, alarms. What the application starts and stops."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson

from entrepot.kernel.database import Database, Scope
from entrepot.kernel.operations import Clock, Executor
from entrepot.kernel.things.access import broker_password, device_user
from entrepot.kernel.things.alarming import deliver_turns
from entrepot.kernel.things.books import DeviceBooks
from entrepot.kernel.things.broker import EmbeddedBroker
from entrepot.kernel.things.consumer import Consumer
from entrepot.kernel.things.directory import RegisteredDevices
from entrepot.kernel.things.ingest import Ingest, Ingested, Message
from entrepot.kernel.things.message import command_topic
from entrepot.kernel.things.service import Things
from entrepot.kernel.things.store import TelemetryStore

TICK_S = 1.0
T = TypeVar("T")

log = logging.getLogger(__name__)


class Telemetry:
    """Telemetry of one tenant. `books` is what the devices' book rules compare with; without it they rest.

    `store_url` as `store.telemetry_url` gives it; `mqtt_url` an outside broker, empty to start the embedded one on
    `mqtt_port` (0: any free port) with passwords derived from `broker_secret`. Give `things` to the runtime as
    `make_things`, then `start(executor)`; a replay uses `ingest_now`, `tick` and `deliver` instead, without a broker.
    """

    def __init__(
        self, database: Database, clock: Clock, tenant: str, store_url: str, *, mqtt_url: str = "", mqtt_port: int = 0,
        broker_secret: bytes = b"", books: DeviceBooks | None = None, durable: bool = True,
    ) -> None:  # fmt: skip
        self.tenant = tenant
        self.store = TelemetryStore(store_url, durable=durable)
        self.broker = None if mqtt_url else EmbeddedBroker(broker_secret, mqtt_port)
        self._clock = clock
        self._secret = broker_secret
        self._mqtt_url = mqtt_url
        self._ingest = Ingest(
            self.store, RegisteredDevices(database, tenant), tenant,
            books.figure if books else None, refresh=books.refresh if books else None,
        )  # fmt: skip
        # Telemetry has one writer: everything that touches the store runs on this thread.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._deliverer = ThreadPoolExecutor(1, thread_name_prefix="alarms")
        self._consumer: Consumer | None = None
        self._executor: Executor | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._turned: asyncio.Event | None = None

    def things(self, scope: Scope) -> Things:
        """The service of an operation."""
        return Things(scope, self.store, self._password_of if self.broker else None)

    def mqtt_url(self, user: str = "") -> str:
        """The broker's address for the server, or for a user of the embedded broker."""
        if self.broker is None:
            return self._mqtt_url
        return self.broker.url(user) if user else self.broker.url()

    def device_url(self, device: str) -> str:
        """The broker's address with the credentials of a device (an outside broker: as configured)."""
        return self.mqtt_url(device_user(self.tenant, device))

    # --- in production ---------------------------------------------------------------------------------------------

    async def start(self, executor: Executor) -> None:
        """Start the broker if it is ours, and consume. Raises BrokerError."""
        loop = asyncio.get_running_loop()
        self._executor, self._turned = executor, asyncio.Event()
        self._turned.set()  # what turned before the last stop may still wait
        self._ingest.started_us = self._clock.now_us()
        if self.broker is not None:
            await loop.run_in_executor(None, self.broker.start)
        self._consumer = Consumer(self.mqtt_url, self.tenant, self._clock, self.ingest)
        self._tasks = [
            loop.create_task(self._consumer.run(), name="telemetry-consumer"),
            loop.create_task(self._tick(), name="telemetry-tick"),
            loop.create_task(self._deliver(), name="telemetry-alarms"),
        ]

    async def stop(self) -> None:
        """Stop consuming, then the broker, then close the store."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        loop = asyncio.get_running_loop()
        if self.broker is not None:
            await loop.run_in_executor(None, self.broker.stop)
        await loop.run_in_executor(None, self.close)

    def close(self) -> None:
        """Finish what was begun and close the store, where `start` was never called."""
        self._writer.shutdown()
        self._deliverer.shutdown()
        self._ingest.close()
        self.store.close()

    @property
    def started(self) -> bool:
        """Whether it was started, also when it has ended since."""
        return bool(self._tasks)

    @property
    def ended_tasks(self) -> list[str]:
        """What should run for ever and does not."""
        return [task.get_name() for task in self._tasks if task.done()]

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._consumer is not None and self._consumer.connected.is_set()

    async def until_connected(self) -> None:
        """Wait for the subscription."""
        assert self._consumer is not None, "start first"
        await self._consumer.connected.wait()

    async def ingest(self, batch: list[Message]) -> Ingested:
        """Judge and commit a batch, from MQTT or HTTP."""
        result = await self._write(lambda: self._ingest.ingest(batch))
        if result.turns and self._turned is not None:
            self._turned.set()
        return result

    async def command(self, device: str, order: dict[str, Any]) -> None:
        """Tell a device to do something. Raises MqttError when the broker is away."""
        assert self._consumer is not None, "start first"
        await self._consumer.command(command_topic(self.tenant, device), orjson.dumps(order))

    # --- in a replay -----------------------------------------------------------------------------------------------

    def ingest_now(self, batch: list[Message]) -> Ingested:
        """Like `ingest`, in the calling thread: for a replay, where nothing else writes."""
        return self._ingest.ingest(batch)

    def tick(self, now_us: int) -> None:
        """Judge silence at a time."""
        self._ingest.tick(now_us)

    def deliver(self, executor: Executor) -> int:
        """Record the alarms that turned."""
        return deliver_turns(executor, self.store, self.tenant)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _password_of(self, user: str) -> str:
        return broker_password(self._secret, user)

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    async def _tick(self) -> None:
        assert self._turned is not None, "start first"
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if await self._write(lambda: self._ingest.tick(self._clock.now_us())):
                    self._turned.set()
            except Exception:
                log.exception("silence could not be judged; it is judged again in a second")

    async def _deliver(self) -> None:
        assert self._turned is not None, "start first"
        assert self._executor is not None, "start first"
        loop, executor = asyncio.get_running_loop(), self._executor
        while True:
            await self._turned.wait()
            self._turned.clear()
            try:
                await loop.run_in_executor(self._deliverer, self.deliver, executor)
                waiting = await loop.run_in_executor(self._deliverer, self.store.pending_turns, self.tenant, 1)
            except Exception:
                log.exception("alarms could not be recorded; they are tried again")
                waiting = []
                self._turned.set()
            if waiting:
                self._turned.set()
            await asyncio.sleep(0.2 if waiting else 0)
