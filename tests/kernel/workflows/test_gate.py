"""Workflows beside a busy writer: SQLite's own lock is not fair, the kernel's gate is."""

import threading
import time
from concurrent.futures import Future

import pytest
from sqlalchemy import text

from entrepot.kernel.database import Database, open_database
from entrepot.kernel.database.engine import FairGate
from entrepot.kernel.operations import Executor
from entrepot.kernel.operations.runtime import Outcome
from entrepot.kernel.workflows.engine import workflow_engine
from tests.kernel.workflows.desk import CLERK, Mark, marks, office

LONGEST_S = 5.0  # takes 1.4 s; without the gate 7 to 40 s where an fsync takes its time


def test_a_busy_writer_does_not_starve_workflows(database_url: str) -> None:
    database = open_database(database_url)  # durable: the writer holds the lock over its fsync
    with office(database) as desk:
        desk.begin("single", "warm")
        assert desk.runner.drain(20)
        stop = threading.Event()
        threads = [threading.Thread(target=_hammer, args=(desk.executor, stop, n)) for n in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        started = time.monotonic()
        for number in range(5):
            desk.begin("single", f"busy{number}")
        asked = time.monotonic()
        drained = desk.runner.drain(30)
        took = time.monotonic() - asked
        stop.set()
        for thread in threads:
            thread.join()
        assert drained
        assert took < LONGEST_S, f"beginning them took {asked - started:.1f} s"
        assert sum(marks(database).values()) > 500, "the writer was not busy"
    database.close()


def _hammer(executor: Executor, stop: threading.Event, number: int) -> None:
    """Keeps between 200 and 400 commands waiting."""
    turn, earlier = 0, list[Future[Outcome]]()
    while not stop.is_set():
        names = [f"load-{number}-{turn}-{place}" for place in range(200)]
        calls = [executor.submit(Mark(subject=name), CLERK, name) for name in names]
        for call in earlier:
            call.result()
        earlier, turn = calls, turn + 1
    for call in earlier:
        call.result()


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
