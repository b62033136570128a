"""Starting and signalling workflows with an operation: they begin when it commits, and not otherwise."""

from typing import TYPE_CHECKING, Any

from entrepot.kernel.database import Scope
from entrepot.kernel.operations.errors import Unavailable
from entrepot.kernel.workflows.flow import registered

if TYPE_CHECKING:
    from entrepot.kernel.workflows.runner import WorkflowRunner


class Workflows:
    """The tenant's workflows, from inside an operation."""

    def __init__(self, scope: Scope, runner: "WorkflowRunner | None" = None) -> None:
        self._scope = scope
        self._runner = runner

    def start(self, name: str, arguments: dict[str, Any], workflow_id: str) -> None:
        """Start a workflow; one with the same id is started once. `arguments` are JSON."""
        registered(name)
        self._open().enqueue(self._scope.uow, self._scope.tenant, name, arguments, workflow_id)

    def signal(self, workflow_id: str, topic: str, message: dict[str, Any]) -> None:
        """Send a message to a workflow, which waits for it with `flow.wait`."""
        self._open().send(self._scope.uow, workflow_id, topic, message, self._scope.new_id("sig"))

    def _open(self) -> "WorkflowRunner":
        if self._runner is None or not self._runner.ready:
            raise Unavailable("workflows/not-running", "Durable work is not running here; try again.")
        return self._runner
