"""Starting and signalling workflows with an operation: they begin when it commits, and not otherwise."""

from typing import TYPE_CHECKING, Any

from entrepot.kernel.database import Scope
from entrepot.kernel.operations.errors import NotFound, Unavailable
from entrepot.kernel.workflows.flow import registered

if TYPE_CHECKING:
    from entrepot.kernel.workflows.runner import WorkflowRunner


class Workflows:
    """The tenant's workflows, from inside an operation."""

    def __init__(self, scope: Scope, runner: "WorkflowRunner | None" = None) -> None:
        self._scope = scope
        self._runner = runner

    def start(self, name: str, arguments: dict[str, Any], workflow_id: str) -> None:
        """Start a workflow; of several with the same id the first is run. `arguments` are JSON.

        Raises KeyError for a name that no system declared, TypeError for what is no JSON, Unavailable.
        """
        registered(name)
        self._open().enqueue(self._scope.uow, self._scope.tenant, name, arguments, workflow_id)

    def signal(self, workflow_id: str, topic: str, message: dict[str, Any]) -> None:
        """Send a message to a workflow, which waits for it with `flow.wait`; one that has ended never reads it.

        Raises NotFound for a workflow that was not started, Unavailable.
        """
        scope = self._scope
        if not self._open().send(scope.uow, scope.tenant, workflow_id, topic, message, scope.new_id("sig")):
            raise NotFound("workflows/unknown", f"There is no workflow {workflow_id!r}.")

    def _open(self) -> "WorkflowRunner":
        if self._runner is None or not self._runner.ready:
            raise Unavailable("workflows/not-running", "Durable work is not running here; try again.")
        return self._runner
