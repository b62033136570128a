"""A tenant's kernel services on a real database, with a clock that the test moves; events are kept in a list."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from entrepot.kernel.database import Database, Scope, UnitOfWork
from entrepot.kernel.database.schema import to_us

REGION = ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000


def local(text: str) -> datetime:
    """A local time of the region."""
    return datetime.fromisoformat(text).replace(tzinfo=REGION)


def instants(since: str, until: str) -> SearchStrategy[datetime]:
    """Any instant between two days."""
    return st.datetimes(datetime.fromisoformat(since), datetime.fromisoformat(until), timezones=st.just(UTC))


class Desk:
    """Scopes of one tenant. `write` commits at the end of the block, `read` is a snapshot."""

    def __init__(self, database: Database, now: str = "2008-07-01 10:00", tenant: str = "lanzhou") -> None:
        self.database = database
        self.tenant = tenant
        self.now_us = to_us(local(now))
        self.events: list[tuple[str, dict[str, Any], str]] = []
        self._ids = count(1)

    def move_to(self, now: str) -> None:
        self.now_us = to_us(local(now))

    def scope(self, uow: UnitOfWork, actor: str = "li") -> Scope:
        return Scope(
            uow, self.tenant, self.now_us, Random(1), lambda prefix: f"{prefix}_{next(self._ids):08d}", actor,
            lambda *event: self.events.append(event),
        )  # fmt: skip

    @contextmanager
    def write(self, actor: str = "li") -> Iterator[Scope]:
        with self.database.unit() as uow:
            uow.begin_operation()
            yield self.scope(uow, actor)

    @contextmanager
    def read(self) -> Iterator[Scope]:
        with self.database.reader() as uow:
            yield self.scope(uow)
