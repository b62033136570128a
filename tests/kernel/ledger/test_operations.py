"""The ledger's operations through the executor: who sees what, and who posts."""

from datetime import UTC, datetime

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.ledger import Ledger, verify
from entrepot.kernel.ledger.manifest import manifest
from entrepot.kernel.ledger.operations import GetBalance, GetStatement, ListAccounts, PostTransfers, TransferWish
from entrepot.kernel.operations import Actor, Conflict, Executor, Forbidden, ManualClock, NotFound, Registry, Runtime
from tests.kernel.ledger.world import World, with_money

TENANT = "lanzhou"
SELF = frozenset({"parties:self"})
OPERATOR = Actor(TENANT, "op", "operator", "person", frozenset({"parties:self", "ledger:post", "ledger:read_all"}))


def person(party: str) -> Actor:
    return Actor(TENANT, f"per-{party}", party, "person", SELF)


@pytest.fixture
def accounts(database: Database) -> dict[str, int]:
    world = World(database, TENANT)
    accounts = with_money(world, firm=1000, shop=0)
    with world.open() as ledger:
        accounts["pledged"] = ledger.encumber(accounts["firm"], "lender", 300).account
    return accounts


@pytest.fixture
def executor(database: Database, accounts: dict[str, int]):
    clock = ManualClock(datetime(2008, 7, 2, tzinfo=UTC))
    with Executor(Runtime(database, Registry([manifest]), clock), seed=1) as executor:
        yield executor


def test_a_party_sees_its_own_accounts(executor: Executor, accounts: dict[str, int]):
    mine = executor.run(ListAccounts(), person("firm"))
    assert {(a.purpose, a.available) for a in mine.accounts} == {("main", 700), ("pledged:lender", 300)}
    assert mine == executor.run(ListAccounts(owner="firm"), person("firm"))
    assert executor.run(ListAccounts(), person("")).accounts == []
    with pytest.raises(Forbidden):
        executor.run(ListAccounts(owner="firm"), person("shop"))
    first = executor.run(ListAccounts(limit=2), OPERATOR)
    rest = executor.run(ListAccounts(after=first.after), OPERATOR)
    assert {a.owner for a in [*first.accounts, *rest.accounts]} == {"bank", "firm", "shop"}


def test_balance_and_statement_are_for_owner_creditor_and_supervisor(executor: Executor, accounts: dict[str, int]):
    pledged = str(accounts["pledged"])
    for actor in (person("firm"), person("lender"), OPERATOR):
        balance = executor.run(GetBalance(account=pledged), actor)
        assert (balance.posted, balance.scale, balance.asset) == (300, 2, "CNY")
        assert executor.run(GetStatement(account=pledged), actor).closing == 300
    for stranger in (person("shop"), person("")):
        with pytest.raises(Forbidden):
            executor.run(GetBalance(account=pledged), stranger)
        with pytest.raises(Forbidden):
            executor.run(GetStatement(account=pledged), stranger)
    with pytest.raises(Forbidden):
        executor.run(GetBalance(account="9" * 19), person("firm"))
    with pytest.raises(NotFound):
        executor.run(GetBalance(account="9" * 19), OPERATOR)
    before = executor.run(GetBalance(account=pledged, at=datetime(2000, 1, 1, tzinfo=UTC)), OPERATOR)
    assert before.posted == 0


def test_only_an_operator_posts(executor: Executor, accounts: dict[str, int], database: Database):
    firm, shop = str(accounts["firm"]), str(accounts["shop"])
    wishes = [TransferWish(debit=firm, credit=shop, amount=500), TransferWish(debit=firm, credit=shop, amount=201)]
    with pytest.raises(Forbidden):
        executor.run(PostTransfers(transfers=wishes, reference="x"), person("firm"), key="1")
    with pytest.raises(Conflict):
        executor.run(PostTransfers(transfers=wishes, reference="x"), OPERATOR, key="2")
    some = PostTransfers(transfers=wishes, reference="x", all_or_nothing=False)
    for _ in range(2):  # the second time the key answers
        assert executor.run(some, OPERATOR, key="3").results == ["ok", "insufficient"]
    held = executor.run(
        PostTransfers(transfers=[TransferWish(debit=firm, credit=shop, amount=200, action="hold")], reference="x"),
        OPERATOR, key="4",
    )  # fmt: skip
    executor.run(
        PostTransfers(transfers=[TransferWish(action="capture", hold=held.holds[0], amount=150)], reference="x"),
        OPERATOR, key="5",
    )  # fmt: skip
    assert executor.run(GetBalance(account=firm), person("firm")).posted == 50
    assert executor.run(GetBalance(account=shop), person("shop")).posted == 650
    assert verify(database, TENANT) == []


def test_many_commands_at_once_share_commits(executor: Executor, accounts: dict[str, int], database: Database):
    """200 commands over the same two accounts, of which 140 find enough: grouped on both databases, none lost."""
    firm, shop = str(accounts["firm"]), str(accounts["shop"])
    request = PostTransfers(transfers=[TransferWish(debit=firm, credit=shop, amount=5)], reference="x")
    futures = [executor.submit(request, OPERATOR, key=str(n)) for n in range(200)]
    statuses = [future.result().status for future in futures]
    assert statuses.count(200) == 140
    assert set(statuses) == {200, 409}
    with database.reader() as uow:
        assert Ledger(World(database, TENANT).scope(uow)).balance(accounts["firm"]).posted == 0
    assert verify(database, TENANT) == []
