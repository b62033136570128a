"""The unit of work: the rows and memory changes of a group of operations, committed together.

Kernel rows are staged and written set-wise at the flush, one statement a table. An operation that is refused takes back
what it staged; a failed commit takes back everything, memory included. SQLAlchemy and `fetch` see staged rows, because
they flush first, under a savepoint of the running operation.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table
from sqlalchemy.orm import Session

from entrepot.kernel.database import statements
from entrepot.kernel.database.sealing import unsealed

if TYPE_CHECKING:
    from entrepot.kernel.database.engine import Database

_MISSING = object()
_DELETED = object()


class RetryAlone(Exception):
    """An optimistic check failed at the flush: the group is rolled back and each operation runs again alone."""


class NeedsSavepoint(Exception):
    """An operation asked for SQL while rows of earlier operations were staged: it runs again after a flush."""


class UnitOfWork:
    """Staged rows, the undo log and the transaction of one group. Not for use by several threads."""

    def __init__(self, database: "Database", connection: Connection, *, read_only: bool = False) -> None:
        self.database = database
        self.dialect = database.dialect
        self.read_only = read_only
        self.local: dict[str, Any] = {}
        self._connection = connection
        self._driver: Any = None
        self._session: Session | None = None
        self._inserts: dict[Table, dict[tuple[Any, ...], Any]] = {}
        self._upserts: dict[Table, dict[tuple[Any, ...], Any]] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._flush_hooks: dict[Any, Any] = {}
        self._closing_hooks: dict[Any, Any] = {}
        self._commit_hooks: dict[Any, Any] = {}
        self._seen: dict[Table, dict[tuple[Any, ...], tuple[Any, ...] | None]] = {}
        self._mark = 0
        self._earlier_staged = False
        self._savepoint = False
        self.locked_rows = False

    # --- staging -----------------------------------------------------------------------------------------------

    def insert(self, table: Table, row: Sequence[Any]) -> None:
        """Stage a new row, its values in the order of `table.columns`; a second row of the same key is an error."""
        assert not self.read_only, "a query may not write"
        rows = self._inserts.get(table)
        if rows is None:
            rows = self._inserts[table] = {}
        key = statements.key_of(table)(row)
        if key in rows:
            raise RetryAlone(f"{table.name} {key} is written twice in one group")
        changed = self._upserts.get(table)
        if changed is not None and key in changed:
            if changed[key] is not _DELETED:
                raise RetryAlone(f"{table.name} {key} is written twice in one group")
            self.set(changed, key, row)  # in place of the row whose deletion is staged
            return
        self._undo.append((rows, key, _MISSING))
        rows[key] = row

    def upsert(self, table: Table, row: Sequence[Any]) -> None:
        """Stage a row that replaces the one of the same key, if any; the last one staged wins."""
        assert not self.read_only, "a query may not write"
        key = statements.key_of(table)(row)
        fresh = self._inserts.get(table)
        if fresh is not None and key in fresh:
            self.set(fresh, key, row)
            return
        rows = self._upserts.get(table)
        if rows is None:
            rows = self._upserts[table] = {}
        self.set(rows, key, row)

    def delete(self, table: Table, key: tuple[Any, ...]) -> None:
        """Stage the deletion of the row with this primary key."""
        assert not self.read_only, "a query may not write"
        fresh = self._inserts.get(table)
        if fresh is not None and key in fresh:
            self._undo.append((fresh, key, fresh.pop(key)))
            return
        self.set(self._upserts.setdefault(table, {}), key, _DELETED)

    def seal(self, tenant: str, stream: str, row_id: str, content_hash: bytes) -> None:
        """Queue a row's content hash for the sealer, which gives it a position in the stream's chain."""
        self.insert(unsealed, (tenant, stream, row_id, content_hash))

    def set(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        """Change an in-memory mapping so that a refusal or a failed commit takes the change back."""
        self._undo.append((mapping, key, mapping.get(key, _MISSING)))
        mapping[key] = value

    def unset(self, mapping: dict[Any, Any], key: Any) -> None:
        """Remove a key from an in-memory mapping, undone like `set`."""
        if key in mapping:
            self._undo.append((mapping, key, mapping.pop(key)))

    def at_flush(self, key: str, callback: Callable[[], None]) -> None:
        """Run `callback` before the next flush writes the staged rows; once per key and flush."""
        if key not in self._flush_hooks:
            self.set(self._flush_hooks, key, callback)

    def before_commit(self, key: str, callback: Callable[[], None]) -> None:
        """Run `callback` once, as the last thing before the commit, after every staged row is written; what it stages
        is written too. For row locks that must be taken all together, in one order, and held briefly."""
        if key not in self._closing_hooks:
            self.set(self._closing_hooks, key, callback)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` after the commit; not at all when the operation is refused."""
        self.set(self._commit_hooks, len(self._commit_hooks), callback)

    # --- reading -----------------------------------------------------------------------------------------------

    def row(self, table: Table, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """One row by primary key, staged or stored; None where there is none.

        A stored row is asked for once in a transaction: what several operations of a group only read, such as a tank
        or a price series, costs one statement. Whoever changes a row uses `lock`, which always asks.
        """
        staged = self._staged(table, key)
        if staged is not _MISSING:
            return None if staged is _DELETED else tuple(staged)
        seen = self._seen.setdefault(table, {})
        if key in seen and self._session is None:  # a session may have changed it
            return seen[key]
        found = self.read(statements.select_by_key(table, self.dialect, False), key)
        row = seen[key] = found[0] if found else None
        return row

    def rows(self, table: Table, keys: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Those of the rows with these primary keys that there are, staged or stored, by one statement at most.

        The keys differ in their last part only.
        """
        found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        missing = []
        for key in keys:
            staged = self._staged(table, key)
            if staged is _MISSING:
                missing.append(key)
            elif staged is not _DELETED:
                found[key] = tuple(staged)
        if missing:
            (first,) = {key[:-1] for key in missing}
            sql = statements.select_by_keys(table, self.dialect)
            listed = statements.one_list(self.dialect, [key[-1] for key in missing])
            key_of = statements.key_of(table)
            found.update((key_of(row), row) for row in self.read(sql, (*first, listed)))
        return found

    def select(
        self, table: Table, conditions: str, parameters: Sequence[Any], matches: Callable[[Sequence[Any]], bool],
        limit: int,
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """Rows of a table under conditions, in the order of their primary keys, with the staged rows laid over them.

        `matches` says of a staged row what `conditions` say of a stored one. Nothing is flushed for it.
        """
        if self._session is not None and not self.read_only:
            self.session.flush()
        staged = {**self._inserts.get(table, {}), **self._upserts.get(table, {})}
        sql = f"{statements.select_all(table)} WHERE {conditions} ORDER BY {statements.key_list(table)} LIMIT %s"
        stored = self.read(sql, (*parameters, limit + len(staged)))
        if not staged:
            return stored
        key_of = statements.key_of(table)
        kept = [row for row in stored if key_of(row) not in staged]
        kept += [tuple(row) for row in staged.values() if row is not _DELETED and matches(row)]
        return sorted(kept, key=key_of)[:limit]

    def lock(self, table: Table, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Like `row`, holding the stored row against other processes until the end of the transaction."""
        self.locked_rows = True
        staged = self._staged(table, key)
        if staged is not _MISSING:
            return None if staged is _DELETED else tuple(staged)
        found = self.read(statements.select_by_key(table, self.dialect, True), key)
        row = found[0] if found else None
        self._seen.setdefault(table, {})[key] = row
        return row

    def _staged(self, table: Table, key: tuple[Any, ...]) -> Any:
        for rows in (self._inserts.get(table), self._upserts.get(table)):
            if rows is not None:
                staged = rows.get(key, _MISSING)
                if staged is not _MISSING:
                    return staged
        return _MISSING

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT (placeholders %s on both databases) WITHOUT the staged rows: the caller overlays them."""
        if self.dialect == "sqlite":
            cursor = self._driver.execute(sql.replace("%s", "?"), tuple(parameters))
            return cursor.fetchall()  # type: ignore[no-any-return]
        with self._driver.cursor() as cursor:
            cursor.execute(sql, tuple(parameters))
            return cursor.fetchall()  # type: ignore[no-any-return]

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT that sees the staged rows: flushes first, under the operation's savepoint."""
        if not self.read_only:
            if self._session is not None:
                self._session.flush()
            self._enter_savepoint()
            self.flush()
        return self.read(sql, parameters)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement that changes rows (placeholders %s); the number of rows changed."""
        assert not self.read_only, "a query may not write"
        self._enter_savepoint()
        self.flush()
        self._seen.clear()
        if self.dialect == "sqlite":
            return int(self._driver.execute(sql.replace("%s", "?"), tuple(parameters)).rowcount)
        with self._driver.cursor() as cursor:
            cursor.execute(sql, tuple(parameters))
            return int(cursor.rowcount)

    @staticmethod
    def any_(column: str, count: int) -> str:
        """The condition that `column` is one of `count` parameters; false for none."""
        return f"{column} IN ({', '.join(['%s'] * count)})" if count else "1 = 0"

    @property
    def session(self) -> Session:
        """A SQLAlchemy session on this transaction. Never commit it: the edge does."""
        if self._session is None:
            if not self.read_only:
                self._enter_savepoint()
                self.flush()
                self._seen.clear()
            self._session = Session(
                self._connection, join_transaction_mode="rollback_only", expire_on_commit=False, autoflush=True
            )
        return self._session

    @property
    def connection(self) -> Connection:
        """The SQLAlchemy connection of the transaction, for libraries that write in it; staged rows are flushed."""
        if not self.read_only:
            self._enter_savepoint()
            self.flush()
            self._seen.clear()
        return self._connection

    # --- the life of a group -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the transaction."""
        self._connection.begin()
        self._driver = self._connection.connection.driver_connection

    def wait_at_most(self, milliseconds: int) -> None:
        """Fail rather than wait longer for another process's row lock; SQLite has none."""
        if self.dialect == "postgresql":
            self._run(f"SET LOCAL lock_timeout = {int(milliseconds)}")

    def begin_operation(self, *, savepoint: bool = False) -> None:
        """Mark where the next operation starts; `savepoint` writes the earlier rows and opens one at once."""
        self.locked_rows = False
        self._mark = len(self._undo)
        self._earlier_staged = bool(any(self._inserts.values()) or any(self._upserts.values()))
        if savepoint:
            self.flush()
            self._earlier_staged = False
            self._mark = len(self._undo)
            self._enter_savepoint()

    def end_operation(self) -> None:
        """Keep what the operation did."""
        if self._session is not None:
            self._session.flush()
            self._seen.clear()
            self._session.close()
            self._session = None
        if self._savepoint:
            self.flush()  # the rows belong inside the savepoint: an error of theirs is this operation's error
            self._run("RELEASE SAVEPOINT operation")
            self._savepoint = False

    def refuse_operation(self) -> None:
        """Take back all that the operation staged, wrote and changed in memory."""
        if self._session is not None:
            self._session.expunge_all()
            self._session.close()
            self._session = None
        if self._savepoint:
            self._run("ROLLBACK TO SAVEPOINT operation")
            self._run("RELEASE SAVEPOINT operation")
            self._savepoint = False
            self._seen.clear()
        self._take_back(self._mark)

    def flush(self) -> None:
        """Write every staged row, one statement a table."""
        while self._flush_hooks:
            hooks = list(self._flush_hooks.items())
            for key, callback in hooks:
                self.unset(self._flush_hooks, key)
                callback()
        for table, rows in self._inserts.items():
            if rows:
                self._forget(table, rows)
                statements.write(self._driver, self.dialect, table, rows.values(), replace=False)
                rows.clear()  # undoing a staged row that is written already only finds it gone
        for table, rows in self._upserts.items():
            if rows:
                self._forget(table, rows)
                kept = [row for row in rows.values() if row is not _DELETED]
                gone = [key for key, row in rows.items() if row is _DELETED]
                if kept:
                    statements.write(self._driver, self.dialect, table, kept, replace=True)
                if gone:
                    statements.remove(self._driver, self.dialect, table, gone)
                rows.clear()  # undoing a staged row that is written already only finds it gone

    def _forget(self, table: Table, keys: Iterable[tuple[Any, ...]]) -> None:
        seen = self._seen.get(table)
        if seen:
            for key in keys:
                seen.pop(key, None)

    def commit(self) -> None:
        """Flush and commit; the callbacks run after it."""
        self.end_operation()
        self.flush()
        if self._closing_hooks:
            for closing in list(self._closing_hooks.values()):
                closing()
            self.flush()
        self._connection.commit()
        self._undo.clear()
        for callback in list(self._commit_hooks.values()):
            callback()

    def rollback(self) -> None:
        """Undo everything, in the database and in memory."""
        if self._session is not None:
            self._session.expunge_all()
            self._session.close()
            self._session = None
        if self._connection.in_transaction():
            self._connection.rollback()
        self._savepoint = False
        self._take_back(0)

    def _enter_savepoint(self) -> None:
        if self._savepoint or self.read_only:
            return
        if self._earlier_staged:
            raise NeedsSavepoint
        self._run("SAVEPOINT operation")
        self._savepoint = True

    def _take_back(self, mark: int) -> None:
        while len(self._undo) > mark:
            mapping, key, value = self._undo.pop()
            if value is _MISSING:
                mapping.pop(key, None)
            else:
                mapping[key] = value

    def _run(self, sql: str) -> None:
        if self.dialect == "sqlite":
            self._driver.execute(sql)
        else:
            with self._driver.cursor() as cursor:
                cursor.execute(sql)
