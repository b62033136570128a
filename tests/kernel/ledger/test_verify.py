"""Every changed byte of the ledger's tables is found."""

import itertools
from typing import Any

import pytest
from sqlalchemy import LargeBinary, Table, Text

from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.ledger import Ledger, Transfer, verify
from entrepot.kernel.ledger.tables import (
    ledger_accounts,
    ledger_assets,
    ledger_batches,
    ledger_definitions,
    ledger_encumbrances,
    ledger_holds,
    ledger_transfers,
)
from entrepot.kernel.ledger.verification import verify_books
from tests.kernel.ledger.world import HOUR, World, with_money

TABLES = (
    ledger_assets, ledger_accounts, ledger_definitions, ledger_batches, ledger_transfers, ledger_holds,
    ledger_encumbrances,
)  # fmt: skip


def lived_in(database: Database) -> World:
    """A ledger in which everything has happened: every hold status, groups, failures, claims, a frozen account."""
    world = World(database)
    accounts = with_money(world, firm=1000, shop=50)
    bank, firm, shop = accounts["bank"], accounts["firm"], accounts["shop"]
    with world.open() as ledger:
        ledger.define_asset("CU-1", 3, "goods", "yard", grade="Cu-CATH-1", name="阴极铜")
        issue = ledger.account("yard", "CU-1", "issue", may_go_negative=True)
        goods = ledger.account("firm", "CU-1")
        ledger.transfer(issue, goods, 500, reference="入库")
        for _ in range(6):
            ledger.hold(firm, shop, 10, expires=from_us(world.now_us + HOUR))
        holds = [ledger.hold(firm, bank, 20 + n, reference=f"付款 {n}") for n in range(5)]
        ledger.capture(holds[0])
        ledger.capture(holds[1], 7)
        ledger.release(holds[2])
        ledger.return_payout(holds[0])
        late = ledger.hold(firm, shop, 5, expires=from_us(world.now_us + 9 * HOUR))
        assert late
    world.now_us += 2 * HOUR
    with world.open() as ledger:
        ledger.apply([Transfer(firm, shop, 1, group=1), Transfer(firm, shop, 2, group=1), Transfer(firm, shop, 10**9)],
                     reference="mixed", key="once")  # fmt: skip
        claim = ledger.encumber(goods, "lender", 100, reference="质押合同 1")
        ledger.release_encumbrance(claim.id, 30)
        ledger.encumber(goods, "carrier", 5, "lien", published=from_us(world.now_us))
        ledger.release_encumbrance(ledger.encumber(goods, "court", 5, "court-seizure").id)
        ledger.freeze(shop)
        ledger.set_cap(shop, 10**6)
    return world


def test_a_ledger_that_nobody_touched_verifies(database: Database):
    world = lived_in(database)
    assert verify(database, world.tenant, world.now_us) == []
    with world.read() as ledger:
        assert ledger.verify() == []


def changed_values(table: Table, column: Any, value: Any) -> list[Any]:
    """Other values for a cell, as near as they come."""
    if isinstance(column.type, LargeBinary):
        return [bytes([*value[:-1], value[-1] ^ 1]), b""]
    if isinstance(column.type, Text):
        return [
            value + " ",
            value[:-1] if value else "x",
            value.swapcase() if value.swapcase() != value else value + "y",
        ]
    if str(column.type) == "BOOLEAN":
        return [not value]
    if column.primary_key:
        return [value + 1000]  # not the key of another row
    return [1 if value is None else value + 1, 0 if value else -1]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_changed_cell_is_found(database: Database, table: Table):
    """Each column of each row (of the first and last eight) is changed by an administrator's SQL."""
    world = lived_in(database)
    key = [column.name for column in table.primary_key.columns]
    with database.reader() as uow:
        rows = uow.read(
            f"SELECT {', '.join(c.name for c in table.columns)} FROM {table.name} ORDER BY {', '.join(key)}"
        )
    assert rows
    for row in rows[:8] + rows[8:][-8:]:
        values = dict(zip((c.name for c in table.columns), row, strict=True))
        for column in table.columns:
            for other in changed_values(table, column, values[column.name]):
                if other == values[column.name]:
                    continue
                with database.unit() as uow:
                    uow.begin_operation(savepoint=True)
                    set_cell(uow, table, key, values, column.name, other)
                    found = verify_books(uow, world.tenant, world.now_us)
                    uow.refuse_operation()
                assert found, f"{table.name}.{column.name}: {values[column.name]!r} became {other!r} unnoticed"
                assert all(str(difference) for difference in found)
    assert verify(database, world.tenant, world.now_us) == []


def set_cell(uow: Any, table: Table, key: list[str], row: dict[str, Any], column: str, value: Any) -> None:
    where = " AND ".join(f"{name} = %s" for name in key)
    changed = uow.execute(f"UPDATE {table.name} SET {column} = %s WHERE {where}", [value, *(row[name] for name in key)])
    assert changed == 1


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_missing_row_is_found(database: Database, table: Table):
    world = lived_in(database)
    key = [column.name for column in table.primary_key.columns]
    with database.unit() as uow:
        last = uow.fetch(f"SELECT {', '.join(key)} FROM {table.name} ORDER BY {', '.join(key)} DESC LIMIT 1")[0]
        uow.execute(f"DELETE FROM {table.name} WHERE {' AND '.join(f'{n} = %s' for n in key)}", last)
    assert verify(database, world.tenant, world.now_us)


def test_a_forger_who_writes_the_hash_too_still_meets_the_balances(database: Database):
    """An amount changed together with its batch's hash, and with the hash that waits to be sealed."""
    from entrepot.kernel.ledger import layout

    world = World(database)
    accounts = with_money(world, firm=1000)
    columns = "number, debit, credit, amount, action, group_number, hold, expires_at, reference"
    header = "tenant, id, at, actor, key, request, failures, reference, count"
    with database.unit() as uow:
        uow.execute("UPDATE ledger_transfers SET amount = 900")
        rows = [list(row) for row in uow.fetch(f"SELECT {columns} FROM ledger_transfers ORDER BY number")]
        (batch,) = uow.fetch(f"SELECT {header} FROM ledger_batches")
        uow.execute("UPDATE ledger_batches SET hash = %s", [layout.batch_hash(batch, rows)])
        uow.execute("UPDATE unsealed SET hash = %s WHERE stream = 'ledger'", [layout.batch_hash(batch, rows)])
    found = verify(database, world.tenant, world.now_us)
    assert {(d.table, d.row, d.column, d.stored, d.computed) for d in found} == {
        ("ledger_accounts", str(accounts["bank"]), "posted", "-1000", "-900"),
        ("ledger_accounts", str(accounts["firm"]), "posted", "1000", "900"),
    }


def test_a_forger_who_rewrites_everything_meets_the_seals(database: Database):
    """Amount, balances and hash all agree with one another, but not with what was sealed. Nor does a batch vanish."""
    from entrepot.kernel.events.chain import seal_once
    from entrepot.kernel.ledger import layout

    world = World(database)
    accounts = with_money(world, firm=1000)
    assert seal_once(database, world.now_us)
    assert verify(database, world.tenant) == []
    columns = "number, debit, credit, amount, action, group_number, hold, expires_at, reference"
    header = "tenant, id, at, actor, key, request, failures, reference, count"
    with database.unit() as uow:
        uow.execute("UPDATE ledger_transfers SET amount = 900")
        uow.execute("UPDATE ledger_accounts SET posted = CASE WHEN posted > 0 THEN 900 ELSE -900 END")
        rows = [list(row) for row in uow.fetch(f"SELECT {columns} FROM ledger_transfers ORDER BY number")]
        (batch,) = uow.fetch(f"SELECT {header} FROM ledger_batches")
        uow.execute("UPDATE ledger_batches SET hash = %s", [layout.batch_hash(batch, rows)])
    assert [(d.table, d.column) for d in verify(database, world.tenant)] == [("ledger_batches", "hash")]
    with database.unit() as uow:
        uow.execute("DELETE FROM ledger_transfers")
        uow.execute("DELETE FROM ledger_batches")
        uow.execute("UPDATE ledger_accounts SET posted = 0")
    assert [(d.table, d.column, d.stored) for d in verify(database, world.tenant)] == [
        ("ledger_batches", "id", "missing")]  # fmt: skip
    assert accounts


def test_text_in_a_column_of_integers_is_reported(database: Database):
    """SQLite stores whatever it is given; verify says so instead of stumbling."""
    if database.dialect != "sqlite":
        return
    world = lived_in(database)
    for table, column in itertools.chain(
        ((ledger_transfers, "amount"), (ledger_transfers, "expires_at"), (ledger_holds, "closed_at")),
        ((ledger_accounts, "posted"), (ledger_definitions, "version"), (ledger_encumbrances, "amount")),
    ):
        with database.unit() as uow:
            uow.begin_operation(savepoint=True)
            uow.execute(f"UPDATE {table.name} SET {column} = 'x'")
            assert Ledger(world.scope(uow)).verify()
            uow.refuse_operation()


def test_another_tenants_rows_are_not_looked_at(database: Database):
    world = lived_in(database)
    with_money(World(database, "elsewhere", prefix="e"), firm=1)
    with database.unit() as uow:
        uow.execute("UPDATE ledger_accounts SET posted = 5 WHERE tenant = 'elsewhere'")
    assert verify(database, world.tenant, world.now_us) == []
    assert verify(database, "elsewhere", world.now_us)
