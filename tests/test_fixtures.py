"""The walls and floors the other tests stand on: both databases are real, fresh, and behave alike."""

import socket

import pytest
from sqlalchemy import text

from entrepot.kernel.database import Database
from tests.support.postgres import Cluster


def test_a_database_is_fresh_and_takes_rows(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE left_over (id BIGINT PRIMARY KEY)"))
        connection.execute(text("INSERT INTO left_over VALUES (1)"))
        assert connection.execute(text("SELECT count(*) FROM left_over")).scalar() == 1


def test_nothing_of_another_test_is_left(database: Database) -> None:
    with database.engine.connect() as connection:
        catalogue = "sqlite_master WHERE name" if database.dialect == "sqlite" else "pg_class WHERE relname"
        found = connection.execute(text(f"SELECT count(*) FROM {catalogue} = 'left_over'")).scalar()
    assert found == 0


def test_the_outside_network_is_closed_to_tests() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match="loopback"):
        outside.connect(("192.0.2.1", 80))  # an address reserved for documentation, RFC 5737


def test_a_server_keeps_its_rows_through_a_crash() -> None:
    """A durable cluster that is killed comes back on its port with every committed row."""
    import psycopg

    with Cluster.create(durable=True) as cluster:
        with psycopg.connect(cluster.admin_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        cluster.kill()
        cluster.start()
        with psycopg.connect(cluster.admin_url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
