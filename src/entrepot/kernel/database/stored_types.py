"""SQLite keeps any kind of value in any column: whether every stored value is of its column's kind."""

from collections.abc import Iterator

from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, Table

from entrepot.kernel.database.schema import metadata
from entrepot.kernel.database.unit_of_work import UnitOfWork

SHOWN = 20


def misstored(uow: UnitOfWork, tenant: str) -> Iterator[tuple[str, str]]:
    """(table and row, what is wrong) for each of the tenant's rows with a value of another kind, 20 a table at most.

    A text that was made a blob of the same bytes compares and hashes otherwise, and would stop a verification half way.
    PostgreSQL stores nothing of another kind.
    """
    if uow.dialect != "sqlite":
        return
    there = {row[0] for row in uow.read("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in metadata.sorted_tables:
        if table.name in there and "tenant" in table.columns:
            yield from _misstored(uow, table, tenant)


def _misstored(uow: UnitOfWork, table: Table, tenant: str) -> Iterator[tuple[str, str]]:
    wrong = {column.name: f"typeof(\"{column.name}\") NOT IN ('{_kind(column)}', 'null')" for column in table.columns}
    keys = [column.name for column in table.primary_key.columns if column.name != "tenant"]
    chosen = ", ".join([*(f'"{name}"' for name in keys), *wrong.values()])
    # The tenant too may have been made a blob, which equals no text.
    rows = uow.read(
        f'SELECT {chosen} FROM "{table.name}" WHERE CAST(tenant AS TEXT) = %s AND ({" OR ".join(wrong.values())}) '
        f"LIMIT {SHOWN}",
        (tenant,),
    )
    for row in rows:
        named = [name for name, is_wrong in zip(wrong, row[len(keys) :], strict=True) if is_wrong]
        where = " ".join(_shown(value) for value in row[: len(keys)])
        yield f"{table.name} {where}".strip(), f"{', '.join(named)}: stored as another kind of value"


def _kind(column: Column[object]) -> str:
    kind = getattr(column.type, "impl", column.type)
    if isinstance(kind, LargeBinary):
        return "blob"
    if isinstance(kind, Integer | Boolean):
        return "integer"
    return "real" if isinstance(kind, Float) else "text"


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
