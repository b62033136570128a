"""Writing a workflow: a function of steps, each of which happens once.

    @workflow("tradefinance.settle")
    def settle(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = flow.outside("instruct", ask_bank, arguments["amount"])
        return flow.command("book", SettleInstruction(...))

A workflow changes nothing itself. Its steps are commands, with the key `<workflow id>:<step>`, and calls to the outside
which must bear being repeated. Arguments and results are JSON. Between two steps the function must do the same each
time, because after a crash it runs from its beginning, past the steps that are recorded.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from dbos import DBOS

from entrepot.kernel.database.schema import to_us
from entrepot.kernel.operations.declaration import Request
from entrepot.kernel.operations.errors import Refusal

Json = dict[str, Any]
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 60.0


class OutsideFailed(RuntimeError):
    """The outside refused, or did not answer within the attempts. `kind` is the class name of the last error."""

    def __init__(self, step: str, kind: str, message: str) -> None:
        super().__init__(f"{step}: {kind}: {message}")
        self.step = step
        self.kind = kind


class Worker(Protocol):
    """What a flow needs of the process that runs it."""

    def command(self, tenant: str, system: str, request: Request[Any], key: str) -> Json:
        """Run a command: {"answer": …} or {"problem": …}; raises for what may pass."""
        ...

    def now_us(self) -> int:
        """The present."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait. Raises Halt when the worker stops."""
        ...

    def await_message(self, tenant: str, workflow_id: str, topic: str, until_us: int) -> bool:
        """Wait for an unread message; False when none came in time. Raises Halt when the worker stops."""
        ...

    def struggles(self, tenant: str, workflow_id: str, trouble: str) -> None:
        """Note what a step is repeated for; an empty `trouble` ends it."""
        ...


class Halt(BaseException):
    """The worker stops: the workflow is left where it is and goes on elsewhere. Workflows must not catch it."""


class Flow:
    """One running workflow. `id` is the one it was started with, unique in the tenant."""

    def __init__(self, worker: Worker, workflow_id: str, name: str, tenant: str) -> None:
        self.id = workflow_id
        self.name = name
        self.tenant = tenant
        self._worker = worker

    def command(self, step: str, request: Request[Any]) -> Json:
        """Run a command as the workflow's system; its answer. Repeated until it is answered or refused.

        Raises Refusal, which the workflow may catch and follow.
        """
        system = self.name.partition(".")[0]
        outcome = self._step(
            step, lambda: self._worker.command(self.tenant, system, request, f"{self.id}:{step}"), attempts=None
        )
        if "problem" in outcome:
            raise Refusal.from_problem(outcome["problem"])
        return dict(outcome["answer"])

    def outside(self, step: str, call: Callable[..., Json], *arguments: Any, attempts: int | None = None) -> Json:
        """Call the outside world; its JSON answer. When it raises, again after a growing pause of a minute at most.

        The call may happen more than once (a crash after it, before its answer is recorded): pass an idempotency key.
        Without `attempts` it is repeated for ever, unless the error has a true attribute `final`. Raises OutsideFailed.
        """
        return self._step(step, lambda: call(*arguments), attempts=attempts)

    def wait(self, topic: str, timeout_s: float) -> Json | None:
        """The next message sent to this workflow under a topic, also one sent before; None when none came in time."""
        until_us = self._deadline(f"{topic}: deadline", timeout_s)
        DBOS.run_step(
            {"name": f"{topic}: arrival"},
            lambda: self._worker.await_message(self.tenant, self.id, topic, until_us),
        )
        message = DBOS.recv(topic, timeout_seconds=0)
        return None if message is None else dict(message)

    def sleep(self, seconds: float) -> None:
        """Pause; a restart does not begin the pause anew."""
        self._sleep_until(self._deadline("sleep", seconds))

    def sleep_until(self, when: datetime) -> None:
        """Pause until a time."""
        self._sleep_until(to_us(when))

    def _sleep_until(self, until_us: int) -> None:
        while (left_us := until_us - self._worker.now_us()) > 0:
            self._worker.pause(min(left_us / 1_000_000, LONGEST_PAUSE_S))

    def _deadline(self, step: str, seconds: float) -> int:
        return int(DBOS.run_step({"name": step}, lambda: self._worker.now_us() + int(seconds * 1_000_000)))

    def _step(self, step: str, call: Callable[[], Json], *, attempts: int | None) -> Json:
        # A failure is recorded as an answer, not as an exception: a repeated run must meet the very same one.
        def repeat() -> Json:
            turn = 0
            while True:
                self._worker.pause(0)
                try:
                    answer = call()
                except Exception as error:  # noqa: BLE001 - whatever the outside raises
                    turn += 1
                    if getattr(error, "final", False) or turn == attempts:
                        self._worker.struggles(self.tenant, self.id, "")
                        return {"failed": type(error).__name__, "message": str(error)}
                    self._worker.struggles(self.tenant, self.id, f"{step}, attempt {turn}: {error}")
                    self._worker.pause(min(FIRST_PAUSE_S * 2.0 ** min(turn - 1, 20), LONGEST_PAUSE_S))
                else:
                    if turn:
                        self._worker.struggles(self.tenant, self.id, "")
                    return {"returned": answer}

        outcome: Json = DBOS.run_step({"name": step}, repeat)
        if "failed" in outcome:
            raise OutsideFailed(step, outcome["failed"], outcome["message"])
        return dict(outcome["returned"])


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
