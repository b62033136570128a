"""A busy writer on SQLite, which has one place for all, lets workflows pass."""

import threading
import time

from entrepot.kernel.database import Database
from tests.kernel.workflows.desk import CLERK, Mark, marks, office


def test_a_busy_writer_does_not_starve_workflows(database: Database) -> None:
    ended = threading.Event()
    with office(database) as desk:
        desk.begin("single", "warm")
        assert desk.runner.drain(20)

        def press(number: int) -> None:
            count = 0
            while not ended.is_set():
                futures = [
                    desk.executor.submit(
                        Mark(subject=f"p{number}-{count + place}"), CLERK, f"p{number}-{count + place}"
                    )
                    for place in range(50)
                ]
                for future in futures:
                    future.result(30)
                count += 50

        threads = [threading.Thread(target=press, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            started = time.monotonic()
            for number in range(5):
                desk.begin("single", f"w{number}")
            while not all(marks(database)[f"w{number}"] for number in range(5)):
                assert time.monotonic() - started < 30, "five workflows of one step starve behind a busy writer"
                time.sleep(0.1)
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
        done = marks(database)
        assert done["p0-0"] == 1, "the writer was busy"
        assert all(count == 1 for count in done.values())
