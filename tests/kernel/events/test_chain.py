"""The sealed chain: gap-free, several sealers, and every change by hand is found."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, LargeBinary, Table

from entrepot.kernel.database import Database
from entrepot.kernel.database.sealing import blocks, seals, unsealed
from entrepot.kernel.events import Sealer, verify_chain
from entrepot.kernel.events.chain import block_hash, root_hash, seal_once
from entrepot.kernel.events.tables import events
from tests.kernel.operations.shelf import TENANT, Put, Shop, open_shop


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    """Ten sealed events in three blocks, and two that wait."""
    with open_shop(database, writers=1) as made:
        for size in (2, 1, 2):
            for _ in range(size):
                made.run(Put(name=f"n{made.clock.now_us()}"))
            seal_once(database, made.clock.now_us())
        made.run(Put(name="last"))
        yield made


def breaks(database: Database) -> list[str]:
    return [f"{found.where}: {found.what}" for found in verify_chain(database, TENANT)]


def change(database: Database, sql: str, *parameters: Any) -> int:
    with database.unit() as uow:
        uow.begin_operation()
        return uow.execute(sql, parameters)


def test_positions_have_no_gap_and_the_chain_verifies(shop: Shop):
    assert [row[0] for row in shop.rows("SELECT position FROM seals ORDER BY position")] == list(range(1, 11))
    assert [tuple(row) for row in shop.rows("SELECT height, first, last FROM blocks ORDER BY height")] == [
        (1, 1, 4), (2, 5, 6), (3, 7, 10),
    ]  # fmt: skip
    assert shop.rows("SELECT COUNT(*) FROM unsealed") == [(2,)]
    assert breaks(shop.database) == []
    assert seal_once(shop.database, shop.clock.now_us()) == {TENANT: 12}
    assert seal_once(shop.database, shop.clock.now_us()) == {}
    assert breaks(shop.database) == []


def test_the_hashes_can_be_computed_elsewhere(shop: Shop):
    height, first, last, previous, root, digest, at = shop.rows(
        "SELECT height, first, last, previous, root, hash, sealed_at FROM blocks WHERE height = 2"
    )[0]
    found = shop.rows("SELECT stream, row_id, hash FROM seals WHERE position BETWEEN 5 AND 6 ORDER BY position")
    assert root_hash((stream, row_id, bytes(content)) for stream, row_id, content in found) == bytes(root)
    assert block_hash(TENANT, height, first, last, bytes(previous), bytes(root), at) == bytes(digest)


def cells() -> list[tuple[Table, str]]:
    return [(table, column.name) for table in (events, seals, blocks, unsealed) for column in table.columns]


def test_a_change_of_any_cell_is_found(shop: Shop):
    for table, name in cells():
        for place in range(shop.rows(f"SELECT COUNT(*) FROM {table.name}")[0][0]):
            _change_and_restore(shop.database, table, name, place)
    assert breaks(shop.database) == []


def _change_and_restore(database: Database, table: Table, name: str, place: int) -> None:
    key = [column.name for column in table.primary_key.columns]
    with database.reader() as uow:
        rows = uow.read(f"SELECT * FROM {table.name} ORDER BY {', '.join(key)}")
    row = dict(zip([column.name for column in table.columns], rows[place], strict=True))
    kind = table.columns[name].type
    other: Any
    if isinstance(kind, BigInteger):
        other = row[name] + 1_000_000
    elif isinstance(kind, LargeBinary):
        content = bytearray(row[name])
        content[-1] ^= 1
        other = bytes(content)
    else:
        other = row[name][:-1] + ("~" if row[name][-1:] != "~" else "!")
    before = {column: row[column] for column in key}
    after = {**before, name: other} if name in key else before
    where = " AND ".join(f"{column} = %s" for column in key)
    assert change(database, f"UPDATE {table.name} SET {name} = %s WHERE {where}", other, *before.values()) == 1
    assert breaks(database), f"{table.name}.{name} of row {place} was changed and nobody noticed"
    assert change(database, f"UPDATE {table.name} SET {name} = %s WHERE {where}", row[name], *after.values()) == 1


def test_a_removed_row_is_found(shop: Shop):
    for table in (events, seals, blocks, unsealed):
        key = [column.name for column in table.primary_key.columns]
        names = [column.name for column in table.columns]
        for row in shop.rows(f"SELECT {', '.join(names)} FROM {table.name}"):
            values = dict(zip(names, row, strict=True))
            where = " AND ".join(f"{name} = %s" for name in key)
            change(shop.database, f"DELETE FROM {table.name} WHERE {where}", *(values[name] for name in key))
            assert breaks(shop.database), f"a row of {table.name} was removed and nobody noticed"
            with shop.database.unit() as uow:
                uow.insert(table, row)
    assert breaks(shop.database) == []


def test_an_inserted_row_is_found(shop: Shop):
    def last(table: Table) -> list[Any]:
        keys = ", ".join(f"{column.name} DESC" for column in table.primary_key.columns)
        return list(shop.rows(f"SELECT * FROM {table.name} ORDER BY {keys} LIMIT 1")[0])

    event, seal, block = last(events), last(seals), last(blocks)
    sealed = shop.rows("SELECT row_id, hash FROM seals ORDER BY position LIMIT 1")[0]
    forged = [
        (events, [TENANT, "evt_forged", *event[2:]]),
        (seals, [TENANT, 0, "ledger", "lot_forged", seal[4]]),
        (seals, [TENANT, -7, "ledger", "lot_forged", seal[4]]),
        (seals, [TENANT, 11, "ledger", "lot_forged", seal[4]]),
        (seals, [TENANT, 900, "ledger", "lot_forged", seal[4]]),
        (blocks, [TENANT, 4, *block[2:]]),
        (blocks, [TENANT, 0, 0, 0, *block[4:]]),
        (unsealed, [TENANT, "events", "evt_forged", event[-1]]),
        (unsealed, [TENANT, "events", sealed[0], sealed[1]]),
    ]
    for table, row in forged:
        with shop.database.unit() as uow:
            uow.insert(table, row)
        assert breaks(shop.database), f"{row} in {table.name} was inserted and nobody noticed"
        with shop.database.unit() as uow:
            key = [column.name for column in table.columns if column.primary_key]
            uow.delete(table, tuple(row[[c.name for c in table.columns].index(name)] for name in key))
    assert breaks(shop.database) == []


def test_a_tenant_has_a_chain_of_its_own(shop: Shop):
    assert list(verify_chain(shop.database, "yantai")) == []


def test_several_sealers_share_one_chain(database: Database):
    with open_shop(database) as shop:
        wake = threading.Event()
        sealers = [Sealer(database, shop.clock.now_us, wake, pause_s=0.001) for _ in range(3)]
        ends: list[int] = []
        for sealer in sealers:
            sealer.listeners.append(lambda sealed: ends.append(sealed[TENANT]))
            sealer.start()
        futures = []
        for number in range(150):
            futures.append(shop.executor.submit(Put(name=f"n{number}"), shop.actor(), f"k{number}"))
            wake.set()
        assert all(future.result(30).status == 200 for future in futures)
        for sealer in sealers:
            sealer.stop()
        assert [row[0] for row in shop.rows("SELECT position FROM seals ORDER BY position")] == list(range(1, 301))
        assert shop.rows("SELECT COUNT(*) FROM unsealed") == [(0,)]
        assert len(ends) == len(set(ends)) == shop.rows("SELECT COUNT(*) FROM blocks")[0][0]
        assert breaks(database) == []
