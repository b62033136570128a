"""Alembic's entry: runs on the connection that `upgrade` opened."""

from alembic import context

from entrepot.kernel.database import metadata

connection = context.config.attributes["connection"]
assert connection is not None, "run migrations through entrepot.migrations.upgrade or `entrepot migrate`"


def _ours(item: object, name: str | None, type_: str, reflected: bool, compare_to: object) -> bool:
    """Tables of the workflow engine and of telemetry are made by their owners."""
    return not (type_ == "table" and reflected and compare_to is None)


context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=_ours,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
