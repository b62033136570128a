"""Who runs workflows, and whose workflows are left behind.

On PostgreSQL each worker renews its lease by the database's clock, so that the clocks of machines need not agree. On
SQLite one process owns the file: whoever else is named as a worker is gone. What DBOS holds as running under a worker
without a lease is an orphan, whether that worker was killed, lost its machine or stopped in good order.
"""

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.workflows.tables import workflow_workers

HEARTBEAT_S = 2.0
DEAD_AFTER_S = 12.0
_NOW_US = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class Leases:
    """The leases of all workers of a database, seen by one of them."""

    def __init__(self, database: Database, worker_id: str, version: str, dead_after_s: float = DEAD_AFTER_S) -> None:
        self._database = database
        self._worker_id = worker_id
        self._version = version
        self._ended = f"{_NOW_US} - {int(dead_after_s * 1_000_000)}"
        self._shared = database.dialect != "sqlite"
        self._status = "dbos.workflow_status" if self._shared else "workflow_status"
        self._notifications = "dbos.notifications" if self._shared else "notifications"

    def renew(self) -> None:
        """Take the lease, or keep it."""
        if not self._shared:
            return
        with self._database.unit() as uow:
            uow.execute(
                f"INSERT INTO {workflow_workers.name} (id, heartbeat_at) VALUES (%s, {_NOW_US}) "
                f"ON CONFLICT (id) DO UPDATE SET heartbeat_at = {_NOW_US}",
                (self._worker_id,),
            )

    def give_up(self) -> None:
        """End the own lease; others take over at once what is unfinished."""
        if self._shared:
            with self._database.unit() as uow:
                uow.delete(workflow_workers, (self._worker_id,))

    def dead(self) -> list[str]:
        """Workers that hold running workflows and no lease, oldest leases being removed."""
        sql = (
            f"SELECT DISTINCT executor_id FROM {self._status} "
            "WHERE status = 'PENDING' AND executor_id <> %s AND application_version = %s"
        )
        parameters: list[object] = [self._worker_id, self._version]
        if self._shared:
            self._sweep()
            sql += (
                f" AND executor_id NOT IN (SELECT id FROM {workflow_workers.name} WHERE heartbeat_at >= {self._ended})"
            )
        with self._database.reader() as uow:
            return [row[0] for row in uow.read(sql, parameters)]

    def alive(self) -> int:
        """Workers with a lease, this one included."""
        if not self._shared:
            return 1
        with self._database.reader() as uow:
            rows = uow.read(f"SELECT COUNT(*) FROM {workflow_workers.name} WHERE heartbeat_at >= {self._ended}")
        return int(rows[0][0])

    def held(self) -> set[str]:
        """The workflows that the database says this worker runs."""
        sql = f"SELECT workflow_uuid FROM {self._status} WHERE status = 'PENDING' AND executor_id = %s"
        with self._database.reader() as uow:
            return {row[0] for row in uow.read(sql, (self._worker_id,))}

    def first_waiting(self) -> str:
        """The workflow of this version that has waited longest to be begun; "" when none waits."""
        sql = (
            f"SELECT workflow_uuid FROM {self._status} WHERE status = 'ENQUEUED' AND application_version = %s "
            "ORDER BY created_at + 0 LIMIT 1"  # by the index of states, not through all that ever were
        )
        with self._database.reader() as uow:
            rows = uow.read(sql, (self._version,))
        return str(rows[0][0]) if rows else ""

    def counts(self) -> dict[str, int]:
        """How many workflows are in each of DBOS's states, those that succeeded or were cancelled left out."""
        # Named one by one, so that the index serves: the ended ones are many.
        states = "'ENQUEUED', 'DELAYED', 'PENDING', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'"
        sql = f"SELECT status, COUNT(*) FROM {self._status} WHERE status IN ({states}) GROUP BY status"
        with self._database.reader() as uow:
            return {row[0]: int(row[1]) for row in uow.read(sql)}

    def exists(self, uow: UnitOfWork, stored_id: str) -> bool:
        """Whether a workflow was started, in the view of an operation."""
        return bool(uow.read(f"SELECT 1 FROM {self._status} WHERE workflow_uuid = %s", (stored_id,)))

    def unread(self, stored_id: str, topic: str) -> bool:
        """Whether a message waits for a workflow."""
        sql = f"SELECT 1 FROM {self._notifications} WHERE destination_uuid = %s AND topic = %s AND NOT consumed LIMIT 1"
        with self._database.reader() as uow:
            return bool(uow.read(sql, (stored_id, topic)))

    def _sweep(self) -> None:
        with self._database.reader() as uow:
            if not uow.read(f"SELECT 1 FROM {workflow_workers.name} WHERE heartbeat_at < {self._ended} LIMIT 1"):
                return
        with self._database.unit() as uow:
            uow.execute(f"DELETE FROM {workflow_workers.name} WHERE heartbeat_at < {self._ended}")
