"""The unit of work: staged rows are seen, taken back exactly, and written in the right order."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from entrepot.kernel.database import Database, RetryAlone, UnitOfWork
from entrepot.kernel.database.records import Record, Records, record
from entrepot.kernel.database.schema import metadata
from entrepot.kernel.database.unit_of_work import NeedsSavepoint
from entrepot.kernel.operations import NotFound
from tests.kernel.operations.shelf import TENANT, Put, goods, open_shop

SAME_DATABASE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # each example empties the table


@record("shelf_casks", key=("id", "stave"), index=(("sealed",),), label="wine cask")
class Cask(Record):
    id: str
    stave: int
    sealed: bool
    stamp: bytes


metadata.remove(Cask.table)  # a table of tests only: migrations know nothing of it


@pytest.fixture(autouse=True)
def tables(database: Database) -> None:
    with database.gate, database.engine.begin() as connection:
        goods.create(connection, checkfirst=True)
        Cask.table.create(connection, checkfirst=True)


def key(name: str) -> tuple[str, str]:
    return (TENANT, name)


def stored(database: Database) -> list[tuple[Any, ...]]:
    with database.reader() as uow:
        return [tuple(row) for row in uow.read("SELECT id, weight FROM shelf_goods ORDER BY id")]


def unit(database: Database, work: Callable[[UnitOfWork], object]) -> None:
    """Run `work` in a unit of work that commits."""
    with database.unit() as uow:
        work(uow)


def test_staged_rows_are_seen_by_every_way_of_reading(database: Database):
    with database.unit() as uow:
        uow.begin_operation()
        uow.insert(goods, (TENANT, "a", 1))
        assert uow.row(goods, key("a")) == (TENANT, "a", 1)
        assert uow.lock(goods, key("a")) == (TENANT, "a", 1)
        assert uow.read("SELECT id FROM shelf_goods") == [], "`read` leaves the overlay to its caller"
        assert [tuple(row) for row in uow.fetch("SELECT id, weight FROM shelf_goods")] == [("a", 1)]
        uow.upsert(goods, (TENANT, "a", 2))
        assert uow.row(goods, key("a")) == (TENANT, "a", 2)
        assert uow.session.execute(select(goods.c.weight)).scalar_one() in (1, 2)
        uow.delete(goods, key("a"))
        assert uow.row(goods, key("a")) is None
        assert uow.fetch("SELECT id FROM shelf_goods") == []
    assert stored(database) == []


def test_nothing_of_a_failed_unit_remains(database: Database):
    memory = {"kept": 1}
    done: list[str] = []

    def work(uow: UnitOfWork) -> None:
        uow.insert(goods, (TENANT, "a", 1))
        uow.set(memory, "kept", 2)
        uow.set(memory, "new", 3)
        uow.unset(memory, "kept")
        uow.on_commit(lambda: done.append("committed"))
        uow.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        unit(database, work)
    assert memory == {"kept": 1}
    assert done == []
    assert stored(database) == []


def test_a_failed_commit_takes_memory_back(database: Database):
    memory: dict[str, int] = {}

    def work(uow: UnitOfWork) -> None:
        uow.insert(goods, (TENANT, "a", len(memory) + 1))
        uow.set(memory, "a", memory.get("a", 0) + 1)

    unit(database, work)
    with pytest.raises(Exception, match=r"UNIQUE|duplicate"):
        unit(database, work)
    assert memory == {"a": 1}
    assert stored(database) == [("a", 1)]


def test_a_second_new_row_of_the_same_key_is_no_silent_change(database: Database):
    for first in (UnitOfWork.insert, UnitOfWork.upsert):
        with pytest.raises(RetryAlone):
            unit(database, lambda uow: [write(uow, goods, (TENANT, "a", 1)) for write in (first, UnitOfWork.insert)])  # noqa: B023
    assert stored(database) == []


def test_a_deleted_row_may_be_made_anew_in_the_same_group(database: Database):
    with database.unit() as uow:
        uow.insert(goods, (TENANT, "a", 1))
    with database.unit() as uow:
        uow.delete(goods, key("a"))
        uow.insert(goods, (TENANT, "a", 2))
    assert stored(database) == [("a", 2)]


def test_sql_after_rows_of_earlier_operations_asks_for_a_savepoint(database: Database):
    with database.unit() as uow:
        uow.begin_operation()
        uow.insert(goods, (TENANT, "a", 1))
        uow.end_operation()
        uow.begin_operation()
        uow.insert(goods, (TENANT, "b", 1))
        with pytest.raises(NeedsSavepoint):
            uow.fetch("SELECT 1")
        uow.refuse_operation()
        uow.begin_operation(savepoint=True)
        uow.insert(goods, (TENANT, "c", 1))
        assert len(uow.fetch("SELECT id FROM shelf_goods")) == 2
        uow.refuse_operation()
    assert stored(database) == [("a", 1)]


def test_the_need_of_a_savepoint_is_learned(database: Database):
    operation = Put.operation
    assert operation is not None
    operation.needs_savepoint = False
    runs: list[str] = []
    handler = operation.handler

    @wraps(handler)
    def counting(ctx: Any, request: Any) -> Any:
        runs.append(request.name)
        return handler(ctx, request)

    operation.handler = counting
    try:
        with open_shop(database, writers=1) as shop:
            outcomes = shop.together(Put(name="a"), Put(name="b", mode="fetch"), Put(name="c", mode="fetch"))
            assert [outcome.status for outcome in outcomes] == [200, 200, 200]
        assert runs == ["a", "b", "b", "c"], "run again once, and never after that"
    finally:
        operation.handler = handler
        operation.needs_savepoint = False


@settings(max_examples=60, suppress_health_check=SAME_DATABASE)
@given(
    operations=st.lists(
        st.tuples(
            st.booleans(),
            st.lists(
                st.tuples(st.sampled_from(["upsert", "delete", "insert", "flush"]), st.sampled_from("abc")), max_size=5
            ),
        ),
        max_size=5,
    )
)
def test_a_group_equals_its_accepted_operations_one_after_another(database: Database, operations: Any):
    """A dictionary is the model; a refused operation leaves it as it was."""
    with database.unit() as uow:
        uow.execute("DELETE FROM shelf_goods")
    model: dict[str, int] = {}
    with database.unit() as uow:
        for number, (accepted, steps) in enumerate(operations):
            uow.begin_operation(savepoint=any(step == "flush" for step, _ in steps))
            trial = dict(model)
            for step, name in steps:
                _step(uow, trial, step, name, number)
            for name in "abc":
                expected = None if name not in trial else (TENANT, name, trial[name])
                assert uow.row(goods, key(name)) == expected
            if accepted:
                uow.end_operation()
                model = trial
            else:
                uow.refuse_operation()
    assert dict(stored(database)) == model


def _step(uow: UnitOfWork, model: dict[str, int], step: str, name: str, number: int) -> None:
    if step == "flush":
        assert dict(uow.fetch("SELECT id, weight FROM shelf_goods")) == model
    elif step == "delete":
        uow.delete(goods, key(name))
        model.pop(name, None)
    elif step == "insert" and name not in model:
        uow.insert(goods, (TENANT, name, number))
        model[name] = number
    else:
        uow.upsert(goods, (TENANT, name, number))
        model[name] = number


def test_hooks_run_when_they_should(database: Database):
    order: list[str] = []
    with database.unit() as uow:
        for _ in range(2):
            uow.at_flush("once", lambda: order.append("flush"))
            uow.before_commit("once", lambda: order.append("closing"))
        uow.on_commit(lambda: order.append("committed"))
        uow.insert(goods, (TENANT, "a", 1))
        uow.flush()
        uow.begin_operation()
        uow.at_flush("refused", lambda: order.append("never"))
        uow.before_commit("refused", lambda: order.append("never"))
        uow.on_commit(lambda: order.append("never"))
        uow.refuse_operation()
        assert order == ["flush"]
    assert order == ["flush", "closing", "committed"]


def test_any_of_nothing_is_false(database: Database):
    with database.reader() as uow:
        assert uow.read(f"SELECT 1 WHERE {uow.any_('1', 0)}") == []
        assert uow.read(f"SELECT 1 WHERE {uow.any_('1', 2)}", (1, 5)) == [(1,)]


# ------------------------------------------------------------------------------------------------------------- records


@settings(max_examples=40, suppress_health_check=SAME_DATABASE)
@given(
    casks=st.lists(
        st.builds(
            Cask,
            id=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8),
            stave=st.integers(-(2**63), 2**63 - 1),
            sealed=st.booleans(),
            stamp=st.binary(max_size=12),
        ),
        max_size=6,
        unique_by=lambda cask: (cask.id, cask.stave),
    )
)
def test_records_come_back_as_they_were(database: Database, casks: list[Cask]):
    with database.unit() as uow:
        uow.execute("DELETE FROM shelf_casks")
        for cask in casks:
            Records(uow, TENANT, Cask).add(cask)
            assert Records(uow, TENANT, Cask).get(cask.id, cask.stave) == cask
    with database.reader() as uow:
        found = Records(uow, TENANT, Cask)
        for cask in casks:
            again = found.get(cask.id, cask.stave)
            assert again == cask
            assert type(again.sealed) is bool
            assert type(again.stamp) is bytes
        assert sorted(found.list(), key=repr) == sorted(casks, key=repr)
        assert len(found.list(sealed=True)) == sum(cask.sealed for cask in casks)
        assert Records(uow, "yantai", Cask).list() == []


def test_an_unknown_record_is_not_found_and_a_change_is_a_new_value(database: Database):
    with database.unit() as uow:
        casks = Records(uow, TENANT, Cask)
        for ask in (casks.get, casks.lock):
            with pytest.raises(NotFound) as refused:
                ask("c1", 1)
            assert refused.value.code == "wine-cask/unknown"
        assert casks.find("c1", 1) is None
        casks.add(Cask("c1", 1, False, b""))
        casks.change(casks.lock("c1", 1), sealed=True)
        assert casks.get("c1", 1).sealed is True
        casks.put(Cask("c2", 1, False, b""))
        assert [cask.id for cask in casks.list(after="c1")] == ["c2"]
        assert [cask.id for cask in casks.list(limit=1)] == ["c1"]
