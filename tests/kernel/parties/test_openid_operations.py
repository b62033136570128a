"""Sessions that the issuer's word opens, and who is linked to which account there; on both databases."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from entrepot.kernel.database import Database, Scope
from entrepot.kernel.operations import Actor, Executor, ManualClock, Refusal, Runtime
from entrepot.kernel.parties import Parties
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.openid_operations import VOUCH, ListSubjects, SignInOpenId, UnlinkSubject
from entrepot.kernel.parties.operations import SignedIn, SignOut
from entrepot.kernel.parties.resolve import Resolver
from entrepot.kernel.parties.role_operations import LinkSubject, RevokeRole
from entrepot.kernel.parties.service import FOREVER, SESSION_US
from entrepot.systems import build_registry
from tests.kernel.parties.test_oidc import NOW

ISSUER, SUBJECT = "https://id.example", "248289"
CONSOLE = Actor.system("test", "console", frozenset({VOUCH}))
SECURITY = Actor("test", "per_sec", "org_op", "person", frozenset({"parties:grant"}))


class Town:
    """Two tenants, each with an organisation and a person of the same ids."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock(NOW)
        registry = build_registry([])
        self.database = database
        self.executor = Executor(Runtime(database, registry, self.clock)).start()
        self.resolver = Resolver(database, registry, self.clock)
        self._count = 0
        body = "91620100MA72BK001"
        for tenant in ("test", "elsewhere"):
            with database.unit() as uow:
                scope = Scope(uow, tenant, 0, Random(1), lambda prefix: f"{prefix}_1", "sec", lambda *_: None)
                parties = Parties(scope)
                parties.register_organisation(
                    body + credit_check(body), "Bank", "银行", "bank", organisation_id="org_1"
                )
                parties.decide_organisation("org_1", "verified", "seen")
                parties.register_person("c", "", person_id="per_1")
                parties.grant("per_1", "org_1", "audit_admin", 0, FOREVER)

    def key(self) -> str:
        self._count += 1
        return f"key-{self._count}"

    def link(self, tenant: str = "test", issuer: str = ISSUER, subject: str = SUBJECT) -> None:
        """By that tenant's security administrator."""
        request = LinkSubject(issuer=issuer, subject=subject, person_id="per_1", organisation_id="org_1")
        actor = Actor(tenant, "per_sec", "org_op", "person", frozenset({"parties:grant"}))
        self.executor.run(request, actor, self.key())

    def sign_in(self, actor: Actor = CONSOLE, subject: str = SUBJECT, key: str = "") -> SignedIn:
        """The console vouches."""
        return self.executor.run(SignInOpenId(issuer=ISSUER, subject=subject), actor, key or self.key())

    def events(self, operation: str) -> list[tuple[str, str, int, str]]:
        """Subject, actor, status and content of an operation's events."""
        with self.database.reader() as uow:
            sql = "SELECT subject, actor, status, data FROM events WHERE operation = %s ORDER BY status"
            return [(row[0], row[1], row[2], row[3]) for row in uow.read(sql, (operation,))]


@pytest.fixture
def town(database: Database) -> Iterator[Town]:
    found = Town(database)
    yield found
    found.executor.stop()


def code(run: Callable[[], object]) -> str:
    """The code that a call is refused with."""
    with pytest.raises(Refusal) as refusal:
        run()
    return refusal.value.code


def test_the_session_is_an_ordinary_one(town: Town):
    town.link()
    session = town.sign_in()
    actor = town.resolver.actor(session.token)
    assert (actor.id, actor.party, actor.kind) == ("per_1", "org_1", "person")
    assert "events:read" in actor.scopes
    assert VOUCH not in actor.scopes
    ((subject, by, status, data),) = town.events("parties.sign_in_openid")
    assert (subject, by, status) == ("per_1", "system:console", 200)
    assert session.token not in data
    town.executor.run(SignOut(), actor, "out")
    assert code(lambda: town.resolver.actor(session.token)) == "sign-in/revoked"


def test_it_ends_when_a_local_one_would(town: Town):
    town.link()
    session = town.sign_in()
    town.clock.move_to_us(town.clock.now_us() + SESSION_US)
    assert code(lambda: town.resolver.actor(session.token)) == "sign-in/expired"


def test_one_key_opens_one_session(town: Town):
    town.link()
    town.link(subject="another")
    assert town.sign_in(key="openid-1").token
    assert town.sign_in(key="openid-1").token == ""  # the stored answer, which has no secret
    assert code(lambda: town.sign_in(subject="another", key="openid-1")) == "idempotency/other-content"
    with town.database.reader() as uow:
        assert uow.read("SELECT count(*) FROM credentials") == [(1,)]


def test_only_a_system_with_the_permission_vouches(town: Town):
    town.link()
    person = Actor("test", "per_1", "org_1", "person", frozenset({VOUCH, "parties:self"}))
    assert code(lambda: town.sign_in(person)) == "permission/only-systems"
    assert code(lambda: town.sign_in(SECURITY)) == "permission/no-scope"
    assert code(lambda: town.sign_in(Actor.anonymous("test"))) == "sign-in/required"
    registry = town.executor.runtime.registry
    assert [role for role, scopes in registry.roles.items() if VOUCH in scopes] == []


def test_who_is_linked_in_another_tenant_is_nobody_here(town: Town):
    town.link("elsewhere")
    assert code(town.sign_in) == "sign-in/unknown-subject"
    there = Actor.system("elsewhere", "console", frozenset({VOUCH}))
    assert town.resolver.actor(town.sign_in(there).token).tenant == "elsewhere"


def test_the_same_subject_of_another_issuer_is_nobody_here(town: Town):
    town.link(issuer="https://other.example")
    assert code(town.sign_in) == "sign-in/unknown-subject"
    assert [event[2] for event in town.events("parties.sign_in_openid")] == [401]


def test_without_a_role_nobody_signs_in(town: Town):
    town.link()
    revoke = RevokeRole(person_id="per_1", organisation_id="org_1", role="audit_admin")
    town.executor.run(revoke, SECURITY, town.key())
    assert code(town.sign_in) == "sign-in/no-role"


def test_links_are_listed_and_end_with_the_sessions(town: Town):
    town.link()
    town.link(subject="another")
    town.link("elsewhere")
    listed = town.executor.run(ListSubjects(), SECURITY).subjects
    assert [(link.subject, link.person) for link in listed] == [(SUBJECT, "per_1"), ("another", "per_1")]
    assert len(town.executor.run(ListSubjects(person_id="per_1", limit=1), SECURITY).subjects) == 1
    assert town.executor.run(ListSubjects(person_id="per_2"), SECURITY).subjects == []
    token, there = town.sign_in().token, Actor.system("elsewhere", "console", frozenset({VOUCH}))
    other = town.sign_in(there).token
    town.resolver.actor(token)
    unlink = UnlinkSubject(issuer=f"{ISSUER}/", subject=SUBJECT)
    answer = town.executor.run(unlink, SECURITY, town.key())
    assert (answer.id, answer.sessions_ended) == ("per_1", 1)
    assert code(lambda: town.resolver.actor(token)) == "sign-in/revoked"
    assert code(town.sign_in) == "sign-in/unknown-subject"
    assert code(lambda: town.executor.run(unlink, SECURITY, town.key())) == "sign-in/unknown-subject"
    assert town.resolver.actor(other).tenant == "elsewhere"
    assert [(event[0], event[2]) for event in town.events("parties.unlink_subject")] == [("per_1", 200), ("", 404)]


def test_a_linked_account_passes_to_nobody_else_before_it_is_unlinked(town: Town):
    town.link()
    town.link()  # the same again
    with town.database.unit() as uow:
        scope = Scope(uow, "test", town.clock.now_us(), Random(1), lambda prefix: f"{prefix}_x", "x", lambda *_: None)
        Parties(scope).register_person("d", "", person_id="per_2")
    session = town.sign_in()
    to_another = LinkSubject(issuer=ISSUER, subject=SUBJECT, person_id="per_2", organisation_id="org_1")
    assert code(lambda: town.executor.run(to_another, SECURITY, "another")) == "sign-in/linked"
    assert town.resolver.actor(session.token).id == "per_1"
    town.executor.run(UnlinkSubject(issuer=ISSUER, subject=SUBJECT), SECURITY, "unlink")
    assert code(lambda: town.resolver.actor(session.token)) == "sign-in/revoked"
    town.executor.run(to_another, SECURITY, "another, later")


def test_only_the_security_administrator_links_and_unlinks(town: Town):
    town.link()
    outsider = Actor("test", "per_1", "org_1", "person", frozenset({"parties:self", "parties:read"}))
    assert code(lambda: town.executor.run(ListSubjects(), outsider)) == "permission/no-scope"
    unlink = UnlinkSubject(issuer=ISSUER, subject=SUBJECT)
    assert code(lambda: town.executor.run(unlink, outsider, town.key())) == "permission/no-scope"
    assert town.sign_in().person == "per_1"
