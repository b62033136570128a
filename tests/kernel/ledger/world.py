"""A small world for ledger tests: units of work on a real database, with a clock that the test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random

from entrepot.kernel.database import Database, Scope, UnitOfWork
from entrepot.kernel.ledger import Ledger

NOON = 1_214_913_600_000_000  # 2008-07-01T12:00:00Z
HOUR = 3_600_000_000


class World:
    """One tenant of a database; `open` gives its ledger in a unit that commits at the end of the block."""

    def __init__(self, database: Database, tenant: str = "lanzhou", now_us: int = NOON, prefix: str = "") -> None:
        self.database = database
        self.tenant = tenant
        self.now_us = now_us
        self._prefix = prefix
        self._ids = count(1)

    def scope(self, uow: UnitOfWork) -> Scope:
        return Scope(uow, self.tenant, self.now_us, Random(1), self.new_id, "tester", lambda *_: None)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{self._prefix}{next(self._ids):08d}"

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        with self.database.unit() as uow:
            uow.begin_operation()
            yield Ledger(self.scope(uow))

    @contextmanager
    def read(self) -> Iterator[Ledger]:
        with self.database.reader() as uow:
            yield Ledger(self.scope(uow))


def with_money(world: World, **owners: int) -> dict[str, int]:
    """Define CNY, issued by the bank, and give every owner so much; account ids by owner."""
    with world.open() as ledger:
        ledger.define_asset("CNY", 2, "currency", "bank", bank_account="6222-01")
        accounts = {"bank": ledger.account("bank", "CNY", "issue", may_go_negative=True)}
        for owner, amount in owners.items():
            accounts[owner] = ledger.account(owner, "CNY")
            if amount:
                ledger.transfer(accounts["bank"], accounts[owner], amount)
    return accounts
