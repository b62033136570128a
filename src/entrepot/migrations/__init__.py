"""Alembic migrations of the whole schema, kernel and systems in one line of revisions."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from entrepot.kernel.database import Database


def alembic_config(connection: Any = None) -> Config:
    """The Alembic configuration, bound to an open connection when one is given."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to the revision, in one transaction.

    On PostgreSQL an advisory lock lets one of several starting workers do it while the others wait.
    """
    with database.gate, database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310867)")
        command.upgrade(alembic_config(connection), revision)


def autogenerate(message: str, revision: str) -> None:
    """Write the revision that leads from the newest one to the present models; read it before you commit it.

    Run as `python -m entrepot.migrations "what changed" 0002`.
    """
    import tempfile

    from entrepot.app import define_every_table
    from entrepot.kernel.database import open_database

    define_every_table()
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/empty.db", durable=False)
        upgrade(database)
        with database.engine.connect() as connection:
            command.revision(alembic_config(connection), message=message, autogenerate=True, rev_id=revision)
        database.close()
