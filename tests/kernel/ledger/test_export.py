"""The journals are accepted by hledger and Beancount, and their balances are ours."""

import csv
import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from beancount import loader
from beancount.core import realization
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.database import Database
from entrepot.kernel.ledger import Transfer, export_journal
from entrepot.kernel.ledger.export import _account_names, commodity_names
from entrepot.kernel.operations.errors import Invalid
from tests.kernel.ledger.test_verify import lived_in
from tests.kernel.ledger.world import HOUR, World, with_money

HLEDGER = "/usr/bin/hledger"
Balances = dict[str, dict[str, Decimal]]


def awkward(database: Database) -> World:
    """A ledger with names that neither program would take as they are, great amounts and every kind of transfer."""
    world = lived_in(database)
    with world.open() as ledger:
        for code, scale in (("铜 lot 7", 3), ("铜 lot 8", 0), ("usd", 2), ('7UP;x|"\\', 18), ("A" * 60, 1)):
            ledger.define_asset(code, scale, "goods", '签发人 ; | "x"')
            issue = ledger.account('签发人 ; | "x"', code, "issue", may_go_negative=True)
            for owner in ("兰州金属", "Firm", "firm", "fir_m", "fir-m", "f" * 200, "a:b  c", "(x) * !", "-", "é"):
                account = ledger.account(owner, code, "质押:银行")
                ledger.transfer(issue, account, 9_000_000_000_000_007, reference='说明; "quoted" \\ | date:2020-01-01')
            ledger.transfer(issue, account, 10**18)
    world.now_us += 30 * HOUR
    with world.open() as ledger:
        firm, shop = ledger.account("firm", "CNY"), ledger.account("shop", "CNY")
        ledger.post([Transfer(firm, shop, 1), Transfer(firm, shop, 2, "hold")], reference="")
    return world


def stored(world: World) -> Balances:
    """Our balances under the names of the journal."""
    balances: Balances = {}
    with world.read() as ledger:
        assets = {asset.code: asset for asset in ledger.assets()}
        commodities = commodity_names(assets)
        for name in _account_names(ledger.scope.uow, world.tenant, assets, commodities).values():
            if name.posted:
                balances[name.name] = {commodities[name.asset.code]: Decimal(name.posted).scaleb(-name.asset.scale)}
    return balances


def write(database: Database, world: World, form: str, file: Path) -> Path:
    file.write_text("\n".join(export_journal(database, world.tenant, form)) + "\n")
    return file


def test_hledger_accepts_and_agrees(database: Database, tmp_path: Path):
    world = awkward(database)
    journal = write(database, world, "hledger", tmp_path / "all.journal")
    environment = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    for arguments in (["check"], ["check", "--strict"], ["check", "ordereddates"]):
        done = subprocess.run(
            [HLEDGER, "-f", str(journal), *arguments], capture_output=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
    command = [HLEDGER, "-f", str(journal), "balance", "--flat", "-O", "csv", "--layout", "bare"]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    found: Balances = {}
    for account, commodity, amount in list(csv.reader(done.stdout.decode().splitlines()))[1:]:
        if account != "total" and Decimal(amount):
            found.setdefault(account, {})[commodity] = Decimal(amount)
    assert found == stored(world)


def test_beancount_accepts_and_agrees(database: Database, tmp_path: Path):
    world = awkward(database)
    entries, errors, _ = loader.load_file(str(write(database, world, "beancount", tmp_path / "all.beancount")))
    assert errors == []
    found: Balances = {}
    for account in realization.iter_children(realization.realize(entries)):
        for position in account.balance:
            found.setdefault(account.account, {})[position.units.currency] = position.units.number
    assert found == stored(world)


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_a_wrong_balance_is_refused_by_the_programs(database: Database, tmp_path: Path, form: str):
    """The assertions at the end bite: a stored balance that the transfers do not give fails."""
    world = World(database)
    with_money(world, firm=1000)
    with database.unit() as uow:
        uow.execute("UPDATE ledger_accounts SET posted = 1001 WHERE owner = 'firm'")
    journal = write(database, world, form, tmp_path / "wrong")
    if form == "hledger":
        done = subprocess.run([HLEDGER, "-f", str(journal), "check"], capture_output=True, check=False)
        assert done.returncode != 0
        assert b"10.01" in done.stderr
    else:
        _, errors, _ = loader.load_file(str(journal))
        assert [type(error).__name__ for error in errors] == ["BalanceError"]


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_an_empty_ledger_is_a_journal_too(database: Database, tmp_path: Path, form: str):
    journal = write(database, World(database), form, tmp_path / "empty")
    if form == "hledger":
        subprocess.run([HLEDGER, "-f", str(journal), "check"], check=True)
    else:
        assert loader.load_file(str(journal))[1] == []


def test_another_form_is_refused(database: Database):
    with World(database).read() as ledger, pytest.raises(Invalid, match="hledger, beancount"):
        ledger.export("xls")


@given(st.lists(st.text(min_size=1, max_size=40), unique=True, max_size=20))
def test_commodity_names_are_distinct_and_in_the_grammar(codes: list[str]):
    names = commodity_names(codes)
    assert len(set(names.values())) == len(codes)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]", name) for name in names.values())
