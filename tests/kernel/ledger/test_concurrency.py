"""Several processes on one PostgreSQL: hot accounts, the same new accounts, the same holds; no deadlock, sums right."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from random import Random
from typing import Any

import pytest
from psycopg import errors

from entrepot.kernel.database import Database, RetryAlone, open_database
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.ledger import Code, Ledger, Transfer, verify
from entrepot.kernel.operations.errors import Conflict
from tests.kernel.ledger.world import World, with_money
from tests.support.postgres import Databases

PROCESSES = 4
UNITS = 60
ATTEMPTS = 200


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    url = postgres.create()
    database = open_database(url, durable=False)
    database.create_all()
    database.close()
    yield url
    postgres.drop(url)


def in_processes(work: Any, url: str, *arguments: Any) -> list[Any]:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        return [f.result() for f in [pool.submit(work, url, number, *arguments) for number in range(PROCESSES)]]


def attempt(world: World, work: Any) -> Any:
    """Run `work(ledger)` until it commits. A deadlock is an error of the test, not a reason to try again."""
    for _ in range(ATTEMPTS):
        with suppress(RetryAlone):
            with world.open() as ledger:
                return work(ledger)  # unless the commit says otherwise
    raise AssertionError("others always won")


def trade(url: str, number: int, accounts: dict[str, int]) -> dict[int, int]:
    """Post random batches over a few hot accounts and fresh ones; the net change of each account that took place."""
    database = open_database(url, durable=False)
    world = World(database, prefix=f"{number}-")
    random = Random(number)
    hot = list(accounts.values())
    net: Counter[int] = Counter()
    for unit in range(UNITS):

        def work(ledger: Ledger, unit: int = unit) -> list[Transfer]:
            fresh = ledger.account(f"fresh-{unit // 2}", "CNY")
            done: list[Transfer] = []
            for _ in range(random.choice([1, 1, 2])):
                transfers = []
                for place in range(random.randint(1, 12)):
                    debit, credit = random.sample([*hot, fresh], 2)
                    transfers.append(Transfer(debit, credit, random.randint(1, 40), group=place // 3))
                results = ledger.apply(transfers)
                done += [t for t, result in zip(transfers, results, strict=True) if result.code is Code.OK]
                ledger.scope.uow.fetch("SELECT COUNT(*) FROM ledger_transfers")  # a flush in the middle takes no locks
            return done

        for transfer in attempt(world, work):
            net[transfer.debit] -= transfer.amount
            net[transfer.credit] += transfer.amount
    database.close()
    return dict(net)


def test_hot_accounts(url: str):
    database = open_database(url, durable=False)
    world = World(database)
    accounts = with_money(world, **{f"hot-{n}": 100 for n in range(5)})
    expected: Counter[int] = Counter(dict.fromkeys(accounts.values(), 100))
    expected[accounts["bank"]] = -500
    outcomes = in_processes(trade, url, accounts)
    for net in outcomes:
        for account, change in net.items():
            expected[account] += change
    with world.read() as ledger:
        balances = {record.id: record.posted for record in ledger.accounts()}
        assert balances == {**dict.fromkeys(balances, 0), **expected}
        assert sum(balances.values()) == 0
        assert all(posted >= 0 for account, posted in balances.items() if account != accounts["bank"])
    assert verify(database, world.tenant) == []
    database.close()


def end_holds(url: str, number: int, holds: list[int]) -> list[int]:
    """Capture or release every hold; those that this process ended."""
    database = open_database(url, durable=False)
    world = World(database, prefix=f"{number}-")
    random = Random(number)
    won: list[int] = []
    for hold in random.sample(holds, len(holds)):

        def work(ledger: Ledger, hold: int = hold) -> bool:
            try:
                (ledger.capture if hold % 2 else ledger.release)(hold)
            except Conflict:
                return False
            return True

        if attempt(world, work):
            won.append(hold)
    database.close()
    return won


def test_every_hold_ends_once(url: str):
    database = open_database(url, durable=False)
    world = World(database)
    accounts = with_money(world, firm=1000, shop=0)
    with world.open() as ledger:
        holds = [ledger.hold(accounts["firm"], accounts["shop"], 10) for _ in range(60)]
    outcomes = in_processes(end_holds, url, holds)
    won = [hold for mine in outcomes for hold in mine]
    assert sorted(won) == sorted(holds)
    captured = sum(10 for hold in holds if hold % 2)
    with world.read() as ledger:
        assert ledger.balance(accounts["firm"]) == (1000 - captured, 0, 1000 - captured)
        assert ledger.balance(accounts["shop"]).posted == captured
    assert verify(database, world.tenant) == []
    database.close()


def two_units(database: Database) -> tuple[World, dict[str, int], World]:
    return (world := World(database)), with_money(world, firm=100, shop=0), World(database, prefix="other-")


class TestEscrow:
    """What happens between the judgement in memory and the commit, one interleaving at a time."""

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        database = open_database(url, durable=False)
        yield database
        database.close()

    def test_changes_of_others_are_kept(self, database: Database):
        world, accounts, other = two_units(database)
        with world.open() as ledger:
            ledger.transfer(accounts["firm"], accounts["shop"], 30)
            with other.open() as second:
                second.transfer(accounts["firm"], accounts["shop"], 50)
        with world.read() as ledger:
            assert ledger.balance(accounts["firm"]).posted == 20
            assert ledger.balance(accounts["shop"]).posted == 80

    @pytest.mark.parametrize("rival", ["spend", "hold", "freeze", "cap"])
    def test_a_limit_that_no_longer_holds_is_judged_again_alone(self, database: Database, rival: str):
        world, accounts, other = two_units(database)
        firm, shop = accounts["firm"], accounts["shop"]

        def clash() -> None:
            with world.open() as ledger:
                ledger.transfer(firm, shop, 60)
                with other.open() as second:
                    if rival == "spend":
                        second.transfer(firm, shop, 50)
                    elif rival == "hold":
                        second.hold(firm, shop, 50)
                    elif rival == "freeze":
                        second.freeze(firm)
                    else:
                        second.set_cap(shop, 10)

        with pytest.raises(RetryAlone):
            clash()
        with pytest.raises(Conflict), world.open() as ledger:
            ledger.transfer(firm, shop, 60)
        assert verify(database, world.tenant) == []

    def test_the_way_down_counts_not_only_the_end(self, database: Database):
        """Spending before receiving is judged as such, though the sum of both would be allowed."""
        world, accounts, other = two_units(database)
        firm, shop = accounts["firm"], accounts["shop"]

        def clash() -> None:
            with world.open() as ledger:
                ledger.transfer(firm, shop, 90)
                ledger.transfer(shop, firm, 90)
                with other.open() as second:
                    second.transfer(firm, accounts["bank"], 50)

        with pytest.raises(RetryAlone):
            clash()

    def test_an_expiry_noticed_by_two(self, database: Database):
        world, accounts, other = two_units(database)
        firm, shop = accounts["firm"], accounts["shop"]
        with world.open() as ledger:
            ledger.hold(firm, shop, 90, expires=from_us(world.now_us + 10))
        world.now_us += 20
        other.now_us += 20

        def clash() -> None:
            with world.open() as ledger:
                ledger.transfer(firm, shop, 60)
                with other.open() as second:
                    second.transfer(firm, shop, 30)

        with pytest.raises(RetryAlone):
            clash()
        with world.open() as ledger:
            ledger.transfer(firm, shop, 60)
        with world.read() as ledger:
            assert ledger.balance(firm) == (10, 0, 10)
        assert verify(database, world.tenant, world.now_us) == []

    def test_an_account_opened_by_two(self, database: Database):
        world, accounts, other = two_units(database)
        with world.open() as ledger:
            ledger.transfer(accounts["firm"], ledger.account("new", "CNY"), 60)
            other.now_us += 5
            with other.open() as second:
                second.transfer(accounts["firm"], second.account("new", "CNY"), 30)
        with world.read() as ledger:
            assert ledger.balance(ledger.account("new", "CNY")).posted == 90
        assert verify(database, world.tenant) == []

    def test_an_account_opened_by_two_with_other_limits(self, database: Database):
        world, _, other = two_units(database)

        def clash() -> None:
            with world.open() as ledger:
                ledger.account("new", "CNY", cap=5)
                with other.open() as second:
                    second.account("new", "CNY")

        with pytest.raises(RetryAlone):
            clash()

    def test_no_lock_is_held_before_the_commit(self, database: Database):
        world, accounts, _ = two_units(database)
        with world.open() as ledger:
            ledger.transfer(accounts["firm"], accounts["shop"], 1)
            ledger.scope.uow.fetch("SELECT 1")
            with database.unit() as uow:
                try:
                    uow.read("SELECT id FROM ledger_accounts FOR UPDATE NOWAIT")
                except errors.LockNotAvailable:
                    pytest.fail("an account is locked though its unit goes on")

    def test_nobody_is_refused_by_what_the_process_last_knew(self, url: str):
        """Two processes, here two `Database` objects with a memory of their own: the first does not see the second."""
        first, second = open_database(url, durable=False), open_database(url, durable=False)
        here, there = World(first), World(second, prefix="there-")
        accounts = with_money(here, firm=100, shop=0)
        firm, shop, bank = accounts["firm"], accounts["shop"], accounts["bank"]
        with there.open() as ledger:
            ledger.transfer(bank, firm, 900)
        with here.open() as ledger:
            assert [r.code for r in ledger.apply([Transfer(firm, shop, 60), Transfer(firm, shop, 500)])] == [
                Code.OK
            ] * 2
        with there.open() as ledger:
            ledger.transfer(firm, bank, 400)
        with here.open() as ledger:
            ledger.transfer(shop, firm, 1)  # on a hint, then the account is shown: read, with the change on top
            assert ledger.balance(firm).posted == 41
            assert ledger.balance(shop).posted == 559
        with there.open() as ledger:
            ledger.transfer(firm, bank, 40)

        def spend_twice() -> None:
            with here.open() as ledger:
                ledger.transfer(firm, shop, 1)
                ledger.transfer(firm, shop, 1)

        with pytest.raises(RetryAlone):  # a hint may let through; the commit does not
            spend_twice()
        with pytest.raises(Conflict):
            spend_twice()
        with there.open() as ledger:
            ledger.transfer(bank, firm, 2)
            ledger.hold(firm, shop, 1, expires=from_us(there.now_us + 5))
            ledger.freeze(shop)
        here.now_us += 6

        def clash() -> None:
            with here.open() as ledger:
                ledger.post([Transfer(bank, shop, 5), Transfer(shop, bank, 1)])

        with pytest.raises(RetryAlone):
            clash()
        with pytest.raises(Conflict):
            clash()
        with here.open() as ledger:
            ledger.transfer(firm, bank, 2)
        assert verify(first, here.tenant, here.now_us) == []
        for database in (first, second):
            database.close()
