"""Alembic migrations of the whole schema, kernel and systems in one line of revisions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from entrepot.kernel.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

VERSIONS = Path(__file__).parent / "versions"


def alembic_config(connection: Any = None) -> "Config":
    """The Alembic configuration, bound to an open connection when one is given."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to the revision, in one transaction.

    On PostgreSQL an advisory lock lets one of several starting workers do it while the others wait.
    """
    if revision == "head" and _is_newest(database):
        return
    from alembic import command  # only when there is something to do: a start is the quicker for it

    with database.gate, database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310867)")
        command.upgrade(alembic_config(connection), revision)


def _is_newest(database: Database) -> bool:
    newest = max(file.name.partition("_")[0] for file in VERSIONS.glob("[0-9]*_*.py"))
    with database.engine.connect().execution_options(entrepot_read_only=True) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    return found == [newest]


def autogenerate(message: str, revision: str) -> None:
    """Write the revision that leads from the newest one to the present models; read it before you commit it.

    Run as `python -m entrepot.migrations "what changed" 0002`.
    """
    import tempfile

    from alembic import command

    from entrepot.app import define_every_table
    from entrepot.kernel.database import open_database

    define_every_table()
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/empty.db", durable=False)
        upgrade(database)
        with database.engine.connect() as connection:
            command.revision(alembic_config(connection), message=message, autogenerate=True, rev_id=revision)
        database.close()
