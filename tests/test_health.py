"""What `/readyz` and `/metrics` say of a running server when one of its parts stands still, on both databases."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from dbos import DBOS
from fastapi import FastAPI

from entrepot.app import Entrepot
from entrepot.health import Health
from entrepot.kernel.database import Database, Scope, open_database
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.events import chain
from entrepot.kernel.operations import ManualClock
from entrepot.kernel.things.broker import BrokerError
from entrepot.kernel.timers import Timers
from entrepot.kernel.workflows import Flow, workflow
from entrepot.settings import Settings
from entrepot.web import build_web
from tests.kernel.workflows.desk import CLERK, DESK, TENANT, Begin, Mark

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
PARTS = ("database", "workflows", "sealing", "timers", "telemetry")
LIMIT_S = 30


@workflow("desk.broken")
def broken(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
    """Ends in an error of its own."""
    raise LookupError("a mistake of the programmer")


class Watch:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def assembled(url: str, folder: Path) -> Entrepot:
    options = Settings(
        data_dir=folder / "data", database_url=url, tenant=TENANT, mqtt_port=0, stall_limit_s=LIMIT_S, webhooks="off"
    )
    database = open_database(url, durable=False)
    return Entrepot(options, clock=ManualClock(NOW), systems=[DESK], database=database)


@contextmanager
def working(url: str, folder: Path) -> Iterator[Entrepot]:
    """Everything but telemetry is started."""
    application = assembled(url, folder)
    application.start_threads()
    try:
        yield application
    finally:
        application.stop_threads()
        application.telemetry.close()
        application.close()


@asynccontextmanager
async def served(url: str, folder: Path) -> AsyncIterator[tuple[Entrepot, FastAPI]]:
    application = assembled(url, folder)
    app = build_web(application, console=False)
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(application.telemetry.until_connected(), 30)
        yield application, app


async def asked(app: FastAPI, path: str = "/readyz") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080") as web:
        return await web.get(path)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 30
    while not await check():
        assert time.monotonic() < end, "it does not come"
        await asyncio.sleep(0.1)


def begin(application: Entrepot, name: str, key: str) -> None:
    application.executor.run(Begin(workflow=f"desk.{name}", id=key), CLERK, key)


def change_workflow(database: Database, key: str, changes: str) -> None:
    table = "workflow_status" if database.dialect == "sqlite" else "dbos.workflow_status"
    with database.unit() as uow:
        uow.execute(f"UPDATE {table} SET {changes} WHERE workflow_uuid = %s", (f"{TENANT}/{key}",))


def moved(application: Entrepot, seconds: float) -> None:
    assert isinstance(application.clock, ManualClock)
    application.clock.move_to(from_us(application.clock.now_us()) + timedelta(seconds=seconds))


def test_a_server_that_works_is_ready_and_one_failed_workflow_changes_nothing(database_url: str, tmp_path: Path):
    async def story() -> None:
        async with served(database_url, tmp_path) as (application, app):
            answer = await asked(app)
            assert answer.status_code == 200
            assert answer.json() == {"status": "ready", **dict.fromkeys(PARTS, "up"), "problems": [], "notes": []}
            await asyncio.to_thread(begin, application, "broken", "w1")
            await until(lambda: noted(app))
            answer = await asked(app)
            assert (answer.status_code, answer.json()["problems"]) == (200, [])
            assert answer.json()["notes"] == ["1 workflow failed; people must look at it"]
            figures = (await asked(app, "/metrics")).text.splitlines()
            for line in (
                'entrepot_up{part="workflows"} 1.0', "entrepot_workflows_failed 1.0", "entrepot_workflow_workers 1.0",
                "entrepot_workflow_orphans 0.0", "entrepot_timers_due 0.0", "entrepot_timer_lag_seconds 0.0",
                "entrepot_broker_restarts 0.0",
            ):  # fmt: skip
                assert line in figures

    async def noted(app: FastAPI) -> bool:
        return bool((await asked(app)).json()["notes"])

    asyncio.run(story())


def test_an_engine_that_no_longer_runs_is_not_ready(database_url: str, tmp_path: Path):
    async def story() -> None:
        async with served(database_url, tmp_path) as (application, app):
            assert (await asked(app)).status_code == 200
            await asyncio.to_thread(application.workflows.stop)
            await asyncio.sleep(1.1)  # an examination serves for a second
            answer = await asked(app)
            assert (answer.status_code, answer.json()["workflows"]) == (503, "down")
            assert answer.json()["problems"] == [
                {"part": "workflows", "what": "the workflow engine does not run", "since": "2026-03-02T08:00:00+00:00"}
            ]
            assert 'entrepot_up{part="workflows"} 0.0' in (await asked(app, "/metrics")).text

    asyncio.run(story())


def test_a_broker_that_has_ended_is_not_ready_until_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def story() -> None:
        async with served(f"sqlite:///{tmp_path / 'entrepot.db'}", tmp_path) as (application, app):
            broker = application.telemetry.broker
            assert broker is not None
            launch = broker._launch

            def away(port: int) -> Any:
                raise BrokerError("not today")

            monkeypatch.setattr(broker, "_launch", away)
            assert broker._process is not None
            broker._process.kill()
            await until(lambda: said(app, 503))
            problem = (await asked(app)).json()["problems"][0]
            assert problem["part"] == "telemetry"
            assert "broker has ended" in problem["what"]
            monkeypatch.setattr(broker, "_launch", launch)
            await until(lambda: said(app, 200))
            assert "entrepot_broker_restarts 1.0" in (await asked(app, "/metrics")).text

    async def said(app: FastAPI, status: int) -> bool:
        return (await asked(app)).status_code == status

    database = open_database(f"sqlite:///{tmp_path / 'entrepot.db'}")
    database.create_all()
    database.close()
    asyncio.run(story())


def test_timers_that_nobody_fires(database_url: str, tmp_path: Path):
    with working(database_url, tmp_path) as application:
        health = Health(application)
        application.timers._pause_s = 3600  # its thread lives and does nothing
        time.sleep(0.6)
        with application.database.unit() as uow:
            scope = Scope(uow, TENANT, application.clock.now_us(), Random(1), str, "per_1", lambda *_: None)
            Timers(scope).at(NOW + timedelta(seconds=10), Mark(subject="x"), "t1")
        moved(application, 10 + LIMIT_S)
        assert health.examine().ready
        moved(application, 5)
        report = health.examine()
        assert report.parts["timers"] == "down"
        assert [(p.part, p.what, p.since) for p in report.problems] == [
            ("timers", "1 timer overdue and not fired", "2026-03-02T08:00:10+00:00")
        ]
        assert report.figures["entrepot_timer_lag_seconds"] == LIMIT_S + 5
        assert Health(application).examine().ready, "a server that was just started has had no time to fire it"
        application.timers.run_due()
        assert health.examine().ready


def test_a_timer_that_waits_for_another_attempt_is_no_matter(database_url: str, tmp_path: Path):
    with working(database_url, tmp_path) as application:
        health = Health(application)
        application.timers._pause_s = 3600
        time.sleep(0.6)
        with application.database.unit() as uow:
            scope = Scope(uow, TENANT, application.clock.now_us(), Random(1), str, "per_1", lambda *_: None)
            Timers(scope).at(NOW, Mark(subject="x"), "t1")
        with application.database.unit() as uow:
            later = application.clock.now_us() + 300_000_000
            uow.execute("UPDATE timers SET attempts = 9, retry_at = %s", (later,))
        moved(application, 200)
        assert health.examine().ready
        moved(application, 200)
        assert health.examine().parts["timers"] == "down"


def test_sealing_that_fails(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object) -> dict[str, int]:
        raise OSError("the disk is full")

    with working(database_url, tmp_path) as application:
        health = Health(application)
        real = chain.seal_once
        monkeypatch.setattr(chain, "seal_once", fails)
        moved(application, 1)
        application.executor.run(Mark(subject="s1"), CLERK, "s1")
        moved(application, LIMIT_S)
        assert health.examine().ready
        moved(application, 1)
        report = health.examine()
        assert [(p.part, p.what, p.since) for p in report.problems] == [
            ("sealing", "1 event not sealed yet", "2026-03-02T08:00:01+00:00")
        ]
        assert report.figures["entrepot_seal_lag_seconds"] == LIMIT_S + 1
        monkeypatch.setattr(chain, "seal_once", real)
        application.sealer.drain()
        assert health.examine().ready
        application.sealer.stop()
        assert [p.what for p in health.examine().problems] == ["the sealing thread has ended"]


def test_workflows_that_nobody_takes_over_or_begins(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DBOS, "_recover_pending_workflows", lambda *_: [])
    with working(database_url, tmp_path) as application:
        watch = Watch()
        health = Health(application, watch)
        begin(application, "single", "w1")
        assert application.workflows.drain(20)
        change_workflow(application.database, "w1", "status = 'PENDING', executor_id = 'one that was killed'")
        assert health.examine().ready
        watch.now += LIMIT_S + 1
        report = health.examine()
        assert [(p.part, p.what) for p in report.problems] == [
            ("workflows", "the workflows of 1 ended worker are taken over by nobody")
        ]
        assert report.figures["entrepot_workflow_orphans"] == 1
        change_workflow(application.database, "w1", "status = 'ENQUEUED', queue_name = 'a queue that nobody reads'")
        assert health.examine().ready
        watch.now += LIMIT_S + 1
        assert "none is begun" in health.examine().problems[0].what
        change_workflow(application.database, "w1", "status = 'CANCELLED'")
        assert health.examine().ready
        watch.now += LIMIT_S + 1
        assert health.examine().ready


def test_an_examination_that_hangs_is_answered_all_the_same(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("entrepot.health.LONGEST_S", 0.3)
    with working(database_url, tmp_path) as application:
        health = Health(application)

        real, freed, begun = health.examine, threading.Event(), []

        def slowly() -> Any:
            begun.append(1)
            freed.wait(30)
            return real()

        monkeypatch.setattr(health, "examine", slowly)

        async def story() -> None:
            reports = await asyncio.gather(*(health.examined() for _ in range(20)))
            assert {report.ready for report in reports} == {False}
            assert "longer than" in reports[0].problems[0].what
            assert len(begun) == 1, "they wait for one examination"
            freed.set()
            monkeypatch.setattr("entrepot.health.LONGEST_S", 20)
            assert (await health.examined()).ready

        asyncio.run(story())
