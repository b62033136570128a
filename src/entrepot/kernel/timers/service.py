"""Setting and cancelling timers inside an operation."""

from datetime import datetime
from typing import Any

from entrepot.kernel.database import Scope
from entrepot.kernel.database.schema import to_us
from entrepot.kernel.operations.errors import Conflict
from entrepot.kernel.timers.tables import timers

PENDING, FIRED, CANCELLED, FAILED = "pending", "fired", "cancelled", "failed"


class Timers:
    """The tenant's timers; each has a key by which it is replaced and cancelled."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    def at(self, when: datetime, request: Any, key: str, *, every_s: int = 0) -> None:
        """Run a command at a time, as the system that owns it; a pending timer of the same key is replaced.

        With `every_s` it is a schedule: due again so many seconds after each firing. Raises Conflict for the key of a
        timer that was fired already: a key is used once.
        """
        operation = request.operation
        assert operation is not None
        assert operation.kind == "command", "a timer runs a command"
        known = self._uow.lock(timers, (self._scope.tenant, key))
        if known is not None and known[5] in {FIRED, FAILED}:
            raise Conflict("timer/fired", f"The timer {key} was fired already.")
        self._uow.upsert(
            timers,
            (self._scope.tenant, key, to_us(when), operation.name, request.model_dump_json(), PENDING, 0,
             every_s * 1_000_000, ""),
        )  # fmt: skip

    def cancel(self, key: str) -> bool:
        """Cancel a pending timer; False when there is none."""
        row = self._uow.lock(timers, (self._scope.tenant, key))
        if row is None or row[5] != PENDING:
            return False
        self._uow.upsert(timers, (*row[:5], CANCELLED, *row[6:]))
        return True

    def due_us(self, key: str) -> int | None:
        """When a pending timer is due; None when there is none."""
        row = self._uow.row(timers, (self._scope.tenant, key))
        return None if row is None or row[5] != PENDING else int(row[2])
