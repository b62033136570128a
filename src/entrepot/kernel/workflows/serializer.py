"""State of workflows as JSON, so that another version, or a person, can read it. Never pickle."""

import json
from typing import Any


class WorkflowError(RuntimeError):
    """An error that a workflow ended with, read back from the database."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class JsonSerializer:
    """What DBOS writes and reads the state of workflows with."""

    def name(self) -> str:
        """How DBOS marks rows written with it."""
        return "entrepot_json"

    def serialize(self, data: Any) -> str:
        """JSON text; exceptions as their class name and message. Raises TypeError or ValueError for what is no JSON."""
        return json.dumps(data, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def deserialize(self, serialized_data: str) -> Any:
        """The value; an exception comes back as WorkflowError."""
        value = json.loads(serialized_data)
        if isinstance(value, dict) and value.keys() == {"__error__", "message"}:
            return WorkflowError(value["__error__"], value["message"])
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return {"__error__": type(value).__name__, "message": str(value)}
    raise TypeError(f"{type(value).__name__} is not JSON: a workflow passes JSON only")
