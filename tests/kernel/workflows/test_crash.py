"""Workers that are killed, never return, stall, or start again: every workflow finishes, every effect happens once."""

import multiprocessing
import multiprocessing.process
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.kernel.database import Database, open_database
from tests.kernel.workflows.desk import marks, office, work

ROUNDS = int(os.environ.get("ENTREPOT_CRASH_ROUNDS", "20"))
BOUNDARIES = (
    "before first", "after first", "before outside", "after outside", "after sleep", "before second", "after second",
    "after wait", "before third", "after third", "end",
)  # fmt: skip
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.kernel.workflows.desk"])
Process = multiprocessing.process.BaseProcess


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """The processes of a test; none outlives it."""
    made: list[Process] = []
    yield made
    for process in made:
        if process.is_alive() and process.pid is not None:
            process.kill()
        process.join()


def _once(*stories: str) -> Counter[str]:
    return Counter(f"{story}-{part}" for story in stories for part in ("first", "second", "third"))


def _wait_for(database: Database, subject: str) -> None:
    deadline = time.monotonic() + 30
    while not marks(database)[subject]:
        assert time.monotonic() < deadline, f"{subject} was not reached"
        time.sleep(0.02)


@pytest.mark.crash
@pytest.mark.slow
def test_killed_at_every_boundary_of_a_step(database_url: str, tmp_path: Path, started: list[Process]) -> None:
    file = tmp_path / "out"
    for place in (*BOUNDARIES, ""):
        process = processes.Process(target=work, args=(database_url, ["w1"], str(file), place))
        process.start()
        started.append(process)
        process.join(60)
        assert process.exitcode == (-signal.SIGKILL if place else 0), place
    database = open_database(database_url)
    assert marks(database) == _once("w1")
    database.close()
    # The outside was killed before the call, after it, and then answered: it is the key that makes it one.
    assert file.read_text().split() == ["w1", "w1"]


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_killed_at_random_moments_under_load(database_url: str, tmp_path: Path, started: list[Process]) -> None:
    dice = random.Random(20260301)
    stories: list[str] = []
    for turn in range(ROUNDS):
        stories += [f"w{turn}-{number}" for number in range(3)]
        # What the last one did not answer is asked again with the same keys, as any client would.
        process = processes.Process(target=work, args=(database_url, stories[-6:], str(tmp_path / "out")))
        process.start()
        started.append(process)
        process.join(dice.uniform(0.2, 1.8))
        if process.is_alive():
            process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
    last = processes.Process(target=work, args=(database_url, stories, str(tmp_path / "out")))
    last.start()
    started.append(last)
    last.join(120)
    assert last.exitcode == 0
    database = open_database(database_url)
    assert marks(database) == _once(*stories)
    database.close()


def test_a_dead_worker_never_returns(database: Database, tmp_path: Path, started: list[Process]) -> None:
    first = processes.Process(target=work, args=(database.url, ["w2"], str(tmp_path / "out"), "", False))
    first.start()
    started.append(first)
    _wait_for(database, "w2-second")
    assert first.pid is not None
    if database.dialect == "sqlite":  # one process owns the file: the second starts when the first is gone
        first.kill()
        first.join()
    with office(database) as second:
        first.kill()
        first.join()
        assert second.state("w2") in {"running", "waiting"}
        second.tell("w2", "go")
        assert second.runner.drain(20), "the workflows of the dead were not taken over"
        assert second.runner.health().orphans == 0
    assert marks(database) == _once("w2")


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one worker
def test_a_stalled_worker_returns_after_it_was_declared_dead(
    database: Database, tmp_path: Path, started: list[Process]
) -> None:
    first = processes.Process(target=work, args=(database.url, ["w3"], str(tmp_path / "out"), "", False))
    first.start()
    started.append(first)
    _wait_for(database, "w3-second")
    assert first.pid is not None
    with office(database) as second:
        os.kill(first.pid, signal.SIGSTOP)
        second.tell("w3", "go")
        assert second.runner.drain(20), "the workflows of the stalled were not taken over"
        os.kill(first.pid, signal.SIGCONT)
        first.join(30)
        assert first.exitcode == 0
    assert marks(database) == _once("w3")
