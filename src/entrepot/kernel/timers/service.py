"""Setting and cancelling timers inside an operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from entrepot.kernel.database import Scope, UnitOfWork
from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations.errors import Conflict, NotFound
from entrepot.kernel.reference.service import Reference
from entrepot.kernel.timers.schedules import Schedule
from entrepot.kernel.timers.tables import timers

PENDING, FIRED, CANCELLED, FAILED = "pending", "fired", "cancelled", "failed"
COLUMNS = ", ".join(column.name for column in timers.columns)


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer as it is stored: `request` is the JSON of the operation's request, `problem` that of the last refusal."""

    tenant: str
    key: str
    due_us: int
    operation: str
    request: str
    state: str
    fired_us: int
    schedule: str
    problem: str
    actor: str
    attempts: int
    retry_us: int

    @property
    def idempotency_key(self) -> str:
        """The key of this firing: the same however often it is tried, another when the timer is due again."""
        return f"timer:{self.key}:{self.due_us}"


class Timers:
    """The tenant's timers; each has a key by which it is replaced and cancelled."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    def at(self, when: datetime, request: Any, key: str, *, every_s: int = 0) -> None:
        """Run a command at a time, as the system that owns it; a pending timer of the same key is replaced.

        With `every_s` it is a schedule: due again so many seconds after each firing. Raises Conflict when the timer of
        this key was fired for this very instant.
        """
        operation = request.operation
        assert operation is not None
        assert operation.kind == "command", "a timer runs a command"
        schedule = str(Schedule(every_s=every_s)) if every_s else ""
        self.set(key, to_us(when), operation.name, request.model_dump_json(), schedule=schedule)

    def daily(self, request: Any, key: str, at: time, *, calendar: str = "natural") -> datetime:
        """Run a command every open day of a calendar at a local time, from the next one on; when that is.

        Raises Invalid for an unknown calendar, or a year whose notice is not known.
        """
        operation = request.operation
        assert operation is not None
        assert operation.kind == "command", "a timer runs a command"
        schedule, now_us = Schedule(at=at, calendar=calendar), self._scope.now_us
        due_us = schedule.following_us(now_us, now_us, Reference(self._scope).calendar(calendar))
        self.set(key, due_us, operation.name, request.model_dump_json(), schedule=str(schedule))
        return from_us(due_us)

    def set(
        self, key: str, due_us: int, operation: str, request: str, *, schedule: str = "", fresh: bool = False
    ) -> None:
        """Like `at`, by the operation's name and the JSON of its request; `fresh` says that the key is new for sure."""
        row = (
            self._scope.tenant,
            key,
            due_us,
            operation,
            request,
            PENDING,
            0,
            schedule,
            "",
            self._scope.actor_id,
            0,
            0,
        )
        if fresh:
            self._uow.insert(timers, row)
            return
        known = self._find(key, lock=True)
        if known is not None and known.state in {FIRED, FAILED} and known.due_us == due_us:
            raise Conflict("timer/fired", f"The timer {key} was fired for this instant already.")
        self._uow.upsert(timers, row)

    def cancel(self, key: str) -> bool:
        """Cancel a pending timer; False when there is none."""
        known = self._find(key, lock=True)
        if known is None or known.state != PENDING:
            return False
        self._uow.upsert(timers, row_of(known, state=CANCELLED))
        return True

    def retry(self, key: str) -> Timer:
        """Make a failed timer due now. Raises NotFound, Conflict when it has not failed."""
        known = self.get(key)
        if known.state != FAILED:
            raise Conflict("timer/not-failed", f"The timer {key} is {known.state}.")
        again = row_of(known, state=PENDING, due_us=self._scope.now_us, attempts=0, retry_us=0)
        self._uow.upsert(timers, again)
        return Timer(*again)

    def due_us(self, key: str) -> int | None:
        """When a pending timer is due; None when there is none."""
        known = self._find(key)
        return None if known is None or known.state != PENDING else known.due_us

    def get(self, key: str) -> Timer:
        """One timer. Raises NotFound."""
        known = self._find(key)
        if known is None:
            raise NotFound("timer/unknown", f"There is no timer {key}.")
        return known

    def list(self, state: str = PENDING, limit: int = 200) -> Sequence[Timer]:
        """Timers of a state, in order of due time."""
        rows = self._uow.fetch(
            f"SELECT {COLUMNS} FROM timers WHERE tenant = %s AND state = %s ORDER BY due_at, key LIMIT %s",
            (self._scope.tenant, state, limit),
        )
        return [Timer(*row) for row in rows]

    def _find(self, key: str, *, lock: bool = False) -> Timer | None:
        find = self._uow.lock if lock else self._uow.row
        row = find(timers, (self._scope.tenant, key))
        return None if row is None else Timer(*row)


def row_of(timer: Timer, **changes: Any) -> tuple[Any, ...]:
    """The table row of a timer with changes."""
    values = {name: getattr(timer, name) for name in Timer.__dataclass_fields__} | changes
    return tuple(values.values())


def due(uow: UnitOfWork, now_us: int, limit: int = 500) -> list[Timer]:
    """Timers of every tenant that are due and not waiting for another attempt, in order of due time."""
    rows = uow.read(
        f"SELECT {COLUMNS} FROM timers WHERE state = %s AND due_at <= %s AND retry_at <= %s "
        "ORDER BY due_at, tenant, key LIMIT %s",
        (PENDING, now_us, now_us, limit),
    )
    return [Timer(*row) for row in rows]


def overdue(uow: UnitOfWork, now_us: int) -> tuple[int, int]:
    """How many timers are due, and since when the longest (0 when none); one that waits for another attempt is not."""
    later = "CASE WHEN retry_at > due_at THEN retry_at ELSE due_at END"
    sql = f"SELECT COUNT(*), COALESCE(MIN({later}), 0) FROM timers WHERE state = %s AND due_at <= %s AND retry_at <= %s"
    count, since_us = uow.read(sql, (PENDING, now_us, now_us))[0]
    return int(count), int(since_us)


def next_due_us(uow: UnitOfWork) -> int | None:
    """When the next pending timer of any tenant is due: what a replay moves its clock to."""
    rows = uow.read("SELECT due_at, retry_at FROM timers WHERE state = %s ORDER BY due_at LIMIT 1", (PENDING,))
    if not rows or not rows[0][1]:
        return int(rows[0][0]) if rows else None
    later = "CASE WHEN retry_at > due_at THEN retry_at ELSE due_at END"  # the first one waits for another attempt
    return int(uow.read(f"SELECT MIN({later}) FROM timers WHERE state = %s", (PENDING,))[0][0])
