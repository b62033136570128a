"""Killed at random moments under load: nothing lost, nothing twice, all invariants true, all durable work finished.

20 rounds a database in `make test`; `make crash` runs 200. All rounds of a database work on the same data; a worker
that is killed never returns, the next one has another name. On PostgreSQL the server is killed in some rounds, too.
"""

import contextlib
import multiprocessing
import multiprocessing.process
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from entrepot.app import Entrepot, installed_systems
from entrepot.books import verify_books
from entrepot.kernel.database import open_database
from entrepot.region.seed import cast_of
from entrepot.region.seed import manifest as region
from entrepot.systems import build_registry
from tests.crash import bells
from tests.crash.checks import TENANT, Evidence, findings, unfinished
from tests.crash.journal import NO_ANSWER, Promise, read
from tests.crash.worker import clock_of, open_application, work
from tests.support.postgres import Cluster, PostgresUnavailable

ROUNDS = int(os.environ.get("ENTREPOT_CRASH_ROUNDS", "20"))
START_S, FINISH_S = 60, 90
REGISTRY = build_registry([*installed_systems(), region, bells.manifest])
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.crash.worker"])
Process = multiprocessing.process.BaseProcess


@dataclass(slots=True)
class Campaign:
    """A database, the data folder of its workers, the bank, and PostgreSQL's server where there is one."""

    url: str
    folder: Path
    bank_url: str
    cluster: Cluster | None
    loaded: bool = False
    started: dict[int, tuple[Process, "Connection[str, str]"]] = field(default_factory=dict)

    def start(self, number: int, *, measuring: bool = True) -> None:
        """Start a worker."""
        ours, theirs = processes.Pipe(duplex=False)
        arguments = (self.url, self.folder, self.bank_url, number, theirs, measuring)
        process = processes.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        self.started[number] = process, ours

    def until_loaded(self, number: int) -> None:
        """Wait until a worker is under load."""
        process, pipe = self.started[number]
        try:
            self.loaded = pipe.poll(START_S) and pipe.recv() == "loaded"
        except EOFError:
            self.loaded = False
        assert self.loaded, f"worker {number} did not come up:\n{self.log(number)}"
        assert process.is_alive()

    def pid(self, number: int) -> int:
        """The process id of a worker."""
        return self.started[number][0].pid or 0

    def kill(self, number: int) -> None:
        """Kill a worker; it must have lived until now."""
        process, pipe = self.started.pop(number)
        alive = process.is_alive()
        process.kill()
        process.join()
        pipe.close()
        assert alive, f"worker {number} ended by itself:\n{self.log(number)}"

    def log(self, number: int) -> str:
        """The end of what a worker said."""
        file = self.folder.parent / f"worker-{number}.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def evidence(self) -> Evidence:
        """What the data must agree with, by now."""
        return Evidence.collect(REGISTRY, read(self.folder), self.bank_url)

    def check(self) -> None:
        """Whatever is under way, nothing is half done."""
        assert findings(self.url, self.evidence(), clock_of(self.folder).now_us(), finished=False) == []

    def kill_server(self) -> None:
        """End PostgreSQL's first process as nothing else would."""
        assert self.cluster is not None
        assert self.cluster.process is not None
        self.cluster.process.kill()
        self.cluster.process.wait()
        self.cluster.process = None

    def start_server(self) -> None:
        """Start the server on what it left. Its children held the shared memory until they noticed."""
        assert self.cluster is not None
        deadline = time.monotonic() + START_S
        while True:
            try:
                return self.cluster.start()
            except PostgresUnavailable:
                assert time.monotonic() < deadline, self.cluster.log_tail()
                time.sleep(0.1)


@pytest.fixture
def bank_url(tmp_path: Path) -> Iterator[str]:
    """A bank, a process of its own that is not killed: it stalls, breaks off and decides late."""
    command = [sys.executable, "-m", "entrepot.region.bank", "--store", str(tmp_path / "bank.db"), "--delay", "0.15"]
    process = subprocess.Popen(
        [*command, "--flaky", "7", "--stall", "0.8"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().rsplit(' ', 1)[1].strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(params=["sqlite", "postgres"])
def campaign(request: pytest.FixtureRequest, tmp_path: Path, bank_url: str) -> Iterator[Campaign]:
    """A campaign on a database that keeps what it commits: fsync is on."""
    folder = tmp_path / "data"
    clock_of(folder)
    cluster = Cluster.create(durable=True) if request.param == "postgres" else None
    url = cluster.create_database() if cluster else f"sqlite:///{tmp_path / 'crash.db'}"
    made = Campaign(url, folder, bank_url, cluster)
    yield made
    for process, pipe in made.started.values():
        process.kill()
        process.join()
        pipe.close()
    if cluster:
        cluster.remove()


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(240 + ROUNDS * 30)
def test_killed_at_random_moments(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(4711)
    for number in range(1, ROUNDS + 1):
        started = time.monotonic()
        told = _round(campaign, number, chance)
        if campaign.loaded and (ROUNDS <= 20 or number % 10 == 0):
            campaign.check()
        if ROUNDS > 20:
            with capsys.disabled():
                print(f"  round {number}/{ROUNDS}: {told}; {time.monotonic() - started:.1f} s", flush=True)
    evidence = _finish(campaign)
    promises, readings = evidence.promises, evidence.readings
    assert len(promises) > ROUNDS * 5, "there was load"
    assert sum(promise.orphan for promise in promises.values()) > ROUNDS / 2, "workers were killed under load"
    assert len(readings) > ROUNDS, "there were readings"
    kinds = {promise.operation for promise in promises.values() if promise.done}
    assert kinds >= {"IssueReceipt", "PledgeGoods", "ApproveLoan", "Repay", "SetPrices", "SetBell", "ActOnCase"}
    if campaign.cluster is None:
        _checks_can_fail(campaign, evidence)


def _round(campaign: Campaign, number: int, chance: random.Random) -> str:
    """Start a worker and kill it, and perhaps the server; what was done, in words."""
    campaign.start(number)
    if number % 5 in {1, 3}:  # while it starts, takes over or sends again; the first one while the schema is made
        start_s = chance.uniform(0.1, 2.5)
        time.sleep(start_s)
        campaign.kill(number)
        return f"killed {start_s:.2f} s after its start"
    campaign.until_loaded(number)
    load_s = chance.uniform(0.1, 1.5)
    time.sleep(load_s)
    if campaign.cluster is None or number % 5 == 2:
        campaign.kill(number)
        return f"killed after {load_s:.2f} s of load"
    campaign.kill_server()
    if number % 5 == 4:
        campaign.kill(number)
        campaign.start_server()
        return f"killed with the server after {load_s:.2f} s of load"
    campaign.start_server()
    time.sleep(load_s)
    campaign.kill(number)
    return f"server killed after {load_s:.2f} s of load, the worker {load_s:.2f} s after it was back"


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("campaign", ["postgres"], indirect=True)  # SQLite has one worker
def test_a_dead_worker_never_returns(campaign: Campaign) -> None:
    campaign.start(1)
    campaign.until_loaded(1)
    campaign.start(2, measuring=False)
    campaign.until_loaded(2)
    deadline = time.monotonic() + 60
    pid = campaign.pid(1)
    while not _workflows(campaign.url, "status = 'PENDING' AND executor_id LIKE %s", f"%-{pid}-%"):
        assert time.monotonic() < deadline, "the first worker runs no workflow"
        time.sleep(0.02)
    campaign.kill(1)
    left = _workflows(campaign.url, "status = 'PENDING' AND executor_id LIKE %s", f"%-{pid}-%")
    assert left, "it was killed while it ran workflows"
    while left - _workflows(campaign.url, "status = 'SUCCESS'"):
        assert time.monotonic() < deadline, "nobody took over what the dead worker left"
        time.sleep(0.1)
    campaign.kill(2)
    campaign.check()
    _finish(campaign)


def _workflows(url: str, condition: str, *parameters: str) -> set[str]:
    with contextlib.closing(open_database(url)) as database, database.reader() as uow:
        sql = f"SELECT workflow_uuid FROM dbos.workflow_status WHERE {condition}"
        return {row[0] for row in uow.read(sql, parameters)}


# ------------------------------------------------------------------------------------------------- after the last crash


def _finish(campaign: Campaign) -> Evidence:
    """The last start: every key has its answer, all durable work ends, and all books agree."""
    application, channel = open_application(campaign.url, campaign.folder, campaign.bank_url)
    application.start_threads()
    try:
        promises, readings = read(campaign.folder)
        _send_all_again(application, promises)
        _wait_until_finished(application)
    finally:
        application.stop_threads()
        application.telemetry.close()
        application.close()
        channel.close()
    evidence = replace(campaign.evidence(), promises=promises, readings=readings)
    assert findings(campaign.url, evidence, application.clock.now_us(), finished=True) == []
    assert verify_books(application.settings, TENANT) == []
    return evidence


def _send_all_again(application: Entrepot, promises: dict[str, Promise]) -> None:
    """Every answered key answers the same again; every unanswered one is decided once, now or before."""
    cast = cast_of(application.executor, TENANT)
    by_name = {operation.request.__name__: operation.request for operation in REGISTRY}
    for promise in promises.values():
        request = by_name[promise.operation].model_validate_json(promise.body)
        for _ in range(2):
            outcome = application.executor.submit(request, cast.actor(promise.person), promise.key).result()
            if outcome.status not in NO_ANSWER:
                assert outcome.replayed or not promise.answers, f"{promise.key} was answered and is run again"
                promise.add(outcome.status, outcome.json)
        assert len(set(map(repr, promise.answers))) <= 1, f"{promise.key} has different answers: {promise.answers}"


def _wait_until_finished(application: Entrepot) -> None:
    deadline = time.monotonic() + FINISH_S
    # Twice in a row: what has ended may have begun something else.
    quiet = 0
    while quiet < 2:
        left = unfinished(application.database, application.clock.now_us())
        quiet = 0 if left else quiet + 1
        assert time.monotonic() < deadline, f"unfinished: {left}, {application.workflows.health()}"
        time.sleep(0.5)
    assert application.workflows.unfinished() == 0
    assert application.workflows.health().failed == 0


# ------------------------------------------------------------------------------------------------ the checks themselves

DOCTORED = {
    "ledger": "UPDATE ledger_accounts SET posted = posted + 1 WHERE asset = 'CNY' AND owner = 'org_huanghe'",
    "sums": "UPDATE ledger_accounts SET posted = posted - 1 WHERE asset = 'CNY' AND owner = 'org_exchange'",
    "chain": "UPDATE events SET subject = 'other' WHERE type = 'tradefinance.pledge'",
    "positions": "DELETE FROM seals WHERE position = 7",
    "promises": "DELETE FROM events WHERE id = (SELECT MIN(id) FROM events WHERE type = 'tradefinance.repay' "
    "AND status = 200)",
    "receipts": "UPDATE wh_receipts SET state = 'issued' WHERE state = 'cancelled'",
    "pledges": "UPDATE tf_pledges SET receipt_id = (SELECT MIN(receipt_id) FROM tf_pledges WHERE state = 'active') "
    "WHERE state = 'active'",
    "money": "DELETE FROM tf_instructions WHERE id = (SELECT MIN(id) FROM tf_instructions)",
    "bells": "DELETE FROM events WHERE type = 'bells.ring' AND id = (SELECT MAX(id) FROM events "
    "WHERE type = 'bells.ring')",
    "cases": "DELETE FROM case_entries WHERE number = 2",
}


def _checks_can_fail(campaign: Campaign, evidence: Evidence) -> None:
    """Each check reports a doctored copy of the very data that it passed, or evidence that the data does not bear."""
    original = campaign.folder.parent
    copy = original / "doctored"
    copy.mkdir()
    shutil.copy(original / "telemetry.sqlite", copy)
    now_us = clock_of(campaign.folder).now_us()

    def reported(statement: str, held_against: Evidence) -> set[str]:
        shutil.copy(original / "crash.db", copy)
        with contextlib.closing(sqlite3.connect(copy / "crash.db", isolation_level=None)) as doctored:
            assert not statement or doctored.execute(statement).rowcount > 0, f"nothing to doctor: {statement}"
        found = findings(f"sqlite:///{copy / 'crash.db'}", held_against, now_us, finished=True)
        return {finding.partition(":")[0] for finding in found}

    assert reported("", evidence) == set()
    for check, statement in DOCTORED.items():
        assert check in reported(statement, evidence), f"{check} does not see: {statement}"
    known = next(promise for promise in evidence.promises.values() if promise.done)
    lost = {**evidence.promises, "lost": replace(known, key="lost")}
    changed = {**evidence.promises, known.key: replace(known, answers=[*known.answers, (409, {})])}
    paid = dict(list(evidence.paid.items())[1:])
    assert "promises" in reported("", replace(evidence, promises=lost))
    assert "promises" in reported("", replace(evidence, promises=changed))
    never_sent = max(evidence.readings) + 1_000_000  # the next one may have been kept unacknowledged
    assert "readings" in reported("", replace(evidence, readings=evidence.readings | {never_sent}))
    assert "money" in reported("", replace(evidence, paid=paid))
