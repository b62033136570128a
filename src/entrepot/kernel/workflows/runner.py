"""Running workflows: DBOS on the kernel's database, with a lease for each worker and recovery of the dead."""

import importlib
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

import orjson
from dbos import DBOS, DBOSClient
from sqlalchemy import Engine

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.operations import Actor, Clock, Executor, Registry, Request
from entrepot.kernel.workflows.engine import workflow_engine
from entrepot.kernel.workflows.flow import Flow, Halt, Json, registered
from entrepot.kernel.workflows.leases import DEAD_AFTER_S, HEARTBEAT_S, Leases
from entrepot.kernel.workflows.serializer import JsonSerializer

log = logging.getLogger(__name__)
QUEUE = "entrepot"
FLOW = "entrepot.flow"
VERSION = "1"  # raised when a change to a workflow could not continue what an earlier version began
POLL_S = {"sqlite": 5.0, "postgresql": 0.5}  # signals of this process wake at once, those of others are polled
STATES = {"ENQUEUED": "waiting", "DELAYED": "waiting", "PENDING": "running", "SUCCESS": "done", "CANCELLED": "ended"}
FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """How a workflow stands: `state` is waiting, running, done, failed or ended; `trouble` why a step is repeated."""

    id: str
    name: str
    state: str
    started_us: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowHealth:
    """What an operator watches: `orphans` are workers without a lease whose workflows are not yet taken over.

    `renewing` says whether the thread lives that keeps the lease and takes over, and `renewed_s` how long ago it last
    could; `first_waiting` is the workflow that waits longest ("" when none does), `places` how many could begin here.
    """

    unfinished: int
    failed: int
    workers: int
    troubles: dict[str, str]
    orphan_ids: tuple[str, ...]
    renewing: bool
    renewed_s: float
    first_waiting: str
    places: int

    @property
    def orphans(self) -> int:
        """How many workers left workflows behind."""
        return len(self.orphan_ids)


class WorkflowRunner:
    """Executes workflows of every tenant. One in a process: DBOS is one, too.

    A workflow that sleeps or waits keeps a thread and one of `concurrency` places; more of them queue.
    """

    def __init__(
        self,
        database: Database,
        executor: Executor,
        registry: Registry,
        clock: Clock,
        *,
        concurrency: int = 256,
        heartbeat_s: float = HEARTBEAT_S,
        dead_after_s: float = DEAD_AFTER_S,
    ) -> None:
        self._database = database
        self._executor = executor
        self._registry = registry
        self._clock = clock
        self._concurrency = concurrency
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.leases = Leases(database, self.worker_id, VERSION, dead_after_s)
        self._heartbeat_s = heartbeat_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: DBOSClient | None = None
        self._engine: Engine | None = None
        self._signals = 0
        self._signalled = threading.Condition()
        self._active: set[str] = set()
        self._idle_since: dict[str, float] = {}
        self._patience_s = dead_after_s
        self._renewed = 0.0
        self._troubles: dict[str, str] = {}
        for system in registry.systems.values():
            if system.workflows is not None:
                importlib.import_module(system.workflows)

    # --- life --------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether workflows can be started."""
        return self._client is not None

    def start(self) -> None:
        """Take the lease, launch DBOS, take over what dead workers left."""
        global _current
        assert self._thread is None, "a runner starts once"
        _current = self
        self._engine = workflow_engine(self._database)
        serializer = cast(Any, JsonSerializer())
        url = "sqlite:///unused" if self._database.dialect == "sqlite" else self._database.url
        self.leases.renew()
        logging.getLogger("dbos").handlers.clear()  # one of an earlier start may write to a stream that is closed
        DBOS(
            config={
                "name": "entrepot",
                "system_database_url": url,
                "system_database_engine": self._engine,
                "application_version": VERSION,
                "executor_id": self.worker_id,
                "serializer": serializer,
                "log_level": "WARNING",
                "enable_otlp": False,
                "notification_listener_polling_interval_sec": 0.2,
                "use_listen_notify": False,  # flows wait by `await_message`; NOTIFY would take a lock at each commit
            }
        )
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=0.1)
        self._client = DBOSClient(
            system_database_url=url,
            system_database_engine=self._engine,
            serializer=serializer,
            application_name="entrepot",
        )
        self._take_over()
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._keep, name="workflow-lease", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 8.0) -> None:
        """Let running steps end, then stop. What is unfinished goes on at another worker, or after the next start."""
        if self._client is None:
            return
        assert self._thread is not None
        assert self._engine is not None
        self._stop.set()
        with self._signalled:
            self._signalled.notify_all()
        deadline = time.monotonic() + timeout_s
        while self._active and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._active:
            log.warning("%d workflows were still in a step when the worker stopped", len(self._active))
        self._thread.join(timeout=30)
        self._client.destroy()
        self._client = None
        DBOS.destroy()
        self._engine.dispose()
        self.leases.give_up()

    def drain(self, timeout_s: float) -> bool:
        """Wait until no workflow is unfinished; whether that came in time."""
        deadline = time.monotonic() + timeout_s
        while self.unfinished():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    # --- for people ----------------------------------------------------------------------------------------------

    def unfinished(self) -> int:
        """Workflows that have not ended."""
        return _unfinished(self.leases.counts())

    def health(self) -> WorkflowHealth:
        """What an operator watches."""
        counts = self.leases.counts()
        return WorkflowHealth(
            unfinished=_unfinished(counts),
            failed=sum(counts.get(state, 0) for state in FAILED),
            workers=self.leases.alive(),
            troubles=dict(self._troubles),
            orphan_ids=tuple(self.leases.dead()),
            renewing=self._thread is not None and self._thread.is_alive(),
            renewed_s=time.monotonic() - self._renewed,
            first_waiting=self.leases.first_waiting(),
            places=max(0, self._concurrency - len(self._active)),
        )

    def recent(self, tenant: str, limit: int = 100) -> list[WorkflowState]:
        """The newest workflows of a tenant."""
        found = DBOS.list_workflows(
            workflow_id_prefix=_stored(tenant, ""), limit=limit, sort_desc=True, load_output=False
        )
        return [
            WorkflowState(
                id=status.workflow_id.removeprefix(_stored(tenant, "")),
                name=str(status.input["args"][0]) if status.input else "",
                state=STATES.get(status.status, "failed"),
                started_us=(status.created_at or 0) * 1000,
                trouble=self._troubles.get(status.workflow_id, ""),
            )
            for status in found
        ]

    # --- for the service -----------------------------------------------------------------------------------------

    def enqueue(self, uow: UnitOfWork, tenant: str, name: str, arguments: Json, workflow_id: str) -> None:
        """Start a workflow in the operation's transaction."""
        assert self._client is not None, "start the runner first"
        self._client.enqueue_in_transaction(
            uow.connection,
            {
                "queue_name": QUEUE,
                "workflow_name": FLOW,
                "workflow_id": _stored(tenant, workflow_id),
                "app_version": VERSION,
            },
            name,
            tenant,
            arguments,
        )

    def send(self, uow: UnitOfWork, tenant: str, workflow_id: str, topic: str, message: Json, key: str) -> bool:
        """Signal a workflow in the operation's transaction; False when there is no such workflow."""
        assert self._client is not None, "start the runner first"
        stored = _stored(tenant, workflow_id)
        if not self.leases.exists(uow, stored):
            return False
        self._client.send_in_transaction(uow.connection, stored, message, topic=topic, idempotency_key=key)
        uow.on_commit(self._wake)
        return True

    # --- for flows -----------------------------------------------------------------------------------------------

    def command(self, tenant: str, system: str, request: Request[Any], key: str) -> Json:
        """Run a command as a system. Raises RuntimeError for what may pass: the executor has stored no answer then."""
        scopes = frozenset(operation.scope for operation in self._registry if operation.system == system)
        actor = Actor.system(tenant, system, scopes)
        outcome = self._executor.submit(request, actor, f"workflow:{key}", "workflow").result()
        if outcome.status in {429, 500, 503}:
            raise RuntimeError(f"{key}: {outcome.json}")
        return {"answer" if outcome.status == 200 else "problem": orjson.loads(outcome.json)}

    def now_us(self) -> int:
        """The present."""
        return self._clock.now_us()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Halt when the worker stops."""
        if self._stop.wait(seconds) if seconds > 0 else self._stop.is_set():
            raise Halt

    def await_message(self, tenant: str, workflow_id: str, topic: str, until_us: int) -> bool:
        """Wait for an unread message; False when none came in time. Raises Halt when the worker stops."""
        stored = _stored(tenant, workflow_id)
        while True:
            seen = self._signals
            if self.leases.unread(stored, topic):
                return True
            left_s = (until_us - self.now_us()) / 1_000_000
            if left_s <= 0:
                return False
            with self._signalled:
                self._signalled.wait_for(
                    lambda seen=seen: self._signals != seen or self._stop.is_set(),  # type: ignore[misc]
                    timeout=min(left_s, POLL_S[self._database.dialect]),
                )
            self.pause(0)

    def struggles(self, tenant: str, workflow_id: str, trouble: str) -> None:
        """Note what a step is repeated for; an empty `trouble` ends it."""
        stored = _stored(tenant, workflow_id)
        if trouble:
            log.warning("workflow %s: %s", stored, trouble)
            self._troubles[stored] = trouble[:500]
        else:
            self._troubles.pop(stored, None)

    def run_flow(self, stored_id: str, name: str, tenant: str, arguments: Json) -> Json | None:
        """Run one workflow on the thread that DBOS gives it."""
        self._active.add(stored_id)
        try:
            self.pause(0)
            flow = Flow(self, stored_id.removeprefix(_stored(tenant, "")), name, tenant)
            return registered(name)(flow, arguments)
        finally:
            self._active.discard(stored_id)
            self._troubles.pop(stored_id, None)

    def _wake(self) -> None:
        with self._signalled:
            self._signals += 1
            self._signalled.notify_all()

    # --- taking over ---------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stop.wait(self._heartbeat_s):
            try:
                self.leases.renew()
                self._take_over()
                self._claim_again()
                self._renewed = time.monotonic()
            except Exception:
                log.exception("the workflow lease could not be renewed; it is tried again")

    def _take_over(self) -> None:
        """Queue what dead workers were running. Should one of them live after all, its next write is refused."""
        if dead := self.leases.dead():
            log.warning("taking over the workflows of %s", ", ".join(dead))
            DBOS._recover_pending_workflows(dead)

    def _claim_again(self) -> None:
        """Queue what this worker claimed long ago and never began: an error between the two would leave it for ever."""
        now = time.monotonic()
        idle = self.leases.held() - self._active
        self._idle_since = {stored: self._idle_since.get(stored, now) for stored in idle}
        for stored, since in self._idle_since.items():
            if now - since > self._patience_s and stored not in self._active:
                log.warning("workflow %s was claimed and not begun; it is queued again", stored)
                DBOS.resume_workflow(stored, queue_name=QUEUE)


def _stored(tenant: str, workflow_id: str) -> str:
    """DBOS's name of a workflow: nothing crosses tenants."""
    return f"{tenant}/{workflow_id}"


def _unfinished(counts: dict[str, int]) -> int:
    return sum(count for state, count in counts.items() if STATES.get(state) in {"waiting", "running"})


_current: WorkflowRunner | None = None


@DBOS.workflow(name=FLOW, max_recovery_attempts=None)
def _run(name: str, tenant: str, arguments: Json) -> Json | None:
    """Every workflow runs through this one; its function is found by name."""
    assert _current is not None, "workflows run only under a runner"
    assert DBOS.workflow_id is not None, "DBOS names the workflow"
    return _current.run_flow(DBOS.workflow_id, name, tenant, arguments)
