"""Set-wise statements: one execution writes all the rows of a table that a group of operations staged."""

import json
from collections.abc import Callable, Collection, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, SmallInteger, Table

Row = Sequence[Any]
_ARRAY_TYPES: tuple[tuple[type, str], ...] = (
    (Boolean, "boolean[]"),
    (SmallInteger, "bigint[]"),
    (BigInteger, "bigint[]"),
    (Integer, "bigint[]"),
    (LargeBinary, "bytea[]"),
)


def write(driver: Any, dialect: str, table: Table, rows: Collection[Row], *, replace: bool) -> None:
    """Insert `rows` (values in the order of the table's columns); `replace` overwrites a row of the same key.

    SQLite prepares once and steps per row; PostgreSQL unnests one array per column.
    """
    sql = _statement(table, dialect, replace)
    if dialect == "sqlite":
        driver.executemany(sql, rows)
        return
    with driver.cursor() as cursor:
        cursor.execute(sql, arrays(table, rows), prepare=True)


def arrays(table: Table, rows: Collection[Row]) -> list[str]:
    """The rows as one PostgreSQL array literal per column of the table."""
    return [fold(column) for fold, column in zip(_folds(table), zip(*rows, strict=True), strict=True)]


def remove(driver: Any, dialect: str, table: Table, keys: Collection[tuple[Any, ...]]) -> None:
    """Delete the rows with these primary keys."""
    names = [column.name for column in table.primary_key.columns]
    if dialect == "sqlite":
        condition = " AND ".join(f'"{name}" = ?' for name in names)
        driver.executemany(f'DELETE FROM "{table.name}" WHERE {condition}', keys)
        return
    marks = ", ".join(f"%s::{_array_type(column)}" for column in table.primary_key.columns)
    listed = ", ".join(f'"{name}"' for name in names)
    with driver.cursor() as cursor:
        cursor.execute(
            f'DELETE FROM "{table.name}" WHERE ({listed}) IN (SELECT * FROM unnest({marks}))',
            [list(column) for column in zip(*keys, strict=True)],
        )


@cache
def select_by_key(table: Table, dialect: str, lock: bool) -> str:
    """SELECT of all columns, in order, by primary key."""
    mark = "?" if dialect == "sqlite" else "%s"
    condition = " AND ".join(f'"{column.name}" = {mark}' for column in table.primary_key.columns)
    suffix = " FOR UPDATE" if lock and dialect != "sqlite" else ""
    return f"{select_all(table)} WHERE {condition}{suffix}"


@cache
def select_by_keys(table: Table, dialect: str) -> str:
    """SELECT of all columns of the rows whose last key column is one of a list, see `one_list`; placeholders %s."""
    *first, last = table.primary_key.columns
    conditions = [f'"{column.name}" = %s' for column in first]
    if dialect == "sqlite":
        conditions.append(f'"{last.name}" IN (SELECT value FROM json_each(%s))')
    else:
        conditions.append(f'"{last.name}" = ANY(%s::{_array_type(last)})')
    return f"{select_all(table)} WHERE {' AND '.join(conditions)}"


def one_list(dialect: str, values: Sequence[str] | Sequence[int]) -> str:
    """A list as one parameter, so that the statement is the same for any count."""
    if dialect == "sqlite":
        return json.dumps(list(values))
    return texts([str(value) for value in values])


@cache
def select_all(table: Table) -> str:
    """SELECT of all columns, in order."""
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'SELECT {columns} FROM "{table.name}"'


@cache
def key_list(table: Table) -> str:
    """The primary key's columns, for an ORDER BY."""
    return ", ".join(f'"{column.name}"' for column in table.primary_key.columns)


@cache
def key_of(table: Table) -> Callable[[Row], tuple[Any, ...]]:
    """A function from a row to its primary key."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in table.primary_key.columns]
    assert places, f"{table.name} has no primary key"
    if len(places) == 1:
        (only,) = places
        return lambda row: (row[only],)
    return itemgetter(*places)


@cache
def _statement(table: Table, dialect: str, replace: bool) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    if dialect == "sqlite":
        sql = f'INSERT INTO "{table.name}" ({columns}) VALUES ({", ".join("?" for _ in table.columns)})'
    else:
        marks = ", ".join(f"%s::{_array_type(column)}" for column in table.columns)
        sql = f'INSERT INTO "{table.name}" ({columns}) SELECT * FROM unnest({marks})'
    if replace:
        key = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        others = [column.name for column in table.columns if not column.primary_key]
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
        sql += f" ON CONFLICT ({key}) DO " + (f"UPDATE SET {changes}" if changes else "NOTHING")
    return sql


def _array_type(column: Any) -> str:
    for kind, name in _ARRAY_TYPES:
        if isinstance(column.type, kind) or isinstance(getattr(column.type, "impl", None), kind):
            return name
    return "text[]"


# Array literals are folded here, a column at a time in C, because psycopg's list adapter takes a regular expression and
# several Python calls a value: at 50 rows of 12 columns 71 us of processor time a row against 4 us.


@cache
def _folds(table: Table) -> tuple[Callable[[Sequence[Any]], str], ...]:
    """For each column the function from its values to a PostgreSQL array literal."""
    kinds = {"boolean[]": _booleans, "bigint[]": _integers, "bytea[]": _octets, "text[]": texts}
    return tuple(kinds[_array_type(column)] for column in table.columns)


_APART = "\x1f"


def texts(values: Sequence[str | None]) -> str:
    """The literal of a text array, every value quoted, NULL for None."""
    try:
        joined = _APART.join(values)  # type: ignore[arg-type]
    except TypeError:
        return "{" + ",".join("NULL" if value is None else texts([value])[1:-1] for value in values) + "}"
    if joined.count(_APART) != len(values) - 1:  # a value holds the separator itself
        if len(values) > 1:
            return "{" + ",".join(texts([value])[1:-1] for value in values) + "}"
        return '{"' + joined.replace("\\", "\\\\").replace('"', '\\"') + '"}'
    if "\\" in joined:
        joined = joined.replace("\\", "\\\\")
    if '"' in joined:
        joined = joined.replace('"', '\\"')
    return '{"' + joined.replace(_APART, '","') + '"}'


def _integers(values: Sequence[int | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else f"{value:d}" for value in values]) + "}"


def _booleans(values: Sequence[Any]) -> str:
    # Services give True or 1, as SQLite stores it; PostgreSQL insists on a boolean.
    return "{" + ",".join(["NULL" if value is None else ("t" if value else "f") for value in values]) + "}"


def _octets(values: Sequence[bytes | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"
