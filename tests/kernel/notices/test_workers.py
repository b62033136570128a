"""Several workers, and workers that die: every notice goes out, at the same moment from one worker only."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from entrepot.kernel.database import Database, open_database
from entrepot.kernel.notices import Notices
from entrepot.kernel.notices.channel_operations import EndAddress
from entrepot.kernel.notices.delivery import LEASE_S
from entrepot.kernel.notices.routing import STALE_US
from tests.kernel.notices.post import BODY, TITLE, Post, until
from tests.kernel.notices.receivers import HookServer


def test_two_workers_deliver_each_notice_once(post: Post, hooks: HookServer):
    parties = [f"org_{n}" for n in range(6)]
    for party in parties:
        post.hook(f"http://127.0.0.1:{hooks.port}/{party}", party=party)
    notices = [post.send(party) for party in parties * 8]
    # On PostgreSQL each worker has connections of its own; the file of SQLite belongs to one process.
    shared = post.database.dialect == "sqlite"
    databases = [post.database if shared else open_database(post.database.url, durable=False) for _ in range(3)]
    workers = [post.another(database, at_once=4) for database in databases]
    barrier = threading.Barrier(len(workers))

    def work(worker) -> None:
        barrier.wait()
        for _ in range(100):
            worker.run_due()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        if database is not post.database:
            database.close()
    assert len(hooks.ids()) == len(set(hooks.ids())) == len(notices)
    assert all(set(post.states(notice).values()) == {"delivered"} for notice in notices)


def test_a_worker_killed_between_delivery_and_mark_delivers_again_under_the_same_id(post: Post, hooks: HookServer):
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    notice = post.send()
    command = [sys.executable, "-m", "tests.kernel.notices.dying", post.database.url, str(post.clock.now_us())]
    died = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert died.returncode == -9, died.stderr
    assert hooks.ids() == [f"{notice}-{address}"]
    assert post.states(notice) == {address: "queued"}
    assert post.deliverer.run_due() == 0, "the dead worker's lease still runs"
    post.later(LEASE_S)
    assert post.deliverer.run_due() == 1
    assert hooks.ids() == [f"{notice}-{address}"] * 2
    assert post.states(notice) == {address: "delivered"}


def test_an_outcome_after_the_end_of_the_lease_changes_nothing(post: Post, hooks: HookServer):
    hooks.slow, hooks.statuses = {"/in": 0.3}, [200, 500]
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    notice = post.send()
    late = post.another()
    thread = threading.Thread(target=late.run_due)
    thread.start()
    until(lambda: post.row(address) is not None and _attempts(post, notice) == 1)
    post.later(LEASE_S)
    post.deliverer.run_due()
    thread.join()
    assert len(hooks.ids()) == 2
    assert _attempts(post, notice) == 2
    assert post.states(notice) == {address: "queued"}, "the second attempt's answer, 500, is the one that counts"


@pytest.mark.parametrize("under_way", [True, False])
def test_stopping_waits_for_what_is_under_way(post: Post, hooks: HookServer, under_way: bool):
    hooks.slow = {"/in": 0.4}
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    worker = post.another()
    worker.start()
    if under_way:
        notice = post.send()
        until(lambda: _attempts(post, notice) == 1)
    worker.stop()
    if under_way:
        assert post.states(notice) == {address: "delivered"}
    after = post.send()
    assert worker.run_due() == 0
    assert post.states(after) == {address: "queued"}


def test_addresses_end_while_their_notices_are_under_way(post: Post, hooks: HookServer, caplog):
    hooks.statuses = [200, 500, 410, 404] * 30
    parties = [f"org_{n}" for n in range(5)]
    made = {party: post.hook(f"http://127.0.0.1:{hooks.port}/{party}", party=party).id for party in parties}
    notices = [post.send(party) for party in parties * 12]
    post.deliverer.start()
    until(lambda: len(hooks.received) > 10)
    for party, address in made.items():
        assert post.run(EndAddress(address_id=address), party=party).state == "ended"
    post.deliverer.stop()
    assert {state for notice in notices for state in post.states(notice).values()} <= {"delivered", "failed"}
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_another_worker_learns_of_an_address_in_seconds(post: Post, hooks: HookServer):
    shared = post.database.dialect == "sqlite"
    elsewhere = post.database if shared else open_database(post.database.url, durable=False)
    try:
        _send_from(post, elsewhere)
        address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
        post.later(STALE_US / 1_000_000)
        assert post.states(_send_from(post, elsewhere)) == {address: "queued"}
        post.run(EndAddress(address_id=address))
        assert set(post.states(_send_from(post, elsewhere)).values()) <= {"queued"}
        post.deliverer.run_due()
        assert hooks.received == [], "one that another worker still believed in gets nothing"
        post.later(STALE_US / 1_000_000)
        assert post.states(_send_from(post, elsewhere)) == {}
    finally:
        if not shared:
            elsewhere.close()


def _send_from(post: Post, database: Database) -> str:
    with post.scope(database) as scope:
        return Notices(scope).send("org_bank", "margin-call", TITLE, BODY)


def _attempts(post: Post, notice: str) -> int:
    with post.database.reader() as uow:
        rows = uow.read("SELECT attempts FROM notice_deliveries WHERE notice = %s", (notice,))
    return int(rows[0][0])
