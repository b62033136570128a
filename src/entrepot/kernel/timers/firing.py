"""How a timer's command is run: as the system that owns the operation, through the executor."""

from collections.abc import Callable

from pydantic import ValidationError

from entrepot.kernel.operations.context import Actor
from entrepot.kernel.operations.errors import Invalid, Refusal
from entrepot.kernel.operations.executor import Executor
from entrepot.kernel.operations.runtime import Outcome
from entrepot.kernel.timers.runner import Fire
from entrepot.kernel.timers.service import Timer

ANSWER_WITHIN_S = 60


def fire_with(executor: Executor, scopes_of: Callable[[str], frozenset[str]] | None = None) -> Fire:
    """A `Fire` on an executor; `scopes_of(system)` are what a system's timers may do, by default everything.

    A request that the operation no longer accepts is refused like any other.
    """
    registry = executor.runtime.registry

    def fire(timer: Timer, key: str) -> str:
        try:
            operation = registry.get(timer.operation)
            request = operation.request.model_validate_json(timer.request)
        except ValidationError as error:
            return Outcome.refused(Invalid("timer/request", f"{timer.operation} no longer takes it: {error}")).json
        except Refusal as refusal:
            return Outcome.refused(refusal).json
        scopes = scopes_of(operation.system) if scopes_of else registry.scopes
        actor = Actor.system(timer.tenant, operation.system, scopes)
        outcome = executor.submit(request, actor, key, "timer").result(ANSWER_WITHIN_S)
        return "" if outcome.problem is None else outcome.json or "refused"

    return fire
