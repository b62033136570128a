"""Killed at random moments under load: nothing lost, nothing twice, all invariants true, all durable work finished.

20 rounds a database in `make test`; `make crash` runs 200. All rounds of a database work on the same data; every worker
that is killed never returns, the next one has another id.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.app import Entrepot, installed_systems
from entrepot.books import verify_books
from entrepot.kernel.banking import HttpBank, use
from entrepot.kernel.ledger import verify
from entrepot.region.bank import Bank, serve
from entrepot.region.seed import cast_of, manifest
from entrepot.settings import load_settings
from tests.support.postgres import Cluster

ROUNDS = int(os.environ.get("ENTREPOT_CRASH_ROUNDS", "20"))
FINISH_S = 90


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[tuple[str, Bank]]:
    """A bank that answers late and twice, and is not killed."""
    books = Bank(tmp_path / "bank.db", delay_s=0.05)
    server = serve(books, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", books
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["sqlite", "postgres"])
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that keeps what it commits: fsync is on."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crash.db'}"
    else:
        with Cluster.create(durable=True) as cluster:
            yield cluster.create_database()


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(60 + ROUNDS * 30)
def test_killed_at_random_moments_nothing_is_lost_or_doubled(
    durable_url: str, bank: tuple[str, Bank], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bank_url, bank_books = bank
    folder = tmp_path / "data"
    chance = random.Random(4711)
    for number in range(1, ROUNDS + 1):
        killed_after = _round(durable_url, folder, bank_url, number, chance)
        with capsys.disabled():
            if ROUNDS > 20:
                print(f"  round {number}/{ROUNDS}: killed after {killed_after:.2f} s of load", flush=True)
    _check(durable_url, folder, bank_url, bank_books)


def _round(url: str, folder: Path, bank_url: str, number: int, chance: random.Random) -> float:
    command = [sys.executable, "-m", "tests.crash.worker", url, str(folder), bank_url, str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if line != "loaded\n":
            process.kill()
            raise AssertionError(f"the worker did not come up:\n{process.stderr.read()[-4000:]}")
        load_s = chance.uniform(0.05, 1.2)
        time.sleep(load_s)
        assert process.poll() is None, f"the worker ended by itself:\n{process.stderr.read()[-4000:]}"
        return load_s
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def _check(url: str, folder: Path, bank_url: str, bank_books: Bank) -> None:
    settings = load_settings({}, data_dir=folder, database_url=url, mqtt_port=0)
    application = Entrepot(settings, systems=[*installed_systems(), manifest])
    channel = HttpBank(bank_url)
    use(channel)
    application.start_threads()
    try:
        promises = _promises(folder / "journal.jsonl")
        assert len(promises) > ROUNDS * 3, "there was load"
        assert any(answer is None for _, answer in promises.values()), "something was in flight when it was killed"
        _resend(application, promises)
        _wait_until_finished(application)
        _invariants(application, bank_books)
    finally:
        application.stop_threads()
        application.telemetry.close()
        application.close()
        channel.close()
    assert verify_books(settings, "lanzhou") == []


def _promises(journal: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any] | None]]:
    found: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {}
    for line in journal.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line that was being written when the worker was killed
        if entry["kind"] == ">":
            found.setdefault(entry["key"], (entry, None))
        else:
            found[entry["key"]] = (found[entry["key"]][0], entry)
    return found


def _resend(application: Entrepot, promises: dict[str, tuple[dict[str, Any], dict[str, Any] | None]]) -> None:
    """Every answered command answers the same again; every unanswered one is done once, now or before."""
    cast = cast_of(application.executor, "lanzhou")
    by_name = {operation.request.__name__: operation.request for operation in application.registry}
    for key, (promise, answer) in promises.items():
        request = by_name[promise["operation"]].model_validate_json(promise["body"])
        outcome = application.executor.submit(request, cast.actor(promise["person"]), key).result()
        if answer is not None and answer["status"] not in {401, 403, 429, 503}:
            assert outcome.replayed, f"{key} was answered, and is run again: it was lost"
            assert (outcome.status, json.loads(outcome.json)) == (answer["status"], json.loads(answer["json"])), key
        again = application.executor.submit(request, cast.actor(promise["person"]), key).result()
        assert again.json == outcome.json, f"{key} has two answers"


def _wait_until_finished(application: Entrepot) -> None:
    deadline = time.monotonic() + FINISH_S
    while time.monotonic() < deadline:
        with application.database.reader() as uow:
            waiting = uow.read("SELECT COUNT(*) FROM tf_instructions WHERE state = 'instructed'")[0][0]
            unsealed = uow.read("SELECT COUNT(*) FROM unsealed")[0][0]
            due = uow.read(
                "SELECT COUNT(*) FROM timers WHERE state = 'pending' AND due_at < %s", (application.clock.now_us(),)
            )[0][0]
        if not waiting and not unsealed and not due and not application.workflows.unfinished():
            return
        time.sleep(0.3)
    raise AssertionError(f"unfinished: {waiting} instructions, {unsealed} unsealed, {due} timers")


def _invariants(application: Entrepot, bank_books: Bank) -> None:
    database = application.database
    assert verify(database, "lanzhou", application.clock.now_us()) == []
    with database.reader() as uow:
        sums = uow.read("SELECT asset, SUM(posted) FROM ledger_accounts GROUP BY asset HAVING SUM(posted) <> 0")
        assert sums == [], "every asset sums to zero"
        doubled = uow.read(
            "SELECT receipt_id FROM tf_pledges WHERE state = 'active' GROUP BY receipt_id HAVING COUNT(*) > 1"
        )
        assert doubled == [], "no receipt is pledged twice"
        mine = {row[0]: row[1] for row in uow.read("SELECT id, amount FROM tf_instructions WHERE state = 'confirmed'")}
        positions = uow.read("SELECT COUNT(*), MIN(position), MAX(position) FROM seals WHERE tenant = 'lanzhou'")[0]
        assert positions[0] == positions[2] - positions[1] + 1, "positions have no gap"
    paid = {p["instruction_id"]: p["amount_minor"] for p in bank_books.statement()[1]["payments"]}
    assert mine == paid, "the bank's statement and the books are the same payments"


def test_the_checks_can_fail(database: Any):
    """A doctored book is reported: the invariants above are no decoration."""
    from random import Random

    from entrepot.kernel.database import Scope
    from entrepot.kernel.ledger import Ledger

    with database.unit() as uow:
        scope = Scope(uow, "lanzhou", 1_000_000, Random(1), lambda prefix: f"{prefix}_1", "x", lambda *_: None)
        ledger = Ledger(scope)
        ledger.define_asset("GOLD", 0, "goods", "mint")
        mint = ledger.account("mint", "GOLD", "issue", may_go_negative=True)
        ledger.transfer(mint, ledger.account("org_1", "GOLD"), 5)
    assert verify(database, "lanzhou", 2_000_000) == []
    with database.unit() as uow:
        uow.execute("UPDATE ledger_accounts SET posted = posted + 1 WHERE owner = %s", ("org_1",))
    assert verify(database, "lanzhou", 2_000_000) != []
