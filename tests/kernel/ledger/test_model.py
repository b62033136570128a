"""Any interleaving of posts, holds, captures, releases, expiries, groups, refusals, retries equals the small model."""

from contextlib import suppress
from itertools import count
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.ledger import Code, Ledger, Transfer, verify
from entrepot.kernel.ledger.layout import hold_id
from entrepot.kernel.ledger.states import Action
from entrepot.kernel.operations.errors import Refusal
from tests.kernel.ledger.model import Model
from tests.kernel.ledger.world import HOUR, World

_tenants = count(1)
ACTIONS = ("post", "hold", "capture", "release")
Spec = tuple[str, int, int, int, int, int]
AMOUNTS = st.one_of(st.integers(1, 60), st.sampled_from([0, -1, 10**18, 2**63 - 1, 2**63]))
SPECS = st.lists(
    st.tuples(
        st.sampled_from(["post", "post", "hold", "hold", "capture", "release", "return", "nonsense"]),
        st.integers(0, 5),  # debit, or which hold
        st.integers(0, 5),
        AMOUNTS,
        st.sampled_from([0, 0, 0, 1, 1, 2]),  # group
        st.sampled_from([0, 0, 0, -1, 1, 3]),  # expiry in hours from now
    ),
    min_size=1,
    max_size=7,
)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self.world = World(database, f"tenant-{next(_tenants)}")
        self.keys: list[tuple[str, list[Transfer], bool, list[Code]]] = []
        self.past: list[tuple[int, dict[int, tuple[int, int]]]] = []

    @initialize()
    def start(self) -> None:
        with self.world.open() as ledger:
            ledger.define_asset("CNY", 2, "currency", "bank", bank_account="1")
            ledger.define_asset("CU", 3, "goods", "yard")
            bank = ledger.account("bank", "CNY", "issue", may_go_negative=True)
            others = [ledger.account(owner, "CNY") for owner in ("a", "b")]
            capped = ledger.account("c", "CNY", cap=70)
            copper = ledger.account("a", "CU")
            for account in (bank, *others, capped, copper):
                ledger.balance(account)
        self.accounts = [bank, *others, capped, copper, 12345]
        self.model = Model(
            bank, {capped: 70}, {**dict.fromkeys((bank, *others, capped), "CNY"), copper: "CU", 12345: "none"},
            dict.fromkeys((bank, *others, capped, copper), 0),
        )  # fmt: skip

    def transfers(self, specs: list[Spec]) -> list[Transfer]:
        holds = list(self.model.holds)
        transfers = []
        for action, debit, credit, amount, group, expiry in specs:
            expires = self.world.now_us + expiry * HOUR if expiry else 0
            d, c = self.accounts[debit], self.accounts[credit]
            if action in ("capture", "release"):
                named = holds[(debit * 6 + credit) % len(holds)] if holds else 99
                amount = amount if debit % 2 else 0
                transfers.append(Transfer(0, 0, amount, cast(Action, action), group, named))
            elif action == "return":
                named = holds[(debit * 6 + credit) % len(holds)] if holds else 99
                hold = self.model.holds.get(named, [d, c, amount, 0, "open", 0])
                transfers.append(Transfer(hold[1], hold[0], hold[5] or amount, "post", group, named))
            else:
                transfers.append(
                    Transfer(d, c, amount, cast(Action, action), group, 0, expires if action == "hold" else 0)
                )
        return transfers

    def run(self, ledger: Ledger, transfers: list[Transfer], whole: bool, key: str = "") -> list[Code]:
        """Apply to the ledger and the model, and compare. The ledger's next batch id tells the hold ids."""
        number = int(self.world.new_id("x").split("_")[1]) + 1
        batch = f"bat_{number:08d}"
        known = [t if t.action in ACTIONS else t._replace(amount=0) for t in transfers]
        ids = [hold_id(self.world.tenant, batch, n) for n in range(len(transfers))]
        expected = self.model.batch(known, self.world.now_us, ids, whole)
        if whole:
            try:
                codes = [result.code for result in ledger.post(transfers, key=key)]
            except Refusal:
                codes = [Code.GROUP_FAILED] * len(transfers)
        else:
            codes = [result.code for result in ledger.apply(transfers, key=key)]
        assert [code is Code.OK for code in codes] == expected, (transfers, codes)
        return codes

    @rule(specs=SPECS, whole=st.booleans())
    def batch(self, specs: list[Spec], whole: bool) -> None:
        transfers = self.transfers(specs)
        with self.world.open() as ledger:
            self.run(ledger, transfers, whole)

    @rule(specs=SPECS)
    def with_key(self, specs: list[Spec]) -> None:
        transfers = self.transfers(specs)
        key = f"key-{len(self.keys)}"
        with self.world.open() as ledger:
            self.keys.append((key, transfers, False, self.run(ledger, transfers, False, key)))

    @rule(which=st.integers(0, 100))
    def retry(self, which: int) -> None:
        if self.keys:
            key, transfers, _, codes = self.keys[which % len(self.keys)]
            with self.world.open() as ledger:
                assert [result.code for result in ledger.apply(transfers, key=key)] == codes
                with pytest.raises(Refusal, match="other transfers"):
                    ledger.apply([*transfers, transfers[0]], key=key)

    @rule(first=SPECS, second=SPECS, third=SPECS, look=st.booleans())
    def several_in_one_unit(self, first: list[Spec], second: list[Spec], third: list[Spec], look: bool) -> None:
        """The second operation is refused and leaves nothing; `look` writes the rows in the middle."""
        with self.world.database.unit() as uow:
            uow.begin_operation()
            self.run(Ledger(self.world.scope(uow)), self.transfers(first), False)
            uow.end_operation()
            uow.begin_operation(savepoint=look)
            refused = Ledger(self.world.scope(uow))
            refused.apply(self.transfers(second))
            refused.account("z", "CNY")
            if look:
                refused.statement(self.accounts[1])
            uow.refuse_operation()
            uow.begin_operation()
            self.run(Ledger(self.world.scope(uow)), self.transfers(third), False)

    @rule(specs=SPECS)
    def failed_commit(self, specs: list[Spec]) -> None:
        with suppress(ZeroDivisionError), self.world.open() as ledger:
            ledger.apply(self.transfers(specs))
            raise ZeroDivisionError

    @rule(who=st.integers(0, 2), on=st.booleans())
    def freeze(self, who: int, on: bool) -> None:
        account = self.accounts[who]
        with self.world.open() as ledger:
            (ledger.freeze if on else ledger.unfreeze)(account)
        (self.model.frozen.add if on else self.model.frozen.discard)(account)

    @rule(hours=st.integers(1, 2))
    def time_passes(self, hours: int) -> None:
        if hasattr(self, "model"):
            self.past.append((self.world.now_us, self.expected()))
        self.world.now_us += hours * HOUR

    def expected(self) -> dict[int, tuple[int, int]]:
        return {a: (p, self.model.held(a, self.world.now_us)) for a, p in self.model.posted.items()}

    @invariant()
    def same_balances(self) -> None:
        if not hasattr(self, "model"):
            return
        expected = self.expected()
        with self.world.read() as ledger:
            found = {account: ledger.balance(account)[:2] for account in expected}
            assert found == expected
            assert sum(posted for posted, _ in found.values()) == 0
            for account, (posted, held) in found.items():
                assert account == self.model.issuer or posted >= held
            for account in expected:
                assert ledger.statement(account, limit=1000).closing == expected[account][0]

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        assert verify(self.world.database, self.world.tenant, self.world.now_us) == []
        with self.world.read() as ledger:
            for at_us, balances in self.past[-5:]:
                for account, (posted, held) in balances.items():
                    assert ledger.balance(account, from_us(at_us))[:2] == (posted, held)


def test_any_interleaving_equals_the_model(database: Database):
    examples = 40 if database.dialect == "sqlite" else 15

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(database)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
