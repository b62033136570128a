"""The application: everything assembled from settings. `web` serves it over HTTP, `cli` starts it."""

import asyncio
import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from entrepot import migrations
from entrepot.kernel.database import Database, Scope, open_database
from entrepot.kernel.documents import Documents, Store
from entrepot.kernel.doors.limits import RateLimiter
from entrepot.kernel.doors.tracing import file_tracer
from entrepot.kernel.events import Sealer, Subscriber, Subscription
from entrepot.kernel.notices import Addresses, Deliverer, set_up_channels
from entrepot.kernel.notices.channel_operations import RecordGone
from entrepot.kernel.operations import Actor, Clock, Executor, Registry, Runtime, System, SystemClock
from entrepot.kernel.parties.oidc import OpenIdConnect
from entrepot.kernel.parties.resolve import Foreign, Resolver
from entrepot.kernel.signing import HeadKeeper, Keyring, LocalKey, Signing
from entrepot.kernel.things.books import DeviceBooks, book_sources
from entrepot.kernel.things.store import telemetry_url
from entrepot.kernel.things.telemetry import Telemetry
from entrepot.kernel.timers.firing import fire_with
from entrepot.kernel.timers.runner import TimerRunner
from entrepot.kernel.vault import Vault
from entrepot.kernel.workflows import WorkflowRunner, Workflows
from entrepot.settings import Settings
from entrepot.systems import build_registry, installed_systems

log = logging.getLogger(__name__)
__all__ = ["Entrepot", "build_registry", "define_every_table", "installed_systems", "run_until", "subscriptions"]


def define_every_table() -> None:
    """Import whatever defines a table, the demo region's too: what migrations are compared with."""
    build_registry()
    importlib.import_module("entrepot.region.demo")


class Entrepot:
    """One worker: database, executor, sealing, timers, subscriptions, workflows and telemetry of a tenant.

    `start_threads` and `stop_threads` run what needs no event loop; `start_telemetry` is awaited on the server's loop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        systems: Sequence[System] | None = None,
        database: Database | None = None,
        foreign: tuple[Foreign, ...] = (),
        seed: int | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.registry = build_registry(systems)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.database = database or open_database(settings.resolved_database_url)
        self.keyring = Keyring(settings.secret("vault-master"))
        self.operator = LocalKey("ed25519", settings.secret("operator-ed25519"))
        self.documents = Store(settings.data_dir / "documents")
        self.channels = set_up_channels(
            self.clock.now_us,
            smtp_url=settings.smtp_url,
            mail_from=settings.mail_from,
            webhooks=settings.webhooks,
            inbox_url=f"{settings.base_url}/inbox",
        )
        self.runtime = Runtime(
            self.database,
            self.registry,
            self.clock,
            hash_key=settings.secret("idempotency"),
            make_documents=lambda scope: Documents(scope, self.documents),
            make_vault=lambda scope: Vault(scope, self.keyring),
            make_signing=lambda scope: Signing(scope, self.operator, self.keyring),
            make_addresses=lambda scope: Addresses(scope, self.keyring, self.channels.offers),
        )
        self.limiter = RateLimiter() if settings.rate_limits else None  # one for all doors
        self.executor = Executor(self.runtime, writers=settings.writers, seed=seed)
        self.telemetry = Telemetry(
            self.database,
            self.clock,
            settings.tenant,
            telemetry_url(settings.telemetry_url, self.database.url),
            mqtt_url=settings.mqtt_url,
            mqtt_port=settings.mqtt_port,
            broker_secret=settings.secret("broker"),
            books=DeviceBooks(self.database, settings.tenant, book_sources(self.registry)),
        )
        self.runtime.make_things = self.telemetry.things
        self._end_traces: Callable[[], None] = lambda: None
        if settings.traces:
            self.runtime.tracer, self._end_traces = file_tracer(settings.data_dir / "traces.jsonl")
        self.workflows = WorkflowRunner(self.database, self.executor, self.registry, self.clock)
        self.runtime.make_workflows = self._make_workflows
        self.openid: OpenIdConnect | None = None
        if settings.oidc_issuer:
            self.openid = OpenIdConnect(
                self.database, self.clock, settings.tenant, settings.oidc_issuer, settings.oidc_client_id
            )
            foreign = (*foreign, self.openid.resolver_hook)
        self.resolver = Resolver(self.database, self.registry, self.clock, foreign)
        self.sealer = Sealer(self.database, self.clock.now_us, self.executor.committed)
        self.heads = HeadKeeper(self.database, self.operator, settings.data_dir / "heads.jsonl", self.clock.now_us)
        self.subscriber = Subscriber(self.database, self.run_as_system, subscriptions(self.registry))
        self.timers = TimerRunner(self.database, self.clock.now_us, fire_with(self.executor, self.system_scopes))
        self.deliverer: Deliverer | None = None
        if self.channels.ready:
            self.deliverer = Deliverer(
                self.database, self.clock.now_us, self.channels.ready, self.keyring, self._address_gone
            )
        self._started = False

    def _make_workflows(self, scope: Scope) -> Workflows:
        return Workflows(scope, self.workflows)

    def migrate(self) -> None:
        """Bring the schema up to date."""
        migrations.upgrade(self.database)

    def start_threads(self) -> None:
        """Start executor, sealing, subscriptions, timers and workflows."""
        self.executor.start()
        if self.openid is not None:
            self.openid.start()
        self.workflows.start()
        self.sealer.listeners += [self.subscriber.sealed, self.heads.sealed]
        self.sealer.start()
        self.heads.start()
        self.subscriber.start()
        self.timers.start()
        if self.deliverer is not None:
            self.deliverer.start()
        self._started = True

    def stop_threads(self) -> None:
        """Stop in the opposite order; what was answered is committed, what was not may be sent again."""
        if not self._started:
            return
        self._started = False
        if self.openid is not None:
            self.openid.stop()
        if self.deliverer is not None:
            self.deliverer.stop()
        self.timers.stop()
        self.subscriber.stop()
        self.workflows.stop()
        self.executor.stop()
        self.sealer.stop()
        self.heads.stop()

    async def start_telemetry(self) -> None:
        """Start the broker and the consumer on the running loop."""
        await self.telemetry.start(self.executor)

    @property
    def started(self) -> bool:
        """Whether `start_threads` has been called, and `stop_threads` not yet."""
        return self._started

    def close(self) -> None:
        """Close the database."""
        self._end_traces()
        self.database.close()

    # --- acting as a system ------------------------------------------------------------------------------------

    def system_actor(self, tenant: str, system: str) -> Actor:
        """The actor of a system's timers, subscriptions and workflows: its own operations, no others."""
        return Actor.system(tenant, system, self.system_scopes(system))

    def system_scopes(self, system: str) -> frozenset[str]:
        """What a system may do by itself."""
        return frozenset(operation.scope for operation in self.registry if operation.system == system)

    def run_as_system(self, tenant: str, system: str, request: Any, key: str) -> None:
        """Run a command as a system. Raises where it must be tried again; a refusal is an outcome."""
        outcome = self.executor.submit(request, self.system_actor(tenant, system), key, "subscription").result()
        if outcome.status in {429, 500, 503}:
            raise RuntimeError(f"{key}: {outcome.json}")

    def _address_gone(self, tenant: str, address_id: str, problem: str, key: str) -> None:
        self.run_as_system(tenant, "notices", RecordGone(address_id=address_id, problem=problem), key)


def subscriptions(registry: Registry) -> tuple[Subscription, ...]:
    """The subscriptions that the systems' workflow modules declare as `SUBSCRIPTIONS`."""
    found: list[Subscription] = []
    for system in registry.systems.values():
        if system.workflows is not None:
            found += getattr(importlib.import_module(system.workflows), "SUBSCRIPTIONS", ())
    return tuple(found)


async def run_until(stop: asyncio.Event, application: Entrepot) -> None:
    """Run the worker without HTTP until `stop` is set."""
    await asyncio.get_running_loop().run_in_executor(None, application.start_threads)
    await application.start_telemetry()
    try:
        await stop.wait()
    finally:
        await application.telemetry.stop()
        application.stop_threads()
        application.close()
