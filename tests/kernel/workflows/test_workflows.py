"""Starting, signalling, waiting, sleeping, failing and stopping, in one process on both databases."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.operations import Actor, ManualClock, Refusal
from entrepot.kernel.workflows import Flow, OutsideFailed, workflow
from tests.kernel.workflows.desk import FAILURES, TENANT, Mark, marks, office, output

OTHER = Actor("tianshui", "wu", "org_other", "person", frozenset({"desk:act"}))


def test_a_story_runs_to_its_end_and_its_state_is_json(database: Database, tmp_path: Path) -> None:
    with office(database) as desk:
        desk.begin("story", "w1", file=str(tmp_path / "out"))
        desk.tell("w1", "go", by="li")
        assert desk.runner.drain(20)
        assert marks(database) == {"w1-first": 1, "w1-second": 1, "w1-third": 1}
        assert desk.state("w1") == "done"
    assert json.loads(output(database, "w1")) == {"written": "w1", "message": {"by": "li"}}
    for text in _everything_stored(database):
        json.loads(text)


def test_a_refused_operation_starts_nothing(database: Database) -> None:
    with office(database) as desk:
        with pytest.raises(Refusal, match="asked to be refused"):
            desk.begin("single", "w2", refuse=True)
        desk.begin("single", "w3")
        assert desk.runner.drain(20)
        assert marks(database) == {"w3": 1}
        assert desk.state("w2") == ""


def test_one_id_runs_once_whoever_starts_it_again(database: Database) -> None:
    with office(database) as desk:
        desk.begin("single", "w4", key="a")
        desk.begin("single", "w4", key="a")
        desk.begin("single", "w4", key="b")
        assert desk.runner.drain(20)
        desk.begin("single", "w4", key="c")
        assert desk.runner.drain(20)
        assert marks(database) == {"w4": 1}


def test_nothing_crosses_tenants(database: Database) -> None:
    with office(database) as desk:
        desk.begin("listen", "w5", timeout_s=60.0)
        with pytest.raises(Refusal, match="no workflow"):
            desk.tell("w5", "news", actor=OTHER, from_="another tenant")
        desk.begin("single", "w5", actor=OTHER)
        desk.tell("w5", "news", word="ours")
        assert desk.runner.drain(20)
        assert marks(database, OTHER.tenant) == {"w5": 1}
        assert marks(database) == {}
        assert json.loads(output(database, "w5")) == {"heard": [{"word": "ours"}]}
        assert [known.id for known in desk.runner.recent(OTHER.tenant)] == ["w5"]


def test_signals_before_the_wait_arrive_in_order_and_a_wait_may_end_empty(database: Database) -> None:
    with office(database) as desk:
        with desk.database.unit() as uow:  # the very operation that starts it may signal it
            uow.begin_operation()
            desk.runner.enqueue(uow, TENANT, "desk.listen", {"timeout_s": 20.0, "count": 2}, "w6")
            assert desk.runner.send(uow, TENANT, "w6", "news", {"n": 1}, "k1")
            assert desk.runner.send(uow, TENANT, "w6", "news", {"n": 2}, "k2")
        desk.begin("listen", "w7", timeout_s=0.2)
        assert desk.runner.drain(20)
        assert json.loads(output(database, "w6")) == {"heard": [{"n": 1}, {"n": 2}]}
        assert json.loads(output(database, "w7")) == {"heard": [None]}
        desk.tell("w7", "news", too="late")  # ended: harmless


def test_a_signal_wakes_a_waiting_flow_at_once(database: Database) -> None:
    with office(database) as desk:
        desk.begin("listen", "w8", timeout_s=60.0)
        _until(lambda: desk.runner._active == {f"{TENANT}/w8"})
        time.sleep(0.3)
        started = time.monotonic()
        desk.tell("w8", "news", word="now")
        assert desk.runner.drain(20)
        assert time.monotonic() - started < 2, "the wait polled instead of being woken"


def test_sleep_until_follows_the_clock_that_was_passed_in(database: Database) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    with office(database, clock) as desk:
        desk.begin("rest", "w9", until=datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC).isoformat())
        time.sleep(1.2)
        assert marks(database) == {}, "it did not wait for its clock"
        clock.move_to(datetime(2026, 3, 2, tzinfo=UTC))
        assert desk.runner.drain(20)
        assert marks(database) == {"w9": 1}


@workflow("desk.haggle")
def haggle(flow: Flow, arguments: dict[str, object]) -> dict[str, object]:
    """Follows a refusal, and an outside that fails."""
    heard: list[str] = []
    try:
        flow.command("no", Mark(subject=f"{flow.id}-forbidden"))
    except Refusal as refusal:
        heard.append(refusal.code)
    for step, call in (("busy", _busy), ("never", _never)):
        try:
            flow.outside(step, call, attempts=3)
        except OutsideFailed as failed:
            heard.append(failed.kind)
    return {"heard": heard, "calls": dict(CALLS)}


CALLS = {"busy": 0, "never": 0, "later": 0}


class Never(Exception):
    final = True


def _busy() -> dict[str, object]:
    CALLS["busy"] += 1
    raise ConnectionError("busy")


def _never() -> dict[str, object]:
    CALLS["never"] += 1
    raise Never("wrong message")


def test_refusals_and_failures_reach_the_workflow_as_values(database: Database) -> None:
    CALLS.update(busy=0, never=0)
    with office(database) as desk:
        desk.begin("haggle", "w10")
        assert desk.runner.drain(20)
        assert json.loads(output(database, "w10")) == {
            "heard": ["desk/forbidden", "ConnectionError", "Never"],
            "calls": {**CALLS, "busy": 3, "never": 1},
        }


@workflow("desk.patient")
def patient(flow: Flow, arguments: dict[str, object]) -> dict[str, object]:
    """An outside that answers at the fourth call."""
    return flow.outside("later", _later)


def _later() -> dict[str, object]:
    CALLS["later"] += 1
    if CALLS["later"] < 4:
        raise ConnectionError("not yet open")
    return {"calls": CALLS["later"]}


def test_an_outside_call_is_repeated_and_its_trouble_is_seen(database: Database) -> None:
    CALLS.update(later=0)
    with office(database) as desk:
        desk.begin("patient", "w11")
        _until(lambda: bool(desk.runner.health().troubles))
        assert "not yet open" in desk.runner.health().troubles[f"{TENANT}/w11"]
        assert desk.runner.drain(20)
        health = desk.runner.health()
        assert (health.unfinished, health.failed, health.workers, health.orphans) == (0, 0, 1, 0)
        assert health.troubles == {}


def test_a_command_that_broke_is_tried_again_and_happens_once(database: Database) -> None:
    FAILURES["left"] = 2
    with office(database) as desk:
        desk.begin("single", "w12", subject="fragile")
        assert desk.runner.drain(20)
        assert marks(database) == {"fragile": 1}
        assert FAILURES["left"] == 0


@workflow("desk.wrong")
def wrong(flow: Flow, arguments: dict[str, object]) -> dict[str, object]:
    """Ends in an error of its own."""
    raise LookupError("a mistake of the programmer")


def test_a_workflow_that_raises_is_counted_as_failed(database: Database) -> None:
    with office(database) as desk:
        desk.begin("wrong", "w13")
        assert desk.runner.drain(20)
        assert desk.state("w13") == "failed"
        assert desk.runner.health().failed == 1


def test_what_is_no_json_is_refused_at_the_start(database: Database) -> None:
    with office(database) as desk:
        for value in ({1, 2}, datetime.now(UTC), float("nan")):
            with desk.database.unit() as uow:
                uow.begin_operation()
                with pytest.raises((TypeError, ValueError)):
                    desk.runner.enqueue(uow, TENANT, "desk.single", {"value": value}, "w14")
        assert desk.state("w14") == ""


def test_a_stop_is_bounded_and_the_work_goes_on_after_it(database: Database, tmp_path: Path) -> None:
    with office(database) as desk:
        desk.begin("story", "w15", file=str(tmp_path / "out"))
        desk.begin("rest", "w16", until=(datetime.now(UTC) + timedelta(seconds=3)).isoformat())
        _until(lambda: marks(database).get("w15-second", 0) == 1)
        started = time.monotonic()
    assert time.monotonic() - started < 6, "a waiting workflow delayed the stop"
    assert not [t for t in threading.enumerate() if t.name.startswith("dbos-executor") and t.is_alive()]
    with office(database) as desk:
        desk.tell("w15", "go")
        assert desk.runner.drain(20)
        assert marks(database) == {"w15-first": 1, "w15-second": 1, "w15-third": 1, "w16": 1}


def _until(true: object) -> None:
    deadline = time.monotonic() + 15
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _everything_stored(database: Database) -> list[str]:
    prefix = "" if database.dialect == "sqlite" else "dbos."
    texts: list[str] = []
    with database.reader() as uow:
        for table, column in (
            ("workflow_input", "inputs"), ("workflow_output", "output"), ("operation_outputs", "output"),
            ("notifications", "message"),
        ):  # fmt: skip
            texts += [row[0] for row in uow.read(f"SELECT {column} FROM {prefix}{table}") if row[0] is not None]
    assert texts
    return texts
