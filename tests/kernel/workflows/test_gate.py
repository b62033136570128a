"""Workflows beside a busy writer: SQLite's own lock is not fair, the kernel's gate is."""

import threading
import time

import pytest
from sqlalchemy import text

from entrepot.kernel.database import Database
from entrepot.kernel.database.engine import FairGate
from entrepot.kernel.workflows.engine import workflow_engine
from tests.kernel.workflows.desk import CLERK, Mark, marks, office

LONGEST_S = 6.0  # seven transactions and two polls; without the gate 17 s and more were measured


def test_a_busy_writer_does_not_starve_workflows(database: Database) -> None:
    with office(database) as desk:
        desk.begin("single", "warm")
        assert desk.runner.drain(20)
        stop = threading.Event()
        threads = [threading.Thread(target=_hammer, args=(desk.executor, stop, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        started = time.monotonic()
        for number in range(5):
            desk.begin("single", f"busy{number}")
        drained = desk.runner.drain(30)
        took = time.monotonic() - started
        stop.set()
        for thread in threads:
            thread.join()
        assert drained
        assert took < LONGEST_S
        assert sum(marks(database).values()) > 200, "the writer was not busy"


def _hammer(executor: object, stop: threading.Event, number: int) -> None:
    turn = 0
    while not stop.is_set():
        calls = [
            executor.submit(Mark(subject=f"load-{number}-{turn}-{n}"), CLERK, f"load-{number}-{turn}-{n}")  # type: ignore[attr-defined]
            for n in range(20)
        ]
        for call in calls:
            call.result()
        turn += 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_gate_is_released_however_a_transaction_ends(database: Database) -> None:
    engine = workflow_engine(database)
    assert type(database.gate) is FairGate
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
        assert _taken(database)
    assert not _taken(database)
    with pytest.raises(ZeroDivisionError), engine.begin():
        raise ZeroDivisionError
    assert not _taken(database)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE made (id INTEGER)"))
        connection.rollback()
        connection.execute(text("BEGIN IMMEDIATE"))  # as DBOS's migrations do, inside the transaction that is open
        assert connection.execute(text("SELECT COUNT(*) FROM sqlite_master WHERE name = 'made'")).scalar() == 0
    assert not _taken(database)
    connection = engine.connect()
    connection.execute(text("SELECT 1"))
    connection.invalidate()
    connection.close()
    assert not _taken(database)
    with database.unit() as uow:
        uow.begin_operation()
        uow.execute("DELETE FROM workflow_workers")
    engine.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_gate_serves_in_the_order_of_arrival(database: Database) -> None:
    order: list[int] = []

    def wait(number: int) -> None:
        with database.gate:
            order.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(8)]
    with database.gate:
        for place, thread in enumerate(threads):
            thread.start()
            while len(database.gate._waiting) <= place:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def _taken(database: Database) -> bool:
    return database.gate._taken
