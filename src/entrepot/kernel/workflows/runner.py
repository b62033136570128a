"""Running workflows: DBOS on the kernel's database, with a lease for each worker and recovery of the dead."""

import importlib
import logging
import os
import secrets
import socket
import threading
from typing import Any, cast

import orjson
from dbos import DBOS, DBOSClient

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.operations import Actor, Clock, Executor, Registry, Request
from entrepot.kernel.workflows.engine import workflow_engine
from entrepot.kernel.workflows.flow import Flow, Json, JsonSerializer, registered
from entrepot.kernel.workflows.tables import workflow_workers

log = logging.getLogger(__name__)
QUEUE = "entrepot"
FLOW = "entrepot.flow"
VERSION = "1"  # raised when a change to a workflow could not continue what an earlier version began
HEARTBEAT_S = 2.0
DEAD_AFTER_S = 12.0


class WorkflowRunner:
    """Executes workflows of every tenant. One in a process: DBOS is one, too."""

    def __init__(
        self, database: Database, executor: Executor, registry: Registry, clock: Clock, *, concurrency: int = 16
    ) -> None:
        self._database = database
        self._executor = executor
        self._registry = registry
        self._clock = clock
        self._concurrency = concurrency
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: DBOSClient | None = None
        self._engine: Any = None
        for system in registry.systems.values():
            if system.workflows is not None:
                importlib.import_module(system.workflows)

    @property
    def ready(self) -> bool:
        """Whether workflows can be started."""
        return self._client is not None

    def start(self) -> None:
        """Launch DBOS, take the lease, recover what dead workers left."""
        global _current
        _current = self
        self._engine = workflow_engine(self._database)
        serializer = cast(Any, JsonSerializer())
        for name in ("dbos", "sqlalchemy.engine"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._beat()
        DBOS(
            config={
                "name": "entrepot",
                "system_database_url": "sqlite:///unused" if self._database.dialect == "sqlite" else self._database.url,
                "system_database_engine": self._engine,
                "application_version": VERSION,
                "executor_id": self.worker_id,
                "serializer": serializer,
                "log_level": "WARNING",
                "enable_otlp": False,
                "notification_listener_polling_interval_sec": 0.2,
            }
        )
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=0.1)
        self._client = DBOSClient(
            system_database_url="sqlite:///unused" if self._database.dialect == "sqlite" else self._database.url,
            system_database_engine=self._engine,
            serializer=serializer,
            application_name="entrepot",
        )
        self._recover(everyone=self._database.dialect == "sqlite")
        self._thread = threading.Thread(target=self._keep, name="workflow-lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give the running steps a moment, then stop; what is unfinished goes on after the next start."""
        if self._client is None:
            return
        self._stop.set()
        assert self._thread is not None
        self._thread.join(timeout=30)
        self._client.destroy()
        self._client = None
        DBOS.destroy(workflow_completion_timeout_sec=5)
        self._engine.dispose()

    # --- for the service -----------------------------------------------------------------------------------------

    def enqueue(self, uow: UnitOfWork, tenant: str, name: str, arguments: Json, workflow_id: str) -> None:
        """Start a workflow in the operation's transaction."""
        assert self._client is not None, "start the runner first"
        self._client.enqueue_in_transaction(
            uow.connection,
            {"queue_name": QUEUE, "workflow_name": FLOW, "workflow_id": workflow_id, "app_version": VERSION},
            name,
            tenant,
            arguments,
        )

    def send(self, uow: UnitOfWork, workflow_id: str, topic: str, message: Json, key: str) -> None:
        """Signal a workflow in the operation's transaction."""
        assert self._client is not None, "start the runner first"
        self._client.send_in_transaction(uow.connection, workflow_id, message, topic=topic, idempotency_key=key)

    # --- for flows -----------------------------------------------------------------------------------------------

    def command(self, tenant: str, system: str, request: Request[Any], key: str) -> Json:
        """Run a command as a system. Raises RuntimeError for what may pass."""
        scopes = frozenset(operation.scope for operation in self._registry if operation.system == system)
        actor = Actor.system(tenant, system, scopes)
        outcome = self._executor.submit(request, actor, f"workflow:{key}", "workflow").result()
        if outcome.status in {429, 500, 503}:
            raise RuntimeError(f"{key}: {outcome.json}")
        return {"answer" if outcome.status == 200 else "problem": orjson.loads(outcome.json)}

    def now_us(self) -> int:
        """The present."""
        return self._clock.now_us()

    def unfinished(self) -> int:
        """Workflows that have not ended."""
        assert self._client is not None, "start the runner first"
        return len(DBOS.list_workflows(status=["PENDING", "ENQUEUED", "DELAYED"], load_input=False, load_output=False))

    # --- leases --------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._beat()
                self._recover()
            except Exception:
                log.exception("the workflow lease could not be renewed; it is tried again")
        with self._database.unit() as uow:
            uow.delete(workflow_workers, (self.worker_id,))

    def _beat(self) -> None:
        with self._database.unit() as uow:
            uow.upsert(workflow_workers, (self.worker_id, self._clock.now_us()))

    def _recover(self, *, everyone: bool = False) -> None:
        """Queue the workflows of workers whose lease ended; on SQLite no other can be alive when one starts."""
        limit_us = self._clock.now_us() - int(DEAD_AFTER_S * 1_000_000)
        with self._database.reader() as uow:
            leases = uow.read("SELECT id, heartbeat_at FROM workflow_workers WHERE id <> %s", (self.worker_id,))
        dead = [worker for worker, heartbeat in leases if everyone or heartbeat < limit_us]
        if not dead:
            return
        DBOS._recover_pending_workflows(dead)
        with self._database.unit() as uow:
            for worker in dead:
                uow.delete(workflow_workers, (worker,))


_current: WorkflowRunner | None = None


@DBOS.workflow(name=FLOW)
def _run(name: str, tenant: str, arguments: Json) -> Json | None:
    """Every workflow runs through this one; its function is found by name."""
    assert _current is not None, "workflows run only under a runner"
    assert DBOS.workflow_id is not None, "DBOS names the workflow"
    return registered(name)(Flow(_current, DBOS.workflow_id, name, tenant), arguments)
