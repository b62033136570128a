"""Durable work on DBOS: what must finish, finishes, also when the worker that began it never returns."""

from entrepot.kernel.workflows.flow import Flow, registered, workflow
from entrepot.kernel.workflows.runner import WorkflowRunner
from entrepot.kernel.workflows.service import Workflows

__all__ = ["Flow", "WorkflowRunner", "Workflows", "registered", "workflow"]
