"""The peer: the same business operation in plain SQLAlchemy Core, one statement a row, by the book.

It looks up the idempotency key, then writes idempotency, event, two postings, both balances, a case and a domain row:
one SELECT and seven writes. It is given what a good engineer gives it: prepared statements, the same settings of the
database, on SQLite one writer that groups waiting commands into one durable commit with a savepoint each, on PostgreSQL
a pool of connections whose commits the server groups.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    bindparam,
    case,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import OperationalError

_Item = tuple[tuple[str, str, str, int], Future[str]]
SQLITE_GROUP = 512
POSTGRES_WORKERS = 16

tables = MetaData()
keys = Table("peer_keys", tables, Column("key", Text, primary_key=True), Column("answer", Text, nullable=False))
events = Table(
    "peer_events",
    tables,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
)
accounts = Table(
    "peer_accounts", tables, Column("id", Text, primary_key=True), Column("balance", BigInteger, nullable=False)
)
postings = Table(
    "peer_postings",
    tables,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
cases = Table(
    "peer_cases",
    tables,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
)
shipments = Table(
    "peer_shipments",
    tables,
    Column("id", Text, primary_key=True),
    Column("seller", Text, nullable=False),
    Column("buyer", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

FIND_KEY = select(keys.c.answer).where(keys.c.key == bindparam("given"))
MOVE_BALANCES = (
    update(accounts)
    .where(accounts.c.id.in_([bindparam("seller"), bindparam("buyer")]))
    .values(
        balance=accounts.c.balance
        + case((accounts.c.id == bindparam("seller"), -bindparam("moved")), else_=bindparam("moved"))
    )
)


class Peer:
    """The peer on one database. `ship` may be called from any thread; its future resolves after the durable commit."""

    def __init__(self, url: str, parties: int) -> None:
        self.engine = _engine(url)
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        with self.engine.begin() as connection:
            tables.drop_all(connection)
            tables.create_all(connection)
            connection.execute(insert(accounts), [{"id": f"p{n}", "balance": 0} for n in range(parties)])
        self._sqlite = self.engine.dialect.name == "sqlite"
        count = 1 if self._sqlite else POSTGRES_WORKERS
        self._serials = [0] * count
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def ship(self, key: str, seller: str, buyer: str, amount: int, done: Callable[[Future[str]], None]) -> None:
        future: Future[str] = Future()
        future.add_done_callback(done)
        self._queue.put(((key, seller, buyer, amount), future))

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self.engine.dispose()

    def count(self) -> int:
        with self.engine.connect() as connection:
            return len(connection.execute(select(shipments.c.id)).all())

    def _work(self, number: int) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            while self._sqlite and len(group) < SQLITE_GROUP:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    self._queue.put(None)
                    break
                group.append(item)
            answers = self._commit(group, number)
            for (_, future), answer in zip(group, answers, strict=True):
                future.set_result(answer)

    def _commit(self, group: Sequence[_Item], number: int) -> list[str]:
        while True:
            try:
                with self.engine.begin() as connection:
                    # On PostgreSQL the group is one command, and the transaction is its savepoint.
                    return [self._one(connection, number, command) for command, _ in group]
            except OperationalError:
                continue  # two of them met on the same two accounts: PostgreSQL ended one, which runs again

    def _one(self, connection: Connection, number: int, command: tuple[str, str, str, int]) -> str:
        self._serials[number] += 1
        with connection.begin_nested() if self._sqlite else nullcontext():
            return _ship(connection, f"{number}-{self._serials[number]}", *command)


def _ship(connection: Connection, serial: str, key: str, seller: str, buyer: str, amount: int) -> str:
    stored = connection.execute(FIND_KEY, {"given": key}).scalar()
    if stored is not None:
        return str(stored)
    now_us = time.time_ns() // 1000
    data = json.dumps({"seller": seller, "buyer": buyer, "amount": amount})
    answer = f"shp_{serial}"
    connection.execute(insert(keys), {"key": key, "answer": answer})
    event_row = {"id": f"evt_{serial}", "type": "ship", "actor": seller, "at": now_us, "data": data}
    connection.execute(insert(events), event_row)
    for side, account, signed in (("d", seller, -amount), ("c", buyer, amount)):
        posting = {"id": f"pst_{serial}{side}", "account": account, "amount": signed, "at": now_us}
        connection.execute(insert(postings), posting)
    connection.execute(MOVE_BALANCES, {"seller": seller, "buyer": buyer, "moved": amount})
    due = now_us + 86_400_000_000
    case_row = {"id": f"cas_{serial}", "type": "inspect", "state": "open", "party": buyer, "due": due}
    connection.execute(insert(cases), case_row)
    shipment = {"id": answer, "seller": seller, "buyer": buyer, "amount": amount, "at": now_us}
    connection.execute(insert(shipments), shipment)
    return answer


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=POSTGRES_WORKERS, connect_args={"prepare_threshold": 2})
    engine = create_engine(url, connect_args={"check_same_thread": False, "cached_statements": 512})

    @event.listens_for(engine, "connect")
    def connect(driver: object, record: object) -> None:
        driver.isolation_level = None  # type: ignore[attr-defined]
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "wal_autocheckpoint=4000"):
            driver.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
