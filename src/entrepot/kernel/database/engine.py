"""Opening a database: one engine, the fair write gate of SQLite, units of work for writing and for reading."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError

from entrepot.kernel.database.schema import metadata
from entrepot.kernel.database.unit_of_work import UnitOfWork

PING_AFTER_S = 1.0
T = TypeVar("T")


class FairGate:
    """A lock that serves its waiters in the order of their arrival.

    SQLite has one writer; with a plain lock a busy writer thread takes it again and again, and workflows starve.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def acquire(self) -> None:
        """Wait for the turn."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()  # released by `release`, which hands the gate over without opening it

    def release(self) -> None:
        """Hand the gate to whoever waits longest, or open it."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                assert self._taken, "the gate was released twice"
                self._taken = False

    def __enter__(self) -> "FairGate":
        self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


class OpenGate(FairGate):
    """The gate of a database that has its own locks: always open."""

    def acquire(self) -> None:
        """Return at once."""

    def release(self) -> None:
        """Do nothing."""


class Database:
    """A relational database and the ways into it.

    `engine` is shared with migrations and the workflow engine; `gate` must be held around every write transaction
    that does not come from `unit` (on PostgreSQL it is always open). `caches` holds process-wide mappings which
    services change through `UnitOfWork.set` only: exact on SQLite, where one process owns the file.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self.url = engine.url.render_as_string(hide_password=False)
        self.gate = FairGate() if self.dialect == "sqlite" else OpenGate()
        self.caches: dict[str, dict[Any, Any]] = {}

    def create_all(self) -> None:
        """Create every table of the shared metadata directly; production uses the Alembic migrations."""
        with self.gate, self.engine.begin() as connection:
            metadata.create_all(connection)

    @contextmanager
    def unit(self) -> Iterator[UnitOfWork]:
        """A unit of work that commits at the end of the block and rolls back on an exception."""
        with self.gate, self.engine.connect() as connection:
            uow = UnitOfWork(self, connection)
            try:
                uow.begin()
                yield uow
                uow.commit()
            except BaseException:
                uow.rollback()
                raise

    @contextmanager
    def reader(self) -> Iterator[UnitOfWork]:
        """A read-only snapshot with the reading interface of a unit of work."""
        with self.engine.connect().execution_options(entrepot_read_only=True) as connection:
            uow = UnitOfWork(self, connection, read_only=True)
            uow.begin()
            try:
                yield uow
            finally:
                uow.rollback()

    def ask(self, function: Callable[[UnitOfWork], T]) -> T:
        """What `function` finds in a read-only snapshot; asked once more when the connection turns out to be lost."""
        try:
            with self.reader() as uow:
                return function(uow)
        except Exception as error:
            if not _lost(error):
                raise
        with self.reader() as uow:
            return function(uow)

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def open_database(url: str, *, durable: bool = True, pool_size: int = 16) -> Database:
    """Open `sqlite:////folder/file.db` or `postgresql+psycopg://user@host/name`.

    `durable=False` turns fsync off at commit: for replays and tests only, where the data may be lost.
    Raises ValueError for any other kind of URL.
    """
    address = make_url(url)
    if address.drivername in {"postgresql", "postgres"}:
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() == "sqlite":
        engine = _open_sqlite(address.render_as_string(hide_password=False), durable=durable, pool_size=pool_size)
    elif address.drivername == "postgresql+psycopg":
        engine = create_engine(
            address,
            pool_size=pool_size,
            max_overflow=pool_size,
            isolation_level="READ COMMITTED",
            connect_args={"application_name": "entrepot", "prepare_threshold": 2},
        )
        _configure_postgres(engine, durable=durable)
    else:
        raise ValueError(f"{address.drivername}: only sqlite and postgresql+psycopg databases are supported")
    return Database(engine)


def _open_sqlite(url: str, *, durable: bool, pool_size: int) -> Engine:
    file = make_url(url).database
    if not file or file == ":memory:":
        raise ValueError("SQLite needs a file: readers and the writer are different connections")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        connect_args={"check_same_thread": False, "timeout": 30, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def connect(driver: Any, record: object) -> None:
        driver.isolation_level = None  # BEGIN and COMMIT are ours, see `begin`
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'OFF'}",
            "foreign_keys=ON",
            "busy_timeout=30000",
            "cache_size=-65536",
            "temp_store=MEMORY",
            "wal_autocheckpoint=16000",
        ):
            driver.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("entrepot_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _lost(error: Exception) -> bool:
    """Whether the database's server went away; SQLite has none."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    found = error.orig if isinstance(error, DBAPIError) else error
    return (
        type(found).__name__ in {"OperationalError", "AdminShutdown", "InterfaceError"}
        and "sqlite" not in type(found).__module__
    )


def _configure_postgres(engine: Engine, *, durable: bool) -> None:
    import psycopg  # only here: SQLite needs none of it

    read_committed, repeatable_read = psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ

    @event.listens_for(engine, "connect")
    def connect(driver: Any, record: Any) -> None:
        with driver.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            if not durable:
                cursor.execute("SET synchronous_commit = off")
        driver.commit()
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkin")
    def checkin(driver: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def checkout(driver: Any, record: Any, proxy: Any) -> None:
        # A ping at every checkout would be a third of a short transaction; a busy connection is as good as pinged.
        if not driver.closed and time.monotonic() - record.info.get("used", 0.0) < PING_AFTER_S:
            return
        try:
            driver.execute("SELECT 1")
            driver.rollback()
        except psycopg.Error as error:
            raise DisconnectionError from error  # the pool connects again

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Attributes of the driver, which makes one BEGIN of them; nothing is sent here.
        read_only = connection.get_execution_options().get("entrepot_read_only", False)
        driver: Any = connection.connection.driver_connection
        driver.read_only = True if read_only else None
        driver.isolation_level = repeatable_read if read_only else read_committed
