"""Sign-in, keys, roles and relations, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random

import pytest

from entrepot.kernel.database import Database, Scope, open_database
from entrepot.kernel.operations import Actor, Conflict, Forbidden, Invalid, Refusal, TooMany, Unauthorised
from entrepot.kernel.parties import Parties, Relations
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.key_operations import CreateKey, RevokeKey
from entrepot.kernel.parties.operations import RegisterOrganisation, SignIn, SignOut, VerifyOrganisation, WhoAmI
from entrepot.kernel.parties.resolve import Resolver
from entrepot.kernel.parties.role_operations import AppointAgent, GrantRole, RevokeRole
from entrepot.kernel.parties.service import DAY_US
from tests.kernel.parties.firm import ADMIN, NOW, PASSWORD, SECURITY, Firm, code


def test_a_session_acts_with_the_scopes_of_its_roles_and_ends_at_once(firm: Firm):
    token = firm.sign_in()
    actor = firm.resolver.actor(token)
    assert (actor.id, actor.party, actor.tenant) == (firm.person, firm.organisation, "test")
    assert "trade:do" in actor.scopes
    assert firm.executor.run(WhoAmI(), actor).roles == ["trader"]
    firm.executor.run(SignOut(), actor, "out")
    assert code(lambda: firm.resolver.actor(token)) == "sign-in/revoked"


def test_sessions_and_roles_end_by_the_clock(firm: Firm):
    token = firm.sign_in()
    firm.resolver.actor(token)
    firm.clock.move_to(NOW + timedelta(hours=13))
    assert code(lambda: firm.resolver.actor(token)) == "sign-in/expired"


def test_a_revoked_role_is_gone_with_the_next_request(firm: Firm):
    token = firm.sign_in()
    assert "trade:do" in firm.resolver.actor(token).scopes
    request = RevokeRole(person_id=firm.person, organisation_id=firm.organisation, role="trader")
    firm.executor.run(request, SECURITY, "revoke")
    assert "trade:do" not in firm.resolver.actor(token).scopes


def test_a_role_with_a_term_begins_and_ends_with_it(firm: Firm):
    other = firm.sign_up("wang.wei")
    begin, end = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    firm.grant(other, valid_from=begin, valid_until=end)
    with firm.runtime.database.unit() as uow:
        scope = Scope(uow, "test", firm.clock.now_us(), Random(1), lambda prefix: f"{prefix}_1", "x", lambda *_: None)
        _, token = Parties(scope).issue("session", other, firm.organisation, (), firm.clock.now_us() + DAY_US)
    assert "trade:do" not in firm.resolver.actor(token).scopes
    firm.clock.move_to(begin)
    assert "trade:do" in firm.resolver.actor(token).scopes
    firm.clock.move_to(end)
    assert "trade:do" not in firm.resolver.actor(token).scopes


def test_five_wrong_passwords_close_the_account_for_a_quarter_of_an_hour(firm: Firm):
    for number in range(5):
        assert code(partial(firm.sign_in, "wrong password", f"bad-{number}")) == "sign-in/wrong"
        firm.clock.move_to_us(firm.clock.now_us() + 1)
    with pytest.raises(TooMany):
        firm.sign_in()
    firm.clock.move_to(NOW + timedelta(minutes=16))
    assert firm.resolver.actor(firm.sign_in())


def test_an_unknown_user_is_refused_like_a_wrong_password(firm: Firm):
    request = SignIn(user_name="nobody", password=PASSWORD)
    with pytest.raises(Unauthorised) as refusal:
        firm.executor.run(request, Actor.anonymous("test"), "nobody")
    assert refusal.value.code == "sign-in/wrong"


def test_a_key_has_no_more_than_its_holder_and_is_shown_once(firm: Firm):
    actor = firm.resolver.actor(firm.sign_in())
    assert code(lambda: firm.executor.run(CreateKey(scopes=["parties:grant"]), actor, "k0")) == "key/scopes"
    made = firm.executor.run(CreateKey(scopes=["trade:do"], days=1), actor, "k1")
    assert made.token.startswith("ek_")
    assert firm.executor.run(CreateKey(scopes=["trade:do"], days=1), actor, "k1").token == "", "shown once"
    assert firm.resolver.actor(made.token).scopes == {"trade:do"}
    firm.clock.move_to(NOW + timedelta(days=2))
    assert code(lambda: firm.resolver.actor(made.token)) == "sign-in/expired"


def test_only_the_holder_revokes_a_key(firm: Firm):
    actor = firm.resolver.actor(firm.sign_in())
    made = firm.executor.run(CreateKey(scopes=["trade:do"]), actor, "k2")
    other = replace(actor, id="per_other")
    assert code(lambda: firm.executor.run(RevokeKey(credential_id=made.id), other, "r1")) == "credential/unknown"
    firm.executor.run(RevokeKey(credential_id=made.id), actor, "r2")
    assert code(lambda: firm.resolver.actor(made.token)) == "sign-in/revoked"


def test_passwords_and_names_are_in_no_event_and_no_stored_answer(firm: Firm):
    token = firm.sign_in()
    with firm.runtime.database.reader() as uow:
        texts = [row[0] for row in uow.read("SELECT data FROM events")]
        texts += [row[0] for row in uow.read("SELECT answer FROM answered")]
    joined = "\n".join(texts)
    for hidden in (PASSWORD, "Li Na", token):
        assert hidden not in joined


def test_an_organisation_is_verified_by_another_and_before_anyone_acts_for_it(firm: Firm):
    body = "91620100MA72TR777"
    both = replace(ADMIN, scopes=ADMIN.scopes | SECURITY.scopes)
    request = RegisterOrganisation(credit_code=body + credit_check(body), name="New", name_zh="新", kind="trader")
    identifier = firm.executor.run(request, both, "new").id
    verify = VerifyOrganisation(organisation_id=identifier, decision="verified", evidence="seen")
    assert code(lambda: firm.executor.run(verify, both, "own")) == "permission/own-approval"
    grant = GrantRole(person_id=firm.person, organisation_id=identifier, role="trader")
    with pytest.raises(Conflict):
        firm.executor.run(grant, SECURITY, "early")
    with pytest.raises(Conflict):
        firm.executor.run(request, ADMIN, "twice")


def test_the_three_administrators_never_meet_in_one_person(firm: Firm):
    firm.grant(firm.person, "system_admin")
    with pytest.raises(Conflict) as refusal:
        firm.grant(firm.person, "audit_admin")
    assert refusal.value.code == "role/administrators-apart"


def test_an_agent_gets_only_what_the_appointing_person_holds_and_never_oneself(firm: Firm):
    actor = firm.resolver.actor(firm.sign_in())
    agent = firm.sign_up("zhou.min")
    until = NOW + timedelta(days=10)
    appoint = AppointAgent(organisation_id=firm.organisation, person_id=agent, role="trader", valid_until=until)
    firm.executor.run(appoint, actor, "agent")
    for wrong in (
        AppointAgent(organisation_id=firm.organisation, person_id=agent, role="system_admin", valid_until=until),
        AppointAgent(organisation_id=firm.organisation, person_id=actor.id, role="trader", valid_until=until),
        AppointAgent(organisation_id="org_other", person_id=agent, role="trader", valid_until=until),
    ):
        with pytest.raises(Forbidden):
            firm.executor.run(wrong, actor, f"wrong-{wrong}")
    past = AppointAgent(
        organisation_id=firm.organisation, person_id=agent, role="trader", valid_until=NOW - timedelta(days=1)
    )
    with pytest.raises(Invalid):
        firm.executor.run(past, actor, "past")


def test_a_revocation_by_another_worker_works_at_once(database: Database):
    if database.dialect == "sqlite":
        pytest.skip("one process owns a SQLite file")
    firm = Firm(database)
    other = open_database(database.url, durable=False)
    token = firm.sign_in()
    elsewhere = Resolver(other, firm.runtime.registry, firm.clock)

    async def ask() -> list[str]:
        found = await asyncio.gather(*(elsewhere.resolve(token) for _ in range(20)), return_exceptions=True)
        return sorted({each.code if isinstance(each, Refusal) else each.id for each in found})  # type: ignore[union-attr]

    assert elsewhere.actor(token).id == firm.person
    for _ in range(2):
        assert asyncio.run(ask()) == [firm.person]
    firm.executor.run(SignOut(), firm.resolver.actor(token), "out")
    assert asyncio.run(ask()) == ["sign-in/revoked"], "also where it is remembered"
    assert code(lambda: elsewhere.actor(token)) == "sign-in/revoked"
    firm.executor.stop()
    other.close()


def test_relations_begin_end_and_are_found_from_both_sides(database: Database):
    with database.unit() as uow:
        scope = Scope(uow, "test", 1, Random(1), lambda prefix: prefix, "x", lambda *_: None)
        relations = Relations(scope)
        relations.add("rcp_1", "owner", "org_1")
        relations.add("rcp_2", "creditor", "org_1")
        relations.add("fac_1", "owner", "org_1")
        assert relations.objects("org_1", ("owner", "creditor"), prefix="rcp_") == ["rcp_1", "rcp_2"]
        assert relations.of("rcp_1") == [("owner", "org_1")]
        relations.end("rcp_1", "owner", "org_1")
        assert not relations.has("rcp_1", "owner", "org_1")
    with database.reader() as uow:
        scope = Scope(uow, "other", 1, Random(1), lambda prefix: prefix, "x", lambda *_: None)
        assert not Relations(scope).has("rcp_2", "creditor", "org_1"), "another tenant sees nothing"
