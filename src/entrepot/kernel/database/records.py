"""Records: a system's immutable value types, each with a table, written set-wise with the operation.

    @record("tanks", index=(("site",),))
    class Tank(Record):
        id: str
        site: str
        capacity_kg: int

    tanks = Records(ctx.uow, ctx.tenant, Tank)
    tanks.put(replace(tanks.lock("tank_1"), capacity_kg=5))

SQLAlchemy sessions stay for queries and shapes that records do not fit; records cost a tenth of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text

from entrepot.kernel.database.schema import metadata
from entrepot.kernel.database.unit_of_work import UnitOfWork
from entrepot.kernel.operations.errors import NotFound

_COLUMN_TYPES: Mapping[type, Any] = {str: Text, int: BigInteger, bool: Boolean, bytes: LargeBinary}


class Record:
    """Parent of record types: frozen dataclasses of str, int, bool and bytes fields, the first being the key."""

    table: ClassVar[Table]
    label: ClassVar[str]
    flags: ClassVar[tuple[int, ...]]  # places of the row's booleans
    values: ClassVar[Callable[[Any], tuple[Any, ...]]]


R = TypeVar("R", bound=Record)


@dataclass_transform(frozen_default=True)
def record(
    table: str, *, key: tuple[str, ...] = ("id",), index: tuple[tuple[str, ...], ...] = (), label: str = ""
) -> Callable[[type[R]], type[R]]:
    """Make a class a frozen dataclass with the table `table`; `label` is what an error calls one of them."""

    def declare(cls: type[R]) -> type[R]:
        made = dataclass(frozen=True, slots=True)(cls)
        hints = get_type_hints(made)
        columns = [Column("tenant", Text, primary_key=True)]
        columns += [
            Column(f.name, _COLUMN_TYPES[hints[f.name]], primary_key=f.name in key, nullable=False)
            for f in fields(made)  # type: ignore[arg-type]
        ]
        indexes = [Index(f"ix_{table}_{'_'.join(names)}", "tenant", *names) for names in index]
        made.table = Table(table, metadata, *columns, *indexes, sqlite_with_rowid=False)
        made.label = label or cls.__name__.lower()
        made.flags = tuple(place for place, column in enumerate(made.table.columns) if isinstance(column.type, Boolean))
        made.values = attrgetter(*(f.name for f in fields(made)))  # type: ignore[arg-type]
        return made

    return declare


class Records(Generic[R]):
    """The records of one type in one tenant, inside a unit of work."""

    def __init__(self, uow: UnitOfWork, tenant: str, kind: type[R]) -> None:
        self._uow = uow
        self._tenant = tenant
        self._kind = kind
        self._table = kind.table

    def find(self, *key: Any) -> R | None:
        """The record of that key, or None."""
        row = self._uow.row(self._table, (self._tenant, *key))
        return None if row is None else self._make(row)

    def get(self, *key: Any) -> R:
        """The record of that key. Raises NotFound."""
        return self._found(self.find(*key), key)

    def lock(self, *key: Any) -> R:
        """Like `get`, held against other workers until the commit: use it before a change."""
        row = self._uow.lock(self._table, (self._tenant, *key))
        return self._found(None if row is None else self._make(row), key)

    def add(self, item: R) -> R:
        """Stage a new record."""
        self._uow.insert(self._table, self._row(item))
        return item

    def put(self, item: R) -> R:
        """Stage a record in place of the one with its key."""
        self._uow.upsert(self._table, self._row(item))
        return item

    def change(self, item: R, **changes: Any) -> R:
        """Stage a changed copy of a record."""
        return self.put(replace(item, **changes))  # type: ignore[type-var]

    def list(self, *, after: str = "", limit: int = 1000, **equal: Any) -> list[R]:
        """Records whose fields equal the values given, in the order of their keys."""
        places = [(self._place(name), value) for name, value in equal.items()]
        conditions = ["tenant = %s", *(f"{name} = %s" for name in equal)]
        values: list[Any] = [self._tenant, *equal.values()]
        first = next(column.name for column in self._table.primary_key.columns if column.name != "tenant")
        key_place = self._place(first)
        if after:
            conditions.append(f"{first} > %s")
            values.append(after)

        def matches(row: Sequence[Any]) -> bool:
            return (
                row[0] == self._tenant
                and all(row[place] == value for place, value in places)
                and (not after or row[key_place] > after)
            )

        rows = self._uow.select(self._table, " AND ".join(conditions), values, matches, limit)
        return [self._make(row) for row in rows]

    def _place(self, name: str) -> int:
        return list(self._table.columns.keys()).index(name)

    def _found(self, item: R | None, key: tuple[Any, ...]) -> R:
        if item is None:
            label = self._kind.label
            raise NotFound(f"{label.replace(' ', '-')}/unknown", f"There is no {label} {' '.join(map(str, key))}.")
        return item

    def _row(self, item: R) -> tuple[Any, ...]:
        return (self._tenant, *self._kind.values(item))

    def _make(self, row: tuple[Any, ...]) -> R:
        flags = self._kind.flags
        if flags and self._uow.dialect == "sqlite":  # which answers 0 and 1
            return self._kind(*(bool(value) if place in flags else value for place, value in enumerate(row) if place))
        return self._kind(*row[1:])
