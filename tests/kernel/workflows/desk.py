"""A system of tests only, its workflows, and a worker that runs them on a real database.

Each command leaves an event, which is the effect that must happen once; calls to the outside append a line to a file,
which may hold a line twice, as a bank may be asked twice.
"""

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from entrepot.kernel.database import Database, Scope, open_database
from entrepot.kernel.operations import (
    Actor,
    Answer,
    Clock,
    Conflict,
    Context,
    Executor,
    Registry,
    Request,
    Runtime,
    System,
    SystemClock,
)  # fmt: skip
from entrepot.kernel.workflows import Flow, WorkflowRunner, Workflows, workflow

TENANT = "lanzhou"
FAILURES = {"left": 0}  # how often `Mark` still breaks, in this process


class Done(Answer):
    id: str


class Begin(Request[Done]):
    """Start a workflow, and be refused after it when asked to."""

    workflow: str
    id: str
    arguments: dict[str, Any] = {}
    refuse: bool = False


class Tell(Request[Done]):
    """Send a workflow a message."""

    id: str
    topic: str
    message: dict[str, Any] = {}


class Mark(Request[Done]):
    """Leave an event about a subject."""

    subject: str


@Begin.command("desk.begin", http="POST /begin", scope="desk:act", title=("Begin", "开始"), subject="id")
def begin(ctx: Context, request: Begin) -> Done:
    ctx.workflows.start(request.workflow, request.arguments, request.id)
    if request.refuse:
        raise Conflict("desk/refused", "It was asked to be refused.")
    return Done(id=request.id)


@Tell.command("desk.tell", http="POST /tell", scope="desk:act", title=("Tell", "告知"), subject="id")
def tell(ctx: Context, request: Tell) -> Done:
    ctx.workflows.signal(request.id, request.topic, request.message)
    return Done(id=request.id)


@Mark.command("desk.mark", http="POST /mark", scope="desk:act", title=("Mark", "标记"), subject="subject")
def mark(ctx: Context, request: Mark) -> Done:
    if request.subject.endswith("forbidden"):
        raise Conflict("desk/forbidden", "Not this one.")
    if request.subject.endswith("fragile") and FAILURES["left"]:
        FAILURES["left"] -= 1
        raise ZeroDivisionError("broken on purpose")
    return Done(id=request.subject)


def die_at(place: str) -> None:
    """Kill this process where the test asked for it, as the kernel would."""
    if os.environ.get("DESK_KILL") == place:
        os.kill(os.getpid(), signal.SIGKILL)


def _write(file: str, line: str) -> dict[str, Any]:
    die_at("before outside")
    with Path(file).open("a") as out:
        out.write(f"{line}\n")
    die_at("after outside")
    return {"line": line}


@workflow("desk.story")
def story(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
    """Every kind of step, one after another."""
    flow.command("first", Mark(subject=f"{flow.id}-first"))
    written = flow.outside("write", _write, arguments["file"], flow.id)
    flow.sleep(0.05)
    die_at("after sleep")
    flow.command("second", Mark(subject=f"{flow.id}-second"))
    message = flow.wait("go", 600)
    die_at("after wait")
    flow.command("third", Mark(subject=f"{flow.id}-third"))
    die_at("end")
    return {"written": written["line"], "message": message}


@workflow("desk.single")
def single(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
    """One command."""
    return flow.command("mark", Mark(subject=arguments.get("subject", flow.id)))


@workflow("desk.listen")
def listen(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
    """Two messages of one topic, or the end of waiting."""
    return {"heard": [flow.wait("news", arguments["timeout_s"]) for _ in range(arguments.get("count", 1))]}


@workflow("desk.rest")
def rest(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
    """Sleep until a time, then mark."""
    flow.sleep_until(datetime.fromisoformat(arguments["until"]))
    return flow.command("mark", Mark(subject=flow.id))


DESK = System(name="desk", title=("Desk", "办公桌"), summary="For tests", operations=("tests.kernel.workflows.desk",))
CLERK = Actor(TENANT, "li", "org_desk", "person", frozenset({"desk:act"}))


class DyingRunner(WorkflowRunner):
    """Kills its process before or after a command, when asked to."""

    def command(self, tenant: str, system: str, request: Request[Any], key: str) -> dict[str, Any]:
        step = key.rpartition(":")[2]
        die_at(f"before {step}")
        outcome = super().command(tenant, system, request, key)
        die_at(f"after {step}")
        return outcome


class Office:
    """A running worker."""

    def __init__(self, database: Database, clock: Clock | None = None, **settings: Any) -> None:
        self.database = database
        self.clock = clock or SystemClock()
        self.runtime = Runtime(database, Registry((DESK,)), self.clock, make_workflows=self._workflows)
        self.executor = Executor(self.runtime).start()
        self.runner = DyingRunner(
            database, self.executor, self.runtime.registry, self.clock, heartbeat_s=0.1, dead_after_s=1.0, **settings
        )
        self.runner.start()

    def _workflows(self, scope: Scope) -> Workflows:
        return Workflows(scope, self.runner)

    def close(self) -> None:
        self.runner.stop()
        self.executor.stop()

    def begin(
        self, name: str, id: str, key: str = "", refuse: bool = False, actor: Actor = CLERK, **given: Any
    ) -> None:
        request = Begin(workflow=f"desk.{name}", id=id, arguments=given, refuse=refuse)
        self.executor.run(request, actor, key or f"begin-{id}")

    def tell(self, id: str, topic: str, key: str = "", actor: Actor = CLERK, **message: Any) -> None:
        self.executor.run(Tell(id=id, topic=topic, message=message), actor, key or f"tell-{id}-{topic}-{message}")

    def state(self, id: str, tenant: str = TENANT) -> str:
        return next((known.state for known in self.runner.recent(tenant) if known.id == id), "")


@contextlib.contextmanager
def office(database: Database, clock: Clock | None = None, **settings: Any) -> Iterator[Office]:
    """A worker for the length of a block."""
    made = Office(database, clock, **settings)
    try:
        yield made
    finally:
        made.close()


def marks(database: Database, tenant: str = TENANT) -> Counter[str]:
    """How often each subject was marked."""
    with database.reader() as uow:
        rows = uow.read(
            "SELECT subject FROM events WHERE tenant = %s AND type = 'desk.mark' AND status = 200", (tenant,)
        )
    return Counter(row[0] for row in rows)


def output(database: Database, id: str) -> str:
    """What a workflow returned, as it is stored."""
    table = "workflow_output" if database.dialect == "sqlite" else "dbos.workflow_output"
    with database.reader() as uow:
        rows = uow.read(f"SELECT output FROM {table} WHERE workflow_uuid = %s", (f"{TENANT}/{id}",))
    return str(rows[0][0]) if rows else ""


def work(url: str, stories: list[str], file: str, kill: str = "", tell: bool = True, seconds: float = 60.0) -> None:
    """A worker process: begins and tells the stories, works until nothing is unfinished. Exits 3 when it never is."""
    os.environ["DESK_KILL"] = kill
    database = open_database(url)
    with office(database) as desk:
        for story in stories:
            desk.begin("story", story, file=file)
            if tell:
                desk.tell(story, "go", key=f"tell-{story}")
        drained = desk.runner.drain(seconds)
    database.close()
    sys.exit(0 if drained else 3)
