"""`entrepot ledger verify` over a whole region: it holds, and any value turned into another kind is found and named."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Integer, LargeBinary

from entrepot.app import define_every_table
from entrepot.books import verify_books
from entrepot.kernel.database import metadata, open_database
from entrepot.kernel.events.chain import seal_once
from entrepot.settings import Settings
from tests.generated.region import TENANT, seeded

SEALED = {"events", "ledger_transfers", "ledger_batches", "ledger_definitions", "seals", "blocks", "signing_keys"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a region that was seeded, sealed and left."""
    url = f"sqlite:///{tmp_path / 'region.db'}"
    define_every_table()
    with contextlib.closing(open_database(url)) as empty:
        empty.create_all()
    with seeded(url, tmp_path) as region:
        while seal_once(region.application.database, region.clock.now_us()):
            pass
        return region.application.settings


def test_a_value_of_another_kind_is_found_in_every_table(settings: Settings, tmp_path: Path):
    assert verify_books(settings, TENANT) == []
    file, original = tmp_path / "region.db", tmp_path / "original.db"
    shutil.copy(file, original)
    doctored = set()
    for table in metadata.sorted_tables:
        texts = [
            column.name
            for column in table.columns
            if column.name != "tenant" and not isinstance(column.type, LargeBinary | Integer | Boolean)
        ]
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
            there = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if table.name not in there or "tenant" not in table.columns:
                continue
            texts = texts or ["tenant"]
            first = len(table.name) % len(texts)
            for name in texts[first:] + texts[:first]:
                with contextlib.suppress(sqlite3.IntegrityError):  # an index of text and blob alike
                    changed = database.execute(f'UPDATE "{table.name}" SET "{name}" = CAST("{name}" AS BLOB)').rowcount
                    break
            if not changed:
                continue
        doctored.add(table.name)
        found = verify_books(settings, TENANT)
        assert any(where.startswith(table.name) and name in what for where, what in found), (table.name, name, found)
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        shutil.copy(original, file)
    assert doctored >= SEALED, "what is sealed was tried"
    assert verify_books(settings, TENANT) == []
