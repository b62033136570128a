"""Fixtures for everything that runs on a database, and the walls around the test run.

`database` is a fresh `Database` with every table, once on SQLite and once on PostgreSQL; `database_url` is the address
of such a database that nothing has opened yet. Both databases are real: see tests/support/postgres.py.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from entrepot.kernel.database import Database, metadata, open_database
from tests.support.postgres import Databases, server

# Two busy cores make a time limit per example a coin toss; pytest's own timeout still ends a test that hangs.
settings.register_profile("entrepot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("entrepot")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """Databases on one private PostgreSQL server per test process, started when the first test asks for it."""
    with server() as databases:
        yield databases


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, closed database which holds every table and no row."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template") / f"{_schema_key()}.db"
        if not template.exists():
            _create_tables(_sqlite_url(template))
        copy = tmp_path / "entrepot.db"
        shutil.copyfile(template, copy)
        yield _sqlite_url(copy)
    else:
        databases: Databases = request.getfixturevalue("postgres")
        url = databases.create(template=databases.template(_schema_key(), _create_tables))
        yield url
        databases.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield _sqlite_url(tmp_path / "empty.db")
    else:
        databases: Databases = request.getfixturevalue("postgres")
        url = databases.create()
        yield url
        databases.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, open database which holds every table and no row."""
    database = open_database(database_url, durable=False)
    yield database
    database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of prepared SQLite files that tests copy."""
    return tmp_path_factory.mktemp("sqlite-template")


@pytest.fixture(scope="session", autouse=True)
def _no_outside_network() -> Iterator[None]:
    """Let no test reach beyond this machine: a connection to any address but the loopback's is an error."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address!r}: only the loopback interface is open to tests")
        real_connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    yield
    patch.undo()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sqlite_url(file: Path) -> str:
    return f"sqlite:///{file}"


def _schema_key() -> str:
    """Changes when a test module brings a table of its own, so that the template is made anew."""
    return f"schema_{len(metadata.tables)}_{sum(len(table.columns) for table in metadata.tables.values())}"


def _create_tables(url: str) -> None:
    database = open_database(url, durable=False)
    database.create_all()
    database.close()
