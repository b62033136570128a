"""What a unit of work shows of rows that are staged, written, taken back, or another process's, on both databases."""

import itertools
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.kernel.database import Database, UnitOfWork, open_database
from entrepot.kernel.database.records import Records
from entrepot.kernel.database.unit_of_work import NeedsSavepoint
from entrepot.systems.tradefinance.model import Pledge

TENANTS = (f"t{number}" for number in itertools.count())
KEYS, FACILITIES = "abcde", ("fac_1", "fac_2")
Step = tuple[str, str, str]
STEPS = st.tuples(
    st.sampled_from(["put", "put", "delete", "flush", "refuse", "keep", "session"]),
    st.sampled_from(KEYS),
    st.sampled_from(FACILITIES),
)


def pledge(key: str, facility: str, state: str = "active") -> Pledge:
    return Pledge(id=key, facility_id=facility, receipt_id="r", encumbrance="", state=state, pledged_at=1)


def seen(records: Records[Pledge], uow: UnitOfWork, tenant: str) -> tuple[Any, ...]:
    """Everything by every way of reading."""
    keys = [(tenant, key) for key in KEYS]
    together = uow.rows(Pledge.table, keys)
    return (
        {key: found for key in KEYS if (found := records.find(key)) is not None},
        {key: Pledge(*together[tenant, key][1:]) for key in KEYS if (tenant, key) in together},
        {facility: records.list(facility_id=facility) for facility in FACILITIES},
        records.list(after="b", limit=2),
    )


def expected(model: dict[str, Pledge]) -> tuple[Any, ...]:
    ordered = [model[key] for key in sorted(model)]
    return (
        model,
        model,
        {facility: [item for item in ordered if item.facility_id == facility] for facility in FACILITIES},
        [item for item in ordered if item.id > "b"][:2],
    )


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_way_of_reading_shows_the_same(database: Database, steps: list[Step]):
    tenant = next(TENANTS)
    kept: dict[str, Pledge] = {}
    with database.unit() as uow:
        records = Records(uow, tenant, Pledge)
        uow.begin_operation()
        now = dict(kept)
        for step, key, facility in steps:
            if step == "put":
                now[key] = records.put(pledge(key, facility))
            elif step == "delete":
                now.pop(key, None)
                uow.delete(Pledge.table, (tenant, key))
            elif step == "session":
                with suppress(NeedsSavepoint):  # an operation is then run again, which is not what is tested here
                    assert uow.fetch("SELECT 1") == [(1,)]
            elif step == "flush":
                with suppress(NeedsSavepoint):
                    uow.execute("UPDATE tf_pledges SET receipt_id = 'r' WHERE tenant = %s", (tenant,))
            else:
                (uow.refuse_operation if step == "refuse" else uow.end_operation)()
                kept = kept if step == "refuse" else now
                now = dict(kept)
                uow.begin_operation()
            assert seen(records, uow, tenant) == expected(now)
        uow.end_operation()
        uow.begin_operation()
    with database.reader() as reader:
        assert seen(Records(reader, tenant, Pledge), reader, tenant) == expected(now)


def test_a_row_that_is_only_read_is_asked_for_once_and_seen_anew_when_locked(database_url: str):
    tenant = next(TENANTS)
    first, second = open_database(database_url, durable=False), open_database(database_url, durable=False)
    try:
        with first.unit() as uow:
            Records(uow, tenant, Pledge).add(pledge("a", "fac_1"))
        if first.dialect == "sqlite":
            pytest.skip("one process owns a SQLite file")
        with first.unit() as uow:
            records = Records(uow, tenant, Pledge)
            assert records.get("a").state == "active"
            with second.unit() as other:
                Records(other, tenant, Pledge).put(pledge("a", "fac_1", "released"))
            assert records.get("a").state == "active", "as it was when the group began to look at it"
            assert records.lock("a").state == "released", "whoever changes it sees what it is"
            assert records.get("a").state == "released"
    finally:
        first.close()
        second.close()


def test_what_the_server_lost_is_asked_once_more(database_url: str):
    database, other = open_database(database_url, durable=False), open_database(database_url, durable=False)
    try:
        if database.dialect == "sqlite":
            pytest.skip("SQLite has no server")
        asked = []

        def ask(uow: UnitOfWork) -> int:
            asked.append(1)
            if len(asked) == 1:
                with other.reader() as killer:
                    killer.read("SELECT pg_terminate_backend(%s)", uow.read("SELECT pg_backend_pid()")[0])
            return int(uow.read("SELECT 7")[0][0])

        assert database.ask(ask) == 7
        assert len(asked) == 2
        with pytest.raises(ZeroDivisionError):
            database.ask(lambda uow: 1 // 0)
    finally:
        database.close()
        other.close()
