"""The engine that DBOS is given: the same database, and on SQLite every transaction behind the kernel's fair gate.

Without the gate a busy writer thread starves the workflows: SQLite's own lock is not fair.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from entrepot.kernel.database import Database

HELD = "entrepot_gate"


def workflow_engine(database: Database) -> Engine:
    """An engine for DBOS; dispose of it after DBOS was destroyed."""
    if database.dialect != "sqlite":
        return create_engine(database.url, pool_size=8, max_overflow=8, pool_pre_ping=True)
    engine = create_engine(
        database.url, pool_size=8, max_overflow=8, connect_args={"check_same_thread": False, "timeout": 60}
    )
    gate = database.gate

    @event.listens_for(engine, "connect")
    def connect(driver: Any, record: Any) -> None:
        driver.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=60000"):
            driver.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.info.get(HELD):
            gate.acquire()
            connection.info[HELD] = True
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def leave(driver: Any, record: Any) -> None:
        if record is not None and record.info.pop(HELD, False):
            gate.release()

    # The pool takes a connection back after its transaction has ended, whichever way; a broken one is invalidated.
    event.listen(engine, "checkin", leave)
    event.listen(engine, "invalidate", lambda driver, record, error: leave(driver, record))

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def before(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        # DBOS's migrations begin by hand as well; the transaction is open already.
        repeated = statement.strip().upper() == "BEGIN IMMEDIATE" and cursor.connection.in_transaction
        return ("SELECT 1" if repeated else statement), parameters

    return engine
