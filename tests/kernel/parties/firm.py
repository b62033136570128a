"""A verified firm with people and keys, on a real executor and a hand-moved clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.operations import Actor, Executor, ManualClock, Refusal, Runtime, System
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.operations import RegisterOrganisation, RegisterPerson, SignIn, VerifyOrganisation
from entrepot.kernel.parties.resolve import Resolver
from entrepot.kernel.parties.role_operations import GrantRole
from entrepot.kernel.signing import Keyring
from entrepot.kernel.vault import Vault
from entrepot.systems import build_registry

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
TRADE = System("trade", ("Trade", "贸易"), "", roles={"trader": ("trade:do", "parties:appoint")})
ADMIN = Actor("test", "per_admin", "org_op", "person", frozenset({"parties:register", "parties:read"}))
SECURITY_SCOPES = frozenset({"parties:verify", "parties:grant", "parties:freeze", "parties:inspect"})
SECURITY = Actor("test", "per_sec", "org_op", "person", SECURITY_SCOPES)


class Firm:
    """A verified firm with one signed-up trader, and the pieces around."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock(NOW)
        registry = build_registry([TRADE])
        keyring = Keyring(b"k" * 32)
        self.runtime = Runtime(database, registry, self.clock, make_vault=lambda scope: Vault(scope, keyring))
        self.executor = Executor(self.runtime).start()
        self.resolver = Resolver(database, registry, self.clock)
        self.organisation = self.organise("91620100MA72BK00", ADMIN)
        self.person = self.sign_up("li.na")
        self.grant(self.person)

    def organise(self, stem: str, by: Actor) -> str:
        """Register and verify a firm."""
        body = f"{stem}9"[:17].ljust(17, "1")
        request = RegisterOrganisation(
            credit_code=body + credit_check(body), name="Firm", name_zh="公司", kind="trader"
        )
        identifier = self.executor.run(request, by, f"org-{stem}").id
        verify = VerifyOrganisation(organisation_id=identifier, decision="verified", evidence="licence seen")
        self.executor.run(verify, SECURITY, f"verify-{stem}")
        return identifier

    def sign_up(self, user_name: str) -> str:
        """Register a person with an account."""
        request = RegisterPerson(name="Li Na", user_name=user_name, password=PASSWORD)
        return self.executor.run(request, ADMIN, f"person-{user_name}").id

    def grant(self, person: str, role: str = "trader", **term: datetime) -> None:
        """Grant a role."""
        request = GrantRole(person_id=person, organisation_id=self.organisation, role=role, **term)
        self.executor.run(request, SECURITY, f"grant-{person}-{role}-{term}")

    def sign_in(self, password: str = PASSWORD, key: str = "", user_name: str = "li.na") -> str:
        """Sign in, as Li Na by default; the token."""
        request = SignIn(user_name=user_name, password=password)
        answer = self.executor.run(request, Actor.anonymous("test"), key or f"in-{self.clock.now_us()}")
        self.clock.move_to_us(self.clock.now_us() + 1)
        return answer.token


def code(run: Callable[[], Any]) -> str:
    """The code that a call is refused with."""
    with pytest.raises(Refusal) as refusal:
        run()
    return refusal.value.code
