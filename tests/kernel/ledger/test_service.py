"""The ledger service on real databases: accounts, refusals, statements, encumbrances, payouts."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.ledger import Claim, Code, Transfer, account_id, distribute, order, verify
from entrepot.kernel.ledger.books import Books
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, NotFound, Refusal
from tests.kernel.ledger.world import HOUR, World, with_money


class TestAssets:
    def test_are_defined_once_and_alike(self, database: Database):
        world = World(database)
        for _ in range(2):
            with world.open() as ledger:
                first = ledger.define_asset("PTS", 0, "points", "city", name="积分")
                assert ledger.define_asset("PTS", 0, "points", "city", name="积分") == first
                with pytest.raises(Conflict):
                    ledger.define_asset("PTS", 2, "points", "city", name="积分")
        with world.read() as ledger:
            assert ledger.assets() == [first]
            assert ledger.asset("PTS").details == {"name": "积分"}
            with pytest.raises(NotFound):
                ledger.asset("none")

    def test_a_currency_names_issuer_and_bank_account(self, database: Database):
        with World(database).open() as ledger:
            with pytest.raises(Invalid, match="bank account"):
                ledger.define_asset("CNY", 2, "currency", "bank")
            with pytest.raises(Invalid, match="issuer"):
                ledger.define_asset("CNY", 2, "currency", "", bank_account="1")
            with pytest.raises(Invalid, match="scale"):
                ledger.define_asset("CNY", 19, "currency", "bank", bank_account="1")


class TestAccounts:
    def test_the_id_is_the_hash_of_what_the_account_is(self, database: Database):
        """Golden: printf 't|firm|CNY|main' | sha256sum, the first 16 hexadecimal digits, shifted right by one."""
        world = World(database, "t")
        accounts = with_money(world, firm=0)
        assert accounts["firm"] == account_id("t", "firm", "CNY", "main") == 0x235D5C7ABB359D62
        assert account_id("t", "a|b", "c") != account_id("t", "a", "b|c")

    def test_only_the_issuer_goes_negative(self, database: Database):
        world = World(database)
        with_money(world)
        with world.open() as ledger:
            with pytest.raises(Forbidden):
                ledger.account("firm", "CNY", may_go_negative=True)
            with pytest.raises(NotFound):
                ledger.account("firm", "gold")
            for bad in ("", "a\nb", "x" * 201):
                with pytest.raises(Invalid):
                    ledger.account(bad, "CNY")

    def test_limits_of_an_existing_account_do_not_change_by_asking(self, database: Database):
        world = World(database)
        with_money(world)
        with world.open() as ledger:
            wallet = ledger.account("lin", "CNY", cap=100)
            assert ledger.account("lin", "CNY", cap=100) == wallet == ledger.account("lin", "CNY")
            with pytest.raises(Conflict):
                ledger.account("lin", "CNY", cap=200)
        with world.open() as ledger:
            with pytest.raises(Conflict):
                ledger.account("lin", "CNY", cap=200)
            with pytest.raises(Conflict):
                ledger.account("bank", "CNY", "issue", cap=200)
            ledger.set_cap(wallet, None)
            assert ledger.account_record(wallet).cap is None

    def test_open_on_first_use_also_without_a_transfer(self, database: Database):
        world = World(database)
        with_money(world)
        with world.open() as ledger:
            wallet = ledger.account("lin", "CNY")
        with world.read() as ledger:
            record = ledger.account_record(wallet)
            assert (record.owner, record.asset, record.purpose, record.posted) == ("lin", "CNY", "main", 0)
            assert record.opened == from_us(world.now_us)
            assert [r.owner for r in ledger.accounts(owner="lin")] == ["lin"]
            assert ledger.balance(ledger.account("nobody", "CNY")) == (0, 0, 0)
            with pytest.raises(NotFound):
                ledger.balance(5)
        assert verify(database, world.tenant) == []

    def test_tenants_do_not_see_each_other(self, database: Database):
        here, there = World(database, "here"), World(database, "there")
        mine, yours = with_money(here, firm=10), with_money(there, firm=10)
        with here.open() as ledger:
            with pytest.raises(NotFound):
                ledger.transfer(mine["firm"], yours["firm"], 1)
            with pytest.raises(NotFound):
                ledger.balance(yours["firm"])

    def test_redefined_and_used_in_one_operation(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=100)
        with world.open() as ledger:
            wallet = ledger.account("lin", "CNY", cap=50)
            ledger.transfer(accounts["firm"], wallet, 50)
            ledger.set_cap(wallet, 20)
            with pytest.raises(Refusal) as refused:
                ledger.transfer(accounts["firm"], wallet, 1)
            assert refused.value.code == "ledger/over-cap"
            ledger.freeze(wallet)
            ledger.set_cap(wallet, 60)
            ledger.transfer(accounts["firm"], wallet, 1)
            with pytest.raises(Refusal) as refused:
                ledger.transfer(wallet, accounts["firm"], 1)
            assert refused.value.code == "ledger/account-frozen"
        with world.read() as ledger:
            assert ledger.balance(wallet) == (51, 0, 51)
        assert verify(database, world.tenant) == []


class TestTransfers:
    def test_a_refusal_says_which_and_why(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=100, shop=0)
        with world.open() as ledger:
            transfers = [Transfer(accounts["firm"], accounts["shop"], amount) for amount in (40, 61)]
            with pytest.raises(Conflict) as refused:
                ledger.post(transfers)
            assert refused.value.code == "ledger/insufficient"
            assert refused.value.extras["transfer"] == 1
            assert "100 available, 61 needed" in refused.value.detail
            assert ledger.balance(accounts["firm"]).posted == 100
            assert [r.code for r in ledger.apply(transfers)] == [Code.OK, Code.INSUFFICIENT]
            with pytest.raises(Invalid):
                ledger.post([])
            with pytest.raises(Invalid):
                ledger.apply(transfers * 4001)
            with pytest.raises(Invalid):
                ledger.capture(5, 0)

    def test_8000_transfers_in_one_batch(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=10_000)
        with world.open() as ledger:
            shops = [ledger.account(f"shop-{n}", "CNY") for n in range(100)]
            ledger.post([Transfer(accounts["firm"], shops[n % 100], 1) for n in range(8000)])
        with world.read() as ledger:
            assert ledger.balance(accounts["firm"]).posted == 2000
            assert {ledger.balance(shop).posted for shop in shops} == {80}

    def test_a_hold_expires_by_the_clock_not_by_a_sweep(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=100, shop=0)
        firm, shop = accounts["firm"], accounts["shop"]
        with world.open() as ledger:
            soon = ledger.hold(firm, shop, 60, expires=from_us(world.now_us + HOUR))
            later = ledger.hold(firm, shop, 30, expires=from_us(world.now_us + 3 * HOUR))
        start = world.now_us
        world.now_us += 2 * HOUR
        with world.read() as ledger:
            assert ledger.balance(firm) == (100, 30, 70)
            assert ledger.hold_record(soon).status == "expired"
        with world.open() as ledger:
            with pytest.raises(Conflict) as refused:
                ledger.capture(soon)
            assert refused.value.code == "ledger/hold-expired"
            ledger.transfer(firm, shop, 70)
            ledger.release(later)
        with world.read() as ledger:
            past = [ledger.balance(firm, from_us(start + at)) for at in (-1, 0, HOUR - 1, HOUR, 2 * HOUR - 1, 2 * HOUR)]
            assert past == [(0, 0, 0), (100, 90, 10), (100, 90, 10), (100, 30, 70), (100, 30, 70), (30, 0, 30)]
        assert verify(database, world.tenant, world.now_us) == []

    def test_the_same_key_answers_the_same_and_does_nothing(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=100, shop=0)
        transfers = [
            Transfer(accounts["firm"], accounts["shop"], 60), Transfer(accounts["firm"], accounts["shop"], 60),
            Transfer(accounts["firm"], accounts["shop"], 5, "hold"),
        ]  # fmt: skip
        with world.open() as ledger:
            first = ledger.apply(transfers, key="k")
            assert ledger.apply(transfers, key="k") == first
        with world.open() as ledger:
            assert ledger.apply(transfers, key="k") == first
            with pytest.raises(Conflict):
                ledger.apply(transfers[:1], key="k")
            with pytest.raises(Conflict):
                ledger.post(transfers, key="k")
            assert ledger.balance(accounts["firm"]) == (40, 5, 35)


class TestStatement:
    def test_pages_carry_the_running_balance(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=1000, shop=0)
        firm, shop = accounts["firm"], accounts["shop"]
        start = world.now_us
        for n in range(10):
            world.now_us += HOUR
            with world.open() as ledger:
                ledger.post([Transfer(firm, shop, n + 1, reference=f"r{n}"), Transfer(shop, firm, 1)])
        with world.read() as ledger:
            whole = ledger.statement(firm)
            assert len(whole.lines) == 21
            assert (whole.opening, whole.closing) == (0, 1000 - 55 + 10)
            assert whole.after == ""
            pages, after = [], ""
            while True:
                page = ledger.statement(firm, after=after, limit=4)
                pages += page.lines
                after = page.after
                if not after:
                    break
            assert pages == whole.lines
            span = ledger.statement(firm, since=from_us(start + 2 * HOUR), until=from_us(start + 4 * HOUR))
            assert [line.amount for line in span.lines] == [-2, 1, -3, 1]
            assert (span.opening, span.closing) == (1000, 997)
            assert span.lines[0].counter == shop
            assert span.lines[0].reference == "r1"
            for line in whole.lines:
                assert line.at.utcoffset() == timedelta(0)
            for bad in ("x", "1:2", "1:b:x", "9" * 30 + ":b:1"):
                with pytest.raises(Invalid):
                    ledger.statement(firm, after=bad)
            with pytest.raises(Invalid):
                ledger.statement(firm, limit=0)

    def test_a_turnover_beyond_64_bits_is_summed(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=0)
        bank, firm, most = accounts["bank"], accounts["firm"], 2**63 - 1
        with world.open() as ledger:
            ledger.post([Transfer(bank, firm, most), Transfer(firm, bank, most), Transfer(bank, firm, most)])
        world.now_us += HOUR
        with world.read() as ledger:
            assert ledger.balance(firm, from_us(world.now_us - 1)) == (most, 0, most)
            assert ledger.statement(firm).closing == most
        assert verify(database, world.tenant) == []

    def test_shows_what_the_operation_has_just_done(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=10, shop=0)
        with world.open() as ledger:
            ledger.transfer(accounts["firm"], accounts["shop"], 4)
            assert [line.amount for line in ledger.statement(accounts["firm"]).lines] == [10, -4]
            ledger.transfer(accounts["firm"], accounts["shop"], 1)
        with world.read() as ledger:
            assert ledger.balance(accounts["firm"]).posted == 5


class TestEncumbrances:
    def test_nothing_is_pledged_twice(self, database: Database):
        world = World(database)
        with_money(world)
        with world.open() as ledger:
            ledger.define_asset("CU", 3, "goods", "yard")
            goods = ledger.account("firm", "CU")
            ledger.transfer(ledger.account("yard", "CU", "issue", may_go_negative=True), goods, 100)
            first = ledger.encumber(goods, "lender", 80, reference="contract 1")
            assert (first.owner, first.rank, first.origin) == ("firm", 30, goods)
            assert ledger.balance(first.account) == (80, 0, 80)
            with pytest.raises(Conflict):
                ledger.encumber(goods, "other", 21)
            second = ledger.encumber(goods, "other", 20)
            assert ledger.account_record(second.account).purpose == "pledged:other"
        world.now_us += HOUR
        with world.open() as ledger:
            assert ledger.release_encumbrance(first.id, 30).amount == 50
            buyer = ledger.account("buyer", "CU")
            assert ledger.release_encumbrance(first.id, to=buyer).closed is not None
            with pytest.raises(Conflict):
                ledger.release_encumbrance(first.id)
            with pytest.raises(Conflict):
                ledger.release_encumbrance(second.id, 21)
            with pytest.raises(NotFound):
                ledger.release_encumbrance("enc_none")
            assert (ledger.balance(goods).posted, ledger.balance(buyer).posted) == (30, 50)
            assert [claim.id for claim in ledger.encumbrances(owner="firm", asset="CU")] == [second.id]
            assert len(ledger.encumbrances(owner="firm", closed=True)) == 2
        assert verify(database, world.tenant) == []

    def test_claims_from_outside_are_recorded_with_their_rank(self, database: Database):
        world = World(database)
        with_money(world, firm=100)
        with world.open() as ledger:
            firm = ledger.account("firm", "CNY")
            early, late = from_us(world.now_us - HOUR), from_us(world.now_us)
            for creditor, kind, published in (
                ("d", "floating-charge", None), ("c", "prior-registration", late), ("b", "court-seizure", early),
                ("a", "purchase-money", late), ("z", "lien", None),
            ):  # fmt: skip
                ledger.encumber(firm, creditor, 500, kind, published=published)
            assert [claim.creditor for claim in ledger.encumbrances(account=firm)] == ["z", "a", "b", "c", "d"]
            assert ledger.balance(firm).posted == 100
            lien = ledger.encumbrances(creditor="z")[0]
            with pytest.raises(Invalid):
                ledger.release_encumbrance(lien.id, to=firm)
            for creditor, amount, kind in (("x", 1, "wish"), ("x", 0, "lien"), ("firm", 1, "pledge")):
                with pytest.raises(Invalid):
                    ledger.encumber(firm, creditor, amount, kind)

    @given(
        st.integers(0, 1000),
        st.lists(st.tuples(st.sampled_from([10, 30]), st.sampled_from([0, 5, 6]), st.integers(0, 300)), max_size=8),
    )
    def test_shares_keep_the_order_and_the_sum(self, amount: int, rows: list[tuple[int, int, int]]):
        claims = [Claim(f"c{n}", *row) for n, row in enumerate(rows)]
        shares = distribute(amount, claims)
        assert sum(shares.values()) == min(amount, sum(claim.amount for claim in claims))
        assert all(0 <= shares[claim.id] <= claim.amount for claim in claims)
        tiers = order(claims)
        for tier, following in pairwise(tiers):
            if any(shares[claim.id] for claim in following):
                assert all(shares[claim.id] == claim.amount for claim in tier)


class TestPayouts:
    def test_instructed_then_confirmed_failed_or_returned(self, database: Database):
        world = World(database)
        accounts = with_money(world, firm=100)
        firm, bank = accounts["firm"], accounts["bank"]
        with world.open() as ledger:
            paid, failed, returned = (ledger.instruct_payout(firm, bank, n, reference=f"p{n}") for n in (10, 20, 30))
            assert ledger.balance(firm) == (100, 60, 40)
            assert ledger.payout(paid).status == "instructed"
        with world.open() as ledger:
            assert ledger.confirm_payout(paid).status == "confirmed"
            assert ledger.fail_payout(failed).status == "failed"
            with pytest.raises(Conflict):
                ledger.return_payout(returned)
            ledger.confirm_payout(returned)
            assert ledger.balance(firm) == (60, 0, 60)
        with world.open() as ledger:
            assert ledger.return_payout(returned).status == "returned"
            with pytest.raises(Conflict):
                ledger.return_payout(returned)
            with pytest.raises(Conflict):
                ledger.confirm_payout(failed)
            with pytest.raises(NotFound):
                ledger.payout(1)
        with world.read() as ledger:
            assert ledger.balance(firm) == (90, 0, 90)
            assert ledger.payout(returned) == (returned, firm, bank, 30, "returned")
        assert verify(database, world.tenant) == []


def test_the_memory_of_accounts_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("entrepot.kernel.ledger.books.CACHED_ACCOUNTS", 3)
    world = World(database)
    accounts = with_money(world, **{f"p{n}": 10 for n in range(5)})
    with world.open() as ledger:
        ledger.transfer(accounts["p1"], accounts["p2"], 3)
        assert isinstance(ledger.books, Books)
        assert len(ledger.books.accounts) == 2
    with world.read() as ledger:
        assert ledger.balance(accounts["p2"]).posted == 13
