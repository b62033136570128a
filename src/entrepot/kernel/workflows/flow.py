"""Writing a workflow: a function of steps, each of which happens once.

    @workflow("tradefinance.settle")
    def settle(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = flow.outside("instruct", ask_bank, arguments["amount"])
        flow.command("book", SettleInstruction(...))

A workflow changes nothing itself. Its steps are commands, with the key `<workflow id>:<step>`, and calls to the outside
which must bear being repeated. Arguments and results are JSON.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from dbos import DBOS

from entrepot.kernel.database.schema import to_us
from entrepot.kernel.operations.declaration import Request
from entrepot.kernel.operations.errors import Refusal

Json = dict[str, Any]
OUTSIDE_ATTEMPTS = 8


class Commander(Protocol):
    """Runs a command as the system that owns the workflow."""

    def command(self, tenant: str, system: str, request: Request[Any], key: str) -> Json:
        """{"status": …, "answer" or "problem": …}; raises for what may pass."""
        ...

    def now_us(self) -> int:
        """The present."""
        ...


class Flow:
    """One running workflow."""

    def __init__(self, commander: Commander, workflow_id: str, name: str, tenant: str) -> None:
        self.id = workflow_id
        self.name = name
        self.tenant = tenant
        self._commander = commander

    def command(self, step: str, request: Request[Any]) -> Json:
        """Run a command; its answer. Raises Refusal, which the workflow may catch and follow."""
        system = self.name.partition(".")[0]

        def run() -> Json:
            return self._commander.command(self.tenant, system, request, f"{self.id}:{step}")

        outcome = DBOS.run_step(
            {"name": step, "retries_allowed": True, "max_attempts": 20, "interval_seconds": 0.2, "backoff_rate": 1.5},
            run,
        )
        if "problem" in outcome:
            raise Refusal.from_problem(outcome["problem"])
        return dict(outcome["answer"])

    def outside(self, step: str, call: Callable[..., Json], *arguments: Any, attempts: int = OUTSIDE_ATTEMPTS) -> Json:
        """Call the outside world, again after a growing pause when it raises; its JSON answer.

        The call may happen more than once (a crash after it, before its answer is noted): pass an idempotency key.
        """
        return dict(
            DBOS.run_step(
                {
                    "name": step,
                    "retries_allowed": attempts > 1,
                    "max_attempts": attempts,
                    "interval_seconds": 0.5,
                    "backoff_rate": 2.0,
                },
                call,
                *arguments,
            )
        )

    def wait(self, topic: str, timeout_s: float) -> Json | None:
        """The next message sent to this workflow under a topic; None when none came in time."""
        message = DBOS.recv(topic, timeout_seconds=timeout_s)
        return None if message is None else dict(message)

    def sleep(self, seconds: float) -> None:
        """Pause; a restart does not begin the pause anew."""
        DBOS.sleep(seconds)

    def sleep_until(self, when: datetime) -> None:
        """Pause until a time."""
        DBOS.sleep(max(0.0, (to_us(when) - self._commander.now_us()) / 1_000_000))


Function = Callable[[Flow, Json], Json | None]
_registered: dict[str, Function] = {}


def workflow(name: str) -> Callable[[Function], Function]:
    """Declare the decorated function as the workflow `name`, `<system>.<what>`."""

    def declare(function: Function) -> Function:
        known = _registered.setdefault(name, function)
        assert known is function or known.__qualname__ == function.__qualname__, f"two workflows are named {name}"
        _registered[name] = function
        return function

    return declare


def registered(name: str) -> Function:
    """The workflow of that name; KeyError when no system declared it."""
    return _registered[name]


class JsonSerializer:
    """State of workflows as JSON, so that another version, or a person, can read it."""

    def name(self) -> str:
        """How DBOS marks rows written with it."""
        return "entrepot_json"

    def serialize(self, data: Any) -> str:
        """JSON text; exceptions as their class name and message."""
        return json.dumps(data, default=_plain, ensure_ascii=False, separators=(",", ":"))

    def deserialize(self, serialized_data: str) -> Any:
        """The value; an exception comes back as WorkflowError."""
        value = json.loads(serialized_data)
        if isinstance(value, dict) and "__error__" in value:
            return WorkflowError(value["__error__"], value["message"])
        return value


class WorkflowError(RuntimeError):
    """An error that a step or workflow ended with, read back from the database."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return {"__error__": type(value).__name__, "message": str(value)}
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON: a workflow passes JSON only")
