"""Migrations lead to the very schema that the models declare, on both databases."""

import subprocess
import sys

from sqlalchemy import inspect

from entrepot.kernel.database import open_database


def test_migrations_lead_to_the_declared_schema(empty_database_url: str):
    command = [sys.executable, "-m", "tests.support.compare_schema", empty_database_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "`python -m entrepot.migrations` writes the missing revision"
    database = open_database(empty_database_url, durable=False)
    with database.engine.connect() as connection:
        known = set(inspect(connection).get_table_names())
    database.close()
    assert {"events", "ledger_transfers", "wh_receipts", "tf_facilities", "timers", "answered"} <= known
