"""Durable work on DBOS: what must finish, finishes, also when the worker that began it never returns."""

from entrepot.kernel.workflows.flow import Flow, OutsideFailed, registered, workflow
from entrepot.kernel.workflows.runner import WorkflowHealth, WorkflowRunner, WorkflowState
from entrepot.kernel.workflows.service import Workflows

__all__ = [
    "Flow", "OutsideFailed", "WorkflowHealth", "WorkflowRunner", "WorkflowState", "Workflows", "registered", "workflow",
]  # fmt: skip
